package scheme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/big"

	"github.com/sealward/sealward/signer"
)

// curve is what ECDSA on a curve needs to know of it.
type curve struct {
	size    int            // bytes of a coordinate, and of r and of s
	n, half *big.Int       // the order, and its half, rounded down
	library elliptic.Curve // nil for secp256k1, which the standard library lacks
}

func newCurve(order string, library elliptic.Curve) curve {
	n, ok := new(big.Int).SetString(order, 16)
	if !ok {
		panic("scheme: the order of a curve is not hexadecimal")
	}
	return curve{(n.BitLen() + 7) / 8, n, new(big.Int).Rsh(n, 1), library}
}

// The curves and their orders, SEC 2, 2.4.1, 2.4.2, 2.5.1 and 2.6.1.
var (
	curveSecp256k1 = newCurve("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", nil)
	curveP256      = newCurve("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", elliptic.P256())
	curveP384      = newCurve("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", elliptic.P384())
	curveP521      = newCurve("01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"+
		"51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", elliptic.P521())

	curves = map[signer.Algorithm]curve{
		signer.AlgorithmSecp256k1: curveSecp256k1,
		signer.AlgorithmP256:      curveP256,
		signer.AlgorithmP384:      curveP384,
		signer.AlgorithmP521:      curveP521,
	}
)

// normalise returns a copy of r || s with s in the lower half of the order, and
// whether that changed it.
func (c curve) normalise(raw []byte) (sig []byte, changed bool, err error) {
	r, s := new(big.Int).SetBytes(raw[:c.size]), new(big.Int).SetBytes(raw[c.size:])
	switch {
	case r.Sign() == 0 || s.Sign() == 0:
		return nil, false, errors.New("r or s is zero")
	case r.Cmp(c.n) >= 0 || s.Cmp(c.n) >= 0:
		return nil, false, errors.New("r or s is not below the order of the curve")
	}
	// One byte of room, so that a recovery id can be appended in place.
	sig = append(make([]byte, 0, 2*c.size+1), raw...)
	if changed = s.Cmp(c.half) > 0; changed {
		s.Sub(c.n, s).FillBytes(sig[c.size:])
	}
	return sig, changed, nil
}

// verify checks r || s, whose r and s are in range, with the standard library.
func (c curve) verify(pub, hash, rs []byte) error {
	key, err := ecdsa.ParseUncompressedPublicKey(c.library, pub)
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	if !ecdsa.Verify(key, hash, new(big.Int).SetBytes(rs[:c.size]), new(big.Int).SetBytes(rs[c.size:])) {
		return errSignature
	}
	return nil
}

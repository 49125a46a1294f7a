package scheme

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"

	"github.com/sealward/sealward/signer"
)

// Verifier implements [signer.Verifier]. It keeps tables of the public keys that
// it has met, so make one and keep it. The zero Verifier is ready, and safe for
// concurrent use.
type Verifier struct{ tables p256Tables }

// Finish checks what a device returned for a message under a public key and
// returns it in the encoding of the message's scheme: for ECDSA raw is r || s of
// either half, and what comes back has the lower s; for Ed25519 it is unchanged.
func (v *Verifier) Finish(pub signer.PublicKey, m signer.Message, raw []byte) ([]byte, error) {
	if err := check(pub, m); err != nil {
		return nil, err
	}
	if len(raw) != 64 {
		return nil, fmt.Errorf("%s: the device returned %d bytes; want 64", m.Scheme, len(raw))
	}
	switch m.Scheme {
	case signer.SchemeSecp256k1:
		sig, _, err := secp256k1Order.normalise(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Scheme, err)
		}
		return finishSecp256k1(pub.Bytes, m.Bytes, sig)
	case signer.SchemeP256:
		sig, _, err := p256Order.normalise(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Scheme, err)
		}
		if err := v.tables.verify(pub.Bytes, m.Bytes, sig); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Scheme, err)
		}
		return sig, nil
	default: // check admits three
		if err := verifyEd25519(pub.Bytes, m.Bytes, raw); err != nil {
			return nil, err
		}
		return bytes.Clone(raw), nil
	}
}

// Verify checks a signature in its finished encoding, as [Verifier.Finish] makes
// it, and keeps nothing. A signature in the upper half of the order is refused.
func Verify(pub signer.PublicKey, m signer.Message, sig []byte) error {
	if err := check(pub, m); err != nil {
		return err
	}
	want := 64
	if m.Scheme == signer.SchemeSecp256k1 {
		want = 65
	}
	if len(sig) != want {
		return fmt.Errorf("%s: the signature has %d bytes; want %d", m.Scheme, len(sig), want)
	}
	if m.Scheme == signer.SchemeEd25519 {
		return verifyEd25519(pub.Bytes, m.Bytes, sig)
	}
	order, verify := p256Order, verifyP256
	if m.Scheme == signer.SchemeSecp256k1 {
		order, verify = secp256k1Order, verifySecp256k1
	}
	switch _, changed, err := order.normalise(sig[:64]); {
	case err != nil:
		return fmt.Errorf("%s: %w", m.Scheme, err)
	case changed:
		return fmt.Errorf("%s: s is in the upper half of the order; only the lower is accepted", m.Scheme)
	}
	if err := verify(pub.Bytes, m.Bytes, sig); err != nil {
		return fmt.Errorf("%s: %w", m.Scheme, err)
	}
	return nil
}

// errSignature says that everything is well formed and yet it does not verify.
var errSignature = errors.New("the signature does not verify under the public key")

// check refuses what no signature can be checked against.
func check(pub signer.PublicKey, m signer.Message) error {
	var algorithm signer.Algorithm
	size, prehash := 65, true
	switch m.Scheme {
	case signer.SchemeSecp256k1:
		algorithm = signer.AlgorithmSecp256k1
	case signer.SchemeP256:
		algorithm = signer.AlgorithmP256
	case signer.SchemeEd25519:
		algorithm, size, prehash = signer.AlgorithmEd25519, ed25519.PublicKeySize, false
	default:
		return fmt.Errorf("unknown signature scheme %q", m.Scheme)
	}
	switch {
	case pub.Algorithm != algorithm:
		return fmt.Errorf("%s: the public key is of algorithm %q; want %q", m.Scheme, pub.Algorithm, algorithm)
	case len(pub.Bytes) != size, prehash && pub.Bytes[0] != 4: // SEC 1, 2.3.3: 04 is uncompressed
		return fmt.Errorf("%s: the public key has %d bytes that are no %s key; want %d", m.Scheme, len(pub.Bytes), algorithm, size)
	case prehash && len(m.Bytes) != 32:
		return fmt.Errorf("%s: the prehash has %d bytes; want 32", m.Scheme, len(m.Bytes))
	}
	return nil
}

func verifyEd25519(pub, msg, sig []byte) error {
	if !ed25519.Verify(pub, msg, sig) {
		return fmt.Errorf("%s: %w", signer.SchemeEd25519, errSignature)
	}
	return nil
}

// order is the order of a curve's group and its half, rounded down.
type order struct{ n, half *big.Int }

func newOrder(hex string) order {
	n, ok := new(big.Int).SetString(hex, 16)
	if !ok {
		panic("scheme: the order of a curve is not hexadecimal")
	}
	return order{n, new(big.Int).Rsh(n, 1)}
}

// The orders, SEC 2, 2.4.1 and 2.4.2.
var (
	secp256k1Order = newOrder("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	p256Order      = newOrder("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
)

// normalise returns a copy of r || s with s in the lower half of the order, and
// whether that changed it.
func (o order) normalise(raw []byte) (sig []byte, changed bool, err error) {
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	switch {
	case r.Sign() == 0 || s.Sign() == 0:
		return nil, false, errors.New("r or s is zero")
	case r.Cmp(o.n) >= 0 || s.Cmp(o.n) >= 0:
		return nil, false, errors.New("r or s is not below the order of the curve")
	}
	// One byte of room, so that a recovery id can be appended in place.
	sig = append(make([]byte, 0, 65), raw...)
	if changed = s.Cmp(o.half) > 0; changed {
		s.Sub(o.n, s).FillBytes(sig[32:64])
	}
	return sig, changed, nil
}

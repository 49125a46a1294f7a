package pkcs11

import (
	"bytes"
	"crypto/ecdh"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/signer"
)

// What PKCS #11 v3.0 added and miekg/pkcs11 does not name (2.3.5).
const (
	ckkEdwards       = 0x40
	ckmEdwardsKeyGen = 0x1055
	ckmEdDSA         = 0x1057
)

// algorithm is one that we can sign with.
type algorithm struct {
	name    signer.Algorithm
	keyType uint
	params  [][]byte // values of CKA_EC_PARAMS; the first is used for new keys; nil for RSA
	point   int      // bytes of a public key; 0 for RSA
	gen     uint
	sign    []uint // mechanisms of which a token must have one
}

var ecdsa = []uint{pkcs11.CKM_ECDSA}

var algorithms = []algorithm{
	{signer.AlgorithmP256, pkcs11.CKK_EC, [][]byte{{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}}, 65, pkcs11.CKM_EC_KEY_PAIR_GEN, ecdsa}, // 1.2.840.10045.3.1.7
	{signer.AlgorithmP384, pkcs11.CKK_EC, [][]byte{{6, 5, 0x2b, 0x81, 4, 0, 34}}, 97, pkcs11.CKM_EC_KEY_PAIR_GEN, ecdsa},                  // 1.3.132.0.34
	{signer.AlgorithmP521, pkcs11.CKK_EC, [][]byte{{6, 5, 0x2b, 0x81, 4, 0, 35}}, 133, pkcs11.CKM_EC_KEY_PAIR_GEN, ecdsa},                 // 1.3.132.0.35
	{signer.AlgorithmSecp256k1, pkcs11.CKK_EC, [][]byte{{6, 5, 0x2b, 0x81, 4, 0, 10}}, 65, pkcs11.CKM_EC_KEY_PAIR_GEN, ecdsa},             // 1.3.132.0.10
	{signer.AlgorithmEd25519, ckkEdwards, [][]byte{
		append([]byte{0x13, 12}, "edwards25519"...), // PKCS #11 v3.0, 2.3.10: a PrintableString
		{6, 3, 0x2b, 0x65, 0x70},                    // 1.3.101.112, RFC 8410
	}, 32, ckmEdwardsKeyGen, []uint{ckmEdDSA}},
	{signer.AlgorithmRSA, pkcs11.CKK_RSA, nil, 0, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, []uint{pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_RSA_PKCS}},
}

func algorithmOf(name signer.Algorithm) (algorithm, bool) {
	i := slices.IndexFunc(algorithms, func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return algorithm{}, false
	}
	return algorithms[i], true
}

// mechanism returns how a message is signed, and what the token is given for it.
func mechanism(m signer.Message) (*pkcs11.Mechanism, []byte, error) {
	f, ok := m.Scheme.Facts()
	switch {
	case !ok:
		return nil, nil, signer.Invalid("unknown signature scheme %q", m.Scheme)
	case f.Algorithm == signer.AlgorithmEd25519:
		return pkcs11.NewMechanism(ckmEdDSA, nil), m.Bytes, nil
	case f.Algorithm != signer.AlgorithmRSA:
		return pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), m.Bytes, nil
	}
	h, ok := hashes[len(m.Bytes)]
	switch {
	case !ok:
		return nil, nil, signer.Invalid("the prehash for scheme %q has %d bytes", m.Scheme, len(m.Bytes))
	case f.Padding == signer.PaddingPSS:
		params := pkcs11.NewPSSParams(h.mechanism, h.mgf, uint(len(m.Bytes)))
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, params), m.Bytes, nil
	case f.Padding == signer.PaddingPKCS1:
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), slices.Concat(h.digestInfo, m.Bytes), nil
	}
	return nil, nil, signer.Invalid("scheme %q has a padding that is not supported", m.Scheme)
}

// hash is a hash function as RSA signatures name it.
type hash struct {
	mechanism, mgf uint
	digestInfo     []byte // what stands before the hash in a DigestInfo (RFC 8017, 9.2, note 1)
}

// hashes are by their lengths.
var hashes = map[int]hash{
	32: {pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, []byte{0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20}},
	48: {pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384, []byte{0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2, 5, 0, 4, 0x30}},
	64: {pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512, []byte{0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40}},
}

// parsePoint reads CKA_EC_POINT: the point in a DER OCTET STRING (PKCS #11 v2.40,
// 2.3.3) or, from some tokens, as it is. The lengths tell the two apart. (The octet
// string of tpm2-pkcs11 1.9 has its length in one byte also where DER wants two.)
func parsePoint(a algorithm, value []byte) (signer.PublicKey, error) {
	point := value
	if len(value) == a.point+2 && value[0] == 4 && int(value[1]) == a.point {
		point = value[2:]
	} else if len(value) != a.point {
		if rest, err := asn1.Unmarshal(value, &point); err != nil || len(rest) != 0 || len(point) != a.point {
			return signer.PublicKey{}, fmt.Errorf("public key: CKA_EC_POINT %x is no point of %s", value, a.name)
		}
	}
	ok := true
	switch a.name {
	case signer.AlgorithmP256:
		ok = onCurve(ecdh.P256(), point)
	case signer.AlgorithmP384:
		ok = onCurve(ecdh.P384(), point)
	case signer.AlgorithmP521:
		ok = onCurve(ecdh.P521(), point)
	case signer.AlgorithmSecp256k1:
		ok = point[0] == 4 && onSecp256k1(point[1:33], point[33:])
	}
	if !ok {
		return signer.PublicKey{}, fmt.Errorf("public key: CKA_EC_POINT %x is not on the curve %s", value, a.name)
	}
	return signer.PublicKey{Algorithm: a.name, Bytes: bytes.Clone(point)}, nil
}

func onCurve(c ecdh.Curve, point []byte) bool {
	_, err := c.NewPublicKey(point)
	return err == nil
}

// onSecp256k1 checks y^2 = x^3 + 7 (SEC 2, 2.4.1).
func onSecp256k1(xb, yb []byte) bool {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1<<32+977))
	x, y := new(big.Int).SetBytes(xb), new(big.Int).SetBytes(yb)
	if x.Cmp(p) >= 0 || y.Cmp(p) >= 0 {
		return false
	}
	right := new(big.Int).Exp(x, big.NewInt(3), p)
	right.Add(right, big.NewInt(7)).Mod(right, p)
	return y.Mul(y, y).Mod(y, p).Cmp(right) == 0
}

// rsaKey makes a public key of CKA_MODULUS and CKA_PUBLIC_EXPONENT.
func rsaKey(modulus, exponent []byte) (signer.PublicKey, error) {
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	switch {
	case n.BitLen() < 2048 || n.BitLen() > 4096:
		return signer.PublicKey{}, fmt.Errorf("%w: it is an RSA key of %d bits; 2048 to 4096 are supported", errRefused, n.BitLen())
	case e.BitLen() < 17 || e.BitLen() > 31 || e.Bit(0) == 0: // FIPS 186-5, A.1.1
		return signer.PublicKey{}, fmt.Errorf("%w: it is an RSA key with the exponent %s; an odd one above 65536 and below 2^31 is supported", errRefused, e)
	}
	der, err := asn1.Marshal(struct{ N, E *big.Int }{n, e}) // RFC 8017, A.1.1
	if err != nil {
		return signer.PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	return signer.PublicKey{Algorithm: signer.AlgorithmRSA, Bytes: der}, nil
}

// certified is the public key of a certificate.
func certified(der []byte) (signer.PublicKey, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return signer.PublicKey{}, fmt.Errorf("certificate: %w", err)
	}
	var spki struct {
		Algorithm struct {
			OID    asn1.ObjectIdentifier
			Params asn1.RawValue `asn1:"optional"`
		}
		Key asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil {
		return signer.PublicKey{}, fmt.Errorf("certificate: %w", err)
	}
	switch cert.PublicKeyAlgorithm {
	case x509.RSA:
		var k struct{ N, E *big.Int }
		if _, err := asn1.Unmarshal(spki.Key.Bytes, &k); err != nil {
			return signer.PublicKey{}, fmt.Errorf("certificate: %w", err)
		}
		return rsaKey(k.N.Bytes(), k.E.Bytes())
	case x509.ECDSA:
		for _, a := range algorithms {
			if a.keyType == pkcs11.CKK_EC && bytes.Equal(a.params[0], spki.Algorithm.Params.FullBytes) {
				return parsePoint(a, spki.Key.Bytes)
			}
		}
	case x509.Ed25519:
		a, _ := algorithmOf(signer.AlgorithmEd25519)
		return parsePoint(a, spki.Key.Bytes)
	}
	return signer.PublicKey{}, errors.New("certificate: no signature scheme is supported for its key")
}

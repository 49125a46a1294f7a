package scheme

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer"
)

// Verifier implements [signer.Verifier]. It keeps tables of the public keys that
// it has met, so make one and keep it. The zero Verifier is ready, and safe for
// concurrent use.
type Verifier struct{ tables p256Tables }

// Finish checks what a device returned for a message under a public key and
// returns it in the encoding of the message's scheme: for ECDSA raw is r || s of
// either half, and what comes back has the lower s; for Ed25519 and RSA it is
// unchanged.
func (v *Verifier) Finish(pub signer.PublicKey, m signer.Message, raw []byte) ([]byte, error) {
	sig, err := v.finish(pub, m, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Scheme, err)
	}
	return sig, nil
}

func (v *Verifier) finish(pub signer.PublicKey, m signer.Message, raw []byte) ([]byte, error) {
	if err := check(pub, m); err != nil {
		return nil, err
	}
	c, ok := curves[pub.Algorithm]
	if !ok {
		if want := plainSize(pub); len(raw) != want {
			return nil, fmt.Errorf("the device returned %d bytes; want %d", len(raw), want)
		}
		if err := verifyPlain(pub, m, raw); err != nil {
			return nil, err
		}
		return bytes.Clone(raw), nil
	}
	if len(raw) != 2*c.size {
		return nil, fmt.Errorf("the device returned %d bytes; want %d", len(raw), 2*c.size)
	}
	sig, _, err := c.normalise(raw)
	switch {
	case err != nil:
		return nil, err
	case pub.Algorithm == signer.AlgorithmSecp256k1:
		return finishSecp256k1(pub.Bytes, m.Bytes, sig)
	case pub.Algorithm == signer.AlgorithmP256:
		err = v.tables.verify(pub.Bytes, m.Bytes, sig)
	default:
		err = c.verify(pub.Bytes, m.Bytes, sig)
	}
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// Verify checks a signature in its finished encoding, as [Verifier.Finish] makes
// it, and keeps nothing. An ECDSA signature in the upper half of the order is
// refused.
func Verify(pub signer.PublicKey, m signer.Message, sig []byte) error {
	if err := verify(pub, m, sig); err != nil {
		return fmt.Errorf("%s: %w", m.Scheme, err)
	}
	return nil
}

func verify(pub signer.PublicKey, m signer.Message, sig []byte) error {
	if err := check(pub, m); err != nil {
		return err
	}
	c, ok := curves[pub.Algorithm]
	want := 2 * c.size
	switch {
	case !ok:
		want = plainSize(pub)
	case pub.Algorithm == signer.AlgorithmSecp256k1:
		want++ // the recovery id
	}
	if len(sig) != want {
		return fmt.Errorf("the signature has %d bytes; want %d", len(sig), want)
	}
	if !ok {
		return verifyPlain(pub, m, sig)
	}
	switch _, changed, err := c.normalise(sig[:2*c.size]); {
	case err != nil:
		return err
	case changed:
		return errors.New("s is in the upper half of the order; only the lower is accepted")
	case pub.Algorithm == signer.AlgorithmSecp256k1:
		return verifySecp256k1(pub.Bytes, m.Bytes, sig)
	}
	return c.verify(pub.Bytes, m.Bytes, sig)
}

// errSignature says that everything is well formed and yet it does not verify.
var errSignature = errors.New("the signature does not verify under the public key")

// check refuses what no signature can be checked against.
func check(pub signer.PublicKey, m signer.Message) error {
	f, known := m.Scheme.Facts()
	switch {
	case !known:
		return fmt.Errorf("unknown signature scheme %q", m.Scheme)
	case pub.Algorithm != f.Algorithm:
		return fmt.Errorf("the public key is of algorithm %q; want %q", pub.Algorithm, f.Algorithm)
	case f.Prehash != 0 && len(m.Bytes) != f.Prehash:
		return fmt.Errorf("the prehash has %d bytes; want %d", len(m.Bytes), f.Prehash)
	}
	if c, ok := curves[pub.Algorithm]; ok {
		if len(pub.Bytes) != 1+2*c.size || pub.Bytes[0] != 4 { // SEC 1, 2.3.3: 04 is uncompressed
			return fmt.Errorf("the public key has %d bytes that are no %s key; want %d", len(pub.Bytes), pub.Algorithm, 1+2*c.size)
		}
		return nil
	}
	if pub.Algorithm == signer.AlgorithmEd25519 && len(pub.Bytes) != ed25519.PublicKeySize {
		return fmt.Errorf("the public key has %d bytes that are no %s key; want %d", len(pub.Bytes), pub.Algorithm, ed25519.PublicKeySize)
	}
	if pub.Algorithm == signer.AlgorithmRSA {
		_, err := parseRSA(pub.Bytes)
		return err
	}
	return nil
}

// plainSize is the length of a signature that is no pair of numbers; check has
// accepted the key.
func plainSize(pub signer.PublicKey) int {
	if pub.Algorithm != signer.AlgorithmRSA {
		return ed25519.SignatureSize
	}
	key, err := parseRSA(pub.Bytes)
	if err != nil {
		return -1 // no signature has this length
	}
	return key.Size()
}

func verifyPlain(pub signer.PublicKey, m signer.Message, sig []byte) error {
	if pub.Algorithm == signer.AlgorithmRSA {
		return verifyRSA(pub.Bytes, m, sig)
	}
	if !ed25519.Verify(pub.Bytes, m.Bytes, sig) {
		return errSignature
	}
	return nil
}

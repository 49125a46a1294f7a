package scheme

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer"
)

// The moduli that we accept. Below, a key is too weak (SP 800-131A, 3); above, no
// device that we know signs, and a verification costs its caller too little.
const minModulus, maxModulus = 2048, 4096 // bits

// parseRSA reads an RSAPublicKey (RFC 8017, A.1.1) in its one encoding.
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	key, err := x509.ParsePKCS1PublicKey(der)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the public key has %d bytes that are no rsa key: %w", len(der), err)
	case !bytes.Equal(x509.MarshalPKCS1PublicKey(key), der):
		return nil, errors.New("the public key has bytes that are no rsa key: it is not in DER")
	case key.N.BitLen() < minModulus || key.N.BitLen() > maxModulus || key.N.Bit(0) == 0:
		return nil, fmt.Errorf("the public key has a modulus of %d bits; want an odd one of %d to %d", key.N.BitLen(), minModulus, maxModulus)
	case key.E <= 1<<16 || key.E%2 == 0 || int64(key.E) >= 1<<31: // FIPS 186-5, A.1.1; crypto/rsa's own bound above
		return nil, fmt.Errorf("the public key has the exponent %d; want an odd one above 65536 and below 2^31", key.E)
	}
	return key, nil
}

// verifyRSA checks a signature that is as long as the modulus.
func verifyRSA(pub []byte, m signer.Message, sig []byte) error {
	key, err := parseRSA(pub)
	if err != nil {
		return err
	}
	hash := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(m.Bytes)]
	switch f, _ := m.Scheme.Facts(); f.Padding {
	case signer.PaddingPSS:
		err = rsa.VerifyPSS(key, hash, m.Bytes, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case signer.PaddingPKCS1:
		err = rsa.VerifyPKCS1v15(key, hash, m.Bytes, sig)
	default:
		return fmt.Errorf("unknown padding %q", f.Padding)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	return nil
}

package backendtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/sealward/sealward/signer"
)

// schemesOf are the schemes that a key of an algorithm signs with.
func schemesOf(a signer.Algorithm) []signer.Scheme {
	return map[signer.Algorithm][]signer.Scheme{
		signer.AlgorithmSecp256k1: {signer.SchemeSecp256k1},
		signer.AlgorithmP256:      {signer.SchemeP256},
		signer.AlgorithmP384:      {signer.SchemeP384},
		signer.AlgorithmP521:      {signer.SchemeP521},
		signer.AlgorithmEd25519:   {signer.SchemeEd25519},
		signer.AlgorithmRSA: {
			signer.SchemePSSSHA256, signer.SchemePSSSHA384, signer.SchemePSSSHA512,
			signer.SchemePKCS1SHA256, signer.SchemePKCS1SHA384, signer.SchemePKCS1SHA512,
		},
	}[a]
}

// allSchemes is every scheme, and one that does not exist.
func allSchemes() []signer.Scheme {
	all := []signer.Scheme{"ecdsa-p256-sha1"}
	for _, a := range []signer.Algorithm{
		signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmP384, signer.AlgorithmP521, signer.AlgorithmEd25519, signer.AlgorithmRSA,
	} {
		all = append(all, schemesOf(a)...)
	}
	return all
}

// message is a text, hashed as a scheme wants it.
func message(s signer.Scheme, text string) signer.Message {
	sum := sha512.Sum512([]byte(text))
	if f, ok := s.Facts(); ok && f.Prehash != 0 {
		return signer.Message{Scheme: s, Bytes: sum[:f.Prehash]}
	}
	return signer.Message{Scheme: s, Bytes: sum[:32]}
}

// verify checks a finished signature with libraries that the product does not
// verify with, or not in this way.
func verify(pub signer.PublicKey, m signer.Message, sig []byte) error {
	switch pub.Algorithm {
	case signer.AlgorithmSecp256k1:
		return verifySecp256k1(pub, m, sig)
	case signer.AlgorithmP256:
		return verifyECDSA(elliptic.P256(), pub, m, sig)
	case signer.AlgorithmP384:
		return verifyECDSA(elliptic.P384(), pub, m, sig)
	case signer.AlgorithmP521:
		return verifyECDSA(elliptic.P521(), pub, m, sig)
	case signer.AlgorithmEd25519:
		if !ed25519.Verify(pub.Bytes, m.Bytes, sig) {
			return errors.New("crypto/ed25519 does not verify it")
		}
		return nil
	case signer.AlgorithmRSA:
		return verifyRSA(pub, m, sig)
	}
	return fmt.Errorf("nothing verifies signatures of algorithm %q", pub.Algorithm)
}

// verifySecp256k1 recovers the public key, as chains do.
func verifySecp256k1(pub signer.PublicKey, m signer.Message, sig []byte) error {
	if len(sig) != 65 || sig[64] > 1 {
		return fmt.Errorf("%x is not r || s || v", sig)
	}
	key, _, err := secpecdsa.RecoverCompact(append([]byte{27 + sig[64]}, sig[:64]...), m.Bytes)
	if err != nil {
		return fmt.Errorf("decred does not recover a key: %w", err)
	}
	if got := key.SerializeUncompressed(); !bytes.Equal(got, pub.Bytes) {
		return fmt.Errorf("decred recovers the key %x; want %x", got, pub.Bytes)
	}
	return nil
}

func verifyECDSA(c elliptic.Curve, pub signer.PublicKey, m signer.Message, sig []byte) error {
	key, err := ecdsa.ParseUncompressedPublicKey(c, pub.Bytes)
	size := (c.Params().BitSize + 7) / 8
	if err != nil || len(sig) != 2*size {
		return fmt.Errorf("a signature of %d bytes under a key that is none (%w)", len(sig), err)
	}
	r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
	if new(big.Int).Lsh(s, 1).Cmp(c.Params().N) > 0 {
		return errors.New("s is in the upper half of the order")
	}
	if !ecdsa.Verify(key, m.Bytes, r, s) {
		return errors.New("crypto/ecdsa does not verify it")
	}
	return nil
}

func verifyRSA(pub signer.PublicKey, m signer.Message, sig []byte) error {
	key, err := x509.ParsePKCS1PublicKey(pub.Bytes)
	if err != nil {
		return err
	}
	switch m.Scheme {
	case signer.SchemePSSSHA256:
		return rsa.VerifyPSS(key, crypto.SHA256, m.Bytes, sig, &rsa.PSSOptions{SaltLength: 32})
	case signer.SchemePSSSHA384:
		return rsa.VerifyPSS(key, crypto.SHA384, m.Bytes, sig, &rsa.PSSOptions{SaltLength: 48})
	case signer.SchemePSSSHA512:
		return rsa.VerifyPSS(key, crypto.SHA512, m.Bytes, sig, &rsa.PSSOptions{SaltLength: 64})
	case signer.SchemePKCS1SHA256:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, m.Bytes, sig)
	case signer.SchemePKCS1SHA384:
		return rsa.VerifyPKCS1v15(key, crypto.SHA384, m.Bytes, sig)
	case signer.SchemePKCS1SHA512:
		return rsa.VerifyPKCS1v15(key, crypto.SHA512, m.Bytes, sig)
	}
	return fmt.Errorf("%q is no scheme of RSA", m.Scheme)
}

// rawSize is the length of what a device returns, which [signer.Key] describes.
func rawSize(pub signer.PublicKey) int {
	switch pub.Algorithm {
	case signer.AlgorithmP384:
		return 96
	case signer.AlgorithmP521:
		return 132
	case signer.AlgorithmRSA:
		key, err := x509.ParsePKCS1PublicKey(pub.Bytes)
		if err != nil {
			return -1
		}
		return key.Size()
	}
	return 64
}

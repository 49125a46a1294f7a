package tpm

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/signer"
)

// hashes are those of schemes, by the length of a prehash.
var hashes = map[int]tpm2.TPMAlgID{32: tpm2.TPMAlgSHA256, 48: tpm2.TPMAlgSHA384, 64: tpm2.TPMAlgSHA512}

// Sign has the TPM sign a prehash.
func (k *key) Sign(ctx context.Context, m signer.Message, _ func(signer.Notice)) ([]byte, error) {
	scheme, err := k.scheme(m)
	if err != nil {
		return nil, err
	}
	var rsp *tpm2.SignResponse
	err = k.d.exclusively(ctx, func() error {
		s, end, err := k.authorize(in)
		if err != nil {
			return err
		}
		defer end()
		if err := k.d.load(k.object); err != nil {
			return err
		}
		rsp, err = tpm2.Sign{
			KeyHandle:  k.object.authorized(s),
			Digest:     tpm2.TPM2BDigest{Buffer: m.Bytes},
			InScheme:   scheme,
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(k.d.link)
		return err
	})
	if err != nil {
		return nil, refusedAuth(err)
	}
	if k.public.Type == tpm2.TPMAlgECC {
		return k.ecdsa(rsp.Signature)
	}
	return k.rsa(rsp.Signature, m)
}

// scheme translates a scheme that fits the key.
func (k *key) scheme(m signer.Message) (tpm2.TPMTSigScheme, error) {
	facts, ok := m.Scheme.Facts()
	hash, hashed := hashes[facts.Prehash]
	if !ok || !hashed || facts.Algorithm != k.facts.Public.Algorithm || len(m.Bytes) != facts.Prehash {
		return tpm2.TPMTSigScheme{}, signer.Invalid("a TPM key of algorithm %q cannot sign %d bytes with scheme %q", k.facts.Public.Algorithm, len(m.Bytes), m.Scheme)
	}
	algorithm := tpm2.TPMAlgECDSA
	switch facts.Padding {
	case signer.PaddingPSS:
		algorithm = tpm2.TPMAlgRSAPSS
	case signer.PaddingPKCS1:
		algorithm = tpm2.TPMAlgRSASSA
	}
	return tpm2.TPMTSigScheme{Scheme: algorithm, Details: tpm2.NewTPMUSigScheme(algorithm, &tpm2.TPMSSchemeHash{HashAlg: hash})}, nil
}

// ecdsa returns r || s, each of the order's length.
func (k *key) ecdsa(s tpm2.TPMTSignature) ([]byte, error) {
	sig, err := s.Signature.ECDSA()
	if err != nil {
		return nil, fmt.Errorf("read the TPM's signature: %w", err)
	}
	size := (len(k.facts.Public.Bytes) - 1) / 2
	if len(sig.SignatureR.Buffer) > size || len(sig.SignatureS.Buffer) > size {
		return nil, errors.New("read the TPM's signature: it is longer than the curve's order")
	}
	return append(pad(sig.SignatureR.Buffer, size), pad(sig.SignatureS.Buffer, size)...), nil
}

// rsa returns the signature. TPM 2.0 Library part 1, B.7, has PSS with the longest
// salt that fits, and with that of the hash only where FIPS 186-4 is asked for; which
// one a TPM does shows in its signatures. Ours have the hash's length.
func (k *key) rsa(s tpm2.TPMTSignature, m signer.Message) ([]byte, error) {
	if s.SigAlg == tpm2.TPMAlgRSASSA {
		sig, err := s.Signature.RSASSA()
		if err != nil {
			return nil, fmt.Errorf("read the TPM's signature: %w", err)
		}
		return sig.Sig.Buffer, nil
	}
	sig, err := s.Signature.RSAPSS()
	if err != nil {
		return nil, fmt.Errorf("read the TPM's signature: %w", err)
	}
	public, err := x509.ParsePKCS1PublicKey(k.facts.Public.Bytes)
	if err != nil {
		return nil, err
	}
	hash := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(m.Bytes)]
	if rsa.VerifyPSS(public, hash, m.Bytes, sig.Sig.Buffer, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil {
		return sig.Sig.Buffer, nil
	}
	if rsa.VerifyPSS(public, hash, m.Bytes, sig.Sig.Buffer, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil {
		return nil, errors.New("this TPM signs RSA-PSS with a salt that is longer than the hash, which others refuse; configure padding = \"pkcs1\" for this key, or use an ECC key")
	}
	return nil, errors.New("the TPM returned a signature that is not one of this message")
}

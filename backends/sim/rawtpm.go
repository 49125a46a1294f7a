package sim

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// RawTPMRate measures how fast go-tpm signs with nothing in front of it: a P-256 key
// that stays loaded, and one salted session that encrypts the digest and is used for
// all. One loop, for a TPM does one thing at a time.
func RawTPMRate(path string, d time.Duration) (perSecond float64, latencies []time.Duration, err error) {
	link, err := linuxudstpm.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	auth := []byte("raw")
	session, end, err := rawTPMSession(link, auth)
	if err != nil {
		return 0, nil, fmt.Errorf("start a session: %w", err)
	}
	defer func() { err = errors.Join(err, end()) }()
	template := tpm2.ECCSRKTemplate // with what a key for signatures has instead
	template.ObjectAttributes.Restricted, template.ObjectAttributes.Decrypt, template.ObjectAttributes.SignEncrypt = false, false, true
	template.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256})
	key, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: auth}}},
	}.Execute(link)
	if err != nil {
		return 0, nil, fmt.Errorf("make a key: %w", err)
	}
	defer func() {
		_, ferr := tpm2.FlushContext{FlushHandle: key.ObjectHandle}.Execute(link)
		err = errors.Join(err, ferr)
	}()
	sign := tpm2.Sign{
		KeyHandle:  tpm2.AuthHandle{Handle: key.ObjectHandle, Name: key.Name, Auth: session},
		Digest:     tpm2.TPM2BDigest{Buffer: bytes.Repeat([]byte{0x5a}, 32)},
		InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}
	return rawRate(d, func() error { _, err := sign.Execute(link); return err })
}

// rawTPMSession starts a session that is salted to the storage root key.
func rawTPMSession(link transport.TPM, auth []byte) (tpm2.Session, func() error, error) {
	root, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(link)
	if err != nil {
		return nil, nil, err
	}
	public, err := root.OutPublic.Contents()
	if err != nil {
		return nil, nil, err
	}
	session, end, err := tpm2.HMACSession(link, tpm2.TPMAlgSHA256, 16,
		tpm2.Auth(auth), tpm2.Salted(root.ObjectHandle, *public), tpm2.AESEncryption(128, tpm2.EncryptIn))
	_, ferr := tpm2.FlushContext{FlushHandle: root.ObjectHandle}.Execute(link) // it is needed for the start only
	return session, end, errors.Join(err, ferr)
}

// rawRate calls f in a loop. The first call is not counted.
func rawRate(d time.Duration, f func() error) (perSecond float64, latencies []time.Duration, err error) {
	if err := f(); err != nil {
		return 0, nil, err
	}
	start := time.Now()
	for now := start; now.Before(start.Add(d)); {
		if err := f(); err != nil {
			return 0, nil, err
		}
		next := time.Now()
		latencies = append(latencies, next.Sub(now))
		now = next
	}
	return float64(len(latencies)) / time.Since(start).Seconds(), latencies, nil
}

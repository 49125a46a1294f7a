package tpm

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/backends/tpm/wrapped"
)

// longestChallenge is what fits into TPM2B_DATA of every TPM with SHA-256.
const longestChallenge = 32

// attestationTemplate is that of the attestation key: a primary key of the endorsement
// hierarchy, so it is the same each time, and survives when the owner clears the TPM.
// It is restricted: it signs only what the TPM itself says.
func attestationTemplate() tpm2.TPMTPublic {
	label := [32]byte{}
	copy(label[:], "sealward attestation key")
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull},
			Scheme:    tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
			CurveID:   tpm2.TPMECCNistP256,
			KDF:       tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: label[:]}}),
	}
}

// primary is a key of the endorsement hierarchy; public is filled in when it is made.
func (d *driver) primary(what string, template tpm2.TPMTPublic, public *tpm2.TPMTPublic) *object {
	return &object{what: what, bring: func([]*object) (tpm2.TPMHandle, tpm2.TPM2BName, error) {
		rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(d.link)
		if refused(err) {
			return 0, tpm2.TPM2BName{}, fmt.Errorf("the endorsement hierarchy has a password, so the TPM cannot certify: %v", err)
		}
		if err != nil {
			return 0, tpm2.TPM2BName{}, err
		}
		p, err := rsp.OutPublic.Contents()
		if err != nil {
			return 0, tpm2.TPM2BName{}, err
		}
		*public = *p
		return rsp.ObjectHandle, rsp.Name, nil
	}}
}

// Attest has the attestation key certify a key.
func (d *driver) Attest(ctx context.Context, locator string, challenge []byte) (backends.Evidence, error) {
	if len(challenge) > longestChallenge {
		return backends.Evidence{}, fmt.Errorf("attest: the challenge has %d bytes; at most %d", len(challenge), longestChallenge)
	}
	parts := map[string][]byte{}
	var k *key
	err := d.exclusively(ctx, func() (err error) {
		if err := d.needAuth(); err != nil {
			return err
		}
		if k, err = d.find(locator); err != nil {
			return err
		}
		if err := d.certify(k, challenge, parts); err != nil {
			return err
		}
		return d.endorse(parts)
	})
	if err != nil {
		return backends.Evidence{}, fmt.Errorf("attest: %w", refusedAuth(err))
	}
	e := backends.Evidence{Format: certifyFormat, Parts: parts}
	c, err := VerifyCertification(e, k.facts.Public, challenge)
	if err != nil {
		return backends.Evidence{}, fmt.Errorf("attest: the TPM's own certification does not verify: %w", err)
	}
	e.Proven, e.Claimed = c.Proven, c.Claimed
	return e, nil
}

func (d *driver) certify(k *key, challenge []byte, parts map[string][]byte) error {
	s, err := d.session(in)
	if err != nil {
		return err
	}
	var public tpm2.TPMTPublic
	ak := d.primary("the attestation key", attestationTemplate(), &public)
	if err := d.load(ak); err != nil {
		return err
	}
	defer d.unload(ak)
	if err := d.load(k.object, ak); err != nil {
		return err
	}
	rsp, err := tpm2.Certify{
		ObjectHandle:   k.object.authorized(s),
		SignHandle:     ak.authorized(tpm2.PasswordAuth(nil)),
		QualifyingData: tpm2.TPM2BData{Buffer: challenge},
		InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}, // the attestation key's
	}.Execute(d.link)
	if err != nil {
		return fmt.Errorf("certify: %w", err)
	}
	parts[partAttest] = rsp.CertifyInfo.Bytes()
	parts[partSignature] = tpm2.Marshal(rsp.Signature)
	parts[partPublic] = tpm2.Marshal(k.public)
	parts[partAK] = tpm2.Marshal(public)
	return nil
}

// endorse adds the endorsement key, and its certificate where the TPM has one.
func (d *driver) endorse(parts map[string][]byte) error {
	public, certificate, err := d.endorsement()
	if err != nil {
		return err
	}
	parts[partEK] = tpm2.Marshal(public)
	if certificate != nil {
		parts[partCertificate] = certificate
	}
	return nil
}

// endorsement returns the endorsement key for which the TPM has a certificate, and
// that; or, where it has none, a key without.
func (d *driver) endorsement() (public tpm2.TPMTPublic, certificate []byte, err error) {
	all := wrapped.EndorsementTemplates()
	chosen := all[0]
	for _, e := range all {
		if certificate, err = d.readCertificate(e.CertificateIndex); err != nil {
			return public, nil, err
		}
		if certificate != nil {
			chosen = e
			break
		}
	}
	ek := d.primary("the endorsement key", chosen.Public, &public)
	if err := d.load(ek); err != nil {
		return public, nil, err
	}
	d.unload(ek)
	return public, certificate, nil
}

// readCertificate reads a certificate from an NV index, nil if there is none that can
// be read without a password. An index that is subject to lockout is not tried.
func (d *driver) readCertificate(h tpm2.TPMHandle) ([]byte, error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: h}.Execute(d.link)
	if has(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the endorsement certificate: %w", err)
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("read the endorsement certificate: %w", err)
	}
	auth := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	switch {
	case public.Attributes.AuthRead && public.Attributes.NoDA:
		auth = tpm2.AuthHandle{Handle: h, Name: rsp.NVName, Auth: tpm2.PasswordAuth(nil)}
	case !public.Attributes.OwnerRead:
		return nil, nil
	}
	var der []byte
	for len(der) < int(public.DataSize) {
		read, err := tpm2.NVRead{AuthHandle: auth, NVIndex: tpm2.NamedHandle{Handle: h, Name: rsp.NVName},
			Size: min(512, public.DataSize-uint16(len(der))), Offset: uint16(len(der))}.Execute(d.link)
		if refused(err) || has(err, tpm2.TPMRCNVUninitialized) {
			return nil, nil
		}
		if err == nil && len(read.Data.Buffer) == 0 {
			err = errors.New("it ends early")
		}
		if err != nil {
			return nil, fmt.Errorf("read the endorsement certificate at %#x: %w", uint32(h), err)
		}
		der = append(der, read.Data.Buffer...)
	}
	// Some makers leave room after the certificate.
	return exactly(der), nil
}

// exactly returns the one DER value at the start, if it is a certificate.
func exactly(der []byte) []byte {
	if len(der) < 4 || der[0] != 0x30 || der[1] != 0x82 {
		return nil
	}
	n := 4 + int(der[2])<<8 + int(der[3])
	if n > len(der) {
		return nil
	}
	if _, err := x509.ParseCertificate(der[:n]); err != nil {
		return nil
	}
	return der[:n]
}

// credential is the argument of "activate-credential": what [MakeCredential] made.
type credential struct {
	EK     []byte `json:"ek"` // TPMT_PUBLIC, as in the evidence
	Blob   []byte `json:"blob"`
	Secret []byte `json:"secret"`
}

// activated is its result. That the TPM could open it proves that it has both keys.
type activated struct {
	Secret []byte `json:"secret"`
}

func (d *driver) activate(ctx context.Context, c credential) (activated, error) {
	want, err := tss2.ParsePublic(c.EK)
	if err != nil {
		return activated{}, fmt.Errorf("activate a credential: %w", err)
	}
	name, err := tpm2.ObjectName(want)
	if err != nil {
		return activated{}, fmt.Errorf("activate a credential: %w", err)
	}
	var secret []byte
	err = d.exclusively(ctx, func() error {
		for _, e := range wrapped.EndorsementTemplates() {
			if e.Made(want) {
				secret, err = d.activateWith(e.Public, name.Buffer, c)
				return err
			}
		}
		return errors.New("its endorsement key is not from a template of the TCG EK Credential Profile")
	})
	if err != nil {
		return activated{}, fmt.Errorf("activate a credential: %w", err)
	}
	return activated{secret}, nil
}

// The digests of PolicyA, the endorsement hierarchy's password, and PolicyC, an NV index
// of the platform's, by the hash of the key's name; TCG EK Credential Profile, B.6.
var policyA = map[tpm2.TPMAlgID]string{
	tpm2.TPMAlgSHA256: "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa",
	tpm2.TPMAlgSHA384: "8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f532050c3278c930e143e8bb1133824ccb431053871c6db53",
}

var policyC = map[tpm2.TPMAlgID]string{
	tpm2.TPMAlgSHA256: "3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde",
	tpm2.TPMAlgSHA384: "d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165",
}

// useEndorsement authorises the use of an endorsement key with its policy, which is
// PolicyA in the templates of B.3 and either of A and C in those of B.4. The latter
// have an auth value too, an empty one; but they are subject to lockout, where a crash
// after its use would count as a try.
func useEndorsement(template tpm2.TPMTPublic) tpm2.Session {
	return tpm2.Policy(template.NameAlg, 16, func(link transport.TPM, h tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicySecret{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, PolicySession: h, NonceTPM: nonce}.Execute(link)
		if err != nil || !template.ObjectAttributes.UserWithAuth {
			return err
		}
		var either tpm2.TPMLDigest
		for _, text := range []string{policyA[template.NameAlg], policyC[template.NameAlg]} {
			digest, err := hex.DecodeString(text)
			if err != nil {
				return err
			}
			either.Digests = append(either.Digests, tpm2.TPM2BDigest{Buffer: digest})
		}
		_, err = tpm2.PolicyOr{PolicySession: h, PHashList: either}.Execute(link)
		return err
	})
}

func (d *driver) activateWith(template tpm2.TPMTPublic, name []byte, c credential) ([]byte, error) {
	var akPublic, ekPublic tpm2.TPMTPublic
	ak, ek := d.primary("the attestation key", attestationTemplate(), &akPublic), d.primary("the endorsement key", template, &ekPublic)
	if err := d.load(ak); err != nil {
		return nil, err
	}
	defer d.unload(ak)
	if err := d.load(ek, ak); err != nil {
		return nil, err
	}
	defer d.unload(ek)
	if !bytes.Equal(ek.name, name) {
		return nil, fmt.Errorf("the credential is for the endorsement key of another TPM, %s", hex.EncodeToString(name))
	}
	var secret []byte
	err := d.room(func() error {
		rsp, err := tpm2.ActivateCredential{
			ActivateHandle: ak.authorized(tpm2.PasswordAuth(nil)),
			KeyHandle:      ek.authorized(useEndorsement(template)),
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: c.Blob},
			Secret:         tpm2.TPM2BEncryptedSecret{Buffer: c.Secret},
		}.Execute(d.link)
		if err != nil {
			return err
		}
		secret = rsp.CertInfo.Buffer
		return nil
	}, ak, ek)
	return secret, err
}

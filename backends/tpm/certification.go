package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

// certifyFormat is the form of a TPM's evidence, and the names are those of its parts.
const (
	certifyFormat   = "tpm2-certify"
	partAttest      = "attest"         // TPMS_ATTEST: the statement
	partSignature   = "signature"      // TPMT_SIGNATURE of the statement by the attestation key
	partPublic      = "public"         // TPMT_PUBLIC of the key
	partAK          = "ak"             // TPMT_PUBLIC of the attestation key
	partEK          = "ek"             // TPMT_PUBLIC of the endorsement key
	partCertificate = "ek.certificate" // X.509 of the endorsement key, where the TPM has one
)

// Certification is what a TPM's evidence says, once it has been verified.
type Certification struct {
	// AK is the name of the attestation key. All that is proven is proven by it, so it
	// has to be known from elsewhere, or shown to be in one TPM with the endorsement
	// key: see [MakeCredential].
	AK []byte
	// EK is the public area of the endorsement key, and EKCertificate is its DER, if
	// there is one: which TPM the evidence says that it comes from.
	EK            []byte
	EKCertificate []byte
	// Proven holds if AK is a TPM's; Claimed is nobody's word but the sender's.
	Proven  []signer.Field
	Claimed []signer.Field
}

// VerifyCertification checks a TPM's evidence about a key, without a TPM: that the
// attestation key signed a statement of a TPM, over the challenge, about an object,
// and that this object is the key and cannot leave its TPM.
func VerifyCertification(e backends.Evidence, public signer.PublicKey, challenge []byte) (Certification, error) {
	c, err := verifyCertification(e, public, challenge)
	if err != nil {
		return Certification{}, fmt.Errorf("verify a TPM's certification: %w", err)
	}
	return c, nil
}

func verifyCertification(e backends.Evidence, public signer.PublicKey, challenge []byte) (Certification, error) {
	if e.Format != certifyFormat {
		return Certification{}, fmt.Errorf("the evidence is of format %q, not %q", e.Format, certifyFormat)
	}
	ak, err := tss2.ParsePublic(e.Parts[partAK])
	if err != nil {
		return Certification{}, fmt.Errorf("attestation key: %w", err)
	}
	if err := verifyStatement(*ak, e.Parts[partAttest], e.Parts[partSignature]); err != nil {
		return Certification{}, err
	}
	object, err := tss2.ParsePublic(e.Parts[partPublic])
	if err != nil {
		return Certification{}, fmt.Errorf("key: %w", err)
	}
	statement, err := tpm2.Unmarshal[tpm2.TPMSAttest](e.Parts[partAttest])
	if err != nil || !bytes.Equal(tpm2.Marshal(statement), e.Parts[partAttest]) {
		return Certification{}, errors.Join(errors.New("the statement is not exactly one TPMS_ATTEST"), err)
	}
	if statement.Magic != tpm2.TPMGeneratedValue || statement.Type != tpm2.TPMSTAttestCertify {
		return Certification{}, errors.New("the statement is not a TPM's certification of an object")
	}
	if !bytes.Equal(statement.ExtraData.Buffer, challenge) {
		return Certification{}, errors.New("the statement was made for another challenge; it may be an old one")
	}
	info, err := statement.Attested.Certify()
	if err != nil {
		return Certification{}, err
	}
	if object.NameAlg != tpm2.TPMAlgSHA256 || !bytes.Equal(info.Name.Buffer, nameOf(*object)) {
		return Certification{}, errors.New("the statement is about another object than the key")
	}
	c := Certification{AK: nameOf(*ak), EK: e.Parts[partEK], EKCertificate: e.Parts[partCertificate]}
	c.Claimed = append(c.Claimed, signer.Field{Name: "tpm", Value: "that the attestation key is in the TPM of the endorsement key, unless a credential was activated"})
	return c, c.describe(*object, public, statement.FirmwareVersion)
}

// verifyStatement checks the attestation key and its signature. That it is restricted
// is what makes the statement a TPM's: such a key does not sign what begins like one
// and comes from outside (TPM 2.0 Library part 1, 24.5.4).
func verifyStatement(ak tpm2.TPMTPublic, statement, signature []byte) error {
	template := attestationTemplate()
	shape := ak
	shape.Unique = template.Unique
	if !bytes.Equal(tpm2.Marshal(shape), tpm2.Marshal(template)) {
		return errors.New("the attestation key is not a restricted ECDSA P-256 key that is fixed to its TPM")
	}
	point, err := ak.Unique.ECC()
	if err != nil {
		return err
	}
	if len(point.X.Buffer) > 32 || len(point.Y.Buffer) > 32 {
		return errors.New("the attestation key is not on its curve")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, append(pad(point.X.Buffer, 32), pad(point.Y.Buffer, 32)...)...))
	if err != nil {
		return fmt.Errorf("attestation key: %w", err)
	}
	s, err := tpm2.Unmarshal[tpm2.TPMTSignature](signature)
	if err != nil || !bytes.Equal(tpm2.Marshal(s), signature) || s.SigAlg != tpm2.TPMAlgECDSA {
		return errors.New("the signature is not exactly one TPMT_SIGNATURE with ECDSA")
	}
	sig, err := s.Signature.ECDSA()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(statement)
	r, t := new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer)
	if sig.Hash != tpm2.TPMAlgSHA256 || !ecdsa.Verify(key, sum[:], r, t) {
		return errors.New("the signature is not the attestation key's, of the statement")
	}
	return nil
}

// describe says what follows from an object's public area.
func (c *Certification) describe(o tpm2.TPMTPublic, public signer.PublicKey, firmware uint64) error {
	a := o.ObjectAttributes
	if !a.FixedTPM || !a.FixedParent {
		return errors.New("the object may leave its TPM")
	}
	c.Proven = append(c.Proven,
		signer.Field{Name: "tpm name", Value: hex.EncodeToString(nameOf(o))},
		signer.Field{Name: "fixed to its TPM", Value: "yes"},
		signer.Field{Name: "exempt from lockout", Value: yes(a.NoDA)},
		signer.Field{Name: "firmware", Value: fmt.Sprintf("%#x", firmware)})
	policy := "auth value"
	if !a.UserWithAuth {
		policy = "policy " + hex.EncodeToString(o.AuthPolicy.Buffer)
	}
	c.Proven = append(c.Proven, signer.Field{Name: "authorisation", Value: policy})
	if o.Type == tpm2.TPMAlgKeyedHash {
		// The TPM knows sealed data, and no public key.
		c.Proven = append(c.Proven, signer.Field{Name: "object", Value: "sealed data"})
		c.Claimed = append(c.Claimed, signer.Field{Name: "public key", Value: public.Fingerprint()})
		return nil
	}
	got, err := publicKey(o)
	if err != nil {
		return err
	}
	if got.Algorithm != public.Algorithm || !bytes.Equal(got.Bytes, public.Bytes) {
		return fmt.Errorf("the certified key is %s, not %s", got.Fingerprint(), public.Fingerprint())
	}
	if !a.SensitiveDataOrigin || !a.SignEncrypt || a.Decrypt || a.Restricted {
		return errors.New("the key was not made in its TPM, or is for something else than signing")
	}
	c.Proven = append(c.Proven, signer.Field{Name: "public key", Value: public.Fingerprint()}, signer.Field{Name: "made in its TPM", Value: "yes"})
	return nil
}

// MakeCredential encrypts a secret, up to 32 bytes, so that only a TPM that has both
// the endorsement key and an attestation key of that name can open it, with the
// operation "activate-credential". Whoever gets the secret back knows that the two are
// in one TPM; whose that is, the endorsement key's certificate says. It needs no TPM.
func MakeCredential(ek, ak, secret []byte) (blob, encrypted []byte, err error) {
	public, err := tss2.ParsePublic(ek)
	if err != nil {
		return nil, nil, fmt.Errorf("make a credential: endorsement key: %w", err)
	}
	if len(secret) == 0 || len(secret) > 32 {
		return nil, nil, fmt.Errorf("make a credential: the secret has %d bytes; want 1 to 32", len(secret))
	}
	to, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		return nil, nil, fmt.Errorf("make a credential: endorsement key: %w", err)
	}
	// TPM 2.0 Library part 1, 24.4.
	if blob, encrypted, err = tpm2.CreateCredential(rand.Reader, to, ak, secret); err != nil {
		return nil, nil, fmt.Errorf("make a credential: %w", err)
	}
	return blob, encrypted, nil
}

package wrapped

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends/tpm/tss2"
)

// targetVersion is the version of the file that a TPM presents itself with.
const targetVersion = 1

// Bounds of what somebody else's file may hold.
const (
	maxTarget       = 64 << 10
	maxCertificates = 8
)

// Target is what a TPM presents to be sent a key: its endorsement key, which is in
// no other, and the certificates of it. Everything in it is a claim until
// [VerifyEndorsement] has looked at it.
type Target struct {
	Version int `json:"version"`
	// Name is what its owner calls the TPM.
	Name string `json:"name"`
	// EndorsementKey is the TPMT_PUBLIC of the endorsement key.
	EndorsementKey []byte `json:"endorsement_key"`
	// Certificates, in DER: that of the endorsement key, then those that lead to a
	// root, which need not be among them. None, where the TPM has none.
	Certificates [][]byte `json:"certificates"`
}

// NewTarget is the target for an endorsement key and its certificates.
func NewTarget(name string, endorsementKey *tpm2.TPMTPublic, certificates [][]byte) *Target {
	return &Target{targetVersion, name, tpm2.Marshal(endorsementKey), certificates}
}

// ParseTarget reads a target as [Target.Encode] writes it, and in no other form, so
// that no two programs can read two targets in one file.
func ParseTarget(file []byte) (*Target, error) {
	if len(file) > maxTarget {
		return nil, fmt.Errorf("read target: it has %d bytes, more than %d", len(file), maxTarget)
	}
	var t Target
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("read target: %w", err)
	}
	if t.Version != targetVersion {
		return nil, fmt.Errorf("read target: it has version %d; this program knows %d", t.Version, targetVersion)
	}
	if again, err := t.Encode(); err != nil || !bytes.Equal(again, file) {
		return nil, errors.New("read target: it is not as sealward keys target writes it; get it again, and do not edit it")
	}
	return &t, nil
}

// Encode writes the target.
func (t *Target) Encode() ([]byte, error) {
	out, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write target: %w", err)
	}
	return append(out, '\n'), nil
}

// Fingerprint is "sha256:" and the SHA-256 of the endorsement key's public area, in
// hexadecimal: what to compare when there is no certificate.
func (t *Target) Fingerprint() string {
	sum := sha256.Sum256(t.EndorsementKey)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// endorsementKey reads the public area and finds the template that it is from.
func (t *Target) endorsementKey() (*tpm2.TPMTPublic, error) {
	pub, err := tss2.ParsePublic(t.EndorsementKey)
	if err != nil {
		return nil, fmt.Errorf("its endorsement key: %w", err)
	}
	for _, e := range EndorsementTemplates() {
		if e.Made(pub) {
			return pub, nil
		}
	}
	return nil, errors.New("its endorsement key is not from a template of the TCG EK Credential Profile: its attributes, policy or parameters are others")
}

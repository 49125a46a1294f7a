package wrapped

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/signer"
)

// VerifyEndorsement checks that a target is a TPM, and returns it as a recipient: its
// endorsement key is from a template of the TCG's, so that the TPM lets nobody have
// the private part or decrypt at will, and a certificate under one of the roots says
// that the key is in a TPM. Roots are those of TPM manufacturers, which the owner
// configured; without any, nothing verifies.
func VerifyEndorsement(t *Target, roots []*x509.Certificate, now time.Time) (*Recipient, error) {
	r, err := verifyEndorsement(t, roots, now)
	if err != nil {
		return nil, fmt.Errorf("verify target %q: %w", t.Name, err)
	}
	return r, nil
}

func verifyEndorsement(t *Target, roots []*x509.Certificate, now time.Time) (*Recipient, error) {
	pub, err := t.endorsementKey()
	if err != nil {
		return nil, err
	}
	switch {
	case len(roots) == 0:
		// crypto/x509 would take the system's roots, which any website is under.
		return nil, errors.New("no roots of TPM manufacturers are configured, so that no certificate can be trusted")
	case len(t.Certificates) == 0:
		return nil, errors.New("it has no endorsement certificate; only an exception that names its fingerprint can accept it")
	case len(t.Certificates) > maxCertificates:
		return nil, fmt.Errorf("it has %d certificates, more than %d", len(t.Certificates), maxCertificates)
	}
	var chain []*x509.Certificate
	for i, der := range t.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
		chain = append(chain, c)
	}
	device, err := checkCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("endorsement certificate: %w", err)
	}
	if err := sameKey(chain[0], pub); err != nil {
		return nil, err
	}
	root, err := checkChain(chain, roots, now)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(chain[0].Raw)
	return recipient(pub, tpm2.TPMRHEndorsement, append(device,
		signer.Field{Name: "endorsement certificate", Value: "sha256:" + hex.EncodeToString(sum[:])},
		signer.Field{Name: "root", Value: root.Subject.String()},
		signer.Field{Name: "target", Value: t.Name}))
}

// AcceptTest is the exception for a TPM that has no certificate, such as a software
// TPM in a test: somebody has compared the fingerprint with what that TPM shows.
// Whoever could have changed the file with the target gets the secret otherwise.
type AcceptTest struct {
	Name        string // of the target
	Fingerprint string // as [Target.Fingerprint] gives it
}

// Verify returns the one target that the exception names as a recipient, whose facts
// say that it was an exception.
func (a AcceptTest) Verify(t *Target) (*Recipient, error) {
	pub, err := t.endorsementKey()
	if err != nil {
		return nil, fmt.Errorf("accept test target %q: %w", a.Name, err)
	}
	if a.Name == "" || a.Name != t.Name || a.Fingerprint != t.Fingerprint() {
		return nil, fmt.Errorf("accept test target %q: the exception is for %s, and the target is %q with %s", a.Name, a.Fingerprint, t.Name, t.Fingerprint())
	}
	return recipient(pub, tpm2.TPMRHEndorsement, []signer.Field{
		{Name: "exception", Value: "accepted without a certificate, as a named test TPM"},
		{Name: "endorsement key", Value: a.Fingerprint},
		{Name: "target", Value: t.Name},
	})
}

// sameKey compares the certificate's public key with the endorsement key.
func sameKey(c *x509.Certificate, pub *tpm2.TPMTPublic) error {
	in, err := tpm2.Pub(*pub)
	if err != nil {
		return fmt.Errorf("endorsement key: %w", err)
	}
	certified, err := certifiedKey(c)
	if err != nil {
		return fmt.Errorf("endorsement certificate: %w", err)
	}
	same := false
	switch k := certified.(type) {
	case *rsa.PublicKey:
		same = k.Equal(in)
	case *ecdsa.PublicKey:
		// As points of crypto/ecdh, which refuses those that are not on the curve.
		var a, b *ecdh.PublicKey
		if other, ok := in.(*ecdsa.PublicKey); ok {
			var err1, err2 error
			a, err1 = k.ECDH()
			b, err2 = other.ECDH()
			same = err1 == nil && err2 == nil && a.Equal(b)
		}
	}
	if !same {
		return errors.New("the endorsement certificate is for another key than the endorsement key")
	}
	return nil
}

package approval

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sealward/sealward/signer"
)

// Verifier verifies signed approvals. It satisfies [signer.Approvals].
type Verifier struct{}

// Verify returns what a signed approval says and whose it is, by the people of a policy.
// Its errors are for whoever sent the approval.
func (Verifier) Verify(signed []byte, people signer.People) (signer.Heard, error) {
	d, a, err := read(signed)
	if err != nil {
		return signer.Heard{}, err
	}
	who, device, ok := people.Find(a.Device)
	if !ok {
		return signer.Heard{}, fmt.Errorf(
			"approval by key %.100q: no approver of the policy in force has this key; sign with a key that is enrolled, or have the policy changed", a.Device)
	}
	k, err := enrolled(device)
	if err == nil && d.JWS != "" {
		err = k.verifyJWS(d.JWS, a)
	} else if err == nil {
		err = k.verifySSH(d)
	}
	if err != nil {
		return signer.Heard{}, fmt.Errorf("approval by %s: %w", whose(who, device), err)
	}
	return signer.Heard{Approval: a, Approver: who.Name, Device: device.Name, Signed: bytes.Clone(signed)}, nil
}

func whose(who signer.Approver, d signer.Device) string {
	if d.Name == "" {
		return fmt.Sprintf("%q with key %s", who.Name, d.ID)
	}
	return fmt.Sprintf("%q with %q, key %s", who.Name, d.Name, d.ID)
}

// key is an enrolled public key and what its signatures are held to: one of cert and ssh
// is set.
type key struct {
	cert       any // of a certificate: *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
	ssh        ssh.PublicKey
	unverified bool
}

// enrolled reads the key of a device, and refuses one that is not what its id says: a
// policy that was put together wrongly lets nobody in.
func enrolled(d signer.Device) (key, error) {
	var k key
	var id string
	switch {
	case len(d.Certificate) > 0 && len(d.SSH) == 0:
		cert, err := x509.ParseCertificate(d.Certificate)
		if err != nil {
			return key{}, fmt.Errorf("the enrolled certificate cannot be read: %w", err)
		}
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		k.cert, id = cert.PublicKey, "sha256:"+hex.EncodeToString(sum[:])
	case len(d.SSH) > 0 && len(d.Certificate) == 0:
		pub, err := ssh.ParsePublicKey(d.SSH)
		if err != nil {
			return key{}, fmt.Errorf("the enrolled SSH key cannot be read: %w", err)
		}
		k.ssh, k.unverified, id = pub, d.Unverified, ssh.FingerprintSHA256(pub)
	default:
		return key{}, errors.New("the policy has neither a certificate nor an SSH key for it, or both")
	}
	if id != d.ID {
		return key{}, fmt.Errorf("the enrolled key is %s, not that", id)
	}
	return k, nil
}

// strong refuses keys of RSA that are too short.
func strong(pub any) error {
	if k, ok := pub.(*rsa.PublicKey); ok && k.N.BitLen() < signer.LeastRSA {
		return fmt.Errorf("the enrolled RSA key has %d bits; want %d or more: enrol another one", k.N.BitLen(), signer.LeastRSA)
	}
	return nil
}

// algorithms are the names of the algorithms that a certificate's key signs with
// (RFC 7518, 3.1; RFC 8037, 3.1). Only RSA has two.
func (k key) algorithms() []string {
	switch pub := k.cert.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	case *rsa.PublicKey:
		return []string{"PS256", "RS256"}
	}
	return nil
}

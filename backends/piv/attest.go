package piv

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// The parts of a PIV attestation.
const (
	evidenceFormat   = "piv-attestation"
	partCertificate  = "certificate"  // of the key in the slot, signed by the card
	partIntermediate = "intermediate" // of the card's own key, in slot f9
)

// Yubico's extensions of an attestation certificate
// (https://developers.yubico.com/PIV/Introduction/PIV_attestation.html).
var (
	extensionFirmware = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 3}
	extensionSerial   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}
	extensionPolicy   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8}
)

func extension(c *x509.Certificate, id asn1.ObjectIdentifier) ([]byte, bool) {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value, true
		}
	}
	return nil, false
}

// policies reads the policies that an attestation states, whoever signed it.
func policies(c *x509.Certificate) (piv.PINPolicy, piv.TouchPolicy, error) {
	b, ok := extension(c, extensionPolicy)
	if !ok || len(b) != 2 || b[0] == 0 || b[1] == 0 {
		return 0, 0, fmt.Errorf("its key policy is %x; want two bytes", b)
	}
	return piv.PINPolicy(b[0]), piv.TouchPolicy(b[1]), nil // piv-go numbers them as the card does
}

// Attest returns the card's statement about a key that it made. A PIV card signs no
// challenge: the statement is as good tomorrow as today, and says nothing of whether
// the key is still there.
func (d *driver) Attest(ctx context.Context, locator string, _ []byte) (backends.Evidence, error) {
	slot, err := parseSlot(locator)
	if err != nil {
		return backends.Evidence{}, err
	}
	e := backends.Evidence{Format: evidenceFormat}
	err = d.use(ctx, func(c *connection) error {
		k, err := c.read(slot)
		if err != nil {
			return err
		}
		leaf, err := c.yk.Attest(slot)
		if refused(err) {
			return errors.New("the card attests only keys that it has made itself; this one was imported")
		}
		if err != nil {
			return err
		}
		intermediate, err := c.yk.AttestationCertificate()
		if err != nil {
			return fmt.Errorf("read the card's attestation certificate: %w", err)
		}
		e.Parts = map[string][]byte{partCertificate: leaf.Raw, partIntermediate: intermediate.Raw}
		return d.judge(&e, slot, k.key)
	})
	if err != nil {
		return backends.Evidence{}, fmt.Errorf("attest slot %s of card %d: %w", slot, d.settings.Serial, err)
	}
	return e, nil
}

// judge sorts what the evidence says into what is proven and what is not, and
// refuses evidence about something else.
func (d *driver) judge(e *backends.Evidence, slot piv.Slot, key signer.PublicKey) error {
	said, err := read(*e, func(c *x509.Certificate) piv.Verifier {
		pool := x509.NewCertPool() // the card's word for it
		pool.AddCert(c)
		return piv.Verifier{Roots: pool}
	}, key)
	if err != nil {
		return err
	}
	if said.Slot != slot || said.Serial != d.settings.Serial {
		return fmt.Errorf("the attestation is about slot %s of card %d", said.Slot, said.Serial)
	}
	facts, err := Verify(*e, d.roots, key)
	if err == nil {
		e.Proven = facts
		return nil
	}
	e.Claimed = append(fields(said), signer.Field{Name: "not verified", Value: err.Error()})
	return nil
}

// Verify checks evidence in the format "piv-attestation": that one of the roots
// vouches for a card which says that it made the key, and returns what is proven by
// that. It asks no card.
func Verify(e backends.Evidence, roots Roots, key signer.PublicKey) ([]signer.Field, error) {
	if roots.pool == nil && !roots.yubico {
		return nil, errors.New("no attestation roots are configured")
	}
	a, err := read(e, func(*x509.Certificate) piv.Verifier { return piv.Verifier{Roots: roots.pool} }, key)
	if err != nil {
		return nil, err
	}
	return fields(a), nil
}

// read checks evidence with a verifier for the intermediate certificate in it.
func read(e backends.Evidence, verifier func(*x509.Certificate) piv.Verifier, key signer.PublicKey) (*piv.Attestation, error) {
	if e.Format != evidenceFormat {
		return nil, fmt.Errorf("the evidence has format %q; want %q", e.Format, evidenceFormat)
	}
	leaf, err := x509.ParseCertificate(e.Parts[partCertificate])
	if err != nil {
		return nil, fmt.Errorf("the attestation: %w", err)
	}
	intermediate, err := x509.ParseCertificate(e.Parts[partIntermediate])
	if err != nil {
		return nil, fmt.Errorf("the card's attestation certificate: %w", err)
	}
	// piv-go takes an intermediate without basic constraints for an authority, for
	// the sake of old cards. An attestation has none either, so the key that it is
	// about could attest others, where the card's own certificate is a root.
	if _, ok := extension(intermediate, extensionPolicy); ok {
		return nil, errors.New("the card's attestation certificate is itself the attestation of a key in a slot")
	}
	for _, id := range []asn1.ObjectIdentifier{extensionFirmware, extensionSerial, extensionPolicy} {
		if _, ok := extension(leaf, id); !ok {
			return nil, fmt.Errorf("the attestation has no extension %s", id)
		}
	}
	v := verifier(intermediate)
	a, err := v.Verify(intermediate, leaf)
	if err != nil {
		return nil, err
	}
	attested, err := standard(leaf.PublicKey)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the attested key: %w", err)
	case !same(attested, key):
		return nil, fmt.Errorf("the attestation is for key %s; want %s", attested.Fingerprint(), key.Fingerprint())
	case a.Slot == piv.Slot{}:
		return nil, fmt.Errorf("the attestation does not name a slot: its subject is %q", leaf.Subject.CommonName)
	}
	return a, nil
}

func fields(a *piv.Attestation) []signer.Field {
	name := func(s string, ok bool) string {
		if !ok {
			return "by fingerprint, or unknown"
		}
		return s
	}
	pin, knownPIN := pinPolicies[a.PINPolicy]
	touch, knownTouch := touchPolicies[a.TouchPolicy]
	return []signer.Field{
		{Name: "made", Value: "in the card"},
		{Name: "serial", Value: strconv.FormatUint(uint64(a.Serial), 10)},
		{Name: "firmware", Value: version(a.Version)},
		{Name: "slot", Value: a.Slot.String()},
		{Name: "pin policy", Value: name(pin, knownPIN)},
		{Name: "touch policy", Value: name(touch, knownTouch)},
	}
}

package pkcs11

import (
	"bytes"
	"context"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// Attest implements [backends.Attester]. PKCS #11 has no evidence that could be
// checked: there are the token's attributes of the key, and its word for them. So
// the challenge is part of nothing.
func (d *driver) Attest(ctx context.Context, locator string, challenge []byte) (backends.Evidence, error) {
	if len(challenge) > 32 {
		return backends.Evidence{}, fmt.Errorf("attest %s: the challenge has %d bytes; the most is 32", locator, len(challenge))
	}
	u, err := ParseURI(locator)
	if err != nil {
		return backends.Evidence{}, err
	}
	e := backends.Evidence{Format: "pkcs11-attributes"}
	err = d.do(ctx, func(c *connection, s pkcs11.SessionHandle) error {
		f, err := c.findKey(s, u)
		if err != nil {
			return err
		}
		spki, err := f.facts.Public.SPKI()
		if err != nil {
			return err
		}
		e.Parts = map[string][]byte{"public_key": spki}
		e.Claimed, err = c.claims(s, f.handle)
		return err
	})
	if err != nil {
		return backends.Evidence{}, fmt.Errorf("attest %s: %w", u, err)
	}
	return e, nil
}

// claims is what the token says of itself and of a key.
func (c *connection) claims(s pkcs11.SessionHandle, key pkcs11.ObjectHandle) ([]signer.Field, error) {
	all := []signer.Field{
		{Name: "token", Value: c.info.Label}, {Name: "manufacturer", Value: c.info.ManufacturerID},
		{Name: "model", Value: c.info.Model}, {Name: "serial", Value: c.info.SerialNumber},
	}
	for _, a := range []struct {
		name string
		attr uint
	}{
		{"CKA_LOCAL", pkcs11.CKA_LOCAL}, {"CKA_PRIVATE", pkcs11.CKA_PRIVATE},
		{"CKA_SENSITIVE", pkcs11.CKA_SENSITIVE}, {"CKA_ALWAYS_SENSITIVE", pkcs11.CKA_ALWAYS_SENSITIVE},
		{"CKA_EXTRACTABLE", pkcs11.CKA_EXTRACTABLE}, {"CKA_NEVER_EXTRACTABLE", pkcs11.CKA_NEVER_EXTRACTABLE},
		{"CKA_ALWAYS_AUTHENTICATE", pkcs11.CKA_ALWAYS_AUTHENTICATE},
	} {
		got, err := c.attribute(s, key, a.attr)
		if err != nil {
			return nil, err
		}
		value := "not told"
		switch {
		case bytes.Equal(got, ckBool(true)):
			value = "true"
		case bytes.Equal(got, ckBool(false)):
			value = "false"
		}
		all = append(all, signer.Field{Name: a.name, Value: value})
	}
	return all, nil
}

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/signer"
)

// Generate makes a key pair in the token, which never leaves it, and returns it.
// Neither the label nor the id may be in use by another key.
func (t *Token) Generate(ctx context.Context, label string, id []byte, name signer.Algorithm) (*Key, error) {
	if label == "" || len(id) == 0 {
		return nil, errors.New("generate key: a label and an id are both required")
	}
	i := slices.IndexFunc(algorithms, func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return nil, fmt.Errorf("generate key %q: algorithm %q is not supported; secp256k1, p256 and ed25519 are", label, name)
	}
	u := URI{Token: t.uri.Token, Serial: t.uri.Serial, Object: label, ID: string(id)}
	uri := u.String()
	if back, err := ParseURI(uri); err != nil || back != u {
		return nil, fmt.Errorf("generate key %q: a URI cannot name it: %w", label, err)
	}
	err := t.do(ctx, func(_ context.Context, c *connection) error { return c.generate(label, id, algorithms[i]) })
	if err != nil {
		return nil, fmt.Errorf("generate key %q: %w", label, err)
	}
	return t.Key(ctx, uri)
}

// generate uses a session of its own, as others cannot write.
func (c *connection) generate(label string, id []byte, a algorithm) error {
	s, err := c.mod.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	defer func() { _ = c.mod.CloseSession(s) }() // what was made is made
	for _, used := range []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, id)} {
		for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
			objects, err := c.search(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), used})
			if err != nil {
				return err
			}
			if len(objects) > 0 {
				return fmt.Errorf("token %q has a key with that label or id already; use %s that is new", c.info.Label, URI{Object: label, ID: string(id)}.key())
			}
		}
	}
	public := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, a.keyType), pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, a.params[0]),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, a.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}
	_, _, err = c.mod.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(a.gen, nil)}, public, private)
	return err
}

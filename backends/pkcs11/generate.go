package pkcs11

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// Generate implements [backends.Generator]. The key pair never leaves the token.
// Neither its label nor its id may be in use by another key. The one option is id,
// CKA_ID in hexadecimal; without it, the id is random.
func (d *driver) Generate(ctx context.Context, spec backends.KeySpec) (backends.NewKey, error) {
	a, id, err := checkSpec(spec)
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("generate key %q: %w", spec.Name, err)
	}
	var uri URI
	err = d.do(ctx, func(c *connection, s pkcs11.SessionHandle) error {
		uri = URI{Token: c.info.Label, Serial: c.info.SerialNumber, Object: spec.Name, ID: string(id)}
		if back, err := ParseURI(uri.String()); err != nil || back != uri {
			return fmt.Errorf("a URI cannot name it: %w", err)
		}
		for _, used := range []URI{{Object: spec.Name}, {ID: string(id)}} {
			if err := c.unused(s, used); err != nil {
				return err
			}
		}
		return c.generate(spec, id, a)
	})
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("generate key %q: %w", spec.Name, err)
	}
	k, err := d.Find(ctx, uri.String())
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("generate key %q: it was made, and is not as it should be: %w", spec.Name, err)
	}
	return backends.NewKey{Locator: uri.String(), Facts: k.Facts()}, nil
}

// checkSpec refuses what a token cannot make.
func checkSpec(spec backends.KeySpec) (algorithm, []byte, error) {
	a, ok := algorithmOf(spec.Algorithm)
	id := make([]byte, 16)
	rand.Read(id) // never fails
	for name, value := range spec.Options {
		var err error
		if name != "id" {
			return a, nil, fmt.Errorf("option %q is not known; id is", name)
		}
		if id, err = hex.DecodeString(value); err != nil || len(id) == 0 || len(id) > 64 {
			return a, nil, fmt.Errorf("option id is %q; want 1 to 64 bytes in hexadecimal", value)
		}
	}
	rsa := spec.Algorithm == signer.AlgorithmRSA
	switch {
	case !ok:
		return a, nil, fmt.Errorf("algorithm %q is not supported; secp256k1, p256, p384, p521, ed25519 and rsa are", spec.Algorithm)
	case spec.Name == "":
		return a, nil, errors.New("it needs a name, which becomes its label")
	case spec.Wrapped:
		return a, nil, errors.New("a key in a token is resident; only a TPM wraps keys")
	case rsa && spec.Bits != 2048 && spec.Bits != 3072 && spec.Bits != 4096:
		return a, nil, fmt.Errorf("an RSA key of %d bits; want 2048, 3072 or 4096", spec.Bits)
	case !rsa && spec.Bits != 0:
		return a, nil, fmt.Errorf("%d bits: the size of a key of algorithm %q is fixed", spec.Bits, spec.Algorithm)
	}
	return a, id, nil
}

// unused refuses a label or an id that a key has.
func (c *connection) unused(s pkcs11.SessionHandle, u URI) error {
	name := pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object)
	if u.ID != "" {
		name = pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(u.ID))
	}
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
		objects, err := c.search(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), name})
		if err != nil {
			return err
		}
		if len(objects) > 0 {
			return fmt.Errorf("%s has a key with %s already; use one that is new", c.name(), u.key())
		}
	}
	return nil
}

// generate uses a session of its own, as others cannot write.
func (c *connection) generate(spec backends.KeySpec, id []byte, a algorithm) error {
	s, err := c.mod.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	defer func() { _ = c.mod.CloseSession(s) }() // what was made is made
	both := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, a.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, spec.Name), pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}
	public := append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true)}, both...)
	if a.name == signer.AlgorithmRSA {
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, uint(spec.Bits)), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	} else {
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, a.params[0]))
	}
	private := append([]*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
	}, both...)
	if _, _, err := c.mod.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(a.gen, nil)}, public, private); err != nil {
		return fmt.Errorf("%s: %w", c.name(), err)
	}
	return nil
}

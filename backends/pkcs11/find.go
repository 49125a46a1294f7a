package pkcs11

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// found is a key pair as a token has it.
type found struct {
	handle pkcs11.ObjectHandle // of the private key
	always bool                // it wants its PIN before every signature
	sign   []uint              // mechanisms that it can sign with
	facts  backends.KeyFacts
}

// findKey returns the one key pair that a URI names, if its token protects it.
func (c *connection) findKey(s pkcs11.SessionHandle, u URI) (found, error) {
	if !u.matches(c.info) {
		return found{}, fmt.Errorf("it is not in %s, which is %s", c.name(), identity(c.info))
	}
	search := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)}
	if u.Object != "" {
		search = append(search, pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object))
	}
	if u.ID != "" {
		search = append(search, pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(u.ID)))
	}
	privates, err := c.search(s, search)
	if err != nil {
		return found{}, err
	}
	if len(privates) != 1 {
		return found{}, c.notOne(s, u, privates)
	}
	f := found{handle: privates[0]}
	if err := c.protected(s, f.handle); err != nil {
		return found{}, err
	}
	if f.always, err = c.is(s, f.handle, pkcs11.CKA_ALWAYS_AUTHENTICATE); err != nil {
		return found{}, err
	}
	public, err := c.publicOf(s, f.handle)
	if err != nil {
		return found{}, err
	}
	if f.sign, err = c.offered(public.Algorithm); err != nil {
		return found{}, err
	}
	f.facts = backends.KeyFacts{Public: public, Protection: signer.ProtectionResident}
	if f.always {
		f.facts.Facts = append(f.facts.Facts, signer.Field{Name: "pin", Value: "sent before every signature"})
	}
	f.facts.Origin, err = c.origin(s, f.handle)
	return f, err
}

// protected refuses a private key that could be used without login or leave the
// token. An attribute that the token does not know counts as refusing.
func (c *connection) protected(s pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
	for _, want := range []struct {
		attr  uint
		value bool
		text  string
	}{
		{pkcs11.CKA_PRIVATE, true, "CKA_PRIVATE is not true: it can be used without a PIN"},
		{pkcs11.CKA_SENSITIVE, true, "CKA_SENSITIVE is not true: it can be read in the clear"},
		{pkcs11.CKA_EXTRACTABLE, false, "CKA_EXTRACTABLE is not false: it can leave the token"},
		{pkcs11.CKA_SIGN, true, "CKA_SIGN is not true: it cannot sign"},
	} {
		got, err := c.attribute(s, key, want.attr)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, ckBool(want.value)) {
			return fmt.Errorf("%w: %s; make a new key in the token (docs/operations.md says how)", errRefused, want.text)
		}
	}
	return nil
}

// origin is what the token says of where a key was made. One that was made in it
// and could have left it since is not known to be there alone.
func (c *connection) origin(s pkcs11.SessionHandle, key pkcs11.ObjectHandle) (signer.Origin, error) {
	local, err := c.attribute(s, key, pkcs11.CKA_LOCAL)
	switch {
	case err != nil:
		return "", err
	case bytes.Equal(local, ckBool(false)):
		return signer.OriginImported, nil
	}
	for _, attr := range []uint{pkcs11.CKA_LOCAL, pkcs11.CKA_NEVER_EXTRACTABLE, pkcs11.CKA_ALWAYS_SENSITIVE} {
		switch yes, err := c.is(s, key, attr); {
		case err != nil:
			return "", err
		case !yes:
			return signer.OriginUnknown, nil
		}
	}
	return signer.OriginGenerated, nil
}

// offered returns the mechanisms by which the token signs with keys of an
// algorithm.
func (c *connection) offered(name signer.Algorithm) ([]uint, error) {
	a, _ := algorithmOf(name)
	var all []uint
	for _, m := range a.sign {
		info, err := c.mod.GetMechanismInfo(c.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(m, nil)})
		switch {
		case err == nil && info.Flags&pkcs11.CKF_SIGN != 0:
			all = append(all, m)
		case err != nil && gone(err):
			return nil, fmt.Errorf("ask %s for its mechanisms: %w", c.name(), err)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: it is a key of algorithm %q, and %s has no mechanism that signs with one (%s)", errRefused, name, c.name(), mechanismNames(a.sign))
	}
	return all, nil
}

func mechanismNames(all []uint) string {
	names := map[uint]string{pkcs11.CKM_ECDSA: "CKM_ECDSA", ckmEdDSA: "CKM_EDDSA", pkcs11.CKM_RSA_PKCS_PSS: "CKM_RSA_PKCS_PSS", pkcs11.CKM_RSA_PKCS: "CKM_RSA_PKCS"}
	var text []string
	for _, m := range all {
		text = append(text, names[m])
	}
	return strings.Join(text, ", ")
}

// publicOf finds the public key that goes with a private key: that of a public key
// object of the same type and id or, where there is no id, label; else that of a
// certificate with the same id; else what the private key says of it. The token may
// lie: signatures are verified, and a key is pinned by its public key.
func (c *connection) publicOf(s pkcs11.SessionHandle, private pkcs11.ObjectHandle) (signer.PublicKey, error) {
	keyType, err := c.attribute(s, private, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return signer.PublicKey{}, err
	}
	same := pkcs11.CKA_ID
	name, err := c.attribute(s, private, pkcs11.CKA_ID)
	if err == nil && len(name) == 0 {
		same = pkcs11.CKA_LABEL
		name, err = c.attribute(s, private, pkcs11.CKA_LABEL)
	}
	if err != nil {
		return signer.PublicKey{}, err
	}
	var all []signer.PublicKey
	for _, class := range []uint{pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_CERTIFICATE} {
		objects, err := c.search(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(uint(same), name)})
		if err != nil {
			return signer.PublicKey{}, err
		}
		for _, o := range objects {
			p, ok, err := c.readPublic(s, o, class, keyType)
			if err != nil {
				return signer.PublicKey{}, err
			}
			if ok && !slices.ContainsFunc(all, func(q signer.PublicKey) bool { return p.Algorithm == q.Algorithm && bytes.Equal(p.Bytes, q.Bytes) }) {
				all = append(all, p)
			}
		}
		switch {
		case len(all) == 1:
			return all[0], nil
		case len(all) > 1:
			return signer.PublicKey{}, fmt.Errorf("%d public keys go with the private key (same type and CKA_ID %x); want one", len(all), name)
		}
	}
	p, err := c.readKey(s, private, keyType)
	if hasCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_SENSITIVE) {
		return signer.PublicKey{}, fmt.Errorf("no public key and no certificate goes with the private key (same type and CKA_ID %x)", name)
	}
	return p, err
}

// readPublic reads the public key of an object, or returns false for one of another
// type than the private key.
func (c *connection) readPublic(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, class uint, keyType []byte) (signer.PublicKey, bool, error) {
	if class == pkcs11.CKO_CERTIFICATE {
		der, err := c.attribute(s, o, pkcs11.CKA_VALUE)
		if err != nil {
			return signer.PublicKey{}, false, err
		}
		p, err := certified(der)
		a, _ := algorithmOf(p.Algorithm)
		return p, bytes.Equal(ckULong(a.keyType), keyType), err
	}
	own, err := c.attribute(s, o, pkcs11.CKA_KEY_TYPE)
	if err != nil || !bytes.Equal(own, keyType) {
		return signer.PublicKey{}, false, err
	}
	p, err := c.readKey(s, o, keyType)
	return p, true, err
}

// readKey reads the public part of a key of a type.
func (c *connection) readKey(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, keyType []byte) (signer.PublicKey, error) {
	read := func(first, second uint) ([]byte, []byte, error) {
		attrs, err := c.mod.GetAttributeValue(s, o, []*pkcs11.Attribute{pkcs11.NewAttribute(first, nil), pkcs11.NewAttribute(second, nil)})
		if err != nil {
			return nil, nil, fmt.Errorf("read public key: %w", err)
		}
		return attrs[0].Value, attrs[1].Value, nil
	}
	switch {
	case bytes.Equal(keyType, ckULong(pkcs11.CKK_RSA)):
		n, e, err := read(pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT)
		if err != nil {
			return signer.PublicKey{}, err
		}
		return rsaKey(n, e)
	case bytes.Equal(keyType, ckULong(pkcs11.CKK_EC)), bytes.Equal(keyType, ckULong(ckkEdwards)):
		params, point, err := read(pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT)
		if err != nil {
			return signer.PublicKey{}, err
		}
		for _, a := range algorithms {
			if bytes.Equal(keyType, ckULong(a.keyType)) && slices.ContainsFunc(a.params, func(p []byte) bool { return bytes.Equal(p, params) }) {
				return parsePoint(a, point)
			}
		}
		return signer.PublicKey{}, fmt.Errorf("%w: no signature scheme is supported for its curve, CKA_EC_PARAMS %x; secp256k1, P-256, P-384, P-521 and Ed25519 are", errRefused, params)
	}
	return signer.PublicKey{}, fmt.Errorf("%w: no signature scheme is supported for its type, CKA_KEY_TYPE %x", errRefused, keyType)
}

// attribute reads one attribute; nil stands for one that the token does not know.
func (c *connection) attribute(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, attr uint) ([]byte, error) {
	got, err := c.mod.GetAttributeValue(s, o, []*pkcs11.Attribute{pkcs11.NewAttribute(attr, nil)})
	if hasCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read attribute %#x: %w", attr, err)
	}
	return got[0].Value, nil
}

// is reports whether an attribute is true.
func (c *connection) is(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, attr uint) (bool, error) {
	got, err := c.attribute(s, o, attr)
	return bytes.Equal(got, ckBool(true)), err
}

func ckBool(v bool) []byte  { return pkcs11.NewAttribute(0, v).Value }
func ckULong(v uint) []byte { return pkcs11.NewAttribute(0, v).Value }

// search returns the objects that match, or the first few of too many.
func (c *connection) search(s pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := c.mod.FindObjectsInit(s, template); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	var all []pkcs11.ObjectHandle
	for len(all) < 64 {
		some, _, err := c.mod.FindObjects(s, 16)
		if err != nil {
			return nil, fmt.Errorf("search: %w", err)
		}
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	if err := c.mod.FindObjectsFinal(s); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return all, nil
}

// notOne says what was searched for, and what there is.
func (c *connection) notOne(s pkcs11.SessionHandle, u URI, got []pkcs11.ObjectHandle) error {
	text := fmt.Sprintf("%s has no private key with %s", c.name(), u.key())
	if len(got) > 1 {
		text = fmt.Sprintf("%s has %d private keys with %s; name one by object and id together", c.name(), len(got), u.key())
	}
	all, err := c.search(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)})
	if err != nil {
		return fmt.Errorf("%s; listing its keys: %w", text, err)
	}
	var names []string
	for _, key := range all {
		label, err := c.attribute(s, key, pkcs11.CKA_LABEL)
		if err != nil {
			continue
		}
		if id, err := c.attribute(s, key, pkcs11.CKA_ID); err == nil {
			names = append(names, URI{Object: string(label), ID: string(id)}.key())
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%s; it has no private keys at all", text)
	}
	return fmt.Errorf("%s; it has: %s", text, strings.Join(names, ", "))
}

// key is the part of a URI that names a key.
func (u URI) key() string {
	return strings.TrimPrefix(URI{Object: u.Object, ID: u.ID}.String(), uriPrefix)
}

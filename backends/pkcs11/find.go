package pkcs11

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/signer"
)

// What PKCS #11 v3.0 added and miekg/pkcs11 does not name (2.3.5).
const (
	ckkEdwards       = 0x40
	ckmEdwardsKeyGen = 0x1055
	ckmEdDSA         = 0x1057
)

// algorithm is one that we can sign with.
type algorithm struct {
	name    signer.Algorithm
	keyType uint
	params  [][]byte // values of CKA_EC_PARAMS; the first is used for new keys
	point   int      // bytes of a public key
	gen     uint
	sign    uint
}

var algorithms = []algorithm{
	{signer.AlgorithmP256, pkcs11.CKK_EC, [][]byte{{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}}, 65, pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKM_ECDSA}, // 1.2.840.10045.3.1.7
	{signer.AlgorithmSecp256k1, pkcs11.CKK_EC, [][]byte{{6, 5, 0x2b, 0x81, 4, 0, 10}}, 65, pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKM_ECDSA},             // 1.3.132.0.10
	{signer.AlgorithmEd25519, ckkEdwards, [][]byte{
		append([]byte{0x13, 12}, "edwards25519"...), // PKCS #11 v3.0, 2.3.10: a PrintableString
		{6, 3, 0x2b, 0x65, 0x70},                    // 1.3.101.112, RFC 8410
	}, 32, ckmEdwardsKeyGen, ckmEdDSA},
}

// found is a key pair as a token has it.
type found struct {
	algorithm algorithm
	private   pkcs11.ObjectHandle
	public    signer.PublicKey
}

// find returns the one key pair that a URI names, if its token protects it.
func (c *connection) find(s pkcs11.SessionHandle, u URI) (found, error) {
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
	f := found{private: privates[0]}
	attrs, err := c.mod.GetAttributeValue(s, f.private, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil), pkcs11.NewAttribute(pkcs11.CKA_ID, nil), pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil),
	})
	if err != nil {
		return found{}, fmt.Errorf("read private key: %w", err)
	}
	if err := c.protected(s, f.private); err != nil {
		return found{}, err
	}
	f.algorithm, f.public, err = c.publicOf(s, attrs[0].Value, attrs[1].Value, attrs[2].Value)
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
		got, err := c.mod.GetAttributeValue(s, key, []*pkcs11.Attribute{pkcs11.NewAttribute(want.attr, nil)})
		if err != nil && !hasCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID) {
			return fmt.Errorf("read private key: %w", err)
		}
		if err != nil || !bytes.Equal(got[0].Value, ckBool(want.value)) {
			return fmt.Errorf("%w: %s; make a new key in the token with its own tools (docs/operations.md has the commands)", errRefused, want.text)
		}
	}
	// A key that wants its PIN before every signature would need it kept. Tokens
	// that do not know the attribute do not want that.
	got, err := c.mod.GetAttributeValue(s, key, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_AUTHENTICATE, nil)})
	if err == nil && bytes.Equal(got[0].Value, ckBool(true)) {
		return fmt.Errorf("%w: CKA_ALWAYS_AUTHENTICATE is true: it wants its PIN before every signature, which is not supported", errRefused)
	}
	return nil
}

// errRefused says that the key is there and is not to be used.
var errRefused = errors.New("the key is refused")

func ckBool(v bool) []byte { return pkcs11.NewAttribute(0, v).Value }

// publicOf finds the public key that goes with a private key: the one of the same
// type and id or, where there is no id, label.
func (c *connection) publicOf(s pkcs11.SessionHandle, keyType, id, label []byte) (algorithm, signer.PublicKey, error) {
	none := func(format string, args ...any) (algorithm, signer.PublicKey, error) {
		return algorithm{}, signer.PublicKey{}, fmt.Errorf(format, args...)
	}
	search := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, keyType)}
	if len(id) > 0 {
		search = append(search, pkcs11.NewAttribute(pkcs11.CKA_ID, id))
	} else {
		search = append(search, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	}
	publics, err := c.search(s, search)
	if err != nil {
		return none("%w", err)
	}
	if len(publics) != 1 {
		return none("%d public keys go with the private key (same type and CKA_ID %x); want one", len(publics), id)
	}
	attrs, err := c.mod.GetAttributeValue(s, publics[0], []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, nil), pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil),
	})
	if hasCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID) {
		return none("%w: it is no elliptic curve key, and no signature scheme is supported for others", errRefused)
	}
	if err != nil {
		return none("read public key: %w", err)
	}
	for _, a := range algorithms {
		sameType := bytes.Equal(keyType, pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, a.keyType).Value)
		if sameType && slices.ContainsFunc(a.params, func(p []byte) bool { return bytes.Equal(p, attrs[0].Value) }) {
			point, err := parsePoint(a, attrs[1].Value)
			return a, signer.PublicKey{Algorithm: a.name, Bytes: point}, err
		}
	}
	return none("%w: no signature scheme is supported for its curve, CKA_EC_PARAMS %x; secp256k1, P-256 and Ed25519 are", errRefused, attrs[0].Value)
}

// parsePoint reads CKA_EC_POINT: the point in a DER OCTET STRING (PKCS #11 v2.40,
// 2.3.3) or, from some tokens, as it is. The lengths tell the two apart.
func parsePoint(a algorithm, value []byte) ([]byte, error) {
	point := value
	if len(value) != a.point {
		if rest, err := asn1.Unmarshal(value, &point); err != nil || len(rest) != 0 || len(point) != a.point {
			return nil, fmt.Errorf("public key: CKA_EC_POINT %x is no point of %s", value, a.name)
		}
	}
	ok := true
	switch a.name {
	case signer.AlgorithmP256:
		_, err := ecdh.P256().NewPublicKey(point)
		ok = err == nil
	case signer.AlgorithmSecp256k1:
		ok = point[0] == 4 && onSecp256k1(point[1:33], point[33:])
	}
	if !ok {
		return nil, fmt.Errorf("public key: CKA_EC_POINT %x is not on the curve %s", value, a.name)
	}
	return bytes.Clone(point), nil
}

// onSecp256k1 checks y^2 = x^3 + 7 (SEC 2, 2.4.1).
func onSecp256k1(xb, yb []byte) bool {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1<<32+977))
	x, y := new(big.Int).SetBytes(xb), new(big.Int).SetBytes(yb)
	if x.Cmp(p) >= 0 || y.Cmp(p) >= 0 {
		return false
	}
	right := new(big.Int).Exp(x, big.NewInt(3), p)
	right.Add(right, big.NewInt(7)).Mod(right, p)
	return y.Mul(y, y).Mod(y, p).Cmp(right) == 0
}

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
	text := fmt.Sprintf("token %q has no private key with %s", c.info.Label, u.key())
	if len(got) > 1 {
		text = fmt.Sprintf("token %q has %d private keys with %s; name one by object and id together", c.info.Label, len(got), u.key())
	}
	all, err := c.search(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)})
	if err != nil {
		return fmt.Errorf("%s; listing its keys: %w", text, err)
	}
	var names []string
	for _, key := range all {
		attrs, err := c.mod.GetAttributeValue(s, key, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil), pkcs11.NewAttribute(pkcs11.CKA_ID, nil)})
		if err == nil {
			names = append(names, URI{Object: string(attrs[0].Value), ID: string(attrs[1].Value)}.key())
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

// withKey finds a key pair on a turn and a session of its own.
func (t *Token) withKey(ctx context.Context, u URI) (found, *connection, error) {
	var f found
	var on *connection
	err := t.do(ctx, func(ctx context.Context, c *connection) error {
		if !u.matches(c.info) {
			return fmt.Errorf("key %s is not in token %q", u, t.c.Name)
		}
		on = c
		return c.with(ctx, func(s pkcs11.SessionHandle) (err error) {
			f, err = c.find(s, u)
			return err
		})
	})
	return f, on, err
}

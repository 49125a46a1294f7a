package pkcs11_test

import (
	"bytes"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/signer"
)

func TestKeyIsFoundByWhatItsURISays(t *testing.T) {
	tok := open(t, config())
	k, err := tok.Generate(t.Context(), "pay roll", []byte{0, 0xff}, signer.AlgorithmP256)
	if err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{
		"pkcs11:object=pay%20roll", "pkcs11:id=%00%ff", "pkcs11:object=pay%20roll;id=%00%FF;type=private",
		token.URI + ";object=pay%20roll", "pkcs11:manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=pay%20roll",
	} {
		t.Run(uri, func(t *testing.T) {
			got, err := tok.Key(t.Context(), uri)
			if err != nil {
				t.Fatal(err)
			}
			if got.Public().Fingerprint() != k.Public().Fingerprint() {
				t.Error("it is another key")
			}
		})
	}
}

func TestKeyIsRefused(t *testing.T) {
	tok := open(t, config())
	rawKey(t, "double", []byte("d1"), nil)
	rawKey(t, "double", []byte("d2"), nil)
	rawKey(t, "same id 1", []byte("same"), nil)
	rawKey(t, "same id 2", []byte("same"), nil)
	rawKey(t, "extractable", []byte("x1"), map[uint]any{raw.CKA_EXTRACTABLE: true})
	rawKey(t, "plain", []byte("x2"), map[uint]any{raw.CKA_SENSITIVE: false})
	rawKey(t, "for all", []byte("x3"), map[uint]any{raw.CKA_PRIVATE: false})
	rawKey(t, "for unwrapping", []byte("x4"), map[uint]any{raw.CKA_SIGN: false, raw.CKA_DERIVE: true})
	rawKey(t, "asks each time", []byte("x5"), map[uint]any{raw.CKA_ALWAYS_AUTHENTICATE: true})
	for name, c := range map[string]struct{ uri, want string }{
		"named by nothing":                {token.URI, "names no key"},
		"named by type alone":             {"pkcs11:type=private", "names no key"},
		"no such label":                   {"pkcs11:object=nonesuch", "has no private key with object=nonesuch; it has: "},
		"no such id":                      {"pkcs11:id=%99", "has no private key with id=%99; it has: "},
		"a label of one, the id of other": {"pkcs11:object=plain;id=x1", "has no private key with object=plain;id=%78%31"},
		"in another token":                {"pkcs11:token=cold;object=plain", `is not in token "hsm"`},
		"in a token of another maker":     {"pkcs11:manufacturer=Acme;object=plain", `is not in token "hsm"`},
		"two with one label":              {"pkcs11:object=double", "has 2 private keys with object=double; name one by object and id together"},
		"two with one id":                 {"pkcs11:id=same", "has 2 private keys"},
		"two public keys with its id":     {"pkcs11:object=same%20id%201", "2 public keys go with the private key"},
		"extractable":                     {"pkcs11:object=extractable", "CKA_EXTRACTABLE is not false"},
		"not sensitive":                   {"pkcs11:object=plain", "CKA_SENSITIVE is not true"},
		"not private":                     {"pkcs11:object=for%20all", "CKA_PRIVATE is not true"},
		"not for signing":                 {"pkcs11:object=for%20unwrapping", "CKA_SIGN is not true"},
		"wants its PIN each time":         {"pkcs11:object=asks%20each%20time", "CKA_ALWAYS_AUTHENTICATE is true"},
		"a URI that is none":              {"object=plain", "begin with"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := tok.Key(t.Context(), c.uri)
			if err == nil || !strings.Contains(err.Error(), c.want) || k != nil {
				t.Errorf("Key = %v, %v; want %q", k, err, c.want)
			}
		})
	}
}

func TestKeysOfOtherAlgorithmsAreRefused(t *testing.T) {
	tok := open(t, config())
	mod, _, s := rawSession(t, token.Module)
	own := func(id string) []*raw.Attribute {
		return []*raw.Attribute{
			raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_PRIVATE, true), raw.NewAttribute(raw.CKA_SENSITIVE, true),
			raw.NewAttribute(raw.CKA_EXTRACTABLE, false), raw.NewAttribute(raw.CKA_SIGN, true), raw.NewAttribute(raw.CKA_ID, []byte(id)),
		}
	}
	for name, c := range map[string]struct {
		mechanism uint
		public    *raw.Attribute
		want      string
	}{
		"rsa":  {raw.CKM_RSA_PKCS_KEY_PAIR_GEN, raw.NewAttribute(raw.CKA_MODULUS_BITS, 2048), "no elliptic curve key"},
		"p384": {raw.CKM_EC_KEY_PAIR_GEN, raw.NewAttribute(raw.CKA_EC_PARAMS, []byte{6, 5, 0x2b, 0x81, 4, 0, 34}), "no signature scheme is supported for its curve"},
	} {
		t.Run(name, func(t *testing.T) {
			public := []*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_ID, []byte(name)), c.public}
			if _, _, err := mod.GenerateKeyPair(s, []*raw.Mechanism{raw.NewMechanism(c.mechanism, nil)}, public, own(name)); err != nil {
				t.Fatal(err)
			}
			if k, err := tok.Key(t.Context(), "pkcs11:id="+name); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Key = %v, %v; want %q", k, err, c.want)
			}
		})
	}
}

func TestGenerateRefuses(t *testing.T) {
	tok := open(t, config())
	if _, err := tok.Generate(t.Context(), "taken", []byte("taken"), signer.AlgorithmP256); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		label     string
		id        string
		algorithm signer.Algorithm
		want      string
	}{
		"no label":                 {"", "g", signer.AlgorithmP256, "both required"},
		"no id":                    {"g", "", signer.AlgorithmP256, "both required"},
		"an unsupported algorithm": {"g", "g", signer.AlgorithmRSA, `"rsa" is not supported`},
		"a label in use":           {"taken", "g", signer.AlgorithmEd25519, "already"},
		"an id in use":             {"g", "taken", signer.AlgorithmSecp256k1, "already"},
		"a label that is not text": {"g\xff", "g", signer.AlgorithmP256, "a URI cannot name it"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := tok.Generate(t.Context(), c.label, []byte(c.id), c.algorithm)
			if err == nil || !strings.Contains(err.Error(), c.want) || k != nil {
				t.Errorf("Generate = %v, %v; want %q", k, err, c.want)
			}
		})
	}
}

func TestGeneratedKeysCannotLeaveTheToken(t *testing.T) {
	tok := open(t, config())
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			k := generate(t, tok, a)
			u, err := pkcs11.ParseURI(k.URI())
			if err != nil {
				t.Fatal(err)
			}
			mod, _, s := rawSession(t, token.Module)
			if err := mod.FindObjectsInit(s, []*raw.Attribute{raw.NewAttribute(raw.CKA_CLASS, raw.CKO_PRIVATE_KEY), raw.NewAttribute(raw.CKA_ID, []byte(u.ID))}); err != nil {
				t.Fatal(err)
			}
			objects, _, err := mod.FindObjects(s, 2)
			if err != nil || len(objects) != 1 {
				t.Fatalf("found %d keys, %v; want one", len(objects), err)
			}
			if v, err := mod.GetAttributeValue(s, objects[0], []*raw.Attribute{raw.NewAttribute(raw.CKA_VALUE, nil)}); err == nil {
				t.Errorf("the private key can be read: %v", v)
			}
			attrs, err := mod.GetAttributeValue(s, objects[0], []*raw.Attribute{
				raw.NewAttribute(raw.CKA_NEVER_EXTRACTABLE, nil), raw.NewAttribute(raw.CKA_ALWAYS_SENSITIVE, nil), raw.NewAttribute(raw.CKA_LOCAL, nil),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, attr := range attrs {
				if !bytes.Equal(attr.Value, []byte{1}) {
					t.Errorf("attribute %#x is %x; want true", attr.Type, attr.Value)
				}
			}
		})
	}
}

func TestPublicKeyCannotBeChangedByItsReader(t *testing.T) {
	k := generate(t, open(t, config()), signer.AlgorithmP256)
	k.Public().Bytes[10] ^= 1
	if _, err := backendtest.NewDoor(t, k, 0).Sign(t.Context(), prehash("pay")); err != nil {
		t.Error(err)
	}
}

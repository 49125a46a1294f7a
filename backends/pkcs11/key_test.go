package pkcs11_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

func TestKeyIsFoundByWhatItsURISays(t *testing.T) {
	d := login(t, settings())
	k, err := d.(backends.Generator).Generate(t.Context(), backends.KeySpec{Name: "pay roll", Algorithm: signer.AlgorithmP256, Options: map[string]string{"id": "00ff"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{
		"pkcs11:object=pay%20roll", "pkcs11:id=%00%ff", "pkcs11:object=pay%20roll;id=%00%FF;type=private",
		token.URI + ";object=pay%20roll", "pkcs11:manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=pay%20roll", k.Locator,
	} {
		t.Run(uri, func(t *testing.T) {
			if got := find(t, d, uri).Facts().Public.Fingerprint(); got != k.Facts.Public.Fingerprint() {
				t.Error("it is another key")
			}
		})
	}
}

func TestKeyIsRefused(t *testing.T) {
	d := login(t, settings())
	rawKey(t, "double", []byte("d1"), nil)
	rawKey(t, "double", []byte("d2"), nil)
	rawKey(t, "same id 1", []byte("same"), nil)
	rawKey(t, "same id 2", []byte("same"), nil)
	rawKey(t, "extractable", []byte("x1"), map[uint]any{raw.CKA_EXTRACTABLE: true})
	rawKey(t, "plain", []byte("x2"), map[uint]any{raw.CKA_SENSITIVE: false})
	rawKey(t, "for all", []byte("x3"), map[uint]any{raw.CKA_PRIVATE: false})
	rawKey(t, "for unwrapping", []byte("x4"), map[uint]any{raw.CKA_SIGN: false, raw.CKA_DERIVE: true})
	for name, c := range map[string]struct{ uri, want string }{
		"named by nothing":                {token.URI, "names no key"},
		"named by type alone":             {"pkcs11:type=private", "names no key"},
		"no such label":                   {"pkcs11:object=nonesuch", "has no private key with object=nonesuch; it has: "},
		"no such id":                      {"pkcs11:id=%99", "has no private key with id=%99; it has: "},
		"a label of one, the id of other": {"pkcs11:object=plain;id=x1", "has no private key with object=plain;id=%78%31"},
		"in another token":                {"pkcs11:token=cold;object=plain", `is not in token "hot wallet"`},
		"in a token of another maker":     {"pkcs11:manufacturer=Acme;object=plain", `is not in token "hot wallet"`},
		"two with one label":              {"pkcs11:object=double", "has 2 private keys with object=double; name one by object and id together"},
		"two with one id":                 {"pkcs11:id=same", "has 2 private keys"},
		"two public keys with its id":     {"pkcs11:object=same%20id%201", "2 public keys go with the private key"},
		"extractable":                     {"pkcs11:object=extractable", "CKA_EXTRACTABLE is not false"},
		"not sensitive":                   {"pkcs11:object=plain", "CKA_SENSITIVE is not true"},
		"not private":                     {"pkcs11:object=for%20all", "CKA_PRIVATE is not true"},
		"not for signing":                 {"pkcs11:object=for%20unwrapping", "CKA_SIGN is not true"},
		"a URI that is none":              {"object=plain", "begin with"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := d.Find(t.Context(), c.uri)
			if err == nil || !strings.Contains(err.Error(), c.want) || k != nil {
				t.Errorf("Find = %v, %v; want %q", k, err, c.want)
			}
			if errors.Is(err, backends.ErrGone) {
				t.Errorf("it ends the worker: %v", err)
			}
		})
	}
}

// rawPair makes a key pair of a kind, with good attributes.
func rawPair(t *testing.T, id string, mechanism uint, kind ...*raw.Attribute) {
	t.Helper()
	mod, _, s := rawSession(t, token.Module)
	public := append([]*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_VERIFY, true), raw.NewAttribute(raw.CKA_ID, []byte(id))}, kind...)
	private := []*raw.Attribute{
		raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_PRIVATE, true), raw.NewAttribute(raw.CKA_SENSITIVE, true),
		raw.NewAttribute(raw.CKA_EXTRACTABLE, false), raw.NewAttribute(raw.CKA_SIGN, true), raw.NewAttribute(raw.CKA_ID, []byte(id)),
	}
	if _, _, err := mod.GenerateKeyPair(s, []*raw.Mechanism{raw.NewMechanism(mechanism, nil)}, public, private); err != nil {
		t.Fatal(err)
	}
}

func TestKeysThatNoSchemeSignsWithAreRefused(t *testing.T) {
	d := login(t, settings())
	for name, c := range map[string]struct {
		mechanism uint
		kind      []*raw.Attribute
		want      string
	}{
		"rsa1024": {raw.CKM_RSA_PKCS_KEY_PAIR_GEN, []*raw.Attribute{raw.NewAttribute(raw.CKA_MODULUS_BITS, 1024), raw.NewAttribute(raw.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})}, "an RSA key of 1024 bits"},
		"rsae3":   {raw.CKM_RSA_PKCS_KEY_PAIR_GEN, []*raw.Attribute{raw.NewAttribute(raw.CKA_MODULUS_BITS, 2048), raw.NewAttribute(raw.CKA_PUBLIC_EXPONENT, []byte{3})}, "the exponent 3"},
		"p192":    {raw.CKM_EC_KEY_PAIR_GEN, []*raw.Attribute{raw.NewAttribute(raw.CKA_EC_PARAMS, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1})}, "no signature scheme is supported for its curve"},
	} {
		t.Run(name, func(t *testing.T) {
			rawPair(t, name, c.mechanism, c.kind...)
			if k, err := d.Find(t.Context(), "pkcs11:id="+name); err == nil || !strings.Contains(err.Error(), c.want) || k != nil {
				t.Errorf("Find = %v, %v; want %q", k, err, c.want)
			}
		})
	}
}

// Some modules have a certificate and no public key.
func TestPublicKeyIsFoundInACertificate(t *testing.T) {
	d := login(t, settings())
	for _, a := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmP384, signer.AlgorithmP521, signer.AlgorithmEd25519, signer.AlgorithmRSA} {
		t.Run(string(a), func(t *testing.T) {
			k := generate(t, d, a)
			u, err := pkcs11.ParseURI(k.Locator)
			if err != nil {
				t.Fatal(err)
			}
			mod, _, s := rawSession(t, token.Module)
			for _, o := range objects(t, mod, s, raw.CKO_PUBLIC_KEY, u.ID) {
				if err := mod.DestroyObject(s, o); err != nil {
					t.Fatal(err)
				}
			}
			if a != signer.AlgorithmRSA { // whose private key has the public one
				if _, err := d.Find(t.Context(), k.Locator); err == nil || !strings.Contains(err.Error(), "no public key and no certificate") {
					t.Errorf("Find without public key: %v", err)
				}
			}
			for range 2 { // twice, as two certificates of one key are none too many
				if _, err := mod.CreateObject(s, []*raw.Attribute{
					raw.NewAttribute(raw.CKA_CLASS, raw.CKO_CERTIFICATE), raw.NewAttribute(raw.CKA_CERTIFICATE_TYPE, raw.CKC_X_509), raw.NewAttribute(raw.CKA_TOKEN, true),
					raw.NewAttribute(raw.CKA_ID, []byte(u.ID)), raw.NewAttribute(raw.CKA_SUBJECT, []byte("key")), raw.NewAttribute(raw.CKA_VALUE, certificate(t, k.Facts.Public)),
				}); err != nil {
					t.Fatal(err)
				}
			}
			again := find(t, d, k.Locator)
			if again.Facts().Public.Fingerprint() != k.Facts.Public.Fingerprint() {
				t.Errorf("public key is %+v, want %+v", again.Facts().Public, k.Facts.Public)
			}
			mustSign(t, again, "pay")
		})
	}
}

func objects(t *testing.T, mod *raw.Ctx, s raw.SessionHandle, class uint, id string) []raw.ObjectHandle {
	t.Helper()
	if err := mod.FindObjectsInit(s, []*raw.Attribute{raw.NewAttribute(raw.CKA_CLASS, class), raw.NewAttribute(raw.CKA_ID, []byte(id))}); err != nil {
		t.Fatal(err)
	}
	all, _, err := mod.FindObjects(s, 10)
	if err = errors.Join(err, mod.FindObjectsFinal(s)); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGenerateRefuses(t *testing.T) {
	d := login(t, settings())
	good := backends.KeySpec{Name: "taken", Algorithm: signer.AlgorithmP256, Options: map[string]string{"id": hex.EncodeToString([]byte("taken"))}}
	if _, err := d.(backends.Generator).Generate(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*backends.KeySpec)
		want   string
	}{
		"no name":                   {func(k *backends.KeySpec) { k.Name = "" }, "needs a name"},
		"an unsupported algorithm":  {func(k *backends.KeySpec) { k.Algorithm = "dsa" }, `"dsa" is not supported`},
		"a label in use":            {func(k *backends.KeySpec) { k.Name = "taken" }, "already"},
		"an id in use":              {func(k *backends.KeySpec) { k.Options = good.Options }, "already"},
		"a label that is not text":  {func(k *backends.KeySpec) { k.Name = "g\xff" }, "a URI cannot name it"},
		"an id that is no number":   {func(k *backends.KeySpec) { k.Options = map[string]string{"id": "xy"} }, "in hexadecimal"},
		"an empty id":               {func(k *backends.KeySpec) { k.Options = map[string]string{"id": ""} }, "in hexadecimal"},
		"an option of other tokens": {func(k *backends.KeySpec) { k.Options = map[string]string{"slot": "9a"} }, `option "slot" is not known`},
		"a wrapped key":             {func(k *backends.KeySpec) { k.Wrapped = true }, "resident"},
		"a curve with bits":         {func(k *backends.KeySpec) { k.Bits = 256 }, "is fixed"},
		"RSA without bits":          {func(k *backends.KeySpec) { k.Algorithm = signer.AlgorithmRSA }, "RSA key of 0 bits"},
		"RSA with 1024 bits":        {func(k *backends.KeySpec) { k.Algorithm, k.Bits = signer.AlgorithmRSA, 1024 }, "RSA key of 1024 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(signer.AlgorithmP256)
			c.change(&s)
			k, err := d.(backends.Generator).Generate(t.Context(), s)
			if err == nil || !strings.Contains(err.Error(), c.want) || k.Locator != "" {
				t.Errorf("Generate = %v, %v; want %q", k, err, c.want)
			}
		})
	}
}

func TestGeneratedKeysCannotLeaveTheToken(t *testing.T) {
	d := login(t, settings())
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			u, err := pkcs11.ParseURI(generate(t, d, a).Locator)
			if err != nil {
				t.Fatal(err)
			}
			mod, _, s := rawSession(t, token.Module)
			found := objects(t, mod, s, raw.CKO_PRIVATE_KEY, u.ID)
			if len(found) != 1 {
				t.Fatalf("found %d keys; want one", len(found))
			}
			secret := uint(raw.CKA_VALUE)
			if a == signer.AlgorithmRSA {
				secret = raw.CKA_PRIVATE_EXPONENT
			}
			if v, err := mod.GetAttributeValue(s, found[0], []*raw.Attribute{raw.NewAttribute(secret, nil)}); err == nil {
				t.Errorf("the private key can be read: %v", v)
			}
			attrs, err := mod.GetAttributeValue(s, found[0], []*raw.Attribute{
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

// A key that came from outside says so for ever.
func TestImportedKeysSaySo(t *testing.T) {
	d := login(t, settings())
	importKey(t, "imported")
	k := find(t, d, "pkcs11:id=imported")
	if o := k.Facts().Origin; o != signer.OriginImported {
		t.Errorf("origin is %q, want %q", o, signer.OriginImported)
	}
	mustSign(t, k, "pay")
}

func TestAttestClaimsAndProvesNothing(t *testing.T) {
	d := login(t, settings())
	k := generate(t, d, signer.AlgorithmP384)
	e, err := d.(backends.Attester).Attest(t.Context(), k.Locator, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	spki, err := k.Facts.Public.SPKI()
	if err != nil {
		t.Fatal(err)
	}
	if e.Format != "pkcs11-attributes" || len(e.Proven) != 0 || !maps.EqualFunc(e.Parts, map[string][]byte{"public_key": spki}, bytes.Equal) {
		t.Errorf("Attest = %+v; want the public key, and nothing proven", e)
	}
	claimed := map[string]string{}
	for _, f := range e.Claimed {
		claimed[f.Name] = f.Value
	}
	for name, want := range map[string]string{"CKA_LOCAL": "true", "CKA_EXTRACTABLE": "false", "CKA_NEVER_EXTRACTABLE": "true", "CKA_ALWAYS_SENSITIVE": "true", "token": token.Label} {
		if claimed[name] != want {
			t.Errorf("%s is claimed to be %q, want %q", name, claimed[name], want)
		}
	}
	if _, err := d.(backends.Attester).Attest(t.Context(), k.Locator, make([]byte, 33)); err == nil {
		t.Error("Attest takes a challenge of 33 bytes")
	}
	if _, err := d.(backends.Attester).Attest(t.Context(), "pkcs11:object=nonesuch", nil); err == nil {
		t.Error("Attest attests what is not there")
	}
}

// A key can want its PIN before every signature.
func TestKeysThatWantTheirPINEachTime(t *testing.T) {
	h := &host{}
	d := open(t, faulty(t), h)
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Fatal(err)
	}
	rawKey(t, "asks each time", []byte("each"), map[uint]any{raw.CKA_ALWAYS_AUTHENTICATE: true})
	k := find(t, d, "pkcs11:object=asks%20each%20time")
	if f := k.Facts().Facts; len(f) != 1 || f[0].Name != "pin" {
		t.Errorf("facts = %v, want that it wants its PIN", f)
	}
	for i := range 3 {
		mustSign(t, k, "pay")
		if h.tries() != i+2 {
			t.Errorf("after %d signatures there were %d tries; want one for each, and one for the login", i+1, h.tries())
		}
	}
	// The PIN is wrong all at once: it is wiped, and nothing is signed until there is
	// another, also with a module that says that we are logged in.
	fail(t, sim.Login, raw.CKR_PIN_INCORRECT, 1)
	err := sign(t, k, "pay")
	var refused *backends.PINError
	if !errors.As(err, &refused) || !refused.Sent {
		t.Fatalf("Sign error = %v, want that the PIN was refused", err)
	}
	for range 3 {
		if err := sign(t, k, "pay"); signer.CodeOf(err) != signer.CodeUnavailable {
			t.Errorf("Sign error = %v, want code %q", err, signer.CodeUnavailable)
		}
	}
	if h.tries() != 5 {
		t.Errorf("%d tries; want none after the one that was refused", h.tries())
	}
	if s, err := d.State(t.Context()); err != nil || !s.NeedsPIN {
		t.Errorf("State = %+v, %v; want that it needs a PIN", s, err)
	}
	if err := d.Login(t.Context(), []byte("4321")); !errors.As(err, &refused) {
		t.Errorf("Login with a wrong PIN = %v; want it refused", err)
	}
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Fatal(err)
	}
	mustSign(t, k, "pay")
}

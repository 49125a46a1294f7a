package tss2

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// sealed is a key with every part that there is.
func sealed() *Key {
	return &Key{
		Type:      Sealed,
		EmptyAuth: true,
		Policy: []Policy{
			{tpm2.TPMCCPolicyPCR, []byte{0, 0, 0, 0, 0, 1}},
			{tpm2.TPMCCPolicyAuthValue, nil},
		},
		AuthPolicies: []AuthPolicy{{"before the update", []Policy{{tpm2.TPMCCPolicyPCR, []byte{1}}}}, {"", []Policy{{tpm2.TPMCCPolicyOR, []byte{2}}}}},
		Secret:       []byte{1, 2, 3},
		Description:  "clé",
		RSAParent:    true,
		Parent:       0x81000001,
		Public: tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{UserWithAuth: true, NoDA: true},
			Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash,
				&tpm2.TPMSKeyedHashParms{Scheme: tpm2.TPMTKeyedHashScheme{Scheme: tpm2.TPMAlgNull}}),
			Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: bytes.Repeat([]byte{7}, 32)}),
		},
		Private: []byte{9, 8, 7},
	}
}

func encode(t testing.TB, k *Key) []byte {
	t.Helper()
	file, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAKeyComesBackAsItWasWritten(t *testing.T) {
	want := sealed()
	got, err := Parse(encode(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := tpm2.Marshal(got.Public), tpm2.Marshal(want.Public); !bytes.Equal(a, b) {
		t.Errorf("public area = %x, want %x", a, b)
	}
	got.Public, got.emptyAuth = want.Public, nil
	want.Policy[1].Parameters = []byte{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("key = %+v, want %+v", got, want)
	}
}

// The files were made by tpm2_encodeobject 5.4 with a software TPM.
func TestKeysOfOtherProgramsAreRead(t *testing.T) {
	for name, want := range map[string]struct {
		emptyAuth bool
		kind      tpm2.TPMAlgID
	}{
		"tpm2-tools.pem":          {false, tpm2.TPMAlgECC},
		"tpm2-tools-password.pem": {true, tpm2.TPMAlgECC},
		"tpm2-tools-rsa.pem":      {true, tpm2.TPMAlgRSA},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			k, err := Parse(file)
			if err != nil {
				t.Fatal(err)
			}
			if k.Type != Loadable || k.Parent != tpm2.TPMRHOwner || k.Public.Type != want.kind || k.EmptyAuth != want.emptyAuth {
				t.Errorf("key = %+v", k)
			}
			if again := encode(t, k); !bytes.Equal(again, file) {
				t.Errorf("it is written as\n%s", again)
			}
			k.EmptyAuth = !k.EmptyAuth
			changed, err := Parse(encode(t, k))
			if err != nil || changed.EmptyAuth == want.emptyAuth {
				t.Errorf("with another emptyAuth it is read as %+v, %v", changed, err)
			}
		})
	}
}

func TestWhatIsNotExactlyOneKeyIsRefused(t *testing.T) {
	good := encode(t, sealed())
	block, _ := pem.Decode(good)
	again := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
	}
	parts := func(change func([]asn1.RawValue) []asn1.RawValue) string {
		var list []asn1.RawValue
		if _, err := asn1.Unmarshal(bytes.Clone(block.Bytes), &list); err != nil {
			t.Fatal(err)
		}
		der, err := asn1.Marshal(change(list))
		if err != nil {
			t.Fatal(err)
		}
		return again(der)
	}
	for name, c := range map[string]struct{ file, want string }{
		"nothing":                    {"", "no PEM block"},
		"another kind of PEM block":  {strings.ReplaceAll(string(good), pemType, "PRIVATE KEY"), "not a \"TSS2"},
		"text before the block":      {"hello\n" + string(good), "more in it"},
		"text after the block":       {string(good) + "\n", "more in it"},
		"two blocks":                 {string(good) + string(good), "more in it"},
		"headers":                    {string(pem.EncodeToMemory(&pem.Block{Type: pemType, Headers: map[string]string{"A": "b"}, Bytes: block.Bytes})), "headers"},
		"bytes after the SEQUENCE":   {again(append(bytes.Clone(block.Bytes), 0)), "not one SEQUENCE"},
		"an unknown type":            {parts(func(l []asn1.RawValue) []asn1.RawValue { l[0].FullBytes[len(l[0].FullBytes)-1] = 9; return l }), "no type of TPM key"},
		"a part that is there twice": {parts(func(l []asn1.RawValue) []asn1.RawValue { return append(l[:2:2], l[1:]...) }), "order"},
		"parts in another order":     {parts(func(l []asn1.RawValue) []asn1.RawValue { l[1], l[2] = l[2], l[1]; return l }), "order"},
		"a part after the last":      {parts(func(l []asn1.RawValue) []asn1.RawValue { return append(l, l[0]) }), "after the private part"},
		"no private part":            {parts(func(l []asn1.RawValue) []asn1.RawValue { return l[:len(l)-1] }), "privkey"},
		"an unknown optional part": {parts(func(l []asn1.RawValue) []asn1.RawValue {
			return append([]asn1.RawValue{l[0], {Class: asn1.ClassContextSpecific, Tag: 6, IsCompound: true, Bytes: []byte{5, 0}}}, l[1:]...)
		}), "[6]"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := Parse([]byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse error = %v, want one with %q", err, c.want)
			}
			if k != nil {
				t.Error("a key came back")
			}
		})
	}
}

func TestAKeyThatLacksWhatItsTypeNeedsIsNotWritten(t *testing.T) {
	for name, change := range map[string]func(*Key){
		"the zero key":                    func(k *Key) { *k = Key{} },
		"no parent":                       func(k *Key) { k.Parent = 0 },
		"no private part":                 func(k *Key) { k.Private = nil },
		"importable without a secret":     func(k *Key) { k.Type, k.Secret = Importable, nil },
		"loadable with a secret":          func(k *Key) { k.Type = Loadable },
		"sealed data that is a key":       func(k *Key) { k.Public = tpm2.ECCSRKTemplate },
		"a description that is no text":   func(k *Key) { k.Description = "\xff" },
		"a policy's name that is none":    func(k *Key) { k.AuthPolicies[0].Name = "\xff" },
		"an authorised policy of nothing": func(k *Key) { k.AuthPolicies[0].Policy = nil },
		"a private part that is too long": func(k *Key) { k.Private = make([]byte, 1<<16) },
	} {
		t.Run(name, func(t *testing.T) {
			k := sealed()
			change(k)
			if file, err := k.Encode(); err == nil || file != nil {
				t.Errorf("Encode = %q, %v, want an error", file, err)
			}
		})
	}
}

// FuzzParse checks that every byte of a file means something: what is read is
// written back as it was.
func FuzzParse(f *testing.F) {
	f.Add(encode(f, sealed()))
	files, err := filepath.Glob("testdata/*.pem")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		block, _ := pem.Decode(file)
		f.Add(file)
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		// The fuzzer does not find its way through base64, so what is no PEM is taken
		// for the content of one.
		if !bytes.HasPrefix(in, []byte("-----")) {
			in = pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: in})
		}
		k, err := Parse(in)
		if err != nil {
			return
		}
		out, err := k.Encode()
		if err != nil || !bytes.Equal(in, out) {
			t.Errorf("accepted %q but it is written as %q, %v", in, out, err)
		}
	})
}

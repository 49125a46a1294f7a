package wrapped

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

// keptFile is a wrapped key as a driver keeps it.
func keptFile(t testing.TB, a signer.Algorithm) *File {
	t.Helper()
	k, err := Open(secretOfTests, a)
	if err != nil {
		t.Fatal(err)
	}
	pub := Template(nil)
	pub.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: bytes.Repeat([]byte{3}, 32)})
	return &File{Public: k.Public(), Key: tss2.Key{Type: tss2.Sealed, Parent: tpm2.TPMRHOwner, Public: pub, Private: []byte{1}}}
}

func TestAFileWhosePublicKeyDoesNotFitTheSecretIsRefused(t *testing.T) {
	f := keptFile(t, signer.AlgorithmSecp256k1)
	k, err := f.Open(secretOfTests)
	if err != nil {
		t.Fatal(err)
	}
	k.Wipe()
	for name, c := range map[string]struct {
		change func(*File)
		secret []byte
	}{
		"another secret":     {func(*File) {}, bytes.Repeat([]byte{1}, 32)},
		"another public key": {func(f *File) { f.Public.Bytes = bytes.Clone(f.Public.Bytes); f.Public.Bytes[5] ^= 1 }, secretOfTests},
		"another algorithm":  {func(f *File) { f.Public.Algorithm = signer.AlgorithmEd25519 }, secretOfTests},
		"half a secret":      {func(*File) {}, secretOfTests[:16]},
		"no algorithm":       {func(f *File) { f.Public = signer.PublicKey{} }, secretOfTests},
	} {
		t.Run(name, func(t *testing.T) {
			g := *f
			c.change(&g)
			if k, err := g.Open(c.secret); err == nil || k != nil {
				t.Errorf("Open = %v, %v", k, err)
			}
		})
	}
}

func TestAFileWhosePartsDoNotGoTogetherIsRefused(t *testing.T) {
	for name, change := range map[string]func(*File){
		"no algorithm":              func(f *File) { f.Public.Algorithm = "" },
		"P-256":                     func(f *File) { f.Public.Algorithm = signer.AlgorithmP256 },
		"half a public key":         func(f *File) { f.Public.Bytes = f.Public.Bytes[:16] },
		"a loadable key":            func(f *File) { f.Key.Type = tss2.Loadable },
		"a target and no seed":      func(f *File) { f.Target = []byte{1} },
		"a seed and no target":      func(f *File) { f.Key.Secret = []byte{1} },
		"on its way, yet fixed":     func(f *File) { f.Key.Secret, f.Target = []byte{1}, []byte{1} },
		"half fixed":                func(f *File) { f.Key.Public.ObjectAttributes.FixedParent = false },
		"under the lockout":         func(f *File) { f.Key.Public.ObjectAttributes.NoDA = false },
		"a key and not data":        func(f *File) { f.Key.Public.ObjectAttributes.SignEncrypt = true },
		"no policy and no auth":     func(f *File) { f.Key.Public.ObjectAttributes.UserWithAuth = false },
		"an elliptic curve's point": func(f *File) { f.Key.Public = tpm2.ECCSRKTemplate },
		"nothing sealed":            func(f *File) { f.Key.Private = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := keptFile(t, signer.AlgorithmEd25519)
			change(f)
			if text, err := f.Encode(); err == nil || text != nil {
				t.Errorf("Encode = %s, %v", text, err)
			}
			// The same, written by a program that does not check.
			k := f.Key
			k.Description = f.description()
			if text, err := k.Encode(); err == nil {
				if g, err := Parse(text); err == nil || g != nil {
					t.Errorf("Parse = %v, %v", g, err)
				}
			}
		})
	}
}

func TestADescriptionIsReadOnlyAsItIsWritten(t *testing.T) {
	f := keptFile(t, signer.AlgorithmEd25519)
	good := f.description()
	for name, text := range map[string]string{
		"none":             "",
		"of somebody else": "backup key",
		"another version":  strings.Replace(good, "/1", "/2", 1),
		"cut short":        version,
		"without a key":    version + " ed25519",
		"in capitals":      version + " ed25519 " + strings.ToUpper(strings.TrimPrefix(good, version+" ed25519 ")),
		"more spaces":      strings.Replace(good, " ", "  ", 1),
		"more words":       good + "  x",
		"a space after":    good + " ",
		"no digits":        version + " ed25519 " + strings.Repeat("z", 64),
	} {
		t.Run(name, func(t *testing.T) {
			k := f.Key
			k.Description = text
			file, err := k.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if g, err := Parse(file); err == nil || g != nil {
				t.Errorf("Parse = %v, %v", g, err)
			}
		})
	}
}

// FuzzParse checks that every byte of a file means something.
func FuzzParse(f *testing.F) {
	for _, a := range []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmEd25519} {
		file, err := keptFile(f, a).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		file, err := Parse(in)
		if err != nil {
			return
		}
		out, err := file.Encode()
		if err != nil || !bytes.Equal(in, out) {
			t.Errorf("accepted %q but it is written as %q, %v", in, out, err)
		}
	})
}

// FuzzParseTarget checks the same of what another host presents, and that nothing of
// it makes the checks panic.
func FuzzParseTarget(f *testing.F) {
	for _, e := range EndorsementTemplates() {
		text, err := NewTarget("host", &e.Public, [][]byte{{0x30, 0}}).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		target, err := ParseTarget(in)
		if err != nil {
			return
		}
		if out, err := target.Encode(); err != nil || !bytes.Equal(in, out) {
			t.Errorf("accepted %q but it is written as %q, %v", in, out, err)
		}
		if r, err := (AcceptTest{target.Name + " no more", target.Fingerprint()}).Verify(target); err == nil || r != nil {
			t.Errorf("a target that no exception names was accepted: %v", r)
		}
	})
}

// FuzzParseSecret checks that whatever is read as a secret is one.
func FuzzParseSecret(f *testing.F) {
	f.Add([]byte(strings.Repeat("5a", 32)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN EC PRIVATE KEY-----\nMC4CAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBoAcGBSuBBAAK\n-----END EC PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, a := range []signer.Algorithm{"", signer.AlgorithmSecp256k1, signer.AlgorithmEd25519} {
			found, secret, err := ParseSecret(in, a)
			if err != nil {
				continue
			}
			if _, err := Open(secret, found); err != nil || (a != "" && a != found) {
				t.Errorf("read a secret of %s that does not open: %v", found, err)
			}
		}
	})
}

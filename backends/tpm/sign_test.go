package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

// verify checks a signature with the standard library.
func verify(public signer.PublicKey, m signer.Message, sig []byte) error {
	hash := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(m.Bytes)]
	facts, _ := m.Scheme.Facts()
	switch public.Algorithm {
	case signer.AlgorithmP256, signer.AlgorithmP384:
		curve := map[signer.Algorithm]elliptic.Curve{signer.AlgorithmP256: elliptic.P256(), signer.AlgorithmP384: elliptic.P384()}[public.Algorithm]
		key, err := ecdsa.ParseUncompressedPublicKey(curve, public.Bytes)
		if err != nil {
			return err
		}
		n := (len(public.Bytes) - 1) / 2
		if len(sig) != 2*n || !ecdsa.Verify(key, m.Bytes, new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])) {
			return errors.New("it does not verify")
		}
		return nil
	case signer.AlgorithmRSA:
		key, err := x509.ParsePKCS1PublicKey(public.Bytes)
		if err != nil {
			return err
		}
		if facts.Padding == signer.PaddingPSS {
			return rsa.VerifyPSS(key, hash, m.Bytes, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.VerifyPKCS1v15(key, hash, m.Bytes, sig)
	}
	return verifyWrapped(public, m, sig)
}

func TestEveryAlgorithmSignsWithEachOfItsSchemes(t *testing.T) {
	d := openTPM(t, startTPM(t))
	rsaSchemes := []signer.Scheme{signer.SchemePSSSHA256, signer.SchemePSSSHA384, signer.SchemePSSSHA512, signer.SchemePKCS1SHA256, signer.SchemePKCS1SHA384, signer.SchemePKCS1SHA512}
	for name, c := range map[string]struct {
		spec    backends.KeySpec
		schemes []signer.Scheme
	}{
		"P-256":    {p256, []signer.Scheme{signer.SchemeP256}},
		"P-384":    {backends.KeySpec{Algorithm: signer.AlgorithmP384}, []signer.Scheme{signer.SchemeP384}},
		"RSA-2048": {backends.KeySpec{Algorithm: signer.AlgorithmRSA, Bits: 2048}, rsaSchemes},
		"RSA-3072": {backends.KeySpec{Algorithm: signer.AlgorithmRSA, Bits: 3072}, rsaSchemes},
	} {
		t.Run(name, func(t *testing.T) {
			made, k := generate(t, d, c.spec)
			if f := k.Facts(); !made.File || f.Protection != signer.ProtectionResident || f.Origin != signer.OriginGenerated || f.Public.Algorithm != c.spec.Algorithm || f.Touch {
				t.Errorf("made %+v, found %+v", made, f)
			}
			for _, scheme := range c.schemes {
				facts, _ := scheme.Facts()
				for i := range 4 {
					signs(t, k, signer.Message{Scheme: scheme, Bytes: bytes.Repeat([]byte{byte(i)}, facts.Prehash)})
				}
			}
			file, err := tss2.Parse([]byte(made.Locator))
			if err != nil {
				t.Fatal(err)
			}
			if a, want := file.Public.ObjectAttributes, (tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true}); a != want || file.EmptyAuth {
				t.Errorf("attributes are %+v, want %+v", a, want)
			}
		})
	}
}

// Some signatures have an r or s with zeros in front; all have one length.
func TestSignaturesHaveOneLength(t *testing.T) {
	d := openTPM(t, startTPM(t))
	_, k := generate(t, d, p256)
	for range 600 { // one in 128 is short
		signs(t, k, message())
	}
	if got := pad([]byte{1, 2}, 4); !bytes.Equal(got, []byte{0, 0, 1, 2}) {
		t.Errorf("pad = %x", got)
	}
}

func TestAKeySignsNothingElse(t *testing.T) {
	d := openTPM(t, startTPM(t))
	_, k := generate(t, d, p256)
	for name, m := range map[string]signer.Message{
		"another algorithm's scheme": {Scheme: signer.SchemePSSSHA256, Bytes: make([]byte, 32)},
		"another curve's":            {Scheme: signer.SchemeP384, Bytes: make([]byte, 48)},
		"a short prehash":            {Scheme: signer.SchemeP256, Bytes: make([]byte, 31)},
		"a long prehash":             {Scheme: signer.SchemeP256, Bytes: make([]byte, 64)},
		"no scheme":                  {Bytes: make([]byte, 32)},
		"nothing":                    {},
	} {
		sig, err := k.Sign(t.Context(), m, nil)
		if signer.CodeOf(err) != signer.CodeInvalid || sig != nil {
			t.Errorf("%s: Sign = %x, %v; want an invalid request", name, sig, err)
		}
	}
}

func TestAKeyThatCannotBeMadeIsRefused(t *testing.T) {
	d := openTPM(t, startTPM(t))
	for name, spec := range map[string]backends.KeySpec{
		"no algorithm":           {},
		"P-521":                  {Algorithm: signer.AlgorithmP521},
		"secp256k1, not wrapped": {Algorithm: signer.AlgorithmSecp256k1},
		"Ed25519, not wrapped":   {Algorithm: signer.AlgorithmEd25519},
		"P-256, wrapped":         {Algorithm: signer.AlgorithmP256, Wrapped: true},
		"RSA with no size":       {Algorithm: signer.AlgorithmRSA},
		"RSA-1024":               {Algorithm: signer.AlgorithmRSA, Bits: 1024},
		"P-256 with a size":      {Algorithm: signer.AlgorithmP256, Bits: 256},
		"wrapped with a size":    {Algorithm: signer.AlgorithmEd25519, Bits: 256, Wrapped: true},
		"an unknown option":      {Algorithm: signer.AlgorithmP256, Options: map[string]string{"slot": "9a"}},
		"PCRs that are words":    {Algorithm: signer.AlgorithmP256, Options: map[string]string{"pcrs": "seven"}},
		"PCRs and no authority":  {Algorithm: signer.AlgorithmP256, Options: map[string]string{"pcrs": "7"}},
	} {
		made, err := d.Generate(t.Context(), spec)
		if err == nil || made.Locator != "" {
			t.Errorf("%s: Generate = %+v, %v; want an error", name, made, err)
		}
	}
}

func TestAKeyFileThatIsNotOursIsRefused(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	made, _ := generate(t, d, p256)
	change := func(f func(*tss2.Key)) string {
		k, err := tss2.Parse([]byte(made.Locator))
		if err != nil {
			t.Fatal(err)
		}
		f(k)
		file, err := k.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(file)
	}
	other, _ := generate(t, openTPM(t, startTPM(t)), p256)
	for name, c := range map[string]struct{ file, want string }{
		"no file":                {"", "no PEM block"},
		"half a file":            {made.Locator[:len(made.Locator)/2], "no PEM block"},
		"another TPM's key":      {other.Locator, "belongs to another TPM, or the TPM was cleared"},
		"a damaged private part": {change(func(k *tss2.Key) { k.Private[len(k.Private)-1] ^= 1 }), "damaged"},
		"a cut private part":     {change(func(k *tss2.Key) { k.Private = k.Private[:40] }), "load the key"},
		"another public key":     {change(func(k *tss2.Key) { k.Public.Unique = storageTemplate().Unique }), "load the key"},
		"another parent":         {change(func(k *tss2.Key) { k.Parent = 0x81000002 }), "its parent is 0x81000002"},
		"an RSA parent":          {change(func(k *tss2.Key) { k.RSAParent = true }), "its parent"},
		"no auth value":          {change(func(k *tss2.Key) { k.EmptyAuth = true }), "no auth value"},
		"subject to lockout":     {change(func(k *tss2.Key) { k.Public.ObjectAttributes.NoDA = false }), "lockout"},
		"a key that decrypts":    {change(func(k *tss2.Key) { k.Public.ObjectAttributes.Decrypt = true }), "only signs"},
		"a restricted key":       {change(func(k *tss2.Key) { k.Public.ObjectAttributes.Restricted = true }), "only signs"},
		"a policy to no avail":   {change(func(k *tss2.Key) { k.Policy = []tss2.Policy{{Command: tpm2.TPMCCPolicyAuthValue}} }), "protect nothing"},
		"a key for import":       {change(func(k *tss2.Key) { k.Type, k.Secret = tss2.Importable, []byte{1} }), "imported"},
		"a claim of origin":      {change(func(k *tss2.Key) { k.Public.ObjectAttributes.SensitiveDataOrigin = false }), "belongs to another TPM"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := d.Find(t.Context(), c.file)
			if err == nil || !bytes.Contains([]byte(err.Error()), []byte(c.want)) || k != nil {
				t.Errorf("Find = %v, %v; want an error with %q", k, err, c.want)
			}
		})
	}
	signs(t, find(t, d, made.Locator), message())
	if s, err := d.State(t.Context()); err != nil || fact(s, "lockout counter") != "0 of 3" {
		t.Errorf("lockout counter is %q, %v", fact(s, "lockout counter"), err)
	}
}

// A file that was changed in one place is refused, or means the same key.
func TestNoChangedByteMakesAnotherKey(t *testing.T) {
	d := openTPM(t, startTPM(t))
	made, k := generate(t, d, p256)
	accepted := 0
	for i := range made.Locator {
		file := []byte(made.Locator)
		file[i] ^= 1
		got, err := d.Find(t.Context(), string(file))
		if err != nil {
			continue
		}
		accepted++
		if got.Facts().Public.Fingerprint() != k.Facts().Public.Fingerprint() {
			t.Errorf("byte %d: the key is another one", i)
		}
	}
	if accepted > 0 {
		t.Errorf("%d changed files were accepted", accepted)
	}
	if n := len(d.keys); n != 1 {
		t.Errorf("the driver remembers %d keys, want 1", n)
	}
}

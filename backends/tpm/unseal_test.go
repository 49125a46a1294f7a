package tpm

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/backends/tpm/wrapped"
	"github.com/sealward/sealward/signer"
)

func verifyWrapped(public signer.PublicKey, m signer.Message, sig []byte) error {
	if public.Algorithm == signer.AlgorithmEd25519 {
		if !ed25519.Verify(public.Bytes, m.Bytes, sig) {
			return errors.New("it does not verify")
		}
		return nil
	}
	key, err := secp256k1.ParsePubKey(public.Bytes)
	if err != nil {
		return err
	}
	var r, s secp256k1.ModNScalar
	if len(sig) != 64 || r.SetByteSlice(sig[:32]) || s.SetByteSlice(sig[32:]) || !ecdsa.NewSignature(&r, &s).Verify(m.Bytes, key) {
		return errors.New("it does not verify")
	}
	return nil
}

var wrappedSpecs = map[string]struct {
	spec    backends.KeySpec
	message signer.Message
}{
	"secp256k1": {backends.KeySpec{Algorithm: signer.AlgorithmSecp256k1, Wrapped: true}, signer.Message{Scheme: signer.SchemeSecp256k1, Bytes: make([]byte, 32)}},
	"Ed25519":   {backends.KeySpec{Algorithm: signer.AlgorithmEd25519, Wrapped: true}, signer.Message{Scheme: signer.SchemeEd25519, Bytes: []byte("a whole message")}},
}

func TestWrappedKeysSignAndSayThatTheyAreWrapped(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	for name, c := range wrappedSpecs {
		t.Run(name, func(t *testing.T) {
			made, k := generate(t, d, c.spec)
			if f := k.Facts(); !made.File || f.Protection != signer.ProtectionWrapped || f.Origin != signer.OriginGenerated || f.Public.Algorithm != c.spec.Algorithm {
				t.Errorf("made %+v, found %+v", made, f)
			}
			for range 3 {
				signs(t, k, c.message)
			}
			sig, err := k.Sign(t.Context(), message(), nil)
			if signer.CodeOf(err) != signer.CodeInvalid || sig != nil {
				t.Errorf("with another scheme, Sign = %x, %v", sig, err)
			}
			if err := d.Login(t.Context(), []byte("another value of enough bytes")); err != nil {
				t.Fatal(err)
			}
			sig, err = k.Sign(t.Context(), c.message, nil)
			if _, ok := errors.AsType[*backends.PINError](err); !ok || sig != nil {
				t.Errorf("with another auth value, Sign = %x, %v", sig, err)
			}
			if err := d.Login(t.Context(), []byte(authValue)); err != nil {
				t.Fatal(err)
			}
			if err := tpm.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := tpm.Start(); err != nil {
				t.Fatal(err)
			}
			signs(t, k, c.message)
		})
	}
}

// A wrapped key whose file names another public key is not used.
func TestAWrappedKeyIsTheOneThatItsFileNames(t *testing.T) {
	d := openTPM(t, startTPM(t))
	c := wrappedSpecs["Ed25519"]
	one, _ := generate(t, d, c.spec)
	other, _ := generate(t, d, c.spec)
	f, err := wrapped.Parse([]byte(one.Locator))
	if err != nil {
		t.Fatal(err)
	}
	f.Public = other.Facts.Public
	file, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k := find(t, d, string(file))
	refuses(t, k, c.message, "not that of the public key in the file")
}

// manufactured makes the state of a TPM with endorsement certificates, and returns the
// PEM of the authority's root and the DER of what is between.
func manufactured(t *testing.T, dir string) (root string, chain [][]byte) {
	t.Helper()
	work := t.TempDir()
	at := func(name string) string { return filepath.Join(work, name) }
	for name, text := range map[string]string{
		"localca.conf": "statedir = " + work + "\nsigningkey = " + at("signkey.pem") + "\nissuercert = " + at("issuercert.pem") + "\ncertserial = " + at("certserial") + "\n",
		"localca.opts": "--platform-manufacturer Sealward\n--platform-version 1\n--platform-model test\n",
		"setup.conf":   "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = " + at("localca.conf") + "\ncreate_certs_tool_options = " + at("localca.opts") + "\n",
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", state, "--config", at("setup.conf"), "--create-ek-cert").CombinedOutput()
	if err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	block, _ := pem.Decode(read("issuercert.pem"))
	if block == nil {
		t.Fatal("the issuer's certificate is not PEM")
	}
	return string(read("swtpm-localca-rootca-cert.pem")), [][]byte{block.Bytes}
}

// certified starts a TPM that has endorsement certificates.
func certified(t *testing.T) (tpm *sim.TPM, root string, chain [][]byte) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	root, chain = manufactured(t, dir)
	tpm, err = sim.StartTPM(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tpm.Kill() })
	return tpm, root, chain
}

// do calls an operation.
func do[R any](t testing.TB, d *driver, operation string, arguments any) (R, error) {
	t.Helper()
	var r R
	text, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.Call(t.Context(), operation, text)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r, nil
}

func must[R any](t testing.TB, d *driver, operation string, arguments any) R {
	t.Helper()
	r, err := do[R](t, d, operation, arguments)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	return r
}

func TestAWrappedKeyMovesToATPMWhoseCertificateVerifies(t *testing.T) {
	from := openTPM(t, startTPM(t))
	tpm, root, chain := certified(t)
	defer neverCounted(t, tpm)
	to := openTPM(t, tpm)
	target := must[presented](t, to, "target", presentation{Name: "standby", Chain: chain})
	for name, c := range wrappedSpecs {
		t.Run(name, func(t *testing.T) {
			made, _ := generate(t, from, c.spec)
			way := must[duplicated](t, from, "duplicate", duplication{Key: made.Locator, Target: target.Target, Roots: root})
			if len(way.Facts) == 0 || strings.Contains(way.Key, made.Locator) {
				t.Errorf("duplicated %+v", way)
			}
			if k, err := from.Find(t.Context(), way.Key); err == nil {
				t.Errorf("a key on its way was found as %+v", k.Facts())
			}
			there := must[backends.NewKey](t, to, "import", importable{Key: way.Key})
			if f := there.Facts; !there.File || f.Origin != signer.OriginImported || f.Protection != signer.ProtectionWrapped || f.Public.Fingerprint() != made.Facts.Public.Fingerprint() {
				t.Errorf("imported %+v, want the key of %+v", there, made)
			}
			signs(t, find(t, to, there.Locator), c.message)
			if k, err := from.Find(t.Context(), there.Locator); err == nil {
				t.Errorf("the imported file works in the first TPM: %+v", k.Facts())
			}
			if left, _ := do[backends.NewKey](t, from, "import", importable{Key: way.Key}); left.Locator != "" {
				t.Error("a TPM that the key was not encrypted to imported it")
			}
		})
	}
}

func TestAWrappedKeyGoesNowhereElse(t *testing.T) {
	from := openTPM(t, startTPM(t))
	bare := openTPM(t, startTPM(t))
	tpm, _, chain := certified(t)
	genuine := must[presented](t, openTPM(t, tpm), "target", presentation{Name: "standby", Chain: chain})
	unknown := must[presented](t, bare, "target", presentation{Name: "lab"})
	made, _ := generate(t, from, wrappedSpecs["secp256k1"].spec)
	resident, _ := generate(t, from, p256)
	accept := func(name, print string) duplication {
		a := duplication{Key: made.Locator, Target: unknown.Target}
		a.Accept = &struct {
			Name        string `json:"name"`
			Fingerprint string `json:"fingerprint"`
		}{name, print}
		return a
	}
	stranger := strangerRoot(t)
	for name, c := range map[string]struct {
		a    duplication
		want string
	}{
		"no roots":                   {duplication{Key: made.Locator, Target: genuine.Target}, "no roots"},
		"another root":               {duplication{Key: made.Locator, Target: genuine.Target, Roots: stranger}, "endorsement certificate"},
		"no certificate":             {duplication{Key: made.Locator, Target: unknown.Target, Roots: stranger}, "no endorsement certificate"},
		"an exception for another":   {accept("lab", genuine.Fingerprint), "the exception is for"},
		"roots that are no PEM":      {duplication{Key: made.Locator, Target: genuine.Target, Roots: "x"}, "PEM"},
		"a key that the TPM made":    {withTarget(accept("lab", unknown.Fingerprint), resident.Locator), "cannot leave"},
		"a target that is not a TPM": {duplication{Key: made.Locator, Target: []byte("{}")}, "read target"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := do[duplicated](t, from, "duplicate", c.a)
			if err == nil || !strings.Contains(err.Error(), c.want) || r.Key != "" {
				t.Errorf("duplicate = %+v, %v; want an error with %q", r, err, c.want)
			}
		})
	}
	way := must[duplicated](t, from, "duplicate", accept("lab", unknown.Fingerprint))
	if !strings.Contains(way.Facts[0].Value, "test TPM") {
		t.Errorf("the exception is recorded as %+v", way.Facts)
	}
	there := must[backends.NewKey](t, bare, "import", importable{Key: way.Key})
	signs(t, find(t, bare, there.Locator), wrappedSpecs["secp256k1"].message)
}

func withTarget(a duplication, key string) duplication {
	a.Key = key
	return a
}

// strangerRoot is the PEM of an authority's root that has nothing to do with TPMs here.
func strangerRoot(t *testing.T) string {
	t.Helper()
	root, _ := manufactured(t, t.TempDir())
	block, _ := pem.Decode([]byte(root))
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return root
}

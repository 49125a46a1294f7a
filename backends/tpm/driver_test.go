package tpm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// authValue is the keys' in these tests.
const authValue = "8f2c6c0a1b7d4e5f9a3b2c1d0e4f5a6b"

// startTPM starts a TPM for a test. Its folder has a short path, for its socket.
func startTPM(t testing.TB) *sim.TPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	tpm, err := sim.StartTPM(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tpm.Kill(); err != nil {
			t.Error(err)
		}
	})
	return tpm
}

func newDriver(t testing.TB, s Settings) *driver {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDriver(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*driver)
}

// openTPM opens a driver and gives it the auth value.
func openTPM(t testing.TB, tpm *sim.TPM) *driver {
	t.Helper()
	return openWith(t, Settings{Device: tpm.Path()})
}

func openWith(t testing.TB, s Settings) *driver {
	t.Helper()
	d := newDriver(t, s)
	if _, err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := d.Login(t.Context(), []byte(authValue)); err != nil {
		t.Fatal(err)
	}
	return d
}

// foreign is a connection of another program.
func foreign(t testing.TB, tpm *sim.TPM) transport.TPM {
	t.Helper()
	link, err := linuxudstpm.Open(tpm.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link
}

func generate(t testing.TB, d *driver, spec backends.KeySpec) (backends.NewKey, backends.DeviceKey) {
	t.Helper()
	made, err := d.Generate(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return made, find(t, d, made.Locator)
}

func find(t testing.TB, d *driver, locator string) backends.DeviceKey {
	t.Helper()
	k, err := d.Find(t.Context(), locator)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var p256 = backends.KeySpec{Name: "test", Algorithm: signer.AlgorithmP256}

func message() signer.Message {
	return signer.Message{Scheme: signer.SchemeP256, Bytes: []byte("an unguessable 32 byte long hash")}
}

// signs has a key sign and checks the signature.
func signs(t testing.TB, k backends.DeviceKey, m signer.Message) {
	t.Helper()
	sig, err := k.Sign(t.Context(), m, nil)
	if err != nil {
		t.Fatalf("Sign with %s: %v", m.Scheme, err)
	}
	if err := verify(k.Facts().Public, m, sig); err != nil {
		t.Fatalf("Sign with %s returned %x: %v", m.Scheme, sig, err)
	}
}

// refuses checks that a key does not sign, and why.
func refuses(t testing.TB, k backends.DeviceKey, m signer.Message, want string) {
	t.Helper()
	sig, err := k.Sign(t.Context(), m, nil)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Sign error = %v, want one with %q", err, want)
	}
	if sig != nil {
		t.Errorf("a refusal came with the signature %x", sig)
	}
}

// left is what is in the TPM: transient objects and sessions.
func left(t testing.TB, tpm transport.TPM) (n int) {
	t.Helper()
	for _, first := range []uint32{0x80000000, 0x02000000, 0x03000000} {
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(tpm)
		if err != nil {
			t.Fatal(err)
		}
		list, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range list.Handle {
			if uint32(h)>>24 == first>>24 {
				n++
			}
		}
	}
	return n
}

func fact(s backends.State, name string) string {
	for _, f := range s.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func TestSettingsThatAreWrongAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ settings, want string }{
		"nothing":              {``, "EOF"},
		"no device":            {`{}`, "device is missing"},
		"a relative path":      {`{"device":"tpm0"}`, "not an absolute path"},
		"an unknown field":     {`{"device":"/dev/tpmrm0","pcr":[0]}`, "unknown field"},
		"something after it":   {`{"device":"/dev/tpmrm0"}{}`, "after the value"},
		"a short serial":       {`{"device":"/dev/tpmrm0","serial":"ab"}`, "32 hexadecimal"},
		"PCRs and nobody":      {`{"device":"/dev/tpmrm0","pcrs":[7]}`, "pcr_authority"},
		"a PCR that is none":   {`{"device":"/dev/tpmrm0","pcrs":[24]}`, "from 0 to 23"},
		"a PCR twice":          {`{"device":"/dev/tpmrm0","pcrs":[7,7]}`, "each once"},
		"an authority in jest": {`{"device":"/dev/tpmrm0","pcr_authority":"x"}`, "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := NewDriver(json.RawMessage(c.settings), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("NewDriver error = %v, want one with %q", err, c.want)
			}
			if d != nil {
				t.Error("a driver came back")
			}
		})
	}
}

func TestStateSaysWhatTheTPMIs(t *testing.T) {
	tpm := startTPM(t)
	d := newDriver(t, Settings{Device: tpm.Path()})
	s, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !s.NeedsPIN || s.TriesLeft != -1 || !strings.Contains(s.Device, "IBM") || !strings.Contains(s.Device, fact(s, "serial")) {
		t.Errorf("state = %+v", s)
	}
	for name, want := range map[string]string{"manufacturer": "IBM", "lockout": "no", "lockout counter": "0 of 3", "resource manager": "no", "specification": "TPM 2.0 revision 1.64"} {
		if got := fact(s, name); got != want {
			t.Errorf("fact %q is %q, want %q", name, got, want)
		}
	}
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "lockout hierarchy has no password") {
		t.Errorf("notes = %q", s.Notes)
	}
	if err := d.Login(t.Context(), []byte(authValue)); err != nil {
		t.Fatal(err)
	}
	if s, err = d.State(t.Context()); err != nil || s.NeedsPIN {
		t.Errorf("after Login, state = %+v, %v", s, err)
	}
}

func TestATPMThatIsNotTheConfiguredOneIsRefused(t *testing.T) {
	one, other := startTPM(t), startTPM(t)
	d := newDriver(t, Settings{Device: one.Path()})
	s, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for path, want := range map[string]string{one.Path(): "", other.Path(): "is configured"} {
		d := newDriver(t, Settings{Device: path, Serial: fact(s, "serial")})
		_, err := d.Open(t.Context())
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Open error = %v, want one with %q", err, want)
		}
		d.Close()
	}
}

func TestATPMThatIsNotThereIsGone(t *testing.T) {
	tpm := startTPM(t)
	if err := tpm.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"no socket": filepath.Join(t.TempDir(), "none"), "nobody behind it": tpm.Path()} {
		d := newDriver(t, Settings{Device: path})
		if _, err := d.Open(t.Context()); !errors.Is(err, backends.ErrGone) {
			t.Errorf("%s: Open error = %v, want gone", name, err)
		}
		d.Close()
	}
	d := newDriver(t, Settings{Device: "/dev/null"})
	if _, err := d.Open(t.Context()); err == nil {
		t.Error("/dev/null was opened as a TPM")
	}
	d.Close()
}

func TestAnAuthValueThatIsTooWeakIsNotUsed(t *testing.T) {
	d := newDriver(t, Settings{Device: startTPM(t).Path()})
	if _, err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for value, want := range map[string]string{
		"":                      "at least 16",
		"fifteen bytes..":       "at least 16",
		strings.Repeat("x", 33): "at most 32",
		"zero\x00in the middle": "zero byte",
	} {
		err := d.Login(t.Context(), []byte(value))
		if e, ok := errors.AsType[*backends.PINError](err); !ok || e.Sent || e.Left != -1 || !strings.Contains(e.Text, want) {
			t.Errorf("Login(%q) error = %v, want one with %q", value, err, want)
		}
		if strings.Contains(fmt.Sprint(err), "middle") {
			t.Errorf("the error has the auth value: %v", err)
		}
	}
	if s, err := d.State(t.Context()); err != nil || !s.NeedsPIN {
		t.Errorf("state = %+v, %v; want one that needs the auth value", s, err)
	}
	if _, err := d.Generate(t.Context(), p256); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Generate error = %v, want unavailable", err)
	}
}

func TestAKeyIsFoundBeforeLoginAndSignsAfter(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	made, _ := generate(t, d, p256)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = newDriver(t, Settings{Device: tpm.Path()})
	if _, err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	k := find(t, d, made.Locator)
	if got := k.Facts().Public.Fingerprint(); got != made.Facts.Public.Fingerprint() {
		t.Errorf("found %s, want %s", got, made.Facts.Public.Fingerprint())
	}
	refuses(t, k, message(), "auth value of its keys was not given")
	if err := d.Login(t.Context(), []byte(authValue)); err != nil {
		t.Fatal(err)
	}
	signs(t, k, message())
}

// A wrong auth value is noticed with the first key, is no try that counts, and the
// right one works right after.
func TestAWrongAuthValueCountsNoTry(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	made, k := generate(t, d, p256)
	for range 10 { // the TPM locks after 3
		if err := d.Login(t.Context(), []byte("another value of enough bytes")); err != nil {
			t.Fatal(err)
		}
		_, err := d.Find(t.Context(), made.Locator)
		if e, ok := errors.AsType[*backends.PINError](err); !ok || !e.Sent || e.Blocked || e.Left != -1 {
			t.Fatalf("Find error = %v, want that the auth value is wrong", err)
		}
		_, err = k.Sign(t.Context(), message(), nil)
		if e, ok := errors.AsType[*backends.PINError](err); !ok || !e.Sent {
			t.Fatalf("Sign error = %v, want that the auth value is wrong", err)
		}
	}
	s, err := d.State(t.Context())
	if err != nil || fact(s, "lockout counter") != "0 of 3" {
		t.Errorf("lockout counter is %q, %v", fact(s, "lockout counter"), err)
	}
	if err := d.Login(t.Context(), []byte(authValue)); err != nil {
		t.Fatal(err)
	}
	signs(t, k, message())
}

func TestOursKeepSigningWhileTheTPMIsInLockout(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	_, k := generate(t, d, p256)
	link := foreign(t, tpm)
	template := storageTemplate()
	template.ObjectAttributes.NoDA = false
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte("right")}}}}.Execute(link)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		_, err = tpm2.Create{ParentHandle: tpm2.AuthHandle{Handle: rsp.ObjectHandle, Name: rsp.Name, Auth: tpm2.PasswordAuth([]byte("wrong"))}, InPublic: tpm2.New2B(template)}.Execute(link)
	}
	if !errors.Is(err, tpm2.TPMRCLockout) {
		t.Fatalf("the TPM says %v, want lockout", err)
	}
	s, err := d.State(t.Context())
	if err != nil || fact(s, "lockout") != "yes" || fact(s, "lockout counter") != "3 of 3" || !strings.Contains(strings.Join(s.Notes, " "), "dictionary-attack lockout") {
		t.Errorf("state = %+v, %v; want lockout and what to do", s, err)
	}
	signs(t, k, message())
}

func TestManySignAtOnceAndWhoGivesUpWaitsNoLonger(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	_, k := generate(t, d, p256)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			sig, err := k.Sign(t.Context(), message(), nil)
			if err == nil {
				err = verify(k.Facts().Public, message(), sig)
			}
			if err != nil {
				t.Errorf("Sign: %v", err)
			}
		})
	}
	wg.Wait()
	<-d.turn
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sig, err := k.Sign(ctx, message(), nil)
	d.turn <- struct{}{}
	if signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
		t.Errorf("Sign = %x, %v; want unavailable", sig, err)
	}
	signs(t, k, message())
}

func TestCloseLeavesNothingBehindAndTwiceIsFine(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	for range 4 {
		_, k := generate(t, d, p256)
		signs(t, k, message())
	}
	link := foreign(t, tpm)
	if n := left(t, link); n == 0 {
		t.Error("nothing is loaded while the driver is open, so the test shows nothing")
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if n := left(t, link); n != 0 {
		t.Errorf("%d objects and sessions were left", n)
	}
	if _, err := d.State(t.Context()); err == nil {
		t.Error("a closed driver has a state")
	}
}

package pkcs11_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// What the tests share. SoftHSM has one configuration for a process, so all
// tokens are made before it is loaded; and a process initialises a module once, so
// no tests run in parallel.
var (
	token  *sim.SoftHSMToken
	faults *sim.Faults // a module in front of SoftHSM
	folder string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if err := setUp(); err != nil {
			fmt.Fprintln(os.Stderr, "simulator:", err)
			return 1
		}
		defer os.RemoveAll(folder)
		return m.Run()
	}())
}

func setUp() (err error) {
	if folder, err = os.MkdirTemp("", "sealward-pkcs11-"); err != nil {
		return err
	}
	for _, label := range []string{"twin", "twin", "hot wallet"} {
		if token, err = sim.SoftHSM(folder, label, "1234"); err != nil {
			return err
		}
	}
	if err := token.Use(); err != nil {
		return err
	}
	faults, err = sim.NewFaults(folder, token.Module)
	return err
}

// clock is one that tests set.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c.now.Store(&start)
	return c
}

func (c *clock) Now() time.Time { return *c.now.Load() }

func (c *clock) advance(d time.Duration) {
	later := c.Now().Add(d)
	c.now.Store(&later)
}

func pin(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

func config() pkcs11.Config {
	return pkcs11.Config{Name: "hsm", Module: token.Module, TokenURI: token.URI, PIN: pin("1234"), Timeout: 10 * time.Second}
}

// faulty is a configuration for the module that fails on demand.
func faulty(t testing.TB) pkcs11.Config {
	t.Helper()
	if err := faults.Reset(); err != nil {
		t.Fatal(err)
	}
	c := config()
	c.Module = faults.Module
	return c
}

func open(t testing.TB, c pkcs11.Config) *pkcs11.Token {
	t.Helper()
	tok, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	})
	return tok
}

var keys atomic.Uint32

// generate makes a key with a label and an id of its own.
func generate(t testing.TB, tok *pkcs11.Token, a signer.Algorithm) *pkcs11.Key {
	t.Helper()
	n := keys.Add(1)
	k, err := tok.Generate(t.Context(), fmt.Sprintf("key %d", n), []byte{0xa0, byte(n >> 8), byte(n)}, a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rawSession opens a session of the test's own on the token, while a Token has
// the module initialised and is logged in.
func rawSession(t *testing.T, module string) (*raw.Ctx, uint, raw.SessionHandle) {
	t.Helper()
	mod := raw.New(module)
	if mod == nil {
		t.Fatalf("%s is not a module", module)
	}
	t.Cleanup(mod.Destroy)
	slots, err := mod.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if info, err := mod.GetTokenInfo(slot); err == nil && info.Label == token.Label {
			s, err := mod.OpenSession(slot, raw.CKF_SERIAL_SESSION|raw.CKF_RW_SESSION)
			if err != nil {
				t.Fatal(err)
			}
			return mod, slot, s
		}
	}
	t.Fatalf("no token %q", token.Label)
	return nil, 0, 0
}

// rawKey makes a P-256 key pair in the token, with what is given beside or instead
// of what a good key has.
func rawKey(t *testing.T, label string, id []byte, private map[uint]any) {
	t.Helper()
	mod, _, s := rawSession(t, token.Module)
	p256, err := hex.DecodeString("06082a8648ce3d030107")
	if err != nil {
		t.Fatal(err)
	}
	attrs := map[uint]any{raw.CKA_TOKEN: true, raw.CKA_SIGN: true, raw.CKA_PRIVATE: true, raw.CKA_SENSITIVE: true, raw.CKA_EXTRACTABLE: false, raw.CKA_LABEL: label, raw.CKA_ID: id}
	for a, v := range private {
		attrs[a] = v
	}
	var template []*raw.Attribute
	for a, v := range attrs {
		template = append(template, raw.NewAttribute(a, v))
	}
	public := []*raw.Attribute{
		raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_VERIFY, true), raw.NewAttribute(raw.CKA_EC_PARAMS, p256),
		raw.NewAttribute(raw.CKA_LABEL, label), raw.NewAttribute(raw.CKA_ID, id),
	}
	if _, _, err := mod.GenerateKeyPair(s, []*raw.Mechanism{raw.NewMechanism(raw.CKM_EC_KEY_PAIR_GEN, nil)}, public, template); err != nil {
		t.Fatal(err)
	}
	if err := mod.CloseSession(s); err != nil {
		t.Fatal(err)
	}
}

func calls(t *testing.T, fn sim.Function) uint64 {
	t.Helper()
	n, err := faults.Calls(fn)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func fail(t *testing.T, fn sim.Function, code uint, times uint64) {
	t.Helper()
	if err := faults.Fail(fn, code, times); err != nil {
		t.Fatal(err)
	}
}

// write puts a file into a folder of the test's own.
func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

package pkcs11_test

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
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

// host is the owner of the worker, as far as a driver sees it: it counts tries, and
// decides as its test says.
type host struct {
	mu     sync.Mutex
	lefts  []int   // what TryPIN was told; owned by mu
	ends   []error // what became of the tries; owned by mu
	refuse error   // what TryPIN says instead of trying
}

func (h *host) TryPIN(_ context.Context, left int, send func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lefts = append(h.lefts, left)
	if h.refuse != nil {
		return h.refuse
	}
	err := send()
	h.ends = append(h.ends, err)
	return err
}

func (h *host) tries() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lefts)
}

func settings() pkcs11.Settings {
	return pkcs11.Settings{Module: token.Module, URI: token.URI, Sessions: 8}
}

// faulty are settings for the module that fails on demand.
func faulty(t testing.TB) pkcs11.Settings {
	t.Helper()
	if err := faults.Reset(); err != nil {
		t.Fatal(err)
	}
	s := settings()
	s.Module = faults.Module
	return s
}

func newDriver(t testing.TB, s any, h backends.Host) (backends.Driver, error) {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return pkcs11.NewDriver(data, h)
}

// open opens a token without its PIN.
func open(t testing.TB, s pkcs11.Settings, h backends.Host) backends.Driver {
	t.Helper()
	d, err := newDriver(t, s, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// login opens a token and logs in.
func login(t testing.TB, s pkcs11.Settings) backends.Driver {
	t.Helper()
	d := open(t, s, &host{})
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Fatal(err)
	}
	return d
}

var keys atomic.Uint32

// spec is one for a key with a name of its own.
func spec(a signer.Algorithm) backends.KeySpec {
	k := backends.KeySpec{Name: fmt.Sprintf("key %d", keys.Add(1)), Algorithm: a}
	if a == signer.AlgorithmRSA {
		k.Bits = 2048
	}
	return k
}

// generate makes a key.
func generate(t testing.TB, d backends.Driver, a signer.Algorithm) backends.NewKey {
	t.Helper()
	k, err := d.(backends.Generator).Generate(t.Context(), spec(a))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func find(t testing.TB, d backends.Driver, locator string) backends.DeviceKey {
	t.Helper()
	k, err := d.Find(t.Context(), locator)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newKey makes a key and finds it.
func newKey(t testing.TB, d backends.Driver, a signer.Algorithm) backends.DeviceKey {
	t.Helper()
	return find(t, d, generate(t, d, a).Locator)
}

// schemes are those that a key of an algorithm signs with.
func schemes(a signer.Algorithm) []signer.Scheme {
	switch a {
	case signer.AlgorithmSecp256k1:
		return []signer.Scheme{signer.SchemeSecp256k1}
	case signer.AlgorithmP256:
		return []signer.Scheme{signer.SchemeP256}
	case signer.AlgorithmP384:
		return []signer.Scheme{signer.SchemeP384}
	case signer.AlgorithmP521:
		return []signer.Scheme{signer.SchemeP521}
	case signer.AlgorithmEd25519:
		return []signer.Scheme{signer.SchemeEd25519}
	}
	return []signer.Scheme{
		signer.SchemePSSSHA256, signer.SchemePSSSHA384, signer.SchemePSSSHA512,
		signer.SchemePKCS1SHA256, signer.SchemePKCS1SHA384, signer.SchemePKCS1SHA512,
	}
}

// message is a text, hashed as a scheme wants it.
func message(s signer.Scheme, text string) signer.Message {
	f, _ := s.Facts()
	sum := sha512.Sum512([]byte(text))
	if f.Prehash == 0 {
		return signer.Message{Scheme: s, Bytes: []byte(text)}
	}
	return signer.Message{Scheme: s, Bytes: sum[:f.Prehash]}
}

// sign signs a text and verifies the signature.
func sign(t testing.TB, k backends.DeviceKey, text string) error {
	t.Helper()
	for _, s := range schemes(k.Facts().Public.Algorithm) {
		m := message(s, text)
		raw, err := k.Sign(t.Context(), m, func(signer.Notice) {})
		if err != nil {
			if raw != nil {
				t.Errorf("Sign returned %x with its error", raw)
			}
			return err
		}
		var v scheme.Verifier
		if _, err := v.Finish(k.Facts().Public, m, raw); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	return nil
}

func mustSign(t testing.TB, k backends.DeviceKey, text string) {
	t.Helper()
	if err := sign(t, k, text); err != nil {
		t.Errorf("Sign: %v", err)
	}
}

// rawSession opens a session of the test's own on the token, while a driver has
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

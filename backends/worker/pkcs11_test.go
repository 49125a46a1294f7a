package worker_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// module is a PKCS#11 module with a token, as the tests here need it.
type module struct {
	path, uri, label, pin string
	env                   []string
	write                 []string // folders and files that the module writes to
	network               bool
}

func (m module) config(t *testing.T) backends.Config {
	t.Helper()
	settings, err := json.Marshal(pkcs11.Settings{Module: m.path, URI: m.uri, Sessions: 4})
	if err != nil {
		t.Fatal(err)
	}
	return backends.Config{
		Name: "hsm", Driver: "pkcs11", Settings: settings, Worker: []string{program}, Environment: m.env,
		Confinement: backends.Confinement{Read: []string{filepath.Dir(m.path)}, Write: m.write, Network: m.network},
	}
}

// withToken calls f with a token that is open and logged in for as long.
func (m module) withToken(t *testing.T, f func(*backends.Token)) {
	t.Helper()
	c := m.config(t)
	c.PIN, c.PINMark = func() ([]byte, error) { return []byte(m.pin), nil }, filepath.Join(t.TempDir(), "mark")
	token, err := backends.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	}()
	if h := token.Health(); !h.Up {
		t.Fatalf("health = %+v", h)
	}
	f(token)
}

// generate makes keys, and returns their locators by what they are.
func (m module) generate(t *testing.T, specs ...backends.KeySpec) map[string]string {
	t.Helper()
	made := map[string]string{}
	m.withToken(t, func(token *backends.Token) {
		for _, s := range specs {
			s.Name = string(s.Algorithm)
			k, err := token.Generate(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			made[s.Name] = k.Locator
		}
	})
	return made
}

var swappedKey = backends.KeySpec{Name: "swapped", Algorithm: signer.AlgorithmP256, Options: map[string]string{"id": "99"}}

func (m module) makeSwapped(t *testing.T) (locator string) {
	t.Helper()
	m.withToken(t, func(token *backends.Token) {
		k, err := token.Generate(t.Context(), swappedKey)
		if err != nil {
			t.Fatal(err)
		}
		locator = k.Locator
	})
	return locator
}

// swap removes the key with a foreign tool and makes another in its place.
func (m module) swap(t *testing.T, _ string) {
	t.Helper()
	for _, kind := range []string{"privkey", "pubkey"} {
		cmd := exec.Command("pkcs11-tool", "--module", m.path, "--token-label", m.label, "--login", "--pin", m.pin, "--delete-object", "--type", kind, "--id", "99")
		cmd.Env = append(os.Environ(), m.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("pkcs11-tool (is opensc installed? run `make deps`): %v: %s", err, out)
		}
	}
	m.makeSwapped(t)
}

// must makes a function of a fixture of one that may fail.
func must(all ...func() error) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, f := range all {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func newSoftHSM(t *testing.T) (*sim.SoftHSMToken, module) {
	t.Helper()
	token, err := sim.SoftHSM(t.TempDir(), "hot wallet", "271828")
	if err != nil {
		t.Fatal(err)
	}
	return token, module{path: token.Module, uri: token.URI, label: token.Label, pin: token.PIN, env: []string{token.Env()}, write: []string{filepath.Dir(token.Conf)}}
}

// everyAlgorithm is a key for each, in the order in which they are made.
var everyAlgorithm = []backends.KeySpec{
	{Algorithm: signer.AlgorithmSecp256k1}, {Algorithm: signer.AlgorithmP256}, {Algorithm: signer.AlgorithmP384}, {Algorithm: signer.AlgorithmP521},
	{Algorithm: signer.AlgorithmEd25519}, {Algorithm: signer.AlgorithmRSA, Bits: 2048},
}

// SoftHSM behind the module that fails on demand. It has no process that could be
// killed: what happens to the device, the module in front of it says.
func TestSoftHSM(t *testing.T) {
	token, m := newSoftHSM(t)
	faults, err := sim.NewFaults(filepath.Dir(token.Conf), token.Module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := faults.Close(); err != nil {
			t.Error(err)
		}
	})
	m.path, m.env = faults.Module, append(m.env, faults.Env...)
	fail := func(f sim.Function, code uint, times uint64) func() error {
		return func() error { return faults.Fail(f, code, times) }
	}
	do := func(f sim.Function, d sim.Deed) func() error {
		return func() error { return faults.Do(f, d, always) }
	}
	backendtest.RunDevice(t, backendtest.Device{
		Config: m.config, PIN: token.PIN, WrongPIN: "314159", Locators: m.generate(t, everyAlgorithm...),
		Sent: func(t *testing.T) int {
			n, err := faults.Calls(sim.Login)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		},
		Remove:  must(fail(sim.Initialize, raw.CKR_DEVICE_REMOVED, always), fail(sim.SignInit, raw.CKR_DEVICE_REMOVED, always)),
		Restore: must(fail(sim.Initialize, 0, 0), fail(sim.SignInit, 0, 0)),
		Stop:    must(do(sim.Initialize, sim.Hang), do(sim.Sign, sim.Hang)), Continue: must(fail(sim.Initialize, 0, 0), fail(sim.Sign, 0, 0)),
		Exhaust: must(fail(sim.OpenSession, raw.CKR_SESSION_COUNT, always)), Release: must(fail(sim.OpenSession, 0, 0)),
		MakeSwapped: m.makeSwapped, Swap: m.swap,
	})
}

const always = 1 << 40

// p11-kit's server in front of SoftHSM: the device is another process. It passes on
// no Ed25519.
func TestP11KitServer(t *testing.T) {
	token, m := newSoftHSM(t)
	server, err := sim.NewServer(t.TempDir(), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
	})
	m.path, m.env, m.write = server.Module, []string{server.Env()}, []string{filepath.Dir(server.Socket())}
	keys := []backends.KeySpec{everyAlgorithm[0], everyAlgorithm[1], everyAlgorithm[5]}
	backendtest.RunDevice(t, backendtest.Device{
		Config: m.config, PIN: token.PIN, WrongPIN: "314159", Locators: m.generate(t, keys...),
		Remove: must(server.Kill), Restore: must(server.Start),
		Kill: must(server.Kill), Restart: must(server.Start),
		Stop: must(server.Pause), Continue: must(server.Resume),
		MakeSwapped: m.makeSwapped, Swap: m.swap,
	})
}

// ykcs11 in front of a virtual PIV card: a module that has nothing in common with
// SoftHSM, and a key that wants its PIN before every signature.
func TestYKCS11(t *testing.T) {
	token, err := sim.NewPIVToken(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Reader.Stop(); err != nil {
			t.Error(err)
		}
	})
	m := module{path: token.Module, uri: token.URI, label: token.Label, pin: token.PIN, env: token.Env, write: []string{filepath.Dir(token.Reader.Socket())}}
	locators := map[string]string{}
	for a, uri := range token.KeyURIs {
		locators[string(a)] = uri
	}
	backendtest.RunDevice(t, backendtest.Device{
		Config: m.config, PIN: token.PIN, WrongPIN: "314159", Locators: locators,
		Left:    func(*testing.T) int { left, _ := token.Card.Tries(); return left },
		Remove:  must(func() error { return token.Reader.Remove(token.Card) }),
		Restore: must(func() error { return token.Reader.Insert(token.Card) }),
		Kill:    must(token.Reader.Kill), Restart: must(token.Reader.Restart),
		Stop:     must(func() error { return syscall.Kill(token.Reader.PID(), syscall.SIGSTOP) }),
		Continue: must(func() error { return syscall.Kill(token.Reader.PID(), syscall.SIGCONT) }),
	})
}

// tpm2-pkcs11 in front of a TPM, a second such module. It pads RSA-PSS by itself or
// not at all, cannot use its own P-521 keys, and has room for one key where there is
// no resource manager.
func TestTPM2PKCS11(t *testing.T) {
	token, err := sim.NewTPMToken(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.TPM.Kill(); err != nil {
			t.Error(err)
		}
	})
	m := module{path: token.Module, uri: token.URI, label: token.Label, pin: token.PIN, env: token.Env, write: []string{token.Store, filepath.Dir(token.TPM.Path())}}
	backendtest.RunDevice(t, backendtest.Device{
		Config: m.config, PIN: token.PIN, WrongPIN: "314159", Locators: map[string]string{"p256": token.KeyURI},
		NoCrashes: true,
		Kill:      must(token.TPM.Kill), Restart: must(token.TPM.Start),
	})
}

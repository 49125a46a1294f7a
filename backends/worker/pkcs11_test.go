package worker_test

import (
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

// ofModule is a PKCS#11 token behind a module, which needs variables and folders or
// files to write to.
func ofModule(path, uri, pin string, environment []string, write ...string) device {
	return device{
		driver: "pkcs11", settings: pkcs11.Settings{Module: path, URI: uri, Sessions: 4}, pin: pin, environment: environment,
		confinement: backends.Confinement{Read: []string{filepath.Dir(path)}, Write: write},
	}
}

func newSoftHSM(t *testing.T) *sim.SoftHSMToken {
	t.Helper()
	token, err := sim.SoftHSM(t.TempDir(), "hot wallet", "271828")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

var swappedByID = swapped(map[string]string{"id": "99"})

// swapping removes the key with a foreign tool and makes another in its place.
func (d device) swapping(module, label string) func(*testing.T, string) {
	return func(t *testing.T, _ string) {
		t.Helper()
		for _, kind := range []string{"privkey", "pubkey"} {
			cmd := exec.Command("pkcs11-tool", "--module", module, "--token-label", label, "--login", "--pin", d.pin, "--delete-object", "--type", kind, "--id", "99")
			cmd.Env = append(os.Environ(), d.environment...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("pkcs11-tool (is opensc installed? run `make deps`): %v: %s", err, out)
			}
		}
		d.making(swappedByID)(t)
	}
}

// everyAlgorithm is a key for each, in the order in which they are made.
var everyAlgorithm = []backends.KeySpec{
	{Name: "secp256k1", Algorithm: signer.AlgorithmSecp256k1}, {Name: "p256", Algorithm: signer.AlgorithmP256}, {Name: "p384", Algorithm: signer.AlgorithmP384},
	{Name: "p521", Algorithm: signer.AlgorithmP521}, {Name: "ed25519", Algorithm: signer.AlgorithmEd25519}, {Name: "rsa", Algorithm: signer.AlgorithmRSA, Bits: 2048},
}

// SoftHSM behind the module that fails on demand. It has no process that could be
// killed: what happens to the device, the module in front of it says.
func TestSoftHSM(t *testing.T) {
	token := newSoftHSM(t)
	faults, err := sim.NewFaults(filepath.Dir(token.Conf), token.Module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := faults.Close(); err != nil {
			t.Error(err)
		}
	})
	d := ofModule(faults.Module, token.URI, token.PIN, append(faults.Env, token.Env()), filepath.Dir(token.Conf))
	fail := func(f sim.Function, code uint, times uint64) func() error {
		return func() error { return faults.Fail(f, code, times) }
	}
	do := func(f sim.Function, d sim.Deed) func() error {
		return func() error { return faults.Do(f, d, always) }
	}
	backendtest.RunDevice(t, backendtest.Device{
		Config: d.config, PIN: token.PIN, WrongPIN: "314159", Locators: d.generate(t, everyAlgorithm...),
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
		MakeSwapped: d.making(swappedByID), Swap: d.swapping(faults.Module, token.Label),
	})
}

const always = 1 << 40

// p11-kit's server in front of SoftHSM: the device is another process. It passes on
// no Ed25519.
func TestP11KitServer(t *testing.T) {
	token := newSoftHSM(t)
	server, err := sim.NewServer(t.TempDir(), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
	})
	d := ofModule(server.Module, token.URI, token.PIN, []string{server.Env()}, filepath.Dir(server.Socket()))
	keys := []backends.KeySpec{everyAlgorithm[0], everyAlgorithm[1], everyAlgorithm[5]}
	backendtest.RunDevice(t, backendtest.Device{
		Config: d.config, PIN: token.PIN, WrongPIN: "314159", Locators: d.generate(t, keys...),
		Remove: must(server.Kill), Restore: must(server.Start),
		Kill: must(server.Kill), Restart: must(server.Start),
		Stop: must(server.Pause), Continue: must(server.Resume),
		MakeSwapped: d.making(swappedByID), Swap: d.swapping(server.Module, token.Label),
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
	d := ofModule(token.Module, token.URI, token.PIN, token.Env, filepath.Dir(token.Reader.Socket()))
	locators := map[string]string{}
	for a, uri := range token.KeyURIs {
		locators[string(a)] = uri
	}
	backendtest.RunDevice(t, backendtest.Device{
		Config: d.config, PIN: token.PIN, WrongPIN: "314159", Locators: locators,
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
	d := ofModule(token.Module, token.URI, token.PIN, token.Env, token.Store, filepath.Dir(token.TPM.Path()))
	backendtest.RunDevice(t, backendtest.Device{
		Config: d.config, PIN: token.PIN, WrongPIN: "314159", Locators: map[string]string{"p256": token.KeyURI},
		NoCrashes: true,
		Kill:      must(token.TPM.Kill), Restart: must(token.TPM.Start),
	})
}

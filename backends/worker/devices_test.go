package worker_test

import (
	"encoding/json"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/backends/piv"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/backends/tpm"
	"github.com/sealward/sealward/signer"
)

// device is one that the daemon's own drivers know, as the tests here need it.
type device struct {
	driver      string
	settings    any
	pin         string
	environment []string
	confinement backends.Confinement
}

func (d device) config(t *testing.T) backends.Config {
	t.Helper()
	settings, err := json.Marshal(d.settings)
	if err != nil {
		t.Fatal(err)
	}
	return backends.Config{
		Name: d.driver, Driver: d.driver, Settings: settings, Worker: []string{program},
		Environment: d.environment, Confinement: d.confinement,
	}
}

// generate makes keys, and returns their locators by the names in their specs.
func (d device) generate(t *testing.T, specs ...backends.KeySpec) map[string]string {
	t.Helper()
	c := d.config(t)
	c.PIN, c.PINMark = func() ([]byte, error) { return []byte(d.pin), nil }, filepath.Join(t.TempDir(), "mark")
	token, err := backends.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	}()
	made := map[string]string{}
	for _, s := range specs {
		k, err := token.Generate(t.Context(), s)
		if err != nil {
			t.Fatalf("generate %s: %v; health is %+v", s.Name, err, token.Health())
		}
		made[s.Name] = k.Locator
	}
	return made
}

// making makes a key of one spec, for a test that will have it swapped.
func (d device) making(spec backends.KeySpec) func(*testing.T) (locator string) {
	return func(t *testing.T) string {
		t.Helper()
		return d.generate(t, spec)[spec.Name]
	}
}

// swapped is the key that another takes the place of.
func swapped(options map[string]string) backends.KeySpec {
	return backends.KeySpec{Name: "swapped", Algorithm: signer.AlgorithmP256, Options: options}
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

// A TPM through the TPM driver, with the curves that it has, RSA, and those that are
// sealed to it. Its keys are exempt from lockout, so no wrong auth value is counted;
// that it is refused, the driver's own tests show.
func TestTPM(t *testing.T) {
	chip, err := sim.StartTPM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chip.Kill(); err != nil {
			t.Error(err)
		}
	})
	d := device{
		driver: "tpm", settings: tpm.Settings{Device: chip.Path()}, pin: "an auth value of 32 random bytes",
		confinement: backends.Confinement{Devices: []string{chip.Path()}},
	}
	backendtest.RunDevice(t, backendtest.Device{
		Config: d.config, PIN: d.pin, Locators: d.generate(t,
			backends.KeySpec{Name: "p256", Algorithm: signer.AlgorithmP256}, backends.KeySpec{Name: "p384", Algorithm: signer.AlgorithmP384},
			backends.KeySpec{Name: "rsa", Algorithm: signer.AlgorithmRSA, Bits: 2048},
			backends.KeySpec{Name: "secp256k1", Algorithm: signer.AlgorithmSecp256k1, Wrapped: true}, backends.KeySpec{Name: "ed25519", Algorithm: signer.AlgorithmEd25519, Wrapped: true},
		),
		Kill: must(chip.Kill), Restart: must(chip.Start),
		Stop:     must(func() error { return syscall.Kill(chip.PID(), syscall.SIGSTOP) }),
		Continue: must(func() error { return syscall.Kill(chip.PID(), syscall.SIGCONT) }),
	})
}

// The virtual card through the PIV driver.
func TestPIV(t *testing.T) {
	reader, err := sim.StartReader(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.Stop(); err != nil {
			t.Error(err)
		}
	})
	card, err := pivcard.New(pivcard.Config{Serial: 4711})
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Insert(card); err != nil {
		t.Fatal(err)
	}
	d := device{
		driver: "piv", settings: piv.Settings{Serial: 4711, Socket: reader.Socket()}, pin: "123456",
		confinement: backends.Confinement{Write: []string{filepath.Dir(reader.Socket())}},
	}
	slot := func(s string) map[string]string { return map[string]string{"slot": s} }
	d.generate(t, backends.KeySpec{Name: "another", Algorithm: signer.AlgorithmP256, Options: slot("95")})
	backendtest.RunDevice(t, backendtest.Device{
		Config: d.config, PIN: d.pin, WrongPIN: "314159", Locators: d.generate(t,
			backends.KeySpec{Name: "p256", Algorithm: signer.AlgorithmP256, Options: slot("9a")}, backends.KeySpec{Name: "p384", Algorithm: signer.AlgorithmP384, Options: slot("9c")},
			backends.KeySpec{Name: "rsa", Algorithm: signer.AlgorithmRSA, Bits: 2048, Options: slot("9d")}, backends.KeySpec{Name: "ed25519", Algorithm: signer.AlgorithmEd25519, Options: slot("82")},
		),
		Left:    func(*testing.T) int { left, _ := card.Tries(); return left },
		Remove:  must(func() error { return reader.Remove(card) }),
		Restore: must(func() error { return reader.Insert(card) }),
		Kill:    must(reader.Kill), Restart: must(reader.Restart),
		Stop:        must(func() error { return syscall.Kill(reader.PID(), syscall.SIGSTOP) }),
		Continue:    must(func() error { return syscall.Kill(reader.PID(), syscall.SIGCONT) }),
		MakeSwapped: d.making(swapped(slot("94"))),
		Swap: func(t *testing.T, _ string) {
			if err := card.Swap(0x94, 0x95); err != nil {
				t.Fatal(err)
			}
		},
	})
}

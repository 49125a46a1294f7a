package worker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// program is the worker as it is shipped.
var program string

func TestMain(m *testing.M) {
	os.Exit(build(m.Run))
}

// build builds the program, without the race detector, which costs memory.
func build(run func() int) int {
	dir, err := os.MkdirTemp("", "worker")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "sealward-worker")
	out, err := exec.Command("go", "build", "-o", program, "github.com/sealward/sealward/cmd/sealward-worker").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the worker: %v: %s\n", err, out)
		return 1
	}
	return run()
}

// hsm describes a SoftHSM token in a folder of its own.
func hsm(t *testing.T) backends.Config {
	t.Helper()
	dir := t.TempDir()
	token, err := sim.SoftHSM(filepath.Join(dir, "softhsm"), "worker", "271828")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(pkcs11.Settings{Module: token.Module, URI: token.URI})
	if err != nil {
		t.Fatal(err)
	}
	return backends.Config{
		Name: "hsm", Driver: "pkcs11", Settings: settings, Worker: []string{program},
		Confinement: backends.Confinement{Write: []string{filepath.Dir(token.Conf)}}, Environment: []string{token.Env()},
		PIN: func() ([]byte, error) { return []byte(token.PIN), nil }, PINMark: filepath.Join(dir, "mark"),
	}
}

func TestARealLibrarySignsInTheWorker(t *testing.T) {
	tok, err := backends.Start(t.Context(), hsm(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	})
	if h := tok.Health(); !h.Up {
		t.Fatalf("health = %+v", h)
	}
	made, err := tok.Generate(t.Context(), backends.KeySpec{Name: "key", Algorithm: signer.AlgorithmP256})
	if err != nil {
		t.Fatal(err)
	}
	key, err := tok.Find(t.Context(), made.Locator)
	if err != nil {
		t.Fatal(err)
	}
	door := backendtest.NewDoor(t, key, 0)
	m := signer.Message{Scheme: signer.SchemeP256, Bytes: bytes.Repeat([]byte{7}, 32)}
	for range 100 {
		if _, err := door.Sign(t.Context(), m); err != nil { // which verifies it
			t.Fatal(err)
		}
	}
	if kib := resident(t, tok.Health().WorkerPID); kib > 32<<10 {
		t.Errorf("the worker uses %d KiB; want at most 32 MiB", kib)
	}
}

// resident is how much memory a process uses.
func resident(t *testing.T, pid int) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(status), "\nVmHWM:")
	if _, err := fmt.Sscan(rest, &kib); !ok || err != nil {
		t.Fatalf("VmHWM of %s: %v", status, err)
	}
	t.Logf("peak memory of a worker: %d KiB", kib)
	return kib
}

func TestAWorkerHasNoOtherDrivers(t *testing.T) {
	for _, driver := range []string{"scripted", "echo", "PKCS11"} {
		c := hsm(t)
		c.Driver = driver
		tok, err := backends.Start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if h := tok.Health(); h.Up || !strings.Contains(h.Reason, "no driver") {
			t.Errorf("health = %+v", h)
		}
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// roleVar makes the test binary the daemon, so that what runs in the tests is main
// as it is, with the race detector and with coverage if the tests have them.
const roleVar = "SEALWARD_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVar) == "daemon" {
		go func() { // a daemon must not outlive its test, however that ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		main()
	}
	if os.Getenv(hardenRole) != "" {
		os.Exit(m.Run()) // as one of the processes of harden_test.go
	}
	// A program with the race detector waits a second before it ends.
	if err := os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")); err != nil {
		panic(err)
	}
	testscript.Main(withKit{m}, map[string]func(){"sealwardd": main})
}

// withKit removes at the end what tests shared.
type withKit struct{ *testing.M }

func (w withKit) Run() int {
	code := w.M.Run()
	for _, dir := range kitDirs {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// kitDirs are the folders of what is below. Guarded by kitLock.
var (
	kitLock sync.Mutex
	kitDirs []string
)

// sharedDir makes a folder that is there until all tests are through, and that
// every account may enter.
func sharedDir(name string) (string, error) {
	dir, err := os.MkdirTemp("", "sealwardd-"+name+"-")
	if err != nil {
		return "", err
	}
	kitLock.Lock()
	kitDirs = append(kitDirs, dir)
	kitLock.Unlock()
	return dir, os.Chmod(dir, 0o755)
}

// pin is of a software token. It is like nothing else in a log, so that it can be
// looked for.
const pin = "pin-7351-9462"

// token is a SoftHSM token with the keys hot, cold and journal. Each test works on
// a copy of its folder.
type token struct {
	dir, module, uri string
	address          string // of hot
}

var makeToken = sync.OnceValues(func() (token, error) {
	dir, err := sharedDir("token")
	if err != nil {
		return token{}, err
	}
	soft, err := sim.SoftHSM(filepath.Join(dir, "softhsm"), "e2e", pin)
	if err != nil {
		return token{}, err
	}
	t := token{dir: filepath.Join(dir, "softhsm"), module: soft.Module, uri: soft.URI}
	bin, err := buildPrograms()
	if err != nil {
		return token{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	made, err := soft.MakeKeys(ctx, filepath.Join(bin, workerName), filepath.Join(dir, "mark"), []sim.KeyToMake{
		{Label: "hot", Algorithm: signer.AlgorithmSecp256k1}, {Label: "cold", Algorithm: signer.AlgorithmSecp256k1},
		{Label: "journal", Algorithm: signer.AlgorithmEd25519}, {Label: "spare", Algorithm: signer.AlgorithmEd25519},
	})
	if err != nil {
		return token{}, err
	}
	t.address, err = evm.Address(made["hot"])
	return t, err
})

// buildPrograms builds the command line and the worker, the way the tests were built,
// into a folder from which every account may run them.
var buildPrograms = sync.OnceValues(func() (dir string, err error) {
	if dir, err = sharedDir("bin"); err != nil {
		return "", err
	}
	args := []string{"build", "-o", dir}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race") // what the other tests compiled is used again
			}
		}
	}
	out, err := exec.Command("go", append(args, "../sealward", "../sealward-worker")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build ../sealward ../sealward-worker: %w\n%s", err, out)
	}
	return dir, nil
})

// nodeTools is the folder of the packages for Node.
func nodeTools(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../tools/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the node and the wallet library that this test talks to are not installed; run make deps: %v", err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func contains(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("%s = %q, want it to contain %q", what, text, w)
		}
	}
}

// patience is how long a test waits for what takes a second at worst.
const patience = 60 * time.Second

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", patience, what)
}

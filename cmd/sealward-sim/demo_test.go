package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// The demonstration is the first thing that a newcomer runs. It checks what it shows,
// and must leave nothing behind.
func TestDemo(t *testing.T) {
	bin, tmp := t.TempDir(), t.TempDir()
	args := []string{"build", "-o", bin}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race") // what the other tests compiled is used again
			}
		}
	}
	if out, err := exec.Command("go", append(args, "../sealwardd", "../sealward", "../sealward-worker")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Setenv("TMPDIR", tmp)
	var out bytes.Buffer
	if err := demo(bin, &out); err != nil {
		t.Fatalf("demo: %v\n%s", err, out.String())
	}
	for _, want := range []string{"SENDS    0.1 ether", "That is our key", "denied: ", "standing token permissions are not allowed", "chmod go-w", `did you mean "counterparty"`, "intact",
		`valid under the public key of "soft"`, `valid under the public key of "chip"`, `valid under the public key of "card"`, "PIV card 4711", "TPM 2.0 by IBM",
		"is tried again after", "there is no card in the reader", "signed with key card",
		"it waits", "(Acme Hosting)", "approved by bob", "signed with key treasury", "does not trust its policy file", "who may approve: carol", "sealward: frozen: ", "approved by carol",
		"3 asked people or patience, of which 0 wait; 6 approvals"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %q behind, %v", left, err)
	}
	for _, of := range []string{filepath.Join(bin, "sealward"), tmp} { // the programs, and the devices
		pgrep := exec.Command("pgrep", "-f", of)
		pids, err := pgrep.Output()
		if pgrep.ProcessState == nil {
			t.Fatalf("pgrep is not installed; run make deps: %v", err)
		}
		if code := pgrep.ProcessState.ExitCode(); code != 1 || len(pids) > 0 { // 1: none found
			t.Errorf("pgrep ends with %d, and finds %q still running", code, pids)
		}
	}
}

// What a newcomer tries by hand.
func TestTheTreasuryOfATryOutSetUpIsReadyToBeUsed(t *testing.T) {
	bin, dir := built(t, "sealwardd", "sealward", "sealward-worker"), filepath.Join(short(t), "try")
	if err := initialise(bin, dir); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := &office{show: &show{ctx: t.Context(), out: &out, bin: bin, dir: dir}}
	if err := o.startDaemon(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.stopDaemon(); err != nil {
			t.Error(err)
		}
	}()
	ask := []string{"sign", "--kind", "evm.transaction", "--key", "treasury", "--id", "1", o.example("treasury.json")}
	digest, err := o.waits(ask...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if err := o.hire("alice", "bob"); err != nil {
		t.Fatal(err)
	}
	if err := o.agree(digest, "alice", "bob"); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if _, err := o.eventually(0, "signed with key treasury", ask...); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealward/sealward/cmd/config"
)

// built builds programs.
func built(t *testing.T, names ...string) (bin string) {
	t.Helper()
	bin = t.TempDir()
	args := []string{"build", "-o", bin}
	for _, n := range names {
		args = append(args, "../"+n)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// short is a folder whose path leaves room for the names of sockets.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sim-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// says runs a program and wants it to succeed, or not, and to say something.
func says(t *testing.T, ok bool, want, env, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); (err == nil) != ok || !strings.Contains(string(out), want) {
		t.Errorf("%s %s says %q, %v; want %q, and success: %v", program, strings.Join(args, " "), out, err, want, ok)
	}
}

func TestDevicesGoUpAndDownSideBySide(t *testing.T) {
	bin, parent := built(t, "sealward-sim", "sealward-worker"), short(t)
	sim := filepath.Join(bin, "sealward-sim")
	dirs := []string{filepath.Join(parent, "a"), filepath.Join(parent, "b")}
	t.Cleanup(func() {
		for _, dir := range dirs {
			if err := down(dir); err != nil && !strings.Contains(err.Error(), "nothing is up") {
				t.Error(err)
			}
		}
	})
	works := func(dir string) {
		t.Helper()
		card := "PCSCLITE_CSOCK_NAME=" + filepath.Join(dir, "reader", "pcscd.comm")
		says(t, true, "Serial Number:\t4711", card, "yubico-piv-tool", "-a", "status")
		says(t, true, "TPM2_PT_MANUFACTURER", "X=", "tpm2_getcap", "--tcti", "swtpm:path="+filepath.Join(dir, "tpm", "tpm"), "properties-fixed")
	}
	for _, dir := range dirs {
		says(t, true, "up in "+dir, "X=", sim, "up", "--bin", bin, "--dir", dir)
		works(dir)
	}
	says(t, false, "are up already", "X=", sim, "up", "--bin", bin, "--dir", dirs[0])
	path := filepath.Join(dirs[0], "sealward.hcl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := config.Parse(path, text); err != nil || len(c.Tokens) != 3 || len(c.Keys) != 5 {
		t.Errorf("the configuration is %+v, %v; want three tokens and five keys", c, err)
	}
	before := contents(t, dirs[0])

	running, err := read(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	says(t, true, "ended 3 processes", "X=", sim, "down", "--dir", dirs[0])
	if left := running.alive(); len(left) != 0 {
		t.Errorf("%v still run", left)
	}
	says(t, false, "nothing is up", "X=", sim, "down", "--dir", dirs[0])
	works(dirs[1])

	says(t, true, "up in "+dirs[0], "X=", sim, "up", "--bin", bin, "--dir", dirs[0])
	works(dirs[0])
	if contents(t, dirs[0]) != before {
		t.Error("the devices have other keys after they were down")
	}
}

// contents is what has keys in it.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{"card.json", "chip.key", "tpm.auth", "sealward.hcl"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func TestDownEndsWhatAKilledKeeperLeft(t *testing.T) {
	bin, dir := built(t, "sealward-sim", "sealward-worker"), filepath.Join(short(t), "a")
	says(t, true, "up in", "X=", filepath.Join(bin, "sealward-sim"), "up", "--bin", bin, "--dir", dir)
	r, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(r.Processes[keeper].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := down(dir); err != nil {
		t.Fatal(err)
	}
	if left := r.alive(); len(left) != 0 {
		t.Errorf("%v still run", left)
	}
}

func TestDownEndsNobodyElse(t *testing.T) {
	bystander := exec.Command("sleep", "1000")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer bystander.Wait()
	defer bystander.Process.Kill()
	for name, change := range map[string]func(*running){
		"a process that was started at another time": func(r *running) {
			r.Processes[keeper] = process{bystander.Process.Pid, r.Processes[keeper].Started + 1}
		},
		"a process of another boot": func(r *running) { r.Boot = "another" },
		"a process that is gone":    func(r *running) { r.Processes[keeper] = process{1 << 30, 1} },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := write(dir, map[string]int{keeper: bystander.Process.Pid}); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(stateFile(dir))
			if err != nil {
				t.Fatal(err)
			}
			var r running
			if err := json.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			change(&r)
			if text, err = json.Marshal(r); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(stateFile(dir), text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := down(dir); err != nil {
				t.Fatalf("down: %v", err)
			}
			if err := syscall.Kill(bystander.Process.Pid, 0); err != nil {
				t.Errorf("the bystander: %v", err)
			}
			if _, err := os.Stat(stateFile(dir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the list of processes is still there: %v", err)
			}
		})
	}
}

func TestUpRefusesWhatIsNotItsOwn(t *testing.T) {
	for name, test := range map[string]struct{ dir, want string }{
		"a folder with something else":      {t.TempDir(), "has no devices"},
		"a path too long for sockets":       {filepath.Join(t.TempDir(), strings.Repeat("x", 100)), "too long"},
		"a folder in one that is not there": {filepath.Join(t.TempDir(), "no", "such"), "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := up("bin", test.dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("up = %v, want %q", err, test.want)
			}
		})
	}
}

func TestUpThatFailsLeavesNothing(t *testing.T) {
	bin, dir := built(t, "sealward-sim"), filepath.Join(short(t), "a") // and no worker
	says(t, false, "sealward-worker is not there", "X=", filepath.Join(bin, "sealward-sim"), "up", "--bin", bin, "--dir", dir)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

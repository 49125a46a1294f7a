package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// hardenRole makes the test below, run in another process, what it says.
const hardenRole = "SEALWARD_TEST_HARDEN"

var hardenRoles = map[string]func() error{"hardened": beVictim, "plain": beVictim, "attacker": attack}

// beVictim waits until its input ends. Its first line of output is what it is like.
func beVictim() error {
	// As in the daemon, threads exist before main has begun.
	for range 4 {
		go func() { runtime.LockOSThread(); select {} }()
	}
	runtime.Gosched()
	if os.Getenv(hardenRole) == "hardened" {
		if err := harden(); err != nil {
			return err
		}
	} else if err := unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return err // EINVAL: a kernel without Yama, which would refuse for another reason than ours
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return err
	}
	private := 0
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	for _, f := range threads {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "NoNewPrivs:\t1") {
			private++
		}
	}
	umask := unix.Umask(0)
	fmt.Printf("core %d/%d, umask %04o, all threads %v\n", core.Cur, core.Max, umask, private == len(threads))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// attack tries what a debugger would and prints what the kernel says.
func attack() error {
	runtime.LockOSThread()
	var pid int
	if _, err := fmt.Sscan(os.Getenv("SEALWARD_TEST_VICTIM"), &pid); err != nil {
		return err
	}
	try := func(what string, err error) {
		if err == nil {
			fmt.Println(what, "succeeds")
			return
		}
		fmt.Println(what, "fails:", err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	try("open mem", err)
	if err == nil {
		f.Close()
	}
	_, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	try("read environ", err)
	err = unix.PtraceAttach(pid)
	try("attach", err)
	if err == nil {
		_, err = unix.Wait4(pid, nil, 0, nil)
		return errors.Join(err, unix.PtraceDetach(pid))
	}
	return nil
}

// hardenCommand is the test binary in a role and not as root, for whom no door is
// closed.
func hardenCommand(t *testing.T, exe, role string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestOnlyAHardenedProcessWithstandsItsOwnAccount$")
	cmd.Env = append(append(os.Environ(), hardenRole+"="+role), env...)
	cmd.Stderr = os.Stderr
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 1234}}
	}
	return cmd
}

// hardenExecutable copies the test binary to where another account can run it.
func hardenExecutable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "harden-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	image, err := os.ReadFile("/proc/self/exe")
	exe := dir + "/harden.test"
	if err := errors.Join(err, os.WriteFile(exe, image, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return exe
}

func TestOnlyAHardenedProcessWithstandsItsOwnAccount(t *testing.T) {
	if role, ok := hardenRoles[os.Getenv(hardenRole)]; ok { // started by this test, below
		if err := role(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	exe := hardenExecutable(t)
	for role, tc := range map[string]struct{ like, attacked string }{
		"hardened": {"core 0/0, umask 0077, all threads true", "fails"},
		"plain":    {"", "succeeds"}, // or the test could not tell
	} {
		t.Run(role, func(t *testing.T) {
			victim := hardenCommand(t, exe, role)
			stdin, err := victim.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := victim.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			like, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil || !strings.HasPrefix(like, tc.like) {
				t.Errorf("the process is %q (%v), want %q", like, err, tc.like)
			}
			out, err := hardenCommand(t, exe, "attacker", fmt.Sprint("SEALWARD_TEST_VICTIM=", victim.Process.Pid)).Output()
			if err != nil {
				t.Errorf("attacker: %v", err)
			}
			if n := strings.Count(string(out), tc.attacked); n != 3 {
				t.Errorf("attacks on it:\n%swant each of 3 that %s", out, tc.attacked)
			}
			stdin.Close()
			if err := victim.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

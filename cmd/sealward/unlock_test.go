package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

const (
	rightPIN = "271828"
	wrongPIN = "314159"
)

// patience is for what takes milliseconds.
const patience = 30 * time.Second

// person sits at a pseudo terminal on which a program runs.
type person struct {
	t   *testing.T
	tty *os.File
	fd  int // of tty
	cmd *exec.Cmd

	mu     sync.Mutex
	screen bytes.Buffer  // owned by mu
	over   chan struct{} // closed when the terminal has shown all
}

// sits starts sealward on a terminal of its own.
func sits(t *testing.T, args ...string) *person {
	t.Helper()
	p := &person{t: t, cmd: exec.Command("sealward", args...), over: make(chan struct{})}
	var err error
	if p.tty, err = pty.Start(p.cmd); err != nil { // in a session of its own, with the terminal as its
		t.Fatal(err)
	}
	p.fd = int(p.tty.Fd())
	go func() {
		defer close(p.over)
		b := make([]byte, 1000)
		for {
			n, err := p.tty.Read(b)
			p.mu.Lock()
			p.screen.Write(b[:n])
			p.mu.Unlock()
			if err != nil {
				return // EIO, when the last one has closed it
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = p.tty.Close()
		<-p.over
	})
	return p
}

func (p *person) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

func (p *person) waitsFor(pattern string) {
	p.t.Helper()
	for began := time.Now(); !regexp.MustCompile(pattern).MatchString(p.shown()); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			p.t.Fatalf("no %q on the terminal:\n%s", pattern, p.shown())
		}
	}
}

// echoes waits until the terminal shows what is typed, or does not.
func (p *person) echoes(want bool) {
	p.t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		state, err := unix.IoctlGetTermios(p.fd, unix.TCGETS)
		if err != nil {
			p.t.Fatal(err)
		}
		if (state.Lflag&unix.ECHO != 0) == want {
			return
		}
		if time.Since(began) > patience {
			p.t.Fatalf("echo is not %v; on the terminal:\n%s", want, p.shown())
		}
	}
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.tty, text); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits for the end of the program, and returns its exit code and all that it
// has shown.
func (p *person) sees() (int, string) {
	p.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait() // the status says it
	<-p.over
	return p.cmd.ProcessState.ExitCode(), p.shown()
}

// softToken is a real token, driven by a real worker. The credential is read as the
// daemon reads it; without one a person has to type the PIN.
func softToken(t *testing.T, credential string) (token *backends.Token, mark string) {
	t.Helper()
	dir := t.TempDir()
	s, err := sim.SoftHSM(dir, "hsm", rightPIN)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := exec.LookPath("sealward-worker")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(map[string]any{"module": s.Module, "uri": s.URI, "sessions": 2})
	if err != nil {
		t.Fatal(err)
	}
	mark = filepath.Join(dir, "pin-hsm.json")
	c := backends.Config{
		Name: "hsm", Driver: "pkcs11", Settings: settings, Worker: []string{worker}, Environment: []string{s.Env()}, PINMark: mark,
		Confinement: backends.Confinement{Read: []string{filepath.Dir(s.Module)}, Write: []string{dir}}, Timeout: patience,
	}
	if credential != "" {
		c.PIN = func() ([]byte, error) { return backends.ReadPIN(credential, false) }
	}
	if token, err = backends.Start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = token.Close() })
	if h := token.Health(); !h.Locked {
		t.Fatalf("health of the new token = %+v", h)
	}
	return token, mark
}

// A PIN is typed on a terminal and reaches a real token, in a process of its own,
// through a daemon that cannot read it. It is nowhere else.
func TestUnlockOnATerminal(t *testing.T) {
	token, _ := softToken(t, "")
	f := &fake{status: sound(), fakeDevices: fakeDevices{token: token}}
	var client *exec.Cmd
	f.while = func(sealed []byte) {
		if bytes.Contains(sealed, []byte(rightPIN)) {
			t.Error("what is sent to the daemon has the PIN in it")
		}
		for _, pid := range []int{client.Process.Pid, token.Health().WorkerPID} {
			for _, file := range []string{"cmdline", "environ"} {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
				if err != nil && !errors.Is(err, os.ErrPermission) || bytes.Contains(b, []byte(rightPIN)) {
					t.Errorf("%s of process %d: %v, %q", file, pid, err, b)
				}
			}
		}
	}
	dir := f.serve(t)

	p := sits(t, "--sockets", dir, "unlock", "hsm")
	client = p.cmd
	p.waitsFor(`PIN of token hsm.*: $`)
	p.types(wrongPIN + "\n")
	if code, text := p.sees(); code != exitInvalid || !strings.Contains(text, `token "hsm" is still locked`) || strings.Contains(text, wrongPIN) {
		t.Errorf("a wrong PIN: exit code %d:\n%s", code, text)
	}
	if h := token.Health(); h.Up {
		t.Errorf("health after a wrong PIN = %+v", h)
	}

	p = sits(t, "--sockets", dir, "unlock", "hsm")
	client = p.cmd
	p.waitsFor(`: $`)
	p.types(rightPIN + "\n") // at once: there is no echo when it asks
	code, text := p.sees()
	if code != exitOK || !regexp.MustCompile(`state +up`).MatchString(text) || strings.Contains(text, rightPIN) {
		t.Errorf("the right PIN: exit code %d:\n%s", code, text)
	}
	if h := token.Health(); !h.Up {
		t.Errorf("health after the right PIN = %+v", h)
	}

	// Now there is nothing to type, and nobody is asked to.
	p = sits(t, "--sockets", dir, "unlock", "hsm")
	if code, text := p.sees(); code != exitInvalid || !strings.Contains(text, "is not locked") || strings.Contains(text, "PIN of") {
		t.Errorf("a token that is up: exit code %d:\n%s", code, text)
	}
}

// What a person typed is for one worker and one token.
func TestASealedPINOpensWithTheWorkersKeyOnly(t *testing.T) {
	f := &fake{status: sound(), fakeDevices: fakeDevices{key: newKey()}}
	var sealed []byte
	f.while = func(b []byte) { sealed = bytes.Clone(b) }
	p := sits(t, "--sockets", f.serve(t), "unlock", "hsm")
	p.waitsFor(`: $`)
	p.echoes(false)
	p.types(" 12 34 \n") // spaces are of the PIN
	if code, text := p.sees(); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	if pin, err := open(f.key, "hsm", sealed); err != nil || pin != " 12 34 " {
		t.Errorf("opened %q, %v", pin, err)
	}
	if pin, err := open(newKey(), "hsm", sealed); err == nil {
		t.Errorf("another worker opened %q", pin)
	}
	if pin, err := open(f.key, "hsm2", sealed); err == nil {
		t.Errorf("the worker opened it for another token: %q", pin)
	}
}

func TestUnlockThatIsGivenUpSendsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		typed string
		want  string
	}{
		"an interrupt":     {"27\x03", "interrupted; nothing was sent to the token"},
		"an empty line":    {"\n", "no PIN was typed; nothing was sent to the token"},
		"a line of spaces": {"   \n", "no PIN was typed; nothing was sent to the token"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{status: sound(), fakeDevices: fakeDevices{key: newKey()}}
			p := sits(t, "--sockets", f.serve(t), "unlock", "hsm")
			p.waitsFor(`: $`)
			p.echoes(false)
			p.types(c.typed)
			p.waitsFor(regexp.QuoteMeta(c.want))
			p.echoes(true)
			if code, _ := p.sees(); code != exitGeneral {
				t.Errorf("exit code = %d", code)
			}
			if len(f.pins) != 0 {
				t.Errorf("the token was sent %q", f.pins)
			}
		})
	}
}

func TestUnlockWithoutATerminalSaysWhatToDo(t *testing.T) {
	f := &fake{status: sound(), fakeDevices: fakeDevices{key: newKey()}}
	cmd := exec.Command("sealward", "--sockets", f.serve(t), "unlock", "hsm")
	cmd.Stdin = strings.NewReader(rightPIN + "\n") // a pipe is no person
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, _ := cmd.CombinedOutput() // the exit code says it
	want := "sealward: there is no terminal to ask for the PIN on; run this on one, name a program with --pinentry, or give the token a pin_file or pin_credential\n"
	if cmd.ProcessState.ExitCode() != exitGeneral || string(out) != want {
		t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out)
	}
	if len(f.pins) != 0 {
		t.Errorf("the token was sent %q", f.pins)
	}
}

func TestUnlockAsksNobodyInVain(t *testing.T) {
	none := uint32(0)
	blocked := sound()
	blocked.Tokens = []*v1.TokenHealth{{Name: "hsm", State: "locked", TriesLeft: &none}}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"there is no such token":            {[]string{"unlock", "hms"}, exitNotFound, "not_found: there is no such token"},
		"a blocked token":                   {[]string{"unlock", "hsm"}, exitGeneral, "token hsm is blocked and takes no PIN any more; docs/operations.md"},
		"a program for what asks for none":  {[]string{"unlock", "--credential", "--pinentry", "x", "hsm"}, exitUsage, "--credential asks for no PIN"},
		"no token":                          {[]string{"unlock"}, exitUsage, "want the name of one TOKEN"},
		"a daemon that is not there at all": {[]string{"--sockets", "/nowhere", "unlock", "hsm"}, exitUnavailable, "there is no socket /nowhere/admin.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{status: blocked, fakeDevices: fakeDevices{key: newKey()}}
			code, stdout, stderr := sealward("", append([]string{"--sockets", f.serve(t)}, c.args...)...)
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

func TestThePromptTellsTheTriesLeft(t *testing.T) {
	for left, want := range map[uint32]string{1: "PIN of token hsm (one try left; a wrong PIN blocks it): ", 3: "PIN of token hsm (3 tries left): "} {
		s := sound()
		s.Tokens = []*v1.TokenHealth{{Name: "other"}, {Name: "hsm", State: "locked", TriesLeft: &left}}
		f := &fake{status: s, fakeDevices: fakeDevices{key: newKey()}}
		p := sits(t, "--sockets", f.serve(t), "unlock", "hsm")
		p.waitsFor(regexp.QuoteMeta(want) + "$")
	}
}

// TestACredentialIsTriedOnceMore through a real worker, which tried it before, and
// would not again.
func TestACredentialIsTriedOnceMore(t *testing.T) {
	credential := filepath.Join(t.TempDir(), "pin")
	write := func(pin string) {
		t.Helper()
		if err := os.WriteFile(credential, []byte(pin+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(wrongPIN)
	token, _ := softToken(t, credential)
	dir := (&fake{status: sound(), fakeDevices: fakeDevices{token: token}}).serve(t)
	if code, stdout, stderr := sealward("", "--sockets", dir, "unlock", "--credential", "hsm"); code != exitProblems || !strings.Contains(stderr, "token hsm is locked: ") {
		t.Errorf("a credential that is still wrong: exit code %d:\n%s%s", code, stdout, stderr)
	}
	write(rightPIN)
	if code, stdout, stderr := sealward("", "--sockets", dir, "unlock", "--credential", "hsm"); code != exitOK || !regexp.MustCompile(`state +up`).MatchString(stdout) {
		t.Errorf("one that was set right: exit code %d:\n%s%s", code, stdout, stderr)
	}
}

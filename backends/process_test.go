package backends_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

func TestAWorkerGetsNothingButWhatWasConfigured(t *testing.T) {
	t.Setenv("SEALWARD_TEST_SECRET", "of the parent")
	c := config(t)
	c.Environment = []string{"SOFTHSM2_CONF=/x", "EMPTY="}
	// One that C code opened, without O_CLOEXEC.
	leak, err := syscall.Open(filepath.Join(dirOf(c), "device.json"), syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leak)
	tok := start(t, c)
	out, err := tok.Call(t.Context(), "world", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got surroundings
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Environment, c.Environment) {
		t.Errorf("environment = %q, want %q", got.Environment, c.Environment)
	}
	if !slices.Equal(got.Arguments, c.Worker) {
		t.Errorf("arguments = %q, want %q", got.Arguments, c.Worker)
	}
	if got.Parent != os.Getpid() {
		t.Errorf("parent = %d, want %d", got.Parent, os.Getpid())
	}
	sockets := 0
	for _, file := range got.Files {
		switch {
		case strings.HasPrefix(file, "socket:"):
			sockets++
		case file == "/dev/null", strings.HasPrefix(file, "pipe:"), strings.HasPrefix(file, "anon_inode:"), strings.HasPrefix(file, "/proc/"):
		case strings.HasPrefix(file, "/sys/fs/cgroup/"): // the Go runtime looks how many processors it has
		default:
			t.Errorf("the worker has %q open", file)
		}
	}
	if sockets != 1 {
		t.Errorf("the worker has %d sockets, want its connection: %q", sockets, got.Files)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tok.Health().WorkerPID))
	if err != nil || !strings.Contains(string(status), "\nNoNewPrivs:\t1\n") {
		t.Errorf("the worker can gain privileges: %v", err)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", tok.Health().WorkerPID))
	if err != nil || !strings.Contains(string(limits), "Max core file size        0                    0 ") {
		t.Errorf("the worker may leave a core file: %v: %s", err, limits)
	}
}

// TestAWorkerDiesWithItsDaemon kills a process that has a token, with SIGKILL, while
// the driver hangs.
func TestAWorkerDiesWithItsDaemon(t *testing.T) {
	const variable = "SEALWARD_TEST_DAEMON"
	if dir := os.Getenv(variable); dir != "" {
		c := config(t)
		c.Settings, _ = json.Marshal(struct{ Dir string }{dir})
		c.Confinement.Write = []string{dir}
		tok := start(t, c)
		fmt.Println("worker", tok.Health().WorkerPID)
		_ = sign(tok.Known("key", factsOf("a")))
		return
	}
	c := config(t)
	script(t, c, "sign", "hang")
	cmd := exec.Command(os.Args[0], "-test.run=^TestAWorkerDiesWithItsDaemon$")
	cmd.Env = append(os.Environ(), variable+"="+dirOf(c))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	if _, err := fmt.Fscanf(out, "worker %d\n", &pid); err != nil || pid == 0 {
		t.Fatalf("worker %d, %v", pid, err)
	}
	eventually(t, "the driver hangs", func() bool { return events(t, c, "sign") == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	eventually(t, "the worker is dead", func() bool { return !runs(pid) })
}

// runs reports whether a process is there and no zombie.
func runs(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// service starts a worker as a service on a socket.
func service(t *testing.T, c *backends.Config, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "sw") // the path of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c.Address = filepath.Join(dir, "s")
	cmd := exec.Command(c.Worker[0], append([]string{"worker", "--socket", c.Address}, args...)...)
	c.Worker = nil
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, or must
		_ = cmd.Wait()
	})
	eventually(t, "the service listens", func() bool {
		info, err := os.Stat(c.Address)
		return err == nil && info.Mode().Perm() == 0o666
	})
	return cmd
}

func TestAWorkerCanBeAService(t *testing.T) {
	c := locked(t, rightPIN)
	cmd := service(t, &c, "--peer-user", "nobody", "--peer-user", "root")
	tok := start(t, c)
	k := find(t, tok)
	mustSign(t, k)
	if pid := tok.Health().WorkerPID; pid != cmd.Process.Pid {
		t.Errorf("worker's pid = %d, want %d", pid, cmd.Process.Pid)
	}
}

func TestAServiceTakesTheSocketThatSystemdPasses(t *testing.T) {
	c := config(t)
	dir, err := os.MkdirTemp("", "sw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// As sd_listen_fds(3) has it: descriptor 3, and the process id in the environment.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" worker --listen --peer-user root`, c.Worker[0])
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.Worker, c.Address = nil, filepath.Join(dir, "s")
	tok := start(t, c)
	mustSign(t, find(t, tok))
	if err := tok.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil || events(t, c, "close") != 1 {
		t.Errorf("the service ended with %v; want it to close its device and end well", err)
	}
}

func TestAServiceEndsWithItsConnection(t *testing.T) {
	c := config(t)
	c.Timeout = 2 * time.Second
	cmd := service(t, &c, "--peer-user", "root")
	tok := start(t, c)
	k := find(t, tok)
	script(t, c, "sign", "hang")
	if err := sign(k); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("sign = %v", err)
	}
	eventually(t, "the process, in which a call hangs, has ended", func() bool { return !runs(cmd.Process.Pid) })
	if h := tok.Health(); h.Up || h.Reason == "" {
		t.Errorf("health = %+v", h)
	}
}

func TestAServiceRefusesOtherUsers(t *testing.T) {
	c := config(t)
	cmd := service(t, &c, "--peer-user", "nobody") // and this is root
	tok := start(t, c)
	if h := tok.Health(); h.Up || !strings.Contains(h.Reason, "closed the connection") {
		t.Errorf("health = %+v", h)
	}
	if !runs(cmd.Process.Pid) || events(t, c, "open") != 0 {
		t.Error("the service has ended, or has opened its device")
	}
}

func TestAWorkerRefusesACommandLineThatIsWrong(t *testing.T) {
	self := config(t).Worker
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing at all":         {nil, "started by sealwardd"},
		"unknown flag":           {[]string{"--pin", "1"}, "not defined"},
		"unknown argument":       {[]string{"tpm"}, "unexpected argument"},
		"no peer":                {[]string{"--listen"}, "no --peer-user"},
		"peer that is not there": {[]string{"--listen", "--peer-user", "no-such-user"}, "no-such-user"},
		"no socket passed":       {[]string{"--listen", "--peer-user", "root"}, "systemd has passed no socket"},
		"both ways to listen":    {[]string{"--listen", "--socket", "/x/y", "--peer-user", "root"}, "exclude"},
		"peer without listening": {[]string{"--peer-user", "root"}, "is for --listen"},
		"confinement not JSON":   {[]string{"--confine", "much"}, "--confine"},
		"confinement misspelled": {[]string{"--confine", `{"reed":[]}`}, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(self[0], append([]string{"worker"}, c.args...)...).CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() < 1 || !strings.Contains(string(out), c.want) {
				t.Errorf("worker %q: %v, %s; want %q", c.args, err, out, c.want)
			}
		})
	}
}

// frame is a frame of the protocol, by hand.
func frame(length int, id uint32, kind byte, body string) string {
	return string([]byte{byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length),
		byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id), kind}) + body
}

// TestAHostileWorkerCostsItsTokenAlone has workers say what they must not, once
// they are open.
func TestAHostileWorkerCostsItsTokenAlone(t *testing.T) {
	const done, failed, notice, trying, tried = 64, 65, 66, 67, 68
	public, err := json.Marshal(factsOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	// The worker answers the request to open, which has id 1, and says this to the
	// next, which has id 2.
	for name, say := range map[string]string{
		"an answer to nothing":            frame(0, 99, done, ""),
		"an answer twice":                 frame(len(public)+4, 2, done, "\x00\x00\x00\x00"+string(public)) + frame(0, 2, done, ""),
		"a huge frame":                    frame(1<<31, 2, done, ""),
		"a frame one too long":            frame(1<<20+1, 2, done, ""),
		"an unknown kind":                 frame(0, 2, 200, ""),
		"the kind of a question":          frame(0, 2, 1, ""),
		"half a frame":                    frame(10, 2, done, "x"),
		"half a header":                   "\x00\x00",
		"an error of no class":            frame(2, 2, failed, "{}"),
		"an error that is none":           frame(1, 2, failed, "x"),
		"an error with more":              frame(34, 2, failed, `{"class":"other","text":"a","x":1}`),
		"a key cut off":                   frame(2, 2, done, "{}"),
		"a key without public key":        frame(6, 2, done, "\x00\x00\x00\x00{}"),
		"a notice about nothing":          frame(5, 99, notice, "touch"),
		"an unknown notice":               frame(4, 2, notice, "kiss"),
		"notices without end":             strings.Repeat(frame(5, 2, notice, "touch"), 100),
		"a try of a PIN with an id":       frame(4, 2, trying, "\x00\x00\x00\x03"),
		"a try of a PIN cut off":          frame(1, 0, trying, "\x00"),
		"tries below none":                frame(4, 0, trying, "\xff\xff\xff\xfe"),
		"two tries of a PIN at once":      frame(4, 0, trying, "\x00\x00\x00\x03") + frame(4, 0, trying, "\x00\x00\x00\x03") + frame(4, 0, trying, "\x00\x00\x00\x03"),
		"the end of a try that never was": frame(31, 0, tried, `{"verdict":"accepted","left":3}`),
		"an unknown verdict":              frame(27, 0, tried, `{"verdict":"fine","left":3}`),
		"nothing":                         "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Timeout = 2 * time.Second
			hostile(t, &c, say)
			tok := start(t, c)
			if !tok.Health().Up {
				t.Fatalf("health = %+v", tok.Health())
			}
			began := time.Now()
			_, err := tok.Find(t.Context(), "key")
			if err != nil && signer.CodeOf(err) != signer.CodeUnavailable {
				t.Errorf("Find = %v", err)
			}
			eventually(t, "the worker is not listened to any more", func() bool { return tok.Health().Restarts > 0 })
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// hostile serves connections that answer the request to open as they should, and
// the next with anything.
func hostile(t *testing.T, c *backends.Config, say string) {
	dir, err := os.MkdirTemp("", "sw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c.Worker, c.Address = nil, filepath.Join(dir, "s")
	l, err := net.Listen("unix", c.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b := make([]byte, 1<<16)
				if _, err := conn.Read(b); err != nil {
					return
				}
				open := `{"version":1,"state":{"device":"evil","tries_left":3}}`
				fmt.Fprint(conn, frame(len(open), 1, 64, open))
				if _, err := conn.Read(b); err != nil {
					return
				}
				fmt.Fprint(conn, say)
				if strings.HasPrefix(say, "\x00\x00\x00\x0a") || len(say) == 2 {
					return // cut off
				}
				for {
					if _, err := conn.Read(b); err != nil {
						return
					}
				}
			}()
		}
	}()
}

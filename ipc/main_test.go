package ipc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// The test binary runs itself as callers and daemons; the first is what to be, the
// second where.
const (
	roleVar = "SEALWARD_TEST_ROLE"
	pathVar = "SEALWARD_TEST_SOCKET"
)

var roles = map[string]func(path string) error{
	"caller":    roleCaller,
	"orphan":    roleOrphan,
	"holder":    roleHolder,
	"activated": roleActivated,
	"starved":   roleStarved,
}

// executable is a copy of the test binary that every account may run; the one that
// go test builds lies in a private folder.
var executable string

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleVar)]; ok {
		if err := role(os.Getenv(pathVar)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ipc-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		image, err := os.ReadFile("/proc/self/exe")
		executable = dir + "/ipc.test"
		if err := errors.Join(err, os.WriteFile(executable, image, 0o755), os.Chmod(dir, 0o755)); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// roleCaller asks who it is and prints the answer.
func roleCaller(path string) error {
	resp, err := client(path).Get("http://sealward/whoami")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// roleOrphan connects, leaves the connection to a child and ends.
func roleOrphan(path string) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	f, err := c.File()
	if err != nil {
		return err
	}
	child := exec.Command(executablePath())
	child.Env = append(os.Environ(), roleVar+"=holder")
	child.ExtraFiles = []*os.File{f}
	return child.Start()
}

// roleHolder keeps the connection that it inherited until the other end closes it.
func roleHolder(string) error {
	f := os.NewFile(3, "connection")
	_, err := f.Read(make([]byte, 1))
	if err == io.EOF {
		return nil
	}
	return err
}

func executablePath() string {
	p, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder makes a short private path for sockets, which every account may reach.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ipc-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func client(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
}

// command is the test binary in a role, as uid unless that is the one it has.
func command(t *testing.T, role, path string, uid int) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(os.Environ(), roleVar+"="+role, pathVar+"="+path)
	cmd.Stderr = os.Stderr
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

// whoami answers with the caller as the server knows it.
func whoami(string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := CallerOf(r.Context())
		fmt.Fprintf(w, "%v uid=%d gid=%d pid=%d user=%q groups=%q socket=%s unit=%q %s",
			ok && c.Identified, c.UID, c.GID, c.PID, c.User, c.Groups, c.Socket, c.Unit, r.Proto)
	})
}

// start runs a server on a socket named sign in a folder of its own, for everybody.
func start(t *testing.T, change func(*Config)) (*Server, string) {
	t.Helper()
	path := filepath.Join(folder(t), "sign.sock")
	listeners, err := Listen([]Socket{{Name: "sign", Path: path, Mode: 0o666}})
	must(t, err)
	c := Config{
		Listeners: listeners, Handler: whoami, Identifier: NewIdentifier(true), Limits: DefaultLimits(),
		Silent: func(signer.Caller) {}, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	s, err := NewServer(c)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return s, path
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(body)
}

func contains(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("%s = %q, want it to contain %q", what, text, w)
		}
	}
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 10 s: %s", what)
}

package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Server is a SoftHSM token behind p11-kit's server: a PKCS#11 module whose device
// is another process, which can be killed and started again. It does not pass on
// Ed25519.
type Server struct {
	Module string // path of the PKCS#11 module that talks to the server

	token  *SoftHSMToken
	socket string
	cmd    *exec.Cmd
}

// NewServer starts a server for a token in a folder, and sets the variable by
// which this process and its children will find it.
func NewServer(dir string, token *SoftHSMToken) (*Server, error) {
	module, err := find("p11-kit's client module", []string{"/usr/lib/*-linux-gnu*/pkcs11/p11-kit-client.so", "/usr/lib64/pkcs11/p11-kit-client.so"})
	if err != nil {
		return nil, err
	}
	s := &Server{Module: module, token: token, socket: filepath.Join(dir, "p11")}
	if err := os.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+s.socket); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// Start starts the server again after [Server.Kill].
func (s *Server) Start() error {
	if err := os.Remove(s.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.cmd = exec.Command("p11-kit", "server", "--foreground", "--provider", s.token.Module, "--name", s.socket, s.token.URI)
	s.cmd.Env = append(os.Environ(), s.token.Env())
	// A child for each client does the work, so the group is what must be killed.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return errors.New("p11-kit is not installed; run `make deps`")
		}
		return err
	}
	for range 500 {
		if c, err := net.Dial("unix", s.socket); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.Join(fmt.Errorf("p11-kit server did not listen on %s within 5 s", s.socket), s.Kill())
}

// Kill kills the server and everything that works for it, with no warning.
func (s *Server) Kill() error {
	if s.cmd == nil {
		return nil
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		return err
	}
	_ = s.cmd.Wait() // it says "killed"
	s.cmd = nil
	return nil
}

// Pause makes the server and everything that works for it hang, until [Server.Resume].
func (s *Server) Pause() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGSTOP) }

// Resume ends a [Server.Pause].
func (s *Server) Resume() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGCONT) }

// Env is the variable that a process needs to find the server.
func (s *Server) Env() string { return "P11_KIT_SERVER_ADDRESS=unix:path=" + s.socket }

// Socket is where the server listens.
func (s *Server) Socket() string { return s.socket }

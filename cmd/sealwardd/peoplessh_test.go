package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sshHost is the daemon's host as OpenSSH shows it to approvers: an sshd in a private
// folder, which lets the keys that it knows forward connections, and nothing else.
type sshHost struct {
	t     *testing.T
	dir   string
	login string
}

// Whoever may approve gets no shell from it, no terminal and no agent, and may have
// connections forwarded alone: sshd(8), "AUTHORIZED_KEYS FILE FORMAT". OpenSSH 9.2 refuses
// to forward sockets where it is told to forward no ports (AllowTcpForwarding no, or
// PermitOpen none), so that is not said.
const forwardOnly = `restrict,port-forwarding,command="/bin/false" `

const sshdConfig = `HostKey %[1]s/host
AuthorizedKeysFile %[1]s/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
AllowStreamLocalForwarding local
# The folder is in one where everybody may write.
StrictModes no
UsePAM no
PidFile none
LogLevel ERROR
`

// Each connection has an sshd of its own, on the streams of its ssh, as inetd starts it:
// there is no port that somebody else could have, or connect to. An sshd that runs as root
// wants an empty folder of a fixed name, so it is given one in a mount namespace of its
// own where it may have that.
const startSSH = `
if [ "$1" = private ]; then
	mount -t tmpfs none /run || exit 1
fi
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd || exit 1
shift
exec "$@"
`

func newSSHHost(t *testing.T, dir string) *sshHost {
	t.Helper()
	s := &sshHost{t: t, dir: dir, login: me(t)}
	must(t, os.Mkdir(dir, 0o700))
	host := sshKey(t, s.path("host"))
	must(t, os.WriteFile(s.path("sshd_config"), fmt.Appendf(nil, sshdConfig, dir), 0o600))
	must(t, os.WriteFile(s.path("known_hosts"), []byte("daemon "+host), 0o600))
	return s
}

func (s *sshHost) path(name string) string { return filepath.Join(s.dir, name) }

// sshKey makes a key, and returns its public half as a line.
func sshKey(t *testing.T, path string) (public string) {
	t.Helper()
	outside(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", filepath.Base(path), "-f", path)
	line, err := os.ReadFile(path + ".pub")
	must(t, err)
	return string(line)
}

// admit lets a key forward connections.
func (s *sshHost) admit(public string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path("authorized_keys"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(s.t, err)
	_, err = f.WriteString(forwardOnly + public)
	must(s.t, errors.Join(err, f.Close()))
}

// forward makes a socket of the daemon's host appear on the approver's machine, until the
// test ends.
func (s *sshHost) forward(key, local, remote string) {
	s.t.Helper()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	must(s.t, err)
	args := []string{
		"ssh", "-N", "-F", "none", "-i", key, "-l", s.login, "-L", local + ":" + remote,
		"-o", "ProxyCommand=" + sshd + " -i -e -f " + s.path("sshd_config"),
		"-o", "UserKnownHostsFile=" + s.path("known_hosts"), "-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlias=daemon",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR", "daemon",
	}
	var log output
	start := func(mode string, flags uintptr) (*exec.Cmd, error) {
		cmd := exec.Command("/bin/sh", append([]string{"-c", startSSH, "sh", mode}, args...)...)
		cmd.Stdout, cmd.Stderr = &log, &log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: flags, Pdeathsig: syscall.SIGKILL}
		return cmd, cmd.Start()
	}
	cmd, err := start("private", syscall.CLONE_NEWNS)
	if errors.Is(err, syscall.EPERM) { // not root, or not in this container
		cmd, err = start("plain", 0)
	}
	must(s.t, err)
	done := make(chan struct{})
	go func() { // ends with ssh
		_ = cmd.Wait() // it says "killed"
		close(done)
	}()
	s.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // ssh and its sshd; they may have ended
		<-done
		if s.t.Failed() && log.String() != "" {
			s.t.Logf("OpenSSH says:\n%s", log.String())
		}
	})
	eventually(s.t, "OpenSSH forwards "+local, func() bool {
		select {
		case <-done:
			s.t.Fatalf("ssh ended without forwarding %s:\n%s", local, log.String())
		default:
		}
		conn, err := net.Dial("unix", local)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// outside runs a program that is not ours, which has to succeed, and returns what it
// prints.
func outside(t *testing.T, stdin, program string, args ...string) (stdout string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v (if it is not installed, run make deps)\n%s%s", program, args, err, out.String(), errs.String())
	}
	return out.String()
}

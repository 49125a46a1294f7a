package ipc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
)

func answers(t *testing.T, path string) bool {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestASocketHasTheModeAndOwnerOfItsConfiguration(t *testing.T) {
	other := os.Getegid()
	if os.Geteuid() == 0 {
		other = 1234
	}
	for name, tc := range map[string]struct {
		s    Socket
		mode fs.FileMode
		gid  int
	}{
		"for its group":            {Socket{Mode: 0o660, Group: fmt.Sprint(other)}, 0o660, other},
		"for all":                  {Socket{Mode: 0o666}, 0o666, os.Getegid()},
		"no mode admits root only": {Socket{}, 0, os.Getegid()},
	} {
		t.Run(name, func(t *testing.T) {
			// Neither a lax umask nor a strict one shows.
			for _, umask := range []int{0, 0o777} {
				tc.s.Name, tc.s.Path = "sign", filepath.Join(folder(t), "s")
				must(t, os.WriteFile(tc.s.Path+".lock", nil, 0o600))
				old := syscall.Umask(umask)
				ls, err := Listen([]Socket{tc.s})
				syscall.Umask(old)
				must(t, err)
				info, err := os.Lstat(tc.s.Path)
				must(t, err)
				st := info.Sys().(*syscall.Stat_t)
				if info.Mode().Perm() != tc.mode || int(st.Gid) != tc.gid || info.Mode().Type() != fs.ModeSocket {
					t.Errorf("umask %o: socket is %v of group %d, want %v of group %d", umask, info.Mode(), st.Gid, tc.mode, tc.gid)
				}
				must(t, ls[0].Close())
				must(t, ls[0].Close())
				if _, err := os.Lstat(tc.s.Path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("after Close: %v, want no file", err)
				}
			}
		})
	}
}

// stale leaves a socket file on which nobody answers.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
}

func TestAStaleSocketIsReplacedAndNothingElseIs(t *testing.T) {
	for name, tc := range map[string]struct {
		arrange func(t *testing.T, path string)
		want    string // empty: it listens
	}{
		"nothing there":           {func(*testing.T, string) {}, ""},
		"a socket nobody answers": {stale, ""},
		"a socket somebody answers": {func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { l.Close() })
		}, "another process answers"},
		"a socket somebody answers who is behind": {func(t *testing.T, path string) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			t.Cleanup(func() { unix.Close(fd) })
			must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
			must(t, unix.Listen(fd, 0))
			waiting, err := net.Dial("unix", path)
			must(t, err)
			t.Cleanup(func() { waiting.Close() })
		}, "another process answers"},
		"a socket of another type": {func(t *testing.T, path string) {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			must(t, err)
			t.Cleanup(func() { l.Close() })
		}, "cannot be tried"},
		"a file": {func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte("precious"), 0o600))
		}, "is no socket"},
		"a folder": {func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "is no socket"},
		"a link to a stale socket": {func(t *testing.T, path string) {
			stale(t, path+"2")
			must(t, os.Symlink(path+"2", path))
		}, "is no socket"},
		"a daemon that has not begun to listen": {func(t *testing.T, path string) {
			stale(t, path)
			f, err := lock(path + ".lock")
			must(t, err)
			t.Cleanup(func() { f.Close() })
		}, "another daemon listens beside it"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder(t), "s")
			tc.arrange(t, path)
			before, _ := os.Lstat(path)
			ls, err := Listen([]Socket{{Name: "sign", Path: path, Mode: 0o600}})
			if tc.want == "" {
				must(t, err)
				defer ls[0].Close()
				if !answers(t, path) {
					t.Error("nobody answers on the new socket")
				}
				return
			}
			if err == nil || ls != nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Listen = %v, %v, want %q", ls, err, tc.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("what was there has been replaced: %v", err)
			}
		})
	}
}

func TestListenRefusesWhatItCannotMakeSafe(t *testing.T) {
	dir := folder(t)
	open := dir + "/open"
	must(t, os.Mkdir(open, 0o700))
	must(t, os.Chmod(open, 0o777))
	sticky := dir + "/sticky"
	must(t, os.Mkdir(sticky, 0o700))
	must(t, os.Chmod(sticky, 0o777|fs.ModeSticky))
	for name, tc := range map[string]struct {
		sockets []Socket
		want    string
	}{
		"a folder that others write": {[]Socket{{Name: "sign", Path: open + "/s"}}, "chmod go-w"},
		"a sticky folder":            {[]Socket{{Name: "sign", Path: sticky + "/s"}}, "anyone can create files"},
		"a folder that is missing":   {[]Socket{{Name: "sign", Path: dir + "/none/s"}}, "no such file"},
		"a mode with other bits":     {[]Socket{{Name: "sign", Path: dir + "/s", Mode: 0o660 | fs.ModeSetuid}}, "more than permission bits"},
		"an unknown owner":           {[]Socket{{Name: "sign", Path: dir + "/s", Owner: "no-such-user"}}, `owner "no-such-user"`},
		"an unknown group":           {[]Socket{{Name: "sign", Path: dir + "/s", Group: "no-such-group"}}, "groupadd --system no-such-group"},
		"a path that is too long":    {[]Socket{{Name: "sign", Path: dir + "/" + strings.Repeat("s", 120)}}, "bind"},
		"no name":                    {[]Socket{{Path: dir + "/s"}}, "has no name"},
		"neither path nor systemd":   {[]Socket{{Name: "sign"}}, "FileDescriptorName=sign"},
		"one name twice":             {[]Socket{{Name: "sign", Path: dir + "/s"}, {Name: "sign", Path: dir + "/t"}}, "two sockets have that name"},
	} {
		t.Run(name, func(t *testing.T) {
			ls, err := Listen(tc.sockets)
			if err == nil || ls != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Listen = %v, %v, want %q", ls, err, tc.want)
			}
			for _, s := range tc.sockets {
				if s.Path != "" && answers(t, s.Path) {
					t.Errorf("%s is listening after an error", s.Path)
				}
			}
		})
	}
}

func TestCloseLeavesAFileThatIsNotItsOwn(t *testing.T) {
	path := filepath.Join(folder(t), "s")
	ls, err := Listen([]Socket{{Name: "sign", Path: path, Mode: 0o600}})
	must(t, err)
	must(t, os.Rename(path, path+".old")) // keeps its inode in use
	must(t, os.WriteFile(path, []byte("another's"), 0o600))
	must(t, ls[0].Close())
	if b, err := os.ReadFile(path); err != nil || string(b) != "another's" {
		t.Errorf("read = %q, %v", b, err)
	}
}

// roleActivated serves on sockets from systemd until it is killed; the path of
// admin must not be used.
func roleActivated(path string) error {
	listeners, err := Listen([]Socket{{Name: "sign"}, {Name: "admin", Path: path, Mode: 0o600}})
	if err != nil {
		return err
	}
	again, err := Listen(nil)
	if err != nil || len(again) != 0 {
		return fmt.Errorf("a second Listen finds %d sockets, %v", len(again), err)
	}
	s, err := NewServer(Config{
		Listeners: listeners, Handler: whoami, Identifier: NewIdentifier(true), Limits: DefaultLimits(),
		Silent: func(signer.Caller) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	return s.Run(context.Background())
}

// activate runs the activated role as systemd would.
func activate(t *testing.T, dir, names string, options ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	args := append(options, "-l", dir+"/a", "-l", dir+"/b", "--fdname="+names,
		"-E", roleVar+"=activated", "-E", pathVar+"="+dir+"/unused", executable)
	cmd := exec.CommandContext(t.Context(), tool, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	eventually(t, "systemd-socket-activate listens", func() bool {
		_, err := os.Lstat(dir + "/b")
		return err == nil
	})
	return cmd, &stderr
}

func TestSocketsFromSystemdAreKnownByName(t *testing.T) {
	dir := folder(t)
	cmd, _ := activate(t, dir, "admin:sign")
	_, body := get(t, client(dir+"/a"), "http://sealward/")
	contains(t, "body", body, "true ", "socket=admin")
	_, body = get(t, client(dir+"/b"), "http://sealward/")
	contains(t, "body", body, "true ", "socket=sign")
	if _, err := os.Lstat(dir + "/unused"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the configured path was used beside the socket from systemd: %v", err)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	cmd.Wait()
	if _, err := os.Lstat(dir + "/a"); err != nil {
		t.Errorf("a socket of systemd's was removed: %v", err)
	}
}

func TestSocketsFromSystemdThatAreNotAsConfigured(t *testing.T) {
	for name, tc := range map[string]struct {
		names   string
		options []string
		want    string
	}{
		"one is missing":             {"admin:admin", nil, `listen on "sign": systemd passes no socket of that name`},
		"one is unknown":             {"sign:payroll", nil, `systemd passes a socket named "payroll", which is not configured`},
		"one is a datagram socket":   {"sign:admin", []string{"-d"}, "use ListenStream="},
		"one carries the other name": {"sign:sign", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			cmd, stderr := activate(t, dir, tc.names, tc.options...)
			if tc.want == "" { // two sockets of one name, and the path for the other
				_, body := get(t, client(dir+"/b"), "http://sealward/")
				contains(t, "body", body, "socket=sign")
				_, body = get(t, client(dir+"/unused"), "http://sealward/")
				contains(t, "body", body, "socket=admin")
				return
			}
			network := "unix"
			if len(tc.options) > 0 {
				network = "unixgram"
			}
			c, err := net.Dial(network, dir+"/a")
			must(t, err)
			defer c.Close()
			c.Write([]byte("x"))
			if err := cmd.Wait(); err == nil {
				t.Error("the daemon starts")
			}
			contains(t, "stderr", stderr.String(), tc.want)
		})
	}
}

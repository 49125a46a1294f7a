package ipc

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer/trustfile"
)

// Socket says where to listen.
type Socket struct {
	// Name is what policy knows the socket by ("socket:payroll"), and the
	// FileDescriptorName= of its systemd unit.
	Name string
	// Path is where to make it when systemd does not pass one of that name. Empty:
	// only systemd can.
	Path string
	// Mode is that of the socket file. Connecting takes write permission (unix(7)),
	// so 0660 admits owner and group. Zero admits root alone.
	Mode fs.FileMode
	// Owner and Group are names or numbers; empty: those of this process.
	Owner, Group string
}

// Listener is a socket that is listening.
type Listener struct {
	Name string

	unix *net.UnixListener
	path string
	file fs.FileInfo // what was made at path; nil for a socket that belongs to systemd
	lock *os.File    // likewise
}

// Listen opens each of the sockets. One that systemd passes by that name is used,
// whatever path is configured, so that a host under socket activation has its
// owners and modes in one place; else the path is. It is an error to have neither,
// and for systemd to pass a socket that is not among them.
//
// It takes the sockets out of the environment, so that a second call, or a child,
// finds none.
func Listen(sockets []Socket) ([]*Listener, error) {
	var opened []*Listener
	fail := func(err error) ([]*Listener, error) {
		for _, l := range opened {
			l.Close()
		}
		return nil, err
	}
	passed, err := fromSystemd()
	for _, ls := range passed {
		opened = append(opened, ls...)
	}
	if err != nil {
		return fail(err)
	}
	seen := map[string]bool{}
	for _, s := range sockets {
		switch {
		case s.Name == "":
			return fail(fmt.Errorf("listen on %q: the socket has no name", s.Path))
		case seen[s.Name]:
			return fail(fmt.Errorf("listen on %q: two sockets have that name", s.Name))
		}
		seen[s.Name] = true
		if len(passed[s.Name]) > 0 {
			continue
		}
		if s.Path == "" {
			return fail(fmt.Errorf("listen on %q: systemd passes no socket of that name and no path is configured; start its .socket unit, which needs FileDescriptorName=%s, or configure a path", s.Name, s.Name))
		}
		l, err := listenPath(s)
		if err != nil {
			return fail(fmt.Errorf("listen on %q: %w", s.Name, err))
		}
		opened = append(opened, l)
	}
	for name := range passed {
		if !seen[name] {
			return fail(fmt.Errorf("systemd passes a socket named %q, which is not configured; configure it or correct FileDescriptorName= in its .socket unit", name))
		}
	}
	return opened, nil
}

// fromSystemd takes over the sockets of sd_listen_fds(3), by name.
func fromSystemd() (map[string][]*Listener, error) {
	out := map[string][]*Listener{}
	var errs []error
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f) // duplicates it
		f.Close()
		if err != nil {
			errs = append(errs, fmt.Errorf("socket %q from systemd: %w", f.Name(), err))
			continue
		}
		u, ok := l.(*net.UnixListener)
		if !ok || u.Addr().Network() != "unix" {
			l.Close()
			errs = append(errs, fmt.Errorf("socket %q from systemd is a %s socket; use ListenStream= with a path", f.Name(), l.Addr().Network()))
			continue
		}
		out[f.Name()] = append(out[f.Name()], &Listener{Name: f.Name(), unix: u, path: u.Addr().String()})
	}
	return out, errors.Join(errs...)
}

// listenPath makes a socket file, in a folder where nobody else can make one.
func listenPath(s Socket) (_ *Listener, err error) {
	if s.Mode&^fs.ModePerm != 0 {
		return nil, fmt.Errorf("%s: mode %v has more than permission bits", s.Path, s.Mode)
	}
	path, err := filepath.Abs(s.Path)
	if err != nil {
		return nil, err
	}
	uid, gid, err := owners(s)
	if err != nil {
		return nil, err
	}
	if err := trustfile.CheckDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	l := &Listener{Name: s.Name, path: path}
	if l.lock, err = lock(path + ".lock"); err != nil {
		return nil, err
	}
	if err = removeStale(path); err == nil {
		err = l.create(uid, gid, s.Mode)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Check says why this process could not make a socket at its path.
func (s Socket) Check() error {
	if s.Path == "" {
		return nil
	}
	dir := filepath.Dir(s.Path)
	uid, gid, err := owners(s)
	if err == nil {
		err = trustfile.CheckDir(dir)
	}
	if err == nil {
		if err = unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			err = fmt.Errorf("%s: uid %d cannot make files in it", dir, os.Geteuid())
		}
	}
	if err != nil || os.Geteuid() == 0 {
		return err
	}
	mine, err := os.Getgroups()
	if err != nil {
		return err
	}
	if uid != -1 && uid != os.Geteuid() || gid != -1 && gid != os.Getegid() && !slices.Contains(mine, gid) {
		return fmt.Errorf("%s: only root gives sockets away, and others only to a group that they are in", s.Path)
	}
	return nil
}

// create binds the socket and listens only once owner and mode are as configured.
// Before that, connecting fails for everybody, whatever the umask made of the mode.
func (l *Listener) create(uid, gid int, mode fs.FileMode) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, os.NewSyscallError("socket", err))
	}
	f := os.NewFile(uintptr(fd), l.path)
	defer f.Close()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: l.path}); err != nil {
		return fmt.Errorf("%s: %w", l.path, os.NewSyscallError("bind", err))
	}
	if l.file, err = os.Lstat(l.path); err != nil {
		return err
	}
	if err := os.Lchown(l.path, uid, gid); err != nil {
		return fmt.Errorf("%w; only root gives sockets away, and others only to a group that they are in", err)
	}
	if err := os.Chmod(l.path, mode); err != nil {
		return err
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return fmt.Errorf("%s: %w", l.path, os.NewSyscallError("listen", err))
	}
	nl, err := net.FileListener(f) // duplicates it
	if err != nil {
		return err
	}
	l.unix = nl.(*net.UnixListener)
	return nil
}

// Addr is the path of the socket.
func (l *Listener) Addr() string { return l.path }

// Close stops listening. It removes the socket file if that is still the one that
// was made; a socket of systemd's stays as it is. Closing twice is harmless.
func (l *Listener) Close() error {
	var errs []error
	if l.file != nil {
		now, err := os.Lstat(l.path)
		if err == nil && os.SameFile(l.file, now) {
			errs = append(errs, os.Remove(l.path))
		}
		l.file = nil
	}
	if l.unix != nil {
		if err := l.unix.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
		l.lock = nil
	}
	return errors.Join(errs...)
}

// lock makes sure that two daemons do not take each other's socket for stale, one
// between its bind and its listen. The file stays: removing it would let two
// processes lock two files of one name.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is locked (%w): another daemon listens beside it; stop that one or choose another path", path, err)
	}
	return f, nil
}

// removeStale removes a socket on which nobody answers, and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is no socket; move it away or choose another path", path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); {
	case errors.Is(err, unix.ECONNREFUSED): // unix(7): nobody listens
		return os.Remove(path)
	case err == nil, errors.Is(err, unix.EAGAIN): // EAGAIN: somebody listens, and is behind
		return fmt.Errorf("another process answers on %s; stop it or choose another path", path)
	default:
		return fmt.Errorf("%s exists and cannot be tried: %w; remove it if nothing uses it", path, os.NewSyscallError("connect", err))
	}
}

// owners returns the ids for chown, -1 for what is to stay.
func owners(s Socket) (uid, gid int, err error) {
	uid, gid = -1, -1
	if s.Owner != "" {
		uid, err = strconv.Atoi(s.Owner)
		if err != nil || uid < 0 {
			u, err := user.Lookup(s.Owner)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: owner %q: %w", s.Path, s.Owner, err)
			}
			uid, _ = strconv.Atoi(u.Uid)
		}
	}
	if s.Group != "" {
		gid, err = strconv.Atoi(s.Group)
		if err != nil || gid < 0 {
			g, err := user.LookupGroup(s.Group)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: group %q: %w; create it with: groupadd --system %s", s.Path, s.Group, err, s.Group)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
	}
	return uid, gid, nil
}

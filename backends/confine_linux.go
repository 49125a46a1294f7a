package backends

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Confinement says what a worker may still reach. The zero value is the least: what
// every program reads to start, and nothing that the configuration would have to
// name. A worker gives up the rest by itself, needs no privilege for that, and can
// never take it back; nor can what it starts.
//
// # What it defends against
//
// A vendor's library or a card that has taken over the worker. It reads no file but
// those granted, so neither the journal nor the PINs of other tokens; it writes only
// where its token lives; it has no network unless that was granted; it can neither
// signal, trace, slow down nor take descriptors from another process of its account,
// the daemon among them; it gains no privileges by executing anything.
//
// # What it does not defend against
//
//   - What the worker must have: its own token and PIN, and the messages it signs.
//   - Use of the machine. A worker can fill the memory and the processor; limits on
//     those are the service manager's.
//   - Sockets in the file system: whoever the file's mode admits can connect to them,
//     the daemon's own included, which refuses its own account for that reason.
//     Abstract sockets are out of reach from Landlock ABI 6 (Linux 6.12).
//   - A kernel without Landlock ([LandlockABI] is 0): files are then as open to the
//     worker as to the daemon's account. The rest of the above still holds, but for
//     what is written under /proc about other processes.
//   - Learning that a file exists: Landlock does not hide names from stat(2).
type Confinement struct {
	// Read lists files and folders to read, beside those that every worker reads.
	Read []string `json:"read,omitempty"`
	// Write lists files and folders to read and write.
	Write []string `json:"write,omitempty"`
	// Devices lists device nodes to read and write, with all their ioctls.
	Devices []string `json:"devices,omitempty"`
	// Network admits the Internet's protocols. Without it there are Unix sockets only.
	Network bool `json:"network,omitempty"`
	// Keep lists descriptors that survive, beside 0, 1 and 2.
	Keep []int `json:"keep,omitempty"`
}

// mostFiles is how many descriptors a worker may have. Below 1024, so that a library
// that uses select(2) does not write outside its fd_set.
const mostFiles = 1024

// ConfineAndExec confines the process and executes its own program anew. It returns
// only if that is not possible, and the process must then end: the thread that tried
// may be confined already.
//
// Landlock, seccomp and no_new_privs belong to a thread, and Go has started several
// before main. Of those only the one that calls execve(2) lives on, so in the new
// image every thread has inherited what that one gave up, those of C libraries
// included. What a path names that is not there is not granted: the driver will say
// so better, and the worker is started again when a device is back.
func ConfineAndExec(c Confinement, argv, env []string) error {
	runtime.LockOSThread() // never unlocked: this thread is of no more use to others
	exe, err := executable()
	if err != nil {
		return fmt.Errorf("confine the worker: %w", err)
	}
	for _, step := range []func() error{
		func() error { return closeOnExec(c.Keep) },
		limits,
		noNewPrivileges,
		func() error { return restrictFiles(c) },
		func() error { return restrictCalls(c.Network) }, // last: it refuses what the others need
	} {
		if err := step(); err != nil {
			return fmt.Errorf("confine the worker: %w", err)
		}
	}
	return fmt.Errorf("confine the worker: execute %s: %w", exe, unix.Exec(exe, argv, env))
}

const self = "/proc/self/exe"

// executable names the running program. By its path, which process lists show, as
// long as that is still it; an upgrade may have put another one there.
func executable() (string, error) {
	path, err := os.Readlink(self)
	if err != nil {
		return "", fmt.Errorf("%w; is /proc mounted?", err)
	}
	running, err := os.Stat(self)
	if err != nil {
		return "", err
	}
	if there, err := os.Stat(path); err == nil && os.SameFile(running, there) {
		return path, nil
	}
	return self, nil
}

// closeOnExec makes execve close every descriptor but the first three and those to
// keep. They are not closed here: the Go runtime is still using its own.
func closeOnExec(keep []int) error {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil {
			return err
		}
		if fd <= 2 || slices.Contains(keep, fd) {
			continue
		}
		// EBADF: it was the one that read this list.
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil && !errors.Is(err, unix.EBADF) {
			return fmt.Errorf("mark descriptor %d: %w", fd, err)
		}
	}
	for _, fd := range keep {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("keep descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// limits keeps memory, in which there are PINs, out of core files, and files that
// the worker makes from others.
func limits() error {
	unix.Umask(0o077)
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return os.NewSyscallError("setrlimit RLIMIT_CORE", err)
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return os.NewSyscallError("getrlimit RLIMIT_NOFILE", err)
	}
	most := min(now.Max, mostFiles)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return os.NewSyscallError("setrlimit RLIMIT_NOFILE", err)
	}
	return nil
}

// noNewPrivileges is also what lets a process without privileges use the other two
// (landlock(7), seccomp(2)).
func noNewPrivileges() error {
	return os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

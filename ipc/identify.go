package ipc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
)

// Identifier works out who is at the other end of a connection.
type Identifier struct {
	private  bool
	self     uint32          // the daemon's own uid
	nobody   map[uint32]bool // uids that stand for accounts which have none here
	pidfd    func(socket int) (int, error)
	accounts *accounts
	units    *units
}

// NewIdentifier returns an Identifier. In a private set-up, a demo or a developer's
// machine, the daemon's own account may be a caller; else it may not, because it
// could as well change the daemon.
func NewIdentifier(private bool) *Identifier {
	id := &Identifier{
		private:  private,
		self:     uint32(os.Geteuid()),
		nobody:   map[uint32]bool{65534: true, 1<<32 - 1: true},
		pidfd:    peerPidfd,
		accounts: newAccounts(),
		units:    &units{root: cgroupRoot},
	}
	// user_namespaces(7): what an unmapped id looks like. Not readable under
	// ProcSubset=pid, where the kernel's default stands.
	if b, err := os.ReadFile("/proc/sys/kernel/overflowuid"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil {
			id.nobody[uint32(n)] = true
		}
	}
	return id
}

// Identify returns the process that connected, or an [*signer.Error] whose detail
// may be sent to it. The socket's name is that of the [Listener].
func (id *Identifier) Identify(conn *net.UnixConn, socketName string) (signer.Caller, error) {
	if socketName == "" {
		return signer.Caller{}, unidentified("the socket has no name", nil)
	}
	cred, p, err := id.peer(conn)
	if err != nil {
		return signer.Caller{}, err
	}
	account, err := id.accounts.lookup(cred.Uid)
	if err != nil {
		return signer.Caller{}, &signer.Error{
			Code:   signer.CodeUnavailable,
			Detail: fmt.Sprintf("the account database has no answer about uid %d; try again", cred.Uid),
			Err:    err,
		}
	}
	return signer.Caller{
		UID: cred.Uid, GID: cred.Gid, PID: cred.Pid,
		User: account.name, Groups: account.groups,
		Socket: socketName, Unit: id.units.find(p.cgroup), Identified: true,
	}, nil
}

// process is what the kernel says of a pidfd. The zero value says nothing.
type process struct{ cgroup uint64 }

// peer asks the kernel who connected and whether that process still is what it was.
func (id *Identifier) peer(conn *net.UnixConn) (*unix.Ucred, process, error) {
	cred, err := peerCred(conn)
	if err != nil {
		return nil, process{}, unidentified("the kernel does not say who is asking", err)
	}
	if err := id.admits(cred); err != nil {
		return nil, process{}, err
	}
	var p process
	raw, err := conn.SyscallConn()
	if err == nil {
		var proof error
		if err = raw.Control(func(fd uintptr) { p, proof = id.prove(int(fd), cred) }); err == nil {
			return cred, p, proof
		}
	}
	return nil, process{}, unidentified("the connection is closed", err)
}

// peerCred returns uid, gid and pid as they were when the other end connected.
func peerCred(conn *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if ctl := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); ctl != nil {
		return nil, ctl
	}
	return cred, os.NewSyscallError("SO_PEERCRED", err)
}

// admits refuses credentials that do not name an account of somebody else's.
func (id *Identifier) admits(cred *unix.Ucred) error {
	switch {
	case id.nobody[cred.Uid]:
		return unidentified(fmt.Sprintf("uid %d stands for accounts that this host does not know, such as those of a container; run the caller under an account of this host", cred.Uid), nil)
	case cred.Pid <= 0: // pid_namespaces(7): a process that is not visible from here
		return unidentified("the process that asks lives in another pid namespace; run it where the daemon can see it", nil)
	case cred.Uid == id.self && !id.private:
		return unidentified(fmt.Sprintf("uid %d is the daemon's own account; run the caller under another one", cred.Uid), nil)
	}
	return nil
}

// prove checks that the process which connected still runs under the uid that it
// had then.
func (id *Identifier) prove(socket int, cred *unix.Ucred) (process, error) {
	const gone = "the process that connected has ended; connect from the process that asks"
	pidfd, err := id.pidfd(socket)
	if errors.Is(err, unix.ENOPROTOOPT) { // Linux before 6.5
		// A pid that was used again cannot be told from the first one, but one that
		// is not in use can.
		if err := unix.Kill(int(cred.Pid), 0); errors.Is(err, unix.ESRCH) {
			return process{}, unidentified(gone, os.NewSyscallError("kill", err))
		}
		return process{}, nil
	}
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) { // reaped; which of them depends on the kernel
		return process{}, unidentified(gone, os.NewSyscallError("SO_PEERPIDFD", err))
	}
	if err != nil { // EMFILE
		return process{}, &signer.Error{
			Code:   signer.CodeUnavailable,
			Detail: "the daemon cannot tell who is asking at the moment; try again",
			Err:    os.NewSyscallError("SO_PEERPIDFD", err),
		}
	}
	defer unix.Close(pidfd)

	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS | unix.PIDFD_INFO_CGROUPID}
	err = unix.IoctlPidfdInfo(pidfd, &info)
	known := err == nil
	if errors.Is(err, unix.ESRCH) {
		return process{}, unidentified(gone, os.NewSyscallError("PIDFD_GET_INFO", err))
	}
	// Last, so that what was read above was read of a living process. A pidfd is
	// readable once its process has ended, reaped or not (pidfd_open(2)), and
	// asking takes no permission over the process, as a signal would.
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); n != 0 || err != nil {
		return process{}, unidentified(gone, os.NewSyscallError("poll", err))
	}
	if !known { // Linux before 6.13: ENOTTY or EINVAL
		return process{}, nil
	}
	if info.Mask&unix.PIDFD_INFO_CREDS == 0 || info.Euid != cred.Uid {
		return process{}, unidentified(fmt.Sprintf("the process connected as uid %d and is uid %d now; connect again", cred.Uid, info.Euid), nil)
	}
	if info.Mask&unix.PIDFD_INFO_CGROUPID == 0 {
		return process{}, nil
	}
	return process{cgroup: info.Cgroupid}, nil
}

// peerPidfd returns a pidfd of the process that connected.
func peerPidfd(socket int) (int, error) {
	return unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
}

func unidentified(detail string, err error) error {
	return &signer.Error{Code: signer.CodeUnauthenticated, Detail: detail, Err: err}
}

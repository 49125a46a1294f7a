package backends

import (
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused are system calls that no library needs to sign, whatever their arguments,
// beside those of one architecture, refusedHere. A list of what is allowed would be
// stronger, but nobody knows what a vendor's library calls; the unit file has one.
var refused = []uint32{
	// Other processes of the account: their memory, descriptors, threads, priority.
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE, unix.SYS_KCMP, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES,
	unix.SYS_TKILL, unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET,
	// Ways around this filter: io_uring does what it is told in the kernel.
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	// Files by their name in ways that Landlock does not restrict: owner, mode and
	// attributes, and, before its ABI 3, length.
	unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWNAT, unix.SYS_TRUNCATE,
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_SETXATTRAT, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_REMOVEXATTRAT,
	unix.SYS_FILE_SETATTR, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
	// Names and mounts of one's own, which lead to much code of the kernel's.
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_FSOPEN,
	unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR,
	// The rest of the kernel that attackers like and libraries of tokens do not need.
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_PERSONALITY, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_FANOTIFY_INIT, unix.SYS_ACCT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_REBOOT, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_SYSLOG, unix.SYS_VHANGUP,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
}

// namespaces are the flags of clone(2) that make a new one.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Requests of ioctl(2) that make a signal's target of another process, and that type
// on a terminal (asm-generic/sockios.h; TIOCSTI(2const), ioctl_console(2)).
const (
	fioSetOwn = 0x8901
	siocSPgrp = 0x8902
	tioLinux  = 0x541c
)

// program is a filter of system calls for the kernel (seccomp(2)). Every block in it
// begins with the number of the call at hand and ends by answering, or leaves it.
type program []unix.SockFilter

// Where struct seccomp_data has what a filter looks at. The numbers compared are all
// ints to the kernel, which ignores the upper half of the argument as the filter does.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

func (p *program) add(code uint16, k uint32, yes, no int) {
	*p = append(*p, unix.SockFilter{Code: code, Jt: uint8(yes), Jf: uint8(no), K: k})
}

func (p *program) load(offset uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0) }

func (p *program) answer(e unix.Errno) {
	if e == 0 {
		p.add(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW, 0, 0)
		return
	}
	p.add(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(e), 0, 0)
}

// refuse answers a call with an error.
func (p *program) refuse(call uint32, e unix.Errno) {
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, call, 0, 1)
	p.answer(e)
}

// match decides a call by one of its arguments, under a mask: listed when the value
// is one of those listed, otherwise when it is not.
func (p *program) match(call uint32, arg int, mask uint32, values []uint32, listed, otherwise unix.Errno) {
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, call, 0, len(values)+4)
	p.load(dataArgs + 8*uint32(arg)) // the lower half, on machines whose lower half is first
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, mask, 0, 0)
	for i, v := range values {
		p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, v, len(values)-i, 0)
	}
	p.answer(otherwise)
	p.answer(listed)
}

const whole = ^uint32(0) // a mask

// only allows a call with the values of one of its arguments, and no others.
func (p *program) only(call uint32, arg int, values ...uint32) {
	p.match(call, arg, whole, values, 0, unix.EPERM)
}

// except allows a call with all values of one of its arguments but these.
func (p *program) except(call uint32, arg int, values ...uint32) {
	p.match(call, arg, whole, values, unix.EPERM, 0)
}

// callFilter is the program for a process. Its id stays the same when it executes
// something, and those of other processes are never it.
func callFilter(pid uint32, network bool) program {
	var p program
	p.load(dataArch)
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, auditArch, 1, 0)
	p.answer(unix.EPERM)
	p.load(dataNumber)
	p.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, 0x40000000, 0, 1) // x32, numbers of its own
	p.answer(unix.EPERM)

	for _, call := range slices.Concat(refused, refusedHere) {
		p.refuse(call, unix.EPERM)
	}
	// Their flags are in memory, which a filter cannot see. Whoever hears that the
	// kernel does not have them uses clone and openat.
	p.refuse(unix.SYS_CLONE3, unix.ENOSYS)
	p.refuse(unix.SYS_OPENAT2, unix.ENOSYS)
	p.match(unix.SYS_CLONE, 0, namespaces, []uint32{0}, 0, unix.EPERM)

	families := []uint32{unix.AF_UNIX}
	if network {
		families = append(families, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK) // the last: getaddrinfo(3) asks for addresses
	}
	p.only(unix.SYS_SOCKET, 0, families...)

	for _, call := range []uint32{unix.SYS_KILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO} {
		p.only(call, 0, pid)
	}
	for _, call := range []uint32{unix.SYS_PRLIMIT64, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETATTR} {
		p.only(call, 0, 0, pid)
	}
	p.except(unix.SYS_FCNTL, 1, unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG) // signals to a process of one's choice
	p.except(unix.SYS_IOCTL, 1, fioSetOwn, siocSPgrp, unix.TIOCSTI, tioLinux)

	// "O_RDONLY | O_TRUNC" truncates a file that is open for reading (open(2)), which
	// Landlock does not restrict before ABI 3.
	readTruncate := func(call uint32, arg int) {
		p.match(call, arg, unix.O_ACCMODE|unix.O_TRUNC, []uint32{unix.O_TRUNC}, unix.EPERM, 0)
	}
	readTruncate(unix.SYS_OPENAT, 2)
	if openCall != 0 {
		readTruncate(openCall, 1)
	}
	p.answer(0)
	return p
}

// restrictCalls installs the filter for this thread. By prctl(2), not seccomp(2),
// which systemd's @system-service lacks.
func restrictCalls(network bool) error {
	p := callFilter(uint32(os.Getpid()), network)
	if len(p) > unix.BPF_MAXINSNS {
		return fmt.Errorf("the filter of system calls has %d instructions; the kernel takes %d", len(p), unix.BPF_MAXINSNS)
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	return os.NewSyscallError("prctl PR_SET_SECCOMP", err)
}

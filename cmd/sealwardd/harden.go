package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// harden takes from this process what an attacker beside it, or in it, could use:
// core dumps, being read or traced by other processes of its account, privileges
// from set-uid programs, files that others can read. It is called first in main
// and reads each back, because a limit that did not take effect is worse than none.
// The unit file says the same; a daemon that is started by hand has only this.
func harden() error {
	unix.Umask(0o077)
	if now := unix.Umask(0o077); now != 0o077 { // there is no other way to read it
		return fmt.Errorf("harden: umask is %04o, want 0077", now)
	}
	return errors.Join(noCore(), notDumpable(), noNewPrivileges())
}

// noCore keeps memory out of core files. A core_pattern that pipes ignores this
// limit (core(5)), but not the dumpable flag.
func noCore() error {
	var now unix.Rlimit
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("harden: %w", os.NewSyscallError("setrlimit RLIMIT_CORE", err))
	}
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil {
		return fmt.Errorf("harden: %w", os.NewSyscallError("getrlimit RLIMIT_CORE", err))
	}
	if now.Cur != 0 || now.Max != 0 {
		return fmt.Errorf("harden: RLIMIT_CORE is %d of %d, want 0 of 0", now.Cur, now.Max)
	}
	return nil
}

// notDumpable keeps other processes of the same account from attaching with ptrace
// and from reading /proc/PID/mem (PR_SET_DUMPABLE in prctl(2)). execve(2) resets it,
// so each worker does this again.
func notDumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("harden: %w", os.NewSyscallError("prctl PR_SET_DUMPABLE", err))
	}
	if now, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || now != 0 {
		return fmt.Errorf("harden: the process is still dumpable (%d, %v)", now, err)
	}
	return nil
}

// noNewPrivileges keeps every thread, and all that they execute, from gaining
// privileges by it.
//
// The flag belongs to a thread and Go has started several before main, which
// syscall.AllThreadsSyscall cannot reach in a program with cgo. Installing a seccomp
// filter with TSYNC does, "if the calling thread has set the no_new_privs bit, all
// of its siblings will have it as well" (SECCOMP_FILTER_FLAG_TSYNC in seccomp(2));
// the filter allows everything.
func noNewPrivileges() error {
	if set, err := everyThreadHasIt(); set || err != nil {
		return err // the service manager's NoNewPrivileges=yes, usually
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("harden: %w", os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", err))
	}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	program := unix.SockFprog{Len: 1, Filter: &allow}
	thread, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("harden: %w", os.NewSyscallError("seccomp", errno))
	}
	if thread != 0 {
		return fmt.Errorf("harden: thread %d has a seccomp filter of its own and keeps the right to gain privileges", thread)
	}
	set, err := everyThreadHasIt()
	if err == nil && !set {
		err = errors.New("harden: a thread can still gain privileges")
	}
	return err
}

// everyThreadHasIt reports whether no thread can gain privileges.
func everyThreadHasIt() (bool, error) {
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) == 0 {
		return false, fmt.Errorf("harden: no thread to be seen in /proc/self/task (%v); mount /proc", err)
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return false, fmt.Errorf("harden: %w", err)
		}
		if !strings.Contains(string(status), "\nNoNewPrivs:\t1\n") {
			return false, nil
		}
	}
	return true, nil
}

package signer

import "strconv"

// Caller is the process on the other end of a socket, as the kernel identifies
// it. Only package ipc makes one (the import test checks that); the zero Caller
// is nobody and is refused.
type Caller struct {
	UID, GID uint32
	PID      int32
	// User is the account name of UID, empty if it has none.
	User string
	// Groups are the names of the groups of UID, the primary one included. They
	// come from the account database, not from the process.
	Groups []string
	// Socket is the name of the socket that was used, e.g. "sign".
	Socket string
	// Unit is the systemd unit's cgroup path under the system manager, e.g.
	// "system.slice/payroll.service", proven by pidfd, or empty when the kernel
	// cannot prove it.
	Unit string
	// Identified tells a caller from the zero value, which would else be root.
	Identified bool
}

// ID is the scope of the caller's request ids: "uid:1000". It is the uid alone,
// so that a retry after a restart, over another socket or from a new process is
// still the same caller asking again.
func (c Caller) ID() string { return "uid:" + strconv.FormatUint(uint64(c.UID), 10) }

// noAccount is the share of every uid without an account.
const noAccount = ^uint32(0)

// Share is whose part of what is bounded the caller uses up: its uid's, or one that
// all uids without an account have together, since one user may have thousands of
// those (subuid(5)).
func (c Caller) Share() uint32 {
	if c.User == "" {
		return noAccount
	}
	return c.UID
}

// Account names [Caller.Share], for what is counted by caller: "uid:1000", or "uid:none"
// for all uids without an account.
func (c Caller) Account() string {
	if c.Share() == noAccount {
		return "uid:none"
	}
	return c.ID()
}

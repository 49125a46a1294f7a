package backends

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	openCall  = 0 // there is openat only
)

var refusedHere []uint32

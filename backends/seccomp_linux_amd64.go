package backends

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	openCall  = unix.SYS_OPEN
)

// refusedHere are calls that other architectures do not have: those by which older
// programs do what is refused, and those that reach the processor.
var refusedHere = []uint32{
	unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_USELIB, unix.SYS_SYSFS,
	unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT,
}

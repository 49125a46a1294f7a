package backends

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights over files (landlock(7), "Filesystem actions").
const (
	mayRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	mayRun   = mayRead | unix.LANDLOCK_ACCESS_FS_EXECUTE
	mayWrite = mayRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
	mayDrive = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	// A rule for a file that is not a folder may name these only.
	ofFiles = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// grant is a right over everything beneath a path.
type grant struct {
	path   string
	rights uint64
}

// everyone is granted to every worker: programs and libraries, what a C library and
// the libraries of tokens read to start, facts about the hardware. Of /etc only what
// is no secret of anybody's: /etc/sealward has the PINs of other tokens. Nothing here
// may lie above /etc/sealward or a folder for state.
//
// /opt is not here. Vendors put keys and credentials of their clients there, so the
// one folder that a module needs is for the configuration to name. The kernel may
// forget a rule about /proc when memory is short, so a worker must be able to do
// without what is read there once it runs.
var everyone = []grant{
	{"/usr", mayRun}, {"/lib", mayRun}, {"/lib32", mayRun}, {"/lib64", mayRun}, {"/bin", mayRun}, {"/sbin", mayRun},

	{"/etc/ld.so.cache", mayRead}, {"/etc/ld.so.conf", mayRead}, {"/etc/ld.so.conf.d", mayRead}, {"/etc/ld.so.preload", mayRead},
	{"/etc/localtime", mayRead}, {"/etc/locale.alias", mayRead}, {"/etc/machine-id", mayRead}, {"/etc/os-release", mayRead},
	{"/etc/passwd", mayRead}, {"/etc/group", mayRead}, {"/etc/nsswitch.conf", mayRead}, {"/etc/hosts", mayRead},
	{"/etc/host.conf", mayRead}, {"/etc/gai.conf", mayRead}, {"/etc/services", mayRead}, {"/etc/protocols", mayRead},
	{"/etc/resolv.conf", mayRead}, {"/run/systemd/resolve", mayRead}, // the first is a link to a file that is replaced there
	{"/etc/ssl/certs", mayRead}, {"/etc/ssl/openssl.cnf", mayRead}, {"/etc/pki", mayRead}, {"/etc/crypto-policies", mayRead}, {"/etc/gnutls", mayRead},
	{"/etc/softhsm", mayRead}, {"/etc/softhsm2.conf", mayRead}, {"/etc/opensc", mayRead}, {"/etc/pkcs11", mayRead},
	{"/etc/tpm2-tss", mayRead}, {"/etc/libccid_Info.plist", mayRead}, {"/run/pcscd", mayRead}, {"/run/udev", mayRead},

	{"/sys", mayRead}, {"/proc/self", mayRead}, {"/proc/cpuinfo", mayRead}, {"/proc/meminfo", mayRead}, {"/proc/stat", mayRead},
	{"/proc/sys/crypto", mayRead}, {"/proc/sys/vm/overcommit_memory", mayRead}, {"/proc/sys/kernel/random", mayRead},
	{"/dev/null", mayDrive}, {"/dev/zero", mayRead}, {"/dev/random", mayRead}, {"/dev/urandom", mayRead},

	{self, mayRun}, // execve needs it
}

// LandlockABI is the version of Landlock that this kernel has, 0 when it has none or
// it is switched off. A worker is confined by it wherever it is there; where it is
// not, the daemon's status says what that means (see [Confinement]).
func LandlockABI() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// handled returns what an ABI can restrict (landlock(7), "VERSIONS"). An older one
// does not restrict the rest, and refuses to hear of it.
func handled(abi int, network bool) (attr unix.LandlockRulesetAttr, size uintptr) {
	attr.Handled_access_fs = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // ABI 1: this and all below
	size = unsafe.Offsetof(attr.Handled_access_net)
	if abi >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 {
		size = unsafe.Offsetof(attr.Scoped)
		if !network {
			attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}
	}
	if abi >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		size = unsafe.Offsetof(attr.Quiet_access_fs)
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return attr, size
}

// restrictFiles leaves this thread what [everyone] is granted and what c lists, as
// far as the kernel has Landlock.
func restrictFiles(c Confinement) error {
	abi := LandlockABI()
	if abi == 0 {
		return nil
	}
	attr, size := handled(abi, c.Network)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_create_ruleset", errno)
	}
	ruleset := int(fd)
	defer unix.Close(ruleset)
	for _, g := range c.grants() {
		if err := g.add(ruleset, attr.Handled_access_fs); err != nil {
			return fmt.Errorf("grant %s: %w", g.path, err)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return nil
}

// grants returns everything that c leaves.
func (c Confinement) grants() []grant {
	all := append([]grant(nil), everyone...)
	for _, list := range []struct {
		paths  []string
		rights uint64
	}{{c.Read, mayRun}, {c.Write, mayWrite}, {c.Devices, mayDrive}} {
		for _, path := range list.paths {
			all = append(all, grant{path, list.rights})
		}
	}
	return all
}

func (g grant) add(ruleset int, handled uint64) error {
	file, err := unix.Open(g.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(file)
	var stat unix.Stat_t
	if err := unix.Fstat(file, &stat); err != nil {
		return err
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: g.rights & handled, Parent_fd: int32(file)}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rule.Allowed_access &= ofFiles
	}
	// The structure is packed in C: its last field ends at 12 bytes, where the kernel
	// stops reading (include/uapi/linux/landlock.h).
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}

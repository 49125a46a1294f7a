package ipc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// The most control groups that are looked at: units all together, and groups
// inside one unit. A unit with Delegate=, such as the manager of a user, makes its
// own; it must not be able to hide other units by making many.
const (
	unitsMost  = 1 << 16
	nestedMost = 1 << 10
)

// UnitsProvable says why callers cannot be told apart by their systemd unit on this
// host, so that no selector "unit:" matches, or nil if they can.
func UnitsProvable() error {
	if err := isCgroup2(cgroupRoot); err != nil {
		return fmt.Errorf("unit of a caller: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("unit of a caller: %w", os.NewSyscallError("socketpair", err))
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	pidfd, err := peerPidfd(pair[0])
	if err != nil {
		return fmt.Errorf("unit of a caller: %w: the kernel gives no pidfd of a peer; Linux 6.5 and later do", os.NewSyscallError("SO_PEERPIDFD", err))
	}
	defer unix.Close(pidfd)
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_CGROUPID}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err != nil {
		return fmt.Errorf("unit of a caller: %w: the kernel does not name the control group of a pidfd; Linux 6.13 and later do", os.NewSyscallError("PIDFD_GET_INFO", err))
	}
	if info.Mask&unix.PIDFD_INFO_CGROUPID == 0 {
		return errors.New("unit of a caller: the kernel was built without control groups")
	}
	return nil
}

// isCgroup2 guards against another file system whose inode numbers happen to be
// ids of control groups: a tmpfs has an inode 1 as well.
func isCgroup2(root string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return fmt.Errorf("%s: %w", root, err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("%s is no cgroup2 file system; boot with systemd.unified_cgroup_hierarchy=1", root)
	}
	return nil
}

// units finds the unit of a control group. The id of a control group is the inode
// number of its folder and is not used again while the system runs (kernfs counts
// generations in the upper half), so what was found once stays true.
type units struct {
	root string

	mu      sync.Mutex
	byGroup map[uint64]string // of the last walk
	started uint64            // walks

	walking sync.Mutex // held during a walk
}

// find returns the unit's path under the system manager, or "" when there is none
// or it cannot be found. An unknown group costs a walk; callers that come meanwhile
// share the one that starts after them.
func (u *units) find(group uint64) string {
	if group == 0 {
		return ""
	}
	u.mu.Lock()
	unit, ok := u.byGroup[group]
	came := u.started
	u.mu.Unlock()
	if ok {
		return unit
	}
	u.walking.Lock()
	defer u.walking.Unlock()
	u.mu.Lock()
	fresh := u.started > came
	if !fresh {
		u.started++
	}
	u.mu.Unlock()
	if !fresh {
		found := walkUnits(u.root)
		u.mu.Lock()
		u.byGroup = found
		u.mu.Unlock()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byGroup[group]
}

// walkUnits lists the control groups under root with the unit that each belongs to.
//
// The system manager keeps slices and, in them, units; what is inside a unit is the
// unit's own affair (systemd.resource-control(5), "Delegate="), and its names prove
// nothing: the "payroll.service" of a user's manager lies inside user@1000.service.
// So a group belongs to the first unit on the way down. Units come first, for the
// bound on what is inside one.
func walkUnits(root string) map[uint64]string {
	found := map[uint64]string{}
	var st unix.Stat_t
	if isCgroup2(root) != nil || unix.Stat(root, &st) != nil {
		return found
	}
	found[st.Ino] = "" // no unit: what runs in the root or in a slice
	var units []group
	slices := []group{{path: "."}}
	for len(slices) > 0 && len(found) < unitsMost {
		in := slices[0]
		slices = slices[1:]
		for _, g := range groups(root, in.path, unitsMost) {
			switch filepath.Ext(g.path) {
			case ".slice":
				slices = append(slices, g)
				found[g.id] = ""
			case ".service", ".scope", ".socket", ".mount", ".swap":
				units = append(units, g)
				found[g.id] = g.path
			}
		}
	}
	for _, unit := range units {
		inside := []group{unit}
		for left := nestedMost; len(inside) > 0 && left > 0; {
			next := groups(root, inside[0].path, left)
			inside = append(inside[1:], next...)
			left -= len(next)
			for _, g := range next {
				found[g.id] = unit.path
			}
		}
	}
	return found
}

// group is a control group.
type group struct {
	path string // under the root
	id   uint64
}

// groups returns the control groups directly in a folder, at most so many. One that
// vanishes meanwhile is left out.
func groups(root, in string, most int) []group {
	dir, err := os.Open(filepath.Join(root, in))
	if err != nil {
		return nil
	}
	defer dir.Close()
	var out []group
	for {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			if len(out) == most {
				return out
			}
			info, err := e.Info()
			if err != nil {
				continue
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				out = append(out, group{filepath.Join(in, e.Name()), st.Ino})
			}
		}
		if err != nil { // the end, or gone
			return out
		}
	}
}

package backends

import (
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestNothingThatEveryWorkerReadsLiesAboveASecret(t *testing.T) {
	for _, g := range everyone {
		for _, secret := range []string{"/etc/sealward/hsm.pin", "/etc/shadow", "/etc/ssl/private/key.pem", "/var/lib/sealward/journal.db", "/run/credentials/x", "/root/x", "/home/x", "/tmp/x", "/opt/vendor/key"} {
			if secret == g.path || strings.HasPrefix(secret, strings.TrimSuffix(g.path, "/")+"/") {
				t.Errorf("%s is granted, and %s lies in it", g.path, secret)
			}
		}
		if g.path != "/dev/null" && g.rights&^mayRun != 0 {
			t.Errorf("%s is granted to write", g.path)
		}
	}
}

// A kernel takes the structure and the rights of each older version too.
func TestEveryVersionOfLandlockIsAskedForWhatItHas(t *testing.T) {
	newest := LandlockABI()
	if newest == 0 {
		t.Log("not proven here, where there is no Landlock: that the kernel takes what it is asked for")
	}
	rights := map[int]uint64{1: 0x1fff, 2: 0x3fff, 3: 0x7fff, 4: 0x7fff, 5: 0xffff, 6: 0xffff, 7: 0xffff, 99: 0xffff}
	sizes := map[int]uintptr{1: 8, 2: 8, 3: 8, 4: 16, 5: 16, 6: 24, 7: 24, 99: 24}
	for abi, want := range rights {
		attr, size := handled(abi, false)
		if attr.Handled_access_fs != want || size != sizes[abi] || (attr.Handled_access_net != 0) != (abi >= 4) || (attr.Scoped != 0) != (abi >= 6) {
			t.Errorf("ABI %d: %+v of %d bytes; want the rights %x in %d bytes, TCP from 4 and scopes from 6", abi, attr, size, want, sizes[abi])
		}
		if newest == 0 || abi > newest && newest < 6 {
			continue
		}
		fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
		if errno != 0 {
			t.Errorf("ABI %d: the kernel, which has %d, says %v", abi, newest, errno)
			continue
		}
		if err := unix.Close(int(fd)); err != nil {
			t.Error(err)
		}
	}
	if attr, _ := handled(newest, true); attr.Handled_access_net != 0 {
		t.Errorf("with a network, the rights %x over TCP are restricted", attr.Handled_access_net)
	}
}

func TestTheFilterFitsIntoTheKernel(t *testing.T) {
	for _, network := range []bool{false, true} {
		p := callFilter(1, network)
		if len(p) > unix.BPF_MAXINSNS {
			t.Errorf("the filter has %d instructions", len(p))
		}
		for i, in := range p {
			if in.Code&7 == unix.BPF_JMP && i+1+int(max(in.Jt, in.Jf)) >= len(p) {
				t.Errorf("instruction %d jumps out of the filter", i)
			}
		}
	}
}

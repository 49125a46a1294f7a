package main

import (
	"slices"
	"testing"

	"github.com/sealward/sealward/backends"
)

func TestAKernelWithoutLandlockIsNoticed(t *testing.T) {
	for abi, noticed := range map[int]bool{0: true, 1: false, 2: false, 6: false} {
		text := unconfined(abi)
		if (text != "") != noticed {
			t.Errorf("unconfined(%d) = %q; want a notice: %v", abi, text, noticed)
		}
		if noticed {
			contains(t, "the notice", text, "no Landlock", "PINs of other tokens", "/sys/kernel/security/lsm")
		}
	}
}

// What is noticed is of the kernel that the daemon runs on.
func TestStatusTellsOfTheKernelsLandlock(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.start()
	s := h.status()
	here := unconfined(backends.LandlockABI())
	for _, n := range s.GetNotices() {
		if n == unconfined(0) && here == "" {
			t.Errorf("status has %q on a kernel with Landlock ABI %d", n, backends.LandlockABI())
		}
	}
	if here != "" && !slices.Contains(s.GetNotices(), here) {
		t.Errorf("notices = %q, want %q among them", s.GetNotices(), here)
	}
}

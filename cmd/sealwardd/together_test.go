package main

import (
	"strings"
	"syscall"
	"testing"
)

// tornRead reports whether SoftHSM read the files of a token while another process was
// writing them, as each login does: for that moment it shows no token, or one without a
// PIN.
func tornRead(log string) bool {
	return strings.Contains(log, "could not find PKCS#11 token") || strings.Contains(log, "has no user PIN yet") || strings.Contains(log, "CKR_GENERAL_ERROR")
}

// TestCheckConfigBesideADaemonThatStarts logs in to the same token at the same moment
// as others do: none takes the try of another for one that was cut short.
func TestCheckConfigBesideADaemonThatStarts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.start().stop() // what it has seen once, a daemon does not need at its start
	rounds := 0
	for tries := 0; rounds < 3; tries++ {
		if tries == 20 {
			t.Fatalf("SoftHSM read its own files in %d of 20 rounds", rounds)
		}
		daemon := h.try()
		var checks []*process
		for range 3 {
			checks = append(checks, h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl")))
		}
		for _, c := range checks {
			code := c.wait()
			for again := 0; code != 0 && tornRead(c.log.String()) && again < 5; again++ {
				c = h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl"))
				code = c.wait()
			}
			if code != 0 {
				t.Errorf("--check-config ends with %d beside a daemon that starts:\n%s", code, c.log.String())
			}
		}
		daemon.waitLog("msg=ready")
		if tornRead(daemon.log.String()) {
			daemon.signal(syscall.SIGTERM)
			daemon.wait() // its last checkpoint may want the token
			continue
		}
		rounds++
		if !h.missing("journal/pin-softhsm.json") {
			t.Errorf("a mark is left: %s", h.read("journal/pin-softhsm.json"))
		}
		daemon.stop()
	}
}

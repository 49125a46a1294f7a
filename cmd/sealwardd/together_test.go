package main

import (
	"testing"
)

// TestCheckConfigBesideADaemonThatStarts logs in to the same token at the same moment
// as others do: none takes the try of another for one that was cut short.
func TestCheckConfigBesideADaemonThatStarts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for range 3 {
		daemon := h.try()
		var checks []*process
		for range 3 {
			checks = append(checks, h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl")))
		}
		for _, c := range checks {
			if code := c.wait(); code != 0 {
				t.Errorf("--check-config ends with %d beside a daemon that starts:\n%s", code, c.log.String())
			}
		}
		daemon.waitLog("msg=ready")
		if !h.missing("journal/pin-softhsm.json") {
			t.Errorf("a mark is left: %s", h.read("journal/pin-softhsm.json"))
		}
		daemon.stop()
	}
}

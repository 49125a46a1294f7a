package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestReplayOfADaemonsOwnRecord has the command line decide again what a daemon decided,
// under two policies, through the admin socket and from the file.
func TestReplayOfADaemonsOwnRecord(t *testing.T) {
	h := newHost(t)
	h.write("policy.hcl", hostPolicy+adminPolicy)
	p := h.start()
	h.pay("a1")
	h.sealwardOK("keys", "disable", "hot", "--reason", "lunch")
	h.unpaid("hot", "a2", "lunch")
	h.sealwardOK("keys", "enable", "hot", "--reason", "back from lunch")
	h.edit("policy.hcl", `"1000 eth"`, `"0.3 eth"`)
	p.signal(syscall.SIGHUP)
	p.waitLog("a new policy is in force")
	h.pay("a3")
	if _, err := h.payBy("hot", "a4"); err == nil {
		t.Fatal("the limit of the new policy does not hold")
	}

	check := func(source ...string) {
		t.Helper()
		stdout := h.sealwardOK(append([]string{"policy", "replay"}, source...)...)
		if !strings.Contains(stdout, "6 decisions, all the same") || !strings.Contains(stdout, "1 refused before policy was asked") {
			t.Errorf("the check says\n%s", stdout)
		}
	}
	under := func(change string, source ...string) {
		t.Helper()
		code, stdout, stderr := h.sealward(-1, append([]string{"policy", "replay", h.path("candidate.hcl")}, source...)...)
		if code != 7 || strings.Count(stdout, "\nleaf ") != 1 || !strings.Contains(stdout, change) {
			t.Errorf("exit code %d, %s\n%s\nlacks %q", code, stderr, stdout, change)
		}
	}
	check()
	h.write("candidate.hcl", hostPolicy+adminPolicy)
	under("would be allowed\n  request   a4 of uid:0")
	h.edit("candidate.hcl", `"1000 eth"`, `"0.15 eth"`)
	under("would be refused\n  request   a3 of uid:0")
	h.write("elsewhere.hcl", h.read("candidate.hcl"))
	must(t, os.Mkdir(h.path("apart"), 0o700))
	must(t, os.Rename(h.path("elsewhere.hcl"), h.path("apart/candidate.hcl"))) // no configuration is beside it
	if code, stdout, stderr := h.sealward(-1, "policy", "replay", h.path("apart/candidate.hcl")); code != 7 || !strings.Contains(stdout, "a3 of uid:0") {
		t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
	}

	p.stop()
	check("--file", h.path("journal/journal.db"))
	under("would be refused\n  request   a3 of uid:0", "--file", h.path("journal/journal.db"))
}

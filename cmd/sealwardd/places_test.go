package main

import (
	"os"
	"testing"
)

// The copies of a killed verification are removed at start; the journal is not one.
func TestAJournalIsNoCopyWhateverItsName(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.edit("sealward.hcl", `journal/journal.db`, `journal/verify-eth.db`)
	must(t, os.MkdirAll(h.path("journal/verify-123/x"), 0o700)) // of a daemon that was killed
	p := h.start()
	h.pay("r1")
	n := h.size()
	p.stop()
	p = h.start()
	p.stop()
	if h.missing("journal/verify-eth.db") {
		t.Errorf("the daemon removed its own journal of %d leaves at the second start", n)
	}
	if !h.missing("journal/verify-123") {
		t.Error("a copy that was left behind is still there")
	}
}

func TestAJournalFolderMayHaveBrackets(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.Mkdir(h.path("j[1"), 0o700))
	h.edit("sealward.hcl", `journal/journal.db`, `j[1/journal.db`)
	h.start().stop()
}

func TestCheckConfigAsRootOfAnotherAccountsJournal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.edit("sealward.hcl", "private = true", "private = false")
	want, text := 0, "note: this was checked as root"
	if os.Geteuid() == 0 {
		must(t, os.Chown(h.path("journal"), 12345, 12345))
	} else { // another account cannot judge for the daemon's
		must(t, os.Chmod(h.path("journal"), 0o755))
		want, text = 1, "sealwardd would not start"
	}
	p := h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl"))
	if code := p.wait(); code != want {
		t.Errorf("--check-config ends with %d, want %d", code, want)
	}
	contains(t, "--check-config", p.log.String(), text)
}

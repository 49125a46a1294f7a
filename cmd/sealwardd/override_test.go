package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// force writes root's override for a version of the policy.
func (h *host) force(version, reason string) {
	h.t.Helper()
	h.write("override.hcl", fmt.Sprintf("version = 1\npolicy  = %q\nreason  = %q\n", version, reason))
}

// lostTokens is a host whose approvers' tokens are lost, with a policy on disk that names
// others, and its version.
func lostTokens(t *testing.T) (h *treasury, old, next string) {
	t.Helper()
	h = newTreasury(t)
	p := h.start()
	old = h.status().GetPolicy()
	h.alice, h.bob = newPerson(t, "alice"), newPerson(t, "bob")
	h.write("alice.pem", h.alice.pem)
	h.write("bob.pem", h.bob.pem)
	next = h.onDisk()
	p.stop()
	return h, old, next
}

func TestRootOverridesAndStartsFrozen(t *testing.T) {
	t.Parallel()
	h, old, next := lostTokens(t)
	p := h.start()
	must(t, h.note("hot", "signed-before"))
	before := h.size()
	p.stop()
	h.force(next, "both tokens are lost")

	p = h.start()
	s := h.status()
	if s.GetPolicy() != next || s.GetPolicy() == old || s.GetFrozen() == "" || s.GetOverridden() == 0 {
		t.Fatalf("policy %s is in force, want %s; frozen %q, overridden at %d", s.GetPolicy(), next, s.GetFrozen(), s.GetOverridden())
	}
	contains(t, "the notices", strings.Join(s.GetNotices(), "\n"), "override.hcl was obeyed at this start; remove it", fmt.Sprintf("at leaf %d, which nobody approved", s.GetOverridden()), "nothing is signed until the act thaw is done")
	contains(t, "the log", p.log.String(), "both tokens are lost", "which nobody approved")
	evs := h.events(before)
	at := int(s.GetOverridden() - before)
	if len(evs) < at+3 || evs[at].Type != signer.EventOverridden || evs[at+1].Type != signer.EventFrozen || evs[at+2].Type != signer.EventStarted {
		t.Fatalf("the journal has %+v", evs)
	}
	contains(t, "the record", evs[at].Detail, "both tokens are lost", "override sha256:")
	if fmt.Sprintf("%x", evs[at].Policy) != next || evs[at+2].Policy != evs[at].Policy {
		t.Errorf("overridden is on record with policy %x, the start with %x", evs[at].Policy, evs[at+2].Policy)
	}
	if _, err := h.payBy("hot", "frozen"); codeOf(err) != signer.CodeFrozen {
		t.Errorf("a payment: %v, want code %q", err, signer.CodeFrozen)
	}

	h.do("thaw", admin.Order{Act: admin.ActThaw, Reason: "the new tokens are here"})
	if s := h.status(); s.GetFrozen() != "" {
		t.Errorf("after the thaw it is frozen: %s", s.GetFrozen())
	}
	from := h.size()
	h.agree(h.ask(payment("after", 7)), "signed")
	for _, ev := range h.events(from) {
		if ev.Decision != nil && ev.Override != s.GetOverridden() {
			t.Errorf("a %s event says override %d, want %d", ev.Type, ev.Override, s.GetOverridden())
		}
	}

	// The same file again is not obeyed; another is.
	p = h.again(p)
	if s := h.status(); s.GetFrozen() != "" || !h.said("is not obeyed again; remove it") {
		t.Errorf("frozen %q, notices %q", s.GetFrozen(), s.GetNotices())
	}
	must(t, os.Remove(h.path("override.hcl")))
	p = h.again(p)
	if s := h.status(); s.GetFrozen() != "" || h.said("override.hcl") || s.GetOverridden() == 0 {
		t.Errorf("without the file: frozen %q, overridden at %d, notices %q", s.GetFrozen(), s.GetOverridden(), s.GetNotices())
	}
	h.force(next, "and once more")
	p = h.again(p)
	if s := h.status(); s.GetFrozen() == "" {
		t.Error("another override does not freeze")
	}
	h.sound()
	p.stop()
}

func TestAnOverrideThatIsNotRootsWordIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(h *treasury, next string)
		want  []string
	}{
		"another version than on disk": {func(h *treasury, _ string) { h.force(strings.Repeat("ab", 32), "x") }, []string{"override.hcl is for policy abab", "the policy on disk is version"}},
		"no reason":                    {func(h *treasury, next string) { h.force(next, "") }, []string{"override.hcl:3,", "must not be empty"}},
		"a file that all may write":    {func(h *treasury, next string) { h.force(next, "x"); h.mode("override.hcl", 0o666) }, []string{"read root's override", "override.hcl", "chmod"}},
		"a file of another account": {func(h *treasury, next string) {
			h.force(next, "x")
			must(h.t, os.Chown(h.path("override.hcl"), 65533, 65533))
		}, []string{"read root's override", "override.hcl"}},
		"a policy that does not load": {func(h *treasury, next string) { h.force(next, "x"); h.write("policy.hcl", "rule {") }, []string{"override.hcl: ", "policy.hcl:1,"}},
		"a text that is no override":  {func(h *treasury, next string) { h.write("override.hcl", next) }, []string{"override.hcl:1,"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, old, next := lostTokens(t)
			c.spoil(h, next)
			p := h.try()
			if code := p.wait(); code != 1 {
				t.Errorf("the start ends with %d, want 1", code)
			}
			contains(t, "its log", strings.NewReplacer(`\"`, `"`).Replace(p.log.String()), c.want...)
			must(t, os.Remove(h.path("override.hcl")))
			p = h.start()
			if s := h.status(); s.GetPolicy() != old || s.GetFrozen() != "" || s.GetOverridden() != 0 {
				t.Errorf("policy %s is in force, want %s; frozen %q, overridden at %d", s.GetPolicy(), old, s.GetFrozen(), s.GetOverridden())
			}
			p.stop()
		})
	}
}

// A new journal takes the policy on disk anyway, and an override that lies there would
// freeze the start after.
func TestANewJournalTakesNoOverride(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	h.force(h.status().GetPolicy(), "x")
	p.stop()
	must(t, os.RemoveAll(h.path("journal")))
	must(t, os.Mkdir(h.path("journal"), 0o700))
	p = h.try()
	if code := p.wait(); code != 1 {
		t.Errorf("the start ends with %d, want 1", code)
	}
	contains(t, "its log", p.log.String(), "override.hcl", "begins a new journal", "remove the file")
}

// Where the daemon has an account of its own, that account cannot override.
func TestTheDaemonsAccountDoesNotOverride(t *testing.T) {
	t.Parallel()
	const account = 65533
	h := newTreasury(t)
	h.edit("sealward.hcl", "private = true", "private = false")
	h.edit("sealward.hcl", "  mode = \"0666\"\n", "")
	h.force(strings.Repeat("ab", 32), "x")
	image, err := os.ReadFile(self(t))
	must(t, err)
	must(t, os.WriteFile(h.path("sealwardd"), image, 0o755)) // the account cannot reach the one of the tests
	must(t, filepath.WalkDir(h.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, account, account))
	}))
	check := func() string {
		t.Helper()
		cmd := exec.Command(h.path("sealwardd"), "--check-config", "--config", h.path("sealward.hcl"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: account, Gid: account}}
		cmd.Env, cmd.Dir = append(os.Environ(), h.env()...), h.dir
		stdin, err := cmd.StdinPipe()
		must(t, err)
		defer stdin.Close()
		out, _ := cmd.CombinedOutput() // what it says is what counts
		return string(out)
	}
	contains(t, "with a file of its own", check(), "would not start", "only root overrides: chown root")
	must(t, os.Chown(h.path("override.hcl"), 0, 0))
	must(t, os.Chmod(h.path("override.hcl"), 0o644))
	contains(t, "with a file of root's", check(), "sealwardd would start", "a start obeys it unless one did before")
}

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// said reports whether an operator is told something, in status.
func (h *host) said(what string) bool {
	h.t.Helper()
	return strings.Contains(strings.Join(h.status().GetNotices(), "\n"), what)
}

// trusted is what the last start recorded of its trust in the policy file.
func (h *host) trusted() (out string) {
	h.t.Helper()
	for _, ev := range h.events(0) {
		if ev.Type == signer.EventStarted {
			out = ev.TrustsFile
		}
	}
	return out
}

// Who can write the files, signal the daemon and restart it changes nothing where they are
// not trusted, and is told what does.
func TestFilesThatAreNotTrustedChangeNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		swap func(*treasury)
		file string
	}{
		"another policy":                     {func(h *treasury) { h.write("policy.hcl", hostPolicy) }, "policy.hcl"},
		"a policy that does not load":        {func(h *treasury) { h.write("policy.hcl", "rule {") }, "policy.hcl"},
		"no policy at all":                   {func(h *treasury) { must(h.t, os.Remove(h.path("policy.hcl"))) }, "policy.hcl"},
		"a policy that all may write":        {func(h *treasury) { h.mode("policy.hcl", 0o666) }, "policy.hcl"},
		"another certificate of an approver": {func(h *treasury) { h.write("bob.pem", certificate(h.t)) }, "bob.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTreasury(t)
			p := h.start()
			before := h.status()
			if before.GetTrustsPolicyFile() || before.GetPolicyFile() != "" || h.trusted() != trustNo {
				t.Errorf("before: trusts %t (%s on record), differs %q", before.GetTrustsPolicyFile(), h.trusted(), before.GetPolicyFile())
			}
			c.swap(h)
			same := func(when string) {
				t.Helper()
				s := h.status()
				if s.GetPolicy() != before.GetPolicy() {
					t.Errorf("%s policy %s is in force, want %s", when, s.GetPolicy(), before.GetPolicy())
				}
				contains(t, when+" status", s.GetPolicyFile(), h.path(c.file), "sealward policy apply")
				if !h.said(h.path(c.file)) {
					t.Errorf("%s the notices are %q", when, s.GetNotices())
				}
				if s, err := h.sign().Status(t.Context()); err != nil || s.GetPolicyFile() != "" || len(s.GetNotices()) != 0 {
					t.Errorf("%s a caller is told %q, %q, %v", when, s.GetPolicyFile(), s.GetNotices(), err)
				}
			}
			same("after the swap")

			from := h.size()
			p.signal(syscall.SIGHUP)
			eventually(t, "status says that the reload changes nothing", func() bool { return h.status().GetPolicyError() != "" })
			contains(t, "status", h.status().GetPolicyError(), "does not trust its policy file", c.file, "sealward policy apply")
			contains(t, "the log", p.log.String(), "does not trust its policy file")
			if evs := h.events(from); len(evs) != 1 || evs[0].Type != signer.EventPolicy || evs[0].Code != signer.CodeInvalid {
				t.Errorf("the reload is on record as %+v", evs)
			}
			same("after a reload")

			p = h.again(p)
			same("after a restart")
			contains(t, "the log", p.log.String(), "sealward policy apply")
			w := h.ask(payment("r1", 7))
			h.agree(w, "signed") // by those whom the policy in force names
			h.sound()
			p.stop()
		})
	}
}

// A reload with nothing new on disk is no mistake.
func TestAReloadOfWhatIsInForceIsQuiet(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	size := h.size()
	p.signal(syscall.SIGHUP)
	p.waitLog("the policy on disk is the one in force")
	if s := h.status(); s.GetPolicyError() != "" || s.GetJournalSize() != size {
		t.Errorf("status has %q, and the journal %d leaves more", s.GetPolicyError(), s.GetJournalSize()-size)
	}
	p.stop()
}

func TestTrustInTheFileIsWeakenedByAnActAlone(t *testing.T) {
	t.Parallel()
	const ineffective = "trust_policy_file = true is not in effect"
	h := newTreasury(t)
	p := h.start()
	before := h.status().GetPolicy()
	h.trust(true)
	h.edit("policy.hcl", "approvals = 2", "approvals = 1")
	for range 2 { // the second start has a record of the first
		p = h.again(p)
		if s := h.status(); s.GetPolicy() != before || s.GetTrustsPolicyFile() || !h.said(ineffective) || h.trusted() != trustNo {
			t.Errorf("policy %s is in force, want %s; trusts %t; notices %q", s.GetPolicy(), before, s.GetTrustsPolicyFile(), s.GetNotices())
		}
		contains(t, "the log", p.log.String(), ineffective, "policy.trust_file")
	}
	if code, _, stderr := h.sealward(-1, "policy", "history"); code != 0 {
		t.Errorf("policy history ends with %d: %s", code, stderr)
	}

	h.do("trust", admin.Order{Act: admin.ActTrustFile, Reason: "a test host"})
	if h.status().GetTrustsPolicyFile() {
		t.Error("the act takes effect before the next start")
	}
	p = h.again(p)
	s := h.status()
	if s.GetPolicy() == before || !s.GetTrustsPolicyFile() || h.said(ineffective) || h.trusted() != trustYes {
		t.Errorf("after the act policy %s is in force, trusts %t, notices %q", s.GetPolicy(), s.GetTrustsPolicyFile(), s.GetNotices())
	}
	h.edit("policy.hcl", "approvals = 1", "approvals = 3")
	p.signal(syscall.SIGHUP)
	eventually(t, "the policy is reloaded", func() bool { return h.status().GetPolicy() != s.GetPolicy() })
	p = h.again(p) // needs no act again

	// Once it is not trusted, the act of before counts no more.
	h.trust(false)
	p = h.again(p)
	h.trust(true)
	p = h.again(p)
	if h.status().GetTrustsPolicyFile() || !h.said(ineffective) {
		t.Errorf("an act of long ago weakens it once more: notices %q", h.status().GetNotices())
	}
	h.sound()
	p.stop()
}

// A key that was replaced, or that came later, is one that the policy does not mean.
func TestKeysThatThePolicyDoesNotBindAreNamed(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	p.stop()
	h.edit("sealward.hcl", `uri    = "pkcs11:object=hot"`, `uri    = "pkcs11:object=cold"`)
	h.write("sealward.hcl", h.read("sealward.hcl")+"key \"more\" {\n  token = \"softhsm\"\n  uri = \"pkcs11:object=hot\"\n  kinds = [\"evm.message\"]\n}\n")
	must(t, os.Remove(h.path("journal/keys.json"))) // else the key is refused for not being the one of before
	p = h.start()
	keys := map[string]string{}
	list, err := h.admin().Keys(t.Context())
	must(t, err)
	for _, k := range list {
		keys[k.GetName()] = k.GetFingerprint()
	}
	contains(t, "the notices", strings.Join(h.status().GetNotices(), "\n"),
		fmt.Sprintf("key \"hot\" is %s, and the policy in force is about %s under that name", keys["hot"], keys["more"]),
		`key "more" is in the configuration, and the policy in force was made without it`, "sealward policy apply")
	for _, key := range []string{"hot", "more"} {
		if _, err := h.payBy(key, "by-"+key); codeOf(err) != signer.CodeNotFound && codeOf(err) != signer.CodeDenied {
			t.Errorf("key %s: %v, want that no rule matches", key, err)
		}
	}
	p.stop()
}

// A candidate is what was proposed, whatever is on disk when it is put in force.
func TestACandidateCannotBeSwapped(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	old := h.status().GetPolicy()
	reviewed := strings.Replace(treasuryPolicy, `rule "messages"`, `rule "notes"`, 1)
	h.write("policy.hcl", reviewed)
	to := h.onDisk()
	w := h.ask(order(t, "change", admin.Order{Act: admin.ActPolicy, From: old, To: to, Reason: "a better name"}))
	if got := h.policyOf(to); got.GetVersion() != to {
		t.Errorf("an approver gets policy %s to review", got.GetVersion())
	}

	h.write("policy.hcl", hostPolicy) // anybody may pay
	h.write("alice.pem", certificate(t))
	p = h.again(p)
	h.agree(w, "acted")
	if got := h.status().GetPolicy(); got != to {
		t.Fatalf("policy %s is in force, want %s", got, to)
	}
	p = h.again(p)
	if got := h.status().GetPolicy(); got != to {
		t.Errorf("after a restart policy %s is in force, want %s", got, to)
	}

	// Back to the first one, which is on no disk any more.
	h.do("revert", admin.Order{Act: admin.ActPolicy, From: to, To: old, Reason: "the name was good"})
	if got := h.status().GetPolicy(); got != old {
		t.Errorf("after the way back policy %s is in force, want %s", got, old)
	}
	h.agree(h.ask(payment("r1", 7)), "signed")
	h.sound()
	p.stop()
}

// A policy that nobody could change would be in force for good.
func TestAPolicyThatNobodyCouldChangeIsNoCandidate(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	p := h.start()
	old := h.status().GetPolicy()
	for name, text := range map[string]string{
		"nobody is asked": hostPolicy,
		"a rule denies":   treasuryPolicy + "rule \"never\" {\n  when = \"effects.exists(e, e.class == 'policy_change')\"\n  deny = \"never\"\n}\n",
	} {
		h.write("policy.hcl", text)
		to := strings.Repeat("ab", 32)
		if name == "nobody is asked" {
			to = h.onDisk()
		}
		_, err := h.change(strings.ReplaceAll(name, " ", "-"), old, to)
		if codeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "nobody could change this policy") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := h.admin().ListPending(t.Context(), 0, 0); err != nil || len(all.GetPending()) != 0 {
		t.Errorf("it waits: %v, %v", all, err)
	}
	p.stop()

	// Where the file is trusted, it is the way back.
	f := governed(t)
	q := f.start()
	old = f.status().GetPolicy()
	f.write("policy.hcl", hostPolicy)
	if _, err := f.change("c", old, f.onDisk()); err != nil {
		t.Errorf("on a host that trusts its file: %v", err)
	}
	q.stop()
}

// What --check-config says where the journal knows which policy is in force.
func TestCheckConfigKnowsThatTheJournalHasThePolicy(t *testing.T) {
	t.Parallel()
	h := newTreasury(t)
	h.start().stop()
	for name, c := range map[string]struct {
		spoil func()
		trust bool
		code  int
		want  []string
	}{
		"the policy in force":               {func() {}, false, 0, []string{"policy that was in force last", "the policy on disk is version "}},
		"a policy that does not load":       {func() { h.write("policy.hcl", "rule {") }, false, 0, []string{"policy that was in force last", "the policy on disk would be refused", "policy.hcl:1,"}},
		"the same where the file is obeyed": {func() { h.write("policy.hcl", "rule {") }, true, 1, []string{"would not start", "policy.hcl:1,"}},
		"an override that cannot be read":   {func() { h.write("override.hcl", "version = 1\n") }, false, 1, []string{"would not start", "override.hcl:1,"}},
	} {
		c.spoil()
		h.trust(c.trust)
		check := h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl"))
		if code := check.wait(); code != c.code {
			t.Errorf("%s: --check-config ends with %d, want %d", name, code, c.code)
		}
		contains(t, name, check.log.String(), c.want...)
		h.write("policy.hcl", treasuryPolicy)
		_ = os.Remove(h.path("override.hcl"))
	}
}

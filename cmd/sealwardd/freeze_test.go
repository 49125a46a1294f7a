package main

import (
	"context"
	"fmt"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/backends/sim"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// me is the account that the tests run as.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	must(t, err)
	return u.Username
}

// frozenHost is a host that the account of the tests may freeze.
func frozenHost(t *testing.T) *treasury {
	t.Helper()
	h := newTreasury(t)
	h.edit("sealward.hcl", "private = true", fmt.Sprintf("private = true\nfreeze_users = [%q]", me(t)))
	return h
}

func TestAFreezeByAUserHoldsUntilTheThaw(t *testing.T) {
	t.Parallel()
	h := frozenHost(t)
	p := h.start()
	if evs := h.events(0); !strings.Contains(evs[len(evs)-1].Detail, fmt.Sprintf("may freeze: [%q]", me(t))) {
		t.Errorf("the start is on record as %q", evs[len(evs)-1].Detail)
	}
	w := h.ask(payment("waits", 7))
	must(t, h.note("hot", "before"))
	res, err := h.admin().Freeze(t.Context(), "a strange payment", nil)
	if err != nil || res.GetLeaf() == 0 || res.GetUnrecorded() != "" || len(res.GetInDevice()) != 0 {
		t.Fatalf("Freeze = %v, %v", res, err)
	}
	frozen := func(when string) {
		t.Helper()
		s := h.status()
		contains(t, when+" status", s.GetFrozen(), "a strange payment", me(t))
		if s, err := h.sign().Status(t.Context()); err != nil || s.GetFrozen() == "" || strings.Contains(s.GetFrozen(), "strange") {
			t.Errorf("%s a caller is told %q, %v", when, s.GetFrozen(), err)
		}
		for id, r := range map[string]*v1.Request{"new-" + when: payment("new-"+strings.ReplaceAll(when, " ", "-"), 8), "signed before": {Id: "before", Key: "hot", Kind: "evm.message", PayloadText: "note before"}} {
			if res, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: r}); codeOf(err) != signer.CodeFrozen || res != nil || strings.Contains(err.Error(), "strange") || strings.Contains(err.Error(), me(t)) {
				t.Errorf("%s request %s: %v, %v; want code %q, and not who froze and why", when, id, res, err, signer.CodeFrozen)
			}
		}
		if _, err := h.sign().Inspect(t.Context(), &v1.InspectRequest{Key: "hot", Kind: "evm.message", PayloadText: "hello"}); err != nil {
			t.Errorf("%s Inspect = %v", when, err)
		}
		if status, body := h.get("metrics.sock", "GET", "/metrics"); status != 200 || !strings.Contains(body, "\nsealward_frozen 1\n") {
			t.Errorf("%s metrics do not say that it is frozen", when)
		}
	}
	frozen("at once")
	p = h.again(p)
	frozen("after a restart")
	p.kill()
	p = h.start()
	frozen("after a crash")
	contains(t, "the log", p.log.String(), "nothing is signed until the act thaw is done")

	// Nothing is approved that would sign. Rejecting goes on, and so does a change of policy.
	if res, err := h.admin().PostApproval(t.Context(), h.alice.signs(h.about(w, signer.WordApprove))); codeOf(err) != signer.CodeFrozen || res != nil {
		t.Errorf("an approval: %v, %v; want code %q", res, err, signer.CodeFrozen)
	}
	h.post(h.carol, w, signer.WordReject)
	eventually(t, "the rejected request is denied", func() bool {
		r, err := h.sign().Request(t.Context(), "waits", "")
		return err == nil && r.GetState() == "denied" && strings.Contains(r.GetDecision().GetReason(), "carol")
	})
	old := h.status().GetPolicy()
	h.edit("policy.hcl", `rule "messages"`, `rule "notes"`)
	h.do("change", admin.Order{Act: admin.ActPolicy, From: old, To: h.onDisk(), Reason: "a better name"})
	frozen("under another policy")

	h.do("thaw", admin.Order{Act: admin.ActThaw, Reason: "it was ours"})
	if s := h.status(); s.GetFrozen() != "" {
		t.Errorf("after the thaw it is frozen: %s", s.GetFrozen())
	}
	must(t, h.note("hot", "after"))
	p = h.again(p)
	h.agree(h.ask(payment("later", 9)), "signed")
	if _, err := h.admin().Sign(t.Context(), &v1.SignRequest{Request: order(t, "thaw-2", admin.Order{Act: admin.ActThaw, Reason: "x"})}); codeOf(err) != signer.CodeInvalid {
		t.Errorf("a thaw of nothing: %v", err)
	}
	h.sound()
	p.stop()
}

func TestWhoMayFreeze(t *testing.T) {
	t.Parallel()
	h := newTreasury(t) // lists nobody
	p := h.start()
	stranger := newPerson(t, "mallory")
	says := func(p *person, word signer.Word, instance string) []byte {
		a := signer.Approval{Word: word, Instance: instance, Reason: "x"}
		if word != signer.WordFreeze {
			a.Proposal = [32]byte{1}
		}
		return p.signs(a)
	}
	instance := h.status().GetInstance()
	for name, c := range map[string]struct {
		reason string
		signed []byte
		code   signer.Code
		want   string
	}{
		"a user who is not listed":    {"x", nil, signer.CodeDenied, "freeze_users"},
		"nothing at all":              {"", nil, signer.CodeDenied, "freeze_users"},
		"a stranger's statement":      {"", says(stranger, signer.WordFreeze, instance), signer.CodeInvalid, ""},
		"a rejection":                 {"", says(h.alice, signer.WordReject, instance), signer.CodeInvalid, "the word freeze"},
		"a statement and a reason":    {"x", says(h.alice, signer.WordFreeze, instance), signer.CodeInvalid, "has its reason in it"},
		"a freeze of another daemon":  {"", says(h.alice, signer.WordFreeze, strings.Repeat("ab", 16)), signer.CodeInvalid, "is for instance"},
		"what is no statement at all": {"", []byte("{}"), signer.CodeInvalid, ""},
	} {
		res, err := h.admin().Freeze(t.Context(), c.reason, c.signed)
		if codeOf(err) != c.code || res != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want code %q and %q", name, res, err, c.code, c.want)
		}
	}
	if s := h.status().GetFrozen(); s != "" {
		t.Fatalf("it is frozen: %s", s)
	}
	signed := says(h.alice, signer.WordFreeze, instance)
	if res, err := h.admin().Freeze(t.Context(), "", signed); err != nil || res.GetLeaf() == 0 {
		t.Errorf("an approver: %v, %v", res, err)
	}
	contains(t, "status", h.status().GetFrozen(), `approver "alice"`, ": x")
	h.do("thaw", admin.Order{Act: admin.ActThaw, Reason: "found"})
	if res, err := h.admin().Freeze(t.Context(), "", signed); codeOf(err) != signer.CodeConflict || res != nil {
		t.Errorf("the same statement again: %v, %v; want code %q", res, err, signer.CodeConflict)
	}
	if s := h.status().GetFrozen(); s != "" {
		t.Errorf("a statement that was used froze again: %s", s)
	}
	p.stop()
}

func TestAWatcherIsToldOfFreezeAndThaw(t *testing.T) {
	t.Parallel()
	h := frozenHost(t)
	p := h.start()
	told := h.follow()
	for _, want := range []func() string{
		func() string {
			_, err := h.admin().Freeze(t.Context(), "why not", nil)
			must(t, err)
			return "frozen by " + me(t) + ": why not"
		},
		func() string {
			h.do("thaw", admin.Order{Act: admin.ActThaw, Reason: "found"})
			return "thawed by : found"
		},
	} {
		text := want()
		deadline := time.After(patience)
		for got := ""; got != text; {
			select {
			case e := <-told:
				got = fmt.Sprintf("%s by %s: %s", e.GetEvent(), e.GetApprover(), e.GetReason())
			case <-deadline:
				t.Fatalf("no event says %q", text)
			}
		}
	}
	p.stop()
}

// follow watches what happens from now on, until the test ends.
func (h *treasury) follow() <-chan *v1.PendingEvent {
	h.t.Helper()
	must(h.t, h.note("hot", "before-it-all")) // so that there is a leaf to go on after
	told := make(chan *v1.PendingEvent, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	h.t.Cleanup(func() { cancel(); <-over })
	list, err := h.admin().ListPending(ctx, 0, 0)
	must(h.t, err)
	go func() {
		defer close(over)
		for at := list.GetPosition(); ctx.Err() == nil; {
			res, err := h.admin().WatchPending(ctx, at, 0)
			if err != nil {
				return // the daemon was ended
			}
			for _, e := range res.GetEvents() {
				told <- e
			}
			at = res.GetPosition()
		}
	}()
	return told
}

// What is inside a device at that moment is named, and what comes out of it is not
// released.
func TestAFreezeNamesWhatIsInsideADevice(t *testing.T) {
	t.Parallel()
	h, faults := faultyHost(t)
	h.edit("sealward.hcl", "private = true", fmt.Sprintf("private = true\nfreeze_users = [%q]", me(t)))
	p := h.start()
	must(t, faults.Do(sim.Sign, sim.Hang, 1))
	failed := make(chan error, 1)
	go func() { failed <- h.note("cold", "inside") }()
	eventually(t, "the module is asked to sign", func() bool {
		n, err := faults.Calls(sim.Sign)
		return err == nil && n == 1
	})
	res, err := h.admin().Freeze(t.Context(), "now", nil)
	if err != nil || len(res.GetInDevice()) != 1 {
		t.Fatalf("Freeze = %v, %v", res, err)
	}
	in := res.GetInDevice()[0]
	if rec, err := h.admin().Request(t.Context(), "inside", in.GetCaller()); err != nil || in.GetId() != "inside" || in.GetKey() != "cold" || rec.GetLeaf() != in.GetLeaf() {
		t.Errorf("inside the device is %v; on record is %v, %v", in, rec, err)
	}
	if err := <-failed; err == nil {
		t.Error("it was released")
	}
	p.stop()
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
	"github.com/sealward/sealward/signer/journal"
)

// changed is the result of a change of policy.
type changed struct {
	From, To string
	Leaf     uint64
}

// change asks for a change of policy, and returns the result.
func (h *host) change(id, from, to string) (out changed, err error) {
	h.t.Helper()
	payload, err := admin.Order{Act: admin.ActPolicy, From: from, To: to, Reason: "a vendor moved"}.Encode()
	must(h.t, err)
	res, err := h.admin().Sign(context.Background(), &v1.SignRequest{Request: &v1.Request{Id: id, Key: signer.AdminKey, Kind: string(signer.KindAdmin), Payload: payload}})
	if err != nil {
		return out, err
	}
	must(h.t, json.Unmarshal(res.GetArtifact(), &out))
	if out.From != from || out.To != to {
		h.t.Errorf("request %s changed %+v, want from %s to %s", id, out, from, to)
	}
	return out, nil
}

// onDisk is the version of the policy on disk, as whoever reviews it reads it.
func (h *host) onDisk() string {
	h.t.Helper()
	var said struct{ From, To string }
	if code, stderr := h.cli(-1, &said, "policy", "apply", "--dry-run", "--config", h.path("sealward.hcl")); code != 0 {
		h.t.Fatalf("policy apply --dry-run ends with %d: %s", code, stderr)
	}
	if now := h.status().GetPolicy(); said.From != now {
		h.t.Errorf("policy apply says that %s is in force, and it is %s", said.From, now)
	}
	return said.To
}

func governed(t *testing.T) *host {
	t.Helper()
	h := newHost(t)
	h.write("policy.hcl", hostPolicy+adminPolicy)
	return h
}

func TestAPolicyIsAppliedAsItWasReviewed(t *testing.T) {
	t.Parallel()
	h := governed(t)
	p := h.start()
	conf := h.path("sealward.hcl")
	old, oldText := h.status().GetPolicy(), h.read("policy.hcl")

	if code, _, stderr := h.sealward(-1, "policy", "apply", "--config", conf, "--reason", "nothing"); code != 4 || !strings.Contains(stderr, "there is nothing to change") {
		t.Errorf("applying what is in force ends with %d: %s", code, stderr)
	}
	h.edit("policy.hcl", "1000 devcoin", "2000 devcoin")
	next := h.onDisk()
	if code, _, stderr := h.sealward(-1, "policy", "apply", "--config", conf, "--reason", "x", "--to", old); code != 7 || !strings.Contains(stderr, "nothing was asked for") {
		t.Errorf("applying another version than the reviewed ends with %d: %s", code, stderr)
	}
	size := h.size()
	out := h.sealwardOK("policy", "apply", "--config", conf, "--reason", "a vendor moved", "--to", next, "--id", "apply-1")
	contains(t, "policy apply", out, "from  "+old, "to    "+next)
	if got := h.status(); got.GetPolicy() != next || got.GetPolicyError() != "" {
		t.Errorf("policy %s is in force (%s), want %s", got.GetPolicy(), got.GetPolicyError(), next)
	}
	evs := h.events(size)
	if len(evs) != 3 || evs[0].Type != signer.EventAuthorized || evs[1].Type != signer.EventPolicy || evs[2].Type != signer.EventActed {
		t.Fatalf("the journal has %+v", evs)
	}
	if got := fmt.Sprintf("%x", evs[0].Proposal.Policy); got != old || fmt.Sprintf("%x", evs[1].Policy) != next {
		t.Errorf("decided by %s, in force came %x", got, evs[1].Policy)
	}
	// Asked again, it answers the same, and what is on disk by now does not matter.
	h.edit("policy.hcl", "2000 devcoin", "3000 devcoin")
	if again := h.sealwardOK("policy", "apply", "--config", conf, "--reason", "a vendor moved", "--id", "apply-1"); again != out {
		t.Errorf("asked again it prints\n%s\nand printed\n%s", again, out)
	}
	if got := h.status().GetPolicy(); got != next {
		t.Errorf("asked again, policy %s is in force", got)
	}
	p = h.again(p) // reads 3000 devcoin

	contains(t, "policy history", h.sealwardOK("policy", "history"), "in force", next, old, "change", "start")
	if got := h.sealwardOK("policy", "show", old[:8]); got != oldText {
		t.Errorf("policy show prints\n%s\nwant\n%s", got, oldText)
	}
	if got := h.sealwardOK("policy", "show"); got != h.read("policy.hcl") {
		t.Errorf("policy show prints\n%s", got)
	}
	h.sealwardOK("policy", "show", old, h.path("before"))
	if got := h.read("before/policy.hcl"); got != oldText {
		t.Errorf("policy show wrote\n%s", got)
	}
	h.sound()
	p.stop()
}

// TestAChangeThatWasNotReviewedIsRefused attacks the act between the review and the
// change. Nothing comes into force, and each attempt is on record.
func TestAChangeThatWasNotReviewedIsRefused(t *testing.T) {
	t.Parallel()
	h := governed(t)
	p := h.start()
	good, old := h.read("policy.hcl"), h.status().GetPolicy()
	next := strings.Replace(good, "1000 devcoin", "2000 devcoin", 1)
	h.write("policy.hcl", next)
	reviewed := h.onDisk()
	forged := strings.Repeat("ab", 32)

	for name, c := range map[string]struct {
		spoil    func()
		from, to string
		want     []string
	}{
		"a version that is nowhere":                 {func() {}, old, forged, []string{"the policy on disk is version " + reviewed + ", not " + forged, "stays in force"}},
		"from a version that is not in force":       {func() {}, forged, reviewed, []string{"the policy in force is " + old + ", not " + forged}},
		"to the version that is in force":           {func() {}, forged, old, []string{"policy " + old + " is in force already"}},
		"a file that was changed after the review":  {func() { h.write("policy.hcl", next+"# one more line\n") }, old, reviewed, []string{"the policy on disk is version ", "not " + reviewed}},
		"a file that was put back after the review": {func() { h.write("policy.hcl", good) }, old, reviewed, []string{"the policy on disk is version " + old}},
		"a file that does not load":                 {func() { h.write("policy.hcl", next+"rule {") }, old, reviewed, []string{"cannot be loaded", "policy.hcl:"}},
		"a file that its group may write":           {func() { h.mode("policy.hcl", 0o660) }, old, reviewed, []string{"cannot be loaded", "chmod"}},
		"a link to a file that all may write": {func() {
			h.write("elsewhere.hcl", next)
			h.mode("elsewhere.hcl", 0o666)
			must(t, os.Remove(h.path("policy.hcl")))
			must(t, os.Symlink("elsewhere.hcl", h.path("policy.hcl")))
		}, old, reviewed, []string{"cannot be loaded", "elsewhere.hcl", "chmod"}},
		"a file that is gone": {func() { must(t, os.Remove(h.path("policy.hcl"))) }, old, reviewed, []string{"cannot be loaded", "no such file"}},
	} {
		size := h.size()
		c.spoil()
		_, err := h.change(strings.ReplaceAll(name, " ", "-"), c.from, c.to)
		if codeOf(err) != signer.CodeInvalid {
			t.Errorf("%s: %v, want code %q", name, err, signer.CodeInvalid)
			continue
		}
		contains(t, name, err.Error(), c.want...)
		if got := h.status().GetPolicy(); got != old {
			t.Fatalf("%s: policy %s is in force", name, got)
		}
		if evs := h.events(size); len(evs) == 0 || evs[len(evs)-1].Type != signer.EventFailed && evs[len(evs)-1].Type != signer.EventMalformed {
			t.Errorf("%s: the journal has %+v", name, evs)
		}
		_ = os.Remove(h.path("policy.hcl"))
		h.write("policy.hcl", next)
	}
	if all, err := h.admin().Policies(t.Context(), 0, 0); err != nil || len(all.GetPolicies()) != 1 {
		t.Errorf("the history is %v, %v", all, err)
	}
	if _, err := h.sign().Sign(t.Context(), &v1.SignRequest{Request: &v1.Request{Id: "x", Key: signer.AdminKey, Kind: string(signer.KindAdmin), PayloadText: "{}"}}); codeOf(err) != signer.CodeDenied {
		t.Errorf("on the sign socket: %v", err)
	}
	if _, err := h.change("good", old, reviewed); err != nil || h.status().GetPolicy() != reviewed {
		t.Errorf("what was reviewed does not come into force: %v", err)
	}
	h.sound()
	p.stop()
}

// A file can have any number of mistakes, and each refusal stays in the journal.
func TestAPolicyOfManyMistakesIsRefusedInFewWords(t *testing.T) {
	t.Parallel()
	h := governed(t)
	p := h.start()
	old, from := h.status().GetPolicy(), h.size()
	h.write("policy.hcl", hostPolicy+strings.Repeat("rule \"payments\" {\n  alow = true\n}\n", 2000))
	p.signal(syscall.SIGHUP)
	eventually(t, "the reload is refused, and that is on record", func() bool { return h.size() > from })
	if _, err := h.change("c", old, strings.Repeat("ab", 32)); codeOf(err) != signer.CodeInvalid {
		t.Errorf("change = %v, want code %q", err, signer.CodeInvalid)
	}
	evs := h.events(from)
	if len(evs) != 2 || evs[0].Type != signer.EventPolicy || evs[1].Type != signer.EventMalformed {
		t.Fatalf("the journal has %+v", evs)
	}
	for what, text := range map[string]string{"status": h.status().GetPolicyError(), "the record of the reload": evs[0].Detail, "that of the change": evs[1].Detail} {
		contains(t, what, text, "policy.hcl:36,", "sealward policy validate")
		if len(text) > 5000 {
			t.Errorf("%s has %d bytes", what, len(text))
		}
	}
	h.write("policy.hcl", hostPolicy+adminPolicy)
	h.sound()
	p.stop()
}

// A policy without a rule for it is changed by nobody who only has the admin socket.
func TestNobodyChangesThePolicyWithoutARuleForIt(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	old := h.status().GetPolicy()
	h.write("policy.hcl", hostPolicy+adminPolicy)
	if _, err := h.change("c", old, h.onDisk()); codeOf(err) != signer.CodeNotFound {
		t.Errorf("change = %v, want code %q", err, signer.CodeNotFound)
	}
	if got := h.status().GetPolicy(); got != old {
		t.Errorf("policy %s is in force", got)
	}
	// A rule may tell this act from the others.
	h.write("policy.hcl", hostPolicy+strings.Replace(adminPolicy, "allow = true", "allow = true\n  when  = \"effects.all(e, e.class != 'policy_change')\"", 1))
	p.signal(syscall.SIGHUP)
	eventually(t, "the policy is reloaded", func() bool { return h.status().GetPolicy() != old })
	old = h.status().GetPolicy()
	h.write("policy.hcl", hostPolicy+adminPolicy)
	if _, err := h.change("d", old, h.onDisk()); codeOf(err) != signer.CodeDenied {
		t.Errorf("change = %v, want code %q", err, signer.CodeDenied)
	}
	h.sealwardOK("keys", "disable", "hot", "--reason", "that it may do")
	p.stop()
}

// A rule that names no callers gives the key "sealward" to those of the sign socket, too:
// what they may not ask for there, they may not look into.
func TestCallersLookIntoNoAdministrativeRequest(t *testing.T) {
	t.Parallel()
	h := governed(t)
	p := h.start()
	payload, err := admin.Order{Act: admin.ActPolicy, From: h.status().GetPolicy(), To: strings.Repeat("7", 64), Reason: "to see"}.Encode()
	must(t, err)
	h.write("policy.hcl", "version = 1\nsecret")
	r := &v1.Request{Id: "r", Key: signer.AdminKey, Kind: string(signer.KindAdmin), Payload: payload}
	_, errCheck := h.sign().CheckPolicy(t.Context(), &v1.CheckPolicyRequest{Request: r})
	_, errInspect := h.sign().Inspect(t.Context(), &v1.InspectRequest{Key: r.GetKey(), Kind: r.GetKind(), Payload: payload})
	for what, err := range map[string]error{"CheckPolicy": errCheck, "Inspect": errInspect} {
		if codeOf(err) != signer.CodeDenied || strings.Contains(err.Error(), "policy on disk") {
			t.Errorf("%s = %v, want code %q", what, err, signer.CodeDenied)
		}
	}
	if _, err := h.admin().CheckPolicy(t.Context(), &v1.CheckPolicyRequest{Request: r}); codeOf(err) != signer.CodeInvalid {
		t.Errorf("CheckPolicy on the admin socket = %v, want code %q", err, signer.CodeInvalid)
	}
	p.stop()
}

// An answer that was given stays the answer: asking again changes nothing, whatever is in
// force and on disk by then.
func TestAChangeThatWasMadeIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	h := governed(t)
	p := h.start()
	a, first := h.status().GetPolicy(), h.read("policy.hcl")
	h.edit("policy.hcl", "1000 devcoin", "2000 devcoin")
	second := h.read("policy.hcl")
	b := h.onDisk()
	there, err := h.change("there", a, b)
	must(t, err)
	h.write("policy.hcl", first)
	if _, err := h.change("back", b, a); err != nil {
		t.Fatal(err)
	}
	h.write("policy.hcl", second)
	if again, err := h.change("there", a, b); err != nil || again != there {
		t.Errorf("asked again: %+v, %v; want %+v", again, err, there)
	}
	if got := h.status().GetPolicy(); got != a {
		t.Errorf("a request that was answered put policy %s in force once more", got)
	}
	if _, err := h.change("there", b, a); codeOf(err) != signer.CodeConflict && codeOf(err) != signer.CodeInvalid {
		t.Errorf("the same id for the opposite: %v", err)
	}
	h.sound()
	p.stop()
}

// What was authorised, and is in force by the time that it is asked for again, is done:
// so it is after a crash between the change and its outcome. Its result names the record
// by which the policy came into force, and not a later start.
func TestAChangeThatIsInForceIsDone(t *testing.T) {
	t.Parallel()
	h := governed(t)
	// A service manager that reads nothing holds the daemon up where it tells that another
	// policy is in force: before the outcome is on record.
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("notify"), Net: "unixgram"})
	must(t, err)
	defer manager.Close()
	p := h.start("NOTIFY_SOCKET=" + h.path("notify"))
	a, first := h.status().GetPolicy(), h.read("policy.hcl")
	h.edit("policy.hcl", "1000 devcoin", "2000 devcoin")
	h.write("policy.hcl", strings.Replace(h.read("policy.hcl"), adminPolicy, "", 1)) // nobody may change this one
	b := h.onDisk()
	h.fill("notify")
	leaf := h.size() + 1
	go func() { _, _ = h.change("c", a, b) }() // which gets no answer
	eventually(t, "the policy is in force", func() bool { return h.status().GetPolicy() == b })
	p.kill()
	if evs := h.eventsOffline(leaf); len(evs) != 1 || evs[0].Type != signer.EventPolicy {
		t.Fatalf("by the crash the journal has %+v", evs)
	}

	p = h.again(h.start())
	h.write("policy.hcl", first) // what is on disk does not matter
	got, err := h.change("c", a, b)
	if err != nil || got.Leaf != leaf {
		t.Errorf("asked again: %+v, %v; want leaf %d", got, err, leaf)
	}
	if again, err := h.change("c", a, b); err != nil || again != got {
		t.Errorf("and again: %+v, %v", again, err)
	}
	if _, err := h.change("other", a, b); codeOf(err) != signer.CodeNotFound {
		t.Errorf("what nobody decided: %v", err)
	}
	h.sound()
	p.stop()
}

// fill sends to a datagram socket until it takes no more.
func (h *host) fill(name string) {
	h.t.Helper()
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: h.path(name), Net: "unixgram"})
	must(h.t, err)
	defer c.Close()
	must(h.t, c.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	for err == nil {
		_, err = c.Write([]byte("x"))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		h.t.Fatal(err)
	}
}

// eventsOffline reads the journal of a daemon that has ended.
func (h *host) eventsOffline(from uint64) (out []signer.Event) {
	h.t.Helper()
	r, err := journal.OpenReader(h.path("journal/journal.db"))
	must(h.t, err)
	defer r.Close()
	entries, err := r.Entries(context.Background(), from, 1000)
	must(h.t, err)
	for _, e := range entries {
		ev, err := signer.ParseEvent(e.Body)
		must(h.t, err)
		out = append(out, ev)
	}
	return out
}

// Changes, reloads and payments at once: what is in force is what the journal has last,
// and every decision is one of the policy that is on record before it.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	h := governed(t)
	p := h.start()
	a := h.status().GetPolicy()
	h.edit("policy.hcl", "1000 devcoin", "2000 devcoin")
	b := h.onDisk()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			// Which of them come too late, nobody can say; those are told so.
			if _, err := h.change(fmt.Sprintf("c%d", i), a, b); err != nil && codeOf(err) != signer.CodeInvalid {
				t.Errorf("change = %v", err)
			}
		})
		wg.Go(func() { h.pay(fmt.Sprintf("p%d", i)) })
		if i == 4 {
			p.signal(syscall.SIGHUP)
		}
	}
	wg.Wait()
	if got := h.status().GetPolicy(); got != b {
		t.Errorf("policy %s is in force, want %s", got, b)
	}
	p = h.again(p) // by the stop the reload is through, or never comes
	now, changes := a, 0
	for i, ev := range h.events(0) {
		switch {
		case ev.Type == signer.EventPolicy:
			now = fmt.Sprintf("%x", ev.Policy)
			changes++
		case ev.Type == signer.EventAuthorized && now == b && fmt.Sprintf("%x", ev.Proposal.Policy) != b:
			t.Errorf("leaf %d was decided by a policy that was replaced before", i)
		}
	}
	if now != b || changes < 1 || changes > 2 {
		t.Errorf("the journal has %d changes, the last to %s; want one of the reload and at most one of a request, to %s", changes, now, b)
	}
	h.sound()
	p.stop()
}

package journal

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

func TestWhatIsHeardIsOnRecordOnce(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	p := proposal(j, "a", "hot", wei(1))
	rec := record(t, j, p, asksFor(asking(treasury(2))))
	e := statement(j, p, signer.WordApprove, "alice", "key")
	e.Caller, e.Policy, e.Detail = &signer.Caller{UID: 7, Socket: "admin", Identified: true}, [32]byte{1}, "as it came"
	var met signer.Recorded
	leaf, prior, err := j.Hear(t.Context(), e, func(w signer.Recorded) error { met = w; return nil })
	if err != nil || prior || leaf != 2 || !met.Waits || met.Leaf != rec.Leaf || met.Heard != nil || met.Proposal.Digest() != p.Digest() {
		t.Fatalf("Hear = %d, %v, %v; it was checked against %+v", leaf, prior, err, met)
	}
	again := func(when string) {
		t.Helper()
		// With another signature, too: what is said is the same.
		e := statement(j, p, signer.WordApprove, "alice", "key")
		e.Heard.Signed = []byte("signed once more")
		n, prior, err := j.Hear(t.Context(), e, func(signer.Recorded) error { t.Error("it is checked again"); return nil })
		if n != leaf || !prior || err != nil {
			t.Errorf("%s: Hear = %d, %v, %v; want leaf %d again", when, n, prior, err, leaf)
		}
	}
	again("at once")
	shut(t, j)
	j = open(t, h.config(path))
	again("after a restart")
	es, err := j.Entries(t.Context(), leaf, 10)
	if err != nil || len(es) != 1 {
		t.Fatalf("%d entries, %v; want the approval", len(es), err)
	}
	ev, err := es[0].Event()
	if err != nil || ev.Type != signer.EventApproval || ev.Caller.UID != 7 || ev.Detail != "as it came" || ev.Heard.Approver != "alice" || string(ev.Heard.Signed) != "signed by alice" {
		t.Errorf("event = %+v, %v", ev, err)
	}
	if got := lookup(t, j, "a").Heard; len(got) != 1 || got[0].Leaf != leaf || !got[0].Time.Equal(ev.Time) || got[0].Approval.ID() != e.Heard.Approval.ID() || string(got[0].Signed) != "signed by alice" {
		t.Errorf("heard = %+v", got)
	}
	settle(t, j, rec, signer.Decision{Reason: "cancelled"})
	again("after it was settled")
	good(t, j, path)
}

func TestAFreezeOfAnApproverIsOnRecordOnce(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	e := statement(j, signer.Proposal{}, signer.WordFreeze, "alice", "key")
	for round, want := range []bool{false, true, true} {
		asked := false
		leaf, prior, err := j.Hear(t.Context(), e, func(about signer.Recorded) error { asked = about.Leaf == 0 && !about.Waits; return nil })
		if leaf != 1 || prior != want || err != nil || asked == want {
			t.Errorf("round %d: Hear = %d, %v, %v, and was asked before: %v; want leaf 1, prior: %v, and to be asked about no request the first time", round, leaf, prior, err, asked, want)
		}
		if round == 1 {
			shut(t, j)
			j = open(t, h.config(path))
		}
	}
	if ev, leaf, ok, err := j.Last(t.Context(), signer.EventFrozen); err != nil || !ok || leaf != 1 || ev.Heard.Approver != "alice" || ev.Heard.Approval.Reason != "because" {
		t.Errorf("Last = %+v, %d, %v, %v", ev, leaf, ok, err)
	}
	if r := good(t, j, path); r.Approvals != 0 || r.Other != 2 {
		t.Errorf("report = %+v", r)
	}
}

func TestWhatIsNotHeard(t *testing.T) {
	refusal := &signer.Error{Code: signer.CodeDenied, Detail: "not of the group"}
	for name, tc := range map[string]struct {
		change func(*signer.Event)
		check  func(signer.Recorded) error
		want   signer.Code
		detail string
	}{
		"what the check refuses":       {nil, func(signer.Recorded) error { return refusal }, signer.CodeDenied, "not of the group"},
		"where the check is a defect":  {nil, func(signer.Recorded) error { panic("nil map") }, signer.CodeInternal, "tell the operator"},
		"about what does not wait":     {func(e *signer.Event) { e.Heard.Approval.Proposal[0] ^= 1 }, anything, signer.CodeNotFound, "no request waits with proposal"},
		"for another instance":         {func(e *signer.Event) { e.Heard.Approval.Instance = "x" }, anything, signer.CodeInternal, `for instance "x"`},
		"with a word there is not":     {func(e *signer.Event) { e.Heard.Approval.Word = "maybe" }, anything, signer.CodeInternal, `its word is "maybe"`},
		"a rejection without a reason": {func(e *signer.Event) { e.Heard.Approval.Word, e.Heard.Approval.Reason = signer.WordReject, "" }, anything, signer.CodeInternal, "takes a reason"},
		"of nobody":                    {func(e *signer.Event) { e.Heard.Approver = "" }, anything, signer.CodeInternal, "nobody's"},
		"that nobody signed":           {func(e *signer.Event) { e.Heard.Signed = nil }, anything, signer.CodeInternal, "no text"},
		"signed in bytes":              {func(e *signer.Event) { e.Heard.Signed = []byte{0xff} }, anything, signer.CodeInternal, "no text"},
		"without an approval":          {func(e *signer.Event) { e.Heard = nil }, anything, signer.CodeInternal, "has an approval"},
		"with a proposal":              {func(e *signer.Event) { e.Proposal = &signer.Proposal{} }, anything, signer.CodeInternal, "and no proposal"},
		"with a bundle":                {func(e *signer.Event) { e.Bundle[0] = 1 }, anything, signer.CodeInternal, "or bundle"},
		"with an override":             {func(e *signer.Event) { e.Override = 1 }, anything, signer.CodeInternal, "has an approval"},
		"as another type":              {func(e *signer.Event) { e.Type = signer.EventStarted }, anything, signer.CodeInternal, "of type approval, not started"},
		"an approval as a freeze":      {func(e *signer.Event) { e.Type = signer.EventFrozen }, anything, signer.CodeInternal, "of type approval, not frozen"},
		"a freeze as an approval": {func(e *signer.Event) {
			e.Heard.Approval.Word, e.Heard.Approval.Proposal = signer.WordFreeze, [32]byte{}
		}, anything, signer.CodeInternal, "of type frozen, not approval"},
		"a freeze of a proposal": {func(e *signer.Event) {
			e.Type, e.Heard.Approval.Word = signer.EventFrozen, signer.WordFreeze
		}, anything, signer.CodeInternal, "about no proposal"},
	} {
		t.Run(name, func(t *testing.T) {
			path := privateFile(t)
			j := begun(t, newHost(), path)
			p := proposal(j, "a", "hot", wei(1))
			record(t, j, p, asksFor(asking(treasury(2))))
			e := statement(j, p, signer.WordApprove, "alice", "key")
			if tc.change != nil {
				tc.change(&e)
			}
			leaf, prior, err := j.Hear(t.Context(), e, tc.check)
			se, ok := errors.AsType[*signer.Error](err)
			if !ok || se.Code != tc.want || !strings.Contains(se.Detail, tc.detail) || strings.Contains(se.Detail, "nil map") || prior || leaf != 0 {
				t.Errorf("Hear = %d, %v, %v; want code %q and %q", leaf, prior, err, tc.want, tc.detail)
			}
			if got := types(t, j); len(got) != 2 || len(lookup(t, j, "a").Heard) != 0 || j.Stopped() != nil {
				t.Errorf("leaves = %q, stopped: %v", got, j.Stopped())
			}
			say(t, j, p, signer.WordApprove, "alice") // what was refused can be said rightly
			good(t, j, path)
		})
	}
}

func TestWhatWasSaidOfAProposalIsVoidForTheNext(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	p := proposal(j, "a", "hot", wei(1))
	rec := record(t, j, p, asksFor(asking(treasury(1))))
	old := say(t, j, p, signer.WordApprove, "alice")
	next := renewed(p, 2)
	waits, err := j.Settle(t.Context(), rec.Leaf, next, over(day), settles(asking(treasury(1))))
	if err != nil || !waits.Waits || waits.Heard != nil {
		t.Fatalf("Settle = %+v, %v", waits, err)
	}
	if _, _, err := j.Hear(t.Context(), statement(j, p, signer.WordApprove, "bob", "key"), anything); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("an approval of the old proposal: error = %v", err)
	}
	if leaf, prior, err := j.Hear(t.Context(), statement(j, p, signer.WordApprove, "alice", "key"), anything); !prior || leaf != old || err != nil {
		t.Errorf("the approval that is on record = %d, %v, %v", leaf, prior, err)
	}
	say(t, j, next, signer.WordApprove, "carol")
	if got := lookup(t, j, "a"); got.Leaf != waits.Leaf || !got.Waits || got.Waited != rec.Leaf || !slices.Equal(words(got.Heard), []string{"4 carol approve"}) {
		t.Errorf("it waits as %+v", got)
	}
	if got := brief(t, j); !slices.Equal(got, []string{"3 uid:1000 a 2 1 heard, due 0s, until 24h0m0s"}) {
		t.Errorf("there wait %q", got)
	}
	good(t, j, path)
}

func TestManyApprovalsInOneTransaction(t *testing.T) {
	j := quiet(t)
	if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStarted}); err != nil {
		t.Fatal(err)
	}
	p := proposal(j, "a", "hot", wei(1))
	rec := record(t, j, p, asksFor(asking(treasury(2))))
	var leaves [3]uint64
	var prior [3]bool
	var errs [4]error
	together(t, j,
		func() {
			leaves[0], prior[0], errs[0] = j.Hear(t.Context(), statement(j, p, signer.WordApprove, "alice", "key"), anything)
		},
		func() {
			leaves[1], prior[1], errs[1] = j.Hear(t.Context(), statement(j, p, signer.WordApprove, "alice", "key"), anything)
		},
		func() {
			leaves[2], prior[2], errs[2] = j.Hear(t.Context(), statement(j, p, signer.WordApprove, "bob", "key"), anything)
		},
	)
	if errors.Join(errs[:]...) != nil || leaves[0] != leaves[1] || prior[0] == prior[1] || prior[2] || leaves[2] == leaves[0] {
		t.Errorf("Hear = %v, prior %v, %v; want the same approval once", leaves, prior, errs)
	}
	if got := lookup(t, j, "a").Heard; len(got) != 2 || len(types(t, j)) != 4 {
		t.Errorf("heard %q", words(got))
	}
	settle(t, j, rec, granting([]uint64{leaves[0], leaves[2]}, treasury(2)))
}

package journal

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

func TestARequestWaitsUntilItIsSettled(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	p := renewed(proposal(j, "a", "hot", wei(7)), 1)
	rec := record(t, j, p, asksFor(asking(treasury(2))))
	if rec.Leaf != 1 || !rec.Waits || rec.Prior || rec.Waited != 0 || !rec.Deadline().Equal(rec.Time.Add(day)) {
		t.Fatalf("Record = %+v; want a request that waits at leaf 1", rec)
	}
	restart := func() {
		t.Helper()
		shut(t, j)
		j = open(t, h.config(path))
	}
	first := say(t, j, p, signer.WordApprove, "alice")
	for _, when := range []string{"at once", "after a restart"} {
		again := record(t, j, p, func(signer.Facts) signer.Decision { t.Error("it is decided twice"); return signer.Decision{} })
		waiting, ok, err := j.Waiting(t.Context(), p.Digest())
		if err != nil || !ok {
			t.Fatalf("%s: Waiting = %v, %v", when, ok, err)
		}
		for how, got := range map[string]signer.Recorded{"asked again": again, "looked up": lookup(t, j, "a"), "by its proposal": waiting} {
			if !got.Waits || !got.Prior || got.Leaf != 1 || got.Waited != 0 || got.Outcome != nil || !slices.Equal(words(got.Heard), []string{"2 alice approve"}) {
				t.Errorf("%s, %s, it is %+v; want it waiting, with one approval", when, how, got)
			}
		}
		if got := brief(t, j); !slices.Equal(got, []string{"1 uid:1000 a 1 1 heard, due 0s, until 24h0m0s"}) {
			t.Errorf("%s there wait %q", when, got)
		}
		if own, other := pending(t, j, p), pending(t, j, proposal(j, "b", "hot")); own != 0 || other != 1 {
			t.Errorf("%s %d others wait for itself, %d for another; want 0 and 1", when, own, other)
		}
		restart()
	}
	second := say(t, j, p, signer.WordApprove, "bob")
	h.pass(time.Minute)
	var met []string
	done, err := j.Settle(t.Context(), rec.Leaf, p, over(day), func(f signer.Facts, heard []signer.Heard) signer.Decision {
		met = append(words(heard), fmt.Sprint(f.Pending, " ", f.Time.Sub(rec.Time)))
		return granting([]uint64{first, second}, treasury(2))
	})
	if err != nil || !slices.Equal(met, []string{"2 alice approve", "3 bob approve", "0 1m0s"}) {
		t.Fatalf("Settle error = %v; it was decided on %q", err, met)
	}
	finish(t, j, done)
	restart()
	for how, got := range map[string]signer.Recorded{"settled": done, "looked up": lookup(t, j, "a")} {
		if got.Waits || got.Leaf != 4 || got.Waited != 1 || got.Decision.Verdict != signer.Allow || !slices.Equal(words(got.Heard), []string{"2 alice approve", "3 bob approve"}) {
			t.Errorf("%s, it is %+v; want it authorised by both", how, got)
		}
	}
	if _, ok, err := j.Waiting(t.Context(), p.Digest()); ok || err != nil || brief(t, j) != nil || pending(t, j, proposal(j, "b", "hot")) != 0 {
		t.Errorf("it still waits (%v)", err)
	}
	if _, err := j.Settle(t.Context(), rec.Leaf, p, over(day), settles(asking())); signer.CodeOf(err) != signer.CodeConflict {
		t.Errorf("settled again: error = %v, want code %q", err, signer.CodeConflict)
	}
	f, err := j.Facts(t.Context(), proposal(j, "b", "hot", wei(1)), over(day))
	if s, _ := f.Find(eth, signer.Measure{Window: day}, ""); err != nil || s.Amount.Cmp(big.NewInt(7)) != 0 {
		t.Errorf("spent = %v, %v; want 7", s.Amount, err)
	}
	r := good(t, j, path)
	if r.Asked != 1 || r.Waiting != 0 || r.Approvals != 2 || r.Authorized != 1 || r.Signed != 1 || r.Unknown != 0 {
		t.Errorf("report = %+v", r)
	}
}

func TestHowAWaitEnds(t *testing.T) {
	const waits, allowed, denied = signer.EventWaiting, signer.EventAuthorized, signer.EventDenied
	for name, tc := range map[string]struct {
		later   time.Duration
		renewed bool
		decide  func(signer.Facts, []signer.Heard) signer.Decision
		want    signer.EventType // empty: nothing is recorded
		reason  string
	}{
		"by approvals":                           {0, false, settles(granting([]uint64{2, 3}, treasury(2))), allowed, ""},
		"by more approvals than are asked for":   {0, false, settles(granting([]uint64{2, 3, 4}, treasury(2))), allowed, ""},
		"by two devices of one":                  {0, false, settles(granting([]uint64{3, 4}, signer.Quorum{Approvals: 1, Devices: 2})), allowed, ""},
		"without approvals, where none is asked": {0, false, settles(granting(nil)), allowed, ""},
		"by a refusal":                           {0, false, settles(signer.Decision{Reason: "cancelled"}), denied, "cancelled"},
		"by a refusal that is not to be recorded, and is": {
			0, false, settles(signer.Decision{Reason: "too often", Unrecorded: true}), denied, "too often",
		},
		"by a verdict that does not exist": {0, false, settles(signer.Decision{Verdict: 77, Reason: "?"}), denied, "?"},
		"by a policy that panics":          {0, false, func(signer.Facts, []signer.Heard) signer.Decision { panic("nil map") }, denied, "internal error"},
		"not, where it is asked again":     {0, false, settles(asking(treasury(3))), "", ""},
		"by another proposal that waits":   {0, true, settles(asking(treasury(2))), waits, ""},
		"by another proposal that need not": {
			0, true, settles(granting(nil)), allowed, "",
		},
		"by another proposal that is refused": {0, true, settles(signer.Decision{Reason: "no rule"}), denied, "no rule"},
		"just before it expires":              {day - 1, false, settles(granting([]uint64{2, 3}, treasury(2))), allowed, ""},

		"not by approvals when it has expired": {day, false, settles(granting([]uint64{2, 3}, treasury(2))), denied, "it waited at leaf 1 and expired at 2025-06-02T12:00:00Z"},
		"not as another proposal when it has expired": {
			day, true, settles(asking(treasury(2))), denied, "expired at",
		},
		"not before its delay is over": {
			hour - 1, false, settles(signer.Decision{Verdict: signer.Allow, Delay: hour}), denied, "its delay is over at 2025-06-01T13:00:00Z",
		},
		"when its delay is over":                        {hour, false, settles(signer.Decision{Verdict: signer.Allow, Delay: hour}), allowed, ""},
		"not by approvals that are too few":             {0, false, settles(granting([]uint64{2}, treasury(2))), denied, `rule "large" asks for 2 of group "treasury", and 1 approved`},
		"not by two approvals of one":                   {0, false, settles(granting([]uint64{3, 4}, treasury(2))), denied, "and 1 approved"},
		"not by one device of each":                     {0, false, settles(granting([]uint64{2, 3}, signer.Quorum{Group: "g", Approvals: 2, Devices: 2})), denied, "and 0 approved"},
		"not by one approval twice":                     {0, false, settles(granting([]uint64{2, 2}, treasury(2))), denied, "and 1 approved"},
		"not by a quorum of nobody":                     {0, false, settles(granting([]uint64{2}, treasury(0))), denied, "asks for 0"},
		"not by the second quorum alone":                {0, false, settles(granting([]uint64{2, 3}, treasury(3), treasury(1))), denied, "asks for 3"},
		"not by a leaf that is none":                    {0, false, settles(granting([]uint64{2, 1}, treasury(2))), denied, "leaf 1, which was counted, is no approval of its proposal"},
		"not by an approval of another":                 {0, false, settles(granting([]uint64{2, 8}, treasury(2))), denied, "leaf 8, which was counted, is no approval"},
		"not by one that expired":                       {hour, false, settles(granting([]uint64{2, 5}, treasury(2))), denied, `the approval of "carol" at leaf 5 expired at 2025-06-01T13:00:00Z`},
		"by one that is to expire":                      {hour - 1, false, settles(granting([]uint64{2, 5}, treasury(2))), allowed, ""},
		"not by one that was withdrawn":                 {0, false, settles(granting([]uint64{2, 6}, treasury(2))), denied, `"dave", whose approval at leaf 6 was counted, withdrew at leaf 7`},
		"not as another proposal by approvals of this":  {0, true, settles(granting([]uint64{2, 3}, treasury(2))), denied, "nobody approved it"},
		"not as another proposal whose delay is to run": {hour, true, settles(signer.Decision{Verdict: signer.Allow, Delay: hour}), denied, "its delay has not begun"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			path := privateFile(t)
			j := begun(t, h, path)
			p := proposal(j, "a", "hot", wei(7))
			rec := record(t, j, p, asksFor(asking(treasury(2)))) // leaf 1
			say(t, j, p, signer.WordApprove, "alice")
			say(t, j, p, signer.WordApprove, "bob")
			hear(t, j, statement(j, p, signer.WordApprove, "bob", "second"))
			passing := statement(j, p, signer.WordApprove, "carol", "key")
			passing.Heard.Approval.Expires = j.c.Now().Add(hour)
			hear(t, j, passing)
			say(t, j, p, signer.WordApprove, "dave")
			say(t, j, p, signer.WordWithdraw, "dave") // leaf 7
			other := proposal(j, "b", "hot")
			other.Caller.UID = 1001
			long := asking(treasury(2))
			long.Expires = 7 * day
			record(t, j, other, asksFor(long)) // leaf 8
			h.pass(tc.later)
			if tc.renewed {
				p = renewed(p, 2)
			}
			heard := -1
			out, err := j.Settle(t.Context(), rec.Leaf, p, over(day), func(f signer.Facts, said []signer.Heard) signer.Decision {
				heard = len(said)
				if f.Pending != 0 {
					t.Errorf("%d others wait, want none", f.Pending)
				}
				return tc.decide(f, said)
			})
			if want := 6; err != nil || !tc.renewed && heard != want || tc.renewed && heard != 0 {
				t.Fatalf("Settle error = %v, after %d approvals were heard", err, heard)
			}
			got := types(t, j)[9:]
			if tc.want == "" {
				if len(got) > 0 || !out.Waits || out.Leaf != 1 || len(out.Heard) != 6 || out.Decision.Quorums[0].Approvals != 2 {
					t.Errorf("Settle = %+v and recorded %q; want it to wait as before", out, got)
				}
			} else if len(got) != 1 || got[0] != tc.want || out.Waited != 1 || out.Leaf != 9 || out.Waits != (tc.want == waits) || !strings.Contains(out.Decision.Reason, tc.reason) {
				t.Errorf("Settle = %+v and recorded %q; want %s and %q", out, got, tc.want, tc.reason)
			}
			back := lookup(t, j, "a")
			if back.Leaf != out.Leaf || back.Waits != out.Waits || back.Waited != out.Waited || len(back.Heard) != len(out.Heard) || out.Decision.Unrecorded {
				t.Errorf("Lookup = %+v, want %+v", back, out)
			}
			if tc.renewed && len(back.Heard) > 0 {
				t.Errorf("%q were heard about another proposal", words(back.Heard))
			}
			if n := len(brief(t, j)); (n == 2) != out.Waits {
				t.Errorf("%d requests wait", n)
			}
			f, err := j.Facts(t.Context(), proposal(j, "c", "hot", wei(1)), over(day))
			if s, _ := f.Find(eth, signer.Measure{Window: day}, ""); err != nil || (s.Amount.Sign() > 0) != (tc.want == allowed) {
				t.Errorf("spent = %v, %v", s.Amount, err)
			}
			good(t, j, path)
		})
	}
}

func TestSettleRefusesWhatIsNotTheRequest(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	p := proposal(j, "a", "hot", wei(7))
	rec := record(t, j, p, asksFor(asking(treasury(1))))
	refused := record(t, j, proposal(j, "b", "hot"), deny)
	for name, tc := range map[string]struct {
		leaf   uint64
		change func(*signer.Proposal)
		want   signer.Code
	}{
		"a leaf at which nothing waits": {99, func(*signer.Proposal) {}, signer.CodeConflict},
		"a leaf that is a refusal":      {refused.Leaf, func(*signer.Proposal) {}, signer.CodeConflict},
		"leaf 0":                        {0, func(*signer.Proposal) {}, signer.CodeConflict},
		"another caller":                {rec.Leaf, func(p *signer.Proposal) { p.Caller.UID = 1001 }, signer.CodeInternal},
		"another id":                    {rec.Leaf, func(p *signer.Proposal) { p.Request.ID = "b" }, signer.CodeInternal},
		"another payload":               {rec.Leaf, func(p *signer.Proposal) { p.Request.Payload = []byte("x") }, signer.CodeInternal},
		"another claim":                 {rec.Leaf, func(p *signer.Proposal) { p.Request.Claim = "x" }, signer.CodeInternal},
		"another meaning":               {rec.Leaf, func(p *signer.Proposal) { p.Intent.Outflow = []signer.Quantity{wei(1)} }, signer.CodeInternal},
		"another instance":              {rec.Leaf, func(p *signer.Proposal) { p.Instance = "x" }, signer.CodeInternal},
		"another fingerprint":           {rec.Leaf, func(p *signer.Proposal) { p.Key.Fingerprint = "x" }, signer.CodeInternal},
		"a bundle that is not for it":   {rec.Leaf, func(p *signer.Proposal) { p.Bundle = []byte("x") }, signer.CodeInternal},
	} {
		q := proposal(j, "a", "hot", wei(7))
		tc.change(&q)
		out, err := j.Settle(t.Context(), tc.leaf, q, over(day), settles(granting(nil)))
		if signer.CodeOf(err) != tc.want || out.Leaf != 0 {
			t.Errorf("%s: Settle = %+v, %v; want code %q", name, out, err, tc.want)
		}
	}
	if got := types(t, j); len(got) != 3 || len(brief(t, j)) != 1 {
		t.Errorf("leaves = %v", got)
	}
	good(t, j, path)
}

func TestAJournalBeginsWithAStart(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	p := proposal(j, "a", "hot")
	_, errAsk := j.Record(t.Context(), p, over(), asksFor(asking()))
	_, errFreeze := j.Note(t.Context(), signer.Event{Type: signer.EventFrozen})
	_, _, errHear := j.Hear(t.Context(), statement(j, p, signer.WordFreeze, "alice", "key"), anything)
	_, errOverride := j.Adopt(t.Context(), signer.Event{Type: signer.EventOverridden, Policy: [32]byte{1}}, []byte("policy"))
	for i, err := range []error{errAsk, errFreeze, errHear, errOverride} {
		if signer.CodeOf(err) != signer.CodeInternal || !strings.Contains(err.Error(), "a journal begins with a start") {
			t.Errorf("operation %d: error = %v", i, err)
		}
	}
	if got := types(t, j); got != nil || brief(t, j) != nil {
		t.Errorf("leaves = %v", got)
	}
}

func TestWhoeverSettlesFirstDecides(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	p := proposal(j, "a", "hot", wei(1))
	rec := record(t, j, p, asksFor(asking(treasury(1))))
	leaf := say(t, j, p, signer.WordApprove, "alice")
	var ended, conflicts atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			d := granting([]uint64{leaf}, treasury(1))
			if i%2 == 0 {
				d = signer.Decision{Reason: "cancelled"}
			}
			switch _, err := j.Settle(t.Context(), rec.Leaf, p, over(day), settles(d)); {
			case err == nil:
				ended.Add(1)
			case signer.CodeOf(err) == signer.CodeConflict:
				conflicts.Add(1)
			}
			_, _, _ = j.Hear(t.Context(), statement(j, p, signer.WordApprove, fmt.Sprint("a", i), "key"), anything)
		})
	}
	wg.Wait()
	if ended.Load() != 1 || conflicts.Load() != 31 {
		t.Errorf("%d ended it and %d came too late, want 1 and 31", ended.Load(), conflicts.Load())
	}
	if _, _, err := j.Hear(t.Context(), statement(j, p, signer.WordReject, "bob", "key"), anything); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("a rejection that comes too late: error = %v, want code %q", err, signer.CodeNotFound)
	}
	good(t, j, path)
}

func TestRequestsThatWaitAreCountedByAccount(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	by := func(id string, uid uint32, user string) signer.Proposal {
		p := proposal(j, id, "hot")
		p.Caller.UID, p.Caller.User = uid, user
		return p
	}
	a := record(t, j, by("a", 1, "ann"), asksFor(asking(treasury(1))))
	record(t, j, by("b", 1, "ann"), asksFor(asking(treasury(1))))
	record(t, j, by("c", 2, ""), asksFor(asking(treasury(1))))
	last := record(t, j, by("d", 3, ""), asksFor(asking(treasury(1))))
	if last.Facts.Pending != 1 {
		t.Errorf("of those without an account %d others wait, want 1", last.Facts.Pending)
	}
	check := func(id string, uid uint32, user string, want int) {
		t.Helper()
		if got := pending(t, j, by(id, uid, user)); got != want {
			t.Errorf("for %s of %d %d others wait, want %d", id, uid, got, want)
		}
	}
	check("a", 1, "ann", 1)
	check("x", 1, "ann", 2)
	check("x", 9, "", 2)
	check("x", 9, "ned", 0)
	settle(t, j, a, signer.Decision{Reason: "cancelled"})
	check("x", 1, "ann", 1)
	check("b", 1, "ann", 0)
	// One whose account went away in the meantime is one of those without.
	p := by("d", 3, "newly")
	p.Nonce[0] = 1
	if out, err := j.Settle(t.Context(), last.Leaf, p, over(day), settles(asking(treasury(1)))); err != nil || out.Facts.Pending != 0 || !out.Waits {
		t.Errorf("Settle = %+v, %v", out, err)
	}
	check("x", 3, "newly", 1)
	check("x", 9, "", 1)
	shut(t, j)
	j = open(t, h.config(path))
	check("x", 3, "newly", 1)
	check("x", 9, "", 1)
	if r := good(t, j, path); r.Waiting != 3 || r.Asked != 5 {
		t.Errorf("report = %+v", r)
	}
}

// What expires after times that a table can hold is kept as the last of them, and judged
// by the record.
func TestTimesThatAreTooLateForATable(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	d := asking(treasury(1))
	d.Delay, d.Expires = 1<<63-1, 1<<63-1
	p := proposal(j, "a", "hot")
	rec := record(t, j, p, asksFor(d))
	shut(t, j)
	j = open(t, h.config(path))
	all, err := j.AllWaiting(t.Context())
	if err != nil || len(all) != 1 || all[0].Deadline.Year() != 2262 || all[0].Due.Year() != 2262 {
		t.Errorf("AllWaiting = %+v, %v", all, err)
	}
	leaf := say(t, j, p, signer.WordApprove, "alice")
	if out := settle(t, j, rec, granting([]uint64{leaf}, treasury(1))); out.Decision.Verdict != signer.Allow {
		t.Errorf("Settle = %+v", out.Decision)
	}
	good(t, j, path)
}

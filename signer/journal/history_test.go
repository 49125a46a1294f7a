package journal

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealward/sealward/signer"
)

// history is a journal beside a simple account of what waits in it.
type history struct {
	*rapid.T
	t     *testing.T
	h     *host
	path  string
	j     *Journal
	known map[string]*known // by request id
	said  map[string]uint64 // leaves of statements, by what makes each what it is
	asked int
	ended map[signer.Verdict]int // of all histories
}

// known is a request as the account has it.
type known struct {
	rec     signer.Recorded
	heard   []signer.Heard
	waits   bool
	renewed byte
}

var historyPeople = signer.People{
	Approvers: []signer.Approver{
		{Name: "alice", Devices: []signer.Device{{Name: "one", ID: "SHA256:alice-one"}, {Name: "two", ID: "SHA256:alice-two"}}},
		{Name: "bob", Devices: []signer.Device{{Name: "one", ID: "SHA256:bob-one"}, {Name: "two", ID: "SHA256:bob-two"}}},
		{Name: "carol", Devices: []signer.Device{{Name: "one", ID: "SHA256:carol-one"}, {Name: "two", ID: "SHA256:carol-two"}}},
	},
	Groups: map[string][]string{"treasury": {"alice", "bob", "carol"}},
}

func (s *history) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// one draws a request that was recorded, in whatever state; or nil.
func (s *history) one() *known {
	if len(s.known) == 0 {
		return nil
	}
	return s.known[rapid.SampledFrom(slices.Sorted(maps.Keys(s.known))).Draw(s.T, "request")]
}

func (s *history) decision() signer.Decision {
	d := asking(signer.Quorum{Rule: "large", Group: "treasury", Approvals: rapid.IntRange(1, 3).Draw(s.T, "approvals"), Devices: rapid.IntRange(0, 2).Draw(s.T, "devices")})
	d.Delay = time.Duration(rapid.IntRange(0, 2).Draw(s.T, "delay")) * hour
	d.Expires = time.Duration(rapid.IntRange(1, 5).Draw(s.T, "expires")) * hour
	return d
}

func (s *history) ask() {
	s.asked++
	p := proposal(s.j, fmt.Sprint("r", s.asked), "hot", wei(1))
	decide := asksFor(s.decision())
	if rapid.IntRange(0, 9).Draw(s.T, "at once") == 0 {
		decide = allow
	}
	rec, err := s.j.Record(s.Context(), p, over(day), decide)
	s.must(err)
	if waiting := s.waiting(); rec.Facts.Pending != len(waiting) {
		s.Fatalf("%d others wait, %d by the account", rec.Facts.Pending, len(waiting))
	}
	s.known[p.Request.ID] = &known{rec: rec, waits: rec.Waits}
}

// hear says something, perhaps for the second time, or about what does not wait any more.
func (s *history) hear() {
	k := s.one()
	if k == nil {
		return
	}
	who := rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(s.T, "who")
	device := rapid.SampledFrom([]string{"one", "two"}).Draw(s.T, "device")
	word := rapid.SampledFrom([]signer.Word{signer.WordApprove, signer.WordApprove, signer.WordApprove, signer.WordApprove, signer.WordWithdraw, signer.WordReject}).Draw(s.T, "word")
	e := statement(s.j, k.rec.Proposal, word, who, device)
	e.Heard.Approval.Time = time.Unix(0, 0).UTC()
	if n := rapid.IntRange(0, 3).Draw(s.T, "until"); n > 0 {
		e.Heard.Approval.Expires = k.rec.Time.Add(time.Duration(n) * hour)
	}
	id := e.Heard.Approval.ID()
	leaf, prior, err := s.j.Hear(s.Context(), e, anything)
	before, known := s.said[string(id[:])]
	switch {
	case known:
		if err != nil || !prior || leaf != before {
			s.Fatalf("Hear again = %d, %v, %v; want leaf %d", leaf, prior, err, before)
		}
	case !k.waits:
		if signer.CodeOf(err) != signer.CodeNotFound {
			s.Fatalf("Hear about what does not wait = %d, %v, %v", leaf, prior, err)
		}
	default:
		if err != nil || prior {
			s.Fatalf("Hear = %d, %v, %v", leaf, prior, err)
		}
		s.said[string(id[:])] = leaf
		h := *e.Heard
		h.Leaf = leaf
		k.heard = append(k.heard, h)
	}
}

// settle decides as an engine does, or as one that is broken.
func (s *history) settle() {
	k := s.one()
	if k == nil {
		return
	}
	p, honest := k.rec.Proposal, rapid.IntRange(0, 2).Draw(s.T, "honest") > 0
	fresh := rapid.IntRange(0, 4).Draw(s.T, "renewed") == 0
	d := k.rec.Decision
	if fresh {
		p, d = renewed(p, k.renewed+1), s.decision()
	}
	wild := rapid.SampledFrom([]signer.Verdict{signer.Deny, signer.Ask, signer.Allow, signer.Allow}).Draw(s.T, "wild")
	leaves := rapid.SliceOfN(rapid.Uint64Range(0, s.j.Size()), 0, 4).Draw(s.T, "leaves")
	var right bool // that it is authorised
	rec, err := s.j.Settle(s.Context(), k.rec.Leaf, p, over(day), func(f signer.Facts, heard []signer.Heard) signer.Decision {
		if want := k.heard; !fresh && !slices.Equal(words(heard), words(want)) || fresh && heard != nil {
			s.Fatalf("it is settled on %q, heard were %q", words(heard), words(want))
		}
		t := signer.Count(d.Quorums, historyPeople, p.Caller, heard, f.Time)
		late := !f.Time.Before(k.rec.Deadline())
		right = t.Met() && !late && !f.Time.Before(k.rec.Time.Add(d.Delay)) && !fresh
		out := d
		switch {
		case !honest:
			out.Verdict, out.Approvals = wild, leaves
			if rapid.Bool().Draw(s.T, "as counted") {
				out.Approvals = t.Counted
			}
		case late || t.Rejected != nil:
			out = signer.Decision{Reason: "expired, or rejected"}
		case right:
			out.Verdict, out.Approvals = signer.Allow, t.Counted
		}
		return out
	})
	if !k.waits {
		if signer.CodeOf(err) != signer.CodeConflict {
			s.Fatalf("Settle of what does not wait = %+v, %v", rec, err)
		}
		return
	}
	s.must(err)
	verdict := rec.Decision.Verdict
	switch {
	case verdict == signer.Allow && !right:
		s.Fatalf("it was authorised with %q heard and the decision %+v", words(k.heard), rec.Decision)
	case honest && right && verdict != signer.Allow:
		s.Fatalf("it was not authorised with %q heard: %+v", words(k.heard), rec.Decision)
	case rec.Waits && rec.Leaf == k.rec.Leaf:
		return
	}
	s.ended[verdict]++
	k.waits = rec.Waits
	k.rec = rec
	if fresh {
		k.heard = nil
		k.renewed++
	}
}

func (s *history) waiting() (leaves []uint64) {
	for _, k := range s.known {
		if k.waits {
			leaves = append(leaves, k.rec.Leaf)
		}
	}
	slices.Sort(leaves)
	return leaves
}

// check compares the journal with the account.
func (s *history) check() {
	all, err := s.j.AllWaiting(s.Context())
	s.must(err)
	var leaves []uint64
	for _, w := range all {
		leaves = append(leaves, w.Leaf)
		if k := s.known[w.ID]; k == nil || k.rec.Leaf != w.Leaf || len(k.heard) != w.Heard || !w.Deadline.Equal(k.rec.Deadline()) || !w.Due.Equal(k.rec.Due()) || w.Proposal != k.rec.Proposal.Digest() {
			s.Fatalf("%+v waits; by the account it is %+v", w, k)
		}
	}
	if want := s.waiting(); !slices.Equal(leaves, want) {
		s.Fatalf("leaves %d wait, by the account %d", leaves, want)
	}
	for id, k := range s.known {
		rec, ok, err := s.j.Lookup(s.Context(), "uid:1000", id)
		if err != nil || !ok || rec.Leaf != k.rec.Leaf || rec.Waits != k.waits || !slices.Equal(words(rec.Heard), words(k.heard)) {
			s.Fatalf("Lookup(%s) = %+v, %v; by the account it is %+v", id, rec, err, k)
		}
	}
}

func (s *history) restart() {
	s.must(s.j.Close())
	var err error
	s.j, err = Open(s.h.config(s.path))
	s.must(err)
}

// Whatever is asked, said and settled in whatever order, by an engine that may be broken:
// nothing is authorised without its quorum, and Verify agrees with what happened.
func TestNothingThatWaitsIsAuthorisedWithoutItsQuorum(t *testing.T) {
	ended := map[signer.Verdict]int{}
	rapid.Check(t, func(r *rapid.T) {
		s := &history{T: r, t: t, h: newHost(), path: privateFile(t), known: map[string]*known{}, said: map[string]uint64{}, ended: ended}
		s.j = begun(t, s.h, s.path)
		r.Repeat(map[string]func(*rapid.T){
			"ask": func(r *rapid.T) { s.T = r; s.ask() }, "hear": func(r *rapid.T) { s.T = r; s.hear() },
			"hear more": func(r *rapid.T) { s.T = r; s.hear() }, "hear still more": func(r *rapid.T) { s.T = r; s.hear() },
			"settle": func(r *rapid.T) { s.T = r; s.settle() }, "settle more": func(r *rapid.T) { s.T = r; s.settle() },
			"time":    func(r *rapid.T) { s.h.pass(time.Duration(rapid.IntRange(0, 90).Draw(r, "minutes")) * time.Minute) },
			"restart": func(r *rapid.T) { s.T = r; s.restart() },
			"":        func(r *rapid.T) { s.T = r; s.check() },
		})
		_, err := s.j.Checkpoint(r.Context(), publicKey("journal"), signWith("journal"))
		s.must(err)
		s.must(s.j.Close())
		report, err := Verify(r.Context(), trusting(t, s.path, s.j.Instance()))
		s.must(err)
		for _, p := range report.Problems {
			r.Fatalf("Verify found: %s", p)
		}
	})
	for _, v := range []signer.Verdict{signer.Deny, signer.Ask, signer.Allow} {
		if ended[v] == 0 {
			t.Errorf("waits ended as %v; want some with verdict %s", ended, v)
		}
	}
}

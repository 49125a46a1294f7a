package journal

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// proceeded says which leaves the proceedings have after one.
func proceeded(t testing.TB, j *Journal, after uint64, limit int) (out []string) {
	t.Helper()
	es, err := j.Proceedings(t.Context(), after, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if _, err := e.Event(); err != nil {
			t.Error(err)
		}
		out = append(out, fmt.Sprintf("%d %s", e.Index, e.Leaf.Type))
	}
	return out
}

func TestProceedingsHaveWhatPeopleAreAskedAndWhatCameOfIt(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	if got := proceeded(t, j, 0, 10); got != nil || j.LastProceeding() != 0 {
		t.Errorf("a new journal has the proceedings %q, the last at %d", got, j.LastProceeding())
	}
	finish(t, j, record(t, j, proposal(j, "plain", "hot", wei(1)), allow)) // 1, 2
	record(t, j, proposal(j, "refused", "hot", wei(1)), deny)              // 3
	p := proposal(j, "a", "hot", wei(1))
	rec := record(t, j, p, asksFor(asking(treasury(1))))                   // 4
	leaf := say(t, j, p, signer.WordApprove, "alice")                      // 5
	finish(t, j, settle(t, j, rec, granting([]uint64{leaf}, treasury(1)))) // 6, 7
	q := proposal(j, "b", "hot", wei(1))
	rec = record(t, j, q, asksFor(asking(treasury(1))))     // 8
	settle(t, j, rec, signer.Decision{Reason: "cancelled"}) // 9
	putInForce(t, j, signer.EventOverridden, 3, "three")    // 10
	hear(t, j, statement(j, p, signer.WordFreeze, "alice", "key"))
	thaw := act(j, "thaw", "hot", signer.ClassThaw)
	rec = record(t, j, thaw, asksFor(asking(treasury(1)))) // 12
	leaf = say(t, j, thaw, signer.WordApprove, "bob")      // 13
	rec = settle(t, j, rec, granting([]uint64{leaf}, treasury(1)))
	if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: rec.Leaf, Code: signer.CodeUnavailable}); err != nil { // 15
		t.Fatal(err)
	}
	if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: rec.Leaf, Result: []byte("{}")}); err != nil { // 16
		t.Fatal(err)
	}
	do(t, j, act(j, "attest", "hot", signer.ClassKeyAttest)) // 17, 18
	want := []string{"4 waiting", "5 approval", "6 authorized", "8 waiting", "9 denied", "10 overridden", "11 frozen", "12 waiting", "13 approval", "14 authorized", "16 acted"}
	for _, when := range []string{"at once", "after a restart"} {
		if got := proceeded(t, j, 0, 100); !slices.Equal(got, want) || j.LastProceeding() != 16 {
			t.Errorf("%s the proceedings are\n%q, want\n%q, the last at %d", when, got, want, j.LastProceeding())
		}
		if got := proceeded(t, j, 5, 2); !slices.Equal(got, want[2:4]) {
			t.Errorf("two after leaf 5 are %q", got)
		}
		if got := append(proceeded(t, j, 16, 5), proceeded(t, j, 1<<63, 5)...); got != nil {
			t.Errorf("after the end there are %q", got)
		}
		shut(t, j)
		j = open(t, h.config(path))
	}
	good(t, j, path)
	if _, err := j.Proceedings(t.Context(), 0, 1); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Proceedings of a closed journal: %v", err)
	}
}

func TestWhoWatchesTheProceedingsIsWoken(t *testing.T) {
	j := begun(t, newHost(), privateFile(t))
	changed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	c := j.ProceedingsChanged()
	finish(t, j, record(t, j, proposal(j, "plain", "hot", wei(1)), allow))
	if changed(c) {
		t.Error("a signature that nobody was asked about wakes them")
	}
	p := proposal(j, "a", "hot", wei(1))
	record(t, j, p, asksFor(asking(treasury(1))))
	if !changed(c) || j.LastProceeding() != 3 || changed(j.ProceedingsChanged()) {
		t.Error("a request that waits does not wake them, once")
	}
	c = j.ProceedingsChanged()
	go func() { _, _, _ = j.Hear(t.Context(), statement(j, p, signer.WordApprove, "alice", "key"), anything) }()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("an approval does not wake them")
	}
	if got := proceeded(t, j, 3, 10); !slices.Equal(got, []string{"4 approval"}) {
		t.Errorf("afterwards there are %q", got)
	}
	c = j.ProceedingsChanged()
	shut(t, j)
	if !changed(c) {
		t.Error("the end of the journal does not wake them")
	}
}

func TestTheLastEventOfAType(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	if _, _, ok, err := j.Last(t.Context(), signer.EventStarted); ok || err != nil {
		t.Errorf("a new journal had a start: %v", err)
	}
	putInForce(t, j, signer.EventStarted, 1, "one")
	if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStarted, TrustsFile: "no"}); err != nil {
		t.Fatal(err)
	}
	putInForce(t, j, signer.EventOverridden, 2, "two")
	if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventFrozen, Detail: "overridden"}); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at once", "after a restart"} {
		started, at1, ok1, err1 := j.Last(t.Context(), signer.EventStarted)
		over, at2, ok2, err2 := j.Last(t.Context(), signer.EventOverridden)
		frozen, at3, ok3, err3 := j.Last(t.Context(), signer.EventFrozen)
		if err1 != nil || err2 != nil || err3 != nil || !ok1 || !ok2 || !ok3 {
			t.Fatalf("%s: %v %v %v, %v %v %v", when, ok1, ok2, ok3, err1, err2, err3)
		}
		if at1 != 1 || started.TrustsFile != "no" || at2 != 2 || over.Policy != [32]byte{2} || at3 != 3 || frozen.Detail != "overridden" {
			t.Errorf("%s: %d %+v, %d %+v, %d %+v", when, at1, started, at2, over, at3, frozen)
		}
		shut(t, j)
		j = open(t, h.config(path))
	}
	if _, _, _, err := j.Last(t.Context(), signer.EventSigned); signer.CodeOf(err) != signer.CodeInternal {
		t.Errorf("Last of another type: error = %v", err)
	}
	good(t, j, path)
}

func TestEveryDecisionAfterAnOverrideNamesIt(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	overrides := func(leaf uint64) uint64 {
		t.Helper()
		es, err := j.Entries(t.Context(), leaf, 1)
		if err != nil || len(es) != 1 {
			t.Fatal(err)
		}
		ev, err := es[0].Event()
		if err != nil {
			t.Fatal(err)
		}
		return ev.Override
	}
	p := proposal(j, "before", "hot", wei(1))
	before := record(t, j, p, asksFor(asking(treasury(1))))
	first := putInForce(t, j, signer.EventOverridden, 1, "one")
	allowed := record(t, j, proposal(j, "allowed", "hot", wei(1)), allow)
	refused := record(t, j, proposal(j, "refused", "hot", wei(1)), deny)
	waits := record(t, j, proposal(j, "waits", "hot", wei(1)), asksFor(asking(treasury(1))))
	shut(t, j)
	j = open(t, h.config(path))
	second := putInForce(t, j, signer.EventOverridden, 2, "two")
	settled := settle(t, j, before, signer.Decision{Reason: "expired"})
	for leaf, want := range map[uint64]uint64{before.Leaf: 0, allowed.Leaf: first, refused.Leaf: first, waits.Leaf: first, settled.Leaf: second} {
		if got := overrides(leaf); got != want {
			t.Errorf("leaf %d names the override at leaf %d, want %d", leaf, got, want)
		}
	}
	if got := policies(t, j, 0, 10); got != "6 overridden 2 kept; 2 overridden 1 kept" {
		t.Errorf("policies are %q", got)
	}
	good(t, j, path)
}

func TestTheBundleOfACandidateIsKeptBesideItsRecord(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	find := func(version byte, want string) {
		t.Helper()
		got, ok, err := j.PolicyBundle(t.Context(), [32]byte{version})
		if err != nil || ok != (want != "") || string(got) != want {
			t.Errorf("PolicyBundle(%d) = %q, %v, %v; want %q", version, got, ok, err, want)
		}
	}
	keeps := func(leaf uint64) bool {
		t.Helper()
		es, err := j.Entries(t.Context(), leaf, 1)
		if err != nil || len(es) != 1 {
			t.Fatal(err)
		}
		ev, err := es[0].Event()
		return err == nil && ev.Bundle != [32]byte{} && !bytes.Contains(es[0].Body, []byte("two"))
	}
	p := change(j, "r2", 2, "two")
	rec := record(t, j, p, asksFor(asking(treasury(1))))
	find(2, "two")
	refused := record(t, j, change(j, "three", 3, "three"), deny)
	find(3, "")
	at := record(t, j, change(j, "four", 4, "four"), allow)
	find(4, "four")
	leaf := say(t, j, p, signer.WordApprove, "alice")
	// What is settled with no bundle at hand keeps the one that was reviewed.
	p.Bundle = nil
	done, err := j.Settle(t.Context(), rec.Leaf, p, over(), settles(granting([]uint64{leaf}, treasury(1))))
	if err != nil || !keeps(rec.Leaf) || keeps(refused.Leaf) || !keeps(at.Leaf) || !keeps(done.Leaf) {
		t.Errorf("kept by those that wait, were refused, allowed and settled: %v %v %v %v (%v)", keeps(rec.Leaf), keeps(refused.Leaf), keeps(at.Leaf), keeps(done.Leaf), err)
	}
	// What was in force comes before what somebody asks for, whatever is asked later.
	putInForce(t, j, signer.EventPolicy, 2, "two, in force")
	record(t, j, change(j, "two again", 2, "two, asked for again"), asksFor(asking(treasury(1))))
	find(2, "two, in force")
	// A new proposal of the same request has its own.
	next := change(j, "five", 5, "five")
	rec = record(t, j, next, asksFor(asking(treasury(1))))
	next = renewed(next, 9)
	next.Bundle = []byte("five, read again")
	if _, err := j.Settle(t.Context(), rec.Leaf, next, over(), settles(asking(treasury(1)))); err != nil {
		t.Fatal(err)
	}
	find(5, "five, read again")
	for name, spoil := range map[string]func(*signer.Proposal){
		"a bundle of a payment":  func(p *signer.Proposal) { *p = proposal(j, "x", "hot"); p.Bundle = []byte("x") },
		"a bundle of no version": func(p *signer.Proposal) { p.Intent.Effects[0].Attributes[signer.AttributePolicyTo] = "12" },
		"a bundle of an enable":  func(p *signer.Proposal) { p.Intent.Effects[0].Class = signer.ClassKeyEnable },
	} {
		p := change(j, "x", 6, "six")
		spoil(&p)
		if _, err := j.Record(t.Context(), p, over(), asksFor(asking())); signer.CodeOf(err) != signer.CodeInternal {
			t.Errorf("%s: error = %v", name, err)
		}
	}
	shut(t, j)
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[byte]string{2: "two, in force", 3: "", 4: "four", 5: "five, read again"} {
		if got, ok, err := r.PolicyBundle(t.Context(), [32]byte{version}); err != nil || ok != (want != "") || string(got) != want {
			t.Errorf("a reader's PolicyBundle(%d) = %q, %v, %v; want %q", version, got, ok, err, want)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, h.config(path))
	find(5, "five, read again")
	good(t, j, path)
}

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

func TestADecisionIsReadBackAsItWasMade(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	p := proposal(j, "a", "hot", wei(7), signer.Exact(usdc, big.NewInt(3)))
	first := record(t, j, p, limit(7, 10))
	if first.Prior || first.Leaf != 0 || first.Decision.Verdict != signer.Allow || first.RequestDigest != p.Request.Digest() {
		t.Fatalf("Record = %+v", first)
	}
	leaf := finish(t, j, first)
	denied := record(t, j, proposal(j, "b", "hot", wei(7)), limit(7, 10))
	shut(t, j)

	j = open(t, h.config(path))
	never := func(signer.Facts) signer.Decision {
		t.Error("decide was called for a request that is recorded")
		return signer.Decision{}
	}
	again := record(t, j, p, never)
	if !again.Prior || again.Leaf != first.Leaf || !again.Time.Equal(first.Time) || again.RequestDigest != first.RequestDigest ||
		again.Proposal.Digest() != first.Proposal.Digest() || again.Decision.Verdict != signer.Allow {
		t.Errorf("Record again = %+v", again)
	}
	if o := again.Outcome; o == nil || o.Leaf != leaf || !bytes.Equal(o.Signatures[0], outcomeOf(first).Signatures[0]) {
		t.Errorf("outcome = %+v, want the signature of leaf %d", o, leaf)
	}
	if got := record(t, j, proposal(j, "b", "hot", wei(7)), never); !got.Prior || got.Leaf != denied.Leaf || got.Decision.Reason != "limit reached" || got.Outcome != nil {
		t.Errorf("the refusal again = %+v", got)
	}
	found, ok, err := j.Lookup(t.Context(), "uid:1000", "a")
	if err != nil || !ok || found.Leaf != first.Leaf || found.Outcome == nil {
		t.Errorf("Lookup = %+v, %v, %v", found, ok, err)
	}
	for _, who := range []struct{ caller, id string }{{"uid:1001", "a"}, {"uid:1000", "c"}} {
		if _, ok, err := j.Lookup(t.Context(), who.caller, who.id); ok || err != nil {
			t.Errorf("Lookup(%v) = %v, %v; want nothing", who, ok, err)
		}
	}
}

func TestTwoCallersMayUseTheSameRequestID(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	mine, yours := proposal(j, "a", "hot", wei(1)), proposal(j, "a", "hot", wei(1))
	yours.Caller.UID = 1001
	if a, b := record(t, j, mine, allow), record(t, j, yours, allow); a.Prior || b.Prior || a.Leaf == b.Leaf {
		t.Errorf("leaves %d (prior %v) and %d (prior %v), want two new ones", a.Leaf, a.Prior, b.Leaf, b.Prior)
	}
}

func TestWhatADecisionLeavesBehind(t *testing.T) {
	for name, tc := range map[string]struct {
		decide func(signer.Facts) signer.Decision
		code   signer.Code // of the error; empty: none
		types  []signer.EventType
		spent  int64
	}{
		"an allowed proposal is recorded and counted": {allow, "", []signer.EventType{signer.EventAuthorized}, 7},
		"a refused one is recorded and not counted":   {deny, "", []signer.EventType{signer.EventDenied}, 0},
		"a verdict that does not exist is a refusal": {
			func(signer.Facts) signer.Decision { return signer.Decision{Verdict: 99, Reason: "?"} },
			"", []signer.EventType{signer.EventDenied}, 0,
		},
		"a refusal that is not to be recorded is not": {
			func(signer.Facts) signer.Decision { return signer.Decision{Unrecorded: true} }, "", nil, 0,
		},
		"an allowed one is recorded whatever the policy says of recording": {
			func(signer.Facts) signer.Decision { return signer.Decision{Verdict: signer.Allow, Unrecorded: true} },
			"", []signer.EventType{signer.EventAuthorized}, 7,
		},
		"one that needs approvals waits and is not counted": {
			func(signer.Facts) signer.Decision { return signer.Decision{Verdict: signer.Ask} }, "", []signer.EventType{signer.EventWaiting}, 0,
		},
		"one that needs approvals waits whatever the policy says of recording": {
			func(signer.Facts) signer.Decision {
				return signer.Decision{Verdict: signer.Ask, Unrecorded: true}
			}, "", []signer.EventType{signer.EventWaiting}, 0,
		},
		"a policy that panics refuses": {
			func(signer.Facts) signer.Decision { panic("nil map") }, "", []signer.EventType{signer.EventDenied}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := begun(t, newHost(), privateFile(t))
			rec, err := j.Record(t.Context(), proposal(j, "a", "hot", wei(7)), over(day), tc.decide)
			if (err == nil) != (tc.code == "") || (err != nil && signer.CodeOf(err) != tc.code) {
				t.Fatalf("Record error = %v, want code %q", err, tc.code)
			}
			if got := types(t, j)[1:]; !slices.Equal(got, tc.types) {
				t.Errorf("leaves = %v, want %v", got, tc.types)
			}
			f, err := j.Facts(t.Context(), proposal(j, "b", "hot", wei(1)), over(day))
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := f.Find(eth, signer.Measure{Window: day}, ""); !ok || s.Amount.Cmp(big.NewInt(tc.spent)) != 0 {
				t.Errorf("spent = %v, want %d", s.Amount, tc.spent)
			}
			if tc.types == nil && err == nil && rec.Leaf != 0 {
				t.Errorf("leaf = %d for what was not recorded", rec.Leaf)
			}
			// Whatever happened, the journal goes on.
			record(t, j, proposal(j, "next", "hot", wei(1)), allow)
		})
	}
}

func TestThePanicOfAPolicyIsInTheRecordAndNotInTheAnswer(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	rec := record(t, j, proposal(j, "a", "hot", wei(1)), func(signer.Facts) signer.Decision { panic("secret cause") })
	if strings.Contains(rec.Decision.Reason, "secret cause") {
		t.Errorf("reason = %q", rec.Decision.Reason)
	}
	es, err := j.Entries(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ev, err := es[0].Event(); err != nil || !strings.Contains(ev.Detail, "secret cause") {
		t.Errorf("detail = %q, %v", ev.Detail, err)
	}
}

func TestAProposalThatCannotBeCountedIsRefused(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	for name, change := range map[string]func(*signer.Proposal){
		"for another instance":           func(p *signer.Proposal) { p.Instance = "another" },
		"without a request id":           func(p *signer.Proposal) { p.Request.ID = "" },
		"with another key's fingerprint": func(p *signer.Proposal) { p.Key.Fingerprint = publicKey("cold").Fingerprint() },
		"without a fingerprint":          func(p *signer.Proposal) { p.Key = signer.KeyInfo{} },
		"with a negative amount":         func(p *signer.Proposal) { p.Intent.Outflow = []signer.Quantity{wei(-1)} },
		"with an amount that is missing": func(p *signer.Proposal) { p.Intent.Outflow[0].N = nil },
		"with an amount of no asset":     func(p *signer.Proposal) { p.Intent.Outflow[0].Asset = "" },
		"with requests as an asset":      func(p *signer.Proposal) { p.Intent.Outflow[0].Asset = signer.AssetRequests },
		"with an effect of requests":     func(p *signer.Proposal) { p.Intent.Effects[0].Quantity.Asset = signer.AssetRequests },
	} {
		t.Run(name, func(t *testing.T) {
			p := proposal(j, "a", "hot", wei(1))
			change(&p)
			if _, err := j.Record(t.Context(), p, over(), allow); signer.CodeOf(err) != signer.CodeInternal {
				t.Errorf("Record error = %v, want code %q", err, signer.CodeInternal)
			}
		})
	}
	for _, m := range []signer.Measure{{}, {Window: day, Per: signer.PerFee}, {Window: day, Per: "moon"}} {
		if _, err := j.Record(t.Context(), proposal(j, "a", "hot"), signer.Needs{Measures: []signer.Measure{m}}, allow); signer.CodeOf(err) != signer.CodeInternal {
			t.Errorf("Record with the measure %v: error = %v", m, err)
		}
	}
	if got := types(t, j); got != nil {
		t.Errorf("leaves = %v, want none", got)
	}
}

// quiet opens a journal whose background goroutine does not run.
func quiet(t *testing.T) *Journal {
	t.Helper()
	j, err := start(newHost().config(privateFile(t)))
	if err != nil {
		t.Fatal(err)
	}
	close(j.tended)
	t.Cleanup(func() { shut(t, j) })
	return j
}

// together runs functions so that their operations share one transaction. The
// journal must be quiet.
func together(t *testing.T, j *Journal, fs ...func()) {
	t.Helper()
	var wg sync.WaitGroup
	j.takeTurn(func() {
		for _, f := range fs {
			wg.Go(f)
		}
		for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			j.mu.Lock()
			n := len(j.queue)
			j.mu.Unlock()
			if n == len(fs)+1 { // the turn itself is in the queue too
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%d operations are queued, want %d", n-1, len(fs))
				return
			}
		}
	})
	wg.Wait()
}

func TestTheSameRequestTwiceInOneTransactionIsDecidedOnce(t *testing.T) {
	j := quiet(t)
	var fs []func()
	recs := make([]signer.Recorded, 10)
	for i := range recs {
		fs = append(fs, func() { recs[i] = record(t, j, proposal(j, "same", "hot", wei(7)), limit(7, 7)) })
	}
	together(t, j, fs...)
	fresh := 0
	for _, r := range recs {
		if !r.Prior {
			fresh++
		}
		if r.Leaf != 0 || r.Decision.Verdict != signer.Allow {
			t.Errorf("leaf %d, verdict %s; want the first decision", r.Leaf, r.Decision.Verdict)
		}
	}
	if fresh != 1 || len(types(t, j)) != 1 {
		t.Errorf("%d decisions, %d leaves; want one of each", fresh, len(types(t, j)))
	}
}

func TestAnOperationThatFailsDoesNotFailItsNeighbours(t *testing.T) {
	j := quiet(t)
	var errs [3]error
	together(t, j,
		func() { _, errs[0] = j.Record(t.Context(), proposal(j, "a", "hot", wei(1)), over(), allow) },
		func() {
			_, errs[1] = j.Finish(t.Context(), signer.Outcome{Authorization: 99, Code: signer.CodeInternal})
		},
		func() { _, errs[2] = j.Record(t.Context(), proposal(j, "b", "hot", wei(1)), over(), allow) },
	)
	if errs[0] != nil || errs[2] != nil || signer.CodeOf(errs[1]) != signer.CodeInternal {
		t.Errorf("errors = %v, want one in the middle", errs)
	}
	if got := types(t, j); len(got) != 2 {
		t.Errorf("leaves = %v, want two", got)
	}
}

func TestAWriterThatDiesLeavesNobodyWaiting(t *testing.T) {
	j := quiet(t)
	var err error
	together(t, j,
		func() {
			// decide ends its goroutine, as t.FailNow would.
			_, _ = j.Record(t.Context(), proposal(j, "a", "hot", wei(1)), over(), func(signer.Facts) signer.Decision { runtime.Goexit(); return signer.Decision{} })
		},
		func() { _, err = j.Note(t.Context(), signer.Event{Type: signer.EventStarted}) },
	)
	if _, again := j.Note(t.Context(), signer.Event{Type: signer.EventStarted}); signer.CodeOf(again) != signer.CodeUnavailable || j.Stopped() == nil {
		t.Errorf("afterwards: error = %v, stopped = %v; want a journal that stopped (first error %v)", again, j.Stopped(), err)
	}
}

func TestFinish(t *testing.T) {
	good := func(r signer.Recorded) signer.Outcome { return outcomeOf(r) }
	other := func(r signer.Recorded) signer.Outcome {
		return signer.Outcome{Authorization: r.Leaf, Signatures: [][]byte{make([]byte, 64)}}
	}
	failed := func(r signer.Recorded) signer.Outcome {
		return signer.Outcome{Authorization: r.Leaf, Code: signer.CodeUnavailable, Detail: "no token"}
	}
	type attempt = func(signer.Recorded) signer.Outcome
	for name, tc := range map[string]struct {
		attempts []attempt
		leaves   []uint64 // returned; the authorisation is leaf 0
		answer   uint64
	}{
		"signed":                                  {[]attempt{good}, []uint64{1}, 1},
		"failed":                                  {[]attempt{failed}, []uint64{1}, 1},
		"failed twice, and the last counts":       {[]attempt{failed, failed}, []uint64{1, 2}, 2},
		"signed after it failed":                  {[]attempt{failed, good}, []uint64{1, 2}, 2},
		"the same signature twice is one":         {[]attempt{good, good}, []uint64{1, 1}, 1},
		"another signature later, the first kept": {[]attempt{good, other}, []uint64{1, 2}, 1},
		"a failure later, the signature kept":     {[]attempt{good, failed, good}, []uint64{1, 2, 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			j := open(t, newHost().config(privateFile(t)))
			rec := record(t, j, proposal(j, "a", "hot", wei(1)), allow)
			for i, a := range tc.attempts {
				leaf, err := j.Finish(t.Context(), a(rec))
				if err != nil || leaf != tc.leaves[i] {
					t.Errorf("attempt %d: leaf %d, %v; want leaf %d", i+1, leaf, err, tc.leaves[i])
				}
			}
			got, ok, err := j.Lookup(t.Context(), "uid:1000", "a")
			if err != nil || !ok || got.Outcome == nil || got.Outcome.Leaf != tc.answer {
				t.Errorf("Lookup = %+v, %v, %v; want the outcome of leaf %d", got.Outcome, ok, err, tc.answer)
			}
		})
	}
}

func TestFinishAndNoteRefuseWhatIsNotTheirs(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	denied := record(t, j, proposal(j, "a", "hot", wei(1)), deny)
	allowed := record(t, j, proposal(j, "b", "hot", wei(1)), allow)
	p := proposal(j, "c", "hot")
	for name, err := range map[string]error{
		"the outcome of a refusal":               second(j.Finish(t.Context(), signer.Outcome{Authorization: denied.Leaf, Code: signer.CodeInternal})),
		"the outcome of nothing":                 second(j.Finish(t.Context(), signer.Outcome{Authorization: 7, Code: signer.CodeInternal})),
		"the outcome of a leaf beyond int64":     second(j.Finish(t.Context(), signer.Outcome{Authorization: 1<<64 - 1, Code: signer.CodeInternal})),
		"an outcome that says nothing":           second(j.Finish(t.Context(), signer.Outcome{Authorization: allowed.Leaf})),
		"a failure with signatures":              second(j.Finish(t.Context(), signer.Outcome{Authorization: allowed.Leaf, Code: signer.CodeInternal, Signatures: [][]byte{{1}}})),
		"a note of an authorisation":             second(j.Note(t.Context(), signer.Event{Type: signer.EventAuthorized})),
		"a note of an outcome":                   second(j.Note(t.Context(), signer.Event{Type: signer.EventSigned, Outcome: &signer.Outcome{}})),
		"a note with a proposal":                 second(j.Note(t.Context(), signer.Event{Type: signer.EventMalformed, Proposal: &p})),
		"a note of a type that no leaf can have": second(j.Note(t.Context(), signer.Event{Type: "Not A Type"})),
	} {
		if signer.CodeOf(err) != signer.CodeInternal {
			t.Errorf("%s: error = %v, want code %q", name, err, signer.CodeInternal)
		}
	}
	if got := types(t, j); len(got) != 2 {
		t.Errorf("leaves = %v, want the two decisions", got)
	}
}

func second(_ uint64, err error) error { return err }

func TestHostileTextCanBeReadBack(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	for _, text := range []string{"\xff\xfe", `\ufffd`, `\\ufffd` + "\xff", "\u2028\x00\"\\", "日本 \u202e"} {
		leaf, err := j.Note(t.Context(), signer.Event{Type: signer.EventMalformed, Code: signer.CodeInvalid, Detail: text})
		if err != nil {
			t.Fatal(err)
		}
		es, err := j.Entries(t.Context(), leaf, 1)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := es[0].Event()
		if want := strings.ToValidUTF8(strings.ReplaceAll(text, "\xff\xfe", "\ufffd\ufffd"), "\ufffd"); err != nil || ev.Detail != want {
			t.Errorf("%q is read back as %q, %v", text, ev.Detail, err)
		}
	}
}

func TestEntriesCome(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	for i := range 10 {
		if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStarted, Detail: strings.Repeat("x", 200<<10*(i/8))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		from       uint64
		limit      int
		first, len int
	}{{0, 3, 0, 3}, {7, 2, 7, 2}, {8, 10, 8, 2}, {10, 5, 0, 0}, {1 << 63, 5, 0, 0}, {0, 0, 0, 0}, {0, -1, 0, 0}} {
		es, err := j.Entries(t.Context(), tc.from, tc.limit)
		if err != nil || len(es) != tc.len || (len(es) > 0 && es[0].Index != uint64(tc.first)) {
			t.Errorf("Entries(%d, %d) = %d entries, %v; want %d", tc.from, tc.limit, len(es), err, tc.len)
		}
	}
}

func TestALimitThatAdmitsTenAdmitsTenOfSixtyFourAtOnce(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	var wg sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for i := range 64 {
		wg.Go(func() {
			rec, err := j.Record(t.Context(), proposal(j, fmt.Sprintf("r%d", i), "hot", wei(5)), over(day), limit(5, 50))
			if err != nil {
				t.Error(err)
				return
			}
			if rec.Decision.Verdict != signer.Allow {
				return
			}
			finish(t, j, rec)
			mu.Lock()
			defer mu.Unlock()
			allowed++
		})
	}
	wg.Wait()
	if allowed != 10 {
		t.Errorf("%d were allowed, want 10", allowed)
	}
	checkpoint(t, j, "journal")
	shut(t, j)
	r := verify(t, trusting(t, path, j.Instance()))
	intact(t, r)
	if r.Authorized != 10 || r.Denied != 54 || r.Signed != 10 || r.Unknown != 0 || r.Covered != r.Leaves {
		t.Errorf("report = %+v", r)
	}
}

func TestAClosedJournalRefuses(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	p := proposal(j, "a", "hot", wei(1))
	shut(t, j)
	_, err := j.Record(t.Context(), p, over(), allow)
	if signer.CodeOf(err) != signer.CodeUnavailable || j.Stopped() != nil {
		t.Errorf("Record error = %v, stopped = %v", err, j.Stopped())
	}
	if _, err := j.WaitCheckpoint(t.Context(), 0); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("WaitCheckpoint error = %v", err)
	}
	if e, ok := errors.AsType[*signer.Error](err); !ok || e.Detail != "the journal is closed" {
		t.Errorf("error = %v", err)
	}
}

// types returns the types of all leaves.
func types(t testing.TB, j *Journal) []signer.EventType {
	t.Helper()
	es, err := j.Entries(t.Context(), 0, maxPage)
	if err != nil {
		t.Fatal(err)
	}
	var out []signer.EventType
	for _, e := range es {
		out = append(out, e.Leaf.Type)
	}
	return out
}

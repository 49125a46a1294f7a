package journal

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// act is a proposal that disables, enables or attests the key of the given name.
func act(j *Journal, id, key string, class signer.Class) signer.Proposal {
	p := proposal(j, id, key)
	p.Key = signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}}
	p.Request.Key, p.Request.Kind = signer.AdminKey, signer.KindAdmin
	p.Intent = signer.Intent{Kind: signer.KindAdmin, Complete: true, Effects: []signer.Effect{{
		Class:      class,
		Attributes: map[string]string{signer.AttributeKey: key, signer.AttributeFingerprint: publicKey(key).Fingerprint(), signer.AttributeReason: "because"},
	}}}
	return p
}

// do records an act and that it was done.
func do(t testing.TB, j *Journal, p signer.Proposal) signer.Recorded {
	t.Helper()
	rec := record(t, j, p, allow)
	if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: rec.Leaf, Result: []byte(`{"of":"` + p.Request.ID + `"}`)}); err != nil {
		t.Fatalf("Finish(%d) error = %v", rec.Leaf, err)
	}
	return rec
}

func acts(t testing.TB, j *Journal) (out []string) {
	t.Helper()
	recs, err := j.Acts(t.Context(), signer.ClassKeyDisable, signer.ClassKeyEnable)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		state := "unknown"
		switch {
		case r.Done():
			state = string(r.Outcome.Result)
		case r.Outcome != nil:
			state = string(r.Outcome.Code)
		}
		out = append(out, fmt.Sprintf("%d %s %s", r.Leaf, r.Proposal.Request.ID, state))
	}
	return out
}

func TestActsAreReadBackInOrder(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	if got := acts(t, j); got != nil {
		t.Errorf("a new journal has acts %q", got)
	}
	do(t, j, act(j, "z", "hot", signer.ClassKeyDisable))
	finish(t, j, record(t, j, proposal(j, "pay", "cold", wei(1)), allow))
	record(t, j, act(j, "denied", "hot", signer.ClassKeyEnable), deny)
	do(t, j, act(j, "a", "hot", signer.ClassKeyEnable))
	record(t, j, act(j, "unknown", "hot", signer.ClassKeyDisable), allow)
	failed := record(t, j, act(j, "failed", "hot", signer.ClassKeyEnable), allow)
	if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: failed.Leaf, Code: signer.CodeUnavailable}); err != nil {
		t.Fatal(err)
	}
	want := []string{`0 z {"of":"z"}`, `5 a {"of":"a"}`, "7 unknown unknown", "8 failed unavailable"}
	if got := acts(t, j); !slices.Equal(got, want) {
		t.Errorf("acts are\n%q, want\n%q", got, want)
	}
	for i := range 2 * actsPage { // several pages, the last one full
		do(t, j, act(j, fmt.Sprint("a", i), "hot", signer.ClassKeyAttest)) // which changes nothing
	}
	for i := range 2 * actsPage {
		rec := do(t, j, act(j, fmt.Sprint("n", i), "hot", signer.ClassKeyDisable))
		want = append(want, fmt.Sprintf(`%d n%d {"of":"n%d"}`, rec.Leaf, i, i))
	}
	shut(t, j)
	j = open(t, h.config(path))
	if got := acts(t, j); !slices.Equal(got, want) {
		t.Errorf("after a restart there are %d acts, want %d", len(got), len(want))
	}
	checkpoint(t, j, "journal")
	shut(t, j)
	r := verify(t, trusting(t, path, j.Instance()))
	intact(t, r)
	if r.Acted != uint64(2+4*actsPage) || r.Signed != 1 || r.Failed != 1 || r.Unknown != 1 {
		t.Errorf("report = %+v", r)
	}
	if _, err := j.Acts(t.Context()); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Acts of a closed journal: %v", err)
	}
}

// What a start reads must not grow with what anybody sent: an import carries up to
// 128 KiB, and one that fails is an act all the same.
func TestActsHoldOnlyWhatIsAskedFor(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	for i := range actsPage {
		p := act(j, fmt.Sprint("i", i), "hot", signer.ClassKeyImport)
		p.Request.Payload = make([]byte, signer.MaxPayload)
		record(t, j, p, allow)
	}
	do(t, j, act(j, "d", "hot", signer.ClassKeyDisable))
	recs, err := j.Acts(t.Context(), signer.ClassKeyDisable, signer.ClassKeyEnable)
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, r := range recs {
		held += len(r.Proposal.Request.Payload)
	}
	if len(recs) != 1 || recs[0].Proposal.Request.ID != "d" || held > 1<<10 {
		t.Errorf("%d acts with %d bytes of payload are held, want the one that disables", len(recs), held)
	}
	for want, classes := range map[int][]signer.Class{0: nil, 1: {signer.ClassKeyDisable}, actsPage: {signer.ClassKeyImport}, actsPage + 1: {signer.ClassKeyImport, signer.ClassThaw, signer.ClassKeyDisable}} {
		if recs, err := j.Acts(t.Context(), classes...); err != nil || len(recs) != want {
			t.Errorf("there are %d acts of %q (%v), want %d", len(recs), classes, err, want)
		}
	}
}

func TestAnOutcomeFitsItsAuthorisation(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	pay := record(t, j, proposal(j, "pay", "hot", wei(1)), allow)
	what := record(t, j, act(j, "act", "hot", signer.ClassKeyAttest), allow)
	sigs, result := outcomeOf(pay).Signatures, []byte("{}")
	for name, o := range map[string]signer.Outcome{
		"a result of a payment":          {Authorization: pay.Leaf, Result: result},
		"a signature of an act":          {Authorization: what.Leaf, Signatures: sigs},
		"both":                           {Authorization: what.Leaf, Signatures: sigs, Result: result},
		"neither":                        {Authorization: what.Leaf},
		"a result and a code":            {Authorization: what.Leaf, Result: result, Code: signer.CodeInternal},
		"a result of no authorisation":   {Authorization: 99, Result: result},
		"a signature and a code as well": {Authorization: pay.Leaf, Signatures: sigs, Code: signer.CodeInternal},
	} {
		if leaf, err := j.Finish(t.Context(), o); signer.CodeOf(err) != signer.CodeInternal {
			t.Errorf("%s: Finish = %d, %v; want it refused", name, leaf, err)
		}
	}
	first, err := j.Finish(t.Context(), signer.Outcome{Authorization: what.Leaf, Result: result})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := j.Finish(t.Context(), signer.Outcome{Authorization: what.Leaf, Result: result}); err != nil || again != first {
		t.Errorf("the same result again is leaf %d, %v; want %d", again, err, first)
	}
	if other, err := j.Finish(t.Context(), signer.Outcome{Authorization: what.Leaf, Result: []byte(`{"x":1}`)}); err != nil || other == first {
		t.Errorf("another result is leaf %d, %v; want a new one", other, err)
	}
	rec, ok, err := j.Lookup(t.Context(), "uid:1000", "act")
	if err != nil || !ok || string(rec.Outcome.Result) != "{}" || rec.Outcome.Leaf != first {
		t.Errorf("Lookup = %+v, %v; want the first result", rec.Outcome, err)
	}
	if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventActed}); signer.CodeOf(err) != signer.CodeInternal {
		t.Errorf("Note of an outcome: %v", err)
	}
}

func TestWhatIsForSealwardItself(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	for name, change := range map[string]func(*signer.Proposal){
		"an act for a key":             func(p *signer.Proposal) { p.Key.Name = "hot" },
		"an act with a public key":     func(p *signer.Proposal) { p.Key.Public = publicKey("hot") },
		"an act with a fingerprint":    func(p *signer.Proposal) { p.Key.Fingerprint = publicKey("hot").Fingerprint() },
		"a payment without public key": func(p *signer.Proposal) { p.Request.Kind = signer.KindEVMTransaction },
	} {
		p := act(j, "a", "hot", signer.ClassKeyAttest)
		change(&p)
		if rec, err := j.Record(t.Context(), p, over(), allow); signer.CodeOf(err) != signer.CodeInternal {
			t.Errorf("%s: Record = %+v, %v; want it refused", name, rec, err)
		}
	}
	// Acts count among themselves.
	do(t, j, act(j, "a", "hot", signer.ClassKeyAttest))
	rec := record(t, j, act(j, "b", "cold", signer.ClassKeyAttest), allow)
	if s, ok := rec.Facts.Find(signer.AssetRequests, signer.Measure{Window: day}, ""); !ok || s.Amount.Int64() != 1 {
		t.Errorf("the second act met %+v", rec.Facts)
	}
}

func TestVerifyChecksActs(t *testing.T) {
	for name, tc := range map[string]struct {
		then   func(*testing.T, *Journal)
		script string
		leaf   int64
		want   string // empty: nothing is wrong
	}{
		"nothing":              {nil, "SELECT 1", 0, ""},
		"a disable forgotten":  {nil, "DELETE FROM acts WHERE leaf = 0", 0, "missing from table acts"},
		"an act invented":      {nil, "INSERT INTO acts VALUES (99)", -1, "table acts has 3 rows, the leaves account for 2"},
		"the version set back": {nil, "DROP TABLE acts; PRAGMA user_version = 1", 0, "the version was changed"},
		"a result exchanged":   {nil, `UPDATE outcomes SET leaf = 3 WHERE authorization = 0`, 1, "table outcomes has leaf 3 for leaf 0"},
		"a key used while disabled": {func(t *testing.T, j *Journal) {
			do(t, j, act(j, "d2", "hot", signer.ClassKeyDisable))
			record(t, j, proposal(j, "x", "hot"), allow)
		}, "SELECT 1", 7, `it authorises key "hot", which leaf 6 had disabled`},
		"a disable without outcome": {func(t *testing.T, j *Journal) {
			record(t, j, act(j, "d2", "hot", signer.ClassKeyDisable), allow)
			record(t, j, proposal(j, "x", "hot"), allow)
		}, "SELECT 1", 6, "which leaf 5 had disabled"},
		"an enable without outcome": {func(t *testing.T, j *Journal) {
			do(t, j, act(j, "d2", "hot", signer.ClassKeyDisable))
			record(t, j, act(j, "e2", "hot", signer.ClassKeyEnable), allow)
			record(t, j, proposal(j, "x", "hot"), allow)
		}, "SELECT 1", 8, "which leaf 6 had disabled"},
		"a disable that was refused": {func(t *testing.T, j *Journal) {
			record(t, j, act(j, "d2", "hot", signer.ClassKeyDisable), deny)
			finish(t, j, record(t, j, proposal(j, "x", "hot"), allow))
		}, "SELECT 1", 0, ""},
		"another key": {func(t *testing.T, j *Journal) {
			do(t, j, act(j, "d2", "hot", signer.ClassKeyDisable))
			finish(t, j, record(t, j, proposal(j, "x", "cold"), allow))
		}, "SELECT 1", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := privateFile(t)
			j := open(t, newHost().config(path))
			do(t, j, act(j, "d1", "hot", signer.ClassKeyDisable)) // leaves 0 and 1
			do(t, j, act(j, "e1", "hot", signer.ClassKeyEnable))  // 2 and 3
			record(t, j, proposal(j, "paid", "hot"), allow)       // 4
			if tc.then != nil {
				tc.then(t, j)
			}
			checkpoint(t, j, "journal")
			shut(t, j)
			edit(t, path, tc.script)
			r := verify(t, trusting(t, path, j.Instance()))
			switch {
			case tc.want == "":
				intact(t, r)
			case r.Intact() || !strings.Contains(r.Problems[0].String(), tc.want) || r.Problems[0].Leaf != tc.leaf:
				t.Errorf("problems = %q; want leaf %d and %q first", r.Problems, tc.leaf, tc.want)
			}
		})
	}
}

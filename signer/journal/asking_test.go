package journal

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// consulted makes a journal in which people are asked, and closes it:
//
//	leaf 0 started, 1 a payment waits, 2 alice and 3 bob approve it, 4 it is authorised and
//	5 signed; 6 another one waits, 7 carol approves and 8 rejects it, 9 it is refused; 10 a
//	change to policy 5 waits and 11 is made anew; 12 policy 3 by an override, 13 frozen by
//	alice; 14 a thaw waits, 15 bob approves it, 16 it is authorised and 17 done; 18 a
//	payment waits for an hour, 19 alice approves it
//
// with a checkpoint at the end.
func consulted(t *testing.T) VerifyConfig {
	t.Helper()
	path := privateFile(t)
	j := begun(t, newHost(), path)
	p := proposal(j, "a", "hot", wei(1))
	rec := record(t, j, p, asksFor(asking(treasury(2))))
	by := []uint64{say(t, j, p, signer.WordApprove, "alice"), say(t, j, p, signer.WordApprove, "bob")}
	finish(t, j, settle(t, j, rec, granting(by, treasury(2))))
	p = proposal(j, "b", "hot", wei(1))
	rec = record(t, j, p, asksFor(asking(treasury(2))))
	say(t, j, p, signer.WordApprove, "carol")
	hear(t, j, statement(j, p, signer.WordReject, "carol", "other"))
	settle(t, j, rec, signer.Decision{Reason: "rejected"})
	p = change(j, "c", 5, "five")
	rec = record(t, j, p, asksFor(asking(treasury(2))))
	next := renewed(p, 2)
	next.Bundle = []byte("six")
	if _, err := j.Settle(t.Context(), rec.Leaf, next, over(day), settles(asking(treasury(1)))); err != nil {
		t.Fatal(err)
	}
	putInForce(t, j, signer.EventOverridden, 3, "three")
	hear(t, j, statement(j, p, signer.WordFreeze, "alice", "key"))
	p = act(j, "thaw", "hot", signer.ClassThaw)
	rec = record(t, j, p, asksFor(asking(treasury(1))))
	by = []uint64{say(t, j, p, signer.WordApprove, "bob")}
	rec = settle(t, j, rec, granting(by, treasury(1)))
	if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: rec.Leaf, Result: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	d := asking(treasury(1))
	d.Delay = hour
	p = proposal(j, "d", "hot", wei(1))
	record(t, j, p, asksFor(d))
	say(t, j, p, signer.WordApprove, "alice")
	checkpoint(t, j, "journal")
	shut(t, j)
	return trusting(t, path, j.Instance())
}

func TestVerifyChecksTheTablesOfWhatPeopleAreAsked(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		leaf   int64
		want   string // empty: nothing is wrong
	}{
		"nothing":                         {`SELECT 1`, 0, ""},
		"a request that waits no more":    {`DELETE FROM waiting WHERE leaf = 18`, 18, "its row is missing from table waiting, so its request would not wait any more"},
		"a request that waits again":      {`INSERT INTO waiting SELECT 1, zeroblob(32), caller, id, account, policy, time, due, deadline, heard FROM waiting WHERE leaf = 18`, 1, "table waiting has a row of it, and no request waits by it"},
		"a delay taken away":              {`UPDATE waiting SET due = time WHERE leaf = 18`, 18, "its row in table waiting was changed"},
		"a deadline put off":              {`UPDATE waiting SET deadline = deadline + 1 WHERE leaf = 18`, 18, "its row in table waiting was changed"},
		"a proposal exchanged":            {`UPDATE waiting SET proposal = zeroblob(32) WHERE leaf = 18`, 18, "its row in table waiting was changed"},
		"an account exchanged":            {`UPDATE waiting SET account = 'uid:7' WHERE leaf = 18`, 18, "its row in table waiting was changed"},
		"an approval not counted":         {`UPDATE waiting SET heard = 0 WHERE leaf = 18`, 18, "its row in table waiting was changed"},
		"a request forgotten":             {`DELETE FROM requests WHERE id = 'd'`, 18, `its request "d" of uid:1000 is missing from table requests`},
		"a request set back":              {`UPDATE requests SET leaf = 1 WHERE id = 'a'`, 4, `table requests has leaf 1 for its request "a"`},
		"a request set back as it waits":  {`UPDATE requests SET leaf = 10 WHERE id = 'c'`, 11, `table requests has leaf 10 for its request "c"`},
		"an approval forgotten":           {`DELETE FROM approvals WHERE leaf = 2`, 2, "its approval is missing from table approvals, so it could be counted twice"},
		"an approval of another":          {`UPDATE approvals SET waiting = 6 WHERE leaf = 2`, 2, "its row in table approvals was changed"},
		"an approval elsewhere":           {`UPDATE approvals SET leaf = 3 WHERE leaf = 2`, 2, "table approvals has leaf 3 for its approval"},
		"an approval invented":            {`INSERT INTO approvals VALUES (x'00', 3, 1)`, -1, "table approvals has 8 rows, the leaves account for 7"},
		"a freeze that can be used again": {`DELETE FROM approvals WHERE leaf = 13`, 13, "its approval is missing from table approvals"},
		"a freeze of a request":           {`UPDATE approvals SET waiting = 1 WHERE leaf = 13`, 13, "its row in table approvals was changed"},
		"a proceeding hidden":             {`DELETE FROM proceedings WHERE leaf = 13`, 13, "it is missing from table proceedings"},
		"a thaw hidden":                   {`DELETE FROM proceedings WHERE leaf = 17`, 17, "it is missing from table proceedings"},
		"a proceeding invented":           {`INSERT INTO proceedings VALUES (5)`, -1, "table proceedings has 19 rows, the leaves account for 18"},
		"a freeze forgotten":              {`DELETE FROM latest WHERE type = 'frozen'`, 13, "it is the last event of type frozen, and table latest has none"},
		"an override set back":            {`UPDATE latest SET leaf = 0 WHERE type = 'overridden'`, 12, "it is the last event of type overridden, and table latest has leaf 0"},
		"a last event invented":           {`INSERT INTO latest VALUES ('signed', 5)`, -1, "table latest has 4 rows, the leaves account for 3"},
		"a candidate forgotten":           {`DELETE FROM candidates WHERE leaf = 10`, 10, "its row is missing from table candidates"},
		"a candidate of another version":  {`UPDATE candidates SET version = zeroblob(32) WHERE leaf = 10`, 10, "its row in table candidates was changed"},
		"a candidate exchanged":           {`UPDATE candidates SET bundle = (SELECT bundle FROM candidates WHERE leaf = 11) WHERE leaf = 10`, 10, "its row in table candidates was changed"},
		"a candidate invented":            {`INSERT INTO candidates VALUES (1, zeroblob(32), zeroblob(32))`, -1, "table candidates has 3 rows, the leaves account for 2"},
		"a candidate's bundle changed":    {`UPDATE bundles SET body = x'00' WHERE body = CAST('five' AS BLOB)`, 10, "the bundle of its policy was changed"},
		"a candidate's bundle gone":       {`DELETE FROM bundles WHERE body = CAST('five' AS BLOB)`, 10, "is missing from table bundles"},
		"the version set back":            {`PRAGMA user_version = 3`, 1, "it is of type waiting, with what a journal of schema version 3 cannot hold; the version was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			c := consulted(t)
			edit(t, c.Path, tc.script)
			r := verify(t, c)
			switch {
			case tc.want == "":
				intact(t, r)
			case r.Intact() || r.Problems[0].Leaf != tc.leaf || !strings.Contains(r.Problems[0].String(), tc.want):
				t.Errorf("problems = %q; want leaf %d and %q first", r.Problems, tc.leaf, tc.want)
			}
		})
	}
}

func TestVerifyChecksWhatPeopleWereAskedAndSaid(t *testing.T) {
	type change = func(e *signer.Event)
	approval := func(f func(a *signer.Approval)) change {
		return func(e *signer.Event) { f(&e.Heard.Approval) }
	}
	decision := func(f func(d *signer.Decision)) change { return func(e *signer.Event) { f(e.Decision) } }
	for name, tc := range map[string]struct {
		leaf   uint64
		change change
		at     int64 // of the first problem
		want   string
	}{
		"an approval of another proposal": {3, approval(func(a *signer.Approval) { a.Proposal[0] ^= 1 }), 3, "which does not wait at that moment"},
		"an approval of what was settled": {19, approval(func(a *signer.Approval) { a.Proposal = [32]byte{1} }), 19, `"alice" speaks about proposal 01`},
		"an approval of another instance": {3, approval(func(a *signer.Approval) { a.Instance = "x" }), 3, `its approval is for instance "x"`},
		"a freeze called an approval":     {13, func(e *signer.Event) { e.Type = signer.EventApproval }, 13, "its body is no such approval"},
		"an approval without one":         {3, func(e *signer.Event) { e.Heard = nil }, 3, "its body is no such approval"},
		"a rejection that was counted":    {3, approval(func(a *signer.Approval) { a.Word = signer.WordReject }), 3, "missing from table approvals"},
		"a wait of a refusal":             {1, decision(func(d *signer.Decision) { d.Verdict = signer.Deny }), 1, "its body is no such decision"},
		"an authorisation that asks":      {4, decision(func(d *signer.Decision) { d.Verdict = signer.Ask }), 4, "its body is no such decision"},
		"a quorum that was raised":        {4, decision(func(d *signer.Decision) { d.Quorums[0].Approvals = 3 }), 4, `rule "large" asks for 3 of group "treasury", and 2 approved`},
		"devices that were not used":      {4, decision(func(d *signer.Decision) { d.Quorums[0].Devices = 2 }), 4, "and 0 approved"},
		"an approval left out":            {4, decision(func(d *signer.Decision) { d.Approvals = d.Approvals[:1] }), 4, "and 1 approved"},
		"an approval of another request":  {4, decision(func(d *signer.Decision) { d.Approvals[0] = 7 }), 4, "leaf 7, which was counted, is no approval"},
		"a delay that was not over":       {4, decision(func(d *signer.Decision) { d.Delay = hour }), 4, "its delay is over at 2025-06-01T13:00:00Z"},
		"an approver twice":               {3, func(e *signer.Event) { e.Heard.Approver = "alice" }, 4, "and 1 approved"},
		"a wait that was not":             {4, func(e *signer.Event) { e.Waited = 0 }, 4, "it was authorised at once, and its decision asks for approvals"},
		"a wait of something else":        {4, func(e *signer.Event) { e.Waited = 3 }, 4, "it ends the wait of leaf 3, by which no request waits"},
		"a wait that came later":          {4, func(e *signer.Event) { e.Waited = 6 }, 4, "it ends the wait of leaf 6, by which no request waits"},
		"a wait that was over":            {9, func(e *signer.Event) { e.Waited = 1 }, 9, "it ends the wait of leaf 1, by which no request waits"},
		"a wait that had expired":         {1, decision(func(d *signer.Decision) { d.Expires = 0 }), 4, "it waited at leaf 1 and expired at 2025-06-01T12:00:00Z"},
		"another meaning":                 {4, func(e *signer.Event) { e.Proposal.Intent.Complete = false }, 4, "its proposal was taken for something else when it waited, at leaf 1"},
		"another claim":                   {4, func(e *signer.Event) { e.Proposal.Request.Claim = "x" }, 4, "it is not about the request that waited by leaf 1"},
		"who waited":                      {6, func(e *signer.Event) { e.Facts.Pending = 1 }, 6, "the decision took 1 other requests of uid:1000 for waiting; by the records before it 0 wait"},
		"who waited besides":              {14, func(e *signer.Event) { e.Facts.Pending = 0 }, 14, "the decision took 0 other requests of uid:1000 for waiting; by the records before it 1 wait"},
		"an override not named":           {14, func(e *signer.Event) { e.Override = 0 }, 14, "it says that the last override before it is leaf 0; by the records it is leaf 12"},
		"an override invented":            {9, func(e *signer.Event) { e.Override = 1 }, 9, "it says that the last override before it is leaf 1; by the records it is leaf 0"},
		"an override called a start":      {12, func(e *signer.Event) { e.Type = signer.EventStarted }, 14, "it says that the last override before it is leaf 12; by the records it is leaf 0"},
		"a bundle that was reviewed":      {10, func(e *signer.Event) { e.Bundle[0] ^= 1 }, 10, "its row in table candidates was changed"},
		"a bundle of a payment":           {1, func(e *signer.Event) { e.Bundle[0] = 1 }, 1, "it keeps the bundle of a policy, and would put none in force"},
		"a renewal that is none": {11, func(e *signer.Event) {
			e.Proposal.Nonce, e.Proposal.Policy = [32]byte{}, [32]byte{}
		}, 11, "it waits as the same proposal by leaf 10 already"},
	} {
		t.Run(name, func(t *testing.T) {
			c := consulted(t)
			rewrite(t, c.Path, func(n uint64, e *signer.Event) {
				if n == tc.leaf {
					tc.change(e)
				}
			})
			r := verify(t, c)
			if r.Intact() || r.Problems[0].Leaf != tc.at || !strings.Contains(r.Problems[0].String(), tc.want) {
				t.Errorf("problems = %q; want leaf %d and %q first", r.Problems, tc.at, tc.want)
			}
		})
	}
}

// What is said of an approval that was rewritten is that, and what that makes of the
// authorisation that counted it.
func TestVerifyFindsWhatRewrittenApprovalsMakeOfAnAuthorisation(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*signer.Approval)
		want   string
	}{
		"rejected":  {func(a *signer.Approval) { a.Word = signer.WordReject }, `"bob" rejected it at leaf 3`},
		"withdrawn": {func(a *signer.Approval) { a.Word = signer.WordWithdraw }, "leaf 3, which was counted, is no approval of its proposal"},
		"expired":   {func(a *signer.Approval) { a.Expires = a.Time }, `the approval of "bob" at leaf 3 expired at 2025-06-01T12:00:00Z`},
		"of another proposal": {
			func(a *signer.Approval) { a.Proposal[0] ^= 1 }, "leaf 3, which was counted, is no approval of its proposal",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := consulted(t)
			rewrite(t, c.Path, func(n uint64, e *signer.Event) {
				if n == 3 {
					tc.change(&e.Heard.Approval)
				}
			})
			r := verify(t, c)
			if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Leaf == 4 && strings.Contains(p.What, tc.want) }) {
				t.Errorf("problems = %q; want %q of leaf 4", r.Problems, tc.want)
			}
		})
	}
}

func TestVerifyChecksThatNothingIsAuthorisedWhileFrozen(t *testing.T) {
	freeze := func(t *testing.T, j *Journal) {
		if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventFrozen, Detail: "because"}); err != nil {
			t.Fatal(err)
		}
	}
	thaw := func(t *testing.T, j *Journal, id string) { do(t, j, act(j, id, "hot", signer.ClassThaw)) }
	pay := func(t *testing.T, j *Journal) { record(t, j, proposal(j, "pay", "hot", wei(1)), allow) }
	for name, tc := range map[string]struct {
		happens func(*testing.T, *Journal)
		want    string // empty: nothing is wrong
	}{
		"a payment before": {func(t *testing.T, j *Journal) { pay(t, j); freeze(t, j) }, ""},
		"a payment":        {func(t *testing.T, j *Journal) { freeze(t, j); pay(t, j) }, "leaf 2 (2025-06-01T12:00:00Z): it was authorised while Sealward was frozen, by leaf 1"},
		"a refusal":        {func(t *testing.T, j *Journal) { freeze(t, j); record(t, j, proposal(j, "pay", "hot", wei(1)), deny) }, ""},
		"a payment that waits": {func(t *testing.T, j *Journal) {
			freeze(t, j)
			record(t, j, proposal(j, "pay", "hot"), asksFor(asking()))
		}, ""},
		"an enable":              {func(t *testing.T, j *Journal) { freeze(t, j); do(t, j, act(j, "x", "hot", signer.ClassKeyEnable)) }, "while Sealward was frozen"},
		"a disable":              {func(t *testing.T, j *Journal) { freeze(t, j); do(t, j, act(j, "x", "hot", signer.ClassKeyDisable)) }, ""},
		"a change of policy":     {func(t *testing.T, j *Journal) { freeze(t, j); do(t, j, change(j, "x", 2, "two")) }, ""},
		"a trust of the file":    {func(t *testing.T, j *Journal) { freeze(t, j); do(t, j, act(j, "x", "hot", signer.ClassTrustFile)) }, "while Sealward was frozen"},
		"a payment after a thaw": {func(t *testing.T, j *Journal) { freeze(t, j); thaw(t, j, "t"); pay(t, j) }, ""},
		"a payment after a thaw that was authorised, and not done": {func(t *testing.T, j *Journal) {
			freeze(t, j)
			record(t, j, act(j, "t", "hot", signer.ClassThaw), allow)
			pay(t, j)
		}, "leaf 3 (2025-06-01T12:00:00Z): it was authorised while Sealward was frozen"},
		"a payment after a thaw that failed": {func(t *testing.T, j *Journal) {
			freeze(t, j)
			rec := record(t, j, act(j, "t", "hot", signer.ClassThaw), allow)
			if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: rec.Leaf, Code: signer.CodeInternal}); err != nil {
				t.Fatal(err)
			}
			pay(t, j)
		}, "while Sealward was frozen"},
		"a payment after a thaw that the freeze overtook": {func(t *testing.T, j *Journal) {
			freeze(t, j)
			rec := record(t, j, act(j, "t", "hot", signer.ClassThaw), allow)
			freeze(t, j)
			if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: rec.Leaf, Result: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
			pay(t, j)
		}, "leaf 5 (2025-06-01T12:00:00Z): it was authorised while Sealward was frozen, by leaf 3"},
		"a payment after a second freeze": {func(t *testing.T, j *Journal) { freeze(t, j); thaw(t, j, "t"); freeze(t, j); pay(t, j) }, "by leaf 4"},
	} {
		t.Run(name, func(t *testing.T) {
			path := privateFile(t)
			j := begun(t, newHost(), path)
			tc.happens(t, j)
			checkpoint(t, j, "journal")
			shut(t, j)
			r := verify(t, trusting(t, path, j.Instance()))
			switch {
			case tc.want == "":
				intact(t, r)
			case len(r.Problems) != 1 || !strings.Contains(r.Problems[0].String(), tc.want):
				t.Errorf("problems = %q; want %q alone", r.Problems, tc.want)
			}
		})
	}
}

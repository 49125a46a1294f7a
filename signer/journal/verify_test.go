package journal

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// sample makes a journal with something of everything, and closes it:
//
//	leaf 0 started, 1-8 four payouts of 5 with their outcomes, 9 one that failed,
//	10 its failure, 11 a refusal, 12 malformed, 13 outcome unknown
//
// with checkpoints at 7 and 14 leaves.
func sample(t *testing.T) VerifyConfig {
	t.Helper()
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	note := func(e signer.Event) {
		if _, err := j.Note(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	note(signer.Event{Type: signer.EventStarted, Detail: "config"})
	for i := range 4 {
		h.pass(time.Minute)
		finish(t, j, record(t, j, proposal(j, fmt.Sprintf("paid-%d", i), "hot", wei(5)), limit(5, 30)))
		if i == 2 {
			checkpoint(t, j, "journal")
		}
	}
	failed := record(t, j, proposal(j, "failed", "hot", wei(5)), limit(5, 30))
	if _, err := j.Finish(t.Context(), signer.Outcome{Authorization: failed.Leaf, Code: signer.CodeUnavailable, Detail: "no token"}); err != nil {
		t.Fatal(err)
	}
	record(t, j, proposal(j, "refused", "hot", wei(50)), limit(50, 30))
	note(signer.Event{Type: signer.EventMalformed, Code: signer.CodeInvalid, Detail: "no kind"})
	record(t, j, proposal(j, "unknown", "hot", wei(5)), limit(5, 30))
	checkpoint(t, j, "journal")
	shut(t, j)
	return trusting(t, path, j.Instance())
}

func TestVerifyFindsNothingWrongWithAJournalThatIsRight(t *testing.T) {
	c := sample(t)
	r := verify(t, c)
	intact(t, r)
	want := Report{
		Instance: r.Instance, Key: c.Trusted.String(), Leaves: 14, Root: r.Root, First: r.First, Last: r.First.Add(4 * time.Minute),
		Authorized: 6, Denied: 1, Malformed: 1, Signed: 4, Failed: 1, Unknown: 1, Other: 1, Checkpoints: 2, Covered: 14,
	}
	if fmt.Sprint(r) != fmt.Sprint(want) || !r.Intact() {
		t.Errorf("report = %+v\nwant     %+v", r, want)
	}
}

func TestVerifyNamesWhatWasTamperedWith(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		leaf   int64 // of the first problem; -1: of none
		want   string
	}{
		"a byte of a body": {
			`UPDATE leaves SET body = CAST(replace(CAST(body AS TEXT), 'config', 'cOnfig') AS BLOB) WHERE leaf = 0`,
			0, "its body, salt, type or time was changed",
		},
		"a salt":          {`UPDATE leaves SET salt = zeroblob(32) WHERE leaf = 3`, 3, "its body, salt, type or time was changed"},
		"a type":          {`UPDATE leaves SET type = 'stopped' WHERE leaf = 0`, 0, "its body, salt, type or time was changed"},
		"a time":          {`UPDATE leaves SET time = time + 1 WHERE leaf = 3`, 3, "its body, salt, type or time was changed"},
		"a time set back": {`UPDATE leaves SET time = time - 3600000000000 WHERE leaf = 3`, 3, "journal time runs backwards"},
		"a body and its stored hash": {
			`UPDATE leaves SET body = CAST(replace(CAST(body AS TEXT), 'config', 'cOnfig') AS BLOB) WHERE leaf = 0; UPDATE commits SET hashes = zeroblob(32) WHERE first = 0`,
			0, "its body, salt, type or time was changed",
		},
		"an inner hash":           {`UPDATE commits SET hashes = CAST(substr(hashes, 1, 32) || zeroblob(length(hashes) - 32) AS BLOB) WHERE first = 1`, 1, "a stored hash of the tree above it was changed"},
		"a leaf in the middle":    {`DELETE FROM leaves WHERE leaf = 5`, 5, "it is missing; the next one is 6"},
		"the last leaf":           {`DELETE FROM leaves WHERE leaf = 13`, -1, "signed at 14 leaves, but only 13 are left"},
		"the end of every table":  {`DELETE FROM leaves WHERE leaf > 6; DELETE FROM commits WHERE first > 10; DELETE FROM spends WHERE leaf > 6; DELETE FROM flows WHERE leaf > 6; DELETE FROM requests WHERE leaf > 6; DELETE FROM outcomes WHERE leaf > 6`, -1, "signed at 14 leaves, but only 7 are left"},
		"a spend row removed":     {`DELETE FROM spends WHERE leaf = 3 AND asset LIKE 'eip155%'`, 3, "the row for eip155:1/slip44:60 is missing from table spends"},
		"a spend row lowered":     {`UPDATE spends SET amount = '1' WHERE leaf = 3 AND asset LIKE 'eip155%'`, 3, "the row for eip155:1/slip44:60 in table spends was changed"},
		"a spend row dated back":  {`UPDATE spends SET time = 0 WHERE leaf = 3 AND asset = 'requests'`, 3, "the row for requests in table spends was changed"},
		"a spend of another key":  {`UPDATE spends SET key = 'sha256:00' WHERE leaf = 3 AND asset = 'requests'`, 3, "the row for requests in table spends was changed"},
		"a spend row added":       {`INSERT INTO spends (leaf, asset, key, caller, time, amount) VALUES (11, 'requests', 'x', '', 0, '1')`, 11, "that the leaf does not account for"},
		"a spend row of no leaf":  {`INSERT INTO spends (leaf, asset, key, caller, time, amount) VALUES (99, 'requests', 'x', '', 0, '1')`, 99, "which does not exist"},
		"a request forgotten":     {`DELETE FROM requests WHERE id = 'paid-1'`, 3, `its request "paid-1" of uid:1000 is missing`},
		"a request moved":         {`UPDATE requests SET leaf = 1 WHERE id = 'paid-1'`, 3, `table requests has leaf 1`},
		"a request invented":      {`INSERT INTO requests (caller, id, leaf) VALUES ('uid:0', 'x', 1)`, -1, "table requests has 8 rows, the leaves account for 7"},
		"an outcome forgotten":    {`DELETE FROM outcomes WHERE authorization = 1`, 2, "table outcomes has no row for leaf 1"},
		"an outcome exchanged":    {`UPDATE outcomes SET leaf = 4 WHERE authorization = 1`, 2, "table outcomes has leaf 4 for leaf 1"},
		"an outcome invented":     {`INSERT INTO outcomes (authorization, leaf, signed) VALUES (13, 2, 1)`, -1, "table outcomes has 6 rows"},
		"a failure called signed": {`UPDATE outcomes SET signed = 1 WHERE authorization = 9`, 10, "which is not its answer"},
		"checkpoints swapped":     {`UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 7) WHERE size = 14`, -1, "checkpoint at 14 leaves: it was exchanged for one that was signed at 7 leaves"},
		"a checkpoint of zeros":   {`UPDATE checkpoints SET note = zeroblob(10) WHERE size = 7`, -1, "checkpoint at 7 leaves: "},
		"another key":             {`UPDATE meta SET value = 'x' WHERE name = 'key'`, -1, "the journal says that its key is x"},
		"another instance":        {`UPDATE meta SET value = 'x' WHERE name = 'instance'`, -1, "this journal is sealward.dev/journal/x"},
	} {
		t.Run(name, func(t *testing.T) {
			c := sample(t)
			edit(t, c.Path, tc.script)
			r := verify(t, c)
			if r.Intact() || r.Problems[0].Leaf != tc.leaf || !strings.Contains(r.Problems[0].String(), tc.want) {
				t.Fatalf("problems = %q; want leaf %d and %q first", r.Problems, tc.leaf, tc.want)
			}
			if tc.leaf >= 0 && !strings.HasPrefix(r.Problems[0].String(), fmt.Sprintf("leaf %d", tc.leaf)) {
				t.Errorf("problem = %q", r.Problems[0])
			}
		})
	}
}

// rewrite makes a journal again from its leaves after a change to one, tree and
// all, as somebody would who has everything but the journal's key.
func rewrite(t *testing.T, path string, change func(leaf uint64, e *signer.Event)) {
	t.Helper()
	d, err := openDB(path, url.Values{"mode": {"rw"}})
	if err != nil {
		t.Fatal(err)
	}
	es, err := getEntries(d, 0, maxPage)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.script("DELETE FROM commits"); err != nil {
		t.Fatal(err)
	}
	var tree edge
	var hashes []byte
	for _, e := range es {
		ev, err := e.Event()
		if err != nil {
			t.Fatal(err)
		}
		change(e.Index, &ev)
		body := ev.Canonical()
		l := receipt.Leaf{Type: ev.Type, Time: ev.Time, Commitment: receipt.Commit(e.Salt, body)}
		hash, err := l.Hash()
		if err != nil {
			t.Fatal(err)
		}
		hashes = tree.append(hashes, hash)
		if err := d.exec("UPDATE leaves SET body = ?, type = ?, time = ? WHERE leaf = ?", body, string(ev.Type), ev.Time.UnixNano(), int64(e.Index)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.exec(sqlAddCommit, int64(0), hashes, "boot-1", int64(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFindsAJournalThatWasRewrittenAsAWhole(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(uint64, *signer.Event)
		leaf   int64
		want   string
	}{
		"nothing": {func(uint64, *signer.Event) {}, -2, ""},
		"a text before the first checkpoint": {func(n uint64, e *signer.Event) {
			if n == 0 {
				e.Detail = "another"
			}
		}, 6, "the tree is not the one that was signed"},
		"a text between checkpoints": {func(n uint64, e *signer.Event) {
			if n == 12 {
				e.Detail = "another"
			}
		}, 13, "the tree is not the one that was signed"},
		"a signature": {func(n uint64, e *signer.Event) {
			if n == 2 {
				e.Outcome.Signatures[0][0] ^= 1
			}
		}, 2, "signature 1 does not verify under the key of leaf 1"},
		"a signature too many": {func(n uint64, e *signer.Event) {
			if n == 2 {
				e.Outcome.Signatures = append(e.Outcome.Signatures, e.Outcome.Signatures[0])
			}
		}, 2, "it has 2 signatures for the 1 messages of leaf 1"},
		"an outcome of a refusal": {func(n uint64, e *signer.Event) {
			if n == 10 {
				e.Outcome.Authorization = 0
			}
		}, 10, "it is an outcome of leaf 0, which is no authorisation"},
		"an outcome of what comes later": {func(n uint64, e *signer.Event) {
			if n == 2 {
				e.Outcome.Authorization = 13
			}
		}, 2, "which comes later"},
		"what was spent": {func(n uint64, e *signer.Event) {
			if n == 3 {
				e.Facts.Spent[0].Amount = wei(4).N
			}
		}, 3, "the decision took 4 of eip155:1/slip44:60 for spent in 24h0m0s; the records before it make 5"},
		"a limit that was exceeded": {func(n uint64, e *signer.Event) {
			if n == 3 {
				e.Decision.Limits[0].Max = wei(9).N
			}
		}, 3, `limit "a day" of rule "payouts" was exceeded: 5 spent and 5 more, of 9`},
		"an amount that the limit counted": {func(n uint64, e *signer.Event) {
			if n == 3 {
				e.Decision.Limits[0].Amount = wei(1).N
			}
		}, 3, "which reserved 5"},
		"a limit without a number": {func(n uint64, e *signer.Event) {
			if n == 3 {
				e.Decision.Limits[0].Max = nil
			}
		}, 3, "lacks a number"},
		"a verdict": {func(n uint64, e *signer.Event) {
			if n == 11 {
				e.Decision.Verdict = signer.Allow
			}
		}, 11, "its body is no such decision"},
		"an outflow": {func(n uint64, e *signer.Event) {
			if n == 1 {
				e.Proposal.Intent.Outflow[0] = wei(1)
			}
		}, 1, "which reserved 1"},
		"a request id used twice": {func(n uint64, e *signer.Event) {
			if n == 3 {
				e.Proposal.Request.ID = "paid-0"
			}
		}, 3, "one request was decided twice"},
		"an instance": {func(n uint64, e *signer.Event) {
			if n == 1 {
				e.Proposal.Instance = "x"
			}
		}, 1, `its proposal is for instance "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := sample(t)
			rewrite(t, c.Path, tc.change)
			r := verify(t, c)
			if tc.leaf == -2 {
				intact(t, r)
				return
			}
			if r.Intact() || r.Problems[0].Leaf != tc.leaf || !strings.Contains(r.Problems[0].String(), tc.want) {
				t.Errorf("problems = %q; want leaf %d and %q first", r.Problems, tc.leaf, tc.want)
			}
			if !slices.ContainsFunc(r.Problems, func(p Problem) bool { return strings.Contains(p.What, "is not the one that was signed") }) {
				t.Errorf("problems = %q; want the checkpoint to disagree too", r.Problems)
			}
		})
	}
}

func TestAKnownCheckpointShowsAJournalThatWasPutBack(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	checkpoint(t, j, "journal")
	shut(t, j)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	j = open(t, h.config(path))
	record(t, j, proposal(j, "b", "hot", wei(1)), allow)
	known := checkpoint(t, j, "journal")
	shut(t, j)

	c := trusting(t, path, j.Instance())
	c.Known = [][]byte{known.Note}
	intact(t, verify(t, c))
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	r := verify(t, c)
	if r.Intact() || !strings.Contains(r.Problems[0].What, "known checkpoint 1: it was signed at 2 leaves, but only 1 are left") {
		t.Errorf("problems = %q", r.Problems)
	}
}

func TestVerifyRefuses(t *testing.T) {
	c := sample(t)
	untrusting, unchecking := c, c
	untrusting.Trusted, unchecking.Signature = nil, nil
	nowhere, empty := c, c
	nowhere.Path = filepath.Join(t.TempDir(), "journal.db")
	empty.Path = filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(empty.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		c    VerifyConfig
		want string
	}{
		"no trusted key":          {untrusting, "name the journal's key that you trust"},
		"no check of signatures":  {unchecking, "how to check signatures"},
		"a file that isn't there": {nowhere, "unable to open database file"},
		"an empty file":           {empty, "there is no journal in it"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Verify(t.Context(), tc.c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Verify error = %v, want %q in it", err, tc.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, c); err == nil {
		t.Error("Verify went on after its context ended")
	}
}

func TestVerifyLeavesARunningDaemonAlone(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	checkpoint(t, j, "journal")
	c := trusting(t, path, j.Instance())
	if _, err := Verify(t.Context(), c); err == nil || !strings.Contains(err.Error(), "a running daemon has it open") {
		t.Errorf("Verify error = %v", err)
	}
	if err := os.Remove(lockName(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), c); err == nil {
		t.Error("without the lock file Verify read a journal that is in use")
	}
	record(t, j, proposal(j, "b", "hot", wei(1)), allow)
	shut(t, j)
	intact(t, verify(t, c))
}

func TestVerifyReadsAFolderThatItMayNotWriteAndChangesNothing(t *testing.T) {
	c := sample(t)
	before, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Path)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	intact(t, verify(t, c))
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(c.Path)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the database changed (%v)", err)
	}
	if files, err := filepath.Glob(c.Path + "*"); err != nil || len(files) != 2 {
		t.Errorf("files = %v, %v; want the database and its lock", files, err)
	}
}

func TestAReportListsTheFirstProblems(t *testing.T) {
	c := sample(t)
	edit(t, c.Path, "UPDATE leaves SET salt = zeroblob(32); DELETE FROM spends; DELETE FROM requests; DELETE FROM outcomes")
	if r := verify(t, c); len(r.Problems) != maxProblems || !r.More || r.Problems[0].Leaf != 0 {
		t.Errorf("%d problems, more: %v, first: %s", len(r.Problems), r.More, r.Problems[0])
	}
}

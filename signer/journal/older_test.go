package journal

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// schemas1And2 are the tables of versions 1 and 2, as the programs of the time made
// them.
const schemas1And2 = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE leaves (
	leaf INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	type TEXT NOT NULL,
	salt BLOB NOT NULL,
	body BLOB NOT NULL
) STRICT;
CREATE TABLE commits (
	first      INTEGER PRIMARY KEY,
	hashes     BLOB NOT NULL,
	boot       TEXT NOT NULL,
	since_boot INTEGER NOT NULL
) STRICT;
CREATE TABLE requests (
	caller TEXT NOT NULL,
	id     TEXT NOT NULL,
	leaf   INTEGER NOT NULL,
	PRIMARY KEY (caller, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE outcomes (
	authorization INTEGER PRIMARY KEY,
	leaf          INTEGER NOT NULL,
	signed        INTEGER NOT NULL
) STRICT;
CREATE TABLE spends (
	leaf   INTEGER NOT NULL,
	asset  TEXT NOT NULL,
	key    TEXT NOT NULL,
	time   INTEGER NOT NULL,
	amount TEXT,
	PRIMARY KEY (leaf, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
	size INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	note BLOB NOT NULL
) STRICT;
`

// schema2 and schema3 are what versions 2 and 3 added, and tableSpends3 is what version 3
// had in place of table spends.
const (
	schema2 = `
CREATE TABLE acts (
	leaf INTEGER PRIMARY KEY
) STRICT;
`
	tableSpends3 = `
DROP TABLE spends;
CREATE TABLE spends (
	leaf   INTEGER NOT NULL,
	asset  TEXT NOT NULL,
	key    TEXT NOT NULL,
	caller TEXT NOT NULL,
	time   INTEGER NOT NULL,
	amount TEXT,
	PRIMARY KEY (leaf, asset)
) STRICT, WITHOUT ROWID;
`
	schema3 = `
CREATE TABLE flows (
	leaf      INTEGER NOT NULL,
	recipient TEXT NOT NULL,
	asset     TEXT NOT NULL,
	amount    TEXT,
	PRIMARY KEY (leaf, recipient, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE recipients (
	key       TEXT NOT NULL,
	recipient TEXT NOT NULL,
	leaf      INTEGER NOT NULL,
	PRIMARY KEY (key, recipient)
) STRICT, WITHOUT ROWID;
CREATE TABLE policies (
	leaf    INTEGER PRIMARY KEY,
	version BLOB NOT NULL,
	bundle  BLOB
) STRICT;
CREATE INDEX policies_by_version ON policies (version);
CREATE TABLE bundles (
	sha256 BLOB PRIMARY KEY,
	body   BLOB NOT NULL
) STRICT;
`
)

// older makes a closed journal again as a program that knew only an earlier version of
// the schema would have written it.
func older(t testing.TB, path string, version int) {
	t.Helper()
	script := "BEGIN;" + schemas1And2
	tables := map[string]string{
		"meta": "*", "leaves": "*", "commits": "*", "requests": "*", "outcomes": "*", "checkpoints": "*",
		"spends": "leaf, asset, key, time, amount",
	}
	if version >= 2 {
		script += schema2
		tables["acts"] = "*"
	}
	if version >= 3 {
		script += tableSpends3 + schema3
		for _, name := range []string{"spends", "flows", "recipients", "policies", "bundles"} {
			tables[name] = "*"
		}
	}
	for table, columns := range tables {
		script += fmt.Sprintf("INSERT INTO main.%s SELECT %s FROM newer.%s;", table, columns, table)
	}
	script += fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT; DETACH newer", applicationID, version)
	d, err := openDB(path+".older", url.Values{"mode": {"rwc"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.script(fmt.Sprintf("ATTACH '%s' AS newer", path)); err != nil {
		t.Fatal(err)
	}
	if err := d.script(script); err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+".older", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".older", path); err != nil {
		t.Fatal(err)
	}
}

// tables returns the schema of a database and every row of some of its tables.
func tables(t testing.TB, path string, names ...string) (out []string) {
	t.Helper()
	d, err := openDB(path, url.Values{"mode": {"ro"}})
	if err != nil {
		t.Fatal(err)
	}
	queries := []string{"SELECT name || sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"}
	columns := map[string]string{
		"spends": "leaf || ' ' || asset || ' ' || key || ' ' || caller || ' ' || time || ' ' || ifnull(amount, '-')",
		"flows":  "leaf || ' ' || recipient || ' ' || asset || ' ' || ifnull(amount, '-')", "recipients": "key || ' ' || recipient || ' ' || leaf",
		"policies": "leaf || ' ' || hex(version) || ' ' || ifnull(hex(bundle), '-')", "acts": "CAST(leaf AS TEXT)",
		"latest": "type || ' ' || leaf", "waiting": "CAST(leaf AS TEXT)", "approvals": "CAST(leaf AS TEXT)", "candidates": "CAST(leaf AS TEXT)", "proceedings": "CAST(leaf AS TEXT)",
	}
	for _, n := range names {
		queries = append(queries, fmt.Sprintf("SELECT '%s ' || %s AS row FROM %s ORDER BY row", n, columns[n], n))
	}
	for _, q := range queries {
		c, err := d.query(q, 1)
		if err != nil {
			t.Fatal(err)
		}
		for c.ok {
			text, err := values(c.row).text(0)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, text)
			if err := c.next(); err != nil {
				t.Fatal(err)
			}
		}
		c.close()
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// past makes a journal with what earlier versions could hold, with a number of
// requests, and closes it.
func past(t *testing.T, requests int) VerifyConfig {
	t.Helper()
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	for _, e := range []signer.Event{
		{Type: signer.EventStarted, Detail: "config", Policy: [32]byte{1}},
		{Type: signer.EventPolicy, Policy: [32]byte{2}},
		{Type: signer.EventPolicy, Policy: [32]byte{2}, Code: signer.CodeInvalid, Detail: "a reload was refused"},
		{Type: signer.EventStopped},
	} {
		if _, err := j.Note(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(i int) {
		p := proposal(j, fmt.Sprint("r", i), []string{"hot", "cold"}[i%2], wei(int64(i%3)), signer.Exact(usdc, wei(7).N))
		p.Caller.UID = uint32(1000 + i%5)
		p.Intent.Effects[0].Counterparty = fmt.Sprint("eip155:1:0x", i%50)
		if i%100 == 99 {
			p.Intent.Effects[1].Quantity = signer.Quantity{Kind: signer.QuantityUnknown}
			p.Intent.Outflow = []signer.Quantity{{Kind: signer.QuantityUnknown}}
		}
		decide := allow
		switch {
		case i%14 == 0:
			decide = deny
		case i%7 == 0: // refused at the time, as nobody could approve
			decide = func(signer.Facts) signer.Decision {
				return signer.Decision{Reason: "approvals cannot be collected yet", Quorums: []signer.Quorum{{Rule: "large", Group: "treasury", Approvals: 2}}, Delay: time.Hour}
			}
		}
		if rec := record(t, j, p, decide); i%7 != 0 {
			finish(t, j, rec)
		}
	}
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			for i := g; i < requests; i += 20 {
				ask(i)
			}
		})
	}
	wg.Wait()
	checkpoint(t, j, "journal")
	shut(t, j)
	return trusting(t, path, j.Instance())
}

func TestAnOlderJournalIsBroughtUpToThisVersion(t *testing.T) {
	derived := []string{"spends", "flows", "recipients", "policies", "acts", "latest", "waiting", "approvals", "candidates", "proceedings"}
	for version := 1; version < schemaVersion; version++ {
		for _, acts := range []bool{false, true} {
			if acts && version == 1 {
				continue // it has none
			}
			t.Run(fmt.Sprintf("version %d, with administrative requests: %v", version, acts), func(t *testing.T) {
				c := past(t, maxPage/2) // more than are read at once
				if acts {
					j := open(t, newHost().config(c.Path))
					do(t, j, act(j, "d", "hot", signer.ClassKeyDisable))
					checkpoint(t, j, "journal")
					shut(t, j)
				}
				want := tables(t, c.Path, derived...)
				older(t, c.Path, version)
				before := verify(t, c) // without being brought up
				intact(t, before)

				h := newHost()
				conf := h.config(c.Path)
				var told []string // of how far it is, before each page and at the end
				conf.Upgrading = func(done, of uint64) { told = append(told, fmt.Sprintf("%d of %d", done, of)) }
				j := open(t, conf)
				if n := j.Size(); version < 3 && (len(told) != 3 || told[0] != fmt.Sprintf("0 of %d", n) || told[2] != fmt.Sprintf("%d of %d", n, n)) {
					t.Errorf("of %d leaves it tells %q", n, told)
				}
				ps, err := j.Policies(t.Context(), 0, 10)
				if err != nil || len(ps) != 2 || ps[0].Version != [32]byte{2} || ps[0].Kept || ps[0].Bundle != [32]byte{} || ps[1].Leaf != 0 {
					t.Errorf("policies = %+v, %v; want the change and the start, without bundles", ps, err)
				}
				shut(t, j)
				if got := tables(t, c.Path, derived...); !slices.Equal(got, want) {
					t.Errorf("%d lines of tables, want %d:\n%s", len(got), len(want), firstDifference(got, want))
				}
				if info, err := os.Stat(c.Path + "-wal"); err == nil && info.Size() > 0 {
					t.Errorf("the log that it went through still has %d bytes", info.Size())
				}
				after := verify(t, c)
				intact(t, after)
				if fmt.Sprint(after) != fmt.Sprint(before) {
					t.Errorf("afterwards the report is %+v, before %+v", after, before)
				}

				conf.Upgrading = func(uint64, uint64) { t.Error("it is brought up twice") }
				j = open(t, conf)
				p := proposal(j, "x", "cold", wei(1), signer.Exact(usdc, wei(1).N))
				p.Intent.Effects[0].Counterparty = "eip155:1:0xnew"
				rec, err := j.Record(t.Context(), p, allNeeds(), allow)
				if err != nil || !slices.Equal(rec.Facts.NewRecipients, []string{"eip155:1:0xnew"}) {
					t.Errorf("new recipients are %q, %v; want all but acme", rec.Facts.NewRecipients, err)
				}
				finish(t, j, rec)
				shut(t, j)
				intact(t, verify(t, c))
			})
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("got  %s\nwant %s", got[i], want[i])
		}
	}
	return "one is longer"
}

// What cannot be brought up stays what it was, to the last row.
func TestAnOlderJournalThatIsDamagedStaysAsItIs(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"a body that was changed": {
			`UPDATE leaves SET body = CAST(replace(CAST(body AS TEXT), '"facts"', '"fancy"') AS BLOB) WHERE leaf = (SELECT max(leaf) FROM leaves WHERE type = 'authorized')`,
			"cannot be read back",
		},
		"a body that is no event": {
			`UPDATE leaves SET body = x'7b7d' WHERE leaf = 1`, "leaf 1 cannot be read back",
		},
		"a spend of no authorisation": {
			`INSERT INTO spends VALUES (0, 'requests', 'x', 0, '1')`, "check the journal with 'sealward journal verify'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := past(t, 20)
			older(t, c.Path, 2)
			edit(t, c.Path, tc.script)
			count := func() string {
				d, err := openDB(c.Path, url.Values{"mode": {"ro"}})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := d.close(); err != nil {
						t.Error(err)
					}
				}()
				var out []string
				for _, q := range []string{"PRAGMA user_version", "SELECT count(*) FROM spends", "SELECT count(*) FROM leaves", "SELECT count(*) FROM sqlite_schema"} {
					n, err := d.integer(q)
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, fmt.Sprint(n))
				}
				return strings.Join(out, " ")
			}
			before := count()
			for range 2 {
				j, err := Open(newHost().config(c.Path))
				if err == nil {
					shut(t, j)
				}
				if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "bring it from schema version 2 to 4") {
					t.Fatalf("Open error = %v, want %q", err, tc.want)
				}
			}
			if after := count(); after != before {
				t.Errorf("version and rows are %s, were %s", after, before)
			}
			if r := verify(t, c); r.Intact() {
				t.Error("Verify finds nothing wrong with it")
			}
		})
	}
}

func TestVerifyFindsAVersionThatWasSetBack(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	if _, err := j.Adopt(t.Context(), signer.Event{Type: signer.EventStarted, Policy: [32]byte{1}}, []byte("policy")); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Record(t.Context(), proposal(j, "a", "hot", wei(1)), allNeeds(), allow); err != nil {
		t.Fatal(err)
	}
	checkpoint(t, j, "journal")
	shut(t, j)
	older(t, path, 2)
	r := verify(t, trusting(t, path, j.Instance()))
	for leaf, want := range []string{"it keeps the bundle of a policy, which a journal of schema version 2 cannot hold", "count by more than the key, which a journal of schema version 2 cannot do"} {
		if len(r.Problems) != 2 || r.Problems[leaf].Leaf != int64(leaf) || !strings.Contains(r.Problems[leaf].What, want) {
			t.Errorf("problems = %q, want %q of leaf %d", r.Problems, want, leaf)
		}
	}
}

// What policy would have asked approvals for was refused before requests could wait, and
// stays so.
func TestARefusalOfBeforeRequestsCouldWaitStaysOne(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := begun(t, h, path)
	p := proposal(j, "large", "hot", wei(1))
	refused := record(t, j, p, deny)
	shut(t, j)
	rewrite(t, path, func(leaf uint64, e *signer.Event) {
		if leaf == refused.Leaf {
			d := asking(treasury(2))
			e.Decision = &d
		}
	})
	older(t, path, 3)
	j = open(t, h.config(path))
	for how, rec := range map[string]signer.Recorded{"looked up": lookup(t, j, "large"), "asked again": record(t, j, p, allow)} {
		if rec.Waits || rec.Leaf != refused.Leaf || rec.Decision.Verdict != signer.Ask || rec.Heard != nil || !rec.Prior {
			t.Errorf("%s, it is %+v; want the refusal", how, rec)
		}
	}
	if _, ok, err := j.Waiting(t.Context(), p.Digest()); ok || err != nil || brief(t, j) != nil || j.LastProceeding() != 0 {
		t.Errorf("it waits (%v)", err)
	}
	if _, leaf, ok, err := j.Last(t.Context(), signer.EventStarted); err != nil || !ok || leaf != 0 {
		t.Errorf("the last start is leaf %d, %v, %v", leaf, ok, err)
	}
	waits := record(t, j, proposal(j, "larger", "hot", wei(1)), asksFor(asking(treasury(2))))
	settle(t, j, waits, signer.Decision{Reason: "cancelled"})
	if r := good(t, j, path); r.Denied != 2 || r.Asked != 1 || r.Waiting != 0 {
		t.Errorf("report = %+v", r)
	}
}

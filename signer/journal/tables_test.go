package journal

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

const bank = "eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D"

// counted makes a journal in which a policy counts by everything, and closes it:
//
//	leaf 0 started with policy 1, 1-2 five wei to acme, 3-4 the same and 3 usdc to bank
//	for another caller, 5 policy 2, 6 a call that nobody could read, 7 a refusal of what
//	goes to a new recipient, 8 policy 1 again, 9 a reload that was refused
//
// with a checkpoint at the end.
func counted(t *testing.T) VerifyConfig {
	t.Helper()
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	ask := func(p signer.Proposal, d signer.Decision) signer.Recorded {
		t.Helper()
		h.pass(time.Second)
		rec, err := j.Record(t.Context(), p, allNeeds(), func(f signer.Facts) signer.Decision {
			for i, l := range d.Limits {
				if s, ok := f.Find(l.Asset, signer.Measure{Window: l.Window, Per: l.Per}, l.Subject); ok {
					d.Limits[i].Spent, d.Limits[i].Frees = s.Amount, s.Frees
				}
			}
			return d
		})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	limit := func(name string, per signer.Per, subject, asset string, window time.Duration, amount int64) signer.LimitUse {
		return signer.LimitUse{Rule: "payouts", Limit: name, Asset: asset, Window: window, Max: big.NewInt(10), Spent: new(big.Int), Amount: big.NewInt(amount), Per: per, Subject: subject}
	}
	putInForce(t, j, signer.EventStarted, 1, "one")
	finish(t, j, ask(proposal(j, "a", "hot", wei(5)), signer.Decision{Verdict: signer.Allow}))
	both := proposal(j, "b", "hot", wei(5), signer.Exact(usdc, big.NewInt(3)))
	both.Caller.UID, both.Intent.Effects[1].Counterparty = 1001, bank
	both.Intent.Outflow[0], both.Intent.Fee = wei(7), wei(2)
	finish(t, j, ask(both, signer.Decision{Verdict: signer.Allow, Rules: []string{"payouts"}, Limits: []signer.LimitUse{
		limit("by caller", signer.PerCaller, "uid:1001", eth, day, 7), limit("to each", signer.PerRecipient, acme, eth, day, 5),
		limit("to each, at once", signer.PerRecipient, bank, usdc, 0, 3), limit("of usdc", signer.PerAsset, usdc, signer.AssetRequests, day, 1),
		limit("fee", signer.PerFee, "", eth, 0, 2),
	}}))
	putInForce(t, j, signer.EventPolicy, 2, "two")
	unread := proposal(j, "c", "hot")
	unread.Intent.Outflow = []signer.Quantity{{Kind: signer.QuantityUnknown}}
	ask(unread, signer.Decision{Verdict: signer.Allow})
	club := proposal(j, "d", "hot", wei(1))
	club.Intent.Effects[0].Counterparty = "eip155:1:0xc1"
	ask(club, signer.Decision{Reason: "no rule matches"})
	putInForce(t, j, signer.EventPolicy, 1, "one")
	if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventPolicy, Policy: [32]byte{1}, Code: signer.CodeInvalid}); err != nil {
		t.Fatal(err)
	}
	checkpoint(t, j, "journal")
	shut(t, j)
	return trusting(t, path, j.Instance())
}

func TestVerifyChecksWhatIsCounted(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		leaf   int64
		want   string // empty: nothing is wrong
	}{
		"nothing":                     {`SELECT 1`, 0, ""},
		"a caller exchanged":          {`UPDATE spends SET caller = 'uid:1000' WHERE leaf = 3 AND asset = 'requests'`, 3, "the row for requests in table spends was changed"},
		"a flow removed":              {`DELETE FROM flows WHERE leaf = 3 AND asset LIKE '%slip44%'`, 3, `the row for ` + eth + ` to "` + acme + `" is missing from table flows, so limits per recipient would not count it`},
		"a flow lowered":              {`UPDATE flows SET amount = '1' WHERE leaf = 1`, 1, `the row for ` + eth + ` to "` + acme + `" in table flows was changed`},
		"a flow without bound":        {`UPDATE flows SET amount = NULL WHERE leaf = 1`, 1, "in table flows was changed"},
		"a flow given a bound":        {`UPDATE flows SET amount = '1' WHERE leaf = 6`, 6, `the row for  to "" in table flows was changed`},
		"a flow to another recipient": {`UPDATE flows SET recipient = 'x' WHERE leaf = 1`, 1, "is missing from table flows"},
		"a flow of another asset":     {`UPDATE flows SET asset = 'x' WHERE leaf = 1`, 1, "is missing from table flows"},
		"a flow added":                {`INSERT INTO flows VALUES (1, 'x', 'y', '1')`, 1, `table flows has a row for y to "x" that the leaf does not account for`},
		"a flow of a refusal":         {`INSERT INTO flows VALUES (7, 'x', 'y', '1')`, 7, "that the leaf does not account for"},
		"a flow of no leaf":           {`INSERT INTO flows VALUES (99, 'x', 'y', '1')`, 99, "table flows has rows of this leaf, which does not exist"},
		"all flows removed":           {`DELETE FROM flows`, 1, "is missing from table flows"},
		"a recipient forgotten":       {`DELETE FROM recipients WHERE recipient = '` + bank + `'`, 3, `its recipient "` + bank + `" is missing from table recipients, so it would be taken for new`},
		"a recipient known later":     {`UPDATE recipients SET leaf = 3 WHERE recipient = '` + acme + `'`, 1, `table recipients has leaf 3 for its recipient "` + acme + `"`},
		"a recipient known earlier":   {`UPDATE recipients SET leaf = 1 WHERE recipient = '` + bank + `'`, 3, `the decision took the recipients ["` + bank + `"] for new; by the records before it [] are`},
		"a recipient of another key":  {`UPDATE recipients SET key = 'x' WHERE recipient = '` + acme + `'`, 1, "missing from table recipients"},
		"a recipient invented":        {`INSERT INTO recipients VALUES ('x', 'y', 1)`, -1, "table recipients has 3 rows, the leaves account for 2"},
		"one of a refusal made known": {`INSERT INTO recipients SELECT key, 'eip155:1:0xc1', 1 FROM recipients LIMIT 1`, 7, `took the recipients ["eip155:1:0xc1"] for new; by the records before it [] are`},
		"a policy forgotten":          {`DELETE FROM policies WHERE leaf = 5`, 5, "its row is missing from table policies"},
		"a policy invented":           {`INSERT INTO policies VALUES (9, zeroblob(32), NULL)`, -1, "table policies has 4 rows, the leaves account for 3"},
		"a version exchanged":         {`UPDATE policies SET version = zeroblob(32) WHERE leaf = 5`, 5, "its row in table policies was changed"},
		"a bundle exchanged":          {`UPDATE policies SET bundle = (SELECT bundle FROM policies WHERE leaf = 0) WHERE leaf = 5`, 5, "its row in table policies was changed"},
		"a bundle not named":          {`UPDATE policies SET bundle = NULL WHERE leaf = 0`, 0, "its row in table policies was changed"},
		"a bundle forgotten":          {`DELETE FROM bundles WHERE body = CAST('two' AS BLOB)`, 5, "is missing from table bundles"},
		"a bundle changed":            {`UPDATE bundles SET body = CAST('oNe' AS BLOB) WHERE body = CAST('one' AS BLOB)`, 0, "the bundle of its policy was changed: it has SHA-256"},
		"a bundle invented":           {`INSERT INTO bundles VALUES (zeroblob(32), x'00')`, -1, "table bundles has 3 rows, the leaves account for 2"},
		"two bundles swapped": {
			`UPDATE bundles SET body = CASE body WHEN CAST('one' AS BLOB) THEN CAST('two' AS BLOB) ELSE CAST('one' AS BLOB) END`, 0, "the bundle of its policy was changed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := counted(t)
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

func TestVerifyChecksFactsAndLimitsByAllTheyCount(t *testing.T) {
	// spent is the element of leaf 3 for a measure of a day.
	spent := func(e *signer.Event, per signer.Per, asset, subject string) *signer.Spent {
		for i, s := range e.Facts.Spent {
			if s.Per == per && s.Asset == asset && s.Subject == subject && s.Window == day {
				return &e.Facts.Spent[i]
			}
		}
		t.Fatalf("no fact per %q of %s, %s", per, asset, subject)
		return nil
	}
	type change = func(*signer.Event)
	for name, tc := range map[string]struct {
		leaf   uint64
		change change
		want   string
	}{
		"what the caller spent": {3, func(e *signer.Event) { spent(e, signer.PerCaller, eth, "uid:1001").Amount = big.NewInt(4) },
			"the decision took 4 of " + eth + " for spent in 24h0m0s per caller of uid:1001; the records before it make 0"},
		"what the recipient got": {3, func(e *signer.Event) { spent(e, signer.PerRecipient, eth, acme).Amount = big.NewInt(4) },
			"per recipient of " + acme + "; the records before it make 5"},
		"how often the asset moved": {3, func(e *signer.Event) {
			spent(e, signer.PerAsset, signer.AssetRequests, eth).Amount = new(big.Int)
		}, "per asset of " + eth + "; the records before it make 1"},
		"when it frees":              {3, func(e *signer.Event) { s := spent(e, signer.PerRecipient, eth, acme); s.Frees = s.Frees.Add(1) }, "the records before it make 5"},
		"a fact of another":          {3, func(e *signer.Event) { spent(e, signer.PerCaller, eth, "uid:1001").Subject = "uid:7" }, "beside the matter"},
		"a fact left out":            {3, func(e *signer.Event) { e.Facts.Spent = e.Facts.Spent[1:] }, "its facts do not say what was spent of " + usdc},
		"a fact twice":               {3, func(e *signer.Event) { e.Facts.Spent = append(e.Facts.Spent, e.Facts.Spent[0]) }, "say twice"},
		"a fact of no kind":          {3, func(e *signer.Event) { e.Facts.Spent[0].Per = signer.PerFee }, `its facts are of what is not counted: nothing is counted per "fee"`},
		"a recipient new":            {3, func(e *signer.Event) { e.Facts.NewRecipients = []string{acme, bank} }, `for new; by the records before it ["` + bank + `"] are`},
		"nobody new":                 {3, func(e *signer.Event) { e.Facts.NewRecipients = nil }, `took the recipients [] for new; by the records before it ["` + bank + `"] are`},
		"new, and never asked":       {3, func(e *signer.Event) { e.Facts.Recipients = false }, `its facts say which recipients are new, and that nobody asked`},
		"a stranger new":             {7, func(e *signer.Event) { e.Facts.NewRecipients = []string{"x"} }, `took the recipients ["x"] for new`},
		"a limit's spent":            {3, func(e *signer.Event) { e.Decision.Limits[1].Spent = new(big.Int) }, "counted 0 as spent per recipient of " + acme + ", the facts say 5"},
		"by the caller":              {3, func(e *signer.Event) { e.Decision.Limits[0].Amount = big.NewInt(1) }, "for the request per caller of uid:1001, which reserved 7"},
		"to the recipient":           {3, func(e *signer.Event) { e.Decision.Limits[1].Amount = big.NewInt(1) }, "for the request per recipient of " + acme + ", which reserved 5"},
		"to one, at once":            {3, func(e *signer.Event) { e.Decision.Limits[2].Amount = big.NewInt(1) }, "for the request per recipient of " + bank + ", which reserved 3"},
		"to one not named":           {3, func(e *signer.Event) { e.Decision.Limits[2].Subject = "x" }, "for the request per recipient of x, which reserved 0"},
		"a count":                    {3, func(e *signer.Event) { e.Decision.Limits[3].Amount = big.NewInt(0) }, "of requests for the request per asset of " + usdc + ", which reserved 1"},
		"the fee":                    {3, func(e *signer.Event) { e.Decision.Limits[4].Amount = big.NewInt(1) }, "for the request per fee, which reserved 2"},
		"a limit exceeded":           {3, func(e *signer.Event) { e.Decision.Limits[1].Max = big.NewInt(9) }, `limit "to each" of rule "payouts" was exceeded: 5 spent and 5 more, of 9`},
		"whom a payment pays":        {1, func(e *signer.Event) { e.Proposal.Intent.Effects[0].Counterparty = bank }, "beside the matter, what was spent of " + eth + " in 24h0m0s per recipient of " + acme},
		"who asked":                  {1, func(e *signer.Event) { e.Proposal.Caller.UID = 1001 }, `its request "a" of uid:1001 is missing`},
		"a version":                  {5, func(e *signer.Event) { e.Policy[0] = 7 }, "its row in table policies was changed"},
		"a bundle":                   {5, func(e *signer.Event) { e.Bundle[0] ^= 1 }, "its row in table policies was changed"},
		"no bundle":                  {5, func(e *signer.Event) { e.Bundle = [32]byte{} }, "its row in table policies was changed"},
		"a quantity that is not one": {1, func(e *signer.Event) { e.Proposal.Intent.Effects[0].Quantity.N = nil }, "effect 1 has a quantity of kind at_most without an amount"},
	} {
		t.Run(name, func(t *testing.T) {
			c := counted(t)
			rewrite(t, c.Path, func(n uint64, e *signer.Event) {
				if n == tc.leaf {
					tc.change(e)
				}
			})
			r := verify(t, c)
			if r.Intact() || r.Problems[0].Leaf != int64(tc.leaf) || !strings.Contains(r.Problems[0].String(), tc.want) {
				t.Errorf("problems = %q; want leaf %d and %q first", r.Problems, tc.leaf, tc.want)
			}
		})
	}
}

// payTo is a proposal that pays a wei to each of so many recipients.
func payTo(j *Journal, id string, recipients int) signer.Proposal {
	var out []signer.Quantity
	for range recipients {
		out = append(out, wei(1))
	}
	p := proposal(j, id, "hot", out...)
	for i := range p.Intent.Effects {
		p.Intent.Effects[i].Counterparty = fmt.Sprintf("eip155:1:0x%040x", i)
	}
	p.Intent.Outflow = signer.Outflow(out...)
	return p
}

func TestManyRecipientsAreKnownAndCounted(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	for round, fresh := range []int{512, 0, 0} {
		rec, err := j.Record(t.Context(), payTo(j, fmt.Sprint(round), 512), allNeeds(), allow)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := rec.Facts.Find(eth, signer.Measure{Window: day, Per: signer.PerRecipient}, fmt.Sprintf("eip155:1:0x%040x", 511))
		if len(rec.Facts.NewRecipients) != fresh || !ok || s.Amount.Int64() != int64(round) {
			t.Errorf("round %d: %d new recipients, the last had %v; want %d and %d", round, len(rec.Facts.NewRecipients), s.Amount, fresh, round)
		}
		finish(t, j, rec)
		if round == 1 {
			shut(t, j)
			j = open(t, h.config(path))
		}
	}
	checkpoint(t, j, "journal")
	shut(t, j)
	intact(t, verify(t, trusting(t, path, j.Instance())))
}

package journal

import (
	"math/big"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
)

// cover returns a ledger that holds what a policy needs to be told of: l, or one that
// is read from disk where l does not reach as far, at the first request and when a policy
// brings a longer window or counts by something else. Only what leaves before end
// reserved is read.
func cover(l *ledger.Ledger, d *db, n signer.Needs, now time.Time, end int64) (*ledger.Ledger, error) {
	if l.Covers(n) {
		return l, nil
	}
	fresh := ledger.Over(append(l.Reach(), n.Measures...)...)
	var longest time.Duration
	byKey := true
	for _, m := range fresh.Reach() {
		longest = max(longest, m.Window)
		byKey = byKey && m.Per == signer.PerKey
	}
	begin, err := firstAfter(d, now, longest, end)
	if err != nil {
		return nil, err
	}
	return fresh, spendings(d, begin, end, byKey, fresh.Add)
}

// firstAfter returns the first leaf before end that is in a window that ends now, or
// end. Times do not decrease, so it is found by halving.
func firstAfter(d *db, now time.Time, window time.Duration, end int64) (int64, error) {
	lo, hi := int64(0), end
	for lo < hi {
		mid := lo + (hi-lo)/2
		at, err := d.integer(sqlLeafTime, mid)
		if err != nil {
			return 0, err
		}
		if now.Sub(time.Unix(0, at)) < window {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// spendings reads what leaves from begin on and before end reserved. By key alone, it
// reads neither the callers nor table flows. What it passes to add is read over with
// the next one.
func spendings(d *db, begin, end int64, byKey bool, add func(ledger.Spending)) error {
	query, flows := sqlSpendsFrom, &cursor{}
	if byKey {
		query = sqlKeySpendsFrom
	}
	spends, err := d.query(query, 6, begin, end)
	if err != nil {
		return err
	}
	defer spends.close()
	if !byKey {
		if flows, err = d.query(sqlFlowsFrom, 4, begin, end); err != nil {
			return err
		}
		defer flows.close()
	}
	var s ledger.Spending
	for leaf := int64(-1); spends.ok; {
		row, err := readSpend(spends.row)
		if err != nil {
			return err
		}
		if row.leaf != leaf {
			leaf = row.leaf
			s = ledger.Spending{Key: row.key, Caller: row.caller, Time: time.Unix(0, row.time), Outflow: s.Outflow[:0]}
		}
		if row.asset != signer.AssetRequests { // which each has
			s.Outflow = append(s.Outflow, quantity(row.asset, row.amount))
		}
		if err := spends.next(); err != nil {
			return err
		}
		if spends.ok && spends.row[0] == leaf {
			continue
		}
		if s.Flows, err = flowsOf(flows, leaf); err != nil {
			return err
		}
		add(s)
	}
	return nil
}

// flowsOf reads on to the rows of a leaf and returns them. Rows of leaves in between
// belong to nothing that was authorised.
func flowsOf(c *cursor, leaf int64) (out []signer.Flow, err error) {
	for c.ok {
		row, err := readFlow(c.row)
		if err != nil {
			return nil, err
		}
		if row.leaf > leaf {
			break
		}
		if row.leaf == leaf {
			out = append(out, signer.Flow{Recipient: row.recipient, Quantity: quantity(row.asset, row.amount)})
		}
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// quantity is what an amount in a table stands for.
func quantity(asset string, amount *big.Int) signer.Quantity {
	if amount == nil {
		return signer.Quantity{Kind: signer.QuantityUnlimited, Asset: asset}
	}
	return signer.AtMost(asset, amount)
}

// reserve counts what an authorisation lets go, on disk and in memory.
func (t *turn) reserve(s ledger.Spending, leaf int64) error {
	d := t.j.db
	for _, r := range spendRows(s, leaf) {
		if err := d.exec(sqlAddSpend, r.leaf, r.asset, r.key, r.caller, r.time, decimal(r.amount)); err != nil {
			return err
		}
	}
	added, err := addFlows(d, s, leaf)
	if err != nil {
		return err
	}
	t.pages += added
	t.j.ledger.Add(s)
	return nil
}

// addFlows records to whom an authorisation lets what go, and returns how many of them
// were not known before.
func addFlows(d *db, s ledger.Spending, leaf int64) (added int, err error) {
	for _, r := range flowRows(s, leaf) {
		if err := d.exec(sqlAddFlow, r.leaf, r.recipient, r.asset, decimal(r.amount)); err != nil {
			return 0, err
		}
	}
	for _, r := range s.Recipients() {
		n, err := d.change(sqlAddRecipient, s.Key, r, leaf)
		if err != nil {
			return 0, err
		}
		added += int(n)
	}
	return added, nil
}

// newRecipients returns those that the key was never authorised to let have anything.
func newRecipients(d *db, s ledger.Spending) (out []string, err error) {
	row := make(values, 1)
	for _, r := range s.Recipients() {
		known, err := d.row(sqlGetRecipient, row, s.Key, r)
		if err != nil {
			return nil, err
		}
		if !known {
			out = append(out, r)
		}
	}
	return out, nil
}

// spendRow is a row of table spends.
type spendRow struct {
	leaf               int64
	asset, key, caller string
	time               int64
	amount             *big.Int // nil: it has no bound
}

// spendRows are those of an authorisation: its outflow, nothing added up across
// assets, and one request.
func spendRows(s ledger.Spending, leaf int64) []spendRow {
	out := make([]spendRow, 0, len(s.Outflow)+1)
	for _, q := range s.Outflow {
		out = append(out, spendRow{leaf, q.Asset, s.Key, s.Caller, s.Time.UnixNano(), ledger.Bound(q)})
	}
	return append(out, spendRow{leaf, signer.AssetRequests, s.Key, s.Caller, s.Time.UnixNano(), big.NewInt(1)})
}

// flowRow is a row of table flows.
type flowRow struct {
	leaf             int64
	recipient, asset string
	amount           *big.Int // nil: it has no bound
}

func flowRows(s ledger.Spending, leaf int64) []flowRow {
	out := make([]flowRow, 0, len(s.Flows))
	for _, f := range s.Flows {
		out = append(out, flowRow{leaf, f.Recipient, f.Quantity.Asset, ledger.Bound(f.Quantity)})
	}
	return out
}

// decimal is an amount as a table has it.
func decimal(n *big.Int) any {
	if n == nil {
		return nil
	}
	return n.String()
}

// readSpend reads the columns leaf, asset, key, caller, time, amount.
func readSpend(row values) (r spendRow, err error) {
	if r.leaf, err = row.int(0); err != nil {
		return r, err
	}
	if r.asset, err = row.text(1); err != nil {
		return r, err
	}
	if r.key, err = row.text(2); err != nil {
		return r, err
	}
	if r.caller, err = row.text(3); err != nil {
		return r, err
	}
	if r.time, err = row.int(4); err != nil {
		return r, err
	}
	r.amount, err = row.amount(5, "spends")
	return r, err
}

// readFlow reads the columns leaf, recipient, asset, amount.
func readFlow(row values) (r flowRow, err error) {
	if r.leaf, err = row.int(0); err != nil {
		return r, err
	}
	if r.recipient, err = row.text(1); err != nil {
		return r, err
	}
	if r.asset, err = row.text(2); err != nil {
		return r, err
	}
	r.amount, err = row.amount(3, "flows")
	return r, err
}

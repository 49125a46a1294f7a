package journal

import (
	"math/big"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
)

// facts checks that what a decision took for true is what the records before it add
// up to.
func (a *audit) facts(n int64, at time.Time, ev signer.Event, s ledger.Spending) error {
	if !ev.Facts.Time.Equal(at) {
		a.rep.problem(n, at, "its facts are of another time, %s", ev.Facts.Time.Format(time.RFC3339Nano))
	}
	later := ev.Facts.Recipients || len(ev.Facts.NewRecipients) > 0
	var needs signer.Needs
	for _, f := range ev.Facts.Spent {
		m := signer.Measure{Window: f.Window, Per: f.Per}
		later = later || m.Per != signer.PerKey
		if !slices.Contains(needs.Measures, m) {
			needs.Measures = append(needs.Measures, m)
		}
	}
	if a.version < 3 && later {
		a.rep.problem(n, at, "its facts count by more than the key, which a journal of schema version %d cannot do; the version was changed", a.version)
		return nil
	}
	if err := ledger.CheckNeeds(needs); err != nil {
		a.rep.problem(n, at, "its facts are of what is not counted: %v", err)
		return nil
	}
	l, err := cover(a.ledger, a.d, needs, at, n)
	if err != nil {
		return err
	}
	a.ledger = l
	is, err := l.Measure(s, needs, at)
	if err != nil {
		return err
	}
	a.spent(n, at, ev.Facts.Spent, is)
	if ev.Facts.Recipients {
		return a.newRecipients(n, at, ev.Facts.NewRecipients, s)
	}
	if len(ev.Facts.NewRecipients) > 0 {
		a.rep.problem(n, at, "its facts say which recipients are new, and that nobody asked")
	}
	return nil
}

// spent compares what was taken for spent with what is.
func (a *audit) spent(n int64, at time.Time, took, is []signer.Spent) {
	sums := make(map[signer.Matter]signer.Spent, len(is))
	for _, s := range is {
		sums[s.Matter()] = s
	}
	for _, s := range took {
		sum, ok := sums[s.Matter()]
		switch {
		case !ok:
			a.rep.problem(n, at, "its facts say twice, or beside the matter, what was spent of %s in %s%s", s.Asset, s.Window, whose(s.Per, s.Subject))
		case s.Amount == nil || sum.Amount.Cmp(s.Amount) != 0 || !sum.Frees.Equal(s.Frees):
			a.rep.problem(n, at, "the decision took %v of %s for spent in %s%s; the records before it make %v", s.Amount, s.Asset, s.Window, whose(s.Per, s.Subject), sum.Amount)
		}
		delete(sums, s.Matter())
	}
	for _, s := range is { // in order
		if _, ok := sums[s.Matter()]; ok {
			a.rep.problem(n, at, "its facts do not say what was spent of %s in %s%s", s.Asset, s.Window, whose(s.Per, s.Subject))
		}
	}
}

// whose says of a sum whose it is, where it is not the key's.
func whose(per signer.Per, subject string) string {
	switch {
	case per == signer.PerKey:
		return ""
	case subject == "":
		return " per " + string(per)
	}
	return " per " + string(per) + " of " + subject
}

// newRecipients compares who was taken for new with who was.
func (a *audit) newRecipients(n int64, at time.Time, took []string, s ledger.Spending) error {
	var are []string
	for _, r := range s.Recipients() {
		leaf, known, err := a.firstTo(s.Key, r)
		if err != nil {
			return err
		}
		if !known || leaf >= n {
			are = append(are, r)
		}
	}
	if !slices.Equal(took, are) {
		a.rep.problem(n, at, "the decision took the recipients %q for new; by the records before it %q are", took, are)
	}
	return nil
}

// limits checks that an authorisation was within its limits, as they were counted.
func (a *audit) limits(n int64, at time.Time, ev signer.Event, s ledger.Spending) {
	spent := make(map[signer.Matter]*big.Int, len(ev.Facts.Spent))
	for _, f := range ev.Facts.Spent {
		spent[f.Matter()] = f.Amount
	}
	for _, l := range ev.Decision.Limits {
		if l.Max == nil || l.Spent == nil || l.Amount == nil {
			a.rep.problem(n, at, "limit %q of rule %q lacks a number", l.Limit, l.Rule)
			continue
		}
		if l.Exceeded() {
			a.rep.problem(n, at, "limit %q of rule %q was exceeded: %v spent and %v more, of %v", l.Limit, l.Rule, l.Spent, l.Amount, l.Max)
		}
		f := spent[signer.Matter{Measure: signer.Measure{Window: l.Window, Per: l.Per}, Asset: l.Asset, Subject: l.Subject}]
		if f != nil && f.Cmp(l.Spent) != 0 {
			a.rep.problem(n, at, "limit %q of rule %q counted %v as spent%s, the facts say %v", l.Limit, l.Rule, l.Spent, whose(l.Per, l.Subject), f)
		}
		if amount, ok := asked(l, s, ev.Proposal.Intent.Fee); ok && !sameAmount(amount, l.Amount) {
			a.rep.problem(n, at, "limit %q of rule %q counted %v of %s for the request%s, which reserved %v", l.Limit, l.Rule, l.Amount, l.Asset, whose(l.Per, l.Subject), amount)
		}
	}
}

// asked returns what a limit had to count for an authorisation, nil for what has no
// bound; or false where that cannot be told.
func asked(l signer.LimitUse, s ledger.Spending, fee signer.Quantity) (*big.Int, bool) {
	switch {
	case l.Per == signer.PerFee: // no table has fees by themselves
		return ledger.Bound(fee), fee.Asset == l.Asset
	case l.Asset == signer.AssetRequests:
		return big.NewInt(1), true
	case l.Per == signer.PerRecipient:
		for _, f := range s.Flows {
			if f.Recipient == l.Subject && f.Quantity.Asset == l.Asset {
				return ledger.Bound(f.Quantity), true
			}
		}
		return new(big.Int), true
	default:
		for _, q := range s.Outflow {
			if q.Asset == l.Asset {
				return ledger.Bound(q), true
			}
		}
	}
	return nil, false
}

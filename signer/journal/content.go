package journal

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// content checks what a leaf says against the records before it and the tables
// beside it. ev is zero where the body could not be read.
func (a *audit) content(e receipt.Entry, ev signer.Event) error {
	n, at := int64(e.Index), e.Leaf.Time
	var reserved []reservation
	switch e.Leaf.Type {
	case signer.EventAuthorized, signer.EventDenied:
		allowed := e.Leaf.Type == signer.EventAuthorized
		if allowed {
			a.rep.Authorized++
		} else {
			a.rep.Denied++
		}
		if ev.Type == "" {
			break
		}
		if ev.Proposal == nil || ev.Facts == nil || ev.Decision == nil || (ev.Decision.Verdict == signer.Allow) != allowed {
			a.rep.problem(n, at, "it is of type %s, but its body is no such decision", e.Leaf.Type)
			break
		}
		var err error
		if reserved, err = a.decision(n, at, ev); err != nil {
			return err
		}
	case signer.EventSigned, signer.EventActed, signer.EventFailed:
		switch e.Leaf.Type {
		case signer.EventSigned:
			a.rep.Signed++
		case signer.EventActed:
			a.rep.Acted++
		default:
			a.rep.Failed++
		}
		if ev.Type == "" {
			break
		}
		if ev.Outcome == nil || outcomeType(*ev.Outcome) != e.Leaf.Type {
			a.rep.problem(n, at, "it is of type %s, but its body is no such outcome", e.Leaf.Type)
			break
		}
		if err := a.outcome(n, at, *ev.Outcome, e.Leaf.Type); err != nil {
			return err
		}
	case signer.EventMalformed:
		a.rep.Malformed++
	default:
		a.rep.Other++
	}
	return a.reserved(n, at, ev, reserved)
}

// decision checks a decision and returns what it reserved.
func (a *audit) decision(n int64, at time.Time, ev signer.Event) ([]reservation, error) {
	p := ev.Proposal
	if p.Instance != a.rep.Instance {
		a.rep.problem(n, at, "its proposal is for instance %q", p.Instance)
	}
	row := make(values, 1)
	switch ok, err := a.d.row(sqlGetRequest, row, p.Caller.ID(), p.Request.ID); {
	case err != nil:
		return nil, err
	case !ok:
		a.rep.problem(n, at, "its request %q of %s is missing from table requests, so it could be asked again", p.Request.ID, p.Caller.ID())
	case row[0] != n:
		a.rep.problem(n, at, "table requests has leaf %v for its request %q of %s; one request was decided twice, or the row was changed", row[0], p.Request.ID, p.Caller.ID())
	}
	if err := checkOutflow(p.Intent.Outflow); err != nil {
		a.rep.problem(n, at, "%v", err)
		return nil, nil
	}
	reserved := reservations(signer.Outflow(p.Intent.Outflow...))
	if err := a.facts(n, at, ev, reserved); err != nil {
		return nil, err
	}
	if ev.Type != signer.EventAuthorized {
		return nil, nil
	}
	return reserved, a.authorized(n, at, *p)
}

// facts checks that what the decision took for spent is what the records before it
// add up to, and that an authorisation was within its limits.
func (a *audit) facts(n int64, at time.Time, ev signer.Event, reserved []reservation) error {
	if !ev.Facts.Time.Equal(at) {
		a.rep.problem(n, at, "its facts are of another time, %s", ev.Facts.Time.Format(time.RFC3339Nano))
	}
	for _, s := range ev.Facts.Spent {
		if err := a.spent.cover(a.d, at, s.Window, n); err != nil {
			return err
		}
		is := a.spent.measure(ev.Proposal.Key.Fingerprint, s.Asset, at, s.Window)
		if s.Amount == nil || is.Amount.Cmp(s.Amount) != 0 || !is.Frees.Equal(s.Frees) {
			a.rep.problem(n, at, "the decision took %v of %s for spent in %s; the records before it make %v", s.Amount, s.Asset, s.Window, is.Amount)
		}
	}
	if ev.Type != signer.EventAuthorized {
		return nil
	}
	for _, l := range ev.Decision.Limits {
		if l.Max == nil || l.Spent == nil || l.Amount == nil {
			a.rep.problem(n, at, "limit %q of rule %q lacks a number", l.Limit, l.Rule)
			continue
		}
		if l.Exceeded() {
			a.rep.problem(n, at, "limit %q of rule %q was exceeded: %v spent and %v more, of %v", l.Limit, l.Rule, l.Spent, l.Amount, l.Max)
		}
		if f, ok := ev.Facts.Find(l.Asset, signer.Measure{Window: l.Window, Per: l.Per}, l.Subject); ok && f.Amount != nil && f.Amount.Cmp(l.Spent) != 0 {
			a.rep.problem(n, at, "limit %q of rule %q counted %v as spent, the facts say %v", l.Limit, l.Rule, l.Spent, f.Amount)
		}
		i := slices.IndexFunc(reserved, func(r reservation) bool { return r.asset == l.Asset })
		if i >= 0 && !sameAmount(reserved[i].amount, l.Amount) {
			a.rep.problem(n, at, "limit %q of rule %q counted %v of %s for the request, which reserved %v", l.Limit, l.Rule, l.Amount, l.Asset, reserved[i].amount)
		}
	}
	return nil
}

func sameAmount(a, b *big.Int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Cmp(b) == 0
}

// reserved checks that table spends has exactly what the leaf reserved, and counts
// it.
func (a *audit) reserved(n int64, at time.Time, ev signer.Event, want []reservation) error {
	slices.SortFunc(want, func(x, y reservation) int { return strings.Compare(x.asset, y.asset) })
	var fingerprint string
	if len(want) > 0 {
		fingerprint = ev.Proposal.Key.Fingerprint
	}
	for a.spends.ok {
		leaf, err := values(a.spends.row).int(4)
		if err != nil {
			return err
		}
		if leaf > n {
			break
		}
		k, e, err := readSpend(a.spends.row)
		if err != nil {
			return err
		}
		if err := a.spends.next(); err != nil {
			return err
		}
		i := slices.IndexFunc(want, func(r reservation) bool { return r.asset == k.asset })
		switch {
		case i < 0:
			a.rep.problem(n, at, "table spends has a row for %s that the leaf does not account for", k.asset)
			continue
		case k.fingerprint != fingerprint || e.time != at.UnixNano() || !sameAmount(e.amount, want[i].amount):
			a.rep.problem(n, at, "the row for %s in table spends was changed", k.asset)
		}
		a.spent.add(spendKey{fingerprint, k.asset}, spend{at.UnixNano(), want[i].amount})
		want = slices.Delete(want, i, i+1)
	}
	for _, r := range want {
		a.rep.problem(n, at, "the row for %s is missing from table spends, so limits would not count it", r.asset)
		a.spent.add(spendKey{fingerprint, r.asset}, spend{at.UnixNano(), r.amount})
	}
	return nil
}

// authorized checks that an authorisation is for a key that was not disabled, and
// that table acts has those of administrative requests.
func (a *audit) authorized(n int64, at time.Time, p signer.Proposal) error {
	if p.Request.Kind != signer.KindAdmin {
		if leaf, off := a.off[p.Key.Fingerprint]; off {
			a.rep.problem(n, at, "it authorises key %q, which leaf %d had disabled", p.Key.Name, leaf)
		}
		return nil
	}
	a.acts++
	if print, off, ok := p.Switches(); ok && off {
		a.off[print] = n
	}
	if a.old {
		a.rep.problem(n, at, "it is an administrative request, which a journal of schema version 1 cannot hold; the version was changed")
		return nil
	}
	switch count, err := a.d.integer(sqlIsAct, n); {
	case err != nil:
		return err
	case count == 0:
		a.rep.problem(n, at, "its row is missing from table acts, so a key that it disabled would be enabled")
	}
	return nil
}

// outcome checks an outcome against its authorisation and table outcomes.
func (a *audit) outcome(n int64, at time.Time, o signer.Outcome, kind signer.EventType) error {
	if o.Authorization >= uint64(n) {
		a.rep.problem(n, at, "it is an outcome of leaf %d, which comes later", o.Authorization)
		return nil
	}
	e, err := getEntry(a.d, int64(o.Authorization))
	if err != nil {
		return err
	}
	auth, err := e.Event()
	if err != nil || auth.Type != signer.EventAuthorized || auth.Proposal == nil {
		a.rep.problem(n, at, "it is an outcome of leaf %d, which is no authorisation", o.Authorization)
		return nil
	}
	p := auth.Proposal
	signed, done := kind == signer.EventSigned, kind != signer.EventFailed
	if done && signed == (p.Request.Kind == signer.KindAdmin) {
		a.rep.problem(n, at, "it is of type %s, but leaf %d authorises a request of kind %q", kind, o.Authorization, p.Request.Kind)
		return nil
	}
	switch print, off, ok := p.Switches(); { // a disable holds from its authorisation on, an enable from here
	case kind != signer.EventActed || !ok:
	case off:
		a.off[print] = n
	default:
		delete(a.off, print)
	}
	if signed && len(o.Signatures) != len(p.Intent.Messages) {
		a.rep.problem(n, at, "it has %d signatures for the %d messages of leaf %d", len(o.Signatures), len(p.Intent.Messages), o.Authorization)
		return nil
	}
	for i, sig := range o.Signatures {
		if err := a.c.Signature(p.Key.Public, p.Intent.Messages[i], sig); err != nil {
			a.rep.problem(n, at, "signature %d does not verify under the key of leaf %d: %v", i+1, o.Authorization, err)
		}
	}
	return a.answer(n, at, o.Authorization, done)
}

// answer checks the row of table outcomes: the first success, or else the last
// failure.
func (a *audit) answer(n int64, at time.Time, authorization uint64, done bool) error {
	row := make(values, 2)
	ok, err := a.d.row(sqlGetOutcome, row, int64(authorization))
	if err != nil {
		return err
	}
	if !ok {
		a.rep.problem(n, at, "table outcomes has no row for leaf %d", authorization)
		return nil
	}
	leaf, err1 := row.int(0)
	isDone, err2 := row.int(1)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	switch {
	case leaf == n && (isDone == 1) == done:
		a.answered++
	case leaf == n,
		done && (isDone == 0 || leaf > n),
		!done && isDone == 0 && leaf < n:
		a.rep.problem(n, at, "table outcomes has leaf %d for leaf %d, which is not its answer", leaf, authorization)
	}
	return nil
}

// checkOutflow refuses an outflow that cannot be reserved.
func checkOutflow(outflow []signer.Quantity) error {
	for _, o := range outflow {
		bounded := o.Kind == signer.QuantityExact || o.Kind == signer.QuantityAtMost
		switch {
		case o.Asset == signer.AssetRequests:
			return internal("its outflow has the asset %q, which is no asset", o.Asset)
		case bounded && (o.N == nil || o.N.Sign() < 0 || o.Asset == ""):
			return internal("its outflow has an element of kind %s without an asset or a sensible amount", o.Kind)
		}
	}
	return nil
}

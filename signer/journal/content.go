package journal

import (
	"errors"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
	"github.com/sealward/sealward/signer/receipt"
)

// content checks what a leaf says against the records before it and the tables
// beside it. ev is zero where the body could not be read.
func (a *audit) content(e receipt.Entry, ev signer.Event) error {
	n, at := int64(e.Index), e.Leaf.Time
	var reserved *ledger.Spending // nil: nothing
	switch e.Leaf.Type {
	case signer.EventAuthorized, signer.EventDenied, signer.EventWaiting:
		switch e.Leaf.Type {
		case signer.EventAuthorized:
			a.rep.Authorized++
		case signer.EventDenied:
			a.rep.Denied++
		default:
			a.rep.Asked++
		}
		if ev.Type == "" {
			break
		}
		if ev.Proposal == nil || ev.Facts == nil || ev.Decision == nil || !fits(ev.Decision.Verdict, e.Leaf.Type) {
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
	case signer.EventApproval:
		a.rep.Approvals++
		if err := a.said(n, at, ev); err != nil {
			return err
		}
	default:
		a.rep.Other++
		if e.Leaf.Type == signer.EventFrozen {
			if err := a.said(n, at, ev); err != nil {
				return err
			}
		}
		if err := a.adopted(n, at, ev); err != nil {
			return err
		}
	}
	if err := a.proceeding(n, at, ev); err != nil {
		return err
	}
	return a.reserved(n, at, reserved)
}

// fits reports whether a verdict is one of a type of decision. Before requests could wait,
// what policy would have asked about was refused.
func fits(v signer.Verdict, t signer.EventType) bool {
	switch t {
	case signer.EventAuthorized:
		return v == signer.Allow
	case signer.EventWaiting:
		return v == signer.Ask
	default:
		return v != signer.Allow
	}
}

// decision checks a decision and returns what it reserved.
func (a *audit) decision(n int64, at time.Time, ev signer.Event) (*ledger.Spending, error) {
	p := ev.Proposal
	if p.Instance != a.rep.Instance {
		a.rep.problem(n, at, "its proposal is for instance %q", p.Instance)
	}
	if ev.Type != signer.EventWaiting { // of which the row is that of what came after it
		if err := a.request(n, at, p.Caller.ID(), p.Request.ID); err != nil {
			return nil, err
		}
	}
	if err := a.decided(n, at, ev); err != nil {
		return nil, err
	}
	if err := ledger.Check(p.Intent); err != nil {
		a.rep.problem(n, at, "%v", err)
		return nil, nil
	}
	spending := ledger.Of(*p, at)
	if err := a.facts(n, at, ev, spending); err != nil {
		return nil, err
	}
	if ev.Type != signer.EventAuthorized {
		return nil, nil
	}
	a.limits(n, at, ev, spending)
	return &spending, a.authorized(n, at, *p)
}

// request checks that table requests has a leaf for a request.
func (a *audit) request(n int64, at time.Time, caller, id string) error {
	row := make(values, 1)
	switch ok, err := a.d.row(sqlGetRequest, row, caller, id); {
	case err != nil:
		return err
	case !ok:
		a.rep.problem(n, at, "its request %q of %s is missing from table requests, so it could be asked again", id, caller)
	case row[0] != n:
		a.rep.problem(n, at, "table requests has leaf %v for its request %q of %s; one request was decided twice, or the row was changed", row[0], id, caller)
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
	if a.version < 2 {
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
	if kind == signer.EventActed && is(*p, signer.ClassThaw) {
		a.thaw(n, o)
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

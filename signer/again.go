package signer

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// again checks that an earlier authorisation may be signed now: by the policy, the
// clocks and the spending of now, but for what it reserved itself the first time.
func (e *Engine) again(ctx context.Context, policy Policy, now Proposal, rec Recorded) error {
	then := rec.Proposal
	if !sameMeaning(now, then) {
		return &Error{Code: CodeConflict, Detail: fmt.Sprintf("request %q was authorised for another key or message than its bytes mean today; use a new id", now.Request.ID)}
	}
	f, err := e.c.Journal.Facts(ctx, now, policy.Needs())
	if err != nil {
		return unavailable("what was spent cannot be read, so it is not signed", err)
	}
	if err := withoutOwn(&f, rec); err != nil {
		return err
	}
	d := e.decide(policy, now, f)
	if d.Verdict == Ask && approved(policy, rec, d, f) {
		return nil
	}
	if d.Verdict != Allow {
		return &Error{Code: CodeDenied, Detail: "this request was authorised before, but would be refused now: " + d.Reason}
	}
	return nil
}

// approved reports whether those who approved an authorisation still carry it: under the
// same policy, in numbers that would do today, and for no longer than they could have been
// waited for.
func approved(policy Policy, rec Recorded, d Decision, f Facts) bool {
	_, late := clocks(f)
	p := rec.Proposal
	return rec.Waited != 0 && p.Policy == policy.Version() && late.Before(rec.Time.Add(d.Expires)) &&
		Count(d.Quorums, policy.People(), p.Caller, rec.Heard, rec.Time).Met()
}

// sameMeaning reports whether a request would still sign the same messages with the
// same key, or do the same to the same keys.
func sameMeaning(now, then Proposal) bool {
	messages := slices.EqualFunc(now.Intent.Messages, then.Intent.Messages, func(a, b Message) bool {
		return a.Scheme == b.Scheme && string(a.Bytes) == string(b.Bytes)
	})
	acts := now.Request.Kind != KindAdmin || slices.EqualFunc(now.Intent.Effects, then.Intent.Effects, func(a, b Effect) bool {
		return a.Class == b.Class && maps.Equal(a.Attributes, b.Attributes)
	})
	return messages && acts && now.Key.Fingerprint == then.Key.Fingerprint
}

// withoutOwn takes what an authorisation reserved out of facts of later. Once that
// has left a window, signing would spend what nothing counts. A recipient that was new
// to it is new to it again, and so is any of which its policy did not ask.
func withoutOwn(f *Facts, rec Recorded) error {
	in := rec.Proposal.Intent
	for i, s := range f.Spent {
		own := new(big.Int)
		switch {
		case s.Per == PerRecipient:
			own = ownFlow(in.Flows(), s)
		case s.Asset == AssetRequests && (s.Per != PerAsset || moves(in, s.Subject)):
			own.SetInt64(1)
		default:
			own = bound(in.Outflow, s.Asset)
		}
		if !rec.Time.After(f.Time.Add(-s.Window)) {
			return &Error{Code: CodeDenied, Detail: fmt.Sprintf("this request was authorised at %s and is not counted any more in %s; use a new id", formatTime(rec.Time), s.Window)}
		}
		f.Spent[i].Amount = new(big.Int).Sub(s.Amount, own)
	}
	fresh := slices.Concat(f.NewRecipients, rec.Facts.NewRecipients)
	if !rec.Facts.Recipients {
		for _, flow := range in.Flows() {
			if flow.Recipient != "" {
				fresh = append(fresh, flow.Recipient)
			}
		}
	}
	slices.Sort(fresh)
	f.NewRecipients = slices.Compact(fresh)
	return nil
}

// bound is the bound of the quantity of an asset; zero where there is none.
func bound(qs []Quantity, asset string) *big.Int {
	for _, q := range qs {
		if n, ok := q.Bound(); ok && q.Asset == asset {
			return n
		}
	}
	return new(big.Int)
}

// moves reports whether an intent counts as one that moves an asset: what could not be
// read may move any.
func moves(in Intent, asset string) bool {
	return slices.ContainsFunc(in.Outflow, func(q Quantity) bool {
		n, known := q.Bound()
		return (q.Asset == asset || q.Asset == "") && (!known || n.Sign() > 0)
	})
}

// ownFlow is what flows add to a sum by recipient: those to the recipient, and those
// that may go to anybody.
func ownFlow(flows []Flow, s Spent) *big.Int {
	own := new(big.Int)
	for _, f := range flows {
		if f.Recipient != s.Subject && f.Recipient != "" {
			continue
		}
		if s.Asset == AssetRequests {
			return own.SetInt64(1)
		}
		own.Add(own, bound([]Quantity{f.Quantity}, s.Asset))
	}
	return own
}

package ledger

import (
	"fmt"
	"math/big"
	"time"

	"github.com/sealward/sealward/signer"
)

// Spending is what one authorisation lets go: of a key, at the request of a caller.
type Spending struct {
	Key     string // fingerprint of the public key
	Caller  string // [signer.Caller.Account]
	Time    time.Time
	Outflow []signer.Quantity // as [signer.Outflow] returns it
	Flows   []signer.Flow     // as [signer.Intent.Flows] returns it
}

// Of returns what a proposal lets go if it is authorised at a time. [Check] must have
// accepted its intent.
func Of(p signer.Proposal, at time.Time) Spending {
	return Spending{p.Key.Fingerprint, p.Caller.Account(), at, signer.Outflow(p.Intent.Outflow...), p.Intent.Flows()}
}

// Check refuses an intent whose quantities cannot be counted.
func Check(in signer.Intent) error {
	for _, q := range in.Outflow {
		bounded := q.Kind == signer.QuantityExact || q.Kind == signer.QuantityAtMost
		switch {
		case q.Asset == signer.AssetRequests:
			return fmt.Errorf("its outflow has the asset %q, which is no asset", q.Asset)
		case bounded && (q.N == nil || q.N.Sign() < 0 || q.Asset == ""):
			return fmt.Errorf("its outflow has an element of kind %s without an asset or a sensible amount", q.Kind)
		}
	}
	for i, e := range in.Effects {
		bounded := e.Quantity.Kind == signer.QuantityExact || e.Quantity.Kind == signer.QuantityAtMost
		switch {
		case e.Quantity.Asset == signer.AssetRequests:
			return fmt.Errorf("effect %d has the asset %q, which is no asset", i+1, e.Quantity.Asset)
		case bounded && e.Quantity.N == nil:
			return fmt.Errorf("effect %d has a quantity of kind %s without an amount", i+1, e.Quantity.Kind)
		}
	}
	return nil
}

// Recipients are those that it names, each once, sorted.
func (s Spending) Recipients() []string {
	var out []string
	for _, f := range s.Flows { // which are sorted
		if f.Recipient != "" && (len(out) == 0 || out[len(out)-1] != f.Recipient) {
			out = append(out, f.Recipient)
		}
	}
	return out
}

// Bound returns how much of its asset a quantity counts for at most, or nil where it
// has no bound: without an asset, an amount bounds nothing.
func Bound(q signer.Quantity) *big.Int {
	if n, ok := q.Bound(); ok && (q.Asset != "" || n.Sign() == 0) {
		return n
	}
	return nil
}

// nothing says of a quantity that none of its asset moves.
func nothing(q signer.Quantity) bool {
	n := Bound(q)
	return n != nil && n.Sign() == 0
}

// one is the amount that a request adds to a count. It is not changed.
var one = big.NewInt(1)

// entries calls add with what an authorisation adds to the sums by per: a nil amount
// has no bound.
func (s Spending) entries(per signer.Per, add func(subject, asset string, amount *big.Int)) {
	switch per {
	case signer.PerKey, signer.PerCaller:
		subject := s.subject(per)
		for _, q := range s.Outflow {
			add(subject, q.Asset, Bound(q))
		}
		add(subject, signer.AssetRequests, one)
	case signer.PerRecipient:
		var all []string
		for _, f := range s.Flows {
			add(f.Recipient, f.Quantity.Asset, Bound(f.Quantity))
			if len(all) == 0 || all[len(all)-1] != f.Recipient {
				all = append(all, f.Recipient)
			}
		}
		addRequest(all, add)
	case signer.PerAsset:
		var all []string
		for _, q := range s.Outflow {
			if !nothing(q) {
				all = append(all, q.Asset)
			}
		}
		addRequest(all, add)
	}
}

// addRequest counts a request for each of subjects, which are sorted. The empty one
// stands for every subject there is, so it alone is enough.
func addRequest(subjects []string, add func(subject, asset string, amount *big.Int)) {
	if len(subjects) > 0 && subjects[0] == "" {
		subjects = subjects[:1]
	}
	for _, subject := range subjects {
		add(subject, signer.AssetRequests, one)
	}
}

// subject is whose the sums by key and by caller are.
func (s Spending) subject(per signer.Per) string {
	if per == signer.PerCaller {
		return s.Caller
	}
	return ""
}

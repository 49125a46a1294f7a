package policy

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// apply holds an intent against the limits of a rule. It returns each limit that
// applies, whether it held or not, and why the rule refuses, if it does.
func (r *rule) apply(in *signer.Intent, facts *signer.Facts, book signer.Book) (uses []signer.LimitUse, refusals []string) {
	amounts := false
	for _, l := range r.limits {
		amounts = amounts || !l.counts()
		asked, ok := l.asks(in.Outflow)
		if !ok {
			continue
		}
		use, ok := l.use(r.name, asked, facts)
		if !ok {
			refusals = append(refusals, fmt.Sprintf("rule %q, limit %q: what was spent of %s in %s is not known, and nothing is assumed",
				r.name, l.name, l.asset.ID, l.text))
			continue
		}
		uses = append(uses, use)
		if use.Exceeded() {
			refusals = append(refusals, l.explain(use))
		}
	}
	if amounts { // limits by count alone say nothing about assets
		refusals = append(refusals, r.uncovered(in, book)...)
	}
	return uses, refusals
}

// uncovered says what a rule that limits amounts cannot hold to any of them.
func (r *rule) uncovered(in *signer.Intent, book signer.Book) (refusals []string) {
	boundless := false
	if why := r.unmeasured(in); why != "" {
		refusals = append(refusals, fmt.Sprintf("rule %q limits amounts, and %s; name kind %q in the rule's kinds if it is to pass all the same, or name there the kinds that the rule is about", r.name, why, in.Kind))
	}
	for _, q := range in.Outflow {
		covered := slices.ContainsFunc(r.limits, func(l limit) bool { return !l.counts() && l.asset.ID == q.Asset })
		switch _, known := q.Bound(); {
		case !known:
			boundless = true
			refusals = append(refusals, fmt.Sprintf("an outflow of %s is %s, and no limit of rule %q can hold that", called(q.Asset, book), q.Kind, r.name))
		case !covered && !empty(q):
			why := fmt.Sprintf("an outflow of %s is not covered by any limit of rule %q", describe(q, book), r.name)
			if _, piece := collectible(q.Asset); piece {
				why += "; " + limitPieces(clip(q.Asset))
			}
			refusals = append(refusals, why)
		}
	}
	for _, e := range in.Effects {
		// An effect without a bound should be in the outflow. That a decoder left it
		// out is no reason to let it through.
		if _, known := e.Quantity.Bound(); !known && !boundless {
			boundless = true
			refusals = append(refusals, fmt.Sprintf("an effect of class %s moves an amount that is %s, and no limit of rule %q can hold that", e.Class, e.Quantity.Kind, r.name))
		}
	}
	return refusals
}

// limitPieces says how a piece of a collection can be limited.
func limitPieces(id string) string {
	return fmt.Sprintf("write an asset with id = %q and decimals = 0 and limit that, or allow pieces in a rule without limits by amount, by a condition and a limit by count", id)
}

// unmeasured says why amounts do not tell all that a kind of payload can lead to, unless
// the rule names the kind, which says that its author thought of it.
func (r *rule) unmeasured(in *signer.Intent) string {
	attests := func(e signer.Effect) bool { return e.Class == signer.ClassMessage || e.Class == signer.ClassLogin }
	switch {
	case slices.Contains(r.kinds, in.Kind):
		return ""
	case in.Kind == signer.KindAdmin:
		return "what an administrative act leads to has none"
	case in.Kind == signer.KindEVMMessage || slices.ContainsFunc(in.Effects, attests):
		// A signed text can move value where a contract or a service takes it for a
		// yes (EIP-1271, a Safe's eth_sign), and nothing counts that.
		return "what a message can move has none"
	case in.Kind != signer.KindEVMTransaction:
		// Whoever has the signature uses it, at a time of their own, in a transaction
		// of which only this part is known; and no fee of the key's holds them back.
		return fmt.Sprintf("what kind %q authorises is done by others, when they like", in.Kind)
	default:
		return ""
	}
}

// empty says of a quantity that nothing moves: of an allowance, that it is revoked.
func empty(q signer.Quantity) bool {
	n, ok := q.Bound()
	return ok && n.Sign() == 0
}

// asks returns how much of a limit a request needs at most, or false where the
// limit is not about it or the amount is not known.
func (l limit) asks(outflow []signer.Quantity) (*big.Int, bool) {
	if l.counts() {
		return big.NewInt(1), true
	}
	for _, q := range outflow {
		if q.Asset == l.asset.ID {
			return q.Bound()
		}
	}
	return nil, false
}

// use returns how a request meets a limit, or false when the facts do not say
// what was spent.
func (l limit) use(rule string, asked *big.Int, facts *signer.Facts) (signer.LimitUse, bool) {
	u := signer.LimitUse{
		Rule: rule, Limit: l.name, Asset: l.asset.ID, Window: l.window,
		Max: l.max, Spent: new(big.Int), Amount: asked,
	}
	if l.window == 0 {
		return u, true
	}
	spent, ok := facts.Find(l.asset.ID, signer.Measure{Window: l.window}, "")
	if !ok || spent.Amount == nil || spent.Amount.Sign() < 0 {
		return signer.LimitUse{}, false
	}
	u.Spent, u.Frees = spent.Amount, spent.Frees
	return u, true
}

// explain says of a limit that does not hold what would have to change.
func (l limit) explain(u signer.LimitUse) string {
	head := fmt.Sprintf("rule %q, limit %q: asked %s", u.Rule, u.Limit, formatAmount(l.asset, u.Amount))
	if !l.counts() {
		head += " with fees at their maximum"
	}
	if u.Window == 0 {
		return fmt.Sprintf("%s, maximum %s per request", head, formatAmount(l.asset, u.Max))
	}
	left := new(big.Int).Sub(u.Max, u.Spent)
	if left.Sign() < 0 {
		left.SetInt64(0) // the limit was lowered after the spending
	}
	text := fmt.Sprintf("%s, spent %s in %s, maximum %s, left %s", head,
		formatAmount(l.asset, u.Spent), l.text, formatAmount(l.asset, u.Max), formatAmount(l.asset, left))
	switch {
	case u.Amount.Cmp(u.Max) > 0:
		return text + "; it is more than the limit ever lets through"
	case !u.Frees.IsZero():
		return text + "; the oldest part frees at " + u.Frees.UTC().Format(time.RFC3339)
	default:
		return text
	}
}

func called(id string, book signer.Book) string {
	switch a, ok := book.Assets[id]; {
	case ok:
		return a.Name
	case id == "":
		return "an asset that could not be read"
	default:
		return clip(id)
	}
}

func describe(q signer.Quantity, book signer.Book) string {
	n, _ := q.Bound()
	a, ok := book.Assets[q.Asset]
	if !ok {
		a = signer.Asset{ID: clip(q.Asset)}
	}
	return formatAmount(a, n)
}

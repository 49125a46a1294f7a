package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer"
)

// uncovered says what a rule that limits amounts cannot hold to any of them.
func (r *rule) uncovered(in *signer.Intent, book signer.Book) (refusals []string) {
	boundless := false
	var loose []signer.Quantity
	if why := r.unmeasured(in); why != "" {
		refusals = append(refusals, fmt.Sprintf("rule %q limits amounts, and %s; name kind %q in the rule's kinds if it is to pass all the same, or name there the kinds that the rule is about", r.name, why, in.Kind))
	}
	for _, q := range in.Outflow {
		covered := slices.ContainsFunc(r.limits, func(l limit) bool { return l.covers(q.Asset) })
		switch _, known := q.Bound(); {
		case !known:
			boundless = true
			refusals = append(refusals, fmt.Sprintf("an outflow of %s is %s, and no limit of rule %q can hold that", called(q.Asset, book), q.Kind, r.name))
		case !covered && !empty(q):
			loose = append(loose, q)
		}
	}
	if len(loose) > 0 {
		refusals = append(refusals, shorten(loose, func(q signer.Quantity) string {
			why := fmt.Sprintf("an outflow of %s is not covered by any limit of rule %q", describe(q, book), r.name)
			if _, piece := collectible(q.Asset); piece {
				why += "; " + limitPieces(clip(q.Asset))
			}
			return why
		}))
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

// shorten bounds a text that says the same of many recipients or assets.
func shorten[T any](all []T, why func(T) string) string {
	const most = 5
	var whys []string
	for _, x := range all[:min(len(all), most)] {
		whys = append(whys, why(x))
	}
	if len(all) > most {
		whys = append(whys, fmt.Sprintf("and for %d more", len(all)-most))
	}
	return strings.Join(whys, "; ")
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

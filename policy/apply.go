package policy

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// request is what the limits of all rules are held against.
type request struct {
	in     *signer.Intent
	caller string
	facts  *signer.Facts
	book   signer.Book
	flows  []signer.Flow // worked out once, where a limit is per recipient
	// The facts by what they are about, where there are many: limits per recipient and
	// per asset have as many as an intent has effects, and other rules' are there, too.
	spent map[signer.Matter]signer.Spent
}

func newRequest(p *signer.Proposal, f *signer.Facts, book signer.Book, letting []*rule) *request {
	q := &request{in: &p.Intent, caller: p.Caller.Account(), facts: f, book: book}
	if slices.ContainsFunc(letting, func(r *rule) bool {
		return slices.ContainsFunc(r.limits, func(l limit) bool { return l.per == signer.PerRecipient })
	}) {
		q.flows = p.Intent.Flows()
	}
	const many = 32
	if len(f.Spent) < many {
		return q
	}
	q.spent = make(map[signer.Matter]signer.Spent, len(f.Spent))
	for _, s := range f.Spent {
		if _, twice := q.spent[s.Matter()]; !twice {
			q.spent[s.Matter()] = s
		}
	}
	return q
}

func (q *request) find(m signer.Matter) (signer.Spent, bool) {
	if q.spent == nil {
		return q.facts.Find(m.Asset, m.Measure, m.Subject)
	}
	found, ok := q.spent[m]
	return found, ok
}

// apply holds a request against the limits of a rule. It returns each limit that
// applies, whether it held or not, the approvals that exceeding some of them asks for,
// and why the rule refuses, if it does.
func (r *rule) apply(q *request) (uses []signer.LimitUse, demands []demand, refusals []string) {
	amounts := false
	for _, l := range r.limits {
		amounts = amounts || !l.counts()
		asks, unclear := l.asks(q)
		var exceeded []signer.LimitUse
		for _, a := range asks {
			use, ok := q.use(r.name, l, a)
			if !ok {
				unclear = append(unclear, fmt.Sprintf("what was spent of %s%s in %s is not known, and nothing is assumed", l.asset.ID, l.whose(a.subject, q.book), l.text))
				continue
			}
			if uses = append(uses, use); use.Exceeded() {
				exceeded = append(exceeded, use)
			}
		}
		if len(unclear) > 0 {
			refusals = append(refusals, shorten(unclear, func(why string) string {
				return fmt.Sprintf("rule %q, limit %q: %s", r.name, l.name, why)
			}))
		}
		explain := func(u signer.LimitUse) string { return l.explain(u, q.book) }
		switch {
		case len(exceeded) > 0 && l.over != nil:
			demands = append(demands, demand{Quorum: *l.over, why: shorten(exceeded, explain)})
		case len(exceeded) > 0:
			refusals = append(refusals, shorten(exceeded, explain))
		}
	}
	if amounts { // limits by count alone say nothing about assets
		refusals = append(refusals, r.uncovered(q.in, q.book)...)
	}
	return uses, demands, refusals
}

// ask is how much of a limit a request needs, and for whom.
type ask struct {
	subject string
	n       *big.Int
}

// asks returns how much of a limit a request needs at most, and what keeps that from
// being known. A limit that the request is not about is asked for nothing; what has no
// bound, uncovered refuses.
func (l limit) asks(q *request) (asks []ask, unclear []string) {
	switch l.per {
	case signer.PerKey:
		return l.sum("", q.in.Outflow), nil
	case signer.PerCaller:
		return l.sum(q.caller, q.in.Outflow), nil
	case signer.PerRecipient:
		return l.perRecipient(q)
	case signer.PerAsset:
		return l.perAsset(q.in.Outflow)
	default:
		return nil, []string{fmt.Sprintf("nothing is counted per %q", l.per)}
	}
}

func (l limit) sum(subject string, outflow []signer.Quantity) []ask {
	if l.counts() {
		return []ask{{subject, big.NewInt(1)}}
	}
	for _, q := range outflow {
		if n, known := q.Bound(); known && q.Asset == l.asset.ID {
			return []ask{{subject, n}}
		}
	}
	return nil
}

// perRecipient goes by who could get what, fees left out. What anybody could get might
// go to one who has had enough.
func (l limit) perRecipient(q *request) (asks []ask, unclear []string) {
	for _, f := range q.flows {
		if !l.counts() && f.Quantity.Asset != l.asset.ID && f.Quantity.Asset != "" {
			continue
		}
		n, known := f.Quantity.Bound()
		switch {
		case f.Recipient == "" || f.Quantity.Asset == "":
			unclear = append(unclear, fmt.Sprintf("it counts by recipient, and the payload does not say who receives %s", called(f.Quantity.Asset, q.book)))
		case l.counts():
			if len(asks) == 0 || asks[len(asks)-1].subject != f.Recipient { // flows are sorted
				asks = append(asks, ask{f.Recipient, big.NewInt(1)})
			}
		case !known:
			unclear = append(unclear, fmt.Sprintf("what %s could get of %s is %s", person(f.Recipient, q.book), called(f.Quantity.Asset, q.book), f.Quantity.Kind))
		default:
			asks = append(asks, ask{f.Recipient, n})
		}
	}
	return asks, unclear
}

// perAsset counts the request under each asset that it moves. One that cannot be read
// might be one of which there were enough.
func (l limit) perAsset(outflow []signer.Quantity) (asks []ask, unclear []string) {
	for _, q := range outflow {
		switch {
		case empty(q):
		case q.Asset == "":
			unclear = append(unclear, "it counts by asset, and the payload does not say which asset leaves")
		default:
			asks = append(asks, ask{q.Asset, big.NewInt(1)})
		}
	}
	return asks, unclear
}

// use returns how a request meets a limit, or false when the facts do not say
// what was spent.
func (q *request) use(rule string, l limit, a ask) (signer.LimitUse, bool) {
	u := signer.LimitUse{
		Rule: rule, Limit: l.name, Asset: l.asset.ID, Window: l.window, Per: l.per, Subject: a.subject,
		Max: l.max, Spent: new(big.Int), Amount: a.n,
	}
	if l.window == 0 {
		return u, true
	}
	spent, ok := q.find(signer.Matter{Measure: signer.Measure{Window: l.window, Per: l.per}, Asset: l.asset.ID, Subject: a.subject})
	if !ok || spent.Amount == nil || spent.Amount.Sign() < 0 {
		return signer.LimitUse{}, false
	}
	u.Spent, u.Frees = spent.Amount, spent.Frees
	return u, true
}

// explain says of a limit that does not hold what would have to change.
func (l limit) explain(u signer.LimitUse, book signer.Book) string {
	head := fmt.Sprintf("rule %q, limit %q: asked %s%s", u.Rule, u.Limit, formatAmount(l.asset, u.Amount), l.whose(u.Subject, book))
	if l.covers(l.asset.ID) {
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
	case l.over != nil: // it need not fit
		return text
	case u.Amount.Cmp(u.Max) > 0:
		return text + "; it is more than the limit ever lets through"
	case !u.Frees.IsZero():
		return text + "; the oldest part frees at " + u.Frees.UTC().Format(time.RFC3339)
	default:
		return text
	}
}

// whose says whose spending a limit counts, where that is not all of the key's.
func (l limit) whose(subject string, book signer.Book) string {
	switch l.per {
	case signer.PerCaller:
		return " for caller " + subject
	case signer.PerRecipient:
		return " for " + person(subject, book)
	case signer.PerAsset:
		return " of " + called(subject, book)
	default:
		return ""
	}
}

// person calls an account by the owner's label for it, too.
func person(account string, book signer.Book) string {
	if label := book.Accounts[account]; label != "" {
		return fmt.Sprintf("%s (%s)", label, account)
	}
	return clip(account)
}

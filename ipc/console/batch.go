package console

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"

	"github.com/sealward/sealward/signer"
)

// crowd is how many effects of one class nobody reads with care one after the other.
const crowd = 5

// effects shows all, the worst class first, and in a class in the order of the payload,
// or as a batch.
func (p *printer) effects(effects []signer.Effect) {
	effects = slices.Clone(effects)
	slices.SortStableFunc(effects, func(a, b signer.Effect) int { return cmp.Compare(rank(a.Class), rank(b.Class)) })
	for len(effects) > 0 {
		n := 1
		for n < len(effects) && effects[n].Class == effects[0].Class {
			n++
		}
		p.group(effects[:n])
		effects = effects[n:]
	}
}

// rank of a class, the worst first. One that is not known is worse than all others.
func rank(class signer.Class) int { return slices.Index(signer.Classes(), class) }

// group shows the effects of one class.
func (p *printer) group(effects []signer.Effect) {
	if len(effects) < crowd {
		for _, e := range effects {
			p.effect(e, false)
		}
		return
	}
	said := p.summary(effects)
	slices.SortStableFunc(effects, p.byNotice)
	for _, e := range effects {
		p.effect(e, said)
	}
}

// summary says how many there are, with whom, and how much it is in all. It reports
// whether it said who acts in all of them.
func (p *printer) summary(effects []signer.Effect) (actorSaid bool) {
	counterparties, strangers := map[string]bool{}, 0
	quantities := make([]signer.Quantity, len(effects))
	actorSaid = effects[0].Actor != ""
	for i, e := range effects {
		if !counterparties[e.Counterparty] && !p.knows(e.Counterparty) {
			strangers++
		}
		counterparties[e.Counterparty] = true
		quantities[i] = e.Quantity
		actorSaid = actorSaid && e.Actor == effects[0].Actor
	}
	p.line("BATCH", fmt.Sprintf("%d times %s, with %d accounts, of which %d ARE NOT IN YOUR BOOK: those stand first, then the largest",
		len(effects), Safe(string(effects[0].Class)), len(counterparties), strangers))
	for _, q := range signer.Outflow(quantities...) {
		p.more("in all " + p.quantity(q))
	}
	if actorSaid {
		p.more(actorWord(effects[0].Class) + " " + p.account(effects[0].Actor) + chainOf(effects[0].Actor))
	}
	return actorSaid
}

// byNotice orders by what a reader has to look at first: accounts that the book does
// not have, quantities without a bound, then per asset the largest.
func (p *printer) byNotice(a, b signer.Effect) int {
	known := func(e signer.Effect) int {
		if p.knows(e.Counterparty) {
			return 1
		}
		return 0
	}
	boundless := func(q signer.Quantity) signer.QuantityKind {
		if _, bounded := q.Bound(); bounded {
			return signer.QuantityNone
		}
		return q.Kind
	}
	amount := func(q signer.Quantity) *big.Int {
		if n, bounded := q.Bound(); bounded {
			return n
		}
		return new(big.Int)
	}
	return cmp.Or(
		cmp.Compare(known(a), known(b)),
		cmp.Compare(boundless(b.Quantity), boundless(a.Quantity)),
		cmp.Compare(a.Quantity.Asset, b.Quantity.Asset),
		amount(b.Quantity).Cmp(amount(a.Quantity)),
	)
}

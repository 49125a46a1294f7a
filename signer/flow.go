package signer

import (
	"cmp"
	"math/big"
	"slices"
)

// Flow is what a recipient could get of one asset, at most. It may come at once, as a
// transfer does, or later, as an allowance lets it.
type Flow struct {
	// Recipient is a CAIP-10 account id; empty stands for anybody, where an intent
	// does not say who.
	Recipient string
	Quantity  Quantity
}

// Flows says to whom the outflow of an intent may go, fees left out: one element for
// each recipient and asset, sorted. What could not be read may go to anybody, and so
// may whatever part of the outflow no effect names a recipient for. A quantity of zero
// is none.
func (in Intent) Flows() []Flow {
	var flows []Flow
	at := map[[2]string]int{}      // where in flows, by recipient and asset
	named := map[string]*big.Int{} // what the effects give to somebody, by asset
	boundless := map[string]bool{} // assets of which they give without bound
	add := func(recipient string, q Quantity) {
		n, known := q.Bound()
		if known && n.Sign() <= 0 {
			return
		}
		if q.Asset == "" { // of whatever asset, so to whomever
			recipient = ""
		}
		if i, seen := at[[2]string{recipient, q.Asset}]; seen {
			flows[i].Quantity = Outflow(flows[i].Quantity, q)[0]
		} else {
			at[[2]string{recipient, q.Asset}] = len(flows)
			flows = append(flows, Flow{recipient, q})
		}
		if !known {
			boundless[q.Asset] = true
			return
		}
		if named[q.Asset] == nil {
			named[q.Asset] = new(big.Int)
		}
		named[q.Asset].Add(named[q.Asset], n)
	}
	for _, e := range in.Effects {
		add(e.Counterparty, e.Quantity)
	}
	for _, q := range in.Outflow {
		total, known := q.Bound()
		switch {
		case !known && !boundless[q.Asset]:
			add("", q)
		case known:
			rest := new(big.Int).Set(total)
			if n := named[q.Asset]; n != nil {
				rest.Sub(rest, n)
			}
			if fee, ok := in.Fee.Bound(); ok && in.Fee.Asset == q.Asset {
				rest.Sub(rest, fee)
			}
			if rest.Sign() > 0 {
				add("", AtMost(q.Asset, rest))
			}
		}
	}
	slices.SortFunc(flows, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Quantity.Asset, b.Quantity.Asset))
	})
	return flows
}

package policy

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// limit bounds the outflow of one asset, or the number of requests, per request or over
// a window.
type limit struct {
	name   string
	asset  signer.Asset // of a limit by count: signer.AssetRequests
	max    *big.Int
	window time.Duration // zero: per request
	per    signer.Per
	text   string         // the window as the owner wrote it
	over   *signer.Quorum // who may let through what exceeds it; nil: nobody
}

func (l limit) counts() bool { return l.asset.ID == signer.AssetRequests }

// covers reports whether a limit bounds all that leaves of an asset. One per recipient
// does not: of how many recipients there are, and of fees, it says nothing.
func (l limit) covers(asset string) bool {
	return !l.counts() && l.asset.ID == asset && l.per != signer.PerRecipient
}

var limitSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "amount"}, {Name: "count"}, {Name: "window"}, {Name: "per"}, {Name: "over"},
}}

// limits reads the limits of a rule.
func (l *loader) limits(rule string, blocks hcl.Blocks) (out []limit) {
	var at []hcl.Range
	for _, b := range blocks {
		lim, ok := l.limit(rule, b)
		switch {
		case slices.ContainsFunc(out, func(x limit) bool { return x.name == lim.name }):
			l.fail(b.LabelRanges[0], "the rule has two limits named %q; give one of them another name", lim.name)
		case ok:
			out, at = append(out, lim), append(at, b.DefRange)
		}
	}
	if len(out) < len(blocks) {
		return out // what is missing may be what covers the rest
	}
	for i, lim := range out {
		if !lim.counts() && lim.per == signer.PerRecipient && !slices.ContainsFunc(out, func(x limit) bool { return x.covers(lim.asset.ID) }) {
			l.fail(at[i], "limit %q bounds what each recipient gets, and nothing in rule %q bounds the sum of all: there may be any number of recipients, and fees; add a limit of %s without per = \"recipient\"", lim.name, rule, lim.asset.Name)
		}
	}
	return out
}

func (l *loader) limit(rule string, b *hcl.Block) (limit, bool) {
	content := l.body(b.Body, limitSchema)
	name, ok := l.titled(b)
	lim := limit{name: name}
	amount, count, window := content.Attributes["amount"], content.Attributes["count"], content.Attributes["window"]
	if over, there := content.Attributes["over"]; there {
		lim.over = l.over(rule, name, over)
		ok = ok && lim.over != nil
	}
	if window != nil {
		var valid bool
		lim.window, lim.text, valid = l.span(window.Expr)
		ok = ok && valid
	}
	switch {
	case amount != nil && count != nil:
		l.fail(count.NameRange, "limit %q: amount and count exclude each other; make two limits of it", name)
		return lim, false
	case amount != nil:
		var valid bool
		lim.asset, lim.max, valid = l.amount(amount.Expr)
		ok = ok && valid && l.divisible(name, amount.Expr.Range(), lim.asset)
	case count != nil:
		n, valid := l.number(count.Expr, 1, 1<<53)
		if window == nil {
			l.fail(b.DefRange, "limit %q: count needs a window, such as window = \"24h\": every request counts one", name)
		}
		lim.asset, lim.max = signer.Asset{ID: signer.AssetRequests}, big.NewInt(n)
		ok = ok && valid && window != nil
	default:
		l.fail(b.DefRange, "limit %q limits nothing: write amount = \"2.5 eth\" or count = 10", name)
		return lim, false
	}
	if per, there := content.Attributes["per"]; there {
		ok = l.per(&lim, per, window != nil) && ok
	}
	return lim, ok
}

// amount reads an amount of an asset.
func (l *loader) amount(e hcl.Expression) (signer.Asset, *big.Int, bool) {
	text, ok := l.textLike(e, "2.5 eth")
	if !ok {
		return signer.Asset{}, nil, false
	}
	asset, n, err := l.assets.amount(text)
	if err != nil {
		l.fail(e.Range(), "%v", err)
		return signer.Asset{}, nil, false
	}
	return asset, n, true
}

// divisible refuses to limit a collection by amount.
func (l *loader) divisible(limit string, at hcl.Range, asset signer.Asset) bool {
	whole, _ := collectible(asset.ID)
	if whole {
		l.fail(at, "limit %q: %s is a collection, and what moves is its pieces, each an asset of its own: %s", limit, asset.Name, limitPieces(asset.ID+"/NUMBER"))
	}
	return !whole
}

var perNames = []string{"key", string(signer.PerCaller), string(signer.PerRecipient), string(signer.PerAsset)}

// per reads by whom a limit counts.
func (l *loader) per(lim *limit, a *hcl.Attribute, window bool) bool {
	text, ok := l.textLike(a.Expr, "recipient")
	switch {
	case !ok:
		return false
	case !slices.Contains(perNames, text):
		l.fail(a.Expr.Range(), "limit %q: nothing is counted per %q%s", lim.name, text, didYouMean(text, perNames))
		return false
	case text == "key":
		return true
	}
	lim.per = signer.Per(text)
	switch {
	case lim.per == signer.PerAsset && !lim.counts():
		l.fail(a.Expr.Range(), "limit %q: an amount names its asset already; remove per = \"asset\", which is for limits by count", lim.name)
		return false
	case lim.per == signer.PerCaller && !window:
		l.fail(a.Expr.Range(), "limit %q: per = \"caller\" needs a window, such as window = \"24h\": one request has one caller", lim.name)
		return false
	}
	return true
}

// limitPieces says how a piece of a collection can be limited.
func limitPieces(id string) string {
	return fmt.Sprintf("write an asset with id = %q and decimals = 0 and limit that, or allow pieces in a rule without limits by amount, by a condition and a limit by count", id)
}

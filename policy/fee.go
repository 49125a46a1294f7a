package policy

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// fee bounds what a request may cost: its fee, and nothing else that leaves.
type fee struct {
	asset signer.Asset // of max
	max   *big.Int     // nil: the block has a share alone
	share *big.Int     // in parts of wholeShare; nil: the block has an amount alone
	text  string       // the share as the owner wrote it
}

// shareDecimals are those of a percentage, and wholeShare is all of 100 percent.
const shareDecimals = 6

var wholeShare = new(big.Int).Exp(big.NewInt(10), big.NewInt(2+shareDecimals), nil)

// about reports whether a block is about fees in an asset. A share is of whatever the
// fee is paid in.
func (f fee) about(asset string) bool { return f.max == nil || f.asset.ID == asset }

// portion is the share of an amount, rounded down.
func (f fee) portion(of *big.Int) *big.Int {
	n := new(big.Int).Mul(of, f.share)
	return n.Quo(n, wholeShare)
}

// applyFees holds the fee of a request against the blocks of a rule.
func (r *rule) applyFees(q *request) (uses []signer.LimitUse, refusals []string) {
	charged := q.in.Fee
	if len(r.fees) == 0 || empty(charged) {
		return nil, nil
	}
	if _, known := charged.Bound(); !known {
		return nil, []string{fmt.Sprintf("rule %q bounds the fee, and the fee in %s is %s", r.name, called(charged.Asset, q.book), charged.Kind)}
	}
	applies := false
	for _, f := range r.fees {
		if !f.about(charged.Asset) {
			continue
		}
		applies = true
		if f.max != nil {
			u := q.charge(r.name, "fee", f.max)
			if uses = append(uses, u); u.Exceeded() {
				refusals = append(refusals, q.tooMuch(u, "at most"))
			}
		}
		if f.share == nil {
			continue
		}
		rest, known := q.beside(charged.Asset)
		switch {
		case !known:
			refusals = append(refusals, fmt.Sprintf("rule %q: the fee may be %s of what else leaves of %s, and how much that is, is not bounded", r.name, f.text, called(charged.Asset, q.book)))
		case rest.Sign() > 0:
			u := q.charge(r.name, "fee share", f.portion(rest))
			if uses = append(uses, u); u.Exceeded() {
				refusals = append(refusals, q.tooMuch(u, fmt.Sprintf("%s of the %s that leaves beside it, which is", f.text, describe(signer.AtMost(charged.Asset, rest), q.book))))
			}
		case f.max == nil:
			refusals = append(refusals, fmt.Sprintf("rule %q: the fee may be %s of what else leaves of %s, and nothing does; for such requests the rule's fee block needs an amount as well",
				r.name, f.text, called(charged.Asset, q.book)))
		}
	}
	if !applies {
		refusals = append(refusals, fmt.Sprintf("rule %q bounds the fee, and no fee block of it is about %s, in which the fee is paid", r.name, called(charged.Asset, q.book)))
	}
	return uses, refusals
}

// charge is the fee of a request, as a use of what bounds it.
func (q *request) charge(rule, name string, most *big.Int) signer.LimitUse {
	n, _ := q.in.Fee.Bound()
	return signer.LimitUse{Rule: rule, Limit: name, Asset: q.in.Fee.Asset, Max: most, Spent: new(big.Int), Amount: n, Per: signer.PerFee}
}

func (q *request) tooMuch(u signer.LimitUse, bound string) string {
	return fmt.Sprintf("rule %q: the fee could be %s, and the rule lets it be %s %s; lower the gas price or the gas limit",
		u.Rule, describe(q.in.Fee, q.book), bound, describe(signer.AtMost(u.Asset, u.Max), q.book))
}

// beside is how much of an asset leaves beside the fee, which is part of the outflow, or
// false when that is not bounded.
func (q *request) beside(asset string) (*big.Int, bool) {
	fee, _ := q.in.Fee.Bound()
	for _, out := range q.in.Outflow {
		if out.Asset == asset {
			n, known := out.Bound()
			if !known {
				return nil, false
			}
			return new(big.Int).Sub(n, fee), true
		}
	}
	return new(big.Int), true
}

var feeSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "amount"}, {Name: "share"}}}

func (l *loader) fee(b *hcl.Block) (f fee, ok bool) {
	content := l.body(b.Body, feeSchema)
	amount, share := content.Attributes["amount"], content.Attributes["share"]
	if amount == nil && share == nil {
		l.fail(b.DefRange, "the fee block bounds nothing: write amount = \"0.01 eth\" or share = \"5%%\", or both")
		return f, false
	}
	ok = true
	if amount != nil {
		f.asset, f.max, ok = l.amount(amount.Expr)
	}
	if share != nil {
		var valid bool
		f.share, f.text, valid = l.share(share.Expr)
		ok = ok && valid
	}
	return f, ok
}

var shareText = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,6}))?%$`)

// share reads a percentage, exactly.
func (l *loader) share(e hcl.Expression) (*big.Int, string, bool) {
	text, ok := l.textLike(e, "5%")
	if !ok {
		return nil, "", false
	}
	m := shareText.FindStringSubmatch(text)
	if m == nil {
		l.fail(e.Range(), "share %q: want a percentage such as \"5%%\" or \"0.5%%\", of at most %d decimal places; the decimal sign is a point", text, shareDecimals)
		return nil, "", false
	}
	n, ok := new(big.Int).SetString(m[1]+m[2]+strings.Repeat("0", shareDecimals-len(m[2])), 10)
	if !ok || n.Sign() == 0 || n.Cmp(wholeShare) > 0 {
		l.fail(e.Range(), "share %q: want more than 0%% and at most 100%%", text)
		return nil, "", false
	}
	return n, text, true
}

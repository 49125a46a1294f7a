package main

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// soon is when the end of a request is near enough to say so.
const soon = time.Hour

// weigh gathers what to think of before anything else, the worst first. What policy says
// of limits, and until when it waits, is the daemon's word.
func (a *approver) weigh(r *reviewed) {
	in := r.proposal.Intent
	if !in.Complete {
		r.risks = append(r.risks, "a part of it cannot be read: it may do more than is shown")
	}
	r.risks = append(r.risks, boundless(in)...)
	for _, s := range []signer.Severity{signer.SeverityDanger, signer.SeverityWarn} {
		for _, w := range in.Warnings {
			if w.Severity == s {
				r.risks = append(r.risks, fmt.Sprintf("%s (%s)", w.Text, w.Code))
			}
		}
	}
	r.risks = append(r.risks, a.strangers(in)...)
	if r.proposal.Key.Protection == signer.ProtectionWrapped {
		r.risks = append(r.risks, "the key is sealed to its device, and opened outside of it for the moment of use")
	}
	for _, l := range r.told.GetDecision().GetLimits() {
		if text := a.share(l); text != "" {
			r.risks = append(r.risks, text)
		}
	}
	for _, end := range []struct {
		what string
		at   time.Time
	}{{"it waits", r.told.GetPending().GetDeadline().AsTime()}, {"the request is valid", r.proposal.Request.Expires}} {
		if left := end.at.Sub(a.now()); !end.at.IsZero() && end.at.Unix() != 0 && left < soon {
			r.risks = append(r.risks, fmt.Sprintf("%s only until %s: %s from now", end.what, end.at.UTC().Format(time.RFC3339), max(0, left).Round(time.Second)))
		}
	}
	if own := engineDecoders()[r.proposal.Request.Kind].Version(); own != r.proposal.Decoder {
		r.risks = append(r.risks, fmt.Sprintf("the daemon reads it with %s, this program with %s: they are of different releases", r.proposal.Decoder, own))
	}
}

// boundless is what leaves without a bound, or of which nobody knows how much leaves.
func boundless(in signer.Intent) (out []string) {
	for _, q := range in.Outflow {
		switch q.Kind {
		case signer.QuantityUnlimited:
			out = append(out, "an unlimited amount may leave, of "+q.Asset)
		case signer.QuantityUnknown:
			asset := q.Asset
			if asset == "" {
				asset = "assets that are not known either"
			}
			out = append(out, "an unknown amount may leave, of "+asset)
		}
	}
	return out
}

// strangers are those counterparties that the approver's own files do not name.
func (a *approver) strangers(in signer.Intent) []string {
	var unknown []string
	all := map[string]bool{}
	for _, e := range in.Effects {
		if e.Counterparty == "" || all[e.Counterparty] {
			continue
		}
		all[e.Counterparty] = true
		if !a.book.Knows(e.Counterparty) {
			unknown = append(unknown, e.Counterparty)
		}
	}
	const few = 3
	switch n := len(unknown); {
	case n == 0:
		return nil
	case n <= few:
		return []string{"your own book does not have " + strings.Join(unknown, ", ")}
	default:
		return []string{fmt.Sprintf("your own book does not have %d of the %d counterparties; all are shown below", n, len(all))}
	}
}

// bigShare is from how many per cent on of what a limit has left a request is worth a word.
const bigShare = 50

// share says how much a request takes of what a limit has left.
func (a *approver) share(l *v1.LimitUse) string {
	most, ok1 := api.Integer(l.GetMax())
	spent, ok2 := api.Integer(l.GetSpent())
	amount, ok3 := api.Integer(l.GetAmount())
	if !ok1 || !ok2 || !ok3 || amount.Sign() <= 0 {
		return ""
	}
	left := new(big.Int).Sub(most, spent)
	what := fmt.Sprintf("limit %q of rule %q (%s %s)", l.GetLimit(), l.GetRule(), console.Amount(most, l.GetAsset(), a.names()), window(l.GetWindow()))
	if left.Cmp(amount) < 0 {
		return fmt.Sprintf("it takes more than what is left of %s: %s of %s", what, console.Amount(amount, l.GetAsset(), a.names()), console.Amount(left, l.GetAsset(), a.names()))
	}
	percent := new(big.Int).Div(new(big.Int).Mul(amount, big.NewInt(100)), left)
	if percent.Cmp(big.NewInt(bigShare)) < 0 {
		return ""
	}
	return fmt.Sprintf("it takes %s%% of what is left of %s", percent, what)
}

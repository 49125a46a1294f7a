package ledger

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealward/sealward/signer"
)

// reference is the definition of what counts, word by word: all that was ever
// authorised, gone through at every question.
type reference []Spending

// spent is the element of the facts for one measure, asset and subject.
func (r reference) spent(key string, m signer.Measure, asset, subject string, now time.Time) signer.Spent {
	out := signer.Spent{Asset: asset, Window: m.Window, Amount: new(big.Int), Per: m.Per, Subject: subject}
	boundless := false
	for _, s := range r {
		if s.Key != key || !s.Time.After(now.Add(-m.Window)) {
			continue
		}
		amount, bounded := s.counts(m.Per, asset, subject)
		if bounded && amount.Sign() == 0 {
			continue
		}
		if out.Frees.IsZero() {
			out.Frees = s.Time.Add(m.Window)
		}
		out.Amount.Add(out.Amount, amount)
		boundless = boundless || !bounded
	}
	if boundless && out.Amount.Cmp(unbounded) < 0 {
		out.Amount = unbounded
	}
	return out
}

// counts is what one authorisation counts for.
func (s Spending) counts(per signer.Per, asset, subject string) (*big.Int, bool) {
	is := func(what, asked string) bool { return what == asked || (what == "" && asked != "") }
	requests, sum, bounded := false, new(big.Int), true
	add := func(q signer.Quantity) {
		n, ok := q.Bound()
		if !ok || (q.Asset == "" && n.Sign() > 0) {
			bounded = false
			return
		}
		sum.Add(sum, n)
	}
	empty := func(q signer.Quantity) bool { n, ok := q.Bound(); return ok && n.Sign() == 0 }
	switch per {
	case signer.PerKey, signer.PerCaller:
		if per == signer.PerCaller && s.Caller != subject {
			return sum, true
		}
		requests = true
		for _, q := range s.Outflow {
			if is(q.Asset, asset) && asset != signer.AssetRequests {
				add(q)
			}
		}
	case signer.PerRecipient:
		for _, f := range s.Flows {
			if !is(f.Recipient, subject) {
				continue
			}
			requests = true
			if is(f.Quantity.Asset, asset) && asset != signer.AssetRequests {
				add(f.Quantity)
			}
		}
	case signer.PerAsset:
		for _, q := range s.Outflow {
			requests = requests || (is(q.Asset, subject) && !empty(q))
		}
	}
	if asset == signer.AssetRequests && requests {
		return big.NewInt(1), true
	}
	return sum, bounded
}

// measure is what Measure says it is.
func (r reference) measure(s Spending, n signer.Needs, now time.Time) (out []signer.Spent) {
	for _, m := range n.Measures {
		ask := func(asset, subject string) { out = append(out, r.spent(s.Key, m, asset, subject, now)) }
		switch m.Per {
		case signer.PerKey, signer.PerCaller:
			subject := map[signer.Per]string{signer.PerCaller: s.Caller}[m.Per]
			for _, q := range s.Outflow {
				ask(q.Asset, subject)
			}
			ask(signer.AssetRequests, subject)
		case signer.PerRecipient:
			for _, who := range s.Recipients() {
				for _, f := range s.Flows {
					if f.Recipient == who {
						ask(f.Quantity.Asset, who)
					}
				}
				ask(signer.AssetRequests, who)
			}
		case signer.PerAsset:
			for _, q := range s.Outflow {
				if n, ok := q.Bound(); !ok || n.Sign() > 0 {
					ask(signer.AssetRequests, q.Asset)
				}
			}
		}
	}
	return out
}

func quantities() *rapid.Generator[signer.Quantity] {
	return rapid.Custom(func(t *rapid.T) signer.Quantity {
		asset := rapid.SampledFrom([]string{"dai", "eth", "usdc"}).Draw(t, "asset")
		switch n := rapid.Int64Range(-2, 5).Draw(t, "n"); n {
		case -2:
			return signer.Quantity{Kind: signer.QuantityUnknown}
		case -1:
			return signer.Quantity{Kind: signer.QuantityUnlimited, Asset: asset}
		default:
			return signer.AtMost(asset, big.NewInt(n))
		}
	})
}

// proposals are of few keys, callers, recipients and assets, so that they meet.
func proposals() *rapid.Generator[signer.Proposal] {
	return rapid.Custom(func(t *rapid.T) signer.Proposal {
		var p signer.Proposal
		p.Key.Fingerprint = rapid.SampledFrom([]string{"hot", "cold"}).Draw(t, "key")
		p.Caller.UID = rapid.Uint32Range(1, 2).Draw(t, "uid")
		for range rapid.IntRange(0, 3).Draw(t, "effects") {
			e := signer.Effect{Quantity: quantities().Draw(t, "quantity"), Counterparty: rapid.SampledFrom([]string{"", "acme", "bank", "club"}).Draw(t, "to")}
			p.Intent.Effects = append(p.Intent.Effects, e)
			if rapid.IntRange(0, 4).Draw(t, "left out") > 0 {
				p.Intent.Outflow = append(p.Intent.Outflow, e.Quantity)
			}
		}
		if rapid.Bool().Draw(t, "more") {
			p.Intent.Outflow = append(p.Intent.Outflow, quantities().Draw(t, "rest"))
		}
		p.Intent.Outflow = signer.Outflow(p.Intent.Outflow...)
		return p
	})
}

func needs() *rapid.Generator[signer.Needs] {
	return rapid.Custom(func(t *rapid.T) (n signer.Needs) {
		for range rapid.IntRange(1, 4).Draw(t, "measures") {
			m := signer.Measure{
				Window: rapid.SampledFrom([]time.Duration{1, 2, 10, 40}).Draw(t, "window"),
				Per:    rapid.SampledFrom(counted[:]).Draw(t, "per"),
			}
			if !slices.Contains(n.Measures, m) {
				n.Measures = append(n.Measures, m)
			}
		}
		return n
	})
}

func show(all []signer.Spent) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%q %q %q in %d: %v, frees %d\n", s.Per, s.Subject, s.Asset, s.Window, s.Amount, s.Frees.UnixNano())
	}
	return b.String()
}

// TestEverySumIsWhatTheDefinitionSays adds and measures at random, on a ledger that
// keeps everything and on one that forgets, whenever it may, what it will not be asked.
func TestEverySumIsWhatTheDefinitionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asked := needs().Draw(t, "needs")
		whole, short := New(), Over(asked.Measures...)
		var all reference
		now := time.Unix(0, 1_000_000).UTC()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "pass")))
			s := Of(proposals().Draw(t, "proposal"), now)
			want := show(all.measure(s, asked, now))
			for name, l := range map[string]*Ledger{"whole": whole, "short": short} {
				got, err := l.Measure(s, asked, now)
				if err != nil || show(got) != want {
					t.Fatalf("the %s ledger measures\n%s(%v), want\n%s", name, show(got), err, want)
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "denied") == 0 {
				continue
			}
			whole.Add(s)
			short.Add(s)
			all = append(all, s)
			short.sweep = rapid.IntRange(0, 30).Draw(t, "sweep") // before its time, too
		}
	})
}

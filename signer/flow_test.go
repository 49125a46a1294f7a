package signer_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

func TestFlowsSayWhoCouldGetWhatAtMost(t *testing.T) {
	exact := func(asset string, n int64) signer.Quantity { return signer.Exact(asset, big.NewInt(n)) }
	unlimited := signer.Quantity{Kind: signer.QuantityUnlimited, Asset: "usdc"}
	unknown := signer.Quantity{Kind: signer.QuantityUnknown}
	to := func(who string, q signer.Quantity) signer.Effect {
		return signer.Effect{Class: signer.ClassTransfer, Counterparty: who, Quantity: q}
	}
	for name, c := range map[string]struct {
		effects []signer.Effect
		outflow []signer.Quantity
		fee     signer.Quantity
		want    string
	}{
		"a payment":                     {[]signer.Effect{to("acme", exact("eth", 5))}, []signer.Quantity{exact("eth", 7)}, exact("eth", 2), "acme: exact 5 eth"},
		"two payments to one":           {[]signer.Effect{to("acme", exact("eth", 5)), to("acme", exact("eth", 1))}, []signer.Quantity{exact("eth", 6)}, signer.Quantity{}, "acme: exact 6 eth"},
		"two to two, of two assets":     {[]signer.Effect{to("b", exact("usdc", 5)), to("a", exact("eth", 1))}, []signer.Quantity{exact("eth", 1), exact("usdc", 5)}, signer.Quantity{}, "a: exact 1 eth; b: exact 5 usdc"},
		"a payment of nothing":          {[]signer.Effect{to("acme", exact("eth", 0))}, nil, signer.Quantity{}, ""},
		"a message":                     {[]signer.Effect{{Class: signer.ClassMessage}}, nil, signer.Quantity{}, ""},
		"an allowance without a bound":  {[]signer.Effect{to("dex", unlimited)}, []signer.Quantity{unlimited}, signer.Quantity{}, "dex: unlimited usdc"},
		"a call that nobody could read": {[]signer.Effect{to("bridge", unknown)}, []signer.Quantity{unknown}, signer.Quantity{}, "anybody: unknown "},
		"an outflow that no effect has": {[]signer.Effect{to("acme", exact("eth", 5))}, []signer.Quantity{exact("eth", 9)}, exact("eth", 2), "anybody: at_most 2 eth; acme: exact 5 eth"},
		"an unbounded outflow that no effect has": {[]signer.Effect{to("acme", exact("usdc", 5))}, []signer.Quantity{unlimited}, signer.Quantity{},
			"anybody: unlimited usdc; acme: exact 5 usdc"},
		"a fee of another asset is no flow": {[]signer.Effect{to("acme", exact("usdc", 5))}, []signer.Quantity{exact("eth", 2), exact("usdc", 5)}, exact("eth", 2), "acme: exact 5 usdc"},
		"a payment to nobody who is named":  {[]signer.Effect{to("", exact("eth", 5))}, []signer.Quantity{exact("eth", 5)}, signer.Quantity{}, "anybody: exact 5 eth"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range (signer.Intent{Effects: c.effects, Outflow: c.outflow, Fee: c.fee}).Flows() {
				who, amount := f.Recipient, ""
				if who == "" {
					who = "anybody"
				}
				if n, ok := f.Quantity.Bound(); ok {
					amount = n.String() + " "
				}
				got = append(got, fmt.Sprintf("%s: %s %s%s", who, f.Quantity.Kind, amount, f.Quantity.Asset))
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("Flows = %q, want %q", s, c.want)
			}
		})
	}
}

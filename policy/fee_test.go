package policy

import (
	"math/big"
	"testing"

	"github.com/sealward/sealward/signer"
)

// charged is a payment of some amount of an asset, and a fee.
func charged(moved, fee signer.Quantity) func(*testing.T, *signer.Proposal) {
	return func(_ *testing.T, p *signer.Proposal) {
		*p = pays(*p, moved)
		p.Intent.Fee = fee
		p.Intent.Outflow = signer.Outflow(moved, fee)
	}
}

func base(n int64) signer.Quantity    { return signer.AtMost(ether, big.NewInt(n)) }
func dollars(n int64) signer.Quantity { return signer.AtMost(usdc, big.NewInt(n)) }

func TestFees(t *testing.T) {
	rule := func(blocks ...string) string {
		src := assetsText + "asset \"wei\" {\n  id = \"eip155:137/slip44:60\"\n  decimals = 0\n}\nrule \"r\" {\n  allow = true\n"
		for _, b := range blocks {
			src += "fee {\n" + b + "\n}\n"
		}
		return src + "}\n"
	}
	const (
		hundred = `amount = "0.0000000000000001 eth"` // 100 wei
		five    = `share = "5%"`
		both    = hundred + "\n" + five
	)
	nothing := signer.Quantity{}
	unlimited := signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether}
	judge(t, map[string]ruling{
		"exactly the amount":                             {rule(hundred), charged(base(7), base(100)), nil, signer.Allow, ""},
		"one unit above the amount":                      {rule(hundred), charged(base(7), base(101)), nil, signer.Deny, "the fee could be 0.000000000000000101 eth (101), and the rule lets it be at most 0.0000000000000001 eth (100); lower the gas price"},
		"no fee at all":                                  {rule(hundred), charged(base(7), nothing), nil, signer.Allow, ""},
		"a fee of zero, of another asset":                {rule(hundred), charged(base(7), dollars(0)), nil, signer.Allow, ""},
		"a fee in an asset that no block is about":       {rule(hundred), charged(base(7), dollars(1)), nil, signer.Deny, "no fee block of it is about usdc"},
		"a fee without a bound":                          {rule(hundred), charged(base(7), unlimited), nil, signer.Deny, "the fee in eth is unlimited"},
		"a fee that is unknown":                          {rule(hundred), charged(base(7), signer.Quantity{Kind: signer.QuantityUnknown}), nil, signer.Deny, "could not be read is unknown"},
		"a rule without fee blocks":                      {rule(), charged(base(7), unlimited), nil, signer.Allow, ""},
		"exactly the share":                              {rule(five), charged(base(2000), base(100)), nil, signer.Allow, ""},
		"one unit above the share":                       {rule(five), charged(base(2000), base(101)), nil, signer.Deny, "(101), and the rule lets it be 5% of the 0.000000000000002 eth (2000) that leaves beside it, which is 0.0000000000000001 eth (100)"},
		"a share is rounded down":                        {rule(five), charged(base(2019), base(101)), nil, signer.Deny, "which is 0.0000000000000001 eth (100)"},
		"a share that comes out even again":              {rule(five), charged(base(2020), base(101)), nil, signer.Allow, ""},
		"a share that rounds to nothing":                 {rule(five), charged(base(19), base(1)), nil, signer.Deny, "which is 0 eth (0)"},
		"a share of nothing":                             {rule(five), charged(dollars(1000), base(1)), nil, signer.Deny, "the fee may be 5% of what else leaves of eth, and nothing does"},
		"a share of nothing, beside an amount":           {rule(both), charged(dollars(1000), base(100)), nil, signer.Allow, ""},
		"an amount where the share is of nothing":        {rule(both), charged(dollars(1000), base(101)), nil, signer.Deny, "at most 0.0000000000000001 eth (100)"},
		"both, where the share is less":                  {rule(both), charged(base(1000), base(51)), nil, signer.Deny, "which is 0.00000000000000005 eth (50)"},
		"both, exactly at the share":                     {rule(both), charged(base(1000), base(50)), nil, signer.Allow, ""},
		"both, where the amount is less":                 {rule(both), charged(base(1_000_000), base(101)), nil, signer.Deny, "at most 0.0000000000000001 eth (100)"},
		"a share of nothing, an amount in another block": {rule(hundred, five), charged(dollars(1000), base(1)), nil, signer.Deny, "nothing does"},
		"a share of an outflow without a bound":          {rule(both), charged(unlimited, base(1)), nil, signer.Deny, "is not bounded"},
		"the block of another asset does not apply":      {rule(hundred, "amount = \"5 usdc\"\nshare = \"1%\""), charged(base(1000), base(100)), nil, signer.Allow, ""},
		"the block of the asset does":                    {rule("amount = \"5 usdc\"", hundred), charged(base(1000), base(101)), nil, signer.Deny, "at most"},
		"a share of a fee in whatever asset":             {rule(hundred, `share = "1%"`), charged(dollars(1000), dollars(10)), nil, signer.Allow, ""},
		"and one unit above":                             {rule(hundred, `share = "1%"`), charged(dollars(1000), dollars(11)), nil, signer.Deny, "which is 0.00001 usdc (10)"},
		"the smallest of two amounts":                    {rule(hundred, `amount = "0.00000000000000005 eth"`), charged(base(7), base(51)), nil, signer.Deny, "(50)"},
		"a share of parts of a percent":                  {rule(`share = "0.000001%"`), charged(base(300_000_000), base(3)), nil, signer.Allow, ""},
		"and one unit above that":                        {rule(`share = "0.000001%"`), charged(base(300_000_000), base(4)), nil, signer.Deny, "(3)"},
		"all of it":                                      {rule(`share = "100%"`), charged(base(1000), base(1000)), nil, signer.Allow, ""},
		"an amount of nothing":                           {rule(`amount = "0 eth"`), charged(base(1000), base(1)), nil, signer.Deny, "at most 0 eth (0)"},
		"an amount does not cover an outflow":            {allow("fee {\namount = \"1 eth\"\n}\nlimit \"l\" {\namount = \"1 usdc\"\n}"), charged(dollars(1), base(1)), nil, signer.Deny, "is not covered by any limit"},
		"another rule's fee block holds too":             {rulesText("allow = true", "allow = true\nfee {\n"+hundred+"\n}"), charged(base(7), base(101)), nil, signer.Deny, `rule "b": the fee could be`},
		"huge amounts are exact":                         {rule(five), charged(signer.Exact(ether, power2(256)), signer.AtMost(ether, new(big.Int).Quo(power2(256), big.NewInt(20)))), nil, signer.Allow, ""},
		"and one unit above those":                       {rule(five), charged(signer.Exact(ether, power2(256)), signer.AtMost(ether, new(big.Int).Add(big.NewInt(1), new(big.Int).Quo(power2(256), big.NewInt(20))))), nil, signer.Deny, "the fee could be"},
	})
}

func power2(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

func TestFeesAreUsesOfLimits(t *testing.T) {
	p := load(t, allow("fee {\namount = \"1 eth\"\nshare = \"10%\"\n}"))
	prop := transfer(t, acme, "1")
	charged(coin(t, "5"), coin(t, "0.4"))(t, &prop)
	d := p.Decide(prop, unspent(p, prop))
	want := map[string]string{"fee": "1", "fee share": "0.5"}
	if d.Verdict != signer.Allow || len(d.Limits) != 2 {
		t.Fatalf("Decide = %s (%s), %v", d.Verdict, d.Reason, d.Limits)
	}
	for _, u := range d.Limits {
		if u.Rule != "r" || u.Per != signer.PerFee || u.Asset != ether || u.Window != 0 || u.Subject != "" || u.Spent.Sign() != 0 ||
			u.Amount.Cmp(wei(t, "0.4")) != 0 || u.Max.Cmp(wei(t, want[u.Limit])) != 0 {
			t.Errorf("use = %+v", u)
		}
	}
}

func TestMisplacedFees(t *testing.T) {
	in := func(args string) string { return allow("fee {\n" + args + "\n}") }
	misplaced(t, map[string]struct{ src, want string }{
		"an empty block":              {allow("«fee» {\n}"), "the fee block bounds nothing"},
		"a share without its sign":    {in("share = «\"5\"»"), "want a percentage"},
		"a share with a comma":        {in("share = «\"0,5%\"»"), "the decimal sign is a point"},
		"a share that is a number":    {in("share = «5»"), "want a text in quotes"},
		"a share of nothing":          {in("share = «\"0%\"»"), "more than 0%"},
		"a share of parts of nothing": {in("share = «\"0.000%\"»"), "more than 0%"},
		"a share of more than all":    {in("share = «\"100.000001%\"»"), "at most 100%"},
		"a share of seven places":     {in("share = «\"0.0000001%\"»"), "at most 6 decimal places"},
		"an amount without a unit":    {in("amount = «\"0.01\"»"), "want a number, one space and an asset"},
		"an unknown asset":            {in("amount = «\"0.01 eht\"»"), `did you mean "eth"?`},
		"a fee in a rule that denies": {assetsText + "rule \"r\" {\n deny = \"x\"\n «fee» {\n share = \"1%\"\n }\n}\n", "fee is for rules that let through"},
		"a name":                      {allow("fee «\"gas\"» {\n share = \"1%\"\n}"), "Extraneous label for fee"},
	})
}

package policy

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// sumOf covers what limits per recipient leave open.
const sumOf = "limit \"sum\" {\n amount = \"1000 eth\"\n}\n"

func limited(args ...string) string {
	src := "allow = true\n" + sumOf
	for i, a := range args {
		src += fmt.Sprintf("limit \"l%d\" {\n%s\n}\n", i, a)
	}
	return rulesText(src)
}

func TestLimitsPerRecipient(t *testing.T) {
	const (
		each  = "amount = \"5 eth\"\nper = \"recipient\""
		daily = each + "\nwindow = \"24h\""
		twice = "count = 2\nper = \"recipient\"\nwindow = \"24h\""
	)
	to := func(account, ethers string) signer.Effect { return flow(account, coin(t, ethers)) }
	spent := func(account, ethers string) func(signer.Facts) signer.Facts {
		return known(ether, day, signer.PerRecipient, account, wei(t, ethers))
	}
	requests := func(account string, n int64) func(signer.Facts) signer.Facts {
		return known(signer.AssetRequests, day, signer.PerRecipient, account, big.NewInt(n))
	}
	anybody := does(to("", "1"))
	judge(t, map[string]ruling{
		"exactly the amount, in one request":      {limited(each), does(to(acme, "5")), nil, signer.Allow, ""},
		"one unit above":                          {limited(each), does(to(acme, "5.000000000000000001")), nil, signer.Deny, `limit "l0": asked 5.000000000000000001 eth (5000000000000000001) for Acme Hosting (` + acme + `), maximum 5 eth`},
		"each recipient by itself":                {limited(each), does(to(acme, "5"), to(hacker, "5")), nil, signer.Allow, ""},
		"one recipient of two too much":           {limited(each), does(to(acme, "5"), to(hacker, "5.1")), nil, signer.Deny, "for " + hacker},
		"a recipient twice in one batch, exactly": {limited(each), does(to(acme, "2"), to(hacker, "1"), to(acme, "3")), nil, signer.Allow, ""},
		"a recipient twice in one batch, above":   {limited(each), does(to(acme, "2"), to(hacker, "1"), to(acme, "3.000000000000000001")), nil, signer.Deny, "asked 5.000000000000000001 eth"},
		"fees go to no recipient":                 {limited(each), charged(coin(t, "5"), coin(t, "0.1")), nil, signer.Allow, ""},
		"in a window, exactly":                    {limited(daily), does(to(acme, "2")), spent(acme, "3"), signer.Allow, ""},
		"in a window, one unit above":             {limited(daily), does(to(acme, "2")), spent(acme, "3.000000000000000001"), signer.Deny, "spent 3.000000000000000001 eth (3000000000000000001) in 24h, maximum 5 eth (5000000000000000000), left 1.999999999999999999 eth"},
		"what somebody else had is no matter":     {limited(daily), does(to(acme, "5"), to(hacker, "1")), spent(hacker, "4"), signer.Allow, ""},
		"two who have both had enough":            {limited(daily), does(to(acme, "1"), to(hacker, "1")), func(f signer.Facts) signer.Facts { return spent(hacker, "5")(spent(acme, "5")(f)) }, signer.Deny, "for " + hacker},
		"anybody may be the recipient":            {limited(each), anybody, nil, signer.Deny, `limit "l0": it counts by recipient, and the payload does not say who receives eth`},
		"anybody may have a part of it":           {limited(each), does(to(acme, "1"), to("", "1")), nil, signer.Deny, "does not say who receives eth"},
		"somebody may have what no effect names": {limited(each), func(t *testing.T, p *signer.Proposal) {
			p.Intent.Outflow = signer.Outflow(coin(t, "1.000000000000000001"))
		}, nil, signer.Deny, "does not say who receives eth"},
		"anybody may have another asset":              {limited(each, "amount = \"9 usdc\""), does(to(acme, "1"), flow("", dollars(1))), nil, signer.Allow, ""},
		"an asset that could not be read":             {limited(each), does(to(acme, "1"), flow(acme, signer.Quantity{Kind: signer.QuantityUnknown})), nil, signer.Deny, "who receives an asset that could not be read"},
		"an allowance is had by its spender":          {limited(each), does(signer.Effect{Class: signer.ClassAllowance, Counterparty: hacker, Quantity: coin(t, "6")}), nil, signer.Deny, "for " + hacker},
		"an allowance without a bound":                {limited(each), does(signer.Effect{Class: signer.ClassAllowance, Counterparty: hacker, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether}}), nil, signer.Deny, "could get of eth is unlimited"},
		"an allowance that is taken back":             {limited(each), does(signer.Effect{Class: signer.ClassAllowance, Counterparty: hacker, Quantity: coin(t, "0")}), nil, signer.Allow, ""},
		"nothing that moves":                          {limited(each, twice), does(signer.Effect{Class: signer.ClassInvalidate}), nil, signer.Allow, ""},
		"the second request to one":                   {limited(twice), does(to(acme, "1")), requests(acme, 1), signer.Allow, ""},
		"the third request to one":                    {limited(twice), does(to(acme, "1")), requests(acme, 2), signer.Deny, "asked 1 request for Acme Hosting (" + acme + "), spent 2 requests in 24h, maximum 2 requests"},
		"two payments to one are one request":         {limited(twice), does(to(acme, "1"), flow(acme, dollars(0)), to(acme, "1")), requests(acme, 1), signer.Allow, ""},
		"two assets to one are one request":           {limited(twice, "amount = \"9 usdc\""), does(to(acme, "1"), flow(acme, dollars(1))), requests(acme, 1), signer.Allow, ""},
		"a count, where anybody may be the recipient": {limited(twice, "amount = \"9 usdc\""), does(to(acme, "1"), flow("", dollars(1))), nil, signer.Deny, "does not say who receives usdc"},
		"nothing is known of the recipient":           {limited(daily), does(to(acme, "1")), func(f signer.Facts) signer.Facts { f.Spent = nil; return f }, signer.Deny, "what was spent of " + ether + " for Acme Hosting (" + acme + ") in 24h is not known"},
		"what is known is of another recipient":       {limited(daily), does(to(acme, "1")), func(f signer.Facts) signer.Facts { f.Spent[0].Subject = hacker; return f }, signer.Deny, "is not known"},
		"what is known is of the key":                 {limited(daily), does(to(acme, "1")), func(f signer.Facts) signer.Facts { f.Spent[0].Per, f.Spent[0].Subject = signer.PerKey, ""; return f }, signer.Deny, "is not known"},
		"what is known is negative":                   {limited(daily), does(to(acme, "1")), spent(acme, "-1"), signer.Deny, "is not known"},
		"it does not cover what leaves":               {rulesText("allow = true\nlimit \"a\" {\namount = \"1 eth\"\nper = \"caller\"\nwindow = \"1h\"\n}\nlimit \"b\" {\namount = \"9 eth\"\nper = \"recipient\"\n}"), does(to(acme, "1"), flow(acme, dollars(1))), nil, signer.Deny, "0.000001 usdc (1) is not covered by any limit"},
	})
}

func TestManyRecipientsAreNotAllNamed(t *testing.T) {
	var es []signer.Effect
	for i := range 8 {
		es = append(es, flow(fmt.Sprintf("cosmos:hub:%d", i), coin(t, "2")))
	}
	p := load(t, limited("amount = \"1 eth\"\nper = \"recipient\""))
	prop := effects(transfer(t, acme, "1"), es...)
	d := p.Decide(prop, unspent(p, prop))
	if !strings.HasSuffix(d.Reason, "; and for 3 more") || !strings.Contains(d.Reason, "hub:4") || strings.Contains(d.Reason, "hub:5") || len(d.Limits) != 9 {
		t.Errorf("reason = %q, with %d limits", d.Reason, len(d.Limits))
	}
	for _, u := range d.Limits[1:] {
		if u.Per != signer.PerRecipient || !strings.HasPrefix(u.Subject, "cosmos:hub:") || !u.Exceeded() {
			t.Errorf("use = %+v", u)
		}
	}
}

func TestLimitsPerCaller(t *testing.T) {
	const (
		hourly = "amount = \"5 eth\"\nper = \"caller\"\nwindow = \"1h\""
		few    = "count = 2\nper = \"caller\"\nwindow = \"1h\""
	)
	mine := func(asset string, n *big.Int) func(signer.Facts) signer.Facts {
		return known(asset, time.Hour, signer.PerCaller, "uid:1000", n)
	}
	judge(t, map[string]ruling{
		"exactly the amount":              {limited(hourly), ethers("5"), nil, signer.Allow, ""},
		"one unit above":                  {limited(hourly), ethers("5.000000000000000001"), nil, signer.Deny, `limit "l0": asked 5.000000000000000001 eth (5000000000000000001) for caller uid:1000 with fees at their maximum`},
		"with what it had before":         {limited(hourly), ethers("2"), mine(ether, wei(t, "3")), signer.Allow, ""},
		"and one unit above":              {limited(hourly), ethers("2"), mine(ether, wei(t, "3.000000000000000001")), signer.Deny, "the oldest part frees at 2026-11-23T11:00:00Z"},
		"fees count":                      {limited(hourly), charged(coin(t, "5"), base(1)), nil, signer.Deny, `limit "l0"`},
		"the second request":              {limited(few), nil, mine(signer.AssetRequests, big.NewInt(1)), signer.Allow, ""},
		"the third request":               {limited(few), nil, mine(signer.AssetRequests, big.NewInt(2)), signer.Deny, "asked 1 request for caller uid:1000, spent 2 requests in 1h"},
		"what the key spent is no matter": {limited(hourly, "amount = \"50 eth\"\nwindow = \"1h\""), ethers("5"), known(ether, time.Hour, signer.PerKey, "", wei(t, "40")), signer.Allow, ""},
		"what others had is no matter":    {limited(hourly), ethers("5"), known(ether, time.Hour, signer.PerCaller, "uid:1001", wei(t, "5")), signer.Allow, ""},
		"nothing is known of the caller":  {limited(hourly), nil, func(f signer.Facts) signer.Facts { f.Spent[0].Subject = "uid:1001"; return f }, signer.Deny, "for caller uid:1000 in 1h is not known"},
		"it covers what leaves":           {rulesText("allow = true\nlimit \"l\" {\n" + hourly + "\n}"), ethers("5"), nil, signer.Allow, ""},
	})
}

func TestLimitsPerAsset(t *testing.T) {
	const few = "count = 2\nper = \"asset\"\nwindow = \"1h\""
	moved := func(asset string, n int64) func(signer.Facts) signer.Facts {
		return known(signer.AssetRequests, time.Hour, signer.PerAsset, asset, big.NewInt(n))
	}
	counted := rulesText("allow = true\nlimit \"l\" {\n" + few + "\n}")
	judge(t, map[string]ruling{
		"the second request":               {counted, nil, moved(ether, 1), signer.Allow, ""},
		"the third request":                {counted, nil, moved(ether, 2), signer.Deny, `limit "l": asked 1 request of eth, spent 2 requests in 1h, maximum 2 requests, left 0 requests`},
		"another asset is counted apart":   {counted, pay(dollars(1)), moved(ether, 2), signer.Allow, ""},
		"one of two assets has had enough": {counted, pay(dollars(1), base(1)), moved(usdc, 2), signer.Deny, "of usdc"},
		"the fee's asset counts":           {counted, charged(dollars(1), base(1)), moved(ether, 2), signer.Deny, "of eth"},
		"an asset of which nothing moves":  {counted, pay(dollars(0), base(1)), nil, signer.Allow, ""},
		"nothing moves":                    {counted, does(signer.Effect{Class: signer.ClassInvalidate}), nil, signer.Allow, ""},
		"without a bound, it is one too":   {counted, pay(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether}), moved(ether, 2), signer.Deny, "of eth"},
		"it is not known which asset":      {counted, pay(signer.Quantity{Kind: signer.QuantityUnknown}), nil, signer.Deny, "the payload does not say which asset leaves"},
		"nothing is known of the asset":    {counted, nil, func(f signer.Facts) signer.Facts { f.Spent = nil; return f }, signer.Deny, "of eth in 1h is not known"},
	})
	p := load(t, counted)
	prop := transfer(t, acme, "1")
	if d := p.Decide(prop, unspent(p, prop)); len(d.Limits) != 1 || d.Limits[0].Asset != signer.AssetRequests || d.Limits[0].Per != signer.PerAsset || d.Limits[0].Subject != ether {
		t.Errorf("uses = %+v", d.Limits)
	}
}

func TestALimitThatCountsByNothingKnownRefuses(t *testing.T) {
	p := load(t, allow("limit \"l\" {\namount = \"5 eth\"\n}"))
	p.rules[0].limits[0].per = "moon"
	prop := transfer(t, acme, "1")
	if d := p.Decide(prop, unspent(p, prop)); d.Verdict != signer.Deny || !strings.Contains(d.Reason, `nothing is counted per "moon"`) {
		t.Errorf("Decide = %s (%s)", d.Verdict, d.Reason)
	}
}

func TestMisplacedPers(t *testing.T) {
	in := func(args string) string { return allow("limit \"l\" {\n" + args + "\n}") }
	misplaced(t, map[string]struct{ src, want string }{
		"misspelt":                         {in("amount = \"1 eth\"\nper = «\"recipent\"»"), `nothing is counted per "recipent"; did you mean "recipient"?`},
		"per fee":                          {in("amount = \"1 eth\"\nper = «\"fee\"»"), "there are: key, caller, recipient, asset"},
		"per nothing":                      {in("amount = \"1 eth\"\nper = «\"\"»"), "there are: key"},
		"per recipient alone":              {allow("«limit \"l\"» {\namount = \"1 eth\"\nwindow = \"1h\"\nper = \"recipient\"\n}"), "nothing in rule \"r\" bounds the sum of all"},
		"covered by another asset":         {allow("«limit \"l\"» {\namount = \"1 eth\"\nper = \"recipient\"\n}\nlimit \"m\" {\namount = \"1 usdc\"\n}"), "add a limit of eth without per"},
		"covered by a count":               {allow("«limit \"l\"» {\namount = \"1 eth\"\nper = \"recipient\"\n}\nlimit \"m\" {\ncount = 1\nwindow = \"1h\"\n}"), "add a limit of eth"},
		"covered by one per recipient":     {allow("«limit \"l\"» {\namount = \"1 eth\"\nper = \"recipient\"\n}\nlimit \"m\" {\namount = \"1 eth\"\nwindow = \"1h\"\nper = \"recipient\"\n}"), "add a limit of eth"},
		"per caller without a window":      {in("amount = \"1 eth\"\nper = «\"caller\"»"), "needs a window"},
		"an amount per asset":              {in("amount = \"1 eth\"\nwindow = \"1h\"\nper = «\"asset\"»"), "an amount names its asset already"},
		"a count per recipient, no window": {allow("«limit \"l\"» {\ncount = 1\nper = \"recipient\"\n}"), "count needs a window"},
		"a count per asset, no window":     {allow("«limit \"l\"» {\ncount = 1\nper = \"asset\"\n}"), "count needs a window"},
	})
}

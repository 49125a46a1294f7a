package policy

import (
	"bytes"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// allowAll and its like are policies of one rule.
func allow(args string) string {
	return assetsText + "rule \"r\" {\n  allow = true\n" + args + "\n}\n"
}

func allowWhen(condition string) string { return allow("when = <<E\n" + condition + "\nE") }

func denyWhen(condition string) string {
	return allow("") + "rule \"no\" {\n  deny = \"because\"\n  when = <<E\n" + condition + "\nE\n}\n"
}

// decisions is a table of policies, proposals and facts.
type decision struct {
	policy string
	change func(t *testing.T, p *signer.Proposal)
	facts  func(f signer.Facts) signer.Facts
	allow  bool
	reason []string // parts of it
}

// ruled is what a policy makes of a payment of one ether, or of what that is changed to.
func ruled(t *testing.T, policy string, change func(*testing.T, *signer.Proposal), facts func(signer.Facts) signer.Facts) signer.Decision {
	t.Helper()
	p := load(t, policy)
	prop := transfer(t, acme, "1")
	if change != nil {
		change(t, &prop)
	}
	f := unspent(p, prop)
	if facts != nil {
		f = facts(f)
	}
	agrees(t, p, prop, f)
	return p.Decide(prop, f)
}

func run(t *testing.T, tests map[string]decision) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := ruled(t, tt.policy, tt.change, tt.facts)
			if got := d.Verdict == signer.Allow; got != tt.allow {
				t.Fatalf("Decide = %s (%s), want allow: %t", d.Verdict, d.Reason, tt.allow)
			}
			if (d.Reason == "") != tt.allow {
				t.Errorf("%s with reason %q", d.Verdict, d.Reason)
			}
			for _, part := range tt.reason {
				if !strings.Contains(d.Reason, part) {
					t.Errorf("reason = %q, want it to contain %q", d.Reason, part)
				}
			}
		})
	}
}

func pay(qs ...signer.Quantity) func(*testing.T, *signer.Proposal) {
	return func(_ *testing.T, p *signer.Proposal) { *p = pays(*p, qs...) }
}

func ethers(s string) func(*testing.T, *signer.Proposal) {
	return func(t *testing.T, p *signer.Proposal) { *p = transfer(t, acme, s) }
}

func class(c signer.Class) func(*testing.T, *signer.Proposal) {
	return func(_ *testing.T, p *signer.Proposal) {
		p.Intent.Effects[0].Class = c
		p.Intent.Complete = c != signer.ClassUnknownCall && c != signer.ClassOpaque
	}
}

// handed makes a proposal of a class that is read in full where the book knows the code.
func handed(c signer.Class, complete bool) func(*testing.T, *signer.Proposal) {
	return func(_ *testing.T, p *signer.Proposal) {
		p.Intent.Effects[0].Class, p.Intent.Complete = c, complete
	}
}

func caller(c signer.Caller) func(*testing.T, *signer.Proposal) {
	return func(_ *testing.T, p *signer.Proposal) { p.Caller = c }
}

func TestTheSample(t *testing.T) {
	treasury := func(c signer.Caller, amount string) func(*testing.T, *signer.Proposal) {
		return func(t *testing.T, p *signer.Proposal) {
			*p = transfer(t, hacker, amount)
			p.Caller, p.Key, p.Request.Key = c, testKey("treasury", 2), "treasury"
		}
	}
	alice := signer.Caller{UID: 1001, User: "alice", Socket: "sign", Identified: true}
	fin := signer.Caller{UID: 1002, User: "bob", Groups: []string{"bob", "finance"}, Socket: "sign", Identified: true}
	mallory := signer.Caller{UID: 1003, User: "mallory", Groups: []string{"mallory"}, Socket: "sign", Identified: true}
	run(t, map[string]decision{
		"a small payout to a vendor":        {sample, nil, nil, true, nil},
		"a small payout to somebody":        {sample, func(t *testing.T, p *signer.Proposal) { *p = transfer(t, hacker, "1") }, nil, false, []string{`no rule allows it: rule "small payouts": its condition is false`}},
		"exactly the limit":                 {sample, ethers("2.5"), nil, true, nil},
		"one wei above the limit":           {sample, ethers("2.500000000000000001"), nil, false, []string{`rule "small payouts", limit "each": asked 2.500000000000000001 eth (2500000000000000001) with fees at their maximum, maximum 2.5 eth (2500000000000000000) per request`}},
		"two people for the treasury":       {sample, treasury(fin, "50"), nil, true, nil},
		"the other one":                     {sample, treasury(alice, "50"), nil, true, nil},
		"a third one":                       {sample, treasury(mallory, "50"), nil, false, []string{`no rule allows it: none lets uid:1003 use key "treasury"`}},
		"the treasury by the payroll":       {sample, treasury(transfer(t, acme, "1").Caller, "1"), nil, false, []string{`none lets uid:1000 use key "treasury"`}},
		"the hot key over another socket":   {sample, caller(signer.Caller{UID: 1000, User: "payroll", Socket: "sign", Identified: true}), nil, false, []string{`none lets uid:1000 use key "hot"`}},
		"a standing permission":             {sample, class(signer.ClassAllowance), nil, false, []string{`rule "no standing permissions" denies: standing permissions are not allowed`}},
		"another asset, small as it may be": {sample, pay(signer.Exact(usdc, big.NewInt(1))), nil, false, []string{`an outflow of 0.000001 usdc (1) is not covered by any limit of rule "small payouts"`}},
		"an asset nobody named":             {sample, pay(signer.Exact("eip155:1/erc20:0x1", big.NewInt(5))), nil, false, []string{"an outflow of 5 base units of eip155:1/erc20:0x1 is not covered"}},
		"the last of the day": {sample, ethers("2"), func(f signer.Facts) signer.Facts {
			return spent(f, ether, day, big.NewInt(8e18))
		}, true, nil},
		"a wei more than the last of the day": {sample, ethers("2.000000000000000001"), func(f signer.Facts) signer.Facts {
			return spent(f, ether, day, big.NewInt(8e18))
		}, false, []string{`rule "small payouts", limit "a day": asked 2.000000000000000001 eth`, "spent 8 eth (8000000000000000000) in 24h, maximum 10 eth", "left 2 eth (2000000000000000000); the oldest part frees at 2026-11-23T11:00:00Z"}},
		"all of a limit that was touched": {sample, treasury(alice, "100"), func(f signer.Facts) signer.Facts {
			return spent(f, ether, week, big.NewInt(1))
		}, false, []string{"left 99.999999999999999999 eth (99999999999999999999); the oldest part frees at 2026-11-23T11:00:00Z"}},
		"a limit that was lowered": {sample, nil, func(f signer.Facts) signer.Facts {
			return spent(f, ether, day, new(big.Int).Mul(big.NewInt(1e18), big.NewInt(11)))
		}, false, []string{"left 0 eth (0)"}},
		"more than ever": {sample, treasury(alice, "101"), nil, false, []string{"it is more than the limit ever lets through"}},
		"the third in an hour": {sample, treasury(alice, "1"), func(f signer.Facts) signer.Facts {
			return spent(f, signer.AssetRequests, time.Hour, big.NewInt(2))
		}, true, nil},
		"the fourth in an hour": {sample, treasury(alice, "1"), func(f signer.Facts) signer.Facts {
			return spent(f, signer.AssetRequests, time.Hour, big.NewInt(3))
		}, false, []string{`limit "few": asked 1 request, spent 3 requests in 1h, maximum 3 requests, left 0 requests`}},
	})
}

func TestDenyWins(t *testing.T) {
	deny := "rule \"never\" {\n  deny = \"no\"\n}\n"
	run(t, map[string]decision{
		"after a rule that allows":             {allow("") + deny, nil, nil, false, []string{`rule "never" denies: no`}},
		"before a rule that allows":            {strings.Replace(allow(""), "rule \"r\"", deny+"rule \"r\"", 1), nil, nil, false, []string{"no"}},
		"over a condition that fails":          {denyWhen("true") + "rule \"x\" {\n  allow = true\n  when = \"effects[7].class == 'transfer'\"\n}\n", nil, nil, false, []string{`rule "no" denies: because`}},
		"whatever is blind":                    {allow(`blind = ["unknown_call"]`) + deny, class(signer.ClassUnknownCall), nil, false, []string{"denies: no"}},
		"not where it is about another key":    {allow("") + "rule \"never\" {\n  keys = [\"treasury\"]\n  deny = \"no\"\n}\n", nil, nil, true, nil},
		"not where it is about another caller": {allow("") + "rule \"never\" {\n  callers = [\"user:alice\"]\n  deny = \"no\"\n}\n", nil, nil, true, nil},
		"not where it is about another kind":   {allow("") + "rule \"never\" {\n  kinds = [\"digest\"]\n  deny = \"no\"\n}\n", nil, nil, true, nil},
		"not where its condition is false":     {denyWhen("kind == 'digest'"), nil, nil, true, nil},
		"nothing allows by itself":             {assetsText + elsewhere, nil, nil, false, []string{"no rule allows it"}},
		"not denying is not allowing":          {assetsText + elsewhere + "rule \"no\" {\n  deny = \"x\"\n  when = \"false\"\n}\n", nil, nil, false, []string{"no rule allows it: none lets"}},
	})
}

func TestAConditionThatFailsDenies(t *testing.T) {
	other := "rule \"x\" {\n  allow = true\n  when = <<E\n%\nE\n}\n"
	beside := func(condition string) string { return allow("") + strings.Replace(other, "%", condition, 1) }
	unlimited := pay(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether})
	run(t, map[string]decision{
		"in a rule that allows":                {allowWhen("effects[7].class == 'transfer'"), nil, nil, false, []string{`rule "r": its condition cannot be evaluated: `}},
		"beside a rule that allows":            {beside("effects[7].class == 'transfer'"), nil, nil, false, []string{`rule "x": its condition cannot be evaluated`}},
		"in a rule that denies":                {denyWhen("effects[7].class == 'transfer'"), nil, nil, false, []string{`rule "no": its condition cannot be evaluated`}},
		"amounts of different assets":          {allowWhen("effects[0].quantity.amount <= amount('1 usdc')"), nil, nil, false, []string{"amounts of different assets"}},
		"amounts of different assets, equal":   {allowWhen("effects[0].quantity.amount == amount('1 usdc')"), nil, nil, false, []string{"amounts of different assets"}},
		"amounts of different assets, not so":  {allowWhen("!(effects[0].quantity.amount == amount('1 usdc'))"), nil, nil, false, []string{"amounts of different assets"}},
		"amounts of different assets, added":   {allowWhen("effects[0].quantity.amount + amount('1 usdc') > amount('1 eth')"), nil, nil, false, []string{"amounts of different assets"}},
		"an unlimited quantity":                {allowWhen("effects.all(e, e.quantity.amount <= amount('1 eth'))"), unlimited, nil, false, []string{"a quantity of kind unlimited has no amount"}},
		"an unlimited quantity above a bound":  {denyWhen("effects.exists(e, e.quantity.amount > amount('1 eth'))"), unlimited, nil, false, []string{"a quantity of kind unlimited has no amount"}},
		"a quantity that lost its number":      {allowWhen("effects[0].quantity.amount <= amount('1 eth')"), pay(signer.Quantity{Kind: signer.QuantityExact, Asset: ether}), nil, false, []string{"a quantity of kind exact has no amount"}},
		"an unlimited quantity with a number":  {allowWhen("effects[0].quantity.amount <= amount('1 eth')"), pay(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether, N: big.NewInt(1)}), nil, false, []string{"a quantity of kind unlimited has no amount"}},
		"no fee":                               {allowWhen("fee.amount <= amount('1 eth')"), nil, nil, false, []string{"a quantity of kind none has no amount"}},
		"an effect without end":                {allowWhen("effects.all(e, e.until < time + duration('24h'))"), nil, nil, false, []string{"never ends by itself"}},
		"an attribute that is not there":       {allowWhen("effects.all(e, e.attributes.contract == '" + acme + "')"), nil, nil, false, []string{"no such key"}},
		"no journal time":                      {allowWhen("time > timestamp('2020-01-01T00:00:00Z')"), nil, func(f signer.Facts) signer.Facts { f.Time = time.Time{}; return f }, false, []string{"journal time is missing"}},
		"but not where it decides nothing":     {allowWhen("effects[7].class == 'transfer' || kind == 'evm.transaction'"), nil, nil, true, nil},
		"nor in a rule about another key":      {allow("") + "rule \"x\" {\n  keys = [\"treasury\"]\n  allow = true\n  when = \"effects[7].class == 'transfer'\"\n}\n", nil, nil, true, nil},
		"nor in a rule about another kind":     {allow("") + "rule \"x\" {\n  kinds = [\"digest\"]\n  allow = true\n  when = \"effects[7].class == 'transfer'\"\n}\n", nil, nil, true, nil},
		"and many effects are within the cost": {allowWhen("effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors && e.quantity.amount < amount('2 eth'))"), func(_ *testing.T, p *signer.Proposal) { p.Intent.Effects = slices.Repeat(p.Intent.Effects, maxEffects) }, nil, true, nil},
	})
}

func TestLimitsCover(t *testing.T) {
	limit := func(args string) string { return allow("limit \"l\" {\n" + args + "\n}") }
	eth1 := limit("amount = \"1 eth\"")
	fee := signer.AtMost(ether, big.NewInt(21000))
	count := limit("count = 5\nwindow = \"1h\"")
	run(t, map[string]decision{
		"what is limited":                 {eth1, nil, nil, true, nil},
		"the fee counts":                  {eth1, pay(signer.Exact(ether, big.NewInt(1e18)), fee), nil, false, []string{"asked 1.000000000000021 eth"}},
		"the fee counts alone":            {eth1, pay(signer.Exact(usdc, big.NewInt(1)), fee), nil, false, []string{"an outflow of 0.000001 usdc (1) is not covered"}},
		"a fee that is not covered":       {limit("amount = \"5 usdc\""), pay(signer.Exact(usdc, big.NewInt(1)), fee), nil, false, []string{"an outflow of 0.000000000000021 eth (21000) is not covered"}},
		"an unlimited quantity":           {eth1, pay(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether}), nil, false, []string{"an outflow of eth is unlimited"}},
		"an unknown quantity":             {eth1, pay(signer.Quantity{Kind: signer.QuantityUnknown}), nil, false, []string{"an outflow of an asset that could not be read is unknown"}},
		"a quantity that lost its number": {eth1, pay(signer.Quantity{Kind: signer.QuantityExact, Asset: ether}), nil, false, []string{"an outflow of eth is exact, and no limit"}},
		"a quantity of a kind to come":    {eth1, pay(signer.Quantity{Kind: 99, Asset: ether, N: big.NewInt(1)}), nil, false, []string{"no limit of rule"}},
		"an effect left out of the outflow": {eth1, func(_ *testing.T, p *signer.Proposal) {
			p.Intent.Effects[0].Quantity = signer.Quantity{Kind: signer.QuantityUnknown}
			p.Intent.Outflow = nil
		}, nil, false, []string{"an effect of class transfer moves an amount that is unknown"}},
		"nothing that flows":             {eth1, func(_ *testing.T, p *signer.Proposal) { *p = pays(*p, signer.Quantity{}) }, nil, true, nil},
		"a count says nothing of assets": {count, pay(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc}), nil, true, nil},
		"a rule without limits neither":  {allow(""), pay(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc}), nil, true, nil},
		"a count that is used up":        {count, nil, func(f signer.Facts) signer.Facts { return spent(f, signer.AssetRequests, time.Hour, big.NewInt(5)) }, false, []string{"maximum 5 requests"}},
		"a piece of a collection": {eth1, pay(signer.Exact(apes+"/7", big.NewInt(1))), nil, false, []string{
			"an outflow of 1 base units of " + apes + "/7 is not covered by any limit", `write an asset with id = "` + apes + `/7" and decimals = 0 and limit that, or allow pieces in a rule without limits by amount`}},
		"a piece that is an asset":              {"asset \"ape7\" {\n  id = \"" + apes + "/7\"\n  decimals = 0\n}\n" + limit("amount = \"1 ape7\""), pay(signer.Exact(apes+"/7", big.NewInt(1))), nil, true, nil},
		"an asset that is called like counts":   {allow("limit \"l\" {\namount = \"1 eth\"\n}\nlimit \"m\" {\ncount = 5\nwindow = \"1h\"\n}"), pay(signer.Exact(signer.AssetRequests, big.NewInt(1))), nil, false, []string{"is not covered by any limit"}},
		"a fact that is missing":                {limit("amount = \"1 eth\"\nwindow = \"24h\""), nil, func(f signer.Facts) signer.Facts { f.Spent = nil; return f }, false, []string{"what was spent of " + ether + " in 24h is not known"}},
		"a fact of another window":              {limit("amount = \"1 eth\"\nwindow = \"24h\""), nil, func(f signer.Facts) signer.Facts { f.Spent[0].Window = time.Hour; return f }, false, []string{"is not known"}},
		"a fact of another asset":               {limit("amount = \"1 eth\"\nwindow = \"24h\""), nil, func(f signer.Facts) signer.Facts { f.Spent[0].Asset = usdc; return f }, false, []string{"is not known"}},
		"a fact without a number":               {limit("amount = \"1 eth\"\nwindow = \"24h\""), nil, func(f signer.Facts) signer.Facts { return spent(f, ether, day, nil) }, false, []string{"is not known"}},
		"a fact that is negative":               {limit("amount = \"1 eth\"\nwindow = \"24h\""), nil, func(f signer.Facts) signer.Facts { return spent(f, ether, day, big.NewInt(-1)) }, false, []string{"is not known"}},
		"a count whose fact is missing":         {count, nil, func(f signer.Facts) signer.Facts { f.Spent = nil; return f }, false, []string{"what was spent of requests in 1h is not known"}},
		"limits of every rule that allows":      {eth1 + "rule \"s\" {\n  allow = true\n  limit \"tiny\" {\n    amount = \"0.5 eth\"\n  }\n}\n", nil, nil, false, []string{`rule "s", limit "tiny"`}},
		"also beside a rule without any":        {allow("") + "rule \"s\" {\n  allow = true\n  limit \"tiny\" {\n    amount = \"0.5 eth\"\n  }\n}\n", nil, nil, false, []string{`rule "s", limit "tiny"`}},
		"and each covers every asset":           {eth1 + "rule \"s\" {\n  allow = true\n  limit \"u\" {\n    amount = \"5 usdc\"\n  }\n}\n", nil, nil, false, []string{`1 eth (1000000000000000000) is not covered by any limit of rule "s"`}},
		"all limits of one rule, each in turn":  {limit("amount = \"1 eth\"\n}\nlimit \"m\" {\namount = \"0.9 eth\""), nil, nil, false, []string{`limit "m"`}},
		"a limit of nothing lets nothing":       {limit("amount = \"0 eth\""), nil, nil, false, []string{"maximum 0 eth (0) per request"}},
		"two assets, each within its own limit": {limit("amount = \"1 eth\"\n}\nlimit \"u\" {\namount = \"5 usdc\""), pay(signer.Exact(usdc, big.NewInt(5e6)), fee), nil, true, nil},
	})
}

func TestCallers(t *testing.T) {
	by := func(selector string) string { return allow(`callers = ["` + selector + `"]`) }
	nobody := signer.Caller{UID: 1000, Identified: true}
	run(t, map[string]decision{
		"a user":                          {by("user:payroll"), nil, nil, true, nil},
		"another user":                    {by("user:alice"), nil, nil, false, []string{"none lets uid:1000 use"}},
		"a group":                         {by("group:sealward"), nil, nil, true, nil},
		"another group":                   {by("group:wheel"), nil, nil, false, nil},
		"a socket":                        {by("socket:payroll"), nil, nil, true, nil},
		"another socket":                  {by("socket:sign"), nil, nil, false, nil},
		"a unit":                          {by("unit:system.slice/payroll.service"), nil, nil, true, nil},
		"a unit within it":                {by("unit:system.slice/payroll.service/x"), nil, nil, false, nil},
		"a uid":                           {by("uid:1000"), nil, nil, true, nil},
		"another uid":                     {by("uid:0"), nil, nil, false, nil},
		"one of several":                  {allow(`callers = ["user:alice", "uid:1000"]`), nil, nil, true, nil},
		"a user of no name":               {by("user:payroll"), caller(nobody), nil, false, nil},
		"a unit that could not be proven": {by("unit:system.slice/payroll.service"), caller(nobody), nil, false, nil},
		"a caller that is nobody":         {allow(""), caller(signer.Caller{}), nil, false, []string{"the caller is not identified"}},
	})
}

func TestBlind(t *testing.T) {
	create := func(complete bool) func(*testing.T, *signer.Proposal) {
		return func(_ *testing.T, p *signer.Proposal) {
			p.Intent.Effects[0].Class, p.Intent.Complete = signer.ClassCreate, complete
		}
	}
	both := func(_ *testing.T, p *signer.Proposal) {
		p.Intent.Effects = append(p.Intent.Effects, signer.Effect{Class: signer.ClassOpaque}, signer.Effect{Class: signer.ClassUnknownCall})
		p.Intent.Complete = false
	}
	call := class(signer.ClassUnknownCall)
	other := "rule \"s\" {\n  allow = true\n  blind = [\"opaque\"]\n}\n"
	run(t, map[string]decision{
		"an unknown call":                               {allow(""), call, nil, false, []string{`no rule that allows it has blind = ["unknown_call"]`}},
		"an unknown call that is named":                 {allow(`blind = ["unknown_call"]`), call, nil, true, nil},
		"an unknown call where another is named":        {allow(`blind = ["opaque"]`), call, nil, false, []string{"could not be read in full"}},
		"an unknown call in an intent that lies":        {allow(""), func(_ *testing.T, p *signer.Proposal) { p.Intent.Effects[0].Class = signer.ClassUnknownCall }, nil, false, []string{"unknown_call"}},
		"an opaque digest":                              {allow(""), class(signer.ClassOpaque), nil, false, []string{`["opaque"]`}},
		"an opaque digest that is named":                {allow(`blind = ["opaque"]`), class(signer.ClassOpaque), nil, true, nil},
		"two classes, one of them named":                {allow(`blind = ["opaque"]`), both, nil, false, []string{`["opaque", "unknown_call"]`}},
		"two classes, both named":                       {allow(`blind = ["unknown_call", "opaque"]`), both, nil, true, nil},
		"two classes, each named by a rule":             {allow(`blind = ["unknown_call"]`) + other, both, nil, false, []string{"could not be read in full"}},
		"a contract from code that was not read":        {allow(""), create(false), nil, false, []string{`["create"]`}},
		"a contract that is named":                      {allow(`blind = ["create"]`), create(false), nil, true, nil},
		"a contract from code that was read":            {allow(""), create(true), nil, true, nil},
		"a part that nobody names":                      {allow(`blind = ["unknown_call", "opaque", "create"]`), func(_ *testing.T, p *signer.Proposal) { p.Intent.Complete = false }, nil, false, []string{"does not say which"}},
		"typed data of an unknown type":                 {allow(""), class(signer.ClassUnknownMessage), nil, false, []string{`["unknown_message"]`}},
		"typed data that is named":                      {allow(`blind = ["unknown_message"]`), class(signer.ClassUnknownMessage), nil, true, nil},
		"a delegatecall":                                {allow(""), class(signer.ClassDelegateCall), nil, false, []string{`["delegatecall"]`}},
		"a delegatecall of an intent that lies":         {allow(""), func(_ *testing.T, p *signer.Proposal) { p.Intent.Effects[0].Class = signer.ClassDelegateCall }, nil, false, []string{`["delegatecall"]`}},
		"a delegatecall that is named":                  {allow(`blind = ["delegatecall"]`), class(signer.ClassDelegateCall), nil, true, nil},
		"a delegation to code of the book":              {allow(""), handed(signer.ClassDelegation, true), nil, true, nil},
		"a delegation to code that nobody read":         {allow(""), handed(signer.ClassDelegation, false), nil, false, []string{`["delegation"]`}},
		"a delegation that is named":                    {allow(`blind = ["delegation"]`), handed(signer.ClassDelegation, false), nil, true, nil},
		"an owner of the account":                       {allow(""), handed(signer.ClassControl, true), nil, true, nil},
		"a module that nobody read":                     {allow(""), handed(signer.ClassControl, false), nil, false, []string{`["control"]`}},
		"a module that is named":                        {allow(`blind = ["control"]`), handed(signer.ClassControl, false), nil, true, nil},
		"power that is named does not stand for a call": {allow(`blind = ["control", "delegation"]`), call, nil, false, []string{`["unknown_call"]`}},
		"an operator needs no eyes but those of a rule": {allow(""), handed(signer.ClassOperator, true), nil, true, nil},
		"blind does not lift limits": {allow("blind = [\"unknown_call\"]\nlimit \"l\" {\n  amount = \"1 eth\"\n}"), func(t *testing.T, p *signer.Proposal) {
			call(t, p)
			p.Intent.Outflow = signer.Outflow(signer.Quantity{Kind: signer.QuantityUnknown})
		}, nil, false, []string{"no limit of rule"}},
		"a rule that does not see still has limits": {allow(`blind = ["unknown_call"]`) + "rule \"s\" {\n  allow = true\n  limit \"tiny\" {\n    amount = \"0.5 eth\"\n  }\n}\n", call, nil, false, []string{`limit "tiny"`}},
	})
}

func TestWhatNoDecoderMakesIsRefused(t *testing.T) {
	run(t, map[string]decision{
		"an intent without effects": {allow(""), func(_ *testing.T, p *signer.Proposal) { p.Intent.Effects = nil }, nil, false, []string{"no effect"}},
		"an asset in two pieces": {allow(""), func(_ *testing.T, p *signer.Proposal) {
			p.Intent.Outflow = append(p.Intent.Outflow, p.Intent.Outflow[0])
		}, nil, false, []string{"one element per asset"}},
		"an outflow out of order": {allow(""), func(_ *testing.T, p *signer.Proposal) {
			p.Intent.Outflow = []signer.Quantity{signer.Exact(ether, big.NewInt(1)), signer.Exact(usdc, big.NewInt(1))}
		}, nil, false, []string{"sorted"}},
		"an outflow below zero":        {allow(""), pay(signer.Exact(ether, big.NewInt(-1))), nil, false, []string{"is negative"}},
		"a key of another name":        {allow(""), func(_ *testing.T, p *signer.Proposal) { p.Key = testKey("cold", 1) }, nil, false, []string{`key "cold" is not a key that this policy was loaded with`}},
		"another key of the same name": {allow(""), func(_ *testing.T, p *signer.Proposal) { p.Key = testKey("hot", 3) }, nil, false, []string{`key "hot" is not a key`}},
		"a key without a fingerprint":  {allow(""), func(_ *testing.T, p *signer.Proposal) { p.Key.Fingerprint = "" }, nil, false, []string{`key "hot" is not a key`}},
	})
}

func TestTheZeroPolicyRefuses(t *testing.T) {
	var none *Policy
	for name, p := range map[string]*Policy{"zero": {}, "nil": none, "rules without keys": {rules: []rule{{name: "r", allow: true}}}} {
		prop := transfer(t, acme, "1")
		if d := p.Decide(prop, signer.Facts{Time: at}); d.Verdict != signer.Deny || d.Reason == "" {
			t.Errorf("%s: Decide = %s, %q", name, d.Verdict, d.Reason)
		}
		if p.Grants(prop.Caller, prop.Key) {
			t.Errorf("%s: Grants = true", name)
		}
	}
	empty := &Policy{keys: map[string]string{"hot": testKey("hot", 1).Fingerprint}, rules: []rule{{name: "empty"}}}
	if d := empty.Decide(transfer(t, acme, "1"), signer.Facts{Time: at}); d.Verdict != signer.Deny {
		t.Errorf("a rule that does nothing: Decide = %s", d.Verdict)
	}
}

func TestConditionsSeeEverything(t *testing.T) {
	prop := transfer(t, acme, "1")
	e := &prop.Intent.Effects[0]
	e.Until, e.Attributes = at.Add(time.Hour), map[string]string{"contract": acme}
	prop.Intent.Fee = signer.AtMost(ether, big.NewInt(21000))
	prop.Intent.Outflow = signer.Outflow(e.Quantity, prop.Intent.Fee, signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc})
	prop.Intent.Warnings = []signer.Warning{{Code: "evm_zero_address", Severity: signer.SeverityDanger, Text: "x"}}
	for _, condition := range []string{
		"effects.size() == 1 && effects[0].class == 'transfer'",
		"effects.exists_one(e, e.actor.startsWith('eip155:1:') && e.counterparty == '" + acme + "')",
		"effects.map(e, e.counterparty) .all(c, c in addresses.vendors)",
		"effects.filter(e, e.quantity.asset == assets.eth).size() == 1",
		"addresses.vendors[effects[0].counterparty] == 'Acme Hosting'",
		"effects[0].quantity.kind == 'exact' && effects[0].quantity.amount == amount('1 eth')",
		"effects.all(e, e.quantity.amount >= amount('0.999999999999999999 eth') && e.quantity.amount < amount('1.000000000000000001 eth'))",
		"!(effects[0].quantity.amount == amount('2 eth')) && !(effects[0].quantity.amount == amount('0.5 eth'))",
		"effects[0].quantity.amount + fee.amount > amount('1 eth')",
		"has(effects[0].until) && effects[0].until <= time + duration('24h')",
		"has(effects[0].attributes.contract) && effects[0].attributes['contract'] == '" + acme + "'",
		"!has(effects[0].attributes.selector) && !('selector' in effects[0].attributes)",
		"intent.complete",
		"intent.class == 'transfer' && intent.class in ['transfer', 'allowance'] && !effects[0].revokes",
		"outflow.exists(q, q.asset == assets.usdc && q.kind == 'unlimited' && !has(q.amount))",
		"outflow.exists(q, q.asset == assets.eth && q.amount == amount('1.000000000000021 eth') && has(q.amount))",
		"fee.kind == 'at_most' && fee.asset == '" + ether + "'",
		"warnings.exists(w, w.code == 'evm_zero_address' && w.severity == 'danger')",
		"kind == 'evm.transaction'",
		"key.name == 'hot' && key.protection == 'resident' && key.algorithm == 'secp256k1'",
		"caller.uid == 1000 && caller.user == 'payroll' && 'sealward' in caller.groups && caller.socket == 'payroll' && caller.unit == 'system.slice/payroll.service'",
		"time == timestamp('2026-11-23T10:00:00Z') && time.getDayOfWeek() == 1 && time.getHours() == 10",
		"time.getHours('Europe/Berlin') == 11 && time.getHours('+02:00') == 12",
		"kind.matches('^evm[.]') && size(kind) == 15",
		"[1, 2].exists(x, x == 2) ? true : false",
	} {
		p := load(t, allowWhen(condition))
		if d := p.Decide(prop, signer.Facts{Time: at, Wall: at}); d.Verdict != signer.Allow {
			t.Errorf("%s: %s", condition, d.Reason)
		}
		p = load(t, denyWhen(condition))
		if d := p.Decide(prop, signer.Facts{Time: at, Wall: at}); d.Verdict != signer.Deny || !strings.Contains(d.Reason, "denies: because") {
			t.Errorf("%s: denies with %q", condition, d.Reason)
		}
	}
}

func TestDecisionsNameRulesAndLimits(t *testing.T) {
	p := load(t, sample+"rule \"also\" {\n  allow = true\n}\n")
	prop := transfer(t, acme, "3")
	d := p.Decide(prop, spent(unspent(p, prop), ether, day, big.NewInt(9e18)))
	if d.Verdict != signer.Deny || !slices.Equal(d.Rules, []string{"small payouts", "also"}) {
		t.Errorf("Decide = %s by %v", d.Verdict, d.Rules)
	}
	want := []signer.LimitUse{
		{Rule: "small payouts", Limit: "each", Asset: ether, Max: wei(t, "2.5"), Spent: new(big.Int), Amount: wei(t, "3")},
		{Rule: "small payouts", Limit: "a day", Asset: ether, Window: day, Max: wei(t, "10"), Spent: wei(t, "9"), Amount: wei(t, "3"), Frees: at.Add(time.Hour)},
	}
	if len(d.Limits) != len(want) {
		t.Fatalf("%d limits, want %d", len(d.Limits), len(want))
	}
	for i, w := range want {
		g := d.Limits[i]
		if g.Rule != w.Rule || g.Limit != w.Limit || g.Asset != w.Asset || g.Window != w.Window || !g.Frees.Equal(w.Frees) ||
			g.Max.Cmp(w.Max) != 0 || g.Spent.Cmp(w.Spent) != 0 || g.Amount.Cmp(w.Amount) != 0 || !g.Exceeded() {
			t.Errorf("limit %d = %+v, want %+v", i, g, w)
		}
	}
	if d := p.Decide(transfer(t, acme, "1"), unspent(p, prop)); d.Verdict != signer.Allow || len(d.Limits) != 2 {
		t.Errorf("Decide = %s with %d limits; limits that hold are reported too", d.Verdict, len(d.Limits))
	}
}

func TestRefusalsDoNotTellOfOtherPeoplesRules(t *testing.T) {
	p := load(t, sample+"rule \"secret\" {\n  callers = [\"user:alice\"]\n  allow = true\n}\n")
	d := p.Decide(transfer(t, hacker, "1"), signer.Facts{Time: at})
	if strings.Contains(d.Reason, "secret") || strings.Contains(d.Reason, "large payouts") {
		t.Errorf("reason = %q", d.Reason)
	}
}

func TestALongListOfNearMissesIsCutShort(t *testing.T) {
	src := assetsText
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		src += "rule \"" + n + "\" {\n  kinds = [\"digest\"]\n  allow = true\n}\n"
	}
	d := load(t, src).Decide(transfer(t, acme, "1"), signer.Facts{Time: at})
	if want := `rule "e": not for kind "evm.transaction"; and 2 more`; !strings.HasSuffix(d.Reason, want) {
		t.Errorf("reason = %q, want it to end with %q", d.Reason, want)
	}
}

func TestGrants(t *testing.T) {
	p := load(t, sample)
	payroll := transfer(t, acme, "1").Caller
	stranger := signer.Caller{UID: 7, Socket: "sign", Identified: true}
	unknown := payroll
	unknown.Identified = false
	for name, tt := range map[string]struct {
		c    signer.Caller
		k    signer.KeyInfo
		want bool
	}{
		"a key of the caller's":          {payroll, testKey("hot", 1), true},
		"a key of somebody else's":       {payroll, testKey("treasury", 2), false},
		"a stranger":                     {stranger, testKey("hot", 1), false},
		"a caller that is nobody":        {unknown, testKey("hot", 1), false},
		"a key by a name it has not":     {payroll, testKey("hot", 2), false},
		"a rule that denies is no grant": {stranger, testKey("treasury", 2), false},
	} {
		if got := p.Grants(tt.c, tt.k); got != tt.want {
			t.Errorf("%s: Grants = %t, want %t", name, got, tt.want)
		}
	}
}

func TestDecideIsPure(t *testing.T) {
	p := load(t, sample)
	prop := transfer(t, acme, "1")
	f := unspent(p, prop)
	canonical := func() []byte {
		d := p.Decide(prop, f)
		return signer.Event{Type: signer.EventAuthorized, Proposal: &prop, Facts: &f, Decision: &d}.Canonical()
	}
	want := canonical()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got := canonical(); !bytes.Equal(got, want) {
					t.Errorf("another decision: %s", got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkDecide(b *testing.B) {
	p := load(b, sample)
	prop := transfer(b, acme, "1")
	f := unspent(p, prop)
	b.ReportAllocs()
	for b.Loop() {
		if d := p.Decide(prop, f); d.Verdict != signer.Allow {
			b.Fatal(d.Reason)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b, sample)
	}
}

package policy

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// peopleText names three approvers, of whom one may be known by a local user. By its
// recovery it can be changed, whatever rules follow.
const peopleText = assetsText + `approver "alice" {
  certificate = "approvers/alice.pem"
  users       = ["alice"]
}
approver "bob" {
  certificate = "approvers/bob.pem"
}
approver "carol" {
  certificate = "approvers/carol.pem"
}
group "treasury" {
  members = ["alice", "bob", "carol"]
}
group "security" {
  members = ["carol"]
}
recovery {
  group     = "security"
  approvals = 1
}
`

// rulesText is a policy of rules named by letters, each with its arguments and blocks.
func rulesText(rules ...string) string {
	src := peopleText
	for i, args := range rules {
		src += fmt.Sprintf("rule %q {\n%s\n}\n", string(rune('a'+i)), args)
	}
	return src
}

// ruling is a policy, what is asked, what is known, and what becomes of it.
type ruling struct {
	policy string
	change func(t *testing.T, p *signer.Proposal)
	facts  func(f signer.Facts) signer.Facts
	want   signer.Verdict
	reason string // for an Ask and a Deny; a part of it
}

func judge(t *testing.T, tests map[string]ruling) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := ruled(t, tt.policy, tt.change, tt.facts)
			if d.Verdict != tt.want || !strings.Contains(d.Reason, tt.reason) {
				t.Errorf("Decide = %s, %q; want %s, %q", d.Verdict, d.Reason, tt.want, tt.reason)
			}
			if (d.Verdict == signer.Allow) != (d.Reason == "") {
				t.Errorf("%s with reason %q", d.Verdict, d.Reason)
			}
			if d.Verdict != signer.Ask && (len(d.Quorums) > 0 || d.Delay != 0 || d.Expires != 0) {
				t.Errorf("%s with %v, delay %s, expires %s", d.Verdict, d.Quorums, d.Delay, d.Expires)
			}
		})
	}
}

// flow is a transfer of some asset.
func flow(to string, q signer.Quantity) signer.Effect {
	return signer.Effect{Class: signer.ClassTransfer, Actor: hot, Counterparty: to, Quantity: q}
}

func coin(t testing.TB, ethers string) signer.Quantity { return signer.Exact(ether, wei(t, ethers)) }

// effects replaces what a proposal does; whatever the effects move leaves.
func effects(p signer.Proposal, es ...signer.Effect) signer.Proposal {
	p.Intent.Effects = es
	var out []signer.Quantity
	for _, e := range es {
		out = append(out, e.Quantity)
	}
	p.Intent.Outflow = signer.Outflow(out...)
	return p
}

// does is a change to effects.
func does(es ...signer.Effect) func(*testing.T, *signer.Proposal) {
	return func(_ *testing.T, p *signer.Proposal) { *p = effects(*p, es...) }
}

// known sets what was spent before.
func known(asset string, window time.Duration, per signer.Per, subject string, n *big.Int) func(signer.Facts) signer.Facts {
	return func(f signer.Facts) signer.Facts {
		return spentBy(f, asset, signer.Measure{Window: window, Per: per}, subject, n)
	}
}

func TestAmountsAreMultiplied(t *testing.T) {
	for condition, want := range map[string]bool{
		"outflow[0].amount == amount('0.5 eth') * 2":                                            true,
		"outflow[0].amount == 2 * amount('0.5 eth')":                                            true,
		"outflow[0].amount < amount('0.5 eth') * 2":                                             false,
		"outflow[0].amount <= amount('0.3 eth') * 3":                                            false,
		"outflow[0].amount + amount('1 eth') == amount('1 eth') * effects.size() * 2":           true,
		"outflow[0].amount * 100 <= amount('100 eth') && 3 * 4 == 12 && 1.5 * 2.0 == 3.0":       true,
		"amount('0 eth') * 9223372036854775807 == amount('0 eth') && 2u * 3u == 6u":             true,
		"amount('1 eth') * 9223372036854775807 * 9223372036854775807 > outflow[0].amount":       true,
		"outflow[0].amount > amount('1 eth') * 0":                                               true,
		"outflow.all(q, q.amount * 5 <= 5 * amount('1 eth')) && outflow[0].asset == assets.eth": true,
	} {
		t.Run(condition, func(t *testing.T) {
			p := load(t, allowWhen(condition))
			d := p.Decide(transfer(t, acme, "1"), signer.Facts{Time: at})
			if (d.Verdict == signer.Allow) != want || strings.Contains(d.Reason, "cannot be evaluated") {
				t.Errorf("Decide = %s (%s), want allow: %t", d.Verdict, d.Reason, want)
			}
		})
	}
	for condition, want := range map[string]string{
		"outflow[0].amount * -1 < amount('1 eth')":                    "negative",
		"amount('1 usdc') * 2 < outflow[0].amount":                    "different assets",
		"9223372036854775807 * effects.size() * 2 > 0":                "overflow",
		"amount('1 eth') * (effects.size() - 2) <= outflow[0].amount": "negative",
	} {
		t.Run(condition, func(t *testing.T) {
			d := load(t, allowWhen(condition)).Decide(transfer(t, acme, "1"), signer.Facts{Time: at})
			if d.Verdict != signer.Deny || !strings.Contains(d.Reason, "cannot be evaluated") || !strings.Contains(d.Reason, want) {
				t.Errorf("Decide = %s (%s), want %q", d.Verdict, d.Reason, want)
			}
		})
	}
	for _, condition := range []string{
		"amount('1 eth') * amount('1 eth') > amount('1 eth')", "amount('1 eth') * 0.5 < outflow[0].amount", "amount('1 eth') * 2u < outflow[0].amount",
	} {
		if _, err := Load("policy.hcl", []byte(allowWhen(condition)), testEnv()); err == nil || !strings.Contains(err.Error(), "does not apply to") {
			t.Errorf("%s: Load error = %v", condition, err)
		}
	}
}

func TestNewRecipients(t *testing.T) {
	fresh := func(accounts ...string) func(signer.Facts) signer.Facts {
		return func(f signer.Facts) signer.Facts { f.NewRecipients = accounts; return f }
	}
	first := rulesText("allow = true", `deny = "the first payment is a small one"
  when = "effects.exists(e, e.counterparty in new_recipients && e.quantity.amount > amount('0.1 eth'))"`)
	judge(t, map[string]ruling{
		"a large first payment":               {first, nil, fresh(acme), signer.Deny, "the first payment is a small one"},
		"a small first payment":               {first, ethers("0.1"), fresh(acme), signer.Allow, ""},
		"one unit above":                      {first, ethers("0.100000000000000001"), fresh(acme), signer.Deny, "small one"},
		"a large second payment":              {first, nil, nil, signer.Allow, ""},
		"somebody else is new":                {first, nil, fresh(hacker), signer.Allow, ""},
		"one of two in a batch":               {first, does(flow(acme, coin(t, "1")), flow(hacker, coin(t, "0.2"))), fresh(hacker), signer.Deny, "small one"},
		"who is new was not said":             {first, nil, func(f signer.Facts) signer.Facts { f.Recipients = false; return f }, signer.Deny, "which recipients are new is missing"},
		"approvals for the first payment":     {rulesText("require {\n group = \"treasury\"\n approvals = 1\n}\nwhen = \"new_recipients.size() > 0\"", "allow = true"), nil, fresh(acme), signer.Ask, `needs 1 approval of "treasury" (rule "a")`},
		"no approvals for the second payment": {rulesText("require {\n group = \"treasury\"\n approvals = 1\n}\nwhen = \"new_recipients.size() > 0\"", "allow = true"), nil, nil, signer.Allow, ""},
	})
	if !load(t, first).Needs().Recipients {
		t.Error("the policy does not say that it has to be told of new recipients")
	}
	for name, condition := range map[string]string{"no condition": "", "another one": "when = \"effects.all(new, new.counterparty != '')\"", "a text": "when = \"kind == 'digest' || caller.user == 'new_recipients'\""} {
		if load(t, allow(condition)).Needs().Recipients {
			t.Errorf("%s: Needs().Recipients = true", name)
		}
	}
}

func TestPolicyChangesAreNamed(t *testing.T) {
	changes := func(_ *testing.T, p *signer.Proposal) {
		administers(nil, p)
		p.Intent.Effects[0] = signer.Effect{Class: signer.ClassPolicyChange, Attributes: map[string]string{
			signer.AttributePolicyFrom: strings.Repeat("0a", 32), signer.AttributePolicyTo: strings.Repeat("0b", 32), signer.AttributeReason: "review",
		}}
	}
	to := func(v string) string {
		return admin("when = \"effects.all(e, e.class == 'policy_change' && e.attributes.to == '" + v + "' && has(e.attributes.reason))\"")
	}
	judge(t, map[string]ruling{
		"the version that was reviewed": {to(strings.Repeat("0b", 32)), changes, nil, signer.Allow, ""},
		"another version":               {to(strings.Repeat("0c", 32)), changes, nil, signer.Deny, "its condition is false"},
	})
	for v, want := range map[string]string{strings.Repeat("0B", 32): "64 lower-case hexadecimal digits", "0x" + strings.Repeat("0b", 32): "the version of a policy", "": "never occurs"} {
		if _, err := Load("policy.hcl", []byte(to(v)), testEnv()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("version %q: Load error = %v", v, err)
		}
	}
}

// Whoever mends one thing should not learn of the next one only then.
func TestEveryRefusalIsInTheReason(t *testing.T) {
	p := load(t, rulesText(
		"allow = true\nlimit \"each\" {\n amount = \"0.5 eth\"\n}\nfee {\n amount = \"0 eth\"\n}",
		"allow = true\nlimit \"few\" {\n count = 1\n window = \"1h\"\n}",
		"deny = \"holidays\"",
		"deny = \"never on such days\"\nwhen = \"effects[1].class == 'transfer'\"",
		"allow = true\nwhen = \"outflow[0].amount < amount('1 usdc')\"",
	))
	prop := tx(t, flow(acme, coin(t, "1")))
	prop.Intent.Complete = false
	f := spent(unspent(p, prop), signer.AssetRequests, time.Hour, big.NewInt(1))
	d := p.Decide(prop, f)
	for _, want := range []string{
		`rule "c" denies: holidays`, `rule "d": its condition cannot be evaluated`, `rule "e": its condition cannot be evaluated`,
		"part of the payload could not be read", `rule "a", limit "each": asked 1.001 eth`, `rule "a": the fee could be 0.001 eth`, `rule "b", limit "few": asked 1 request`,
	} {
		if !strings.Contains(d.Reason, want) {
			t.Errorf("reason = %q, want %q in it", d.Reason, want)
		}
	}
	if d.Verdict != signer.Deny || len(d.Limits) != 3 || !strings.HasPrefix(d.Reason, `rule "c" denies`) {
		t.Errorf("Decide = %s with %d limits, %q", d.Verdict, len(d.Limits), d.Reason)
	}
}

func TestNeedsAreTheMeasures(t *testing.T) {
	p := load(t, rulesText(`allow = true
limit "a" {
  amount = "1 eth"
  window = "24h"
}
limit "b" {
  amount = "1 usdc"
  window = "1d"
}
limit "c" {
  amount = "1 eth"
  per    = "recipient"
  window = "24h"
}
limit "d" {
  count  = 1
  per    = "asset"
  window = "1h"
}
limit "e" {
  count  = 1
  per    = "caller"
  window = "24h"
}
limit "f" {
  amount = "1 eth"
  per    = "recipient"
}
limit "g" {
  amount = "1 eth"
  per    = "key"
}`))
	want := []signer.Measure{{Window: time.Hour, Per: signer.PerAsset}, {Window: day}, {Window: day, Per: signer.PerCaller}, {Window: day, Per: signer.PerRecipient}}
	if got := p.Needs(); fmt.Sprint(got.Measures) != fmt.Sprint(want) || got.Recipients {
		t.Errorf("Needs = %v, want %v", got, want)
	}
	var pers []signer.Per
	for _, l := range p.Limits("hot", nil) {
		pers = append(pers, l.Per)
	}
	if got := fmt.Sprintf("%q", pers); got != `["" "" "recipient" "asset" "caller" "recipient" ""]` {
		t.Errorf("Limits are per %s", got)
	}
}

func TestAFeeThatIsNotInTheOutflowIsRefused(t *testing.T) {
	fee := func(q signer.Quantity) func(*testing.T, *signer.Proposal) {
		return func(_ *testing.T, p *signer.Proposal) { p.Intent.Fee = q }
	}
	judge(t, map[string]ruling{
		"a fee of what leaves":   {allow(""), fee(coin(t, "1")), nil, signer.Allow, ""},
		"more than leaves":       {allow(""), fee(coin(t, "1.000000000000000001")), nil, signer.Deny, "not part of the outflow"},
		"of an asset that stays": {allow(""), fee(signer.Exact(usdc, big.NewInt(1))), nil, signer.Deny, "not part of the outflow"},
		"of an outflow that is left out": {allow(""), func(_ *testing.T, p *signer.Proposal) {
			p.Intent.Fee, p.Intent.Outflow = signer.Exact(ether, big.NewInt(1)), nil
		}, nil, signer.Deny, "not part of the outflow"},
		"a negative one":               {allow(""), fee(signer.Exact(ether, big.NewInt(-1))), nil, signer.Deny, "not part of the outflow"},
		"unlimited of what is bounded": {allow(""), fee(signer.Quantity{Kind: signer.QuantityUnlimited, Asset: ether}), nil, signer.Deny, "not part of the outflow"},
		"none of an asset that stays":  {allow(""), fee(signer.Exact(usdc, new(big.Int))), nil, signer.Allow, ""},
	})
}

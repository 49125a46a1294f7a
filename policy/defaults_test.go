package policy

import (
	"fmt"
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// The books of the default policy, with its examples taken at their word.
const (
	exchange = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	delegate = "eip155:1:0x27b1fdb04752bbc536007a920d24acb045561c26"
	nobody   = "eip155:1:0x0000000000000000000000000000000000000000"
	vault    = "eip155:1:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359" // a Safe
	apes     = "eip155:1/erc721:0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"
)

// defaultPolicy is what "sealward init" writes, once its owner filled in the books,
// with more rules behind it.
func defaultPolicy(t testing.TB, more string) *Policy {
	t.Helper()
	text, err := os.ReadFile("../cmd/sealward/templates/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	src := strings.NewReplacer("{{.Policy}}", "policy.hcl", "{{q .Caller}}", `"group:sealward"`, `# "eip155`, `"eip155`).Replace(string(text))
	for _, account := range []string{acme, exchange, delegate} {
		if !strings.Contains(src, "\n    \""+account+"\" = ") {
			t.Fatalf("the template has no example %s", account)
		}
	}
	return load(t, src+more)
}

// careless is the worst rule that an owner may add, and careful one that allows what it
// is not blind to.
const (
	careful  = "rule \"careful\" {\n  allow = true\n}\n"
	careless = "rule \"careless\" {\n  allow = true\n" + `  blind = ["opaque", "unknown_call", "unknown_message", "delegatecall", "delegation", "create", "control"]` + "\n}\n"
)

var unlimitedUSDC = signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc}

// asked is a request of some kind with these effects, as the decoders shape it.
func asked(t testing.TB, kind signer.Kind, effects ...signer.Effect) signer.Proposal {
	p := transfer(t, acme, "0")
	p.Request.Kind, p.Intent.Kind = kind, kind
	p.Intent.Effects = effects
	var out []signer.Quantity
	for i, e := range effects {
		if e.Actor == "" {
			effects[i].Actor = hot
		}
		out = append(out, e.Quantity)
	}
	if kind == signer.KindEVMTransaction {
		p.Intent.Fee = signer.AtMost(ether, big.NewInt(1e15))
		out = append(out, p.Intent.Fee)
	}
	p.Intent.Outflow = signer.Outflow(out...)
	return p
}

func tx(t testing.TB, effects ...signer.Effect) signer.Proposal {
	return asked(t, signer.KindEVMTransaction, effects...)
}

func typed(t testing.TB, effects ...signer.Effect) signer.Proposal {
	return asked(t, signer.KindEVMTypedData, effects...)
}

func unread(p signer.Proposal) signer.Proposal { p.Intent.Complete = false; return p }

func warned(p signer.Proposal, s signer.Severity, codes ...string) signer.Proposal {
	for _, c := range codes {
		p.Intent.Warnings = append(p.Intent.Warnings, signer.Warning{Code: c, Severity: s, Text: c})
	}
	return p
}

func dangerous(p signer.Proposal, codes ...string) signer.Proposal {
	return warned(p, signer.SeverityDanger, codes...)
}

func paid(to string, q signer.Quantity) signer.Effect {
	return signer.Effect{Class: signer.ClassTransfer, Counterparty: to, Quantity: q}
}

func allowed(to string, q signer.Quantity, until time.Time) signer.Effect {
	return signer.Effect{Class: signer.ClassAllowance, Counterparty: to, Quantity: q, Until: until,
		Attributes: map[string]string{"contract": "eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}}
}

// permit is an allowance that is signed, of a token's own (ERC-2612): the signature ends,
// what it set does not. Without an end it can be used for ever.
func permit(to string, q signer.Quantity, usable time.Time) signer.Effect {
	e := allowed(to, q, time.Time{})
	if !usable.IsZero() {
		e.Attributes["usable_until"] = usable.UTC().Format(time.RFC3339)
	}
	return e
}

// ending is an effect that ends by itself.
func ending(e signer.Effect, until time.Time) signer.Effect {
	e.Until = until
	return e
}

// permit2 is one whose allowance ends by itself.
func permit2(to string, q signer.Quantity, usable, until time.Time) signer.Effect {
	e := permit(to, q, usable)
	e.Until = until
	return e
}

// power is an effect whose quantity nobody knows.
func power(c signer.Class, to string, attributes ...string) signer.Effect {
	e := signer.Effect{Class: c, Counterparty: to, Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: map[string]string{}}
	for i := 0; i+1 < len(attributes); i += 2 {
		e.Attributes[attributes[i]] = attributes[i+1]
	}
	return e
}

func units(n int64) signer.Quantity { return signer.Exact(usdc, big.NewInt(n)) }

func weis(n int64) signer.Quantity { return signer.Exact(ether, big.NewInt(n)) }

const noPower, noDanger, noFee, noDelegation, noAllowance = "no power over the account", "no danger", "no high fee",
	"delegation to known code only", "allowances are for spenders, bounded and short"

// notRead stands for no rule, but for blindness.
const notRead = "-"

// TestTheDefaultPolicyAgainstHostilePayloads goes through the payloads that must not
// fool anyone. Each is denied by the default policy as it is. Those that name a rule are
// denied by it whatever rules the owner adds; what could not be read is denied beside
// any rule that is not blind. The rest is a matter of what the owner allows.
func TestTheDefaultPolicyAgainstHostilePayloads(t *testing.T) {
	soon, late := at.Add(30*day), at.Add(30*day+time.Second)
	hundred := units(100e6)
	unknown := power(signer.ClassUnknownCall, hacker, "selector", "0xa9059cbb", "looks_like", "transfer(address,uint256)", "calldata_length", "68")
	for name, tt := range map[string]struct {
		payload signer.Proposal
		rule    string
	}{
		"row 1: an unlimited approve":                               {dangerous(tx(t, allowed(exchange, unlimitedUSDC, time.Time{})), "evm_unlimited_allowance"), noAllowance},
		"row 1: an unlimited approve that no warning goes with":     {tx(t, allowed(exchange, unlimitedUSDC, time.Time{})), noAllowance},
		"row 1: an approve for a stranger":                          {tx(t, allowed(hacker, hundred, time.Time{})), noAllowance},
		"row 1: an approve for a payee":                             {tx(t, allowed(acme, hundred, time.Time{})), noAllowance},
		"row 2: a permit until the year 2100":                       {typed(t, permit(exchange, hundred, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))), noAllowance},
		"row 2: a permit for a second more than 30 days":            {typed(t, permit(exchange, hundred, late)), noAllowance},
		"row 2: a permit that never ends":                           {typed(t, permit(exchange, hundred, time.Time{})), noAllowance},
		"row 2: a permit of Permit2 for a second more than 30 days": {typed(t, permit2(exchange, hundred, soon, late)), noAllowance},
		"row 2: and one whose signature lasts":                      {typed(t, permit2(exchange, hundred, late, soon)), noAllowance},
		"row 2: and one of which nobody knows how long it lasts":    {typed(t, permit2(exchange, hundred, time.Time{}, soon)), noAllowance},
		"row 2: a permit with a time that is none":                  {typed(t, badPermit(exchange, hundred)), ""},
		"row 2: and one in a transaction, which the decoder notes":  {warned(tx(t, allowed(exchange, hundred, time.Time{})), signer.SeverityWarn, "evm_never_expires"), noAllowance},
		"row 2: an allowance with an end, on the chain, too late":   {tx(t, allowed(exchange, hundred, late)), noAllowance},
		"row 2: an unlimited permit for a spender":                  {typed(t, permit(exchange, unlimitedUSDC, soon)), noAllowance},
		"row 2: a permit for a stranger":                            {typed(t, permit(hacker, hundred, soon)), noAllowance},
		"row 2: a second permit behind a good one":                  {typed(t, permit(exchange, hundred, soon), permit(hacker, hundred, soon)), noAllowance},
		"row 2: a transfer to send a second more than 30 days on":   {typed(t, ending(paid(acme, hundred), late)), ""},
		"row 3: an operator of a collection":                        {dangerous(tx(t, signer.Effect{Class: signer.ClassOperator, Counterparty: exchange, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: apes}}), "evm_operator"), noPower},
		"row 4: a delegatecall from a Safe":                         {unread(typed(t, power(signer.ClassDelegateCall, hacker))), noPower},
		"row 4: a delegatecall that was read, so to speak":          {typed(t, power(signer.ClassDelegateCall, acme)), noPower},
		"row 5: a refund for gas to a stranger":                     {warned(typed(t, paid(acme, hundred), refund(hacker, 1e17)), signer.SeverityWarn, "evm_gas_refund"), ""},
		"row 5: a refund above the limit":                           {warned(typed(t, paid(acme, hundred), refund(acme, 6e17)), signer.SeverityWarn, "evm_gas_refund"), ""},
		"row 6: a delegation to a stranger":                         {unread(dangerous(asked(t, signer.KindEVMAuthorization, power(signer.ClassDelegation, hacker)), "evm_delegation")), noDelegation},
		"row 6: a delegation to a payee":                            {dangerous(asked(t, signer.KindEVMAuthorization, power(signer.ClassDelegation, acme)), "evm_delegation"), noDelegation},
		"row 6: a delegation on every chain":                        {dangerous(asked(t, signer.KindEVMAuthorization, power(signer.ClassDelegation, delegate, "every_chain", "true")), "evm_delegation"), noDelegation},
		"row 6: the same by the decoder's warning":                  {dangerous(asked(t, signer.KindEVMAuthorization, power(signer.ClassDelegation, delegate)), "evm_delegation", "evm_every_chain"), noDanger},
		"row 6: hidden in a transaction that pays":                  {dangerous(tx(t, paid(acme, weis(1)), power(signer.ClassDelegation, hacker)), "evm_delegation"), noDelegation},
		"row 7: a payee that only looks like one":                   {dangerous(tx(t, paid(hacker, weis(1e17))), "evm_resembles_known"), noDanger},
		"row 7: a spender that only looks like one":                 {dangerous(typed(t, permit(hacker, hundred, soon)), "evm_resembles_known"), noDanger},
		"row 8: a message that may not read as it looks":            {warned(asked(t, signer.KindEVMMessage, signer.Effect{Class: signer.ClassMessage}), signer.SeverityWarn, "evm_message_hidden_characters", "evm_message_mixed_scripts"), ""},
		"row 9: a permit without a chain":                           {unread(dangerous(typed(t, permit(exchange, hundred, soon)), "evm_every_chain")), noDanger},
		"row 9: a permit for a contract that is not known":          {unread(dangerous(typed(t, permit(exchange, hundred, soon), power(signer.ClassUnknownMessage, hacker)), "evm_unknown_contract")), noDanger},
		"row 9: the same without a warning":                         {unread(typed(t, permit(exchange, hundred, soon), power(signer.ClassUnknownMessage, hacker))), notRead},
		"row 11: typed data of an unknown type":                     {unread(typed(t, power(signer.ClassUnknownMessage, hacker, "type", "Order"))), notRead},
		"row 12: a fee that drains the account":                     {withFee(t, tx(t, paid(acme, weis(1))), ether, 5e16+1), noFee},
		"row 12: a fee in a coin that has no cap":                   {withFee(t, tx(t, paid(acme, weis(1))), "eip155:137/slip44:60", 1), noFee},
		"row 18: a hash of who knows what":                          {unread(dangerous(asked(t, signer.KindDigest, power(signer.ClassOpaque, "")), "digest_opaque")), noDanger},
		"row 18: the same without a warning":                        {unread(asked(t, signer.KindDigest, power(signer.ClassOpaque, ""))), notRead},
		"row 19: a login for another account":                       {dangerous(asked(t, signer.KindEVMMessage, signer.Effect{Class: signer.ClassLogin, Attributes: map[string]string{"domain": "example.com"}}), "evm_login_mismatch"), noDanger},
		"row 20: a token that calls itself USDC":                    {unread(dangerous(tx(t, power(signer.ClassUnknownCall, hacker)), "evm_unknown_call")), noDanger},
		"row 20: a listed token, for which there is no limit":       {tx(t, paid(acme, signer.Exact("eip155:1/erc20:0x8617E340B3D01FA5F11F306F4090FD50E238070D", big.NewInt(1)))), ""},
		"row 21: an approve hidden in a batch":                      {typed(t, paid(acme, hundred), within("2.1", allowed(hacker, unlimitedUSDC, time.Time{}))), noAllowance},
		"row 21: an operator hidden in a batch":                     {tx(t, paid(acme, hundred), within("2", signer.Effect{Class: signer.ClassOperator, Counterparty: hacker, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: apes}})), noPower},
		"row 21: a leaf of a batch that cannot be read":             {unread(tx(t, paid(acme, hundred), within("2", unknown))), notRead},
		"row 22: a transfer by its selector, of an unknown token":   {unread(tx(t, unknown)), notRead},
		"row 23: code that the book does not have":                  {unread(typed(t, power(signer.ClassControl, hacker, "act", "enable_module"))), noPower},
		"row 24: a contract is created":                             {unread(warned(tx(t, signer.Effect{Class: signer.ClassCreate, Counterparty: hacker}), signer.SeverityWarn, "evm_contract_creation")), noPower},
		"row 24: a contract is created from code that was read":     {tx(t, signer.Effect{Class: signer.ClassCreate, Counterparty: hacker}), noPower},
		"row 25: a Safe without a chain in its domain":              {unread(dangerous(typed(t, paid(acme, hundred)), "evm_every_chain")), noDanger},
		"row 26: one stranger among 500 payees":                     {tx(t, payees(500, 317)...), ""},
		"row 26: 500 payees whose sum is above the limit":           {tx(t, append(payees(499, -1), paid(acme, weis(5e17)))...), ""},
		"control: an owner is added":                                {typed(t, power(signer.ClassControl, hacker, "act", "add_owner", "threshold", "1")), noPower},
		"control: a guard goes":                                     {typed(t, power(signer.ClassControl, nobody, "act", "set_guard")), noPower},
		"lost: the zero address":                                    {dangerous(tx(t, paid(nobody, weis(1))), "evm_zero_address"), noDanger},
		"lost: the contract of a token":                             {dangerous(tx(t, paid("eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", weis(1))), "evm_to_token_contract"), noDanger},
		"a danger that decoders learn to see one day":               {dangerous(tx(t, paid(acme, weis(1))), "evm_to_come"), noDanger},
	} {
		t.Run(name, func(t *testing.T) {
			if p := defaultPolicy(t, ""); p.Decide(tt.payload, unspent(p, tt.payload)).Verdict != signer.Deny {
				t.Error("the default policy lets it through")
			}
			if tt.rule == "" {
				return
			}
			more, want := careless, fmt.Sprintf("rule %q denies", tt.rule)
			if tt.rule == notRead {
				more, want = careful, "could not be read in full"
			}
			p := defaultPolicy(t, more)
			agrees(t, p, tt.payload, unspent(p, tt.payload))
			if d := p.Decide(tt.payload, unspent(p, tt.payload)); !strings.Contains(d.Reason, want) {
				t.Errorf("reason = %q, want %q in it", d.Reason, want)
			}
		})
	}
}

// TestTheDefaultPolicyLetsTheBenignTwinsThrough has, for the payloads above, what
// differs from them by what makes them bad. Some need a rule of the owner's, because
// nothing in the default policy allows their like; what denies stays as it is.
func TestTheDefaultPolicyLetsTheBenignTwinsThrough(t *testing.T) {
	soon := at.Add(30 * day)
	hundred := units(100e6)
	delegations := "rule \"ours\" {\n  keys  = [\"hot\"]\n  kinds = [\"evm.authorization\"]\n  when  = \"effects.all(e, e.class == 'delegation')\"\n  allow = true\n}\n"
	revocations := "rule \"ours\" {\n  keys  = [\"hot\"]\n  when  = \"effects.all(e, e.revokes)\"\n  allow = true\n}\n"
	texts := "rule \"ours\" {\n  keys  = [\"hot\"]\n  kinds = [\"evm.message\"]\n  allow = true\n}\n"
	for name, tt := range map[string]struct {
		payload signer.Proposal
		more    string
	}{
		"row 1: a bounded approve for a spender":           {tx(t, allowed(exchange, hundred, time.Time{})), ""},
		"row 1: an approve taken back":                     {tx(t, allowed(hacker, units(0), time.Time{})), ""},
		"row 2: a permit for a spender, for 30 days":       {typed(t, permit(exchange, hundred, soon)), ""},
		"row 2: a permit of Permit2, for 30 days":          {typed(t, permit2(exchange, hundred, soon, soon)), ""},
		"row 2: an allowance of Permit2 in a transaction":  {tx(t, permit2(exchange, hundred, time.Time{}, soon)), ""},
		"row 2: a permit taken back":                       {typed(t, permit(hacker, units(0), soon)), ""},
		"row 2: a transfer to send within 30 days":         {typed(t, ending(paid(acme, hundred), soon)), ""},
		"row 3: an operator sent away":                     {tx(t, signer.Effect{Class: signer.ClassOperator, Counterparty: hacker, Quantity: signer.Exact(apes, new(big.Int))}), revocations},
		"row 4: a Safe that pays a payee":                  {typed(t, signer.Effect{Class: signer.ClassTransfer, Actor: vault, Counterparty: acme, Quantity: hundred}), ""},
		"row 5: a refund for gas to a payee, counted":      {warned(typed(t, paid(acme, hundred), refund(acme, 4e17)), signer.SeverityWarn, "evm_gas_refund"), ""},
		"row 6: a delegation to code of the book":          {dangerous(asked(t, signer.KindEVMAuthorization, power(signer.ClassDelegation, delegate)), "evm_delegation"), delegations},
		"row 6: a delegation that ends":                    {dangerous(asked(t, signer.KindEVMAuthorization, signer.Effect{Class: signer.ClassDelegation, Counterparty: nobody}), "evm_delegation"), delegations},
		"row 7: the payee itself":                          {tx(t, paid(acme, weis(1e17))), ""},
		"row 8: a message, where the owner allows them":    {asked(t, signer.KindEVMMessage, signer.Effect{Class: signer.ClassMessage}), texts},
		"row 12: a fee below the cap":                      {withFee(t, tx(t, paid(acme, weis(1))), ether, 5e16), ""},
		"row 19: a login as oneself":                       {asked(t, signer.KindEVMMessage, signer.Effect{Class: signer.ClassLogin, Attributes: map[string]string{"domain": "example.com"}}), texts},
		"row 20: the token of the book":                    {tx(t, paid(acme, hundred)), ""},
		"row 21: a batch of payments and an allowance":     {tx(t, paid(acme, hundred), within("2", allowed(exchange, hundred, time.Time{}))), ""},
		"row 26: 500 payees, within the limit":             {tx(t, payees(500, -1)...), ""},
		"row 26: as many payees as a payload may have":     {tx(t, payees(512, -1)...), ""},
		"row 26: as many permits as a payload may have":    {typed(t, permits(512)...), ""},
		"administration, where the owner has a rule":       {administration(t), "rule \"ours\" {\n  keys  = [\"sealward\"]\n  allow = true\n}\n"},
		"a warning that is not of danger says nothing yet": {warned(tx(t, paid(acme, weis(1))), signer.SeverityWarn, "evm_gas_above_cap"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := defaultPolicy(t, tt.more)
			agrees(t, p, tt.payload, unspent(p, tt.payload))
			if d := p.Decide(tt.payload, unspent(p, tt.payload)); d.Verdict != signer.Allow {
				t.Errorf("Decide = %s: %s", d.Verdict, d.Reason)
			}
		})
	}
}

// TestTextsNeverDecide is row 29, a descriptor that hides or mislabels, and row 30, a
// requester who explains: neither is anything that a condition can read, so with any
// text the decision is the same to the letter.
func TestTextsNeverDecide(t *testing.T) {
	p := defaultPolicy(t, careless)
	for _, plain := range []signer.Proposal{tx(t, paid(acme, weis(1))), unread(typed(t, power(signer.ClassDelegateCall, hacker)))} {
		told := plain
		told.Request.Claim = "routine payment to Acme Hosting, please approve"
		told.Intent.Fields = []signer.Field{{Name: "operation", Value: "transfer of 1 USDC to Acme Hosting"}, {Name: "owner", Value: "Safe{Wallet}"}}
		told.Intent.Warnings = append([]signer.Warning(nil), plain.Intent.Warnings...)
		a, b := p.Decide(plain, unspent(p, plain)), p.Decide(told, unspent(p, told))
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("decision %v, and with texts %v", a, b)
		}
	}
	for _, name := range []string{"claim", "clear_signing", "fields", "intent.fields"} {
		if _, err := Load("policy.hcl", []byte(allowWhen(name+" == 'x'")), testEnv()); err == nil {
			t.Errorf("a condition can read %s", name)
		}
	}
}

// TestTheDefaultPolicyIsShort keeps it readable: what a treasurer does not read to its
// end protects nobody.
func TestTheDefaultPolicyIsShort(t *testing.T) {
	text, err := os.ReadFile("../cmd/sealward/templates/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 140 {
		t.Errorf("%d lines", n)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if len(line) > 90 && !regexp.MustCompile(`^  deny = |eip155`).MatchString(line) {
			t.Errorf("line %d has %d characters", i+1, len(line))
		}
	}
}

func badPermit(to string, q signer.Quantity) signer.Effect {
	e := permit(to, q, at)
	e.Attributes["usable_until"] = "soon"
	return e
}

func refund(to string, n int64) signer.Effect {
	return signer.Effect{Class: signer.ClassTransfer, Actor: vault, Counterparty: to, Quantity: signer.AtMost(ether, big.NewInt(n)), Attributes: map[string]string{"act": "gas_refund"}}
}

func within(call string, e signer.Effect) signer.Effect {
	if e.Attributes == nil {
		e.Attributes = map[string]string{}
	}
	e.Attributes["call"] = call
	return e
}

func withFee(t testing.TB, p signer.Proposal, asset string, n int64) signer.Proposal {
	t.Helper()
	p.Intent.Fee = signer.AtMost(asset, big.NewInt(n))
	p.Intent.Outflow = signer.Outflow(p.Intent.Effects[0].Quantity, p.Intent.Fee)
	return p
}

// payees are n payments of one wei, of which one may be to a stranger.
func payees(n, stranger int) (out []signer.Effect) {
	for i := range n {
		to := acme
		if i == stranger {
			to = hacker
		}
		out = append(out, within(fmt.Sprint(i+1), paid(to, weis(1))))
	}
	return out
}

// permits are n permits that the default policy has to look at longest.
func permits(n int) (out []signer.Effect) {
	for range n {
		out = append(out, permit2(exchange, units(1), at.Add(day), at.Add(day)))
	}
	return out
}

func administration(t *testing.T) signer.Proposal {
	p := transfer(t, acme, "0")
	administers(t, &p)
	return p
}

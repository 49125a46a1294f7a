package console

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

var unknown = signer.Quantity{Kind: signer.QuantityUnknown}

// each has an effect of every class, and of those that have two sides, of both.
func each() map[string]signer.Effect {
	none := big.NewInt(0)
	zero := "eip155:1:0x0000000000000000000000000000000000000000"
	control := func(act, who string) signer.Effect {
		return signer.Effect{Class: signer.ClassControl, Actor: safe, Counterparty: who, Quantity: unknown, Attributes: map[string]string{"act": act, "threshold": "1", "call": "2.1"}}
	}
	out := map[string]signer.Effect{
		"opaque":                            {Class: signer.ClassOpaque},
		"unknown call":                      {Class: signer.ClassUnknownCall, Actor: me, Counterparty: router, Quantity: unknown, Attributes: map[string]string{"looks_like": "transfer(address,uint256)", "selector": "0xa9059cbb"}},
		"unknown message":                   {Class: signer.ClassUnknownMessage, Actor: me, Counterparty: router, Quantity: unknown, Attributes: map[string]string{"type": "Order"}},
		"delegatecall":                      {Class: signer.ClassDelegateCall, Actor: safe, Counterparty: poison, Quantity: unknown, Attributes: map[string]string{"call": "1"}},
		"delegation":                        {Class: signer.ClassDelegation, Actor: me, Counterparty: router, Quantity: unknown, Attributes: map[string]string{"every_chain": "true"}},
		"delegation ends":                   {Class: signer.ClassDelegation, Actor: me, Counterparty: zero},
		"create":                            {Class: signer.ClassCreate, Actor: me, Counterparty: poison, Quantity: signer.Exact(eth, wei("7"))},
		"operator":                          {Class: signer.ClassOperator, Actor: me, Counterparty: router, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: punks}},
		"operator revoked":                  {Class: signer.ClassOperator, Actor: me, Counterparty: router, Quantity: signer.Exact(punks, none)},
		"operator of a newer daemon":        {Class: signer.ClassOperator, Actor: me, Counterparty: router, Quantity: unknown},
		"allowance":                         {Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc}, Until: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC), Attributes: map[string]string{"contract": "eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "usable_until": "2026-11-24T12:00:00Z"}},
		"allowance of an item":              {Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.AtMost(punks+"/17", big.NewInt(1))},
		"allowance lowered":                 {Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: unknown, Attributes: map[string]string{"act": "decrease"}},
		"allowance revoked":                 {Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.Exact(usdc, none)},
		"transfer":                          {Class: signer.ClassTransfer, Actor: safe, Counterparty: acme, Quantity: signer.Exact(usdc, wei("2500000"))},
		"transfer to nobody":                {Class: signer.ClassTransfer, Actor: safe, Counterparty: zero, Quantity: signer.Exact(punks+"/17", big.NewInt(1))},
		"transfer to whoever":               {Class: signer.ClassTransfer, Actor: safe, Quantity: signer.AtMost(eth, wei("5")), Attributes: map[string]string{"act": "gas_refund"}},
		"exchange":                          {Class: signer.ClassExchange, Actor: me, Counterparty: "eip155:1:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", Quantity: signer.Exact(eth, wei("1500000000000000000")), Attributes: map[string]string{"act": "wrap", "receives": weth, "receives_amount": "1500000000000000000"}},
		"exchange for nothing that is said": {Class: signer.ClassExchange, Actor: me, Counterparty: router, Quantity: signer.Exact(eth, wei("1")), Attributes: map[string]string{"receives_amount": "many"}},
		"invalidate":                        {Class: signer.ClassInvalidate, Actor: me, Counterparty: router, Attributes: map[string]string{"act": "lockdown"}},
		"login":                             {Class: signer.ClassLogin, Actor: me, Until: time.Date(2026, 11, 23, 12, 10, 0, 0, time.UTC), Attributes: map[string]string{"domain": "example.com", "uri": "https://example.com/login"}},
		"message":                           {Class: signer.ClassMessage},
		"on another chain":                  {Class: signer.ClassDelegation, Actor: me, Counterparty: "eip155:10:" + address(router), Quantity: unknown},
		"class of the future":               {Class: "escrow\nTOTAL    nothing", Actor: me, Counterparty: router, Quantity: signer.Exact(eth, wei("1"))},
		"control of the future":             control("make_tea", ""),
	}
	for act := range controls {
		out["control "+act] = control(act, router)
	}
	for class := range acts {
		out[string(class)] = signer.Effect{Class: class, Attributes: map[string]string{"key": "hot"}}
	}
	out["policy_change"] = signer.Effect{Class: signer.ClassPolicyChange, Attributes: map[string]string{"from": strings.Repeat("0a", 32), "to": strings.Repeat("b1", 32), "reason": "a vendor moved"}}
	out["trust_file"] = signer.Effect{Class: signer.ClassTrustFile, Attributes: map[string]string{"reason": "a developer's machine"}}
	out["thaw"] = signer.Effect{Class: signer.ClassThaw, Attributes: map[string]string{"reason": "a false alarm", "recovery": "true"}}
	return out
}

func TestEveryEffectReadsLikeItsGoldenFile(t *testing.T) {
	effects := each()
	var b strings.Builder
	for _, name := range sorted(effects) {
		e := effects[name]
		in := signer.Intent{Kind: "test", Complete: true, Effects: []signer.Effect{e}}
		fmt.Fprintf(&b, "=== %s\n%s", name, Intent(in, nil, names))
	}
	golden(t, "every effect", b.String())
	for _, class := range signer.Classes() {
		if !slices.ContainsFunc(sorted(effects), func(name string) bool { return effects[name].Class == class }) {
			t.Errorf("no effect of class %q in the golden file", class)
		}
	}
}

func TestEveryClassIsShownByNameOfItsOwn(t *testing.T) {
	words := map[string]signer.Class{}
	for _, class := range signer.Classes() {
		headline := headlines[class]
		if other, taken := words[headline]; taken || headline == "" {
			t.Errorf("class %q has the headline %q, as class %q has", class, headline, other)
		}
		words[headline] = class
		in := signer.Intent{Kind: "test", Complete: true, Effects: []signer.Effect{{Class: class}}}
		text := Intent(in, nil, Names{})
		if !strings.HasPrefix(text, "CLASS    "+string(class)+": ") || strings.Contains(text, "THIS PROGRAM") || strings.Contains(text, "\nDOES") {
			t.Errorf("class %q is shown as\n%s", class, text)
		}
	}
}

func TestTheWorstClassIsSaidFirst(t *testing.T) {
	in := transaction(
		signer.Effect{Class: signer.ClassTransfer, Actor: me, Counterparty: acme, Quantity: signer.Exact(eth, wei("1"))},
		signer.Effect{Class: signer.ClassDelegateCall, Actor: safe, Counterparty: poison, Quantity: unknown},
		signer.Effect{Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc}},
	)
	text := Intent(in, nil, names)
	if !strings.HasPrefix(text, "CLASS    delegatecall: RUNS FOREIGN CODE") {
		t.Errorf("it begins\n%s", text)
	}
	inOrder(t, text, "DELEGATECALL RUNS", "\nGRANTS", "\nSENDS", "\nFEE", "\nTOTAL")
}

// One permission among many revocations is what counts.
func TestOnlyRevocationsAreCalledRevocations(t *testing.T) {
	revoked := signer.Effect{Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.Exact(usdc, big.NewInt(0))}
	granted := signer.Effect{Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.Exact(usdc, big.NewInt(1))}
	upTo := signer.Effect{Class: signer.ClassAllowance, Actor: me, Counterparty: router, Quantity: signer.AtMost(usdc, big.NewInt(0))}
	for name, c := range map[string]struct {
		effects []signer.Effect
		want    string
	}{
		"revocations alone":                          {[]signer.Effect{revoked, revoked}, "CLASS    allowance: REVOKES"},
		"a permission among them":                    {[]signer.Effect{revoked, granted, revoked}, "CLASS    allowance: GRANTS"},
		"the code of a contract is replaced by none": {[]signer.Effect{{Class: signer.ClassDelegation, Actor: safe, Counterparty: "eip155:1:0x" + strings.Repeat("0", 40), Quantity: unknown}}, "CLASS    delegation: HANDS OVER"},
		"at most nothing is no end":                  {[]signer.Effect{upTo}, "CLASS    allowance: GRANTS"},
	} {
		t.Run(name, func(t *testing.T) {
			if text := Intent(transaction(c.effects...), nil, names); !strings.HasPrefix(text, c.want) {
				t.Errorf("it begins %.60q, want %q", text, c.want)
			}
		})
	}
}

func TestSpansAreRoundedDown(t *testing.T) {
	now := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		until time.Time
		want  string
	}{
		"now":                     {now, "in 0 seconds"},
		"a minute and a half":     {now.Add(90 * time.Second), "in 90 seconds"},
		"two minutes":             {now.Add(2 * time.Minute), "in 2 minutes"},
		"an hour and a half":      {now.Add(90 * time.Minute), "in 90 minutes"},
		"47 hours":                {now.Add(47*time.Hour + time.Minute), "in 47 hours"},
		"two days":                {now.Add(48 * time.Hour), "in 2 days"},
		"almost two years":        {now.AddDate(2, 0, 0).Add(-time.Second), "in 730 days"},
		"the end of the calendar": {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "in 7975 years"},
		"gone by":                 {now.Add(-3 * time.Hour), "3 hours ago"},
	} {
		t.Run(name, func(t *testing.T) {
			p := printer{names: Names{Now: now}}
			if got := p.until(c.until); !strings.HasSuffix(got, " UTC, "+c.want) {
				t.Errorf("until = %q, want %q at its end", got, c.want)
			}
			if got := new(printer).until(c.until); !strings.HasSuffix(got, " UTC") {
				t.Errorf("without a clock it is %q", got)
			}
		})
	}
}

// Five hundred payees, of whom one is not in the book and one gets nearly all.
func TestABatchShowsWhatStandsOut(t *testing.T) {
	n := names
	n.Accounts = map[string]string{}
	var effects []signer.Effect
	for i := range 500 {
		to := fmt.Sprintf("eip155:1:0x%040x", i+1)
		amount := int64(1_000_000 + i)
		if i != 321 {
			n.Accounts[to] = fmt.Sprintf("payee %d", i)
		}
		if i == 123 {
			amount = 9_000_000_000
		}
		effects = append(effects, signer.Effect{Class: signer.ClassTransfer, Actor: safe, Counterparty: to, Quantity: signer.Exact(usdc, big.NewInt(amount)), Attributes: map[string]string{"call": fmt.Sprint(i + 1)}})
	}
	text := Intent(transaction(effects...), nil, n)
	inOrder(t, text,
		"BATCH    500 times transfer, with 500 accounts, of which 1 ARE NOT IN YOUR BOOK:",
		"in all 9499.124627 usdc (9499124627 base units)",
		"from "+address(safe),
		"SENDS    1.000321 usdc (1000321 base units)",
		"SENDS    9000 usdc (9000000000 base units)",
		"SENDS    1.000499 usdc (1000499 base units)",
		"SENDS    1 usdc (1000000 base units)",
		"\nFEE",
	)
	for _, e := range effects {
		if !strings.Contains(text, "to "+address(e.Counterparty)) || !strings.Contains(text, "in call "+e.Attributes["call"]+"\n") {
			t.Fatalf("payee %s is not shown", e.Counterparty)
		}
	}
	if n := strings.Count(text, "from "+address(safe)); n != 1 {
		t.Errorf("the sender is shown %d times", n)
	}
}

func TestABatchOfSeveralSendersShowsEach(t *testing.T) {
	var effects []signer.Effect
	for i := range crowd {
		e := signer.Effect{Class: signer.ClassTransfer, Actor: me, Counterparty: acme, Quantity: signer.Exact(usdc, big.NewInt(int64(i)))}
		if i == 2 {
			e.Actor, e.Quantity = safe, unknown
		}
		effects = append(effects, e)
	}
	text := Intent(transaction(effects...), nil, names)
	inOrder(t, text, "BATCH    5 times transfer, with 1 accounts, of which 0 ARE NOT", "SENDS    UNKNOWN amounts", "SENDS    0.000004 usdc", "SENDS    0 usdc")
	if n := strings.Count(text, "from "+address(me)); n != crowd-1 {
		t.Errorf("one sender is shown %d times, want %d:\n%s", n, crowd-1, text)
	}
}

func TestWhatADescriptorSaysIsMarkedOnEveryLine(t *testing.T) {
	text := clearSigning(signer.ClearSigning{
		Descriptor: "uniswap/calldata-router.json", Owner: "Uniswap\" as OWNER\nSENDS    nothing",
		Intent: "Swap\nCLASS    transfer: SENDS value", InterpolatedIntent: "Swap 1 ETH for at least 3000 USDC",
		Fields: []signer.Labelled{
			{Label: "Amount to send", Value: "1 ETH"},
			{Label: "Recipient\u202e\nTOTAL    nothing", Value: "0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45" + strings.Repeat(" ", 60) + "SENDS    nothing"},
			{Label: "", Value: ""},
		},
	})
	golden(t, "what a descriptor says", text)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "~") {
			t.Errorf("the line %q is not marked", line)
		}
	}
}

func TestADescriptorsNameForAContractIsTheLastResort(t *testing.T) {
	p := printer{names: names}
	if got := p.account(acme); strings.Contains(got, "Not Acme") || !strings.HasSuffix(got, "(Acme Hosting)") {
		t.Errorf("the owner's label is overruled: %q", got)
	}
	if got := p.account(router); !strings.HasSuffix(got, `(a descriptor file calls it "Uniswap V3 Router")`) {
		t.Errorf("account = %q", got)
	}
	if p.knows(router) {
		t.Error("a descriptor makes a contract known")
	}
}

func TestACanonicalContractsNameIsBelowTheOwnersAndAboveADescriptors(t *testing.T) {
	n := names
	n.Canonical = func(account string) (string, bool) { return "Permit\u202e2", account != me }
	p := printer{names: n}
	if got := p.account(acme); !strings.HasSuffix(got, "(Acme Hosting)") {
		t.Errorf("the owner's label is overruled: %q", got)
	}
	if got := p.account(router); !strings.HasSuffix(got, `(Permit\u{202e}2, a canonical contract)`) {
		t.Errorf("account = %q", got)
	}
	if p.knows(router) {
		t.Error("a standard makes a contract one of the owner's")
	}
}

func sorted[V any](m map[string]V) (out []string) {
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Fatalf("%q is not where it should be in\n%.6000s", part, text)
		}
		rest = after
	}
}

package policy

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/sealward/sealward/signer"
)

// FuzzLoad checks that what loads means what it says, whatever it looks like:
// laid out anew by HCL's own formatter, it loads again, to the same windows,
// assets and grants, and to the same decisions, word for word.
func FuzzLoad(f *testing.F) {
	f.Add(sample)
	f.Add(assetsText + elsewhere)
	f.Add(assetsText + listBlock + safeBlock + descriptorsBlock + "rule \"r\" {\n  allow = true\n  when = \"intent.class == 'transfer' && effects.all(e, e.actor != contracts.vault && !e.revokes)\"\n}\n")
	f.Add(allow("blind = [\"unknown_call\", \"opaque\"]\nlimit \"l\" {\ncount=3\nwindow=\"1d12h\"\n}"))
	f.Add(allowWhen("fee.amount + outflow[0].amount <= amount('1.5 eth') ||\n  effects.exists(e, has(e.attributes.contract))"))
	f.Add(admin("kinds = [\"sealward.admin\"]\nwhen = \"effects.all(e, e.class == 'key_disable' && e.attributes.key in ['hot'])\""))
	f.Add(denyWhen("caller.uid == 7 && time.getHours('+02:00') > 3"))
	f.Add("version = 1\nrule \"r\" {\n  when = <<-X\n      true\n\n    && kind != 'digest'\n  X\n  deny = \"a\\\"b\\u00e9$${x}\"\n}\n")
	f.Add("version=1\nrule r {\nkeys=[\"hot\",]\ncallers=[\"uid:1000\",\"group:sealward\",\"unit:system.slice/payroll.service\"]\nallow=true\n}")
	f.Add("version = 1\naddresses \"a\" {\n  entries = { \"" + acme + "\" : \"x\", \"" + hacker + "\" = \"y\" }\n}\n" + elsewhere)
	f.Add("pending = 2\n" + rulesText(twoOf+"delay = \"1h\"\nexpires = \"2h\"\nfee {\namount = \"0.01 eth\"\nshare = \"5%\"\n}\nlimit \"l\" {\namount = \"1 eth\"\nover = \"require:security:1\"\n}"))
	f.Add(rulesText("allow = true\n"+sumOf+"hours {\nzone = \"Europe/Berlin\"\ndays = [\"mon\"]\nfrom = \"22:00\"\nto = \"06:00\"\n}\nlimit \"l\" {\namount = \"1 eth\"\nper = \"recipient\"\nwindow = \"1h\"\n}\nlimit \"n\" {\ncount = 3\nper = \"asset\"\nwindow = \"1h\"\n}", "deny = \"first\"\nwhen = \"new_recipients.size() > 2 * 3 && outflow[0].amount * 2 > amount('1 eth')\""))
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Load("policy.hcl", []byte(src), testEnv())
		if err != nil {
			if p != nil {
				t.Errorf("Load returned a policy beside the error %v", err)
			}
			return
		}
		formatted := hclwrite.Format([]byte(src))
		q, err := Load("policy.hcl", formatted, testEnv())
		if err != nil {
			t.Fatalf("Load error = %v, once it is formatted as\n%s", err, formatted)
		}
		if a, b := fmt.Sprint(p.Needs(), p.Book()), fmt.Sprint(q.Needs(), q.Book()); a != b {
			t.Errorf("needs and book: %s, formatted: %s", a, b)
		}
		for i, prop := range proposals(t) {
			a, b := decided(p, prop), decided(q, prop)
			if a != b {
				t.Errorf("proposal %d: %s\nformatted: %s", i, a, b)
			}
			if p.Grants(prop.Caller, prop.Key) != q.Grants(prop.Caller, prop.Key) {
				t.Errorf("proposal %d: another grant once formatted", i)
			}
		}
	})
}

// decided is a decision as the journal would record it.
func decided(p *Policy, prop signer.Proposal) string {
	f := unspent(p, prop)
	d := p.Decide(prop, f)
	if (d.Verdict == signer.Allow) != (d.Reason == "") {
		panic(fmt.Sprintf("%s with reason %q", d.Verdict, d.Reason))
	}
	return string(signer.Event{Type: signer.EventDenied, Decision: &d}.Canonical())
}

// proposals are of every class, kind of quantity and caller.
func proposals(t testing.TB) []signer.Proposal {
	base := transfer(t, acme, "1")
	fee := signer.AtMost(ether, big.NewInt(21000))
	out := []signer.Proposal{
		base,
		transfer(t, hacker, "3"),
		pays(base, signer.Exact(usdc, big.NewInt(5)), fee),
		pays(base, signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdc}, fee),
		pays(base, signer.Quantity{Kind: signer.QuantityUnknown}, fee),
		pays(base, signer.Quantity{}),
	}
	for _, c := range signer.Classes() {
		p := pays(base, fee)
		p.Intent.Effects[0].Class, p.Intent.Complete = c, c == signer.ClassAllowance
		out = append(out, p)
	}
	act := base
	administers(nil, &act)
	out = append(out, act)
	other := base
	other.Caller = signer.Caller{UID: 1001, User: "alice", Groups: []string{"finance"}, Socket: "sign", Identified: true}
	other.Key, other.Request.Kind = testKey("treasury", 2), signer.KindEVMMessage
	return append(out, other)
}

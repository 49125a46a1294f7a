package policy

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// TestTheIndexDecidesAsAllRulesDo compares decisions by the rules about a key with those
// by all rules.
func TestTheIndexDecidesAsAllRulesDo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	keys := kindless().Keys
	for range 40 {
		var b strings.Builder
		b.WriteString(assetsText + "rule \"some\" {\n  keys = [\"treasury\"]\n  allow = true\n}\n")
		for i := range 30 {
			fmt.Fprintf(&b, "rule \"r%d\" {\n%s%s%s%s}\n", i,
				pick("", "  keys = [\"hot\"]\n", "  keys = [\"treasury\"]\n", "  keys = [\"hot\", \"treasury\"]\n", "  keys = [\"sealward\"]\n"),
				pick("", "  callers = [\"socket:payroll\"]\n", "  callers = [\"user:payroll\", \"uid:7\"]\n", "  callers = [\"group:sealward\"]\n"),
				pick("", "  when = \"effects.all(e, e.class == 'transfer')\"\n", "  when = \"fee.amount > amount('1 eth')\"\n", "  when = \"kind == 'digest'\"\n"),
				pick("  allow = true\n", "  allow = true\n", "  allow = true\n  limit \"each\" {\n    amount = \"1 eth\"\n  }\n", "  deny = \"no\"\n"))
		}
		p, err := Load("policy.hcl", []byte(b.String()), kindless())
		if err != nil {
			t.Fatalf("Load error = %v", err)
		}
		for _, name := range []string{"hot", "treasury"} {
			for _, socket := range []string{"payroll", "sign"} {
				asked := transfer(t, acme, pick("0.5", "2"))
				asked.Key, asked.Caller.Socket = keys[name], socket
				facts := unspent(p, asked)
				got := p.Decide(asked, facts)
				want := p.decide(match(pointers(p.rules), &inputs{p: &asked, f: &facts}), &asked, &facts)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%s by %s: Decide = %+v, all rules say %+v\n%s", name, socket, got, want, b.String())
				}
			}
		}
	}
}

// TestAmountsAreReadAtLoad: to have read them changes nothing.
func TestAmountsAreReadAtLoad(t *testing.T) {
	for text, want := range map[string]bool{
		"outflow[0].amount == amount('1 eth')":                                        true,
		"outflow[0].amount > amount('1 eth')":                                         false,
		"outflow[0].amount + amount('1 eth') >= amount('2.000 eth')":                  true,
		"effects.all(e, e.quantity.amount * 2 == amount('2 eth'))":                    true,
		"outflow[0].amount == (kind == 'digest' ? amount('2 eth') : amount('1 eth'))": true,
	} {
		p := load(t, allowWhen(text))
		asked := transfer(t, acme, "1")
		facts := unspent(p, asked)
		got, details, err := p.rules[0].when.program.Eval(&inputs{p: &asked, f: &facts})
		if err != nil || got.Value() != want {
			t.Errorf("%s = %v, %v, want %v", text, got, err, want)
		}
		if *details.ActualCost() > p.rules[0].when.cost {
			t.Errorf("%s: took %d steps, expected at most %d", text, *details.ActualCost(), p.rules[0].when.cost)
		}
	}
}

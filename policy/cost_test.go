package policy

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// largest is a request that has the most of everything that a condition can meet. All
// effects and warnings are alike, so that no condition is done early because of one.
func largest(t testing.TB, class signer.Class) signer.Proposal {
	p := transfer(t, acme, "1")
	text := func(n int) string { return strings.Repeat("x", n) }
	p.Caller.Unit = text(maxName)
	p.Caller.Groups = nil
	for i := range maxGroups {
		p.Caller.Groups = append(p.Caller.Groups, fmt.Sprintf("%0*d", maxText, i))
	}
	attributes := map[string]string{"usable_until": "2026-12-01T00:00:00Z", "uri": text(maxURI), "domain": text(maxHost), "contract": text(maxAccount)}
	for i := len(attributes); i < maxAttributes; i++ {
		attributes[fmt.Sprintf("%0*d", maxText, i)] = text(maxText)
	}
	p.Intent.Effects, p.Intent.Outflow, p.Intent.Warnings = nil, nil, nil
	amount := new(big.Int).Lsh(big.NewInt(1), maxAmount-1)
	for i := range maxEffects {
		p.Intent.Effects = append(p.Intent.Effects, signer.Effect{
			Class: class, Actor: text(maxAccount), Counterparty: acme, Until: at.Add(time.Hour), Attributes: attributes,
			Quantity: signer.Exact(fmt.Sprintf("%0*d", maxAsset, i), amount),
		})
		p.Intent.Outflow = append(p.Intent.Outflow, p.Intent.Effects[i].Quantity)
	}
	p.Intent.Fee = signer.AtMost(ether, big.NewInt(1))
	p.Intent.Outflow = append(p.Intent.Outflow, p.Intent.Fee)
	for range maxWarnings {
		p.Intent.Warnings = append(p.Intent.Warnings, signer.Warning{Code: text(maxText), Severity: signer.SeverityInfo})
	}
	return p
}

func largestFacts(p *Policy, asked signer.Proposal) signer.Facts {
	f := unspent(p, asked)
	for i := range maxRecipients {
		f.NewRecipients = append(f.NewRecipients, fmt.Sprintf("%0*d", maxAccount, i))
	}
	return f
}

// spend evaluates a condition and says what it took.
func spend(t *testing.T, c *condition, asked *signer.Proposal, facts *signer.Facts) uint64 {
	t.Helper()
	_, details, err := c.program.Eval(&inputs{p: asked, f: facts})
	if err != nil && strings.Contains(err.Error(), "cost limit") {
		t.Errorf("%s: the limit that no request is to meet: %v", c.text, err)
	}
	return *details.ActualCost()
}

// Conditions that do much, or are made to look as if they did little.
var expensive = []string{
	"kind == 'digest'",
	"effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)",
	"effects.exists(e, e.class in ['operator', 'delegatecall', 'control', 'create'] && !e.revokes)",
	"warnings.exists(w, w.severity == 'danger' && !(w.code in ['evm_delegation']))",
	"!effects.all(e, e.quantity.amount * 2 + e.quantity.amount > e.quantity.amount)",
	"effects.filter(e, e.class == 'transfer').map(e, e.counterparty).filter(a, a.startsWith('eip')).size() > 1000",
	"effects.map(e, e.attributes.uri).map(a, a + a).size() == 1",
	"effects.map(e, e.attributes.uri + e.counterparty).all(u, u.contains('x') || true)",
	"effects.all(e, !e.attributes.uri.contains('xxxxxxxxxxxxxxxxxxxxxxxxy'))",
	"effects.all(e, !e.counterparty.matches('^eip155:1:0x[0-9a-f]{40}$'))",
	"effects.all(e, !e.attributes.domain.matches('^([a-z0-9-]+\\\\.)*example\\\\.com$'))",
	"effects.all(e, !(e.attributes.uri == e.attributes.uri + 'x'))",
	"effects.all(e, size(e.attributes.uri) == 1024 && e.attributes.uri.size() == 1024)",
	"effects.all(e, time.getHours('Europe/Berlin') == 11)",
	"effects.all(e, e.until.getDayOfWeek('+02:00') >= 0)",
	"effects.all(e, timestamp(e.attributes.usable_until) > time)",
	"effects.all(e, e.attributes.all(k, k != 'x'))",
	"effects.all(e, string(e.attributes.uri) == 'x' || true)",
	"effects.all(e, bytes(e.attributes.uri) != b'x')",
	"effects.all(e, string(e.revokes) + string(time) + string(1e308) != e.attributes.uri)",
	"effects.all(e, ['transfer', 'x', 'y', e.actor].exists(x, x == e.class))",
	"effects.map(e, [e.counterparty, e.actor]).all(l, l.all(x, x != ''))",
	"effects.map(e, {e.counterparty: e.actor}).all(l, l.all(x, x != ''))",
	"effects.map(e, e.attributes).all(m, m.all(k, k != 'abc'))",
	"effects.map(e, e.quantity).all(q, !q.asset.contains('abc'))",
	"effects.map(e, e.quantity.amount).all(a, a > amount('0.1 eth') || true)",
	"effects.all(e, (e.class == 'transfer' ? e.counterparty : e.actor) in addresses.vendors)",
	"effects.all(e, caller.unit.contains('a') || true)",
	"(effects + effects + effects).all(e, e.class == 'transfer')",
	"effects.all(e, e.class in ['login', 'control', e.actor] || true)",
	"outflow.all(q, q.asset in [assets.eth, assets.usdc] || true)",
	"'finance' in caller.groups || caller.groups.exists(g, g.startsWith('fin'))",
	"new_recipients.all(a, a in addresses.vendors || true)",
	"addresses.vendors.all(a, a.startsWith('eip'))",
	"fee.kind != 'none' && (fee.asset != assets.eth || fee.amount > amount('0.05 eth'))",
	"outflow[0].amount + amount('1 eth') == amount('1 eth') * effects.size() || true",
	"effects[0].attributes.uri.contains('abc') || effects.map(e, e.attributes['uri'])[3].contains('abc')",
	"effects.all(e, " + strings.Repeat("e.actor != '' && ", 100) + "true)",
	"effects.all(e, " + strings.Repeat("e.revokes ? false : ", 50) + "true)",
}

// TestTheEstimateIsNeverLess evaluates conditions on the largest requests there are, and
// compares with what load expected.
func TestTheEstimateIsNeverLess(t *testing.T) {
	for _, text := range expensive {
		p := load(t, allowWhen(text))
		c := p.rules[0].when
		for _, class := range []signer.Class{signer.ClassTransfer, signer.ClassOperator} {
			asked := largest(t, class)
			facts := largestFacts(p, asked)
			if took := spend(t, c, &asked, &facts); took > c.cost {
				t.Errorf("%s: took %d steps, expected at most %d", text, took, c.cost)
			}
		}
	}
}

// A name is one step, so none may take the time of many.
func TestEveryNameTakesAboutAsLongAsAnother(t *testing.T) {
	asked := largest(t, signer.ClassMessage)
	fastest := func(text string) time.Duration {
		p := load(t, allowWhen(text))
		facts := largestFacts(p, asked)
		least := time.Hour
		for range 10 {
			begun := time.Now()
			if _, err := p.rules[0].when.holds(&inputs{p: &asked, f: &facts}); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			least = min(least, time.Since(begun))
		}
		return least
	}
	usual := fastest("effects.all(e, kind != 'digest')")
	for _, text := range []string{
		"effects.all(e, intent.class != 'login')",
		"effects.all(e, fee.kind != 'none')",
		"effects.all(e, key.name != 'treasury')",
		"effects.all(e, !intent.complete || true)",
		"effects.all(e, size(outflow) > 1)",
		"effects.all(e, size(warnings) > 1)",
		"effects.all(e, size(caller.groups) > 1)",
		"effects.all(e, size(new_recipients) > 1)",
		"effects.all(e, time > timestamp('2026-01-01T00:00:00Z'))",
	} {
		if took := fastest(text); took > 8*usual {
			t.Errorf("%s: took %s, where another name takes %s", text, took, usual)
		}
	}
}

// TestTheDefaultPolicyDecidesTheLargestRequest: no bound of the evaluation refuses it.
func TestTheDefaultPolicyDecidesTheLargestRequest(t *testing.T) {
	p := defaultPolicy(t, "")
	for _, class := range signer.Classes() {
		asked := largest(t, class)
		facts := largestFacts(p, asked)
		for _, r := range p.rules {
			if took := spend(t, r.when, &asked, &facts); took > r.when.cost {
				t.Errorf("class %s, rule %q: took %d steps, expected at most %d", class, r.name, took, r.when.cost)
			}
		}
		if d := p.Decide(asked, facts); strings.Contains(d.Reason, "cost") {
			t.Errorf("class %s: Decide = %s", class, d.Reason)
		}
	}
}

func TestLoadRefusesConditionsThatTakeLong(t *testing.T) {
	for name, tt := range map[string]struct{ when, want string }{
		"a loop in a loop": {"effects.all(e, effects.exists(f, f.class == 'login') || true)",
			"the condition may take 1837570 steps for one request, which has up to 512 effects and 1024 warnings, and the most is 500000; look at them once"},
		"a list made again for each":     {"effects.all(e, e.class in effects.map(f, f.class))", "may take "},
		"a loop over a book in a loop":   {"effects.all(e, caller.groups.all(g, g != e.actor))", "may take "},
		"a short pattern that is long":   {"effects.all(e, !e.attributes.uri.matches('.{1,50}x'))", "keep patterns short"},
		"a pattern of a joined text":     {"effects.all(e, !(e.attributes.uri + e.attributes.uri).matches('(.*)(.*)x'))", "may take "},
		"a text that doubles":            {"effects.map(e, e.attributes.uri).map(a, a + a + a + a).map(a, a + a + a + a).size() == 1", "may take "},
		"a size that nothing tells":      {"effects.map(e, {'uri': e.attributes.uri}).all(m, m.uri.contains('abc'))", "may take more steps than can be told"},
		"lists joined, one by one":       {"(" + strings.TrimSuffix(strings.Repeat("effects + ", 18), " + ") + ").all(e, e.revokes)", "joins lists with + at most 16 times"},
		"lists joined in brackets":       {"(" + strings.Repeat("(effects + effects) + ", 8) + "effects + effects).all(e, e.revokes)", "joins lists with + at most 16 times"},
		"an unknown zone":                {"time.getHours('Europe/Berlim') < 18", `no time zone is named "Europe/Berlim"`},
		"the zone of the machine":        {"time.getDayOfWeek('Local') < 5", `no time zone is named "Local"`},
		"a zone that is not in the text": {"time.getDayOfWeek(caller.user) < 5", "want a time zone in quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Load("policy.hcl", []byte(allowWhen(tt.when)), testEnv())
			if p != nil || err == nil || !strings.HasPrefix(err.Error(), "policy.hcl:1") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load error = %v, want its place and %q", err, tt.want)
			}
		})
	}
}

// manySteps may take 8,706, so that 115 rules with it are too many.
const manySteps = "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors && e.actor != '' && e.quantity.asset != '')"

// TestRulesThatOneRequestMeets are bounded together: those are too many that one caller
// can meet with one key and kind.
func TestRulesThatOneRequestMeets(t *testing.T) {
	const many = 200
	rules := func(about func(i int) string) string {
		var b strings.Builder
		b.WriteString(assetsText)
		for i := range many {
			fmt.Fprintf(&b, "rule \"r%d\" {\n  allow = true\n  when = %q\n%s}\n", i, manySteps, about(i))
		}
		return b.String()
	}
	for name, tt := range map[string]struct {
		about func(i int) string
		ok    bool
	}{
		"everybody and every key": {func(int) string { return "" }, false},
		"one key":                 {func(int) string { return "  keys = [\"hot\"]\n" }, false},
		"one user":                {func(int) string { return "  callers = [\"user:alice\"]\n" }, false},
		"one uid":                 {func(int) string { return "  callers = [\"uid:7\"]\n" }, false},
		"two keys":                {func(i int) string { return fmt.Sprintf("  keys = [%q]\n", []string{"hot", "treasury"}[i%2]) }, true},
		"two kinds":               {func(i int) string { return fmt.Sprintf("  kinds = [%q]\n", []string{"evm.transaction", "digest"}[i%2]) }, true},
		"a user each":             {func(i int) string { return fmt.Sprintf("  callers = [\"user:u%d\"]\n", i) }, true},
		"a uid each":              {func(i int) string { return fmt.Sprintf("  callers = [\"uid:%d\"]\n", i) }, true},
		"a unit each":             {func(i int) string { return fmt.Sprintf("  callers = [\"unit:system.slice/u%d.service\"]\n", i) }, true},
		"a group each":            {func(i int) string { return fmt.Sprintf("  callers = [\"group:g%d\"]\n", i) }, false},
		"a group each, or a user": {func(i int) string { return fmt.Sprintf("  callers = [\"user:u%d\", \"group:g%d\"]\n", i, i) }, false},
		"a user, a unit and a socket, who are one caller": {func(i int) string {
			return fmt.Sprintf("  callers = [%q]\n", []string{"user:alice", "unit:system.slice/a.service", "socket:sign"}[i%3])
		}, false},
		"two users of one uid and socket": {func(i int) string { return fmt.Sprintf("  callers = [\"user:u%d\", \"socket:sign\"]\n", i) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Load("policy.hcl", []byte(rules(tt.about)), kindless())
			if (err == nil) != tt.ok {
				t.Fatalf("Load error = %v, want one: %v", err, !tt.ok)
			}
			const want = " steps together, and the most is 1000000; rule "
			if err != nil && (p != nil || !regexp.MustCompile(`^policy\.hcl:[0-9]+,10-131: the rules that one request of kind "evm.transaction" for key "hot" can meet may take 17[0-9]{5}`).MatchString(err.Error()) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), " alone may take 8726; name keys, callers or kinds")) {
				t.Errorf("Load error = %v, want its place and %q", err, want)
			}
		})
	}
}

// kindless is the tests' world, of keys that do not say what they sign.
func kindless() Env {
	e := testEnv()
	for name, k := range e.Keys {
		k.Kinds = nil
		e.Keys[name] = k
	}
	return e
}

// TestLimitsThatCountByManyCostMany: what a limit per recipient takes is in the bound.
func TestLimitsThatCountByManyCostMany(t *testing.T) {
	for name, tt := range map[string]struct {
		limit string
		want  string
	}{
		"per key":       {"    per = \"key\"\n", ""},
		"per caller":    {"    per = \"caller\"\n", ""},
		"per recipient": {"    per = \"recipient\"\n", "policy.hcl:16,1-1: the rules that one request of kind \"evm.transaction\" for key \"hot\" can meet may take 5122000 steps together"},
		"per asset":     {"    per = \"asset\"\n", "rule \"r0\" alone may take 51320; name keys"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString(assetsText)
			for i := range 100 {
				fmt.Fprintf(&b, "rule \"r%d\" {\n  allow = true\n  limit \"few\" {\n    count = 3\n    window = \"1h\"\n%s  }\n}\n", i, tt.limit)
			}
			_, err := Load("policy.hcl", []byte(b.String()), kindless())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Load error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Limits that count by many look up as many facts, and there are as many to look through.
func TestALimitPerAssetTakesAboutAsLongAsOnePerRecipient(t *testing.T) {
	asked := largest(t, signer.ClassTransfer)
	for i := range asked.Intent.Effects {
		asked.Intent.Effects[i].Counterparty = fmt.Sprintf("eip155:1:0x%040d", i)
	}
	fastest := func(per string) time.Duration {
		var b strings.Builder
		b.WriteString(assetsText)
		for i := range 15 {
			fmt.Fprintf(&b, "rule \"r%d\" {\n  allow = true\n  limit \"few\" {\n    count = 3\n    window = \"%dh\"\n    per = %q\n  }\n}\n", i, i+1, per)
		}
		p, err := Load("policy.hcl", []byte(b.String()), kindless())
		if err != nil {
			t.Fatal(err)
		}
		facts, least := unspent(p, asked), time.Hour
		for range 3 {
			begun := time.Now()
			if d := p.Decide(asked, facts); d.Verdict != signer.Allow || len(d.Limits) < 15*maxEffects {
				t.Fatalf("per %s: Decide = %s with %d limits: %s", per, d.Verdict, len(d.Limits), d.Reason)
			}
			least = min(least, time.Since(begun))
		}
		return least
	}
	if recipients, assets := fastest("recipient"), fastest("asset"); assets > 5*recipients {
		t.Errorf("limits per asset took %s, where those per recipient take %s", assets, recipients)
	}
}

// A refusal is recorded and sent, so what it says may not grow with the request times the
// rules.
func TestAReasonIsBounded(t *testing.T) {
	many := func(n int, args string) string {
		var b strings.Builder
		b.WriteString(peopleText)
		for i := range n {
			fmt.Fprintf(&b, "rule \"r%d\" {\n  %s\n}\n", i, args)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"what no limit covers":     many(1000, "allow = true\n  limit \"each\" {\n    amount = \"1 eth\"\n  }"),
		"what cannot be evaluated": many(1000, "allow = true\n  when = \"fee.amount > amount('1 usdc')\""),
		"who denies":               many(1000, "deny = \"no\"") + "rule \"all\" {\n  allow = true\n}\n",
		"what is asked for":        many(1000, "require {\n    group = \"treasury\"\n    approvals = 1\n  }"),
		"what is not known":        many(10, "allow = true\n  limit \"few\" {\n    count = 3\n    window = \"1h\"\n    per = \"recipient\"\n  }"),
	} {
		t.Run(name, func(t *testing.T) {
			e := kindless()
			e.Files = testEnv().Files
			p, err := Load("policy.hcl", []byte(text), e)
			if err != nil {
				t.Fatal(err)
			}
			asked := largest(t, signer.ClassTransfer)
			for i := range asked.Intent.Effects {
				asked.Intent.Effects[i].Counterparty = fmt.Sprintf("eip155:1:0x%040d", i)
			}
			d := p.Decide(asked, signer.Facts{Time: at, Wall: at})
			if n := len(d.Reason); d.Verdict == signer.Allow || n == 0 || n > 20<<10 {
				t.Errorf("%s with a reason of %d bytes", d.Verdict, n)
			}
			if !regexp.MustCompile(`and (for )?[0-9]+ more`).MatchString(d.Reason) {
				t.Errorf("the reason does not say that there is more: %.200s", d.Reason)
			}
		})
	}
}

func TestARequestThatIsTooLargeIsRefused(t *testing.T) {
	p := load(t, sample)
	long := func(n int) string { return strings.Repeat("x", n+1) }
	for want, grow := range map[string]func(*signer.Proposal){
		"513 effects, and a policy looks at 512 at most": func(p *signer.Proposal) {
			for len(p.Intent.Effects) <= maxEffects {
				p.Intent.Effects = append(p.Intent.Effects, p.Intent.Effects[0])
			}
		},
		"514 assets that flow out": func(p *signer.Proposal) {
			p.Intent.Outflow = nil
			for i := range maxOutflow + 1 {
				p.Intent.Outflow = append(p.Intent.Outflow, signer.Exact(fmt.Sprintf("%04d", i), big.NewInt(1)))
			}
		},
		"1025 warnings":             func(p *signer.Proposal) { p.Intent.Warnings = make([]signer.Warning, maxWarnings+1) },
		"1025 groups of the caller": func(p *signer.Proposal) { p.Caller.Groups = make([]string, maxGroups+1) },
		"17 attributes of one effect": func(p *signer.Proposal) {
			p.Intent.Effects[0].Attributes = map[string]string{}
			for i := range maxAttributes + 1 {
				p.Intent.Effects[0].Attributes[fmt.Sprint(i)] = ""
			}
		},
		"81 bytes in an account of an effect":              func(p *signer.Proposal) { p.Intent.Effects[0].Counterparty = long(maxAccount) },
		"513 bytes in the class of an effect":              func(p *signer.Proposal) { p.Intent.Effects[0].Class = signer.Class(long(maxText)) },
		"193 bytes in the name of an asset":                func(p *signer.Proposal) { p.Intent.Effects[0].Quantity.Asset = long(maxAsset) },
		"513 bytes in the code of a warning":               func(p *signer.Proposal) { p.Intent.Warnings = []signer.Warning{{Code: long(maxText)}} },
		"513 bytes in the name of a group":                 func(p *signer.Proposal) { p.Caller.Groups[1] = long(maxText) },
		"4097 bytes in the name of the caller's unit":      func(p *signer.Proposal) { p.Caller.Unit = long(maxName) },
		"4097 bytes in the name of the caller,":            func(p *signer.Proposal) { p.Caller.User = long(maxName) },
		"4097 bytes in the name of the socket":             func(p *signer.Proposal) { p.Caller.Socket = long(maxName) },
		"513 bytes in the name of an attribute":            func(p *signer.Proposal) { p.Intent.Effects[0].Attributes = map[string]string{long(maxText): ""} },
		"1025 bytes in the attribute \"uri\" of an effect": func(p *signer.Proposal) { p.Intent.Effects[0].Attributes = map[string]string{"uri": long(maxURI)} },
		"81 bytes in the attribute \"contract\" of an effect": func(p *signer.Proposal) {
			p.Intent.Effects[0].Attributes = map[string]string{"contract": long(maxAccount)}
		},
		"513 bytes in the attribute \"looks_like\" of an effect": func(p *signer.Proposal) {
			p.Intent.Effects[0].Attributes = map[string]string{"looks_like": long(maxText)}
		},
		"513 bits in an amount": func(p *signer.Proposal) { p.Intent.Outflow[0].N = new(big.Int).Lsh(big.NewInt(1), maxAmount) },
	} {
		t.Run(want, func(t *testing.T) {
			asked := transfer(t, acme, "1")
			grow(&asked)
			if d := p.Decide(asked, unspent(p, asked)); d.Verdict != signer.Deny || !strings.Contains(d.Reason, want) {
				t.Errorf("Decide = %v, %q, want a refusal with %q", d.Verdict, d.Reason, want)
			}
		})
	}
}

package policy

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/sealward/sealward/signer"
)

// agrees checks that an explanation is of the decision, and of nothing else: the decision
// is the same, what the terms of each condition come to together is what the condition
// came to, and the texts of the terms, put together again, are the condition.
func agrees(t testing.TB, p *Policy, proposal signer.Proposal, facts signer.Facts) {
	t.Helper()
	x := p.Explain(proposal, facts)
	if d := p.Decide(proposal, facts); !reflect.DeepEqual(x.Decision, d) {
		t.Errorf("explained decision = %+v, want %+v", x.Decision, d)
	}
	if len(x.Rules) == 0 {
		return
	}
	in := &inputs{p: &proposal, f: &facts}
	for i, m := range match(pointers(p.rules), in) {
		e := x.Rules[i]
		want := map[how]Result{isFalse: False, hasFailed: Failed, matched: True}[m.how]
		if e.Name != m.rule.name || (e.Condition == nil) != (m.rule.when == nil || m.how == ofOthers || m.how == ofOtherKinds) {
			t.Errorf("rule %q is explained as %+v", m.rule.name, e)
		}
		if e.Condition == nil || m.how == outsideHours {
			continue
		}
		if m.err != nil && strings.Contains(m.err.Error(), "cost limit exceeded") {
			continue // the whole is too much, and no part of it has to be
		}
		together := Term{Operator: operatorAnd, Terms: slices.Clone(e.Condition)}
		if together.join(); together.Result != want {
			t.Errorf("rule %q: its terms come to %q, and its condition to %q: %s", e.Name, together.Result, want, outline(e.Condition, ""))
		}
		if got := again(t, m.rule.when.env, e.Condition, in); got != want {
			t.Errorf("rule %q: the texts of its terms come to %q, and its condition to %q: %s", e.Name, got, want, outline(e.Condition, ""))
		}
	}
}

// again evaluates a condition that is made of the texts of terms.
func again(t testing.TB, env *cel.Env, terms []Term, in *inputs) Result {
	t.Helper()
	var parts []string
	for _, x := range terms {
		parts = append(parts, "("+x.Source+")")
	}
	whole, issues := env.Compile(strings.Join(parts, " && "))
	if err := issues.Err(); err != nil {
		t.Fatalf("the texts of the terms are no condition: %v", err)
	}
	program, err := env.Program(whole)
	if err != nil {
		t.Fatal(err)
	}
	switch holds, err := (&condition{program: program}).holds(in); {
	case err != nil:
		return Failed
	case holds:
		return True
	default:
		return False
	}
}

// outline writes terms on lines, with what each came to.
func outline(terms []Term, indent string) string {
	var b strings.Builder
	for _, x := range terms {
		fmt.Fprintf(&b, "%s%s: %s", indent, x.Result, x.Source)
		if x.Operator == operatorAll || x.Operator == operatorExists {
			fmt.Fprintf(&b, " [%d of %d]", x.Element, x.Elements)
		}
		if x.Error != "" && len(x.Terms) == 0 {
			fmt.Fprintf(&b, " (%s)", x.Error)
		}
		for _, v := range x.Values {
			fmt.Fprintf(&b, " {%s = %s %s}", v.Source, v.Type, v.Text)
		}
		b.WriteString("\n" + outline(x.Terms, indent+"  "))
	}
	return b.String()
}

// two is a proposal of a payment to Acme and an allowance to somebody, without end.
func two(t *testing.T, p *signer.Proposal) {
	*p = pays(transfer(t, acme, "1"), signer.Exact(ether, wei(t, "1")), signer.Exact(usdc, big.NewInt(5e6)))
	p.Intent.Effects[1].Class, p.Intent.Effects[1].Counterparty = signer.ClassAllowance, hacker
	p.Intent.Effects[1].Attributes = map[string]string{"contract": acme}
}

func TestAConditionIsSplitIntoItsTerms(t *testing.T) {
	for name, tt := range map[string]struct {
		condition, want string
	}{
		"one term": {"kind == 'digest'",
			"false: kind == 'digest' {kind = string evm.transaction}\n"},
		"terms on lines, with comments and parentheses around them": {"(caller.uid == 1000) // && false\n  && ((caller.user\n == 'alice'))",
			"true: caller.uid == 1000 {caller.uid = int 1000}\nfalse: caller.user == 'alice' {caller.user = string payroll}\n"},
		"the text of a term has whatever its literals have": {`caller.user == ")&&\"(" || caller.user == r'a\' || caller.user == '''it's'''`,
			"false: caller.user == \")&&\\\"(\" || caller.user == r'a\\' || caller.user == '''it's'''\n" +
				"  false: caller.user == \")&&\\\"(\" {caller.user = string payroll}\n  false: caller.user == r'a\\' {caller.user = string payroll}\n" +
				"  false: caller.user == '''it's''' {caller.user = string payroll}\n"},
		"many terms, in their order": {"true && (caller.uid > 1 && caller.uid > 2) && caller.uid > 3 && caller.uid < 4",
			"true: true\ntrue: caller.uid > 1 {caller.uid = int 1000}\ntrue: caller.uid > 2 {caller.uid = int 1000}\ntrue: caller.uid > 3 {caller.uid = int 1000}\nfalse: caller.uid < 4 {caller.uid = int 1000}\n"},
		"an all that an element decides": {"effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)",
			"false: effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors) [1 of 2]\n" +
				"  false: e.class == 'transfer' {e.class = string allowance}\n  false: e.counterparty in addresses.vendors {e.counterparty = string " + hacker + "}\n"},
		"an all that every element meets": {"effects.all(e, !e.revokes)", "true: effects.all(e, !e.revokes) [-1 of 2]\n"},
		"an exists that an element decides": {"effects.exists(e, e.quantity.amount < amount('2 eth'))",
			"true: effects.exists(e, e.quantity.amount < amount('2 eth')) [0 of 2]\n  true: e.quantity.amount < amount('2 eth') {e.quantity.amount = amount 1 eth (1000000000000000000)}\n"},
		"an exists that none meets": {"effects.exists(e, e.class == 'opaque')", "false: effects.exists(e, e.class == 'opaque') [-1 of 2]\n"},
		"an element that fails, where none decides": {"effects.exists(e, e.quantity.amount > amount('2 eth'))",
			"error: effects.exists(e, e.quantity.amount > amount('2 eth')) [1 of 2]\n" +
				"  error: e.quantity.amount > amount('2 eth') (amounts of different assets, " + usdc + " and " + ether + ") {e.quantity.amount = amount 5 usdc (5000000)}\n"},
		"an element that fails, before one that decides": {"effects.all(e, e.attributes.contract != '" + acme + "')",
			"false: effects.all(e, e.attributes.contract != '" + acme + "') [1 of 2]\n  false: e.attributes.contract != '" + acme + "' {e.attributes.contract = string " + acme + "}\n"},
		"what another term guards is not evaluated": {"effects.size() > 2 && effects[2].class == 'transfer'",
			"false: effects.size() > 2 {effects.size() = int 2}\nnot_evaluated: effects[2].class == 'transfer'\n"},
		"what nothing guards fails": {"effects[2].class == 'transfer' && caller.uid > 0",
			"error: effects[2].class == 'transfer' (index out of bounds: 2)\ntrue: caller.uid > 0 {caller.uid = int 1000}\n"},
		"a list within a list": {"effects.all(e, ['a', 'payroll'].exists(g, g == caller.user && e.class != 'opaque'))",
			"true: effects.all(e, ['a', 'payroll'].exists(g, g == caller.user && e.class != 'opaque')) [-1 of 2]\n"},
		"a list within a list that decides": {"effects.exists(e, ['a', 'payroll'].exists(g, g == caller.user && e.class == 'allowance'))",
			"true: effects.exists(e, ['a', 'payroll'].exists(g, g == caller.user && e.class == 'allowance')) [1 of 2]\n" +
				"  true: ['a', 'payroll'].exists(g, g == caller.user && e.class == 'allowance') [1 of 2]\n" +
				"    true: g == caller.user {g = string payroll} {caller.user = string payroll}\n    true: e.class == 'allowance' {e.class = string allowance}\n"},
		"what is not split shows what it read": {"(caller.uid == 1000 ? caller.user : caller.unit).startsWith('x') && effects.exists_one(e, e.revokes)",
			"false: (caller.uid == 1000 ? caller.user : caller.unit).startsWith('x') {caller.uid = int 1000} {caller.user = string payroll} {caller.unit = string system.slice/payroll.service}\nfalse: effects.exists_one(e, e.revokes)\n"},
		"sums and times": {"time + duration('1h') > timestamp('2030-01-01T00:00:00Z') && !!(outflow[0].amount + amount('1 usdc') > amount('7 usdc'))",
			"false: time + duration('1h') > timestamp('2030-01-01T00:00:00Z') {time + duration('1h') = timestamp 2026-11-23T11:00:00Z} {time = timestamp 2026-11-23T10:00:00Z}\n" +
				"false: !!(outflow[0].amount + amount('1 usdc') > amount('7 usdc')) {outflow[0].amount + amount('1 usdc') = amount 6 usdc (6000000)} {outflow[0].amount = amount 5 usdc (5000000)}\n"},
		"a text that a condition looks for, in a list of the caller's": {"'finance' in caller.groups",
			"false: 'finance' in caller.groups {caller.groups = list [\"payroll\", \"sealward\"]}\n"},
		"attributes, by name and all of them": {"effects.exists(e, 'contract' in e.attributes && e.attributes['contract'] != '" + acme + "' )",
			"false: effects.exists(e, 'contract' in e.attributes && e.attributes['contract'] != '" + acme + "') [-1 of 2]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := load(t, allowWhen(tt.condition))
			prop := transfer(t, acme, "1")
			two(t, &prop)
			facts := unspent(p, prop)
			agrees(t, p, prop, facts)
			if got := outline(p.Explain(prop, facts).Rules[0].Condition, ""); got != tt.want {
				t.Errorf("terms are\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestEveryRuleSaysWhatBecameOfIt(t *testing.T) {
	p := load(t, assetsText+`
rule "a" {
  keys  = ["treasury"]
  allow = true
}
rule "b" {
  callers = ["user:alice"]
  allow   = true
}
rule "c" {
  kinds = ["digest"]
  deny  = "no hashes"
}
rule "d" {
  when  = "caller.uid == 0"
  allow = true
}
rule "e" {
  when  = "effects[1].revokes"
  allow = true
}
rule "f" {
  allow = true
}
`)
	prop := transfer(t, acme, "1")
	x := p.Explain(prop, unspent(p, prop))
	var got []string
	for _, r := range x.Rules {
		got = append(got, fmt.Sprintf("%s line %d %s %q: %s %s", r.Name, r.Line, r.Verdict, r.Deny, r.Fate, r.Error))
	}
	want := []string{
		`a line 17 allow "": other_key `,
		`b line 21 allow "": other_caller `,
		`c line 25 deny "no hashes": other_kind `,
		`d line 29 allow "": condition_false `,
		`e line 33 allow "": failed its condition cannot be evaluated: index out of bounds: 1`,
		`f line 37 allow "": matched `,
	}
	if !slices.Equal(got, want) {
		t.Errorf("rules are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatIsRefusedBeforeAnyRuleHasNoRules(t *testing.T) {
	var none *Policy
	for name, p := range map[string]*Policy{"no policy": none, "an empty one": {}, "one without the key": load(t, sample)} {
		prop := transfer(t, acme, "1")
		prop.Key = testKey("stranger", 9)
		x := p.Explain(prop, signer.Facts{Time: at})
		if x.Decision.Verdict != signer.Deny || x.Decision.Reason == "" || x.Rules != nil {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

// A rule is close where one thing alone was in the way.
func TestRulesThatWereClose(t *testing.T) {
	vendors := "effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
	limited := allow("when = \"" + vendors + "\"\nlimit \"each\" {\n  amount = \"1 eth\"\n}\n")
	to := func(to string) func(*testing.T, *signer.Proposal) {
		return func(t *testing.T, p *signer.Proposal) { *p = transfer(t, to, "1") }
	}
	for name, tt := range map[string]struct {
		policy string
		change func(*testing.T, *signer.Proposal)
		close  bool
	}{
		"a stranger is paid":                        {allowWhen(vendors), to(hacker), true},
		"a stranger has an allowance":               {allowWhen(vendors), two, false},
		"nothing is wrong":                          {allowWhen(vendors), to(acme), false},
		"one term of several":                       {allowWhen("caller.uid == 1 && kind == 'evm.transaction'"), to(acme), true},
		"two terms of several":                      {allowWhen("caller.uid == 1 && kind == 'digest'"), to(acme), false},
		"the nearer of two ways":                    {allowWhen("caller.uid == 1 && kind == 'digest' || caller.uid == 1000 && kind == 'digest'"), to(acme), true},
		"one that fails":                            {allowWhen("effects[7].revokes && caller.uid == 1000"), to(acme), true},
		"none of nothing":                           {allowWhen("warnings.exists(w, w.severity == 'info')"), to(acme), false},
		"a limit":                                   {limited, func(t *testing.T, p *signer.Proposal) { *p = transfer(t, acme, "1.1") }, true},
		"a limit, and a term":                       {limited, func(t *testing.T, p *signer.Proposal) { *p = transfer(t, hacker, "1.1") }, true},
		"a rule that denies is not close":           {denyWhen("caller.uid == 1"), to(acme), false},
		"nor is one about others":                   {allow("callers = [\"user:alice\"]"), to(acme), false},
		"nor one of whose effects two are no match": {allowWhen("effects.all(e, e.class == 'message')"), two, false},
		"one of whose effects one is no match":      {allowWhen("effects.all(e, e.class == 'transfer')"), two, true},
		"a negation":                                {allowWhen("!(kind == 'evm.transaction' && caller.uid == 1000)"), to(acme), true},
	} {
		t.Run(name, func(t *testing.T) {
			p := load(t, tt.policy)
			prop := transfer(t, acme, "1")
			tt.change(t, &prop)
			facts := unspent(p, prop)
			agrees(t, p, prop, facts)
			x := p.Explain(prop, facts)
			if got := x.Rules[len(x.Rules)-1].Close; got != tt.close {
				t.Errorf("close = %t, want %t: %s\n%s", got, tt.close, x.Decision.Reason, outline(x.Rules[len(x.Rules)-1].Condition, ""))
			}
		})
	}
}

// The limits of a rule that matches are shown also where another rule denies.
func TestLimitsAreShownWhoeverDenies(t *testing.T) {
	p := load(t, sample+"rule \"never\" {\n  deny = \"no\"\n}\n")
	prop := transfer(t, acme, "2")
	x := p.Explain(prop, spent(unspent(p, prop), ether, day, wei(t, "9")))
	if !strings.Contains(x.Decision.Reason, `rule "never" denies`) {
		t.Fatalf("decision = %+v", x.Decision)
	}
	r := x.Rules[0]
	if len(r.Limits) != 2 || r.Limits[0].Exceeded() || !r.Limits[1].Exceeded() || r.Limits[1].Spent.Cmp(wei(t, "9")) != 0 || !r.Close {
		t.Errorf("limits = %+v, close %t", r.Limits, r.Close)
	}
	if len(r.Refusals) != 1 || !strings.Contains(r.Refusals[0], "left 1 eth") {
		t.Errorf("refusals = %q", r.Refusals)
	}
	for _, r := range x.Rules[1:] {
		if r.Limits != nil || r.Refusals != nil || r.Close {
			t.Errorf("rule %q has limits %v, refusals %q, close %t", r.Name, r.Limits, r.Refusals, r.Close)
		}
	}
}

// What an explanation costs does not matter, that it ends does.
func TestAnExplanationOfManyEffectsEnds(t *testing.T) {
	p := load(t, allowWhen("effects.all(e, e.class == 'transfer' && (e.counterparty in addresses.vendors || ['a', 'b'].exists(x, x == e.class || x == kind)))"))
	prop := transfer(t, acme, "1")
	prop.Intent.Effects = slices.Repeat(prop.Intent.Effects, 500)
	prop.Intent.Effects[499].Counterparty = hacker
	begun := time.Now()
	x := p.Explain(prop, unspent(p, prop)).Rules[0].Condition[0]
	if x.Element != 499 || x.Elements != 500 || x.Result != False {
		t.Errorf("element %d of %d decided: %s", x.Element, x.Elements, x.Result)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// FuzzScan checks that the words of a text are its words: put together again they are
// found again, and nothing is lost but white space and comments.
func FuzzScan(f *testing.F) {
	for _, text := range []string{"", "a && (b || !c) // d\n == 'e f'", `r'\' + "\"" + '''x'y''' + b"z"`, "((a)", "a))", "[{)]}", "'", `"\`, "e.all(x, y)", "\u00e9 \u202e"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "//") || !slices.Equal([]rune(text), []rune(string([]rune(text)))) {
			return
		}
		first := scan(text)
		line := first.string(first.all())
		second := scan(line)
		if got := second.string(second.all()); got != line || len(first.words) != len(second.words) {
			t.Errorf("%q is %d words, %q, and that is %d words, %q", text, len(first.words), line, len(second.words), got)
		}
		for i, w := range first.words {
			if w.other < 0 || w.other >= len(first.words) || first.words[w.other].other != i {
				t.Errorf("word %d of %q belongs to %d, and that does not belong to it", i, text, w.other)
			}
		}
		_ = first.bare(first.all())
		_, _, _ = first.quantified(first.all())
	})
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// explanationDocument is an explanation for programs. docs/cli.md describes it.
type explanationDocument struct {
	Leaf     *uint64 `json:"leaf,omitempty"`
	Request  string  `json:"request"`
	Caller   string  `json:"caller"`
	Key      string  `json:"key"`
	Kind     string  `json:"kind"`
	Policy   string  `json:"policy"`
	Time     string  `json:"time"`
	Recorded bool    `json:"recorded"`
	// Unasked says that the daemon refused before it asked policy.
	Unasked  bool            `json:"unasked"`
	Differs  []string        `json:"differs"`
	Decision json.RawMessage `json:"decision"` // as a record has it
	Rules    []ruleDocument  `json:"rules"`
}

type ruleDocument struct {
	Rule      string           `json:"rule"`
	Line      int              `json:"line"`
	Verdict   string           `json:"verdict"`
	Deny      string           `json:"deny"`
	Fate      string           `json:"fate"`
	Error     string           `json:"error"`
	Close     bool             `json:"close"`
	Condition []termDocument   `json:"condition"`
	Limits    []limitDocument  `json:"limits"`
	Refusals  []string         `json:"refusals"`
	Quorums   []quorumDocument `json:"quorums"`
}

type termDocument struct {
	Source   string          `json:"source"`
	Result   string          `json:"result"`
	Error    string          `json:"error"`
	Operator string          `json:"operator"`
	List     string          `json:"list"`
	Variable string          `json:"variable"`
	Element  *int            `json:"element"`
	Elements *int            `json:"elements"`
	Terms    []termDocument  `json:"terms"`
	Values   []valueDocument `json:"values"`
}

type valueDocument struct {
	Source string `json:"source"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

type limitDocument struct {
	Limit    string `json:"limit"`
	Asset    string `json:"asset"`
	Window   string `json:"window"`
	Per      string `json:"per"`
	Subject  string `json:"subject"`
	Max      string `json:"max"`
	Spent    string `json:"spent"`
	Amount   string `json:"amount"`
	Left     string `json:"left"`
	Exceeded bool   `json:"exceeded"`
	Frees    string `json:"frees"`
}

type quorumDocument struct {
	Limit         string `json:"limit"`
	Group         string `json:"group"`
	Approvals     int    `json:"approvals"`
	ExcludeCaller bool   `json:"exclude_caller"`
	Including     string `json:"including"`
	Devices       int    `json:"devices"`
}

func (x *explained) document() explanationDocument {
	p := x.proposal
	out := explanationDocument{
		Caller: p.Caller.ID(), Key: p.Key.Name, Kind: string(p.Request.Kind),
		Policy: fmt.Sprintf("%x", p.Policy), Time: x.facts.Time.UTC().Format(time.RFC3339Nano), Recorded: x.recorded != nil,
		Unasked: x.unasked, Differs: append([]string{}, x.differs...),
		Decision: json.RawMessage(canonicalDecision(x.decision())), Rules: []ruleDocument{},
	}
	if x.recorded != nil {
		out.Leaf, out.Request = &x.leaf, p.Request.ID
	}
	for _, r := range x.Rules {
		doc := ruleDocument{
			Rule: r.Name, Line: r.Line, Verdict: r.Verdict.String(), Deny: r.Deny, Fate: string(r.Fate), Error: r.Error, Close: r.Close,
			Condition: termDocuments(r.Condition), Limits: []limitDocument{}, Refusals: append([]string{}, r.Refusals...), Quorums: []quorumDocument{},
		}
		for _, l := range r.Limits {
			doc.Limits = append(doc.Limits, limitDocument{
				l.Limit, l.Asset, l.Window.String(), string(l.Per), l.Subject, l.Max.String(), l.Spent.String(), l.Amount.String(), left(l).String(), l.Exceeded(), rfc3339(l.Frees),
			})
		}
		for _, q := range r.Quorums {
			doc.Quorums = append(doc.Quorums, quorumDocument{q.Limit, q.Group, q.Approvals, q.ExcludeCaller, q.Including, max(1, q.Devices)})
		}
		out.Rules = append(out.Rules, doc)
	}
	return out
}

func termDocuments(terms []policy.Term) []termDocument {
	out := []termDocument{}
	for _, t := range terms {
		doc := termDocument{Source: t.Source, Result: string(t.Result), Error: t.Error, Operator: t.Operator, List: t.List, Variable: t.Variable, Terms: termDocuments(t.Terms), Values: []valueDocument{}}
		if t.Quantified() {
			doc.Elements = &t.Elements
			if t.Element >= 0 {
				doc.Element = &t.Element
			}
		}
		for _, v := range t.Values {
			doc.Values = append(doc.Values, valueDocument{v.Source, v.Type, v.Text})
		}
		out = append(out, doc)
	}
	return out
}

// left is what a limit had left for the request: none where it was exhausted, or lowered
// after the spending.
func left(l signer.LimitUse) *big.Int {
	n := new(big.Int).Sub(l.Max, l.Spent)
	if n.Sign() < 0 {
		n.SetInt64(0)
	}
	return n
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// explanationPage writes an explanation for people, in 80 columns.
type explanationPage struct {
	strings.Builder
	names  console.Names
	reason string // of the decision
}

// show writes what was decided, then each rule, then what the request would do.
func (x *explained) show(w io.Writer) error {
	book := x.policy.Book()
	names := console.Names{Assets: book.Assets, Accounts: book.Accounts, Contracts: book.Contracts, Canonical: canonical, Now: x.facts.Time}
	page := explanationPage{names: names, reason: x.decision().Reason}
	page.head(x)
	for _, r := range x.Rules {
		page.rule(r)
	}
	if len(x.Rules) == 0 {
		page.WriteString("\nNo rule was asked.\n")
	}
	page.WriteString("\n" + console.Intent(x.proposal.Intent, nil, names))
	_, err := io.WriteString(w, page.String())
	return err
}

// fact is a line of the head.
func (p *explanationPage) fact(name, text string) {
	if text != "" {
		p.WriteString(console.Wrapped(fmt.Sprintf("%-9s ", name), "            ", text))
	}
}

func (p *explanationPage) head(x *explained) {
	d := x.decision()
	if len(x.differs) > 0 {
		p.WriteString("THIS IS NOT WHAT IS RECORDED: the policy of the decision, asked again with the\nfacts of the decision, says something else. Run: sealward journal verify\n")
		for _, what := range x.differs {
			p.fact("PROBLEM", what)
		}
		p.WriteString("\n")
	}
	p.fact("verdict", d.Verdict.String())
	p.fact("reason", d.Reason)
	if x.unasked {
		p.fact("note", "the daemon refused it before policy was asked; what follows is what policy would have said")
		p.fact("policy's", x.Decision.Verdict.String())
		p.fact("because", x.Decision.Reason)
	}
	if x.ended {
		p.fact("note", "the daemon ended it; what follows is what policy said")
		p.fact("policy's", x.Decision.Verdict.String())
		p.fact("because", x.Decision.Reason)
	}
	if x.recorded != nil {
		p.fact("leaf", fmt.Sprint(x.leaf))
		p.fact("request", x.proposal.Request.ID)
	}
	p.fact("caller", describeCaller(x.proposal.Caller))
	p.fact("key", x.proposal.Key.Name)
	p.fact("kind", string(x.proposal.Request.Kind))
	p.fact("time", rfc3339(x.facts.Time))
	p.fact("policy", fmt.Sprintf("%x", x.proposal.Policy))
}

func describeCaller(c signer.Caller) string {
	text := c.ID()
	for _, part := range [][2]string{{"user", c.User}, {"groups", strings.Join(c.Groups, " ")}, {"socket", c.Socket}, {"unit", c.Unit}} {
		if part[1] != "" {
			text += ", " + part[0] + " " + part[1]
		}
	}
	return text
}

// The margin of what is below a rule, and that of what goes on there.
const (
	below  = "  "
	onward = "      "
)

func (p *explanationPage) rule(r policy.RuleExplanation) {
	word := "RULE"
	if r.Close {
		word = "CLOSE"
	}
	does := map[signer.Verdict]string{signer.Allow: "allows", signer.Ask: "asks", signer.Deny: "denies"}[r.Verdict]
	p.WriteString("\n" + console.Wrapped(fmt.Sprintf("%-8s ", word), "           ", fmt.Sprintf("%q (line %d) %s: %s", r.Name, r.Line, does, fates[r.Fate])))
	if r.Fate == policy.Matched && r.Deny != "" {
		p.WriteString(console.Wrapped(below+"because ", onward, r.Deny))
	}
	if r.Error != "" {
		p.WriteString(console.Named(below, "error", r.Error))
	}
	p.terms(below, r.Condition, together(r.Condition))
	for _, l := range r.Limits {
		p.limit(l)
	}
	for _, why := range r.Refusals {
		if !strings.Contains(p.reason, why) { // which is said already
			p.WriteString(console.Wrapped(below+"refuses ", onward, why))
		}
	}
	for _, q := range r.Quorums {
		p.WriteString(console.Wrapped(below+"asks ", onward, askedText(q)))
	}
}

// together is what the terms between && come to.
func together(terms []policy.Term) policy.Result {
	for _, worst := range []policy.Result{policy.False, policy.Failed} {
		if slices.ContainsFunc(terms, func(t policy.Term) bool { return t.Result == worst }) {
			return worst
		}
	}
	return policy.True
}

// fates say what became of a rule.
var fates = map[policy.Fate]string{
	policy.OtherKey: "about another key", policy.OtherCaller: "about another caller", policy.OtherKind: "about another kind",
	policy.OutsideHours: "outside its hours", policy.ConditionFalse: "its condition is false", policy.NotEvaluable: "it cannot be evaluated", policy.Matched: "it matched",
}

func askedText(q signer.Quorum) string {
	text := fmt.Sprintf("for %d of %q", q.Approvals, q.Group)
	if q.Limit != "" {
		text += fmt.Sprintf(", because of limit %q", q.Limit)
	}
	if q.ExcludeCaller {
		text += "; the caller does not count"
	}
	if q.Including != "" {
		text += fmt.Sprintf("; one of them of %q", q.Including)
	}
	if q.Devices > 1 {
		text += fmt.Sprintf("; each with %d devices", q.Devices)
	}
	return text
}

// results are as wide as each other.
var results = map[policy.Result]string{policy.True: "true   ", policy.False: "FALSE  ", policy.Failed: "ERROR  ", policy.NotEvaluated: "-      "}

// terms writes terms below one that came to whole. A part that came out otherwise had no
// share in that, and is not taken apart further.
func (p *explanationPage) terms(indent string, terms []policy.Term, whole policy.Result) {
	for _, t := range terms {
		inner := indent + "       "
		apart := len(t.Terms) > 0 && (t.Result == whole || t.Result == policy.Failed || whole == policy.Failed)
		p.WriteString(console.Wrapped(indent+results[t.Result], inner+"  ", headline(t, apart)))
		if t.Result == policy.NotEvaluated {
			p.WriteString(inner + "not evaluated: another term decides\n")
		}
		if t.Error != "" && len(t.Terms) == 0 {
			p.WriteString(console.Named(inner, "error", t.Error))
		}
		for _, v := range t.Values {
			p.value(inner, v)
		}
		switch {
		case !apart:
		case t.Operator == "!" && len(t.Terms[0].Terms) == 0:
			for _, v := range t.Terms[0].Values {
				p.value(inner, v)
			}
		default:
			p.terms(indent+"  ", t.Terms, part(t))
		}
	}
}

// headline is the text of a term; of one that is taken apart, what its parts leave out.
func headline(t policy.Term, apart bool) string {
	if !t.Quantified() {
		switch {
		case apart && t.Operator == "||":
			return "any of these:"
		case apart && t.Operator == "&&":
			return "all of these:"
		case apart && t.Operator == "!" && len(t.Terms[0].Terms) > 0:
			return "not this:"
		}
		return t.Source
	}
	short := fmt.Sprintf("%s.%s(%s, ...)", t.List, t.Operator, t.Variable)
	switch {
	case apart:
		return fmt.Sprintf("%s, with %s[%d], of %d", short, t.List, t.Element, t.Elements)
	case t.Elements == 0:
		return t.Source + ", and there is none"
	case t.Element < 0 && t.Result == policy.True:
		return fmt.Sprintf("%s, each of %d", t.Source, t.Elements)
	case t.Element < 0:
		return fmt.Sprintf("%s, none of %d", t.Source, t.Elements)
	default:
		return t.Source
	}
}

// part is what the parts of a term came to, those that made it what it is.
func part(t policy.Term) policy.Result {
	switch {
	case t.Operator != "!":
		return t.Result
	case t.Result == policy.True:
		return policy.False
	case t.Result == policy.False:
		return policy.True
	default:
		return t.Result
	}
}

// value writes what a part of a term stood for, and what the owner calls that.
func (p *explanationPage) value(indent string, v policy.Value) {
	p.WriteString(console.Named(indent, v.Source, v.Text))
	called := p.names.Accounts[v.Text]
	if a, ok := p.names.Assets[v.Text]; ok && called == "" {
		called = a.Name
	}
	if called != "" {
		p.WriteString(console.Wrapped(indent+"  ", indent+"    ", fmt.Sprintf("which is %q", called)))
	}
}

// limit says how near a limit was.
func (p *explanationPage) limit(l signer.LimitUse) {
	amount := func(n *big.Int) string { return console.Amount(n, l.Asset, p.names) }
	text := fmt.Sprintf("%q", l.Limit)
	switch l.Per {
	case signer.PerKey, signer.PerFee:
	default:
		text += fmt.Sprintf(" per %s, for %s", l.Per, l.Subject)
		if called := p.names.Accounts[l.Subject]; called != "" {
			text += fmt.Sprintf(" (%s)", called)
		}
	}
	text += fmt.Sprintf(": asked %s of at most %s", amount(l.Amount), amount(l.Max))
	if l.Window > 0 {
		text += fmt.Sprintf(" %s, %s spent, %s left", window(durationpb.New(l.Window)), amount(l.Spent), amount(left(l)))
	}
	after := new(big.Int).Add(l.Spent, l.Amount)
	switch over := new(big.Int).Sub(after, l.Max); {
	case over.Sign() > 0:
		text += fmt.Sprintf(": EXCEEDED by %s", amount(over))
	case l.Max.Sign() > 0:
		text += fmt.Sprintf(": holds, and is used to %s%%", after.Mul(after, big.NewInt(100)).Quo(after, l.Max))
	}
	if l.Exceeded() && !l.Frees.IsZero() {
		text += "; the oldest part frees at " + rfc3339(l.Frees)
	}
	p.WriteString(console.Wrapped(below+"limit ", onward, text))
}

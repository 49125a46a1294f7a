package policy

import (
	"fmt"
	"slices"

	"github.com/sealward/sealward/signer"
)

// Explanation says why a request was decided as it was.
type Explanation struct {
	Decision signer.Decision
	// Rules has every rule of the policy, in its order. It is empty where the request was
	// refused before any rule was asked, and for a recovery, for which none is; then the
	// decision's reason says why.
	Rules []RuleExplanation
}

// Fate is what became of a rule.
type Fate string

// The fates of a rule: what was not so, of all that it asks of a request, or that all
// was. They stand in the order in which they are looked at.
const (
	OtherKey       Fate = "other_key"
	OtherCaller    Fate = "other_caller"
	OtherKind      Fate = "other_kind"
	OutsideHours   Fate = "outside_hours"
	ConditionFalse Fate = "condition_false"
	NotEvaluable   Fate = "failed"
	Matched        Fate = "matched"
)

// RuleExplanation says what became of one rule.
type RuleExplanation struct {
	Name string
	Line int // where it begins in the policy file
	// Verdict is what it does with what it matches, limits left aside.
	Verdict signer.Verdict
	Deny    string // its reason, of one that denies
	Fate    Fate
	Error   string // why it cannot be evaluated
	// Condition are the terms between the top && of its condition: of a rule that is about
	// the key, the caller and the kind and has one.
	Condition []Term
	// Limits are those of a rule that matched and lets through, its bounds on the fee among
	// them, as the request meets them. Refusals is why they refuse it, and Quorums is whose
	// approvals the rule and its exhausted limits ask for.
	Limits   []signer.LimitUse
	Refusals []string
	Quorums  []signer.Quorum
	// Close marks a rule that would let the request through but for one thing: one term of
	// its condition, its hours, or its limits.
	Close bool
}

// Explain decides as [Policy.Decide] does, and says how that came about. The decision is
// the same, from the same evaluation of every rule; the parts of conditions are evaluated
// again, one by one, to show what they came to.
func (p *Policy) Explain(proposal signer.Proposal, facts signer.Facts) Explanation {
	if err := p.wellFormed(&proposal); err != nil {
		return Explanation{Decision: signer.Decision{Reason: err.Error()}}
	}
	if recovers(&proposal.Intent) {
		return Explanation{Decision: p.recover(&proposal, &facts)}
	}
	in := &inputs{p: &proposal, f: &facts}
	rules := match(pointers(p.rules), in)
	out := Explanation{Decision: p.decide(rules, &proposal, &facts)}
	letting, _ := rules.split()
	q := newRequest(&proposal, &facts, p.book, letting)
	for _, m := range rules {
		x := m.explain(in, p.book)
		if m.how == matched && m.rule.lets() {
			x.hold(m.rule, q)
		}
		x.Close = m.rule.lets() && x.close()
		out.Rules = append(out.Rules, x)
	}
	return out
}

// hold says how a request meets the limits of a rule.
func (x *RuleExplanation) hold(r *rule, q *request) {
	uses, exceeding, refusals := r.apply(q)
	charges, excessive := r.applyFees(q)
	x.Limits, x.Refusals = slices.Concat(uses, charges), slices.Concat(refusals, excessive)
	for _, d := range slices.Concat(r.demands(), exceeding) {
		x.Quorums = append(x.Quorums, d.Quorum)
	}
}

// explain says what became of a rule, and of the parts of its condition.
func (m met) explain(in *inputs, book signer.Book) RuleExplanation {
	r := m.rule
	x := RuleExplanation{Name: r.name, Line: r.line, Verdict: r.verdict(), Deny: r.deny, Fate: m.fate(in)}
	if m.err != nil {
		x.Error = m.err.Error()
	}
	if r.when == nil || m.how == ofOthers || m.how == ofOtherKinds {
		return x
	}
	terms, err := r.when.dissect(in, book.Assets)
	if err != nil && x.Error == "" {
		x.Error = fmt.Sprintf("the parts of its condition cannot be shown: %v", err)
	}
	x.Condition = terms
	return x
}

// verdict is what a rule does with what it matches.
func (r *rule) verdict() signer.Verdict {
	switch {
	case !r.lets():
		return signer.Deny
	case len(r.require) > 0 || r.delay.Duration > 0:
		return signer.Ask
	default:
		return signer.Allow
	}
}

func (m met) fate(in *inputs) Fate {
	switch m.how {
	case ofOthers:
		if m.rule.about(in.p.Key.Name) {
			return OtherCaller
		}
		return OtherKey
	case ofOtherKinds:
		return OtherKind
	case outsideHours:
		return OutsideHours
	case isFalse:
		return ConditionFalse
	case matched:
		return Matched
	default:
		return NotEvaluable
	}
}

// close reports whether one thing alone was in the way.
func (x *RuleExplanation) close() bool {
	misses := 0
	for _, t := range x.Condition {
		misses += t.misses
	}
	switch x.Fate {
	case OutsideHours:
		return misses == 0
	case ConditionFalse, NotEvaluable:
		return misses == 1
	case Matched:
		return len(x.Refusals) > 0 || slices.ContainsFunc(x.Limits, signer.LimitUse.Exceeded)
	default:
		return false
	}
}

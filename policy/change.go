package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/sealward/sealward/signer"
)

// Three acts decide who decides: another policy, a file that is obeyed without asking, the
// end of a freeze. Where there are people to ask, no rule lets them through without.

// guarded are the classes of those acts.
var guarded = []signer.Class{signer.ClassPolicyChange, signer.ClassTrustFile, signer.ClassThaw}

func guards(in *signer.Intent) bool {
	return slices.ContainsFunc(in.Effects, func(e signer.Effect) bool { return slices.Contains(guarded, e.Class) })
}

// unrequired refuses a guarded act for which no rule that matches it has people asked. A
// limit that asks when it is exhausted does not count: until then, it asks nobody.
func (p *Policy) unrequired(in *signer.Intent, letting []*rule) (refusals []string) {
	if len(p.people.approvers) == 0 || !guards(in) || slices.ContainsFunc(letting, requires) {
		return nil
	}
	var names []string
	for _, r := range letting {
		names = append(names, fmt.Sprintf("%q", r.name))
	}
	return []string{fmt.Sprintf("it would pass without an approval by %s, and in a policy that names approvers an act of class %q takes some: write require in the rule, in place of allow",
		listOf("rule", names), in.Class())}
}

func requires(r *rule) bool { return len(r.require) > 0 }

// recovers reports whether a proposal asks for the recovery quorum.
func recovers(in *signer.Intent) bool {
	return in.Kind == signer.KindAdmin && len(in.Effects) == 1 && guards(in) && in.Effects[0].Attributes[signer.AttributeRecovery] == "true"
}

// recover decides on a recovery: whom the rules name, and what they deny, makes no
// difference, since they may be what went wrong.
func (p *Policy) recover(proposal *signer.Proposal, facts *signer.Facts) signer.Decision {
	if p.people.recovery == nil {
		return signer.Decision{Reason: "it asks for a recovery, and the policy has no block recovery that says whose approvals that takes; ask without recovery, for the approvals that the rules name"}
	}
	w := waiting{demands: []demand{{Quorum: *p.people.recovery, why: "recovery"}}}
	if refusals := p.unattainable(w, proposal, facts); len(refusals) > 0 {
		return signer.Decision{Reason: say(refusals)}
	}
	return signer.Decision{Verdict: signer.Ask, Reason: w.String(), Quorums: w.quorums()}
}

// Changeable returns nil if somebody could have another policy put in force by a request:
// by a recovery, or by a rule that lets a change of policy through once people approved
// it. (In a policy that names nobody, by a rule that lets it through at all.)
func (p *Policy) Changeable() error {
	if p == nil {
		return errors.New("nobody could change this policy: there is none")
	}
	return p.stuck()
}

func changeable(rules []rule, people people) error {
	if people.recovery != nil {
		return nil
	}
	const unchangeable = "nobody could change this policy: "
	asks := len(people.approvers) > 0
	var always, asking []*rule // that let every change through, or some
	for i := range rules {
		r := &rules[i]
		switch c := r.chance(); {
		case c == surely && r.deny != "":
			return fmt.Errorf(unchangeable+"rule %q denies every change of policy; make an exception of class 'policy_change' in its condition, or write a block recovery", r.name)
		case c == surely && r.limitsAmounts() && !slices.Contains(r.kinds, signer.KindAdmin):
			return fmt.Errorf(unchangeable+"rule %q limits amounts, and a change of policy has none; name kind %q in its kinds, or write a rule of its own for key %q", r.name, signer.KindAdmin, signer.AdminKey)
		case c == breaks:
			return fmt.Errorf(unchangeable+"the condition of rule %q cannot be evaluated for one, and that refuses it; ask for the class first, as in e.class == 'key_disable' && ..., and with has() whether an attribute is there", r.name)
		case c == never || !r.lets():
		default:
			if c == surely {
				always = append(always, r)
			}
			if len(r.require) > 0 || !asks {
				asking = append(asking, r)
			}
		}
	}
	var why string
	for _, r := range asking {
		if why = people.futile(append(slices.Clone(always), r)); why == "" {
			return nil
		}
	}
	switch {
	case why != "":
		return errors.New(unchangeable + why)
	case asks:
		return fmt.Errorf(unchangeable+"no rule with require lets an act of class policy_change of key %q through, and where there are approvers it takes some of them; write such a rule, with keys = [%q] and when = \"effects.all(e, e.class == 'policy_change')\", or a block recovery", signer.AdminKey, signer.AdminKey)
	default:
		return fmt.Errorf(unchangeable+"no rule lets an act of class policy_change of key %q through; write such a rule, or name approvers", signer.AdminKey)
	}
}

// futile says why nobody could have approved what takes the approvals of rules together;
// empty: somebody could.
func (p people) futile(letting []*rule) string {
	if late := newWaiting(nil, letting).late(); late != "" {
		return late
	}
	for _, r := range letting {
		for _, q := range r.require {
			if q.ExcludeCaller && !p.askable(letting, q) {
				return fmt.Sprintf("rule %q does not count whoever asks, and none of its callers is in the users of an approver beside whom others could approve; name such users in callers, or let those who ask be somebody's users", q.Rule)
			}
		}
	}
	return ""
}

// askable reports whether some approver might ask by rules, and others then be enough for
// a quorum.
func (p people) askable(letting []*rule, q signer.Quorum) bool {
	for user, name := range p.owners {
		bars := func(r *rule) bool {
			return r.callers != nil && !slices.ContainsFunc(r.callers, func(s selector) bool { return s.what != "user" || s.name == user })
		}
		if p.included(q, name) && !slices.ContainsFunc(letting, bars) {
			return true
		}
	}
	return false
}

// chance is what may become of a rule when somebody asks for a change of policy.
type chance uint8

const (
	never  chance = iota // it does not match
	maybe                // that depends on who asks, when, why, and for what
	surely               // it matches, whoever asks
	breaks               // its condition cannot be evaluated, whoever asks
)

// chance tries a rule on a change of policy, of which everything is known but what
// differs from one to the next.
func (r *rule) chance() chance {
	if !r.about(signer.AdminKey) || r.kinds != nil && !slices.Contains(r.kinds, signer.KindAdmin) {
		return never
	}
	c := r.when.chance()
	if c != never && (r.callers != nil || r.hours != nil) {
		return maybe
	}
	return c
}

// open are the variables whose values differ from one request to the next.
var open = []string{"caller.uid", "caller.user", "caller.groups", "caller.socket", "caller.unit", "time"}

// particular are the attributes of a change of policy, which differ as well.
var particular = regexp.MustCompile(`\battributes\s*(\.\s*|\[\s*['"])(` + strings.Join([]string{
	signer.AttributePolicyFrom, signer.AttributePolicyTo, signer.AttributeReason,
}, "|") + `)\b`)

func (c *condition) chance() chance {
	if c == nil {
		return surely
	}
	if particular.MatchString(c.text) {
		return maybe
	}
	ast, issues := c.env.Compile(c.text)
	if issues.Err() != nil {
		return breaks // which it did not when it was loaded
	}
	program, err := c.env.Program(ast, cel.EvalOptions(cel.OptPartialEval), cel.CostLimit(maxConditionCost))
	if err != nil {
		return breaks
	}
	var unknown []*cel.AttributePatternType
	for _, name := range open {
		unknown = append(unknown, cel.AttributePattern(name))
	}
	known, err := cel.PartialVars(&inputs{p: anyChange(), f: &signer.Facts{Recipients: true}}, unknown...)
	if err != nil {
		return breaks
	}
	switch out, _, err := program.Eval(known); {
	case err != nil:
		return breaks
	case types.IsUnknown(out):
		return maybe
	case out == types.True:
		return surely
	default:
		return never
	}
}

// anyChange is a change of policy, as its decoder shapes it.
func anyChange() *signer.Proposal {
	return &signer.Proposal{
		Request: signer.Request{Key: signer.AdminKey, Kind: signer.KindAdmin},
		Key:     signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}},
		Intent: signer.Intent{Kind: signer.KindAdmin, Complete: true, Effects: []signer.Effect{{
			Class: signer.ClassPolicyChange,
			Attributes: map[string]string{
				signer.AttributePolicyFrom: strings.Repeat("0", 64), signer.AttributePolicyTo: strings.Repeat("1", 64), signer.AttributeReason: "to see",
			},
		}}},
	}
}

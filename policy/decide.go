package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer"
)

// adminSocket is the name of the socket for approvers and operators.
const adminSocket = "admin"

// Grants reports whether some rule that lets through names the caller and the key. It
// says nothing about what the rule lets through. Whoever may use the admin socket may ask
// Sealward itself for a recovery, where there is one.
func (p *Policy) Grants(c signer.Caller, k signer.KeyInfo) bool {
	if p == nil || !c.Identified || !p.binds(k) {
		return false
	}
	if k.Name == signer.AdminKey && c.Socket == adminSocket && p.people.recovery != nil {
		return true
	}
	return slices.ContainsFunc(p.rules, func(r rule) bool { return r.lets() && r.names(c, k.Name) })
}

// binds reports whether a key is the one that its name stood for at load. Sealward
// itself has no public key.
func (p *Policy) binds(k signer.KeyInfo) bool {
	if k.Name == signer.AdminKey {
		return k.Fingerprint == "" && len(k.Public.Bytes) == 0
	}
	fingerprint, ok := p.keys[k.Name]
	return ok && fingerprint == k.Fingerprint
}

// Decide says what the policy makes of a proposal. A rule that denies wins over
// everything, and so does a condition that cannot be evaluated, whichever rule it
// belongs to; then it takes a rule that lets through, and every limit of every rule that
// does. The reason of a refusal is everything that stands against the proposal.
//
// A recovery is not for the rules: whoever they are, the recovery quorum is asked in
// their place.
func (p *Policy) Decide(proposal signer.Proposal, facts signer.Facts) signer.Decision {
	if err := p.wellFormed(&proposal); err != nil {
		return signer.Decision{Reason: err.Error()}
	}
	if recovers(&proposal.Intent) {
		return p.recover(&proposal, &facts)
	}
	return p.decide(match(p.index[proposal.Key.Name], &inputs{p: &proposal, f: &facts}), &proposal, &facts)
}

// decide works from what became of the rules.
func (p *Policy) decide(rules fates, proposal *signer.Proposal, facts *signer.Facts) signer.Decision {
	d := signer.Decision{Rules: rules.names()}
	letting, refusals := rules.split()
	refusals = append(refusals, rules.failures()...)
	if len(letting) == 0 {
		if len(refusals) == 0 {
			refusals = []string{rules.nearest(proposal)}
		}
		d.Reason = say(refusals)
		return d
	}
	if err := sighted(&proposal.Intent, letting); err != nil {
		refusals = append(refusals, err.Error())
	}
	q := newRequest(proposal, facts, p.book, letting)
	var demands []demand
	for _, r := range letting {
		demands = append(demands, r.demands()...)
		uses, exceeding, errs := r.apply(q)
		demands = append(demands, exceeding...)
		charges, excessive := r.applyFees(q)
		d.Limits = append(append(d.Limits, uses...), charges...)
		refusals = append(append(refusals, errs...), excessive...)
	}
	refusals = append(refusals, p.unrequired(&proposal.Intent, letting)...)
	w := newWaiting(demands, letting)
	refusals = append(refusals, p.unattainable(w, proposal, facts)...)
	switch {
	case len(refusals) > 0:
		d.Reason = say(refusals)
	case w.asks():
		d.Verdict, d.Reason, d.Quorums = signer.Ask, w.String(), w.quorums()
		d.Delay, d.Expires = w.delay.Duration, w.expires.Duration
	default:
		d.Verdict = signer.Allow
	}
	return d
}

// wellFormed refuses what no decoder or listener of ours makes, before a rule
// could be led astray by it.
func (p *Policy) wellFormed(proposal *signer.Proposal) error {
	in := &proposal.Intent
	switch {
	case p == nil || p.keys == nil:
		return errors.New("no policy is loaded")
	case !proposal.Caller.Identified:
		return errors.New("the caller is not identified")
	case !p.binds(proposal.Key):
		return fmt.Errorf("key %q is not a key that this policy was loaded with", proposal.Key.Name)
	case (proposal.Key.Name == signer.AdminKey) != (proposal.Request.Kind == signer.KindAdmin):
		return fmt.Errorf("a request of kind %q is for key %q and no other, and that for no other kind", signer.KindAdmin, signer.AdminKey)
	case len(in.Effects) == 0:
		return errors.New("the intent has no effect: every payload has at least one")
	case !includesFee(in):
		return errors.New("the fee is not part of the outflow: limits would miss it")
	}
	if err := oversized(proposal); err != nil {
		return err
	}
	for i, q := range in.Outflow {
		if i > 0 && in.Outflow[i-1].Asset >= q.Asset {
			return fmt.Errorf("the outflow is not one element per asset, sorted: limits could miss a part of it")
		}
		if n, ok := q.Bound(); ok && n.Sign() < 0 {
			return fmt.Errorf("the outflow of %s is negative", q.Asset)
		}
	}
	return nil
}

// includesFee reports whether what leaves includes the fee.
func includesFee(in *signer.Intent) bool {
	fee, known := in.Fee.Bound()
	if known && fee.Sign() == 0 {
		return true
	}
	i := slices.IndexFunc(in.Outflow, func(q signer.Quantity) bool { return q.Asset == in.Fee.Asset })
	if i < 0 {
		return false
	}
	all, bounded := in.Outflow[i].Bound()
	return !bounded || known && fee.Sign() > 0 && fee.Cmp(all) <= 0
}

// how says what became of a rule. Only one whose how is matched has an effect, and
// the zero value is not it.
type how uint8

const (
	ofOthers     how = iota // it names other callers or other keys
	ofOtherKinds            // it names other kinds
	outsideHours            // it is for other hours
	isFalse                 // its condition is
	hasFailed               // its condition or its hours cannot be evaluated; err says why
	matched
)

// met is what became of one rule.
type met struct {
	rule *rule
	how  how
	err  error
}

// fates is what became of rules, in the order of the policy. Those about other keys have
// no part in a decision, and may be left out.
type fates []met

func match(rules []*rule, in *inputs) fates {
	out := make(fates, len(rules))
	for i, r := range rules {
		out[i] = r.meet(in)
	}
	return out
}

// meet goes through what a rule asks of a request, and stops at the first that is not
// so.
func (r *rule) meet(in *inputs) met {
	switch {
	case !r.names(in.p.Caller, in.p.Key.Name):
		return met{rule: r, how: ofOthers}
	case r.kinds != nil && !slices.Contains(r.kinds, in.p.Request.Kind):
		return met{rule: r, how: ofOtherKinds}
	}
	switch open, err := r.open(in.f.Time); {
	case err != nil:
		return met{r, hasFailed, err}
	case !open:
		return met{rule: r, how: outsideHours}
	}
	switch holds, err := r.when.holds(in); {
	case err != nil:
		return met{r, hasFailed, fmt.Errorf("its condition cannot be evaluated: %s", clip(err.Error()))}
	case !holds:
		return met{rule: r, how: isFalse}
	}
	return met{rule: r, how: matched}
}

// names lists the rules that matched.
func (f fates) names() (names []string) {
	for _, m := range f {
		if m.how == matched {
			names = append(names, m.rule.name)
		}
	}
	return names
}

// failures says what could not be evaluated.
func (f fates) failures() (failures []string) {
	for _, m := range f {
		if m.how == hasFailed {
			failures = append(failures, fmt.Sprintf("rule %q: %v", m.rule.name, m.err))
		}
	}
	return failures
}

// split tells the rules that let through from those that deny, and says why they do. A
// rule that does neither denies.
func (f fates) split() (letting []*rule, denials []string) {
	for _, m := range f {
		switch {
		case m.how != matched:
		case m.rule.lets():
			letting = append(letting, m.rule)
		default:
			denials = append(denials, fmt.Sprintf("rule %q denies: %s", m.rule.name, m.rule.deny))
		}
	}
	return letting, denials
}

// nearest says why nothing allowed a proposal, by the rules that came near. Those that
// name neither the caller nor the key are no business of the caller's.
func (f fates) nearest(p *signer.Proposal) string {
	const most = 5
	var near []string
	more := 0
	for _, m := range f {
		switch {
		case m.how == ofOthers || !m.rule.lets():
		case len(near) == most:
			more++
		case m.how == ofOtherKinds:
			near = append(near, fmt.Sprintf("rule %q: not for kind %q", m.rule.name, clip(string(p.Request.Kind))))
		case m.how == outsideHours:
			near = append(near, fmt.Sprintf("rule %q: not at this hour", m.rule.name))
		default:
			near = append(near, fmt.Sprintf("rule %q: its condition is false", m.rule.name))
		}
	}
	if len(near) == 0 {
		return fmt.Sprintf("no rule allows it: none lets %s use key %q", p.Caller.ID(), p.Key.Name)
	}
	if more > 0 {
		near = append(near, fmt.Sprintf("and %d more", more))
	}
	return "no rule allows it: " + strings.Join(near, "; ")
}

// sighted refuses an intent that could not be read in full, unless one of the
// rules names every class of what could not be read.
func sighted(in *signer.Intent, allowing []*rule) error {
	var unseen []signer.Class
	for _, e := range in.Effects {
		if unreadable(e.Class, in.Complete) && !slices.Contains(unseen, e.Class) {
			unseen = append(unseen, e.Class)
		}
	}
	switch {
	case in.Complete && len(unseen) == 0:
		return nil
	case len(unseen) == 0:
		return errors.New("part of the payload could not be read, and the intent does not say which")
	}
	for _, r := range allowing {
		if !slices.ContainsFunc(unseen, func(c signer.Class) bool { return !slices.Contains(r.blind, c) }) {
			return nil
		}
	}
	return fmt.Errorf("what it would do could not be read in full, and no rule that allows it has blind = [%s]", quoteAll(unseen))
}

// unreadable says of a class that its effects may do more than is shown. A contract
// that is created does, unless the decoder read its code; power that is handed to code
// does, unless the owner's book knows that code.
func unreadable(c signer.Class, complete bool) bool {
	switch c {
	case signer.ClassOpaque, signer.ClassUnknownCall, signer.ClassUnknownMessage, signer.ClassDelegateCall:
		return true
	case signer.ClassDelegation, signer.ClassCreate, signer.ClassControl:
		return !complete
	default:
		return false
	}
}

func quoteAll[T ~string](names []T) string {
	quoted := make([]string, 0, len(names))
	for _, n := range names {
		quoted = append(quoted, fmt.Sprintf("%q", n))
	}
	return strings.Join(quoted, ", ")
}

// say puts together what a decision has to say. It is recorded and sent, and there may be
// as much of it as there are rules.
func say(all []string) string {
	const most = 16 << 10
	said, size := 0, 0
	for said < len(all) && (said == 0 || size+len(all[said]) <= most) {
		size += len(all[said])
		said++
	}
	text := strings.Join(all[:said], "; ")
	if rest := len(all) - said; rest > 0 {
		text += fmt.Sprintf("; and %d more", rest)
	}
	return text
}

// clip bounds a text that may repeat what the caller sent.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

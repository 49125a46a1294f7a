package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer"
)

// Grants reports whether some rule that allows names the caller and the key. It
// says nothing about what the rule lets through.
func (p *Policy) Grants(c signer.Caller, k signer.KeyInfo) bool {
	if p == nil || !c.Identified || !p.binds(k) {
		return false
	}
	return slices.ContainsFunc(p.rules, func(r rule) bool { return r.allow && r.names(c, k.Name) })
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
// everything; then a condition that cannot be evaluated, whichever rule it
// belongs to; then it takes a rule that allows, and every limit of every rule
// that does.
func (p *Policy) Decide(proposal signer.Proposal, facts signer.Facts) signer.Decision {
	if err := p.wellFormed(&proposal); err != nil {
		return signer.Decision{Reason: err.Error()}
	}
	var d signer.Decision
	m := p.match(&inputs{p: &proposal, f: &facts})
	for _, r := range m.rules {
		d.Rules = append(d.Rules, r.name)
	}
	allowing, denials := m.split()
	switch {
	case len(denials) > 0:
		d.Reason = strings.Join(denials, "; ")
		return d
	case len(m.failures) > 0:
		d.Reason = strings.Join(m.failures, "; ")
		return d
	case len(allowing) == 0:
		d.Reason = m.nearest(&proposal)
		return d
	}
	if err := sighted(&proposal.Intent, allowing); err != nil {
		d.Reason = err.Error()
		return d
	}
	var refusals []string
	for _, r := range allowing {
		uses, errs := r.apply(&proposal.Intent, &facts, p.book)
		d.Limits = append(d.Limits, uses...)
		refusals = append(refusals, errs...)
	}
	if len(refusals) > 0 {
		d.Reason = strings.Join(refusals, "; ")
		return d
	}
	d.Verdict = signer.Allow
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

// matched is what the rules made of a proposal, in the order of the policy.
type matched struct {
	rules    []*rule
	failures []string // conditions that could not be evaluated
	missed   []miss
}

// miss is a rule that would have allowed and names the caller and the key. Other
// rules are no business of the caller's.
type miss struct {
	rule *rule
	kind bool // it does not name the kind; else its condition is false
}

func (p *Policy) match(in *inputs) matched {
	var m matched
	for i := range p.rules {
		r := &p.rules[i]
		if !r.names(in.p.Caller, in.p.Key.Name) {
			continue
		}
		if r.kinds != nil && !slices.Contains(r.kinds, in.p.Request.Kind) {
			m.missed = append(m.missed, miss{r, true})
			continue
		}
		switch holds, err := r.when.holds(in); {
		case err != nil:
			m.failures = append(m.failures, fmt.Sprintf("rule %q: its condition cannot be evaluated: %s", r.name, clip(err.Error())))
		case holds:
			m.rules = append(m.rules, r)
		default:
			m.missed = append(m.missed, miss{r, false})
		}
	}
	return m
}

// split tells the rules that allow from those that deny, and says why they do. A
// rule that does neither denies.
func (m matched) split() (allowing []*rule, denials []string) {
	for _, r := range m.rules {
		switch {
		case r.deny == "" && r.allow:
			allowing = append(allowing, r)
		default:
			denials = append(denials, fmt.Sprintf("rule %q denies: %s", r.name, r.deny))
		}
	}
	return allowing, denials
}

// nearest says why nothing allowed a proposal, by the rules that came near.
func (m matched) nearest(p *signer.Proposal) string {
	const most = 5
	var near []string
	more := 0
	for _, x := range m.missed {
		switch {
		case !x.rule.allow:
		case len(near) == most:
			more++
		case x.kind:
			near = append(near, fmt.Sprintf("rule %q: not for kind %q", x.rule.name, clip(string(p.Request.Kind))))
		default:
			near = append(near, fmt.Sprintf("rule %q: its condition is false", x.rule.name))
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

func quoteAll(classes []signer.Class) string {
	quoted := make([]string, 0, len(classes))
	for _, c := range classes {
		quoted = append(quoted, fmt.Sprintf("%q", c))
	}
	return strings.Join(quoted, ", ")
}

// clip bounds a text that may repeat what the caller sent.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

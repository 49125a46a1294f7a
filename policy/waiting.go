package policy

import (
	"fmt"

	"github.com/sealward/sealward/signer"
)

// demand is a quorum that a request needs, and why.
type demand struct {
	signer.Quorum
	why string // beside the rule, of a limit that is exceeded
}

// demands are the approvals that a rule asks for, whatever it is about.
func (r *rule) demands() (out []demand) {
	for _, q := range r.require {
		out = append(out, demand{Quorum: q})
	}
	return out
}

// waiting is what has to come before a request is signed: approvals, and time.
type waiting struct {
	demands        []demand
	delay, expires wait   // of the rules that let through, the longest and the shortest
	slow, brief    string // the rules that those are of
}

func newWaiting(demands []demand, letting []*rule) waiting {
	w := waiting{demands: demands}
	for _, r := range letting {
		if r.delay.Duration > w.delay.Duration {
			w.delay, w.slow = r.delay, r.name
		}
		if r.expires.Duration > 0 && (w.expires.Duration == 0 || r.expires.Duration < w.expires.Duration) {
			w.expires, w.brief = r.expires, r.name
		}
	}
	return w
}

func (w waiting) asks() bool { return len(w.demands) > 0 || w.delay.Duration > 0 }

func (w waiting) quorums() (out []signer.Quorum) {
	for _, d := range w.demands {
		out = append(out, d.Quorum)
	}
	return out
}

// String says who must approve, and how long that takes.
func (w waiting) String() string {
	var parts []string
	for _, d := range w.demands {
		why := fmt.Sprintf("rule %q", d.Rule)
		if d.why != "" {
			why = d.why // which names the rule
		}
		text := fmt.Sprintf("needs %d %s of %q (%s)", d.Approvals, plural(d.Approvals, "approval"), d.Group, why)
		if d.ExcludeCaller {
			text += ", beside the caller"
		}
		parts = append(parts, text+further(d.Quorum))
	}
	if w.delay.Duration > 0 {
		parts = append(parts, fmt.Sprintf("waits %s (rule %q)", w.delay.text, w.slow))
	}
	if w.expires.Duration > 0 {
		parts = append(parts, fmt.Sprintf("expires after %s (rule %q)", w.expires.text, w.brief))
	}
	return say(parts)
}

// further says what a quorum asks for beside the number.
func further(q signer.Quorum) (text string) {
	if q.Including != "" {
		text += fmt.Sprintf(", one of them of %q", q.Including)
	}
	if q.Devices > 1 {
		text += fmt.Sprintf(", each with %d devices", q.Devices)
	}
	return text
}

// late says why it would expire before its delay is over; empty: it would not.
func (w waiting) late() string {
	if w.expires.Duration == 0 || w.delay.Duration < w.expires.Duration {
		return ""
	}
	return fmt.Sprintf("rule %q waits %s, and by rule %q it expires after %s, before that", w.slow, w.delay.text, w.brief, w.expires.text)
}

// unattainable says why what a request waits for could never come, or may not be waited
// for.
func (p *Policy) unattainable(w waiting, proposal *signer.Proposal, facts *signer.Facts) (refusals []string) {
	if !w.asks() {
		return nil
	}
	c := proposal.Caller
	for _, d := range w.demands {
		// Whoever asks may not approve it, and who that is, the policy has to say.
		switch owner, known := p.people.owners[c.User]; {
		case d.ExcludeCaller && !known:
			refusals = append(refusals, fmt.Sprintf("rule %q does not count an approval of the caller's own, and whose user %q (%s) is, no approver of the policy says in its users", d.Rule, c.User, c.ID()))
		case d.ExcludeCaller && !p.people.included(d.Quorum, owner):
			refusals = append(refusals, fmt.Sprintf("rule %q asks for an approval of somebody of %q beside the caller, and in group %q there is nobody but %q, who asks; have somebody else ask", d.Rule, d.Including, d.Group, owner))
		}
	}
	if late := w.late(); late != "" {
		refusals = append(refusals, late)
	}
	if facts.Pending < 0 || facts.Pending >= p.pending {
		refusals = append(refusals, fmt.Sprintf("%s; and %d requests of %s wait for approvals already, where the policy has pending = %d; have some of them approved or rejected first", w, facts.Pending, c.ID(), p.pending))
	}
	return refusals
}

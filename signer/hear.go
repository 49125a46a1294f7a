package signer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hear takes what an approver signed about a request that waits, records it, and has the
// request settled. An approval that is on record already changes nothing (prior). Whoever
// sends it need not be the approver: the signature says who that is.
func (e *Engine) Hear(ctx context.Context, c Caller, signed []byte) (h Heard, prior bool, err error) {
	ctx = context.WithoutCancel(ctx)
	if c.Identified && !e.rate.pay(c, 0, e.c.Now()) { // a freeze does not wait for others of its uid
		return Heard{}, false, askedTooOften()
	}
	if h, err = e.verified(ctx, c, signed); err != nil {
		return Heard{}, false, err
	}
	if h.Approval.Word == WordFreeze {
		return Heard{}, false, invalid("this approval freezes; hand it in as a freeze")
	}
	// What was spent since it came to wait may ask others, too.
	now, err := e.Pending(ctx, h.Approval.Proposal)
	if err == nil || CodeOf(err) == CodeNotFound { // it may be on record already
		e.deciding.RLock()
		box := e.policy.Load()
		h.Leaf, prior, err = e.c.Journal.Hear(ctx, Event{Type: EventApproval, Caller: &c, Heard: &h, Policy: box.Version()}, func(w Recorded) error {
			return e.mayHear(box, w, h, slices.Concat(w.Decision.Quorums, now.Decision.Quorums))
		})
		e.deciding.RUnlock()
	}
	switch code := CodeOf(err); {
	case err == nil:
	case code == CodeNotFound:
		return Heard{}, false, e.refuse(ctx, c, Request{}, &Error{Code: CodeNotFound, Detail: fmt.Sprintf("no request waits with proposal %x: it was decided meanwhile, or another policy made a new proposal of it", h.Approval.Proposal)})
	case code == CodeUnavailable || code == CodeInternal:
		return Heard{}, false, unavailable("the approval cannot be recorded, so it does not count", err)
	default:
		return Heard{}, false, e.refuse(ctx, c, Request{}, err)
	}
	e.waits.at(h.Approval.Proposal, time.Time{})
	return h, prior, nil
}

// verified is an approval for this daemon by one of the people of the policy in force.
func (e *Engine) verified(ctx context.Context, c Caller, signed []byte) (Heard, error) {
	switch {
	case !c.Identified:
		return Heard{}, &Error{Code: CodeUnauthenticated, Detail: "the kernel does not say who is asking"}
	case e.c.Approvals == nil:
		return Heard{}, invalid("this daemon has no means to verify approvals")
	case len(signed) > MaxSignedApproval:
		return Heard{}, e.refuse(ctx, c, Request{}, invalid("the signed approval has %d bytes; the most is %d", len(signed), MaxSignedApproval))
	}
	h, err := e.c.Approvals.Verify(signed, e.Policy().People())
	switch {
	case err != nil:
		return Heard{}, e.refuse(ctx, c, Request{}, invalid("%s", strings.ToValidUTF8(err.Error(), "\uFFFD")))
	case h.Approval.Instance != e.c.Instance:
		return Heard{}, e.refuse(ctx, c, Request{}, invalid("the approval is for instance %q; this daemon is %q", clip(h.Approval.Instance), e.c.Instance))
	case !h.Approval.Expires.IsZero() && !e.c.Now().Before(h.Approval.Expires):
		return Heard{}, e.refuse(ctx, c, Request{}, &Error{Code: CodeExpired, Detail: fmt.Sprintf("the approval of %q expired at %s", h.Approver, formatTime(h.Approval.Expires))})
	}
	return h, nil
}

// mayHear refuses to record what would not count towards any of the quorums.
func (e *Engine) mayHear(box *policyBox, w Recorded, h Heard, quorums []Quorum) error {
	people, now, word := box.People(), e.c.Now(), h.Approval.Word
	owner, _ := people.Owner(w.Proposal.Caller)
	var groups []string
	counts := false // of somebody who is not excluded
	for _, q := range quorums {
		if groups = append(groups, q.Group); slices.Contains(people.Groups[q.Group], h.Approver) {
			counts = counts || !q.ExcludeCaller || owner != h.Approver
		}
	}
	slices.Sort(groups)
	groups = slices.Compact(groups)
	asked := slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(people.Groups[g], h.Approver) })
	before := saidBefore(w.Heard, h, now)
	no := func(code Code, format string, args ...any) error {
		return &Error{Code: code, Detail: fmt.Sprintf("%q cannot %s request %q of %s: ", h.Approver, word, w.Proposal.Request.ID, w.Proposal.Caller.ID()) + fmt.Sprintf(format, args...)}
	}
	switch {
	case w.Proposal.Policy != box.Version() || w.Leaf < box.leaf:
		return no(CodeConflict, "the policy changed, and it becomes a new proposal; look again")
	case !now.Before(w.Deadline()):
		return no(CodeExpired, "it expired at %s", formatTime(w.Deadline()))
	case !asked:
		return no(CodeDenied, "the policy asks %q, and %q is of none of these groups", groups, h.Approver)
	case word == WordReject:
		return nil
	case before.withdrew:
		return no(CodeConflict, "%q withdrew, which is final", h.Approver)
	case word == WordWithdraw && !before.approved:
		return no(CodeConflict, "there is nothing to withdraw")
	case word == WordWithdraw:
		return nil
	case before.stands:
		return no(CodeConflict, "this device of theirs approved it already, and nobody counts twice")
	case before.times >= approving:
		return no(CodeConflict, "%q approved it %d times, and they expired; have it asked anew", h.Approver, before.times)
	case !counts:
		return no(CodeDenied, "it is a request of their own, and the policy does not count whoever asks")
	}
	return e.brake.refusal(w.Proposal).orNil()
}

// said is what an approver said of a proposal before.
type said struct {
	times              int
	approved, withdrew bool
	stands             bool // an approval by the same device counts still
}

func saidBefore(heard []Heard, h Heard, now time.Time) (s said) {
	for _, x := range heard {
		if x.Approver != h.Approver {
			continue
		}
		s.times++
		switch a := x.Approval; a.Word {
		case WordWithdraw:
			s.withdrew = true
		case WordApprove:
			s.approved = true
			s.stands = s.stands || a.Device == h.Approval.Device && (a.Expires.IsZero() || now.Before(a.Expires))
		}
	}
	return s
}

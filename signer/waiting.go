package signer

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A request that policy asks approvals or patience for waits in the journal. It is decided
// again (settled) when something is heard about it, when its delay is over, when it
// expires, when its caller asks again and when another policy comes into force; whichever
// comes first, the decision and its record are one step of the journal, so that it makes
// no difference how often, or in what order, that is tried. What is kept here is just
// when to try.

// Patience is how long a request waits at most where its policy does not say, beside its
// delay.
const Patience = 24 * time.Hour

// ReasonKept is the reason of a decision to ask where the policy, which is another one
// since, would allow, and what keeps it is that its key is away or all is frozen.
const ReasonKept = "policy allows it, and its key or a freeze keeps it"

const (
	// retry is when a request that may be signed is tried again, where its key, the
	// journal's clock or a freeze still keeps it.
	retry = 5 * time.Second
	// glance is how long the scheduler sleeps at most: the wall clock may be set.
	glance = 30 * time.Second
	// settling is how many requests are settled at once.
	settling = 8
	// approving is how often an approver approves one proposal, anew where the last one
	// expired: all of them are read whenever it is settled.
	approving = 16
)

// waiting is the requests that wait, and when to settle each.
type waiting struct {
	mu    sync.Mutex
	next  map[[32]byte]time.Time // by proposal; owned by mu
	wake  chan struct{}
	quit  chan struct{}
	slots chan struct{}
	wg    sync.WaitGroup
}

func newWaiting() *waiting {
	return &waiting{next: map[[32]byte]time.Time{}, wake: make(chan struct{}, 1), quit: make(chan struct{}), slots: make(chan struct{}, settling)}
}

// at has a request settled at a time, or earlier where that was wanted before: what was
// heard meanwhile is not put off. The zero time: as soon as can be.
func (w *waiting) at(proposal [32]byte, t time.Time) {
	w.mu.Lock()
	if next, ok := w.next[proposal]; !ok || t.Before(next) {
		w.next[proposal] = t
	}
	w.mu.Unlock()
	w.poke()
}

func (w *waiting) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *waiting) forget(proposal [32]byte) {
	w.mu.Lock()
	delete(w.next, proposal)
	w.mu.Unlock()
}

// all has every request settled as soon as can be.
func (w *waiting) all() {
	w.mu.Lock()
	for p := range w.next {
		w.next[p] = time.Time{}
	}
	w.mu.Unlock()
	w.poke()
}

// ripe takes out what is to be settled by now, and says how long until the next is.
func (w *waiting) ripe(clock func() time.Time) (ripe [][32]byte, sleep time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if sleep = glance; len(w.next) == 0 {
		return nil, sleep
	}
	now := clock()
	for p, t := range w.next {
		if left := t.Sub(now); t.IsZero() || left <= 0 {
			ripe = append(ripe, p)
			delete(w.next, p)
		} else {
			sleep = min(sleep, left)
		}
	}
	return ripe, sleep
}

// wait schedules a request that waits.
func (e *Engine) wait(w Waiting) {
	next := w.Deadline
	switch {
	case w.Heard > 0, w.Policy != e.Policy().Version():
		next = time.Time{}
	case w.Due.After(w.Since):
		next = w.Due
	}
	e.waits.at(w.Proposal, next)
}

// tend settles requests when their time comes.
func (e *Engine) tend() {
	for {
		ripe, sleep := e.waits.ripe(e.c.Now)
		for _, p := range ripe {
			select {
			case e.waits.slots <- struct{}{}:
			case <-e.waits.quit:
				return
			}
			e.waits.wg.Go(func() { e.attend(p, sync.OnceFunc(func() { <-e.waits.slots })) })
		}
		timer := time.NewTimer(sleep)
		select {
		case <-e.waits.wake:
		case <-timer.C:
		case <-e.waits.quit:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// attend settles one request. decided is called once it is; the device that then signs
// has its own time, and does not keep others from being settled.
func (e *Engine) attend(proposal [32]byte, decided func()) {
	ctx := context.Background()
	rec, ok, err := e.c.Journal.Waiting(ctx, proposal)
	if err != nil || !ok {
		defer decided()
		if err != nil {
			e.c.Log.Error("a request that waits cannot be read", "proposal", hex.EncodeToString(proposal[:]), "error", err)
			e.waits.at(proposal, e.c.Now().Add(retry))
		}
		return // or settled meanwhile
	}
	run, begun := e.begin(rec.Proposal.Caller, rec.Proposal.Request, func() (Result, error) {
		defer decided()
		return e.settle(ctx, rec, "", decided)
	})
	if begun {
		return
	}
	decided()
	if run == nil { // stopping; the journal keeps it
		return
	}
	<-run.done
	e.waits.at(proposal, time.Time{})
}

// settle decides again on a request that waits, and has it done where it may be. end says
// why it is to wait no longer; empty: that is decided. decided is called in between.
func (e *Engine) settle(ctx context.Context, was Recorded, end string, decided func()) (Result, error) {
	box := e.policy.Load()
	p, key, decoder, err := e.renew(ctx, box, was)
	if err != nil && end == "" {
		end = "it cannot be done any more: " + detailOf(err)
	}
	old := was.Proposal.Digest()
	var kept error // why it may not be done just now
	if end == "" {
		kept = key.ready()
	}
	rec, replaced, err := e.record(box, p, func(held func(Decision) Decision) (Recorded, error) {
		return e.c.Journal.Settle(ctx, was.Leaf, p, box.Needs(), func(f Facts, heard []Heard) Decision {
			if end != "" {
				return Decision{Reason: end}
			}
			return held(e.weigh(box, was, p, f, heard, kept))
		})
	})
	switch {
	case replaced:
		return e.settle(ctx, was, end, decided)
	case CodeOf(err) == CodeConflict && err != nil: // settled meanwhile
		e.waits.forget(old)
		return Result{}, err
	case err != nil:
		e.waits.at(old, e.c.Now().Add(retry))
		return Result{}, unavailable("the request still waits: what became of it cannot be recorded", err)
	}
	if !rec.Waits || rec.Leaf != was.Leaf {
		e.waits.forget(old)
	}
	switch {
	case rec.Waits:
		e.linger(rec)
		return Result{}, e.waitsFor(rec)
	case rec.Decision.Verdict != Allow:
		return Result{}, denied(rec)
	}
	decided()
	return e.finish(ctx, key, decoder, rec)
}

// renew reads a request that waits once more. Under another policy, or by another version
// of its decoder, it is another proposal, of which nobody has approved anything.
func (e *Engine) renew(ctx context.Context, policy Policy, was Recorded) (Proposal, ManagedKey, Decoder, error) {
	then := was.Proposal
	now, key, decoder, err := e.propose(ctx, policy, then.Caller, then.Request)
	switch {
	case err != nil:
		return then, key, decoder, err
	case now.Policy != then.Policy || now.Decoder != then.Decoder:
		return now, key, decoder, nil
	case !sameMeaning(now, then):
		return then, key, decoder, invalid("it was asked for another key or message than its bytes mean today; use a new id")
	}
	then.Bundle = now.Bundle
	return then, key, decoder, nil
}

// weigh decides on a request that waits. Whether it expired is judged by the later clock
// and whether its delay is over by the earlier, so that neither can be set to help it.
func (e *Engine) weigh(box *policyBox, was Recorded, p Proposal, f Facts, heard []Heard, kept error) Decision {
	early, late := clocks(f)
	frozen := e.brake.refusal(p)
	if !late.Before(was.Deadline()) {
		return Decision{Reason: fmt.Sprintf("expired at %s: %s", formatTime(was.Deadline()), was.Decision.Reason)}
	}
	if p.Nonce != was.Proposal.Nonce { // another proposal
		d := e.decide(box, p, f)
		if d.Verdict == Allow && (frozen != nil || kept != nil) {
			d.Verdict, d.Expires, d.Reason = Ask, Patience, ReasonKept
		}
		return d
	}
	if e.brake.since(was) {
		return Decision{Reason: "it was frozen again after this was asked; ask anew"}
	}
	d := e.decide(box, p, f)
	t := Count(d.Quorums, box.People(), p.Caller, heard, late)
	if t.Rejected != nil {
		return Decision{Rules: d.Rules, Reason: fmt.Sprintf("rejected by %q: %s", t.Rejected.Approver, t.Rejected.Approval.Reason)}
	}
	switch ready := frozen == nil && kept == nil; {
	case d.Verdict == Deny:
		return d
	case !ready, !t.Met(), d.Verdict == Ask && early.Before(was.Time.Add(d.Delay)):
		return was.Decision
	case d.Verdict == Ask:
		d.Verdict, d.Reason, d.Approvals = Allow, "", t.Counted
	}
	return d
}

// linger schedules a request that still waits.
func (e *Engine) linger(rec Recorded) {
	now := e.c.Now()
	next := rec.Deadline()
	switch due := rec.Due(); {
	case due.After(now):
		next = due
	case e.Tally(rec).Met():
		next = now.Add(retry)
	}
	if deadline := rec.Deadline(); deadline.Before(next) {
		next = deadline
	}
	e.wait(Waiting{Proposal: rec.Proposal.Digest(), Policy: rec.Proposal.Policy, Deadline: next})
}

// clocks returns the earlier and the later of the two clocks.
func clocks(f Facts) (early, late time.Time) {
	if f.Wall.Before(f.Time) {
		return f.Wall, f.Time
	}
	return f.Time, f.Wall
}

// patient completes a decision to ask: what may wait, and until when.
func (e *Engine) patient(p Proposal, f Facts, d Decision) Decision {
	_, late := clocks(f)
	if d.Expires == 0 {
		d.Expires = d.Delay + Patience
	}
	switch end := p.Request.Expires; {
	case len(d.Quorums) > 0 && e.c.Approvals == nil:
		return Decision{Rules: d.Rules, Reason: d.Reason + "; this daemon has no means to verify approvals, so it is refused"}
	case !end.IsZero() && !late.Add(d.Delay).Before(end):
		return Decision{Rules: d.Rules, Reason: fmt.Sprintf("%s; the request itself expires at %s, before that", d.Reason, formatTime(end))}
	}
	return d
}

// waitsFor is the answer for a request that waits.
func (e *Engine) waitsFor(rec Recorded) *Error {
	digest := rec.Proposal.Digest()
	return &Error{Code: CodeWaiting, Detail: fmt.Sprintf("request %q waits until %s: %s (proposal %x)",
		rec.Proposal.Request.ID, rec.Deadline().UTC().Format(time.RFC3339), rec.Decision.Reason, digest)}
}

// Hear takes what an approver signed about a request that waits, records it, and has the
// request settled. An approval that is on record already changes nothing (prior). Whoever
// sends it need not be the approver: the signature says who that is.
func (e *Engine) Hear(ctx context.Context, c Caller, signed []byte) (h Heard, prior bool, err error) {
	ctx = context.WithoutCancel(ctx)
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
		policy := e.Policy()
		h.Leaf, prior, err = e.c.Journal.Hear(ctx, Event{Type: EventApproval, Caller: &c, Heard: &h, Policy: policy.Version()}, func(w Recorded) error {
			return e.mayHear(policy, w, h, slices.Concat(w.Decision.Quorums, now.Decision.Quorums))
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
	case !e.rate.pay(c, 0, e.c.Now()):
		return Heard{}, askedTooOften()
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
func (e *Engine) mayHear(policy Policy, w Recorded, h Heard, quorums []Quorum) error {
	people, now := policy.People(), e.c.Now()
	var groups []string
	for _, q := range quorums {
		groups = append(groups, q.Group)
	}
	slices.Sort(groups)
	groups = slices.Compact(groups)
	asked := slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(people.Groups[g], h.Approver) })
	before := func(word Word, device string) bool {
		return slices.ContainsFunc(w.Heard, func(x Heard) bool {
			ended := !x.Approval.Expires.IsZero() && !now.Before(x.Approval.Expires)
			return x.Approver == h.Approver && x.Approval.Word == word && (device == "" || x.Approval.Device == device && !ended)
		})
	}
	no := func(code Code, format string, args ...any) error {
		return &Error{Code: code, Detail: fmt.Sprintf("%q cannot %s request %q of %s: ", h.Approver, h.Approval.Word, w.Proposal.Request.ID, w.Proposal.Caller.ID()) + fmt.Sprintf(format, args...)}
	}
	said := 0
	for _, x := range w.Heard {
		if x.Approver == h.Approver {
			said++
		}
	}
	owner, _ := people.Owner(w.Proposal.Caller)
	switch {
	case w.Proposal.Policy != policy.Version():
		return no(CodeConflict, "the policy changed, and it becomes a new proposal; look again")
	case !now.Before(w.Deadline()):
		return no(CodeExpired, "it expired at %s", formatTime(w.Deadline()))
	case !asked:
		return no(CodeDenied, "the policy asks %q, and %q is of none of these groups", groups, h.Approver)
	case h.Approval.Word == WordReject:
		return nil
	case before(WordWithdraw, ""):
		return no(CodeConflict, "%q withdrew, which is final", h.Approver)
	case h.Approval.Word == WordWithdraw && !before(WordApprove, ""):
		return no(CodeConflict, "there is nothing to withdraw")
	case h.Approval.Word == WordWithdraw:
		return nil
	case before(WordApprove, h.Approval.Device):
		return no(CodeConflict, "this device of theirs approved it already, and nobody counts twice")
	case said >= approving:
		return no(CodeConflict, "%q approved it %d times, and they expired; have it asked anew", h.Approver, said)
	case owner == h.Approver && !slices.ContainsFunc(quorums, func(q Quorum) bool {
		return !q.ExcludeCaller && slices.Contains(people.Groups[q.Group], h.Approver)
	}):
		return no(CodeDenied, "it is a request of their own, and the policy does not count whoever asks")
	}
	return e.brake.refusal(w.Proposal).orNil()
}

// Pending is a request that waits, and how far its approvals are.
type Pending struct {
	Recorded Recorded
	Tally    Tally
	// Decision is what policy says of it now.
	Decision Decision
}

// Pending returns the request that waits with a proposal, by its digest.
func (e *Engine) Pending(ctx context.Context, proposal [32]byte) (Pending, error) {
	rec, ok, err := e.c.Journal.Waiting(ctx, proposal)
	if err != nil {
		return Pending{}, unavailable("the request cannot be looked up", err)
	}
	if !ok {
		return Pending{}, &Error{Code: CodeNotFound, Detail: fmt.Sprintf("no request waits with proposal %x", proposal)}
	}
	policy := e.Policy()
	f, err := e.c.Journal.Facts(ctx, rec.Proposal, policy.Needs())
	if err != nil {
		return Pending{}, unavailable("what was spent cannot be read", err)
	}
	d := e.decide(policy, rec.Proposal, f)
	_, late := clocks(f)
	return Pending{Recorded: rec, Decision: d, Tally: Count(d.Quorums, policy.People(), rec.Proposal.Caller, rec.Heard, late)}, nil
}

// Tally counts what was heard about a request by the policy in force, for the quorums
// that it was found to need.
func (e *Engine) Tally(rec Recorded) Tally {
	return Count(rec.Decision.Quorums, e.Policy().People(), rec.Proposal.Caller, rec.Heard, e.c.Now())
}

// AllWaiting returns every request that waits, the oldest first.
func (e *Engine) AllWaiting(ctx context.Context) ([]Waiting, error) {
	out, err := e.c.Journal.AllWaiting(ctx)
	if err != nil {
		return nil, unavailable("the requests that wait cannot be read", err)
	}
	return out, nil
}

// Cancel ends a request of the caller's own that waits.
func (e *Engine) Cancel(ctx context.Context, c Caller, id, reason string) error {
	if !c.Identified {
		return &Error{Code: CodeUnauthenticated, Detail: "the kernel does not say who is asking"}
	}
	if len(reason) > MaxReason {
		return invalid("the reason has %d bytes; the most is %d", len(reason), MaxReason)
	}
	ctx = context.WithoutCancel(ctx)
	for {
		rec, ok, err := e.c.Journal.Lookup(ctx, c.ID(), id)
		switch {
		case err != nil:
			return unavailable("the request cannot be looked up", err)
		case !ok:
			return &Error{Code: CodeNotFound, Detail: fmt.Sprintf("no request %q of yours is on record", clip(id))}
		case !rec.Waits:
			return &Error{Code: CodeConflict, Detail: fmt.Sprintf("request %q does not wait: it was decided", id)}
		}
		if !e.rate.pay(c, len(rec.Proposal.Request.Payload), e.c.Now()) { // it makes room for another
			return askedTooOften()
		}
		end := "cancelled by its caller"
		if reason != "" {
			end += ": " + strings.ToValidUTF8(reason, "\uFFFD")
		}
		run, begun := e.begin(rec.Proposal.Caller, rec.Proposal.Request, func() (Result, error) { return e.settle(ctx, rec, end, func() {}) })
		if run == nil {
			return stopping()
		}
		<-run.done
		if begun {
			if CodeOf(run.err) == CodeDenied {
				return nil
			}
			return run.err
		}
	}
}

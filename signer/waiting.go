package signer

import (
	"context"
	"encoding/hex"
	"fmt"
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

// schedule sets when a request that waits is settled at the latest; a policy that came
// into force since it was decided has it settled at once.
func (e *Engine) schedule(proposal, policy [32]byte, next time.Time) {
	e.waits.at(proposal, next)
	if e.Policy().Version() != policy {
		e.waits.at(proposal, time.Time{})
	}
}

// resume schedules a request that waited when the engine was ended.
func (e *Engine) resume(w Waiting) {
	next := w.Deadline
	switch {
	case w.Heard > 0:
		next = time.Time{}
	case w.Due.After(w.Since):
		next = w.Due
	}
	e.schedule(w.Proposal, w.Policy, next)
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
			e.waits.wg.Go(func() {
				defer func() { <-e.waits.slots }()
				e.attend(p)
			})
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

// attend settles one request. The device that then signs has its own time, and does not
// keep others from being settled.
func (e *Engine) attend(proposal [32]byte) {
	ctx := context.Background()
	was, ok, err := e.c.Journal.Waiting(ctx, proposal)
	switch {
	case err != nil:
		e.c.Log.Error("a request that waits cannot be read", "proposal", hex.EncodeToString(proposal[:]), "error", err)
		e.waits.at(proposal, e.c.Now().Add(retry))
		return
	case !ok: // settled meanwhile
		return
	}
	settled := make(chan struct{})
	done := sync.OnceFunc(func() { close(settled) })
	run, begun := e.begin(was.Proposal.Caller, was.Proposal.Request, func() (Result, error) {
		defer done() // also where it panics
		rec, key, decoder, err := e.settle(ctx, was, "")
		if err != nil {
			return Result{}, err
		}
		done()
		return e.finish(ctx, key, decoder, rec)
	})
	switch {
	case begun:
		<-settled
	case run != nil: // nil: it is stopping, and the journal keeps it
		e.waits.wg.Go(func() {
			<-run.done
			e.waits.at(proposal, time.Time{})
		})
	}
}

// settle decides again on a request that waits, and returns it where it may be done. end
// says why it is to wait no longer; empty: that is decided.
func (e *Engine) settle(ctx context.Context, was Recorded, end string) (rec Recorded, key ManagedKey, decoder Decoder, err error) {
	old := was.Proposal.Digest()
	for replaced := true; replaced; {
		rec, key, decoder, replaced, err = e.redecide(ctx, was, end)
	}
	switch {
	case err != nil && CodeOf(err) == CodeConflict: // settled meanwhile
		e.waits.forget(old)
		return rec, key, decoder, err
	case err != nil:
		e.waits.at(old, e.c.Now().Add(retry))
		return rec, key, decoder, unavailable("the request still waits: what became of it cannot be recorded", err)
	}
	if rec.Leaf != was.Leaf {
		e.waits.forget(old)
	}
	switch {
	case rec.Waits:
		e.linger(rec)
		return rec, key, decoder, e.waitsFor(rec)
	case rec.Decision.Verdict != Allow:
		return rec, key, decoder, denied(rec)
	}
	return rec, key, decoder, nil
}

// redecide has the journal decide on a request that waits, unless the policy is replaced
// meanwhile.
func (e *Engine) redecide(ctx context.Context, was Recorded, end string) (rec Recorded, key ManagedKey, decoder Decoder, replaced bool, err error) {
	box := e.policy.Load()
	p, key, decoder, err := e.renew(ctx, box, was)
	switch {
	case err == nil || end != "":
	case CodeOf(err) == CodeUnavailable: // it may be understood later
		return Recorded{}, key, decoder, false, err
	default:
		end = "it cannot be done any more: " + detailOf(err)
	}
	var kept error // why it may not be done just now
	if end == "" {
		kept = key.ready()
	}
	rec, replaced, err = e.record(box, p, func(held func(Decision) Decision) (Recorded, error) {
		return e.c.Journal.Settle(ctx, was.Leaf, p, box.Needs(), func(f Facts, heard []Heard) Decision {
			if end != "" {
				return Decision{Reason: end}
			}
			return held(e.weigh(box, was, p, f, heard, kept))
		})
	})
	return rec, key, decoder, replaced, err
}

// renew reads a request that waits once more. Under another policy, or by another version
// of its decoder, it is another proposal, of which nobody has approved anything.
func (e *Engine) renew(ctx context.Context, box *policyBox, was Recorded) (p Proposal, key ManagedKey, decoder Decoder, err error) {
	then := was.Proposal
	defer func() {
		if r := recover(); r != nil { // else it would be tried for ever
			e.c.Log.Error("a request that waits made its decoder panic", "leaf", was.Leaf, "panic", r)
			p, err = then, &Error{Code: CodeInternal, Detail: "its payload cannot be read any more"}
		}
	}()
	now, key, decoder, err := e.propose(ctx, box, then.Caller, then.Request)
	switch {
	case err != nil:
		return then, key, decoder, err
	case now.Policy != then.Policy || was.Leaf < box.leaf || now.Decoder != then.Decoder:
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
	case due.After(now) && due.Before(next):
		next = due
	case e.Tally(rec).Met() && now.Add(retry).Before(next):
		next = now.Add(retry)
	}
	e.schedule(rec.Proposal.Digest(), rec.Proposal.Policy, next)
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
		if !e.rate.pay(c, rec.Proposal.weight(), e.c.Now()) { // it makes room for another
			return askedTooOften()
		}
		end := "cancelled by its caller"
		if reason != "" {
			end += ": " + strings.ToValidUTF8(reason, "\uFFFD")
		}
		run, begun := e.begin(rec.Proposal.Caller, rec.Proposal.Request, func() (Result, error) {
			_, _, _, err := e.settle(ctx, rec, end)
			return Result{}, err
		})
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

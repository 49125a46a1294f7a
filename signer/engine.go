package signer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Engine is the pipeline. It is safe for concurrent use.
type Engine struct {
	c      Config
	keys   map[string]ManagedKey
	policy atomic.Pointer[policyBox]
	quota  *quota
	rate   *refusals
	off    *switches
	brake  *brake
	waits  *waiting

	deciding sync.RWMutex // shared while a decision is recorded, held while another policy is

	mu       sync.Mutex
	closed   bool                // owned by mu
	running  map[runKey]*running // owned by mu
	watchers map[runKey]*watched // owned by mu
	wg       sync.WaitGroup      // one per element of running
}

type policyBox struct {
	Policy
	leaf uint64 // by which it came into force; zero: before this engine
}

// Result is what a caller gets for a request that was signed, or an act that was done.
type Result struct {
	RequestID   string
	Signatures  [][]byte // one per message, in their scheme's encoding
	Artifact    []byte   // e.g. the raw signed transaction, the result of an act; nil where the kind has none
	Intent      Intent
	Key         KeyInfo
	Leaf        uint64 // of the authorisation
	OutcomeLeaf uint64
	Time        time.Time // journal time of the authorisation
}

// Sign is the pipeline's front door. It returns the signature, or an [*Error]
// that says why there is none; with [CodePending] the request goes on and
// [Engine.Lookup] will have its result. A context that ends stops the waiting and
// nothing else: a client that hangs up must not be able to suppress the record.
func (e *Engine) Sign(ctx context.Context, c Caller, r Request) (Result, error) {
	if !c.Identified {
		return Result{}, &Error{Code: CodeUnauthenticated, Detail: "the kernel does not say who is asking"}
	}
	if err := r.check(); err != nil {
		return Result{}, e.refuse(context.WithoutCancel(ctx), c, r, err)
	}
	run, err := e.start(ctx, c, r)
	if err != nil {
		return Result{}, err
	}
	select {
	case <-run.done:
		return run.result, run.err
	case <-ctx.Done():
		return Result{}, &Error{Code: CodePending, Detail: fmt.Sprintf("request %q is still being worked on; look it up, or ask again with the same id", r.ID), Err: context.Cause(ctx)}
	}
}

// run is the order of work that doc.go promises.
func (e *Engine) run(ctx context.Context, c Caller, r Request) (Result, error) {
	box := e.policy.Load()
	p, key, decoder, err := e.propose(ctx, box, c, r)
	if err == nil {
		err = e.open(p, key)
	}
	if err != nil {
		if prior, ok := e.prior(ctx, c, r); ok {
			return e.answered(ctx, prior, err)
		}
		return Result{}, e.refuse(ctx, c, r, err)
	}

	var frozen *Error
	rec, replaced, err := e.record(box, p, func(held func(Decision) Decision) (Recorded, error) {
		return e.c.Journal.Record(ctx, p, box.Needs(), func(f Facts) Decision {
			if frozen = e.brake.refusal(p); frozen != nil { // since it was opened
				return Decision{Unrecorded: true}
			}
			return held(e.limitRefusals(p, f, e.decide(box, p, f)))
		})
	})
	if err != nil {
		return Result{}, unavailable("the request cannot be recorded, so it is not signed", err)
	}
	switch {
	case replaced:
		return e.run(ctx, c, r)
	case frozen != nil:
		return Result{}, e.refuse(ctx, c, r, frozen)
	case rec.Prior && rec.RequestDigest != r.Digest():
		return Result{}, e.refuse(ctx, c, r, conflict(r.ID))
	case rec.Waits && rec.Prior:
		if !e.rate.pay(c, 0, e.c.Now()) {
			return Result{}, askedTooOften()
		}
		if rec, key, decoder, err = e.settle(ctx, rec, ""); err != nil {
			return Result{}, err
		}
	case rec.Waits:
		e.linger(rec)
		return Result{}, e.waitsFor(rec)
	case rec.Decision.Verdict != Allow:
		return Result{}, denied(rec)
	case rec.Done():
		return e.result(decoder, rec)
	case rec.Prior:
		// Authorised before, and what became of it is unknown: sign the same
		// message, or do the same act, again, if the policy in force would still hear
		// of it.
		if !e.rate.pay(c, 0, e.c.Now()) {
			return Result{}, askedTooOften()
		}
		if err := e.again(ctx, box, p, rec); err != nil {
			return Result{}, e.refuse(ctx, c, r, err)
		}
		if e.policy.Load() != box { // replaced while it was judged
			return e.run(ctx, c, r)
		}
	}

	return e.finish(ctx, key, decoder, rec)
}

// finish does what is on record as authorised, and records what became of it.
func (e *Engine) finish(ctx context.Context, key ManagedKey, decoder Decoder, rec Recorded) (Result, error) {
	defer e.off.hold(rec.Proposal)() // until its outcome, which disables once more, is known
	outcome := e.perform(ctx, key, rec)
	var err error
	if outcome.Leaf, err = e.c.Journal.Finish(ctx, outcome); err != nil {
		return Result{}, unavailable("the outcome cannot be recorded, so it is not released; ask again with the same id", err)
	}
	rec.Outcome = &outcome
	e.learn(rec)
	if outcome.Code != "" {
		return Result{}, &Error{Code: outcome.Code, Detail: outcome.Detail}
	}
	return e.result(decoder, rec)
}

// propose finds the key and decodes the payload. A key that no rule gives to the
// caller does not exist, as far as the caller can tell.
func (e *Engine) propose(ctx context.Context, policy Policy, c Caller, r Request) (Proposal, ManagedKey, Decoder, error) {
	none := func(err error) (Proposal, ManagedKey, Decoder, error) { return Proposal{}, ManagedKey{}, nil, err }
	key, ok := e.keys[r.Key]
	if !ok || !policy.Grants(c, key.Info) {
		return none(noKey(r.Key))
	}
	intent, err := Read(r, key.Info, e.c.Decoders, policy.Book())
	if err != nil {
		return none(err)
	}
	if err := intent.Identify(key.Info, e.info); err != nil {
		return none(err)
	}
	bundle, err := e.feasible(ctx, intent, policy)
	if err != nil {
		return none(err)
	}
	decoder := e.c.Decoders[r.Kind]
	p := Proposal{
		Instance: e.c.Instance, Caller: c, Request: r, Key: key.Info, Intent: intent,
		Policy: policy.Version(), Decoder: decoder.Version(), Created: e.c.Now(), Bundle: bundle,
	}
	if _, err := io.ReadFull(e.c.Rand, p.Nonce[:]); err != nil {
		return none(&Error{Code: CodeInternal, Detail: "no randomness for a nonce", Err: err})
	}
	return p, key, decoder, nil
}

// open refuses what could not be done just now: else callers who try again would use up
// its limits. A key that is disabled is a matter of the decision.
func (e *Engine) open(p Proposal, key ManagedKey) error {
	if err := e.brake.refusal(p); err != nil {
		return err
	}
	if e.off.refusal(p) != "" {
		return nil
	}
	return key.ready()
}

// decide asks the policy, after what no policy can change: whether the key is
// disabled, and the request's own validity. Expiry is judged by the later clock and
// not-before by the earlier, so that neither of the two can be set to widen it.
func (e *Engine) decide(policy Policy, p Proposal, f Facts) Decision {
	if why := e.off.refusal(p); why != "" {
		return Decision{Reason: why}
	}
	early, late := clocks(f)
	r := p.Request
	switch {
	case !r.NotBefore.IsZero() && early.Before(r.NotBefore):
		return Decision{Reason: fmt.Sprintf("the request is not valid before %s; it is %s", formatTime(r.NotBefore), formatTime(early))}
	case !r.Expires.IsZero() && !late.Before(r.Expires):
		return Decision{Reason: fmt.Sprintf("the request expired at %s; it is %s", formatTime(r.Expires), formatTime(late))}
	}
	d := policy.Decide(p, f)
	switch d.Verdict {
	case Allow, Deny:
	case Ask:
		return e.patient(p, f, d)
	default:
		d.Verdict = Deny
	}
	return d
}

// sign asks the device for every message, and holds back all of them unless each
// verifies and the key was not disabled meanwhile: a device may have kept it waiting.
func (e *Engine) sign(ctx context.Context, k ManagedKey, rec Recorded) Outcome {
	ctx, cancel := context.WithTimeout(ctx, e.c.SignTimeout)
	defer cancel()
	out := Outcome{Authorization: rec.Leaf}
	at := runKey{rec.Proposal.Caller.ID(), rec.Proposal.Request.ID}
	for _, m := range rec.Proposal.Intent.Messages {
		if why := e.off.refusal(rec.Proposal); why != "" {
			return failed(rec.Leaf, CodeDenied, why, nil)
		}
		if err := e.brake.enter(at, rec); err != nil {
			return failed(rec.Leaf, err.Code, err.Detail, nil)
		}
		raw, err := k.Key.Sign(ctx, Authorized{msg: m, ok: true, notice: func(n Notice) { e.notice(at, n) }})
		e.brake.leave(at)
		if err != nil {
			e.c.Log.Error("a key could not sign", "key", k.Info.Name, "leaf", rec.Leaf, "error", err)
			return failed(rec.Leaf, CodeUnavailable, fmt.Sprintf("key %q is not available", k.Info.Name), err)
		}
		sig, err := e.c.Verifier.Finish(k.Info.Public, m, raw)
		if err != nil {
			e.c.Log.Error("a device returned a signature that does not verify", "key", k.Info.Name, "leaf", rec.Leaf, "error", err)
			return failed(rec.Leaf, CodeInternal, fmt.Sprintf("key %q returned a signature that does not verify; nothing is released", k.Info.Name), nil)
		}
		out.Signatures = append(out.Signatures, sig)
	}
	if why := e.off.refusal(rec.Proposal); why != "" {
		return failed(rec.Leaf, CodeDenied, "what was signed is not released: "+why, nil)
	}
	if err := e.brake.refusal(rec.Proposal); err != nil {
		return failed(rec.Leaf, err.Code, "what was signed is not released: "+err.Detail, nil)
	}
	return out
}

func failed(leaf uint64, code Code, detail string, err error) Outcome {
	if e, ok := errors.AsType[*Error](err); ok {
		code, detail = e.Code, detail+": "+e.Detail
	}
	return Outcome{Authorization: leaf, Code: code, Detail: detail}
}

// result assembles the answer from the record, so that the first answer and a
// repeated one are made the same way.
func (e *Engine) result(d Decoder, rec Recorded) (Result, error) {
	p := rec.Proposal
	artifact := rec.Outcome.Result
	if err := e.brake.refusal(p); err != nil { // also of what was signed before
		return Result{}, err
	}
	if p.Request.Kind != KindAdmin {
		var err error
		if artifact, err = d.Assemble(p.Request.Payload, p.Key, rec.Outcome.Signatures); err != nil {
			return Result{}, &Error{Code: CodeInternal, Detail: "the signature was made but cannot be put into its envelope", Err: err}
		}
	}
	return Result{
		RequestID: p.Request.ID, Signatures: rec.Outcome.Signatures, Artifact: artifact, Intent: p.Intent, Key: p.Key,
		Leaf: rec.Leaf, OutcomeLeaf: rec.Outcome.Leaf, Time: rec.Time,
	}, nil
}

// answered repeats the answer to a request that could not be understood today,
// since its key or decoder is gone, but was when it was first asked. err is the
// answer if there was none.
func (e *Engine) answered(ctx context.Context, rec Recorded, err error) (Result, error) {
	p := rec.Proposal
	switch d := e.c.Decoders[p.Request.Kind]; {
	case rec.Waits:
		return Result{}, e.waitsFor(rec)
	case rec.Decision.Verdict != Allow:
		return Result{}, denied(rec)
	case d == nil:
	case rec.Done():
		return e.result(d, rec)
	case e.inForce(p):
		// A crash kept the outcome from the record. The policy that it put in force need
		// not hear of it: what the old one allowed is done.
		if !e.rate.pay(p.Caller, 0, e.c.Now()) {
			return Result{}, askedTooOften()
		}
		return e.finish(ctx, e.keys[AdminKey], d, rec)
	}
	return Result{}, err
}

// SetPolicy puts another policy in force once it is on record. Meanwhile nothing is
// decided, so that what the old one allows comes before the record, and what the new one
// allows after it. Requests in the pipeline that are not decided yet are read again under
// it.
func (e *Engine) SetPolicy(ctx context.Context, p Policy) error {
	e.deciding.Lock()
	defer e.deciding.Unlock()
	leaf, err := e.c.Journal.Adopt(ctx, Event{Type: EventPolicy, Policy: p.Version()}, p.Bundle())
	if err != nil {
		return unavailable("the change of policy cannot be recorded, so the old one stays in force", err)
	}
	e.policy.Store(&policyBox{p, leaf})
	e.waits.all()
	return nil
}

// Policy returns the policy in force.
func (e *Engine) Policy() Policy { return e.policy.Load().Policy }

// Close refuses new requests and waits for those in the pipeline until ctx ends.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.waits.quit)
	}
	e.mu.Unlock()
	done := make(chan struct{})
	go func() { e.waits.wg.Wait(); e.wg.Wait(); close(done) }()
	select {
	case <-done:
		return e.tellDropped(context.WithoutCancel(ctx))
	case <-ctx.Done():
		err := fmt.Errorf("stop: requests were still being signed: %w", context.Cause(ctx))
		return errors.Join(err, e.tellDropped(context.WithoutCancel(ctx)))
	}
}

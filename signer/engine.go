package signer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ManagedKey is a key under the engine's care, with what the configuration says
// of it. Its info must agree with the key itself.
type ManagedKey struct {
	Info KeyInfo
	Key  Key

	available func() error // of a key that can tell; else nil
}

// ready says why a key is known to be unable to sign just now.
func (k ManagedKey) ready() error {
	if k.available == nil {
		return nil
	}
	return k.available()
}

// Config is what an [Engine] is made of. Every field must be set but Administrator,
// MaxRequests and the timeouts, which have defaults.
type Config struct {
	Instance string // of the journal
	Keys     []ManagedKey
	Decoders map[Kind]Decoder
	Policy   Policy
	Journal  Journal
	Verifier Verifier
	Now      func() time.Time
	Rand     io.Reader // of nonces; crypto/rand outside tests
	Log      *slog.Logger
	// Administrator does what the engine cannot do itself for an administrative
	// request; without one, such requests are refused.
	Administrator Administrator
	// MaxRequests bounds how many requests are in the pipeline at once, 256 by
	// default; one account may have a quarter of them.
	MaxRequests int
	// SignTimeout bounds the wait for a device, 30 s by default.
	SignTimeout time.Duration
	// ActTimeout bounds an administrative act, 5 min by default: a card takes its time
	// to make a large key.
	ActTimeout time.Duration
}

// Engine is the pipeline. It is safe for concurrent use.
type Engine struct {
	c      Config
	keys   map[string]ManagedKey
	policy atomic.Pointer[policyBox]
	quota  *quota
	rate   *refusals
	off    *switches

	deciding sync.RWMutex // shared while a decision is recorded, held while another policy is

	mu       sync.Mutex
	closed   bool                // owned by mu
	running  map[runKey]*running // owned by mu
	watchers map[runKey]*watched // owned by mu
	wg       sync.WaitGroup      // one per element of running
}

type policyBox struct{ Policy }

// runKey scopes a request id to its caller.
type runKey struct{ caller, id string }

// running is a request in the pipeline. The goroutine that runs it sets result
// and err and then closes done.
type running struct {
	digest [32]byte
	notice Notice // owned by the engine's mu
	done   chan struct{}
	result Result
	err    error
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

// New checks a configuration and returns the engine.
func New(c Config) (*Engine, error) {
	if c.Instance == "" || len(c.Decoders) == 0 || c.Policy == nil || c.Journal == nil || c.Verifier == nil || c.Now == nil || c.Rand == nil || c.Log == nil {
		return nil, errors.New("engine: instance, decoders, policy, journal, verifier, clock, randomness and log are all required")
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 256
	}
	if c.SignTimeout == 0 {
		c.SignTimeout = 30 * time.Second
	}
	if c.ActTimeout == 0 {
		c.ActTimeout = 5 * time.Minute
	}
	e := &Engine{
		c: c, keys: map[string]ManagedKey{}, running: map[runKey]*running{}, watchers: map[runKey]*watched{},
		quota: newQuota(c.MaxRequests, max(1, c.MaxRequests/4)), rate: newRefusals(), off: newSwitches(),
	}
	byKey := map[string]string{}
	for _, k := range c.Keys {
		if err := e.addKey(k, byKey); err != nil {
			return nil, fmt.Errorf("key %q: %w", k.Info.Name, err)
		}
	}
	if c.Decoders[KindAdmin] != nil {
		e.keys[AdminKey] = adminKey()
	}
	acts, err := c.Journal.Acts(context.Background())
	if err != nil {
		return nil, fmt.Errorf("engine: read which keys are disabled: %w", err)
	}
	for _, rec := range acts {
		e.off.learn(rec)
	}
	e.policy.Store(&policyBox{c.Policy})
	return e, nil
}

func (e *Engine) addKey(k ManagedKey, byKey map[string]string) error {
	pub := k.Key.Public()
	print := pub.Fingerprint()
	switch other := byKey[print]; {
	case k.Info.Name == AdminKey || slices.Contains(k.Info.Kinds, KindAdmin):
		return fmt.Errorf("the name %q and the kind %q stand for Sealward itself; use others", AdminKey, KindAdmin)
	case print == "":
		return fmt.Errorf("algorithm %q is not supported", pub.Algorithm)
	case k.Info.Fingerprint != print || k.Info.Protection != k.Key.Protection():
		return errors.New("the description does not fit the key in the device")
	case len(k.Info.Kinds) == 0:
		return errors.New("it accepts no kind of payload; list at least one in kinds")
	case slices.Contains(k.Info.Kinds, KindDigest) && len(k.Info.Kinds) > 1:
		return errors.New("a key that signs opaque digests can be made to sign anything, so it must accept no other kind")
	case other != "":
		return fmt.Errorf("it is the same public key as %q; one key has one name", other)
	}
	if _, dup := e.keys[k.Info.Name]; dup {
		return errors.New("the name is used twice")
	}
	for _, kind := range k.Info.Kinds {
		if e.c.Decoders[kind] == nil {
			return fmt.Errorf("there is no decoder for kind %q", kind)
		}
	}
	if a, ok := k.Key.(interface{ Available() error }); ok {
		k.available = a.Available
	}
	byKey[print] = k.Info.Name
	e.keys[k.Info.Name] = k
	return nil
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

// start puts a request into the pipeline, or joins the same one that is there.
func (e *Engine) start(ctx context.Context, c Caller, r Request) (*running, error) {
	digest := r.Digest()
	key := runKey{c.ID(), r.ID}
	e.mu.Lock()
	defer e.mu.Unlock()
	if run := e.running[key]; run != nil {
		if run.digest == digest {
			return run, nil
		}
		e.mu.Unlock() // a record takes its time
		err := e.refuse(context.WithoutCancel(ctx), c, r, conflict(r.ID))
		e.mu.Lock()
		return nil, err
	}
	if e.closed {
		return nil, &Error{Code: CodeUnavailable, Detail: "sealward is stopping; ask again when it is back"}
	}
	if !e.quota.take(c) {
		return nil, &Error{Code: CodeOverloaded, Detail: "too many requests at once; wait for some to finish, then ask again"}
	}
	run := &running{digest: digest, done: make(chan struct{})}
	e.running[key] = run
	e.tell(key)
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		run.err = &Error{Code: CodeInternal, Detail: "the request could not be handled; its operator finds the cause in the log"}
		defer func() {
			if p := recover(); p != nil {
				e.c.Log.Error("a request made the pipeline panic", "caller", key.caller, "request", key.id, "panic", p)
			}
			e.mu.Lock()
			delete(e.running, key)
			e.tell(key)
			e.quota.give(c)
			e.mu.Unlock()
			close(run.done)
		}()
		run.result, run.err = e.run(context.WithoutCancel(ctx), c, r)
	}()
	return run, nil
}

// run is the order of work that doc.go promises.
func (e *Engine) run(ctx context.Context, c Caller, r Request) (Result, error) {
	box := e.policy.Load()
	policy := box.Policy
	p, key, decoder, err := e.propose(policy, c, r)
	if err == nil && e.off.refusal(p) == "" {
		err = key.ready() // else callers who try again would use up its limits
	}
	if err != nil {
		if prior, ok := e.prior(ctx, c, r); ok {
			return e.answered(ctx, prior, err)
		}
		return Result{}, e.refuse(ctx, c, r, err)
	}

	rec, replaced, err := e.record(ctx, box, p)
	if err != nil {
		return Result{}, unavailable("the request cannot be recorded, so it is not signed", err)
	}
	switch {
	case replaced:
		return e.run(ctx, c, r)
	case rec.Prior && rec.RequestDigest != r.Digest():
		return Result{}, e.refuse(ctx, c, r, conflict(r.ID))
	case rec.Decision.Verdict != Allow:
		return Result{}, denied(rec)
	case rec.Done():
		return e.result(decoder, rec)
	case rec.Prior:
		// Authorised before, and what became of it is unknown: sign the same
		// message, or do the same act, again, if the policy in force would still hear
		// of it.
		if !e.rate.pay(c, e.c.Now()) {
			return Result{}, askedTooOften()
		}
		if err := e.again(ctx, policy, p, rec); err != nil {
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
	e.off.learn(rec)
	if outcome.Code != "" {
		return Result{}, &Error{Code: outcome.Code, Detail: outcome.Detail}
	}
	return e.result(decoder, rec)
}

// propose finds the key and decodes the payload. A key that no rule gives to the
// caller does not exist, as far as the caller can tell.
func (e *Engine) propose(policy Policy, c Caller, r Request) (Proposal, ManagedKey, Decoder, error) {
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
	if err := e.feasible(intent, policy); err != nil {
		return none(err)
	}
	decoder := e.c.Decoders[r.Kind]
	p := Proposal{
		Instance: e.c.Instance, Caller: c, Request: r, Key: key.Info, Intent: intent,
		Policy: policy.Version(), Decoder: decoder.Version(), Created: e.c.Now(),
	}
	if _, err := io.ReadFull(e.c.Rand, p.Nonce[:]); err != nil {
		return none(&Error{Code: CodeInternal, Detail: "no randomness for a nonce", Err: err})
	}
	return p, key, decoder, nil
}

// decide asks the policy, after what no policy can change: whether the key is
// disabled, and the request's own validity. Expiry is judged by the later clock and
// not-before by the earlier, so that neither of the two can be set to widen it.
func (e *Engine) decide(policy Policy, p Proposal, f Facts) Decision {
	if why := e.off.refusal(p); why != "" {
		return Decision{Reason: why}
	}
	early, late := f.Time, f.Wall
	if late.Before(early) {
		early, late = late, early
	}
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
		// The verdict stays what it is, for the record: only Allow is signed.
		d.Reason += "; approvals cannot be collected yet, so it is refused"
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
		raw, err := k.Key.Sign(ctx, Authorized{msg: m, ok: true, notice: func(n Notice) { e.notice(at, n) }})
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
	case rec.Decision.Verdict != Allow:
		return Result{}, denied(rec)
	case d == nil:
	case rec.Done():
		return e.result(d, rec)
	case e.inForce(p):
		// A crash kept the outcome from the record. The policy that it put in force need
		// not hear of it: what the old one allowed is done.
		if !e.rate.pay(p.Caller, e.c.Now()) {
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
	if _, err := e.c.Journal.Adopt(ctx, Event{Type: EventPolicy, Policy: p.Version()}, p.Bundle()); err != nil {
		return unavailable("the change of policy cannot be recorded, so the old one stays in force", err)
	}
	e.policy.Store(&policyBox{p})
	return nil
}

// Policy returns the policy in force.
func (e *Engine) Policy() Policy { return e.policy.Load().Policy }

// Close refuses new requests and waits for those in the pipeline until ctx ends.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	done := make(chan struct{})
	go func() { e.wg.Wait(); close(done) }()
	select {
	case <-done:
		return e.tellDropped(context.WithoutCancel(ctx))
	case <-ctx.Done():
		err := fmt.Errorf("stop: requests were still being signed: %w", context.Cause(ctx))
		return errors.Join(err, e.tellDropped(context.WithoutCancel(ctx)))
	}
}

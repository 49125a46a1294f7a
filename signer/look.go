package signer

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Inspect decodes a payload as Sign would, and records nothing.
func (e *Engine) Inspect(c Caller, r Request) (Proposal, error) {
	r.ID = orDefault(r.ID, "inspect")
	if err := e.mayLook(c, r); err != nil {
		return Proposal{}, err
	}
	p, _, _, err := e.propose(context.Background(), e.Policy(), c, r)
	return p, err
}

// Check tells what policy would decide about a request now. It records and
// reserves nothing, so a later Sign may still meet other facts.
func (e *Engine) Check(ctx context.Context, c Caller, r Request) (Proposal, Decision, error) {
	r.ID = orDefault(r.ID, "check")
	if err := e.mayLook(c, r); err != nil {
		return Proposal{}, Decision{}, err
	}
	policy := e.Policy()
	p, _, _, err := e.propose(ctx, policy, c, r)
	if err != nil {
		return Proposal{}, Decision{}, err
	}
	f, err := e.c.Journal.Facts(ctx, p, policy.Needs())
	if err != nil {
		return Proposal{}, Decision{}, unavailable("what was spent cannot be read", err)
	}
	return p, e.decide(policy, p, f), nil
}

func (e *Engine) mayLook(c Caller, r Request) error {
	if !c.Identified {
		return &Error{Code: CodeUnauthenticated, Detail: "the kernel does not say who is asking"}
	}
	if err := r.check(); err != nil {
		return err
	}
	return nil
}

// Keys lists the keys that some rule gives to the caller, by name.
func (e *Engine) Keys(c Caller) []KeyInfo {
	var out []KeyInfo
	policy := e.Policy()
	for _, k := range e.keys {
		if c.Identified && k.Key != nil && policy.Grants(c, k.Info) {
			out = append(out, k.Info)
		}
	}
	slices.SortFunc(out, func(a, b KeyInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// AllKeys lists every key, by name. It is for operators.
func (e *Engine) AllKeys() []KeyInfo {
	var out []KeyInfo
	for _, k := range e.keys {
		if k.Key != nil {
			out = append(out, k.Info)
		}
	}
	slices.SortFunc(out, func(a, b KeyInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Spent reads what a key has spent of an asset by a measure. It counts for the caller
// where the measure is by caller; by recipient or asset there is no one sum.
func (e *Engine) Spent(ctx context.Context, k KeyInfo, c Caller, asset string, m Measure) (Spent, error) {
	p := Proposal{Key: k, Caller: c}
	subject := ""
	switch m.Per {
	case PerKey:
	case PerCaller:
		subject = c.Account()
	default:
		return Spent{}, invalid("what was spent by %s is not one sum", m.Per)
	}
	if asset != AssetRequests {
		p.Intent.Outflow = []Quantity{Exact(asset, new(big.Int))}
	}
	f, err := e.c.Journal.Facts(ctx, p, Needs{Measures: []Measure{m}})
	if err != nil {
		return Spent{}, unavailable("what was spent cannot be read", err)
	}
	s, ok := f.Find(asset, m, subject)
	if !ok {
		return Spent{}, &Error{Code: CodeInternal, Detail: fmt.Sprintf("the journal does not know what was spent of %s", asset)}
	}
	return s, nil
}

// Lookup returns the state of a request as the journal holds it. caller is the
// scope of the id, [Caller.ID]. The result is set only for a request that was
// signed, or an act that was done.
func (e *Engine) Lookup(ctx context.Context, caller, id string) (Recorded, *Result, error) {
	rec, ok, err := e.c.Journal.Lookup(ctx, caller, id)
	if err != nil {
		return Recorded{}, nil, unavailable("the request cannot be looked up", err)
	}
	if !ok {
		return Recorded{}, nil, &Error{Code: CodeNotFound, Detail: fmt.Sprintf("no request %q of yours is on record", clip(id))}
	}
	if !rec.Done() {
		return rec, nil, nil
	}
	decoder := e.c.Decoders[rec.Proposal.Request.Kind]
	if decoder == nil {
		return rec, nil, &Error{Code: CodeInternal, Detail: fmt.Sprintf("there is no decoder any more for kind %q", rec.Proposal.Request.Kind)}
	}
	res, err := e.result(decoder, rec)
	return rec, &res, err
}

// Malformed records a request that a front door could not even read.
func (e *Engine) Malformed(ctx context.Context, c Caller, detail string) {
	_ = e.refuse(context.WithoutCancel(ctx), c, Request{}, invalid("%s", detail))
}

// detailOf is what an error says to a caller.
func detailOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail
	}
	return err.Error()
}

func noKey(name string) *Error {
	return &Error{Code: CodeNotFound, Detail: fmt.Sprintf("there is no key %q that policy gives to you; `sealward keys list` shows yours", clip(name))}
}

func conflict(id string) *Error {
	return &Error{Code: CodeConflict, Detail: fmt.Sprintf("request id %q was used before for other content; use a new id for a new request", id)}
}

func unavailable(detail string, err error) *Error {
	return &Error{Code: CodeUnavailable, Detail: detail, Err: err}
}

func askedTooOften() *Error {
	return &Error{Code: CodeOverloaded, Detail: "asked again too often; wait a while"}
}

func denied(rec Recorded) *Error {
	return &Error{Code: CodeDenied, Detail: rec.Decision.Reason}
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

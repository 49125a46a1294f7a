package signer

import (
	"context"
	"time"
)

// Journal is the durable record and the state derived from it. Everything that
// it returns without error is on disk.
type Journal interface {
	// Record decides on a proposal and makes the decision durable, as one step
	// that no other Record overlaps: decide is called with facts that hold at that
	// moment, an allowed proposal's outflow is reserved under its key's
	// fingerprint, and both become durable together or not at all.
	//
	// When the caller has used the request id before, decide is not called and the
	// earlier record is returned with Prior set; the engine compares
	// the contents. A decision with Unrecorded set is returned without being
	// recorded. Once called, Record is not withdrawn by its context.
	Record(ctx context.Context, p Proposal, needs Needs, decide func(Facts) Decision) (Recorded, error)

	// Finish records what became of an authorisation and returns the leaf.
	Finish(ctx context.Context, o Outcome) (leaf uint64, err error)

	// Note records an event that has no proposal.
	Note(ctx context.Context, e Event) (leaf uint64, err error)

	// Lookup returns the record of a caller's request, or false.
	Lookup(ctx context.Context, caller, requestID string) (Recorded, bool, error)

	// Adopt is Note for an event that puts a policy in force, and keeps its bundle,
	// whose digest it sets in the event.
	Adopt(ctx context.Context, e Event, bundle []byte) (leaf uint64, err error)

	// Facts returns what Record would decide on now, and records nothing.
	Facts(ctx context.Context, p Proposal, needs Needs) (Facts, error)

	// Acts returns every authorised administrative request that disables or enables a
	// key ([Proposal.Switches]), in the order of their leaves. Which keys are disabled
	// follows from them.
	Acts(ctx context.Context) ([]Recorded, error)
}

// Recorded is a request as the journal holds it.
type Recorded struct {
	Prior bool // it was there before this call

	Leaf          uint64 // of the decision
	Time          time.Time
	RequestDigest [32]byte // [Request.Digest]
	Proposal      Proposal
	Decision      Decision
	Facts         Facts
	// Outcome is nil for a denial and while the outcome is unknown.
	Outcome *Outcome
}

// Done reports whether the request has its answer: it was signed, or the act done.
func (r Recorded) Done() bool { return r.Outcome != nil && r.Outcome.Code == "" }

// Outcome is what became of an authorisation. Only a success is final: after a
// failure, the same request may be signed again.
type Outcome struct {
	Authorization uint64 // its leaf
	Leaf          uint64 // of the outcome; set by the journal
	Time          time.Time
	Signatures    [][]byte // one per message, in their scheme's encoding; none after a failure
	Result        []byte   // of an administrative act, in JSON, in place of signatures
	Code          Code     // empty on success
	Detail        string
}

// EventType says what a leaf records.
type EventType string

// The types of events.
const (
	EventStarted    EventType = "started"    // the daemon started; Detail holds its configuration
	EventPolicy     EventType = "policy"     // a policy came into force
	EventAuthorized EventType = "authorized" // a proposal was allowed and its outflow reserved
	EventDenied     EventType = "denied"     // a proposal was refused
	EventMalformed  EventType = "malformed"  // a request that never became a proposal
	EventSigned     EventType = "signed"     // an authorisation was signed
	EventActed      EventType = "acted"      // an authorised administrative act was done
	EventFailed     EventType = "failed"     // an authorisation could not be signed, or the act not done
	EventDevice     EventType = "device"     // an operator did something to a device, which Detail says
	EventStopped    EventType = "stopped"    // the daemon stopped in good order
)

// Event is the content of one leaf of the journal.
type Event struct {
	Type EventType
	Time time.Time // journal time
	Wall time.Time

	// Of a decision.
	Proposal *Proposal
	Facts    *Facts
	Decision *Decision

	Outcome *Outcome // of signed, acted and failed

	// Of the other types.
	Caller *Caller
	Code   Code
	Detail string
	Policy [32]byte
	Bundle [32]byte // SHA-256 of the policy's bundle as the journal keeps it; zero: none is kept
	// Dropped counts refusals of this caller that were left unrecorded since the
	// last one that was recorded.
	Dropped uint64
}

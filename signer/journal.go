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

	// Acts returns every authorised administrative request of some classes, in the order
	// of their leaves. Which keys are disabled, and whether the daemon is frozen, follows
	// from them.
	Acts(ctx context.Context, classes ...Class) ([]Recorded, error)

	// Last returns the last event of a type and its leaf, or false. The type is one of
	// started, frozen and overridden.
	Last(ctx context.Context, t EventType) (e Event, leaf uint64, ok bool, err error)

	// A decision of Ask that is recorded makes the request wait: its event is of type
	// waiting, nothing is reserved, and it waits until Settle ends that.

	// Hear records what an approver said, as one step that no Record, Settle or other
	// Hear overlaps. The event is of type approval, or of type frozen for a freeze. Of an
	// approval that is on record already (by [Approval.ID]) it returns the leaf, with
	// prior set, whatever became of its request. Otherwise check is called with the request,
	// of a freeze with the zero one, and what it returns an error for is not recorded and
	// returned; a proposal that does not wait is [CodeNotFound].
	Hear(ctx context.Context, e Event, check func(waiting Recorded) error) (leaf uint64, prior bool, err error)

	// Settle decides again on a request that waits, as one step like Record. p is the
	// proposal that waits, or what it has become; then what was heard about the old one
	// is void, and decide is called with nothing heard. Facts.Pending does not count the
	// request itself. An Ask about the same proposal records nothing. A request that does
	// not wait at that leaf any more is [CodeConflict].
	Settle(ctx context.Context, waiting uint64, p Proposal, needs Needs, decide func(Facts, []Heard) Decision) (Recorded, error)

	// Waiting returns the request that waits with a proposal, by its digest, or false.
	Waiting(ctx context.Context, proposal [32]byte) (Recorded, bool, error)

	// AllWaiting returns every request that waits, in the order of their leaves.
	AllWaiting(ctx context.Context) ([]Waiting, error)
}

// Waiting is a request that waits, in brief.
type Waiting struct {
	Leaf       uint64   // of the record that it waits
	Proposal   [32]byte // its digest
	Caller, ID string   // [Caller.ID] and that of the request
	Policy     [32]byte // the version that decided
	Since      time.Time
	// Due is when its delay is over, and Deadline when it expires.
	Due, Deadline time.Time
	Heard         int // how many approvals, rejections and withdrawals are on record
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

	// Waits says that it waits: for approvals, or for its delay to be over.
	Waits bool
	// Heard is what approvers said of the proposal, in the order of their records.
	Heard []Heard
	// Waited is the leaf by which the request waited until this decision; zero: it did
	// not.
	Waited uint64
}

// Due is when the delay of a request that waits is over, and Deadline when it expires.
func (r Recorded) Due() time.Time { return r.Time.Add(r.Decision.Delay) }

// Deadline is when a request that waits expires: its wait does, or it does itself.
func (r Recorded) Deadline() time.Time {
	deadline, own := r.Time.Add(r.Decision.Expires), r.Proposal.Request.Expires
	if !own.IsZero() && own.Before(deadline) {
		return own
	}
	return deadline
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
	EventDenied     EventType = "denied"     // a proposal was refused, or ceased to wait
	EventWaiting    EventType = "waiting"    // a proposal waits for approvals, or for time to pass
	EventApproval   EventType = "approval"   // an approver approved, rejected or withdrew
	EventFrozen     EventType = "frozen"     // nothing is signed from here on, until a thaw
	EventOverridden EventType = "overridden" // root put a policy in force that nobody approved
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
	// Waited is the leaf by which a request waited that this event decides; zero: it did
	// not wait.
	Waited uint64
	// Heard is what an approver said, of an approval or a freeze.
	Heard *Heard
	// Override is the leaf of the last event of type overridden before a decision; zero:
	// there is none. The journal sets it.
	Override uint64
	// TrustsFile says, of a start, whether the policy on disk is put in force without
	// being asked for: "yes" or "no". Records of older versions do not say.
	TrustsFile string
	// Dropped counts refusals of this caller that were left unrecorded since the
	// last one that was recorded.
	Dropped uint64
}

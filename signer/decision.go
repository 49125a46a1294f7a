package signer

import (
	"math/big"
	"slices"
	"time"
)

// Verdict is what policy says. Its zero value refuses.
type Verdict uint8

// The verdicts.
const (
	Deny Verdict = iota
	Ask
	Allow
)

func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Ask:
		return "ask"
	default:
		return "deny"
	}
}

// AssetRequests is the asset under which the journal counts authorisations
// themselves, one each, for limits by count.
const AssetRequests = "requests"

// Per says whose spending a limit counts. It is always that of one public key.
type Per string

// What limits count by.
const (
	PerKey       Per = ""          // all that the key was authorised to
	PerCaller    Per = "caller"    // what it was authorised to for one caller
	PerRecipient Per = "recipient" // what it was authorised to let one recipient have
	PerAsset     Per = "asset"     // of counts: the authorisations that move one asset
	PerFee       Per = "fee"       // of a [LimitUse]: the fee of the request itself, in no window
)

// Measure is a window over which a policy limits, and what it counts by: never
// [PerFee].
type Measure struct {
	Window time.Duration
	Per    Per
}

// Needs is what a policy has to be told before it can decide.
type Needs struct {
	// Measures has no element twice.
	Measures []Measure
	// Recipients says whether it asks which recipients are new.
	Recipients bool
}

// Facts is what a decision depends on beside the proposal. It is gathered inside
// the recording step and journalled with the decision, so that a decision can be
// made again exactly.
type Facts struct {
	// Time is journal time: it never decreases, and the wall clock alone cannot
	// move it ahead. Windows are measured in it.
	Time time.Time
	// Wall is the wall clock, for the validity of a request.
	Wall time.Time
	// Spent has an element for each of the policy's measures times each asset of the
	// proposal's outflow and [AssetRequests], times each recipient where it counts by
	// recipient. By asset it has counts alone.
	Spent []Spent
	// Recipients says that the policy asks which recipients are new, and is told.
	Recipients bool
	// NewRecipients are the recipients of the proposal that its key was never before
	// authorised to let have anything, sorted.
	NewRecipients []string
	// Pending is how many other requests of the caller's account wait.
	Pending int
}

// Spent is what one public key has been authorised to spend of one asset in the
// window that ends now.
type Spent struct {
	Asset  string
	Window time.Duration
	Amount *big.Int
	// Frees is when the oldest part of it leaves the window; zero when Amount is.
	Frees time.Time
	Per   Per
	// Subject is whose it is: [Caller.Account], a recipient, an asset; empty for the key's.
	Subject string
}

// Matter is what an element of the facts is about. No two of them are about the same.
type Matter struct {
	Measure        Measure
	Asset, Subject string
}

// Matter returns what a sum is about.
func (s Spent) Matter() Matter { return Matter{Measure{s.Window, s.Per}, s.Asset, s.Subject} }

// Find returns the element for an asset and a measure, or false.
func (f Facts) Find(asset string, m Measure, subject string) (Spent, bool) {
	i := slices.IndexFunc(f.Spent, func(s Spent) bool { return s.Matter() == Matter{m, asset, subject} })
	if i < 0 {
		return Spent{}, false
	}
	return f.Spent[i], true
}

// Decision is what policy made of a proposal and facts.
type Decision struct {
	Verdict Verdict
	// Rules names every rule that matched, in the order of the policy.
	Rules []string
	// Reason says why it was refused, for the caller: what was asked, what is
	// wrong, what to do. Empty for an allow.
	Reason string
	// Limits are the limits that applied, whether or not they held.
	Limits []LimitUse
	// Quorums are who must approve, every one of them, when the verdict is Ask.
	Quorums []Quorum
	// Delay is the least time between the record that a request waits and its signature,
	// and Expires how long after that record it may still be authorised. The policy leaves
	// at zero what it says nothing of; the engine sets how long that is.
	Delay, Expires time.Duration
	// Approvals are the leaves of the approvals by which an allow came about that the
	// policy alone would not have given.
	Approvals []uint64
	// Unrecorded marks a refusal that the journal is not to record, because its
	// caller has been refused too often of late. The engine sets it, and counts.
	Unrecorded bool
	// Dropped is how many refusals of the caller went unrecorded before this one.
	Dropped uint64
}

// Quorum is a number of approvals of a group that a decision asks for.
type Quorum struct {
	Rule  string
	Limit string // that is exhausted; empty where the rule itself asks
	Group string
	// Approvals is how many members must approve, each a person of their own.
	Approvals     int
	ExcludeCaller bool // whoever asks for the signature does not count
	// Including is a group of which one at least must be among them; empty: of none.
	Including string
	// Devices is with how many devices of their own each of them must approve; 0 and 1:
	// with one.
	Devices int
}

// LimitUse is one limit as a decision met it.
type LimitUse struct {
	Rule, Limit string
	Asset       string
	Window      time.Duration // zero: per request
	Max         *big.Int
	Spent       *big.Int // in the window, without this request
	Amount      *big.Int // of this request, at most
	Frees       time.Time
	Per         Per
	Subject     string // as in [Spent]
}

// Exceeded reports whether the request does not fit.
func (l LimitUse) Exceeded() bool {
	return new(big.Int).Add(l.Spent, l.Amount).Cmp(l.Max) > 0
}

// Policy decides. It is pure: same proposal and facts, same decision. There is no
// error result; a rule that cannot be evaluated is a Deny with a reason.
type Policy interface {
	// Version is the digest of the policy bundle.
	Version() [32]byte
	// Book is what the policy's files say about assets and names. It is not changed.
	Book() Book
	// Bundle is what the version stands for, as it is kept in the journal.
	Bundle() []byte
	// Needs is what it has to be told.
	Needs() Needs
	// People are those whom it names. They are not changed.
	People() People
	// Grants reports whether some rule could let the caller use the key. A caller
	// does not learn of keys for which none does.
	Grants(c Caller, k KeyInfo) bool
	Decide(p Proposal, f Facts) Decision
}

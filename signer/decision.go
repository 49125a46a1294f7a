package signer

import (
	"math/big"
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

// Facts is what a decision depends on beside the proposal. It is gathered inside
// the recording step and journalled with the decision, so that a decision can be
// made again exactly.
type Facts struct {
	// Time is journal time: it never decreases, and the wall clock alone cannot
	// move it ahead. Windows are measured in it.
	Time time.Time
	// Wall is the wall clock, for the validity of a request.
	Wall time.Time
	// Spent has an element for each asset of the proposal's outflow, and for
	// [AssetRequests], times each of the policy's windows.
	Spent []Spent
}

// Spent is what one public key has been authorised to spend of one asset in the
// window that ends now.
type Spent struct {
	Asset  string
	Window time.Duration
	Amount *big.Int
	// Frees is when the oldest part of it leaves the window; zero when Amount is.
	Frees time.Time
}

// Find returns the element for an asset and a window, or false.
func (f Facts) Find(asset string, window time.Duration) (Spent, bool) {
	for _, s := range f.Spent {
		if s.Asset == asset && s.Window == window {
			return s, true
		}
	}
	return Spent{}, false
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
	// Unrecorded marks a refusal that the journal is not to record, because its
	// caller has been refused too often of late. The engine sets it, and counts.
	Unrecorded bool
	// Dropped is how many refusals of the caller went unrecorded before this one.
	Dropped uint64
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
	// Windows lists the windows over which it limits.
	Windows() []time.Duration
	// Grants reports whether some rule could let the caller use the key. A caller
	// does not learn of keys for which none does.
	Grants(c Caller, k KeyInfo) bool
	Decide(p Proposal, f Facts) Decision
}

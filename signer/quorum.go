package signer

import (
	"slices"
	"time"
)

// Tally is how far the approvals are that a decision asks for.
type Tally struct {
	Quorums []QuorumTally // one per quorum of the decision, in its order
	// Counted are the leaves of the approvals that count towards any of them, sorted.
	Counted []uint64
	// Rejected is the first rejection, which ends the request; nil: there is none.
	Rejected *Heard
}

// QuorumTally is how far one quorum is.
type QuorumTally struct {
	Quorum
	// Approved are the people who count, and Open those who still may, by name, sorted.
	// Someone of whom a second device is missing is in Open.
	Approved, Open []string
	// Included says that one of the approved is of the group that must be among them.
	Included bool
}

// Met reports whether enough people approved.
func (q QuorumTally) Met() bool {
	return q.Approvals > 0 && len(q.Approved) >= q.Approvals && (q.Including == "" || q.Included)
}

// Met reports whether every quorum is met and nobody rejected. What asks for no approval
// at all is met.
func (t Tally) Met() bool {
	return t.Rejected == nil && !slices.ContainsFunc(t.Quorums, func(q QuorumTally) bool { return !q.Met() })
}

// Count counts what was heard about one proposal at a time. A person counts once in each
// quorum, by whichever devices; whoever withdrew does not count, whatever came later.
// Every quorum is counted by itself: one approval can count in several.
func Count(quorums []Quorum, people People, c Caller, heard []Heard, at time.Time) Tally {
	var t Tally
	for i, h := range heard {
		if h.Approval.Word == WordReject && t.Rejected == nil {
			t.Rejected = &heard[i]
		}
	}
	owner, owned := people.Owner(c)
	counted := map[uint64]bool{}
	for _, q := range quorums {
		qt := QuorumTally{Quorum: q}
		members := slices.Sorted(slices.Values(people.Groups[q.Group]))
		for _, name := range slices.Compact(members) {
			if q.ExcludeCaller && (!owned || name == owner) {
				continue
			}
			leaves, withdrew := standing(name, people, heard, at)
			switch {
			case withdrew:
			case len(leaves) >= max(1, q.Devices):
				qt.Approved = append(qt.Approved, name)
				qt.Included = qt.Included || slices.Contains(people.Groups[q.Including], name)
				for _, leaf := range leaves {
					counted[leaf] = true
				}
			default:
				qt.Open = append(qt.Open, name)
			}
		}
		t.Quorums = append(t.Quorums, qt)
	}
	for leaf := range counted {
		t.Counted = append(t.Counted, leaf)
	}
	slices.Sort(t.Counted)
	return t
}

// standing returns the leaves of a person's approvals that stand at a time, one per
// device, and whether the person withdrew.
func standing(name string, people People, heard []Heard, at time.Time) (leaves []uint64, withdrew bool) {
	devices := map[string]bool{}
	for _, h := range heard {
		a := h.Approval
		switch owner, _, ok := people.Find(a.Device); {
		case !ok || owner.Name != name:
		case a.Word == WordWithdraw:
			return nil, true
		case a.Word != WordApprove || devices[a.Device]:
		case a.Expires.IsZero() || at.Before(a.Expires):
			devices[a.Device] = true
			leaves = append(leaves, h.Leaf)
		}
	}
	return leaves, false
}

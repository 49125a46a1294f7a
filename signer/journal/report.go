package journal

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// maxProblems is how many problems a report lists. The first ones say what
// happened; what follows is mostly their consequence.
const maxProblems = 20

// Report is what [Verify] found.
type Report struct {
	Instance string
	Key      string // the vkey that the checkpoints verify under

	Leaves      uint64
	Root        tlog.Hash // of the tree as the leaves make it
	First, Last time.Time // journal time of the first and last leaf

	Authorized  uint64 // proposals allowed
	Denied      uint64 // proposals refused
	Malformed   uint64 // requests that never became a proposal
	Signed      uint64 // outcomes with signatures
	Acted       uint64 // outcomes of administrative acts that were done
	Failed      uint64 // outcomes without
	Unknown     uint64 // authorisations of which no outcome is known
	Asked       uint64 // records that a proposal waits
	Waiting     uint64 // of them, those that still do
	Approvals   uint64 // approvals, rejections and withdrawals
	Other       uint64 // starts, stops, changes of policy, freezes, overrides
	Checkpoints uint64
	// Covered is how many leaves the latest good checkpoint covers. What comes after
	// is consistent, but nothing shows that it was not rewritten or cut off.
	Covered uint64

	// Problems are in the order in which they were met, the first ones only.
	Problems []Problem
	// More is set when there are further problems.
	More bool
}

// Intact reports whether nothing was found wrong.
func (r Report) Intact() bool { return len(r.Problems) == 0 }

// Problem is one thing that is wrong with a journal.
type Problem struct {
	Leaf int64     // the leaf that it is about, or -1
	Time time.Time // of that leaf, as far as it can be believed; or zero
	What string
}

func (p Problem) String() string {
	switch {
	case p.Leaf < 0:
		return p.What
	case p.Time.IsZero():
		return fmt.Sprintf("leaf %d: %s", p.Leaf, p.What)
	}
	return fmt.Sprintf("leaf %d (%s): %s", p.Leaf, p.Time.Format(time.RFC3339), p.What)
}

func (r *Report) problem(leaf int64, at time.Time, format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More = true
		return
	}
	r.Problems = append(r.Problems, Problem{leaf, at, fmt.Sprintf(format, args...)})
}

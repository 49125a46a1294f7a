package journal

import (
	"fmt"
	"time"

	"github.com/sealward/sealward/signer"
)

// wait is a request that waits, as far as what may end its wait depends on it. Settle
// and Verify judge by it alike.
type wait struct {
	leaf            uint64
	proposal        [32]byte // its digest
	since, deadline time.Time
	heard           []signer.Heard // without what was signed
}

// waitOf is that of a record that a request waits.
func waitOf(rec signer.Recorded) *wait {
	return &wait{rec.Leaf, rec.Proposal.Digest(), rec.Time, rec.Deadline(), rec.Heard}
}

// unfit says why a request may not be authorised at a time, or wait as another proposal,
// with a decision about the proposal of a digest; empty: it may. Who is in which group,
// the policy knows and the journal does not: it counts names.
func (w *wait) unfit(d signer.Decision, proposal [32]byte, at time.Time) string {
	switch {
	case d.Verdict == signer.Deny:
		return ""
	case !at.Before(w.deadline):
		return fmt.Sprintf("it waited at leaf %d and expired at %s", w.leaf, text(w.deadline))
	case d.Verdict == signer.Ask:
		return ""
	case proposal != w.proposal:
		if asks(d) {
			return fmt.Sprintf("it is not the proposal that waited at leaf %d, so nobody approved it and its delay has not begun", w.leaf)
		}
		return ""
	case at.Before(w.since.Add(d.Delay)):
		return fmt.Sprintf("its delay is over at %s, and not before", text(w.since.Add(d.Delay)))
	}
	for _, h := range w.heard {
		if h.Approval.Word == signer.WordReject {
			return fmt.Sprintf("%q rejected it at leaf %d", h.Approver, h.Leaf)
		}
	}
	devices, why := w.approvers(d.Approvals, at)
	if why != "" {
		return why
	}
	for _, q := range d.Quorums {
		people := 0
		for _, used := range devices {
			if len(used) >= max(1, q.Devices) {
				people++
			}
		}
		if q.Approvals < 1 || people < q.Approvals {
			return fmt.Sprintf("rule %q asks for %d of group %q, and %d approved", q.Rule, q.Approvals, q.Group, people)
		}
	}
	return ""
}

// asks reports whether a decision rests on approvals or on a delay.
func asks(d signer.Decision) bool {
	return len(d.Quorums) > 0 || len(d.Approvals) > 0 || d.Delay > 0
}

// approvers returns with which devices who approved, by the leaves of the approvals that
// a decision counted, or why one of them does not count.
func (w *wait) approvers(leaves []uint64, at time.Time) (devices map[string]map[string]bool, why string) {
	devices = map[string]map[string]bool{}
	withdrew := map[string]uint64{}
	approvals := map[uint64]signer.Heard{}
	for _, h := range w.heard {
		switch h.Approval.Word {
		case signer.WordApprove:
			approvals[h.Leaf] = h
		case signer.WordWithdraw:
			withdrew[h.Approver] = h.Leaf
		}
	}
	for _, leaf := range leaves {
		h, ok := approvals[leaf]
		a := h.Approval
		switch {
		case !ok:
			return nil, fmt.Sprintf("leaf %d, which was counted, is no approval of its proposal", leaf)
		case !a.Expires.IsZero() && !at.Before(a.Expires):
			return nil, fmt.Sprintf("the approval of %q at leaf %d expired at %s", h.Approver, leaf, text(a.Expires))
		case withdrew[h.Approver] != 0:
			return nil, fmt.Sprintf("%q, whose approval at leaf %d was counted, withdrew at leaf %d", h.Approver, leaf, withdrew[h.Approver])
		}
		if devices[h.Approver] == nil {
			devices[h.Approver] = map[string]bool{}
		}
		devices[h.Approver][a.Device] = true
	}
	return devices, ""
}

func text(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

package journal

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// proceedings is what an audit keeps of what people were asked.
type proceedings struct {
	byLeaf     map[uint64]*waiter
	byProposal map[[32]byte]*waiter
	accounts   map[string]int // how many wait
	latest     map[signer.EventType]int64
	override   uint64
	frozen     int64 // the freeze that is in effect; -1: none
	thawed     int64 // the last outcome of a thaw; -1: none

	approvals, candidates, leaves uint64 // rows of the tables that leaves bear out
}

// waiter is a request that waits.
type waiter struct {
	*wait
	row            *waiting // of table waiting
	request, meant [32]byte // digests of the request, and of what it was taken to mean
}

func newProceedings() *proceedings {
	return &proceedings{
		byLeaf: map[uint64]*waiter{}, byProposal: map[[32]byte]*waiter{}, accounts: map[string]int{},
		latest: map[signer.EventType]int64{}, frozen: -1, thawed: -1,
	}
}

const (
	sqlIsProceeding     = `SELECT count(*) FROM proceedings WHERE leaf = ?`
	sqlCountProceedings = `SELECT count(*) FROM proceedings`
	sqlCountApprovals   = `SELECT count(*) FROM approvals`
	sqlCountCandidates  = `SELECT count(*) FROM candidates`
	sqlCountLatest      = `SELECT count(*) FROM latest`
)

// meaning is a digest of all that a proposal was taken to mean, of which
// [signer.Proposal.Digest] covers the payload and the messages.
func meaning(p signer.Proposal) [32]byte {
	return sha256.Sum256(signer.Event{Proposal: &p}.Canonical())
}

// unheld reports whether an event has what no journal before schema version 4 could hold.
func unheld(ev signer.Event) bool {
	return ev.Type == signer.EventWaiting || ev.Type == signer.EventApproval || ev.Type == signer.EventFrozen || ev.Type == signer.EventOverridden ||
		ev.Waited != 0 || ev.Override != 0 || ev.Heard != nil
}

// proceeding checks what the tables beside a leaf say of its place among the proceedings.
func (a *audit) proceeding(n int64, at time.Time, ev signer.Event) error {
	switch {
	case ev.Type == "":
		return nil
	case a.version < 4:
		if unheld(ev) {
			a.rep.problem(n, at, "it is of type %s, with what a journal of schema version %d cannot hold; the version was changed", ev.Type, a.version)
		}
		return nil
	}
	if remembered(ev.Type) {
		a.people.latest[ev.Type] = n
	}
	switch ev.Type {
	case signer.EventOverridden:
		a.people.override = uint64(n)
	case signer.EventFrozen:
		a.people.frozen = n
	}
	if !proceeds(ev) && a.people.thawed != n {
		return nil
	}
	a.people.leaves++
	switch count, err := a.d.integer(sqlIsProceeding, n); {
	case err != nil:
		return err
	case count == 0:
		a.rep.problem(n, at, "it is missing from table proceedings, so those who watch would not learn of it")
	}
	return nil
}

// thaw takes in the outcome of a thaw. One that was authorised before a freeze does not
// end it.
func (a *audit) thaw(n int64, o signer.Outcome) {
	a.people.thawed = n
	if o.Authorization > uint64(max(a.people.frozen, 0)) {
		a.people.frozen = -1
	}
}

// decided checks a decision against what waited before it, and takes in whether its
// request waits from then on.
func (a *audit) decided(n int64, at time.Time, ev signer.Event) error {
	p, w := ev.Proposal, a.people
	if ev.Override != w.override {
		a.rep.problem(n, at, "it says that the last override before it is leaf %d; by the records it is leaf %d (0: none)", ev.Override, w.override)
	}
	switch {
	case ev.Waited != 0:
		a.ended(n, at, ev)
	case ev.Type == signer.EventAuthorized && asks(*ev.Decision):
		a.rep.problem(n, at, "it was authorised at once, and its decision asks for approvals or for a delay")
	}
	if others := w.accounts[p.Caller.Account()]; ev.Facts.Pending != others {
		a.rep.problem(n, at, "the decision took %d other requests of %s for waiting; by the records before it %d wait", ev.Facts.Pending, p.Caller.Account(), others)
	}
	if ev.Type == signer.EventAuthorized && w.frozen >= 0 && !is(*p, signer.ClassPolicyChange, signer.ClassThaw, signer.ClassKeyDisable) {
		a.rep.problem(n, at, "it was authorised while Sealward was frozen, by leaf %d", w.frozen)
	}
	if ev.Type == signer.EventWaiting {
		a.waits(n, at, ev)
	}
	if a.version < 4 || ev.Bundle == ([32]byte{}) {
		return nil
	}
	return a.candidate(n, at, ev)
}

// waits takes in a request that waits from a leaf on.
func (a *audit) waits(n int64, at time.Time, ev signer.Event) {
	rec := signer.Recorded{Leaf: uint64(n), Time: at, Proposal: *ev.Proposal, Decision: *ev.Decision}
	one := &waiter{waitOf(rec), newWaiting(&rec), ev.Proposal.Request.Digest(), meaning(*ev.Proposal)}
	if other := a.people.byProposal[one.proposal]; other != nil {
		a.rep.problem(n, at, "its proposal waits by leaf %d already", other.leaf)
		a.forget(other)
	}
	a.people.byLeaf[one.leaf], a.people.byProposal[one.proposal] = one, one
	a.people.accounts[one.row.account]++
}

func (a *audit) forget(one *waiter) {
	delete(a.people.byLeaf, one.leaf)
	delete(a.people.byProposal, one.proposal)
	a.people.accounts[one.row.account]--
}

// ended checks a decision that ended a wait.
func (a *audit) ended(n int64, at time.Time, ev signer.Event) {
	one := a.people.byLeaf[ev.Waited]
	if one == nil {
		a.rep.problem(n, at, "it ends the wait of leaf %d, by which no request waits at that moment", ev.Waited)
		return
	}
	a.forget(one)
	p, digest := ev.Proposal, ev.Proposal.Digest()
	switch {
	case p.Caller.ID() != one.row.Caller || p.Request.ID != one.row.ID || p.Request.Digest() != one.request:
		a.rep.problem(n, at, "it is not about the request that waited by leaf %d", one.leaf)
	case digest == one.proposal && meaning(*p) != one.meant:
		a.rep.problem(n, at, "its proposal was taken for something else when it waited, at leaf %d", one.leaf)
	case digest == one.proposal && ev.Type == signer.EventWaiting:
		a.rep.problem(n, at, "it waits as the same proposal by leaf %d already", one.leaf)
	}
	if ev.Type == signer.EventDenied {
		return
	}
	if why := one.unfit(*ev.Decision, digest, at); why != "" {
		a.rep.problem(n, at, "%s", why)
	}
}

// said checks what an approver said, and takes it in.
func (a *audit) said(n int64, at time.Time, ev signer.Event) error {
	h, w := ev.Heard, a.people
	freeze := ev.Type == signer.EventFrozen
	switch {
	case h == nil && freeze, ev.Type == "":
		return nil
	case h == nil || (h.Approval.Word == signer.WordFreeze) != freeze:
		a.rep.problem(n, at, "it is of type %s, but its body is no such approval", ev.Type)
		return nil
	case h.Approval.Instance != a.rep.Instance:
		a.rep.problem(n, at, "its approval is for instance %q", h.Approval.Instance)
	}
	one := w.byProposal[h.Approval.Proposal]
	switch {
	case freeze:
	case one == nil:
		a.rep.problem(n, at, "%q speaks about proposal %x, which does not wait at that moment", h.Approver, h.Approval.Proposal)
	default:
		one.heard = append(one.heard, signer.Heard{Approval: h.Approval, Approver: h.Approver, Device: h.Device, Leaf: uint64(n), Time: at})
		one.row.Heard++
	}
	if a.version < 4 {
		return nil
	}
	w.approvals++
	id, row := h.Approval.ID(), make(values, 2)
	switch ok, err := a.d.row(sqlGetApproval, row, id[:]); {
	case err != nil:
		return err
	case !ok:
		a.rep.problem(n, at, "its approval is missing from table approvals, so it could be counted twice")
	case row[0] != n:
		a.rep.problem(n, at, "table approvals has leaf %v for its approval; one approval is on record twice, or the row was changed", row[0])
	case freeze && row[1] != nil, one != nil && row[1] != int64(one.leaf):
		a.rep.problem(n, at, "its row in table approvals was changed")
	}
	return nil
}

// candidate checks what is kept of the policy that a request would put in force.
func (a *audit) candidate(n int64, at time.Time, ev signer.Event) error {
	version, ok := changesTo(*ev.Proposal)
	if !ok || ev.Type == signer.EventDenied {
		a.rep.problem(n, at, "it keeps the bundle of a policy, and would put none in force")
		return nil
	}
	a.people.candidates++
	row := make(values, 2)
	switch ok, err := a.d.row(sqlGetCandidate, row, n); {
	case err != nil:
		return err
	case !ok:
		a.rep.problem(n, at, "its row is missing from table candidates")
	default:
		v, _ := row[0].([]byte)
		bundle, _ := row[1].([]byte)
		if string(v) != string(version[:]) || string(bundle) != string(ev.Bundle[:]) {
			a.rep.problem(n, at, "its row in table candidates was changed")
		}
	}
	if a.bundles[ev.Bundle] {
		return nil
	}
	return a.bundle(n, at, ev.Bundle)
}

// stillWaiting checks the tables of what waits at the end.
func (a *audit) stillWaiting() error {
	if a.version < 4 || a.cut {
		return nil
	}
	for _, leaf := range slices.Sorted(maps.Keys(a.people.byLeaf)) {
		one := a.people.byLeaf[leaf]
		if err := a.request(int64(leaf), one.since, one.row.Caller, one.row.ID); err != nil {
			return err
		}
	}
	err := allWaiting(a.d, func(w *waiting) {
		one := a.people.byLeaf[w.Leaf]
		switch {
		case one == nil:
			a.rep.problem(int64(w.Leaf), time.Time{}, "table waiting has a row of it, and no request waits by it")
			return
		case *w != *one.row:
			a.rep.problem(int64(w.Leaf), one.since, "its row in table waiting was changed")
		}
		delete(a.people.byLeaf, w.Leaf)
	})
	if err != nil {
		return err
	}
	for _, leaf := range slices.Sorted(maps.Keys(a.people.byLeaf)) {
		a.rep.problem(int64(leaf), a.people.byLeaf[leaf].since, "its row is missing from table waiting, so its request would not wait any more")
	}
	return a.lastOfTheirType()
}

// lastOfTheirType checks table latest.
func (a *audit) lastOfTheirType() error {
	row := make(values, 1)
	for _, t := range []signer.EventType{signer.EventStarted, signer.EventFrozen, signer.EventOverridden} {
		want, there := a.people.latest[t]
		ok, err := a.d.row(sqlGetLatest, row, string(t))
		switch {
		case err != nil:
			return err
		case there && !ok:
			a.rep.problem(want, time.Time{}, "it is the last event of type %s, and table latest has none", t)
		case there && row[0] != want:
			a.rep.problem(want, time.Time{}, "it is the last event of type %s, and table latest has leaf %v", t, row[0])
		}
	}
	return nil
}

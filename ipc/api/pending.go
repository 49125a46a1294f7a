package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// toPending is a request that waits, or did: rec is of the record that it waits.
func toPending(rec signer.Recorded, tally signer.Tally, state string) *v1.Pending {
	p := rec.Proposal
	digest := p.Digest()
	out := &v1.Pending{
		Proposal: hex.EncodeToString(digest[:]), Leaf: rec.Leaf, Caller: p.Caller.ID(), User: p.Caller.User, Id: p.Request.ID,
		Key: p.Request.Key, Kind: string(p.Request.Kind), Class: string(p.Intent.Class()), Quorums: toQuorums(tally),
		Since: toTime(rec.Time), Deadline: toTime(rec.Deadline()), Claim: p.Request.Claim, State: state,
	}
	if rec.Decision.Delay > 0 {
		out.Due = toTime(rec.Due())
	}
	for _, q := range p.Intent.Outflow {
		out.Outflow = append(out.Outflow, toQuantity(q))
	}
	worst := []signer.Severity{signer.SeverityDanger, signer.SeverityWarn, signer.SeverityInfo}
	for _, w := range p.Intent.Warnings {
		out.Warnings = append(out.Warnings, &v1.Warning{Code: w.Code, Severity: string(w.Severity), Text: w.Text})
	}
	slices.SortStableFunc(out.Warnings, func(a, b *v1.Warning) int {
		return slices.Index(worst, signer.Severity(a.GetSeverity())) - slices.Index(worst, signer.Severity(b.GetSeverity()))
	})
	return out
}

func toQuorums(t signer.Tally) (out []*v1.QuorumState) {
	for _, q := range t.Quorums {
		out = append(out, &v1.QuorumState{Quorum: toQuorum(q.Quorum), Approved: q.Approved, Open: q.Open, Met: q.Met()})
	}
	return out
}

func toQuorum(q signer.Quorum) *v1.Quorum {
	return &v1.Quorum{
		Rule: q.Rule, Limit: q.Limit, Group: q.Group, Approvals: uint32(q.Approvals), ExcludeCaller: q.ExcludeCaller,
		Including: q.Including, Devices: uint32(q.Devices),
	}
}

func toHeard(heard []signer.Heard) (out []*v1.HeardApproval) {
	for _, h := range heard {
		out = append(out, &v1.HeardApproval{
			Approver: h.Approver, Device: h.Device, Word: string(h.Approval.Word), Reason: h.Approval.Reason,
			Time: toTime(h.Time), Expires: toTime(h.Approval.Expires), Leaf: h.Leaf, Signed: h.Signed,
		})
	}
	return out
}

// tally is how far a request is that waits, or how far it was when it was decided.
func (d *door) tally(rec signer.Recorded) signer.Tally {
	if rec.Waits {
		return d.c.Engine.Tally(rec)
	}
	return signer.Count(rec.Decision.Quorums, d.c.Engine.Policy().People(), rec.Proposal.Caller, rec.Heard, rec.Time)
}

// stateReplaced is that of a proposal of which another policy made a new one.
const stateReplaced = "replaced"

// heardAbout returns the request that an approval on record is about.
func (d *door) heardAbout(ctx context.Context, a signer.Approval) (*v1.Pending, error) {
	leaf, ok, err := d.c.Journal.HeardAbout(ctx, a.ID())
	if err != nil || !ok {
		return nil, err
	}
	return d.waitedFor(ctx, leaf)
}

// waitedFor returns the request that came to wait by a leaf, with what has become of it.
func (d *door) waitedFor(ctx context.Context, leaf uint64) (*v1.Pending, error) {
	ev, err := d.event(ctx, leaf)
	if err != nil {
		return nil, err
	}
	if ev.Type != signer.EventWaiting || ev.Proposal == nil || ev.Decision == nil {
		return nil, fmt.Errorf("leaf %d is a %s event, and no request came to wait by it", leaf, ev.Type)
	}
	then := signer.Recorded{Leaf: leaf, Time: ev.Time, Proposal: *ev.Proposal, Decision: *ev.Decision}
	p := ev.Proposal
	now, ok, err := d.c.Journal.Lookup(ctx, p.Caller.ID(), p.Request.ID)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("leaf %d is about request %q of %s, which is not on record", leaf, p.Request.ID, p.Caller.ID())
	case now.Leaf == leaf:
		return toPending(now, d.tally(now), stateOf(now)), nil
	case now.Waited == leaf && !now.Waits:
		counted := then
		counted.Heard, counted.Time = now.Heard, now.Time // as they stood by then
		return toPending(then, d.tally(counted), stateOf(now)), nil
	}
	return toPending(then, d.tally(then), stateReplaced), nil
}

func (d *door) event(ctx context.Context, leaf uint64) (signer.Event, error) {
	entries, err := d.c.Journal.Entries(ctx, leaf, 1)
	if err != nil {
		return signer.Event{}, err
	}
	if len(entries) == 0 {
		return signer.Event{}, fmt.Errorf("the journal has no leaf %d", leaf)
	}
	return signer.ParseEvent(entries[0].Body)
}

// maxEvents bounds an answer of WatchPending.
const maxEvents = 100

// WatchPending waits for something to happen after a leaf.
func (d *door) WatchPending(ctx context.Context, m *connect.Request[v1.WatchPendingRequest]) (*connect.Response[v1.WatchPendingResponse], error) {
	c := caller(ctx)
	wait, cancel, err := d.within(ctx, m.Msg.GetWait())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	defer cancel()
	out := &v1.WatchPendingResponse{Position: m.Msg.GetAfter()}
	if out.Position == 0 && !m.Msg.GetFromStart() {
		out.Position = d.c.Journal.LastProceeding()
	}
	for {
		changed := d.c.Journal.ProceedingsChanged() // before it is read, so that nothing is missed
		entries, err := d.c.Journal.Proceedings(ctx, out.Position, maxEvents)
		if err != nil {
			return nil, d.fail(ctx, c, "", err)
		}
		for _, e := range entries {
			ev, err := d.happened(ctx, e)
			if err != nil {
				return nil, d.fail(ctx, c, "", err)
			}
			out.Events, out.Position = append(out.Events, ev), e.Index
		}
		if len(entries) > 0 {
			return connect.NewResponse(out), nil
		}
		select {
		case <-changed:
		case <-wait.Done():
			return connect.NewResponse(out), nil
		}
	}
}

// words are the events of approvals.
var words = map[signer.Word]string{signer.WordApprove: "approved", signer.WordReject: "rejected", signer.WordWithdraw: "withdrawn"}

// happened tells of one leaf.
func (d *door) happened(ctx context.Context, e receipt.Entry) (out *v1.PendingEvent, err error) {
	ev, err := signer.ParseEvent(e.Body)
	if err != nil {
		return nil, err
	}
	out = &v1.PendingEvent{Leaf: e.Index, Time: toTime(ev.Time), Reason: ev.Detail}
	if h := ev.Heard; h != nil {
		out.Approver, out.Reason = h.Approver, h.Approval.Reason
	}
	switch ev.Type {
	case signer.EventWaiting:
		out.Event = "waits"
		if ev.Waited != 0 {
			out.Reason = "another policy came into force: this is a new proposal, and approvals of the one before are void"
		}
		out.Pending, err = d.waitedFor(ctx, e.Index)
	case signer.EventApproval:
		out.Event = words[ev.Heard.Approval.Word]
		out.Pending, err = d.heardAbout(ctx, ev.Heard.Approval)
	case signer.EventAuthorized, signer.EventDenied:
		out.Event = string(ev.Type)
		out.Reason = ev.Decision.Reason
		out.Pending, err = d.waitedFor(ctx, ev.Waited)
		if ev.Type == signer.EventDenied && expired(ev, out.Pending) {
			out.Event = "expired"
		}
	case signer.EventActed:
		out.Event = "thawed"
		if ev, err = d.event(ctx, ev.Outcome.Authorization); err == nil && ev.Proposal != nil {
			out.Reason = ev.Proposal.Intent.Effects[0].Attributes[signer.AttributeReason]
		}
	default: // frozen, overridden
		out.Event = string(ev.Type)
		if ev.Heard == nil && ev.Caller != nil {
			out.Approver = ev.Caller.User // of freeze_users
		}
	}
	return out, err
}

// expired reports whether a request that waited was denied because its time was over, by
// the clock that says so first.
func expired(ev signer.Event, p *v1.Pending) bool {
	late := ev.Time
	if ev.Wall.After(late) {
		late = ev.Wall
	}
	return p.GetDeadline() != nil && !late.Before(p.GetDeadline().AsTime())
}

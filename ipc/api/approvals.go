package api

import (
	"context"
	"encoding/hex"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

const (
	defaultPending = 100
	maxPending     = 1000
	// maxPage is where a page of them ends, in bytes: what a request would do can take a
	// lot of words.
	maxPage = 8 << 20
)

func (d *door) CancelRequest(ctx context.Context, m *connect.Request[v1.CancelRequestRequest]) (*connect.Response[v1.CancelRequestResponse], error) {
	c := caller(ctx)
	if err := d.c.Engine.Cancel(ctx, c, m.Msg.GetId(), m.Msg.GetReason()); err != nil {
		return nil, d.fail(ctx, c, m.Msg.GetId(), err)
	}
	return connect.NewResponse(&v1.CancelRequestResponse{}), nil
}

func (d *door) ListPending(ctx context.Context, m *connect.Request[v1.ListPendingRequest]) (*connect.Response[v1.ListPendingResponse], error) {
	c := caller(ctx)
	n := int(m.Msg.GetLimit())
	if n == 0 {
		n = defaultPending
	}
	if n > maxPending {
		return nil, d.fail(ctx, c, "", signer.Invalid("limit is at most %d; ask for the next page with after", maxPending))
	}
	out := &v1.ListPendingResponse{Position: d.position()}
	all, err := d.c.Engine.AllWaiting(ctx)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	for size := 0; len(all) > 0 && len(out.Pending) < n && size < maxPage; all = all[1:] {
		if w := all[0]; w.Leaf > m.Msg.GetAfter() {
			rec, ok, err := d.c.Journal.Waiting(ctx, w.Proposal)
			if err != nil {
				return nil, d.fail(ctx, c, "", err)
			}
			if !ok {
				continue // it was decided since
			}
			p := toPending(rec, d.c.Engine.Tally(rec), stateOf(rec))
			out.Pending, size = append(out.Pending, p), size+proto.Size(p)
		}
	}
	return connect.NewResponse(out), nil
}

func (d *door) GetPending(ctx context.Context, m *connect.Request[v1.GetPendingRequest]) (*connect.Response[v1.GetPendingResponse], error) {
	c := caller(ctx)
	digest, err := proposalOf(m.Msg.GetProposal())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	w, err := d.c.Engine.Pending(ctx, digest)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	p := w.Recorded.Proposal
	return connect.NewResponse(&v1.GetPendingResponse{
		Pending:  toPending(w.Recorded, w.Tally, stateOf(w.Recorded)),
		Proposal: p.Canonical(), Payload: p.Request.Payload, Claim: p.Request.Claim, Key: d.key(p.Key), Intent: toIntent(p.Intent),
		Decision: toDecision(w.Decision), Heard: toHeard(w.Recorded.Heard),
	}), nil
}

func proposalOf(text string) ([32]byte, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 32 || hex.EncodeToString(raw) != text {
		return [32]byte{}, signer.Invalid("proposal %.80q: want the 64 lower-case hexadecimal digits of a proposal's digest, as ListPending has them", text)
	}
	return [32]byte(raw), nil
}

// PostApproval answers with the request as it is once the approval is on record. That it
// is decided, and signed, takes no more from whoever approved, so nobody waits for it here.
func (d *door) PostApproval(ctx context.Context, m *connect.Request[v1.PostApprovalRequest]) (*connect.Response[v1.PostApprovalResponse], error) {
	c := caller(ctx)
	h, prior, err := d.c.Engine.Hear(ctx, c, m.Msg.GetSigned())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	about, err := d.heardAbout(ctx, h.Approval)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(&v1.PostApprovalResponse{Approver: h.Approver, Leaf: h.Leaf, Prior: prior, Pending: about}), nil
}

func (d *door) Freeze(ctx context.Context, m *connect.Request[v1.FreezeRequest]) (*connect.Response[v1.FreezeResponse], error) {
	c := caller(ctx)
	f, err := d.c.Engine.Freeze(ctx, c, m.Msg.GetReason(), m.Msg.GetSigned())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	out := &v1.FreezeResponse{Leaf: f.Leaf}
	if f.Unrecorded != nil {
		d.c.Log.ErrorContext(ctx, "a freeze could not be recorded", "caller", c.ID(), "error", f.Unrecorded)
		out.Unrecorded = "the freeze could not be recorded: it holds as long as this process runs, and not beyond; the log says why"
	}
	for _, rec := range f.InDevice {
		p := rec.Proposal
		out.InDevice = append(out.InDevice, &v1.InDevice{Caller: p.Caller.ID(), Id: p.Request.ID, Key: p.Key.Name, Leaf: rec.Leaf})
	}
	return connect.NewResponse(out), nil
}

// position is where somebody goes on who has read what waits after asking for it. To go on
// after leaf 0 would mean from some later moment on, so where nothing has ever waited it is
// the last leaf, of which that holds.
func (d *door) position() uint64 {
	size := d.c.Journal.Size()
	if last := d.c.Journal.LastProceeding(); last > 0 || size == 0 {
		return last
	}
	return size - 1
}

// patiently asks for a signature, and where the request waits for approvals or for its
// delay, asks again as soon as that is over, until ctx ends or the daemon stops.
func (d *door) patiently(ctx context.Context, c signer.Caller, r signer.Request) (signer.Result, error) {
	look, cancel := d.unlessStopped(ctx)
	defer cancel()
	for {
		res, err := d.c.Engine.Sign(ctx, c, r)
		if signer.CodeOf(err) != signer.CodeWaiting {
			return res, err
		}
		state, werr := d.c.Engine.Watch(look, c.ID(), r.ID, signer.ProgressWaiting)
		if werr != nil {
			return signer.Result{}, werr
		}
		if state == signer.ProgressWaiting || look.Err() != nil {
			return signer.Result{}, err
		}
	}
}

// within bounds how long a call waits for something to happen: by its caller's own time,
// and by the daemon's stop, which does not wait for those who only look.
func (d *door) within(ctx context.Context, wait *durationpb.Duration) (context.Context, context.CancelFunc, error) {
	t, err := waitOf(wait)
	if err != nil {
		return nil, nil, err
	}
	ctx, timely := context.WithTimeout(ctx, t)
	ctx, cancel := d.unlessStopped(ctx)
	return ctx, func() { cancel(); timely() }, nil
}

// unlessStopped returns a context that ends when the daemon begins to stop.
func (d *door) unlessStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-d.c.Stopping: // nil: never
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

package api

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// Cancel ends a request of one's own that waits. The reason, which may be empty, is for
// the record.
func (c *Client) Cancel(ctx context.Context, id, reason string) error {
	_, err := call(ctx, c, c.signer.CancelRequest, &v1.CancelRequestRequest{Id: id, Reason: reason})
	return err
}

// ListPending lists the requests that wait, the oldest first: those after a leaf, or the
// first ones with 0; limit 0 is the daemon's default. The last page is empty. The admin
// socket serves it.
func (c *Client) ListPending(ctx context.Context, after uint64, limit uint32) (*v1.ListPendingResponse, error) {
	return call(ctx, c, c.approval.ListPending, &v1.ListPendingRequest{After: after, Limit: limit})
}

// Pending returns a request that waits, by the digest of its proposal in hexadecimal, with
// all that an approver needs to judge it. Whether it is of that digest, only making the
// digest anew tells. The admin socket serves it.
func (c *Client) Pending(ctx context.Context, proposal string) (*v1.GetPendingResponse, error) {
	res, err := call(ctx, c, c.approval.GetPending, &v1.GetPendingRequest{Proposal: proposal})
	if err != nil {
		return nil, err
	}
	if got := res.GetPending().GetProposal(); got != proposal {
		return nil, &Error{Code: codeOfNonsense, Message: fmt.Sprintf("asked for proposal %s and got %q", proposal, got)}
	}
	return res, nil
}

// PostApproval hands in a signed approval, rejection or withdrawal. Handing it in twice
// changes nothing. The admin socket serves it.
func (c *Client) PostApproval(ctx context.Context, signed []byte) (*v1.PostApprovalResponse, error) {
	return call(ctx, c, c.approval.PostApproval, &v1.PostApprovalRequest{Signed: signed})
}

// WatchPending tells what happened after a leaf, or from now on with 0, as soon as there
// is something, or nothing when the time is up; wait 0 is the daemon's default. The next
// call goes on after the position of the answer. The admin socket serves it.
func (c *Client) WatchPending(ctx context.Context, after uint64, wait time.Duration) (*v1.WatchPendingResponse, error) {
	return call(ctx, c, c.approval.WatchPending, &v1.WatchPendingRequest{After: after, Wait: toDuration(wait)})
}

// WatchAllPending is WatchPending from the journal's beginning on. Who begins where
// nothing has happened has no leaf to go on after, and would miss what happens between two
// calls that tell of now.
func (c *Client) WatchAllPending(ctx context.Context, wait time.Duration) (*v1.WatchPendingResponse, error) {
	return call(ctx, c, c.approval.WatchPending, &v1.WatchPendingRequest{FromStart: true, Wait: toDuration(wait)})
}

// Freeze stops all signing until a thaw: with a reason, for a user whom the configuration
// lists, or with an approver's signed approval that says freeze. The admin socket serves
// it.
func (c *Client) Freeze(ctx context.Context, reason string, signed []byte) (*v1.FreezeResponse, error) {
	return call(ctx, c, c.approval.Freeze, &v1.FreezeRequest{Reason: reason, Signed: signed})
}

package api

import (
	"context"
	"math/big"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

const (
	defaultEntries = 100
	maxEntries     = 1000
)

func (d *door) ListEntries(ctx context.Context, m *connect.Request[v1.ListEntriesRequest]) (*connect.Response[v1.ListEntriesResponse], error) {
	c := caller(ctx)
	n := int(m.Msg.GetLimit())
	if n == 0 {
		n = defaultEntries
	}
	if n > maxEntries {
		return nil, d.fail(ctx, c, "", signer.Invalid("limit is at most %d; ask for the next page with from", maxEntries))
	}
	entries, err := d.c.Journal.Entries(ctx, m.Msg.GetFrom(), n)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	out := &v1.ListEntriesResponse{Size: d.c.Journal.Size()}
	for _, e := range entries {
		hash, err := e.Leaf.Hash()
		if err != nil {
			return nil, d.fail(ctx, c, "", err)
		}
		out.Entries = append(out.Entries, &v1.Entry{
			Index: e.Index, Time: toTime(e.Leaf.Time), Type: string(e.Leaf.Type), Body: string(e.Body), Salt: e.Salt[:], LeafHash: hash[:],
		})
	}
	return connect.NewResponse(out), nil
}

func (d *door) GetCheckpoint(ctx context.Context, m *connect.Request[v1.GetCheckpointRequest]) (*connect.Response[v1.GetCheckpointResponse], error) {
	c := caller(ctx)
	if m.Msg.GetNow() {
		if err := d.c.Checkpoint(ctx); err != nil {
			return nil, d.fail(ctx, c, "", &signer.Error{Code: signer.CodeUnavailable, Detail: "a checkpoint cannot be signed now; try again, or read the log", Err: err})
		}
	}
	latest, ok := d.c.Journal.Latest()
	if !ok {
		return nil, d.fail(ctx, c, "", &signer.Error{Code: signer.CodeUnavailable, Detail: "no checkpoint was signed yet; ask again"})
	}
	return connect.NewResponse(&v1.GetCheckpointResponse{Checkpoint: string(latest.Note), VerifierKey: d.c.VerifierKey}), nil
}

func (d *door) GetProof(ctx context.Context, m *connect.Request[v1.GetProofRequest]) (*connect.Response[v1.GetProofResponse], error) {
	c := caller(ctx)
	text, err := d.proof(ctx, m.Msg.GetLeaf(), m.Msg.GetWait())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(&v1.GetProofResponse{Proof: text}), nil
}

// proof waits for a checkpoint that covers a leaf, no longer than a Sign waits.
func (d *door) proof(ctx context.Context, leaf uint64, wait bool) (string, error) {
	if size := d.c.Journal.Size(); leaf >= size {
		return "", &signer.Error{Code: signer.CodeNotFound, Detail: "the journal has only " + new(big.Int).SetUint64(size).String() + " leaves"}
	}
	if wait {
		ctx, cancel := context.WithTimeout(ctx, defaultWait)
		defer cancel()
		if _, err := d.c.Journal.WaitCheckpoint(ctx, leaf); err != nil {
			return "", err
		}
	}
	text, err := d.c.Journal.Proof(ctx, leaf)
	return string(text), err
}

func (d *door) Verify(ctx context.Context, _ *connect.Request[v1.VerifyRequest]) (*connect.Response[v1.VerifyResponse], error) {
	c := caller(ctx)
	out, err := d.c.Verify(ctx)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(out), nil
}

// limit joins a limit of the policy with what the journal says is spent.
func (d *door) limit(ctx context.Context, c signer.Caller, k signer.KeyInfo, l Limit) (*v1.LimitState, error) {
	out := &v1.LimitState{
		Key: k.Name, Rule: l.Rule, Limit: l.Name, Asset: l.Asset.ID, AssetName: l.Asset.Name, Decimals: uint32(l.Asset.Decimals),
		Window: toDuration(l.Window), Per: string(l.Per), Max: l.Max.String(),
	}
	switch {
	case l.Per == signer.PerRecipient || l.Per == signer.PerAsset || l.Per == signer.PerCaller && d.admin:
		return out, nil // there is no one sum; an operator's own is not what anybody asks for
	case l.Window == 0:
		out.Spent, out.Left = "0", out.Max
		return out, nil
	}
	s, err := d.c.Engine.Spent(ctx, k, c, l.Asset.ID, signer.Measure{Window: l.Window, Per: l.Per})
	if err != nil {
		return nil, err
	}
	left := new(big.Int).Sub(l.Max, s.Amount)
	if left.Sign() < 0 {
		left.SetInt64(0)
	}
	out.Spent, out.Left, out.Frees = s.Amount.String(), left.String(), toTime(s.Frees)
	return out, nil
}

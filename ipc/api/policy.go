package api

import (
	"context"
	"encoding/hex"
	"fmt"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

const (
	defaultPolicies = 100
	maxPolicies     = 1000
)

// ListPolicies reads the journal. Which of them is in force, the engine says: it is
// the latest record of that version.
func (d *door) ListPolicies(ctx context.Context, m *connect.Request[v1.ListPoliciesRequest]) (*connect.Response[v1.ListPoliciesResponse], error) {
	c := caller(ctx)
	n := int(m.Msg.GetLimit())
	if n == 0 {
		n = defaultPolicies
	}
	if n > maxPolicies {
		return nil, d.fail(ctx, c, "", signer.Invalid("limit is at most %d; ask for earlier ones with before", maxPolicies))
	}
	inForce, err := d.adopted(ctx)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	policies, err := d.c.Journal.Policies(ctx, m.Msg.GetBefore(), n)
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	out := &v1.ListPoliciesResponse{}
	for _, p := range policies {
		out.Policies = append(out.Policies, &v1.PolicyRecord{
			Version: hex.EncodeToString(p.Version[:]), Leaf: p.Leaf, Time: toTime(p.Time), Event: string(p.Type),
			InForce: inForce != nil && p.Leaf == *inForce, Kept: p.Kept,
		})
	}
	return connect.NewResponse(out), nil
}

// adopted returns the leaf by which the policy in force came into force, or nil at the
// moment of a change: a policy is on record before it is in force.
func (d *door) adopted(ctx context.Context) (*uint64, error) {
	latest, err := d.c.Journal.Policies(ctx, 0, 1)
	if err != nil || len(latest) == 0 || latest[0].Version != d.c.Engine.Policy().Version() {
		return nil, err
	}
	return &latest[0].Leaf, nil
}

// GetPolicy answers with the policy in force as the engine has it, and with another one
// as the journal keeps it. What is on disk is no part of it.
func (d *door) GetPolicy(ctx context.Context, m *connect.Request[v1.GetPolicyRequest]) (*connect.Response[v1.GetPolicyResponse], error) {
	c := caller(ctx)
	inForce := d.c.Engine.Policy()
	version := inForce.Version()
	if text := m.Msg.GetVersion(); text != "" {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(version) || hex.EncodeToString(raw) != text {
			return nil, d.fail(ctx, c, "", signer.Invalid("version %.80q: want 64 lower-case hexadecimal digits, as ListPolicies has them, or nothing for the policy in force", text))
		}
		version = [32]byte(raw)
	}
	out := &v1.GetPolicyResponse{Version: hex.EncodeToString(version[:]), Bundle: inForce.Bundle()}
	if version == inForce.Version() {
		return connect.NewResponse(out), nil
	}
	bundle, ok, err := d.c.Journal.PolicyBundle(ctx, version)
	if err == nil && !ok {
		err = &signer.Error{Code: signer.CodeNotFound, Detail: fmt.Sprintf("the journal keeps no policy of version %x; ListPolicies has those that were in force, and whether they are kept", version)}
	}
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	out.Bundle = bundle
	return connect.NewResponse(out), nil
}

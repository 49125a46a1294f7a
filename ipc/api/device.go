package api

import (
	"context"

	"connectrpc.com/connect"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// Devices is what the API asks of the devices. Names are those of the
// configuration; errors are [*signer.Error].
type Devices interface {
	// UnlockKey is the public key of a token's worker, to seal a PIN to.
	UnlockKey(ctx context.Context, token string) ([]byte, error)
	// Unlock hands a sealed PIN to the worker. The act is recorded, the PIN is not.
	Unlock(ctx context.Context, c signer.Caller, token string, sealed []byte) error
	// Retry has a token's credential tried once more. The act is recorded.
	Retry(ctx context.Context, c signer.Caller, token string) error
	// Health says how a token is.
	Health(ctx context.Context, token string) (*v1.TokenHealth, error)
	// Passport is what a device proves of a key just now, nil when it cannot be
	// asked, and what else is known of it.
	Passport(ctx context.Context, key string) (*v1.Evidence, []*v1.Field)
	// Target is what a TPM presents itself with, and its fingerprint.
	Target(ctx context.Context, token, name string) (*v1.GetTargetResponse, error)
	// PlanReseal and Reseal are of a TPM's key that is bound to PCRs.
	PlanReseal(ctx context.Context, key string, pcrs map[string]string) (*v1.PlanResealResponse, error)
	Reseal(ctx context.Context, c signer.Caller, key string, pcrs map[string]string, signature []byte) (*v1.ResealResponse, error)
	// Describe fills in what the configuration and the device say of a key.
	Describe(key *v1.Key)
}

func (d *door) GetUnlockKey(ctx context.Context, m *connect.Request[v1.GetUnlockKeyRequest]) (*connect.Response[v1.GetUnlockKeyResponse], error) {
	c := caller(ctx)
	key, err := d.c.Devices.UnlockKey(ctx, m.Msg.GetToken())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(&v1.GetUnlockKeyResponse{UnlockKey: key}), nil
}

func (d *door) Unlock(ctx context.Context, m *connect.Request[v1.UnlockRequest]) (*connect.Response[v1.UnlockResponse], error) {
	c := caller(ctx)
	if err := d.c.Devices.Unlock(ctx, c, m.Msg.GetToken(), m.Msg.GetSealedPin()); err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	h, err := d.c.Devices.Health(ctx, m.Msg.GetToken())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(&v1.UnlockResponse{Token: h}), nil
}

func (d *door) Retry(ctx context.Context, m *connect.Request[v1.RetryRequest]) (*connect.Response[v1.RetryResponse], error) {
	c := caller(ctx)
	if err := d.c.Devices.Retry(ctx, c, m.Msg.GetToken()); err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	h, err := d.c.Devices.Health(ctx, m.Msg.GetToken())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(&v1.RetryResponse{Token: h}), nil
}

func (d *door) GetTarget(ctx context.Context, m *connect.Request[v1.GetTargetRequest]) (*connect.Response[v1.GetTargetResponse], error) {
	c := caller(ctx)
	res, err := d.c.Devices.Target(ctx, m.Msg.GetToken(), m.Msg.GetName())
	return answer(ctx, d, c, res, err)
}

func (d *door) PlanReseal(ctx context.Context, m *connect.Request[v1.PlanResealRequest]) (*connect.Response[v1.PlanResealResponse], error) {
	c := caller(ctx)
	res, err := d.c.Devices.PlanReseal(ctx, m.Msg.GetKey(), m.Msg.GetPcrs())
	return answer(ctx, d, c, res, err)
}

func (d *door) Reseal(ctx context.Context, m *connect.Request[v1.ResealRequest]) (*connect.Response[v1.ResealResponse], error) {
	c := caller(ctx)
	res, err := d.c.Devices.Reseal(ctx, c, m.Msg.GetKey(), m.Msg.GetPcrs(), m.Msg.GetSignature())
	return answer(ctx, d, c, res, err)
}

func answer[A any](ctx context.Context, d *door, c signer.Caller, res *A, err error) (*connect.Response[A], error) {
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	return connect.NewResponse(res), nil
}

// WatchRequest waits for a request to be in another state than the caller knows.
func (d *door) WatchRequest(ctx context.Context, m *connect.Request[v1.WatchRequestRequest]) (*connect.Response[v1.WatchRequestResponse], error) {
	c := caller(ctx)
	scope, err := d.scope(c, m.Msg.GetCaller())
	if err != nil {
		return nil, d.fail(ctx, c, "", err)
	}
	wait, cancel, err := d.within(ctx, m.Msg.GetWait())
	if err != nil {
		return nil, d.fail(ctx, c, m.Msg.GetId(), err)
	}
	defer cancel()
	state, err := d.c.Engine.Watch(wait, scope, m.Msg.GetId(), signer.Progress(m.Msg.GetKnown()))
	if err != nil {
		return nil, d.fail(ctx, c, m.Msg.GetId(), err)
	}
	return connect.NewResponse(&v1.WatchRequestResponse{State: string(state)}), nil
}

// scope is whose requests a caller may look at: its own, and on the admin socket
// everyone's.
func (d *door) scope(c signer.Caller, of string) (string, error) {
	switch {
	case of == "":
		return c.ID(), nil
	case !d.admin:
		return "", signer.Invalid("caller is for the admin socket; here you see your own requests")
	default:
		return of, nil
	}
}

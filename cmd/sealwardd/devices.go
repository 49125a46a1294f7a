package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// devices is the daemon as the API's operators see its devices.
type devices struct{ *daemon }

var _ api.Devices = devices{}

func (d devices) token(name string) (*backends.Token, error) {
	if t := d.tokens[name]; t != nil {
		return t, nil
	}
	return nil, &signer.Error{Code: signer.CodeNotFound, Detail: fmt.Sprintf("there is no token %q; `sealward status` lists them", name)}
}

// UnlockKey implements [api.Devices].
func (d devices) UnlockKey(_ context.Context, token string) ([]byte, error) {
	t, err := d.token(token)
	if err != nil {
		return nil, err
	}
	return t.UnlockKey()
}

// Unlock implements [api.Devices].
func (d devices) Unlock(ctx context.Context, c signer.Caller, token string, sealed []byte) error {
	t, err := d.token(token)
	if err != nil {
		return err
	}
	if err := d.noteDevice(ctx, c, fmt.Sprintf("an operator types the PIN of token %q", token)); err != nil {
		return err
	}
	return t.Unlock(ctx, sealed)
}

// Retry implements [api.Devices].
func (d devices) Retry(ctx context.Context, c signer.Caller, token string) error {
	t, err := d.token(token)
	if err != nil {
		return err
	}
	if err := d.noteDevice(ctx, c, fmt.Sprintf("an operator has the credential of token %q tried again", token)); err != nil {
		return err
	}
	t.Retry()
	return nil
}

// noteDevice records what an operator does to a device, before it is done.
func (d devices) noteDevice(ctx context.Context, c signer.Caller, what string) error {
	if _, err := d.journal.Note(ctx, signer.Event{Type: signer.EventDevice, Caller: &c, Detail: what}); err != nil {
		return &signer.Error{Code: signer.CodeUnavailable, Detail: "it cannot be recorded, so it is not done", Err: err}
	}
	return nil
}

// Health implements [api.Devices].
func (d devices) Health(_ context.Context, token string) (*v1.TokenHealth, error) {
	if _, err := d.token(token); err != nil {
		return nil, err
	}
	return d.health(d.cfg.Token(token)), nil
}

func (d devices) health(t config.Token) *v1.TokenHealth {
	h := d.tokens[t.Name].Health()
	out := &v1.TokenHealth{
		Name: t.Name, Kind: t.Kind(), State: "down", Reason: h.Reason, Since: toTime(h.Since), Retry: toTime(h.Retry),
		Device: h.State.Device, Restarts: uint64(h.Restarts), WorkerPid: int32(h.WorkerPID), Facts: toFields(h.State.Facts), Notes: h.State.Notes,
	}
	switch {
	case h.Up:
		out.State = "up"
	case h.Locked:
		out.State = "locked"
	}
	if left := h.State.TriesLeft; left >= 0 && h.State.Device != "" {
		n := uint32(left)
		out.TriesLeft = &n
	}
	return out
}

// Passport implements [api.Devices]. The device has little time to answer: whoever
// looks at a key should see what is known of it all the same.
func (d devices) Passport(ctx context.Context, key string) (*v1.Evidence, []*v1.Field) {
	k := d.located[key]
	if k == nil {
		return nil, nil
	}
	facts := toFields(k.Facts().Facts)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	e, err := k.Attest(ctx, nil)
	if err != nil {
		return nil, append(facts, &v1.Field{Name: "attestation", Value: fmt.Sprintf("none: %v", describeError(err))})
	}
	return &v1.Evidence{Format: e.Format, Parts: e.Parts, Proven: toFields(e.Proven), Claimed: toFields(e.Claimed)}, facts
}

// Describe implements [api.Devices].
func (d devices) Describe(key *v1.Key) {
	key.Token = d.cfg.Key(key.Name).Token
	if k := d.located[key.Name]; k != nil {
		key.Touch = k.Facts().Touch
	}
	key.Disabled = d.engine.Disabled(key.Fingerprint)
}

// key is a key of the configuration that an act or an operator names.
func (d *daemon) key(name string) (*backends.Key, config.Token, error) {
	k := d.located[name]
	if k == nil {
		return nil, config.Token{}, signer.Invalid("there is no key %q in the configuration", name)
	}
	return k, d.cfg.Token(d.cfg.Key(name).Token), nil
}

func toFields(in []signer.Field) (out []*v1.Field) {
	for _, f := range in {
		out = append(out, &v1.Field{Name: f.Name, Value: f.Value})
	}
	return out
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

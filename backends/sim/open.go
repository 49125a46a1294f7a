package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// Open opens the token with a worker, as the daemon does. worker is the program's
// path; mark is where the PIN's tries are remembered.
func (t *SoftHSMToken) Open(ctx context.Context, worker, mark string) (*backends.Token, error) {
	settings, err := json.Marshal(map[string]string{"module": t.Module, "uri": t.URI})
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(t.Conf)
	token, err := backends.Start(ctx, backends.Config{
		Name: t.Label, Driver: "pkcs11", Settings: settings, Worker: []string{worker}, Environment: []string{t.Env()},
		Confinement: backends.Confinement{Read: []string{filepath.Dir(t.Module)}, Write: []string{folder}},
		PIN:         func() ([]byte, error) { return []byte(t.PIN), nil }, PINMark: mark, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if h := token.Health(); !h.Up {
		return nil, fmt.Errorf("token %q: %s; %w", t.Label, h.Reason, token.Close())
	}
	return token, nil
}

// KeyToMake is a key that a token is to have.
type KeyToMake struct {
	Label     string
	Algorithm signer.Algorithm
}

// MakeKeys makes keys in the token, and returns their public halves by label.
func (t *SoftHSMToken) MakeKeys(ctx context.Context, worker, mark string, keys []KeyToMake) (made map[string]signer.PublicKey, err error) {
	token, err := t.Open(ctx, worker, mark)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := token.Close(); err == nil {
			err = cerr
		}
	}()
	made = map[string]signer.PublicKey{}
	for i, k := range keys {
		key, err := token.Generate(ctx, backends.KeySpec{Name: k.Label, Algorithm: k.Algorithm, Options: map[string]string{"id": fmt.Sprintf("%02x", i+1)}})
		if err != nil {
			return nil, fmt.Errorf("make key %q: %w", k.Label, err)
		}
		made[k.Label] = key.Facts.Public
	}
	return made, nil
}

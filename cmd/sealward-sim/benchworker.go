package main

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// latency is what a worker adds to a signature: the round trip of one by a device
// that takes no time.
type latency struct {
	BackToBack rate `json:"back_to_back"`
	Idle       rate `json:"from_idle"`
}

// idle is how long nobody asks for anything before a request "from idle".
const idle = 2 * time.Millisecond

// measureWorker starts this program as a worker, the way the daemon starts one.
func measureWorker(ctx context.Context, dir string, rounds int) (all []latency, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	token, err := backends.Start(ctx, backends.Config{Name: echoName, Driver: echoName, Worker: []string{self, echoName}, PINMark: filepath.Join(dir, "pin-echo.json")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, token.Close()) }()
	key, err := token.Find(ctx, echoName)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, token.Health().Reason)
	}
	// A checkpoint is what can be signed without a daemon. It costs a hash more.
	s, err := signer.NewCheckpointSigner(key, believer{}, echoName)
	if err != nil {
		return nil, err
	}
	text := []byte(s.Origin() + "\n1\n0\n")
	for range rounds {
		var l latency
		if l.BackToBack, err = roundTrips(ctx, s, text, 4000, 0); err != nil {
			return nil, err
		}
		if l.Idle, err = roundTrips(ctx, s, text, 400, idle); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func roundTrips(ctx context.Context, s *signer.CheckpointSigner, text []byte, n int, pause time.Duration) (rate, error) {
	var took []time.Duration
	begun := time.Now()
	for range n {
		if pause > 0 {
			time.Sleep(pause)
		}
		asked := time.Now()
		if _, err := s.Sign(ctx, text); err != nil {
			return rate{}, err
		}
		took = append(took, time.Since(asked))
	}
	return newRate(float64(n)/time.Since(begun).Seconds(), took), nil
}

// believer takes what an echo returns for a signature.
type believer struct{}

func (believer) Finish(_ signer.PublicKey, _ signer.Message, raw []byte) ([]byte, error) {
	return raw, nil
}

const echoName = "echo"

// echo is a device that takes no time. Its one key returns the digest twice.
type echo struct{}

func newEcho(json.RawMessage, backends.Host) (backends.Driver, error) { return echo{}, nil }

func (echo) Open(context.Context) (backends.State, error) {
	return backends.State{Device: echoName}, nil
}

func (echo) State(context.Context) (backends.State, error) {
	return backends.State{Device: echoName}, nil
}

func (echo) Login(context.Context, []byte) error { return errors.New("an echo has no PIN") }

func (echo) Close() error { return nil }

func (echo) Find(context.Context, string) (backends.DeviceKey, error) { return echoKey{}, nil }

type echoKey struct{}

func (echoKey) Facts() backends.KeyFacts {
	// The curve's generator (SEC 2, 2.4.2), the public key of the private key 1.
	p := elliptic.P256().Params()
	return backends.KeyFacts{
		Public:     signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: slices.Concat([]byte{4}, p.Gx.Bytes(), p.Gy.Bytes())},
		Protection: signer.ProtectionResident, Origin: signer.OriginGenerated,
	}
}

func (echoKey) Sign(_ context.Context, m signer.Message, _ func(signer.Notice)) ([]byte, error) {
	return slices.Concat(m.Bytes, m.Bytes), nil
}

package signer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// ManagedKey is a key under the engine's care, with what the configuration says
// of it. Its info must agree with the key itself.
type ManagedKey struct {
	Info KeyInfo
	Key  Key

	available func() error // of a key that can tell; else nil
}

// ready says why a key is known to be unable to sign just now.
func (k ManagedKey) ready() error {
	if k.available == nil {
		return nil
	}
	return k.available()
}

// Config is what an [Engine] is made of. Every field must be set but Administrator,
// Approvals, FreezeUsers, MaxRequests and the timeouts, which have defaults.
type Config struct {
	Instance string // of the journal
	Keys     []ManagedKey
	Decoders map[Kind]Decoder
	Policy   Policy
	Journal  Journal
	Verifier Verifier
	Now      func() time.Time
	Rand     io.Reader // of nonces; crypto/rand outside tests
	Log      *slog.Logger
	// Administrator does what the engine cannot do itself for an administrative
	// request; without one, such requests are refused.
	Administrator Administrator
	// Approvals verifies what approvers sign; without it, what takes an approval is
	// refused.
	Approvals Approvals
	// FreezeUsers are the names of the local users who may freeze without being approvers.
	FreezeUsers []string
	// MaxRequests bounds how many requests are in the pipeline at once, 256 by
	// default; one account may have a quarter of them.
	MaxRequests int
	// SignTimeout bounds the wait for a device, 30 s by default.
	SignTimeout time.Duration
	// ActTimeout bounds an administrative act, 5 min by default: a card takes its time
	// to make a large key.
	ActTimeout time.Duration
}

// New checks a configuration and returns the engine.
func New(c Config) (*Engine, error) {
	if c.Instance == "" || len(c.Decoders) == 0 || c.Policy == nil || c.Journal == nil || c.Verifier == nil || c.Now == nil || c.Rand == nil || c.Log == nil {
		return nil, errors.New("engine: instance, decoders, policy, journal, verifier, clock, randomness and log are all required")
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 256
	}
	if c.SignTimeout == 0 {
		c.SignTimeout = 30 * time.Second
	}
	if c.ActTimeout == 0 {
		c.ActTimeout = 5 * time.Minute
	}
	e := &Engine{
		c: c, keys: map[string]ManagedKey{}, running: map[runKey]*running{}, watchers: map[runKey]*watched{},
		quota: newQuota(c.MaxRequests, max(1, c.MaxRequests/4)), rate: newRefusals(), off: newSwitches(), brake: newBrake(), waits: newWaiting(),
	}
	byKey := map[string]string{}
	for _, k := range c.Keys {
		if err := e.addKey(k, byKey); err != nil {
			return nil, fmt.Errorf("key %q: %w", k.Info.Name, err)
		}
	}
	if c.Decoders[KindAdmin] != nil {
		e.keys[AdminKey] = adminKey()
	}
	e.policy.Store(&policyBox{Policy: c.Policy})
	if err := e.recall(context.Background()); err != nil {
		return nil, err
	}
	e.waits.wg.Go(e.tend)
	return e, nil
}

// recall learns from the journal which keys are disabled, whether all is frozen, and what
// waits.
func (e *Engine) recall(ctx context.Context) error {
	last, leaf, ok, err := e.c.Journal.Last(ctx, EventFrozen)
	if err != nil {
		return fmt.Errorf("engine: read whether it is frozen: %w", err)
	}
	if ok {
		e.brake.recorded(freezes(last), leaf)
	}
	acts, err := e.c.Journal.Acts(ctx, ClassKeyDisable, ClassKeyEnable, ClassThaw)
	if err != nil {
		return fmt.Errorf("engine: read which keys are disabled: %w", err)
	}
	for _, rec := range acts {
		e.learn(rec)
	}
	all, err := e.c.Journal.AllWaiting(ctx)
	if err != nil {
		return fmt.Errorf("engine: read which requests wait: %w", err)
	}
	for _, w := range all {
		e.resume(w)
	}
	return nil
}

// learn takes in what a record says of keys, and of a freeze.
func (e *Engine) learn(rec Recorded) {
	e.off.learn(rec)
	if e.brake.learn(rec) {
		e.waits.all()
	}
}

func (e *Engine) addKey(k ManagedKey, byKey map[string]string) error {
	pub := k.Key.Public()
	print := pub.Fingerprint()
	switch other := byKey[print]; {
	case k.Info.Name == AdminKey || slices.Contains(k.Info.Kinds, KindAdmin):
		return fmt.Errorf("the name %q and the kind %q stand for Sealward itself; use others", AdminKey, KindAdmin)
	case print == "":
		return fmt.Errorf("algorithm %q is not supported", pub.Algorithm)
	case k.Info.Fingerprint != print || k.Info.Protection != k.Key.Protection():
		return errors.New("the description does not fit the key in the device")
	case len(k.Info.Kinds) == 0:
		return errors.New("it accepts no kind of payload; list at least one in kinds")
	case slices.Contains(k.Info.Kinds, KindDigest) && len(k.Info.Kinds) > 1:
		return errors.New("a key that signs opaque digests can be made to sign anything, so it must accept no other kind")
	case other != "":
		return fmt.Errorf("it is the same public key as %q; one key has one name", other)
	}
	if _, dup := e.keys[k.Info.Name]; dup {
		return errors.New("the name is used twice")
	}
	for _, kind := range k.Info.Kinds {
		if e.c.Decoders[kind] == nil {
			return fmt.Errorf("there is no decoder for kind %q", kind)
		}
	}
	if a, ok := k.Key.(interface{ Available() error }); ok {
		k.available = a.Available
	}
	byKey[print] = k.Info.Name
	e.keys[k.Info.Name] = k
	return nil
}

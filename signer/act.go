package signer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Administrator does the administrative acts that need a device, or a policy from disk.
// The engine itself disables and enables keys and has them sign for their successors.
type Administrator interface {
	// Act does what was decided and recorded, and returns what came of it as one JSON
	// value in UTF-8, of at most [MaxResult] bytes. Nothing secret may be in it: it is
	// recorded, and given to whoever asked.
	//
	// After a crash nobody knows whether an act was done, and asking again does it
	// again, with the same [Act.Leaf]. So an act is idempotent, or it finds what it
	// left behind the last time and fails with an [*Error] that says so. It refuses
	// the zero Act.
	Act(ctx context.Context, a Act) (result []byte, err error)

	// Candidate returns the bundle of the policy with a version, 64 hexadecimal digits,
	// that a change is to put in force: one that the journal keeps, or the one on disk. It
	// has loaded it, and found that it could be changed again.
	Candidate(ctx context.Context, version string) (bundle []byte, err error)
}

// MaxResult bounds the result of an administrative act, in bytes.
const MaxResult = 256 << 10

// Act is proof that an administrative act was decided, approved and durably recorded.
// Only [Engine] makes one that is not zero.
type Act struct {
	effect  Effect
	payload []byte
	leaf    uint64
	ok      bool
}

// Effect is what was decided on, or false for the zero Act.
func (a Act) Effect() (Effect, bool) {
	e := a.effect
	e.Attributes = maps.Clone(e.Attributes)
	return e, a.ok
}

// Payload is what was asked, for its decoder to read once more, or false for the zero
// Act.
func (a Act) Payload() ([]byte, bool) { return slices.Clone(a.payload), a.ok }

// Leaf is that of the authorisation. It is the same when an act is done again.
func (a Act) Leaf() uint64 { return a.leaf }

// adminKey stands for Sealward itself among the keys. It has no public key, so that
// nothing could be signed with it.
func adminKey() ManagedKey {
	return ManagedKey{Info: KeyInfo{Name: AdminKey, Kinds: []Kind{KindAdmin}}}
}

// feasible refuses an act that cannot be done. bundle is the policy that a change would
// put in force.
func (e *Engine) feasible(ctx context.Context, in Intent, policy Policy) (bundle []byte, err error) {
	if in.Kind != KindAdmin {
		return nil, nil
	}
	effect := in.Effects[0]
	switch effect.Class {
	case ClassKeyDisable, ClassKeyEnable:
		return nil, nil
	case ClassKeyRotate:
		return nil, e.checkRotation(effect)
	case ClassThaw:
		if e.Frozen() == "" {
			return nil, invalid("nothing is frozen, so there is nothing to thaw")
		}
		return nil, nil
	}
	if e.c.Administrator == nil {
		return nil, invalid("this daemon has nobody to do acts of class %q", effect.Class)
	}
	if effect.Class != ClassPolicyChange {
		return nil, nil
	}
	if err := replaces(effect, policy.Version()); err != nil {
		return nil, err
	}
	return e.c.Administrator.Candidate(ctx, effect.Attributes[AttributePolicyTo])
}

// replaces refuses a change of policy that was reviewed against another one than is in
// force: what it changes is not what its reviewers saw.
func replaces(change Effect, inForce [32]byte) error {
	from, to := change.Attributes[AttributePolicyFrom], change.Attributes[AttributePolicyTo]
	switch now := hex.EncodeToString(inForce[:]); now {
	case from:
		return nil
	case to:
		return invalid("policy %s is in force already", now)
	default:
		return invalid("the policy in force is %s, not %s, from which the change is; compare with the one in force, and ask with that", now, clip(from))
	}
}

// inForce reports whether a proposal is to put in force the policy that is.
func (e *Engine) inForce(p Proposal) bool {
	if !p.is(ClassPolicyChange) {
		return false
	}
	now := e.Policy().Version()
	return p.Intent.Effects[0].Attributes[AttributePolicyTo] == hex.EncodeToString(now[:])
}

// named finds the key that an act is about.
func (e *Engine) named(name string) (ManagedKey, error) {
	k, ok := e.keys[name]
	if !ok || k.Key == nil {
		return ManagedKey{}, unnamed(name)
	}
	return k, nil
}

// info describes a key that an act may be about.
func (e *Engine) info(name string) (KeyInfo, bool) {
	k, err := e.named(name)
	return k.Info, err == nil
}

// perform does what was authorised.
func (e *Engine) perform(ctx context.Context, k ManagedKey, rec Recorded) Outcome {
	if rec.Proposal.Request.Kind == KindAdmin {
		return e.act(ctx, rec)
	}
	return e.sign(ctx, k, rec)
}

// act does an administrative act. A key is disabled by its authorisation and enabled
// by its outcome (see switches), so for these two there is nothing left to do.
func (e *Engine) act(ctx context.Context, rec Recorded) Outcome {
	ctx, cancel := context.WithTimeout(ctx, e.c.ActTimeout)
	defer cancel()
	p := rec.Proposal
	effect, at := p.Intent.Effects[0], runKey{p.Caller.ID(), p.Request.ID}
	if err := e.brake.enter(at, rec); err != nil {
		return failed(rec.Leaf, err.Code, err.Detail, nil)
	}
	var result []byte
	var err error
	switch effect.Class {
	case ClassKeyDisable:
		result = e.switched(rec, "disabled")
	case ClassKeyEnable:
		if err = e.off.overtaken(rec); err == nil {
			result = e.switched(rec, "enabled")
		}
	case ClassKeyRotate:
		result, err = e.rotate(ctx, rec)
	case ClassThaw:
		if err = e.brake.overtaken(rec); err == nil {
			result = canonical(thawedWire{rec.Leaf, "thawed"})
		}
	default:
		result, err = e.administer(ctx, rec)
	}
	e.brake.leave(at)
	if frozen := e.brake.refusal(p); err == nil && frozen != nil && len(p.uses()) > 0 {
		return failed(rec.Leaf, frozen.Code, "what came of it is not released: "+frozen.Detail, nil)
	}
	if err != nil {
		e.c.Log.Error("an administrative act failed", "class", effect.Class, "leaf", rec.Leaf, "error", err)
		return failed(rec.Leaf, CodeInternal, fmt.Sprintf("the act (%s) was authorised and failed", effect.Class), err)
	}
	return Outcome{Authorization: rec.Leaf, Result: result}
}

// administer has the administrator do an act, and holds back what came of it if a key
// that it used was disabled meanwhile: a duplicate could sign elsewhere.
func (e *Engine) administer(ctx context.Context, rec Recorded) ([]byte, error) {
	p := rec.Proposal
	if why := e.off.refusal(p); why != "" {
		return nil, &Error{Code: CodeDenied, Detail: why}
	}
	result, err := e.c.Administrator.Act(ctx, Act{effect: p.Intent.Effects[0], payload: p.Request.Payload, leaf: rec.Leaf, ok: true})
	if err != nil {
		return nil, err
	}
	if why := e.off.refusal(p); why != "" {
		return nil, &Error{Code: CodeDenied, Detail: "what came of it is not released: " + why}
	}
	return result, checkResult(result)
}

// checkResult refuses what cannot be recorded as it is.
func checkResult(result []byte) error {
	if len(result) > MaxResult || !utf8.Valid(result) || !json.Valid(result) {
		return &Error{Code: CodeInternal, Detail: fmt.Sprintf("its result, of %d bytes, is no JSON or too long to record; it may have been done", len(result))}
	}
	return nil
}

type thawedWire struct {
	Leaf  uint64 `json:"leaf"` // of the authorisation
	State string `json:"state"`
}

type switchedWire struct {
	Fingerprint string `json:"fingerprint"`
	Key         string `json:"key"`
	State       string `json:"state"`
}

func (e *Engine) switched(rec Recorded, state string) []byte {
	a := rec.Proposal.Intent.Effects[0].Attributes
	return canonical(switchedWire{a[AttributeFingerprint], a[AttributeKey], state})
}

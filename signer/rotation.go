package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// rotationDomain begins the text of every rotation statement. It keeps it apart from
// whatever else the key signs: no payload of any kind has a message that begins so, or
// is a SHA-2 hash of such a text. A key for opaque digests could be given that hash,
// so it makes no rotation statements.
const rotationDomain = "sealward.dev/rotation/v1\n"

// Rotation is what a key says of its successor.
type Rotation struct {
	Instance      string // of the journal that has the authorisation
	Authorization uint64 // its leaf
	RequestID     string
	Time          time.Time // journal time of the authorisation
	Old, New      []byte    // SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), DER
}

type rotationKeyWire struct {
	Fingerprint string `json:"fingerprint"`
	SPKI        string `json:"spki"`
}

type rotationWire struct {
	Authorization uint64          `json:"authorization"`
	Instance      string          `json:"instance"`
	New           rotationKeyWire `json:"new"`
	Old           rotationKeyWire `json:"old"`
	RequestID     string          `json:"request_id"`
	Time          string          `json:"time"`
}

// Text is what the old key signs: the domain and canonical JSON. docs/formats.md has
// its fields.
func (r Rotation) Text() []byte {
	key := func(spki []byte) rotationKeyWire {
		sum := sha256.Sum256(spki)
		return rotationKeyWire{"sha256:" + hex.EncodeToString(sum[:]), hex.EncodeToString(spki)}
	}
	return append([]byte(rotationDomain), canonical(rotationWire{
		r.Authorization, r.Instance, key(r.New), key(r.Old), r.RequestID, formatTime(r.Time),
	})...)
}

// VerifyRotation checks a rotation statement under the old key, as its verifier knew
// it beforehand, and returns what it says. check is that of the scheme's signature, in
// its finished encoding.
func VerifyRotation(old PublicKey, text []byte, scheme Scheme, sig []byte, check func(PublicKey, Message, []byte) error) (Rotation, error) {
	body, ok := bytes.CutPrefix(text, []byte(rotationDomain))
	if !ok {
		return Rotation{}, fmt.Errorf("rotation statement: the text does not begin with %q", strings.TrimSpace(rotationDomain))
	}
	var w rotationWire
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Rotation{}, fmt.Errorf("rotation statement: %w", err)
	}
	var r reader
	out := Rotation{
		Instance: w.Instance, Authorization: w.Authorization, RequestID: w.RequestID, Time: r.time(w.Time),
		Old: r.hex(w.Old.SPKI), New: r.hex(w.New.SPKI),
	}
	if r.err != nil {
		return Rotation{}, fmt.Errorf("rotation statement: %w", r.err)
	}
	if !bytes.Equal(out.Text(), text) {
		return Rotation{}, fmt.Errorf("rotation statement: not in canonical form, or a fingerprint is not that of its key")
	}
	spki, err := old.SPKI()
	if err != nil {
		return Rotation{}, fmt.Errorf("rotation statement: %w", err)
	}
	if !bytes.Equal(spki, out.Old) {
		return Rotation{}, fmt.Errorf("rotation statement: it is about key %s; you trust %s", w.Old.Fingerprint, old.Fingerprint())
	}
	facts, _ := scheme.Facts()
	m, err := statementMessage(old.Algorithm, facts.Padding, text)
	if err != nil || m.Scheme != scheme {
		return Rotation{}, fmt.Errorf("rotation statement: a key of algorithm %q does not sign one with scheme %q", old.Algorithm, clip(string(scheme)))
	}
	if err := check(old, m, sig); err != nil {
		return Rotation{}, fmt.Errorf("rotation statement: %w", err)
	}
	return out, nil
}

// statementMessage is how a key of an algorithm signs a text of Sealward's own: as it
// is for Ed25519, by a hash of SHA-2 for the others.
func statementMessage(a Algorithm, p Padding, text []byte) (Message, error) {
	sum := []byte(nil)
	switch a {
	case AlgorithmEd25519:
		return Message{Scheme: SchemeEd25519, Bytes: bytes.Clone(text)}, nil
	case AlgorithmP384:
		h := sha512.Sum384(text)
		sum = h[:]
	case AlgorithmP521:
		h := sha512.Sum512(text)
		sum = h[:]
	default:
		h := sha256.Sum256(text)
		sum = h[:]
	}
	scheme, ok := SchemeFor(a, p, len(sum))
	if !ok {
		return Message{}, fmt.Errorf("no scheme signs a hash of %d bytes with a key of algorithm %q and padding %q", len(sum), a, p)
	}
	return Message{Scheme: scheme, Bytes: sum}, nil
}

// checkRotation refuses a rotation whose statement would prove nothing, or whose
// successor could not take over, and adds who the successor is.
func (e *Engine) checkRotation(effect Effect) error {
	old, err := e.named(effect.Attributes[AttributeKey])
	if err != nil {
		return err
	}
	next, err := e.named(effect.Attributes[AttributeSuccessor])
	if err != nil {
		return err
	}
	lacks := func(k Kind) bool { return !slices.Contains(next.Info.Kinds, k) }
	unknown := func(chain string) bool { return !slices.Contains(next.Info.Chains, chain) }
	switch {
	case old.Info.Name == next.Info.Name:
		return invalid("key %q cannot be its own successor", old.Info.Name)
	case slices.Contains(old.Info.Kinds, KindDigest):
		return invalid("key %q signs opaque digests, so anybody who may use it can have any text signed: a rotation statement by it proves nothing", old.Info.Name)
	case slices.ContainsFunc(old.Info.Kinds, lacks) || slices.ContainsFunc(old.Info.Chains, unknown):
		return invalid("key %q cannot take over from %q: it does not accept each of the kinds %q and chains %q", next.Info.Name, old.Info.Name, old.Info.Kinds, old.Info.Chains)
	}
	if _, err := statementMessage(old.Info.Public.Algorithm, old.Info.Padding, nil); err != nil {
		return invalid("key %q: %v", old.Info.Name, err)
	}
	return nil
}

type rotatedWire struct {
	Note      string `json:"note"`
	Scheme    Scheme `json:"scheme"`
	Signature string `json:"signature"`
	Statement string `json:"statement"`
}

// rotate has a key sign the statement about its successor. The text depends on the
// authorisation alone, so asking again signs the same one.
func (e *Engine) rotate(ctx context.Context, rec Recorded) ([]byte, error) {
	p := rec.Proposal
	a := p.Intent.Effects[0].Attributes
	old, err := e.named(a[AttributeKey])
	if err != nil {
		return nil, err
	}
	next, err := e.named(a[AttributeSuccessor])
	if err != nil {
		return nil, err
	}
	r := Rotation{Instance: p.Instance, Authorization: rec.Leaf, RequestID: p.Request.ID, Time: rec.Time}
	if r.Old, err = old.Info.Public.SPKI(); err != nil {
		return nil, err
	}
	if r.New, err = next.Info.Public.SPKI(); err != nil {
		return nil, err
	}
	text := r.Text()
	m, err := statementMessage(old.Info.Public.Algorithm, old.Info.Padding, text)
	if err != nil {
		return nil, err
	}
	sig, err := e.signStatement(ctx, old, m, p)
	if err != nil {
		return nil, err
	}
	return canonical(rotatedWire{
		Note:   fmt.Sprintf("key %q still signs: move what depends on it to %q, then disable it", old.Info.Name, next.Info.Name),
		Scheme: m.Scheme, Signature: hex.EncodeToString(sig), Statement: string(text),
	}), nil
}

// signStatement is for statements what sign is for requests.
func (e *Engine) signStatement(ctx context.Context, k ManagedKey, m Message, p Proposal) ([]byte, error) {
	if why := e.off.refusal(p); why != "" {
		return nil, &Error{Code: CodeDenied, Detail: why}
	}
	at := runKey{p.Caller.ID(), p.Request.ID}
	raw, err := k.Key.SignStatement(ctx, Statement{msg: m, ok: true, notice: func(n Notice) { e.notice(at, n) }})
	if _, classified := errors.AsType[*Error](err); classified {
		return nil, err
	}
	if err != nil {
		return nil, unavailable(fmt.Sprintf("key %q is not available", k.Info.Name), err)
	}
	sig, err := e.c.Verifier.Finish(k.Info.Public, m, raw)
	if err != nil {
		return nil, &Error{Code: CodeInternal, Detail: fmt.Sprintf("key %q returned a signature that does not verify; nothing is released", k.Info.Name), Err: err}
	}
	if why := e.off.refusal(p); why != "" {
		return nil, &Error{Code: CodeDenied, Detail: why}
	}
	return sig, nil
}

package backendtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// Door is an engine's front door to one key.
type Door struct {
	engine *signer.Engine
	next   atomic.Int64
}

// NewDoor puts a key behind an engine that allows everything. wait bounds how long
// the key may wait for its device, with zero for the engine's default.
func NewDoor(t testing.TB, key signer.Key, wait time.Duration) *Door {
	t.Helper()
	pub := key.Public()
	info := signer.KeyInfo{Name: "key", Public: pub, Fingerprint: pub.Fingerprint(), Protection: key.Protection(), Kinds: []signer.Kind{signer.KindDigest}}
	e, err := signer.New(signer.Config{
		Instance: "backendtest",
		Keys:     []signer.ManagedKey{{Info: info, Key: key}},
		Decoders: map[signer.Kind]signer.Decoder{signer.KindDigest: literal{}},
		Policy:   allowAll{},
		Journal:  &memory{records: map[string]*signer.Recorded{}},
		Verifier: &scheme.Verifier{},
		Now:      time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		MaxRequests: 1024, SignTimeout: wait,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &Door{engine: e}
}

// Sign has a message signed, as a new request, and returns the signature in the
// encoding of its scheme. The message's bytes may not be empty.
func (d *Door) Sign(ctx context.Context, m signer.Message) ([]byte, error) {
	r := signer.Request{
		ID: strconv.FormatInt(d.next.Add(1), 10), Key: "key", Kind: signer.KindDigest,
		Payload: append([]byte(m.Scheme+"\n"), m.Bytes...),
	}
	res, err := d.engine.Sign(ctx, signer.Caller{UID: 1000, Identified: true}, r)
	if err != nil {
		return nil, err
	}
	return res.Signatures[0], nil
}

// literal decodes a payload of a scheme, a newline and the bytes to sign.
type literal struct{}

func (literal) Version() string { return "backendtest/1" }

func (literal) Decode(payload []byte, _ signer.KeyInfo, _ signer.Book) (signer.Intent, error) {
	name, text, ok := bytes.Cut(payload, []byte("\n"))
	if !ok {
		return signer.Intent{}, signer.Invalid("the payload has no newline")
	}
	return signer.Intent{
		Kind: signer.KindDigest, Complete: true,
		Effects:  []signer.Effect{{Class: signer.ClassOpaque}},
		Messages: []signer.Message{{Scheme: signer.Scheme(name), Bytes: bytes.Clone(text)}},
	}, nil
}

func (literal) Recognises([]byte) bool { return false }

func (literal) Assemble([]byte, signer.KeyInfo, [][]byte) ([]byte, error) { return nil, nil }

type allowAll struct{}

func (allowAll) Version() [32]byte                         { return [32]byte{1} }
func (allowAll) Book() signer.Book                         { return signer.Book{} }
func (allowAll) Needs() signer.Needs                       { return signer.Needs{} }
func (allowAll) Bundle() []byte                            { return nil }
func (allowAll) People() signer.People                     { return signer.People{} }
func (allowAll) Grants(signer.Caller, signer.KeyInfo) bool { return true }
func (allowAll) Decide(signer.Proposal, signer.Facts) signer.Decision {
	return signer.Decision{Verdict: signer.Allow, Rules: []string{"everything"}}
}

// memory is a journal that forgets when the test ends. What it lacks takes a policy that
// asks.
type memory struct {
	signer.Journal
	mu      sync.Mutex
	leaf    uint64                      // owned by mu
	records map[string]*signer.Recorded // owned by mu
}

func (j *memory) Record(_ context.Context, p signer.Proposal, _ signer.Needs, decide func(signer.Facts) signer.Decision) (signer.Recorded, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	id := p.Caller.ID() + " " + p.Request.ID
	if r := j.records[id]; r != nil {
		prior := *r
		prior.Prior = true
		return prior, nil
	}
	now := time.Now()
	f := signer.Facts{Time: now, Wall: now}
	j.leaf++
	j.records[id] = &signer.Recorded{Leaf: j.leaf, Time: now, RequestDigest: p.Request.Digest(), Proposal: p, Decision: decide(f), Facts: f}
	return *j.records[id], nil
}

func (j *memory) Finish(_ context.Context, o signer.Outcome) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.leaf++
	for id, r := range j.records {
		if r.Leaf == o.Authorization {
			delete(j.records, id) // its caller has the answer, and never asks again
			return j.leaf, nil
		}
	}
	return 0, fmt.Errorf("there is no authorisation at leaf %d", o.Authorization)
}

func (j *memory) Note(context.Context, signer.Event) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.leaf++
	return j.leaf, nil
}

func (j *memory) Adopt(ctx context.Context, e signer.Event, _ []byte) (uint64, error) {
	return j.Note(ctx, e)
}

func (j *memory) Lookup(_ context.Context, caller, id string) (signer.Recorded, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r := j.records[caller+" "+id]; r != nil {
		return *r, true, nil
	}
	return signer.Recorded{}, false, nil
}

func (*memory) Acts(context.Context, ...signer.Class) ([]signer.Recorded, error) { return nil, nil }

func (*memory) Last(context.Context, signer.EventType) (signer.Event, uint64, bool, error) {
	return signer.Event{}, 0, false, nil
}

func (*memory) AllWaiting(context.Context) ([]signer.Waiting, error) { return nil, nil }

func (j *memory) Facts(context.Context, signer.Proposal, signer.Needs) (signer.Facts, error) {
	now := time.Now()
	return signer.Facts{Time: now, Wall: now}, nil
}

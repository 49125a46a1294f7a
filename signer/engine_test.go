package signer_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// The parts around the engine, each a few lines that fail on demand.

type decoder struct {
	err    error
	intent func(payload []byte) signer.Intent
}

func (decoder) Version() string { return "test/1" }

func (d decoder) Decode(payload []byte, _ signer.KeyInfo, _ signer.Book) (signer.Intent, error) {
	if d.intent != nil {
		return d.intent(payload), nil
	}
	return signer.Intent{
		Kind: signer.KindEVMMessage, Complete: true,
		Effects:  []signer.Effect{{Class: signer.ClassMessage}},
		Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: payload}},
	}, d.err
}

func (decoder) Recognises([]byte) bool { return false }

func (decoder) Assemble(_ []byte, _ signer.KeyInfo, sigs [][]byte) ([]byte, error) {
	return append([]byte("signed:"), sigs[0]...), nil
}

type policy struct {
	version byte
	hidden  bool
	decide  func(signer.Proposal, signer.Facts) signer.Decision
	people  signer.People
}

func (p policy) Version() [32]byte     { return [32]byte{p.version} }
func (policy) Book() signer.Book       { return signer.Book{} }
func (p policy) People() signer.People { return p.people }
func (policy) Needs() signer.Needs {
	return signer.Needs{Measures: []signer.Measure{{Window: time.Hour}}}
}
func (p policy) Bundle() []byte                            { return []byte{p.version} }
func (p policy) Grants(signer.Caller, signer.KeyInfo) bool { return !p.hidden }
func (p policy) Decide(q signer.Proposal, f signer.Facts) signer.Decision {
	return p.decide(q, f)
}

func verdict(v signer.Verdict) func(signer.Proposal, signer.Facts) signer.Decision {
	return func(signer.Proposal, signer.Facts) signer.Decision {
		return signer.Decision{Verdict: v, Reason: "because"}
	}
}

// journal is a record in memory that fails from the nth write on. Nothing waits in it;
// what does is tested with the real one.
type journal struct {
	signer.Journal
	mu       sync.Mutex
	failFrom int // 0: never
	leaves   []signer.Event
	requests map[string]*signer.Recorded
	spent    int64
	now      time.Time
}

func (j *journal) write(e signer.Event) (uint64, error) {
	if j.failFrom > 0 && len(j.leaves)+1 >= j.failFrom {
		return 0, errors.New("no space left on device")
	}
	j.leaves = append(j.leaves, e)
	return uint64(len(j.leaves) - 1), nil
}

func (j *journal) Record(_ context.Context, p signer.Proposal, _ signer.Needs, decide func(signer.Facts) signer.Decision) (signer.Recorded, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	id := p.Caller.ID() + "/" + p.Request.ID
	if r := j.requests[id]; r != nil {
		prior := *r
		prior.Prior = true
		return prior, nil
	}
	f := signer.Facts{Time: j.now, Wall: j.now, Spent: []signer.Spent{{Asset: signer.AssetRequests, Window: time.Hour, Amount: big.NewInt(j.spent)}}}
	d := decide(f)
	rec := signer.Recorded{RequestDigest: p.Request.Digest(), Proposal: p, Decision: d, Facts: f, Time: j.now}
	if d.Unrecorded {
		return rec, nil
	}
	e := signer.Event{Type: signer.EventDenied, Proposal: &p, Decision: &d}
	if d.Verdict == signer.Allow {
		e.Type = signer.EventAuthorized
	}
	leaf, err := j.write(e)
	if err != nil {
		return signer.Recorded{}, err
	}
	if d.Verdict == signer.Allow {
		j.spent++
	}
	rec.Leaf = leaf
	j.requests[id] = &rec
	return rec, nil
}

func (j *journal) Finish(_ context.Context, o signer.Outcome) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := signer.Event{Type: signer.EventSigned, Outcome: &o}
	if o.Result != nil {
		e.Type = signer.EventActed
	}
	if o.Code != "" {
		e.Type = signer.EventFailed
	}
	leaf, err := j.write(e)
	if err != nil {
		return 0, err
	}
	o.Leaf = leaf
	for _, r := range j.requests {
		if r.Leaf == o.Authorization {
			r.Outcome = &o
		}
	}
	return leaf, nil
}

func (j *journal) Note(_ context.Context, e signer.Event) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(e)
}

func (j *journal) Adopt(ctx context.Context, e signer.Event, bundle []byte) (uint64, error) {
	e.Bundle = sha256.Sum256(bundle)
	return j.Note(ctx, e)
}

func (j *journal) Lookup(_ context.Context, caller, id string) (signer.Recorded, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r := j.requests[caller+"/"+id]; r != nil {
		return *r, true, nil
	}
	return signer.Recorded{}, false, nil
}

func (*journal) AllWaiting(context.Context) ([]signer.Waiting, error) { return nil, nil }

func (*journal) Last(context.Context, signer.EventType) (signer.Event, uint64, bool, error) {
	return signer.Event{}, 0, false, nil
}

func (j *journal) Acts(_ context.Context, classes ...signer.Class) ([]signer.Recorded, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []signer.Recorded
	for _, r := range j.requests {
		if r.Decision.Verdict == signer.Allow && slices.ContainsFunc(r.Proposal.Intent.Effects, func(x signer.Effect) bool { return slices.Contains(classes, x.Class) }) {
			out = append(out, *r)
		}
	}
	slices.SortFunc(out, func(a, b signer.Recorded) int { return cmp.Compare(a.Leaf, b.Leaf) })
	return out, nil
}

func (j *journal) Facts(context.Context, signer.Proposal, signer.Needs) (signer.Facts, error) {
	return signer.Facts{Time: j.now, Wall: j.now}, nil
}

func (j *journal) types() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []string
	for _, e := range j.leaves {
		out = append(out, string(e.Type))
	}
	return strings.Join(out, " ")
}

type key struct {
	mu    sync.Mutex
	err   error
	block chan struct{} // when set, signing waits for it
	asked []string
}

func (*key) Public() signer.PublicKey {
	return signer.PublicKey{Algorithm: signer.AlgorithmEd25519, Bytes: make([]byte, 32)}
}
func (*key) Protection() signer.Protection { return signer.ProtectionResident }
func (k *key) Sign(ctx context.Context, a signer.Authorized) ([]byte, error) {
	m, ok := a.Message()
	if !ok {
		return nil, errors.New("nothing was authorised")
	}
	if k.block != nil {
		<-k.block
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, string(m.Bytes))
	if k.err != nil {
		return nil, k.err
	}
	return append([]byte("sig:"), m.Bytes...), nil
}
func (*key) SignStatement(context.Context, signer.Statement) ([]byte, error) {
	return nil, errors.New("not for statements")
}

type verifier struct{ err error }

func (v verifier) Finish(_ signer.PublicKey, _ signer.Message, raw []byte) ([]byte, error) {
	return raw, v.err
}

type parts struct {
	decoder  decoder
	policy   policy
	journal  *journal
	key      *key
	verifier verifier
	now      time.Time
	max      int
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func allowed() *parts {
	return &parts{policy: policy{decide: verdict(signer.Allow)}, journal: &journal{requests: map[string]*signer.Recorded{}, now: noon}, key: &key{}, now: noon}
}

func (p *parts) engine(t *testing.T) *signer.Engine {
	t.Helper()
	info := signer.KeyInfo{Name: "hot", Public: p.key.Public(), Fingerprint: p.key.Public().Fingerprint(), Protection: signer.ProtectionResident, Kinds: []signer.Kind{signer.KindEVMMessage}}
	e, err := signer.New(signer.Config{
		Instance: "test", Keys: []signer.ManagedKey{{Info: info, Key: p.key}},
		Decoders: map[signer.Kind]signer.Decoder{signer.KindEVMMessage: p.decoder, signer.KindDigest: p.decoder},
		Policy:   p.policy, Journal: p.journal, Verifier: p.verifier,
		Now: func() time.Time { return p.now }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), MaxRequests: p.max,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// closed ends an engine.
func closed(t *testing.T, e *signer.Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

var alice = signer.Caller{UID: 1000, User: "alice", Identified: true}

func ask(id string) signer.Request {
	return signer.Request{ID: id, Key: "hot", Kind: signer.KindEVMMessage, Payload: []byte("pay bob")}
}

func TestSign(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*parts)
		caller signer.Caller
		req    func(*signer.Request)
		want   signer.Code // empty: signed
		record string      // the journal afterwards
		device int         // how often the device was asked
	}{
		"allowed":                        {record: "authorized signed", device: 1},
		"denied":                         {change: func(p *parts) { p.policy.decide = verdict(signer.Deny) }, want: signer.CodeDenied, record: "denied"},
		"unknown verdict is denied":      {change: func(p *parts) { p.policy.decide = verdict(99) }, want: signer.CodeDenied, record: "denied"},
		"asking people is not yet a yes": {change: func(p *parts) { p.policy.decide = verdict(signer.Ask) }, want: signer.CodeDenied, record: "denied"},
		"nobody asks":                    {caller: signer.Caller{UID: 1000}, want: signer.CodeUnauthenticated},
		"the payload cannot be read":     {change: func(p *parts) { p.decoder.err = signer.Invalid("trailing bytes") }, want: signer.CodeInvalid, record: "malformed"},
		"the decoder finds a time that no record can hold": {change: func(p *parts) {
			p.decoder.intent = func(payload []byte) signer.Intent {
				return signer.Intent{
					Kind: signer.KindEVMMessage, Complete: true,
					Effects:  []signer.Effect{{Class: signer.ClassMessage, Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
					Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: payload}},
				}
			}
		}, want: signer.CodeInternal, record: "malformed"},
		"the decoder finds no effect":     {change: func(p *parts) { p.decoder.intent = func([]byte) signer.Intent { return signer.Intent{} } }, want: signer.CodeInternal, record: "malformed"},
		"another kind than the key's":     {req: func(r *signer.Request) { r.Kind = signer.KindDigest }, want: signer.CodeInvalid, record: "malformed"},
		"no such key":                     {req: func(r *signer.Request) { r.Key = "cold" }, want: signer.CodeNotFound, record: "malformed"},
		"a key of somebody else's":        {change: func(p *parts) { p.policy.hidden = true }, want: signer.CodeNotFound, record: "malformed"},
		"no id":                           {req: func(r *signer.Request) { r.ID = "" }, want: signer.CodeInvalid, record: "malformed"},
		"an id with a newline":            {req: func(r *signer.Request) { r.ID = "a\nb" }, want: signer.CodeInvalid, record: "malformed"},
		"an empty payload":                {req: func(r *signer.Request) { r.Payload = nil }, want: signer.CodeInvalid, record: "malformed"},
		"too large a payload":             {req: func(r *signer.Request) { r.Payload = make([]byte, signer.MaxPayload+1) }, want: signer.CodeInvalid, record: "malformed"},
		"a claim that is no text":         {req: func(r *signer.Request) { r.Claim = "\xff" }, want: signer.CodeInvalid, record: "malformed"},
		"expired":                         {req: func(r *signer.Request) { r.Expires = noon }, want: signer.CodeDenied, record: "denied"},
		"expired by the later clock":      {change: func(p *parts) { p.journal.now = noon.Add(time.Hour) }, req: func(r *signer.Request) { r.Expires = noon.Add(time.Minute) }, want: signer.CodeDenied, record: "denied"},
		"not valid yet":                   {req: func(r *signer.Request) { r.NotBefore = noon.Add(1) }, want: signer.CodeDenied, record: "denied"},
		"valid just now":                  {req: func(r *signer.Request) { r.NotBefore, r.Expires = noon, noon.Add(1) }, record: "authorized signed", device: 1},
		"cannot record the authorisation": {change: func(p *parts) { p.journal.failFrom = 1 }, want: signer.CodeUnavailable},
		"cannot record the signature":     {change: func(p *parts) { p.journal.failFrom = 2 }, want: signer.CodeUnavailable, record: "authorized", device: 1},
		"the device is gone":              {change: func(p *parts) { p.key.err = errors.New("CKR_DEVICE_ERROR") }, want: signer.CodeUnavailable, record: "authorized failed", device: 1},
		"the signature does not verify":   {change: func(p *parts) { p.verifier.err = errors.New("bad") }, want: signer.CodeInternal, record: "authorized failed", device: 1},
		"the policy panics": {change: func(p *parts) {
			p.policy.decide = func(signer.Proposal, signer.Facts) signer.Decision { panic("boom") }
		}, want: signer.CodeInternal},
		"the refusal cannot be recorded":   {change: func(p *parts) { p.journal.failFrom = 1 }, req: func(r *signer.Request) { r.Key = "cold" }, want: signer.CodeNotFound},
		"a denial that cannot be recorded": {change: func(p *parts) { p.journal.failFrom = 1; p.policy.decide = verdict(signer.Deny) }, want: signer.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			p := allowed()
			if c.change != nil {
				c.change(p)
			}
			req, caller := ask("r1"), alice
			if c.req != nil {
				c.req(&req)
			}
			if c.caller.UID != 0 {
				caller = c.caller
			}
			res, err := p.engine(t).Sign(t.Context(), caller, req)
			if c.want == "" && err != nil || c.want != "" && signer.CodeOf(err) != c.want {
				t.Fatalf("Sign error = %v, want code %q", err, c.want)
			}
			if err != nil && (res.Signatures != nil || res.Artifact != nil) {
				t.Errorf("a refusal came with a signature: %+v", res)
			}
			if err == nil && string(res.Artifact) != "signed:sig:pay bob" {
				t.Errorf("artifact = %q", res.Artifact)
			}
			if got := p.journal.types(); got != c.record {
				t.Errorf("journal holds %q, want %q", got, c.record)
			}
			if len(p.key.asked) != c.device {
				t.Errorf("the device was asked %d times, want %d", len(p.key.asked), c.device)
			}
		})
	}
}

func TestAskingAgain(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		between func(*parts, *signer.Request)
		want    signer.Code
		device  int
	}{
		"the same gives the same answer and asks no device": {device: 1},
		"other bytes under the same id are refused":         {between: func(_ *parts, r *signer.Request) { r.Payload = []byte("pay eve") }, want: signer.CodeConflict, device: 1},
		"another claim is other content":                    {between: func(_ *parts, r *signer.Request) { r.Claim = "rent" }, want: signer.CodeConflict, device: 1},
		"a new policy does not take an answer back":         {between: func(p *parts, _ *signer.Request) { p.policy.decide = verdict(signer.Deny) }, device: 1},
		"an answer stays when the decoder is gone":          {between: func(p *parts, _ *signer.Request) { p.decoder.err = gone }, device: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, req := allowed(), ask("r1")
			first, err := p.engine(t).Sign(t.Context(), alice, req)
			if err != nil {
				t.Fatal(err)
			}
			if c.between != nil {
				c.between(p, &req)
			}
			second, err := p.engine(t).Sign(t.Context(), alice, req)
			if c.want == "" && err != nil || c.want != "" && signer.CodeOf(err) != c.want {
				t.Fatalf("Sign error = %v, want code %q", err, c.want)
			}
			if c.want == "" && (string(second.Artifact) != string(first.Artifact) || second.Leaf != first.Leaf) {
				t.Errorf("second answer %+v, first %+v", second, first)
			}
			if len(p.key.asked) != c.device || p.journal.spent != 1 {
				t.Errorf("device asked %d times, %d reserved; want %d and 1", len(p.key.asked), p.journal.spent, c.device)
			}
		})
	}
}

func TestAskingAgainAfterTheOutcomeWasLost(t *testing.T) {
	lost := func(p *parts) { p.key.err = nil; p.journal.failFrom = 0 }
	for name, c := range map[string]struct {
		between func(*parts)
		want    signer.Code
	}{
		"signs the same message and reserves nothing more": {between: lost},
		"not if the policy in force refuses it now":        {between: func(p *parts) { lost(p); p.policy = policy{version: 9, decide: verdict(signer.Deny)} }, want: signer.CodeDenied},
		"another policy that allows it will do":            {between: func(p *parts) { lost(p); p.policy.version = 9 }},
		"not when the bytes mean another message by now": {between: func(p *parts) {
			lost(p)
			p.decoder.intent = func([]byte) signer.Intent {
				return signer.Intent{Kind: signer.KindEVMMessage, Effects: []signer.Effect{{Class: signer.ClassMessage}}, Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: []byte("pay eve")}}}
			}
		}, want: signer.CodeConflict},
	} {
		for how, fail := range map[string]func(*parts){
			"the device failed":           func(p *parts) { p.key.err = errors.New("unplugged") },
			"the outcome was not written": func(p *parts) { p.journal.failFrom = 2 },
		} {
			t.Run(name+"; "+how, func(t *testing.T) {
				p := allowed()
				fail(p)
				if _, err := p.engine(t).Sign(t.Context(), alice, ask("r1")); signer.CodeOf(err) != signer.CodeUnavailable {
					t.Fatalf("first Sign error = %v, want unavailable", err)
				}
				c.between(p)
				res, err := p.engine(t).Sign(t.Context(), alice, ask("r1"))
				if c.want == "" && err != nil || c.want != "" && signer.CodeOf(err) != c.want {
					t.Fatalf("Sign error = %v, want code %q", err, c.want)
				}
				if c.want != "" && res.Signatures != nil {
					t.Error("a refusal came with a signature")
				}
				if p.journal.spent != 1 {
					t.Errorf("%d reserved, want 1", p.journal.spent)
				}
				for _, m := range p.key.asked {
					if m != "pay bob" {
						t.Errorf("the device was asked to sign %q", m)
					}
				}
			})
		}
	}
}

func TestAClientThatHangsUpDoesNotSuppressTheRecord(t *testing.T) {
	p := allowed()
	p.key.block = make(chan struct{})
	e := p.engine(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Sign(ctx, alice, ask("r1")); signer.CodeOf(err) != signer.CodePending {
		t.Fatalf("Sign error = %v, want pending", err)
	}
	close(p.key.block)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.journal.types(); got != "authorized signed" {
		t.Errorf("journal holds %q", got)
	}
	if _, res, err := e.Lookup(t.Context(), alice.ID(), "r1"); err != nil || res == nil || string(res.Artifact) != "signed:sig:pay bob" {
		t.Errorf("Lookup = %+v, %v", res, err)
	}
	if _, err := e.Sign(t.Context(), alice, ask("r2")); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Sign after Close = %v, want unavailable", err)
	}
}

func TestTheSameRequestAtOnceIsOneRequest(t *testing.T) {
	p := allowed()
	e := p.engine(t)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if res, err := e.Sign(t.Context(), alice, ask("r1")); err != nil || string(res.Artifact) != "signed:sig:pay bob" {
				t.Errorf("Sign = %+v, %v", res, err)
			}
		})
	}
	wg.Wait()
	if len(p.key.asked) != 1 || p.journal.spent != 1 {
		t.Errorf("device asked %d times, %d reserved; want 1 and 1", len(p.key.asked), p.journal.spent)
	}
}

func TestRequestIDsAreScopedToTheCaller(t *testing.T) {
	p := allowed()
	e := p.engine(t)
	if _, err := e.Sign(t.Context(), alice, ask("r1")); err != nil {
		t.Fatal(err)
	}
	bob := signer.Caller{UID: 1001, User: "bob", Identified: true}
	if _, _, err := e.Lookup(t.Context(), bob.ID(), "r1"); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("bob's Lookup of alice's request = %v, want not_found", err)
	}
	other := ask("r1")
	other.Payload = []byte("pay carol")
	if _, err := e.Sign(t.Context(), bob, other); err != nil {
		t.Errorf("bob cannot use the id that alice used: %v", err)
	}
}

func TestOneCallerCannotTakeEveryPlace(t *testing.T) {
	p := allowed()
	p.max = 8
	p.key.block = make(chan struct{})
	e := p.engine(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, want := range []signer.Code{signer.CodePending, signer.CodePending, signer.CodeOverloaded} {
		if _, err := e.Sign(gone, alice, ask("r"+string(rune('0'+i)))); signer.CodeOf(err) != want {
			t.Errorf("alice's request %d: %v, want %s", i, err, want)
		}
	}
	bob := signer.Caller{UID: 1001, User: "bob", Identified: true}
	if _, err := e.Sign(gone, bob, ask("r1")); signer.CodeOf(err) != signer.CodePending {
		t.Errorf("bob found no place: %v", err)
	}
	close(p.key.block)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRefusalsAreRecordedUpToARateAndThenCounted(t *testing.T) {
	p := allowed()
	p.policy.decide = verdict(signer.Deny)
	e := p.engine(t)
	deny := func(n int) {
		for i := range n {
			r := ask("r")
			r.ID += strconv.Itoa(i + len(p.journal.leaves)*1000)
			if _, err := e.Sign(t.Context(), alice, r); signer.CodeOf(err) != signer.CodeDenied {
				t.Fatalf("Sign error = %v, want denied", err)
			}
		}
	}
	deny(300)
	if n := len(p.journal.leaves); n != 256 {
		t.Fatalf("%d refusals recorded, want the burst of 256", n)
	}
	p.now = p.now.Add(time.Second)
	deny(1)
	last := p.journal.leaves[len(p.journal.leaves)-1]
	if last.Decision.Dropped != 44 {
		t.Errorf("the next recorded refusal counts %d dropped, want 44", last.Decision.Dropped)
	}
	bob := signer.Caller{UID: 1001, User: "bob", Identified: true}
	n := len(p.journal.leaves)
	if _, err := e.Sign(t.Context(), bob, ask("r1")); signer.CodeOf(err) != signer.CodeDenied || len(p.journal.leaves) != n+1 {
		t.Errorf("bob's refusal was not recorded because of alice's: %v", err)
	}
}

func TestNewRefusesKeysThatCouldBeMisused(t *testing.T) {
	base := func() signer.Config {
		p := allowed()
		return signer.Config{
			Instance: "test", Decoders: map[signer.Kind]signer.Decoder{signer.KindEVMMessage: p.decoder, signer.KindDigest: p.decoder},
			Policy: p.policy, Journal: p.journal, Verifier: p.verifier, Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		}
	}
	info := func(name string, kinds ...signer.Kind) signer.ManagedKey {
		k := &key{}
		return signer.ManagedKey{Key: k, Info: signer.KeyInfo{Name: name, Public: k.Public(), Fingerprint: k.Public().Fingerprint(), Protection: signer.ProtectionResident, Kinds: kinds}}
	}
	wrong := info("hot", signer.KindEVMMessage)
	wrong.Info.Fingerprint = "sha256:00"
	for name, c := range map[string]struct {
		keys []signer.ManagedKey
		want string
	}{
		"two names for one public key": {[]signer.ManagedKey{info("hot", signer.KindEVMMessage), info("warm", signer.KindEVMMessage)}, `same public key as "hot"`},
		"digests beside another kind":  {[]signer.ManagedKey{info("hot", signer.KindEVMMessage, signer.KindDigest)}, "no other kind"},
		"no kind":                      {[]signer.ManagedKey{info("hot")}, "no kind"},
		"a kind without decoder":       {[]signer.ManagedKey{info("hot", "pdf")}, "no decoder"},
		"a description of another key": {[]signer.ManagedKey{wrong}, "does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := base()
			cfg.Keys = c.keys
			if _, err := signer.New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New error = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestTheZeroValuesRefuse(t *testing.T) {
	if _, ok := (signer.Authorized{}).Message(); ok {
		t.Error("the zero Authorized has a message")
	}
	if _, ok := (signer.Statement{}).Message(); ok {
		t.Error("the zero Statement has a message")
	}
	if (signer.Decision{}).Verdict != signer.Deny {
		t.Error("the zero Decision does not refuse")
	}
}

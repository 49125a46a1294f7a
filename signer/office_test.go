package signer_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
	realjournal "github.com/sealward/sealward/signer/journal"
	"github.com/sealward/sealward/signer/receipt"
	"github.com/sealward/sealward/signer/scheme"
)

// softKey is a key in memory that signs and fails on demand.
type softKey struct {
	private ed25519.PrivateKey
	prot    signer.Protection

	mu     sync.Mutex
	err    error
	away   error                   // what it knows before it is asked
	before func(signer.Authorized) // runs while the device works
	signed int

	stating func() // runs while it signs a statement
}

func newSoftKey(name string) *softKey {
	seed := sha256.Sum256([]byte(name))
	return &softKey{private: ed25519.NewKeyFromSeed(seed[:]), prot: signer.ProtectionResident}
}

func (k *softKey) Public() signer.PublicKey {
	return signer.PublicKey{Algorithm: signer.AlgorithmEd25519, Bytes: k.private.Public().(ed25519.PublicKey)}
}
func (k *softKey) Protection() signer.Protection { return k.prot }

func (k *softKey) Sign(_ context.Context, a signer.Authorized) ([]byte, error) {
	m, ok := a.Message()
	if !ok {
		return nil, errors.New("nothing was authorised")
	}
	k.mu.Lock()
	before, err := k.before, k.err
	k.signed++
	k.mu.Unlock()
	if before != nil {
		before(a)
	}
	return ed25519.Sign(k.private, m.Bytes), err
}

func (k *softKey) SignStatement(_ context.Context, s signer.Statement) ([]byte, error) {
	m, ok := s.Message()
	if !ok {
		return nil, errors.New("no statement")
	}
	if k.stating != nil {
		k.stating()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signed++
	return ed25519.Sign(k.private, m.Bytes), k.err
}

// Available says what Sign would.
func (k *softKey) Available() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.away
}

func (k *softKey) leave(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = err
}

func (k *softKey) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *softKey) while(f func(signer.Authorized)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.before = f
}

func (k *softKey) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signed
}

// texts decodes any payload as an Ed25519 message.
type texts struct{ decoder }

func (texts) Decode(payload []byte, _ signer.KeyInfo, _ signer.Book) (signer.Intent, error) {
	return signer.Intent{
		Kind: signer.KindEVMMessage, Complete: true, Effects: []signer.Effect{{Class: signer.ClassMessage}},
		Messages: []signer.Message{{Scheme: signer.SchemeEd25519, Bytes: payload}},
	}, nil
}

func (texts) Recognises([]byte) bool { return false }

func (texts) Assemble(_ []byte, _ signer.KeyInfo, sigs [][]byte) ([]byte, error) { return sigs[0], nil }

// clerk is an administrator that notes what it was asked.
type clerk struct {
	mu     sync.Mutex
	asked  []uint64
	result string
	err    error
	before func() // runs while it works
	absent error  // of candidates
}

func (c *clerk) Candidate(_ context.Context, version string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []byte("policy " + version), c.absent
}

func (c *clerk) Act(_ context.Context, a signer.Act) ([]byte, error) {
	o, err := admin.Of(a)
	if err != nil {
		return nil, err
	}
	if c.before != nil {
		c.before()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, a.Leaf())
	if e, ok := a.Effect(); !ok || e.Attributes["token"] != o.Token {
		return nil, errors.New("the effect is not that of the order")
	}
	return []byte(c.result), c.err
}

// tester is a test, or a history of a model.
type tester interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
	Cleanup(func())
}

// office is an engine on the real journal, which can be started again.
type office struct {
	t         tester
	path      string
	hot, cold *softKey
	names     [2]string // of the two
	policy    policy
	clerk     *clerk
	pause     func(signer.Journal) signer.Journal

	ahead   atomic.Int64 // nanoseconds that the clocks run ahead of the host's
	journal *realjournal.Journal
	engine  *signer.Engine
}

func (o *office) now() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) }

// pass lets time go by.
func (o *office) pass(d time.Duration) { o.ahead.Add(int64(d)) }

var officeOpened = time.Now()

func openOffice(t *testing.T) *office {
	t.Helper()
	return openOfficeIn(t, t.TempDir())
}

func openOfficeIn(t tester, folder string) *office {
	t.Helper()
	dir := filepath.Join(folder, "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := &office{
		t: t, path: filepath.Join(dir, "journal.db"), hot: newSoftKey("hot"), cold: newSoftKey("cold"), names: [2]string{"hot", "cold"},
		policy: policy{version: 1, decide: verdict(signer.Allow)}, clerk: &clerk{result: `{"done":true}`},
		pause: func(j signer.Journal) signer.Journal { return j },
	}
	o.start()
	t.Cleanup(o.stop)
	return o
}

func infoOf(name string, k signer.Key) signer.KeyInfo {
	return signer.KeyInfo{Name: name, Public: k.Public(), Fingerprint: k.Public().Fingerprint(), Protection: k.Protection(), Origin: signer.OriginGenerated, Kinds: []signer.Kind{signer.KindEVMMessage}}
}

func (o *office) start() {
	o.t.Helper()
	var err error
	if o.journal, err = realjournal.Open(realjournal.Config{Path: o.path, Now: o.now, Boot: func() (string, time.Duration, error) {
		return "this boot", o.now().Sub(officeOpened) + time.Hour, nil
	}}); err != nil {
		o.t.Fatal(err)
	}
	o.engine, err = signer.New(signer.Config{
		Instance: o.journal.Instance(),
		Keys:     []signer.ManagedKey{{Info: infoOf(o.names[0], o.hot), Key: o.hot}, {Info: infoOf(o.names[1], o.cold), Key: o.cold}},
		Decoders: map[signer.Kind]signer.Decoder{signer.KindEVMMessage: texts{}, signer.KindAdmin: admin.Decoder{}},
		Policy:   o.policy, Journal: o.pause(o.journal), Verifier: &scheme.Verifier{}, Administrator: o.clerk,
		Approvals: approval.Verifier{}, FreezeUsers: []string{"ops"},
		Now: o.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) stop() {
	if err := errors.Join(o.engine.Close(context.Background()), o.journal.Close()); err != nil {
		o.t.Error(err)
	}
}

func (o *office) restart() {
	o.t.Helper()
	o.stop()
	o.start()
}

func (o *office) sign(id, key string) (signer.Result, error) {
	return o.engine.Sign(o.t.Context(), alice, signer.Request{ID: id, Key: key, Kind: signer.KindEVMMessage, Payload: []byte("pay bob")})
}

func order(id string, o admin.Order) signer.Request {
	payload, err := o.Encode()
	if err != nil {
		panic(err)
	}
	return signer.Request{ID: id, Key: signer.AdminKey, Kind: signer.KindAdmin, Payload: payload}
}

var root = signer.Caller{UID: 0, User: "root", Identified: true}

func (o *office) act(id string, what admin.Order) (signer.Result, error) {
	return o.engine.Sign(o.t.Context(), root, order(id, what))
}

// must has an act done.
func (o *office) must(id string, what admin.Order) signer.Result {
	o.t.Helper()
	res, err := o.act(id, what)
	if err != nil {
		o.t.Fatalf("%s: %v", what.Act, err)
	}
	return res
}

func (o *office) types() (out []string) {
	es, err := o.journal.Entries(context.Background(), 0, 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, e := range es {
		out = append(out, string(e.Leaf.Type))
	}
	return out
}

// audit verifies the whole journal, and starts again.
func (o *office) audit() realjournal.Report {
	o.t.Helper()
	key := newSoftKey("journal")
	s, err := signer.NewCheckpointSigner(key, &scheme.Verifier{}, o.journal.Instance())
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.journal.Checkpoint(o.t.Context(), s.Public(), s.Sign); err != nil {
		o.t.Fatal(err)
	}
	v, err := receipt.NewVerifier(receipt.Origin(o.journal.Instance()), key.Public())
	if err != nil {
		o.t.Fatal(err)
	}
	o.stop()
	defer o.start()
	r, err := realjournal.Verify(o.t.Context(), realjournal.VerifyConfig{Path: o.path, Trusted: v, Signature: scheme.Verify})
	if err != nil {
		o.t.Fatal(err)
	}
	for _, p := range r.Problems {
		o.t.Errorf("Verify found: %s", p)
	}
	return r
}

var (
	disableHot = admin.Order{Act: admin.ActDisable, Key: "hot", Reason: "laptop lost"}
	enableHot  = admin.Order{Act: admin.ActEnable, Key: "hot", Reason: "found again"}
	create     = admin.Order{Act: admin.ActCreate, Name: "new", Token: "card", Algorithm: signer.AlgorithmP256}
)

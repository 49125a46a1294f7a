package policy_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/journal"
	"github.com/sealward/sealward/signer/receipt"
	"github.com/sealward/sealward/signer/scheme"
)

// The model: histories of requests, by several callers at once, with keys that fail,
// crashes, reboots, clocks that are set, and policies that are replaced, against the
// real engine, policy and journal. Beside them runs a reference that knows no windows
// and no sums: it adds up the whole past for every question. The two must agree on
// every verdict, in the order in which the journal decided.

// decided is one decision, as the journal came to it.
type decided struct {
	payment payment
	facts   signer.Facts
	got     signer.Decision
	rules   rules
}

// recorder is the real journal, and notes decisions in the order of their making.
type recorder struct {
	*journal.Journal
	w *world
}

func (r recorder) Record(ctx context.Context, p signer.Proposal, n signer.Needs, decide func(signer.Facts) signer.Decision) (signer.Recorded, error) {
	return r.Journal.Record(ctx, p, n, func(f signer.Facts) signer.Decision {
		d := decide(f)
		r.w.mu.Lock()
		defer r.w.mu.Unlock()
		if rules, ok := r.w.byVersion[p.Policy]; ok && d.Reason != "" || d.Verdict == signer.Allow {
			r.w.log = append(r.w.log, decided{r.w.asked[p.Request.ID], f, d, rules})
		}
		return d
	})
}

// device is a key in memory that can fail, and be made to wait.
type device struct {
	*backendtest.Key
	w *world
}

func (d device) Sign(ctx context.Context, a signer.Authorized) ([]byte, error) {
	d.w.mu.Lock()
	fails, gate := d.w.fails, d.w.gate
	d.w.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if fails {
		return nil, errors.New("the card was pulled")
	}
	return d.Key.Sign(ctx, a)
}

// world is a host, with clocks that can be set and a journal that can be lost with
// the process.
type world struct {
	t    *rapid.T
	dir  string // of all its journals, also of those that died
	path string

	met     *tally
	keys    map[string]*backendtest.Key
	trusted signer.PublicKey // of checkpoints, of which this world signs none
	journal *journal.Journal
	engine  *signer.Engine
	ref     reference

	mu        sync.Mutex
	wall      time.Time
	boot      int
	since     time.Duration
	asked     map[string]payment
	byVersion map[[32]byte]rules
	log       []decided
	fails     bool
	gate      chan struct{}

	elapsed time.Duration // that truly passed
	gained  time.Duration // that reboots may have given to journal time
	first   time.Time     // journal time of the first decision
	begun   time.Duration // elapsed, then
	next    int
	signed  map[string]string // artefacts by request id
}

// tally counts how often each limit was exceeded, over all histories: one that none of
// them meets would be tested by none.
type tally struct {
	mu sync.Mutex
	of map[string]int
}

func (t *tally) count(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of[what]++
}

func newWorld(t *rapid.T, dir string, keys map[string]*backendtest.Key, trusted signer.PublicKey, met *tally) *world {
	w := &world{
		t: t, dir: dir, met: met, keys: keys, trusted: trusted, wall: time.Date(2026, 3, 28, 6, 30, 0, 0, time.UTC), since: time.Hour,
		asked: map[string]payment{}, byVersion: map[[32]byte]rules{}, signed: map[string]string{},
	}
	w.path = w.folder()
	w.ref.rules = drawRules(t)
	w.open()
	return w
}

func (w *world) folder() string {
	dir, err := os.MkdirTemp(w.dir, "j")
	w.must(err)
	return filepath.Join(dir, "journal.db")
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.wall }

// load makes the policy of the rules in force, with the keys of this world.
func (w *world) load() *policy.Policy {
	env := policy.Env{Keys: map[string]signer.KeyInfo{}}
	for name := range w.keys {
		env.Keys[name] = w.info(name)
	}
	p, err := policy.Load("policy.hcl", []byte(w.ref.rules.text()), env)
	w.must(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byVersion[p.Version()] = w.ref.rules
	return p
}

func (w *world) info(name string) signer.KeyInfo {
	pub := w.keys[name].Public()
	return signer.KeyInfo{
		Name: name, Public: pub, Fingerprint: pub.Fingerprint(), Protection: w.keys[name].Protection(),
		Kinds: []signer.Kind{signer.KindEVMTransaction}, Chains: []string{"eip155:1"},
	}
}

func (w *world) open() {
	var err error
	w.journal, err = journal.Open(journal.Config{Path: w.path, Now: w.now, Boot: func() (string, time.Duration, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return fmt.Sprint("boot-", w.boot), w.since, nil
	}})
	w.must(err)
	var keys []signer.ManagedKey
	for name, k := range w.keys {
		keys = append(keys, signer.ManagedKey{Info: w.info(name), Key: device{k, w}})
	}
	w.engine, err = signer.New(signer.Config{
		Instance: w.journal.Instance(), Keys: keys, Decoders: map[signer.Kind]signer.Decoder{signer.KindEVMTransaction: evm.Transaction{}},
		Policy: w.load(), Journal: recorder{w.journal, w}, Verifier: &scheme.Verifier{}, Now: w.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	w.must(err)
}

// shut ends the process in good order.
func (w *world) shut() {
	w.must(w.engine.Close(context.Background()))
	w.must(w.journal.Close())
}

// draw makes a payment that was not asked for before.
func (w *world) draw() payment {
	w.next++
	p := payment{
		id: fmt.Sprintf("r%d", w.next), key: rapid.SampledFrom([]string{"hot", "hot", "cold"}).Draw(w.t, "key"),
		uid: rapid.SampledFrom([]uint32{1000, 1001}).Draw(w.t, "uid"), to: rapid.IntRange(0, 3).Draw(w.t, "to"),
		value: rapid.OneOf(rapid.IntRange(0, 4000), rapid.IntRange(0, 800), rapid.SampledFrom([]int{0, 1, w.ref.rules.each, w.ref.rules.first, w.ref.rules.first + 1})).Draw(w.t, "value"),
		fee:   rapid.OneOf(rapid.IntRange(0, 9), rapid.IntRange(0, 9), rapid.SampledFrom([]int{0, w.ref.rules.fee, w.ref.rules.fee + 1})).Draw(w.t, "fee"),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[p.id] = p
	return p
}

// ask asks for a payment. A signature that was given once is the same for ever.
func (w *world) ask(p payment) error {
	caller := signer.Caller{UID: p.uid, GID: 1000, PID: 7, User: fmt.Sprint("u", p.uid), Socket: "sign", Identified: true}
	res, err := w.engine.Sign(context.Background(), caller, signer.Request{ID: p.id, Key: p.key, Kind: signer.KindEVMTransaction, Payload: p.payload()})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.signed[p.id]; ok && before != string(res.Artifact) {
		return fmt.Errorf("request %s was signed twice, differently", p.id)
	}
	w.signed[p.id] = string(res.Artifact)
	return nil
}

// check compares what was decided since the last time with the reference.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.log {
		now := d.facts.Time
		if w.first.IsZero() {
			w.first, w.begun = now, w.elapsed
		}
		// Journal time gains nothing on true time but what it may: 2 s and one part in
		// a thousand at once, and what a reboot is believed.
		truly := w.elapsed - w.begun
		if most := truly + truly/1000 + 2*time.Second + w.gained; now.Sub(w.first) > most {
			w.t.Fatalf("journal time went on by %s in %s", now.Sub(w.first), truly)
		}
		w.ref.rules = d.rules
		want := w.ref.allows(d.payment, now)
		if got := d.got.Verdict == signer.Allow; got != want {
			w.t.Fatalf("%+v at %s: allowed = %v, the reference says %v\nrules %+v\nreason %q\nfacts %+v\npast %+v", d.payment, now, got, want, d.rules, d.got.Reason, d.facts, w.ref.past)
		}
		for _, l := range d.got.Limits {
			if l.Exceeded() {
				w.met.count(l.Limit)
			}
		}
		if want {
			w.ref.past = append(w.ref.past, paid{d.payment, now})
			w.met.count("allowed")
		}
	}
	w.log = nil
}

// judged reports an answer that no sound engine gives.
func (w *world) judged(p payment, err error) {
	if err == nil {
		return
	}
	switch signer.CodeOf(err) {
	case signer.CodeDenied:
	case signer.CodeUnavailable:
		if !w.fails {
			w.t.Errorf("%+v: %v", p, err)
		}
	default:
		w.t.Errorf("%+v: %v", p, err)
	}
}

// pass lets time pass for both clocks.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wall, w.since, w.elapsed = w.wall.Add(d), w.since+d, w.elapsed+d
}

func (w *world) actions() map[string]func(*rapid.T) {
	one := func(*rapid.T) {
		p := w.draw()
		w.judged(p, w.ask(p))
	}
	return map[string]func(*rapid.T){
		"":                func(*rapid.T) { w.check() },
		"a payment":       one,
		"another payment": one,
		"many at once":    func(t *rapid.T) { w.burst(rapid.IntRange(2, 8).Draw(t, "callers")) },
		"the same again": func(t *rapid.T) {
			if w.next > 0 {
				p := w.asked[fmt.Sprintf("r%d", rapid.IntRange(1, w.next).Draw(t, "which"))]
				w.judged(p, w.ask(p))
			}
		},
		"the same id for more": func(t *rapid.T) {
			if w.next > 0 {
				p := w.asked[fmt.Sprintf("r%d", rapid.IntRange(1, w.next).Draw(t, "which"))]
				p.value += 1000
				if err := w.ask(p); signer.CodeOf(err) != signer.CodeConflict {
					// What was never recorded, as a refusal among too many, may be asked anew.
					if _, _, lookup := w.engine.Lookup(context.Background(), fmt.Sprint("uid:", p.uid), p.id); lookup == nil {
						t.Errorf("request %s was asked for other content: %v", p.id, err)
					}
				}
			}
		},
		"a card that is pulled": func(*rapid.T) {
			w.fails = true
			p := w.draw()
			w.judged(p, w.ask(p))
			w.fails = false
		},
		"time": func(t *rapid.T) {
			w.pass(time.Duration(rapid.OneOf(rapid.IntRange(1, 60), rapid.IntRange(60, 9*3600)).Draw(t, "seconds")) * time.Second)
		},
		"exactly an hour": func(*rapid.T) { w.pass(time.Hour) },
		"the clock is set": func(t *rapid.T) {
			step := rapid.SampledFrom([]time.Duration{-720 * time.Hour, -24 * time.Hour, -time.Hour, -time.Minute, time.Second, time.Minute, time.Hour, 24 * time.Hour, 720 * time.Hour}).Draw(t, "step")
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wall = w.wall.Add(step)
		},
		"the process ends": func(t *rapid.T) {
			switch rapid.SampledFrom([]string{"reboot", "restart", "crash"}).Draw(t, "how") {
			case "reboot":
				w.reboot(t)
			case "restart":
				w.shut()
				w.open()
			case "crash":
				w.crash(rapid.IntRange(1, 5).Draw(t, "callers"))
			}
		},
		"another policy": func(t *rapid.T) {
			w.ref.rules = drawRules(t)
			w.must(w.engine.SetPolicy(context.Background(), w.load()))
		},
	}
}

// reboot takes a while, after which the wall clock may be wrong.
func (w *world) reboot(t *rapid.T) {
	off := time.Duration(rapid.IntRange(1, 2*3600).Draw(t, "off")) * time.Second
	wrong := rapid.SampledFrom([]time.Duration{0, 0, -720 * time.Hour, -time.Hour, 10 * time.Minute, time.Hour, 720 * time.Hour}).Draw(t, "wrong")
	w.shut()
	w.pass(off + 20*time.Second)
	w.boot, w.since, w.wall = w.boot+1, 20*time.Second, w.wall.Add(wrong)
	w.gained += 15 * time.Minute // which the journal believes
	w.open()
}

// burst has several callers ask at once.
func (w *world) burst(n int) {
	var wg sync.WaitGroup
	for range n {
		p := w.draw()
		wg.Go(func() { w.judged(p, w.ask(p)) })
	}
	wg.Wait()
}

// crash ends the process while requests wait for the device, all of which are decided
// by then: what is on disk goes on, what was in memory is gone. Then they ask again.
func (w *world) crash(n int) {
	w.mu.Lock()
	w.gate = make(chan struct{})
	w.mu.Unlock()
	var wg sync.WaitGroup
	var asked []payment
	for range n {
		p := w.draw()
		asked = append(asked, p)
		wg.Go(func() { _ = w.ask(p) }) // nobody is there to hear the answer
	}
	for decidedAll := false; !decidedAll; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		decidedAll = len(w.log) >= n
		w.mu.Unlock()
	}
	dead, deadEngine := w.journal, w.engine
	_, err := dead.Facts(context.Background(), signer.Proposal{}, signer.Needs{}) // behind the last commit
	w.must(err)
	from := w.path
	w.path = w.folder()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(from + suffix)
		w.must(err)
		w.must(os.WriteFile(w.path+suffix, data, 0o600))
	}
	w.check()
	w.mu.Lock()
	close(w.gate)
	w.gate = nil
	w.mu.Unlock()
	wg.Wait() // what the dead process did after its death nobody saw
	w.must(deadEngine.Close(context.Background()))
	w.must(dead.Close())
	w.open()
	for _, p := range asked {
		w.judged(p, w.ask(p))
	}
}

// sound verifies the whole journal: every decision's facts against the records before
// it, every signature, every table; and that it authorised what the reference did.
func (w *world) sound() {
	w.shut()
	trusted, err := receipt.NewVerifier("sealward.dev/journal/"+w.journal.Instance(), w.trusted)
	w.must(err)
	rep, err := journal.Verify(context.Background(), journal.VerifyConfig{Path: w.path, Trusted: trusted, Signature: scheme.Verify})
	w.must(err)
	for _, p := range rep.Problems {
		if !strings.Contains(fmt.Sprint(p), "checkpoint") {
			w.t.Errorf("the journal: %v", p)
		}
	}
	if int(rep.Authorized) != len(w.ref.past) {
		w.t.Errorf("the journal authorised %d requests, the reference %d", rep.Authorized, len(w.ref.past))
	}
}

func TestNoHistoryExceedsALimit(t *testing.T) {
	const rounds = 10 // of a hundred histories each, unless -rapid.checks says otherwise
	keys := map[string]*backendtest.Key{"hot": backendtest.NewKey(t, signer.AlgorithmSecp256k1), "cold": backendtest.NewKey(t, signer.AlgorithmSecp256k1)}
	trusted := backendtest.NewKey(t, signer.AlgorithmEd25519).Public()
	met := &tally{of: map[string]int{}}
	t.Cleanup(func() {
		for _, what := range []string{"allowed", "each", "an hour", "a day", "to each", "by caller", "few", "few to each", "few by caller", "few of an asset", "fee", "fee share"} {
			if met.of[what] < rounds {
				t.Errorf("over all histories, %q was met %d times only", what, met.of[what])
			}
		}
	})
	for i := range rounds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(r *rapid.T) {
				dir := filepath.Join(t.TempDir(), "history")
				if err := os.Mkdir(dir, 0o700); err != nil {
					r.Fatal(err)
				}
				w := newWorld(r, dir, keys, trusted, met)
				r.Repeat(w.actions())
				w.check()
				w.sound()
				w.must(os.RemoveAll(dir)) // a journal has megabytes
			})
		})
	}
}

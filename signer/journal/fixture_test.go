package journal

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

const (
	eth  = "eip155:1/slip44:60"
	usdc = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	day  = 24 * time.Hour
)

// privateKey derives a key from a name, so that tests need no files of keys.
func privateKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicKey(name string) signer.PublicKey {
	pub := privateKey(name).Public().(ed25519.PublicKey)
	return signer.PublicKey{Algorithm: signer.AlgorithmEd25519, Bytes: pub}
}

// host is a machine with clocks that a test can set.
type host struct {
	mu    sync.Mutex
	wall  time.Time
	boot  string
	since time.Duration
}

func newHost() *host {
	return &host{wall: time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC), boot: "boot-1", since: time.Hour}
}

// pass lets time pass for both clocks.
func (h *host) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall, h.since = h.wall.Add(d), h.since+d
}

// step sets the wall clock alone.
func (h *host) step(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall = h.wall.Add(d)
}

// reboot takes some time, after which the wall clock is off by an error.
func (h *host) reboot(off, wrong time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall = h.wall.Add(off + wrong)
	h.boot += "'"
	h.since = 20 * time.Second
	h.wall = h.wall.Add(h.since)
}

func (h *host) config(path string) Config {
	return Config{
		Path: path,
		Now: func() time.Time {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.wall
		},
		Boot: func() (string, time.Duration, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.boot, h.since, nil
		},
	}
}

// privateFile returns a path in a private folder.
func privateFile(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "journal.db")
}

func open(t testing.TB, c Config) *Journal {
	t.Helper()
	j, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, j) })
	return j
}

// begun opens a journal that begins with a start, as a daemon's does.
func begun(t testing.TB, h *host, path string) *Journal {
	t.Helper()
	j := open(t, h.config(path))
	if j.Size() == 0 {
		if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStarted}); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func shut(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Errorf("Close error = %v", err)
	}
}

// acme is who proposals pay.
const acme = "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7"

// proposal pays amounts of assets to acme, with the key of the given name.
func proposal(j *Journal, id, key string, outflow ...signer.Quantity) signer.Proposal {
	pub := publicKey(key)
	effects := []signer.Effect{{Class: signer.ClassTransfer, Actor: "eip155:1:0x01", Counterparty: acme}}
	for i, q := range outflow {
		effects = append(effects[:i], signer.Effect{Class: signer.ClassTransfer, Actor: "eip155:1:0x01", Counterparty: acme, Quantity: q})
	}
	message := sha256.Sum256([]byte(id))
	return signer.Proposal{
		Instance: j.Instance(),
		Caller:   signer.Caller{UID: 1000, GID: 1000, PID: 42, User: "payroll", Socket: "sign", Identified: true},
		Request:  signer.Request{ID: id, Key: key, Kind: signer.KindEVMTransaction, Payload: []byte("payload of " + id)},
		Key: signer.KeyInfo{
			Name: key, Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident,
			Kinds: []signer.Kind{signer.KindEVMTransaction}, Chains: []string{"eip155:1"},
		},
		Intent: signer.Intent{
			Kind: signer.KindEVMTransaction, Complete: true,
			Effects:  effects,
			Outflow:  outflow,
			Messages: []signer.Message{{Scheme: signer.SchemeEd25519, Bytes: message[:]}},
		},
		Decoder: "test/1", Created: j.c.Now(),
	}
}

func wei(n int64) signer.Quantity { return signer.AtMost(eth, big.NewInt(n)) }

func allow(signer.Facts) signer.Decision {
	return signer.Decision{Verdict: signer.Allow, Rules: []string{"all"}}
}

func deny(signer.Facts) signer.Decision { return signer.Decision{Reason: "no rule matches"} }

// limit allows while a window has room.
func limit(amount, most int64) func(signer.Facts) signer.Decision {
	return func(f signer.Facts) signer.Decision {
		s, _ := f.Find(eth, signer.Measure{Window: day}, "")
		use := signer.LimitUse{
			Rule: "payouts", Limit: "a day", Asset: eth, Window: day,
			Max: big.NewInt(most), Spent: s.Amount, Amount: big.NewInt(amount), Frees: s.Frees,
		}
		d := signer.Decision{Verdict: signer.Allow, Rules: []string{"payouts"}, Limits: []signer.LimitUse{use}}
		if use.Exceeded() {
			d.Verdict, d.Reason = signer.Deny, "limit reached"
		}
		return d
	}
}

// record is Record with a window of a day that must not fail.
func record(t testing.TB, j *Journal, p signer.Proposal, decide func(signer.Facts) signer.Decision) signer.Recorded {
	t.Helper()
	rec, err := j.Record(t.Context(), p, over(day), decide)
	if err != nil {
		t.Fatalf("Record(%s) error = %v", p.Request.ID, err)
	}
	return rec
}

// finish signs an authorisation and records that.
func finish(t testing.TB, j *Journal, rec signer.Recorded) uint64 {
	t.Helper()
	leaf, err := j.Finish(t.Context(), outcomeOf(rec))
	if err != nil {
		t.Fatalf("Finish(%d) error = %v", rec.Leaf, err)
	}
	return leaf
}

func outcomeOf(rec signer.Recorded) signer.Outcome {
	sig := ed25519.Sign(privateKey(rec.Proposal.Key.Name), rec.Proposal.Intent.Messages[0].Bytes)
	return signer.Outcome{Authorization: rec.Leaf, Signatures: [][]byte{sig}}
}

// checkpoint signs the journal with the key of the given name.
func checkpoint(t testing.TB, j *Journal, key string) Checkpoint {
	t.Helper()
	c, err := j.Checkpoint(t.Context(), publicKey(key), signWith(key))
	if err != nil {
		t.Fatalf("Checkpoint error = %v", err)
	}
	return c
}

func signWith(key string) func(context.Context, []byte) ([]byte, error) {
	return func(_ context.Context, text []byte) ([]byte, error) { return ed25519.Sign(privateKey(key), text), nil }
}

// trusting returns what is needed to verify a journal whose key is "journal".
func trusting(t testing.TB, path, instance string) VerifyConfig {
	t.Helper()
	v, err := receipt.NewVerifier(receipt.Origin(instance), publicKey("journal"))
	if err != nil {
		t.Fatal(err)
	}
	return VerifyConfig{Path: path, Trusted: v, Signature: func(pub signer.PublicKey, m signer.Message, sig []byte) error {
		if !ed25519.Verify(pub.Bytes, m.Bytes, sig) {
			return errors.New("it does not verify")
		}
		return nil
	}}
}

// verify verifies a closed journal and returns the report.
func verify(t testing.TB, c VerifyConfig) Report {
	t.Helper()
	r, err := Verify(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func intact(t testing.TB, r Report) {
	t.Helper()
	for _, p := range r.Problems {
		t.Errorf("Verify found: %s", p)
	}
}

// allNeeds counts by everything there is to count by, over days and minutes.
func allNeeds() (n signer.Needs) {
	for _, per := range []signer.Per{signer.PerKey, signer.PerCaller, signer.PerRecipient, signer.PerAsset} {
		n.Measures = append(n.Measures, signer.Measure{Window: day, Per: per}, signer.Measure{Window: time.Minute, Per: per})
	}
	n.Recipients = true
	return n
}

// over needs what was spent in windows.
func over(windows ...time.Duration) (n signer.Needs) {
	for _, w := range windows {
		n.Measures = append(n.Measures, signer.Measure{Window: w})
	}
	return n
}

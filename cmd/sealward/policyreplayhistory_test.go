package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/journal"
	"github.com/sealward/sealward/signer/scheme"
)

// history is a journal that the real engine writes, on a host whose clocks go on as the
// test says.
type history struct {
	tb      testing.TB
	dir     string
	keys    map[string]*backendtest.Key
	journal *journal.Journal
	engine  *signer.Engine
	alice   *backendtest.Key // what she approves with
	asked   int

	mu   sync.Mutex
	wall time.Time // owned by mu
}

// dawn is when histories begin.
var dawn = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// replayConfig is the configuration that histories are written under.
const replayConfig = `version = 1
private = true
policy  = "policy.hcl"
journal {
  path = "journal/journal.db"
  key  = "journal"
}
socket "sign" {
  path = "sign.sock"
}
socket "admin" {
  path = "admin.sock"
}
token "hsm" {
  pkcs11 {
    module   = "/usr/lib/softhsm/libsofthsm2.so"
    uri      = "pkcs11:token=t"
    pin_file = "pin"
  }
}
key "hot" {
  token  = "hsm"
  uri    = "pkcs11:object=hot"
  kinds  = ["evm.transaction"]
  chains = ["eip155:1"]
}
key "journal" {
  token      = "hsm"
  uri        = "pkcs11:object=journal"
  statements = true
}
`

const replayHead = `version = 1
asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
addresses "vendors" {
  entries = { "eip155:1:` + acme + `" = "Acme Hosting" }
}
`

// capped is a rule that lets everything through up to so many ether in a window.
func capped(eth int, window string) string {
	return replayHead + fmt.Sprintf("rule \"pay\" {\n  keys = [\"hot\"]\n  allow = true\n  limit \"a while\" {\n    amount = \"%d eth\"\n    window = %q\n  }\n}\n", eth, window)
}

func newHistory(tb testing.TB, rules string) *history {
	h := &history{tb: tb, dir: tb.TempDir(), wall: dawn, keys: map[string]*backendtest.Key{"hot": backendtest.NewKey(tb, signer.AlgorithmSecp256k1)}}
	h.must(os.Mkdir(filepath.Join(h.dir, "journal"), 0o700))
	h.write("sealward.hcl", replayConfig)
	h.alice = backendtest.NewKey(tb, signer.AlgorithmP256)
	h.write("alice.pem", certificate(tb, h.alice.Public()))
	var err error
	h.journal, err = journal.Open(journal.Config{Path: h.file(), Now: h.now, Boot: func() (string, time.Duration, error) {
		return "boot", h.now().Sub(dawn) + time.Hour, nil
	}})
	h.must(err)
	p := h.load(rules)
	var managed []signer.ManagedKey
	for name := range h.keys {
		managed = append(managed, signer.ManagedKey{Info: h.info(name), Key: h.keys[name]})
	}
	h.engine, err = signer.New(signer.Config{
		Instance: h.journal.Instance(), Keys: managed, Decoders: engineDecoders(), Policy: p, Journal: h.journal,
		Verifier: &scheme.Verifier{}, Approvals: approval.Verifier{}, Now: h.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	h.must(err)
	_, err = h.journal.Adopt(context.Background(), signer.Event{Type: signer.EventStarted, Policy: p.Version()}, p.Bundle())
	h.must(err)
	return h
}

func (h *history) must(err error) {
	if err != nil {
		h.tb.Helper()
		h.tb.Fatal(err)
	}
}

func (h *history) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wall
}

func (h *history) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wall = h.wall.Add(d)
}

func (h *history) file() string { return filepath.Join(h.dir, "journal", "journal.db") }

func (h *history) write(name, text string) string {
	path := filepath.Join(h.dir, name)
	h.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (h *history) info(name string) signer.KeyInfo {
	pub := h.keys[name].Public()
	return signer.KeyInfo{
		Name: name, Public: pub, Fingerprint: pub.Fingerprint(), Protection: h.keys[name].Protection(),
		Kinds: []signer.Kind{signer.KindEVMTransaction}, Chains: []string{"eip155:1"},
	}
}

func (h *history) load(rules string) *policy.Policy {
	env := policy.Env{Keys: map[string]signer.KeyInfo{}, Files: func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(h.dir, name)) }}
	for name := range h.keys {
		env.Keys[name] = h.info(name)
	}
	p, err := policy.Load("policy.hcl", []byte(rules), env)
	h.must(err)
	return p
}

// adopt puts other rules in force.
func (h *history) adopt(rules string) {
	h.must(h.engine.SetPolicy(context.Background(), h.load(rules)))
}

// milli is so many thousandths of an ether.
func milli(n int) *big.Int { return new(big.Int).Mul(big.NewInt(int64(n)), big.NewInt(1e15)) }

// pay asks for a payment in thousandths of an ether, for a fee of at most 21000 wei.
func (h *history) pay(uid uint32, to string, amount int, change ...func(*signer.Request)) error {
	h.asked++
	r := signer.Request{
		ID: fmt.Sprintf("r%d", h.asked), Key: "hot", Kind: signer.KindEVMTransaction,
		Payload: fmt.Appendf(nil, `{"type":"0x2","chainId":"0x1","nonce":"0x%x","to":%q,"value":"0x%x","gas":"0x5208","maxFeePerGas":"0x1","maxPriorityFeePerGas":"0x1"}`, h.asked, to, milli(amount)),
	}
	for _, c := range change {
		c(&r)
	}
	caller := signer.Caller{UID: uid, GID: 1000, PID: 7, User: fmt.Sprint("u", uid), Socket: "sign", Identified: true}
	_, err := h.engine.Sign(context.Background(), caller, r)
	return err
}

// waiting are the requests that wait, once that is so of them.
func (h *history) waiting(until func([]signer.Waiting) bool) []signer.Waiting {
	h.tb.Helper()
	for range 1000 { // settled in its own time
		all, err := h.engine.AllWaiting(context.Background())
		h.must(err)
		if until(all) {
			return all
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.tb.Fatal("what waits is not settled")
	return nil
}

// says has alice say a word about all that waits, and waits for what comes of it.
func (h *history) says(word signer.Word) {
	h.tb.Helper()
	current := func(w signer.Waiting) bool { return w.Policy == h.engine.Policy().Version() }
	for _, w := range h.waiting(func(all []signer.Waiting) bool { return len(all) > 0 && current(all[0]) }) {
		a := signer.Approval{Word: word, Instance: h.journal.Instance(), Proposal: w.Proposal, Device: h.alice.Public().Fingerprint(), Reason: "so I say", Time: h.now()}
		jws, err := signer.SignApproval(context.Background(), h.alice, "", &scheme.Verifier{}, a, func(signer.Notice) {})
		h.must(err)
		signed, err := approval.WrapJWS(jws)
		h.must(err)
		_, _, err = h.engine.Hear(context.Background(), signer.Caller{UID: 7, User: "alice", Socket: "admin", Identified: true}, signed)
		h.must(err)
	}
	h.waiting(func(all []signer.Waiting) bool { return len(all) == 0 })
}

// shut ends the daemon, so that the file can be read.
func (h *history) shut() {
	h.must(h.engine.Close(context.Background()))
	h.must(h.journal.Close())
}

// replay runs the command on the journal's file.
func (h *history) replay(candidate string, args ...string) (code int, out replayed, text string) {
	h.tb.Helper()
	all := []string{"policy", "replay", "--file", h.file(), "--since", "365d"}
	if candidate != "" {
		all = append(all, h.write("candidate.hcl", candidate))
	}
	all = append(all, args...)
	code, text, stderr := sealward("", all...)
	jsonCode, doc, _ := sealward("", append([]string{"-o", "json"}, all...)...)
	if code != jsonCode || code != exitOK && code != exitProblems {
		h.tb.Fatalf("exit code %d, %d as JSON; %s", code, jsonCode, stderr)
	}
	h.must(json.Unmarshal([]byte(doc), &out))
	return code, out, text
}

const treasury = `
approver "alice" {
  certificate = "alice.pem"
}
group "treasury" {
  members = ["alice"]
}
recovery {
  group     = "treasury"
  approvals = 1
}
`

// certificate is one of a person's key, signed by nobody that matters.
func certificate(t testing.TB, public signer.PublicKey) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice"}, NotBefore: dawn, NotAfter: dawn.AddDate(9, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, point, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

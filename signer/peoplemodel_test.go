package signer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// The model of people: histories of requests that wait, of what approvers say about them,
// of policies that are replaced, of time that passes, of restarts and crashes between any
// two steps of the journal, against the real engine and journal and real signatures.
// Beside them is a reference that keeps no state at all: for each signature it reads what
// came before it, from the first entry on, and counts people by what the test itself
// signed. Nothing may be signed that it would not sign, and nothing be left waiting that
// it would.

// said is what the test signed with somebody's token.
type said struct {
	who, token string
	approval   signer.Approval
	signed     []byte
}

type model struct {
	*treasury
	rt       *rapid.T
	folder   func() string
	said     map[[32]byte]said // by the approval's id
	order    [][32]byte        // of said
	accepted map[[32]byte]bool // that the engine took
	policies map[[32]byte]signer.Decision
	asked    []string
	next     int
	met      *met

	mu     sync.Mutex
	signed [][]byte // the messages that the key was given
}

// met counts what histories met, so that a model that has come to try nothing fails.
type met struct {
	sync.Mutex
	n map[string]int
}

func (m *met) count(what string) {
	m.Lock()
	defer m.Unlock()
	m.n[what]++
}

func drawDecision(t *rapid.T) signer.Decision {
	d := signer.Decision{Verdict: signer.Ask, Reason: "asks", Expires: time.Duration(rapid.IntRange(1, 4).Draw(t, "expires")) * time.Hour}
	for i := range rapid.IntRange(1, 2).Draw(t, "quorums") {
		q := signer.Quorum{Rule: fmt.Sprint(i), Group: rapid.SampledFrom([]string{"treasury", "treasury", "officers"}).Draw(t, "group")}
		q.Approvals = rapid.IntRange(1, 2).Draw(t, "approvals")
		q.ExcludeCaller = rapid.Bool().Draw(t, "exclude")
		if q.Group == "treasury" && rapid.Bool().Draw(t, "including") {
			q.Including = "officers"
		}
		if q.Approvals == 1 && rapid.IntRange(0, 4).Draw(t, "devices") == 0 {
			q.Devices = 2
		}
		d.Quorums = append(d.Quorums, q)
	}
	if rapid.IntRange(0, 2).Draw(t, "delayed") == 0 {
		d.Delay = 30 * time.Minute
	}
	return d
}

func (m *model) ask(id string) error {
	_, err := m.engine.Sign(context.Background(), alice, signer.Request{ID: id, Key: "hot", Kind: signer.KindEVMMessage, Payload: []byte("pay " + id)})
	return err
}

// settle asks for a request until nothing is being done about it, and returns the answer.
func (m *model) settled(id string) error {
	for range 200 {
		switch err := m.ask(id); signer.CodeOf(err) {
		case signer.CodePending, signer.CodeOverloaded:
			m.pass(time.Second)
			continue
		default:
			return err
		}
	}
	m.rt.Fatalf("request %s does not come to rest", id)
	return nil
}

func (m *model) say(t *rapid.T) {
	all, err := m.engine.AllWaiting(context.Background())
	if err != nil {
		return // crashed
	}
	a := signer.Approval{Word: rapid.SampledFrom([]signer.Word{signer.WordApprove, signer.WordApprove, signer.WordApprove, signer.WordApprove, signer.WordApprove, signer.WordWithdraw, signer.WordReject}).Draw(t, "word"), Reason: "so"}
	switch old := rapid.IntRange(0, 9).Draw(t, "about"); {
	case old == 0 && len(m.order) > 0:
		a.Proposal = m.said[m.order[rapid.IntRange(0, len(m.order)-1).Draw(t, "old")]].approval.Proposal
	case len(all) > 0:
		a.Proposal = all[rapid.IntRange(0, len(all)-1).Draw(t, "which")].Proposal
	default:
		return
	}
	if rapid.IntRange(0, 4).Draw(t, "short") == 0 {
		a.Expires = m.now().Add(20 * time.Minute).UTC()
	}
	token := rapid.SampledFrom(tokens).Draw(t, "token")
	signed := m.says(token, a)
	h, err := m.verified(signed)
	if err != nil {
		t.Fatal(err)
	}
	id := h.Approval.ID()
	m.said[id] = said{strings.TrimSuffix(token, "'s phone"), token, h.Approval, signed}
	m.order = append(m.order, id)
	m.post(signed, id)
}

func (m *model) verified(signed []byte) (signer.Heard, error) {
	return approval.Verifier{}.Verify(signed, m.people())
}

func (m *model) post(signed []byte, id [32]byte) {
	_, prior, err := m.engine.Hear(context.Background(), root, signed)
	switch {
	case err == nil && !prior:
		if m.accepted[id] {
			m.rt.Errorf("one approval was taken twice")
		}
		m.accepted[id] = true
	case prior:
		m.met.count("posted again")
	}
	m.rest()
}

// rest waits until the engine has done what it does by itself: what is asked again is
// settled in line.
func (m *model) rest() {
	for _, id := range m.asked {
		_ = m.settled(id)
	}
}

func (m *model) replay(t *rapid.T) {
	if len(m.order) == 0 {
		return
	}
	id := m.order[rapid.IntRange(0, len(m.order)-1).Draw(t, "said")]
	m.post(m.said[id].signed, id)
}

func (m *model) change(t *rapid.T) {
	m.next++
	d := drawDecision(t)
	p := m.asking(byte(m.next), d)
	m.policies[p.Version()] = d
	if err := m.engine.SetPolicy(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	m.policy = p
	m.met.count("policy changed")
	m.rest()
}

// crash ends the process at one of the next steps of the journal, before or after it, in
// the midst of what is done then.
func (m *model) crash(t *rapid.T) {
	c := &crashing{left: rapid.IntRange(0, 4).Draw(t, "steps"), after: rapid.Bool().Draw(t, "after"), from: m.path, to: m.folder()}
	m.pause = func(j signer.Journal) signer.Journal { c.Journal = j; return c }
	m.restart()
	m.pause = func(j signer.Journal) signer.Journal { return j }
	m.say(t)
	m.say(t)
	for !c.dead() {
		_ = m.ask("crash") // what it is answered is of no matter
	}
	if err := errors.Join(m.engine.Close(context.Background()), m.journal.Close()); err != nil {
		t.Fatal(err)
	}
	m.path = c.copied
	m.start()
	// What was answered is on record; what was not may be.
	es, err := m.journal.Entries(context.Background(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	have := map[[32]byte]bool{}
	for _, e := range es {
		if ev, err := e.Event(); err == nil && ev.Heard != nil {
			have[ev.Heard.Approval.ID()] = true
		}
	}
	for id := range m.accepted {
		if !have[id] {
			t.Errorf("an approval that was taken is not in the record after a crash")
		}
	}
	for id := range have {
		m.accepted[id] = true
	}
	m.met.count("crashed")
	m.rest()
}

// crashing is a journal that dies at a step: what is on disk then is all that is left.
type crashing struct {
	signer.Journal
	mu     sync.Mutex
	left   int
	after  bool
	from   string
	to     string
	copied string
}

var errDead = &signer.Error{Code: signer.CodeUnavailable, Detail: "the process is dead"}

func (c *crashing) dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.copied != ""
}

// step runs one step unless the process is dead. Steps do not overlap, so that a copy is
// of a moment between two.
func (c *crashing) step(do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copied != "" {
		return errDead
	}
	c.left--
	if c.left < 0 && !c.after {
		return c.die()
	}
	err := do()
	if c.left < 0 {
		return c.die()
	}
	return err
}

func (c *crashing) die() error {
	path := filepath.Join(c.to, filepath.Base(c.from))
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(c.from + suffix)
		if err != nil {
			panic(err)
		}
		if err := os.WriteFile(path+suffix, data, 0o600); err != nil {
			panic(err)
		}
	}
	c.copied = path
	return errDead
}

func (c *crashing) Record(ctx context.Context, p signer.Proposal, n signer.Needs, decide func(signer.Facts) signer.Decision) (rec signer.Recorded, err error) {
	err = c.step(func() error { rec, err = c.Journal.Record(ctx, p, n, decide); return err })
	return rec, err
}

func (c *crashing) Settle(ctx context.Context, w uint64, p signer.Proposal, n signer.Needs, decide func(signer.Facts, []signer.Heard) signer.Decision) (rec signer.Recorded, err error) {
	err = c.step(func() error { rec, err = c.Journal.Settle(ctx, w, p, n, decide); return err })
	return rec, err
}

func (c *crashing) Hear(ctx context.Context, e signer.Event, check func(signer.Recorded) error) (leaf uint64, prior bool, err error) {
	err = c.step(func() error { leaf, prior, err = c.Journal.Hear(ctx, e, check); return err })
	return leaf, prior, err
}

func (c *crashing) Finish(ctx context.Context, o signer.Outcome) (leaf uint64, err error) {
	err = c.step(func() error { leaf, err = c.Journal.Finish(ctx, o); return err })
	return leaf, err
}

// check reads the whole record against the reference.
func (m *model) check() {
	es, err := m.journal.Entries(context.Background(), 0, 1<<20)
	if err != nil {
		m.rt.Fatal(err)
	}
	var events []signer.Event
	authorized := map[string]bool{}
	for _, e := range es {
		ev, err := e.Event()
		if err != nil {
			m.rt.Fatal(err)
		}
		events = append(events, ev)
		if ev.Type == signer.EventAuthorized {
			authorized[string(ev.Proposal.Intent.Messages[0].Bytes)] = true
			if why := m.judge(events, *ev.Proposal, ev.Time); why != "" {
				m.rt.Errorf("leaf %d authorised request %s: %s", e.Index, ev.Proposal.Request.ID, why)
			}
			m.met.count("signed")
		}
		if ev.Type == signer.EventDenied {
			m.met.count(strings.Fields(ev.Decision.Reason)[0])
		}
	}
	m.mu.Lock()
	for _, msg := range m.signed {
		if !authorized[string(msg)] {
			m.rt.Errorf("the key signed %q, which nothing in the record authorises", msg)
		}
	}
	m.mu.Unlock()
	for _, id := range m.asked {
		err := m.settled(id)
		rec, ok, lerr := m.journal.Lookup(context.Background(), alice.ID(), id)
		if lerr != nil || !ok {
			m.rt.Fatalf("request %s is not on record: %v", id, lerr)
		}
		if signer.CodeOf(err) == signer.CodeWaiting && m.judge(events, rec.Proposal, m.now()) == "" {
			m.rt.Errorf("request %s waits though it may be signed", id)
		}
	}
}

// judge says why a proposal may not be authorised at a time, by all that is on record
// before; empty: it may.
func (m *model) judge(before []signer.Event, p signer.Proposal, at time.Time) string {
	digest := p.Digest()
	var since time.Time
	var policy [32]byte
	var heard []said
	for _, ev := range before {
		switch {
		case ev.Type == signer.EventStarted || ev.Type == signer.EventPolicy:
			policy = ev.Policy
		case ev.Type == signer.EventWaiting && ev.Proposal.Digest() == digest:
			since = ev.Time
		case ev.Type == signer.EventApproval && ev.Heard.Approval.Proposal == digest:
			s, ok := m.said[ev.Heard.Approval.ID()]
			if !ok {
				return "an approval is on record that nobody signed"
			}
			if slices.ContainsFunc(heard, func(x said) bool { return x.approval.ID() == s.approval.ID() }) {
				return "an approval is on record twice"
			}
			heard = append(heard, s)
		}
	}
	d := m.policies[policy]
	switch {
	case since.IsZero():
		return "it never waited"
	case p.Policy != policy:
		return "another policy is in force"
	case at.Before(since.Add(d.Delay)):
		return "its delay is not over"
	case !at.Before(since.Add(d.Expires)):
		return "it expired"
	}
	has := func(who string, w signer.Word, live bool) (tokens []string) {
		for _, s := range heard {
			if s.who == who && s.approval.Word == w && !slices.Contains(tokens, s.token) && (!live || s.approval.Expires.IsZero() || at.Before(s.approval.Expires)) {
				tokens = append(tokens, s.token)
			}
		}
		return tokens
	}
	groups := map[string][]string{"treasury": {"ann", "bob", "carol"}, "officers": {"carol", "dave"}}
	for _, q := range d.Quorums {
		n, included := 0, q.Including == ""
		for _, who := range groups[q.Group] {
			if len(has(who, signer.WordReject, false)) > 0 {
				return who + " rejected it"
			}
			if q.ExcludeCaller && who == "ann" { // whose user alice asks
				continue
			}
			if len(has(who, signer.WordWithdraw, false)) == 0 && len(has(who, signer.WordApprove, true)) >= max(1, q.Devices) {
				n++
				included = included || slices.Contains(groups[q.Including], who)
			}
		}
		if n < q.Approvals || !included {
			return fmt.Sprintf("of %q %d approved, want %d", q.Group, n, q.Approvals)
		}
	}
	return ""
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"ask": func(t *rapid.T) {
			m.next++
			id := fmt.Sprintf("r%d", m.next)
			if err := m.ask(id); signer.CodeOf(err) != signer.CodeWaiting {
				t.Fatalf("Sign error = %v, want code %q", err, signer.CodeWaiting)
			}
			m.asked = append(m.asked, id)
		},
		"say":       m.say,
		"say more":  m.say,
		"say a lot": func(t *rapid.T) { m.say(t); m.say(t); m.say(t) },
		"replay":    m.replay,
		"pass": func(t *rapid.T) {
			m.pass(time.Duration(rapid.IntRange(1, 70).Draw(t, "minutes")) * time.Minute)
			m.rest()
		},
		"change": m.change,
		"cancel": func(t *rapid.T) {
			if len(m.asked) > 0 {
				_ = m.engine.Cancel(context.Background(), alice, rapid.SampledFrom(m.asked).Draw(t, "id"), "")
			}
		},
		"restart": func(*rapid.T) { m.restart(); m.rest() },
		"crash":   m.crash,
		"":        func(*rapid.T) {},
	}
}

// TestNothingIsSignedWithoutItsQuorum is the model; -rapid.checks says how many histories,
// two hundred by default.
func TestNothingIsSignedWithoutItsQuorum(t *testing.T) {
	seen := &met{n: map[string]int{}}
	const rounds = 2 // of a hundred histories each, unless -rapid.checks says otherwise
	for range rounds {
		rapid.Check(t, func(rt *rapid.T) {
			folders := 0
			top := t.TempDir()
			folder := func() string {
				folders++
				dir := filepath.Join(top, fmt.Sprint(folders))
				if err := os.Mkdir(dir, 0o700); err != nil {
					rt.Fatal(err)
				}
				return dir
			}
			d := drawDecision(rt)
			m := &model{
				treasury: openTreasuryIn(rt, folder(), d), rt: rt, folder: folder, said: map[[32]byte]said{}, accepted: map[[32]byte]bool{},
				policies: map[[32]byte]signer.Decision{}, next: 1, met: seen,
			}
			m.policies[m.policy.Version()] = d
			m.hot.while(func(a signer.Authorized) {
				msg, _ := a.Message()
				m.mu.Lock()
				m.signed = append(m.signed, msg.Bytes)
				m.mu.Unlock()
			})
			rt.Repeat(m.actions())
			m.check()
			m.stop()
			if err := os.RemoveAll(top); err != nil {
				rt.Fatal(err)
			}
		})
	}
	t.Log(seen.n)
	for _, what := range []string{"signed", "rejected", "expired", "cancelled", "policy changed", "crashed", "posted again"} {
		if seen.n[what] < 10 {
			t.Errorf("%d histories met %q; want at least 10, for the model to mean something", seen.n[what], what)
		}
	}
}

package signer_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

func engineWith(t *testing.T, p *parts, j signer.Journal, info signer.KeyInfo) *signer.Engine {
	t.Helper()
	return engineOf(t, p, j, info, map[signer.Kind]signer.Decoder{signer.KindEVMMessage: p.decoder})
}

func engineOf(t *testing.T, p *parts, j signer.Journal, info signer.KeyInfo, decoders map[signer.Kind]signer.Decoder) *signer.Engine {
	t.Helper()
	e, err := signer.New(signer.Config{
		Instance: "test", Keys: []signer.ManagedKey{{Info: info, Key: p.key}},
		Decoders: decoders,
		Policy:   p.policy, Journal: j, Verifier: p.verifier,
		Now: func() time.Time { return p.now }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// factual tells what is spent, as the real journal does.
type factual struct{ *journal }

func (j factual) Facts(context.Context, signer.Proposal, signer.Needs) (signer.Facts, error) {
	return signer.Facts{Time: j.now, Wall: j.now, Spent: []signer.Spent{{Asset: signer.AssetRequests, Window: time.Hour, Amount: big.NewInt(j.spent)}}}, nil
}

func factualEngine(t *testing.T, p *parts) *signer.Engine {
	info := signer.KeyInfo{Name: "hot", Public: p.key.Public(), Fingerprint: p.key.Public().Fingerprint(), Protection: signer.ProtectionResident, Kinds: []signer.Kind{signer.KindEVMMessage}}
	return engineWith(t, p, factual{p.journal}, info)
}

// A lowered limit holds for what was authorised and not yet signed.
func TestALoweredLimitHoldsForRetries(t *testing.T) {
	limit := func(version byte, max int64) policy {
		return policy{version: version, decide: func(_ signer.Proposal, f signer.Facts) signer.Decision {
			s, ok := f.Find(signer.AssetRequests, signer.Measure{Window: time.Hour}, "")
			if !ok || s.Amount.Cmp(big.NewInt(max)) >= 0 {
				return signer.Decision{Reason: "limit reached"}
			}
			return signer.Decision{Verdict: signer.Allow}
		}}
	}
	p := allowed()
	p.policy = limit(1, 10)
	e := factualEngine(t, p)
	p.key.err = errors.New("token is out")
	for i := range 10 {
		e.Sign(t.Context(), alice, ask(fmt.Sprint("r", i)))
	}
	// The operator sees trouble and lowers ten an hour to one an hour.
	if err := e.SetPolicy(t.Context(), limit(2, 1)); err != nil {
		t.Fatal(err)
	}
	p.key.err = nil
	signed := 0
	for i := range 10 {
		if _, err := e.Sign(t.Context(), alice, ask(fmt.Sprint("r", i))); err == nil {
			signed++
		}
	}
	if signed > 1 {
		t.Errorf("%d signatures came out under a limit of 1 an hour", signed)
	}
}

// Were an authorisation that failed signed at any later time, those of thirty days
// could be let loose within one.
func TestOldAuthorisationsCannotBeSaved(t *testing.T) {
	p := allowed()
	e := factualEngine(t, p)
	p.key.err = errors.New("token is out")
	req := ask("r1")
	e.Sign(t.Context(), alice, req)
	p.key.err = nil
	p.now, p.journal.now = noon.Add(365*24*time.Hour), noon.Add(365*24*time.Hour)
	p.journal.spent = 0 // long out of every window
	if _, err := e.Sign(t.Context(), alice, req); signer.CodeOf(err) != signer.CodeDenied {
		t.Errorf("Sign = %v, want it denied: its reservation left every window a year ago", err)
	}
}

// The wall clock, set back, must not bring an expired request back to life.
func TestARetryIsJudgedByJournalTime(t *testing.T) {
	p := allowed()
	e := p.engine(t)
	p.key.err = errors.New("token is out")
	req := ask("r1")
	req.Expires = noon.Add(time.Minute)
	e.Sign(t.Context(), alice, req)
	p.key.err = nil
	p.journal.now = noon.Add(time.Hour) // journal time went on; the wall clock was set back to noon
	if _, err := e.Sign(t.Context(), alice, req); err == nil {
		t.Errorf("signed an hour of journal time after the request had expired")
	}
}

func TestARefusedRetryIsRecorded(t *testing.T) {
	p := allowed()
	e := p.engine(t)
	p.key.err = errors.New("token is out")
	e.Sign(t.Context(), alice, ask("r1"))
	e.SetPolicy(t.Context(), policy{version: 2, decide: verdict(signer.Deny)})
	p.key.err = nil
	before := len(p.journal.leaves)
	if _, err := e.Sign(t.Context(), alice, ask("r1")); signer.CodeOf(err) != signer.CodeDenied {
		t.Fatal(err)
	}
	if len(p.journal.leaves) == before {
		t.Errorf("a denial left no record: %s", p.journal.types())
	}
}

func TestAConflictWithARequestInFlightIsRecorded(t *testing.T) {
	p := allowed()
	p.key.block = make(chan struct{})
	e := p.engine(t)
	done := make(chan struct{})
	go func() { defer close(done); e.Sign(t.Context(), alice, ask("r1")) }()
	for !strings.Contains(p.journal.types(), "authorized") {
		time.Sleep(time.Millisecond)
	}
	other := ask("r1")
	other.Payload = []byte("pay eve")
	if _, err := e.Sign(t.Context(), alice, other); signer.CodeOf(err) != signer.CodeConflict {
		t.Fatal(err)
	}
	if !strings.Contains(p.journal.types(), "malformed") {
		t.Errorf("a conflict while the first is under way left no record: %q (afterwards it would)", p.journal.types())
	}
	close(p.key.block)
	<-done
}

func TestRetriesOfAFailureDoNotFillTheJournal(t *testing.T) {
	p := allowed()
	e := p.engine(t)
	p.key.err = errors.New("token is out")
	for range 5000 {
		e.Sign(t.Context(), alice, ask("r1"))
	}
	if n := len(p.journal.leaves); n > 1000 {
		t.Errorf("one caller with one authorisation wrote %d leaves, by asking again", n)
	}
}

// Refusals that were counted only are told at the stop, if not before.
func TestDroppedRefusalsAreToldAtTheStop(t *testing.T) {
	p := allowed()
	p.policy.decide = verdict(signer.Deny)
	e := p.engine(t)
	for i := range 5000 {
		e.Sign(t.Context(), alice, ask(fmt.Sprint("r", i)))
	}
	e.Close(t.Context())
	var told uint64
	for _, ev := range p.journal.leaves {
		told += ev.Dropped
		if ev.Decision != nil {
			told += ev.Decision.Dropped
		}
	}
	if got := uint64(len(p.journal.leaves)) + told; got < 5000 {
		t.Errorf("5000 requests were refused; the journal accounts for %d of them after a stop in good order", got)
	}
}

func TestAReplacedPolicyAuthorisesNoMore(t *testing.T) {
	p := allowed()
	p.policy.version = 1
	var first sync.Once
	at, goOn := make(chan struct{}), make(chan struct{})
	p.decoder.intent = func(payload []byte) signer.Intent { // between the choice of a policy and the decision
		first.Do(func() { close(at); <-goOn })
		return signer.Intent{
			Kind: signer.KindEVMMessage, Complete: true, Effects: []signer.Effect{{Class: signer.ClassMessage}},
			Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: payload}},
		}
	}
	e := p.engine(t)
	done := make(chan error)
	go func() { _, err := e.Sign(t.Context(), alice, ask("r1")); done <- err }()
	<-at
	if err := e.SetPolicy(t.Context(), policy{version: 2, decide: verdict(signer.Deny)}); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if err := <-done; signer.CodeOf(err) != signer.CodeDenied || p.journal.types() != "policy denied" {
		t.Errorf("Sign = %v under policy 1 after policy 2, which denies, was recorded and SetPolicy had returned: journal %q", err, p.journal.types())
	}
}

// One user may have thousands of uids without an account (subuid(5)).
func TestUIDsWithoutAccountShareOnePart(t *testing.T) {
	p := allowed()
	p.key.block = make(chan struct{}) // a slow token
	e := p.engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	done := make(chan struct{})
	for uid := range uint32(8) {
		for i := range 32 {
			go func() {
				e.Sign(ctx, signer.Caller{UID: 5000 + uid, Identified: true}, ask(fmt.Sprint("r", i)))
				done <- struct{}{}
			}()
		}
	}
	for range 256 {
		<-done
	}
	ctx2, cancel2 := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel2()
	if _, err := e.Sign(ctx2, alice, ask("mine")); signer.CodeOf(err) == signer.CodeOverloaded {
		t.Errorf("a caller with an account: %v", err)
	}
	close(p.key.block)
}

// out is a key that knows that its device is out of reach.
type out struct {
	*key
	err error
}

func (o *out) Available() error { return o.err }

// A caller that tries again and again, under new ids, must not use up the limits of
// a key that cannot sign anyway.
func TestAKeyThatIsOutOfReachUsesUpNoLimit(t *testing.T) {
	p := allowed()
	info := signer.KeyInfo{Name: "hot", Public: p.key.Public(), Fingerprint: p.key.Public().Fingerprint(), Protection: signer.ProtectionResident, Kinds: []signer.Kind{signer.KindEVMMessage}}
	k := &out{key: p.key}
	e, err := signer.New(signer.Config{
		Instance: "test", Keys: []signer.ManagedKey{{Info: info, Key: k}},
		Decoders: map[signer.Kind]signer.Decoder{signer.KindEVMMessage: p.decoder},
		Policy:   p.policy, Journal: p.journal, Verifier: p.verifier,
		Now: func() time.Time { return p.now }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	first, err := e.Sign(t.Context(), alice, ask("r0"))
	if err != nil {
		t.Fatal(err)
	}
	k.err = &signer.Error{Code: signer.CodeUnavailable, Detail: "unplugged"}
	for i := range 10 {
		if _, err := e.Sign(t.Context(), alice, ask(fmt.Sprint("new-", i))); signer.CodeOf(err) != signer.CodeUnavailable {
			t.Errorf("Sign = %v, want unavailable", err)
		}
	}
	if p.journal.spent != 1 {
		t.Errorf("%d reserved, want 1", p.journal.spent)
	}
	if again, err := e.Sign(t.Context(), alice, ask("r0")); err != nil || string(again.Artifact) != string(first.Artifact) {
		t.Errorf("what was answered before is answered with %v", err)
	}
}

// A retry must not swallow the count of refusals that were not recorded.
func TestARetryKeepsTheCountOfDroppedRefusals(t *testing.T) {
	p := allowed()
	allow := true
	p.policy.decide = func(signer.Proposal, signer.Facts) signer.Decision {
		if allow {
			return signer.Decision{Verdict: signer.Allow}
		}
		return signer.Decision{Verdict: signer.Deny, Reason: "no"}
	}
	e := p.engine(t)
	p.key.err = errors.New("token is out")
	e.Sign(t.Context(), alice, ask("first"))
	allow = false
	for i := range 1000 {
		e.Sign(t.Context(), alice, ask(fmt.Sprint("r", i)))
	}
	p.now = p.now.Add(time.Second) // some tokens again
	p.journal.now = p.now
	allow = true
	p.key.err = nil
	if _, err := e.Sign(t.Context(), alice, ask("first")); err != nil {
		t.Fatal(err)
	}
	e.Close(t.Context())
	var denied, told uint64
	for _, ev := range p.journal.leaves {
		told += ev.Dropped
		if ev.Type == signer.EventDenied {
			denied++
		}
		if ev.Decision != nil {
			told += ev.Decision.Dropped
		}
	}
	if denied+told < 1000 {
		t.Errorf("1000 refused; %d recorded and %d told", denied, told)
	}
}

// slowFacts lets a test act while a retry is judged.
type slowFacts struct {
	*journal
	once     *sync.Once
	at, goOn chan struct{}
}

func (s slowFacts) Facts(ctx context.Context, q signer.Proposal, w signer.Needs) (signer.Facts, error) {
	f, err := s.journal.Facts(ctx, q, w)
	s.once.Do(func() { close(s.at) })
	<-s.goOn
	return f, err
}

func TestAReplacedPolicyLetsNoRetryThrough(t *testing.T) {
	p := allowed()
	p.policy.version = 1
	info := signer.KeyInfo{Name: "hot", Public: p.key.Public(), Fingerprint: p.key.Public().Fingerprint(), Protection: signer.ProtectionResident, Kinds: []signer.Kind{signer.KindEVMMessage}}
	s := slowFacts{p.journal, new(sync.Once), make(chan struct{}), make(chan struct{})}
	e := engineWith(t, p, s, info)
	p.key.err = errors.New("token is out")
	e.Sign(t.Context(), alice, ask("r1"))
	p.key.err = nil
	done := make(chan error)
	go func() { _, err := e.Sign(t.Context(), alice, ask("r1")); done <- err }()
	<-s.at
	if err := e.SetPolicy(t.Context(), policy{version: 2, decide: verdict(signer.Deny)}); err != nil {
		t.Fatal(err)
	}
	close(s.goOn)
	if err := <-done; signer.CodeOf(err) != signer.CodeDenied {
		t.Errorf("Sign = %v: a retry was judged by policy 1 after SetPolicy(2, deny) had returned: journal %q", err, p.journal.types())
	}
}

// curious is a policy that has to be told which recipients are new.
type curious struct{ policy }

func (curious) Needs() signer.Needs { return signer.Needs{Recipients: true} }

// known is a journal in which every recipient is known by now.
type known struct{ *journal }

func (k known) Facts(ctx context.Context, q signer.Proposal, n signer.Needs) (signer.Facts, error) {
	f, err := k.journal.Facts(ctx, q, n)
	f.Recipients = n.Recipients
	return f, err
}

// Its own authorisation made the recipient known, and the policy of that time did not ask.
func TestARetryIsNotWhatMakesItsRecipientKnown(t *testing.T) {
	p := allowed()
	p.decoder.intent = func(payload []byte) signer.Intent {
		q := signer.Exact("eth", big.NewInt(1))
		return signer.Intent{
			Kind: signer.KindEVMMessage, Complete: true, Outflow: []signer.Quantity{q},
			Effects:  []signer.Effect{{Class: signer.ClassTransfer, Counterparty: "eve", Quantity: q}},
			Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: payload}},
		}
	}
	info := signer.KeyInfo{Name: "hot", Public: p.key.Public(), Fingerprint: p.key.Public().Fingerprint(), Protection: signer.ProtectionResident, Kinds: []signer.Kind{signer.KindEVMMessage}}
	e := engineWith(t, p, known{p.journal}, info)
	p.key.err = errors.New("token is out")
	e.Sign(t.Context(), alice, ask("r1"))
	p.key.err = nil
	if err := e.SetPolicy(t.Context(), curious{policy{version: 2, decide: func(_ signer.Proposal, f signer.Facts) signer.Decision {
		if !f.Recipients || len(f.NewRecipients) > 0 {
			return signer.Decision{Reason: "whoever is new gets nothing"}
		}
		return signer.Decision{Verdict: signer.Allow}
	}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Sign(t.Context(), alice, ask("r1")); signer.CodeOf(err) != signer.CodeDenied || !strings.Contains(err.Error(), "whoever is new gets nothing") {
		t.Errorf("Sign error = %v, want it denied: nobody knows whether its recipient was new", err)
	}
}

// A stop that runs out of time loses the counts.
func TestAStopThatRunsOutOfTimeTellsDroppedRefusals(t *testing.T) {
	p := allowed()
	p.policy.decide = func(q signer.Proposal, _ signer.Facts) signer.Decision {
		if q.Request.ID == "slow" {
			return signer.Decision{Verdict: signer.Allow}
		}
		return signer.Decision{Verdict: signer.Deny, Reason: "no"}
	}
	e := p.engine(t)
	for i := range 1000 {
		e.Sign(t.Context(), alice, ask(fmt.Sprint("r", i)))
	}
	p.key.block = make(chan struct{})
	defer close(p.key.block)
	go e.Sign(context.Background(), alice, ask("slow"))
	time.Sleep(50 * time.Millisecond)
	ctx, c := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer c()
	e.Close(ctx)
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	var told uint64
	for _, ev := range p.journal.leaves {
		told += ev.Dropped
	}
	if told == 0 {
		t.Errorf("nothing told of the dropped")
	}
}

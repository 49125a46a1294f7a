package journal

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
	"github.com/sealward/sealward/signer/receipt"
)

// question is what to measure for a proposal, worked out outside the writer's turn.
type question struct {
	asks      ledger.Spending // without its time
	needs     signer.Needs
	candidate *candidate // nil: it would put no policy in force that is to be kept
}

func newQuestion(p signer.Proposal, needs signer.Needs) (question, error) {
	if err := ledger.Check(p.Intent); err != nil {
		return question{}, internal("%v", err)
	}
	if err := ledger.CheckNeeds(needs); err != nil {
		return question{}, internal("%v", err)
	}
	c, err := candidateOf(p)
	if err != nil {
		return question{}, err
	}
	return question{ledger.Of(p, time.Time{}), needs, c}, nil
}

// check refuses a proposal that is not for this journal or cannot be counted by its
// public key.
func (j *Journal) check(p signer.Proposal) error {
	switch print := j.fingerprint(p.Key.Public); {
	case p.Instance != j.instance:
		return internal("the proposal is for instance %q, this journal is %q", p.Instance, j.instance)
	case p.Request.ID == "":
		return internal("the proposal has no request id")
	case p.Request.Kind == signer.KindAdmin: // of Sealward itself; it counts under the empty fingerprint
		if p.Key.Name != signer.AdminKey || p.Key.Fingerprint != "" || len(p.Key.Public.Bytes) > 0 {
			return internal("an administrative request is for key %q", p.Key.Name)
		}
	case print == "" || print != p.Key.Fingerprint:
		return internal("the proposal names key %q by a fingerprint that is not its public key's", p.Key.Name)
	}
	return nil
}

// fingerprint is the key's, remembered: a daemon has few keys, and encoding one
// costs as much as a statement of SQL does.
func (j *Journal) fingerprint(k signer.PublicKey) string {
	id := string(k.Algorithm) + " " + string(k.Bytes)
	if print, ok := j.prints.Load(id); ok {
		return print.(string)
	}
	print := k.Fingerprint()
	if print != "" {
		j.prints.Store(id, print)
	}
	return print
}

func internal(format string, args ...any) error {
	return &signer.Error{Code: signer.CodeInternal, Detail: "the request cannot be recorded: " + fmt.Sprintf(format, args...)}
}

// Record implements [signer.Journal]. A decide that panics is recorded as a
// refusal; the panic is in the record's detail, for the operator. It is called in
// the writer's turn, so it must not call the journal.
func (j *Journal) Record(_ context.Context, p signer.Proposal, needs signer.Needs, decide func(signer.Facts) signer.Decision) (signer.Recorded, error) {
	if err := j.check(p); err != nil {
		return signer.Recorded{}, err
	}
	q, err := newQuestion(p, needs)
	if err != nil {
		return signer.Recorded{}, err
	}
	rec := signer.Recorded{RequestDigest: p.Request.Digest(), Proposal: p}
	caller, id := p.Caller.ID(), p.Request.ID
	var prior *stored
	err = j.do(func(t *turn) error {
		var err error
		if prior, err = t.find(caller, id); err != nil || prior != nil {
			return err
		}
		if rec.Facts, err = t.facts(q); err != nil {
			return err
		}
		var detail string
		rec.Time = t.now
		rec.Decision, detail = judge(func() signer.Decision { return decide(rec.Facts) })
		if rec.Decision.Unrecorded && rec.Decision.Verdict == signer.Deny {
			return nil
		}
		return t.record(q, &rec, detail)
	})
	switch {
	case err != nil:
		return signer.Recorded{}, err
	case prior != nil:
		return j.readBack(prior)
	}
	return rec, nil
}

// record appends a decision and does what follows from it: what waited before it waits
// no longer, what is allowed is reserved, and what is asked about waits.
func (t *turn) record(q question, rec *signer.Recorded, detail string) error {
	event := signer.Event{Proposal: &rec.Proposal, Facts: &rec.Facts, Decision: &rec.Decision, Detail: detail, Waited: rec.Waited, Override: t.j.override}
	switch rec.Decision.Verdict {
	case signer.Allow:
		event.Type = signer.EventAuthorized
	case signer.Ask:
		event.Type = signer.EventWaiting
		rec.Waits = true
	default:
		event.Type = signer.EventDenied
		q.candidate = nil
	}
	if q.candidate != nil {
		event.Bundle = q.candidate.digest
	}
	var err error
	if rec.Leaf, err = t.leaf(event); err != nil {
		return err
	}
	if err := t.placed(rec); err != nil {
		return err
	}
	if err := t.keep(q.candidate, rec.Leaf); err != nil {
		return err
	}
	switch event.Type {
	case signer.EventWaiting:
		return t.wait(rec)
	case signer.EventDenied:
		return nil
	}
	if rec.Proposal.Request.Kind == signer.KindAdmin {
		if err := t.j.db.exec(sqlAddAct, int64(rec.Leaf)); err != nil {
			return err
		}
	}
	q.asks.Time = t.now
	return t.reserve(q.asks, int64(rec.Leaf))
}

// placed makes a decision the one of its request, in place of the record by which that
// waited.
func (t *turn) placed(rec *signer.Recorded) error {
	caller, id := rec.Proposal.Caller.ID(), rec.Proposal.Request.ID
	if rec.Waited == 0 {
		return t.j.db.exec(sqlAddRequest, caller, id, int64(rec.Leaf))
	}
	if err := t.j.db.exec(sqlSetRequest, int64(rec.Leaf), caller, id); err != nil {
		return err
	}
	return t.endWait(rec.Waited)
}

// judge asks for the decision, and turns a panic into a refusal and a verdict that does
// not exist, too.
func judge(decide func() signer.Decision) (d signer.Decision, detail string) {
	defer func() {
		if p := recover(); p != nil {
			d = signer.Decision{Reason: "the policy could not be evaluated because of an internal error, so the request is refused; tell the operator"}
			detail = fmt.Sprintf("policy panicked: %.500v", p)
		}
	}()
	d = decide()
	if d.Verdict != signer.Allow && d.Verdict != signer.Ask {
		d.Verdict = signer.Deny
	}
	return d, ""
}

// facts measures what a decision depends on.
func (t *turn) facts(q question) (f signer.Facts, err error) {
	f.Time, f.Wall, f.Pending = t.now, t.moment.wall, t.j.waits.accounts[q.asks.Caller]
	l, err := cover(t.j.ledger, t.j.db, q.needs, t.now, t.j.tree.size)
	if err != nil {
		return f, err
	}
	t.j.ledger = l
	if f.Spent, err = l.Measure(q.asks, q.needs, t.now); err != nil {
		return f, err
	}
	if f.Recipients = q.needs.Recipients; f.Recipients {
		f.NewRecipients, err = newRecipients(t.j.db, q.asks)
	}
	return f, err
}

// Facts implements [signer.Journal]. Of the proposal it looks at the fingerprint of
// the key, the caller, the request's id, and what the intent lets go to whom.
func (j *Journal) Facts(_ context.Context, p signer.Proposal, needs signer.Needs) (signer.Facts, error) {
	q, err := newQuestion(p, needs)
	if err != nil {
		return signer.Facts{}, err
	}
	var f signer.Facts
	err = j.do(func(t *turn) error {
		var err error
		if f, err = t.facts(q); err != nil || f.Pending == 0 {
			return err
		}
		own, err := t.waitsFor(p)
		if own {
			f.Pending--
		}
		return err
	})
	return f, err
}

// Finish implements [signer.Journal]. Every outcome becomes a leaf. The answer to
// the request is the first success, or else the last failure: after a failure another
// attempt may succeed, and a signature that was given out stays the answer whatever is
// recorded later. Recording the same success again adds nothing and returns the leaf
// that has it.
func (j *Journal) Finish(_ context.Context, o signer.Outcome) (uint64, error) {
	event := signer.Event{Type: outcomeType(o), Outcome: &o}
	if event.Type == "" {
		return 0, internal("an outcome has signatures, a result, or a code")
	}
	var leaf uint64
	err := j.do(func(t *turn) (err error) {
		leaf, err = t.finish(event)
		return err
	})
	return leaf, err
}

// finish records an outcome.
func (t *turn) finish(event signer.Event) (leaf uint64, err error) {
	j, o, done := t.j, *event.Outcome, event.Type != signer.EventFailed
	row := make(values, 3)
	ok, err := j.db.row(sqlAuthorization, row, int64(o.Authorization))
	if err != nil {
		return 0, err
	}
	if !ok || row[0] != string(signer.EventAuthorized) {
		return 0, internal("leaf %d is not an authorisation", o.Authorization)
	}
	if act := row[2] == int64(1); done && act != (event.Type == signer.EventActed) {
		return 0, internal("leaf %d does not authorise what was done", o.Authorization)
	}
	var first *receipt.Entry
	if row[1] != nil {
		if first, err = t.answer(o.Authorization); err != nil {
			return 0, err
		}
	}
	answered := first != nil && first.Leaf.Type != signer.EventFailed
	if answered && done {
		ev, err := first.Event()
		if err != nil {
			return 0, broken("%w", err)
		}
		if slices.EqualFunc(ev.Outcome.Signatures, o.Signatures, bytes.Equal) && bytes.Equal(ev.Outcome.Result, o.Result) {
			return first.Index, nil
		}
	}
	if leaf, err = t.leaf(event); err != nil {
		return 0, err
	}
	if event.Type == signer.EventActed {
		if err := t.thawed(o.Authorization, leaf); err != nil {
			return 0, err
		}
	}
	if answered {
		return leaf, nil
	}
	return leaf, j.db.exec(sqlSetOutcome, int64(o.Authorization), int64(leaf), done)
}

// outcomeType is the type of the leaf for an outcome, empty where it is none.
func outcomeType(o signer.Outcome) signer.EventType {
	switch signed, acted := len(o.Signatures) > 0, len(o.Result) > 0; {
	case o.Code != "" && !signed && !acted:
		return signer.EventFailed
	case o.Code == "" && signed && !acted:
		return signer.EventSigned
	case o.Code == "" && acted && !signed:
		return signer.EventActed
	default:
		return ""
	}
}

// Lookup implements [signer.Journal].
func (j *Journal) Lookup(_ context.Context, caller, requestID string) (signer.Recorded, bool, error) {
	var found *stored
	err := j.do(func(t *turn) error {
		var err error
		found, err = t.find(caller, requestID)
		return err
	})
	if err != nil || found == nil {
		return signer.Recorded{}, false, err
	}
	rec, err := j.readBack(found)
	return rec, err == nil, err
}

// stored is a request as it is on disk. It is read in the writer's turn and parsed
// outside of it.
type stored struct {
	decision receipt.Entry
	outcome  *receipt.Entry
	heard    []receipt.Entry // while it waits
}

// find returns the record of a request, or nil.
func (t *turn) find(caller, id string) (*stored, error) {
	row := make(values, 1)
	ok, err := t.j.db.row(sqlGetRequest, row, caller, id)
	if err != nil || !ok {
		return nil, err
	}
	leaf, err := row.int(0)
	if err != nil {
		return nil, err
	}
	return t.at(leaf)
}

// at reads the record whose decision is at a leaf.
func (t *turn) at(leaf int64) (*stored, error) {
	s := &stored{}
	var err error
	if s.decision, err = getEntry(t.j.db, leaf); err != nil {
		return nil, err
	}
	t.bytes += len(s.decision.Body) // a batch bounds what it reads, too
	if s.decision.Leaf.Type == signer.EventWaiting {
		s.heard, err = t.heardOf(uint64(leaf))
		return s, err
	}
	s.outcome, err = t.answer(uint64(leaf))
	return s, err
}

// answer returns the outcome that answers an authorisation, or nil.
func (t *turn) answer(authorization uint64) (*receipt.Entry, error) {
	row := make(values, 2)
	ok, err := t.j.db.row(sqlGetOutcome, row, int64(authorization))
	if err != nil || !ok {
		return nil, err
	}
	leaf, err := row.int(0)
	if err != nil {
		return nil, err
	}
	e, err := getEntry(t.j.db, leaf)
	return &e, err
}

// unreadable is the error of a record that cannot be parsed.
func unreadable(err error) error {
	return &signer.Error{Code: signer.CodeInternal, Detail: "the record of this request cannot be read back", Err: err}
}

// recorded parses the bodies.
func (s *stored) recorded() (signer.Recorded, error) {
	ev, err := s.decision.Event()
	if err != nil {
		return signer.Recorded{}, unreadable(err)
	}
	if ev.Proposal == nil || ev.Facts == nil || ev.Decision == nil {
		return signer.Recorded{}, unreadable(fmt.Errorf("leaf %d is not a decision", s.decision.Index))
	}
	rec := signer.Recorded{
		Prior: true, Leaf: s.decision.Index, Time: ev.Time, RequestDigest: ev.Proposal.Request.Digest(),
		Proposal: *ev.Proposal, Facts: *ev.Facts, Decision: *ev.Decision,
		Waits: ev.Type == signer.EventWaiting, Waited: ev.Waited,
	}
	if rec.Heard, err = heardAbout(rec.Proposal, s.heard); err != nil {
		return signer.Recorded{}, unreadable(err)
	}
	if s.outcome == nil {
		return rec, nil
	}
	out, err := s.outcome.Event()
	if err != nil {
		return signer.Recorded{}, unreadable(err)
	}
	if out.Outcome == nil {
		return signer.Recorded{}, unreadable(fmt.Errorf("leaf %d is not an outcome", s.outcome.Index))
	}
	rec.Outcome = out.Outcome
	rec.Outcome.Leaf, rec.Outcome.Time = s.outcome.Index, out.Time
	return rec, nil
}

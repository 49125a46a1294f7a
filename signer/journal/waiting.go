package journal

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// waits is what the journal keeps in memory of the requests that wait, which table
// waiting has on disk: how many do makes no difference to what others cost.
type waits struct {
	byLeaf     map[uint64]*waiting
	byProposal map[[32]byte]*waiting
	accounts   map[string]int // how many wait, by [signer.Caller.Account]
}

// waiting is a row of table waiting.
type waiting struct {
	signer.Waiting
	account string
}

func newWaits() *waits {
	return &waits{map[uint64]*waiting{}, map[[32]byte]*waiting{}, map[string]int{}}
}

func (w *waits) add(r *waiting) {
	w.byLeaf[r.Leaf], w.byProposal[r.Proposal] = r, r
	w.accounts[r.account]++
}

func (w *waits) end(leaf uint64) {
	r := w.byLeaf[leaf]
	delete(w.byLeaf, leaf)
	delete(w.byProposal, r.Proposal)
	if w.accounts[r.account]--; w.accounts[r.account] == 0 {
		delete(w.accounts, r.account)
	}
}

// newWaiting is the row of a request that waits from a record on.
func newWaiting(rec *signer.Recorded) *waiting {
	p := &rec.Proposal
	at := func(t time.Time) time.Time { return time.Unix(0, nanoseconds(t)).UTC() }
	return &waiting{signer.Waiting{
		Leaf: rec.Leaf, Proposal: p.Digest(), Caller: p.Caller.ID(), ID: p.Request.ID, Policy: p.Policy,
		Since: at(rec.Time), Due: at(rec.Due()), Deadline: at(rec.Deadline()),
	}, p.Caller.Account()}
}

// nanoseconds is a time as a table has it. What a delay or an expiry adds to a time may
// be later than that can say.
func nanoseconds(t time.Time) int64 {
	if last := time.Unix(0, math.MaxInt64); t.After(last) {
		return math.MaxInt64
	}
	return t.UnixNano()
}

// row are the columns of table waiting but heard.
func (w *waiting) row() []driver.Value {
	return []driver.Value{int64(w.Leaf), w.Proposal[:], w.Caller, w.ID, w.account, w.Policy[:], w.Since.UnixNano(), w.Due.UnixNano(), w.Deadline.UnixNano()}
}

// readWaiting reads the columns of table waiting.
func readWaiting(row values) (*waiting, error) {
	var errs []error
	integer := func(i int) int64 {
		n, err := row.int(i)
		errs = append(errs, err)
		return n
	}
	text := func(i int) string {
		s, err := row.text(i)
		errs = append(errs, err)
		return s
	}
	digest := func(i int) (d [32]byte) {
		b, err := row.blob(i)
		if err == nil && len(b) != len(d) {
			err = broken("column %d: a digest has %d bytes instead of 32", i, len(b))
		}
		errs = append(errs, err)
		copy(d[:], b)
		return d
	}
	at := func(i int) time.Time { return time.Unix(0, integer(i)).UTC() }
	w := &waiting{signer.Waiting{
		Leaf: uint64(integer(0)), Proposal: digest(1), Caller: text(2), ID: text(3), Policy: digest(5),
		Since: at(6), Due: at(7), Deadline: at(8), Heard: int(integer(9)),
	}, text(4)}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("table waiting: %w", err)
	}
	return w, nil
}

// allWaiting calls add with every row of table waiting, in the order of the leaves.
func allWaiting(d *db, add func(*waiting)) error {
	c, err := d.query(sqlAllWaiting, 10)
	if err != nil {
		return err
	}
	defer c.close()
	for c.ok {
		w, err := readWaiting(c.row)
		if err != nil {
			return err
		}
		add(w)
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// loadWaiting reads what the journal keeps in memory of what waits, and of proceedings.
func (j *Journal) loadWaiting() error {
	j.waits = newWaits()
	if err := allWaiting(j.db, j.waits.add); err != nil {
		return err
	}
	override, _, err := latest(j.db, signer.EventOverridden)
	if err != nil {
		return err
	}
	last, err := j.db.integer(sqlLastProceeded)
	j.override, j.pub.proceeding = override, uint64(last)
	return err
}

// wait makes a request wait from a record on.
func (t *turn) wait(rec *signer.Recorded) error {
	w := newWaiting(rec)
	t.pages += waitPages
	if err := t.j.db.exec(sqlAddWaiting, w.row()...); err != nil {
		return err
	}
	t.j.waits.add(w)
	return nil
}

// endWait ends what wait began at a leaf.
func (t *turn) endWait(leaf uint64) error {
	t.pages += waitPages
	if err := t.j.db.exec(sqlEndWaiting, int64(leaf)); err != nil {
		return err
	}
	t.j.waits.end(leaf)
	return nil
}

// waitsFor reports whether the request of a proposal waits, with whatever proposal.
func (t *turn) waitsFor(p signer.Proposal) (bool, error) {
	row := make(values, 1)
	ok, err := t.j.db.row(sqlGetRequest, row, p.Caller.ID(), p.Request.ID)
	if err != nil || !ok {
		return false, err
	}
	leaf, err := row.int(0)
	return t.j.waits.byLeaf[uint64(leaf)] != nil, err
}

// Waiting implements [signer.Journal].
func (j *Journal) Waiting(_ context.Context, proposal [32]byte) (signer.Recorded, bool, error) {
	var found *stored
	err := j.do(func(t *turn) (err error) {
		if w := j.waits.byProposal[proposal]; w != nil {
			found, err = t.at(int64(w.Leaf))
		}
		return err
	})
	if err != nil || found == nil {
		return signer.Recorded{}, false, err
	}
	rec, err := found.recorded()
	return rec, err == nil, err
}

// AllWaiting implements [signer.Journal]. It reads nothing from the disk.
func (j *Journal) AllWaiting(_ context.Context) ([]signer.Waiting, error) {
	var out []signer.Waiting
	err := j.do(func(t *turn) error {
		out = make([]signer.Waiting, 0, len(j.waits.byLeaf))
		for _, w := range j.waits.byLeaf {
			out = append(out, w.Waiting)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b signer.Waiting) int { return cmp.Compare(a.Leaf, b.Leaf) })
	return out, err
}

// Settle implements [signer.Journal]. Whatever decide returns, a wait ends with a record:
// of a refusal, too, that is not to be recorded. A decide that panics is recorded as a
// refusal, and so is an authorisation that what is on record does not bear out, whoever
// wants it: [Verify] would find it wrong.
func (j *Journal) Settle(_ context.Context, waiting uint64, p signer.Proposal, needs signer.Needs, decide func(signer.Facts, []signer.Heard) signer.Decision) (signer.Recorded, error) {
	if err := j.check(p); err != nil {
		return signer.Recorded{}, err
	}
	q, err := newQuestion(p, needs)
	if err != nil {
		return signer.Recorded{}, err
	}
	rec := signer.Recorded{RequestDigest: p.Request.Digest(), Proposal: p, Waited: waiting}
	digest := p.Digest()
	err = j.do(func(t *turn) error { return t.conclude(q, &rec, digest, decide) })
	if err != nil {
		return signer.Recorded{}, err
	}
	return rec, nil
}

// conclude is Settle of the proposal in rec, of which digest is.
func (t *turn) conclude(q question, rec *signer.Recorded, digest [32]byte, decide func(signer.Facts, []signer.Heard) signer.Decision) error {
	row := t.j.waits.byLeaf[rec.Waited]
	if row == nil {
		return &signer.Error{Code: signer.CodeConflict, Detail: fmt.Sprintf("no request waits at leaf %d any more; look it up", rec.Waited)}
	}
	s, err := t.at(int64(row.Leaf))
	if err != nil {
		return err
	}
	old, err := s.recorded()
	if err != nil {
		return err
	}
	same := digest == row.Proposal
	switch {
	case rec.Proposal.Caller.ID() != row.Caller || rec.Proposal.Request.ID != row.ID || rec.RequestDigest != old.RequestDigest:
		return internal("it is not the request that waits at leaf %d", row.Leaf)
	case same && meaning(rec.Proposal) != meaning(old.Proposal):
		return internal("it was taken for something else when it came to wait, at leaf %d", row.Leaf)
	case same:
		rec.Heard = old.Heard
		if q.candidate == nil {
			q.candidate, err = t.kept(row.Leaf)
		}
	}
	if err != nil {
		return err
	}
	if rec.Facts, err = t.facts(q); err != nil {
		return err
	}
	if row.account == q.asks.Caller {
		rec.Facts.Pending--
	}
	var detail string
	rec.Time = t.now
	rec.Decision, detail = judge(func() signer.Decision { return decide(rec.Facts, slices.Clone(rec.Heard)) })
	if rec.Decision.Verdict == signer.Ask && same {
		*rec = old
		return nil
	}
	if why := waitOf(old).unfit(rec.Decision, digest, t.now); why != "" {
		detail = fmt.Sprintf("decided as %s", rec.Decision.Verdict)
		rec.Decision = signer.Decision{Rules: rec.Decision.Rules, Reason: why}
	}
	rec.Decision.Unrecorded = false
	return t.record(q, rec, detail)
}

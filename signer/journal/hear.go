package journal

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// waitPages is how many pages of the write-ahead log it takes, about, beyond a plain
// record, to make a request wait, to hear about one and to end that.
const waitPages = 6

// Hear implements [signer.Journal]. A check that panics is a refusal, and one that fails
// leaves nothing behind. It is called in the writer's turn, so it must not call the
// journal.
func (j *Journal) Hear(_ context.Context, e signer.Event, check func(waiting signer.Recorded) error) (leaf uint64, prior bool, err error) {
	if err := j.checkHeard(e); err != nil {
		return 0, false, err
	}
	id := e.Heard.Approval.ID()
	err = j.do(func(t *turn) (err error) {
		if leaf, prior, err = t.heardBefore(id); err != nil || prior {
			return err
		}
		leaf, err = t.hear(e, id, check)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return leaf, prior, nil
}

// checkHeard refuses what cannot be recorded, or not be read back.
func (j *Journal) checkHeard(e signer.Event) error {
	if e.Heard == nil || e.Proposal != nil || e.Facts != nil || e.Decision != nil || e.Outcome != nil || e.Waited != 0 || e.Override != 0 || e.Bundle != ([32]byte{}) {
		return internal("a %s event that is heard has an approval, and no proposal, decision, outcome or bundle", e.Type)
	}
	a, want := e.Heard.Approval, signer.EventApproval
	if a.Word == signer.WordFreeze {
		want = signer.EventFrozen
	}
	_, err := signer.ParseApproval(a.Canonical())
	switch {
	case err != nil:
		return internal("%v", err)
	case e.Type != want:
		return internal("an approval with the word %q is an event of type %s, not %s", a.Word, want, e.Type)
	case a.Instance != j.instance:
		return internal("the approval is for instance %q, this journal is %q", a.Instance, j.instance)
	case e.Heard.Approver == "":
		return internal("the approval is nobody's")
	case len(e.Heard.Signed) == 0 || !utf8.Valid(e.Heard.Signed):
		return internal("what was signed is no text")
	}
	return nil
}

// heardBefore returns the leaf of an approval that is on record, or false.
func (t *turn) heardBefore(id [32]byte) (leaf uint64, ok bool, err error) {
	row := make(values, 2)
	if ok, err = t.j.db.row(sqlGetApproval, row, id[:]); err != nil || !ok {
		return 0, false, err
	}
	n, err := row.int(0)
	return uint64(n), err == nil, err
}

// hear records what an approver said.
func (t *turn) hear(e signer.Event, id [32]byte, check func(signer.Recorded) error) (leaf uint64, err error) {
	var about *waiting
	var rec signer.Recorded
	if a := e.Heard.Approval; a.Word != signer.WordFreeze {
		if about = t.j.waits.byProposal[a.Proposal]; about == nil {
			return 0, &signer.Error{Code: signer.CodeNotFound, Detail: fmt.Sprintf("no request waits with proposal %x", a.Proposal)}
		}
		s, err := t.at(int64(about.Leaf))
		if err != nil {
			return 0, err
		}
		if rec, err = s.recorded(); err != nil {
			return 0, err
		}
	}
	if err := ask(check, rec); err != nil {
		return 0, err
	}
	if leaf, err = t.leaf(e); err != nil {
		return 0, err
	}
	t.pages += waitPages
	if about == nil {
		return leaf, t.j.db.exec(sqlAddApproval, id[:], int64(leaf), nil)
	}
	about.Heard++
	return leaf, errors.Join(
		t.j.db.exec(sqlAddApproval, id[:], int64(leaf), int64(about.Leaf)),
		t.j.db.exec(sqlSetHeard, int64(about.Heard), int64(about.Leaf)),
	)
}

// ask calls check and turns a panic into an error.
func ask(check func(signer.Recorded) error, rec signer.Recorded) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &signer.Error{
				Code: signer.CodeInternal, Err: fmt.Errorf("panic: %.500v", p),
				Detail: "whether the approval counts could not be found out because of an internal error, so it is not recorded; tell the operator",
			}
		}
	}()
	return check(rec)
}

// heardOf reads what was heard about the request that waits, or waited, by a leaf.
func (t *turn) heardOf(waiting uint64) ([]receipt.Entry, error) {
	c, err := t.j.db.query(sqlHeardOf, 5, int64(waiting))
	if err != nil {
		return nil, err
	}
	defer c.close()
	var out []receipt.Entry
	for c.ok {
		leaf, err := values(c.row).int(0)
		if err != nil {
			return nil, err
		}
		e, err := readEntry(leaf, values(c.row[1:]))
		if err != nil {
			return nil, err
		}
		t.bytes += len(e.Body)
		out = append(out, e)
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// heardAbout parses what was heard, as far as it is about a proposal.
func heardAbout(p signer.Proposal, entries []receipt.Entry) ([]signer.Heard, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	digest := p.Digest()
	var out []signer.Heard
	for _, e := range entries {
		ev, err := e.Event()
		if err != nil {
			return nil, err
		}
		if ev.Heard == nil {
			return nil, fmt.Errorf("leaf %d is not an approval", e.Index)
		}
		if h := *ev.Heard; h.Approval.Proposal == digest {
			h.Leaf, h.Time = e.Index, ev.Time
			out = append(out, h)
		}
	}
	return out, nil
}

// readBack parses a record, and reads what was heard before a decision that ended a wait.
func (j *Journal) readBack(s *stored) (signer.Recorded, error) {
	rec, err := s.recorded()
	if err != nil || rec.Waits || rec.Waited == 0 {
		return rec, err
	}
	var entries []receipt.Entry
	err = j.do(func(t *turn) error {
		var err error
		entries, err = t.heardOf(rec.Waited)
		return err
	})
	if err != nil {
		return signer.Recorded{}, err
	}
	if rec.Heard, err = heardAbout(rec.Proposal, entries); err != nil {
		return signer.Recorded{}, unreadable(err)
	}
	return rec, nil
}

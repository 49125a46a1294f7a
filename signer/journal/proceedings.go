package journal

import (
	"context"
	"slices"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// proceeds reports whether an event is one of the proceedings: it says what people are
// asked, what they said, or what came of it. So does the outcome of a thaw, which
// does not tell by itself.
func proceeds(e signer.Event) bool {
	switch e.Type {
	case signer.EventWaiting, signer.EventApproval, signer.EventFrozen, signer.EventOverridden:
		return true
	case signer.EventAuthorized, signer.EventDenied:
		return e.Waited != 0
	default:
		return false
	}
}

// remembered reports whether the last event of a type can be asked for.
func remembered(t signer.EventType) bool {
	return t == signer.EventStarted || t == signer.EventFrozen || t == signer.EventOverridden
}

// index records that a leaf is the last of its type, and that it is one of the
// proceedings.
func (t *turn) index(e signer.Event, leaf int64) error {
	if remembered(e.Type) {
		if err := t.j.db.exec(sqlSetLatest, string(e.Type), leaf); err != nil {
			return err
		}
	}
	if e.Type == signer.EventOverridden {
		t.j.override = uint64(leaf)
	}
	if !proceeds(e) {
		return nil
	}
	return t.proceeding(uint64(leaf))
}

func (t *turn) proceeding(leaf uint64) error {
	t.proceeded = leaf
	t.pages++
	return t.j.db.exec(sqlAddProceeding, int64(leaf))
}

// thawed makes the outcome of an act one of the proceedings, where that is a thaw.
func (t *turn) thawed(authorization, leaf uint64) error {
	e, err := getEntry(t.j.db, int64(authorization))
	if err != nil {
		return err
	}
	t.bytes += len(e.Body)
	if ev, err := e.Event(); err != nil || ev.Proposal == nil || !is(*ev.Proposal, signer.ClassThaw) {
		return nil // what cannot be read back is for Verify
	}
	return t.proceeding(leaf)
}

// is reports whether a proposal is an administrative act of one of some classes.
func is(p signer.Proposal, classes ...signer.Class) bool {
	return p.Request.Kind == signer.KindAdmin && len(p.Intent.Effects) == 1 && slices.Contains(classes, p.Intent.Effects[0].Class)
}

// proceed publishes the last leaf of the proceedings, and wakes those who wait for one; 0:
// only that.
func (j *Journal) proceed(leaf uint64) {
	j.pub.Lock()
	defer j.pub.Unlock()
	j.pub.proceeding = max(j.pub.proceeding, leaf)
	close(j.pub.proceeded)
	j.pub.proceeded = make(chan struct{})
}

// Proceedings returns the leaves that say what people are asked and what came of it, in
// order, from the one after a leaf on: at most limit of them, and fewer when they are
// large. None means that the end is reached. They are those of type waiting, approval,
// frozen and overridden, the decisions that ended a wait, and the outcomes of thaws.
func (j *Journal) Proceedings(_ context.Context, after uint64, limit int) (entries []receipt.Entry, err error) {
	err = j.do(func(t *turn) error {
		entries, err = pageOf(j.db, sqlProceedings, after, min(max(limit, 0), maxPage))
		return err
	})
	return entries, err
}

// ProceedingsChanged returns a channel that is closed when the next of [Journal.Proceedings]
// is committed, or the journal ends. Take it before asking for them.
func (j *Journal) ProceedingsChanged() <-chan struct{} {
	j.pub.Lock()
	defer j.pub.Unlock()
	return j.pub.proceeded
}

// LastProceeding returns the last leaf of [Journal.Proceedings], or 0 where there is none.
func (j *Journal) LastProceeding() uint64 {
	j.pub.Lock()
	defer j.pub.Unlock()
	return j.pub.proceeding
}

// Last implements [signer.Journal].
func (j *Journal) Last(_ context.Context, t signer.EventType) (e signer.Event, leaf uint64, ok bool, err error) {
	if !remembered(t) {
		return signer.Event{}, 0, false, internal("which event of type %s was the last is not kept", t)
	}
	var entry receipt.Entry
	err = j.do(func(*turn) error {
		if leaf, ok, err = latest(j.db, t); err != nil || !ok {
			return err
		}
		entry, err = getEntry(j.db, int64(leaf))
		return err
	})
	if err != nil || !ok {
		return signer.Event{}, 0, false, err
	}
	if e, err = entry.Event(); err != nil {
		return signer.Event{}, 0, false, unreadable(err)
	}
	return e, leaf, true, nil
}

// latest returns the last leaf of a type, or false.
func latest(d *db, t signer.EventType) (leaf uint64, ok bool, err error) {
	row := make(values, 1)
	if ok, err = d.row(sqlGetLatest, row, string(t)); err != nil || !ok {
		return 0, false, err
	}
	n, err := row.int(0)
	return uint64(n), err == nil, err
}

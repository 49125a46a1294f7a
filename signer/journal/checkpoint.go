package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// Checkpoint is a signed statement of the journal's size and root, as it is kept.
type Checkpoint struct {
	receipt.Checkpoint
	Time time.Time // journal time when it was made
	Note []byte    // the signed note
}

// Checkpoint signs the journal as it is now, keeps the checkpoint and wakes those
// who wait for one. Where the tree has not grown since the latest checkpoint, that
// one is returned and nothing is signed. sign is given the text and returns the
// signature as [receipt.Checkpoint.Sign] wants it; it may take its time, as the
// journal goes on meanwhile.
//
// The first checkpoint binds the journal to the key. Another key is refused later,
// since whoever trusts the old one would find the journal broken off.
func (j *Journal) Checkpoint(ctx context.Context, pub signer.PublicKey, sign func(ctx context.Context, text []byte) ([]byte, error)) (Checkpoint, error) {
	v, err := receipt.NewVerifier(j.Origin(), pub)
	if err != nil {
		return Checkpoint{}, err
	}
	j.signing.Lock()
	defer j.signing.Unlock()
	next := receipt.Checkpoint{Origin: j.Origin()}
	var key string
	err = j.do(func(*turn) error {
		next.Size, next.Root = uint64(j.tree.size), j.tree.root()
		var err error
		key, err = meta(j.db, metaKey)
		return err
	})
	if err != nil {
		return Checkpoint{}, err
	}
	if err := boundTo(key, v); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	if latest, ok := j.Latest(); ok && latest.Size == next.Size {
		return latest, nil
	}
	note, err := next.Sign(v, func(text []byte) ([]byte, error) { return sign(ctx, text) })
	if err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{Checkpoint: next, Note: note}
	err = j.do(func(t *turn) error {
		c.Time = t.now
		if err := t.begin(); err != nil {
			return err
		}
		if key == "" {
			if err := j.db.exec(sqlAddMeta, metaKey, v.String()); err != nil {
				return err
			}
		}
		return j.db.exec(sqlAddCheckpoint, int64(c.Size), c.Time.UnixNano(), c.Note)
	})
	if err != nil {
		return Checkpoint{}, err
	}
	j.announce(func() { j.pub.latest = &c })
	return c, nil
}

// CheckKey refuses a key that is not the one which the first checkpoint bound the
// journal to, so that a daemon finds out before it signs anything.
func (j *Journal) CheckKey(v *receipt.Verifier) error {
	return j.do(func(*turn) error {
		key, err := meta(j.db, metaKey)
		if err != nil {
			return err
		}
		return boundTo(key, v)
	})
}

// boundTo compares the key in the database, which is empty before the first
// checkpoint, with the configured one.
func boundTo(key string, v *receipt.Verifier) error {
	if key == "" || key == v.String() {
		return nil
	}
	return fmt.Errorf("the journal was signed by key %s; the configured key is %s: configure the former, or begin a new journal", key, v)
}

// announce changes what is published and wakes everyone who waits for a change.
func (j *Journal) announce(change func()) {
	j.pub.Lock()
	defer j.pub.Unlock()
	change()
	close(j.pub.changed)
	j.pub.changed = make(chan struct{})
}

// Latest returns the latest checkpoint, or false before the first.
func (j *Journal) Latest() (Checkpoint, bool) {
	j.pub.Lock()
	defer j.pub.Unlock()
	if j.pub.latest == nil {
		return Checkpoint{}, false
	}
	return *j.pub.latest, true
}

// WaitCheckpoint returns the latest checkpoint as soon as it covers a leaf. It
// makes none: [Journal.Checkpoint] does, at an interval or on demand.
func (j *Journal) WaitCheckpoint(ctx context.Context, leaf uint64) (Checkpoint, error) {
	for {
		j.pub.Lock()
		latest, changed, ended := j.pub.latest, j.pub.changed, j.pub.ended
		j.pub.Unlock()
		switch {
		case latest != nil && latest.Size > leaf:
			return *latest, nil
		case ended != nil:
			return Checkpoint{}, ended
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Checkpoint{}, &signer.Error{
				Code: signer.CodePending, Err: context.Cause(ctx),
				Detail: fmt.Sprintf("no checkpoint covers leaf %d yet; ask again", leaf),
			}
		}
	}
}

// Proof returns the proof that the tree of the latest checkpoint holds a leaf, as
// tlog-proof text.
func (j *Journal) Proof(_ context.Context, leaf uint64) ([]byte, error) {
	latest, ok := j.Latest()
	if !ok || leaf >= latest.Size {
		return nil, &signer.Error{Code: signer.CodePending, Detail: fmt.Sprintf("no checkpoint covers leaf %d yet; ask again", leaf)}
	}
	p := receipt.Proof{Index: leaf, Checkpoint: latest.Note}
	err := j.do(func(*turn) error {
		var err error
		p.Path, err = tlog.ProveRecord(int64(latest.Size), int64(leaf), storedHashes{j.db})
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.Encode(), nil
}

// Consistency returns the proof that the tree of a later size begins with the tree
// of an earlier one, for [receipt.CheckConsistency]. Neither may be zero.
func (j *Journal) Consistency(_ context.Context, earlier, later uint64) ([]tlog.Hash, error) {
	var path []tlog.Hash
	err := j.do(func(*turn) error {
		if earlier == 0 || earlier > later || later > uint64(j.tree.size) {
			return signer.Invalid("consistency of sizes %d and %d: want 0 < earlier <= later <= %d", earlier, later, j.tree.size)
		}
		var err error
		path, err = tlog.ProveTree(int64(later), int64(earlier), storedHashes{j.db})
		return err
	})
	return path, err
}

// loadCheckpoint reads the latest checkpoint and holds it against the tree.
func (j *Journal) loadCheckpoint() error {
	key, err := meta(j.db, metaKey)
	if err != nil {
		return err
	}
	row := make(values, 2)
	ok, err := j.db.row(sqlCheckpoint, row)
	switch {
	case err != nil:
		return err
	case ok != (key != ""):
		return errors.New("it has checkpoints without a key, or a key without checkpoints")
	case !ok:
		return nil
	}
	at, err1 := row.int(0)
	note, err2 := row.blob(1)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	v, err := receipt.ParseVerifier(key)
	if err != nil {
		return err
	}
	c, err := receipt.OpenCheckpoint(note, v)
	if err != nil {
		return err
	}
	switch {
	case v.Name() != j.Origin():
		return fmt.Errorf("its key is named %q instead of %q", v.Name(), j.Origin())
	case c.Size > uint64(j.tree.size):
		return fmt.Errorf("a checkpoint was signed at %d leaves, but only %d are left", c.Size, j.tree.size)
	}
	root, err := tlog.TreeHash(int64(c.Size), storedHashes{j.db})
	if err != nil {
		return err
	}
	if root != c.Root {
		return fmt.Errorf("the tree of %d leaves is not the one that was signed", c.Size)
	}
	j.pub.latest = &Checkpoint{Checkpoint: c, Time: time.Unix(0, at).UTC(), Note: note}
	return nil
}

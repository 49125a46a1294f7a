package journal

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// Bounds of one transaction. The second is checked between operations.
const (
	maxBatch = 256     // operations
	maxBytes = 1 << 20 // of bodies
)

// op is an operation that waits for its turn. run is called by whoever has the
// writer's turn, and its error is the operation's own unless it is a storeError.
type op struct {
	run  func(*turn) error
	err  error
	wake chan bool // true: the writer's turn is yours; false: done, see err
}

// turn is one transaction: the operations that share one commit. All of them see
// the same time.
type turn struct {
	j       *Journal
	now     time.Time // journal time
	moment  moment
	began   bool
	bytes   int
	leaves  int
	first   int64  // index of the first of hashes
	hashes  []byte // what the new leaves add to the tree
	ran     []*op
	settled bool

	pages int // of the write-ahead log, about, beyond those of a plain record

	proceeded uint64 // the last leaf that is a proceeding; 0: none is
}

// do queues an operation and returns once it has been run and committed. There is
// no timer and no writer goroutine: the first caller to come takes the writer's
// turn, works off what has queued up, and passes the turn on ("flat combining").
func (j *Journal) do(run func(*turn) error) error {
	o := &op{run: run, wake: make(chan bool, 1)}
	j.mu.Lock()
	j.queue = append(j.queue, o)
	mine := !j.busy
	j.busy = true
	j.mu.Unlock()
	if !mine {
		mine = <-o.wake
	}
	if mine {
		j.gather()
		j.batch()
	}
	return o.err
}

// gather lets those go first who are about to queue something, for as long as that
// brings more in: a commit costs the processor much the same for one operation as
// for many. Where nobody else is ready to run it returns at once.
func (j *Journal) gather() {
	for queued := 0; queued < maxBatch; runtime.Gosched() {
		before := queued
		j.mu.Lock()
		queued = len(j.queue)
		j.mu.Unlock()
		if queued == before {
			return
		}
	}
}

// takeTurn runs f in a turn of its own, outside any transaction.
func (j *Journal) takeTurn(f func()) {
	o := &op{wake: make(chan bool, 1)}
	j.mu.Lock()
	j.queue = append(j.queue, o)
	mine := !j.busy
	j.busy = true
	j.mu.Unlock()
	if !mine {
		<-o.wake
	}
	f()
	j.mu.Lock()
	j.queue = j.queue[1:]
	j.mu.Unlock()
	j.passTurn()
}

// next takes the next operation of a batch off the queue. An operation without run
// wants a turn of its own, so a batch ends before it.
func (j *Journal) next(t *turn) *op {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(t.ran) == maxBatch || t.bytes >= maxBytes || len(j.queue) == 0 || j.queue[0].run == nil {
		return nil
	}
	o := j.queue[0]
	j.queue[0] = nil
	j.queue = j.queue[1:]
	t.ran = append(t.ran, o)
	return o
}

// passTurn gives the writer's turn to whoever has waited longest.
func (j *Journal) passTurn() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queue) == 0 {
		j.busy, j.queue = false, nil
		return
	}
	j.queue[0].wake <- true
}

// batch runs queued operations in one transaction, commits it, and wakes whoever
// waits for them. The caller has the writer's turn and its operation is first in
// the queue.
func (j *Journal) batch() {
	t := &turn{j: j}
	defer func() {
		// A panic in here is a defect of ours, and a goroutine that exits in the
		// caller's decide is one of its test; either way memory and disk may differ.
		if !t.settled {
			cause := fmt.Errorf("panic: %v\n%s", recover(), debug.Stack())
			t.settle(j.stop(cause))
		}
		j.passTurn()
		for _, o := range t.ran {
			o.wake <- false
		}
	}()
	if err := t.start(); err != nil {
		for o := j.next(t); o != nil; o = j.next(t) {
			o.err = err
		}
		t.settled = true
		return
	}
	for o := j.next(t); o != nil; o = j.next(t) {
		o.err = o.run(t)
		if fatal, ok := errors.AsType[*storeError](o.err); ok {
			t.settle(j.stop(fatal))
			return
		}
	}
	t.settle(t.commit())
}

// start reads the clocks, or says why nothing can be done.
func (t *turn) start() error {
	if t.j.stopped != nil {
		return t.j.stopped
	}
	var err error
	if t.moment, err = t.j.moment(); err != nil {
		return &signer.Error{Code: signer.CodeUnavailable, Detail: "the clock cannot be read, so nothing can be recorded", Err: err}
	}
	t.now = t.j.clock.read(t.moment)
	return nil
}

// settle gives err, if any, to every operation of the batch: what was done for one
// of them is undone with the rest.
func (t *turn) settle(err error) {
	t.settled = true
	if err == nil {
		return
	}
	for _, o := range t.ran {
		o.err = err
	}
}

// begin opens the transaction at the first write. A batch that only reads has none.
func (t *turn) begin() error {
	if t.began {
		return nil
	}
	t.began = true
	return t.j.db.exec("BEGIN IMMEDIATE")
}

// commit makes the batch durable, or stops the journal.
func (t *turn) commit() error {
	if !t.began {
		return nil
	}
	if t.leaves > 0 {
		err := t.j.db.exec(sqlAddCommit, t.first, t.hashes, t.moment.boot, int64(t.moment.since))
		if err != nil {
			return t.j.stop(err)
		}
	}
	if err := t.j.db.exec("COMMIT"); err != nil {
		return t.j.stop(err)
	}
	t.j.size.Store(uint64(t.j.tree.size))
	if t.proceeded > 0 {
		t.j.proceed(t.proceeded)
	}
	t.j.grown(t)
	return nil
}

// stop ends all writing until the journal is opened again, and returns what every
// operation gets from now on. After a failed write neither memory nor what the
// kernel has cached of the file can be trusted to be what is on disk.
func (j *Journal) stop(cause error) error {
	if j.stopped != nil {
		return j.stopped
	}
	j.stopped = &signer.Error{
		Code:   signer.CodeUnavailable,
		Detail: "the journal stopped after a failed write, so nothing can be signed; see that the disk has room and is healthy, then restart sealwardd",
		Err:    cause,
	}
	// The transaction is over either way; if rolling back fails too, the first
	// error says more.
	_ = j.db.script("ROLLBACK")
	j.announce(func() { j.pub.ended, j.pub.failure = j.stopped, cause })
	j.proceed(0)
	return j.stopped
}

// leaf appends an event to the log, the tree and the index of proceedings. It sets the
// event's times.
func (t *turn) leaf(e signer.Event) (uint64, error) {
	j := t.j
	if j.tree.size == 0 && proceeds(e) { // leaf 0 stands for none
		return 0, internal("a journal begins with a start, not with an event of type %s; record that the daemon started first", e.Type)
	}
	e.Time, e.Wall = t.now, t.moment.wall
	body := e.Canonical()
	var salt [32]byte
	if _, err := io.ReadFull(j.c.Rand, salt[:]); err != nil {
		return 0, &signer.Error{Code: signer.CodeUnavailable, Detail: "no randomness for a record", Err: err}
	}
	l := receipt.Leaf{Type: e.Type, Time: t.now, Commitment: receipt.Commit(salt, body)}
	hash, err := l.Hash()
	if err != nil {
		return 0, &signer.Error{Code: signer.CodeInternal, Detail: "the event cannot be recorded", Err: err}
	}
	if err := t.begin(); err != nil {
		return 0, err
	}
	n := j.tree.size
	if err := j.db.exec(sqlAddLeaf, n, t.now.UnixNano(), string(e.Type), salt[:], body); err != nil {
		return 0, err
	}
	if t.leaves == 0 {
		t.first = tlog.StoredHashIndex(0, n)
	}
	t.hashes = j.tree.append(t.hashes, hash)
	t.leaves++
	t.bytes += len(body)
	return uint64(n), t.index(e, n)
}

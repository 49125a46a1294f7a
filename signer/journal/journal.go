package journal

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
	"github.com/sealward/sealward/signer/receipt"
)

// Config says where a journal is and what time it is.
type Config struct {
	// Path is the database file. Its folder must exist and be private to the user
	// that runs the daemon.
	Path string
	// AcceptTime makes journal time jump to the wall clock once, if that is ahead:
	// an operator has looked at it and found it right. The caller records that.
	AcceptTime bool

	// Now is the wall clock, time.Now if nil.
	Now func() time.Time
	// Boot returns the id of this boot and the time since, suspended time included;
	// nil: as Linux has it.
	Boot func() (id string, since time.Duration, err error)
	// Rand is where salts and the instance id come from, crypto/rand if nil.
	Rand io.Reader
	// MaxOff is how long the host may have been off, going by the wall clock, before
	// an operator has to accept the time; 15 minutes if zero.
	MaxOff time.Duration
	// Upgrading is told how far it is, in leaves, while a journal of an earlier version
	// is brought up to this one, which can take minutes; nil: nobody is.
	Upgrading func(done, of uint64)
}

// Journal implements [signer.Journal] on one database file. It is safe for
// concurrent use.
type Journal struct {
	c        Config
	instance string
	clock    *clock
	lock     *os.File // flock for as long as the journal is open

	mu    sync.Mutex
	queue []*op // owned by mu
	busy  bool  // somebody has the writer's turn; owned by mu

	// Owned by whoever has the writer's turn.
	db       *db
	tree     edge
	ledger   *ledger.Ledger // what was spent, as far back as policies asked
	stopped  error          // why nothing is written any more
	backlog  int            // estimated pages in the write-ahead log
	waits    *waits         // what waits
	override uint64         // leaf of the last override; 0: there is none

	full   chan struct{} // asks the tender to move the write-ahead log
	quit   chan struct{} // tells the tender to stop
	tended chan struct{} // closed by the tender when it has

	prints sync.Map // fingerprints of public keys that it has met; see fingerprint

	signing sync.Mutex    // held while a checkpoint is made
	size    atomic.Uint64 // leaves that are committed

	pub struct {
		sync.Mutex
		latest  *Checkpoint   // nil: none yet
		changed chan struct{} // closed and replaced when any of this changes
		ended   error         // what every operation gets, once stopped or closed
		failure error         // what stopped it; nil when it was closed

		proceeding uint64        // the last leaf of the proceedings; 0: there is none
		proceeded  chan struct{} // closed and replaced when there is a later one
	}
}

var _ signer.Journal = (*Journal)(nil)

// Open opens the journal at c.Path, or makes an empty one where there is no file.
// It reads back that commits will be synced, and that the end of the log, its
// tree and its latest checkpoint agree with each other.
func Open(c Config) (*Journal, error) {
	j, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", c.Path, err)
	}
	go j.tend()
	return j, nil
}

// start is Open without the background goroutine.
func start(c Config) (*Journal, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Boot == nil {
		c.Boot = linuxBoot()
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.MaxOff == 0 {
		c.MaxOff = 15 * time.Minute
	}
	if c.Upgrading == nil {
		c.Upgrading = func(uint64, uint64) {}
	}
	j := &Journal{
		c: c, ledger: ledger.Over(),
		full: make(chan struct{}, 1), quit: make(chan struct{}), tended: make(chan struct{}),
	}
	j.pub.changed, j.pub.proceeded = make(chan struct{}), make(chan struct{})
	if err := j.open(); err != nil {
		if j.db != nil {
			err = errors.Join(err, j.db.close())
		}
		if j.lock != nil {
			err = errors.Join(err, j.lock.Close())
		}
		return nil, err
	}
	return j, nil
}

func (j *Journal) open() (err error) {
	if err := CheckFolder(j.c.Path); err != nil {
		return err
	}
	if j.lock, err = lockFile(j.c.Path); err != nil {
		return err
	}
	if err := checkFile(j.c.Path); err != nil {
		return err
	}
	if j.db, err = openDB(j.c.Path, url.Values{"mode": {"rw"}}); err != nil {
		return err
	}
	if err := setDurable(j.db); err != nil {
		return err
	}
	version, err := checkVersion(j.db)
	if err != nil {
		return err
	}
	switch {
	case version == 0:
		err = j.create()
	case version < schemaVersion:
		err = upgrade(j.db, version, j.c.Upgrading)
	}
	if err != nil {
		return err
	}
	return j.load()
}

// setDurable sets the pragmas that durability and exclusion rest on, and reads
// them back, as a build of SQLite may have other ideas.
func setDurable(d *db) error {
	// The exclusive lock comes first, so that the index of the write-ahead log is in
	// memory and no other process can share it (SQLite, "Write-Ahead Logging", 8).
	const set = `
		PRAGMA locking_mode = EXCLUSIVE;
		PRAGMA journal_mode = WAL;
		PRAGMA synchronous = FULL;
		PRAGMA wal_autocheckpoint = 0;
		PRAGMA trusted_schema = OFF;
		PRAGMA cell_size_check = ON;
		PRAGMA cache_size = -2000;`
	if err := d.script(set); err != nil {
		return err
	}
	want := map[string]driver.Value{
		"PRAGMA locking_mode": "exclusive", "PRAGMA journal_mode": "wal",
		"PRAGMA synchronous": int64(2), "PRAGMA wal_autocheckpoint": int64(0),
	}
	for query, v := range want {
		got := make([]driver.Value, 1)
		if _, err := d.row(query, got); err != nil {
			return err
		}
		if got[0] != v {
			return fmt.Errorf("%s reads back as %v instead of %v, so records would not be safe; refusing to start", query, got[0], v)
		}
	}
	return nil
}

// create makes the tables of a new journal and gives it its instance id.
func (j *Journal) create() error {
	var id [16]byte
	if _, err := io.ReadFull(j.c.Rand, id[:]); err != nil {
		return fmt.Errorf("choose instance id: %w", err)
	}
	if err := j.db.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := j.db.script(schema); err != nil {
		return err
	}
	if err := j.db.exec(sqlAddMeta, metaInstance, hex.EncodeToString(id[:])); err != nil {
		return err
	}
	return j.db.script(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", applicationID, schemaVersion))
}

// load reads what the journal keeps in memory, and checks that the end of the log
// fits together. [Verify] checks all of it.
func (j *Journal) load() error {
	var err error
	if j.instance, err = meta(j.db, metaInstance); err != nil {
		return err
	}
	if j.instance == "" {
		return errors.New("the journal has no instance id; it is damaged")
	}
	size, last, err := loadLast(j.db)
	if err != nil {
		return err
	}
	if j.tree, err = loadEdge(size, storedHashes{j.db}); err != nil {
		return damaged(err)
	}
	j.size.Store(uint64(j.tree.size))
	if err := j.startClock(size, last); err != nil {
		return err
	}
	if err := j.loadWaiting(); err != nil {
		return damaged(err)
	}
	return damaged(j.loadCheckpoint())
}

func damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the journal is damaged or was altered: %w; check it with 'sealward journal verify' and restore a backup", err)
}

// loadLast returns the number of leaves and the time of the last one, after
// comparing that one with the tree.
func loadLast(d *db) (size int64, last time.Time, err error) {
	row := make(values, 1)
	if _, err := d.row(sqlLastLeaf, row); err != nil {
		return 0, time.Time{}, err
	}
	if row[0] != nil {
		n, err := row.int(0)
		if err != nil {
			return 0, time.Time{}, err
		}
		size = n + 1
	}
	var hashes int64
	commit := make(values, 4)
	switch ok, err := d.row(sqlLastCommit, commit); {
	case err != nil:
		return 0, time.Time{}, err
	case ok:
		first, err1 := commit.int(0)
		n, err2 := commit.int(1)
		if err := errors.Join(err1, err2); err != nil {
			return 0, time.Time{}, err
		}
		hashes = first + n/tlog.HashSize
	}
	if want := tlog.StoredHashCount(size); hashes != want {
		return 0, time.Time{}, damaged(fmt.Errorf("%d leaves, but the tree has %d hashes instead of %d", size, hashes, want))
	}
	if size == 0 {
		return 0, time.Time{}, nil
	}
	e, err := getEntry(d, size-1)
	if err != nil {
		return 0, time.Time{}, err
	}
	hash, err := e.Leaf.Hash()
	if err != nil {
		return 0, time.Time{}, damaged(err)
	}
	stored, err := storedHashes{d}.ReadHashes([]int64{tlog.StoredHashIndex(0, size-1)})
	if err != nil {
		return 0, time.Time{}, err
	}
	if stored[0] != hash {
		return 0, time.Time{}, damaged(fmt.Errorf("leaf %d is not the one in the tree", size-1))
	}
	return size, e.Leaf.Time, nil
}

// startClock continues journal time where the last commit left it.
func (j *Journal) startClock(size int64, last time.Time) error {
	now, err := j.moment()
	if err != nil {
		return err
	}
	if size == 0 {
		j.clock = &clock{last: now.wall, since: now.since, slack: maxSlack}
		return nil
	}
	row := make(values, 4)
	if _, err := j.db.row(sqlLastCommit, row); err != nil {
		return err
	}
	boot, err1 := row.text(2)
	since, err2 := row.int(3)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if boot == now.boot {
		j.clock = &clock{last: last, since: time.Duration(since)}
	} else {
		j.clock = resume(last, now, j.c.MaxOff)
	}
	if j.c.AcceptTime && j.clock.behind(now) > 0 {
		j.clock = &clock{last: now.wall, since: now.since}
	}
	return nil
}

func (j *Journal) moment() (moment, error) {
	id, since, err := j.c.Boot()
	if err != nil {
		return moment{}, err
	}
	return moment{wall: instant(j.c.Now()), boot: id, since: since}, nil
}

// Instance is the id of this journal: 32 hexadecimal digits, chosen when it was
// made.
func (j *Journal) Instance() string { return j.instance }

// Origin is the first line of its checkpoints and the name of their key.
func (j *Journal) Origin() string { return receipt.Origin(j.instance) }

// TimeHeld reports whether journal time is being held back from the wall clock, or
// held ahead of it, by more than a minute, and by how much it is behind (negative:
// ahead). Limits count in journal time. When it is behind because the host was off
// for long, or because a wrong clock was put right, open the journal with
// [Config.AcceptTime]; when it is ahead it runs slower until they meet.
func (j *Journal) TimeHeld() (behind time.Duration, held bool) {
	now, err := j.moment()
	if err != nil {
		return 0, false
	}
	behind = j.clock.behind(now)
	return behind, behind.Abs() > time.Minute
}

// Stopped returns the error that stopped the journal, or nil while it works. It is
// for the operator; callers meet it as [signer.CodeUnavailable].
func (j *Journal) Stopped() error {
	j.pub.Lock()
	defer j.pub.Unlock()
	return j.pub.failure
}

// Close waits for the operations that are queued, refuses later ones and closes
// the database. It may be called again.
func (j *Journal) Close() error {
	var err error
	j.takeTurn(func() {
		if j.db == nil {
			return
		}
		if j.stopped == nil {
			j.stopped = &signer.Error{Code: signer.CodeUnavailable, Detail: "the journal is closed"}
			j.announce(func() { j.pub.ended = j.stopped })
			j.proceed(0)
		}
		close(j.quit)
		err = errors.Join(j.db.close(), j.lock.Close())
		j.db = nil
	})
	<-j.tended
	return err
}

// meta returns a value of table meta, empty when it is not there.
func meta(d *db, name string) (string, error) {
	row := make(values, 1)
	if ok, err := d.row(sqlGetMeta, row, name); err != nil || !ok {
		return "", err
	}
	return row.text(0)
}

// Entries returns leaves from an index on, in order: at most limit of them, and
// fewer when they are large. None means that the end is reached.
func (j *Journal) Entries(_ context.Context, from uint64, limit int) ([]receipt.Entry, error) {
	var out []receipt.Entry
	err := j.do(func(t *turn) error {
		var err error
		out, err = getEntries(j.db, from, min(max(limit, 0), maxPage))
		return err
	})
	return out, err
}

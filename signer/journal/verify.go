package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
	"github.com/sealward/sealward/signer/receipt"
)

// VerifyConfig says what to verify and whom to trust. Path, Trusted and Signature
// are required.
type VerifyConfig struct {
	Path string
	// Trusted is the key of the checkpoints, as the caller knows it beforehand; it is
	// not taken from the journal.
	Trusted *receipt.Verifier
	// Signature checks a signature of a message in its scheme's encoding.
	Signature func(pub signer.PublicKey, m signer.Message, sig []byte) error
	// Known are signed checkpoints that were kept elsewhere. They show a journal that
	// was rolled back or cut off as a whole.
	Known [][]byte
}

const (
	sqlAllLeaves      = `SELECT leaf, time, type, salt, body FROM leaves ORDER BY leaf`
	sqlAllHashes      = `SELECT first, hashes FROM commits ORDER BY first`
	sqlAllSpends      = `SELECT leaf, asset, key, caller, time, amount FROM spends ORDER BY leaf, asset`
	sqlAllOlderSpends = `SELECT leaf, asset, key, '', time, amount FROM spends ORDER BY leaf, asset`
	sqlAllFlows       = `SELECT leaf, recipient, asset, amount FROM flows ORDER BY leaf, recipient, asset`
	sqlAllCheckpoints = `SELECT size, note FROM checkpoints ORDER BY size`
	sqlCountRequests  = `SELECT count(*) FROM requests`
	sqlCountOutcomes  = `SELECT count(*) FROM outcomes`
	sqlCountActs      = `SELECT count(*) FROM acts`
	sqlCountKnown     = `SELECT count(*) FROM recipients`
	sqlCountPolicies  = `SELECT count(*) FROM policies`
	sqlCountBundles   = `SELECT count(*) FROM bundles`
	sqlIsAct          = `SELECT count(*) FROM acts WHERE leaf = ?`
	sqlHadFlow        = `SELECT EXISTS (SELECT 1 FROM flows WHERE leaf = ?1 AND recipient = ?2) AND EXISTS (SELECT 1 FROM spends WHERE leaf = ?1 AND asset = 'requests' AND key = ?3)`
)

// Verify reads a journal that no daemon has open, recomputes everything from the
// bodies, and reports what it holds and what is wrong: bodies against leaves,
// leaves against the tree, the tree against every checkpoint, each table against
// the bodies, every decision's facts against the records before it, every authorisation
// of what waited against the approvals that it counts, and every signature against its
// authorisation. It changes nothing. Whether an approval's own signature verifies is not
// looked at: whose key it is, the policy of the time says. The error says why the
// journal could not be read at all; what is wrong with its content is in the
// report.
func Verify(ctx context.Context, c VerifyConfig) (Report, error) {
	if c.Trusted == nil || c.Signature == nil {
		return Report{}, errors.New("verify journal: name the journal's key that you trust, and how to check signatures; neither is taken from the journal")
	}
	d, release, err := openForReading(c.Path)
	if err != nil {
		return Report{}, fmt.Errorf("verify journal %s: %w", c.Path, err)
	}
	a := &audit{
		c: c, d: d, ledger: ledger.Over(), roots: map[uint64][]signedRoot{}, off: map[string]int64{}, bundles: map[[32]byte]bool{},
		people: newProceedings(),
	}
	a.rep.Key = c.Trusted.String()
	err = a.run(ctx)
	if err = errors.Join(err, d.close(), release()); err != nil {
		return Report{}, fmt.Errorf("verify journal %s: %w", c.Path, err)
	}
	return a.rep, nil
}

// openForReading opens a journal without changing it. Where no write-ahead log was
// left behind the file is read as it lies, also from a medium that is read-only.
func openForReading(path string) (*db, func() error, error) {
	release := func() error { return nil }
	lock, err := os.Open(lockName(path))
	switch {
	case err == nil:
		release = lock.Close
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = errors.New("a running daemon has it open; stop that first, or read the journal through the daemon's API")
			}
			return nil, nil, errors.Join(err, release())
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	params := url.Values{"mode": {"ro"}}
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		params.Set("immutable", "1")
	}
	d, err := openDB(path, params)
	if err != nil {
		return nil, nil, errors.Join(err, release())
	}
	version, err := checkVersion(d)
	if err == nil && version == 0 {
		err = errors.New("the file is empty; there is no journal in it")
	}
	if err != nil {
		return nil, nil, errors.Join(err, d.close(), release())
	}
	return d, release, nil
}

// signedRoot is a root that somebody signed for.
type signedRoot struct {
	hash tlog.Hash
	from string // where the checkpoint is, for people
}

// audit walks over a journal once, with one cursor in each table that is in the
// order of leaves.
type audit struct {
	c   VerifyConfig
	d   *db
	rep Report

	tree     edge
	last     time.Time // journal time of the leaf before
	ledger   *ledger.Ledger
	roots    map[uint64][]signedRoot // by size
	answered uint64                  // rows of outcomes that a leaf bears out
	acts     uint64                  // authorisations of administrative requests
	known    uint64                  // rows of recipients that a leaf bears out
	policies uint64                  // leaves that put a policy in force
	bundles  map[[32]byte]bool       // that such leaves name
	off      map[string]int64        // leaves that disabled keys, by fingerprint
	people   *proceedings            // what waits, and what was heard
	version  int64                   // of the schema
	cut      bool                    // a leaf is missing or unreadable; the walk ended there

	hashes hashStream
	spends *cursor
	flows  *cursor
}

func (a *audit) run(ctx context.Context) error {
	var err error
	if a.rep.Instance, err = meta(a.d, metaInstance); err != nil {
		return err
	}
	if a.version, err = checkVersion(a.d); err != nil {
		return err
	}
	if err := a.collectRoots(); err != nil {
		return err
	}
	if a.hashes.c, err = a.d.query(sqlAllHashes, 2); err != nil {
		return err
	}
	defer a.hashes.c.close()
	query := sqlAllSpends
	if a.version < 3 {
		query = sqlAllOlderSpends
	}
	if a.spends, err = a.d.query(query, 6); err != nil {
		return err
	}
	defer a.spends.close()
	a.flows = &cursor{}
	if a.version >= 3 {
		if a.flows, err = a.d.query(sqlAllFlows, 4); err != nil {
			return err
		}
		defer a.flows.close()
	}
	if err := a.walk(ctx); err != nil {
		return err
	}
	a.rep.Leaves, a.rep.Root, a.rep.Last = uint64(a.tree.size), a.tree.root(), a.last
	a.rep.Unknown = a.rep.Authorized - min(a.rep.Authorized, a.answered)
	a.rep.Waiting = uint64(len(a.people.byLeaf))
	if err := a.stillWaiting(); err != nil {
		return err
	}
	return a.leftovers()
}

// collectRoots opens every checkpoint under the trusted key.
func (a *audit) collectRoots() error {
	key, err := meta(a.d, metaKey)
	if err != nil {
		return err
	}
	if key != "" && key != a.rep.Key {
		a.rep.problem(-1, time.Time{}, "the journal says that its key is %s; you trust %s", key, a.rep.Key)
	}
	for i, note := range a.c.Known {
		a.collect(note, fmt.Sprintf("known checkpoint %d", i+1), nil)
	}
	c, err := a.d.query(sqlAllCheckpoints, 2)
	if err != nil {
		return err
	}
	defer c.close()
	for c.ok {
		size, err1 := values(c.row).int(0)
		note, err2 := values(c.row).blob(1)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		a.rep.Checkpoints++
		a.collect(note, fmt.Sprintf("checkpoint at %d leaves", size), &size)
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) collect(note []byte, from string, size *int64) {
	c, err := receipt.OpenCheckpoint(note, a.c.Trusted)
	switch {
	case err != nil:
		a.rep.problem(-1, time.Time{}, "%s: %v", from, err)
	case size != nil && uint64(*size) != c.Size:
		a.rep.problem(-1, time.Time{}, "%s: it was exchanged for one that was signed at %d leaves", from, c.Size)
	case c.Origin != receipt.Origin(a.rep.Instance):
		a.rep.problem(-1, time.Time{}, "%s: it is of %s, this journal is %s", from, c.Origin, receipt.Origin(a.rep.Instance))
	default:
		a.roots[c.Size] = append(a.roots[c.Size], signedRoot{c.Root, from})
	}
}

// checkRoots compares the tree so far with what was signed at its size.
func (a *audit) checkRoots() {
	size := uint64(a.tree.size)
	signed := a.roots[size]
	if len(signed) == 0 {
		return
	}
	delete(a.roots, size)
	root := a.tree.root()
	for _, s := range signed {
		if s.hash != root {
			a.rep.problem(a.tree.size-1, a.last, "%s: the tree is not the one that was signed; something up to this leaf was rewritten", s.from)
			continue
		}
		a.rep.Covered = size
	}
}

// walk goes over the leaves in order. It ends early where one is missing, as
// nothing after it can be placed.
func (a *audit) walk(ctx context.Context) error {
	c, err := a.d.query(sqlAllLeaves, 5)
	if err != nil {
		return err
	}
	defer c.close()
	a.checkRoots()
	for c.ok {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		leaf, err := values(c.row).int(0)
		if err != nil {
			return err
		}
		if leaf != a.tree.size {
			a.cut = true
			a.rep.problem(a.tree.size, a.last, "it is missing; the next one is %d, and nothing from here on was checked", leaf)
			return nil
		}
		e, err := readEntry(leaf, values(c.row[1:]))
		if err != nil {
			a.cut = true
			a.rep.problem(leaf, a.last, "it cannot be read (%v), and nothing from here on was checked", err)
			return nil
		}
		if err := a.leaf(e); err != nil {
			return err
		}
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks one leaf: its place in the tree, its time, and what it says.
func (a *audit) leaf(e receipt.Entry) error {
	n := int64(e.Index)
	if n == 0 {
		a.rep.First = e.Leaf.Time
	}
	if e.Leaf.Time.Before(a.last) {
		a.rep.problem(n, e.Leaf.Time, "journal time runs backwards, from %s", a.last.Format(time.RFC3339Nano))
	}
	a.last = e.Leaf.Time
	if err := a.place(e); err != nil {
		return err
	}
	ev, err := e.Event()
	if err != nil {
		a.rep.problem(n, e.Leaf.Time, "%v", err)
	}
	if err := a.content(e, ev); err != nil {
		return err
	}
	a.checkRoots()
	return nil
}

// place appends a leaf to the tree and compares with the stored hashes. Where the
// leaf itself differs, the tree goes on with the stored hash: so one changed body
// is one problem, and a checkpoint after it tells whether it was in that tree.
func (a *audit) place(e receipt.Entry) error {
	hash, err := e.Leaf.Hash()
	if err != nil {
		a.rep.problem(int64(e.Index), e.Leaf.Time, "%v", err)
	}
	before := a.tree
	made := a.tree.append(nil, hash)
	stored, err := a.hashes.take(tlog.StoredHashIndex(0, int64(e.Index)), len(made))
	switch {
	case err != nil:
		return err
	case stored == nil:
		a.rep.problem(int64(e.Index), e.Leaf.Time, "the tree has no hash of it")
	case string(stored[:tlog.HashSize]) != string(hash[:]):
		a.rep.problem(int64(e.Index), e.Leaf.Time, "its body, salt, type or time was changed: it is not the leaf in the tree")
		a.tree = before
		a.tree.append(nil, tlog.Hash(stored[:tlog.HashSize]))
	case string(stored) != string(made):
		a.rep.problem(int64(e.Index), e.Leaf.Time, "a stored hash of the tree above it was changed")
	}
	return nil
}

// hashStream reads the tree's stored hashes in order.
type hashStream struct {
	c    *cursor
	at   int64 // index of the first of rest
	rest []byte
}

// take returns the next n bytes of hashes, or nil where they are missing.
func (s *hashStream) take(index int64, n int) ([]byte, error) {
	if len(s.rest) == 0 && s.c.ok {
		var err1, err2 error
		s.at, err1 = values(s.c.row).int(0)
		s.rest, err2 = values(s.c.row).blob(1)
		if err := errors.Join(err1, err2, s.c.next()); err != nil {
			return nil, err
		}
	}
	if s.at != index || len(s.rest) < n {
		return nil, nil
	}
	out := s.rest[:n]
	s.rest, s.at = s.rest[n:], s.at+int64(n/tlog.HashSize)
	return out, nil
}

// leftovers reports what is in the tables and belongs to no leaf.
func (a *audit) leftovers() error {
	if a.cut {
		return nil
	}
	for _, size := range slices.Sorted(maps.Keys(a.roots)) {
		a.rep.problem(-1, time.Time{}, "%s: it was signed at %d leaves, but only %d are left; the end was cut off, or an old copy put back",
			a.roots[size][0].from, size, a.rep.Leaves)
	}
	for i, c := range []*cursor{a.spends, a.flows} {
		if !c.ok {
			continue
		}
		leaf, err := values(c.row).int(0)
		if err != nil {
			return err
		}
		a.rep.problem(leaf, time.Time{}, "table %s has rows of this leaf, which does not exist", []string{"spends", "flows"}[i])
	}
	if a.hashes.c.ok || len(a.hashes.rest) > 0 {
		a.rep.problem(-1, time.Time{}, "the stored tree has more hashes than %d leaves make; the end was cut off", a.rep.Leaves)
	}
	type count struct {
		query, table string
		want         uint64
	}
	tables := []count{
		{sqlCountRequests, "requests", a.rep.Authorized + a.rep.Denied + a.rep.Waiting},
		{sqlCountOutcomes, "outcomes", a.answered},
	}
	if a.version >= 2 {
		tables = append(tables, count{sqlCountActs, "acts", a.acts})
	}
	if a.version >= 3 {
		tables = append(tables, count{sqlCountKnown, "recipients", a.known}, count{sqlCountPolicies, "policies", a.policies},
			count{sqlCountBundles, "bundles", uint64(len(a.bundles))})
	}
	if a.version >= 4 {
		w := a.people
		tables = append(tables, count{sqlCountApprovals, "approvals", w.approvals}, count{sqlCountCandidates, "candidates", w.candidates},
			count{sqlCountProceedings, "proceedings", w.leaves}, count{sqlCountLatest, "latest", uint64(len(w.latest))})
	}
	for _, t := range tables {
		n, err := a.d.integer(t.query)
		if err != nil {
			return err
		}
		if uint64(n) != t.want {
			a.rep.problem(-1, time.Time{}, "table %s has %d rows, the leaves account for %d", t.table, n, t.want)
		}
	}
	return nil
}

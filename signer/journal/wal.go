package journal

import (
	"database/sql/driver"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// The write-ahead log takes every commit and is moved into the database when it
// has walPages pages. A file that grows costs the file system a commit of its own
// at every fsync, so it gets its full size once, in the background, a chunk at a
// time.
const (
	pageSize  = 4096
	walPages  = 4096
	walSize   = (walPages + walPages/4) * (pageSize + 24)
	walChunk  = 256 << 10
	walPerRow = 3 // pages that a record touches, about, besides its body and what it counts in pages itself
)

// tend is the one background goroutine of a journal. Close waits for it.
func (j *Journal) tend() {
	defer close(j.tended)
	if err := j.reserve(); err != nil {
		j.takeTurn(func() {
			if j.db != nil {
				_ = j.stop(err)
			}
		})
	}
	for {
		select {
		case <-j.quit:
			return
		case <-j.full:
			j.takeTurn(j.moveLog)
		}
	}
}

// grown keeps count of the write-ahead log after a commit, roughly and rather too
// much than too little, and has it moved before it outgrows its file.
func (j *Journal) grown(t *turn) {
	j.backlog += walPerRow*(1+len(t.ran)) + 2*t.bytes/pageSize + t.pages
	switch {
	case j.backlog < walPages:
		return
	case j.backlog >= walPages+walPages/8:
		j.moveLog() // on a machine that is taken, the turn for it comes too late
		return
	}
	select {
	case j.full <- struct{}{}:
	default:
	}
}

// moveLog copies the write-ahead log into the database, so that the log begins
// again at the front of its file. SQLite would do so by itself at a commit, but
// would not say when it fails. The file is never truncated.
func (j *Journal) moveLog() {
	if j.db == nil || j.stopped != nil {
		return
	}
	row := make([]driver.Value, 3)
	_, err := j.db.row("PRAGMA wal_checkpoint(PASSIVE)", row)
	if err == nil && row[0] != int64(0) {
		err = errors.New("move write-ahead log: something else has the database open")
	}
	if err != nil {
		_ = j.stop(err)
	}
	j.backlog = 0
}

// reserve grows the file of the write-ahead log to its full size. What follows the
// last valid frame in it is ignored by SQLite (file format, 4.1). Each chunk is
// written in a turn, so that it cannot meet a commit, and synced outside of one.
// A full disk is no error here: commits will find out when it matters.
func (j *Journal) reserve() error {
	f, err := os.OpenFile(j.c.Path+"-wal", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, walChunk)
	for more := true; more; {
		j.takeTurn(func() {
			more = false
			if j.db == nil || j.stopped != nil {
				return
			}
			var info os.FileInfo
			if info, err = f.Stat(); err != nil || info.Size() >= walSize {
				return
			}
			if _, err = f.WriteAt(zeros, info.Size()); err == nil {
				more = true
			}
		})
		switch {
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
			return nil
		case err != nil:
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
	}
	return nil
}

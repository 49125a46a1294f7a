package journal

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// copyPages is how much of a copy is made in one turn of the writer: 1 MiB.
const copyPages = 256

// Size is the number of leaves.
func (j *Journal) Size() uint64 { return j.size.Load() }

// Copy writes the journal as it is at one moment, the end of the call, to a new
// file for [Verify] to read, and lets others write in between. The caller removes
// the file, also after an error.
func (j *Journal) Copy(ctx context.Context, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy journal to %s: %w", path, err)
		}
	}()
	to, err := openDB(path, url.Values{"mode": {"rwc"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()

	// What this connection commits between two steps, SQLite puts into the copy too
	// ("SQLite Backup API", 2).
	var backup *sqlite3.SQLiteBackup
	step := func(f func()) {
		j.takeTurn(func() {
			switch {
			case j.db == nil:
				err = errors.New("the journal is closed")
			case ctx.Err() != nil:
				err = context.Cause(ctx)
			default:
				f()
			}
		})
	}
	step(func() { backup, err = to.conn.Backup("main", j.db.conn, "main") })
	if err != nil {
		return err
	}
	for done := false; !done && err == nil; {
		step(func() { done, err = backup.Step(copyPages) })
	}
	j.takeTurn(func() {
		if j.db != nil { // else closing the journal has ended the backup
			err = errors.Join(err, backup.Finish())
		}
	})
	return err
}

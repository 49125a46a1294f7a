package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer/receipt"
)

// Reader reads the entries of a journal that no daemon has open. It changes nothing and
// verifies nothing: that is for [Verify]. While it is open no daemon can start. It is not
// safe for concurrent use.
type Reader struct {
	path    string
	db      *db
	release func() error
	size    uint64
}

const sqlCountLeaves = `SELECT count(*) FROM leaves`

// OpenReader opens the journal in a file.
func OpenReader(path string) (*Reader, error) {
	d, release, err := openForReading(path)
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", path, err)
	}
	n, err := d.integer(sqlCountLeaves)
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", path, errors.Join(err, d.close(), release()))
	}
	return &Reader{path, d, release, uint64(n)}, nil
}

// Size is the number of leaves.
func (r *Reader) Size() uint64 { return r.size }

// Entries returns entries as [Journal.Entries] does.
func (r *Reader) Entries(ctx context.Context, from uint64, limit int) ([]receipt.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	entries, err := getEntries(r.db, from, min(limit, maxPage))
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", r.path, err)
	}
	return entries, nil
}

// PolicyBundle returns what [Journal.PolicyBundle] does. Journals before schema version 3
// keep none.
func (r *Reader) PolicyBundle(ctx context.Context, version [32]byte) (bundle []byte, ok bool, err error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	schema, err := checkVersion(r.db)
	if err != nil {
		return nil, false, err
	}
	row := make(values, 2)
	if ok, err = findBundle(r.db, row, version, schema); err != nil || !ok {
		return nil, false, err
	}
	if bundle, err = readBundle(row, version); err != nil {
		return nil, false, err
	}
	return bundle, true, nil
}

// Close closes the file.
func (r *Reader) Close() error { return errors.Join(r.db.close(), r.release()) }

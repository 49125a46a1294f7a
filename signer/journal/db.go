package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// db is one SQLite connection with its prepared statements. database/sql is left
// out on purpose: its pool and locks cost more than a statement does, and one
// writer needs neither. Not safe for concurrent use.
type db struct {
	conn  *sqlite3.SQLiteConn
	stmts map[string]*sqlite3.SQLiteStmt // by their text, which is always a constant
}

// storeError marks an error of the database, as against one of a single operation.
// The first one stops the journal.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

func broken(format string, args ...any) error {
	return &storeError{fmt.Errorf(format, args...)}
}

// openDB opens an SQLite file; params are those of SQLite's URI filenames.
func openDB(path string, params url.Values) (*db, error) {
	path, err := filepath.Abs(path) // the first part of a relative one would be the URI's host
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// The driver's own mutex is off, as one goroutine at a time is in here. Locks
	// are held for as long as the journal is open, so waiting for one is no use.
	params.Set("_mutex", "no")
	params.Set("_busy_timeout", "0")
	// The driver sets synchronous=NORMAL unless told otherwise, which in WAL mode
	// does not sync commits.
	params.Set("_synchronous", "FULL")
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}).String()
	conn, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if e, ok := errors.AsType[sqlite3.Error](err); ok && e.Code == sqlite3.ErrBusy {
		return nil, errInUse
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &db{conn: conn.(*sqlite3.SQLiteConn), stmts: map[string]*sqlite3.SQLiteStmt{}}, nil
}

func (d *db) close() error {
	for _, s := range d.stmts {
		if err := s.Close(); err != nil {
			return err
		}
	}
	return d.conn.Close()
}

// script runs statements that are executed once.
func (d *db) script(query string) error {
	if _, err := d.conn.Exec(query, nil); err != nil {
		return &storeError{err}
	}
	return nil
}

func (d *db) stmt(query string) (*sqlite3.SQLiteStmt, error) {
	if s := d.stmts[query]; s != nil {
		return s, nil
	}
	prepared, err := d.conn.Prepare(query)
	if err != nil {
		return nil, &storeError{err}
	}
	s := prepared.(*sqlite3.SQLiteStmt)
	d.stmts[query] = s
	return s, nil
}

// never is the context of every statement: what others wait for too is not stopped
// because one of them has gone.
var never = context.Background()

func named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}

func (d *db) exec(query string, args ...driver.Value) error {
	_, err := d.change(query, args...)
	return err
}

// change is exec, and returns how many rows it wrote.
func (d *db) change(query string, args ...driver.Value) (int64, error) {
	s, err := d.stmt(query)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(never, named(args))
	if err != nil {
		return 0, &storeError{err}
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, &storeError{err}
	}
	return n, nil
}

// row reads the first row into dest, or reports false when there is none.
func (d *db) row(query string, dest []driver.Value, args ...driver.Value) (bool, error) {
	c, err := d.query(query, len(dest), args...)
	if err != nil {
		return false, err
	}
	defer c.close()
	copy(dest, c.row)
	return c.ok, nil
}

// integer reads one integer; a missing row or NULL is an error.
func (d *db) integer(query string, args ...driver.Value) (int64, error) {
	dest := make([]driver.Value, 1)
	if _, err := d.row(query, dest, args...); err != nil {
		return 0, err
	}
	n, ok := dest[0].(int64)
	if !ok {
		return 0, broken("%s: the database returned %v instead of an integer", query, dest[0])
	}
	return n, nil
}

// cursor walks over the rows of a query. While ok is set, row is the current one.
type cursor struct {
	rows driver.Rows
	row  []driver.Value
	ok   bool
}

// query returns a cursor on the first row. No two cursors of the same query may be
// open at once, as they share a statement.
func (d *db) query(query string, columns int, args ...driver.Value) (*cursor, error) {
	s, err := d.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(never, named(args))
	if err != nil {
		return nil, &storeError{err}
	}
	c := &cursor{rows: rows, row: make([]driver.Value, columns)}
	if err := c.next(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cursor) next() error {
	switch err := c.rows.Next(c.row); {
	case errors.Is(err, io.EOF):
		c.ok = false
	case err != nil:
		c.ok = false
		return &storeError{err}
	default:
		c.ok = true
	}
	return nil
}

// close resets the statement. Its error repeats the one that next returned.
func (c *cursor) close() { _ = c.rows.Close() }

// values converts a row, whose types the schema guarantees (STRICT) but a damaged
// file may not.
type values []driver.Value

func (v values) int(i int) (int64, error) {
	n, ok := v[i].(int64)
	if !ok {
		return 0, broken("column %d: want an integer, the database has %T", i, v[i])
	}
	return n, nil
}

func (v values) text(i int) (string, error) {
	s, ok := v[i].(string)
	if !ok {
		return "", broken("column %d: want text, the database has %T", i, v[i])
	}
	return s, nil
}

func (v values) blob(i int) ([]byte, error) {
	b, ok := v[i].([]byte)
	if !ok {
		return nil, broken("column %d: want bytes, the database has %T", i, v[i])
	}
	return b, nil
}

// amount reads a decimal, or nil where there is none.
func (v values) amount(i int, table string) (*big.Int, error) {
	if v[i] == nil {
		return nil, nil
	}
	text, err := v.text(i)
	if err != nil {
		return nil, err
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 {
		return nil, broken("amount %q in table %s is not a decimal", text, table)
	}
	return n, nil
}

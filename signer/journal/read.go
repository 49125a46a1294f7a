package journal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// maxPage bounds what one call of Entries returns, in leaves. By size it ends after
// the first leaf that brings the bodies to maxBytes.
const maxPage = 1000

// getEntry reads one leaf; that it is missing is an error of the database.
func getEntry(d *db, leaf int64) (receipt.Entry, error) {
	row := make(values, 4)
	ok, err := d.row(sqlGetLeaf, row, leaf)
	if err != nil {
		return receipt.Entry{}, err
	}
	if !ok {
		return receipt.Entry{}, broken("leaf %d is missing", leaf)
	}
	return readEntry(leaf, row)
}

// readEntry reads the columns time, type, salt, body.
func readEntry(leaf int64, row values) (receipt.Entry, error) {
	at, err1 := row.int(0)
	kind, err2 := row.text(1)
	salt, err3 := row.blob(2)
	body, err4 := row.blob(3)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return receipt.Entry{}, broken("leaf %d: %w", leaf, err)
	}
	if len(salt) != 32 {
		return receipt.Entry{}, broken("leaf %d: the salt has %d bytes instead of 32", leaf, len(salt))
	}
	e := receipt.Entry{Index: uint64(leaf), Salt: [32]byte(salt), Body: body}
	e.Leaf = receipt.Leaf{Type: signer.EventType(kind), Time: time.Unix(0, at).UTC(), Commitment: receipt.Commit(e.Salt, body)}
	return e, nil
}

// getEntries reads leaves from an index on.
func getEntries(d *db, from uint64, limit int) ([]receipt.Entry, error) {
	return pageOf(d, sqlLeavesFrom, from, limit)
}

// pageOf reads the leaves of a query, of which the first argument is a leaf.
func pageOf(d *db, query string, from uint64, limit int) ([]receipt.Entry, error) {
	if from > 1<<62 {
		return nil, nil
	}
	c, err := d.query(query, 5, int64(from), int64(limit))
	if err != nil {
		return nil, err
	}
	defer c.close()
	var out []receipt.Entry
	for size := 0; c.ok && size < maxBytes; {
		leaf, err := values(c.row).int(0)
		if err != nil {
			return nil, err
		}
		e, err := readEntry(leaf, values(c.row[1:]))
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		size += len(e.Body)
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// actsPage is how many acts are read in one turn of the writer, at most; it ends
// after the one that brings the bodies to maxBytes.
const actsPage = 64

// Acts implements [signer.Journal].
func (j *Journal) Acts(ctx context.Context, classes ...signer.Class) ([]signer.Recorded, error) {
	var out []signer.Recorded
	for from := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		var page []*stored
		size := 0
		err := j.do(func(t *turn) error {
			leaves, err := actsFrom(j.db, from)
			if err != nil {
				return err
			}
			for _, leaf := range leaves {
				if size >= maxBytes {
					return nil
				}
				s, err := t.at(leaf)
				if err != nil {
					return err
				}
				page = append(page, s)
				size += len(s.decision.Body)
				if s.outcome != nil {
					size += len(s.outcome.Body)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			rec, err := j.readBack(s)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(rec.Proposal.Intent.Effects, func(e signer.Effect) bool { return slices.Contains(classes, e.Class) }) { // the others may be large
				out = append(out, rec)
			}
		}
		if len(page) == 0 {
			return out, nil
		}
		from = int64(page[len(page)-1].decision.Index) + 1
	}
}

// actsFrom reads the next leaves of table acts.
func actsFrom(d *db, from int64) ([]int64, error) {
	c, err := d.query(sqlActsFrom, 1, from, int64(actsPage))
	if err != nil {
		return nil, err
	}
	defer c.close()
	var out []int64
	for c.ok {
		leaf, err := values(c.row).int(0)
		if err != nil {
			return nil, err
		}
		out = append(out, leaf)
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

package journal

import (
	"fmt"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
	"github.com/sealward/sealward/signer/receipt"
)

// upgrade brings a journal of an earlier version up to this one, as one step. What
// earlier versions did not keep in tables is derived from the bodies of the leaves, a
// page at a time; what they kept stays as it is, for [Verify] to judge.
func upgrade(d *db, from int64, tell func(done, of uint64)) error {
	err := func() error {
		if err := d.script("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		if from < 2 {
			if err := d.script(schemaActs); err != nil {
				return err
			}
		}
		if from < 3 {
			if err := d.script("ALTER TABLE spends RENAME TO older_spends;" + schemaSpends + schemaRecipients); err != nil {
				return err
			}
			if err := derive(d, tell); err != nil {
				return err
			}
			if err := d.script("DROP TABLE older_spends"); err != nil {
				return err
			}
		}
		if err := d.script(schemaWaiting + deriveLatest); err != nil {
			return err
		}
		return d.script(fmt.Sprintf("PRAGMA user_version = %d; COMMIT", schemaVersion))
	}()
	if err != nil {
		return fmt.Errorf("bring it from schema version %d to %d: %w", from, schemaVersion, err)
	}
	// All of it went through the write-ahead log, which begins anew and small.
	return d.script("PRAGMA wal_checkpoint(TRUNCATE)")
}

// deriveLatest fills the tables of version 4: in earlier ones nothing waited, and what
// policy would have asked about was refused.
const deriveLatest = `INSERT INTO latest SELECT 'started', max(leaf) FROM leaves WHERE type = 'started' HAVING count(*) > 0`

const (
	sqlSize             = `SELECT ifnull(max(leaf) + 1, 0) FROM leaves`
	sqlMoveSpends       = `INSERT INTO spends SELECT leaf, asset, key, ?, time, amount FROM older_spends WHERE leaf = ?`
	sqlCountSpends      = `SELECT count(*) FROM spends`
	sqlCountOlderSpends = `SELECT count(*) FROM older_spends`
)

// derive fills the tables of version 3.
func derive(d *db, tell func(done, of uint64)) error {
	size, err := d.integer(sqlSize)
	if err != nil {
		return err
	}
	for next := uint64(0); ; {
		tell(next, uint64(size))
		page, err := getEntries(d, next, maxPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if err := deriveLeaf(d, e); err != nil {
				return err
			}
		}
		next = page[len(page)-1].Index + 1
	}
	moved, err := d.integer(sqlCountSpends)
	if err != nil {
		return err
	}
	switch had, err := d.integer(sqlCountOlderSpends); {
	case err != nil:
		return err
	case moved != had:
		return fmt.Errorf("table spends has %d rows, of which %d belong to authorisations; check the journal with 'sealward journal verify'", had, moved)
	}
	return nil
}

func deriveLeaf(d *db, e receipt.Entry) error {
	switch e.Leaf.Type {
	case signer.EventAuthorized, signer.EventStarted, signer.EventPolicy:
	default:
		return nil
	}
	leaf := int64(e.Index)
	unreadable := func(err error) error {
		return fmt.Errorf("leaf %d cannot be read back: %w; check the journal with 'sealward journal verify'", leaf, err)
	}
	ev, err := e.Event()
	switch {
	case err != nil:
		return unreadable(err)
	case adopts(ev):
		return adopt(d, leaf, ev, nil)
	case e.Leaf.Type != signer.EventAuthorized:
		return nil
	case ev.Proposal == nil:
		return unreadable(fmt.Errorf("it has no proposal"))
	}
	if err := ledger.Check(ev.Proposal.Intent); err != nil {
		return unreadable(err)
	}
	s := ledger.Of(*ev.Proposal, e.Leaf.Time)
	if err := d.exec(sqlMoveSpends, s.Caller, leaf); err != nil {
		return err
	}
	_, err = addFlows(d, s, leaf)
	return err
}

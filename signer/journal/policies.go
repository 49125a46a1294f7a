package journal

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sealward/sealward/signer"
)

// Note implements [signer.Journal].
func (j *Journal) Note(_ context.Context, e signer.Event) (uint64, error) {
	if e.Bundle != ([32]byte{}) {
		return 0, internal("the bundle of a policy is kept by Adopt only")
	}
	return j.note(e, nil)
}

// Adopt implements [signer.Journal]. The leaf and the bundle become durable together;
// a bundle that is kept already is not kept twice.
func (j *Journal) Adopt(_ context.Context, e signer.Event, bundle []byte) (uint64, error) {
	if len(bundle) == 0 {
		return 0, internal("a policy without a bundle cannot be put in force")
	}
	e.Bundle = sha256.Sum256(bundle)
	if !adopts(e) {
		return 0, internal("a %s event with code %q puts no policy in force", e.Type, e.Code)
	}
	return j.note(e, bundle)
}

// adopts reports whether an event puts a policy in force.
func adopts(e signer.Event) bool {
	in := e.Type == signer.EventStarted || e.Type == signer.EventPolicy || e.Type == signer.EventOverridden
	return in && e.Code == "" && (e.Policy != [32]byte{} || e.Bundle != [32]byte{})
}

// note records an event that has no proposal.
func (j *Journal) note(e signer.Event, bundle []byte) (leaf uint64, err error) {
	switch e.Type {
	case signer.EventAuthorized, signer.EventDenied, signer.EventWaiting, signer.EventApproval, signer.EventSigned, signer.EventActed, signer.EventFailed:
		return 0, internal("a %s event is recorded by Record, Settle, Hear or Finish only", e.Type)
	case signer.EventOverridden:
		if len(bundle) == 0 {
			return 0, internal("an override puts a policy in force, and is recorded by Adopt only")
		}
	}
	if e.Proposal != nil || e.Facts != nil || e.Decision != nil || e.Outcome != nil || e.Heard != nil || e.Waited != 0 || e.Override != 0 {
		return 0, internal("a %s event that is noted has no proposal, decision, outcome or approval", e.Type)
	}
	err = j.do(func(t *turn) error {
		var err error
		if leaf, err = t.leaf(e); err != nil || !adopts(e) {
			return err
		}
		t.bytes += len(bundle)
		return adopt(j.db, int64(leaf), e, bundle)
	})
	return leaf, err
}

// adopt records that a leaf put a policy in force, and keeps its bundle if there is one.
func adopt(d *db, leaf int64, e signer.Event, bundle []byte) error {
	var digest driver.Value
	if e.Bundle != ([32]byte{}) {
		digest = e.Bundle[:]
	}
	if err := d.exec(sqlAddPolicy, leaf, e.Policy[:], digest); err != nil || len(bundle) == 0 {
		return err
	}
	return d.exec(sqlAddBundle, digest, bundle)
}

// Adopted is one leaf that put a policy in force.
type Adopted struct {
	Leaf    uint64
	Time    time.Time
	Type    signer.EventType // a start, a change or an override
	Version [32]byte
	Bundle  [32]byte // its SHA-256; zero: journals before schema version 3 kept none
	Kept    bool     // the bundle is in the journal
}

// Policies returns what put a policy in force by leaves before one, the latest first:
// at most limit of them. Before 0 are all of them.
func (j *Journal) Policies(_ context.Context, before uint64, limit int) (out []Adopted, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = j.do(func(*turn) error {
		c, err := j.db.query(sqlPolicies, 6, int64(min(before, math.MaxInt64)), int64(min(max(limit, 0), maxPage)))
		if err != nil {
			return err
		}
		defer c.close()
		for c.ok {
			a, err := readAdopted(c.row)
			if err != nil {
				return err
			}
			out = append(out, a)
			if err := c.next(); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// readAdopted reads the columns leaf, time, type, version, bundle, kept.
func readAdopted(row values) (a Adopted, err error) {
	leaf, err1 := row.int(0)
	at, err2 := row.int(1)
	kind, err3 := row.text(2)
	version, err4 := row.blob(3)
	kept, err5 := row.int(5)
	var bundle []byte
	if row[4] != nil {
		bundle, err = row.blob(4)
	}
	if err := errors.Join(err1, err2, err3, err4, err5, err); err != nil {
		return a, err
	}
	if len(version) != 32 || (bundle != nil && len(bundle) != 32) {
		return a, broken("leaf %d: its row in table policies has digests of %d and %d bytes instead of 32", leaf, len(version), len(bundle))
	}
	a = Adopted{Leaf: uint64(leaf), Time: time.Unix(0, at).UTC(), Type: signer.EventType(kind), Version: [32]byte(version), Kept: kept == 1}
	copy(a.Bundle[:], bundle)
	return a, nil
}

// PolicyBundle returns the latest kept bundle that was put in force under a version of
// the policy; or else the latest that a request would put in force, or would have. It
// returns false where none is kept.
func (j *Journal) PolicyBundle(_ context.Context, version [32]byte) (bundle []byte, ok bool, err error) {
	row := make(values, 2)
	err = j.do(func(t *turn) error {
		var err error
		ok, err = findBundle(j.db, row, version, schemaVersion)
		return err
	})
	if err != nil || !ok {
		return nil, false, err
	}
	if bundle, err = readBundle(row, version); err != nil {
		return nil, false, &signer.Error{Code: signer.CodeInternal, Detail: "the bundle of this policy cannot be read back", Err: err}
	}
	return bundle, true, nil
}

// findBundle reads the bundle of a version of the policy into row, or reports false. One
// that was in force comes before one that somebody asked for.
func findBundle(d *db, row values, version [32]byte, schema int64) (ok bool, err error) {
	if schema >= 3 {
		ok, err = d.row(sqlLatestBundle, row, version[:])
	}
	if err == nil && !ok && schema >= 4 {
		ok, err = d.row(sqlCandidate, row, version[:])
	}
	return ok, err
}

// candidate is the policy that a request would put in force.
type candidate struct {
	version, digest [32]byte
	bundle          []byte // nil: it is kept already
}

// candidateOf returns what is to be kept beside a proposal to change the policy, or nil.
func candidateOf(p signer.Proposal) (*candidate, error) {
	if len(p.Bundle) == 0 {
		return nil, nil
	}
	version, ok := changesTo(p)
	if !ok {
		return nil, internal("it has the bundle of a policy, and is no request to put a version of one in force")
	}
	return &candidate{version, sha256.Sum256(p.Bundle), p.Bundle}, nil
}

// changesTo returns the version of the policy that a proposal would put in force, or
// false.
func changesTo(p signer.Proposal) (version [32]byte, ok bool) {
	if !is(p, signer.ClassPolicyChange) {
		return version, false
	}
	b, err := hex.DecodeString(p.Intent.Effects[0].Attributes[signer.AttributePolicyTo])
	if err != nil || len(b) != len(version) {
		return version, false
	}
	return [32]byte(b), true
}

// keep records that the request of a leaf would put a policy in force, and keeps its
// bundle.
func (t *turn) keep(c *candidate, leaf uint64) error {
	if c == nil {
		return nil
	}
	t.bytes += len(c.bundle)
	if err := t.j.db.exec(sqlAddCandidate, int64(leaf), c.version[:], c.digest[:]); err != nil || len(c.bundle) == 0 {
		return err
	}
	return t.j.db.exec(sqlAddBundle, c.digest[:], c.bundle)
}

// kept returns the candidate of the record of a request, or nil.
func (t *turn) kept(leaf uint64) (*candidate, error) {
	row := make(values, 2)
	ok, err := t.j.db.row(sqlGetCandidate, row, int64(leaf))
	if err != nil || !ok {
		return nil, err
	}
	version, err1 := row.blob(0)
	digest, err2 := row.blob(1)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if len(version) != 32 || len(digest) != 32 {
		return nil, broken("leaf %d: its row in table candidates has digests of %d and %d bytes instead of 32", leaf, len(version), len(digest))
	}
	return &candidate{version: [32]byte(version), digest: [32]byte(digest)}, nil
}

// readBundle reads the columns digest, bundle of a version of the policy.
func readBundle(row values, version [32]byte) ([]byte, error) {
	digest, err1 := row.blob(0)
	bundle, err2 := row.blob(1)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(bundle); string(sum[:]) != string(digest) {
		return nil, fmt.Errorf("the bundle of policy %x has SHA-256 %x, its leaf says %x; check the journal with 'sealward journal verify'", version, sum, digest)
	}
	return bundle, nil
}

package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// PolicyBundle returns what [Journal.PolicyBundle] does. Journals before schema version 3
// keep none.
func (r *Reader) PolicyBundle(ctx context.Context, version [32]byte) (bundle []byte, ok bool, err error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	schema, err := checkVersion(r.db)
	if err != nil || schema < 3 {
		return nil, false, err
	}
	row := make(values, 2)
	if ok, err = r.db.row(sqlLatestBundle, row, version[:]); err != nil || !ok {
		return nil, false, err
	}
	digest, err1 := row.blob(0)
	bundle, err2 := row.blob(1)
	if err := errors.Join(err1, err2); err != nil {
		return nil, false, err
	}
	if sum := sha256.Sum256(bundle); string(sum[:]) != string(digest) {
		return nil, false, fmt.Errorf("the bundle of policy %x has SHA-256 %x, its leaf says %x; check the journal with 'sealward journal verify'", version, sum, digest)
	}
	return bundle, true, nil
}

package journal

import (
	"context"

	"github.com/sealward/sealward/signer"
)

// HeardAbout returns the leaf by which the request waits, or waited, that an approval is
// about, by [signer.Approval.ID]. It returns false for a freeze, which is about none, and
// for what is not on record.
func (j *Journal) HeardAbout(_ context.Context, approval [32]byte) (waiting uint64, ok bool, err error) {
	row := make(values, 2)
	err = j.do(func(*turn) error {
		var err error
		ok, err = j.db.row(sqlGetApproval, row, approval[:])
		return err
	})
	if err != nil || !ok || row[1] == nil {
		return 0, false, err
	}
	leaf, err := row.int(1)
	if err != nil {
		return 0, false, &signer.Error{Code: signer.CodeInternal, Detail: "what the approval is about cannot be read back", Err: err}
	}
	return uint64(leaf), true, nil
}

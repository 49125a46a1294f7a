package journal

import (
	"database/sql/driver"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of the Merkle tree: all that appending needs. level[i] is
// the hash of the last complete subtree of 2^i leaves that has no sibling yet; it
// is meaningful where bit i of size is set.
type edge struct {
	size  int64
	level [63]tlog.Hash
}

// append adds a leaf's hash and appends to stored what has to be stored for it, in
// the order of [tlog.StoredHashIndex].
func (e *edge) append(stored []byte, h tlog.Hash) []byte {
	stored = append(stored, h[:]...)
	i := 0
	for ; e.size>>i&1 == 1; i++ {
		h = tlog.NodeHash(e.level[i], h)
		stored = append(stored, h[:]...)
	}
	e.level[i] = h
	e.size++
	return stored
}

// root is the root of the tree so far (RFC 6962, 2.1).
func (e *edge) root() tlog.Hash {
	h, _ := tlog.TreeHash(0, nil)
	for i, first := 0, true; e.size>>i != 0; i++ {
		switch {
		case e.size>>i&1 == 0:
		case first:
			h, first = e.level[i], false
		default:
			h = tlog.NodeHash(e.level[i], h)
		}
	}
	return h
}

// loadEdge reads the edge of a tree of the given size from stored hashes.
func loadEdge(size int64, r tlog.HashReader) (edge, error) {
	e := edge{size: size}
	for i := range e.level {
		if size>>i&1 == 0 {
			continue
		}
		// The subtree of level i that the set bit i stands for is the last complete
		// one: number size>>i, counted from one.
		h, err := r.ReadHashes([]int64{tlog.StoredHashIndex(i, size>>i-1)})
		if err != nil {
			return edge{}, err
		}
		e.level[i] = h[0]
	}
	return e, nil
}

// storedHashes reads hashes of the tree from table commits.
type storedHashes struct{ db *db }

// ReadHashes implements [tlog.HashReader].
func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(indexes))
	row := make(values, 2)
	for _, index := range indexes {
		ok, err := s.db.row(sqlCommitAt, []driver.Value(row), index)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, broken("hash %d of the tree is missing", index)
		}
		first, err := row.int(0)
		if err != nil {
			return nil, err
		}
		hashes, err := row.blob(1)
		if err != nil {
			return nil, err
		}
		at := (index - first) * tlog.HashSize
		if at+tlog.HashSize > int64(len(hashes)) {
			return nil, broken("hash %d of the tree is missing", index)
		}
		out = append(out, tlog.Hash(hashes[at:at+tlog.HashSize]))
	}
	return out, nil
}

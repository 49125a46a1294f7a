package evm

import (
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// fields takes RLP values off a list, one after the other, and keeps the first
// error. What it returns aliases the list.
type fields struct {
	what string // that the list is: "transaction"
	rest []byte
	err  *error // of the outermost list and those in it
}

func newFields(what string, list []byte) *fields {
	return &fields{what: what, rest: list, err: new(error)}
}

func (f *fields) fail(name string, format string, args ...any) {
	if *f.err == nil {
		*f.err = signer.Invalid(f.what+": "+name+": "+format, args...)
	}
}

func (f *fields) bytes(name string) []byte {
	if *f.err != nil {
		return nil
	}
	content, rest, err := rlp.SplitString(f.rest)
	if err != nil {
		f.fail(name, "%v", err)
		return nil
	}
	f.rest = rest
	return content
}

// integer reads a big-endian number of at most size bytes into n. A leading zero
// would be a second encoding of the same number.
func (f *fields) integer(name string, b []byte, size int, n *uint256.Int) {
	switch {
	case len(b) > size:
		f.fail(name, "a number of %d bytes; the most is %d", len(b), size)
	case len(b) > 0 && b[0] == 0:
		f.fail(name, "non-canonical: a number with leading zeros")
	default:
		n.SetBytes(b)
	}
}

func (f *fields) uint256(name string, n *uint256.Int) { f.integer(name, f.bytes(name), 32, n) }

func (f *fields) uint64(name string) uint64 {
	var n uint256.Int
	f.integer(name, f.bytes(name), 8, &n)
	return n.Uint64()
}

func (f *fields) fixed(name string, size int) []byte {
	b := f.bytes(name)
	if *f.err == nil && len(b) != size {
		f.fail(name, "%d bytes, want %d", len(b), size)
		return nil
	}
	return b
}

func (f *fields) address(name string) common.Address {
	return common.BytesToAddress(f.fixed(name, common.AddressLength))
}

func (f *fields) hash(name string) common.Hash {
	return common.BytesToHash(f.fixed(name, common.HashLength))
}

func (f *fields) recipient() *common.Address {
	b := f.bytes("to")
	switch {
	case *f.err != nil || len(b) == 0:
		return nil
	case len(b) != common.AddressLength:
		f.fail("to", "%d bytes, want 20, or none to create a contract", len(b))
		return nil
	}
	a := common.Address(b)
	return &a
}

// list returns the inside of the next value, a list.
func (f *fields) list(name string) *fields {
	inner := &fields{what: f.what, err: f.err}
	if *f.err != nil {
		return inner
	}
	var err error
	if inner.rest, f.rest, err = rlp.SplitList(f.rest); err != nil {
		f.fail(name, "%v", err)
	}
	return inner
}

// more reports whether the list has another value.
func (f *fields) more() bool { return len(f.rest) > 0 && *f.err == nil }

// accessList: [[address, [storage key, ...]], ...] (EIP-2930).
func (f *fields) accessList() types.AccessList {
	const name = "access list"
	var list types.AccessList
	outer := f.list(name)
	for outer.more() {
		tuple := outer.list(name)
		entry := types.AccessTuple{Address: tuple.address(name + ": address")}
		keys := tuple.list(name)
		for keys.more() {
			entry.StorageKeys = append(entry.StorageKeys, keys.hash(name+": storage key"))
		}
		if len(tuple.rest) > 0 {
			tuple.fail(name, "an entry with more than address and storage keys")
		}
		list = append(list, entry)
	}
	return list
}

// blobHashes: [versioned hash, ...] (EIP-4844).
func (f *fields) blobHashes() []common.Hash {
	const name = "blob versioned hashes"
	var list []common.Hash
	inner := f.list(name)
	for inner.more() {
		list = append(list, inner.hash(name))
	}
	return list
}

// authorizations: [[chain id, address, nonce, y parity, r, s], ...] (EIP-7702).
func (f *fields) authorizations() []authorization {
	var list []authorization
	outer := f.list("authorization list")
	for outer.more() {
		name := "authorization " + strconv.Itoa(len(list)+1)
		tuple := outer.list(name)
		var a authorization
		a.read(tuple, name+": ")
		a.signature = tuple.signature(name + ": ")
		if len(tuple.rest) > 0 {
			tuple.fail(name, "more than chain id, address, nonce, y parity, r and s")
		}
		list = append(list, a)
	}
	return list
}

func (f *fields) signature(prefix string) (s signature) {
	s.parity = f.uint64(prefix + "y parity")
	f.uint256(prefix+"r", &s.r)
	f.uint256(prefix+"s", &s.s)
	return s
}

package evm

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// fields takes RLP values off a list, one after the other, and keeps the first
// error. What it returns aliases the list.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) fail(name string, format string, args ...any) {
	if f.err == nil {
		f.err = signer.Invalid("transaction: "+name+": "+format, args...)
	}
}

func (f *fields) bytes(name string) []byte {
	if f.err != nil {
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
	if f.err == nil && len(b) != size {
		f.fail(name, "%d bytes, want %d", len(b), size)
		return nil
	}
	return b
}

func (f *fields) recipient() *common.Address {
	b := f.bytes("to")
	switch {
	case f.err != nil || len(b) == 0:
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
	if f.err != nil {
		return &fields{}
	}
	content, rest, err := rlp.SplitList(f.rest)
	if err != nil {
		f.fail(name, "%v", err)
		return &fields{}
	}
	f.rest = rest
	return &fields{rest: content}
}

// accessList: [[address, [storage key, ...]], ...] (EIP-2930).
func (f *fields) accessList() types.AccessList {
	const name = "access list"
	var list types.AccessList
	outer := f.list(name)
	for len(outer.rest) > 0 && outer.err == nil {
		tuple := outer.list(name)
		entry := types.AccessTuple{Address: common.BytesToAddress(tuple.fixed(name+": address", common.AddressLength))}
		keys := tuple.list(name)
		for len(keys.rest) > 0 && keys.err == nil {
			entry.StorageKeys = append(entry.StorageKeys, common.BytesToHash(keys.fixed(name+": storage key", common.HashLength)))
		}
		if len(tuple.rest) > 0 {
			tuple.fail(name, "an entry with more than address and storage keys")
		}
		outer.err = firstError(outer.err, tuple.err, keys.err)
		list = append(list, entry)
	}
	f.err = firstError(f.err, outer.err)
	return list
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

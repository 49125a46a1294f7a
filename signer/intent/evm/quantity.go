package evm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// textReader reads the values of JSON-RPC (Ethereum execution APIs, "Encoding")
// and keeps the first error.
type textReader struct {
	what string // that the values are of: "transaction"
	err  error
}

func (r *textReader) fail(name, format string, args ...any) {
	if r.what != "" {
		name = r.what + ": " + name
	}
	if r.err == nil {
		r.err = signer.Invalid(name+": "+format, args...)
	}
}

// uint256 reads a quantity: hexadecimal, without leading zeros, 0x0 for zero.
func (r *textReader) uint256(name string, s *string, n *uint256.Int) {
	if s == nil {
		r.fail(name, "missing; it is never filled in for you")
		return
	}
	switch err := n.SetFromHex(*s); {
	case errors.Is(err, uint256.ErrLeadingZero):
		r.fail(name, "%s: non-canonical: a quantity has no leading zeros", abi.Quote(*s))
	case errors.Is(err, uint256.ErrBig256Range):
		r.fail(name, "more than 256 bits")
	case err != nil || (*s)[1] != 'x': // it takes 0X too
		r.fail(name, "%s: want a quantity such as \"0x1b\"%s", abi.Quote(*s), ifDecimal(*s))
	}
}

// ifDecimal is how a decimal number is written as a quantity.
func ifDecimal(s string) string {
	if n, err := uint256.FromDecimal(s); err == nil && n.Dec() == s {
		return "; if it is decimal, that is \"" + n.Hex() + "\""
	}
	return ""
}

// scalar reads a half of a signature: a quantity, or all of its 32 bytes, as libraries
// write it.
func (r *textReader) scalar(name string, s *string, n *uint256.Int) {
	if s != nil && len(*s) == len("0x")+2*32 && strings.HasPrefix(*s, "0x") {
		n.SetBytes(r.bytes(name, *s, 32))
		return
	}
	r.uint256(name, s, n)
}

func (r *textReader) uint64(name string, s *string) uint64 {
	var n uint256.Int
	r.uint256(name, s, &n)
	if !n.IsUint64() {
		r.fail(name, "%s: more than 64 bits", abi.Quote(*s))
	}
	return n.Uint64()
}

func (r *textReader) bytes(name, s string, size int) []byte {
	digits, ok := strings.CutPrefix(s, "0x")
	b, err := hex.DecodeString(digits)
	switch {
	case !ok || err != nil:
		r.fail(name, "%s: want bytes such as \"0x00ff\"", abi.Quote(s))
	case size >= 0 && len(b) != size:
		r.fail(name, "%d bytes, want %d", len(b), size)
	default:
		return b
	}
	return nil
}

func (r *textReader) address(name, s string) common.Address {
	a, err := abi.ParseAddress(s)
	if err != nil {
		r.fail(name, "%v%s", err, noAddress(s))
	}
	return a
}

// noAddress is what to write for what people put in the place of an address.
func noAddress(s string) string {
	switch {
	case s == "":
		return "; where there is nobody, as in the to of a transaction that creates a contract, leave it out"
	case strings.Contains(s, "."):
		return "; names are not looked up: write the address that the name stands for"
	}
	return ""
}

// wantAddress reads an address that must be there.
func (r *textReader) wantAddress(name string, s *string) common.Address {
	if s == nil {
		r.fail(name, "missing; it is never filled in for you")
		return common.Address{}
	}
	return r.address(name, *s)
}

func (r *textReader) optionalAddress(name string, s *string) *common.Address {
	if s == nil {
		return nil
	}
	a := r.address(name, *s)
	return &a
}

func (r *textReader) calldata(data, input *string) []byte {
	switch {
	case data == nil && input == nil:
		return nil
	case data == nil:
		return r.bytes("input", *input, -1)
	case input == nil:
		return r.bytes("data", *data, -1)
	}
	a, b := r.bytes("data", *data, -1), r.bytes("input", *input, -1)
	if !bytes.Equal(a, b) {
		r.fail("data", "differs from input; give one of them")
	}
	return a
}

func (r *textReader) accessList(in *[]tupleJSON) types.AccessList {
	if in == nil {
		return nil
	}
	list := make(types.AccessList, 0, len(*in))
	for _, tuple := range *in {
		if tuple.Address == nil || tuple.StorageKeys == nil {
			r.fail("accessList", "an entry without address or storageKeys")
			return nil
		}
		entry := types.AccessTuple{Address: r.address("accessList: address", *tuple.Address)}
		entry.StorageKeys = r.hashes("accessList: storage key", tuple.StorageKeys)
		list = append(list, entry)
	}
	return list
}

func (r *textReader) hashes(name string, in *[]string) (list []common.Hash) {
	if in == nil {
		r.fail(name, "missing; it is never filled in for you")
		return nil
	}
	for _, h := range *in {
		list = append(list, common.BytesToHash(r.bytes(name, h, common.HashLength)))
	}
	return list
}

func (r *textReader) authorizations(in []signedJSON) []authorization {
	list := make([]authorization, len(in))
	for i := range in {
		name, a := "authorizationList["+strconv.Itoa(i)+"].", &list[i]
		a.chainID, a.nonce = r.uint64(name+"chainId", in[i].ChainID), r.uint64(name+"nonce", in[i].Nonce)
		a.delegate = r.wantAddress(name+"address", in[i].Address)
		a.signature.parity = r.uint64(name+"yParity", in[i].YParity)
		r.uint256(name+"r", in[i].R, &a.signature.r)
		r.uint256(name+"s", in[i].S, &a.signature.s)
	}
	return list
}

// numberJSON is a number in any of the ways that libraries write one, as it stands.
type numberJSON string

// UnmarshalJSON implements [json.Unmarshaler].
func (n *numberJSON) UnmarshalJSON(text []byte) error {
	*n = numberJSON(text)
	return nil
}

// maxSafe is the largest number that JavaScript has exactly (ECMA-262,
// Number.MAX_SAFE_INTEGER). What is larger may have been another one.
const maxSafe = 1<<53 - 1

// number reads a quantity or a decimal integer that is exact in JSON.
func (r *textReader) number(name string, n *numberJSON) uint64 {
	if n == nil {
		r.fail(name, "missing; it is never filled in for you")
		return 0
	}
	if strings.HasPrefix(string(*n), `"`) {
		var s string
		if err := json.Unmarshal([]byte(*n), &s); err != nil {
			r.fail(name, "%v", err)
		}
		return r.uint64(name, &s)
	}
	v, err := strconv.ParseUint(string(*n), 10, 64)
	switch {
	case err != nil || strconv.FormatUint(v, 10) != string(*n):
		r.fail(name, "%s: want a quantity such as \"0x1b\", or a whole number", abi.Quote(string(*n)))
	case v > maxSafe:
		r.fail(name, "%d is more than numbers of JSON hold exactly (2^53-1); write it as a quantity", v)
	}
	return v
}

package abi

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Value is a value of a type. Which field holds it depends on the kind:
//
//	Uint, Bool, Address   Word, as an unsigned number (true is 1)
//	Int                   Word, in two's complement of 256 bits
//	FixedBytes            Bytes, of exactly Type.Size bytes
//	Bytes, String         Bytes; a String is valid UTF-8
//	Slice, Array, Tuple   Elems, in order; of a Tuple one for each of Type.Fields
//
// Bytes may alias the input it was decoded from.
//
// The methods that name a kind panic on a value of another, as an index out of range
// does: a zero address in its place would be believed.
type Value struct {
	Type  *Type
	Word  uint256.Int
	Bytes []byte
	Elems []Value
}

// Uint is the number of a Uint. The caller may change it.
func (v Value) Uint() *uint256.Int {
	v.must(Uint, "an unsigned number")
	n := v.Word
	return &n
}

// Signed is the number of an Int. The caller may change it.
func (v Value) Signed() *big.Int {
	v.must(Int, "a signed number")
	n := v.Word
	if n.Sign() >= 0 {
		return n.ToBig()
	}
	abs := n.Neg(&n).ToBig() // of the least number too, as 2^255 fits unsigned
	return abs.Neg(abs)
}

// Bool is the truth of a Bool.
func (v Value) Bool() bool {
	v.must(Bool, "a bool")
	return !v.Word.IsZero()
}

// Address is the address of an Address.
func (v Value) Address() common.Address {
	v.must(Address, "an address")
	return v.Word.Bytes20()
}

// Text is the text of a String.
func (v Value) Text() string {
	v.must(String, "a string")
	return string(v.Bytes)
}

// Field is the field of a Tuple that has a name, if there is one. No other kind has
// any.
func (v Value) Field(name string) (Value, bool) {
	if v.Type == nil || v.Type.Kind != Tuple || name == "" {
		return Value{}, false
	}
	for i, f := range v.Type.Fields {
		if f.Name == name {
			return v.Elems[i], true
		}
	}
	return Value{}, false
}

func (v Value) must(k Kind, name string) {
	if v.Type == nil || v.Type.Kind != k {
		panic("abi: a value of " + v.Type.String() + " is not " + name)
	}
}

// The types of what the functions below make.
var (
	uint256Type = &Type{Kind: Uint, Size: 256}
	int256Type  = &Type{Kind: Int, Size: 256}
	boolType    = &Type{Kind: Bool}
	addressType = &Type{Kind: Address}
	bytesType   = &Type{Kind: Bytes}
	stringType  = &Type{Kind: String}
)

// Uint256 is a uint256.
func Uint256(n *uint256.Int) Value { return Value{Type: uint256Type, Word: *n} }

// Uint64 is a small uint256.
func Uint64(n uint64) Value { return Uint256(uint256.NewInt(n)) }

// Int64 is a small int256.
func Int64(n int64) Value {
	v := Value{Type: int256Type, Word: *uint256.NewInt(uint64(n))}
	if n < 0 {
		v.Word[1], v.Word[2], v.Word[3] = ^uint64(0), ^uint64(0), ^uint64(0)
	}
	return v
}

// Truth is a bool.
func Truth(b bool) Value {
	v := Value{Type: boolType}
	if b {
		v.Word.SetOne()
	}
	return v
}

// Addr is an address.
func Addr(a common.Address) Value {
	v := Value{Type: addressType}
	v.Word.SetBytes20(a[:])
	return v
}

// ParseAddress reads an address as people write one: "0x" and 40 hexadecimal digits. Where
// they are in mixed case, they are held to their checksum (EIP-55).
func ParseAddress(text string) (common.Address, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != common.AddressLength {
		return common.Address{}, fmt.Errorf("%s is no address; want \"0x\" and 40 hexadecimal digits", Quote(text))
	}
	a := common.Address(raw)
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && text != a.Hex() {
		return common.Address{}, fmt.Errorf("%s: its checksum (EIP-55) does not hold; check the address with its owner", Quote(text))
	}
	return a, nil
}

// BytesValue is bytes of any length.
func BytesValue(b []byte) Value { return Value{Type: bytesType, Bytes: b} }

// FixedBytesValue is a bytes1 to bytes32, by the length of b.
func FixedBytesValue(b []byte) Value {
	return Value{Type: &Type{Kind: FixedBytes, Size: len(b)}, Bytes: b}
}

// TextValue is a string.
func TextValue(s string) Value { return Value{Type: stringType, Bytes: []byte(s)} }

// List is the parts of a slice, an array or a tuple. It has no type until [Of] or
// [Method.Call] takes it.
func List(parts ...Value) Value { return Value{Elems: parts} }

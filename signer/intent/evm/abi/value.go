package abi

import "github.com/holiman/uint256"

// Value is a value of a type. Which field holds it depends on the kind:
//
//	Uint, Bool, Address   Word, as an unsigned number (true is 1)
//	Int                   Word, in two's complement of 256 bits
//	FixedBytes            Bytes, of exactly Type.Size bytes
//	Bytes, String         Bytes; a String is valid UTF-8
//	Slice, Array, Tuple   Elems, in order; of a Tuple one for each of Type.Fields
//
// Bytes may alias the input it was decoded from.
type Value struct {
	Type  *Type
	Word  uint256.Int
	Bytes []byte
	Elems []Value
}

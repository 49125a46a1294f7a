package abi

// Kind is the sort of a type. Its zero value is no type.
type Kind uint8

// The kinds of types (Contract ABI Specification, "Types").
const (
	Invalid    Kind = iota
	Uint            // uint8 to uint256; Size is the number of bits
	Int             // int8 to int256; Size is the number of bits
	Bool            //
	Address         //
	FixedBytes      // bytes1 to bytes32; Size is the number of bytes
	Bytes           //
	String          //
	Slice           // T[]
	Array           // T[n]; Size is n
	Tuple           // a struct or a list of arguments
)

// Type is a Solidity type. It must not be changed once made.
type Type struct {
	Kind   Kind
	Size   int
	Elem   *Type   // of a Slice or an Array
	Fields []Field // of a Tuple
	Name   string  // of a Tuple that is a struct of typed data; empty elsewhere
}

// Field is a named part of a tuple. The name may be empty in calldata.
type Field struct {
	Name string
	Type *Type
}

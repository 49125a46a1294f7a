package abi

import (
	"errors"
	"fmt"
	"strconv"
)

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

// String is the canonical text of a type, without names: "(address,uint256)[]". A
// struct of typed data is its name.
func (t *Type) String() string { return string(t.appendText(nil)) }

func (t *Type) appendText(b []byte) []byte {
	if t == nil {
		return append(b, "no type"...)
	}
	switch t.Kind {
	case Uint:
		return strconv.AppendInt(append(b, "uint"...), int64(t.Size), 10)
	case Int:
		return strconv.AppendInt(append(b, "int"...), int64(t.Size), 10)
	case Bool:
		return append(b, "bool"...)
	case Address:
		return append(b, "address"...)
	case FixedBytes:
		return strconv.AppendInt(append(b, "bytes"...), int64(t.Size), 10)
	case Bytes:
		return append(b, "bytes"...)
	case String:
		return append(b, "string"...)
	case Slice:
		return append(t.Elem.appendText(b), "[]"...)
	case Array:
		return append(strconv.AppendInt(append(t.Elem.appendText(b), '['), int64(t.Size), 10), ']')
	case Tuple:
		if t.Name != "" {
			return append(b, t.Name...)
		}
		b = append(b, '(')
		for i, f := range t.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = f.Type.appendText(b)
		}
		return append(b, ')')
	}
	return append(b, "no type"...)
}

// Bounds on types. Those in use stay far below: the longest signature of the public
// registry of descriptors has 876 bytes.
const (
	maxText   = 16 << 10 // bytes of a type or a signature
	maxDepth  = 16       // tuples and arrays around each other, the arguments included
	maxFields = 256      // fields of all tuples together
	maxLeast  = 1 << 20  // bytes that every value of the type takes
)

// word is the unit that values are encoded in.
const word = 32

// head is the room that a type takes among the heads of a sequence (Contract ABI
// Specification, "Formal Specification of the Encoding"), and whether that is but an
// offset to a tail.
func (t *Type) head() (size int, dynamic bool) {
	switch t.Kind {
	case Bytes, String, Slice:
		return word, true
	case Array:
		size, dynamic = t.Elem.head()
		if dynamic {
			return word, true
		}
		return t.Size * size, false
	case Tuple:
		for _, f := range t.Fields {
			n, dynamic := f.Type.head()
			if dynamic {
				return word, true
			}
			size += n
		}
		return size, false
	}
	return word, false
}

// check refuses what is no type of ours, and types that values of no bytes or of
// too many have. Only a list of arguments may be empty: elements that take no bytes
// could be as many as they like.
func (t *Type) check() error {
	if t != nil && t.Kind == Tuple && len(t.Fields) == 0 {
		return nil
	}
	fields := 0
	_, err := t.least(1, &fields)
	return err
}

// least is the fewest bytes that a value of a checked type takes, offsets to it not
// included. It counts the fields, and ends also on a type that contains itself.
func (t *Type) least(depth int, fields *int) (int64, error) {
	switch {
	case t == nil:
		return 0, errors.New("there is no type")
	case t.Kind == Slice || t.Kind == Array || t.Kind == Tuple:
		if depth > maxDepth {
			return 0, fmt.Errorf("tuples and arrays nest more than %d deep", maxDepth)
		}
	}
	switch t.Kind {
	case Uint, Int:
		return word, sized(t, 256, t.Size%8 == 0)
	case FixedBytes:
		return word, sized(t, 32, true)
	case Bool, Address, Bytes, String:
		return word, nil
	case Slice:
		_, err := t.Elem.least(depth+1, fields)
		return word, err
	case Array:
		n, err := t.Elem.least(depth+1, fields)
		switch {
		case err != nil:
			return 0, err
		case t.Size <= 0:
			return 0, errors.New("an array of no elements")
		case t.Size > maxLeast:
			return 0, fmt.Errorf("an array of %d elements, which is more than %d", t.Size, maxLeast)
		}
		if _, dynamic := t.Elem.head(); dynamic {
			n += word
		}
		return bounded(n * int64(t.Size))
	case Tuple:
		return t.leastOfFields(depth, fields)
	}
	return 0, errors.New("there is no type")
}

func (t *Type) leastOfFields(depth int, fields *int) (sum int64, err error) {
	if len(t.Fields) == 0 {
		return 0, errors.New("a tuple of no fields")
	}
	if *fields += len(t.Fields); *fields > maxFields {
		return 0, fmt.Errorf("more than %d fields", maxFields)
	}
	for _, f := range t.Fields {
		n, err := f.Type.least(depth+1, fields)
		if err != nil {
			return 0, err
		}
		if _, dynamic := f.Type.head(); dynamic {
			n += word
		}
		sum += n
	}
	return bounded(sum)
}

func bounded(n int64) (int64, error) {
	if n > maxLeast {
		return 0, fmt.Errorf("every value of it takes %d bytes, which is more than %d", n, maxLeast)
	}
	return n, nil
}

// sized refuses a size that the type's kind does not have.
func sized(t *Type, most int, whole bool) error {
	if t.Size < 1 || t.Size > most || !whole {
		return fmt.Errorf("there is no type %s", t)
	}
	return nil
}

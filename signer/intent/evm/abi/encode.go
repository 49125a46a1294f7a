package abi

import (
	"fmt"

	"github.com/holiman/uint256"
)

// Encode is the encoding of a value as [Decode] reads it: of a tuple of arguments, the
// calldata after the selector. It panics where the value is not one of its type, which
// neither Decode nor [Of] makes.
func Encode(v Value) []byte {
	if err := v.Type.check(); err != nil {
		panic("abi: encode: " + err.Error())
	}
	v, err := as(v.Type, v)
	if err != nil {
		panic("abi: encode: " + err.Error())
	}
	return appendValue(nil, &v)
}

// appendValue appends the encoding of a well-formed value.
func appendValue(b []byte, v *Value) []byte {
	switch v.Type.Kind {
	case Slice:
		b = appendNumber(b, len(v.Elems))
		return appendParts(b, v)
	case Array, Tuple:
		return appendParts(b, v)
	case Bytes, String:
		b = appendNumber(b, len(v.Bytes))
		return appendPadded(b, v.Bytes)
	case FixedBytes:
		return appendPadded(b, v.Bytes)
	}
	w := v.Word.Bytes32()
	return append(b, w[:]...)
}

// appendParts appends the heads of all parts and then the tails.
func appendParts(b []byte, v *Value) []byte {
	base := len(b)
	tails := false
	for i := range v.Elems {
		part := &v.Elems[i]
		if _, dynamic := part.Type.head(); dynamic {
			b, tails = append(b, zeros[:]...), true // the offset, once it is known
		} else {
			b = appendValue(b, part)
		}
	}
	if !tails {
		return b
	}
	head := base
	for i := range v.Elems {
		part := &v.Elems[i]
		size, dynamic := part.Type.head()
		if dynamic {
			appendNumber(b[:head], len(b)-base)
			b = appendValue(b, part)
		}
		head += size
	}
	return b
}

func appendNumber(b []byte, n int) []byte {
	w := uint256.NewInt(uint64(n)).Bytes32()
	return append(b, w[:]...)
}

func appendPadded(b, value []byte) []byte {
	b = append(b, value...)
	if over := len(value) % word; over > 0 {
		b = append(b, zeros[over:]...)
	}
	return b
}

// Call is the calldata of a call of the method: its selector and its arguments, as
// [Of] takes them.
func (m Method) Call(args ...Value) []byte {
	selector := m.Selector()
	v := Of(m.Args, args...)
	return appendValue(selector[:], &v)
}

// Of is a value of an array, a slice or a tuple, made of its parts. They take the
// type that it has for them: a [Uint256] becomes a uint8 if it is small enough, a
// [List] a slice. Of panics where a part does not fit. It is for constants and tests;
// what comes from elsewhere is read by [Decode].
func Of(t *Type, parts ...Value) Value {
	if err := t.check(); err != nil {
		panic("abi: " + err.Error())
	}
	v, err := as(t, List(parts...))
	if err != nil {
		panic(fmt.Sprintf("abi: value of %s: %v", t, err))
	}
	return v
}

// as is a value with the type t and everything in it checked.
func as(t *Type, v Value) (Value, error) {
	list := v.Type == nil && (t.Kind == Slice || t.Kind == Array || t.Kind == Tuple)
	if !list && (v.Type == nil || v.Type.Kind != t.Kind) {
		return Value{}, fmt.Errorf("%s where %s is due", v.Type, t)
	}
	v.Type = t
	switch t.Kind {
	case Uint, Int, Bool, Address:
		return v, fits(t, &v.Word)
	case FixedBytes:
		if len(v.Bytes) != t.Size {
			return Value{}, fmt.Errorf("%d bytes where a %s is due", len(v.Bytes), t)
		}
		return v, nil
	case Bytes:
		return v, nil
	case String:
		return v, validText(v.Bytes)
	case Array, Tuple:
		if want := t.Size + len(t.Fields); len(v.Elems) != want { // either is zero
			return Value{}, fmt.Errorf("%d values where %s has %d", len(v.Elems), t, want)
		}
	}
	parts := make([]Value, len(v.Elems))
	for i, part := range v.Elems {
		pt := t.Elem
		if t.Kind == Tuple {
			pt = t.Fields[i].Type
		}
		var err error
		if parts[i], err = as(pt, part); err != nil {
			return Value{}, within(t, i, err)
		}
	}
	v.Elems = parts
	return v, nil
}

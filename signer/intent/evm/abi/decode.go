package abi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/holiman/uint256"
)

// Decode reads a value of a type from its one encoding. The type is most often that
// of a method's arguments, and data the calldata after the selector. A type that is
// not a tuple is read as it is encoded by itself, without an offset to it.
//
// Errors say where: arguments, fields and elements count from 1. The value may alias
// data.
func Decode(t *Type, data []byte) (Value, error) {
	if err := t.check(); err != nil {
		return Value{}, err
	}
	var v Value
	end, err := read(t, data, &v)
	if err != nil {
		return Value{}, err
	}
	if end < len(data) {
		return Value{}, fmt.Errorf("%d bytes follow the last value", len(data)-end)
	}
	// What was read can have but one encoding, by the way it was read. That is too
	// much to rest on one reading of the code.
	if !bytes.Equal(appendValue(make([]byte, 0, len(data)), &v), data) {
		return Value{}, errors.New("not the canonical encoding of the values in it")
	}
	return v, nil
}

// read reads the value that data begins with and says where it ends. It takes
// bytes from left to right and each of them once: an offset must lead to where the
// value before it ends, which is where the canonical encoding puts it.
func read(t *Type, data []byte, v *Value) (end int, err error) {
	v.Type = t
	switch t.Kind {
	case Slice:
		n, err := readLength(data, "elements")
		if err != nil {
			return 0, err
		}
		end, err := readParts(t, n, data[word:], v)
		return word + end, err
	case Array:
		return readParts(t, uint64(t.Size), data, v)
	case Tuple:
		return readParts(t, uint64(len(t.Fields)), data, v)
	case Bytes, String:
		return readBytes(t, data, v)
	}
	if len(data) < word {
		return 0, short(word, len(data))
	}
	if t.Kind == FixedBytes {
		if !zero(data[t.Size:word]) {
			return 0, fmt.Errorf("dirty padding: a %s has bytes other than zero after its own", t)
		}
		v.Bytes = data[:t.Size:t.Size]
		return word, nil
	}
	v.Word.SetBytes32(data)
	return word, fits(t, &v.Word)
}

// fits refuses a word that has bits set which the type does not have.
func fits(t *Type, w *uint256.Int) error {
	switch t.Kind {
	case Uint:
		if w.BitLen() > t.Size {
			return fmt.Errorf("%s is out of the range of %s", w.Hex(), t)
		}
	case Int:
		n := *w
		if n.Sign() < 0 {
			n.Not(&n)
		}
		if n.BitLen() >= t.Size { // one bit is the sign
			return fmt.Errorf("%s is out of the range of %s", w.Hex(), t)
		}
	case Address:
		if w.BitLen() > 160 {
			return fmt.Errorf("dirty padding: %s is more than an address", w.Hex())
		}
	case Bool:
		if w.BitLen() > 1 {
			return fmt.Errorf("a bool is 0 or 1, not %s", w.Hex())
		}
	}
	return nil
}

// readParts reads n parts of an array or a tuple: all heads, and the tails after
// them in the same order.
func readParts(t *Type, n uint64, data []byte, v *Value) (end int, err error) {
	var size int
	var dynamic bool
	heads := uint64(0)
	if t.Kind == Tuple {
		for _, f := range t.Fields {
			size, _ := f.Type.head()
			heads += uint64(size)
		}
	} else {
		size, dynamic = t.Elem.head()
		if n > uint64(len(data)/size) {
			return 0, fmt.Errorf("%d elements of at least %d bytes each, but %d bytes are left", n, size, len(data))
		}
		heads = n * uint64(size)
	}
	if heads > uint64(len(data)) {
		return 0, short(int(heads), len(data))
	}
	v.Elems = make([]Value, n)
	at, end := 0, int(heads)
	for i := range v.Elems {
		part := t.Elem
		if t.Kind == Tuple {
			part = t.Fields[i].Type
			size, dynamic = part.head()
		}
		if dynamic {
			var m int
			if err = follow(data[at:], end); err == nil {
				m, err = read(part, data[end:], &v.Elems[i])
			}
			end += m
		} else {
			_, err = read(part, data[at:at+size], &v.Elems[i])
		}
		if err != nil {
			return 0, within(t, i, err)
		}
		at += size
	}
	return end, nil
}

// follow takes an offset only where it is the one that the encoding puts there.
func follow(head []byte, want int) error {
	var w uint256.Int
	w.SetBytes32(head)
	switch {
	case w.IsUint64() && w.Uint64() == uint64(want):
		return nil
	case w.LtUint64(uint64(want)):
		return fmt.Errorf("offset %s where %d is due: it leads into what was read before", w.Dec(), want)
	}
	return fmt.Errorf("offset %s where %d is due: it leaves a gap", w.Dec(), want)
}

func readBytes(t *Type, data []byte, v *Value) (end int, err error) {
	n, err := readLength(data, "bytes")
	if err != nil {
		return 0, err
	}
	data = data[word:]
	if n > uint64(len(data)) {
		return 0, short64(n, len(data))
	}
	padded := (int(n) + word - 1) / word * word
	if padded > len(data) {
		return 0, short(padded, len(data))
	}
	if !zero(data[n:padded]) {
		return 0, fmt.Errorf("dirty padding: bytes other than zero after the %d of the value", n)
	}
	v.Bytes = data[:n:n]
	if t.Kind == String {
		err = validText(v.Bytes)
	}
	return word + padded, err
}

func validText(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("the text is not valid UTF-8")
	}
	return nil
}

func readLength(data []byte, of string) (uint64, error) {
	if len(data) < word {
		return 0, short(word, len(data))
	}
	var w uint256.Int
	w.SetBytes32(data)
	if !w.IsUint64() {
		return 0, fmt.Errorf("%s %s, which no calldata can hold", w.Dec(), of)
	}
	return w.Uint64(), nil
}

func short(want, have int) error { return short64(uint64(want), have) }

func short64(want uint64, have int) error {
	return fmt.Errorf("cut short: %d bytes are due, %d are left", want, have)
}

// zeros is as much as padding can be.
var zeros [word]byte

func zero(padding []byte) bool { return bytes.Equal(padding, zeros[:len(padding)]) }

// misplaced is an error with the way to where it is.
type misplaced struct {
	way []step // from the inside out
	err error
}

// step is a part of an array, or a field of a tuple.
type step struct {
	of   Kind
	n    int // from 1
	name string
}

// within adds a step to the way to an error: part i of a value of type t.
func within(t *Type, i int, err error) error {
	m, ok := err.(*misplaced)
	if !ok {
		m = &misplaced{err: err}
	}
	s := step{of: t.Kind, n: i + 1}
	if t.Kind == Tuple {
		s.name = t.Fields[i].Name
	}
	m.way = append(m.way, s)
	return m
}

// Error is as "argument 2 (transfers), element 3, field 1 (to): what is wrong".
func (m *misplaced) Error() string {
	var b strings.Builder
	for i, s := range slices.Backward(m.way) {
		switch outermost := i == len(m.way)-1; {
		case s.of != Tuple:
			fmt.Fprintf(&b, "element %d", s.n)
		case outermost:
			fmt.Fprintf(&b, "argument %d", s.n)
		default:
			fmt.Fprintf(&b, "field %d", s.n)
		}
		if s.name != "" {
			fmt.Fprintf(&b, " (%s)", s.name)
		}
		if i > 0 {
			b.WriteString(", ")
		}
	}
	return b.String() + ": " + m.err.Error()
}

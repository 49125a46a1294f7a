package typeddata

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// Bounds of the values.
const (
	maxDepth    = 16   // structs within each other
	maxElements = 4096 // of all arrays together
)

// reader makes values out of JSON.
type reader struct {
	types    *schema
	elements int
}

// value reads one value. depth is the number of structs around it.
func (r *reader) value(t *abi.Type, in any, at *place, depth int) (abi.Value, error) {
	switch t.Kind {
	case abi.Tuple:
		return r.object(t, in, at, depth+1)
	case abi.Slice, abi.Array:
		return r.array(t, in, at, depth)
	default:
		return scalar(t, in, at)
	}
}

func (r *reader) object(t *abi.Type, in any, at *place, depth int) (abi.Value, error) {
	object, ok := in.(map[string]any)
	if !ok {
		return abi.Value{}, at.errorf("want an object of type %s, got %s", t.Name, describe(in))
	}
	if depth > maxDepth {
		return abi.Value{}, at.errorf("structs nested more than %d deep", maxDepth)
	}
	v := abi.Value{Type: t, Elems: make([]abi.Value, len(t.Fields))}
	for i, f := range t.Fields {
		at := at.member(f.Name)
		e, ok := object[f.Name]
		if !ok {
			return abi.Value{}, at.errorf("missing; %s declares it", t.Name)
		}
		var err error
		if v.Elems[i], err = r.value(f.Type, e, at, depth); err != nil {
			return abi.Value{}, err
		}
	}
	if len(object) == len(t.Fields) {
		return v, nil
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.ContainsFunc(t.Fields, func(f abi.Field) bool { return f.Name == name }) {
			return abi.Value{}, at.member(name).errorf("not declared by %s: it would be shown and not signed; declare it or leave it out", t.Name)
		}
	}
	return v, nil
}

func (r *reader) array(t *abi.Type, in any, at *place, depth int) (abi.Value, error) {
	list, ok := in.([]any)
	if !ok {
		return abi.Value{}, at.errorf("want an array, got %s", describe(in))
	}
	if t.Kind == abi.Array && len(list) != t.Size {
		return abi.Value{}, at.errorf("want %d elements, got %d", t.Size, len(list))
	}
	if r.elements += len(list); r.elements > maxElements {
		return abi.Value{}, at.errorf("more than %d elements in all arrays together", maxElements)
	}
	v := abi.Value{Type: t, Elems: make([]abi.Value, len(list))}
	for i, e := range list {
		var err error
		if v.Elems[i], err = r.value(t.Elem, e, at.element(i), depth); err != nil {
			return abi.Value{}, err
		}
	}
	return v, nil
}

// scalar reads a value that has no parts.
func scalar(t *abi.Type, in any, at *place) (abi.Value, error) {
	v := abi.Value{Type: t}
	switch t.Kind {
	case abi.Uint, abi.Int:
		return v, integer(&v, in, at)
	case abi.Bool:
		b, ok := in.(bool)
		if !ok {
			return v, at.errorf("want true or false, got %s", describe(in))
		}
		if b {
			v.Word.SetOne()
		}
		return v, nil
	}
	text, ok := in.(string)
	if !ok {
		return v, at.errorf("want %s as text, got %s", t, describe(in))
	}
	switch t.Kind {
	case abi.String:
		v.Bytes = []byte(text)
		return v, nil
	case abi.Address:
		a, err := abi.ParseAddress(text)
		if err != nil {
			return v, at.errorf("%v", err)
		}
		v.Word.SetBytes20(a[:])
		return v, nil
	}
	var err error
	if v.Bytes, err = decodeHex(text, at); err != nil {
		return v, err
	}
	if t.Kind == abi.FixedBytes && len(v.Bytes) != t.Size {
		return v, at.errorf("%d bytes, want %d", len(v.Bytes), t.Size)
	}
	return v, nil
}

func decodeHex(text string, at *place) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil {
		return nil, at.errorf("%s: want bytes as \"0x\" and an even number of hexadecimal digits", abi.Quote(text))
	}
	return raw, nil
}

// describe says what JSON has instead of what was wanted.
func describe(in any) string {
	switch in := in.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "the text " + abi.Quote(in)
	case json.Number:
		return "the number " + strings.Trim(abi.Quote(in.String()), `"`)
	case []any:
		return "an array"
	default:
		return "an object"
	}
}

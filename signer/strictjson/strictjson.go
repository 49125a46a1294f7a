package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Bounds of a text.
const (
	MaxSize  = 1 << 20 // bytes
	MaxDepth = 32      // objects and arrays within each other
)

// Unmarshal stores the one JSON value in data in the value that v points to. On
// an error, which names the path and the problem, v is left as it was.
func Unmarshal(data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("want a pointer to fill, got %T", v)
	}
	if err := checkText(data); err != nil {
		return err
	}
	w := walker{scanner{data: data}}
	if err := w.value(target.Type().Elem(), place{}, 0); err != nil {
		return err
	}
	fresh := reflect.New(target.Type().Elem())
	if err := json.Unmarshal(data, fresh.Interface()); err != nil {
		return err // from a type that unmarshals itself; the walk saw everything else
	}
	target.Elem().Set(fresh.Elem())
	return nil
}

// checkText checks everything that does not depend on what the text is to fill.
func checkText(data []byte) error {
	if len(data) > MaxSize {
		return fmt.Errorf("%d bytes; the most is %d", len(data), MaxSize)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("byte %d: invalid UTF-8", firstInvalid(data))
	}
	if !json.Valid(data) {
		return syntaxError(data)
	}
	return checkSurrogates(data)
}

// syntaxError says why a text is not one JSON value.
func syntaxError(data []byte) error {
	var first json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&first)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		rest := bytes.TrimLeft(data[dec.InputOffset():], " \t\r\n")
		return fmt.Errorf("byte %d: trailing data after the JSON value", len(data)-len(rest))
	case errors.Is(err, io.EOF):
		return errors.New("empty; want a JSON value")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("ends in the middle of a JSON value")
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", syntax.Offset, err)
	default:
		return err
	}
}

func firstInvalid(data []byte) int {
	at := 0
	for at < len(data) {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return at
}

// checkSurrogates refuses escapes that stand for no character (RFC 8259, 8.2). In
// valid JSON a backslash occurs in strings only and begins an escape.
func checkSurrogates(data []byte) error {
	escaped := func(at int) (uint64, bool) {
		if at+6 > len(data) || data[at] != '\\' || data[at+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(data[at+2:at+6]), 16, 16)
		return n, err == nil
	}
	for at := 0; at < len(data); at++ {
		if data[at] != '\\' {
			continue
		}
		unit, ok := escaped(at)
		switch {
		case !ok:
			at++ // a two-character escape
		case unit < 0xd800 || unit > 0xdfff:
			at += 5
		default:
			low, ok := escaped(at + 6)
			if unit > 0xdbff || !ok || low < 0xdc00 || low > 0xdfff {
				return fmt.Errorf("byte %d: lone surrogate %s", at, data[at:at+6])
			}
			at += 11
		}
	}
	return nil
}

// walker holds a text against the type that it is to fill.
type walker struct {
	scanner
}

// value walks one value. The type is nil where nothing describes it.
func (w *walker) value(t reflect.Type, p place, depth int) error {
	first := w.peek()
	for t != nil && t.Kind() == reflect.Pointer && !unmarshalsItself(t) {
		if first == 'n' {
			w.word()
			return nil
		}
		t = t.Elem()
	}
	if t != nil && (t.Kind() == reflect.Interface || unmarshalsItself(t)) {
		t = nil
	}
	switch first {
	case '{', '[':
		if depth == MaxDepth {
			return p.errorf("nested more than %d deep", MaxDepth)
		}
		if first == '{' {
			return w.object(t, p, depth+1)
		}
		return w.array(t, p, depth+1)
	case '"':
		w.quoted()
		if t != nil && (t.Kind() != reflect.String || t == numberType) {
			return mismatch(t, "a string", p)
		}
	case 't', 'f':
		w.word()
		if t != nil && t.Kind() != reflect.Bool {
			return mismatch(t, "a boolean", p)
		}
	case 'n':
		w.word()
		if t != nil {
			return mismatch(t, "null", p)
		}
	default:
		return number(t, w.word(), p)
	}
	return nil
}

// object walks an object.
func (w *walker) object(t reflect.Type, p place, depth int) error {
	described, err := fieldsOf(t, p)
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for w.more('}') {
		key := unquote(w.quoted())
		w.skip(':')
		here := place{up: &p, key: key, isKey: true}
		if twin, ok := seen[fold(key)]; ok {
			if twin == key {
				return here.errorf("repeats")
			}
			return here.errorf("repeats %s in other letter case", quote(twin))
		}
		seen[fold(key)] = key
		var elem reflect.Type
		switch {
		case t == nil:
		case t.Kind() == reflect.Map:
			elem = t.Elem()
		default:
			ft, ok := described[key]
			if !ok {
				return p.errorf("unknown field %s", quote(key))
			}
			elem = ft
		}
		if err := w.value(elem, here, depth); err != nil {
			return err
		}
	}
	return nil
}

// array walks an array.
func (w *walker) array(t reflect.Type, p place, depth int) error {
	var elem reflect.Type
	if t != nil {
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return mismatch(t, "an array", p)
		}
		if elem = t.Elem(); elem.Kind() == reflect.Uint8 {
			return p.errorf("type %s is not supported", t)
		}
	}
	n := 0
	for ; w.more(']'); n++ {
		if err := w.value(elem, place{up: &p, index: n}, depth); err != nil {
			return err
		}
	}
	if t != nil && t.Kind() == reflect.Array && n != t.Len() {
		return p.errorf("want %d elements, got %d", t.Len(), n)
	}
	return nil
}

func number(t reflect.Type, text string, p place) error {
	if t == nil || t == numberType {
		return nil
	}
	var err error
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if _, err = strconv.ParseInt(text, 10, t.Bits()); text == "-0" {
			err = strconv.ErrSyntax // JSON has a minus zero, integers do not
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		_, err = strconv.ParseUint(text, 10, t.Bits())
	case reflect.Float32, reflect.Float64:
		_, err = strconv.ParseFloat(text, t.Bits())
	default:
		return mismatch(t, "a number", p)
	}
	if err != nil {
		return p.errorf("%s does not fit %s", clip(text), t.Kind())
	}
	return nil
}

// fieldsOf returns the types of a struct's fields by their JSON names, or nothing
// for a map or where nothing is described.
func fieldsOf(t reflect.Type, p place) (map[string]reflect.Type, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && !unmarshalsItself(t.Key()):
		return nil, nil
	case t.Kind() == reflect.Map:
		return nil, p.errorf("type %s is not supported", t)
	case t.Kind() != reflect.Struct:
		return nil, mismatch(t, "an object", p)
	}
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			return nil, p.errorf("type %s is not supported: it embeds %s", t, f.Name)
		}
		name, options := tag(f)
		if slices.Contains(options, "string") {
			return nil, p.errorf("type %s is not supported: option \"string\" of %s", t, f.Name)
		}
		if !f.IsExported() || name == "" {
			continue
		}
		if _, twice := fields[name]; twice {
			return nil, p.errorf("type %s is not supported: two fields %q", t, name)
		}
		fields[name] = f.Type
	}
	return fields, nil
}

var (
	numberType      = reflect.TypeFor[json.Number]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func unmarshalsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler)
}

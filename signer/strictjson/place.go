package strictjson

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// place is where in a text a value stands. It is written out only for an error.
type place struct {
	up    *place // nil at the top
	isKey bool
	key   string
	index int
}

func (p place) String() string {
	if p.up == nil {
		return ""
	}
	above := p.up.String()
	switch {
	case !p.isKey:
		return above + "[" + strconv.Itoa(p.index) + "]"
	case !plain(p.key):
		return above + "[" + quote(p.key) + "]"
	case above == "":
		return p.key
	default:
		return above + "." + p.key
	}
}

func (p place) errorf(format string, args ...any) error {
	problem := fmt.Sprintf(format, args...)
	if at := p.String(); at != "" {
		return fmt.Errorf("%s: %s", at, problem)
	}
	return fmt.Errorf("%s", problem)
}

func mismatch(t reflect.Type, got string, p place) error {
	want := "nothing of type " + t.String()
	switch t.Kind() {
	case reflect.String:
		want = "a string"
	case reflect.Bool:
		want = "a boolean"
	case reflect.Struct, reflect.Map:
		want = "an object"
	case reflect.Slice, reflect.Array:
		want = "an array"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		want = "a number"
	}
	if t == numberType {
		want = "a number"
	}
	return p.errorf("want %s, got %s", want, got)
}

// longest bounds hostile text in an error, in bytes.
const longest = 64

func plain(s string) bool {
	if s == "" || len(s) > longest {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) <= longest {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:longest], len(s))
}

// quote makes text safe to print. Invisible characters are escaped, so a key with
// one does not look like the key it imitates.
func quote(s string) string {
	if len(s) <= longest {
		return strconv.QuoteToASCII(s)
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.QuoteToASCII(strings.ToValidUTF8(s[:longest], "")), len(s))
}

// fold maps keys that encoding/json may take for each other to one text. It folds
// with Unicode's simple folding: U+017F is an s there, U+212A a k.
func fold(s string) string { return strings.Map(foldRune, s) }

func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		return least + 'a' - 'A'
	}
	return least
}

// tag returns the name of a field as encoding/json sees it, empty for none.
func tag(f reflect.StructField) (name string, options []string) {
	text := f.Tag.Get("json")
	if text == "-" {
		return "", nil
	}
	parts := strings.Split(text, ",")
	if parts[0] == "" {
		return f.Name, parts[1:]
	}
	return parts[0], parts[1:]
}

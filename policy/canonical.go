package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealward/sealward/signer"
)

// same reports whether two parts of policies are equal in everything that a decision may
// depend on. It goes over all fields there are, so that one which is added later cannot
// be forgotten, and takes nothing for equal that it cannot compare.
func same(a, b any) bool {
	var x, y canonical
	x.write(reflect.ValueOf(a))
	y.write(reflect.ValueOf(b))
	return !x.strange && !y.strange && x.String() == y.String()
}

// canonical is a text that two values have in common if they decide alike.
type canonical struct {
	strings.Builder
	strange bool // there was something in it that has no text
}

// meaningless are the fields that no decision depends on: how something was written, and
// what says again what stands elsewhere.
var meaningless = map[reflect.Type][]string{
	reflect.TypeFor[rule]():          {"line"},
	reflect.TypeFor[limit]():         {"text"},
	reflect.TypeFor[fee]():           {"text"},
	reflect.TypeFor[wait]():          {"text"},
	reflect.TypeFor[listedToken]():   {"list"},
	reflect.TypeFor[people]():        {"owners"},             // that is the approvers, by user
	reflect.TypeFor[device]():        {"certificate", "ssh"}, // of which the key counts, and that is the id
	reflect.TypeFor[attestation]():   {"certificates"},       // that is the roots
	reflect.TypeFor[signer.Quorum](): {"Rule", "Limit"},      // that it belongs to
}

// ordered are the lists whose order says something.
var ordered = []reflect.Type{reflect.TypeFor[[]rule]()}

func (b *canonical) write(v reflect.Value) {
	if !v.IsValid() {
		b.WriteString("nothing")
		return
	}
	switch t := v.Type(); v.Kind() {
	case reflect.Bool:
		fmt.Fprint(b, v.Bool())
	case reflect.String:
		b.WriteString(strconv.Quote(v.String()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		fmt.Fprint(b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		fmt.Fprint(b, v.Uint())
	case reflect.Pointer:
		switch {
		case v.IsNil():
			b.WriteString("nil")
		case t == reflect.TypeFor[*time.Location]():
			b.WriteString(strconv.Quote(v.Elem().FieldByName("name").String()))
		default:
			b.write(v.Elem())
		}
	case reflect.Struct:
		if t == reflect.TypeFor[condition]() { // all else follows from that, and from what the names stand for
			b.write(v.FieldByName("text"))
			return
		}
		for i := range v.NumField() {
			name, field := t.Field(i).Name, v.Field(i)
			if slices.Contains(meaningless[t], name) {
				continue
			}
			if t == reflect.TypeFor[limit]() || t == reflect.TypeFor[fee]() {
				if name == "asset" { // what it is called, and how many decimals it has, the assets say
					field = field.FieldByName("ID")
				}
			}
			b.WriteString("{" + name + " ")
			b.write(field)
			b.WriteString("}")
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		b.writeAll(v)
	default:
		b.strange = true
	}
}

// writeAll writes the elements of a list or map. No list is not an empty one.
func (b *canonical) writeAll(v reflect.Value) {
	if v.Kind() != reflect.Array && v.IsNil() && v.Kind() != reflect.Map {
		b.WriteString("nil")
		return
	}
	var all []string
	part := func(parts ...reflect.Value) {
		var one canonical
		for _, p := range parts {
			one.WriteByte(' ')
			one.write(p)
		}
		b.strange = b.strange || one.strange
		all = append(all, one.String())
	}
	if v.Kind() == reflect.Map {
		for _, key := range v.MapKeys() {
			part(key, v.MapIndex(key))
		}
	} else {
		for i := range v.Len() {
			part(v.Index(i))
		}
	}
	// Numbers are words of a large one, bytes of a digest, or days of the week.
	numbers := v.Kind() != reflect.Map && v.Type().Elem().Kind() != reflect.Struct && v.Type().Elem().Kind() != reflect.String
	if !numbers && !slices.Contains(ordered, v.Type()) {
		slices.Sort(all)
		all = slices.Compact(all)
	}
	b.WriteString("[" + strings.Join(all, ", ") + "]")
}

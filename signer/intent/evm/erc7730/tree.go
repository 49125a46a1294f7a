package erc7730

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/strictjson"
)

// sort is what a JSON value is.
type sort string

const (
	object  sort = "an object"
	array   sort = "an array"
	text    sort = "a string"
	number  sort = "a number"
	boolean sort = "a boolean"
	null    sort = "null"
)

// node is a JSON value that knows its file, and whose members keep their order: the
// labels of an intent do. It must not be changed once made.
type node struct {
	sort    sort
	file    string
	text    string // of a string; a number, a boolean or null as it was written
	names   []string
	members map[string]*node
	elems   []*node
}

// parse reads a JSON text strictly, as the file's.
func parse(file string, data []byte) (*node, error) {
	var raw json.RawMessage
	if err := strictjson.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return read(file, dec)
}

// read takes the next value. The text is known to be sound, at most
// [strictjson.MaxDepth] deep and without repeated members.
func read(file string, dec *json.Decoder) (*node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{file: file}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			n.sort, n.members = object, map[string]*node{}
		} else {
			n.sort = array
		}
		return n, n.fill(dec)
	case string:
		n.sort, n.text = text, token
	case json.Number:
		n.sort, n.text = number, token.String()
	case bool:
		n.sort, n.text = boolean, strconv.FormatBool(token)
	default:
		n.sort, n.text = null, "null"
	}
	return n, nil
}

func (n *node) fill(dec *json.Decoder) error {
	for dec.More() {
		name := ""
		if n.sort == object {
			token, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ = token.(string) // the name of a member is nothing else
		}
		v, err := read(n.file, dec)
		if err != nil {
			return err
		}
		if n.sort == object {
			n.set(name, v)
		} else {
			n.elems = append(n.elems, v)
		}
	}
	_, err := dec.Token()
	return err
}

func (n *node) set(name string, v *node) {
	if _, there := n.members[name]; !there {
		n.names = append(n.names, name)
	}
	n.members[name] = v
}

// at is a place in a document, and what stands there; nothing if v is nil.
type at struct {
	v     *node
	place string
}

func (a at) there() bool { return a.v != nil }

// member is a member of an object; nothing of nothing.
func (a at) member(name string) at {
	place := a.place + "." + name
	if !plainName(name) {
		place = a.place + "[" + quote(name) + "]"
	}
	if a.v == nil {
		return at{place: strings.TrimPrefix(place, ".")}
	}
	return at{a.v.members[name], strings.TrimPrefix(place, ".")}
}

func (a at) elem(i int) at { return at{a.v.elems[i], a.place + "[" + strconv.Itoa(i) + "]"} }

// fault is what is wrong with a descriptor, and where.
type fault struct {
	file   string // that the value comes from; empty where nothing stands
	place  string
	reason string
}

func (f *fault) Error() string {
	if f.place == "" {
		return f.reason
	}
	return f.place + ": " + f.reason
}

func (a at) errorf(format string, args ...any) error {
	f := &fault{place: a.place, reason: fmt.Sprintf(format, args...)}
	if a.v != nil {
		f.file = a.v.file
	}
	return f
}

// want checks what sort of value stands here.
func (a at) want(s sort) error {
	if a.v == nil {
		return a.errorf("is missing; want %s", string(s))
	}
	if a.v.sort != s {
		return a.errorf("want %s, got %s", string(s), string(a.v.sort))
	}
	return nil
}

// object checks that an object stands here, and that it has no members but those.
func (a at) object(names ...string) error {
	if err := a.want(object); err != nil {
		return err
	}
	for _, name := range a.v.names {
		if !slices.Contains(names, name) {
			return a.member(name).errorf("unknown member; the schema has no %s here", quote(name))
		}
	}
	return nil
}

// text is an optional string.
func (a at) text() (string, error) {
	if a.v == nil {
		return "", nil
	}
	return a.string()
}

// string is a string that must be there.
func (a at) string() (string, error) {
	if err := a.want(text); err != nil {
		return "", err
	}
	return a.v.text, nil
}

// texts is an optional list of so many strings at most.
func (a at) texts(most int) (out []string, err error) {
	if a.v == nil {
		return nil, nil
	}
	if err := a.want(array); err != nil {
		return nil, err
	}
	if len(a.v.elems) > most {
		return nil, a.errorf("more than %d strings", most)
	}
	for i := range a.v.elems {
		s, err := a.elem(i).string()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// scalar is the text of anything but an object, an array or null.
func (a at) scalar() (string, error) {
	if a.v == nil {
		return "", a.errorf("is missing")
	}
	switch a.v.sort {
	case text, number, boolean:
		return a.v.text, nil
	default:
		return "", a.errorf("want a string, a number or a boolean, got %s", string(a.v.sort))
	}
}

// whole is an optional integer from least to most.
func (a at) whole(least, most uint64) (uint64, error) {
	if a.v == nil {
		return 0, nil
	}
	if err := a.want(number); err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(a.v.text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, a.errorf("want an integer from %d to %d, got %s", least, most, quote(a.v.text))
	}
	return n, nil
}

// plainName reports whether a name needs no quotes in a place.
func plainName(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && c != '$' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// quote makes hostile text safe to put into an error.
func quote(s string) string { return abi.Quote(s) }

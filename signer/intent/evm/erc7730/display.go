package erc7730

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// Bounds of a format.
const (
	maxFields = 512 // in all groups of one format, and in what is shown of one payload
	maxNested = 8   // groups within each other
)

// format is how one function or one type of message is shown.
type format struct {
	place string            // in the descriptor
	said  [sha256.Size]byte // of all that the descriptor says of it

	args         *abi.Type // of the arguments or the message
	intent       string
	interpolated []piece // nil: none, or one that could never be made
	items        []*item
}

// item is a field or a group of items.
type item struct {
	label string
	field *field // nil of a group

	items []*item
	path  *route // of the group; nil where it has none, or shows each list by itself
	// lists are what a bundled group without lists in its own path takes together.
	lists []*route
}

// visibility says when a field is shown.
type visibility uint8

const (
	always visibility = iota
	optional
	never
	ifNotIn
	mustMatch
)

// field is how one value is shown.
type field struct {
	label      string
	path       *route    // nil of a literal
	literal    abi.Value // where there is no path
	format     string
	params     *params // nil: none
	visible    visibility
	values     map[string]bool // of the rule, as canonical text
	separator  string
	encryption *encryption
}

// encryption is what is said of a value that is encrypted.
type encryption struct{ scheme, label string }

// compiler checks the display of one document.
type compiler struct {
	root   at
	data   *abi.Type // what the format at hand is for
	fields []*field  // of the format at hand

	// What many fields refer to is read once.
	tables map[*node]map[string]string
	rules  map[rule]map[string]bool
	uses   map[use]bool // that were found to be good
}

// use is a map, and the parameter that it stands for.
type use struct {
	values *node
	as     string
}

// rule is a list of values, for a kind of types.
type rule struct {
	list *node
	kind abi.Kind
}

func newCompiler(root at) *compiler {
	return &compiler{root: root, tables: map[*node]map[string]string{}, rules: map[rule]map[string]bool{}, uses: map[use]bool{}}
}

func (c *compiler) format(from at, data *abi.Type) (*format, error) {
	if err := from.object("$id", "intent", "interpolatedIntent", "fields"); err != nil {
		return nil, err
	}
	c.data, c.fields = data, nil
	f := &format{args: data}
	var err error
	if f.intent, err = readIntent(from.member("intent")); err != nil {
		return nil, err
	}
	if fields := from.member("fields"); fields.there() {
		if f.items, err = c.items(fields, nil, 0, 0); err != nil {
			return nil, err
		}
	}
	sentence, err := from.member("interpolatedIntent").text()
	if err != nil {
		return nil, err
	}
	f.interpolated = c.interpolation(sentence)
	_, err = from.member("$id").text()
	return f, err
}

// readIntent reads an optional intent: a text, or labels and texts (ERC-7730,
// "Structured data format specification").
func readIntent(intent at) (string, error) {
	if !intent.there() || intent.v.sort == text {
		return intent.text()
	}
	if err := intent.want(object); err != nil {
		return "", err
	}
	var out strings.Builder
	for i, label := range intent.v.names {
		value, err := intent.member(label).string()
		if err != nil {
			return "", err
		}
		if i > 0 {
			out.WriteString("; ")
		}
		out.WriteString(label + ": " + value)
	}
	return out.String(), nil
}

// items checks the elements of a group whose path is base. depth is how many lists
// they are in, of which one element at a time is shown.
func (c *compiler) items(list at, base []word, depth, nested int) (out []*item, err error) {
	if err := list.want(array); err != nil {
		return nil, err
	}
	if nested > maxNested {
		return nil, list.errorf("groups nest more than %d deep", maxNested)
	}
	for i := range list.v.elems {
		e := list.elem(i)
		if err := e.want(object); err != nil {
			return nil, err
		}
		var it *item
		switch {
		case e.member("fields").there():
			it, err = c.group(e, base, depth, nested)
		case e.member("$ref").there():
			if e, err = c.reference(e); err == nil {
				it, err = c.leaf(e, base, depth)
			}
		default:
			it, err = c.leaf(e, base, depth)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, it)
	}
	return out, nil
}

func (c *compiler) leaf(e at, base []word, depth int) (*item, error) {
	f, err := c.field(e, base, depth)
	if err != nil {
		return nil, err
	}
	if c.fields = append(c.fields, f); len(c.fields) > maxFields {
		return nil, e.errorf("more than %d fields in one format", maxFields)
	}
	return &item{label: f.label, field: f}, nil
}

// group checks a group (ERC-7730, "Group format specification"). One whose own path
// takes every element of a list is shown element by element unless it says
// "sequential"; one without such a path only if it says "bundled".
func (c *compiler) group(e at, base []word, depth, nested int) (*item, error) {
	err := e.object("$id", "path", "label", "iteration", "fields")
	if err != nil {
		return nil, err
	}
	g := &item{}
	if g.label, err = e.member("label").text(); err != nil {
		return nil, err
	}
	if path := e.member("path"); path.there() {
		if base, g.path, err = c.path(path, base); err != nil {
			return nil, err
		}
		if g.path.container != "" {
			return nil, path.errorf("a group is of values of the payload")
		}
		for len(base) < len(g.path.steps) {
			base = append(base, word{}) // the list that the path ends at
		}
	}
	iteration, err := e.member("iteration").text()
	if err != nil {
		return nil, err
	}
	inner := depth
	switch own := g.path != nil && g.path.each > depth; iteration {
	case "", "bundled":
		if own {
			inner = g.path.each
		} else {
			g.path = nil
		}
	case "sequential":
		g.path = nil
	default:
		return nil, e.member("iteration").errorf("want \"sequential\" or \"bundled\", got %s", quote(iteration))
	}
	bundle := iteration == "bundled" && inner == depth
	if bundle {
		inner++
	}
	if g.items, err = c.items(e.member("fields"), base, inner, nested+1); err != nil {
		return nil, err
	}
	if bundle {
		if g.lists = lists(g.items, inner); len(g.lists) == 0 {
			return nil, e.member("iteration").errorf("no field of the group is a list")
		}
	}
	return g, nil
}

// lists are the paths of all fields in items as far as their list number n.
func lists(items []*item, n int) (out []*route) {
	for _, it := range items {
		if it.field == nil {
			out = append(out, lists(it.items, n)...)
			continue
		}
		rt := it.field.path
		if rt == nil || rt.each < n || it.field.visible == never {
			continue
		}
		each := 0
		for i, s := range rt.steps {
			if s.kind == takeEach {
				each++
			}
			if each == n {
				out = append(out, &route{text: rt.text, steps: rt.steps[:i+1], each: n})
				break
			}
		}
	}
	return out
}

// path checks a path that stands in a group whose path is base. It returns the words of
// the whole of a path into the data, too.
func (c *compiler) path(from at, base []word) ([]word, *route, error) {
	s, err := from.string()
	if err != nil {
		return nil, nil, err
	}
	root, words, err := parsePath(s)
	if err != nil {
		return nil, nil, from.errorf("%v", err)
	}
	var rt *route
	switch root {
	case rootFile:
		return nil, nil, from.errorf("%s is in the descriptor, not in what is signed; use value for a constant", quote(s))
	case rootContainer:
		rt, err = newContainerRoute(words)
		words = nil
	case rootRelative:
		words = slices.Concat(base, words)
		rt, err = newRoute(c.data, words)
	default:
		rt, err = newRoute(c.data, words)
	}
	if err != nil {
		return nil, nil, from.errorf("%v", err)
	}
	return words, rt, nil
}

// reference is a definition with the reference's own members over it.
func (c *compiler) reference(e at) (at, error) {
	if err := e.object("path", "value", "label", "$ref", "params", "separator", "visible", "encryption"); err != nil {
		return e, err
	}
	ref := e.member("$ref")
	definition, err := c.inFile(ref)
	if err != nil {
		return e, err
	}
	if err := definition.want(object); err != nil {
		return e, err
	}
	if params := e.member("params"); params.there() {
		if err := params.want(object); err != nil {
			return e, err
		}
		for _, name := range params.v.names {
			if _, err := params.member(name).string(); err != nil {
				return e, err
			}
		}
	}
	if definition.member("$ref").there() || definition.member("fields").there() {
		return e, ref.errorf("%s is no definition of a field", quote(ref.v.text))
	}
	over := &node{sort: object, file: e.v.file, members: map[string]*node{}}
	for _, name := range e.v.names {
		if name != "$ref" {
			over.set(name, e.v.members[name])
		}
	}
	return at{merge(over, definition.v, ""), e.place}, nil
}

// inFile is what a path with the root $ names in the merged document.
func (c *compiler) inFile(from at) (at, error) {
	s, err := from.string()
	if err != nil {
		return at{}, err
	}
	root, words, err := parsePath(s)
	if err != nil {
		return at{}, from.errorf("%v", err)
	}
	if root != rootFile {
		return at{}, from.errorf("want a path that begins with \"$.\", got %s", quote(s))
	}
	to := c.root
	for _, w := range words {
		switch {
		case w.name != "" && to.v.sort == object:
			to = to.member(w.name)
		case w.single && *w.from >= 0 && to.v.sort == array && *w.from < len(to.v.elems):
			to = to.elem(*w.from)
		default:
			to = at{}
		}
		if !to.there() {
			return at{}, from.errorf("%s names nothing in this descriptor", quote(s))
		}
	}
	return to, nil
}

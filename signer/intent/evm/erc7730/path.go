package erc7730

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// maxSteps bounds the steps of a path.
const maxSteps = 32

// The roots of paths (ERC-7730, "Path references").
const (
	rootRelative  = 0
	rootData      = '#'
	rootFile      = '$'
	rootContainer = '@'
)

// word is one step of a path as it is written: a name, "[i]" or "[from:to]".
type word struct {
	name     string // empty for the others
	single   bool   // "[i]"; i is in from
	from, to *int   // nil where it is left out
}

// parsePath reads a path: an optional root and steps that dots separate. The dot before
// a bracket may be left out, as in some examples of the specification.
func parsePath(s string) (root byte, words []word, err error) {
	if s == "" {
		return 0, nil, fmt.Errorf("the path is empty")
	}
	rest := s
	switch s[0] {
	case rootData, rootFile, rootContainer:
		root, rest = s[0], s[1:]
		if rest == "" && root == rootData {
			return root, nil, nil
		}
		var dotted bool
		if rest, dotted = strings.CutPrefix(rest, "."); !dotted {
			return 0, nil, fmt.Errorf("path %s: want a dot after the root %c", quote(s), root)
		}
	}
	for part := range strings.SplitSeq(rest, ".") {
		name, brackets, indexed := strings.Cut(part, "[")
		if name != "" {
			words = append(words, word{name: name})
		}
		if indexed {
			w, err := parseBrackets("[" + brackets)
			if err != nil {
				return 0, nil, fmt.Errorf("path %s: %w", quote(s), err)
			}
			words = append(words, w)
		}
		switch {
		case part == "":
			return 0, nil, fmt.Errorf("path %s: a step is empty", quote(s))
		case len(words) > maxSteps:
			return 0, nil, fmt.Errorf("path %s: more than %d steps", quote(s), maxSteps)
		}
	}
	return root, words, nil
}

// parseBrackets reads "[]", "[i]", "[from:to]", "[from:]" or "[:to]".
func parseBrackets(s string) (w word, err error) {
	inner, ok := strings.CutSuffix(strings.TrimPrefix(s, "["), "]")
	if !ok {
		return w, fmt.Errorf("%s: want [index] or [start:end]", quote(s))
	}
	if inner == "" {
		return w, nil
	}
	from, to, ranged := strings.Cut(inner, ":")
	for _, end := range []struct {
		text string
		into **int
	}{{from, &w.from}, {to, &w.to}} {
		if end.text == "" {
			continue
		}
		n, err := strconv.ParseInt(end.text, 10, 32)
		if err != nil || end.text[0] == '+' {
			return w, fmt.Errorf("%s: want whole numbers in [index] or [start:end]", quote(s))
		}
		i := int(n)
		*end.into = &i
	}
	w.single = !ranged
	return w, nil
}

// bounds are the elements that a step takes out of n. What is not there is an error,
// never nothing.
func (w word) bounds(n int) (from, to int, err error) {
	from, to = 0, n
	if w.from != nil {
		if from = *w.from; from < 0 {
			from += n
		}
	}
	if w.single {
		to = from + 1
	} else if w.to != nil {
		if to = *w.to; to < 0 {
			to += n
		}
	}
	if from < 0 || from > to || to > n {
		return 0, 0, fmt.Errorf("%s of something that has %d", w, n)
	}
	return from, to, nil
}

func (w word) String() string {
	if w.name != "" {
		return w.name
	}
	text := func(n *int) string {
		if n == nil {
			return ""
		}
		return strconv.Itoa(*n)
	}
	if w.single {
		return "[" + text(w.from) + "]"
	}
	if w.from == nil && w.to == nil {
		return "[]"
	}
	return "[" + text(w.from) + ":" + text(w.to) + "]"
}

// stepKind is what a step does with a value.
type stepKind uint8

const (
	takeMember  stepKind = iota // of a tuple, by its position
	takeElement                 // one of an array
	takeEach                    // every one of an array, or of a part of it
	takeBytes                   // a part of what is made of bytes
)

type step struct {
	kind     stepKind
	position int  // of the member
	word     word // of the others
}

// route is a path whose every step is known to fit the type it is for.
type route struct {
	text      string // the same for the same values, however the path is written
	container string // the value of the container; empty for a path into the data
	steps     []step
	each      int // how many of the steps take every element
	last      *abi.Type
}

// newRoute follows a path through a type. A path that ends at an array takes every
// element of it.
func newRoute(t *abi.Type, words []word) (*route, error) {
	r := &route{last: t}
	var texts []string
	for i, w := range words {
		texts = append(texts, w.String())
		s, next, err := newStep(r.last, w)
		if err != nil {
			return nil, fmt.Errorf("path %s: %w", quote(strings.Join(texts, ".")), err)
		}
		if s.kind == takeBytes && i < len(words)-1 {
			return nil, fmt.Errorf("path %s: nothing can follow a part of a value", quote(strings.Join(texts, ".")))
		}
		if s.kind == takeEach {
			r.each++
		}
		r.steps, r.last = append(r.steps, s), next
	}
	for r.last.Kind == abi.Slice || r.last.Kind == abi.Array {
		texts = append(texts, "[]")
		r.steps, r.last = append(r.steps, step{kind: takeEach}), r.last.Elem
		r.each++
	}
	r.text = strings.Join(texts, ".")
	return r, nil
}

func newStep(t *abi.Type, w word) (step, *abi.Type, error) {
	switch t.Kind {
	case abi.Tuple:
		for i, f := range t.Fields {
			if f.Name == w.name && w.name != "" {
				return step{kind: takeMember, position: i}, f.Type, nil
			}
		}
		return step{}, nil, fmt.Errorf("there is no %s in the type that the key names", quote(w.String()))
	case abi.Slice, abi.Array:
		switch {
		case w.name != "":
			return step{}, nil, fmt.Errorf("%s is a list; want [index] or [start:end]", quote(t.String()))
		case w.single:
			return step{kind: takeElement, word: w}, t.Elem, nil
		default:
			return step{kind: takeEach, word: w}, t.Elem, nil
		}
	case abi.Bool:
		return step{}, nil, fmt.Errorf("a bool has no parts")
	}
	if w.name != "" {
		return step{}, nil, fmt.Errorf("%s has no member %s", quote(t.String()), quote(w.name))
	}
	part := &abi.Type{Kind: abi.Bytes}
	if t.Kind == abi.String {
		part = t
	}
	return step{kind: takeBytes, word: w}, part, nil
}

// containerTypes are the values of the container (ERC-7730, "Container structure
// values").
var containerTypes = map[string]*abi.Type{
	"from": {Kind: abi.Address}, "to": {Kind: abi.Address}, "value": {Kind: abi.Uint, Size: 256}, "chainId": {Kind: abi.Uint, Size: 256},
}

func newContainerRoute(words []word) (*route, error) {
	if len(words) == 0 || containerTypes[words[0].name] == nil {
		return nil, fmt.Errorf("the container has from, to, value and chainId, and nothing else")
	}
	r := &route{container: words[0].name, text: "@." + words[0].name, last: containerTypes[words[0].name]}
	for _, w := range words[1:] {
		s, next, err := newStep(r.last, w)
		if err != nil || len(words) > 2 {
			return nil, fmt.Errorf("%s has only parts such as [-20:]", quote(r.text))
		}
		r.steps, r.last = append(r.steps, s), next
		r.text += "." + w.String()
	}
	return r, nil
}

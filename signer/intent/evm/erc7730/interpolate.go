package erc7730

import (
	"strconv"
	"strings"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// piece is a part of an interpolated intent: a text, or a field.
type piece struct {
	text  string
	field *field // nil of a text
}

// maxPieces bounds the fields in one sentence.
const maxPieces = 64

// interpolation takes a sentence apart (ERC-7730, "Value interpolation"). It returns
// nil for one that names what is no field that is always shown: "If any interpolation
// fails [...], the wallet MUST fall back to displaying the regular intent field".
func (c *compiler) interpolation(sentence string) (out []piece) {
	var plain strings.Builder
	for rest := sentence; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			plain.WriteByte(rest[0])
			rest = rest[2:]
		case rest[0] == '}':
			return nil
		case rest[0] == '{':
			path, after, closed := strings.Cut(rest[1:], "}")
			if !closed || len(out) > 2*maxPieces {
				return nil
			}
			p, ok := c.piece(path)
			if !ok {
				return nil
			}
			out = append(out, piece{text: plain.String()}, p)
			plain.Reset()
			rest = after
		default:
			plain.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	if sentence == "" {
		return nil
	}
	return append(out, piece{text: plain.String()})
}

// piece is what stands for a path: the field that shows its value, or a constant.
func (c *compiler) piece(path string) (piece, bool) {
	root, words, err := parsePath(path)
	if err != nil {
		return piece{}, false
	}
	var rt *route
	switch root {
	case rootFile:
		s, err := c.constant(at{v: &node{sort: text, text: path}})
		return piece{text: s}, err == nil
	case rootContainer:
		rt, err = newContainerRoute(words)
	default:
		rt, err = newRoute(c.data, words)
	}
	if err != nil {
		return piece{}, false
	}
	for _, f := range c.fields {
		if f.path != nil && f.path.text == rt.text && f.visible == always {
			return piece{field: f}, true
		}
	}
	return piece{}, false
}

// sentence makes the interpolated intent, or reports that it cannot be made. Each
// value is written as its field is; one that is a text stands in quotes ("Interpolated
// intent security").
func (r *reader) sentence(pieces []piece) (string, bool) {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
		if p.field == nil {
			continue
		}
		var values []string
		err := r.values(p.field.path, nil, func(env []place, v abi.Value) error {
			value, _, err := r.value(p.field, env, v)
			if v.Type.Kind == abi.String { // of the payload, which could go on with the sentence
				value = strconv.QuoteToASCII(value)
			}
			if err == nil {
				err = r.budget.spend(len(value))
			}
			values = append(values, value)
			return err
		})
		if err != nil || len(values) == 0 {
			return "", false
		}
		b.WriteString(strings.Join(values, ", "))
	}
	if err := r.budget.spend(b.Len()); err != nil {
		return "", false
	}
	return b.String(), len(pieces) > 0
}

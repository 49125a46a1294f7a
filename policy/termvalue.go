package policy

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/sealward/sealward/signer"
)

// comparisons are the operators whose operands say most about their result.
var comparisons = []string{
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals,
	operators.Greater, operators.GreaterEquals, operators.In,
}

// reading is one evaluation of a term, whose values are looked up.
type reading struct {
	*dissection
	values func(id int64) (ref.Val, bool)
	in     activation
}

// operands are the values that a term is about: both sides of a comparison, and
// everything that is read from the request.
func (d reading) operands(e ast.Expr, x stretch) (out []Value) {
	if e.Kind() == ast.CallKind && slices.Contains(comparisons, e.AsCall().FunctionName()) {
		at, _ := d.ast.SourceInfo().GetOffsetRange(e.ID())
		left, right, ok := d.script.around(x, int(at.Start))
		for i, side := range []stretch{left, right} {
			operand := e.AsCall().Args()[i]
			if _, path := pathOf(operand); ok && !path && !d.fixed(operand) {
				out = d.appendValue(out, operand, d.script.string(d.script.bare(side)))
			}
		}
	}
	return d.references(out, e)
}

// references are the values that an expression reads from the request, each once.
func (d reading) references(out []Value, e ast.Expr) []Value {
	if d.fixed(e) {
		return out
	}
	if source, ok := pathOf(e); ok {
		return d.appendValue(out, e, source)
	}
	var parts []ast.Expr
	switch e.Kind() {
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			parts = append(parts, e.AsCall().Target())
		}
		parts = append(parts, e.AsCall().Args()...)
	case ast.ListKind:
		parts = e.AsList().Elements()
	case ast.SelectKind:
		parts = []ast.Expr{e.AsSelect().Operand()}
	}
	for _, part := range parts {
		out = d.references(out, part)
	}
	return out
}

func (d reading) appendValue(out []Value, e ast.Expr, source string) []Value {
	v, ok := d.values(e.ID())
	if !ok { // CEL did not need it, or took it for a part of something else
		var err error
		if v, _, err = d.evaluate(e, d.in); err != nil {
			return out
		}
	}
	kind, text, ok := d.text(v)
	if found := (Value{source, kind, text}); ok && !slices.Contains(out, found) {
		out = append(out, found)
	}
	return out
}

// fixed reports whether an expression is the same for every request.
func (d *dissection) fixed(e ast.Expr) bool {
	switch e.Kind() {
	case ast.LiteralKind:
		return true
	case ast.IdentKind:
		r, ok := d.ast.ReferenceMap()[e.ID()]
		return ok && r.Value != nil || strings.HasPrefix(e.AsIdent(), "addresses.")
	case ast.ListKind:
		return !slices.ContainsFunc(e.AsList().Elements(), func(x ast.Expr) bool { return !d.fixed(x) })
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() && !d.fixed(call.Target()) {
			return false
		}
		return !slices.ContainsFunc(call.Args(), func(x ast.Expr) bool { return !d.fixed(x) })
	default:
		return false
	}
}

// pathOf writes an expression that only reads: a name, its fields, and theirs.
func pathOf(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), true
	case ast.SelectKind:
		s := e.AsSelect()
		operand, ok := pathOf(s.Operand())
		if s.IsTestOnly() {
			return "has(" + operand + "." + s.FieldName() + ")", ok
		}
		return operand + "." + s.FieldName(), ok
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[1].Kind() != ast.LiteralKind {
			return "", false
		}
		operand, ok := pathOf(call.Args()[0])
		if name, text := literalText(call.Args()[1]); text {
			return operand + "['" + name + "']", ok
		}
		return fmt.Sprintf("%s[%v]", operand, call.Args()[1].AsLiteral().Value()), ok
	default:
		return "", false
	}
}

// text writes a value of a type that people can read.
func (d *dissection) text(v ref.Val) (kind, text string, ok bool) {
	switch v := v.(type) {
	case types.String:
		return "string", string(v), true
	case types.Bool:
		return "bool", strconv.FormatBool(bool(v)), true
	case types.Int:
		return "int", strconv.FormatInt(int64(v), 10), true
	case types.Uint:
		return "uint", strconv.FormatUint(uint64(v), 10), true
	case types.Double:
		return "double", strconv.FormatFloat(float64(v), 'g', -1, 64), true
	case types.Timestamp:
		return "timestamp", v.UTC().Format(time.RFC3339Nano), true
	case types.Duration:
		return "duration", v.Duration.String(), true
	case amount:
		return "amount", d.amount(v.asset, v.n), true
	case traits.Mapper:
		return d.mapText(v)
	case traits.Lister:
		var parts []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			part, ok := d.element(it.Next())
			if !ok {
				return "", "", false
			}
			parts = append(parts, part)
		}
		return "list", "[" + strings.Join(parts, ", ") + "]", true
	default:
		return "", "", false
	}
}

func (d *dissection) mapText(v traits.Mapper) (kind, text string, ok bool) {
	var parts []string
	for it := v.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		k, ok := d.element(key)
		x, found := v.Find(key)
		if !ok || !found {
			return "", "", false
		}
		value, ok := d.element(x)
		if !ok {
			return "", "", false
		}
		parts = append(parts, k+": "+value)
	}
	slices.Sort(parts)
	return "map", "{" + strings.Join(parts, ", ") + "}", true
}

// element writes an element of a list or a map; a text in quotes, so that it ends where
// it does.
func (d *dissection) element(v ref.Val) (string, bool) {
	kind, text, ok := d.text(v)
	if kind == "string" {
		text = strconv.Quote(text)
	}
	return text, ok
}

func (d *dissection) amount(id string, n *big.Int) string {
	asset, ok := d.assets[id]
	if !ok {
		asset = signer.Asset{ID: id}
	}
	return formatAmount(asset, n)
}

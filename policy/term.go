package policy

import (
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/sealward/sealward/signer"
)

// Result is what a part of a condition came to.
type Result string

// The results.
const (
	True         Result = "true"
	False        Result = "false"
	Failed       Result = "error"
	NotEvaluated Result = "not_evaluated" // what stands before it decided; by itself it would fail
)

// Term is a part of a condition. One that is put together of others has those in Terms;
// one that is not has the values that it was about.
type Term struct {
	Source string
	Result Result
	Error  string // why it failed
	// Operator is "&&", "||", "!", "all" or "exists"; empty of a term that is not put together.
	Operator string
	// Terms are the parts, each evaluated by itself. Of "all" and "exists" they are those
	// of the element that decided, or empty where none did.
	Terms []Term
	// List is what "all" and "exists" went over, as it is written, and Variable what an
	// element is called.
	List, Variable string
	// Elements is how many elements there were, and Element which of them decided, from 0,
	// or the only one; -1 where every element came to the same.
	Elements, Element int
	Values            []Value

	misses int // how many terms would have to come out otherwise for this one to be true; counts to 2
}

// Value is what a part of a term stood for. Text may be the requester's: show it with
// package ipc/console.
type Value struct {
	Source string
	Type   string // as CEL calls it, and "amount"
	Text   string
}

// dissection explains one condition for one request. It evaluates each part of it by a
// program of its own; the program that decides has no share in it.
type dissection struct {
	env      *cel.Env
	ast      *ast.AST
	script   script
	assets   map[string]signer.Asset
	programs map[int64]cel.Program
	cost     uint64 // of all evaluations so far
}

// maxDissection is what it may cost to look for what else could have been.
const maxDissection = 4 * maxConditionCost

// dissect splits a condition at its top && into terms, and says what each came to.
func (c *condition) dissect(in *inputs, assets map[string]signer.Asset) ([]Term, error) {
	compiled, issues := c.env.Compile(c.text)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	d := dissection{env: c.env, ast: compiled.NativeRep(), script: scan(c.text), assets: assets, programs: map[int64]cel.Program{}}
	whole := d.term(d.ast.Expr(), d.script.all(), in)
	if whole.Operator == operatorAnd {
		return whole.Terms, nil
	}
	return []Term{whole}, nil
}

const (
	operatorAnd    = "&&"
	operatorOr     = "||"
	operatorNot    = "!"
	operatorAll    = "all"
	operatorExists = "exists"
)

// term says what an expression came to, which stands at x in the script.
func (d *dissection) term(e ast.Expr, x stretch, in activation) Term {
	x = d.script.bare(x)
	t := Term{Source: d.script.string(x), Element: -1}
	for d.script.is(x.first, "!") && d.script.is(x.first+1, "!") { // CEL drops these
		x = d.script.bare(stretch{x.first + 2, x.last})
	}
	switch operator := operatorOf(e); operator {
	case operatorAnd, operatorOr:
		t.Operator, t.Terms = operator, d.flatten(operator, e, x, in)
		t.join()
	case operatorNot:
		t.Operator, t.Terms = operator, []Term{d.term(e.AsCall().Args()[0], stretch{x.first + 1, x.last}, in)}
		t.Result, t.Error = negated(t.Terms[0].Result), t.Terms[0].Error
	case operatorAll, operatorExists:
		if list, condition, ok := d.script.quantified(x); ok {
			t.Operator, t.List, t.Variable = operator, d.script.string(list), e.AsComprehension().IterVar()
			d.quantify(&t, e.AsComprehension(), condition, in)
			break
		}
		fallthrough
	default:
		d.leaf(&t, e, x, in)
	}
	if t.Operator == "" || t.Operator == operatorNot {
		t.misses = 1
	}
	if t.Result == True {
		t.misses = 0
	}
	return t
}

// operatorOf recognises what terms are put together by.
func operatorOf(e ast.Expr) string {
	switch e.Kind() {
	case ast.CallKind:
		switch e.AsCall().FunctionName() {
		case operators.LogicalAnd:
			return operatorAnd
		case operators.LogicalOr:
			return operatorOr
		case operators.LogicalNot:
			return operatorNot
		}
	case ast.ComprehensionKind:
		// What the macros become (language definition, "Macros"): a result that begins as
		// true and is joined by && with the condition on each element, or as false by ||.
		c := e.AsComprehension()
		if init := c.AccuInit(); c.HasIterVar2() || init.Kind() != ast.LiteralKind || c.LoopStep().Kind() != ast.CallKind {
			return ""
		} else if step := operatorOf(c.LoopStep()); step == operatorAnd && init.AsLiteral() == types.True {
			return operatorAll
		} else if step == operatorOr && init.AsLiteral() == types.False {
			return operatorExists
		}
	}
	return ""
}

// flatten lists what one operator joins, from left to right.
func (d *dissection) flatten(operator string, e ast.Expr, x stretch, in activation) []Term {
	x = d.script.bare(x)
	if operatorOf(e) != operator {
		return []Term{d.term(e, x, in)}
	}
	var out []Term
	args := e.AsCall().Args()
	at, _ := d.ast.SourceInfo().GetOffsetRange(e.ID())
	left, right, ok := d.script.around(x, int(at.Start))
	if !ok || len(args) != 2 { // the text of the whole, then: better than a wrong one
		left, right = x, x
	}
	for i, side := range []stretch{left, right} {
		out = append(out, d.flatten(operator, args[i], side, in)...)
	}
	return out
}

// join says what terms come to together. As in CEL, one that decides hides the errors of
// the others (language definition, "Logical Operators").
func (t *Term) join() {
	decisive, other := False, True
	if t.Operator == operatorOr {
		decisive, other = True, False
	}
	t.Result = other
	first := slices.IndexFunc(t.Terms, func(x Term) bool { return x.Result == decisive })
	for i := range t.Terms {
		x := &t.Terms[i]
		switch {
		case first >= 0:
			t.Result = decisive
			if i > first && x.Result == Failed {
				*x = Term{Source: x.Source, Result: NotEvaluated, Element: -1, misses: x.misses}
			}
		case x.Result == Failed && t.Result != Failed:
			t.Result, t.Error = Failed, x.Error
		}
	}
	for i, x := range t.Terms {
		switch {
		case t.Operator == operatorAnd:
			t.misses = min(2, t.misses+x.misses)
		case i == 0 || x.misses < t.misses:
			t.misses = x.misses
		}
	}
}

func negated(r Result) Result {
	switch r {
	case True:
		return False
	case False:
		return True
	default:
		return r
	}
}

// quantify says which element decided "all" or "exists", and why.
func (d *dissection) quantify(t *Term, c ast.ComprehensionExpr, condition stretch, in activation) {
	predicate := c.LoopStep().AsCall().Args()[1]
	elements, err := d.elements(c.IterRange(), in)
	if err != nil {
		t.Result, t.Error, t.misses = Failed, err.Error(), 1
		return
	}
	decisive := False
	if t.Result = True; t.Operator == operatorExists {
		decisive, t.Result = True, False
	}
	t.Elements = len(elements)
	failing := 0
	for i, v := range elements {
		holds, err := d.boolean(predicate, bound{c.IterVar(), v, in})
		if err != nil || !holds {
			failing++
		}
		switch {
		case t.Result == decisive:
		case err == nil && holds == (decisive == True):
			t.Result, t.Error, t.Element = decisive, "", i
		case err != nil && t.Result != Failed:
			t.Result, t.Error, t.Element = Failed, err.Error(), i
		}
	}
	if t.Element < 0 && len(elements) == 1 {
		t.Element = 0
	}
	t.misses = 2
	if t.Element >= 0 {
		part := d.term(predicate, condition, bound{c.IterVar(), elements[t.Element], in})
		if t.Terms = []Term{part}; part.Operator == operatorAnd {
			t.Terms = part.Terms
		}
		if failing == 1 || t.Operator == operatorExists {
			t.misses = part.misses
		}
	}
	if t.Operator == operatorExists && t.Result != True {
		t.misses = d.nearest(t.misses, elements, predicate, condition, c.IterVar(), in)
	}
}

// nearest is how many terms are in the way for the element that comes nearest to what
// "exists" wants. It stops at one, and where it has cost too much.
func (d *dissection) nearest(least int, elements []ref.Val, predicate ast.Expr, condition stretch, name string, in activation) int {
	for _, v := range elements {
		if least <= 1 || d.cost > maxDissection {
			break
		}
		least = min(least, d.term(predicate, condition, bound{name, v, in}).misses)
	}
	return least
}

// elements are those of the list that a comprehension goes over; of a map, its keys.
func (d *dissection) elements(list ast.Expr, in activation) (out []ref.Val, err error) {
	v, _, err := d.evaluate(list, in)
	if err != nil {
		return nil, err
	}
	over, ok := v.(traits.Iterable)
	if !ok {
		return nil, fmt.Errorf("a value of type %s has no elements", v.Type().TypeName())
	}
	for it := over.Iterator(); it.HasNext() == types.True; {
		out = append(out, it.Next())
	}
	return out, nil
}

// bound is an activation with one name more: that of the element.
type bound struct {
	name  string
	value ref.Val
	outer activation
}

func (b bound) Parent() activation { return b.outer }

func (b bound) ResolveName(name string) (any, bool) {
	if name == b.name {
		return b.value, true
	}
	return b.outer.ResolveName(name)
}

// leaf evaluates a term that is not put together of others.
func (d *dissection) leaf(t *Term, e ast.Expr, x stretch, in activation) {
	v, values, err := d.evaluate(e, in)
	b, ok := v.(types.Bool)
	switch {
	case err != nil:
		t.Result, t.Error = Failed, err.Error()
	case !ok:
		t.Result, t.Error = Failed, "neither true nor false"
	case bool(b):
		t.Result = True
	default:
		t.Result = False
	}
	if _, path := pathOf(e); path {
		return // its value is the result
	}
	t.Values = reading{d, values, in}.operands(e, x)
}

// evaluate evaluates a part of the condition by itself. Values of its own parts are in
// the state, as far as it came.
func (d *dissection) evaluate(e ast.Expr, in activation) (ref.Val, func(int64) (ref.Val, bool), error) {
	program, ok := d.programs[e.ID()]
	if !ok {
		part := ast.NewCheckedAST(ast.NewAST(e, d.ast.SourceInfo()), d.ast.TypeMap(), d.ast.ReferenceMap())
		var err error
		if program, err = d.env.PlanProgram(part, cel.EvalOptions(cel.OptTrackState), cel.CostLimit(maxConditionCost)); err != nil {
			return nil, nil, err
		}
		d.programs[e.ID()] = program
	}
	v, details, err := program.Eval(in)
	if cost := details.ActualCost(); cost != nil {
		d.cost += *cost
	}
	// Without details there is an empty state.
	return v, details.State().Value, err
}

func (d *dissection) boolean(e ast.Expr, in activation) (bool, error) {
	v, _, err := d.evaluate(e, in)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, errors.New("neither true nor false")
	}
	return bool(b), nil
}

// Quantified reports whether a term goes over elements.
func (t Term) Quantified() bool { return t.Operator == operatorAll || t.Operator == operatorExists }

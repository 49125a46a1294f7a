package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/hashicorp/hcl/v2"
)

type activation = cel.Activation

// maxCondition bounds the text of a condition, in characters.
const maxCondition = 16 << 10

// variables are the names that every condition knows, and their types.
var variables = map[string]*types.Type{
	"effects":         types.NewListType(effectType),
	"outflow":         types.NewListType(quantityType),
	"warnings":        types.NewListType(warningType),
	"fee":             quantityType,
	"intent.class":    types.StringType,
	"intent.complete": types.BoolType,
	"kind":            types.StringType,
	"key.name":        types.StringType,
	"key.protection":  types.StringType,
	"key.algorithm":   types.StringType,
	"key.origin":      types.StringType,
	"caller.uid":      types.IntType,
	"caller.user":     types.StringType,
	"caller.groups":   types.NewListType(types.StringType),
	"caller.socket":   types.StringType,
	"caller.unit":     types.StringType,
	"time":            types.TimestampType,
	"new_recipients":  types.NewListType(types.StringType),
}

// removed are functions of standard CEL that would let a condition step out of
// its static types, which the load depends on for finding misspelt names.
var removed = []string{"dyn", "type"}

// conditions compiles the conditions of one policy.
type conditions struct {
	cel       *cel.Env
	names     []string // every variable and constant
	literal   literalChecks
	constants map[string]string            // the values of assets.NAME and contracts.NAME
	bookSizes map[string]cost.SizeEstimate // of addresses.NAME
}

func newConditions(e Env, as assets, bs books, cs map[string]contract) (*conditions, error) {
	subset := env.NewLibrarySubset()
	for _, name := range removed {
		subset.AddExcludedFunctions(env.NewFunction(name))
	}
	subset.AddExcludedFunctions(env.NewFunction(operators.Multiply)) // ours takes its place
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	opts := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.CustomTypeProvider(provider{registry}),
		cel.CustomTypeAdapter(registry),
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ExtendedValidations(),
		cel.DefaultUTCTimeZone(true),
		cel.CostModel(prices()...),
	}
	c := &conditions{literal: newLiteralChecks(e, as), constants: map[string]string{}, bookSizes: map[string]cost.SizeEstimate{}}
	for _, name := range sortedKeys(variables) {
		c.names = append(c.names, name)
		opts = append(opts, cel.Variable(name, variables[name]))
	}
	for _, name := range sortedKeys(as) {
		c.names = append(c.names, "assets."+name)
		c.constants["assets."+name] = as[name].ID
		opts = append(opts, cel.Constant("assets."+name, types.StringType, types.String(as[name].ID)))
	}
	for _, name := range sortedKeys(cs) {
		c.names = append(c.names, "contracts."+name)
		c.constants["contracts."+name] = cs[name].account
		opts = append(opts, cel.Constant("contracts."+name, types.StringType, types.String(cs[name].account)))
	}
	for _, name := range sortedKeys(bs) {
		c.names = append(c.names, "addresses."+name)
		c.bookSizes["addresses."+name] = sizeOf(bs[name])
		opts = append(opts, cel.Constant("addresses."+name, types.NewMapType(types.StringType, types.StringType),
			types.NewStringStringMap(types.DefaultTypeAdapter, bs[name])))
	}
	if c.cel, err = cel.NewCustomEnv(append(opts, amountFunctions(as)...)...); err != nil {
		return nil, err
	}
	return c, nil
}

// amountFunctions declares what can be done with amounts. The operators need no
// bindings: CEL calls the traits of the values.
func amountFunctions(as assets) []cel.EnvOption {
	opts := []cel.EnvOption{
		cel.Function("amount", cel.Overload("amount_string", []*types.Type{types.StringType}, amountType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				text, ok := v.(types.String)
				if !ok {
					return types.MaybeNoSuchOverloadErr(v)
				}
				asset, n, err := as.amount(string(text))
				if err != nil {
					return types.WrapErr(err)
				}
				return amount{asset.ID, n}
			}))),
		cel.Function(operators.Add, cel.Overload("add_amount", []*types.Type{amountType, amountType}, amountType)),
		multiplication(),
	}
	for _, op := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		opts = append(opts, cel.Function(op, cel.Overload(op+"amount", []*types.Type{amountType, amountType}, types.BoolType)))
	}
	return opts
}

// condition is a compiled expression. It may be evaluated by any number of
// goroutines.
type condition struct {
	program cel.Program
	text    string   // as the owner wrote it
	env     *cel.Env // that compiles it again, to explain what became of it
	// recipients says whether it asks which are new.
	recipients bool
	cost       uint64    // in steps, at most
	at         hcl.Range // where it stands
}

// holds evaluates the condition. Anything but true or false is an error.
func (c *condition) holds(in *inputs) (bool, error) {
	if c == nil {
		return true, nil
	}
	out, _, err := c.program.Eval(in)
	if err != nil {
		return false, err
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, errors.New("neither true nor false")
	}
	return bool(b), nil
}

// compile checks a condition and makes it ready, or reports what is wrong with it
// at its place in the policy file.
func (c *conditions) compile(r *reader, src source) *condition {
	if strings.TrimSpace(src.text) == "" {
		r.fail(src.whole, "the condition is empty; leave when out to match always")
		return nil
	}
	ast, issues := c.cel.Compile(src.text)
	if errs := issues.Errors(); len(errs) > 0 {
		for _, m := range c.mistakes(src, errs) {
			r.fail(src.span(m.line, m.column), "%s", m.text)
		}
		return nil
	}
	if ast.OutputType() != types.BoolType {
		r.fail(src.whole, "the condition gives %s; it must be true or false, so compare it with something, as in size(effects) == 1", typeName(ast.OutputType()))
		return nil
	}
	if defects := c.check(ast.NativeRep()); len(defects) > 0 {
		for _, d := range defects {
			at := ast.NativeRep().SourceInfo().GetStartLocation(d.id)
			r.fail(src.span(at.Line(), at.Column()), "%s", d.text)
		}
		return nil
	}
	steps, ok := c.affordable(r, src, ast)
	if !ok {
		return nil
	}
	program, err := c.cel.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxConditionCost), readAmounts())
	if err != nil {
		r.fail(src.whole, "prepare the condition: %v", err)
		return nil
	}
	return &condition{program, src.text, c.cel, mentions(ast.NativeRep(), "new_recipients"), steps, src.whole}
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	suggested  = regexp.MustCompile(` \(did you mean '([^']*)'\?\)$`)
	undefined  = regexp.MustCompile(`^undefined field '([^']*)'`)
	overload   = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)
	syntax     = regexp.MustCompile(`(?s)^Syntax error: (.*?)( expecting \{.*)?$`)
)

// explain turns CEL's words into ours: names of types without our prefix, and a
// suggestion wherever a name is unknown.
func (c *conditions) explain(message string) string {
	message = strings.ReplaceAll(message, "sealward.", "")
	if m := syntax.FindStringSubmatch(message); m != nil {
		return "the condition is not CEL: " + m[1]
	}
	if m := overload.FindStringSubmatch(message); m != nil {
		hint := ""
		if strings.Contains(m[2], "amount") {
			hint = "; an amount is written amount('2.5 eth')"
		}
		return fmt.Sprintf("%s does not apply to %s%s", strings.Trim(m[1], "_@"), m[2], hint)
	}
	if m := undefined.FindStringSubmatch(message); m != nil {
		return c.noField(m[1])
	}
	m := undeclared.FindStringSubmatch(message)
	switch s := suggested.FindStringSubmatch(message); {
	case m == nil:
		return message
	case m[1] == "claim":
		return "the claim is the caller's unverified text, and a condition cannot use it; remove it"
	case slices.Contains(removed, m[1]):
		return fmt.Sprintf("%s() is not part of conditions", m[1])
	case s != nil:
		return fmt.Sprintf("nothing is named %q; did you mean %q?", m[1], s[1])
	}
	var below []string
	for _, name := range c.names {
		if strings.HasPrefix(name, m[1]+".") {
			below = append(below, name)
		}
	}
	if len(below) > 0 {
		return fmt.Sprintf("%q is not a value; there are: %s", m[1], strings.Join(below, ", "))
	}
	return fmt.Sprintf("nothing is named %q%s", m[1], didYouMean(m[1], c.names))
}

func (c *conditions) noField(name string) string {
	var known []string
	for _, fs := range fields {
		known = append(known, sortedKeys(fs)...)
	}
	if slices.Contains(known, name) {
		return fmt.Sprintf("this value has no field %q", name)
	}
	slices.Sort(known)
	return fmt.Sprintf("no field is named %q%s", name, didYouMean(name, slices.Compact(known)))
}

func typeName(t *types.Type) string {
	return strings.ReplaceAll(t.String(), "sealward.", "")
}

var _ interface {
	ref.Val
	traits.Adder
	traits.Comparer
} = amount{}

package policy

import (
	"fmt"
	"math"
	re "regexp/syntax"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
)

// What a decision costs at most is worked out at load. The journal records nothing
// else while it decides, so a policy that could take long is refused while there is
// somebody to read why, and a request that is in bounds meets no limit on the way.
//
// Cost is counted in steps. One is what CEL takes for a name, a field or a comparison;
// docs/performance.md says how long that is.
const (
	// maxConditionCost is the most that one condition may cost. Ten steps on each of 512
	// effects are 5,000.
	maxConditionCost = 500_000
	// maxDecisionCost is the most that all rules may cost that one request meets: 200
	// conditions of ten steps on each of 512 effects.
	maxDecisionCost = 1_000_000
	// ruleCost is what a rule takes whatever its condition, limitCost a limit, and
	// eachCost one for each recipient or asset that it counts by.
	ruleCost, limitCost, eachCost = 20, 30, 100
)

// textCost is for each character of a text that is gone through once.
const textCost = cost.StringTraversalCostFactor

// prices are what CEL's own model has at one step, or not at all, and takes longer.
// They hold for the estimate at load and for the count of steps in a decision.
func prices() []cost.OverloadModel {
	through := func(text cost.QuantityExpr, more uint64) cost.QuantityExpr {
		return cost.Sum(cost.Const(more), cost.Scale(text, textCost))
	}
	ps := []cost.OverloadModel{
		cost.Overload(overloads.SizeString, cost.EvalCost(through(cost.Arg(0), 1))),
		cost.MemberOverload(overloads.SizeStringInst, cost.EvalCost(through(cost.Target(), 1))),
		cost.Overload("amount_string", cost.EvalCost(cost.Const(0))), // read at load
		cost.Overload(overloads.StringToString, cost.EvalCost(through(cost.Arg(0), 1)), cost.ResultSize(cost.Arg(0))),
	}
	for _, id := range []string{overloads.StringToInt, overloads.StringToUint, overloads.StringToDouble,
		overloads.StringToBool, overloads.StringToTimestamp, overloads.StringToDuration} {
		ps = append(ps, cost.Overload(id, cost.EvalCost(through(cost.Arg(0), 10))))
	}
	for _, id := range []string{overloads.BoolToString, overloads.IntToString, overloads.UintToString,
		overloads.DoubleToString, overloads.TimestampToString, overloads.DurationToString} {
		ps = append(ps, cost.Overload(id, cost.EvalCost(cost.Const(10)), cost.ResultSize(cost.Const(maxNumber))))
	}
	// The rules of the time zone are looked for anew each time.
	for _, id := range []string{overloads.TimestampToYearWithTz, overloads.TimestampToMonthWithTz,
		overloads.TimestampToDayOfYearWithTz, overloads.TimestampToDayOfMonthZeroBasedWithTz,
		overloads.TimestampToDayOfMonthOneBasedWithTz, overloads.TimestampToDayOfWeekWithTz, overloads.TimestampToHoursWithTz,
		overloads.TimestampToMinutesWithTz, overloads.TimestampToSecondsWithTz, overloads.TimestampToMillisecondsWithTz} {
		ps = append(ps, cost.MemberOverload(id, cost.EvalCost(cost.Const(150))))
	}
	return ps
}

// maxNumber is how many characters a number, a time or a duration has as a text, at
// most: strconv writes 1e308 with all of its digits.
const maxNumber = 400

// sizes tells CEL's estimator how large the variables of a condition may be, and what
// a pattern costs. What it does not know counts as boundless.
type sizes struct {
	c   *conditions
	ast *ast.AST
}

var _ cost.Estimator = sizes{}

// EstimateSize implements [cost.Estimator].
func (s sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if node.Type().IsExactType(amountType) {
		return upTo(1)
	}
	path := node.Path()
	if len(path) == 1 {
		return s.variable(path[0])
	}
	if e := node.Expr(); e != nil && e.Kind() == ast.SelectKind {
		sel := e.AsSelect()
		switch operand := s.ast.GetType(sel.Operand().ID()); {
		case sel.FieldName() == "attributes" && operand.IsExactType(effectType):
			return attributesSize()
		case isAttributes(s.ast, sel.Operand()) || len(fields[operand.TypeName()]) > 0:
			return upTo(textBound(sel.FieldName()))
		}
	}
	if len(path) == 0 {
		return nil
	}
	switch last := path[len(path)-1]; {
	case path[0] == "caller.groups":
		return upTo(maxText)
	case path[0] == "new_recipients":
		return upTo(maxAccount)
	case last == "attributes":
		return attributesSize()
	case len(path) > 2 && path[len(path)-2] == "attributes": // of an attribute whose name is not known here
		return upTo(maxURI)
	}
	return nil
}

func attributesSize() *cost.SizeEstimate {
	size := cost.MapSizeEstimate(*upTo(maxAttributes), *upTo(maxText), *upTo(maxURI))
	return &size
}

// variable is the size of a variable or of a constant.
func (s sizes) variable(name string) *cost.SizeEstimate {
	switch name {
	case "effects":
		return upTo(maxEffects)
	case "outflow":
		return upTo(maxOutflow)
	case "warnings":
		return upTo(maxWarnings)
	case "caller.groups":
		return upTo(maxGroups)
	case "new_recipients":
		return upTo(maxRecipients)
	}
	if text, ok := s.c.constants[name]; ok {
		return upTo(len(text))
	}
	if size, ok := s.c.bookSizes[name]; ok {
		return &size
	}
	if t := variables[name]; t != nil && t.Kind() == types.StringKind {
		return upTo(maxName)
	}
	return nil
}

// sizeOf is the size of an address book.
func sizeOf(book map[string]string) cost.SizeEstimate {
	account, label := 0, 0
	for a, l := range book {
		account, label = max(account, len(a)), max(label, len(l))
	}
	return cost.MapSizeEstimate(*upTo(len(book)), *upTo(account), *upTo(label))
}

func upTo(n int) *cost.SizeEstimate { return &cost.SizeEstimate{Max: uint64(n)} }

// EstimateCallCost implements [cost.Estimator]: it knows the price of a pattern, which
// is not in the number of its characters.
func (s sizes) EstimateCallCost(_, overload string, target *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	text, pattern := cost.AstNode(nil), cost.AstNode(nil)
	switch {
	case overload == overloads.MatchesString && target != nil && len(args) == 1:
		text, pattern = *target, args[0]
	case overload == overloads.Matches && len(args) == 2:
		text, pattern = args[0], args[1]
	default:
		return nil
	}
	size := cost.EstimateSize(s, text)
	return &cost.CallEstimate{CostEstimate: cost.Estimate{Max: matchCost(pattern, size.Max)}}
}

// matchCost is what a pattern takes at most for a text: regexp may try each of its
// instructions on each character, which takes 6 ns. It is never less than CEL counts.
func matchCost(pattern cost.AstNode, size uint64) uint64 {
	const instruction = 0.15
	text, ok := literalText(pattern.Expr())
	if !ok {
		return math.MaxUint64 // check refuses it anyway
	}
	parsed, err := re.Parse(text, re.Perl)
	if err != nil {
		return math.MaxUint64
	}
	prog, err := re.Compile(parsed.Simplify())
	if err != nil {
		return math.MaxUint64
	}
	characters := cost.SafeAdd(size, 1)
	ours := cost.SafeMultiplyByFactor(cost.SafeMultiply(characters, uint64(len(prog.Inst))), instruction)
	cels := cost.SafeMultiplyByFactor(cost.SafeMultiply(characters, uint64(len(text))), cost.RegexStringLengthCostFactor*textCost)
	return cost.SafeAdd(1, max(ours, cels))
}

// affordable returns what a condition costs at most, or refuses it.
func (c *conditions) affordable(r *reader, src source, a *cel.Ast) (uint64, bool) {
	e, err := c.cel.EstimateCost(a, sizes{c, a.NativeRep()})
	switch {
	case err != nil:
		r.fail(src.whole, "work out what the condition costs: %v", err)
	case e.Max > maxConditionCost:
		r.fail(src.whole, "the condition may take %s for one request, which has up to %d effects and %d warnings, and the most is %d; look at them once, without a loop in a loop, and keep patterns short",
			steps(e.Max), maxEffects, maxWarnings, maxConditionCost)
	default:
		return e.Max, true
	}
	return 0, false
}

// steps writes a cost for people.
func steps(n uint64) string {
	if n == math.MaxUint64 {
		return "more steps than can be told"
	}
	return fmt.Sprintf("%d steps", n)
}

// affordable refuses a policy of which one request could meet more conditions than a
// decision has time for. The end is that of the file.
func (l *loader) affordable(end hcl.Range) {
	var worst burden
	for _, key := range keyNames(l.env) {
		for _, kind := range kinds() {
			if b := heaviest(l.rules, key, signer.Kind(kind)); b.cost > worst.cost {
				worst = b
			}
		}
	}
	if worst.cost <= maxDecisionCost {
		return
	}
	at := hcl.Range{Filename: end.Filename, Start: hcl.Pos{Line: worst.most.line, Column: 1}, End: hcl.Pos{Line: worst.most.line, Column: 1}}
	if worst.most.when != nil {
		at = worst.most.when.at
	}
	l.fail(at, "the rules that one request of kind %q for key %q can meet may take %s together, and the most is %d; rule %q alone may take %d; name keys, callers or kinds in the rules, so that fewer meet, and limit per recipient and per asset in few of them",
		worst.kind, worst.key, steps(worst.cost), maxDecisionCost, worst.most.name, worst.most.cost())
}

// cost is what a rule takes at most.
func (r *rule) cost() uint64 {
	n := uint64(ruleCost)
	if r.when != nil {
		n += r.when.cost
	}
	for _, l := range r.limits {
		switch l.per {
		case signer.PerRecipient:
			n += eachCost * maxRecipients
		case signer.PerAsset:
			n += eachCost * maxOutflow
		default:
			n += limitCost
		}
	}
	return n
}

// burden is the rules that one request can meet.
type burden struct {
	key  string
	kind signer.Kind
	cost uint64
	most *rule // that costs the most
}

func (b *burden) add(r *rule) {
	b.cost += r.cost()
	b.weigh(r)
}

func (b *burden) join(other burden) {
	b.cost += other.cost
	b.weigh(other.most)
}

func (b *burden) weigh(r *rule) {
	if b.most == nil || r.cost() > b.most.cost() {
		b.most = r
	}
}

// heaviest is the most that a request of a kind for a key can meet, over all callers. A
// caller has any number of groups, so that rules with one of those count for everybody;
// but it has one user, one uid, one socket and one unit, so that of those the heaviest
// counts.
func heaviest(rules []rule, key string, kind signer.Kind) burden {
	all := burden{key: key, kind: kind}
	single := map[string]map[string]*burden{} // by what callers are picked by, and its value
	for i := range rules {
		r := &rules[i]
		switch {
		case !r.about(key) || r.kinds != nil && !slices.Contains(r.kinds, kind):
		case r.callers == nil || slices.ContainsFunc(r.callers, func(s selector) bool { return s.what == "group" }):
			all.add(r)
		default:
			for _, s := range r.callers {
				if single[s.what] == nil {
					single[s.what] = map[string]*burden{}
				}
				if single[s.what][s.name] == nil {
					single[s.what][s.name] = &burden{}
				}
				single[s.what][s.name].add(r)
			}
		}
	}
	for _, what := range sortedKeys(single) {
		most := sortedKeys(single[what])[0]
		for _, name := range sortedKeys(single[what]) {
			if single[what][name].cost > single[what][most].cost {
				most = name
			}
		}
		all.join(*single[what][most])
	}
	return all
}

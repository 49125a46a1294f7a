package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/sealward/sealward/signer"
)

// What CEL's types do not catch: a text that is compared with a field whose texts
// are known, and never equals any of them. In a rule that denies, such a slip
// would let everything through.

// defect is something wrong with an expression.
type defect struct {
	id   int64
	text string
}

// literalChecks say what is wrong with a literal that is compared with a variable
// ("key.name"), with a field ("sealward.effect.class") or with an attribute
// ("attributes.selector"), or nothing.
type literalChecks map[string]func(literal string) error

func newLiteralChecks(e Env, as assets) literalChecks {
	checks := literalChecks{
		"kind":                         oneOf("kind", kinds()),
		"intent.class":                 oneOf("class", classes()),
		"key.name":                     oneOf("key", keyNames(e)),
		"key.protection":               oneOf("protection", protections()),
		"key.algorithm":                oneOf("algorithm", algorithms()),
		"key.origin":                   oneOf("origin", origins()),
		"caller.socket":                oneOf("socket", e.Sockets),
		"caller.unit":                  orNone(checkUnit),
		"sealward.effect.class":        oneOf("class", classes()),
		"sealward.effect.actor":        orNone(checkAccount),
		"sealward.effect.counterparty": orNone(checkAccount),
		"sealward.quantity.kind":       oneOf("kind of quantity", quantityKinds()),
		"sealward.quantity.asset":      orNone(checkAsset),
		"sealward.warning.severity":    oneOf("severity", severities()),
		"sealward.warning.code":        oneOf("warning", warningCodes()),
		"amount":                       func(s string) error { _, _, err := as.amount(s); return err },
	}
	for name, check := range attributeFormats {
		checks["attributes."+name] = check
	}
	for _, name := range []string{signer.AttributeKey, signer.AttributeSuccessor} {
		checks["attributes."+name] = oneOf("key", sortedKeys(e.Keys))
	}
	return checks
}

// check looks at every part of a condition that CEL found well typed.
func (c *conditions) check(a *ast.AST) []defect {
	var out []defect
	joins := 0
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.AllMatcher()) {
		switch e.Kind() {
		case ast.StructKind:
			out = append(out, defect{e.ID(), "objects cannot be made in a condition"})
		case ast.ComprehensionKind:
			if v := e.AsComprehension().IterVar(); slices.Contains(c.names, v) {
				out = append(out, defect{e.ID(), fmt.Sprintf("%q is the name of a variable; choose another one for the element", v)})
			}
		case ast.CallKind:
			out = append(out, c.checkCall(a, e)...)
			if isJoin(a, e) {
				joins++
			}
			if joins == maxJoins+1 {
				joins++
				out = append(out, defect{e.ID(), fmt.Sprintf("a condition joins lists with + at most %d times; look at one after the other", maxJoins)})
			}
		case ast.SelectKind:
			if sel := e.AsSelect(); isAttributes(a, sel.Operand()) {
				out = append(out, c.checkAttribute(e.ID(), sel.FieldName())...)
			}
		}
	}
	return out
}

func (c *conditions) checkCall(a *ast.AST, e ast.NavigableExpr) []defect {
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.Equals, operators.NotEquals:
		if d := comparable(e.ID(), name, a.GetType(args[0].ID()), a.GetType(args[1].ID())); d != nil {
			return d
		}
		return append(c.checkLiterals(a, args[0], args[1]), c.checkLiterals(a, args[1], args[0])...)
	case operators.In:
		if d := comparable(e.ID(), name, a.GetType(args[0].ID())); d != nil {
			return d
		}
		if attribute, ok := literalText(args[0]); ok && isAttributes(a, args[1]) {
			return c.checkAttribute(args[0].ID(), attribute)
		}
		if args[1].Kind() == ast.ListKind {
			return c.checkLiterals(a, args[0], args[1].AsList().Elements()...)
		}
		if name := args[1]; name.Kind() == ast.IdentKind && strings.HasPrefix(name.AsIdent(), "addresses.") {
			return c.checkBook(a, args[0], name)
		}
	case operators.Index:
		if !isAttributes(a, args[0]) {
			return nil
		}
		attribute, ok := literalText(args[1])
		if !ok {
			return []defect{{args[1].ID(), "want the attribute's name in quotes, so that it can be checked"}}
		}
		return c.checkAttribute(args[1].ID(), attribute)
	case "amount":
		text, ok := literalText(args[0])
		if !ok {
			return []defect{{e.ID(), "amount() takes a text in quotes, such as amount(\"2.5 eth\"), so that it can be checked"}}
		}
		if err := c.literal["amount"](text); err != nil {
			return []defect{{args[0].ID(), err.Error()}}
		}
	case "matches":
		pattern := args[len(args)-1]
		if _, ok := literalText(pattern); !ok {
			return []defect{{pattern.ID(), "matches() takes a pattern in quotes, so that it can be checked"}}
		}
	default:
		if call.IsMemberFunction() && a.GetType(call.Target().ID()) == types.TimestampType && len(args) == 1 {
			return checkZone(args[0])
		}
	}
	return nil
}

// comparable refuses to compare what has no single meaning when it is compared.
// CEL answers true to != where == is an error; amounts of different assets are
// such an error, and must stay one.
func comparable(id int64, operator string, operands ...*types.Type) []defect {
	for _, t := range operands {
		switch t.Kind() {
		case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind,
			types.TimestampKind, types.DurationKind, types.BytesKind:
			continue
		}
		if t.IsExactType(amountType) && operator == operators.Equals {
			continue
		}
		if t.IsExactType(amountType) {
			return []defect{{id, "amounts compare with < <= > >= and ==; write !(a == b) for \"not equal\""}}
		}
		return []defect{{id, fmt.Sprintf("a value of type %s cannot be compared as a whole; compare its fields or elements", typeName(t))}}
	}
	return nil
}

// maxJoins bounds how many lists are joined to one. To find an element of such a list,
// CEL goes through all of them, and counts one step.
const maxJoins = 16

// isJoin recognises + between lists, but for that by which CEL's own map and filter add
// to their result.
func isJoin(a *ast.AST, e ast.Expr) bool {
	call := e.AsCall()
	if call.FunctionName() != operators.Add || a.GetType(e.ID()).Kind() != types.ListKind {
		return false
	}
	first := call.Args()[0]
	return first.Kind() != ast.IdentKind || !strings.HasPrefix(first.AsIdent(), "@")
}

// checkLiterals checks the literals that a subject is compared with.
func (c *conditions) checkLiterals(a *ast.AST, subject ast.Expr, others ...ast.Expr) []defect {
	wrong, ok := c.literal[subjectName(a, subject)]
	if !ok {
		return nil
	}
	var out []defect
	for _, other := range others {
		text, ok := literalText(other)
		if !ok && other.Kind() == ast.IdentKind {
			text, ok = c.constants[other.AsIdent()]
		}
		if ok {
			if err := wrong(text); err != nil {
				out = append(out, defect{other.ID(), err.Error()})
			}
		}
	}
	return out
}

// subjectName is what the checks of literals call an expression; empty for most.
func subjectName(a *ast.AST, subject ast.Expr) string {
	switch subject.Kind() {
	case ast.IdentKind:
		return subject.AsIdent()
	case ast.SelectKind:
		sel := subject.AsSelect()
		if isAttributes(a, sel.Operand()) {
			return "attributes." + sel.FieldName()
		}
		return a.GetType(sel.Operand().ID()).TypeName() + "." + sel.FieldName()
	case ast.CallKind:
		call := subject.AsCall()
		if call.FunctionName() == operators.Index && isAttributes(a, call.Args()[0]) {
			attribute, _ := literalText(call.Args()[1])
			return "attributes." + attribute
		}
	}
	return ""
}

// checkBook: what is looked up in an address book is an account.
func (c *conditions) checkBook(a *ast.AST, subject, book ast.Expr) []defect {
	const account = "eip155:1:0x0000000000000000000000000000000000000000"
	if wrong, ok := c.literal[subjectName(a, subject)]; ok && wrong(account) != nil {
		return []defect{{subject.ID(), fmt.Sprintf("this is no account, and %s has accounts only", book.AsIdent())}}
	}
	return nil
}

// isAttributes recognises the attributes of an effect.
func isAttributes(a *ast.AST, e ast.Expr) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().FieldName() != "attributes" {
		return false
	}
	return a.GetType(e.AsSelect().Operand().ID()).IsExactType(effectType)
}

func (c *conditions) checkAttribute(id int64, name string) []defect {
	if _, ok := attributeFormats[name]; ok {
		return nil
	}
	return []defect{{id, fmt.Sprintf("no attribute is named %q%s", name, didYouMean(name, sortedKeys(attributeFormats)))}}
}

// checkZone checks a time zone while there is somebody to read the error.
func checkZone(arg ast.Expr) []defect {
	zone, ok := literalText(arg)
	if !ok {
		return []defect{{arg.ID(), "want a time zone in quotes, such as \"Europe/Berlin\", so that it can be checked"}}
	}
	// CEL also takes offsets (language definition, "Timezones").
	if _, err := time.Parse("-07:00", zone); err == nil {
		return nil
	}
	if _, err := time.Parse("-07:00", "+"+zone); err == nil {
		return nil
	}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return []defect{{arg.ID(), fmt.Sprintf("no time zone is named %q; want for example \"Europe/Berlin\" or \"+02:00\"", zone)}}
	}
	return nil
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

package policy

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/sealward/sealward/signer"
)

// What conditions see of a proposal, as CEL values. They are views of the
// proposal's own structs: nothing is copied that a condition does not read.

// The types of our own. The prefix keeps their names out of the way of variables.
var (
	amountType   = types.NewObjectType("sealward.amount", traits.AdderType, traits.ComparerType, traits.MultiplierType)
	quantityType = types.NewObjectType("sealward.quantity")
	effectType   = types.NewObjectType("sealward.effect")
	warningType  = types.NewObjectType("sealward.warning")
)

// field is one field of a type: get returns an error where there is no value, and
// has says so beforehand.
type field struct {
	typ *types.Type
	has func(any) bool
	get func(any) (any, error)
}

func always(any) bool { return true }

// fields are the fields of our types, by type and name.
var fields = map[string]map[string]field{
	effectType.TypeName(): {
		"class":        {types.StringType, always, func(v any) (any, error) { return types.String(v.(*signer.Effect).Class), nil }},
		"actor":        {types.StringType, always, func(v any) (any, error) { return types.String(v.(*signer.Effect).Actor), nil }},
		"counterparty": {types.StringType, always, func(v any) (any, error) { return types.String(v.(*signer.Effect).Counterparty), nil }},
		"quantity":     {quantityType, always, func(v any) (any, error) { return object{quantityType, &v.(*signer.Effect).Quantity}, nil }},
		"revokes":      {types.BoolType, always, func(v any) (any, error) { return types.Bool(revokes(v.(*signer.Effect))), nil }},
		"attributes": {types.NewMapType(types.StringType, types.StringType), always, func(v any) (any, error) {
			return types.NewStringStringMap(types.DefaultTypeAdapter, v.(*signer.Effect).Attributes), nil
		}},
		"until": {types.TimestampType, func(v any) bool { return !v.(*signer.Effect).Until.IsZero() }, func(v any) (any, error) {
			if until := v.(*signer.Effect).Until; !until.IsZero() {
				return types.Timestamp{Time: until.UTC()}, nil
			}
			return nil, errors.New("the effect never ends by itself, so that it has no until; ask has(e.until) first")
		}},
	},
	quantityType.TypeName(): {
		"kind":  {types.StringType, always, func(v any) (any, error) { return types.String(v.(*signer.Quantity).Kind.String()), nil }},
		"asset": {types.StringType, always, func(v any) (any, error) { return types.String(v.(*signer.Quantity).Asset), nil }},
		"amount": {amountType, func(v any) bool { return bounded(*v.(*signer.Quantity)) }, func(v any) (any, error) {
			if q := v.(*signer.Quantity); bounded(*q) {
				return amount{q.Asset, q.N}, nil
			}
			return nil, fmt.Errorf("a quantity of kind %s has no amount", v.(*signer.Quantity).Kind)
		}},
	},
	warningType.TypeName(): {
		"code":     {types.StringType, always, func(v any) (any, error) { return types.String(v.(*signer.Warning).Code), nil }},
		"severity": {types.StringType, always, func(v any) (any, error) { return types.String(v.(*signer.Warning).Severity), nil }},
	},
}

// bounded says whether a quantity states an amount of an asset. A quantity of
// kind none has neither.
func bounded(q signer.Quantity) bool {
	return (q.Kind == signer.QuantityExact || q.Kind == signer.QuantityAtMost) && q.N != nil
}

// revokes says whether an effect takes a permission away and gives none: an allowance or
// the power over a collection of exactly zero, a delegation that moves nothing, which is
// that to the zero address (EIP-7702, "Behavior": it clears the account's code).
func revokes(e *signer.Effect) bool {
	switch e.Class {
	case signer.ClassAllowance, signer.ClassOperator:
		return e.Quantity.Kind == signer.QuantityExact && e.Quantity.N != nil && e.Quantity.N.Sign() == 0
	case signer.ClassDelegation:
		return e.Quantity.Kind == signer.QuantityNone
	default:
		return false
	}
}

// mentions reports whether an expression names a variable.
func mentions(a *ast.AST, name string) bool {
	return len(ast.MatchDescendants(ast.NavigateAST(a), func(e ast.NavigableExpr) bool {
		return e.Kind() == ast.IdentKind && e.AsIdent() == name
	})) > 0
}

// provider tells CEL of our types, beside its own.
type provider struct{ *types.Registry }

func (p provider) FindStructType(name string) (*types.Type, bool) {
	for _, t := range []*types.Type{amountType, quantityType, effectType, warningType} {
		if t.TypeName() == name {
			return types.NewTypeTypeWithParam(t), true
		}
	}
	return p.Registry.FindStructType(name)
}

func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if fs, ok := fields[name]; ok {
		return sortedKeys(fs), true
	}
	return p.Registry.FindStructFieldNames(name)
}

func (p provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	if fs, ok := fields[name]; ok {
		f, ok := fs[fieldName]
		return &types.FieldType{Type: f.typ, IsSet: f.has, GetFrom: f.get}, ok
	}
	return p.Registry.FindStructFieldType(name, fieldName)
}

// object is a value of one of our types; v is a pointer into the proposal.
type object struct {
	typ *types.Type
	v   any
}

func (o object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s cannot become %s", o.typ, t)
}
func (o object) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("%s cannot become %s", o.typ, t)
}

// Equal is an error: conditions compare fields. Load refuses what would come here.
func (o object) Equal(ref.Val) ref.Val { return types.NewErr("%s cannot be compared", o.typ) }
func (o object) Type() ref.Type        { return o.typ }
func (o object) Value() any            { return o.v }

// amount is a number of base units of an asset. Amounts of different assets do
// not compare or add up: that is an error, and an error denies.
type amount struct {
	asset string
	n     *big.Int
}

func (a amount) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an amount cannot become %s", t)
}
func (a amount) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("an amount cannot become %s", t)
}
func (a amount) Type() ref.Type { return amountType }
func (a amount) Value() any     { return a }

func (a amount) with(other ref.Val, f func(amount) ref.Val) ref.Val {
	b, ok := other.(amount)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	if a.asset != b.asset {
		return types.NewErr("amounts of different assets, %s and %s", a.asset, b.asset)
	}
	return f(b)
}

// Compare implements traits.Comparer.
func (a amount) Compare(other ref.Val) ref.Val {
	return a.with(other, func(b amount) ref.Val { return types.Int(a.n.Cmp(b.n)) })
}

// Add implements traits.Adder.
func (a amount) Add(other ref.Val) ref.Val {
	return a.with(other, func(b amount) ref.Val { return amount{a.asset, new(big.Int).Add(a.n, b.n)} })
}

// Multiply implements traits.Multiplier. There are no negative amounts.
func (a amount) Multiply(other ref.Val) ref.Val {
	n, ok := other.(types.Int)
	switch {
	case !ok:
		return types.MaybeNoSuchOverloadErr(other)
	case n < 0:
		return types.NewErr("an amount times %d, which is negative", n)
	}
	return amount{a.asset, new(big.Int).Mul(a.n, big.NewInt(int64(n)))}
}

// multiplication is CEL's own, for amounts too. CEL asks the left value to multiply
// itself by the right one, and an integer knows of no amounts.
func multiplication() cel.EnvOption {
	return cel.Function(operators.Multiply,
		cel.Overload(overloads.MultiplyDouble, []*types.Type{types.DoubleType, types.DoubleType}, types.DoubleType),
		cel.Overload(overloads.MultiplyInt64, []*types.Type{types.IntType, types.IntType}, types.IntType),
		cel.Overload(overloads.MultiplyUint64, []*types.Type{types.UintType, types.UintType}, types.UintType),
		cel.Overload("multiply_amount_int64", []*types.Type{amountType, types.IntType}, amountType),
		cel.Overload("multiply_int64_amount", []*types.Type{types.IntType, amountType}, amountType),
		cel.SingletonBinaryBinding(func(a, b ref.Val) ref.Val {
			if _, ok := b.(amount); ok {
				a, b = b, a
			}
			m, ok := a.(traits.Multiplier)
			if !ok {
				return types.MaybeNoSuchOverloadErr(a)
			}
			return m.Multiply(b)
		}, traits.MultiplierType))
}

// Equal implements ref.Val.
func (a amount) Equal(other ref.Val) ref.Val {
	return a.with(other, func(b amount) ref.Val { return types.Bool(a.n.Cmp(b.n) == 0) })
}

// inputs is the activation of one decision: it resolves a variable when a
// condition asks for it, and keeps what takes long for the next one.
type inputs struct {
	p *signer.Proposal
	f *signer.Facts

	effects, outflow, warnings ref.Val
	class                      ref.Val // of the worst effect, which takes a look at each
}

// Parent implements cel.Activation.
func (in *inputs) Parent() activation { return nil }

// ResolveName implements cel.Activation. The names are those of variables.
func (in *inputs) ResolveName(name string) (any, bool) {
	p := in.p
	switch name {
	case "effects":
		return once(&in.effects, effectType, p.Intent.Effects), true
	case "outflow":
		return once(&in.outflow, quantityType, p.Intent.Outflow), true
	case "warnings":
		return once(&in.warnings, warningType, p.Intent.Warnings), true
	case "fee":
		return object{quantityType, &p.Intent.Fee}, true
	case "intent.class":
		if in.class == nil {
			in.class = types.String(p.Intent.Class())
		}
		return in.class, true
	case "intent.complete":
		return types.Bool(p.Intent.Complete), true
	case "kind":
		return types.String(p.Request.Kind), true
	case "key.name":
		return types.String(p.Key.Name), true
	case "key.protection":
		return types.String(p.Key.Protection), true
	case "key.algorithm":
		return types.String(p.Key.Public.Algorithm), true
	case "key.origin":
		return types.String(p.Key.Origin), true
	case "caller.uid":
		return types.Int(p.Caller.UID), true
	case "caller.user":
		return types.String(p.Caller.User), true
	case "caller.groups":
		return types.NewStringList(types.DefaultTypeAdapter, p.Caller.Groups), true
	case "caller.socket":
		return types.String(p.Caller.Socket), true
	case "caller.unit":
		return types.String(p.Caller.Unit), true
	case "new_recipients":
		if !in.f.Recipients {
			return types.NewErr("which recipients are new is missing"), true
		}
		return types.NewStringList(types.DefaultTypeAdapter, in.f.NewRecipients), true
	case "time":
		if in.f.Time.IsZero() {
			return types.NewErr("journal time is missing"), true
		}
		return types.Timestamp{Time: in.f.Time.UTC()}, true
	default:
		return nil, false
	}
}

// once makes the list of objects that point to the elements of s.
func once[T any](list *ref.Val, t *types.Type, s []T) ref.Val {
	if *list == nil {
		vals := make([]ref.Val, len(s))
		for i := range s {
			vals[i] = object{t, &s[i]}
		}
		*list = types.NewRefValList(types.DefaultTypeAdapter, vals)
	}
	return *list
}

package typeddata

import (
	"iter"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// Leaves goes through the parts of a value in order, each with its path from name,
// such as message.details[2].token: every value without parts, and every array
// without elements, which is a statement too. What it yields is all there is to
// show. Walk values, not types: a type may hold itself.
func Leaves(name string, v abi.Value) iter.Seq2[string, abi.Value] {
	return func(yield func(string, abi.Value) bool) { leaves(root(name), v, yield) }
}

func leaves(at *place, v abi.Value, yield func(string, abi.Value) bool) bool {
	if len(v.Elems) == 0 {
		return yield(at.String(), v)
	}
	for i, e := range v.Elems {
		next := at.element(i)
		if v.Type.Kind == abi.Tuple {
			next = at.member(v.Type.Fields[i].Name)
		}
		if !leaves(next, e, yield) {
			return false
		}
	}
	return true
}

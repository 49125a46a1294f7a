package policy

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// What makes decisions quick: a request meets the rules about its key alone, and what is
// the same for all requests is worked out at load.

// index is the rules about each key, in the order of the policy.
type index map[string][]*rule

func newIndex(rules []rule, keys []string) index {
	x := make(index, len(keys))
	for _, r := range pointers(rules) {
		for _, key := range keys {
			if r.about(key) {
				x[key] = append(x[key], r)
			}
		}
	}
	return x
}

func pointers(rules []rule) []*rule {
	out := make([]*rule, len(rules))
	for i := range rules {
		out[i] = &rules[i]
	}
	return out
}

// readAmounts has a program read its amounts once, not in every decision.
func readAmounts() cel.ProgramOption {
	return cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		call, ok := i.(interpreter.InterpretableCall)
		if !ok || call.Function() != "amount" || len(call.Args()) != 1 {
			return i, nil
		}
		if _, ok := call.Args()[0].(interpreter.InterpretableConst); !ok {
			return i, nil
		}
		v := call.Eval(interpreter.EmptyActivation())
		if types.IsError(v) {
			return i, nil
		}
		return interpreter.NewConstValue(call.ID(), v), nil
	})
}

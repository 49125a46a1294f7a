package erc7730

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// place is one element of a list, or of a part of it: which, of how many, and what the
// index of the first is.
type place struct{ at, of, first int }

// values calls yield for every value of a route. The first steps that take every
// element take the one in env instead; yield gets env with the places of the others.
func (r *reader) values(rt *route, env []place, yield func([]place, abi.Value) error) error {
	root, err := r.root(rt)
	if err != nil {
		return err
	}
	return r.follow(root, rt, 0, env, len(env), 0, yield)
}

// one is the value of a parameter's route beside a value at env: "wallets should format
// each element of the array using the parameter value at the same index" (ERC-7730,
// "Array references in parameters").
func (r *reader) one(rt *route, env []place) (out abi.Value, err error) {
	if rt.each > len(env) {
		return out, fmt.Errorf("%s is a list where one value is due", quote(rt.text))
	}
	err = r.values(rt, env, func(_ []place, v abi.Value) error {
		out = v
		return nil
	})
	return out, err
}

// knows reports whether the container of a route has the value. Who sends is not known
// without a key, and an embedded call need not say what it comes with.
func (r *reader) knows(rt *route) bool {
	return (rt.container != "from" || r.c.from != nil) && (rt.container != "value" || r.c.value != nil)
}

func (r *reader) root(rt *route) (abi.Value, error) {
	if !r.knows(rt) {
		return abi.Value{}, fmt.Errorf("%s is not known here", quote(rt.text))
	}
	switch rt.container {
	case "to":
		return abi.Addr(r.c.to), nil
	case "chainId":
		return abi.Uint64(r.c.chain), nil
	case "from":
		return abi.Addr(*r.c.from), nil
	case "value":
		return abi.Uint256(r.c.value), nil
	default:
		return r.data, nil
	}
}

// follow takes the steps from number i on. fixed is how many places of env were there
// from the beginning, used how many of them are taken.
func (r *reader) follow(v abi.Value, rt *route, i int, env []place, fixed, used int, yield func([]place, abi.Value) error) error {
	for ; i < len(rt.steps); i++ {
		if err := r.budget.work(1); err != nil {
			return err
		}
		s := rt.steps[i]
		switch s.kind {
		case takeMember:
			v = v.Elems[s.position]
			continue
		case takeBytes:
			part, err := cut(v, s.word)
			if err != nil {
				return fmt.Errorf("path %s: %w", quote(rt.text), err)
			}
			v = part
			continue
		}
		from, to, err := s.word.bounds(len(v.Elems))
		if err != nil {
			return fmt.Errorf("path %s: %w", quote(rt.text), err)
		}
		if s.kind == takeElement {
			v = v.Elems[from]
			continue
		}
		if used < fixed {
			if env[used].of != to-from {
				return fmt.Errorf("path %s: %d elements beside a list of %d", quote(rt.text), to-from, env[used].of)
			}
			v = v.Elems[from+env[used].at]
			used++
			continue
		}
		for at := range to - from {
			next := append(env[:len(env):len(env)], place{at, to - from, from})
			if err := r.follow(v.Elems[from+at], rt, i+1, next, fixed, used, yield); err != nil {
				return err
			}
		}
		return nil
	}
	if err := r.budget.work(1 + len(v.Bytes)/64); err != nil { // it will be written or compared
		return err
	}
	return yield(env, v)
}

// cut is a part of the bytes of a value: of a number the 32 of its word, as in
// calldata.
func cut(v abi.Value, w word) (abi.Value, error) {
	b := bytesOf(v)
	from, to, err := w.bounds(len(b))
	if err != nil {
		return abi.Value{}, fmt.Errorf("byte %w", err)
	}
	b = b[from:to]
	if v.Type.Kind != abi.String {
		return abi.BytesValue(b), nil
	}
	if !utf8.Valid(b) {
		return abi.Value{}, errors.New("a part of a text that ends within a character")
	}
	return abi.TextValue(string(b)), nil
}

func bytesOf(v abi.Value) []byte {
	switch v.Type.Kind {
	case abi.Address:
		a := v.Address()
		return a[:]
	case abi.Uint, abi.Int:
		b := v.Word.Bytes32()
		return b[:]
	default:
		return v.Bytes
	}
}

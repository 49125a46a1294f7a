package evm

import (
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// multicallMethods are those of Multicall3. The calls are the contract's own: whoever is
// called sees Multicall3, on which nobody should have anything.
var multicallMethods = newFamily(
	reads("aggregate((address target, bytes callData)[] calls)", readAggregate),
	reads("blockAndAggregate((address target, bytes callData)[] calls)", readAggregate),
	reads("tryAggregate(bool requireSuccess, (address target, bytes callData)[] calls)", readTryAggregate),
	reads("tryBlockAndAggregate(bool requireSuccess, (address target, bytes callData)[] calls)", readTryAggregate),
	reads("aggregate3((address target, bool allowFailure, bytes callData)[] calls)", readAggregate3),
	paid("aggregate3Value((address target, bool allowFailure, uint256 value, bytes callData)[] calls)", readAggregateValue),
)

// readAggregate reads calls without coin, of which none may fail.
func readAggregate(r *reading, f frame, args []abi.Value) error {
	return r.aggregate(f, args[0].Elems)
}

func readTryAggregate(r *reading, f frame, args []abi.Value) error {
	r.field(f.named("fails if one fails"), truth(args[0].Bool()))
	return r.aggregate(f, args[1].Elems)
}

// aggregate reads calls of a target and data.
func (r *reading) aggregate(f frame, calls []abi.Value) error {
	return r.each(f, calls, func(i int, c abi.Value) (frame, error) {
		return f.inner(i, c.Elems[0].Address(), new(uint256.Int), c.Elems[1].Bytes), nil
	})
}

func readAggregate3(r *reading, f frame, args []abi.Value) error {
	return r.each(f, args[0].Elems, func(i int, c abi.Value) (frame, error) {
		inner := f.inner(i, c.Elems[0].Address(), new(uint256.Int), c.Elems[2].Bytes)
		r.field(inner.named("may fail"), truth(c.Elems[1].Bool()))
		return inner, nil
	})
}

// readAggregateValue: Multicall3 hands on what it was given, to the last unit. What a call
// that may fail brings would stay there if it does, for whoever calls next to take.
func readAggregateValue(r *reading, f frame, args []abi.Value) error {
	sum := new(uint256.Int)
	for i, c := range args[0].Elems {
		if c.Elems[1].Bool() && !c.Elems[2].Uint().IsZero() {
			return f.invalid("call %d may fail, and its coin would then be anybody's: do not allow its failure", i+1)
		}
		if _, over := sum.AddOverflow(sum, c.Elems[2].Uint()); over {
			return f.invalid("the values of the calls exceed 256 bits")
		}
	}
	if !sum.Eq(&f.value) {
		return f.invalid("the calls send %s base units of the coin, and the call brings %s: it would fail", sum.Dec(), f.value.Dec())
	}
	return r.each(f, args[0].Elems, func(i int, c abi.Value) (frame, error) {
		inner := f.inner(i, c.Elems[0].Address(), c.Elems[2].Uint(), c.Elems[3].Bytes)
		inner.handedOn, inner.payer = true, f.from
		if f.handedOn {
			inner.payer = f.payer
		}
		r.field(inner.named("may fail"), truth(c.Elems[1].Bool()))
		return inner, nil
	})
}

// selfCallMethods are those by which a contract calls its own methods one after the
// other, by delegatecall to itself: for each of them the caller is the same as for the
// whole (OpenZeppelin, Multicall.sol; Uniswap, Multicall.sol and MulticallExtended.sol).
var selfCallMethods = []method{
	reads("multicall(bytes[] calls)", func(r *reading, f frame, args []abi.Value) error {
		return r.selfCalls(f, args[0].Elems)
	}),
	reads("multicall(uint256 deadline, bytes[] calls)", func(r *reading, f frame, args []abi.Value) error {
		r.moment(f, "deadline of the calls", args[0].Uint())
		return r.selfCalls(f, args[1].Elems)
	}),
	reads("multicall(bytes32 previousBlockhash, bytes[] calls)", func(r *reading, f frame, args []abi.Value) error {
		r.field(f.named("only after block"), bytesText(args[0].Bytes))
		return r.selfCalls(f, args[1].Elems)
	}),
}

// selfCalls reads calls of a contract to itself. The coin that came along stands with
// the whole.
func (r *reading) selfCalls(f frame, calls []abi.Value) error {
	return r.each(f, calls, func(i int, c abi.Value) (frame, error) {
		inner := f.inner(i, f.to, new(uint256.Int), c.Bytes)
		inner.from = f.from
		return inner, nil
	})
}

// each reads the calls of a batch in their order, counted from 1.
func (r *reading) each(f frame, calls []abi.Value, of func(i int, c abi.Value) (frame, error)) error {
	if err := f.batch(len(calls)); err != nil {
		return err
	}
	for i, c := range calls {
		inner, err := of(i+1, c)
		if err != nil {
			return err
		}
		if err := r.call(inner); err != nil {
			return err
		}
	}
	return nil
}

func truth(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

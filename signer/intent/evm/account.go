package evm

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// accountMethods are those by which a smart account acts (ERC-4337 SimpleAccount 0.6 to
// 0.9, ERC-7579). The calls are the account's own. What changes the account itself differs
// from one to the next and is unknown.
var accountMethods = newFamily(slices.Concat([]method{
	reads("execute(address target, uint256 value, bytes data)", func(r *reading, f frame, args []abi.Value) error {
		return r.executes(f, 1, args)
	}),
	reads("executeBatch(address[] targets, bytes[] data)", func(r *reading, f frame, args []abi.Value) error {
		return r.parallel(f, args[0].Elems, nil, args[1].Elems)
	}),
	reads("executeBatch(address[] targets, uint256[] values, bytes[] data)", func(r *reading, f frame, args []abi.Value) error {
		return r.parallel(f, args[0].Elems, args[1].Elems, args[2].Elems)
	}),
	reads("executeBatch((address target, uint256 value, bytes data)[] calls)", func(r *reading, f frame, args []abi.Value) error {
		return r.executesAll(f, args[0].Elems)
	}),
	paid("execute(bytes32 mode, bytes executionCalldata)", readModeExecute),
}, selfCallMethods)...)

// execution is the i-th call of an account.
func (f frame) execution(i int, to common.Address, value *uint256.Int, data []byte) (frame, error) {
	if to == (common.Address{}) {
		// ERC-7821 takes it for the account itself, others for nobody.
		return frame{}, f.invalid("call %d: the target is the zero address, which accounts read differently: name the account", i)
	}
	return f.inner(i, to, value, data), nil
}

// executes reads one call: target, value, data.
func (r *reading) executes(f frame, i int, call []abi.Value) error {
	inner, err := f.execution(i, call[0].Address(), call[1].Uint(), call[2].Bytes)
	if err != nil {
		return err
	}
	return r.call(inner)
}

func (r *reading) executesAll(f frame, calls []abi.Value) error {
	return r.each(f, calls, func(i int, c abi.Value) (frame, error) {
		return f.execution(i, c.Elems[0].Address(), c.Elems[1].Uint(), c.Elems[2].Bytes)
	})
}

// parallel reads calls from lists of their parts. Without values there is none for all
// (SimpleAccount.sol 0.6 and 0.7, executeBatch).
func (r *reading) parallel(f frame, targets, values, data []abi.Value) error {
	if len(targets) != len(data) || len(values) > 0 && len(values) != len(targets) {
		return f.invalid("%d targets, %d values and %d data: it would fail", len(targets), len(values), len(data))
	}
	return r.each(f, targets, func(i int, target abi.Value) (frame, error) {
		value := new(uint256.Int)
		if len(values) > 0 {
			value = values[i-1].Uint()
		}
		return f.execution(i, target.Address(), value, data[i-1].Bytes)
	})
}

// callsType is what a batch of ERC-7579 is encoded as.
var callsType = abi.MustParseSignature("calls((address target, uint256 value, bytes callData)[] executions)").Args

// readModeExecute: ERC-7579, "Execution Behavior". The mode says what the bytes are: its
// first byte one call, a batch or a delegatecall, its second what becomes of failures. The
// rest is for meanings of the account's own, so anything there is unknown.
func readModeExecute(r *reading, f frame, args []abi.Value) error {
	const single, batch, delegatecall = 0x00, 0x01, 0xff
	mode, data := args[0].Bytes, args[1].Bytes
	r.field(f.named("mode"), bytesText(mode))
	own := slices.ContainsFunc(mode[2:], func(b byte) bool { return b != 0 }) || mode[1] > 1
	var err error
	switch {
	case !own && (mode[0] == single || mode[0] == delegatecall):
		err = r.packedExecution(f, data, mode[0] == delegatecall)
	case !own && mode[0] == batch:
		var calls abi.Value
		if calls, err = abi.Decode(callsType, data); err != nil {
			return f.invalid("non-canonical: executions: %v", err)
		}
		err = r.executesAll(f, calls.Elems[0].Elems)
	default:
		r.unknown(f, "the mode is not one of the standard's")
		return nil
	}
	if err == nil {
		r.along(f)
	}
	return err
}

// packedExecution reads one call: an address, a value unless the code there runs as the
// account, and data.
func (r *reading) packedExecution(f frame, packed []byte, delegate bool) error {
	const address = common.AddressLength
	what, head := "one call", address+32
	if delegate {
		what, head = "a delegatecall", address
	}
	if len(packed) < head {
		return f.invalid("%s in %d bytes: what stands before its data takes %d", what, len(packed), head)
	}
	inner, err := f.execution(1, common.Address(packed[:address]), new(uint256.Int).SetBytes(packed[address:head]), packed[head:])
	if err != nil {
		return err
	}
	inner.delegate = delegate
	return r.call(inner)
}

package evm

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// entryPointMethods are those by which operations of smart accounts are handed in
// (ERC-4337): of EntryPoint 0.6, and packed since 0.7. What is aggregated under one
// signature is not read.
var entryPointMethods = newFamily(
	reads("handleOps((address sender, uint256 nonce, bytes initCode, bytes callData, uint256 callGasLimit, uint256 verificationGasLimit, uint256 preVerificationGas, uint256 maxFeePerGas, uint256 maxPriorityFeePerGas, bytes paymasterAndData, bytes signature)[] ops, address beneficiary)", handleOps(unpackedOp)),
	reads("handleOps((address sender, uint256 nonce, bytes initCode, bytes callData, bytes32 accountGasLimits, uint256 preVerificationGas, bytes32 gasFees, bytes paymasterAndData, bytes signature)[] ops, address beneficiary)", handleOps(packedOp)),
	paid("handleAggregatedOps(((address sender, uint256 nonce, bytes initCode, bytes callData, uint256 callGasLimit, uint256 verificationGasLimit, uint256 preVerificationGas, uint256 maxFeePerGas, uint256 maxPriorityFeePerGas, bytes paymasterAndData, bytes signature)[] userOps, address aggregator, bytes signature)[] ops, address beneficiary)", readAggregatedOps),
	paid("handleAggregatedOps(((address sender, uint256 nonce, bytes initCode, bytes callData, bytes32 accountGasLimits, uint256 preVerificationGas, bytes32 gasFees, bytes paymasterAndData, bytes signature)[] userOps, address aggregator, bytes signature)[] ops, address beneficiary)", readAggregatedOps),
)

// userOp is an operation of a smart account.
type userOp struct {
	sender             common.Address
	nonce              *uint256.Int
	initCode, callData []byte
	gas                *uint256.Int // the most that its sender or paymaster is charged for
	maxFee, priority   *uint256.Int // per gas
	paymaster          []byte       // its address and what is for it; empty for none
}

// unpackedOp reads the members of an operation of EntryPoint 0.6. With a paymaster the
// gas for verification counts three times (EntryPoint.sol 0.6, _getRequiredPrefund).
func unpackedOp(m []abi.Value) (userOp, error) {
	op := userOp{
		sender: m[0].Address(), nonce: m[1].Uint(), initCode: m[2].Bytes, callData: m[3].Bytes,
		maxFee: m[7].Uint(), priority: m[8].Uint(), paymaster: m[9].Bytes,
	}
	verification := m[5].Uint()
	parts := []*uint256.Int{m[4].Uint(), verification, m[6].Uint()}
	if len(op.paymaster) > 0 {
		parts = append(parts, verification, verification)
	}
	var err error
	op.gas, err = sumOfGas(parts...)
	return op, err
}

// packedOp reads the members of a PackedUserOperation (ERC-4337), with or without the
// signature at the end. Two numbers of 128 bits stand in a word, and two follow the
// address of a paymaster: the gas for its verification and for what comes after.
func packedOp(m []abi.Value) (userOp, error) {
	op := userOp{
		sender: m[0].Address(), nonce: m[1].Uint(), initCode: m[2].Bytes, callData: m[3].Bytes, paymaster: m[7].Bytes,
	}
	verification, call := halves(m[4].Bytes)
	op.priority, op.maxFee = halves(m[6].Bytes)
	parts := []*uint256.Int{verification, call, m[5].Uint()}
	if n := len(op.paymaster); n > 0 {
		const address, gas = common.AddressLength, 32
		if n < address+gas {
			return userOp{}, signer.Invalid("user operation: paymasterAndData has %d bytes: an address and two limits of gas take %d", n, address+gas)
		}
		check, after := halves(op.paymaster[address : address+gas])
		parts = append(parts, check, after)
	}
	var err error
	op.gas, err = sumOfGas(parts...)
	return op, err
}

// halves are the two numbers of 128 bits in a word.
func halves(word []byte) (high, low *uint256.Int) {
	return new(uint256.Int).SetBytes(word[:16]), new(uint256.Int).SetBytes(word[16:])
}

func sumOfGas(parts ...*uint256.Int) (*uint256.Int, error) {
	sum := new(uint256.Int)
	for _, n := range parts {
		if _, over := sum.AddOverflow(sum, n); over {
			return nil, signer.Invalid("user operation: its gas exceeds 256 bits")
		}
	}
	return sum, nil
}

// handleOps reads operations as who bundles them hands them in. What they cost goes from
// their senders to the beneficiary.
func handleOps(unpack func([]abi.Value) (userOp, error)) func(*reading, frame, []abi.Value) error {
	return func(r *reading, f frame, args []abi.Value) error {
		ops, beneficiary := args[0].Elems, args[1].Address()
		if err := f.batch(len(ops)); err != nil {
			return err
		}
		r.field(f.named("beneficiary"), r.hex(beneficiary))
		for i, members := range ops {
			op, err := unpack(members.Elems)
			if err != nil {
				return err
			}
			inner := f.inner(i+1, op.sender, new(uint256.Int), op.callData)
			r.field(inner.named("signature"), bytesText(members.Elems[len(members.Elems)-1].Bytes))
			most, err := r.userOp(f, i+1, op)
			if err != nil {
				return err
			}
			r.effect(inner, signer.Effect{
				Class: signer.ClassTransfer, Actor: r.account(op.sender), Counterparty: r.account(beneficiary),
				Quantity:   signer.AtMost(native(r.chain), most.ToBig()),
				Attributes: map[string]string{"act": "gas_refund", "entrypoint": r.account(f.to)},
			})
		}
		return nil
	}
}

func readAggregatedOps(r *reading, f frame, _ []abi.Value) error {
	r.unknown(f, "operations under one signature are not read")
	return nil
}

// userOp adds what the i-th operation that is handed to the EntryPoint f.to does. It
// returns the most coin that it costs, which the sender pays, or the paymaster and then
// the sender in some way of the paymaster's: so it is counted in any case.
func (r *reading) userOp(f frame, i int, op userOp) (most *uint256.Int, err error) {
	most, over := new(uint256.Int).MulOverflow(op.gas, op.maxFee)
	if over {
		return nil, signer.Invalid("user operation: gas times price exceeds 256 bits")
	}
	call, first := f.inner(i, op.sender, new(uint256.Int), op.callData), len(r.in.Effects)
	r.field(call.named("account"), r.hex(op.sender))
	r.field(call.named("nonce"), op.nonce.Dec())
	r.field(call.named("gas"), op.gas.Dec())
	r.field(call.named("max fee per gas"), gasPrice(op.maxFee))
	r.field(call.named("max priority fee per gas"), gasPrice(op.priority))
	r.field(call.named("max fee"), amount(most, r.coin))
	if err := r.initCode(call, op); err != nil {
		return nil, err
	}
	switch {
	case len(op.callData) > 0:
		err = r.call(call)
	case len(op.initCode) == 0:
		r.field(call.named("operation"), "calls nothing: voids other operations with its nonce")
		r.effect(call, signer.Effect{
			Class: signer.ClassInvalidate, Actor: r.account(op.sender), Attributes: map[string]string{"act": "cancel"},
		})
	}
	if err != nil {
		return nil, err
	}
	more := map[string]string{"entrypoint": r.account(f.to), "nonce": op.nonce.Dec()}
	if len(op.paymaster) > 0 {
		if more["paymaster"], err = r.paymaster(call, op.paymaster); err != nil {
			return nil, err
		}
	}
	r.mark(first, more)
	return most, nil
}

// initCode is what makes the account before its first operation: the address of a factory
// and calldata for it. For an account that was handed to code (EIP-7702) a marker is in its
// place, which may lack zeros at its end, and then calldata for the account (ERC-4337,
// "Support for EIP-7702 authorizations").
func (r *reading) initCode(f frame, op userOp) error {
	const address = common.AddressLength
	code := op.initCode
	switch {
	case len(code) == 0:
		return nil
	case len(code) >= 2 && bytes.HasPrefix(common.RightPadBytes(code, address), common.RightPadBytes([]byte{0x77, 0x02}, address)):
		r.field(f.named("init code"), bytesText(code)+": the account runs code that it was handed to (EIP-7702)")
		f.data = code[min(address, len(code)):]
		r.unknown(f, "the code that the account was handed to is not named")
		return nil
	case len(code) < address:
		return signer.Invalid("user operation: initCode has %d bytes: the address of a factory takes %d", len(code), address)
	}
	factory := common.Address(code[:address])
	r.compare(r.account(factory))
	r.field(f.named("factory"), r.hex(factory))
	r.in.Complete = false
	attributes := map[string]string{"contract": r.account(factory)}
	for name, value := range r.calldata(f, code) {
		attributes["init_code"+name[len("calldata"):]] = value
	}
	r.effect(f, signer.Effect{
		Class: signer.ClassCreate, Actor: r.account(op.sender), Counterparty: r.account(op.sender), Attributes: attributes,
	})
	r.warn(WarnContractCreation, signer.SeverityWarn, f.named("the account "+r.hex(op.sender)+" is made by a factory from code that was not read"))
	return nil
}

// paymaster is the contract that pays for an operation. Its code runs before and after:
// it may take tokens that the account allowed it to.
func (r *reading) paymaster(f frame, data []byte) (string, error) {
	if len(data) < common.AddressLength {
		return "", signer.Invalid("user operation: paymasterAndData has %d bytes: an address takes %d", len(data), common.AddressLength)
	}
	who := common.Address(data[:common.AddressLength])
	r.field(f.named("paymaster"), r.hex(who))
	r.field(f.named("for the paymaster"), bytesText(data[common.AddressLength:]))
	r.compare(r.account(who))
	r.warn(WarnPaymaster, signer.SeverityWarn, f.named("code of "+r.hex(who)+" (paymaster) decides on and pays for the operation, in return for what it asks"))
	return r.account(who), nil
}

// mark adds attributes to the effects from the first-th on that do not have them.
func (r *reading) mark(first int, more map[string]string) {
	for i := range r.in.Effects[first:] {
		e := &r.in.Effects[first+i]
		if e.Attributes == nil {
			e.Attributes = map[string]string{}
		}
		for name, value := range more {
			if _, ok := e.Attributes[name]; !ok {
				e.Attributes[name] = value
			}
		}
	}
}

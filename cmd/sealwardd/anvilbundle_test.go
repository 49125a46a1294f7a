package main

import (
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/sealward/sealward/signer"
)

// unpackedOperation is what EntryPoint 0.6 is asked for, named as its ABI names it.
type unpackedOperation struct {
	Sender               common.Address
	Nonce                *big.Int
	InitCode, CallData   []byte
	CallGasLimit         *big.Int
	VerificationGasLimit *big.Int
	PreVerificationGas   *big.Int
	MaxFeePerGas         *big.Int
	MaxPriorityFeePerGas *big.Int
	PaymasterAndData     []byte
	Signature            []byte
}

// byOwner is what the node's own account signs for an operation of an account of its: the
// hash that an older EntryPoint makes of it, as a personal message (SimpleAccount.sol).
func (w *world) byOwner(version string, op any) (signature hexutil.Bytes) {
	w.t.Helper()
	hash := w.read("EntryPoint"+version, "entrypoint"+version, "getUserOpHash", op)
	w.n.call(&signature, "eth_sign", w.at["dev"], common.BigToHash(hash))
	return signature
}

// handle7 is how an operation of EntryPoint 0.7 is handed in.
func (w *world) handle7(data, paymaster []byte) []byte {
	w.t.Helper()
	op := w.operation("account7", data)
	op.Nonce = w.read("EntryPoint7", "entrypoint7", "getNonce", op.Sender, new(big.Int))
	op.PaymasterAndData = paymaster
	op.Signature = w.byOwner("7", op)
	return w.pack("EntryPoint7", "handleOps", []userOperation{op}, w.at["other"])
}

// handle6 is how an operation of EntryPoint 0.6 is handed in.
func (w *world) handle6(data, paymaster []byte) []byte {
	w.t.Helper()
	n := big.NewInt
	op := unpackedOperation{
		Sender: w.at["account6"], Nonce: w.read("EntryPoint6", "entrypoint6", "getNonce", w.at["account6"], new(big.Int)), CallData: data,
		CallGasLimit: n(900_000), VerificationGasLimit: n(200_000), PreVerificationGas: n(60_000),
		MaxFeePerGas: n(3_000_000_000), MaxPriorityFeePerGas: n(1_000_000_000), PaymasterAndData: paymaster,
	}
	op.Signature = w.byOwner("6", op)
	return w.pack("EntryPoint6", "handleOps", []unpackedOperation{op}, w.at["other"])
}

func TestBundlesForOlderEntryPointsAndSponsorsDoWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	payee, dev, coin, sponsor := w.at["payee"], w.at["dev"], w.at["coin"], w.at["sponsor"]
	// The address of a sponsor, and since 0.7 gas for its code before and after.
	gas := two(100_000, 50_000)
	sponsored := slices.Concat(sponsor[:], gas[:])
	pay := w.pack("SimpleAccount", "execute", payee, eth(7), []byte{})
	allow := w.pack("SimpleAccount", "execute", coin, none, w.pack("Coin", "approve", dev, n(55)))
	// Before 0.8 an account took targets and data, in 0.7 values, too.
	targets, calls := []common.Address{payee, coin}, [][]byte{nil, w.pack("Coin", "approve", payee, maxUint(256))}
	batch7 := w.pack("SimpleAccount7", "executeBatch", targets, []*big.Int{eth(2), none}, calls)
	free7 := w.pack("SimpleAccount7", "executeBatch", []common.Address{coin, coin}, []*big.Int{}, [][]byte{w.pack("Coin", "transfer", payee, n(4)), calls[1]})
	batch6 := w.pack("SimpleAccount6", "executeBatch", []common.Address{coin, coin}, [][]byte{w.pack("Coin", "transfer", payee, n(5)), calls[1]})
	w.prove([]step{
		w.calling("an operation of EntryPoint 0.7", "entrypoint7", none, func() []byte { return w.handle7(pay, nil) }, transfer, transfer),
		w.calling("an approval in a batch of EntryPoint 0.7", "entrypoint7", none, func() []byte { return w.handle7(batch7, nil) }, transfer, allowance, transfer),
		w.calling("a batch without values of EntryPoint 0.7", "entrypoint7", none, func() []byte { return w.handle7(free7, nil) }, transfer, allowance, transfer),
		w.calling("an operation of EntryPoint 0.7 that a sponsor pays for", "entrypoint7", none, func() []byte { return w.handle7(allow, sponsored) }, allowance, transfer),
		w.calling("an operation of EntryPoint 0.6", "entrypoint6", none, func() []byte { return w.handle6(pay, nil) }, transfer, transfer),
		w.calling("an approval in a batch of EntryPoint 0.6", "entrypoint6", none, func() []byte { return w.handle6(batch6, nil) }, transfer, allowance, transfer),
		w.calling("an operation of EntryPoint 0.6 that a sponsor pays for", "entrypoint6", none, func() []byte { return w.handle6(allow, sponsor[:]) }, allowance, transfer),
		w.calling("an operation of EntryPoint 0.8 that a sponsor pays for", "entrypoint", none, func() []byte {
			op := w.operation("account", allow)
			op.PaymasterAndData = sponsored
			_, op.Signature = w.sign("hot", signer.KindEVMTypedData, w.consent(op))
			return w.handle(op)
		}, allowance, transfer),
	})
}

func TestAccountsThatActByModesDoWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	payee, other, coin, weth := w.at["payee"], w.at["other"], w.at["coin"], w.at["weth"]
	// ERC-7579, "Execution Behavior": one call is packed, several are a list.
	const batch = 1
	run := func(kind, failing byte, data []byte) func() []byte {
		return w.call("Modular", "execute", [32]byte{kind, failing}, data)
	}
	one := func(to common.Address, value *big.Int, data []byte) []byte {
		return slices.Concat(to[:], common.BigToHash(value).Bytes(), data)
	}
	list := w.pack("SimpleAccount", "executeBatch", []accountCall{
		{payee, eth(3), nil},
		{coin, none, w.pack("Coin", "approve", other, maxUint(256))},
		{weth, eth(4), w.pack("WETH9", "deposit")},
	})[4:]
	w.prove([]step{
		w.calling("one call that pays", "modular", none, run(0, 0, one(payee, eth(5), nil)), transfer),
		w.calling("one call that allows, and may fail", "modular", none, run(0, 1, one(coin, none, w.pack("Coin", "approve", payee, n(6)))), allowance),
		w.calling("an approval in a batch", "modular", none, run(batch, 0, list), transfer, allowance, exchange),
		w.calling("a batch that coin comes along with", "modular", eth(2), run(batch, 1, list), transfer, allowance, exchange, transfer),
	})
}

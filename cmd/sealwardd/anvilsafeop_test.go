package main

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/sealward/sealward/signer"
)

const safeOpType = "SafeOp(address safe,uint256 nonce,bytes initCode,bytes callData,uint128 verificationGasLimit,uint128 callGasLimit,uint256 preVerificationGas,uint128 maxPriorityFeePerGas,uint128 maxFeePerGas,bytes paymasterAndData,uint48 validAfter,uint48 validUntil,address entryPoint)"

// safeOperation is an operation of the Safe, for the EntryPoint that its module takes
// operations from, and what an owner of the Safe signs of it (Safe4337Module.sol).
func (w *world) safeOperation(data, paymaster []byte) (op userOperation, consent string) {
	w.t.Helper()
	op = w.operation("safe", data)
	op.Nonce = w.read("EntryPoint7", "entrypoint7", "getNonce", op.Sender, new(big.Int))
	op.AccountGasLimits = two(350_000, 900_000)
	op.PaymasterAndData = paymaster
	return op, w.typed(map[string]any{"chainId": devChain, "verifyingContract": w.at["module"]}, safeOpType, map[string]any{
		"safe": op.Sender, "nonce": op.Nonce.String(), "initCode": "0x", "callData": hexutil.Bytes(data),
		"verificationGasLimit": "350000", "callGasLimit": "900000", "preVerificationGas": op.PreVerificationGas.String(),
		"maxPriorityFeePerGas": "1000000000", "maxFeePerGas": "3000000000", "paymasterAndData": hexutil.Bytes(paymaster),
		"validAfter": "0", "validUntil": fmt.Sprint(ends), "entryPoint": w.at["entrypoint7"],
	})
}

// handleSafe is how an operation of the Safe is handed in: the times stand before the
// signatures.
func (w *world) handleSafe(op userOperation, signature []byte) []byte {
	w.t.Helper()
	until := big.NewInt(ends).FillBytes(make([]byte, 6))
	op.Signature = slices.Concat(make([]byte, 6), until, signature)
	return w.pack("EntryPoint7", "handleOps", []userOperation{op}, w.at["other"])
}

func TestOperationsOfASafeDoWhatTheIntentsOfItsOwnersSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hotIsAModule)
	none, n, entry := new(big.Int), big.NewInt, w.at["entrypoint7"]
	payee, dev, safe, coin, sponsor := w.at["payee"], w.at["dev"], w.at["safe"], w.at["coin"], w.at["sponsor"]
	execute := func(to common.Address, value *big.Int, data []byte, operation uint8) []byte {
		return w.pack("Safe4337Module", "executeUserOp", to, value, data, operation)
	}
	operated := func(name string, data, paymaster []byte, classes ...signer.Class) step {
		var op userOperation
		return step{
			name: name, kind: signer.KindEVMTypedData, classes: classes,
			payload: func() (consent string) {
				op, consent = w.safeOperation(data, paymaster)
				return consent
			},
			send: func(signature []byte) outcome { return w.byNode(&entry, w.handleSafe(op, signature)) },
		}
	}
	gas := two(100_000, 50_000)
	batch := execute(multiSend, none, w.pack("MultiSend", "multiSend", slices.Concat(
		packed(payee, eth(2), nil), packed(coin, none, w.pack("Coin", "approve", dev, maxUint(256))),
	)), 1)
	w.prove([]step{
		w.agreed("a Safe gets the module for operations", safeTx{to: safe, data: w.pack("Safe", "enableModule", w.at["module"])}, signer.ClassControl),
		w.agreed("which answers for it, too", safeTx{to: safe, data: w.pack("Safe", "setFallbackHandler", w.at["module"])}, signer.ClassControl),
		operated("an operation of a Safe pays", execute(payee, eth(5), nil, 0), nil, transfer),
		operated("an operation of a Safe transfers a token", execute(coin, none, w.pack("Coin", "transfer", payee, n(8)), 0), nil, transfer),
		operated("an approval in a batch of an operation of a Safe", batch, nil, transfer, allowance),
		operated("an operation of a Safe that a sponsor pays for", execute(payee, eth(1), nil, 0), slices.Concat(sponsor[:], gas[:]), transfer),
		operated("an operation makes a Safe have a module", execute(safe, none, w.pack("Safe", "enableModule", w.at["hot"]), 0), nil, signer.ClassControl),
		w.calling("an operation of a Safe is handed in", "entrypoint7", none, func() []byte {
			op, consent := w.safeOperation(batch, nil)
			_, signature := w.sign("hot", signer.KindEVMTypedData, consent)
			return w.handleSafe(op, signature)
		}, transfer, allowance, transfer),
	})
}

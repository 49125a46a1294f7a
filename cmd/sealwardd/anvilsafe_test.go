package main

import (
	"bytes"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/sealward/sealward/signer"
)

// safeTx is what the owner of a Safe signs, but for the nonce.
type safeTx struct {
	to, gasToken, refundReceiver common.Address
	value                        *big.Int
	data                         []byte
	operation                    uint8
	safeTxGas, baseGas, gasPrice int64
}

const safeTxType = "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"

// execute is the call by which anybody with the signatures has a Safe act.
func (w *world) execute(tx safeTx, signatures []byte) []byte {
	w.t.Helper()
	return w.pack("Safe", "execTransaction", tx.to, tx.value, tx.data, tx.operation,
		big.NewInt(tx.safeTxGas), big.NewInt(tx.baseGas), big.NewInt(tx.gasPrice), tx.gasToken, tx.refundReceiver, signatures)
}

// agreed is a step in which hot agrees to what the Safe does, and somebody else has it
// done.
func (w *world) agreed(name string, tx safeTx, classes ...signer.Class) step {
	if tx.value == nil {
		tx.value = new(big.Int)
	}
	safe := w.at["safe"]
	return step{
		name: name, kind: signer.KindEVMTypedData, classes: classes,
		payload: func() string {
			nonce := w.read("Safe", "safe", "nonce")
			return w.typed(map[string]any{"chainId": devChain, "verifyingContract": safe}, safeTxType, map[string]any{
				"to": tx.to, "value": tx.value.String(), "data": hexutil.Bytes(tx.data), "operation": tx.operation,
				"safeTxGas": tx.safeTxGas, "baseGas": tx.baseGas, "gasPrice": tx.gasPrice,
				"gasToken": tx.gasToken, "refundReceiver": tx.refundReceiver, "nonce": nonce.String(),
			})
		},
		send: func(signature []byte) outcome { return w.byNode(&safe, w.execute(tx, signature)) },
	}
}

// packed is one transaction of a batch as MultiSend takes it.
func packed(to common.Address, value *big.Int, data []byte) []byte {
	return slices.Concat([]byte{0}, to[:], value.FillBytes(make([]byte, 32)), big.NewInt(int64(len(data))).FillBytes(make([]byte, 32)), data)
}

func TestASafeDoesWhatTheIntentsOfItsOwnersSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	payee, other, dev, cold, safe := w.at["payee"], w.at["other"], w.at["dev"], w.at["cold"], w.at["safe"]
	coin, weth := w.at["coin"], w.at["weth"]
	batch := func(to string) func(...[]byte) safeTx {
		return func(calls ...[]byte) safeTx {
			return safeTx{to: w.at[to], operation: 1, data: w.pack("MultiSend", "multiSend", slices.Concat(calls...))}
		}
	}
	// An owner that sends the transaction itself need not sign besides (Safe.sol,
	// checkNSignatures): r is its address, v is 1.
	bySender := slices.Concat(common.LeftPadBytes(w.at["hot"].Bytes(), 32), make([]byte, 32), []byte{1})
	w.prove([]step{
		w.agreed("a Safe pays", safeTx{to: payee, value: eth(77)}, transfer),
		w.agreed("a Safe transfers a token", safeTx{to: coin, data: w.pack("Coin", "transfer", payee, n(123))}, transfer),
		w.agreed("a Safe pays for the gas, too",
			safeTx{to: coin, data: w.pack("Coin", "approve", other, n(9)), safeTxGas: 200_000, baseGas: 30_000, gasPrice: 1000, refundReceiver: other},
			allowance, transfer),
		w.agreed("a Safe pays for the gas in a token",
			safeTx{to: payee, value: eth(2), safeTxGas: 100_000, baseGas: 50_000, gasPrice: 3, gasToken: coin, refundReceiver: other},
			transfer, transfer),
		w.agreed("a batch of a Safe", batch("multisend")(
			packed(coin, none, w.pack("Coin", "transfer", payee, n(1000))),
			packed(other, eth(5), nil),
			packed(coin, none, w.pack("Coin", "approve", dev, maxUint(256))),
			packed(weth, eth(40), w.pack("WETH9", "deposit")),
			packed(weth, none, w.pack("WETH9", "withdraw", eth(15))),
		), transfer, transfer, allowance, exchange, exchange),
		w.agreed("a batch of calls alone", batch("callonly")(
			packed(payee, eth(1), nil), packed(coin, none, w.pack("Coin", "approve", dev, none)),
		), transfer, allowance),
		w.calling("a batch of the payer's own", "callonly", eth(9), w.call("MultiSend", "multiSend", slices.Concat(
			packed(payee, eth(4), nil), packed(other, eth(5), nil),
		)), transfer, transfer, transfer),
		w.cancelled(),
		w.calling("an owner has the Safe act", "safe", none, func() []byte {
			return w.execute(safeTx{to: coin, value: none, data: w.pack("Coin", "transfer", payee, n(456))}, bySender)
		}, transfer),
		w.agreed("a Safe gets an owner", safeTx{to: safe, data: w.pack("Safe", "addOwnerWithThreshold", cold, n(2))}, signer.ClassControl, signer.ClassControl),
		w.agreedByBoth("two owners agree", safeTx{to: payee, value: eth(3)}, transfer),
		w.agreedByBoth("two owners agree that one goes", safeTx{to: safe, data: w.pack("Safe", "removeOwner", common.HexToAddress("0x1"), cold, n(1))}, signer.ClassControl, signer.ClassControl),
	})
}

// agreedByBoth is a step to which cold agrees, too.
func (w *world) agreedByBoth(name string, tx safeTx, classes ...signer.Class) step {
	s := w.agreed(name, tx, classes...)
	payload, send := s.payload, s.send
	var cold []byte
	s.payload = func() string {
		p := payload()
		_, cold = w.sign("cold", signer.KindEVMTypedData, p)
		return p
	}
	s.send = func(hot []byte) outcome {
		// The signatures stand in the order of their owners (Safe.sol, checkNSignatures).
		if bytes.Compare(w.at["hot"].Bytes(), w.at["cold"].Bytes()) < 0 {
			return send(slices.Concat(hot, cold))
		}
		return send(slices.Concat(cold, hot))
	}
	return s
}

// cancelled is a step that makes void what was signed before.
func (w *world) cancelled() step {
	s, safe := w.agreed("a transaction of a Safe is made void", safeTx{to: w.at["safe"]}, signer.ClassInvalidate), w.at["safe"]
	paying := safeTx{to: w.at["payee"], value: eth(1)}
	payment := w.agreed("", paying)
	var agreed []byte
	payload, send := s.payload, s.send
	s.payload = func() string {
		_, agreed = w.sign("hot", signer.KindEVMTypedData, payment.payload())
		return payload()
	}
	s.send = func(signature []byte) outcome {
		if err := w.try(safe, w.execute(paying, agreed)); err != nil {
			w.t.Errorf("%s: before, it is no good: %v", s.name, err)
		}
		mined := send(signature)
		if w.try(safe, w.execute(paying, agreed)) == nil {
			w.t.Errorf("%s: it is good for use still", s.name)
		}
		return mined
	}
	return s
}

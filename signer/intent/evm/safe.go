package evm

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// safeMethods are those by which a Safe acts: by its owners, by a module, and by an
// operation of ERC-4337 through Safe's module for it. What changes a Safe is in
// [safeControlMethods].
var safeMethods = newFamily(
	reads("execTransaction(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, bytes signatures)", readExecTransaction),
	reads("execTransactionFromModule(address to, uint256 value, bytes data, uint8 operation)", readModuleTransaction),
	reads("execTransactionFromModuleReturnData(address to, uint256 value, bytes data, uint8 operation)", readModuleTransaction),
	reads("executeUserOp(address to, uint256 value, bytes data, uint8 operation)", readModuleTransaction),
	reads("executeUserOpWithErrorString(address to, uint256 value, bytes data, uint8 operation)", readModuleTransaction),
	paid("approveHash(bytes32 hash)", readApproveHash),
)

// safeTx is what the owners of a Safe agree to (Safe.sol, getTransactionHash), but for
// its nonce.
type safeTx struct {
	to                           common.Address
	value                        *uint256.Int
	data                         []byte
	operation                    *uint256.Int // 0 is a call, 1 a delegatecall
	safeTxGas, baseGas, gasPrice *uint256.Int
	gasToken, refundReceiver     common.Address
}

func readExecTransaction(r *reading, f frame, args []abi.Value) error {
	r.field(f.named("safe"), r.hex(f.to))
	r.field(f.named("signatures"), bytesText(args[9].Bytes))
	return r.safeTx(f, safeTx{
		to: args[0].Address(), value: args[1].Uint(), data: args[2].Bytes, operation: args[3].Uint(),
		safeTxGas: args[4].Uint(), baseGas: args[5].Uint(), gasPrice: args[6].Uint(),
		gasToken: args[7].Address(), refundReceiver: args[8].Address(),
	})
}

// readModuleTransaction: the caller is a module, or acts by way of one.
func readModuleTransaction(r *reading, f frame, args []abi.Value) error {
	r.field(f.named("safe"), r.hex(f.to))
	return r.operation(f, args[0].Address(), args[1].Uint(), args[2].Bytes, args[3].Uint())
}

// readApproveHash: the owner agrees to a transaction of which only the hash is here.
func readApproveHash(r *reading, f frame, args []abi.Value) error {
	r.field(f.named("hash"), bytesText(args[0].Bytes))
	r.unknown(f, "it agrees to a transaction of which only the hash is here")
	return nil
}

// safeTx adds what the Safe that f calls does by the agreement of its owners: one call,
// and a refund for the gas to whoever has it made.
func (r *reading) safeTx(f frame, tx safeTx) error {
	// A Safe that the book does not have may yet call itself. What it was called for is
	// reported as unknown by whoever came here with it.
	if self := r.at(f.to); self.contract.Kind == "" {
		self.contract.Kind = signer.ContractSafe
		self.families = append(self.families, r.methods.contracts[signer.ContractSafe]...)
	}
	r.field(f.named("safe gas"), tx.safeTxGas.Dec())
	r.field(f.named("base gas"), tx.baseGas.Dec())
	if err := r.operation(f, tx.to, tx.value, tx.data, tx.operation); err != nil {
		return err
	}
	return r.refund(f, tx)
}

// operation adds what a Safe does by itself (Executor.sol, execute). A call to itself
// with nothing uses up its nonce, which is how other transactions with it are made void.
func (r *reading) operation(f frame, to common.Address, value *uint256.Int, data []byte, operation *uint256.Int) error {
	inner := f.inner(1, to, value, data)
	switch {
	case !operation.LtUint64(2):
		return f.invalid("operation %s: the only ones are 0, a call, and 1, a delegatecall", operation.Dec())
	case !operation.IsZero():
		if !value.IsZero() {
			r.field(f.named("value"), value.Dec()+" base units, which a delegatecall does not send")
		}
		inner.value, inner.delegate = uint256.Int{}, true
	case to == *inner.from && value.IsZero() && len(data) == 0:
		r.field(f.named("operation"), "calls itself with nothing: voids other transactions with its nonce")
		r.effect(f, signer.Effect{
			Class: signer.ClassInvalidate, Actor: r.account(to),
			Attributes: map[string]string{"contract": r.account(to), "act": "cancel"},
		})
		return nil
	}
	return r.call(inner)
}

// refund adds what a Safe pays for gas (Safe.sol, handlePayment): the gas that the call
// used and the base gas, times a price that the owners agreed to. It is paid even when
// the call fails, and to whoever sends the transaction where no receiver is named. For
// the chain's coin the price is at most that of the transaction, which is not known.
func (r *reading) refund(f frame, tx safeTx) error {
	r.field(f.named("refund gas price"), tx.gasPrice.Dec())
	r.field(f.named("refund token"), r.hex(tx.gasToken))
	r.field(f.named("refund receiver"), r.hex(tx.refundReceiver))
	if tx.gasPrice.IsZero() {
		return nil
	}
	gas, over := new(uint256.Int).AddOverflow(tx.safeTxGas, tx.baseGas)
	if !over {
		gas, over = gas.AddOverflow(gas, refundOverhead(len(tx.data)))
	}
	most := new(uint256.Int)
	if !over {
		_, over = most.MulOverflow(gas, tx.gasPrice)
	}
	if over {
		return f.invalid("the gas refund exceeds 256 bits")
	}
	r.payment(f, tx.gasToken, most, tx.refundReceiver)
	return nil
}

// refundOverhead is the most gas beyond safeTxGas that counts as used by a call with so
// much data. Safes from 1.1.1 to 1.5.0 measure around their own CALL, which today costs up
// to 39,200 by itself: 9,000 for value, 25,000 for a new account, 2,600 for a cold one, as
// much for its delegate (EIP-7702). Prices change, so five times that is taken. The data
// is copied to memory there, and the price of memory grows with its square by 512 (Yellow
// Paper, appendix H). Whoever sends the transaction may have filled memory before, by long
// signatures: to 127,000 words with the gas of a large block, at which the next word costs
// 500.
func refundOverhead(data int) *uint256.Int {
	words := uint64(data+31) / 32
	return uint256.NewInt(200_000 + 512*words + words*words/512)
}

// payment is up to n of a token, or of the coin, that a Safe pays for gas. Without a
// receiver it goes to the sender of the transaction, who is somebody else than its caller
// if a contract calls. The Safe calls the token, so an unknown one may do anything.
func (r *reading) payment(f frame, token common.Address, n *uint256.Int, receiver common.Address) {
	asset := r.coin
	if token != (common.Address{}) {
		asset = r.listed(f, token)
	}
	to, counterparty := "whoever sends the transaction", ""
	if receiver != (common.Address{}) {
		to, counterparty = r.hex(receiver), r.account(receiver)
	}
	r.field(f.named("refund"), "at most "+amount(n, asset)+", to "+to)
	r.effect(f, signer.Effect{
		Class: signer.ClassTransfer, Actor: r.account(f.to), Counterparty: counterparty,
		Quantity:   signer.AtMost(asset.ID, n.ToBig()),
		Attributes: map[string]string{"contract": r.account(f.to), "act": "gas_refund"},
	})
	r.warn(WarnGasRefund, signer.SeverityWarn, f.named("the Safe pays for gas: at most "+amount(n, asset)+", to "+to))
	if token != (common.Address{}) {
		r.mustBeFungible(f, token, r.account(f.to))
	}
}

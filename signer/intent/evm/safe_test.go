package evm_test

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	execTransaction = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
	safeSetup       = "setup(address[],uint256,address,bytes,address,address,uint256,address)"
)

// safeExec is a Safe transaction without a refund.
func safeExec(to string, coin int, data []byte, operation int) []byte {
	return calldata(execTransaction, to, coin, data, operation, 0, 0, 0, zeroAddress, zeroAddress, sig65)
}

// transaction is one of a batch, packed as MultiSend has them.
type transaction struct {
	operation byte
	to        string
	coin      int64
	data      []byte
}

func pack(ts ...transaction) []byte {
	var b []byte
	for _, x := range ts {
		b = append(b, x.operation)
		b = append(b, common.FromHex(x.to)...)
		b = append(b, common.LeftPadBytes(big.NewInt(x.coin).Bytes(), 32)...)
		b = append(b, common.LeftPadBytes(big.NewInt(int64(len(x.data))).Bytes(), 32)...)
		b = append(b, x.data...)
	}
	return b
}

func multiSends(ts ...transaction) []byte { return calldata("multiSend(bytes)", pack(ts...)) }

// safeBatch is a Safe transaction of n payments of a token to n accounts.
func safeBatch(n int) []byte {
	var ts []transaction
	for i := range n {
		to := common.BigToAddress(new(big.Int).Add(pow2(150), big.NewInt(int64(i))))
		ts = append(ts, transaction{0, usdc, 0, calldata("transfer(address,uint256)", to.Hex(), 1000+i)})
	}
	return safeExec(multiSend14, 0, multiSends(ts...), 1)
}

func TestSafeActsMean(t *testing.T) {
	pays := calldata("transfer(address,uint256)", payee, 5)
	takesAll := calldata("setApprovalForAll(address,bool)", stranger, true)
	ofVault := func(class signer.Class, counterparty string, q signer.Quantity, call string, more ...string) signer.Effect {
		return does(class, ourSafe, counterparty, q, append(more, "call", call)...)
	}
	pay5 := ofVault(signer.ClassTransfer, payee, exactly(usdcID, 5), "1", "contract", account(usdc))
	checkCalls(t, map[string]callCase{
		"the Safe pays coin": {to: ourSafe, data: safeExec(payee, 9, nil, 0),
			effects: []signer.Effect{ofVault(signer.ClassTransfer, payee, exactly(ether, 9), "1")}},
		"the Safe pays a token": {to: ourSafe, data: safeExec(usdc, 0, pays, 0), effects: []signer.Effect{pay5}},
		"coin that comes along stays with the Safe": {to: ourSafe, coin: 3, data: safeExec(usdc, 0, pays, 0),
			effects: []signer.Effect{pay5, does(signer.ClassTransfer, sender, ourSafe, exactly(ether, 3))}},
		"a module pays a token":       {to: ourSafe, data: calldata("execTransactionFromModule(address,uint256,bytes,uint8)", usdc, 0, pays, 0), effects: []signer.Effect{pay5}},
		"a module asks for an answer": {to: ourSafe, data: calldata("execTransactionFromModuleReturnData(address,uint256,bytes,uint8)", usdc, 0, pays, 0), effects: []signer.Effect{pay5}},
		"an operation of ERC-4337":    {to: ourSafe, data: calldata("executeUserOp(address,uint256,bytes,uint8)", usdc, 0, pays, 0), effects: []signer.Effect{pay5}},
		"the Safe calls itself with nothing": {to: ourSafe, data: safeExec(ourSafe, 0, nil, 0),
			effects: []signer.Effect{does(signer.ClassInvalidate, ourSafe, "", signer.Quantity{}, "contract", account(ourSafe), "act", "cancel")}},
		"a delegatecall": {to: ourSafe, data: safeExec(stranger, 0, pays, 1), blind: true,
			effects: []signer.Effect{blind(signer.ClassDelegateCall, ourSafe, stranger, pays, "call", "1", "looks_like", "transfer(address,uint256)")},
			warns:   []string{evm.WarnDelegateCall}},
		"a delegatecall to a known token is still foreign code": {to: ourSafe, data: safeExec(usdc, 0, pays, 1), blind: true,
			effects: []signer.Effect{blind(signer.ClassDelegateCall, ourSafe, usdc, pays, "call", "1", "looks_like", "transfer(address,uint256)")},
			warns:   []string{evm.WarnDelegateCall}},
		"a batch of the Safe's own calls": {to: ourSafe, data: safeExec(multiSend14, 0, multiSends(
			transaction{0, usdc, 0, pays}, transaction{0, payee, 9, nil}), 1),
			effects: []signer.Effect{
				ofVault(signer.ClassTransfer, payee, exactly(usdcID, 5), "1.1", "contract", account(usdc)),
				ofVault(signer.ClassTransfer, payee, exactly(ether, 9), "1.2")}},
		"a batch that is given coin, which it does not get": {to: ourSafe, data: safeExec(multiSend14, 7, multiSends(transaction{0, usdc, 0, pays}), 1),
			effects: []signer.Effect{ofVault(signer.ClassTransfer, payee, exactly(usdcID, 5), "1.1", "contract", account(usdc))}},
		"a batch in a batch": {to: ourSafe, data: safeExec(multiSend13, 0, multiSends(
			transaction{1, multiSend14, 0, multiSends(transaction{0, apes, 0, takesAll})}), 1),
			effects: []signer.Effect{ofVault(signer.ClassOperator, stranger, unlimited(apesID), "1.1.1", "contract", account(apes))},
			warns:   []string{evm.WarnOperator}},
		"foreign code in a batch": {to: ourSafe, data: safeExec(multiSend14, 0, multiSends(
			transaction{0, usdc, 0, pays}, transaction{1, stranger, 0, pays}), 1), blind: true,
			effects: []signer.Effect{
				ofVault(signer.ClassTransfer, payee, exactly(usdcID, 5), "1.1", "contract", account(usdc)),
				blind(signer.ClassDelegateCall, ourSafe, stranger, pays, "call", "1.2", "looks_like", "transfer(address,uint256)")},
			warns: []string{evm.WarnDelegateCall}},
		"a batch that is called makes its calls as itself": {to: ourSafe, data: safeExec(multiSend13, 0, multiSends(transaction{0, usdc, 0, pays}), 0),
			effects: []signer.Effect{does(signer.ClassTransfer, multiSend13, payee, exactly(usdcID, 5), "contract", account(usdc), "call", "1.1")}},
		"another method of MultiSend by delegatecall": {to: ourSafe, data: safeExec(multiSend13, 0, pays, 1), blind: true,
			effects: []signer.Effect{blind(signer.ClassDelegateCall, ourSafe, multiSend13, pays, "call", "1", "looks_like", "transfer(address,uint256)")},
			warns:   []string{evm.WarnDelegateCall}},
		"a Safe in a Safe": {to: ourSafe, data: safeExec(ourSafe, 0, safeExec(usdc, 0, pays, 0), 0),
			effects: []signer.Effect{ofVault(signer.ClassTransfer, payee, exactly(usdcID, 5), "1.1", "contract", account(usdc))}},
		"agreement to a hash": {to: ourSafe, data: calldata("approveHash(bytes32)", word), blind: true,
			effects: []signer.Effect{blind(signer.ClassUnknownCall, sender, ourSafe, calldata("approveHash(bytes32)", word), "looks_like", "approveHash(bytes32)")},
			warns:   []string{evm.WarnUnknownCall}},
	})
}

func TestSafeControlMeans(t *testing.T) {
	control := func(act, counterparty string, more ...string) signer.Effect {
		return does(signer.ClassControl, ourSafe, counterparty, unknownQuantity, append(more, "contract", account(ourSafe), "act", act, "call", "1")...)
	}
	warns := []string{evm.WarnControl}
	unread := []string{evm.WarnControl, evm.WarnUnknownContract}
	self := func(signature string, args ...any) []byte {
		return safeExec(ourSafe, 0, calldata(signature, args...), 0)
	}
	checkCalls(t, map[string]callCase{
		"an owner more": {to: ourSafe, data: self("addOwnerWithThreshold(address,uint256)", stranger, 1), warns: warns,
			effects: []signer.Effect{control("add_owner", stranger, "threshold", "1"), control("change_threshold", "", "threshold", "1")}},
		"an owner less": {to: ourSafe, data: self("removeOwner(address,address,uint256)", payee, stranger, 2), warns: warns,
			effects: []signer.Effect{control("remove_owner", stranger, "threshold", "2"), control("change_threshold", "", "threshold", "2")}},
		"an owner for another": {to: ourSafe, data: self("swapOwner(address,address,address)", payee, sender, stranger), warns: warns,
			effects: []signer.Effect{control("remove_owner", sender), control("add_owner", stranger)}},
		"another threshold": {to: ourSafe, data: self("changeThreshold(uint256)", 1), warns: warns,
			effects: []signer.Effect{control("change_threshold", "", "threshold", "1")}},
		"a module that is known": {to: ourSafe, data: self("enableModule(address)", module), warns: warns,
			effects: []signer.Effect{control("enable_module", module)}},
		"a module that nobody knows": {to: ourSafe, data: self("enableModule(address)", stranger), warns: unread, blind: true,
			effects: []signer.Effect{control("enable_module", stranger)}},
		"a module less": {to: ourSafe, data: self("disableModule(address,address)", payee, module), warns: warns,
			effects: []signer.Effect{control("disable_module", module)}},
		"a guard that nobody knows": {to: ourSafe, data: self("setGuard(address)", stranger), warns: unread, blind: true,
			effects: []signer.Effect{control("set_guard", stranger)}},
		"no guard any more": {to: ourSafe, data: self("setGuard(address)", zeroAddress), warns: warns,
			effects: []signer.Effect{control("set_guard", "")}},
		"a guard of modules": {to: ourSafe, data: self("setModuleGuard(address)", module), warns: warns,
			effects: []signer.Effect{control("set_module_guard", module)}},
		"a handler that nobody knows": {to: ourSafe, data: self("setFallbackHandler(address)", stranger), warns: unread, blind: true,
			effects: []signer.Effect{control("set_fallback_handler", stranger)}},
		"other code": {to: ourSafe, data: self("changeMasterCopy(address)", stranger), warns: []string{evm.WarnDelegation, evm.WarnUnknownContract}, blind: true,
			effects: []signer.Effect{does(signer.ClassDelegation, ourSafe, stranger, unknownQuantity, "contract", account(ourSafe), "call", "1")}},
	})
}

func TestSafeSetupMeans(t *testing.T) {
	of := func(act, counterparty string, more ...string) signer.Effect {
		return does(signer.ClassControl, ourSafe, counterparty, unknownQuantity, append(more, "contract", account(ourSafe), "act", act)...)
	}
	init := calldata("enableModule(address)", module)
	checkCalls(t, map[string]callCase{
		"owners alone": {to: ourSafe, data: calldata(safeSetup, []any{sender, payee}, 2, zeroAddress, "", zeroAddress, zeroAddress, 0, zeroAddress), warns: []string{evm.WarnControl},
			effects: []signer.Effect{of("setup", "", "threshold", "2"), of("add_owner", sender, "threshold", "2"), of("add_owner", payee, "threshold", "2")}},
		"everything": {to: ourSafe, data: calldata(safeSetup, []any{sender}, 1, stranger, init, module, usdc, 7, payee), blind: true,
			effects: []signer.Effect{
				of("setup", "", "threshold", "1"), of("add_owner", sender, "threshold", "1"),
				blind(signer.ClassDelegateCall, ourSafe, stranger, init, "call", "1", "looks_like", "enableModule(address)"),
				of("set_fallback_handler", module),
				does(signer.ClassTransfer, ourSafe, payee, atMost(usdcID, 7), "contract", account(ourSafe), "act", "gas_refund"),
			}, warns: []string{evm.WarnControl, evm.WarnDelegateCall, evm.WarnControl, evm.WarnGasRefund}},
	})
	refusedCall(t, ourSafe, 0, calldata(safeSetup, []any{}, 1, zeroAddress, "", zeroAddress, zeroAddress, 0, zeroAddress), "an empty batch")
}

func TestMultiSendIsReadStrictly(t *testing.T) {
	good := pack(transaction{0, usdc, 0, calldata("transfer(address,uint256)", payee, 5)})
	batch := func(b []byte) []byte { return safeExec(multiSend13, 0, calldata("multiSend(bytes)", b), 1) }
	long := bytes.Clone(good)
	long[84]++ // the length of the data
	enormous := bytes.Clone(good)
	enormous[53] = 0xff
	third := bytes.Clone(good)
	third[0] = 2
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                          {batch(nil), "an empty batch"},
		"a byte after the last":            {batch(append(bytes.Clone(good), 0)), "transaction 2: 1 bytes are left, and it takes at least 85"},
		"a byte less":                      {batch(good[:len(good)-1]), "transaction 1: it says that its data has 68 bytes, and 67 are left"},
		"a byte less than said":            {batch(long), "transaction 1: it says that its data has 69 bytes, and 68 are left"},
		"a length of nearly 2^256":         {batch(enormous), "transaction 1: it says that its data has"},
		"an operation that there is not":   {batch(third), "operation 2: the only ones"},
		"a recipient that versions differ": {batch(pack(transaction{0, zeroAddress, 1, nil})), "to is the zero address, which versions of MultiSend read differently"},
		"a Safe's operation that is none":  {safeExec(usdc, 0, nil, 2), "operation 2: the only ones"},
	} {
		t.Run(name, func(t *testing.T) { refusedCall(t, ourSafe, 0, test.data, test.want) })
	}
}

func TestSafeRefundIsCountedAtItsMost(t *testing.T) {
	refund := func(token, receiver string, safeTxGas, baseGas, price any, data []byte) []byte {
		return calldata(execTransaction, usdc, 0, data, 0, safeTxGas, baseGas, price, token, receiver, sig65)
	}
	pays := calldata("transfer(address,uint256)", payee, 5)
	pay5 := does(signer.ClassTransfer, ourSafe, payee, exactly(usdcID, 5), "contract", account(usdc), "call", "1")
	with := func(receiver string, q signer.Quantity) []signer.Effect {
		return []signer.Effect{pay5, does(signer.ClassTransfer, ourSafe, receiver, q, "contract", account(ourSafe), "act", "gas_refund")}
	}
	// 200,000 for what a call costs by itself, and for three words of data 512 each.
	const overhead = 200_000 + 3*512
	checkCalls(t, map[string]callCase{
		"in a token": {to: ourSafe, data: refund(usdc, stranger, 50_000, 10_000, 3, pays), warns: []string{evm.WarnGasRefund},
			effects: with(stranger, atMost(usdcID, 3*(60_000+overhead)))},
		"in coin, to whoever sends it": {to: ourSafe, data: refund(zeroAddress, zeroAddress, 50_000, 10_000, 3, pays), warns: []string{evm.WarnGasRefund},
			effects: with("", atMost(ether, 3*(60_000+overhead)))},
		"without gas for the call": {to: ourSafe, data: refund(zeroAddress, stranger, 0, 0, 3, pays), warns: []string{evm.WarnGasRefund},
			effects: with(stranger, atMost(ether, 3*overhead))},
		"in a token that nobody knows": {to: ourSafe, data: refund(unlistedToken, stranger, 50_000, 10_000, 3, pays), blind: true,
			warns: []string{evm.WarnUnknownToken, evm.WarnGasRefund, evm.WarnUnknownContract},
			effects: append(with(stranger, atMost(unlistedTokenID, 3*(60_000+overhead))),
				does(signer.ClassUnknownCall, ourSafe, unlistedToken, signer.Quantity{Kind: signer.QuantityUnknown}, "contract", account(ourSafe)))},
		"without a price": {to: ourSafe, data: refund(usdc, stranger, 50_000, 10_000, 0, pays), effects: []signer.Effect{pay5}},
	})
	for name, data := range map[string][]byte{
		"gas":   refund(usdc, stranger, below(pow2(256)), 1, 1, pays),
		"price": refund(usdc, stranger, pow2(200), 1, pow2(100), pays),
	} {
		t.Run(name, func(t *testing.T) { refusedCall(t, ourSafe, 0, data, "the gas refund exceeds 256 bits") })
	}
}

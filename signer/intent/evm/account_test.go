package evm_test

import (
	"bytes"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	handleOps6  = "handleOps((address,uint256,bytes,bytes,uint256,uint256,uint256,uint256,uint256,bytes,bytes)[],address)"
	handleOps7  = "handleOps((address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes)[],address)"
	factory     = "0x9406Cc6185a346906296840746125a0E44976454"
	sponsor     = "0x4Fd9098af9ddcB41DA48A1d78F91F1398965addc" // a paymaster
	execute     = "execute(address,uint256,bytes)"
	modeExecute = "execute(bytes32,bytes)"
)

// mode of ERC-7579: the sort of call and what becomes of failures.
func mode(call, failure byte) []byte { return append([]byte{call, failure}, make([]byte, 30)...) }

// single is one call as ERC-7579 packs it.
func single(to string, coin int64, data []byte) []byte {
	return slicesOf(common.FromHex(to), common.LeftPadBytes(big.NewInt(coin).Bytes(), 32), data)
}

func slicesOf(bs ...[]byte) []byte { return bytes.Join(bs, nil) }

// op7 is a packed operation: 100 gas for verification, 50 for the call, 7 before, at 3
// a gas, which is 471 in all.
func op7(account string, initCode, callData, paymaster []byte) []any {
	pair := func(high, low byte) []byte {
		w := make([]byte, 32)
		w[15], w[31] = high, low
		return w
	}
	return []any{account, 9, initCode, callData, pair(100, 50), 7, pair(1, 3), paymaster, sig65}
}

func TestAccountActsMean(t *testing.T) {
	pays := calldata("transfer(address,uint256)", payee, 5)
	takesAll := calldata("setApprovalForAll(address,bool)", stranger, true)
	of := func(class signer.Class, counterparty string, q signer.Quantity, call string, more ...string) signer.Effect {
		return does(class, ourAccount, counterparty, q, append(more, "call", call)...)
	}
	pay1 := of(signer.ClassTransfer, payee, exactly(usdcID, 5), "1", "contract", account(usdc))
	coin2 := of(signer.ClassTransfer, payee, exactly(ether, 9), "2")
	batch := calldata("x((address,uint256,bytes)[])", []any{[]any{usdc, 0, pays}, []any{payee, 9, ""}})[4:]
	own := mode(0, 0)
	own[6] = 0x78 // a selector of the account's own
	checkCalls(t, map[string]callCase{
		"a call": {to: ourAccount, data: calldata(execute, usdc, 0, pays), effects: []signer.Effect{pay1}},
		"calls without coin": {to: ourAccount, data: calldata("executeBatch(address[],bytes[])", []any{usdc, apes}, []any{pays, takesAll}),
			effects: []signer.Effect{pay1, of(signer.ClassOperator, stranger, unlimited(apesID), "2", "contract", account(apes))}, warns: []string{evm.WarnOperator}},
		"calls with coin": {to: ourAccount, data: calldata("executeBatch(address[],uint256[],bytes[])", []any{usdc, payee}, []any{0, 9}, []any{pays, ""}),
			effects: []signer.Effect{pay1, coin2}},
		"calls whose coin is left out": {to: ourAccount, data: calldata("executeBatch(address[],uint256[],bytes[])", []any{usdc}, []any{}, []any{pays}),
			effects: []signer.Effect{pay1}},
		"a list of calls": {to: ourAccount, data: calldata("executeBatch((address,uint256,bytes)[])", []any{[]any{usdc, 0, pays}, []any{payee, 9, ""}}),
			effects: []signer.Effect{pay1, coin2}},
		"a call by its mode":          {to: ourAccount, data: calldata(modeExecute, mode(0, 0), single(usdc, 0, pays)), effects: []signer.Effect{pay1}},
		"a call that may fail":        {to: ourAccount, data: calldata(modeExecute, mode(0, 1), single(usdc, 0, pays)), effects: []signer.Effect{pay1}},
		"a batch by its mode":         {to: ourAccount, data: calldata(modeExecute, mode(1, 0), batch), effects: []signer.Effect{pay1, coin2}},
		"calls of the account itself": {to: ourAccount, data: calldata("multicall(bytes[])", []any{calldata(execute, payee, 9, "")}), effects: []signer.Effect{of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")}},
		"foreign code by its mode": {to: ourAccount, data: calldata(modeExecute, mode(0xff, 0), slicesOf(common.FromHex(stranger), pays)), blind: true,
			effects: []signer.Effect{blind(signer.ClassDelegateCall, ourAccount, stranger, pays, "call", "1", "looks_like", "transfer(address,uint256)")},
			warns:   []string{evm.WarnDelegateCall}},
		"a mode of the account's own": {to: ourAccount, coin: 2, data: calldata(modeExecute, own, single(usdc, 0, pays)), blind: true,
			effects: []signer.Effect{
				blind(signer.ClassUnknownCall, sender, ourAccount, calldata(modeExecute, own, single(usdc, 0, pays)), "looks_like", modeExecute),
				does(signer.ClassTransfer, sender, ourAccount, exactly(ether, 2))},
			warns: []string{evm.WarnUnknownCall}},
		"what changes the account": {to: ourAccount, data: calldata("upgradeToAndCall(address,bytes)", stranger, ""), blind: true,
			effects: []signer.Effect{blind(signer.ClassUnknownCall, sender, ourAccount, calldata("upgradeToAndCall(address,bytes)", stranger, ""))},
			warns:   []string{evm.WarnUnknownCall}},
	})
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"lists of several lengths":    {calldata("executeBatch(address[],uint256[],bytes[])", []any{usdc}, []any{1, 2}, []any{pays}), "1 targets, 2 values and 1 data"},
		"nothing":                     {calldata("executeBatch(address[],bytes[])", []any{}, []any{}), "an empty batch"},
		"a target that accounts read": {calldata(execute, zeroAddress, 0, pays), "the target is the zero address, which accounts read differently"},
		"a call that is cut short":    {calldata(modeExecute, mode(0, 0), single(usdc, 0, nil)[:51]), "one call in 51 bytes"},
		"a batch with a byte more":    {calldata(modeExecute, mode(1, 0), append(bytes.Clone(batch), 0)), "non-canonical: executions"},
		"foreign code of nobody":      {calldata(modeExecute, mode(0xff, 0), make([]byte, 19)), "a delegatecall in 19 bytes"},
	} {
		t.Run(name, func(t *testing.T) { refusedCall(t, ourAccount, 0, test.data, test.want) })
	}
}

func TestUserOperationsMean(t *testing.T) {
	pays := calldata(execute, payee, 9, "")
	by := func(entry, paymaster string, e signer.Effect) signer.Effect {
		e.Attributes["entrypoint"] = account(entry)
		if e.Attributes["act"] != "gas_refund" {
			e.Attributes["nonce"] = "9"
			if paymaster != "" {
				e.Attributes["paymaster"] = account(paymaster)
			}
		}
		return e
	}
	of := func(class signer.Class, counterparty string, q signer.Quantity, call string, more ...string) signer.Effect {
		return does(class, ourAccount, counterparty, q, append(more, "call", call)...)
	}
	refund := func(call string, n int64) signer.Effect {
		return of(signer.ClassTransfer, stranger, atMost(ether, n), call, "act", "gas_refund")
	}
	paid := append(common.FromHex(sponsor), make([]byte, 32)...)
	paid[35], paid[51] = 10, 20 // gas for it
	made := append(common.FromHex(factory), 1, 2, 3)
	moved := append(common.RightPadBytes([]byte{0x77, 0x02}, 20), 1, 2, 3, 4)
	checkCalls(t, map[string]callCase{
		"a packed operation": {to: packedEntryPoint, data: calldata(handleOps7, []any{op7(ourAccount, nil, pays, nil)}, stranger),
			effects: []signer.Effect{
				by(packedEntryPoint, "", of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")),
				by(packedEntryPoint, "", refund("1", 471))}},
		"two operations": {to: packedEntryPoint, data: calldata(handleOps7, []any{op7(ourAccount, nil, pays, nil), op7(ourAccount, nil, nil, nil)}, stranger),
			effects: []signer.Effect{
				by(packedEntryPoint, "", of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")),
				by(packedEntryPoint, "", refund("1", 471)),
				by(packedEntryPoint, "", of(signer.ClassInvalidate, "", signer.Quantity{}, "2", "act", "cancel")),
				by(packedEntryPoint, "", refund("2", 471))}},
		"an operation that somebody pays for": {to: packedEntryPoint, data: calldata(handleOps7, []any{op7(ourAccount, nil, pays, paid)}, stranger),
			effects: []signer.Effect{
				by(packedEntryPoint, sponsor, of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")),
				by(packedEntryPoint, "", refund("1", 471+90))}, warns: []string{evm.WarnPaymaster}},
		"an operation of EntryPoint 0.6": {to: oldEntryPoint,
			data: calldata(handleOps6, []any{[]any{ourAccount, 9, "", pays, 50, 100, 7, 3, 1, "", sig65}}, stranger),
			effects: []signer.Effect{
				by(oldEntryPoint, "", of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")),
				by(oldEntryPoint, "", refund("1", 471))}},
		"the same with a paymaster verifies three times": {to: oldEntryPoint,
			data: calldata(handleOps6, []any{[]any{ourAccount, 9, "", pays, 50, 100, 7, 3, 1, sponsor, sig65}}, stranger),
			effects: []signer.Effect{
				by(oldEntryPoint, sponsor, of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")),
				by(oldEntryPoint, "", refund("1", 471+600))}, warns: []string{evm.WarnPaymaster}},
		"an account that is made": {to: packedEntryPoint, data: calldata(handleOps7, []any{op7(ourAccount, made, pays, nil)}, stranger), blind: true,
			effects: []signer.Effect{
				by(packedEntryPoint, "", of(signer.ClassCreate, ourAccount, signer.Quantity{}, "1", "contract", account(factory),
					"init_code_length", "23", "init_code_digest", erc8213(made).Hex())),
				by(packedEntryPoint, "", of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")),
				by(packedEntryPoint, "", refund("1", 471))}, warns: []string{evm.WarnContractCreation}},
		"an account that was handed to code": {to: packedEntryPoint, data: calldata(handleOps7, []any{op7(ourAccount, moved, pays, nil)}, stranger), blind: true,
			effects: []signer.Effect{
				by(packedEntryPoint, "", blind(signer.ClassUnknownCall, packedEntryPoint, ourAccount, moved[20:], "call", "1")),
				by(packedEntryPoint, "", of(signer.ClassTransfer, payee, exactly(ether, 9), "1.1")),
				by(packedEntryPoint, "", refund("1", 471))}, warns: []string{evm.WarnUnknownCall}},
	})
	// The marker alone, whole or without its zeros, calls nothing.
	want := by(packedEntryPoint, "", does(signer.ClassUnknownCall, packedEntryPoint, ourAccount, unknownQuantity,
		"call", "1", "calldata_length", "0", "calldata_digest", erc8213(nil).Hex()))
	for _, marked := range [][]byte{moved[:2], moved[:9], moved[:20]} {
		in := decodeCall(t, packedEntryPoint, 0, calldata(handleOps7, []any{op7(ourAccount, marked, pays, nil)}, stranger))
		if in.Complete || !reflect.DeepEqual(text(in.Effects[:1]), text([]signer.Effect{want})) {
			t.Errorf("%x: effects = %v, want %v first, incomplete", marked, text(in.Effects), text([]signer.Effect{want}))
		}
	}
}

func TestAggregatedOperationsAreUnknown(t *testing.T) {
	pays := calldata(execute, payee, 9, "")
	aggregated := "handleAggregatedOps(((address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes)[],address,bytes)[],address)"
	in := decodeCall(t, packedEntryPoint, 0, calldata(aggregated, []any{[]any{[]any{op7(ourAccount, nil, pays, nil)}, sponsor, ""}}, stranger))
	if in.Complete || in.Class() != signer.ClassUnknownCall {
		t.Errorf("operations under one signature are %q, complete %v; want an unknown call", in.Class(), in.Complete)
	}
}

func TestUserOperationOfAnAccountNobodyKnowsIsAnUnknownCall(t *testing.T) {
	in := decodeCall(t, packedEntryPoint, 0, calldata(handleOps7, []any{op7(stranger, nil, calldata(execute, payee, 9, ""), nil)}, payee))
	if in.Complete || in.Class() != signer.ClassUnknownCall || in.Effects[0].Attributes["looks_like"] != execute {
		t.Errorf("effects = %+v, want an unknown call that looks like execute", in.Effects)
	}
}

func TestUserOperationsThatCannotBeAreRefused(t *testing.T) {
	huge := op7(ourAccount, nil, nil, nil)
	huge[5] = below(pow2(256))
	dear := op7(ourAccount, nil, nil, nil)
	dear[5], dear[6] = pow2(200), bytes.Repeat([]byte{0xff}, 32)
	for name, test := range map[string]struct {
		ops  []any
		want string
	}{
		"no operation":                  {[]any{}, "an empty batch"},
		"gas beyond 256 bits":           {[]any{huge}, "its gas exceeds 256 bits"},
		"a cost beyond 256 bits":        {[]any{dear}, "gas times price exceeds 256 bits"},
		"half a paymaster":              {[]any{op7(ourAccount, nil, nil, make([]byte, 51))}, "paymasterAndData has 51 bytes"},
		"half a factory":                {[]any{op7(ourAccount, make([]byte, 19), nil, nil)}, "initCode has 19 bytes"},
		"a delegated account, in part":  {[]any{op7(ourAccount, []byte{0x77}, nil, nil)}, "initCode has 1 bytes"},
		"a paymaster of 0.6, too short": {nil, "paymasterAndData has 19 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			to, data := packedEntryPoint, []byte(nil)
			if test.ops != nil {
				data = calldata(handleOps7, test.ops, stranger)
			} else {
				to, data = oldEntryPoint, calldata(handleOps6, []any{[]any{ourAccount, 9, "", "", 50, 100, 7, 3, 1, make([]byte, 19), sig65}}, stranger)
			}
			refusedCall(t, to, 0, data, test.want)
		})
	}
}

func TestMulticallsMean(t *testing.T) {
	pays := calldata("transfer(address,uint256)", payee, 5)
	own := func(class signer.Class, counterparty string, q signer.Quantity, call string, more ...string) signer.Effect {
		return does(class, multicall3, counterparty, q, append(more, "call", call)...)
	}
	pay1 := []signer.Effect{own(signer.ClassTransfer, payee, exactly(usdcID, 5), "1", "contract", account(usdc))}
	checkCalls(t, map[string]callCase{
		"calls":                   {to: multicall3, data: calldata("aggregate((address,bytes)[])", []any{[]any{usdc, pays}}), effects: pay1},
		"calls and their block":   {to: multicall3, data: calldata("blockAndAggregate((address,bytes)[])", []any{[]any{usdc, pays}}), effects: pay1},
		"calls that may fail":     {to: multicall3, data: calldata("tryAggregate(bool,(address,bytes)[])", false, []any{[]any{usdc, pays}}), effects: pay1},
		"calls that may not":      {to: multicall3, data: calldata("tryBlockAndAggregate(bool,(address,bytes)[])", true, []any{[]any{usdc, pays}}), effects: pay1},
		"calls some of which may": {to: multicall3, data: calldata("aggregate3((address,bool,bytes)[])", []any{[]any{usdc, true, pays}}), effects: pay1},
		"coin that is left behind": {to: multicall3, coin: 2, data: calldata("aggregate3((address,bool,bytes)[])", []any{[]any{usdc, true, pays}}),
			effects: append(pay1[:1:1], does(signer.ClassTransfer, sender, multicall3, exactly(ether, 2)))},
		"calls with coin": {to: multicall3, coin: 9, data: calldata("aggregate3Value((address,bool,uint256,bytes)[])", []any{[]any{payee, false, 4, ""}, []any{stranger, false, 5, ""}}),
			effects: []signer.Effect{
				does(signer.ClassTransfer, sender, payee, exactly(ether, 4), "call", "1"),
				does(signer.ClassTransfer, sender, stranger, exactly(ether, 5), "call", "2"),
			}},
	})
	for name, data := range map[string][]byte{"deposit": calldata("deposit()"), "plain coin": nil} {
		in := decodeCall(t, multicall3, 9, calldata("aggregate3Value((address,bool,uint256,bytes)[])", []any{[]any{weth, false, 9, data}}))
		given := does(signer.ClassTransfer, sender, multicall3, exactly(ether, 9), "call", "1")
		if len(in.Effects) != 2 || !reflect.DeepEqual(text(in.Effects[:1]), text([]signer.Effect{given})) ||
			in.Effects[1].Class != signer.ClassExchange || in.Effects[1].Actor != account(multicall3) {
			t.Errorf("%s to WETH by Multicall3: %v, want %v and an exchange of Multicall3's", name, text(in.Effects), given)
		}
	}
	refusedCall(t, multicall3, 9, calldata("aggregate3Value((address,bool,uint256,bytes)[])", []any{[]any{usdc, true, 0, pays}, []any{payee, true, 9, ""}}), "call 2 may fail, and its coin would then be anybody's")
	over := calldata("aggregate3Value((address,bool,uint256,bytes)[])", []any{[]any{payee, false, below(pow2(256)), ""}, []any{payee, false, 1, ""}})
	refusedCall(t, multicall3, 0, over, "exceed 256 bits")
	refusedCall(t, multicall3, 8, calldata("aggregate3Value((address,bool,uint256,bytes)[])", []any{[]any{payee, false, 9, ""}}), "the calls send 9 base units of the coin, and the call brings 8")
	refusedCall(t, multicall3, 0, calldata("aggregate((address,bytes)[])", []any{}), "an empty batch")
}

// A router's own batches are not read, and neither are those of a token.
func TestOtherMulticallsAreUnknown(t *testing.T) {
	inner := calldata("approve(address,uint256)", stranger, 5)
	for name, test := range map[string]struct{ to, signature string }{
		"of a contract that nobody knows": {stranger, "multicall(bytes[])"},
		"of a token":                      {usdc, "multicall(bytes[])"},
	} {
		t.Run(name, func(t *testing.T) {
			in := decodeCall(t, test.to, 0, calldata(test.signature, []any{inner}))
			if in.Complete || in.Class() != signer.ClassUnknownCall || !strings.HasPrefix(field(in, "looks like"), test.signature) {
				t.Errorf("class %q, looks like %q", in.Class(), field(in, "looks like"))
			}
		})
	}
}

package evm_test

import (
	"reflect"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// fuzzTargets are contracts of every sort, and one that is not known.
var fuzzTargets = []string{
	usdc, apes, parts, weth, ourSafe, ourAccount, permit2At, multicall3, multiSend13, multiSend14, oldEntryPoint, packedEntryPoint, module, stranger,
}

// callSeeds are calls of every sort.
func callSeeds() map[string][][]byte {
	pays := calldata("transfer(address,uint256)", payee, 5)
	batch := calldata("executeBatch((address,uint256,bytes)[])", []any{[]any{usdc, 0, pays}, []any{payee, 9, ""}})
	return map[string][][]byte{
		usdc: {pays, calldata("approve(address,uint256)", stranger, 5),
			calldata("permit(address,address,uint256,uint256,bytes)", payee, stranger, 5, 9, sig65)},
		apes:  {calldata("multicall(bytes[])", []any{calldata("setApprovalForAll(address,bool)", stranger, true)})},
		parts: {calldata("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", sender, payee, []any{7, 8}, []any{3, 4}, "")},
		weth:  {calldata("deposit()"), calldata("withdraw(uint256)", 9)},
		ourSafe: {
			safeExec(multiSend14, 0, multiSends(transaction{0, usdc, 0, pays}, transaction{1, stranger, 0, pays}), 1),
			safeExec(ourSafe, 0, calldata("enableModule(address)", stranger), 0),
			calldata(safeSetup, []any{sender}, 1, stranger, pays, module, usdc, 7, payee),
			calldata(execTransaction, usdc, 0, pays, 0, 1, 2, 3, usdc, stranger, sig65)},
		ourAccount:  {batch, calldata(modeExecute, mode(0, 0), single(usdc, 0, pays)), calldata(modeExecute, mode(1, 0), batch[4:])},
		permit2At:   {calldata(permit2Batch, payee, []any{[]any{[]any{usdc, 5, 9, 3}}, stranger, 9}, sig65), calldata(permit2Take, []any{[]any{usdc, 9}, 3, 9}, []any{payee, 5}, stranger, sig65)},
		multicall3:  {calldata("aggregate3((address,bool,bytes)[])", []any{[]any{usdc, true, pays}})},
		multiSend13: {multiSends(transaction{0, usdc, 0, pays})},
		oldEntryPoint: {
			calldata(handleOps6, []any{[]any{ourAccount, 9, "", batch, 50, 100, 7, 3, 1, sponsor, sig65}}, stranger)},
		packedEntryPoint: {calldata(handleOps7, []any{op7(ourAccount, nil, batch, nil)}, stranger)},
	}
}

// FuzzCall checks that any calldata to anything is read the same way each time and to an
// end, or refused; and that what is not known is never complete.
func FuzzCall(f *testing.F) {
	for i, to := range fuzzTargets {
		for _, data := range callSeeds()[to] {
			f.Add(byte(i), data)
		}
	}
	key, b := fuzzKey(f), callBook()
	f.Fuzz(func(t *testing.T, target byte, data []byte) {
		payload := raw(t, toContract(fuzzTargets[int(target)%len(fuzzTargets)], 0, data))
		in, err := evm.Transaction{}.Decode(payload, key, b)
		again, errAgain := evm.Transaction{}.Decode(payload, key, b)
		if !reflect.DeepEqual(in, again) || (err == nil) != (errAgain == nil) {
			t.Errorf("read as %+v, %v, then as %+v, %v", in, err, again, errAgain)
		}
		if err != nil {
			if signer.CodeOf(err) != signer.CodeInvalid || len(in.Messages) > 0 {
				t.Errorf("refused with %v and messages %v", err, in.Messages)
			}
			return
		}
		if n := len(in.Effects); n == 0 || n > 512 {
			t.Errorf("%d effects", n)
		}
		for _, e := range in.Effects {
			switch e.Class {
			case signer.ClassUnknownCall, signer.ClassDelegateCall, signer.ClassCreate:
				if in.Complete {
					t.Errorf("complete with %+v", e)
				}
			}
		}
	})
}

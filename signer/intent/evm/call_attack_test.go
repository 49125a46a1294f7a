package evm_test

import (
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// The tests here are named for what calls are made to look like.

func TestUnlimitedApprovalIsSaidToBeUnlimited(t *testing.T) {
	for name, data := range map[string][]byte{
		"approve":           calldata("approve(address,uint256)", stranger, below(pow2(256))),
		"one bit less":      calldata("approve(address,uint256)", stranger, below(pow2(255))),
		"less than 160 bit": calldata("approve(address,uint256)", stranger, below(below(pow2(160)))),
		"128 bit":           calldata("approve(address,uint256)", stranger, below(pow2(128))),
		"increaseAllowance": calldata("increaseAllowance(address,uint256)", stranger, below(pow2(256))),
	} {
		t.Run(name, func(t *testing.T) {
			in := decodeCall(t, usdc, 0, data)
			if in.Class() != signer.ClassAllowance || in.Outflow[0].Kind != signer.QuantityUnlimited || !slices.Contains(warnings(in), evm.WarnUnlimitedAllowance) {
				t.Errorf("class %q, outflow %v, warnings %v", in.Class(), in.Outflow, warnings(in))
			}
			if got := field(in, "allowance"); !strings.HasPrefix(got, "unlimited (") || !strings.HasSuffix(got, "until used up or revoked") {
				t.Errorf("allowance = %q", got)
			}
		})
	}
}

// To add nothing leaves a spender what it has, and so does to permit nothing once. Permit2
// takes the number of an item for an amount.
func TestZeroThatRevokesNothingIsNotSaidToRevoke(t *testing.T) {
	refusedCall(t, usdc, 0, calldata("increaseAllowance(address,uint256)", stranger, 0), "which changes nothing; to revoke, approve 0")
	approve := "approve(address,address,uint160,uint48)"
	for name, test := range map[string]struct {
		data     []byte
		complete bool
	}{
		"of a collection":           {calldata(approve, apes, stranger, 0, 1893456000), false},
		"of what no list has":       {calldata(approve, unlistedToken, stranger, 0, 1893456000), false},
		"of a token":                {calldata(approve, usdc, stranger, 0, 1893456000), true},
		"of a collection, all gone": {calldata("lockdown((address,address)[])", []any{[]any{apes, stranger}}), true},
	} {
		t.Run(name, func(t *testing.T) {
			if in := decodeCall(t, permit2At, 0, test.data); in.Complete != test.complete {
				t.Errorf("complete = %v, want %v: effects %v", in.Complete, test.complete, text(in.Effects))
			}
		})
	}
	for _, token := range []string{usdc, apes} {
		once := obj{"permitted": obj{"token": token, "amount": 0}, "spender": stranger, "nonce": "5", "deadline": 1893456000}
		in := decodeTyped(t, typedJSON(t, transferType, permit2Domain(), once))
		if q := in.Effects[0].Quantity; q.Kind != signer.QuantityAtMost {
			t.Errorf("a transfer of 0 of %s has quantity %v, want at most 0", token, quantities([]signer.Quantity{q}))
		}
	}
}

func TestOperatorGetsAllPresentAndFutureItems(t *testing.T) {
	in := decodeCall(t, apes, 0, calldata("setApprovalForAll(address,bool)", stranger, true))
	if in.Class() != signer.ClassOperator || in.Outflow[0].Kind != signer.QuantityUnlimited || !slices.Contains(warnings(in), evm.WarnOperator) {
		t.Errorf("class %q, outflow %v, warnings %v", in.Class(), in.Outflow, warnings(in))
	}
}

// The shape of the theft from Bybit: a Safe transaction that every screen showed as a
// transfer was a delegatecall, whose code put itself in the place of the Safe's.
func TestBybitsTransactionIsNoTransfer(t *testing.T) {
	attacker := "0x96221423681A6d52E184D440a8eFCEbB105C7242"
	looks := calldata("transfer(address,uint256)", "0xbDd077f651EBe7f7b3cE16fe5F2b025BE2969516", 0)
	data := calldata(execTransaction, attacker, 0, looks, 1, 45746, 0, 0, zeroAddress, zeroAddress, sig65)
	in := decodeCall(t, ourSafe, 0, data)
	if in.Complete || in.Class() != signer.ClassDelegateCall || !slices.Contains(warnings(in), evm.WarnDelegateCall) {
		t.Errorf("class %q, complete %v, warnings %v; want an incomplete delegatecall", in.Class(), in.Complete, warnings(in))
	}
	for _, e := range in.Effects {
		if e.Class == signer.ClassTransfer {
			t.Errorf("an effect says that it is a transfer: %+v", e)
		}
	}
	if got := field(in, "call 1: looks like"); got != "transfer(address,uint256), but code that was not read runs as the account, so this means nothing" {
		t.Errorf("looks like %q", got)
	}
}

func TestSafeRefundIsPartOfTheOutflow(t *testing.T) {
	in := decodeCall(t, ourSafe, 0, calldata(execTransaction, payee, 0, "", 0, 0, 1_000_000, pow2(60), usdc, stranger, sig65))
	most := signer.AtMost(usdcID, new(big.Int).Mul(pow2(60), big.NewInt(1_200_000)))
	if !slices.Contains(quantities(in.Outflow), quantities([]signer.Quantity{most})[0]) || !slices.Contains(warnings(in), evm.WarnGasRefund) {
		t.Errorf("outflow %v, warnings %v; want %v in it", quantities(in.Outflow), warnings(in), most)
	}
}

func TestAddressThatResemblesAKnownOneIsWarnedOf(t *testing.T) {
	b := signer.NewBook(map[string]signer.Asset{usdcID: {ID: usdcID, Name: "usdc", Decimals: 6}}, nil, map[string]string{account(payee): "acme"})
	almost := payee[:6] + strings.Repeat("1", 32) + payee[38:]
	in, err := evm.Transaction{}.Decode(raw(t, toContract(usdc, 0, calldata("transfer(address,uint256)", almost, 1))), keyFor(t, "eip155:1"), b)
	if err != nil || !slices.Contains(warnings(in), evm.WarnResembles) {
		t.Errorf("warnings = %v, %v; want %s", warnings(in), err, evm.WarnResembles)
	}
	in, err = evm.Transaction{}.Decode(raw(t, toContract(usdc, 0, calldata("transfer(address,uint256)", payee, 1))), keyFor(t, "eip155:1"), b)
	if err != nil || len(in.Warnings) > 0 {
		t.Errorf("warnings of the known one = %v, %v; want none", warnings(in), err)
	}
}

func TestTokenThatIsNotListedHasNeitherNameNorDecimals(t *testing.T) {
	in := decodeCall(t, permit2At, 0, calldata("approve(address,address,uint160,uint48)", unlistedToken, stranger, 2_500_000, 1893456000))
	if got := field(in, "token"); got != unlistedTokenID {
		t.Errorf("token = %q, want %q", got, unlistedTokenID)
	}
	if got, want := field(in, "allowance"), "2500000 "+unlistedTokenID+" (2500000 base units), until used up, revoked or 2030-01-01 00:00:00 UTC"; got != want {
		t.Errorf("allowance = %q, want %q", got, want)
	}
	if !slices.Contains(warnings(in), evm.WarnUnknownToken) {
		t.Errorf("warnings = %v, want %s", warnings(in), evm.WarnUnknownToken)
	}
}

// Most allowances are for Permit2, whose address is easy to take for another one.
func TestSpenderThatResemblesPermit2IsWarnedOf(t *testing.T) {
	for spender, want := range map[string]bool{permit2At: false, "0x0000111111111111111111111111111111118BA3": true, stranger: false} {
		in := decodeCall(t, usdc, 0, calldata("approve(address,uint256)", spender, 5))
		if got := slices.Contains(warnings(in), evm.WarnResembles); got != want {
			t.Errorf("%s: warned of %v, want %v", spender, got, want)
		}
	}
}

// hidden is a call to something known that does a thing among others that do not hurt.
func hidden(dull, bad transaction) map[string]struct {
	to   string
	data []byte
} {
	type place = struct {
		to   string
		data []byte
	}
	batch := calldata("executeBatch((address,uint256,bytes)[])", []any{[]any{dull.to, 0, dull.data}, []any{bad.to, 0, bad.data}})
	return map[string]place{
		"MultiSend":             {ourSafe, safeExec(multiSend14, 0, multiSends(dull, bad), 1)},
		"MultiSend, called":     {multiSend13, multiSends(dull, bad)},
		"Multicall3":            {multicall3, calldata("aggregate3((address,bool,bytes)[])", []any{[]any{dull.to, true, dull.data}, []any{bad.to, true, bad.data}})},
		"a batch of an account": {ourAccount, batch},
		"a user operation":      {packedEntryPoint, calldata(handleOps7, []any{op7(ourAccount, nil, batch, nil)}, stranger)},
		"a Safe of a Safe":      {ourSafe, safeExec(ourSafe, 0, safeExec(multiSend14, 0, multiSends(dull, bad), 1), 0)},
	}
}

func TestWhatABatchHidesDecidesItsClass(t *testing.T) {
	dull := transaction{0, usdc, 0, calldata("transfer(address,uint256)", payee, 1)}
	for what, bad := range map[string]struct {
		transaction
		class    signer.Class
		complete bool
	}{
		"an allowance":             {transaction{0, usdc, 0, calldata("approve(address,uint256)", stranger, below(pow2(256)))}, signer.ClassAllowance, true},
		"an operator":              {transaction{0, apes, 0, calldata("setApprovalForAll(address,bool)", stranger, true)}, signer.ClassOperator, true},
		"a call of who knows what": {transaction{0, stranger, 0, calldata("transfer(address,uint256)", payee, 1)}, signer.ClassUnknownCall, false},
	} {
		for where, place := range hidden(dull, bad.transaction) {
			t.Run(what+" in "+where, func(t *testing.T) {
				in := decodeCall(t, place.to, 0, place.data)
				if in.Class() != bad.class || in.Complete != bad.complete {
					t.Errorf("class %q, complete %v; want %q, %v: %v", in.Class(), in.Complete, bad.class, bad.complete, text(in.Effects))
				}
			})
		}
	}
}

func TestKnownSelectorElsewhereMeansNothing(t *testing.T) {
	for name, data := range map[string][]byte{
		"transfer":        calldata("transfer(address,uint256)", payee, 1),
		"execTransaction": safeExec(usdc, 0, nil, 0),
		"multiSend":       multiSends(transaction{0, usdc, 0, nil}),
		"handleOps":       calldata(handleOps7, []any{}, payee),
	} {
		t.Run(name, func(t *testing.T) {
			in := decodeCall(t, stranger, 0, data)
			if in.Complete || len(in.Effects) != 1 || in.Effects[0].Class != signer.ClassUnknownCall || in.Effects[0].Quantity.Kind != signer.QuantityUnknown {
				t.Errorf("effects = %+v", in.Effects)
			}
			if got := field(in, "looks like"); !strings.HasPrefix(got, name+"(") || !strings.HasSuffix(got, "but the contract is not known, so this means nothing") {
				t.Errorf("looks like %q", got)
			}
		})
	}
}

// Code that anybody may put in place later is not known by its address.
func TestModuleThatIsNotKnownLeavesTheIntentIncomplete(t *testing.T) {
	in := decodeCall(t, ourSafe, 0, safeExec(ourSafe, 0, calldata("enableModule(address)", stranger), 0))
	if in.Complete || in.Class() != signer.ClassControl {
		t.Errorf("class %q, complete %v; want incomplete control", in.Class(), in.Complete)
	}
}

// A token that answers for a Safe, or a contract that anybody calls things by and that is
// its module, is in the book for another purpose: with them the Safe is everybody's.
func TestCodeThatTheBookKnowsForSomethingElseLeavesTheIntentIncomplete(t *testing.T) {
	b := callBook()
	for at, kind := range map[string]signer.ContractKind{weth: signer.ContractWETH, multicall3: signer.ContractMulticall} {
		b.Contracts[account(at)] = signer.Contract{Name: "known", Kind: kind}
	}
	for name, test := range map[string]struct {
		data  []byte
		class signer.Class
	}{
		"a token as handler":       {calldata("setFallbackHandler(address)", weth), signer.ClassControl},
		"a multicall as module":    {calldata("enableModule(address)", multicall3), signer.ClassControl},
		"an account as guard":      {calldata("setGuard(address)", ourAccount), signer.ClassControl},
		"a module as the own code": {calldata("changeMasterCopy(address)", module), signer.ClassDelegation},
	} {
		t.Run(name, func(t *testing.T) {
			payload := raw(t, toContract(ourSafe, 0, safeExec(ourSafe, 0, test.data, 0)))
			in, err := evm.Transaction{}.Decode(payload, keyFor(t, "eip155:1"), b)
			if err != nil || in.Complete || in.Class() != test.class || !slices.Contains(warnings(in), evm.WarnUnknownContract) {
				t.Errorf("class %q, complete %v, warnings %v, %v; want incomplete %s", in.Class(), in.Complete, warnings(in), err, test.class)
			}
		})
	}
}

// WETH9 takes a selector that it does not have for a deposit: a permit on it allows nothing,
// and is left with the coin that comes along.
func TestWhatWETHDoesNotHaveIsUnknown(t *testing.T) {
	contracts := map[string]signer.Contract{account(weth): {Name: "wrapper", Kind: signer.ContractWETH}}
	assets := map[string]signer.Asset{wethID: {ID: wethID, Name: "weth", Decimals: 18}}
	for where, b := range map[string]signer.Book{
		"nowhere":        {},
		"as a token":     signer.NewBook(assets, nil, nil),
		"as the wrapper": signer.NewBook(nil, contracts, nil),
		"as both":        signer.NewBook(assets, contracts, nil),
	} {
		for known, calls := range map[bool][][]byte{
			true: {
				calldata("deposit()"), calldata("withdraw(uint256)", 9), calldata("transfer(address,uint256)", stranger, 9),
				calldata("approve(address,uint256)", stranger, 9), calldata("transferFrom(address,address,uint256)", payee, stranger, 9),
			},
			false: {
				calldata("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", payee, stranger, 9, 1893456000, 27, word1, word1),
				calldata("increaseAllowance(address,uint256)", stranger, 9), calldata("decreaseAllowance(address,uint256)", stranger, 9),
				calldata("cancelAuthorization(address,bytes32,bytes)", sender, word1, sig65),
				calldata("receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)", payee, sender, 9, 0, 1893456000, word1, sig65),
			},
		} {
			for _, data := range calls {
				in, err := evm.Transaction{}.Decode(raw(t, toContract(weth, 9, data)), keyFor(t, "eip155:1"), b)
				if err != nil || in.Complete != known || (in.Class() == signer.ClassUnknownCall) == known {
					t.Errorf("in the book %s, %x: class %q, complete %v, %v; want it known: %v", where, data[:4], in.Class(), in.Complete, err, known)
				}
			}
		}
	}
}

func TestBatchesAreBounded(t *testing.T) {
	pays := calldata("transfer(address,uint256)", payee, 1)
	many := func(n int) []transaction { return slices.Repeat([]transaction{{0, usdc, 0, pays}}, n) }
	in := decodeCall(t, ourSafe, 0, safeExec(multiSend14, 0, multiSends(many(500)...), 1))
	if len(in.Effects) != 500 || len(in.Outflow) != 2 || in.Outflow[0].N.Int64() != 500 {
		t.Errorf("%d effects, outflow %v; want 500 and their sum", len(in.Effects), in.Outflow)
	}
	for i, e := range in.Effects {
		if want := fmt.Sprintf("1.%d", i+1); e.Attributes["call"] != want || field(in, "call "+want) == "" {
			t.Fatalf("effect %d is of call %q, want %q and a field about it", i, e.Attributes["call"], want)
		}
	}
	refusedCall(t, ourSafe, 0, safeExec(multiSend14, 0, multiSends(many(511)...), 1), "more than 512 calls in one payload")
	refusedCall(t, ourSafe, 0, safeExec(multiSend14, 0, multiSends(many(513)...), 1), "more than 512")

	nested := safeExec(payee, 0, nil, 0)
	for range 7 {
		nested = safeExec(ourSafe, 0, nested, 0)
	}
	if in := decodeCall(t, ourSafe, 0, nested); in.Effects[0].Attributes["call"] != "1.1.1.1.1.1.1.1" {
		t.Errorf("effects = %+v, want one eight calls deep", in.Effects)
	}
	refusedCall(t, ourSafe, 0, safeExec(ourSafe, 0, nested, 0), "calls in calls are more than 8 deep")

	items := slices.Repeat([]any{1}, 300)
	part := calldata("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", sender, payee, items, items, "")
	refusedCall(t, ourAccount, 0, calldata("executeBatch(address[],bytes[])", []any{parts, parts}, []any{part, part}), "more than 512 effects")
}

func TestEverythingInABatchIsSpoiltByOneByte(t *testing.T) {
	data := safeExec(multiSend14, 0, multiSends(
		transaction{0, usdc, 0, calldata("transfer(address,uint256)", payee, 1)},
		transaction{0, usdc, 0, append(calldata("approve(address,uint256)", stranger, 0), 0)}), 1)
	refusedCall(t, ourSafe, 0, data, "call 1.2 to "+usdc+": non-canonical: approve(address,uint256)")
	overlap := calldata("executeBatch(address[],bytes[])", []any{usdc, usdc}, []any{"0x01020304", "0x05060708"})
	copy(overlap[4+5*32+2*32:], overlap[4+5*32+32:4+5*32+64]) // the second offset as the first
	if _, err := abi.Decode(abi.MustParseSignature("x(address[],bytes[])").Args, overlap[4:]); err == nil {
		t.Fatal("two values in one place were read")
	}
	refusedCall(t, ourAccount, 0, overlap, "non-canonical: executeBatch(address[],bytes[])")
}

// The most that fits into a payload is read or refused in 50 ms and 64 MiB. Other work on
// the machine may take ten times that away from one run, hardly from each of five.
func TestCallsThatTakeTheMostAreReadSoon(t *testing.T) {
	const room = signer.MaxPayload - 12<<10 // for what is around the calls
	junk := make([]byte, room/512)
	some := slices.Repeat([]transaction{{0, stranger, 1, junk[:100]}}, 500)
	nested := calldata("transfer(address,uint256)", payee, 1)
	nested = append(nested, make([]byte, room-4096)...)
	for range 7 {
		nested = safeExec(ourSafe, 0, nested, 0)
	}
	ids := slices.Repeat([]any{below(pow2(256))}, 500)
	self := slices.Repeat([]any{nested[:4]}, 500)
	for name, test := range map[string]struct {
		to   string
		data []byte
	}{
		"many unknown calls":      {ourSafe, safeExec(multiSend14, 0, multiSends(some...), 1)},
		"one call, deep":          {ourSafe, safeExec(stranger, 0, nested[:room-4096], 0)},
		"calls in calls":          {ourSafe, nested},
		"many items":              {parts, calldata("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", sender, payee, ids, ids, make([]byte, room/2))},
		"many calls of selectors": {apes, calldata("multicall(bytes[])", self)},
		"long data of one item":   {apes, calldata("safeTransferFrom(address,address,uint256,bytes)", sender, payee, 1, make([]byte, room))},
		"many operations":         {packedEntryPoint, calldata(handleOps7, slices.Repeat([]any{any(op7(ourAccount, nil, nil, nil))}, 200), payee)},
	} {
		t.Run(name, func(t *testing.T) {
			payload, key, b := raw(t, toContract(test.to, 0, test.data)), keyFor(t, "eip155:1"), callBook()
			least := time.Hour
			for range 5 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				_, _ = evm.Transaction{}.Decode(payload, key, b) // either is right, in time
				least = min(least, time.Since(start))
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
					t.Fatalf("%d bytes of payload took %d MiB", len(payload), n>>20)
				}
			}
			if least > 500*time.Millisecond {
				t.Errorf("%d bytes of payload took %s", len(payload), least)
			}
			t.Logf("%d bytes: %s", len(payload), least)
		})
	}
}

package evm_test

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

const (
	apes             = "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D" // ERC-721
	apesID           = "eip155:1/erc721:" + apes
	parts            = "0x76BE3b62873462d2142405439777e971754E8E77" // ERC-1155
	partsID          = "eip155:1/erc1155:" + parts
	weth             = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
	wethID           = "eip155:1/erc20:" + weth
	ourAccount       = "0x75cf11467937ce3F2f357CE24ffc3DBF8fD5c226" // a smart account
	module           = "0xCFbFaC74C26F8647cBDb8c5caf80BB5b32E43134"
	ourSafe          = "0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4"
	permit2At        = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
	zeroAddress      = "0x0000000000000000000000000000000000000000"
	multiSend13      = "0x40A2aCCbd92BCA938b02010E17A5b8929b49130D" // MultiSendCallOnly 1.3.0
	multiSend14      = "0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526" // MultiSend 1.4.1
	multicall3       = "0xcA11bde05977b3631167028862bE2a173976CA11"
	oldEntryPoint    = "0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789"
	packedEntryPoint = "0x0000000071727De22E5E9d8BAf0edAc6f37da032"
)

// callBook is an owner's book with contracts of every sort.
func callBook() signer.Book {
	return signer.NewBook(
		map[string]signer.Asset{
			ether:   {ID: ether, Name: "eth", Decimals: 18},
			usdcID:  {ID: usdcID, Name: "usdc", Decimals: 6},
			apesID:  {ID: apesID, Name: "apes"},
			partsID: {ID: partsID, Name: "parts"},
		},
		map[string]signer.Contract{
			account(ourSafe):    {Name: "the vault", Kind: signer.ContractSafe},
			account(ourAccount): {Name: "our account", Kind: signer.ContractAccount},
			account(module):     {Name: "allowances", Kind: signer.ContractModule},
		},
		nil,
	)
}

// calldata encodes a call. Addresses and bytes are text in hexadecimal, numbers int or
// *big.Int, lists and tuples []any.
func calldata(signature string, args ...any) []byte {
	m := abi.MustParseSignature(signature)
	return m.Call(value(m.Args, args).Elems...)
}

func value(t *abi.Type, v any) abi.Value {
	out := abi.Value{Type: t}
	switch v := v.(type) {
	case string:
		b := common.FromHex(v)
		if t.Kind == abi.Address {
			out.Word.SetBytes(b)
		} else {
			out.Bytes = b
		}
	case []byte:
		out.Bytes = v
	case int:
		out.Word.SetUint64(uint64(v))
	case *big.Int:
		out.Word.SetFromBig(v)
	case bool:
		if v {
			out.Word.SetOne()
		}
	case []any:
		for i, e := range v {
			of := t.Elem
			if t.Kind == abi.Tuple {
				of = t.Fields[i].Type
			}
			out.Elems = append(out.Elems, value(of, e))
		}
	default:
		panic(fmt.Sprintf("no value: %v", v))
	}
	return out
}

func text0x(b []byte) string { return "0x" + hex.EncodeToString(b) }

// toContract is a transaction that calls a contract with so much coin.
func toContract(to string, coin int64, data []byte) *types.DynamicFeeTx {
	return pay(func(tx *types.DynamicFeeTx) { tx.To, tx.Value, tx.Data = address(to), big.NewInt(coin), data })
}

// does is an effect of the given class. Attributes are given as name, value, name, value.
func does(class signer.Class, actor, counterparty string, q signer.Quantity, attributes ...string) signer.Effect {
	e := signer.Effect{Class: class, Actor: account(actor), Quantity: q}
	if counterparty != "" {
		e.Counterparty = account(counterparty)
	}
	for i := 0; i < len(attributes); i += 2 {
		if e.Attributes == nil {
			e.Attributes = map[string]string{}
		}
		e.Attributes[attributes[i]] = attributes[i+1]
	}
	return e
}

func exactly(asset string, n int64) signer.Quantity { return signer.Exact(asset, big.NewInt(n)) }

func atMost(asset string, n int64) signer.Quantity { return signer.AtMost(asset, big.NewInt(n)) }

func unlimited(asset string) signer.Quantity {
	return signer.Quantity{Kind: signer.QuantityUnlimited, Asset: asset}
}

var unknownQuantity = signer.Quantity{Kind: signer.QuantityUnknown}

// blind is an effect of what was not read: a call, or a delegatecall.
func blind(class signer.Class, actor, to string, data []byte, attributes ...string) signer.Effect {
	attributes = append(attributes,
		"calldata_length", fmt.Sprint(len(data)), "calldata_digest", erc8213(data).Hex(), "selector", text0x(data[:4]))
	return does(class, actor, to, unknownQuantity, attributes...)
}

// callCase is what a call means.
type callCase struct {
	to      string
	coin    int64
	data    []byte
	effects []signer.Effect
	warns   []string
	blind   bool // the intent is incomplete
}

func checkCalls(t *testing.T, cases map[string]callCase) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			in := decodeCall(t, test.to, test.coin, test.data)
			if !reflect.DeepEqual(text(in.Effects), text(test.effects)) {
				t.Errorf("effects = %v\nwant      %v", text(in.Effects), text(test.effects))
			}
			if got := slices.Compact(warnings(in)); !slices.Equal(got, test.warns) {
				t.Errorf("warnings = %v, want %v", got, test.warns)
			}
			if in.Complete == test.blind {
				t.Errorf("complete = %v, want %v", in.Complete, !test.blind)
			}
		})
	}
}

func decodeCall(t testing.TB, to string, coin int64, data []byte) signer.Intent {
	t.Helper()
	in, err := evm.Transaction{}.Decode(raw(t, toContract(to, coin, data)), keyFor(t, "eip155:1"), callBook())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// refusedCall checks that a call is refused and why.
func refusedCall(t *testing.T, to string, coin int64, data []byte, want string) {
	t.Helper()
	in, err := evm.Transaction{}.Decode(raw(t, toContract(to, coin, data)), keyFor(t, "eip155:1"), callBook())
	if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), want) {
		t.Errorf("Decode error = %v, want code %q and %q", err, signer.CodeInvalid, want)
	}
	if len(in.Effects) > 0 || len(in.Messages) > 0 {
		t.Errorf("a refused call came with effects %v and messages %v", in.Effects, in.Messages)
	}
}

func inspect(in signer.Intent) string {
	var b strings.Builder
	for _, f := range in.Fields {
		b.WriteString(f.Name + "=" + f.Value + "\n")
	}
	return b.String()
}

const sig65 = "0x" + "1111111111111111111111111111111111111111111111111111111111111111" + "2222222222222222222222222222222222222222222222222222222222222222" + "1b"

var word = strings.Repeat("ab", 32)

func TestTokenCallsMean(t *testing.T) {
	token := func(class signer.Class, actor, counterparty string, q signer.Quantity, more ...string) []signer.Effect {
		return []signer.Effect{does(class, actor, counterparty, q, append(more, "contract", account(usdc))...)}
	}
	all := below(pow2(256))
	checkCalls(t, map[string]callCase{
		"a transfer": {to: usdc, data: calldata("transfer(address,uint256)", payee, 5),
			effects: token(signer.ClassTransfer, sender, payee, exactly(usdcID, 5))},
		"a transfer from another account": {to: usdc, data: calldata("transferFrom(address,address,uint256)", stranger, payee, 5),
			effects: token(signer.ClassTransfer, stranger, payee, exactly(usdcID, 5), "spender", account(sender))},
		"an allowance": {to: usdc, data: calldata("approve(address,uint256)", stranger, 5),
			effects: token(signer.ClassAllowance, sender, stranger, atMost(usdcID, 5))},
		"an allowance that grows": {to: usdc, data: calldata("increaseAllowance(address,uint256)", stranger, 5),
			effects: token(signer.ClassAllowance, sender, stranger, atMost(usdcID, 5), "act", "increase")},
		"an allowance that grows without limit": {to: usdc, data: calldata("increaseAllowance(address,uint256)", stranger, all),
			effects: token(signer.ClassAllowance, sender, stranger, unlimited(usdcID), "act", "increase"), warns: []string{evm.WarnUnlimitedAllowance}},
		"an allowance that shrinks leaves what nobody knows": {to: usdc, data: calldata("decreaseAllowance(address,uint256)", stranger, 5),
			effects: token(signer.ClassAllowance, sender, stranger, unknownQuantity, "act", "decrease")},
		"a permit that another account signed": {to: usdc,
			data:    calldata("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", payee, stranger, 5, 1893456000, 27, word, word),
			effects: token(signer.ClassAllowance, payee, stranger, atMost(usdcID, 5))},
		"a permit with the signature of a contract": {to: usdc,
			data:    calldata("permit(address,address,uint256,uint256,bytes)", payee, stranger, all, 1893456000, sig65),
			effects: token(signer.ClassAllowance, payee, stranger, unlimited(usdcID)), warns: []string{evm.WarnUnlimitedAllowance}},
		"a permit of DAI allows everything": {to: usdc,
			data:    calldata("permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)", payee, stranger, 3, 0, true, 27, word, word),
			effects: token(signer.ClassAllowance, payee, stranger, unlimited(usdcID)), warns: []string{evm.WarnUnlimitedAllowance}},
		"a permit of DAI takes everything back": {to: usdc,
			data:    calldata("permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)", payee, stranger, 3, 0, false, 27, word, word),
			effects: token(signer.ClassAllowance, payee, stranger, exactly(usdcID, 0))},
		"a transfer that another account signed": {to: usdc,
			data:    calldata("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)", stranger, payee, 5, 0, 1893456000, word, 27, word, word),
			effects: token(signer.ClassTransfer, stranger, payee, exactly(usdcID, 5))},
		"a transfer that is received by signature": {to: usdc,
			data:    calldata("receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)", stranger, sender, 5, 0, 1893456000, word, sig65),
			effects: token(signer.ClassTransfer, stranger, sender, exactly(usdcID, 5))},
		"an authorisation that is cancelled": {to: usdc,
			data:    calldata("cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)", stranger, word, 27, word, word),
			effects: token(signer.ClassInvalidate, stranger, "", signer.Quantity{}, "act", "cancel")},
		"coin that is wrapped": {to: weth, coin: 9, data: calldata("deposit()"),
			effects: []signer.Effect{does(signer.ClassExchange, sender, weth, exactly(ether, 9),
				"contract", account(weth), "act", "wrap", "receives", wethID, "receives_amount", "9")}, warns: []string{evm.WarnUnknownToken}},
		"coin that is sent to the wrapper": {to: weth, coin: 9,
			effects: []signer.Effect{does(signer.ClassExchange, sender, weth, exactly(ether, 9),
				"contract", account(weth), "act", "wrap", "receives", wethID, "receives_amount", "9")}, warns: []string{evm.WarnUnknownToken}},
		"coin that is unwrapped": {to: weth, data: calldata("withdraw(uint256)", 9),
			effects: []signer.Effect{does(signer.ClassExchange, sender, weth, exactly(wethID, 9),
				"contract", account(weth), "act", "unwrap", "receives", ether, "receives_amount", "9")}, warns: []string{evm.WarnUnknownToken}},
		"wrapped coin is a token": {to: weth, data: calldata("approve(address,uint256)", stranger, 9),
			effects: []signer.Effect{does(signer.ClassAllowance, sender, stranger, atMost(wethID, 9), "contract", account(weth))}, warns: []string{evm.WarnUnknownToken}},
	})
}

// A contract that is two things at once, by the owner's files or by them and a standard, is
// not known as either: the number in one selector is an amount to the one and an item to
// the other, and a list that calls Permit2 a token lies.
func TestContractOfTwoSortsIsUnknown(t *testing.T) {
	listed := func(ids ...string) signer.Book {
		assets := map[string]signer.Asset{}
		for _, id := range ids {
			assets[id] = signer.Asset{ID: id, Name: "listed"}
		}
		return signer.NewBook(assets, nil, nil)
	}
	for name, test := range map[string]struct {
		to   string
		data []byte
		book signer.Book
	}{
		"a token and a collection": {usdc, calldata("transferFrom(address,address,uint256)", sender, payee, 5), listed(usdcID, "eip155:1/erc721:"+usdc)},
		"Permit2 and a token":      {permit2At, calldata("transfer(address,uint256)", payee, 5), listed("eip155:1/erc20:" + permit2At)},
		"Multicall3 and a token":   {multicall3, calldata("approve(address,uint256)", payee, 5), listed("eip155:1/erc20:" + multicall3)},
		"WETH and a collection":    {weth, calldata("approve(address,uint256)", payee, 5), listed("eip155:1/erc721:" + weth)},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Transaction{}.Decode(raw(t, toContract(test.to, 0, test.data)), keyFor(t, "eip155:1"), test.book)
			if err != nil || in.Complete || in.Class() != signer.ClassUnknownCall || !strings.Contains(inspect(in), "more than one sort") {
				t.Errorf("intent = %+v, %v; want an unknown call", in, err)
			}
		})
	}
}

func TestWrapperIsKnownOnItsChainOnly(t *testing.T) {
	tx := toContract(weth, 9, calldata("deposit()"))
	tx.ChainID = big.NewInt(10)
	in, err := evm.Transaction{}.Decode(raw(t, tx), keyFor(t, "eip155:10"), callBook())
	if err != nil || in.Class() != signer.ClassUnknownCall {
		t.Errorf("class %q, %v; want an unknown call", in.Class(), err)
	}
}

func TestCanonicalContractsAreKnownOnEveryChainUnlessTheBookSaysOtherwise(t *testing.T) {
	tx := toContract(permit2At, 0, calldata("invalidateUnorderedNonces(uint256,uint256)", 1, 255))
	tx.ChainID = big.NewInt(10)
	in, err := evm.Transaction{}.Decode(raw(t, tx), keyFor(t, "eip155:10"), callBook())
	if err != nil || in.Class() != signer.ClassInvalidate {
		t.Errorf("class %q, %v; want that of Permit2's method", in.Class(), err)
	}
	b := signer.NewBook(nil, map[string]signer.Contract{"eip155:10:" + permit2At: {Name: "no Permit2", Kind: signer.ContractModule}}, nil)
	if in, err = (evm.Transaction{}).Decode(raw(t, tx), keyFor(t, "eip155:10"), b); err != nil || in.Class() != signer.ClassUnknownCall {
		t.Errorf("class %q, %v; want an unknown call", in.Class(), err)
	}
}

func TestEveryArgumentIsShown(t *testing.T) {
	in := decodeCall(t, usdc, 0, calldata("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", payee, stranger, 5, 1893456000, 27, word, word))
	got := in.Fields[len(in.Fields)-7:]
	want := []signer.Field{
		{Name: "method", Value: "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"},
		{Name: "token", Value: "usdc (" + usdcID + ")"},
		{Name: "owner", Value: payee},
		{Name: "spender", Value: stranger},
		{Name: "allowance", Value: "0.000005 usdc (5 base units), until used up or revoked"},
		{Name: "deadline of the permit", Value: "2030-01-01 00:00:00 UTC"},
		{Name: "signature", Value: "v 27, r 0x" + word + ", s 0x" + word},
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields = %v\nwant     %v", got, want)
	}
}

func TestItemsMean(t *testing.T) {
	item := func(class signer.Class, actor, counterparty string, q signer.Quantity, more ...string) signer.Effect {
		return does(class, actor, counterparty, q, append(more, "contract", account(apes))...)
	}
	part := func(class signer.Class, actor, counterparty string, q signer.Quantity, more ...string) signer.Effect {
		return does(class, actor, counterparty, q, append(more, "contract", account(parts))...)
	}
	huge := below(pow2(256))
	checkCalls(t, map[string]callCase{
		"an item": {to: apes, data: calldata("transferFrom(address,address,uint256)", sender, payee, 7),
			effects: []signer.Effect{item(signer.ClassTransfer, sender, payee, exactly(apesID+"/7", 1), "spender", account(sender))}},
		"an item of somebody else": {to: apes, data: calldata("safeTransferFrom(address,address,uint256)", stranger, payee, huge),
			effects: []signer.Effect{item(signer.ClassTransfer, stranger, payee, exactly(apesID+"/"+huge.String(), 1), "spender", account(sender))}},
		"an item with data along": {to: apes, data: calldata("safeTransferFrom(address,address,uint256,bytes)", sender, payee, 7, "0x010203"),
			effects: []signer.Effect{item(signer.ClassTransfer, sender, payee, exactly(apesID+"/7", 1), "spender", account(sender))}},
		"an item to its own contract": {to: apes, data: calldata("transferFrom(address,address,uint256)", sender, apes, 7),
			effects: []signer.Effect{item(signer.ClassTransfer, sender, apes, exactly(apesID+"/7", 1), "spender", account(sender))}, warns: []string{evm.WarnTokenContract}},
		"an allowance of one item": {to: apes, data: calldata("approve(address,uint256)", stranger, 7),
			effects: []signer.Effect{item(signer.ClassAllowance, sender, stranger, atMost(apesID+"/7", 1))}},
		"an allowance of one item that is taken back": {to: apes, data: calldata("approve(address,uint256)", zeroAddress, 7),
			effects: []signer.Effect{item(signer.ClassAllowance, sender, "", exactly(apesID+"/7", 0))}},
		"all items": {to: apes, data: calldata("setApprovalForAll(address,bool)", stranger, true),
			effects: []signer.Effect{item(signer.ClassOperator, sender, stranger, unlimited(apesID))}, warns: []string{evm.WarnOperator}},
		"all items taken back": {to: apes, data: calldata("setApprovalForAll(address,bool)", stranger, false),
			effects: []signer.Effect{item(signer.ClassOperator, sender, stranger, exactly(apesID, 0))}},
		"some of a part": {to: parts, data: calldata("safeTransferFrom(address,address,uint256,uint256,bytes)", sender, payee, 7, 3, ""),
			effects: []signer.Effect{part(signer.ClassTransfer, sender, payee, exactly(partsID+"/7", 3), "spender", account(sender))}},
		"some of two parts": {to: parts, data: calldata("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", sender, payee, []any{7, 8}, []any{3, 4}, ""),
			effects: []signer.Effect{
				part(signer.ClassTransfer, sender, payee, exactly(partsID+"/7", 3), "spender", account(sender)),
				part(signer.ClassTransfer, sender, payee, exactly(partsID+"/8", 4), "spender", account(sender))}},
		"all parts": {to: parts, data: calldata("setApprovalForAll(address,bool)", stranger, true),
			effects: []signer.Effect{part(signer.ClassOperator, sender, stranger, unlimited(partsID))}, warns: []string{evm.WarnOperator}},
		"several calls of a collection to itself, by the same caller": {to: apes,
			data: calldata("multicall(bytes[])", []any{
				calldata("transferFrom(address,address,uint256)", sender, payee, 7), calldata("setApprovalForAll(address,bool)", stranger, true)}),
			effects: []signer.Effect{
				item(signer.ClassTransfer, sender, payee, exactly(apesID+"/7", 1), "spender", account(sender), "call", "1"),
				item(signer.ClassOperator, sender, stranger, unlimited(apesID), "call", "2")}, warns: []string{evm.WarnOperator}},
	})
	refusedCall(t, parts, 0, calldata("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", sender, payee, []any{7, 8}, []any{3}, ""), "2 ids and 1 amounts")
	refusedCall(t, parts, 0, calldata("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", sender, payee, []any{}, []any{}, ""), "an empty batch")
}

func TestCanonicalNumbersOnly(t *testing.T) {
	good := calldata("setApprovalForAll(address,bool)", stranger, true)
	dirty := slices.Clone(good)
	dirty[4+32] = 1
	two := slices.Clone(good)
	two[len(two)-1] = 2
	refusedCall(t, apes, 0, dirty, "non-canonical: setApprovalForAll(address,bool): argument 2 (approved)")
	refusedCall(t, apes, 0, two, "non-canonical: setApprovalForAll(address,bool): argument 2 (approved)")
	refusedCall(t, permit2At, 0, append(calldata("approve(address,address,uint160,uint48)", usdc, stranger, 1, 1), 0), "1 bytes follow")
	wide := calldata("approve(address,address,uint160,uint48)", usdc, stranger, 1, 1)
	wide[4+64+11] = 1 // above 160 bits
	refusedCall(t, permit2At, 0, wide, "argument 3 (amount)")
}

func TestCanonicalContracts(t *testing.T) {
	for name, c := range map[string]struct {
		chain         uint64
		address, want string
	}{
		"one of every chain":        {1, permit2At, "Permit2"},
		"the same elsewhere":        {10, permit2At, "Permit2"},
		"the wrapper of a chain":    {1, weth, "WETH"},
		"that address on another":   {10, weth, ""},
		"a contract of the owner's": {1, ourSafe, ""},
	} {
		if got, ok := evm.CanonicalContract(c.chain, *address(c.address)); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: CanonicalContract = %q, %v; want %q", name, got, ok, c.want)
		}
	}
}

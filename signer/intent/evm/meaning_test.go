package evm_test

import (
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// fee of a payment as made by pay.
var fee = signer.AtMost(ether, new(big.Int).Mul(big.NewInt(21000), big.NewInt(30000000000)))

func pow2(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

func below(n *big.Int) *big.Int { return new(big.Int).Sub(n, big.NewInt(1)) }

func withFee(n string) signer.Quantity {
	return signer.AtMost(ether, new(big.Int).Add(wei(n), fee.N))
}

// call is a token call of loose words.
func call(method string, words ...any) []byte {
	data := crypto.Keccak256([]byte(method))[:4]
	for _, w := range words {
		switch w := w.(type) {
		case string:
			data = append(data, common.LeftPadBytes(common.HexToAddress(w).Bytes(), 32)...)
		case *big.Int:
			data = append(data, common.LeftPadBytes(w.Bytes(), 32)...)
		}
	}
	return data
}

func onToken(data []byte) func(*types.DynamicFeeTx) {
	return func(tx *types.DynamicFeeTx) { tx.To, tx.Value, tx.Data = address(usdc), new(big.Int), data }
}

const (
	transfer = "transfer(address,uint256)"
	approve  = "approve(address,uint256)"
)

func account(a string) string { return "eip155:1:" + a }

func tokenEffect(class signer.Class, who string, q signer.Quantity) signer.Effect {
	return signer.Effect{Class: class, Actor: account(sender), Counterparty: account(who), Quantity: q,
		Attributes: map[string]string{"contract": account(usdc)}}
}

func coinEffect(to string, n string) signer.Effect {
	return signer.Effect{Class: signer.ClassTransfer, Actor: account(sender), Counterparty: account(to), Quantity: signer.Exact(ether, wei(n))}
}

func TestTransactionMeans(t *testing.T) {
	zero := "0x0000000000000000000000000000000000000000"
	unlimited := signer.Quantity{Kind: signer.QuantityUnlimited, Asset: usdcID}
	for name, test := range map[string]struct {
		change  func(*types.DynamicFeeTx)
		effects []signer.Effect
		outflow []signer.Quantity
		warns   []string
	}{
		"a payment": {nil,
			[]signer.Effect{coinEffect(payee, "1500000000000000000")},
			[]signer.Quantity{withFee("1500000000000000000")}, nil},
		"a payment of nothing to oneself is a transfer": {
			func(tx *types.DynamicFeeTx) { tx.To, tx.Value = address(sender), new(big.Int) },
			[]signer.Effect{coinEffect(sender, "0")},
			[]signer.Quantity{fee}, nil},
		"a payment to the zero address": {
			func(tx *types.DynamicFeeTx) { tx.To = address(zero) },
			[]signer.Effect{coinEffect(zero, "1500000000000000000")},
			[]signer.Quantity{withFee("1500000000000000000")}, []string{evm.WarnZeroAddress}},
		"a payment to a token contract": {
			func(tx *types.DynamicFeeTx) { tx.To = address(usdc) },
			[]signer.Effect{coinEffect(usdc, "1500000000000000000")},
			[]signer.Quantity{withFee("1500000000000000000")}, []string{evm.WarnTokenContract}},
		"a token transfer": {onToken(call(transfer, payee, big.NewInt(2500000))),
			[]signer.Effect{tokenEffect(signer.ClassTransfer, payee, signer.Exact(usdcID, big.NewInt(2500000)))},
			[]signer.Quantity{signer.Exact(usdcID, big.NewInt(2500000)), fee}, nil},
		"a token transfer of all there could be is exact": {onToken(call(transfer, payee, below(pow2(256)))),
			[]signer.Effect{tokenEffect(signer.ClassTransfer, payee, signer.Exact(usdcID, below(pow2(256))))},
			[]signer.Quantity{signer.Exact(usdcID, below(pow2(256))), fee}, nil},
		"a token transfer to the token itself": {onToken(call(transfer, usdc, big.NewInt(1))),
			[]signer.Effect{tokenEffect(signer.ClassTransfer, usdc, signer.Exact(usdcID, big.NewInt(1)))},
			[]signer.Quantity{signer.Exact(usdcID, big.NewInt(1)), fee}, []string{evm.WarnTokenContract}},
		"a token transfer to the zero address": {onToken(call(transfer, zero, big.NewInt(1))),
			[]signer.Effect{tokenEffect(signer.ClassTransfer, zero, signer.Exact(usdcID, big.NewInt(1)))},
			[]signer.Quantity{signer.Exact(usdcID, big.NewInt(1)), fee}, []string{evm.WarnZeroAddress}},
		"a token transfer with coin along": {
			func(tx *types.DynamicFeeTx) {
				onToken(call(transfer, payee, big.NewInt(1)))(tx)
				tx.Value = big.NewInt(9)
			},
			[]signer.Effect{tokenEffect(signer.ClassTransfer, payee, signer.Exact(usdcID, big.NewInt(1))), coinEffect(usdc, "9")},
			[]signer.Quantity{signer.Exact(usdcID, big.NewInt(1)), withFee("9")}, []string{evm.WarnValueWithTokenCall}},
		"an allowance": {onToken(call(approve, stranger, big.NewInt(5))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, signer.AtMost(usdcID, big.NewInt(5)))},
			[]signer.Quantity{signer.AtMost(usdcID, big.NewInt(5)), fee}, nil},
		"an allowance of zero revokes": {onToken(call(approve, stranger, new(big.Int))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, signer.Exact(usdcID, new(big.Int)))},
			[]signer.Quantity{signer.Exact(usdcID, new(big.Int)), fee}, nil},
		"an allowance of 2^256-1 is unlimited": {onToken(call(approve, stranger, below(pow2(256)))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, unlimited)},
			[]signer.Quantity{unlimited, fee}, []string{evm.WarnUnlimitedAllowance}},
		"an allowance of 2^127 is unlimited": {onToken(call(approve, stranger, pow2(127))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, unlimited)},
			[]signer.Quantity{unlimited, fee}, []string{evm.WarnUnlimitedAllowance}},
		"an allowance of 2^127-1 is a number": {onToken(call(approve, stranger, below(pow2(127)))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, signer.AtMost(usdcID, below(pow2(127))))},
			[]signer.Quantity{signer.AtMost(usdcID, below(pow2(127))), fee}, nil},
		"an allowance of 2^160-1 is unlimited": {onToken(call(approve, stranger, below(pow2(160)))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, unlimited)},
			[]signer.Quantity{unlimited, fee}, []string{evm.WarnUnlimitedAllowance}},
		"an allowance of 2^96-1 is unlimited": {onToken(call(approve, stranger, below(pow2(96)))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, unlimited)},
			[]signer.Quantity{unlimited, fee}, []string{evm.WarnUnlimitedAllowance}},
		"an allowance of 2^96-2 is a number": {onToken(call(approve, stranger, below(below(pow2(96))))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, signer.AtMost(usdcID, below(below(pow2(96)))))},
			[]signer.Quantity{signer.AtMost(usdcID, below(below(pow2(96)))), fee}, nil},
		"an allowance of 2^96 is a number": {onToken(call(approve, stranger, pow2(96))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, stranger, signer.AtMost(usdcID, pow2(96)))},
			[]signer.Quantity{signer.AtMost(usdcID, pow2(96)), fee}, nil},
		"an unlimited allowance to the zero address": {onToken(call(approve, zero, pow2(255))),
			[]signer.Effect{tokenEffect(signer.ClassAllowance, zero, unlimited)},
			[]signer.Quantity{unlimited, fee}, []string{evm.WarnUnlimitedAllowance, evm.WarnZeroAddress}},
	} {
		t.Run(name, func(t *testing.T) {
			in := decode(t, raw(t, pay(test.change)))
			if !in.Complete || in.Kind != signer.KindEVMTransaction {
				t.Errorf("Complete = %v, Kind = %q", in.Complete, in.Kind)
			}
			checkMeaning(t, in, test.effects, test.outflow, test.warns)
		})
	}
}

func decode(t *testing.T, payload []byte) signer.Intent {
	t.Helper()
	in, err := evm.Transaction{}.Decode(payload, keyFor(t, "eip155:1"), book())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func checkMeaning(t *testing.T, in signer.Intent, effects []signer.Effect, outflow []signer.Quantity, warns []string) {
	t.Helper()
	if !reflect.DeepEqual(text(in.Effects), text(effects)) {
		t.Errorf("effects = %v\nwant      %v", text(in.Effects), text(effects))
	}
	if got, want := quantities(in.Outflow), quantities(outflow); !slices.Equal(got, want) {
		t.Errorf("outflow = %v\nwant      %v", got, want)
	}
	if got, want := quantities([]signer.Quantity{in.Fee}), quantities([]signer.Quantity{fee}); !slices.Equal(got, want) {
		t.Errorf("fee = %v, want %v", got, want)
	}
	if got := warnings(in); !slices.Equal(got, warns) {
		t.Errorf("warnings = %v, want %v", got, warns)
	}
}

// text writes effects out, since two equal big integers need not be deeply equal.
func text(effects []signer.Effect) []any {
	var out []any
	for _, e := range effects {
		q := quantities([]signer.Quantity{e.Quantity})
		e.Quantity = signer.Quantity{}
		out = append(out, e, q)
	}
	return out
}

func quantities(qs []signer.Quantity) []string {
	var out []string
	for _, q := range qs {
		n := ""
		if q.N != nil {
			n = q.N.String()
		}
		out = append(out, q.Kind.String()+" "+n+" "+q.Asset)
	}
	return out
}

func TestUnknownCallIsIncomplete(t *testing.T) {
	toStranger := func(data []byte) func(*types.DynamicFeeTx) {
		return func(tx *types.DynamicFeeTx) { tx.To, tx.Value, tx.Data = address(stranger), new(big.Int), data }
	}
	for name, test := range map[string]struct {
		change    func(*types.DynamicFeeTx)
		selector  string
		looksLike string
	}{
		"transfer on an unknown contract":          {toStranger(call(transfer, payee, big.NewInt(1))), "0xa9059cbb", "transfer(address,uint256), but the contract is not known"},
		"approve on an unknown contract":           {toStranger(call(approve, payee, big.NewInt(1))), "0x095ea7b3", "approve(address,uint256), but the contract is not known"},
		"dirty transfer on an unknown contract":    {toStranger(append(call(transfer, payee, big.NewInt(1)), 1)), "0xa9059cbb", "transfer(address,uint256), but"},
		"setApprovalForAll on an unknown contract": {toStranger(call("setApprovalForAll(address,bool)", payee, big.NewInt(1))), "0xa22cb465", "setApprovalForAll(address,bool), but"},
		"setApprovalForAll on a known token":       {onToken(call("setApprovalForAll(address,bool)", payee, big.NewInt(1))), "0xa22cb465", "setApprovalForAll(address,bool), but it is not a method of what the contract is known as"},
		"a selector nobody knows":                  {onToken([]byte{1, 2, 3, 4, 5}), "0x01020304", ""},
		"fewer bytes than a selector":              {onToken([]byte{0xa9, 5, 0x9c}), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			payload := pay(test.change)
			in := decode(t, raw(t, payload))
			digest := erc8213(payload.Data)
			attributes := map[string]string{"calldata_length": big.NewInt(int64(len(payload.Data))).String(), "calldata_digest": digest.Hex()}
			if test.selector != "" {
				attributes["selector"] = test.selector
			}
			if name, _, ok := strings.Cut(test.looksLike, ", but"); ok {
				attributes["looks_like"] = name
			}
			effect := signer.Effect{Class: signer.ClassUnknownCall, Actor: account(sender), Counterparty: account(payload.To.Hex()),
				Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: attributes}
			checkMeaning(t, in, []signer.Effect{effect}, []signer.Quantity{{Kind: signer.QuantityUnknown}, fee}, []string{evm.WarnUnknownCall})
			if in.Complete {
				t.Error("an unknown call came out complete")
			}
			if got := field(in, "looks like"); !strings.HasPrefix(got, test.looksLike) || (got == "") != (test.looksLike == "") {
				t.Errorf("looks like %q, want %q", got, test.looksLike)
			}
			if !slices.Contains(in.Digests, signer.Digest{Name: "calldata digest", Value: digest}) {
				t.Errorf("digests = %v, want calldata digest %s", in.Digests, digest)
			}
		})
	}
}

// erc8213 is keccak256(uint256(len) || calldata).
func erc8213(data []byte) common.Hash {
	return crypto.Keccak256Hash(append(common.LeftPadBytes(big.NewInt(int64(len(data))).Bytes(), 32), data...))
}

func TestUnknownCallWithValueAlsoPays(t *testing.T) {
	in := decode(t, raw(t, pay(func(tx *types.DynamicFeeTx) { tx.Data = []byte("hello") })))
	if len(in.Effects) != 2 || !reflect.DeepEqual(text(in.Effects[1:]), text([]signer.Effect{coinEffect(payee, "1500000000000000000")})) {
		t.Errorf("effects = %+v, want an unknown call and a transfer", in.Effects)
	}
	want := quantities([]signer.Quantity{{Kind: signer.QuantityUnknown}, withFee("1500000000000000000")})
	if got := quantities(in.Outflow); !slices.Equal(got, want) {
		t.Errorf("outflow = %v, want %v", got, want)
	}
}

func TestCreationIsItsOwnClass(t *testing.T) {
	code := []byte{0x60, 0x80}
	for name, test := range map[string]struct {
		value    *big.Int
		quantity signer.Quantity
		outflow  signer.Quantity
	}{
		"without value": {new(big.Int), signer.Quantity{}, fee},
		"with value":    {big.NewInt(9), signer.Exact(ether, big.NewInt(9)), withFee("9")},
	} {
		t.Run(name, func(t *testing.T) {
			in := decode(t, raw(t, pay(func(tx *types.DynamicFeeTx) { tx.To, tx.Value, tx.Data = nil, test.value, code })))
			effect := signer.Effect{Class: signer.ClassCreate, Actor: account(sender), Quantity: test.quantity,
				Counterparty: account(crypto.CreateAddress(common.HexToAddress(sender), 7).Hex()),
				Attributes:   map[string]string{"init_code_length": "2", "init_code_digest": erc8213(code).Hex()}}
			checkMeaning(t, in, []signer.Effect{effect}, []signer.Quantity{test.outflow}, []string{evm.WarnContractCreation})
			if in.Complete {
				t.Error("the init code was not read, but the intent is complete")
			}
		})
	}
}

func TestTokenCallMustBeCanonical(t *testing.T) {
	good := call(transfer, payee, big.NewInt(1))
	dirty := slices.Clone(good)
	dirty[4] = 1
	dirtyLast := slices.Clone(call(approve, payee, big.NewInt(1)))
	dirtyLast[15] = 1
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"dirty first address byte":        {dirty, "non-canonical: transfer(address,uint256): argument 1 (to): dirty padding"},
		"dirty last padding byte":         {dirtyLast, "approve(address,uint256): argument 1 (spender): dirty padding"},
		"trailing byte":                   {append(slices.Clone(good), 0), "transfer(address,uint256): 1 bytes follow the last value"},
		"trailing word":                   {append(slices.Clone(good), make([]byte, 32)...), "32 bytes follow"},
		"one byte short":                  {good[:67], "64 bytes are due, 63 are left"},
		"selector alone":                  {good[:4], "64 bytes are due, 0 are left"},
		"address of 20 bytes, not padded": {append(slices.Clone(good[:4]), good[16:]...), "64 bytes are due, 52 are left"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedCall(t, usdc, 0, test.data, test.want)
		})
	}
}

func TestTokenIsKnownOnItsChainOnly(t *testing.T) {
	payload := raw(t, pay(func(tx *types.DynamicFeeTx) {
		onToken(call(transfer, payee, big.NewInt(1)))(tx)
		tx.ChainID = big.NewInt(10)
	}))
	in, err := evm.Transaction{}.Decode(payload, keyFor(t, "eip155:10"), book())
	if err != nil || in.Complete || in.Effects[0].Class != signer.ClassUnknownCall {
		t.Errorf("Decode = %+v, %v; want an unknown call", in.Effects, err)
	}
}

func TestGasAboveTheCapIsWarnedOf(t *testing.T) {
	for gas, want := range map[uint64][]string{1 << 24: nil, 1<<24 + 1: {evm.WarnGasAboveCap}} {
		in := decode(t, raw(t, pay(func(tx *types.DynamicFeeTx) { tx.Gas = gas })))
		if got := warnings(in); !slices.Equal(got, want) {
			t.Errorf("gas %d: warnings = %v, want %v", gas, got, want)
		}
	}
}

func TestFieldsShowEverythingThatIsSigned(t *testing.T) {
	list := types.AccessList{{Address: common.HexToAddress(usdc), StorageKeys: make([]common.Hash, 3)}, {Address: common.HexToAddress(payee)}}
	got := decode(t, raw(t, pay(func(tx *types.DynamicFeeTx) {
		onToken(call(transfer, payee, big.NewInt(2500000)))(tx)
		tx.AccessList = list
	}))).Fields
	want := []signer.Field{
		{Name: "chain", Value: "eip155:1"},
		{Name: "type", Value: "2 (EIP-1559)"},
		{Name: "from", Value: sender},
		{Name: "nonce", Value: "7"},
		{Name: "to", Value: usdc},
		{Name: "value", Value: "0 eth (0 base units)"},
		{Name: "gas", Value: "21000"},
		{Name: "max fee per gas", Value: "30 gwei (30000000000 base units)"},
		{Name: "max priority fee per gas", Value: "1 gwei (1000000000 base units)"},
		{Name: "max fee", Value: "0.00063 eth (630000000000000 base units)"},
		{Name: "access list", Value: "2 addresses, 3 storage keys"},
		{Name: "access list 1", Value: usdc + strings.Repeat(", key 0x"+strings.Repeat("0", 64), 3)},
		{Name: "access list 2", Value: payee},
		{Name: "method", Value: "transfer(address,uint256)"},
		{Name: "token", Value: "usdc (" + usdcID + ")"},
		{Name: "recipient", Value: payee},
		{Name: "token amount", Value: "2.5 usdc (2500000 base units)"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields = %v\nwant     %v", got, want)
	}
}

func TestAmountsAreExact(t *testing.T) {
	for name, test := range map[string]struct {
		decimals int
		value    *big.Int
		want     string
	}{
		"no decimals":           {0, big.NewInt(1500), "1500 eth (1500 base units)"},
		"whole":                 {3, big.NewInt(15000), "15 eth (15000 base units)"},
		"part":                  {3, big.NewInt(1050), "1.05 eth (1050 base units)"},
		"less than one":         {3, big.NewInt(5), "0.005 eth (5 base units)"},
		"just one":              {3, big.NewInt(1000), "1 eth (1000 base units)"},
		"beyond 64 bits":        {18, pow2(200), "1606938044258990275541962092341162602522202.993782792835301376 eth (" + pow2(200).String() + " base units)"},
		"more decimals than it": {40, big.NewInt(1), "0.0000000000000000000000000000000000000001 eth (1 base units)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := signer.Book{Assets: map[string]signer.Asset{ether: {ID: ether, Name: "eth", Decimals: test.decimals}}}
			in, err := evm.Transaction{}.Decode(raw(t, pay(func(tx *types.DynamicFeeTx) { tx.Value = test.value })), keyFor(t, "eip155:1"), b)
			if got := field(in, "value"); err != nil || got != test.want {
				t.Errorf("value = %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestCoinWithoutAnEntryIsNotCalledEtherElsewhere(t *testing.T) {
	for chain, want := range map[int64]string{1: "1.5 ether (", 137: "1.5 eip155:137/slip44:60 ("} {
		payload := raw(t, pay(func(tx *types.DynamicFeeTx) { tx.ChainID = big.NewInt(chain) }))
		in, err := evm.Transaction{}.Decode(payload, keyFor(t, "eip155:1", "eip155:137"), signer.Book{})
		if got := field(in, "value"); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("chain %d: value = %q, %v; want %q", chain, got, err, want)
		}
	}
}

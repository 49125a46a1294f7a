package evm_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// delegateCode is a contract that the book has as a delegate, on chain 1 alone.
const delegateCode = "0x63c0c19a282a1B52b07dD5a65b58948A07DAE32B"

const nobody = "0x0000000000000000000000000000000000000000"

func bookWithDelegate() signer.Book {
	return signer.NewBook(book().Assets, map[string]signer.Contract{
		account(delegateCode): {Name: "our delegate", Kind: signer.ContractDelegate},
		account(usdc):         {Name: "a module", Kind: signer.ContractModule},
	}, nil)
}

func authorizationText(chainID, delegate, nonce string) []byte {
	return []byte(`{"chainId":` + chainID + `,"address":"` + delegate + `","nonce":` + nonce + `}`)
}

func handOver(chain, authority, delegate string, attributes map[string]string) signer.Effect {
	return signer.Effect{
		Class: signer.ClassDelegation, Actor: chain + ":" + authority, Counterparty: chain + ":" + delegate,
		Quantity: signer.Quantity{Kind: signer.QuantityUnknown}, Attributes: attributes,
	}
}

func TestAuthorizationMeans(t *testing.T) {
	every := map[string]string{"nonce": "7", "every_chain": "true"}
	nonce := map[string]string{"nonce": "7"}
	ended := func(chain string, attributes map[string]string) signer.Effect {
		e := handOver(chain, sender, nobody, attributes)
		e.Quantity = signer.Quantity{}
		return e
	}
	for name, test := range map[string]struct {
		chainID, delegate string
		effect            signer.Effect
		complete          bool
		warns             []string
	}{
		"to code that nobody knows":       {"1", stranger, handOver("eip155:1", sender, stranger, nonce), false, []string{evm.WarnDelegation}},
		"to code that the owner knows":    {"1", delegateCode, handOver("eip155:1", sender, delegateCode, nonce), true, []string{evm.WarnDelegation}},
		"known on another chain":          {"10", delegateCode, handOver("eip155:10", sender, delegateCode, nonce), false, []string{evm.WarnDelegation}},
		"known as something else":         {"1", usdc, handOver("eip155:1", sender, usdc, nonce), false, []string{evm.WarnDelegation}},
		"to nobody, which ends it":        {"1", nobody, ended("eip155:1", nonce), true, nil},
		"on every chain":                  {"0", delegateCode, handOver("eip155:0", sender, delegateCode, every), false, []string{evm.WarnEveryChain, evm.WarnDelegation}},
		"to nobody, on every chain":       {"0", nobody, ended("eip155:0", every), true, []string{evm.WarnEveryChain}},
		"to code that resembles the book": {"1", resembling(delegateCode), handOver("eip155:1", sender, resembling(delegateCode), nonce), false, []string{evm.WarnDelegation, evm.WarnResembles}},
	} {
		t.Run(name, func(t *testing.T) {
			payload := authorizationText(test.chainID, test.delegate, "7")
			in, err := evm.Authorization{}.Preview(payload, sender, bookWithDelegate())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(in.Effects, []signer.Effect{test.effect}) || in.Complete != test.complete || in.Kind != signer.KindEVMAuthorization {
				t.Errorf("intent = %+v\nwant effect %+v, complete %v", in, test.effect, test.complete)
			}
			if got := warnings(in); !slices.Equal(got, test.warns) {
				t.Errorf("warnings = %v, want %v", got, test.warns)
			}
			signedFor, err := evm.Authorization{}.Decode(payload, keyFor(t, "eip155:1", "eip155:10", "eip155:0"), bookWithDelegate())
			if test.chainID == "0" {
				if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "on every chain") || len(signedFor.Messages) != 0 {
					t.Errorf("Decode = %v, %v; want chain 0 refused for a key", signedFor.Messages, err)
				}
				return
			}
			if err != nil || len(signedFor.Messages) != 1 {
				t.Fatalf("Decode = %+v, %v; want one message", signedFor, err)
			}
			signedFor.Messages = nil
			if !reflect.DeepEqual(signedFor, in) {
				t.Errorf("Decode = %+v\nwant the preview %+v", signedFor, in)
			}
		})
	}
}

// resembling is another address that begins and ends alike.
func resembling(a string) string {
	middle := strings.Repeat("0", 32)
	return address(a[:6] + middle + a[38:]).Hex()
}

func TestAuthorizationForms(t *testing.T) {
	raw := append([]byte{5}, encodeRLP(t, []any{uint64(1), address(delegateCode), uint64(7)})...)
	key := keyFor(t, "eip155:1")
	want, err := evm.Authorization{}.Decode(raw, key, bookWithDelegate())
	if err != nil {
		t.Fatal(err)
	}
	for name, payload := range map[string][]byte{
		"hexadecimal text":            toHex(raw),
		"JSON with numbers":           authorizationText("1", delegateCode, "7"),
		"JSON with quantities":        authorizationText(`"0x1"`, strings.ToLower(delegateCode), `"0x7"`),
		"JSON with one of each":       []byte("{\n \"nonce\": 7, \"chainId\": \"0x1\", \"address\": \"" + delegateCode + "\"\n}\n"),
		"JSON with an escaped letter": authorizationText(`"0\u00781"`, delegateCode, "7"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := evm.Authorization{}.Decode(payload, key, bookWithDelegate())
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Decode = %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestAuthorizationRefuses(t *testing.T) {
	to := address(delegateCode).Bytes()
	five := []byte{5}
	for name, test := range map[string]struct {
		payload []byte
		want    string
	}{
		"nothing":                       {nil, "want JSON, or 0x05"},
		"0x alone":                      {[]byte("0x"), "want JSON, or 0x05"},
		"half a byte":                   {[]byte("0x05d"), "hexadecimal text"},
		"a hash":                        {make([]byte, 32), "want JSON, or 0x05"},
		"no list":                       {[]byte{5, 0x80}, "authorization: rlp: expected List"},
		"two values":                    {list(t, five, 1, to), "authorization: nonce"},
		"four values":                   {list(t, five, 1, to, 7, 1), "authorization: r: unexpected EOF"},
		"seven values":                  {list(t, five, 1, to, 7, 0, 1, 1, 1), "more than chain id, address and nonce, or behind them y parity, r and s"},
		"a trailing byte":               {append(list(t, five, 1, to, 7), 0), "more than chain id"},
		"a delegate of 19 bytes":        {list(t, five, 1, to[1:], 7), "address: 19 bytes, want 20"},
		"no delegate":                   {list(t, five, 1, []byte{}, 7), "address: 0 bytes, want 20"},
		"a chain with a leading zero":   {list(t, five, []byte{0, 1}, to, 7), "chain id: non-canonical"},
		"a chain above 64 bits":         {list(t, five, make9(), to, 7), "chain id: a number of 9 bytes"},
		"the last nonce":                {list(t, five, 1, to, uint64(math.MaxUint64)), "nonce is 2^64-1"},
		"another chain":                 {list(t, five, 10, to, 7), `for chain eip155:10, but key "hot" signs for eip155:1`},
		"JSON without a nonce":          {[]byte(`{"chainId":1,"address":"` + delegateCode + `"}`), "nonce: missing"},
		"JSON with a nonce of null":     {authorizationText("1", delegateCode, "null"), "nonce: missing"},
		"JSON without a chain":          {[]byte(`{"nonce":1,"address":"` + delegateCode + `"}`), "chainId: missing"},
		"JSON without a delegate":       {[]byte(`{"nonce":1,"chainId":1}`), "address: missing"},
		"JSON with an unknown field":    {[]byte(`{"nonce":1,"chainId":1,"yparity":1}`), `unknown field "yparity"`},
		"JSON with a field twice":       {[]byte(`{"nonce":1,"nonce":2}`), "repeats"},
		"a wrong checksum":              {authorizationText("1", strings.Replace(delegateCode, "D", "d", 1), "7"), "checksum (EIP-55)"},
		"a number with an exponent":     {authorizationText("1", delegateCode, "7e0"), "nonce: \"7e0\": want a quantity"},
		"a number with a fraction":      {authorizationText("1.0", delegateCode, "7"), "chainId: \"1.0\": want a quantity"},
		"a negative number":             {authorizationText("1", delegateCode, "-1"), "want a quantity"},
		"a number that is not exact":    {authorizationText("1", delegateCode, "9007199254740993"), "2^53-1"},
		"a decimal text":                {authorizationText("1", delegateCode, `"7"`), `nonce: "7": want a quantity`},
		"a quantity with leading zeros": {authorizationText(`"0x01"`, delegateCode, "7"), "non-canonical"},
		"true":                          {authorizationText("true", delegateCode, "7"), "chainId: \"true\": want a quantity"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Authorization{}.Decode(test.payload, keyFor(t, "eip155:1"), bookWithDelegate())
			if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), test.want) || len(in.Messages) != 0 {
				t.Errorf("Decode = %v, %v; want code %q and %q", in.Messages, err, signer.CodeInvalid, test.want)
			}
			out, err := evm.Authorization{}.Assemble(test.payload, keyFor(t), [][]byte{make([]byte, 65)})
			if err == nil && test.want[:3] != "for" || err != nil && out != nil {
				t.Errorf("Assemble = %s, %v; want an error", out, err)
			}
		})
	}
}

// signedText is an authorisation as libraries have it that was signed; tests change what
// they are about.
func signedText(t *testing.T, a types.SetCodeAuthorization, change map[string]any) []byte {
	t.Helper()
	o := map[string]any{
		"chainId": a.ChainID.Uint64(), "address": a.Address.Hex(), "nonce": a.Nonce,
		"yParity": a.V, "r": fmt.Sprintf("%#066x", a.R.ToBig()), "s": fmt.Sprintf("%#066x", a.S.ToBig()),
	}
	for name, value := range change {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return toJSON(t, o)
}

func TestSignedAuthorizationSaysWhoseItIs(t *testing.T) {
	a := authorize(t, 1, delegateCode, 7)
	key := keyFor(t, "eip155:1")
	want, err := evm.Authorization{}.Decode(authorizationText("1", delegateCode, "7"), key, bookWithDelegate())
	if err != nil {
		t.Fatal(err)
	}
	want.Fields = append(want.Fields, signer.Field{Name: "signed by", Value: sender})
	bytes := list(t, []byte{5}, 1, a.Address.Bytes(), 7, a.V, a.R.ToBig(), a.S.ToBig())
	for name, payload := range map[string][]byte{
		"as viem's signAuthorization returns it": signedText(t, a, map[string]any{"v": int(a.V) + 27}),
		"as sealward sign prints it":             toJSON(t, a),
		"with v that is the parity":              signedText(t, a, map[string]any{"v": fmt.Sprintf("%#x", a.V)}),
		"without v":                              signedText(t, a, nil),
		"as bytes":                               bytes,
		"as hexadecimal text":                    toHex(bytes),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := evm.Authorization{}.Decode(payload, key, bookWithDelegate())
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("Decode = %+v, %v\nwant %+v: what is signed is the three values alone", got, err, want)
			}
			for _, from := range []string{"", sender} {
				seen, err := evm.Authorization{}.Preview(payload, from, bookWithDelegate())
				seen.Messages = want.Messages
				if err != nil || !reflect.DeepEqual(seen, want) || field(seen, "authority") != sender {
					t.Errorf("Preview for %q = %+v, %v\nwant %+v", from, seen, err, want)
				}
			}
			if _, err := (evm.Authorization{}).Preview(payload, payee, book()); err == nil || !strings.Contains(err.Error(), "it is signed by "+sender+", but the account that --from names is "+payee) {
				t.Errorf("Preview for another account = %v, want it refused", err)
			}
			out, err := evm.Authorization{}.Assemble(payload, key, [][]byte{sign(t, want.Messages[0])})
			if err != nil || string(out) != string(toJSON(t, a)) {
				t.Errorf("Assemble = %s, %v; want %s", out, err, toJSON(t, a))
			}
			if !(evm.Authorization{}).Recognises(payload) && payload[0] != '0' {
				t.Error("it is not recognised")
			}
		})
	}
}

func TestSignedAuthorizationRefuses(t *testing.T) {
	order, _ := new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	a := authorize(t, 1, delegateCode, 7)
	other := fmt.Sprintf("%#066x", new(big.Int).Sub(order, a.S.ToBig()))
	for name, test := range map[string]struct {
		change map[string]any
		want   string
	}{
		"s in the upper half":   {map[string]any{"s": other, "yParity": 1 - int(a.V)}, "its signature: no node takes this signature"},
		"r of zero":             {map[string]any{"r": "0x0"}, "no node takes this signature"},
		"r and s of zero":       {map[string]any{"r": "0x0", "s": "0x0", "yParity": 0}, "no node takes this signature"},
		"a parity of 2":         {map[string]any{"yParity": 2}, "no node takes this signature"},
		"another key's":         {map[string]any{"nonce": 8}, "but the key's address is " + sender},
		"the other parity":      {map[string]any{"yParity": 1 - int(a.V)}, "it is signed by "},
		"no s":                  {map[string]any{"s": nil}, "s: missing"},
		"no r":                  {map[string]any{"r": nil}, "r: missing"},
		"no parity":             {map[string]any{"yParity": nil}, "yParity: missing"},
		"v alone":               {map[string]any{"r": nil, "s": nil, "yParity": nil, "v": 27}, "yParity: missing"},
		"v that says otherwise": {map[string]any{"v": 28 - int(a.V)}, "but yParity is"},
		"v of EIP-155":          {map[string]any{"v": 37 + int(a.V)}, "but yParity is"},
		"r of 33 bytes":         {map[string]any{"r": "0x01" + strings.Repeat("00", 32)}, "r: "},
		"r of 31 bytes, padded": {map[string]any{"r": "0x00" + strings.Repeat("11", 30)}, "non-canonical"},
		"r that is no number":   {map[string]any{"r": "0x" + strings.Repeat("g", 64)}, "want bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			payload := signedText(t, a, test.change)
			in, err := evm.Authorization{}.Decode(payload, keyFor(t, "eip155:1"), bookWithDelegate())
			if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), test.want) || len(in.Messages) != 0 {
				t.Errorf("Decode = %v, %v; want code %q and %q", in.Messages, err, signer.CodeInvalid, test.want)
			}
			if out, err := (evm.Authorization{}).Assemble(payload, keyFor(t), [][]byte{make([]byte, 65)}); err == nil {
				t.Errorf("Assemble = %s, want an error", out)
			}
		})
	}
	for chain, want := range map[uint64]string{0: "on every chain", 10: "for chain eip155:10"} {
		in, err := evm.Authorization{}.Decode(toJSON(t, authorize(t, chain, delegateCode, 7)), keyFor(t, "eip155:1"), bookWithDelegate())
		if err == nil || !strings.Contains(err.Error(), want) || len(in.Messages) != 0 {
			t.Errorf("signed for chain %d: Decode = %v, %v; want %q", chain, in.Messages, err, want)
		}
	}
}

func make9() []byte { return []byte{1, 0, 0, 0, 0, 0, 0, 0, 0} }

// What is assembled goes into a transaction as it is.
func TestAssembledAuthorizationIsThatOfTheKey(t *testing.T) {
	key, payload := keyFor(t, "eip155:1"), authorizationText("1", delegateCode, "7")
	in, err := evm.Authorization{}.Decode(payload, key, bookWithDelegate())
	if err != nil {
		t.Fatal(err)
	}
	out, err := evm.Authorization{}.Assemble(payload, key, [][]byte{sign(t, in.Messages[0])})
	if err != nil {
		t.Fatal(err)
	}
	var geth types.SetCodeAuthorization
	if err := json.Unmarshal(out, &geth); err != nil {
		t.Fatal(err)
	}
	if authority, err := geth.Authority(); err != nil || authority.Hex() != sender {
		t.Errorf("authority = %s, %v; want %s", authority, err, sender)
	}
	o := object(types.NewTx(setCode(t, nil)), big.NewInt(1))
	o["authorizationList"] = []json.RawMessage{out}
	tx, err := evm.Transaction{}.Decode(toJSON(t, o), key, bookWithDelegate())
	if err != nil || !tx.Complete || !reflect.DeepEqual(tx.Effects[0], in.Effects[0]) {
		t.Errorf("in a transaction it means %+v, %v; want %+v", tx.Effects, err, in.Effects)
	}
	if out, err := (evm.Authorization{}).Assemble(payload, key, nil); err == nil || out != nil {
		t.Errorf("Assemble without a signature = %s, %v; want an error", out, err)
	}
}

func TestTransactionWithAuthorizationsMeans(t *testing.T) {
	with := func(list ...types.SetCodeAuthorization) []byte {
		return raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.AuthList = list }))
	}
	pays := coinEffect(payee, "5")
	ended := handOver("eip155:1", sender, nobody, map[string]string{"nonce": "8"})
	ended.Quantity = signer.Quantity{}
	for name, test := range map[string]struct {
		payload  []byte
		effects  []signer.Effect
		complete bool
		warns    []string
	}{
		"to code that the owner knows": {with(authorize(t, 1, delegateCode, 8)),
			[]signer.Effect{handOver("eip155:1", sender, delegateCode, map[string]string{"nonce": "8"}), pays}, true, []string{evm.WarnDelegation}},
		"to code that nobody knows": {with(authorize(t, 1, stranger, 8)),
			[]signer.Effect{handOver("eip155:1", sender, stranger, map[string]string{"nonce": "8"}), pays}, false, []string{evm.WarnDelegation}},
		"ended": {with(authorize(t, 1, nobody, 8)), []signer.Effect{ended, pays}, true, nil},
		"on every chain": {with(authorize(t, 0, delegateCode, 8)),
			[]signer.Effect{handOver("eip155:1", sender, delegateCode, map[string]string{"nonce": "8", "every_chain": "true"}), pays}, false,
			[]string{evm.WarnEveryChain, evm.WarnDelegation}},
		"for another chain": {with(authorize(t, 10, delegateCode, 8)),
			[]signer.Effect{handOver("eip155:10", sender, delegateCode, map[string]string{"nonce": "8"}), pays}, false,
			[]string{evm.WarnOtherChain, evm.WarnDelegation}},
		"two, of which one is not known": {with(authorize(t, 1, delegateCode, 8), authorize(t, 1, stranger, 9)),
			[]signer.Effect{handOver("eip155:1", sender, delegateCode, map[string]string{"nonce": "8"}), handOver("eip155:1", sender, stranger, map[string]string{"nonce": "9"}), pays},
			false, []string{evm.WarnDelegation, evm.WarnDelegation}},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Transaction{}.Decode(test.payload, keyFor(t, "eip155:1"), bookWithDelegate())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(text(in.Effects), text(test.effects)) || in.Complete != test.complete || in.Class() != signer.ClassDelegation {
				t.Errorf("effects = %v, complete %v\nwant      %v, complete %v", text(in.Effects), in.Complete, text(test.effects), test.complete)
			}
			if got := warnings(in); !slices.Equal(got, test.warns) {
				t.Errorf("warnings = %v, want %v", got, test.warns)
			}
		})
	}
	in, err := evm.Transaction{}.Decode(with(authorize(t, 1, delegateCode, 8)), keyFor(t, "eip155:1"), bookWithDelegate())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"type": "4 (EIP-7702, hands accounts over to code)", "authorization 1: chain": "eip155:1", "authorization 1: authority": sender,
		"authorization 1: nonce": "8", "authorization 1: delegate": delegateCode + " (our delegate)",
	} {
		if got := field(in, name); got != value {
			t.Errorf("field %s = %q, want %q", name, got, value)
		}
	}
}

func TestTransactionRefusesAuthorizations(t *testing.T) {
	half, _ := new(big.Int).SetString("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", 16)
	order, _ := new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	with := func(change func(*types.SetCodeAuthorization)) []byte {
		a := authorize(t, 1, delegateCode, 8)
		change(&a)
		return raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.AuthList = []types.SetCodeAuthorization{a} }))
	}
	good, to := authorize(t, 1, delegateCode, 8), address(payee).Bytes()
	tuple := func(values ...any) []byte {
		return list(t, []byte{4}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, []any{values})
	}
	for name, test := range map[string]struct {
		payload []byte
		want    string
	}{
		"none": {raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.AuthList = nil })), "without an authorization"},
		"s in the upper half": {with(func(a *types.SetCodeAuthorization) {
			a.S.SetFromBig(new(big.Int).Sub(order, a.S.ToBig()))
			a.V ^= 1
		}), "authorization 1: no node takes this signature"},
		"s just above the half": {with(func(a *types.SetCodeAuthorization) { a.S.SetFromBig(new(big.Int).Add(half, big.NewInt(1))) }), "no node takes"},
		"r of zero":             {with(func(a *types.SetCodeAuthorization) { a.R = uint256.Int{} }), "no node takes"},
		"r of the order":        {with(func(a *types.SetCodeAuthorization) { a.R.SetFromBig(order) }), "no node takes"},
		"r of no point":         {with(func(a *types.SetCodeAuthorization) { a.R = *uint256.NewInt(5) }), "no node takes"},
		"parity of 2":           {with(func(a *types.SetCodeAuthorization) { a.V = 2 }), "no node takes"},
		"parity of 27":          {with(func(a *types.SetCodeAuthorization) { a.V = 27 }), "no node takes"},
		"the last nonce": {raw(t, setCode(t, func(tx *types.SetCodeTx) {
			tx.AuthList = []types.SetCodeAuthorization{authorize(t, 1, stranger, math.MaxUint64)}
		})), "authorization 1: nonce is 2^64-1"},
		"too many": {raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.AuthList = slices.Repeat([]types.SetCodeAuthorization{good}, 513) })),
			"513 entries of access list, blobs and authorizations; the most is 512"},
		"as a string":                 {list(t, []byte{4}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, []byte{1}), "authorization list: rlp: expected List"},
		"an entry as a string":        {list(t, []byte{4}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, []any{to}), "authorization 1: rlp: expected List"},
		"an entry without signature":  {tuple(1, to, 7), "authorization 1: y parity"},
		"an entry of seven":           {tuple(1, to, 7, 0, 1, 1, 1), "authorization 1: more than"},
		"a short delegate":            {tuple(1, to[1:], 7, 0, 1, 1), "authorization 1: address: 19 bytes"},
		"a chain above 64 bits":       {tuple(make9(), to, 7, 0, 1, 1), "authorization 1: chain id: a number of 9 bytes"},
		"no recipient":                {list(t, []byte{4}, 1, 7, 1, 2, 21000, []byte{}, 5, []byte{1}, []any{}, []any{}), "creates no contract"},
		"a nonce with a leading zero": {tuple(1, to, []byte{0, 1}, 0, 1, 1), "authorization 1: nonce: non-canonical"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.payload, keyFor(t, "eip155:1"), test.want) })
	}
}

// Each authorisation costs the recovery of a key, and a caller chooses how many.
func TestMostAuthorizationsAreReadInTime(t *testing.T) {
	many := make([]types.SetCodeAuthorization, 512)
	for i := range many {
		many[i] = authorize(t, 1, stranger, uint64(i))
	}
	payload := raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.AuthList = many }))
	key, best := keyFor(t, "eip155:1"), time.Hour
	for range 3 {
		start := time.Now()
		in, err := evm.Transaction{}.Decode(payload, key, book())
		best = min(best, time.Since(start))
		if err == nil || !strings.Contains(err.Error(), "more than 512 calls") {
			t.Fatalf("%s authorizations and a call = %d effects, %v; want them refused", strconv.Itoa(len(many)), len(in.Effects), err)
		}
	}
	t.Logf("512 authorizations: %s", best)
	if best > 500*time.Millisecond {
		t.Errorf("512 authorizations took %s; 50 ms are the bound", best)
	}
}

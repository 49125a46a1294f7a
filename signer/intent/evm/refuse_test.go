package evm_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// list is a transaction of loose values, for those that no encoder would write.
func list(t *testing.T, kind []byte, values ...any) []byte {
	t.Helper()
	return append(bytes.Clone(kind), encodeRLP(t, plain(values))...)
}

// plain turns every int into the type that go-ethereum encodes.
func plain(v any) any {
	switch v := v.(type) {
	case int:
		return uint64(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	default:
		return v
	}
}

func signedBytes(t *testing.T, data types.TxData) []byte {
	t.Helper()
	b, err := types.MustSignNewTx(private(t), types.LatestSignerForChainID(big.NewInt(1)), data).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signedBy signs with a key of the test's choosing.
func signedBy(t *testing.T, private string, data types.TxData) []byte {
	t.Helper()
	key, err := crypto.HexToECDSA(private)
	if err != nil {
		t.Fatal(err)
	}
	b, err := types.MustSignNewTx(key, types.LatestSignerForChainID(big.NewInt(1)), data).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// highS is a signed transaction whose signature has the other s, which recovers to the
// same key where nobody looks.
func highS(t *testing.T, payload []byte) []byte {
	t.Helper()
	tx := readBinary(t, payload)
	v, r, s := tx.RawSignatureValues()
	tail := encodeRLP(t, []any{v, r, s})
	tail = tail[len(tail)-len(encodeRLP(t, v))-len(encodeRLP(t, r))-len(encodeRLP(t, s)):]
	other := new(big.Int).Sub(crypto.S256().Params().N, s)
	flipped := new(big.Int).Xor(v, big.NewInt(1))
	if tx.Type() == types.LegacyTxType {
		flipped = new(big.Int).Sub(wei("75"), v) // 37 and 38 are those of chain 1
	}
	items := append(append(encodeRLP(t, flipped), encodeRLP(t, r)...), encodeRLP(t, other)...)
	body := bytes.TrimSuffix(payload, tail)
	kind := []byte{}
	if tx.Type() != types.LegacyTxType {
		kind, body = body[:1], body[1:]
	}
	_, inside, _, err := rlp.Split(append(bytes.Clone(body), tail...))
	if err != nil {
		t.Fatal(err)
	}
	inside = append(bytes.TrimSuffix(bytes.Clone(inside), tail), items...)
	return append(bytes.Clone(kind), encodeRLP(t, rlp.RawValue(listOf(inside)))...)
}

// listOf is the list of values that are encoded already.
func listOf(items []byte) []byte {
	w := rlp.NewEncoderBuffer(nil)
	at := w.List()
	_, _ = w.Write(items) // into memory
	w.ListEnd(at)
	return w.ToBytes()
}

func TestTransactionRefusesBytes(t *testing.T) {
	to, none := address(payee).Bytes(), []byte{}
	good := raw(t, pay(nil))
	two := []byte{2}
	leadingZero := bytes.Replace(list(t, two, 1, 0xee, 1, 2, 21000, to, 5, none, []any{}), []byte{0x81, 0xee}, []byte{0x00}, 1)
	leadingZero[1]-- // the list is one byte shorter
	legacy := func(tail ...any) []byte {
		return list(t, nil, append([]any{7, 2, 21000, to, 5, none}, tail...)...)
	}
	for name, test := range map[string]struct {
		payload []byte
		want    string
	}{
		"nothing":                                {nil, "empty"},
		"0x alone":                               {[]byte("0x"), "empty"},
		"odd hexadecimal digits":                 {[]byte("0x02f"), "hexadecimal text: encoding/hex: odd length"},
		"hexadecimal text with a line feed":      {append(toHex(good), '\n'), "hexadecimal text"},
		"text that is neither":                   {[]byte("hello"), "type 104: not supported; want type 0 to 4"},
		"hexadecimal text without 0x":            {[]byte(hex.EncodeToString(good)), "type 48: not supported"},
		"high byte that begins nothing":          {[]byte{0x80}, "begins with 0x80, which is neither a type nor an RLP list"},
		"0xff":                                   {[]byte{0xff}, "begins with 0xff"},
		"type 0 with its type":                   {append([]byte{0}, legacy(1, 0, 0)...), "type 0 is written without its type"},
		"type 3 with the fields of type 2":       {append([]byte{3}, good[1:]...), "9 fields, want 11"},
		"type 4 with the fields of type 2":       {append([]byte{4}, good[1:]...), "9 fields, want 10"},
		"type 5":                                 {append([]byte{5}, good[1:]...), "type 5: not supported"},
		"type 118 of another chain":              {append([]byte{0x76}, good[1:]...), "type 118: not supported"},
		"type without a body":                    {two, "transaction of type 2"},
		"type with a string for a body":          {[]byte{2, 0x80}, "transaction of type 2"},
		"truncated":                              {good[:len(good)-1], "transaction of type 2"},
		"trailing byte":                          {append(bytes.Clone(good), 0), "1 trailing bytes"},
		"trailing byte behind type 0":            {append(legacy(1, 0, 0), 0), "1 trailing bytes"},
		"empty list":                             {[]byte{0xc0}, "0 fields, want 9"},
		"six fields, before EIP-155":             {legacy(), "without a chain id (before EIP-155)"},
		"seven fields":                           {legacy(1), "7 fields, want 9"},
		"signed before EIP-155":                  {legacy(27, 1, 1), "without a chain id (before EIP-155)"},
		"signed with v of no chain":              {legacy(34, 1, 1), "v: 34; want 35 or more"},
		"signed with v beyond all chains":        {legacy(bytes.Repeat([]byte{0xff}, 9), 1, 1), "v: a chain id of more than 64 bits"},
		"signed with v of ten bytes":             {legacy(bytes.Repeat([]byte{1}, 10), 1, 1), "v: a number of 10 bytes"},
		"signed with r only":                     {legacy(37, 1, 0), "no node takes this signature"},
		"signed with s only":                     {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{}, 0, 0, 1), "no node takes this signature"},
		"signed with a parity of 2":              {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{}, 2, 1, 1), "no node takes this signature"},
		"signature field as a zero byte":         {legacy(37, 0, []byte{0}), "s: non-canonical"},
		"signature of 33 bytes":                  {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{}, 0, bytes.Repeat([]byte{1}, 33), 1), "r: a number of 33 bytes"},
		"type 1 with a field too many":           {list(t, []byte{1}, 1, 7, 2, 21000, to, 5, none, []any{}, 0), "9 fields, want 8, or three more"},
		"list for a number":                      {list(t, two, 1, []any{}, 1, 2, 21000, to, 5, none, []any{}), "nonce: rlp: expected String or Byte"},
		"number with a leading zero":             {leadingZero, "nonce: non-canonical: a number with leading zeros"},
		"chain id with a leading zero in type 0": {legacy([]byte{0, 1}, 0, 0), "chain id: non-canonical"},
		"chain id above 64 bits":                 {list(t, two, bytes.Repeat([]byte{1}, 9), 7, 1, 2, 21000, to, 5, none, []any{}), "chain id: a number of 9 bytes; the most is 8"},
		"chain id above 64 bits in type 0":       {legacy(bytes.Repeat([]byte{1}, 9), 0, 0), "chain id: a number of 9 bytes"},
		"nonce above 64 bits":                    {list(t, two, 1, bytes.Repeat([]byte{1}, 9), 1, 2, 21000, to, 5, none, []any{}), "nonce: a number of 9 bytes"},
		"value above 256 bits":                   {list(t, two, 1, 7, 1, 2, 21000, to, bytes.Repeat([]byte{1}, 33), none, []any{}), "value: a number of 33 bytes; the most is 32"},
		"single byte in long form":               {[]byte{0xca, 0x81, 7, 2, 1, 0x80, 5, 0x80, 1, 0x80, 0x80}, "non-canonical size"},
		"recipient of 19 bytes":                  {list(t, two, 1, 7, 1, 2, 21000, to[1:], 5, none, []any{}), "to: 19 bytes, want 20"},
		"recipient of 21 bytes":                  {list(t, two, 1, 7, 1, 2, 21000, append([]byte{0}, to...), 5, none, []any{}), "to: 21 bytes, want 20"},
		"access list as a string":                {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, none), "access list: rlp: expected List"},
		"access list entry of three":             {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{[]any{to, []any{}, 1}}), "more than address and storage keys"},
		"access list entry without keys":         {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{[]any{to}}), "access list: "},
		"access list entry that is a string":     {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{to}), "access list: rlp: expected List"},
		"access list address of 19 bytes":        {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{[]any{to[1:], []any{}}}), "access list: address: 19 bytes"},
		"access list key of 31 bytes":            {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{[]any{to, []any{make([]byte, 31)}}}), "access list: storage key: 31 bytes"},
		"access list broken behind a good entry": {list(t, two, 1, 7, 1, 2, 21000, to, 5, none, []any{[]any{to, []any{}}, 1}), "access list: rlp: expected List"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.payload, keyFor(t, "eip155:1"), test.want) })
	}
}

func refused(t *testing.T, payload []byte, key signer.KeyInfo, want string) {
	t.Helper()
	in, err := evm.Transaction{}.Decode(payload, key, book())
	if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), want) {
		t.Errorf("Decode error = %v, want code %q and %q", err, signer.CodeInvalid, want)
	}
	if len(in.Messages) != 0 {
		t.Errorf("a refused payload came with a message to sign: %x", in.Messages[0].Bytes)
	}
}

func TestTransactionRefusesWhatMakesNoSense(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 255)
	for name, test := range map[string]struct {
		change func(*types.DynamicFeeTx)
		want   string
	}{
		"other chain":           {func(tx *types.DynamicFeeTx) { tx.ChainID = big.NewInt(10) }, `for chain eip155:10, but key "hot" signs for eip155:1`},
		"chain id 0":            {func(tx *types.DynamicFeeTx) { tx.ChainID = new(big.Int) }, "chain id 0"},
		"no gas":                {func(tx *types.DynamicFeeTx) { tx.Gas = 0 }, "gas is 0"},
		"last nonce":            {func(tx *types.DynamicFeeTx) { tx.Nonce = math.MaxUint64 }, "2^64-1"},
		"tip above fee":         {func(tx *types.DynamicFeeTx) { tx.GasTipCap = wei("30000000001") }, "max priority fee per gas 30000000001 is above max fee per gas 30000000000"},
		"fee beyond 256 bits":   {func(tx *types.DynamicFeeTx) { tx.GasFeeCap = huge }, "exceeds 256 bits"},
		"sum beyond 256 bits":   {func(tx *types.DynamicFeeTx) { tx.Gas, tx.GasFeeCap, tx.Value = 1, huge, huge }, "exceeds 256 bits"},
		"creation without code": {func(tx *types.DynamicFeeTx) { tx.To = nil }, "neither a recipient (to) nor code"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, raw(t, pay(test.change)), keyFor(t, "eip155:1", "eip155:0"), strings.Replace(test.want, "signs for eip155:1", "signs for eip155:1, eip155:0", 1))
		})
	}
	t.Run("key without chains", func(t *testing.T) {
		refused(t, raw(t, pay(nil)), keyFor(t), `for chain eip155:1, but key "hot" signs for no chain at all`)
	})
	t.Run("key whose chain only begins alike", func(t *testing.T) {
		refused(t, raw(t, pay(nil)), keyFor(t, "eip155:10", "eip155:01"), "for chain eip155:1,")
	})
}

func TestTransactionRefusesJSON(t *testing.T) {
	good := func() map[string]any { return object(types.NewTx(pay(nil)), big.NewInt(1)) }
	for name, test := range map[string]struct {
		change map[string]any // nil removes
		want   string
	}{
		"no nonce":                       {map[string]any{"nonce": nil}, "nonce: missing; it is never filled in"},
		"no gas":                         {map[string]any{"gas": nil}, "gas: missing"},
		"no chain id":                    {map[string]any{"chainId": nil}, "chainId: missing"},
		"no fee":                         {map[string]any{"maxFeePerGas": nil, "maxPriorityFeePerGas": nil}, "no fee; give gasPrice, or maxFeePerGas and maxPriorityFeePerGas"},
		"no tip":                         {map[string]any{"maxPriorityFeePerGas": nil}, "maxPriorityFeePerGas: missing"},
		"no most":                        {map[string]any{"maxFeePerGas": nil}, "maxFeePerGas: missing"},
		"both sorts of fee":              {map[string]any{"gasPrice": "0x1"}, "both gasPrice and maxFeePerGas"},
		"misspelt field":                 {map[string]any{"nonse": "0x1"}, `unknown field "nonse"`},
		"field of a signed transaction":  {map[string]any{"v": "0x1"}, `unknown field "v"`},
		"case twin":                      {map[string]any{"Nonce": "0x1"}, `unknown field "Nonce"`},
		"number for a quantity":          {map[string]any{"nonce": 7}, `nonce: want a string, got a number; numbers are written as hexadecimal text: "nonce": "0x7"`},
		"decimal quantity":               {map[string]any{"nonce": "7"}, `nonce: "7": want a quantity such as`},
		"empty quantity":                 {map[string]any{"nonce": "0x"}, `nonce: "0x": want a quantity`},
		"signed quantity":                {map[string]any{"nonce": "0x-1"}, "want a quantity"},
		"quantity in upper-case prefix":  {map[string]any{"nonce": "0X1"}, "want a quantity"},
		"quantity with leading zeros":    {map[string]any{"value": "0x01"}, `value: "0x01": non-canonical`},
		"quantity of two zeros":          {map[string]any{"value": "0x00"}, "non-canonical"},
		"quantity of 257 bits":           {map[string]any{"value": "0x1" + strings.Repeat("0", 64)}, "value: more than 256 bits"},
		"nonce of 65 bits":               {map[string]any{"nonce": "0x1" + strings.Repeat("0", 16)}, "nonce: \"0x10000000000000000\": more than 64 bits"},
		"other sender":                   {map[string]any{"from": payee}, "from is " + payee + ", but the key's address is " + sender},
		"recipient in decimal":           {map[string]any{"to": "1234"}, `to: "1234" is no address`},
		"name for a recipient":           {map[string]any{"to": "vitalik.eth"}, "names are not looked up: write the address that the name stands for"},
		"several numbers":                {map[string]any{"chainId": 1, "nonce": 0, "value": 9007199254740991}, `: "nonce": "0x0", "value": "0x1fffffffffffff", "chainId": "0x1"`},
		"number that may be rounded":     {map[string]any{"value": 9007199254740992}, `: "value": "0x..."`},
		"number with an exponent":        {map[string]any{"value": json.Number("1e18")}, `: "value": "0x..."`},
		"number below zero":              {map[string]any{"value": -1}, `: "value": "0x..."`},
		"gas by its name in libraries":   {map[string]any{"gasLimit": "0x5208", "gas": nil}, `unknown field "gasLimit"; gasLimit is called gas here`},
		"gas of libraries as a number":   {map[string]any{"gasLimit": 21000, "gas": nil}, `gasLimit is called gas here; numbers are written as hexadecimal text: "gas": "0x5208"`},
		"type by its name in libraries":  {map[string]any{"type": "eip1559"}, `type: "eip1559" is its name in a library; write "0x2"`},
		"decimal text above 64 bits":     {map[string]any{"value": "1000000000000000000"}, `if it is decimal, that is "0xde0b6b3a7640000"`},
		"short recipient":                {map[string]any{"to": "0x1234"}, `to: "0x1234" is no address`},
		"empty recipient":                {map[string]any{"to": ""}, `to: "" is no address; want "0x" and 40 hexadecimal digits; where there is nobody, as in the to of a transaction that creates a contract, leave it out`},
		"recipient with a bad checksum":  {map[string]any{"to": strings.Replace(usdc, "A0b", "a0b", 1)}, "its checksum (EIP-55) does not hold"},
		"data of half a byte":            {map[string]any{"input": "0x1"}, "input: \"0x1\": want bytes"},
		"data and input that differ":     {map[string]any{"data": "0x01"}, "data: differs from input"},
		"type 3 without its fields":      {map[string]any{"type": "0x3"}, "type is 3, but its fields are those of type 2"},
		"type 4 without its fields":      {map[string]any{"type": "0x4"}, "type is 4, but its fields are those of type 2"},
		"type 5":                         {map[string]any{"type": "0x5"}, "type 5: not supported"},
		"type far off":                   {map[string]any{"type": "0x1ff"}, "type 511: not supported"},
		"type that is no quantity":       {map[string]any{"type": "two"}, "type: \"two\": want a quantity"},
		"type that its fields deny":      {map[string]any{"type": "0x0"}, "type is 0, but its fields are those of type 2"},
		"type 0 with an access list":     {map[string]any{"type": "0x0", "maxFeePerGas": nil, "maxPriorityFeePerGas": nil, "gasPrice": "0x1"}, "type is 0, but its fields are those of type 1"},
		"access list with a strange key": {map[string]any{"accessList": []any{map[string]any{"address": payee, "keys": 1}}}, `accessList[0]: unknown field "keys"`},
		"access list entry without keys": {map[string]any{"accessList": []any{map[string]any{"address": payee}}}, "an entry without address or storageKeys"},
		"access list with a short key":   {map[string]any{"accessList": []any{map[string]any{"address": payee, "storageKeys": []string{"0x01"}}}}, "storage key: 1 bytes, want 32"},
		"access list with a bad address": {map[string]any{"accessList": []any{map[string]any{"address": "0x01", "storageKeys": []string{}}}}, `accessList: address: "0x01" is no address`},
		"hostile text":                   {map[string]any{"nonce": "\u202e" + strings.Repeat("x", 500)}, `"\u202e` + strings.Repeat("x", 97) + `"... (503 bytes)`},
		"chain of another key":           {map[string]any{"chainId": "0xa"}, "for chain eip155:10"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			for k, v := range test.change {
				if v == nil {
					delete(o, k)
				} else {
					o[k] = v
				}
			}
			refused(t, toJSON(t, o), keyFor(t, "eip155:1"), test.want)
		})
	}
	t.Run("repeated field", func(t *testing.T) {
		refused(t, []byte(`{"value":"0x1","value":"0x2"}`), keyFor(t, "eip155:1"), "value: repeats")
	})
	t.Run("case twin behind the field", func(t *testing.T) {
		refused(t, []byte(`{"value":"0x1","Value":"0x2"}`), keyFor(t, "eip155:1"), `Value: repeats "value" in other letter case`)
	})
	t.Run("trailing value", func(t *testing.T) {
		refused(t, append(toJSON(t, good()), "{}"...), keyFor(t, "eip155:1"), "trailing data")
	})
}

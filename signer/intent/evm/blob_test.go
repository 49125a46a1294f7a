package evm_test

import (
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

func TestTransactionWithBlobsMeans(t *testing.T) {
	in := decode(t, raw(t, blobs(nil)))
	// gas 21000 at 30 gwei, and two blobs of 131072 gas at 3 gwei each.
	most := new(big.Int).Add(fee.N, big.NewInt(2*131072*3_000_000_000))
	if got, want := text(in.Effects), text([]signer.Effect{coinEffect(payee, "5")}); !reflect.DeepEqual(got, want) || len(in.Warnings) != 0 {
		t.Errorf("effects = %v, warnings %v; want %v and no warning", got, in.Warnings, want)
	}
	if in.Fee.N.Cmp(most) != 0 || in.Outflow[0].N.Cmp(new(big.Int).Add(most, big.NewInt(5))) != 0 || !in.Complete {
		t.Errorf("fee %s, outflow %v, complete %v; want %s, five more, complete", in.Fee.N, in.Outflow, in.Complete, most)
	}
	for name, value := range map[string]string{
		"type": "3 (EIP-4844, blobs)", "blobs": "2", "blob 1": common.Hash{1, 2}.Hex(), "blob 2": common.Hash{1, 3}.Hex(),
		"max fee per blob gas": "3 gwei (3000000000 base units)", "max blob fee": "0.000786432 eth (786432000000000 base units)",
		"max fee": "0.001416432 eth (1416432000000000 base units)",
	} {
		if got := field(in, name); got != value {
			t.Errorf("field %s = %q, want %q", name, got, value)
		}
	}
}

func TestTransactionRefusesBlobs(t *testing.T) {
	to := address(payee).Bytes()
	sidecar := func(tail ...any) []byte {
		body := []any{1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, 1, []any{}, 0, 1, 1}
		return list(t, []byte{3}, append([]any{body}, tail...)...)
	}
	for name, test := range map[string]struct {
		payload []byte
		want    string
	}{
		"none":                     {raw(t, blobs(func(tx *types.BlobTx) { tx.BlobHashes = nil })), "without a blob"},
		"seven":                    {raw(t, blobs(func(tx *types.BlobTx) { tx.BlobHashes = slices.Repeat(tx.BlobHashes, 4)[:7] })), "7 blobs; the most is 6 (EIP-7594)"},
		"six hundred":              {raw(t, blobs(func(tx *types.BlobTx) { tx.BlobHashes = slices.Repeat(tx.BlobHashes, 300) })), "600 entries of access list, blobs"},
		"a hash of no version":     {raw(t, blobs(func(tx *types.BlobTx) { tx.BlobHashes[1][0] = 0 })), "blob 2: its versioned hash begins with 0x00, want 0x01"},
		"a fee beyond 256 bits":    {raw(t, blobs(func(tx *types.BlobTx) { tx.BlobFeeCap = new(uint256.Int).Lsh(uint256.NewInt(1), 240) })), "exceeds 256 bits"},
		"a short hash":             {list(t, []byte{3}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, 1, []any{to}), "blob versioned hashes: 20 bytes, want 32"},
		"hashes as a string":       {list(t, []byte{3}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, 1, []byte{}), "blob versioned hashes: rlp: expected List"},
		"no recipient":             {list(t, []byte{3}, 1, 7, 1, 2, 21000, []byte{}, 5, []byte{1}, []any{}, 1, []any{}), "creates no contract"},
		"with its sidecar":         {sidecar([]any{}, []any{}, []any{}), "leave the sidecar out"},
		"with cell proofs":         {sidecar(1, []any{}, []any{}, []any{}), "leave the sidecar out"},
		"too long an access list":  {raw(t, blobs(func(tx *types.BlobTx) { tx.AccessList = make(types.AccessList, 511) })), "513 entries"},
		"tip above fee":            {raw(t, blobs(func(tx *types.BlobTx) { tx.GasTipCap = uint256.NewInt(1e18) })), "is above max fee per gas"},
		"a fee field as a list":    {list(t, []byte{3}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, []any{}, []any{}), "max fee per blob gas"},
		"twelve fields":            {list(t, []byte{3}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, 1, []any{}, 0), "12 fields, want 11"},
		"signed by nobody":         {list(t, []byte{3}, 1, 7, 1, 2, 21000, to, 5, []byte{}, []any{}, 1, []any{}, 0, 0, 0), "its signature: no node takes this signature"},
		"signed by another key":    {signedBy(t, "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d", blobs(nil)), "it is signed by 0x70997970C51812dc3A010C7d01b50e0d17dc79C8, but the key's address is " + sender},
		"signed, then made longer": {append(signedBytes(t, blobs(nil)), 0), "1 trailing bytes"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.payload, keyFor(t, "eip155:1"), test.want) })
	}
}

func TestJSONOfTypes3And4IsRefused(t *testing.T) {
	blob := func() map[string]any { return object(types.NewTx(blobs(nil)), big.NewInt(1)) }
	code := func() map[string]any { return object(types.NewTx(setCode(t, nil)), big.NewInt(1)) }
	one := func(change func(map[string]any)) []any {
		a := map[string]any{"chainId": "0x1", "address": stranger, "nonce": "0x7", "yParity": "0x0", "r": "0x1", "s": "0x1"}
		change(a)
		return []any{a}
	}
	for name, test := range map[string]struct {
		object map[string]any
		change map[string]any // nil removes
		want   string
	}{
		"blobs along":                    {blob(), map[string]any{"blobs": []string{"0x00"}}, "leave the sidecar out"},
		"commitments along":              {blob(), map[string]any{"commitments": []string{}}, "leave the sidecar out"},
		"proofs along":                   {blob(), map[string]any{"proofs": "0x"}, "leave the sidecar out"},
		"no fee for blobs":               {blob(), map[string]any{"maxFeePerBlobGas": nil}, "maxFeePerBlobGas: missing"},
		"no hashes":                      {blob(), map[string]any{"blobVersionedHashes": nil}, "blobVersionedHashes: missing"},
		"a short hash":                   {blob(), map[string]any{"blobVersionedHashes": []string{"0x01"}}, "blobVersionedHashes: 1 bytes, want 32"},
		"blobs and authorizations":       {blob(), map[string]any{"authorizationList": []any{}}, "no type has both"},
		"blobs at a gas price":           {blob(), map[string]any{"maxFeePerGas": nil, "maxPriorityFeePerGas": nil, "gasPrice": "0x1"}, "gasPrice beside blobs"},
		"blobs of type 2":                {blob(), map[string]any{"type": "0x2"}, "type is 2, but its fields are those of type 3"},
		"authorizations of type 2":       {code(), map[string]any{"type": "0x2"}, "type is 2, but its fields are those of type 4"},
		"no authorization":               {code(), map[string]any{"authorizationList": []any{}}, "without an authorization"},
		"no recipient":                   {code(), map[string]any{"to": nil}, "creates no contract"},
		"an authorization without chain": {code(), map[string]any{"authorizationList": one(func(a map[string]any) { delete(a, "chainId") })}, "authorizationList[0].chainId: missing"},
		"one without a delegate":         {code(), map[string]any{"authorizationList": one(func(a map[string]any) { delete(a, "address") })}, "authorizationList[0].address: missing"},
		"one without a signature":        {code(), map[string]any{"authorizationList": one(func(a map[string]any) { delete(a, "s") })}, "authorizationList[0].s: missing"},
		"one with v":                     {code(), map[string]any{"authorizationList": one(func(a map[string]any) { a["v"] = "0x1b" })}, `authorizationList[0]: unknown field "v"`},
		"one with a number":              {code(), map[string]any{"authorizationList": one(func(a map[string]any) { a["nonce"] = 7 })}, "want a string, got a number"},
		"one of no key":                  {code(), map[string]any{"authorizationList": one(func(a map[string]any) { a["r"] = "0x5" })}, "authorization 1: no node takes this signature"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range test.change {
				if v == nil {
					delete(test.object, k)
				} else {
					test.object[k] = v
				}
			}
			refused(t, toJSON(t, test.object), keyFor(t, "eip155:1"), test.want)
		})
	}
}

// A signed transaction means what the unsigned one does, and shows who signed it.
func TestSignedTransactionShowsItsSigner(t *testing.T) {
	for name, data := range map[string]types.TxData{
		"type 0": &types.LegacyTx{Nonce: 7, GasPrice: wei("1"), Gas: 21000, To: address(payee), Value: wei("5")},
		"type 1": &types.AccessListTx{ChainID: wei("1"), GasPrice: wei("1"), Gas: 21000, To: address(payee), Value: wei("5")},
		"type 2": pay(nil), "type 3": blobs(nil), "type 4": setCode(t, nil),
	} {
		t.Run(name, func(t *testing.T) {
			payload := signedBytes(t, data)
			in := decode(t, payload)
			unsigned := decode(t, rawOf(t, types.NewTx(data), wei("1")))
			if field(in, "signed by") != sender || field(in, "from") != sender || in.Digests[1].Name != "transaction hash" || in.Digests[1].Value != readBinary(t, payload).Hash() {
				t.Errorf("fields %v, digests %v; want the signer and the hash of the transaction", in.Fields, in.Digests)
			}
			if in.Digests[0] != unsigned.Digests[0] || string(in.Messages[0].Bytes) != string(unsigned.Messages[0].Bytes) {
				t.Errorf("a signed transaction has the key sign %x, an unsigned one %x", in.Messages[0].Bytes, unsigned.Messages[0].Bytes)
			}
			seen, err := evm.Transaction{}.Preview(payload, "", book())
			if err != nil || field(seen, "from") != sender || seen.Effects[0].Actor != account(sender) {
				t.Errorf("Preview = %+v, %v; want the sender recovered", seen, err)
			}
			if _, err := (evm.Transaction{}).Preview(payload, payee, book()); signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "it is signed by "+sender+", but the account that --from names is "+payee) {
				t.Errorf("Preview for another sender = %v, want it refused", err)
			}
			refused(t, highS(t, payload), keyFor(t, "eip155:1"), "no node takes this signature")
		})
	}
}

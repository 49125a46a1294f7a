package erc7730_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

const safeTxKey = "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"

// gallery are the descriptors of testdata, and more of a Safe and of what is called.
func gallery(t *testing.T) *erc7730.Set {
	t.Helper()
	var files []string
	names, err := filepath.Glob(descriptors + "/*.json")
	if err != nil || len(names) < 4 {
		t.Fatalf("%d descriptors, %v", len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Base(name), string(data))
	}
	const schema = `{"$schema":"erc7730-v2.schema.json",`
	at := func(a common.Address) string {
		return `{"deployments":[{"chainId":1,"address":"` + a.Hex() + `"}]}`
	}
	inner := `{"path":"data","label":"Inner","format":"calldata","params":{"calleePath":"to","amountPath":"value"}}`
	files = append(files,
		"safetx.json", schema+`"context":{"eip712":`+at(safe)+`},"display":{"formats":{"`+safeTxKey+`":{"intent":"Safe transaction","fields":[`+inner+`]}}}}`,
		"thief.json", schema+`"context":{"contract":`+at(nobody)+`},"display":{"formats":{"transfer(address to,uint256 value)":{"intent":"Transfer","fields":[]}}}}`,
		"account.json", schema+`"context":{"contract":`+at(router)+`},"display":{"formats":{
			"execute(address to,uint256 value,bytes data)":{"intent":"Execute","fields":[`+inner+`]},
			"transfer(address to,uint256 value)":{"intent":"Transfer","fields":[]}}}}`)
	set := folder(t, files...)
	if r := set.Refused(); len(r) > 0 {
		t.Fatal(r)
	}
	return set
}

// safeTx is a Safe's transaction as typed data.
func safeTx(t *testing.T, to common.Address, data []byte, operation int) []byte {
	t.Helper()
	types, _ := strings.CutPrefix(strings.TrimSuffix(safeTxKey, ")"), "SafeTx(")
	var members []map[string]string
	for m := range strings.SplitSeq(types, ",") {
		typ, name, _ := strings.Cut(m, " ")
		members = append(members, map[string]string{"type": typ, "name": name})
	}
	out, err := json.Marshal(map[string]any{
		"types": map[string]any{
			"EIP712Domain": []map[string]string{{"type": "uint256", "name": "chainId"}, {"type": "address", "name": "verifyingContract"}},
			"SafeTx":       members,
		},
		"primaryType": "SafeTx", "domain": map[string]any{"chainId": 1, "verifyingContract": safe.Hex()},
		"message": map[string]any{
			"to": to.Hex(), "value": "0", "data": fmt.Sprintf("0x%x", data), "operation": operation, "safeTxGas": "0", "baseGas": "0",
			"gasPrice": "0", "gasToken": null.Hex(), "refundReceiver": null.Hex(), "nonce": "41",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// batch is a call of MultiSend with one call in it, as Safe packs it.
func batch(operation byte, to common.Address, data []byte) []byte {
	packed := append([]byte{operation}, to[:]...)
	packed = append(packed, make([]byte, 32)...)
	length := common.LeftPadBytes([]byte{byte(len(data))}, 32)
	return abi.MustParseSignature("multiSend(bytes)").Call(abi.BytesValue(append(append(packed, length...), data...)))
}

// delegating is a transfer of a token and, beside it, an authorisation to run code as
// the account from then on (EIP-7702).
func delegating(t *testing.T, data []byte) []byte {
	t.Helper()
	var tx map[string]any
	if err := json.Unmarshal(transaction(t, usdc, data), &tx); err != nil {
		t.Fatal(err)
	}
	tx["type"] = "0x4"
	tx["authorizationList"] = []any{map[string]any{
		"chainId": "0x1", "address": nobody.Hex(), "nonce": "0x2", "yParity": "0x0",
		"r": "0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "s": "0x1", // somebody's
	}}
	out, err := json.Marshal(tx)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestForeignCodeHasNoLabels: code that runs as the account is no call, whatever the
// descriptor of the contract that it is from calls it. The owners of a Safe at Bybit saw
// a transfer.
func TestForeignCodeHasNoLabels(t *testing.T) {
	multiSend := common.HexToAddress("0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761")
	transfer := abi.MustParseSignature("transfer(address,uint256)").Call(abi.Addr(acme), abi.Uint64(0))
	set := gallery(t)
	for name, test := range map[string]struct {
		kind    signer.Kind
		payload []byte
		class   string // empty: it is labelled
	}{
		"a call by a Safe":                       {signer.KindEVMTransaction, transaction(t, safe, execTransaction(usdc, transfer, 0)), ""},
		"code run by a Safe":                     {signer.KindEVMTransaction, transaction(t, safe, execTransaction(nobody, transfer, 1)), "delegatecall"},
		"code of a known token, run by a Safe":   {signer.KindEVMTransaction, transaction(t, safe, execTransaction(usdc, transfer, 1)), "delegatecall"},
		"a signed call of a Safe":                {signer.KindEVMTypedData, safeTx(t, usdc, transfer, 0), ""},
		"code that a Safe is to run, signed":     {signer.KindEVMTypedData, safeTx(t, nobody, transfer, 1), "delegatecall"},
		"a batch of calls, run as it is meant":   {signer.KindEVMTransaction, transaction(t, safe, execTransaction(multiSend, batch(0, usdc, transfer), 1)), ""},
		"code that a batch runs":                 {signer.KindEVMTransaction, transaction(t, safe, execTransaction(multiSend, batch(1, nobody, transfer), 1)), "delegatecall"},
		"code that a signed batch runs":          {signer.KindEVMTypedData, safeTx(t, multiSend, batch(1, nobody, transfer), 1), "delegatecall"},
		"code that the account runs from now on": {signer.KindEVMTransaction, delegating(t, transfer), "delegation"},
	} {
		t.Run(name, func(t *testing.T) {
			cs, err := set.Describe(intentOf(t, test.kind, test.payload), test.payload, acme.Hex(), book)
			if test.class == "" {
				if err != nil || cs == nil {
					t.Errorf("Describe = %v, %v; want labels", cs, err)
				}
				return
			}
			want := "code of another contract runs as the account (" + test.class + ")"
			if cs != nil || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Describe = %v, %v; want no labels and %q", cs, err, want)
			}
		})
	}
}

// TestCallsInWhatWasNotRead: of a contract that is not known nobody can say whether it
// calls another or runs its code as its own. What it does to itself is the same either
// way.
func TestCallsInWhatWasNotRead(t *testing.T) {
	transfer := abi.MustParseSignature("transfer(address,uint256)").Call(abi.Addr(acme), abi.Uint64(0))
	execute := func(to common.Address) []byte {
		return abi.MustParseSignature("execute(address,uint256,bytes)").Call(abi.Addr(to), abi.Uint64(0), abi.BytesValue(transfer))
	}
	known := signer.NewBook(book.Assets, map[string]signer.Contract{"eip155:1:" + router.Hex(): {Name: "wallet", Kind: signer.ContractAccount}}, book.Accounts)
	set := gallery(t)
	for name, test := range map[string]struct {
		book  signer.Book
		inner common.Address
		want  string
	}{
		"another's, by an account that is known":     {known, usdc, "call to 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 (usdc) with 0 ether (0 base units): Send 0 usdc"},
		"another's, by an account that is not known": {book, usdc, "68 bytes of calldata for 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 (usdc) with 0 ether (0 base units), digest 0x5fd54271f793681df1861aab72d6d75613ab9516a5c1d49fb7a4ea863da9810a, not read: what 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 does with it is not known"},
		"its own": {book, router, "call to 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 with 0 ether (0 base units): Transfer"},
	} {
		t.Run(name, func(t *testing.T) {
			payload := transaction(t, router, execute(test.inner))
			in, err := evm.Transaction{}.Preview(payload, acme.Hex(), test.book)
			if err != nil {
				t.Fatal(err)
			}
			cs, err := set.Describe(in, payload, acme.Hex(), test.book)
			if err != nil || cs == nil || !strings.Contains(cs.Fields[0].Value, test.want) {
				t.Errorf("Describe = %+v, %v; want %q", cs, err, test.want)
			}
		})
	}
}

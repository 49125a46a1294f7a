package erc7730_test

import (
	"encoding/json"
	"flag"
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

var update = flag.Bool("update", false, "write what is shown into testdata, and pin the descriptors there")

const descriptors = "testdata/descriptors"

// transaction is what eth_signTransaction takes.
func transaction(t *testing.T, to common.Address, data []byte) []byte {
	t.Helper()
	out, err := json.Marshal(map[string]any{
		"type": "0x2", "chainId": "0x1", "nonce": "0x1", "gas": "0x30d40", "maxFeePerGas": "0x4a817c800", "maxPriorityFeePerGas": "0x3b9aca00",
		"to": to.Hex(), "value": "0x0", "data": fmt.Sprintf("0x%x", data), "accessList": []any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// execTransaction is one of the Safe's.
func execTransaction(to common.Address, data []byte, operation uint64) []byte {
	return abi.MustParseSignature("execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)").Call(
		abi.Addr(to), abi.Uint64(0), abi.BytesValue(data), abi.Uint64(operation), abi.Uint64(0), abi.Uint64(0), abi.Uint64(0),
		abi.Addr(null), abi.Addr(null), abi.BytesValue(nil))
}

// intentOf is what the decoder of a kind reads in a payload.
func intentOf(t *testing.T, kind signer.Kind, payload []byte) signer.Intent {
	t.Helper()
	read := evm.Transaction{}.Preview
	if kind == signer.KindEVMTypedData {
		read = evm.TypedData{}.Preview
	}
	in, err := read(payload, acme.Hex(), book)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestGallery shows payloads as a daemon would: from a pinned folder, whole payloads
// in, text out.
func TestGallery(t *testing.T) {
	if *update {
		manifest, refused, err := erc7730.Pin(os.DirFS(descriptors))
		if err != nil || len(refused) > 0 {
			t.Fatalf("Pin: %v, %v", refused, err)
		}
		write(t, filepath.Join(descriptors, erc7730.ManifestName), string(manifest))
	}
	set, err := erc7730.Load(os.DirFS(descriptors))
	if err != nil {
		t.Fatal(err)
	}
	transfer := abi.MustParseSignature("transfer(address,uint256)").Call(abi.Addr(acme), abi.Uint64(2_500_000))
	approve := abi.MustParseSignature("approve(address,uint256)").Call(abi.Addr(nobody), most)
	permit := `{"types":{
		"EIP712Domain":[{"name":"name","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],
		"PermitBatch":[{"name":"details","type":"PermitDetails[]"},{"name":"spender","type":"address"},{"name":"sigDeadline","type":"uint256"}],
		"PermitDetails":[{"name":"token","type":"address"},{"name":"amount","type":"uint160"},{"name":"expiration","type":"uint48"},{"name":"nonce","type":"uint48"}]},
		"primaryType":"PermitBatch",
		"domain":{"name":"Permit2","chainId":1,"verifyingContract":"0x000000000022D473030F116dDEE9F6B43aC78BA3"},
		"message":{"spender":"` + router.Hex() + `","sigDeadline":"1798761600","details":[
			{"token":"` + usdc.Hex() + `","amount":"1461501637330902918203684832716283019655932542975","expiration":"281474976710655","nonce":0},
			{"token":"` + nobody.Hex() + `","amount":"1000","expiration":"1798761600","nonce":0}]}}`
	for name, test := range map[string]struct {
		kind    signer.Kind
		payload []byte
	}{
		"a transfer":              {signer.KindEVMTransaction, transaction(t, usdc, transfer)},
		"an approval without end": {signer.KindEVMTransaction, transaction(t, usdc, approve)},
		"a Safe that transfers":   {signer.KindEVMTransaction, transaction(t, safe, execTransaction(usdc, transfer, 0))},
		"a Permit2 of two tokens": {signer.KindEVMTypedData, []byte(permit)},
	} {
		t.Run(name, func(t *testing.T) {
			cs, err := set.Describe(intentOf(t, test.kind, test.payload), test.payload, "eip155:1:"+acme.Hex(), book)
			if err != nil || cs == nil {
				t.Fatalf("Describe = %v, %v", cs, err)
			}
			got := fmt.Sprintf("descriptor: %s\nowner: %s\nintent: %s\nsentence: %s\n\n%s", cs.Descriptor, cs.Owner, cs.Intent, cs.InterpolatedIntent, text(cs.Fields))
			golden := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".golden")
			if *update {
				write(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDescribe has what is no payload for a descriptor.
func TestDescribe(t *testing.T) {
	set, err := erc7730.Load(os.DirFS(descriptors))
	if err != nil {
		t.Fatal(err)
	}
	good := transaction(t, usdc, abi.MustParseSignature("transfer(address,uint256)").Call(abi.Addr(acme), abi.Uint64(1)))
	create, err := json.Marshal(map[string]any{
		"type": "0x2", "chainId": "0x1", "nonce": "0x1", "gas": "0x30d40", "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x1", "value": "0x0", "data": "0x6000", "accessList": []any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		kind    signer.Kind
		payload []byte
		from    string
		shown   bool
		code    signer.Code
	}{
		"a sender by address":        {signer.KindEVMTransaction, good, acme.Hex(), true, ""},
		"no sender":                  {signer.KindEVMTransaction, good, "", true, ""},
		"a sender that is none":      {signer.KindEVMTransaction, good, "acme", false, signer.CodeInvalid},
		"no transaction":             {signer.KindEVMTransaction, []byte("{}"), "", false, signer.CodeInvalid},
		"no typed data":              {signer.KindEVMTypedData, good, "", false, signer.CodeInvalid},
		"a contract that is created": {signer.KindEVMTransaction, create, "", false, ""},
		"a message":                  {signer.KindEVMMessage, []byte("hello"), "", false, ""},
		"a kind of another family":   {signer.KindDigest, make([]byte, 32), "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cs, err := set.Describe(signer.Intent{Kind: test.kind}, test.payload, test.from, book)
			if (cs != nil) != test.shown || (err != nil) != (test.code != "") || err != nil && signer.CodeOf(err) != test.code {
				t.Errorf("Describe = %v, %v; want shown %v, code %q", cs, err, test.shown, test.code)
			}
		})
	}
	t.Run("names of contracts", func(t *testing.T) {
		if name, ok := set.ContractName(1, usdc); name != "USD Coin" || !ok {
			t.Errorf("ContractName = %q, %v", name, ok)
		}
		if name, ok := set.ContractName(42161, common.HexToAddress("0x000000000022D473030F116dDEE9F6B43aC78BA3")); name != "Permit2" || !ok {
			t.Errorf("ContractName = %q, %v", name, ok)
		}
		if name, ok := set.ContractName(10, usdc); ok {
			t.Errorf("ContractName of another chain = %q", name)
		}
	})
	t.Run("a contract with two names has none", func(t *testing.T) {
		a := descriptor("", "f()", `{"fields":[]}`)
		b := strings.Replace(descriptor("", "g()", `{"fields":[]}`), `"Router"`, `"Rooter"`, 1)
		if name, ok := folder(t, "a.json", a, "b.json", b, "c.json", strings.Replace(a, `"f()"`, `"h()"`, 1)).ContractName(1, router); ok {
			t.Errorf("ContractName = %q", name)
		}
	})
}

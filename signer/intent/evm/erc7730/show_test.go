package erc7730_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

var (
	router = common.HexToAddress("0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45")
	usdc   = common.HexToAddress("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
	punks  = common.HexToAddress("0xb47e3cd837dDF8e4c57F05d70Ab865de6e193BBB")
	acme   = common.HexToAddress("0x52908400098527886E0F7030069857D2E4169EE7")
	safe   = common.HexToAddress("0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552")
	nobody = common.HexToAddress("0xdAC17F958D2ee523a2206206994597C13D831ec7")
	null   common.Address
)

// book is what the owner's files say in these tests.
var book = signer.NewBook(
	map[string]signer.Asset{
		"eip155:1/erc20:" + usdc.Hex():   {ID: "eip155:1/erc20:" + usdc.Hex(), Name: "usdc", Decimals: 6},
		"eip155:10/erc20:" + usdc.Hex():  {ID: "eip155:10/erc20:" + usdc.Hex(), Name: "usdc.e", Decimals: 6},
		"eip155:1/erc721:" + punks.Hex(): {ID: "eip155:1/erc721:" + punks.Hex(), Name: "punks"},
	},
	map[string]signer.Contract{"eip155:1:" + safe.Hex(): {Name: "treasury safe", Kind: signer.ContractSafe}},
	map[string]string{"eip155:1:" + acme.Hex(): "Acme Hosting"},
)

// descriptor writes one for a function of the router.
func descriptor(metadata, key, format string) string {
	return fmt.Sprintf(`{
		"$schema": "../../specs/erc7730-v2.schema.json",
		"context": {"contract": {"deployments": [{"chainId": 1, "address": %q}]}},
		"metadata": {"owner": "Router Labs", "contractName": "Router"%s},
		"display": {"definitions": {}, "formats": {%q: %s}}
	}`, router.Hex(), metadata, key, format)
}

// folder pins files, given as paths and texts in turn, and loads them.
func folder(t testing.TB, files ...string) *erc7730.Set {
	t.Helper()
	dir := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		dir[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	manifest, _, err := erc7730.Pin(dir)
	if err != nil {
		t.Fatalf("Pin: %v", err)
	}
	dir[erc7730.ManifestName] = &fstest.MapFile{Data: manifest}
	set, err := erc7730.Load(dir)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return set
}

// one loads one descriptor, which must be in use.
func one(t testing.TB, text string) *erc7730.Set {
	t.Helper()
	set := folder(t, "calldata-router.json", text)
	if r := set.Refused(); len(r) > 0 {
		t.Fatalf("refused: %v", r[0])
	}
	return set
}

// call is one to the router, with a value of 0.5 ether.
func call(key string, args ...abi.Value) erc7730.Call {
	return erc7730.Call{
		ChainID: 1, From: &safe, To: router, Value: uint256.NewInt(500_000_000_000_000_000),
		Data: abi.MustParseSignature(key).Call(args...),
	}
}

func text(fields []signer.Labelled) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f.Label + ": " + f.Value + "\n")
	}
	return b.String()
}

func uints(ns ...uint64) abi.Value {
	var out []abi.Value
	for _, n := range ns {
		out = append(out, abi.Uint64(n))
	}
	return abi.List(out...)
}

func word(text string) abi.Value {
	n, ok := new(big.Int).SetString(strings.TrimPrefix(text, "0x"), 16)
	if !ok {
		panic(text)
	}
	return abi.Uint256(uint256.MustFromBig(n))
}

func raw(text string) abi.Value { return abi.BytesValue(common.FromHex(text)) }

var most = abi.Uint256(new(uint256.Int).SetAllOne())

// TestFormats has every format of the schema with its parameters, and what it shows.
func TestFormats(t *testing.T) {
	const metadata = `, "constants": {"max": "0x8000000000000000000000000000000000000000000000000000000000000000", "eth": "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE", "tick": "bps"},
		"enums": {"mode": {"1": "stable", "2": "variable"}, "flag": {"true": "on"}, "kind": {"0xAA": "bid"}},
		"maps": {"underlying": {"$keyType": "chain", "values": {"1": "` + "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48" + `"}}}`
	const eth = "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"
	interop := "0001000001011452908400098527886e0f7030069857d2e4169ee7"
	for name, test := range map[string]struct {
		key, field string
		args       []abi.Value
		want       string
	}{
		"a raw unsigned integer":       {"f(uint256 x)", `{"path":"x","label":"L","format":"raw"}`, []abi.Value{most}, "L: 115792089237316195423570985008687907853269984665640564039457584007913129639935\n"},
		"a raw negative integer":       {"f(int64 x)", `{"path":"x","label":"L","format":"raw"}`, []abi.Value{abi.Int64(-5)}, "L: -5\n"},
		"a raw bool":                   {"f(bool x)", `{"path":"x","label":"L","format":"raw"}`, []abi.Value{abi.Truth(true)}, "L: true\n"},
		"a raw address is in full":     {"f(address x)", `{"path":"x","label":"L","format":"raw"}`, []abi.Value{abi.Addr(acme)}, "L: 0x52908400098527886E0F7030069857D2E4169EE7\n"},
		"raw bytes":                    {"f(bytes x)", `{"path":"x","label":"L","format":"raw"}`, []abi.Value{raw("00ff")}, "L: 0x00ff\n"},
		"a raw text is not touched":    {"f(string x)", `{"path":"x","label":"L","format":"raw"}`, []abi.Value{abi.TextValue("a\u202eb\n")}, "L: a\u202eb\n\n"},
		"no format is raw":             {"f(uint8 x)", `{"path":"x","label":"L"}`, []abi.Value{abi.Uint64(7)}, "L: 7\n"},
		"no label is the path":         {"f(uint8 x)", `{"path":"#.x"}`, []abi.Value{abi.Uint64(7)}, "x: 7\n"},
		"an amount in the chain's own": {"f()", `{"path":"@.value","label":"L","format":"amount"}`, nil, "L: 0.5 ether (500000000000000000 base units)\n"},

		"a token that the owner lists":              {"f(uint256 x,address t)", `{"path":"x","label":"L","format":"tokenAmount","params":{"tokenPath":"t"}}`, []abi.Value{abi.Uint64(2_500_000), abi.Addr(usdc)}, "L: 2.5 usdc (2500000 base units)\n"},
		"an unknown token is an integer":            {"f(uint256 x,address t)", `{"path":"x","label":"L","format":"tokenAmount","params":{"tokenPath":"t"}}`, []abi.Value{abi.Uint64(2_500_000), abi.Addr(nobody)}, "L: 2500000 base units of unknown token 0xdAC17F958D2ee523a2206206994597C13D831ec7\n"},
		"no token at all":                           {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount"}`, []abi.Value{abi.Uint64(5)}, "L: 5 base units of an unknown token\n"},
		"the coin, by its address":                  {"f(uint256 x,address t)", `{"path":"x","label":"L","format":"tokenAmount","params":{"tokenPath":"t","nativeCurrencyAddress":["$.metadata.constants.eth"]}}`, []abi.Value{abi.Uint64(2_000_000_000_000_000), abi.Addr(common.HexToAddress(eth))}, "L: 0.002 ether (2000000000000000 base units)\n"},
		"a token that is called the coin":           {"f(uint256 x,address t)", `{"path":"x","label":"L","format":"tokenAmount","params":{"tokenPath":"t","nativeCurrencyAddress":"` + usdc.Hex() + `"}}`, []abi.Value{abi.Uint64(5_000_000_000), abi.Addr(usdc)}, "L: 5000 usdc (5000000000 base units)\n"},
		"an unlisted token that is called the coin": {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + nobody.Hex() + `","nativeCurrencyAddress":["` + nobody.Hex() + `"]}}`, []abi.Value{abi.Uint64(5_000_000)}, "L: 0.000000000005 ether (5000000 base units) (by its address 0xdAC17F958D2ee523a2206206994597C13D831ec7, which the descriptor takes for the coin)\n"},
		"one of which there is no end":              {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + nobody.Hex() + `","nativeCurrencyAddress":["` + nobody.Hex() + `"],"threshold":"1"}}`, []abi.Value{abi.Uint64(5)}, "L: Unlimited ether (5 base units) (by its address 0xdAC17F958D2ee523a2206206994597C13D831ec7, which the descriptor takes for the coin)\n"},
		"the zero address that is called the coin":  {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + null.Hex() + `","nativeCurrencyAddress":["` + null.Hex() + `"]}}`, []abi.Value{abi.Uint64(0)}, "L: 0 ether (0 base units)\n"},
		"the coin, without a limit":                 {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + eth + `","nativeCurrencyAddress":"` + eth + `","threshold":"10"}}`, []abi.Value{abi.Uint64(10)}, "L: Unlimited ether (10 base units)\n"},
		"the threshold, with the integer":           {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + usdc.Hex() + `","threshold":"$.metadata.constants.max","message":"All"}}`, []abi.Value{most}, "L: All usdc (115792089237316195423570985008687907853269984665640564039457584007913129639935 base units)\n"},
		"below the threshold":                       {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + usdc.Hex() + `","threshold":"0xff","message":"All"}}`, []abi.Value{abi.Uint64(254)}, "L: 0.000254 usdc (254 base units)\n"},
		"without a limit, of an unknown token":      {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + nobody.Hex() + `","threshold":"1"}}`, []abi.Value{abi.Uint64(9)}, "L: Unlimited of unknown token 0xdAC17F958D2ee523a2206206994597C13D831ec7 (9 base units)\n"},
		"a message cannot hide the integer":         {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + usdc.Hex() + `","threshold":"0","message":"No"}}`, []abi.Value{abi.Uint64(9_000_000)}, "L: No usdc (9000000 base units)\n"},
		"a token of another chain":                  {"f(uint256 x,uint64 c)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + usdc.Hex() + `","chainIdPath":"c"}}`, []abi.Value{abi.Uint64(1), abi.Uint64(10)}, "L: 0.000001 usdc.e (1 base units) on eip155:10 (OP Mainnet)\n"},
		"a token of a constant chain":               {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":"` + usdc.Hex() + `","chainId":10}}`, []abi.Value{abi.Uint64(1)}, "L: 0.000001 usdc.e (1 base units) on eip155:10 (OP Mainnet)\n"},
		"a token out of a map":                      {"f(uint256 x)", `{"path":"x","label":"L","format":"tokenAmount","params":{"token":{"map":"$.metadata.maps.underlying","keyPath":"@.chainId"}}}`, []abi.Value{abi.Uint64(1)}, "L: 0.000001 usdc (1 base units)\n"},
		"a token packed into a number":              {"f(uint256 x,uint256 t)", `{"path":"x","label":"L","format":"tokenAmount","params":{"tokenPath":"t.[-20:]"}}`, []abi.Value{abi.Uint64(1), word("0xff0000000000000000000000A0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")}, "L: 0.000001 usdc (1 base units)\n"},
		"a token within bytes":                      {"f(uint256 x,bytes p)", `{"path":"x","label":"L","format":"tokenAmount","params":{"tokenPath":"p.[0:20]"}}`, []abi.Value{abi.Uint64(1), raw(usdc.Hex() + "000bb8")}, "L: 0.000001 usdc (1 base units)\n"},
		"an amount within bytes":                    {"f(bytes p)", `{"path":"p.[1:3]","label":"L","format":"tokenAmount","params":{"token":"` + usdc.Hex() + `"}}`, []abi.Value{raw("ff0100ff")}, "L: 0.000256 usdc (256 base units)\n"},
		"a ticker that the owner lists":             {"f(address t)", `{"path":"t","label":"L","format":"tokenTicker"}`, []abi.Value{abi.Addr(usdc)}, "L: 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 (usdc)\n"},
		"a ticker on another chain":                 {"f(address t)", `{"path":"t","label":"L","format":"tokenTicker","params":{"chainId":10}}`, []abi.Value{abi.Addr(usdc)}, "L: 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 (usdc.e) on eip155:10 (OP Mainnet)\n"},
		"a ticker that nobody lists":                {"f(address t)", `{"path":"t","label":"L","format":"tokenTicker"}`, []abi.Value{abi.Addr(nobody)}, "L: 0xdAC17F958D2ee523a2206206994597C13D831ec7 (unknown token)\n"},
		"an item of a collection that is listed":    {"f(uint256 x,address c)", `{"path":"x","label":"L","format":"nftName","params":{"collectionPath":"c"}}`, []abi.Value{abi.Uint64(1036), abi.Addr(punks)}, "L: 1036 of 0xb47e3cd837dDF8e4c57F05d70Ab865de6e193BBB (punks)\n"},
		"an item of a collection that is not":       {"f(uint256 x)", `{"path":"x","label":"L","format":"nftName","params":{"collection":"` + nobody.Hex() + `"}}`, []abi.Value{abi.Uint64(1036)}, "L: 1036 of 0xdAC17F958D2ee523a2206206994597C13D831ec7\n"},
		"a date is in UTC":                          {"f(uint48 x)", `{"path":"x","label":"L","format":"date","params":{"encoding":"timestamp"}}`, []abi.Value{abi.Uint64(1709191632)}, "L: 2024-02-29T07:27:12Z\n"},
		"the last second that has a date":           {"f(uint48 x)", `{"path":"x","label":"L","format":"date","params":{"encoding":"timestamp"}}`, []abi.Value{abi.Uint64(253402300799)}, "L: 9999-12-31T23:59:59Z\n"},
		"a date that is never":                      {"f(uint48 x)", `{"path":"x","label":"L","format":"date","params":{"encoding":"timestamp"}}`, []abi.Value{abi.Uint64(253402300800)}, "L: 253402300800 seconds after 1970 (no date before the year 10000)\n"},
		"a block stays a block":                     {"f(uint256 x)", `{"path":"x","label":"L","format":"date","params":{"encoding":"blockheight"}}`, []abi.Value{abi.Uint64(19332140)}, "L: block 19332140\n"},
		"a duration":                                {"f(uint32 x)", `{"path":"x","label":"L","format":"duration"}`, []abi.Value{abi.Uint64(8250)}, "L: 02:17:30\n"},
		"a duration of more than a day":             {"f(uint32 x)", `{"path":"x","label":"L","format":"duration"}`, []abi.Value{abi.Uint64(360_000)}, "L: 100:00:00\n"},
		"a unit":                                    {"f(uint32 x)", `{"path":"x","label":"L","format":"unit","params":{"base":"h"}}`, []abi.Value{abi.Uint64(10)}, "L: 10h\n"},
		"a unit with decimals":                      {"f(uint32 x)", `{"path":"x","label":"L","format":"unit","params":{"base":"%","decimals":4}}`, []abi.Value{abi.Uint64(3000)}, "L: 0.3% (3000)\n"},
		"a unit with a prefix":                      {"f(uint32 x)", `{"path":"x","label":"L","format":"unit","params":{"base":"s","prefix":true}}`, []abi.Value{abi.Uint64(36000)}, "L: 36ks (36000)\n"},
		"a unit with a small prefix":                {"f(uint32 x)", `{"path":"x","label":"L","format":"unit","params":{"base":"g","prefix":true,"decimals":9}}`, []abi.Value{abi.Uint64(1234)}, "L: 1.234µg (1234)\n"},
		"a unit of a tenth with a prefix":           {"f(uint32 x)", `{"path":"x","label":"L","format":"unit","params":{"base":"g","prefix":true,"decimals":1}}`, []abi.Value{abi.Uint64(1)}, "L: 100mg (1)\n"},
		"a unit beyond all prefixes":                {"f(uint32 x)", `{"path":"x","label":"L","format":"unit","params":{"base":"g","prefix":true,"decimals":40}}`, []abi.Value{abi.Uint64(5)}, "L: 0.0000000005qg (5)\n"},
		"a unit that is a constant":                 {"f(uint32 x)", `{"path":"x","label":"L","format":"unit","params":{"base":"$.metadata.constants.tick"}}`, []abi.Value{abi.Uint64(5)}, "L: 5bps\n"},
		"an enumerated value, with its number":      {"f(uint8 x)", `{"path":"x","label":"L","format":"enum","params":{"$ref":"$.metadata.enums.mode"}}`, []abi.Value{abi.Uint64(2)}, "L: variable (2)\n"},
		"an enumerated value that has no name":      {"f(uint8 x)", `{"path":"x","label":"L","format":"enum","params":{"$ref":"$.metadata.enums.mode"}}`, []abi.Value{abi.Uint64(3)}, "L: 3 (the descriptor has no name for it)\n"},
		"an enumerated bool":                        {"f(bool x)", `{"path":"x","label":"L","format":"enum","params":{"$ref":"$.metadata.enums.flag"}}`, []abi.Value{abi.Truth(true)}, "L: on (true)\n"},
		"enumerated bytes, in any letter case":      {"f(bytes1 x)", `{"path":"x","label":"L","format":"enum","params":{"$ref":"$.metadata.enums.kind"}}`, []abi.Value{abi.FixedBytesValue([]byte{0xaa})}, "L: bid (0xaa)\n"},
		"an address with the owner's name":          {"f(address x)", `{"path":"x","label":"L","format":"addressName"}`, []abi.Value{abi.Addr(acme)}, "L: 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting)\n"},
		"a contract with the owner's name":          {"f(address x)", `{"path":"x","label":"L","format":"addressName","params":{"types":["contract"],"sources":["ens"]}}`, []abi.Value{abi.Addr(safe)}, "L: 0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552 (treasury safe)\n"},
		"a contract with its descriptor's name":     {"f(address x)", `{"path":"x","label":"L","format":"addressName"}`, []abi.Value{abi.Addr(router)}, "L: 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor)\n"},
		"a name of a source that is not asked":      {"f(address x)", `{"path":"x","label":"L","format":"addressName","params":{"sources":["local","ens"]}}`, []abi.Value{abi.Addr(router)}, "L: 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45\n"},
		"the owner's name, of whatever source":      {"f(address x)", `{"path":"x","label":"L","format":"addressName","params":{"sources":[]}}`, []abi.Value{abi.Addr(acme)}, "L: 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting)\n"},
		"a name of another type is not one":         {"f(address x)", `{"path":"x","label":"L","format":"addressName","params":{"types":["collection"]}}`, []abi.Value{abi.Addr(usdc)}, "L: 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48\n"},
		"an address that nobody names":              {"f(address x)", `{"path":"x","label":"L","format":"addressName"}`, []abi.Value{abi.Addr(nobody)}, "L: 0xdAC17F958D2ee523a2206206994597C13D831ec7\n"},
		"an address that stands for the sender":     {"f(address x)", `{"path":"x","label":"L","format":"addressName","params":{"senderAddress":["` + null.Hex() + `"]}}`, []abi.Value{abi.Addr(null)}, "L: 0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552 (treasury safe), the sender (the payload has 0x0000000000000000000000000000000000000000)\n"},
		"an address in 32 bytes":                    {"f(bytes32 x)", `{"path":"x","label":"L","format":"addressName"}`, []abi.Value{abi.FixedBytesValue(common.LeftPadBytes(acme[:], 32))}, "L: 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting)\n"},
		"a number that has more than an address":    {"f(uint256 x)", `{"path":"x","label":"L","format":"addressName"}`, []abi.Value{word("0x8000000000000000000000001c58cc548a23956469c7c528bb3a846c842dfaf9")}, "L: 0x8000000000000000000000001c58cc548a23956469c7c528bb3a846c842dfaf9 (no address)\n"},
		"bytes that are no address":                 {"f(bytes x)", `{"path":"x","label":"L","format":"tokenTicker"}`, []abi.Value{raw("01")}, "L: 0x01 (no address)\n"},
		"the sender":                                {"f()", `{"path":"@.from","label":"L","format":"addressName"}`, nil, "L: 0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552 (treasury safe)\n"},
		"the contract":                              {"f()", `{"path":"@.to","label":"L","format":"raw"}`, nil, "L: 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45\n"},
		"a chain that has a name":                   {"f(uint256 x)", `{"path":"x","label":"L","format":"chainId"}`, []abi.Value{abi.Uint64(8453)}, "L: eip155:8453 (Base)\n"},
		"a chain that has none":                     {"f(uint256 x)", `{"path":"x","label":"L","format":"chainId"}`, []abi.Value{abi.Uint64(99)}, "L: eip155:99\n"},
		"an interoperable address":                  {"f(bytes x)", `{"path":"x","label":"L","format":"interoperableAddressName"}`, []abi.Value{raw("00010000010114d8da6bf26964af9d7eed9e03e53415d37aa96045")}, "L: 0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045@eip155:1#4CA88C9C\n"},
		"an interoperable address with a name":      {"f(bytes x)", `{"path":"x","label":"L","format":"interoperableAddressName","params":{"types":["eoa"]}}`, []abi.Value{raw(interop)}, "L: 0x52908400098527886E0F7030069857D2E4169EE7@eip155:1#7C3D6582 (Acme Hosting)\n"},
		"an interoperable address of another chain": {"f(bytes x)", `{"path":"x","label":"L","format":"interoperableAddressName"}`, []abi.Value{raw("0001000202aabb01cc")}, "L: 0xcc@0002:0xaabb#23A18B61\n"},

		"a literal text":                        {"f()", `{"value":"Resets all","label":"L","format":"raw"}`, nil, "L: Resets all, says the descriptor\n"},
		"a literal constant":                    {"f()", `{"value":"$.metadata.constants.tick","label":"L"}`, nil, "L: bps, says the descriptor\n"},
		"a literal number in a format":          {"f()", `{"value":1709191632,"label":"L","format":"date","params":{"encoding":"timestamp"}}`, nil, "L: 2024-02-29T07:27:12Z, says the descriptor\n"},
		"a literal address":                     {"f()", `{"value":"` + acme.Hex() + `","label":"L","format":"addressName"}`, nil, "L: 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting), says the descriptor\n"},
		"an encrypted value is never decrypted": {"f(bytes32 x)", `{"path":"x","label":"L","format":"tokenAmount","encryption":{"scheme":"fhevm","plaintextType":"uint64","fallbackLabel":"5 usdc"}}`, []abi.Value{abi.FixedBytesValue(make([]byte, 32))}, "L: encrypted (fhevm), not read: 0x0000000000000000000000000000000000000000000000000000000000000000 5 usdc\n"},
		"an encrypted value without a label":    {"f(bytes2 x)", `{"path":"x","label":"L","encryption":{"scheme":"fhevm"}}`, []abi.Value{abi.FixedBytesValue([]byte{1, 2})}, "L: encrypted (fhevm), not read: 0x0102 [Encrypted]\n"},

		"never shown":                               {"f(uint8 x,uint8 y)", `{"path":"x","label":"L","visible":"never"},{"path":"y","label":"M"}`, []abi.Value{abi.Uint64(1), abi.Uint64(2)}, "M: 2\n"},
		"optional is shown":                         {"f(uint8 x)", `{"path":"x","label":"L","visible":"optional"}`, []abi.Value{abi.Uint64(1)}, "L: 1\n"},
		"shown as it is not in a list":              {"f(address x)", `{"path":"x","label":"L","format":"raw","visible":{"ifNotIn":["` + acme.Hex() + `",null]}}`, []abi.Value{abi.Addr(safe)}, "L: 0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552\n"},
		"not shown as it is in a list":              {"f(address x)", `{"path":"x","label":"L","format":"raw","visible":{"ifNotIn":["` + strings.ToLower(acme.Hex()) + `"]}}`, []abi.Value{abi.Addr(acme)}, ""},
		"not shown as the number is in a list":      {"f(uint8 x)", `{"path":"x","label":"L","visible":{"ifNotIn":[0,"0x0a"]}}`, []abi.Value{abi.Uint64(10)}, ""},
		"not shown as it is what it must be":        {"f(bool x)", `{"path":"x","label":"L","visible":{"mustMatch":[true]}}`, []abi.Value{abi.Truth(true)}, ""},
		"every element of a list":                   {"f(uint8[] x)", `{"path":"x","label":"L"}`, []abi.Value{uints(5, 6)}, "L [0]: 5\nL [1]: 6\n"},
		"every element of a part of a list":         {"f(uint8[] x)", `{"path":"x.[1:]","label":"L"}`, []abi.Value{uints(5, 6, 7)}, "L [1]: 6\nL [2]: 7\n"},
		"the last of a list":                        {"f(uint8[] x)", `{"path":"x.[-1]","label":"L"}`, []abi.Value{uints(5, 6, 7)}, "L: 7\n"},
		"an index without the dot":                  {"f(uint8[3] x)", `{"path":"x[1]","label":"L"}`, []abi.Value{uints(5, 6, 7)}, "L: 6\n"},
		"no element of an empty list":               {"f(uint8[] x)", `{"path":"x.[]","label":"L"}`, []abi.Value{abi.List()}, ""},
		"a separator":                               {"f(uint8[] x)", `{"path":"x.[]","label":"L","separator":"Item {index} of {{}}"}`, []abi.Value{uints(5, 6)}, "L > Item 0 of {}: 5\nL > Item 1 of {}: 6\n"},
		"a parameter that is a list, too":           {"f(uint256[] x,address[] t)", `{"path":"x.[]","label":"L","format":"tokenAmount","params":{"tokenPath":"t.[]"}}`, []abi.Value{uints(1, 2), abi.List(abi.Addr(usdc), abi.Addr(nobody))}, "L [0]: 0.000001 usdc (1 base units)\nL [1]: 2 base units of unknown token 0xdAC17F958D2ee523a2206206994597C13D831ec7\n"},
		"a group that only orders":                  {"f((uint8 a,uint8 b) s)", `{"path":"s","label":"S","fields":[{"path":"b","label":"B"},{"path":"#.s.a","label":"A"}]}`, []abi.Value{abi.List(abi.Uint64(1), abi.Uint64(2))}, "S > B: 2\nS > A: 1\n"},
		"a group of every element":                  {"f((uint8 a,uint8 b)[] s)", `{"path":"s.[]","fields":[{"path":"a","label":"A"},{"path":"b","label":"B"}]}`, []abi.Value{abi.List(uints(1, 2), uints(3, 4))}, "A [0]: 1\nB [0]: 2\nA [1]: 3\nB [1]: 4\n"},
		"a group of the elements, as a list":        {"f((uint8 a,uint8 b)[] s)", `{"path":"s","fields":[{"path":"a","label":"A"}]}`, []abi.Value{abi.List(uints(1, 2), uints(3, 4))}, "A [0]: 1\nA [1]: 3\n"},
		"a sequential group":                        {"f((uint8 a,uint8 b)[] s)", `{"path":"s.[]","iteration":"sequential","fields":[{"path":"a","label":"A"},{"path":"b","label":"B"}]}`, []abi.Value{abi.List(uints(1, 2), uints(3, 4))}, "A [0]: 1\nA [1]: 3\nB [0]: 2\nB [1]: 4\n"},
		"lists side by side":                        {"f(address[] r,uint16[] p)", `{"label":"Shares","iteration":"bundled","fields":[{"path":"r.[]","label":"To","format":"raw","separator":"Recipient {index}"},{"path":"p.[]","label":"Part","format":"unit","params":{"base":"%","decimals":2}}]}`, []abi.Value{abi.List(abi.Addr(acme), abi.Addr(safe)), uints(2500, 7500)}, "Shares > To > Recipient 0: 0x52908400098527886E0F7030069857D2E4169EE7\nShares > Part [0]: 25% (2500)\nShares > To > Recipient 1: 0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552\nShares > Part [1]: 75% (7500)\n"},
		"a parameter of the same element":           {"f((address t,uint256 x)[] s)", `{"path":"s.[]","fields":[{"path":"x","label":"X","format":"tokenAmount","params":{"tokenPath":"t"}}]}`, []abi.Value{abi.List(abi.List(abi.Addr(usdc), abi.Uint64(1)), abi.List(abi.Addr(nobody), abi.Uint64(2)))}, "X [0]: 0.000001 usdc (1 base units)\nX [1]: 2 base units of unknown token 0xdAC17F958D2ee523a2206206994597C13D831ec7\n"},
		"lists of lists":                            {"f((uint8[] a)[] s)", `{"path":"s.[].a.[]","label":"A"}`, []abi.Value{abi.List(abi.List(uints(1, 2)), abi.List(uints(3)))}, "A [0] [0]: 1\nA [0] [1]: 2\nA [1] [0]: 3\n"},
		"a part of a text":                          {"f(string x)", `{"path":"x.[0:2]","label":"L"}`, []abi.Value{abi.TextValue("abc")}, "L: ab\n"},
		"calldata of a contract without one":        {"f(bytes x,address t)", `{"path":"x","label":"L","format":"calldata","params":{"calleePath":"t"}}`, []abi.Value{raw("a9059cbb"), abi.Addr(acme)}, "L: 4 bytes of calldata for 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting), digest 0x9fcc0b5847ffabc0d524dd39f015ef6f8cc083d04b0f2c27379f65d3b19d0699\n"},
		"calldata that is empty":                    {"f(bytes x,address t)", `{"path":"x","label":"L","format":"calldata","params":{"calleePath":"t"}}`, []abi.Value{raw(""), abi.Addr(acme)}, "L: no calldata for 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting)\n"},
		"no calldata, with an amount":               {"f(bytes x,address t)", `{"path":"x","label":"L","format":"calldata","params":{"calleePath":"t","amountPath":"@.value"}}`, []abi.Value{raw(""), abi.Addr(acme)}, "L: no calldata for 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting) with 0.5 ether (500000000000000000 base units)\n"},
		"calldata that is not read, with an amount": {"f(bytes x,address t,uint256 v)", `{"path":"x","label":"L","format":"calldata","params":{"calleePath":"t","amountPath":"v"}}`, []abi.Value{raw("a9059cbb"), abi.Addr(acme), abi.Uint64(7)}, "L: 4 bytes of calldata for 0x52908400098527886E0F7030069857D2E4169EE7 (Acme Hosting) with 0.000000000000000007 ether (7 base units), digest 0x9fcc0b5847ffabc0d524dd39f015ef6f8cc083d04b0f2c27379f65d3b19d0699\n"},
		"calldata for the contract itself":          {"f(bytes x)", `{"path":"x","label":"L","format":"calldata","params":{"callee":"` + router.Hex() + `"}}`, []abi.Value{abi.BytesValue(abi.MustParseSignature("f(bytes x)").Call(raw("")))}, "L: call to 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor): Do\nL > L: no calldata for 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor)\n"},
		"calldata whose selector stands elsewhere":  {"f(bytes x)", `{"path":"x","label":"L","format":"calldata","params":{"calleePath":"@.to","selector":"0xd45754f8"}}`, []abi.Value{abi.BytesValue(abi.MustParseSignature("f(bytes x)").Call(raw(""))[4:])}, "L: call to 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor): Do\nL > L: 4 bytes of calldata for 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor), digest 0xece03deaba167ea2df952ec89fca6238485e49a0adb9097dd0de5c87efae277d, not as its descriptor has it: cut short: 32 bytes are due, 0 are left\n"},
		"calldata that is not as the descriptor":    {"f(bytes x)", `{"path":"x","label":"L","format":"calldata","params":{"calleePath":"@.to"}}`, []abi.Value{raw("d45754f800")}, "L: 5 bytes of calldata for 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor), digest 0x69c2527ca6a7d3b049fab49985ee018f53428a6df920dcb83ce761fba586a333, not as its descriptor has it: cut short: 32 bytes are due, 1 are left\n"},
	} {
		t.Run(name, func(t *testing.T) {
			set := one(t, descriptor(metadata, test.key, `{"intent":"Do","fields":[`+test.field+`]}`))
			cs, err := set.Calldata(call(test.key, test.args...), book)
			if err != nil || cs == nil {
				t.Fatalf("Calldata = %v, %v", cs, err)
			}
			if got := text(cs.Fields); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestAnAmountOfFortyDigits: an amount is a number, however much it looks like an address.
func TestAnAmountOfFortyDigits(t *testing.T) {
	const key = "f(bytes x)"
	set := one(t, descriptor("", key, `{"fields":[{"path":"@.value","label":"Sends","format":"amount"},
		{"path":"x","label":"In","format":"calldata","params":{"calleePath":"@.to","amount":"0x0000000000000000000000000de0b6b3a7640000"}}]}`))
	inner := abi.MustParseSignature(key).Call(abi.BytesValue(nil))
	cs, err := set.Calldata(call(key, abi.BytesValue(inner)), book)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(cs.Fields); !strings.Contains(got, "In > Sends: 1 ether (1000000000000000000 base units)\n") {
		t.Errorf("got\n%s", got)
	}
}

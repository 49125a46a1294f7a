package abi_test

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

func BenchmarkDecode(b *testing.B) {
	items := make([]abi.Value, 100)
	for i := range items {
		items[i] = abi.BytesValue(bytes.Repeat([]byte{1}, 100))
	}
	deep := mustParse(b, "(((((((((((((((uint256[])))))))))))))))")
	many := deep
	for many.Kind == abi.Tuple {
		many = many.Fields[0].Type
	}
	numbers := make([]abi.Value, 4000)
	for i := range numbers {
		numbers[i] = abi.Uint64(uint64(i))
	}
	v := abi.Of(many, numbers...)
	for range 15 {
		v = abi.List(v)
	}
	for _, c := range []struct {
		name string
		typ  *abi.Type
		data []byte
	}{
		{"transfer", mustParse(b, "(address,uint256)"), abi.MustParseSignature("transfer(address,uint256)").Call(abi.Addr(common.Address{1}), abi.Uint64(7))[4:]},
		{"multicall of 100", mustParse(b, "(bytes[])"), abi.MustParseSignature("multicall(bytes[])").Call(abi.List(items...))[4:]},
		{"4000 numbers 16 deep", deep, abi.Encode(abi.Of(deep, v.Elems...))},
		{"most values a payload can hold", mustParse(b, "((((((((((((((uint8))))))))))))))[]"), append(words(b, "fff"), make([]byte, 32*0xfff)...)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.data)))
			for b.Loop() {
				if _, err := abi.Decode(c.typ, c.data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseSignature(b *testing.B) {
	for b.Loop() {
		if _, err := abi.ParseSignature("permitTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes signature)"); err != nil {
			b.Fatal(err)
		}
	}
}

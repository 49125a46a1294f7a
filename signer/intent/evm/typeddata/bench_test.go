package typeddata_test

import (
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// permit is what most typed data is like: a permit of ERC-2612.
const permit = `{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],` +
	`"Permit":[{"name":"owner","type":"address"},{"name":"spender","type":"address"},{"name":"value","type":"uint256"},{"name":"nonce","type":"uint256"},{"name":"deadline","type":"uint256"}]},"primaryType":"Permit",` +
	`"domain":{"name":"USD Coin","version":"2","chainId":1,"verifyingContract":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"},` +
	`"message":{"owner":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826","spender":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB","value":"1000000","nonce":0,"deadline":1900000000}}`

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, payload string }{
		{"permit", permit},
		{"mail", mail},
		{"256 structs", holding("Item[] l", `{"l":`+list(`{"to":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB","n":"12345678901234567890"}`, 256)+`}`, "Item:address to,uint256 n")},
		{"types that all refer to each other", ring()},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.payload)))
			for b.Loop() {
				if _, err := typeddata.Parse([]byte(bench.payload)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLooks(b *testing.B) {
	for b.Loop() {
		if !typeddata.Looks([]byte(permit)) {
			b.Fatal("not recognised")
		}
	}
}

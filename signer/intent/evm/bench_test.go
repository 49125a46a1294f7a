package evm_test

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

func BenchmarkDecode(b *testing.B) {
	key, names := keyFor(b, "eip155:1"), callBook()
	token := pay(onToken(call(transfer, payee, big.NewInt(5))))
	for _, bench := range []struct {
		name    string
		decoder signer.Decoder
		payload []byte
	}{
		{"transfer", evm.Transaction{}, raw(b, pay(nil))},
		{"transfer as hexadecimal", evm.Transaction{}, toHex(raw(b, pay(nil)))},
		{"transfer as JSON", evm.Transaction{}, toJSON(b, object(types.NewTx(pay(nil)), big.NewInt(1)))},
		{"token transfer", evm.Transaction{}, raw(b, token)},
		{"Safe MultiSend of 100 transfers", evm.Transaction{}, raw(b, toContract(ourSafe, 0, safeBatch(100)))},
		{"message", evm.Message{}, []byte("I own this")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.decoder.Decode(bench.payload, key, names); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAssemble(b *testing.B) {
	key, payload := keyFor(b, "eip155:1"), raw(b, pay(nil))
	in, err := evm.Transaction{}.Decode(payload, key, book())
	if err != nil {
		b.Fatal(err)
	}
	sigs := [][]byte{sign(b, in.Messages[0])}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (evm.Transaction{}).Assemble(payload, key, sigs); err != nil {
			b.Fatal(err)
		}
	}
}

package evm_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// fuzzKey signs for the chains that seeds are for.
func fuzzKey(f *testing.F) signer.KeyInfo { return keyFor(f, "eip155:1", "eip155:10", "eip155:31337") }

// seeds are unsigned transactions of every type and meaning.
func seeds(f *testing.F) []*types.Transaction {
	unlimited := call(approve, stranger, below(pow2(256)))
	return []*types.Transaction{
		types.NewTx(pay(nil)),
		types.NewTx(pay(onToken(call(transfer, payee, big.NewInt(5))))),
		types.NewTx(pay(onToken(unlimited))),
		types.NewTx(pay(onToken([]byte{1, 2, 3, 4, 5}))),
		types.NewTx(pay(func(tx *types.DynamicFeeTx) { tx.To, tx.Data = nil, []byte{0x60} })),
		types.NewTx(blobs(nil)),
		types.NewTx(setCode(f, nil)),
		types.NewTx(&types.LegacyTx{Nonce: 1, GasPrice: wei("9"), Gas: 21000, To: address(payee), Value: wei("3")}),
		types.NewTx(&types.AccessListTx{ChainID: wei("1"), GasPrice: wei("9"), Gas: 21000, To: address(payee), Value: wei("3"),
			AccessList: types.AccessList{{Address: *address(usdc), StorageKeys: []common.Hash{{1}}}}}),
	}
}

// signedSeeds are the bytes of the same, signed by the key.
func signedSeeds(f *testing.F) (out [][]byte) {
	for _, tx := range seeds(f) {
		signed, err := types.SignTx(tx, types.LatestSignerForChainID(big.NewInt(1)), private(f))
		if err != nil {
			f.Fatal(err)
		}
		b, err := signed.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// reencode gives the unsigned bytes of what would be sent, by way of go-ethereum:
// the payload is assembled with some signature, parsed and encoded without it.
func reencode(t *testing.T, payload []byte, key signer.KeyInfo) []byte {
	t.Helper()
	sig := append(bytes.Repeat([]byte{1}, 64), 1)
	out, err := evm.Transaction{}.Assemble(payload, key, [][]byte{sig})
	if err != nil {
		t.Fatalf("accepted %q but cannot assemble it: %v", payload, err)
	}
	tx := readBinary(t, out)
	return rawOf(t, tx, tx.ChainId())
}

func readBinary(t *testing.T, b []byte) *types.Transaction {
	t.Helper()
	var tx types.Transaction
	if err := tx.UnmarshalBinary(b); err != nil {
		t.Fatalf("accepted, but go-ethereum does not read %x: %v", b, err)
	}
	return &tx
}

// FuzzTransactionBytes checks that what we show is all there is: any bytes that
// are accepted are the one encoding of what would be sent.
func FuzzTransactionBytes(f *testing.F) {
	for _, tx := range seeds(f) {
		f.Add(rawOf(f, tx, big.NewInt(1)))
	}
	for _, b := range signedSeeds(f) {
		f.Add(b)
	}
	f.Add(encodeRLP(f, []any{uint64(7), uint64(2), uint64(21000), address(payee), uint64(5), []byte{}}))
	key, b := fuzzKey(f), book()
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := evm.Transaction{}.Decode(payload, key, b)
		if err != nil || payload[0] == '{' || payload[0] == '0' {
			return
		}
		unsigned := payload
		if field(in, "signed by") != "" {
			signed := readBinary(t, payload)
			if again, err := signed.MarshalBinary(); err != nil || !bytes.Equal(payload, again) || in.Digests[1].Value != signed.Hash() {
				t.Errorf("accepted %x but it encodes as %x, %v", payload, again, err)
			}
			if from, err := types.Sender(types.LatestSignerForChainID(signed.ChainId()), signed); err != nil || from.Hex() != sender {
				t.Errorf("accepted %x signed by %s, %v", payload, from, err)
			}
			unsigned = rawOf(t, signed, signed.ChainId())
		}
		if out := reencode(t, payload, key); !bytes.Equal(unsigned, out) {
			t.Errorf("accepted %x but it encodes as %x", payload, out)
		}
		checkInvariants(t, in)
	})
}

// FuzzTransactionText checks that JSON and hexadecimal text mean what the bytes
// they stand for mean.
func FuzzTransactionText(f *testing.F) {
	for _, tx := range seeds(f) {
		f.Add(toJSON(f, object(tx, big.NewInt(1))))
		f.Add(toHex(rawOf(f, tx, big.NewInt(1))))
	}
	for _, b := range signedSeeds(f) {
		f.Add(toHex(b))
	}
	f.Add([]byte(`{"nonce":"0x7","Nonce":"0x8"}`))
	key, b := fuzzKey(f), book()
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := evm.Transaction{}.Decode(payload, key, b)
		if err != nil {
			return
		}
		same, err := evm.Transaction{}.Decode(reencode(t, payload, key), key, b)
		if field(in, "signed by") != "" {
			if err != nil || !reflect.DeepEqual(in.Messages, same.Messages) || !reflect.DeepEqual(in.Effects, same.Effects) {
				t.Errorf("%q means %+v, but unsigned %+v, %v", payload, in, same, err)
			}
			signed := payload
			if payload[0] == '0' {
				signed = common.FromHex(string(payload))
			}
			same, err = evm.Transaction{}.Decode(signed, key, b)
		}
		if err != nil || !reflect.DeepEqual(in, same) {
			t.Errorf("%q means %+v, but its bytes mean %+v, %v", payload, in, same, err)
		}
		checkInvariants(t, in)
	})
}

// checkInvariants holds for every accepted transaction.
func checkInvariants(t *testing.T, in signer.Intent) {
	t.Helper()
	if len(in.Effects) == 0 || len(in.Messages) != 1 || len(in.Messages[0].Bytes) != 32 {
		t.Errorf("effects %v, messages %v", in.Effects, in.Messages)
	}
	spent := new(big.Int)
	for _, q := range in.Outflow {
		if q.Asset == in.Fee.Asset && q.N != nil {
			spent = q.N
		}
		if q.Kind == signer.QuantityUnknown && in.Complete && in.Class() != signer.ClassDelegation {
			t.Error("an unknown outflow in a complete intent")
		}
	}
	if in.Fee.N == nil || spent.Cmp(in.Fee.N) < 0 {
		t.Errorf("outflow %v does not count the fee %v", in.Outflow, in.Fee)
	}
}

// FuzzTokenCall checks calldata on a listed token: what is accepted as a transfer
// or an allowance packs again to the same bytes.
func FuzzTokenCall(f *testing.F) {
	f.Add(call(transfer, payee, big.NewInt(5)))
	f.Add(call(approve, stranger, below(pow2(160))))
	f.Add(append(call(transfer, payee, big.NewInt(5)), 0))
	f.Add([]byte{1, 2, 3})
	key, b := fuzzKey(f), book()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		in, err := evm.Transaction{}.Decode(raw(t, pay(onToken(data))), key, b)
		if err != nil || !in.Complete {
			return
		}
		method := map[signer.Class]string{signer.ClassTransfer: transfer, signer.ClassAllowance: approve}[in.Effects[0].Class]
		n, bounded := in.Effects[0].Quantity.Bound()
		if !bounded {
			n = new(big.Int).SetBytes(data[36:])
		}
		who := in.Effects[0].Counterparty[len("eip155:1:"):]
		if out := call(method, who, n); !bytes.Equal(out, data) {
			t.Errorf("accepted %x as %s, but that packs to %x", data, method, out)
		}
	})
}

// FuzzAuthorization checks that any form that is accepted is signed and assembled as
// go-ethereum would, and that bytes are accepted in one encoding only.
func FuzzAuthorization(f *testing.F) {
	f.Add([]byte(`{"chainId":1,"address":"` + stranger + `","nonce":7}`))
	f.Add([]byte(`{"chainId":"0xa","address":"` + stranger + `","nonce":"0x0"}`))
	bytes7702 := append([]byte{5}, encodeRLP(f, []any{uint64(1), address(stranger), uint64(7)})...)
	f.Add(bytes7702)
	f.Add(toHex(bytes7702))
	a := authorize(f, 1, stranger, 7)
	signed7702 := append([]byte{5}, encodeRLP(f, a)...)
	f.Add(signed7702)
	f.Add(toHex(signed7702))
	f.Add(toJSON(f, a))
	key := fuzzKey(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := evm.Authorization{}.Decode(payload, key, book())
		if err != nil {
			return
		}
		out, err := evm.Authorization{}.Assemble(payload, key, [][]byte{sign(t, in.Messages[0])})
		if err != nil {
			t.Fatal(err)
		}
		var a types.SetCodeAuthorization
		if err := json.Unmarshal(out, &a); err != nil {
			t.Fatalf("accepted %q, but go-ethereum does not read %s: %v", payload, out, err)
		}
		if authority, err := a.Authority(); err != nil || authority.Hex() != sender || a.SigHash() != in.Digests[0].Value {
			t.Errorf("accepted %q, assembled as %s: authority %s, %v, digest %s", payload, out, authority, err, a.SigHash())
		}
		encoded := append([]byte{5}, encodeRLP(t, []any{a.ChainID.Uint64(), a.Address, a.Nonce})...)
		form := encoded
		if last := len(in.Fields) - 1; in.Fields[last].Name == "signed by" {
			var given types.SetCodeAuthorization
			if payload[0] == 5 {
				if err := rlp.DecodeBytes(payload[1:], &given); err != nil {
					t.Fatalf("accepted %x, but go-ethereum does not read it: %v", payload, err)
				}
				if authority, err := given.Authority(); err != nil || authority.Hex() != sender {
					t.Errorf("accepted %x, which go-ethereum says is signed by %s, %v", payload, authority, err)
				}
			}
			form = append([]byte{5}, encodeRLP(t, given)...)
			in.Fields = in.Fields[:last] // the rest is what an unsigned one means
		}
		if payload[0] == 5 && !bytes.Equal(payload, form) {
			t.Errorf("accepted %x but it encodes as %x", payload, form)
		}
		same, err := evm.Authorization{}.Decode(encoded, key, book())
		if err != nil || !reflect.DeepEqual(in, same) {
			t.Errorf("%q means %+v, but its bytes mean %+v, %v", payload, in, same, err)
		}
		if !(evm.Authorization{}).Recognises(payload) && payload[0] != '0' {
			t.Errorf("%q is accepted, but not recognised", payload)
		}
	})
}

// FuzzMessage checks that the bytes can be had back from what is shown, that the
// hash is that of go-ethereum, and that no transaction passes as a message.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("I own this"))
	f.Add([]byte("a\u202eb"))
	f.Add([]byte{0xff})
	f.Add([]byte("xĀabc"))
	f.Add(bytes.Repeat([]byte{0xab}, 32))
	for _, tx := range seeds(f) {
		f.Add(rawOf(f, tx, big.NewInt(1)))
	}
	f.Add([]byte(signIn))
	key := fuzzKey(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := evm.Message{}.Decode(payload, key, signer.Book{})
		if err != nil || signer.Crossing(signer.KindEVMMessage, payload, decoders()) != nil {
			return
		}
		if want := accounts.TextHash(payload); len(in.Messages) != 1 || !bytes.Equal(in.Messages[0].Bytes, want) {
			t.Errorf("message %v, want %x", in.Messages, want)
		}
		shown, inHex := field(in, "text"), field(in, "bytes")
		if shown != string(payload) && inHex != string(toHex(payload)) {
			t.Errorf("text %q and bytes %q, want one of them to be %q", shown, inHex, payload)
		}
		if new(types.Transaction).UnmarshalBinary(payload) == nil {
			t.Errorf("%x is a signed transaction, but passed as a message", payload)
		}
		for kind, d := range decoders() {
			if _, err := d.Decode(payload, key, book()); err == nil && kind != signer.KindEVMMessage {
				t.Errorf("%q is of kind %s, but passed as a message", payload, kind)
			}
		}
		if in.Class() != signer.ClassLogin && strings.Contains(string(payload), "wants you to sign in with your Ethereum account:") {
			t.Errorf("%q asks for a sign-in, but passed as a message", payload)
		}
	})
}

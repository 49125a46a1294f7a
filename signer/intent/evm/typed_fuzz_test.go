package evm_test

import (
	"encoding/json"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// typedSeeds has typed data of every family.
func typedSeeds(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"permit":     typedJSON(t, permitType, tokenDomain(usdc), permitMessage()),
		"dai":        typedJSON(t, daiPermitType, tokenDomain(dai), daiMessage()),
		"authorize":  typedJSON(t, authorizeType, tokenDomain(usdc), obj{"from": sender, "to": payee, "value": 1, "validAfter": 0, "validBefore": 9, "nonce": word1}),
		"cancel":     typedJSON(t, cancelType, tokenDomain(usdc), obj{"authorizer": sender, "nonce": word1}),
		"single":     permitSingle(t),
		"batch":      typedJSON(t, permitBatchType, permit2Domain(), obj{"details": []obj{{"token": usdc, "amount": 1, "expiration": 0, "nonce": 0}}, "spender": payee, "sigDeadline": 9}),
		"transfers":  typedJSON(t, transfersType, permit2Domain(), obj{"permitted": []obj{{"token": usdc, "amount": 1}}, "spender": payee, "nonce": 1, "deadline": 9}),
		"witness":    typedJSON(t, witnessType, permit2Domain(), obj{"permitted": obj{"token": usdc, "amount": 1}, "spender": payee, "nonce": 1, "deadline": 9, "witness": obj{"mock": 1}}),
		"safe":       typedJSON(t, safeTxType, safeDomain(), with(safeTxMessage(), obj{"to": multiSend13, "operation": 1, "data": multiSendOf(usdc, call(approve, payee, below(pow2(256))))})),
		"bybit":      bybit(t),
		"said":       typedJSON(t, safeMessageType, safeDomain(), obj{"message": "0x48656c6c6f"}),
		"operation":  typedJSON(t, packedOpType, entryPointDomain(), packedOpMessage(execution(usdc, call(approve, stranger, big.NewInt(5))))),
		"safe op":    typedJSON(t, safeOp7Type, obj{"chainId": 1, "verifyingContract": module}, safeOpMessage(packedEntryPoint)),
		"mail":       typedJSON(t, mailType, mailDomain(), mail()),
		"every sort": typedJSON(t, "All(int8 a,bool b,bytes4 c,bytes d,string e,In[] f,uint256[2] g)In(address h)", mailDomain(), obj{"a": -1, "b": true, "c": "0x00000000", "d": "0x", "e": "x", "f": []obj{{"h": payee}}, "g": []int{1, 2}}),
	}
}

func permitSingle(t testing.TB) []byte {
	return typedJSON(t, permitSingleType, permit2Domain(), obj{
		"details": obj{"token": usdc, "amount": "1000000", "expiration": 1893456000, "nonce": 4}, "spender": payee, "sigDeadline": 1893456000})
}

// FuzzTypedData checks that the digest to sign is the one that go-ethereum computes,
// and that an intent always says something, and says so when it does not say all.
func FuzzTypedData(f *testing.F) {
	for _, payload := range typedSeeds(f) {
		f.Add(payload)
	}
	key, book := keyFor(f, "eip155:1"), callBook()
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := evm.TypedData{}.Decode(payload, key, book)
		if err != nil {
			if signer.CodeOf(err) != signer.CodeInvalid {
				t.Errorf("Decode error = %v, want code %q", err, signer.CodeInvalid)
			}
			return
		}
		if !(evm.TypedData{}).Recognises(payload) {
			t.Errorf("accepted %s and does not recognise it", payload)
		}
		if len(in.Messages) != 1 || len(in.Effects) == 0 || len(in.Effects) > 512+1 {
			t.Fatalf("%d messages, %d effects of %s", len(in.Messages), len(in.Effects), payload)
		}
		for _, e := range in.Effects {
			if e.Quantity.Kind == signer.QuantityUnknown && in.Complete {
				t.Errorf("complete with an effect %+v of %s", e, payload)
			}
		}
		if got, err := digestByGeth(payload); err == nil && got != hexutil.Encode(in.Messages[0].Bytes) {
			t.Errorf("%s is signed over %x; go-ethereum has %s", payload, in.Messages[0].Bytes, got)
		}
	})
}

// digestByGeth is what go-ethereum's own reader makes of a payload, if it takes it.
func digestByGeth(payload []byte) (string, error) {
	var data apitypes.TypedData
	if err := json.Unmarshal(payload, &data); err != nil {
		return "", err
	}
	digest, _, err := apitypes.TypedDataAndHash(data)
	return hexutil.Encode(digest), err
}

// What FuzzTypedData compares with must not be refused by go-ethereum throughout.
func TestTypedDataDigestsAreThoseOfGoEthereum(t *testing.T) {
	for name, payload := range typedSeeds(t) {
		want, err := digestByGeth(payload)
		if got := hexutil.Encode(decodeTyped(t, payload).Messages[0].Bytes); err != nil || got != want {
			t.Errorf("%s: digest %s; go-ethereum has %s, %v", name, got, want, err)
		}
	}
}

func BenchmarkTypedData(b *testing.B) {
	key, book := keyFor(b, "eip155:1"), typedBook()
	for name, payload := range map[string][]byte{"PermitSingle": permitSingle(b)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (evm.TypedData{}).Decode(payload, key, book); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

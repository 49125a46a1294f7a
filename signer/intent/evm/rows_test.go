package evm_test

import (
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// The tests of this file are about payloads that have fooled people: each is named for
// what it must not be taken for.

func TestAnAccountIsNotHandedOverUnseen(t *testing.T) {
	key := keyFor(t, "eip155:1")
	for name, test := range map[string]struct {
		decoder signer.Decoder
		payload []byte
	}{
		"alone":                        {evm.Authorization{}, authorizationText("1", stranger, "7")},
		"in a transaction":             {evm.Transaction{}, raw(t, setCode(t, nil))},
		"in a transaction of no value": {evm.Transaction{}, raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.Value.Clear() }))},
		"behind one that is harmless": {evm.Transaction{}, raw(t, setCode(t, func(tx *types.SetCodeTx) {
			tx.AuthList = []types.SetCodeAuthorization{authorize(t, 1, nobody, 8), authorize(t, 1, stranger, 9)}
		}))},
		"on every chain, hidden in one": {evm.Transaction{}, raw(t, setCode(t, func(tx *types.SetCodeTx) {
			tx.AuthList = []types.SetCodeAuthorization{authorize(t, 0, delegateCode, 8)}
		}))},
		"for a chain of another key": {evm.Transaction{}, raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.AuthList = []types.SetCodeAuthorization{authorize(t, 5, stranger, 8)} }))},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := test.decoder.Decode(test.payload, key, bookWithDelegate())
			if err != nil {
				t.Fatal(err)
			}
			unknown := slices.ContainsFunc(in.Outflow, func(q signer.Quantity) bool { return q.Kind == signer.QuantityUnknown })
			if in.Class() != signer.ClassDelegation || in.Complete || !unknown || !slices.Contains(warnings(in), evm.WarnDelegation) {
				t.Errorf("intent = %+v; want class delegation, incomplete, of unknown quantity, with a warning", in)
			}
		})
	}
}

func TestTheFeeIsCountedAtItsMost(t *testing.T) {
	drain := wei("1000000000000000") // per gas
	for name, test := range map[string]struct {
		data types.TxData
		want *big.Int
	}{
		"a gas price that drains": {&types.LegacyTx{Nonce: 1, GasPrice: drain, Gas: 1e6, To: address(payee), Value: new(big.Int)}, new(big.Int).Mul(drain, wei("1000000"))},
		"a most that drains":      {pay(func(tx *types.DynamicFeeTx) { tx.GasFeeCap, tx.Gas, tx.Value = drain, 1e6, new(big.Int) }), new(big.Int).Mul(drain, wei("1000000"))},
		"blobs that drain": {blobs(func(tx *types.BlobTx) {
			tx.BlobFeeCap.SetFromBig(drain)
			tx.Value.Clear()
		}), new(big.Int).Add(fee.N, new(big.Int).Mul(drain, wei("262144")))},
	} {
		t.Run(name, func(t *testing.T) {
			in := decode(t, rawOf(t, types.NewTx(test.data), wei("1")))
			if in.Fee.Kind != signer.QuantityAtMost || in.Fee.N.Cmp(test.want) != 0 || len(in.Outflow) != 1 || in.Outflow[0].N.Cmp(test.want) != 0 {
				t.Errorf("fee %v, outflow %v; want %s in both", in.Fee, in.Outflow, test.want)
			}
			if !strings.Contains(field(in, "max fee"), test.want.String()+" base units") {
				t.Errorf("max fee = %q, want %s in it", field(in, "max fee"), test.want)
			}
		})
	}
}

func TestABareHashIsNoPayload(t *testing.T) {
	hash := []byte(strings.Repeat("\xa5", 32))
	key := keyFor(t, "eip155:1")
	for name, payload := range map[string][]byte{"bytes": hash, "text": toHex(hash), "text without 0x": toHex(hash)[2:]} {
		t.Run(name, func(t *testing.T) {
			for kind, d := range decoders() {
				in, err := d.Decode(payload, key, book())
				switch {
				case kind == signer.KindEVMMessage && (err != nil || in.Complete || in.Class() != signer.ClassOpaque):
					t.Errorf("as a message: class %q, complete %v, %v; want a hash of unknown content", in.Class(), in.Complete, err)
				case kind == signer.KindEVMMessage && string(in.Messages[0].Bytes) == string(hash):
					t.Error("as a message, the hash itself is signed")
				case kind != signer.KindEVMMessage && (err == nil || len(in.Messages) != 0):
					t.Errorf("as %s: %v; want it refused", kind, in.Messages)
				}
			}
		})
	}
}

func TestAMessageIsNoTransaction(t *testing.T) {
	signed := hex.EncodeToString(signedBytes(t, pay(nil)))
	for name, text := range map[string]string{
		"that is one":           signed,
		"that has one in it":    "I confirm order 17, reference 0x" + signed + ", of today.",
		"that has one as JSON":  string(toJSON(t, object(types.NewTx(pay(nil)), big.NewInt(1)))),
		"that is typed data":    typedText([]byte{1}),
		"that hands it over":    string(authorizationText("1", stranger, "7")),
		"of the bytes unsigned": string(raw(t, pay(nil))),
	} {
		t.Run(name, func(t *testing.T) {
			if err := signer.Crossing(signer.KindEVMMessage, []byte(text), decoders()); signer.CodeOf(err) != signer.CodeInvalid {
				t.Errorf("Crossing = %v, want code %q", err, signer.CodeInvalid)
			}
		})
	}
}

// A service at another domain can show the text of the one that people trust. Which
// domain it is stands in an attribute, for policy to compare.
func TestASignInNamesItsDomain(t *testing.T) {
	in, err := evm.Message{}.Decode([]byte(strings.Replace(signIn, "service.invalid wants", "service.invalid.evil.example wants", 1)), keyFor(t, "eip155:1"), book())
	if err != nil {
		t.Fatal(err)
	}
	if e := in.Effects[0]; e.Class != signer.ClassLogin || e.Attributes["domain"] != "service.invalid.evil.example" || e.Attributes["uri"] != "https://service.invalid/login" {
		t.Errorf("effect %+v; want a login at service.invalid.evil.example for a URI of service.invalid", e)
	}
}

func TestAContractThatIsCreatedWasNotRead(t *testing.T) {
	for name, payload := range map[string][]byte{
		"type 0":      rawOf(t, types.NewTx(&types.LegacyTx{GasPrice: wei("1"), Gas: 1, Data: []byte{0x60}}), wei("1")),
		"type 2":      raw(t, pay(func(tx *types.DynamicFeeTx) { tx.To, tx.Data = nil, []byte{0x60} })),
		"with value":  raw(t, pay(func(tx *types.DynamicFeeTx) { tx.To, tx.Data, tx.Value = nil, []byte{0x60}, wei("9") })),
		"of one byte": raw(t, pay(func(tx *types.DynamicFeeTx) { tx.To, tx.Data = nil, []byte{0xff} })),
	} {
		t.Run(name, func(t *testing.T) {
			in := decode(t, payload)
			if in.Class() != signer.ClassCreate || in.Complete || !slices.Contains(warnings(in), evm.WarnContractCreation) {
				t.Errorf("intent = %+v; want class create, incomplete, with a warning", in)
			}
		})
	}
}

func TestNothingIsSignedThatCouldBeReplayed(t *testing.T) {
	to := address(payee).Bytes()
	for name, payload := range map[string][]byte{
		"before EIP-155":         list(t, nil, 7, 2, 21000, to, 5, []byte{}),
		"signed before EIP-155":  list(t, nil, 7, 2, 21000, to, 5, []byte{}, 27, 1, 1),
		"chain id 0 in type 0":   list(t, nil, 7, 2, 21000, to, 5, []byte{}, 0, 0, 0),
		"chain id 0 in type 2":   raw(t, pay(func(tx *types.DynamicFeeTx) { tx.ChainID = new(big.Int) })),
		"chain id 0 in type 4":   raw(t, setCode(t, func(tx *types.SetCodeTx) { tx.ChainID.Clear() })),
		"JSON without a chain":   []byte(`{"nonce":"0x7","gas":"0x5208","gasPrice":"0x1","to":"` + payee + `"}`),
		"a chain of another key": raw(t, pay(func(tx *types.DynamicFeeTx) { tx.ChainID = big.NewInt(137) })),
	} {
		t.Run(name, func(t *testing.T) { refused(t, payload, keyFor(t, "eip155:1"), "chain") })
	}
	t.Run("an authorization for every chain", func(t *testing.T) {
		in, err := evm.Authorization{}.Decode(authorizationText("0", delegateCode, "7"), keyFor(t, "eip155:1", "eip155:0"), bookWithDelegate())
		if signer.CodeOf(err) != signer.CodeInvalid || len(in.Messages) != 0 {
			t.Errorf("Decode = %v, %v; want it refused", in.Messages, err)
		}
	})
	t.Run("the nonce is shown", func(t *testing.T) {
		for kind, in := range map[string]signer.Intent{
			"transaction":   decode(t, raw(t, pay(nil))),
			"blobs":         decode(t, raw(t, blobs(nil))),
			"authorization": preview(t, authorizationText("1", stranger, "7")),
		} {
			if field(in, "nonce") != "7" {
				t.Errorf("%s: nonce %q, want 7", kind, field(in, "nonce"))
			}
		}
	})
}

func preview(t *testing.T, payload []byte) signer.Intent {
	t.Helper()
	in, err := evm.Authorization{}.Preview(payload, sender, book())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

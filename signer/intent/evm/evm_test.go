package evm_test

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	sender   = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
	payee    = "0x52908400098527886E0F7030069857D2E4169EE7"
	usdc     = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	stranger = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
	ether    = "eip155:1/slip44:60"
	usdcID   = "eip155:1/erc20:" + usdc
)

// private is the first key of every development node.
func private(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := crypto.HexToECDSA("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyFor(t testing.TB, chains ...string) signer.KeyInfo {
	t.Helper()
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: crypto.FromECDSAPub(&private(t).PublicKey)}
	return signer.KeyInfo{
		Name: "hot", Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident,
		Kinds:  []signer.Kind{signer.KindEVMTransaction, signer.KindEVMTypedData, signer.KindEVMAuthorization, signer.KindEVMMessage},
		Chains: chains,
	}
}

func book() signer.Book {
	return signer.Book{Assets: map[string]signer.Asset{
		ether:  {ID: ether, Name: "eth", Decimals: 18},
		usdcID: {ID: usdcID, Name: "usdc", Decimals: 6},
	}}
}

func address(s string) *common.Address {
	a := common.HexToAddress(s)
	return &a
}

func wei(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic("not a number: " + s)
	}
	return n
}

// A preview says all that the intent says but who signs, and nothing to sign.
func TestPreviewIsTheIntentWithoutTheSigner(t *testing.T) {
	deploy := raw(t, pay(func(tx *types.DynamicFeeTx) { tx.To, tx.Data = nil, []byte{0} }))
	for name, c := range map[string]struct {
		decoder interface {
			signer.Decoder
			Preview([]byte, string, signer.Book) (signer.Intent, error)
		}
		payload []byte
	}{
		"a payment":             {evm.Transaction{}, raw(t, pay(nil))},
		"a contract's creation": {evm.Transaction{}, deploy},
		"blobs":                 {evm.Transaction{}, raw(t, blobs(nil))},
		"an authorization":      {evm.Authorization{}, []byte(`{"chainId":1,"address":"` + stranger + `","nonce":7}`)},
		"a message":             {evm.Message{}, []byte("hello")},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := c.decoder.Decode(c.payload, keyFor(t, "eip155:1"), book())
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.decoder.Preview(c.payload, "", book())
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Messages) != 0 || got.Effects[0].Actor != "" {
				t.Errorf("messages = %v, actor = %q; want none", got.Messages, got.Effects[0].Actor)
			}
			got.Messages = want.Messages
			for i := range got.Effects {
				got.Effects[i].Actor = want.Effects[i].Actor
				if got.Effects[i].Class == signer.ClassCreate {
					got.Effects[i].Counterparty = want.Effects[i].Counterparty
				}
			}
			for i, f := range got.Fields {
				if f.Value == "unknown (no key given)" {
					got.Fields[i].Value = want.Fields[i].Value
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Preview = %+v, want %+v", got, want)
			}
		})
	}
}

// pay is a plain payment; tests change what they are about.
func pay(change func(*types.DynamicFeeTx)) *types.DynamicFeeTx {
	tx := &types.DynamicFeeTx{
		ChainID: big.NewInt(1), Nonce: 7, GasTipCap: wei("1000000000"), GasFeeCap: wei("30000000000"),
		Gas: 21000, To: address(payee), Value: wei("1500000000000000000"),
	}
	if change != nil {
		change(tx)
	}
	return tx
}

// blobs is a payment that brings two blobs.
func blobs(change func(*types.BlobTx)) *types.BlobTx {
	tx := &types.BlobTx{
		ChainID: uint256.NewInt(1), Nonce: 7, GasTipCap: uint256.NewInt(1_000_000_000), GasFeeCap: uint256.NewInt(30_000_000_000),
		Gas: 21000, To: *address(payee), Value: uint256.NewInt(5), BlobFeeCap: uint256.NewInt(3_000_000_000),
		BlobHashes: []common.Hash{{1, 2}, {1, 3}},
	}
	if change != nil {
		change(tx)
	}
	return tx
}

// setCode is a payment that brings an authorisation of the sender's for a delegate.
func setCode(t testing.TB, change func(*types.SetCodeTx)) *types.SetCodeTx {
	t.Helper()
	tx := &types.SetCodeTx{
		ChainID: uint256.NewInt(1), Nonce: 7, GasTipCap: uint256.NewInt(1_000_000_000), GasFeeCap: uint256.NewInt(30_000_000_000),
		Gas: 100_000, To: *address(payee), Value: uint256.NewInt(5), AuthList: []types.SetCodeAuthorization{authorize(t, 1, stranger, 8)},
	}
	if change != nil {
		change(tx)
	}
	return tx
}

// authorize signs an authorisation with go-ethereum.
func authorize(t testing.TB, chainID uint64, delegate string, nonce uint64) types.SetCodeAuthorization {
	t.Helper()
	a, err := types.SignSetCode(private(t), types.SetCodeAuthorization{ChainID: *uint256.NewInt(chainID), Address: *address(delegate), Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// raw encodes the unsigned form with go-ethereum's reflection, a second opinion
// on the encoder under test.
func raw(t testing.TB, data types.TxData) []byte {
	t.Helper()
	return rawOf(t, types.NewTx(data), nil)
}

func rawOf(t testing.TB, tx *types.Transaction, chainID *big.Int) []byte {
	t.Helper()
	var list []any
	switch tx.Type() {
	case types.LegacyTxType:
		list = []any{tx.Nonce(), tx.GasPrice(), tx.Gas(), tx.To(), tx.Value(), tx.Data(), chainID, uint64(0), uint64(0)}
	case types.AccessListTxType:
		list = []any{tx.ChainId(), tx.Nonce(), tx.GasPrice(), tx.Gas(), tx.To(), tx.Value(), tx.Data(), tx.AccessList()}
	default:
		list = []any{tx.ChainId(), tx.Nonce(), tx.GasTipCap(), tx.GasFeeCap(), tx.Gas(), tx.To(), tx.Value(), tx.Data(), tx.AccessList()}
	}
	switch tx.Type() {
	case types.BlobTxType:
		list = append(list, tx.BlobGasFeeCap(), tx.BlobHashes())
	case types.SetCodeTxType:
		list = append(list, tx.SetCodeAuthorizations())
	}
	b := encodeRLP(t, list)
	if tx.Type() == types.LegacyTxType {
		return b
	}
	return append([]byte{tx.Type()}, b...)
}

func encodeRLP(t testing.TB, v any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// object is the eth_signTransaction form of a transaction.
func object(tx *types.Transaction, chainID *big.Int) map[string]any {
	o := map[string]any{
		"from": sender, "nonce": hexutil.EncodeUint64(tx.Nonce()), "gas": hexutil.EncodeUint64(tx.Gas()),
		"value": hexutil.EncodeBig(tx.Value()), "input": hexutil.Encode(tx.Data()), "chainId": hexutil.EncodeBig(chainID),
		"to": tx.To(),
	}
	if tx.Type() >= types.DynamicFeeTxType {
		o["maxFeePerGas"], o["maxPriorityFeePerGas"] = hexutil.EncodeBig(tx.GasFeeCap()), hexutil.EncodeBig(tx.GasTipCap())
	} else {
		o["gasPrice"] = hexutil.EncodeBig(tx.GasPrice())
	}
	if tx.Type() != types.LegacyTxType {
		tuples := []map[string]any{}
		for _, e := range tx.AccessList() {
			keys := append([]common.Hash{}, e.StorageKeys...)
			tuples = append(tuples, map[string]any{"address": e.Address, "storageKeys": keys})
		}
		o["accessList"] = tuples
	}
	switch tx.Type() {
	case types.BlobTxType:
		o["maxFeePerBlobGas"], o["blobVersionedHashes"] = hexutil.EncodeBig(tx.BlobGasFeeCap()), tx.BlobHashes()
	case types.SetCodeTxType:
		o["authorizationList"] = tx.SetCodeAuthorizations()
	}
	return o
}

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func toHex(b []byte) []byte { return []byte("0x" + hex.EncodeToString(b)) }

func sign(t testing.TB, m signer.Message) []byte {
	t.Helper()
	sig, err := crypto.Sign(m.Bytes, private(t))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func field(in signer.Intent, name string) string {
	for _, f := range in.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func warnings(in signer.Intent) []string {
	var codes []string
	for _, w := range in.Warnings {
		codes = append(codes, w.Code)
	}
	return codes
}

func TestAddressIsChecksummed(t *testing.T) {
	got, err := evm.Address(keyFor(t).Public)
	if err != nil || got != sender {
		t.Errorf("Address = %q, %v; want %q", got, err, sender)
	}
}

func TestAddressRefusesOtherKeys(t *testing.T) {
	good := keyFor(t).Public.Bytes
	offCurve := append([]byte{}, good...)
	offCurve[64] ^= 1
	for name, pub := range map[string]signer.PublicKey{
		"no key":             {},
		"P-256":              {Algorithm: signer.AlgorithmP256, Bytes: good},
		"not on the curve":   {Algorithm: signer.AlgorithmSecp256k1, Bytes: offCurve},
		"compressed":         {Algorithm: signer.AlgorithmSecp256k1, Bytes: crypto.CompressPubkey(&private(t).PublicKey)},
		"point at infinity":  {Algorithm: signer.AlgorithmSecp256k1, Bytes: []byte{0}},
		"without its prefix": {Algorithm: signer.AlgorithmSecp256k1, Bytes: good[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := evm.Address(pub); signer.CodeOf(err) != signer.CodeInvalid || got != "" {
				t.Errorf("Address = %q, %v; want no address and code %q", got, err, signer.CodeInvalid)
			}
			key := keyFor(t, "eip155:1")
			key.Public = pub
			if _, err := (evm.Transaction{}).Decode(raw(t, pay(nil)), key, book()); signer.CodeOf(err) != signer.CodeInvalid {
				t.Errorf("Decode of a transaction = %v, want code %q", err, signer.CodeInvalid)
			}
			if _, err := (evm.Message{}).Decode([]byte("hello"), key, book()); signer.CodeOf(err) != signer.CodeInvalid {
				t.Errorf("Decode of a message = %v, want code %q", err, signer.CodeInvalid)
			}
			if _, err := (evm.Authorization{}).Decode([]byte(`{"chainId":1,"address":"`+stranger+`","nonce":7}`), key, book()); signer.CodeOf(err) != signer.CodeInvalid {
				t.Errorf("Decode of an authorization = %v, want code %q", err, signer.CodeInvalid)
			}
		})
	}
}

func TestVersionsNameTheDecoder(t *testing.T) {
	for _, test := range []struct {
		decoder signer.Decoder
		want    string
	}{
		{evm.Transaction{}, "evm.transaction/2"},
		{evm.Authorization{}, "evm.authorization/2"},
		{evm.Message{}, "evm.message/2"},
	} {
		if got := test.decoder.Version(); got != test.want {
			t.Errorf("version = %q, want %q; changing one is a change of format", got, test.want)
		}
	}
}

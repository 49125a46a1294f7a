package evm_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

func TestMessageHashesLikeOtherWallets(t *testing.T) {
	in, err := evm.Message{}.Decode([]byte("Hello World"), keyFor(t), signer.Book{})
	if err != nil {
		t.Fatal(err)
	}
	// The example of the documentation of ethers, hashMessage.
	const want = "a1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2"
	if got := hex.EncodeToString(in.Messages[0].Bytes); len(in.Messages) != 1 || got != want || in.Messages[0].Scheme != signer.SchemeSecp256k1 {
		t.Errorf("messages = %v, want %s", in.Messages, want)
	}
}

func TestMessageMeans(t *testing.T) {
	fields := func(f ...signer.Field) []signer.Field { return append(f, signer.Field{Name: "signer", Value: sender}) }
	f := func(name, value string) signer.Field { return signer.Field{Name: name, Value: value} }
	hash := strings.Repeat("ab", 32)
	for name, test := range map[string]struct {
		text   string
		fields []signer.Field
		warns  []string
	}{
		"plain text":                {"I own this", fields(f("length", "10 bytes"), f("text", "I own this")), nil},
		"lines":                     {"a\nb", fields(f("length", "3 bytes"), f("text", "a\nb")), nil},
		"letters of the world":      {"Ää 日本 😀", fields(f("length", "16 bytes"), f("text", "Ää 日本 😀")), nil},
		"hexadecimal is text":       {"0x6869", fields(f("length", "6 bytes"), f("text", "0x6869")), nil},
		"not UTF-8":                 {"a\xff", fields(f("length", "2 bytes"), f("bytes", "0x61ff")), nil},
		"override of direction":     {"a\u202eb", fields(f("length", "5 bytes"), f("text", "a\u202eb"), f("bytes", "0x61e280ae62")), []string{evm.WarnHiddenCharacters}},
		"zero-width space":          {"a\u200b", fields(f("length", "4 bytes"), f("text", "a\u200b"), f("bytes", "0x61e2808b")), []string{evm.WarnHiddenCharacters}},
		"filler that is no mark":    {"a\u3164", fields(f("length", "4 bytes"), f("text", "a\u3164"), f("bytes", "0x61e385a4")), []string{evm.WarnHiddenCharacters}},
		"control character":         {"a\x1b[2J", fields(f("length", "5 bytes"), f("text", "a\x1b[2J"), f("bytes", "0x611b5b324a")), []string{evm.WarnHiddenCharacters}},
		"carriage return":           {"a\rb", fields(f("length", "3 bytes"), f("text", "a\rb"), f("bytes", "0x610d62")), []string{evm.WarnHiddenCharacters}},
		"a hash":                    {strings.Repeat("\xab", 32), fields(f("length", "32 bytes"), f("bytes", "0x"+hash)), []string{evm.WarnLooksLikeHash}},
		"a hash as text":            {"0x" + hash, fields(f("length", "66 bytes"), f("text", "0x"+hash)), []string{evm.WarnLooksLikeHash}},
		"a hash without 0x":         {hash + "\n", fields(f("length", "65 bytes"), f("text", hash+"\n")), []string{evm.WarnLooksLikeHash}},
		"a word of 32 letters":      {strings.Repeat("a", 31) + "z", fields(f("length", "32 bytes"), f("text", strings.Repeat("a", 31)+"z")), []string{evm.WarnLooksLikeHash}},
		"text that begins like RLP": {"xĀabc", fields(f("length", "6 bytes"), f("text", "xĀabc")), nil},
		"an object":                 {`{"nonce":"0x1"}`, fields(f("length", "15 bytes"), f("text", `{"nonce":"0x1"}`)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Message{}.Decode([]byte(test.text), keyFor(t), signer.Book{})
			if err != nil {
				t.Fatal(err)
			}
			if !in.Complete || in.Kind != signer.KindEVMMessage || len(in.Outflow) != 0 || in.Fee.Kind != signer.QuantityNone ||
				!reflect.DeepEqual(in.Effects, []signer.Effect{{Class: signer.ClassMessage}}) {
				t.Errorf("intent = %+v, want one message and no outflow", in)
			}
			if !slices.Equal(in.Fields, test.fields) {
				t.Errorf("fields = %q\nwant     %q", in.Fields, test.fields)
			}
			if got := warnings(in); !slices.Equal(got, test.warns) {
				t.Errorf("warnings = %v, want %v", got, test.warns)
			}
			if want := accounts.TextHash([]byte(test.text)); !bytes.Equal(in.Messages[0].Bytes, want) || in.Digests[0].Value != [32]byte(want) {
				t.Errorf("message %x, digest %x; want %x", in.Messages[0].Bytes, in.Digests[0].Value, want)
			}
		})
	}
}

func TestMessageRefusesTransactions(t *testing.T) {
	to := address(payee)
	legacy := &types.LegacyTx{Nonce: 7, GasPrice: wei("1"), Gas: 21000, To: to, Value: wei("5")}
	berlin := &types.AccessListTx{ChainID: wei("1"), GasPrice: wei("1"), Gas: 21000, To: to}
	blob := &types.BlobTx{ChainID: uint256.NewInt(1), GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(1), Gas: 21000, To: *to,
		Value: uint256.NewInt(1), BlobFeeCap: uint256.NewInt(1), BlobHashes: []common.Hash{{1}}}
	setCode := &types.SetCodeTx{ChainID: uint256.NewInt(1), GasTipCap: uint256.NewInt(1), GasFeeCap: uint256.NewInt(1), Gas: 21000, To: *to, Value: uint256.NewInt(1)}
	for name, payload := range map[string][]byte{
		"unsigned, type 0":         rawOf(t, types.NewTx(legacy), wei("1")),
		"unsigned, before EIP-155": list(t, nil, 7, 2, 21000, to.Bytes(), 5, []byte{}),
		"unsigned, type 1":         raw(t, berlin),
		"unsigned, type 2":         raw(t, pay(nil)),
		"unsigned, creation":       list(t, nil, 7, 2, 21000, []byte{}, 5, []byte{1}, 1, 0, 0),
		"signed, type 0":           signedBytes(t, legacy),
		"signed, type 1":           signedBytes(t, berlin),
		"signed, type 2":           signedBytes(t, pay(nil)),
		"signed, type 3":           signedBytes(t, blob),
		"signed, type 4":           signedBytes(t, setCode),
		"type 3 with its blobs":    list(t, []byte{3}, []any{1, 2, 3}, []any{}, []any{}, []any{}),
		"type of another chain":    append([]byte{0x76}, raw(t, pay(nil))[1:]...),
		"JSON":                     toJSON(t, object(types.NewTx(pay(nil)), wei("1"))),
		"JSON of another sender":   bytes.Replace(toJSON(t, object(types.NewTx(pay(nil)), wei("1"))), []byte(sender), []byte(payee), 1),
		"JSON behind white space":  append([]byte("\n "), toJSON(t, object(types.NewTx(pay(nil)), wei("1")))...),
	} {
		for form, b := range map[string][]byte{
			"":                                    payload,
			" in hexadecimal":                     toHex(payload),
			" in hexadecimal without 0x":          toHex(payload)[2:],
			" in hexadecimal between white space": []byte(" 0x" + hex.EncodeToString(payload) + "\r\n"),
			" in upper case":                      []byte("0x" + strings.ToUpper(hex.EncodeToString(payload))),
		} {
			t.Run(name+form, func(t *testing.T) {
				in, err := evm.Message{}.Decode(b, keyFor(t), signer.Book{})
				if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "it is an Ethereum transaction") || len(in.Messages) != 0 {
					t.Errorf("Decode = %v, %v; want it refused as a transaction", in.Messages, err)
				}
			})
		}
	}
	t.Run("nothing", func(t *testing.T) {
		if _, err := (evm.Message{}).Decode(nil, keyFor(t), signer.Book{}); signer.CodeOf(err) != signer.CodeInvalid {
			t.Errorf("Decode error = %v, want code %q", err, signer.CodeInvalid)
		}
	})
}

func TestMessageSignatureRecoversToTheKey(t *testing.T) {
	key, text := keyFor(t), []byte("I own this")
	in, err := evm.Message{}.Decode(text, key, signer.Book{})
	if err != nil {
		t.Fatal(err)
	}
	bare := sign(t, in.Messages[0])
	v := bare[64]
	got, err := evm.Message{}.Assemble(text, key, [][]byte{bare})
	if err != nil || len(got) != 65 || got[64] != v+27 || bare[64] != v {
		t.Fatalf("Assemble = %x, %v; want v %d and the argument untouched", got, err, v+27)
	}
	got[64] -= 27
	pub, err := crypto.SigToPub(accounts.TextHash(text), got)
	if err != nil || crypto.PubkeyToAddress(*pub).Hex() != sender {
		t.Errorf("recovered %v, %v; want %s", pub, err, sender)
	}
}

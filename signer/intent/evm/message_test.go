package evm_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/crypto"

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
	for name, test := range map[string]struct {
		text   string
		fields []signer.Field
		warns  []string
	}{
		"plain text":               {"I own this", fields(f("length", "10 bytes"), f("text", "I own this")), nil},
		"lines":                    {"a\nb", fields(f("length", "3 bytes"), f("text", "a\nb")), nil},
		"letters of the world":     {"Ää 日本 😀", fields(f("length", "16 bytes"), f("text", "Ää 日本 😀")), nil},
		"hexadecimal is text":      {"0x6869", fields(f("length", "6 bytes"), f("text", "0x6869")), nil},
		"override of direction":    {"a\u202eb", fields(f("length", "5 bytes"), f("text", "a\u202eb"), f("bytes", "0x61e280ae62")), []string{evm.WarnHiddenCharacters}},
		"zero-width space":         {"a\u200b", fields(f("length", "4 bytes"), f("text", "a\u200b"), f("bytes", "0x61e2808b")), []string{evm.WarnHiddenCharacters}},
		"filler that is no mark":   {"a\u3164", fields(f("length", "4 bytes"), f("text", "a\u3164"), f("bytes", "0x61e385a4")), []string{evm.WarnHiddenCharacters}},
		"control character":        {"a\x1b[2J", fields(f("length", "5 bytes"), f("text", "a\x1b[2J"), f("bytes", "0x611b5b324a")), []string{evm.WarnHiddenCharacters}},
		"letters of two alphabets": {"p\u0430ypal", fields(f("length", "7 bytes"), f("text", "p\u0430ypal")), []string{evm.WarnMixedScripts}},
		"a Greek letter in a word": {"g\u03bfod", fields(f("length", "5 bytes"), f("text", "g\u03bfod")), []string{evm.WarnMixedScripts}},
		"words of two alphabets":   {"\u041f\u0440\u0438\u0432\u0435\u0442 Bob", fields(f("length", "16 bytes"), f("text", "\u041f\u0440\u0438\u0432\u0435\u0442 Bob")), nil},
		"one word, hidden in two": {"\u0440\u200bay", fields(f("length", "7 bytes"), f("text", "\u0440\u200bay"), f("bytes", "0xd180e2808b6179")),
			[]string{evm.WarnHiddenCharacters, evm.WarnMixedScripts}},
		"Japanese mixes scripts":      {"Tシャツを買う", fields(f("length", "19 bytes"), f("text", "Tシャツを買う")), nil},
		"an emoji with its selector":  {"\u2764\ufe0f", fields(f("length", "6 bytes"), f("text", "\u2764\ufe0f")), nil},
		"a selector that hides bytes": {"a\U000e0101", fields(f("length", "5 bytes"), f("text", "a\U000e0101"), f("bytes", "0x61f3a08481")), []string{evm.WarnHiddenCharacters}},
		"carriage return":             {"a\rb", fields(f("length", "3 bytes"), f("text", "a\rb"), f("bytes", "0x610d62")), []string{evm.WarnHiddenCharacters}},
		"text that begins like RLP":   {"xĀabc", fields(f("length", "6 bytes"), f("text", "xĀabc")), nil},
		"an object":                   {`{"nonce":"0x1"}`, fields(f("length", "15 bytes"), f("text", `{"nonce":"0x1"}`)), nil},
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

// A Safe takes the signature of the hash of its transaction for an owner's yes, and
// accounts of EntryPoint 0.6 and 0.7 that of an operation's hash.
func TestMessageThatIsAHashCouldStandForAnything(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for name, text := range map[string]string{
		"a hash":               strings.Repeat("\xab", 32),
		"a hash as text":       "0x" + hash,
		"a hash without 0x":    hash + "\n",
		"a word of 32 letters": strings.Repeat("a", 31) + "z",
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Message{}.Decode([]byte(text), keyFor(t), signer.Book{})
			if err != nil {
				t.Fatal(err)
			}
			unknown := signer.Quantity{Kind: signer.QuantityUnknown}
			if want := []signer.Effect{{Class: signer.ClassOpaque, Quantity: unknown}}; in.Complete || !reflect.DeepEqual(in.Effects, want) || !slices.Contains(in.Outflow, unknown) {
				t.Errorf("complete %v, effects %+v, outflow %v; want incomplete, and a hash of unknown content", in.Complete, in.Effects, in.Outflow)
			}
			if got := warnings(in); !slices.Equal(got, []string{evm.WarnLooksLikeHash}) {
				t.Errorf("warnings = %v, want %s", got, evm.WarnLooksLikeHash)
			}
		})
	}
}

// What is no text cannot be read. Arguments of a contract may be UTF-8 by choice of the
// numbers in them.
func TestMessageThatIsNoTextIsNotUnderstood(t *testing.T) {
	for name, text := range map[string]string{
		"not UTF-8":               "a\xff",
		"two words of the EVM":    strings.Repeat("\x00", 31) + "a" + strings.Repeat("\x00", 31) + "b",
		"text with a zero inside": "pay\x00Bob",
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Message{}.Decode([]byte(text), keyFor(t), signer.Book{})
			if err != nil || in.Complete || in.Class() != signer.ClassUnknownMessage {
				t.Errorf("complete %v, class %q, %v; want incomplete, an unknown message", in.Complete, in.Class(), err)
			}
			if got, want := field(in, "bytes"), "0x"+hex.EncodeToString([]byte(text)); got != want {
				t.Errorf("bytes = %q, want %q", got, want)
			}
		})
	}
}

func TestMessageRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":       {"", "empty"},
		"a long letter": {strings.Repeat("a", 8193), "8193 bytes; the most is 8192"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Message{}.Decode([]byte(test.text), keyFor(t), signer.Book{})
			if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), test.want) || len(in.Messages) != 0 {
				t.Errorf("Decode = %v, %v; want code %q and %q", in.Messages, err, signer.CodeInvalid, test.want)
			}
		})
	}
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

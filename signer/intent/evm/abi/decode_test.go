package abi_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

func mustParse(tb testing.TB, text string) *abi.Type {
	tb.Helper()
	t, err := abi.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// words makes data of words that are written short: "7" is a word that ends in 07,
// "ab.." one that begins with ab.
func words(tb testing.TB, text string) (data []byte) {
	tb.Helper()
	for _, w := range strings.Fields(text) {
		fill := strings.Repeat("0", 64-len(strings.TrimSuffix(w, "..")))
		if left, ok := strings.CutSuffix(w, ".."); ok {
			w = left + fill
		} else {
			w = fill + w
		}
		b, err := hex.DecodeString(w)
		if err != nil {
			tb.Fatal(err)
		}
		data = append(data, b...)
	}
	return data
}

// TestExamples has the examples of the Contract ABI Specification, "Examples" and
// "Use of Dynamic Types".
func TestExamples(t *testing.T) {
	hello := hex.EncodeToString([]byte("Hello, world!"))
	for name, c := range map[string]struct {
		method string
		args   []abi.Value
		data   string
	}{
		"baz": {"baz(uint32,bool)", []abi.Value{abi.Uint64(69), abi.Truth(true)}, "45 1"},
		"bar": {"bar(bytes3[2])",
			[]abi.Value{abi.List(abi.FixedBytesValue([]byte("abc")), abi.FixedBytesValue([]byte("def")))}, "616263.. 646566.."},
		"sam": {"sam(bytes,bool,uint256[])",
			[]abi.Value{abi.BytesValue([]byte("dave")), abi.Truth(true), abi.List(abi.Uint64(1), abi.Uint64(2), abi.Uint64(3))},
			"60 1 a0 4 64617665.. 3 1 2 3"},
		"f": {"f(uint256,uint32[],bytes10,bytes)",
			[]abi.Value{abi.Uint64(0x123), abi.List(abi.Uint64(0x456), abi.Uint64(0x789)), abi.FixedBytesValue([]byte("1234567890")), abi.BytesValue([]byte("Hello, world!"))},
			"123 80 31323334353637383930.. e0 2 456 789 d " + hello + ".."},
		"g": {"g(uint256[][],string[])",
			[]abi.Value{
				abi.List(abi.List(abi.Uint64(1), abi.Uint64(2)), abi.List(abi.Uint64(3))),
				abi.List(abi.TextValue("one"), abi.TextValue("two"), abi.TextValue("three")),
			},
			"40 140 2 40 a0 2 1 2 1 3 3 60 a0 e0 3 6f6e65.. 3 74776f.. 5 7468726565.."},
	} {
		t.Run(name, func(t *testing.T) {
			m := abi.MustParseSignature(c.method)
			want := words(t, c.data)
			call := m.Call(c.args...)
			if s := m.Selector(); !bytes.Equal(call[:4], s[:]) || !bytes.Equal(call[4:], want) {
				t.Errorf("the call is\n%x, want\n%x%x", call, s, want)
			}
			v, err := abi.Decode(m.Args, want)
			if err != nil {
				t.Fatal(err)
			}
			if out := abi.Encode(v); !bytes.Equal(out, want) {
				t.Errorf("what was read encodes as\n%x, want\n%x", out, want)
			}
		})
	}
}

const ff = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ typ, data, want string }{
		"nothing":                          {"(address to,uint256 value)", "", "cut short: 64 bytes are due, 0 are left"},
		"an argument too few":              {"(address to,uint256 value)", "1", "cut short: 64 bytes are due, 32 are left"},
		"trailing bytes":                   {"(address to)", "1 0", "32 bytes follow the last value"},
		"trailing bytes after a tail":      {"(bytes)", "20 1 ab.. 0", "32 bytes follow the last value"},
		"arguments where there are none":   {"()", "1", "32 bytes follow the last value"},
		"dirty bytes before an address":    {"(bool,address to)", "1 01" + strings.Repeat("00", 20), "argument 2 (to): dirty padding: 0x1" + strings.Repeat("00", 20) + " is more than an address"},
		"a bool of two":                    {"(bool)", "2", "argument 1: a bool is 0 or 1, not 0x2"},
		"a uint8 of 256":                   {"(uint8)", "100", "argument 1: 0x100 is out of the range of uint8"},
		"a uint160 of 161 bits":            {"(uint160)", "01" + strings.Repeat("00", 20), "out of the range of uint160"},
		"an int8 of 128":                   {"(int8)", "80", "0x80 is out of the range of int8"},
		"an int8 of -129":                  {"(int8)", ff[:62] + "7f", "out of the range of int8"},
		"an int8 whose sign is short":      {"(int8)", "ff", "0xff is out of the range of int8"},
		"dirty bytes after a bytes4":       {"(bytes4)", "0102030405..", "argument 1: dirty padding: a bytes4 has bytes other than zero after its own"},
		"a dirty last byte of bytes31":     {"(bytes31)", "1", "a bytes31 has bytes other than zero"},
		"dirty bytes after bytes":          {"(bytes)", "20 1 abcd..", "argument 1: dirty padding: bytes other than zero after the 1 of the value"},
		"bytes without their padding":      {"(bytes)", "20 21 ab..", "argument 1: cut short: 33 bytes are due, 32 are left"},
		"bytes without a length":           {"(bytes)", "20", "argument 1: cut short: 32 bytes are due, 0 are left"},
		"an offset backwards":              {"(bytes,bytes)", "40 40 0 0", "argument 2: offset 64 where 96 is due: it leads into what was read before"},
		"an offset into the heads":         {"(uint256,bytes)", "0 0", "argument 2: offset 0 where 64 is due"},
		"an offset over a gap":             {"(bytes)", "40 0 0", "argument 1: offset 64 where 32 is due: it leaves a gap"},
		"an offset within a word":          {"(bytes)", "21 0 0", "argument 1: offset 33 where 32 is due"},
		"an offset of -32":                 {"(bytes)", ff[:62] + "e0 0", "it leaves a gap"},
		"an offset of 2^64 and 32":         {"(bytes)", "10000000000000020 0", "offset 18446744073709551648 where 32 is due"},
		"tails in another order":           {"(bytes,bytes)", "60 40 0 0", "argument 1: offset 96 where 64 is due"},
		"a tail that is shared":            {"(string[] names)", "20 2 40 40 1 61..", "argument 1 (names), element 2: offset 64 where 128 is due: it leads into what was read before"},
		"a list that contains itself":      {"(bytes[][])", "20 1 0", "argument 1, element 1: offset 0 where 32 is due"},
		"bytes of 2^256-1":                 {"(bytes)", "20 " + ff, "argument 1: " + "115792089237316195423570985008687907853269984665640564039457584007913129639935 bytes, which no calldata can hold"},
		"bytes of 2^64-1":                  {"(bytes)", "20 ffffffffffffffff", "cut short: 18446744073709551615 bytes are due, 0 are left"},
		"bytes of 2^63-1":                  {"(bytes)", "20 7fffffffffffffff 0", "cut short: 9223372036854775807 bytes are due"},
		"elements of 2^256-1":              {"(uint8[])", "20 " + ff, "which no calldata can hold"},
		"elements that overflow a product": {"(uint256[])", "20 0800000000000001 1", "argument 1: 576460752303423489 elements of at least 32 bytes each, but 32 bytes are left"},
		"elements that are not there":      {"(uint256[2][])", "20 2 1 1 1", "argument 1: 2 elements of at least 64 bytes each, but 96 bytes are left"},
		"an array beyond the data":         {"(bytes[10000] a)", "20 0 0", "argument 1 (a): 10000 elements of at least 32 bytes each, but 64 bytes are left"},
		"text that is not UTF-8":           {"(string)", "20 2 c328..", "argument 1: the text is not valid UTF-8"},
		"text with a surrogate":            {"(string)", "20 3 eda080..", "the text is not valid UTF-8"},
		"text in an overlong form":         {"(string)", "20 2 c080..", "the text is not valid UTF-8"},
		"deep inside": {"(uint8,(address to,bytes[] data)[] calls)", "1 40 1 20 1 40 2 40 60 0 1 abcd..",
			"argument 2 (calls), element 1, field 2 (data), element 2: dirty padding"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := abi.Decode(mustParse(t, c.typ), words(t, c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Decode error is %v, want %q in it", err, c.want)
			}
			if v.Type != nil || v.Elems != nil {
				t.Errorf("a value came back with the error: %v", v)
			}
		})
	}
}

// TestDecodeRefusesEveryPrefix cuts the arguments of calls short at each byte, and adds
// one.
func TestDecodeRefusesEveryPrefix(t *testing.T) {
	for _, c := range []struct{ typ, data string }{
		{"(address,uint256)", "1 2"},
		{"(uint8,(address to,bytes[] data)[] calls)", "1 40 1 20 1 40 2 40 80 3 abcdef.. 0"},
		{"(string,bool[2],bytes)", "80 1 0 c0 3 6f6e65.. 1 ab.."},
		{"uint256", "1"},
		{"bool[2]", "1 0"},
	} {
		typ, data := mustParse(t, c.typ), words(t, c.data)
		if _, err := abi.Decode(typ, data); err != nil {
			t.Fatal(err)
		}
		for n := range data {
			if v, err := abi.Decode(typ, data[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes are read as %v", typ, n, len(data), v)
			}
		}
		if v, err := abi.Decode(typ, append(data, 0)); err == nil {
			t.Errorf("%s: one byte too many is read as %v", typ, v)
		}
	}
}

func TestDecodeEdges(t *testing.T) {
	for name, c := range map[string]struct{ typ, data string }{
		"no arguments":               {"()", ""},
		"the zero address":           {"(address)", "0"},
		"the greatest uint8":         {"(uint8)", "ff"},
		"the greatest uint160":       {"(uint160)", strings.Repeat("ff", 20)},
		"the greatest uint256":       {"(uint256)", ff},
		"the least int8":             {"(int8)", ff[:62] + "80"},
		"the greatest int8":          {"(int8)", "7f"},
		"the least int256":           {"(int256)", "80.."},
		"empty bytes":                {"(bytes)", "20 0"},
		"bytes of exactly a word":    {"(bytes)", "20 20 " + ff},
		"an empty list":              {"(string[])", "20 0"},
		"a whole word of bytes32":    {"(bytes32)", ff},
		"a tuple with a tail":        {"((bytes))", "20 20 0"},
		"a tuple without":            {"((bool))", "1"},
		"no tuple at all":            {"uint256", "1"},
		"a list by itself":           {"bool[]", "2 1 0"},
		"text with a zero byte":      {"(string)", "20 1 00.."},
		"an array of lists":          {"(bool[][2])", "20 40 80 1 1 0"},
		"a static array in the head": {"(bool[2],bytes,bool)", "1 0 80 1 0"},
	} {
		t.Run(name, func(t *testing.T) {
			data := words(t, c.data)
			v, err := abi.Decode(mustParse(t, c.typ), data)
			if err != nil {
				t.Fatal(err)
			}
			if out := abi.Encode(v); !bytes.Equal(out, data) {
				t.Errorf("encodes as %x, want %x", out, data)
			}
		})
	}
}

// TestDecodeRefusesTypes has types that no text gives: those of typed data may be
// anything.
func TestDecodeRefusesTypes(t *testing.T) {
	self := &abi.Type{Kind: abi.Tuple, Name: "Person"}
	self.Fields = []abi.Field{{Name: "a", Type: &abi.Type{Kind: abi.Slice, Elem: self}}, {Name: "b", Type: self}}
	for name, typ := range map[string]*abi.Type{
		"none":                        nil,
		"the zero type":               {},
		"a kind there is not":         {Kind: abi.Tuple + 1},
		"an integer of no size":       {Kind: abi.Uint},
		"a list of nothing":           {Kind: abi.Slice},
		"a list of empty tuples":      {Kind: abi.Slice, Elem: &abi.Type{Kind: abi.Tuple}},
		"an array of negative size":   {Kind: abi.Array, Size: -1, Elem: &abi.Type{Kind: abi.Bool}},
		"a field without a type":      {Kind: abi.Tuple, Fields: []abi.Field{{Name: "a"}}},
		"a type that contains itself": self,
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := abi.Decode(typ, make([]byte, 4096)); err == nil {
				t.Errorf("Decode = %v, want it refused", v)
			}
			defer func() {
				if recover() == nil {
					t.Error("Encode took it")
				}
			}()
			abi.Encode(abi.Value{Type: typ})
		})
	}
}

func TestAccessors(t *testing.T) {
	to := common.HexToAddress("0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045")
	m := abi.MustParseSignature("f(address to, uint96 value, int64 least, int256 most, bool ok, string note, (bytes2 tag, bytes data) more)")
	v, err := abi.Decode(m.Args, m.Call(abi.Addr(to), abi.Uint64(7), abi.Int64(-1<<63), abi.Int64(5), abi.Truth(true), abi.TextValue("grüezi"),
		abi.List(abi.FixedBytesValue([]byte{1, 2}), abi.BytesValue([]byte{3})))[4:])
	if err != nil {
		t.Fatal(err)
	}
	field := func(v abi.Value, name string) abi.Value {
		t.Helper()
		f, ok := v.Field(name)
		if !ok {
			t.Fatalf("there is no field %s", name)
		}
		return f
	}
	more := field(v, "more")
	got := fmt.Sprintln(field(v, "to").Address(), field(v, "value").Uint(), field(v, "least").Signed(), field(v, "most").Signed(),
		field(v, "ok").Bool(), field(v, "note").Text(), field(more, "tag").Bytes, field(more, "data").Bytes)
	if want := to.Hex() + " 7 -9223372036854775808 5 true grüezi [1 2] [3]\n"; got != want {
		t.Errorf("the values are\n%s, want\n%s", got, want)
	}
	for _, name := range []string{"", "To", "tag"} {
		if f, ok := v.Field(name); ok {
			t.Errorf("Field(%q) = %v, want none", name, f)
		}
	}
	if f, ok := field(v, "to").Field("to"); ok {
		t.Errorf("a field of an address: %v", f)
	}
	field(v, "value").Uint().SetUint64(8)
	if n := field(v, "value").Uint(); !n.Eq(uint256.NewInt(7)) {
		t.Errorf("the value became %s by changing what Uint gave", n)
	}
}

func TestSignedOfTheLeast(t *testing.T) {
	v, err := abi.Decode(mustParse(t, "int256"), words(t, "80.."))
	if err != nil {
		t.Fatal(err)
	}
	if want := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 255)); v.Signed().Cmp(want) != 0 {
		t.Errorf("Signed = %s, want %s", v.Signed(), want)
	}
}

func TestPanicsRatherThanLies(t *testing.T) {
	transfer := abi.MustParseSignature("transfer(address to, uint8 value)")
	for name, f := range map[string]func(){
		"the address of a number":      func() { abi.Uint64(1).Address() },
		"the number of an address":     func() { abi.Addr(common.Address{}).Uint() },
		"a signed number as unsigned":  func() { abi.Int64(-1).Uint() },
		"an unsigned number as signed": func() { abi.Uint64(1).Signed() },
		"the truth of a number":        func() { abi.Uint64(1).Bool() },
		"the text of bytes":            func() { _ = abi.BytesValue(nil).Text() },
		"the number of no value":       func() { abi.Value{}.Uint() },
		"a call with too few":          func() { transfer.Call(abi.Addr(common.Address{})) },
		"a call with another type":     func() { transfer.Call(abi.Uint64(1), abi.Uint64(1)) },
		"a call with a list":           func() { transfer.Call(abi.Addr(common.Address{}), abi.List()) },
		"a number out of range":        func() { transfer.Call(abi.Addr(common.Address{}), abi.Uint64(256)) },
		"text that is not UTF-8":       func() { abi.Of(mustParse(t, "(string)"), abi.TextValue("\xff")) },
		"bytes of another length":      func() { abi.Of(mustParse(t, "(bytes4)"), abi.FixedBytesValue([]byte{1})) },
		"an array of another length":   func() { abi.Of(mustParse(t, "bool[2]"), abi.Truth(true)) },
		"parts of no type":             func() { abi.Of(nil) },
		"parts of a number":            func() { abi.Of(mustParse(t, "uint8"), abi.Uint64(1)) },
		"encoding a list":              func() { abi.Encode(abi.List(abi.Uint64(1))) },
		"encoding a damaged value":     func() { abi.Encode(abi.Value{Type: transfer.Args, Elems: make([]abi.Value, 2)}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it went through")
				}
			}()
			f()
		})
	}
}

package abi_test

import (
	"bytes"
	"math/rand"
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// fuzzed are the types that inputs are read as: every kind, and tails in tails.
var fuzzed = []string{
	"(address,uint256)",
	"(bytes[],string)",
	"(uint8,int64,bool,bytes4,address payable)",
	"((uint256,(address,bytes)[],string[2])[],int8[2][])",
	"(string[][][],bytes32[3],(bool,uint160)[])",
	"((((((uint24[])[2])))))",
	"uint256[]",
	"()",
}

// FuzzDecode checks that what is read is all there is: any input that is accepted
// encodes back to itself, and the values in it are not more than the words of it.
func FuzzDecode(f *testing.F) {
	var types []*abi.Type
	g := &generator{Rand: rand.New(rand.NewSource(3))}
	for i, text := range fuzzed {
		t := mustParse(f, text)
		types = append(types, t)
		for range 4 {
			f.Add(uint8(i), abi.Encode(g.value(t)))
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		typ := types[int(i)%len(types)]
		v, err := abi.Decode(typ, data)
		if err != nil {
			return
		}
		if out := abi.Encode(v); !bytes.Equal(out, data) {
			t.Errorf("%s: accepted %x but it encodes as %x", typ, data, out)
		}
		// Tuples and arrays around a word are values too, 16 at most.
		if n := count(v); n > 1+16*len(data)/32 {
			t.Errorf("%s: %d bytes became %d values", typ, len(data), n)
		}
	})
}

func count(v abi.Value) int {
	n := 1
	for _, e := range v.Elems {
		n += count(e)
	}
	return n
}

// FuzzParse checks that a type is what its text says: String reads back to the same
// type, and a signature does too.
func FuzzParse(f *testing.F) {
	for _, text := range append(fuzzed, "(tuple(bytes calldata data) memory a, uint b)[2][]", "bool[1000][1000]", "((", "(bool a,bool a)", "function") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		typ, err := abi.Parse(text)
		if err != nil {
			return
		}
		back, err := abi.Parse(typ.String())
		if err != nil || back.String() != typ.String() {
			t.Fatalf("Parse(%q) is %s, which reads as %v, %v", text, typ, back, err)
		}
		if !same(typ, back) {
			t.Errorf("Parse(%q) is not what its text %s is", text, typ)
		}
		if typ.Kind == abi.Tuple {
			m, err := abi.ParseSignature("f" + text)
			if err == nil && m.Signature() != "f"+typ.String() {
				t.Errorf("ParseSignature(f%q) is %s", text, m.Signature())
			}
		}
	})
}

// same says whether types are the same apart from names.
func same(a, b *abi.Type) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Size != b.Size || len(a.Fields) != len(b.Fields) || !same(a.Elem, b.Elem) {
		return false
	}
	for i := range a.Fields {
		if !same(a.Fields[i].Type, b.Fields[i].Type) {
			return false
		}
	}
	return true
}

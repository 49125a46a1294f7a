package abi_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an elementary type":            {"uint160", "uint160"},
		"uint is uint256":               {"uint", "uint256"},
		"int is int256":                 {"int[]", "int256[]"},
		"bytes of a length":             {"bytes32", "bytes32"},
		"a tuple":                       {"(address,uint256)", "(address,uint256)"},
		"names are not canonical":       {"(address token, uint amount)[]", "(address,uint256)[]"},
		"the word tuple":                {"tuple(bytes data)[2]", "(bytes)[2]"},
		"dimensions from left to right": {"string[3][][7]", "string[3][][7]"},
		"blanks where a reader has any": {" ( address  a ,( bool ) [ 2 ] b ) [ ] ", "(address,(bool)[2])[]"},
		"no arguments":                  {"()", "()"},
		"sixteen levels":                {strings.Repeat("(", 16) + "bool" + strings.Repeat(")", 16), strings.Repeat("(", 16) + "bool" + strings.Repeat(")", 16)},
		"sixteen dimensions":            {"bool" + strings.Repeat("[]", 16), "bool" + strings.Repeat("[]", 16)},
		"256 fields":                    {"(" + strings.Repeat("int8,", 255) + "int8)", "(" + strings.Repeat("int8,", 255) + "int8)"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := abi.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != c.want {
				t.Errorf("Parse(%q) is %s, want %s", c.text, got, c.want)
			}
		})
	}
}

// TestStringOfTypesMadeByHand has types that no text gives.
func TestStringOfTypesMadeByHand(t *testing.T) {
	person := &abi.Type{Kind: abi.Tuple, Name: "Person"}
	person.Fields = []abi.Field{{Name: "friends", Type: &abi.Type{Kind: abi.Slice, Elem: person}}}
	for want, typ := range map[string]*abi.Type{
		"Person":      person,
		"(Person[])":  {Kind: abi.Tuple, Fields: person.Fields},
		"no type":     {},
		"no type[]":   {Kind: abi.Slice},
		"(no type)":   {Kind: abi.Tuple, Fields: []abi.Field{{Type: &abi.Type{Kind: 99}}}},
		"Person[2][]": {Kind: abi.Slice, Elem: &abi.Type{Kind: abi.Array, Size: 2, Elem: person}},
	} {
		if typ.String() != want {
			t.Errorf("the text is %q, want %q", typ, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                     {"", "it ends where a type is due"},
		"a size that is no byte":      {"uint7", "there is no type uint7"},
		"a size of zero":              {"uint0", "there is no type uint0"},
		"more than a word":            {"uint264", "there is no type uint264"},
		"bytes of more than a word":   {"bytes33", "there is no type bytes33"},
		"bytes of no length":          {"bytes0", "there is no type bytes0"},
		"a size with a leading zero":  {"uint08", `there is no type "uint08"`},
		"a size beyond any number":    {"uint99999999999999999999", `there is no type "uint99999999999999999999"`},
		"a size on bool":              {"bool8", `there is no type "bool8"`},
		"another case":                {"Address", `there is no type "Address"`},
		"a struct":                    {"(Order order)", `there is no type "Order"`},
		"a fixed-point number":        {"fixed128x18", "fixed-point numbers are not supported"},
		"an unsigned one":             {"(ufixed a)", "fixed-point numbers are not supported"},
		"a function":                  {"function", "values of type function are not supported"},
		"a word after the type":       {"uint256 a", `at byte 9, "a" where the end is due`},
		"a bracket that stays open":   {"(address", `it ends where "," or ")" is due`},
		"a comma too many":            {"(address,)", `at byte 10, ")" where a type is due`},
		"a dimension that stays open": {"bool[", "it ends where a length of an array is due"},
		"a dimension of text":         {"bool[x]", `at byte 6, "x]" where a length of an array is due`},
		"a dimension not closed":      {"bool[2", `it ends where "]" is due`},
		"a negative dimension":        {"bool[-1]", "where a length of an array is due"},
		"a dimension in octal":        {"bool[01]", "where a length of an array is due"},
		"a dimension of nothing":      {"bool[0]", "an array of no elements"},
		"elements of no bytes":        {"bool[0][]", "an array of no elements"},
		"a list of empty tuples":      {"()[]", "a tuple of no fields"},
		"an empty tuple inside":       {"(bool,())", "a tuple of no fields"},
		"an array beyond any payload": {"bool[1048577]", "an array of 1048577 elements"},
		"arrays of arrays beyond it":  {"bool[1000][1000]", "every value of it takes 32000000 bytes"},
		"the same of text":            {"string[1000][1000]", "bytes, which is more than 1048576"},
		"a product that overflows":    {"bool[1000000][1000000][1000000][1000000]", "bytes, which is more than 1048576"},
		"seventeen levels":            {strings.Repeat("(", 17) + "bool" + strings.Repeat(")", 17), "nest more than 16 deep"},
		"seventeen dimensions":        {"bool" + strings.Repeat("[]", 17), "nest more than 16 deep"},
		"levels and dimensions":       {strings.Repeat("(", 9) + "bool[][][][][][][][]" + strings.Repeat(")", 9), "nest more than 16 deep"},
		"257 fields":                  {"(" + strings.Repeat("bool,", 256) + "bool)", "more than 256 fields"},
		"257 fields of many tuples":   {"(" + strings.Repeat("(bool),", 128) + "bool)", "more than 256 fields"},
		"a long text":                 {strings.Repeat(" ", 1<<14) + "bool", "longer than 16384 bytes"},
		"a text that grows":           {"(" + strings.Repeat("uint[]"+strings.Repeat("[1000][]", 7)+",", 255) + "bool)", "longer than 16384 bytes when written out"},
		"a name twice":                {"(bool a,(bool b) c,bool a)", `two fields of one tuple are called "a"`},
		"two names":                   {"(bool a b)", `at byte 9, "b)" where "," or ")" is due`},
		"a control character":         {"(bool\x1b[2J)", `there is no type`},
		"a letter of another script":  {"(bool \u0430)", `at byte 7, "\u0430)" where`},
		"a line break":                {"(bool\n)", `at byte 6, "\n)" where`},
		"a name without a type":       {"(memory)", `there is no type "memory"`},
		"tuple without brackets":      {"tuple", `it ends where "(" after "tuple" is due`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := abi.Parse(c.text)
			if err == nil || got != nil {
				t.Fatalf("Parse(%q) = %v, %v; want it refused", c.text, got, err)
			}
			for _, r := range err.Error() {
				if r < ' ' || r > '~' {
					t.Errorf("the error %q has raw text of the input", err)
				}
			}
			if name != "a control character" && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse(%q) error is %q, want %q in it", c.text, err, c.want)
			}
		})
	}
}

// TestSelectors has selectors that contracts in use and the specification have.
func TestSelectors(t *testing.T) {
	for _, c := range []struct{ text, signature, selector string }{
		{"transfer(address to, uint256 value)", "transfer(address,uint256)", "a9059cbb"},
		{"approve(address _spender,uint _value)", "approve(address,uint256)", "095ea7b3"},
		{"pause()", "pause()", "8456cb59"},
		{"transfer(address payable to, uint256)", "transfer(address,uint256)", "a9059cbb"},
		{"multicall(bytes[] calldata data)", "multicall(bytes[])", "ac9650d8"},
		{"multicall(bytes[] calldata)", "multicall(bytes[])", "ac9650d8"},
		{"baz(uint32 x, bool y)", "baz(uint32,bool)", "cdcd77c0"},
		{"bar(bytes3[2] memory)", "bar(bytes3[2])", "fce353f6"},
		{"sam(bytes, bool, uint[])", "sam(bytes,bool,uint256[])", "a5643bf2"},
		{"permitTransferFrom(((address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, (address to, uint256 requestedAmount) transferDetails, address owner, bytes signature)",
			"permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)", "30f28b7a"},
		{"permitTransferFrom(tuple(tuple(address token, uint256 amount) permitted, uint256 nonce, uint256 deadline) permit, tuple(address to, uint256 requestedAmount) transferDetails, address owner, bytes signature)",
			"permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)", "30f28b7a"},
		{"execTransaction(address to,uint256 value,bytes calldata data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address payable refundReceiver,bytes memory signatures)",
			"execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)", "6a761202"},
		{"set_profile_metadata_with_sign(uint256 profileId,uint256 signatureDeadline)", "set_profile_metadata_with_sign(uint256,uint256)", ""},
	} {
		t.Run(c.text, func(t *testing.T) {
			m, err := abi.ParseSignature(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if m.Signature() != c.signature {
				t.Errorf("signature is %s, want %s", m.Signature(), c.signature)
			}
			if s := m.Selector(); c.selector != "" && hex.EncodeToString(s[:]) != c.selector {
				t.Errorf("selector is %x, want %s", s, c.selector)
			}
		})
	}
}

func TestSignatureNames(t *testing.T) {
	m := abi.MustParseSignature("f(bytes calldata, address payable to, (bool ok, int8) memory pair, uint256 indexed)")
	var names []string
	for _, f := range m.Args.Fields {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "calldata to pair indexed" {
		t.Errorf("names are %q", got)
	}
	if inner := m.Args.Fields[2].Type.Fields; inner[0].Name != "ok" || inner[1].Name != "" {
		t.Errorf("names of the tuple are %q and %q, want \"ok\" and none", inner[0].Name, inner[1].Name)
	}
}

func TestParseSignatureRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                   {"", "a name"},
		"no name":                   {"(address)", "a name"},
		"no arguments":              {"transfer", `it ends where "(" after the name is due`},
		"a selector":                {"0xa9059cbb", "a name"},
		"the keyword function":      {"function transfer(address)", `at byte 10, "transfer(address)" where "(" after the name is due`},
		"what it returns":           {"f() returns (bool)", `at byte 5, "returns (bool)" where the end is due`},
		"types of typed data":       {"Mail(Person to)Person(string name)", `there is no type "Person"`},
		"an array of argument list": {"f(bool)[]", `at byte 8, "[]" where the end is due`},
		"an empty tuple":            {"f(())", "a tuple of no fields"},
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := abi.ParseSignature(c.text); err == nil || !strings.Contains(err.Error(), c.want) || m.Args != nil {
				t.Errorf("ParseSignature(%q) = %v, %v; want %q in the error", c.text, m, err, c.want)
			}
		})
	}
}

func TestMustParseSignaturePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a constant that is no signature passed")
		}
	}()
	abi.MustParseSignature("transfer(address")
}

func TestParseAddress(t *testing.T) {
	const address, low = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "fb6916095ca1df60bb79ce92ce3ea74c37c5d359"
	for name, text := range map[string]string{
		"with its checksum": address, "in lower case": "0x" + low, "in upper case": "0x" + strings.ToUpper(low),
	} {
		if a, err := abi.ParseAddress(text); err != nil || a.Hex() != address {
			t.Errorf("%s: ParseAddress(%q) = %s, %v", name, text, a, err)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":           {"", "is no address"},
		"no prefix":         {low, "is no address"},
		"an odd prefix":     {"0X" + low, "is no address"},
		"19 bytes":          {"0x" + low[2:], "is no address"},
		"21 bytes":          {"0x00" + low, "is no address"},
		"a name":            {"vitalik.eth", `"vitalik.eth" is no address`},
		"a wrong checksum":  {"0xFb" + address[4:], "checksum (EIP-55)"},
		"hostile text":      {"0x\u202e", `"0x\u202e"`},
		"hostile long text": {strings.Repeat("0", 1000), "(1000 bytes)"},
	} {
		if a, err := abi.ParseAddress(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: ParseAddress(%q) = %s, %v; want %q in the error", name, c.text, a, err, c.want)
		}
	}
}

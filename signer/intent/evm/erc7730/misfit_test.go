package erc7730_test

import (
	"strings"
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

// TestPayloadsThatDoNotFit has descriptors that apply, and payloads that they cannot
// show: nothing is shown then, rather than a part.
func TestPayloadsThatDoNotFit(t *testing.T) {
	const metadata = `, "maps": {"m": {"values": {"1": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}}}`
	for name, test := range map[string]struct {
		key, field string
		args       []abi.Value
		want       string
	}{
		"a map without the value":          {"f(uint256 x,uint256 k)", `{"path":"x","format":"tokenAmount","params":{"token":{"map":"$.metadata.maps.m","keyPath":"k"}}}`, []abi.Value{abi.Uint64(1), abi.Uint64(2)}, `"$.metadata.maps.m" has nothing for "2"`},
		"a value that must be another":     {"f(uint8 x)", `{"path":"x","label":"Mode","visible":{"mustMatch":[1,2]}}`, []abi.Value{abi.Uint64(3)}, `field "Mode" is "3", which the descriptor rules out`},
		"an index that is not there":       {"f(uint8[] x)", `{"path":"x.[2]"}`, []abi.Value{uints(1, 2)}, "[2] of something that has 2"},
		"the last of an empty list":        {"f(uint8[] x)", `{"path":"x.[-1]"}`, []abi.Value{abi.List()}, "[-1] of something that has 0"},
		"a part that is not there":         {"f(uint8[] x)", `{"path":"x.[1:4]"}`, []abi.Value{uints(1, 2)}, "[1:4] of something that has 2"},
		"bytes that are not there":         {"f(bytes x)", `{"path":"x.[0:20]","format":"addressName"}`, []abi.Value{raw("0102")}, "[0:20] of something that has 2"},
		"a text that is cut in a letter":   {"f(string x)", `{"path":"x.[0:1]"}`, []abi.Value{abi.TextValue("é")}, "ends within a character"},
		"lists of different lengths":       {"f(uint8[] x,uint8[] y)", `{"iteration":"bundled","fields":[{"path":"x.[]"},{"path":"y.[]"}]}`, []abi.Value{uints(1, 2), uints(1)}, "have 2 and 1 elements"},
		"a parameter of another length":    {"f(uint8[] x,address[] y)", `{"path":"x.[]","format":"tokenAmount","params":{"tokenPath":"y.[]"}}`, []abi.Value{uints(1, 2), abi.List(abi.Addr(usdc))}, "1 elements beside a list of 2"},
		"a token that is no address":       {"f(uint256 x)", `{"path":"x","format":"tokenAmount","params":{"tokenPath":"x"}}`, []abi.Value{most}, "is no address"},
		"a callee that is no address":      {"f(bytes x)", `{"path":"x","format":"calldata","params":{"calleePath":"x"}}`, []abi.Value{raw("01")}, "is no address"},
		"a spender that is no address":     {"f(bytes x)", `{"path":"x","format":"calldata","params":{"calleePath":"@.to","spenderPath":"x"}}`, []abi.Value{raw("01")}, "is no address"},
		"a collection that is no address":  {"f(uint256 x)", `{"path":"x","format":"nftName","params":{"collectionPath":"x"}}`, []abi.Value{most}, "is no address"},
		"bytes that are no number":         {"f(bytes x)", `{"path":"x","format":"amount"}`, []abi.Value{raw(strings.Repeat("00", 33))}, "33 bytes are no number"},
		"a chain that is none":             {"f(uint256 x)", `{"path":"x","format":"tokenAmount","params":{"token":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","chainIdPath":"x"}}`, []abi.Value{abi.Uint64(0)}, "0 is no chain"},
		"a duration before it began":       {"f(int64 x)", `{"path":"x","format":"duration"}`, []abi.Value{abi.Int64(-1)}, "a duration of -1 seconds"},
		"an interoperable address cut off": {"f(bytes x)", `{"path":"x","format":"interoperableAddressName"}`, []abi.Value{raw("000100000101145290")}, "cut off"},
		"one with something after it":      {"f(bytes x)", `{"path":"x","format":"interoperableAddressName"}`, []abi.Value{raw("0001000001010001")}, "1 bytes follow"},
		"one of nothing":                   {"f(bytes x)", `{"path":"x","format":"interoperableAddressName"}`, []abi.Value{raw("000100000000")}, "of nothing"},
		"one of another version":           {"f(bytes x)", `{"path":"x","format":"interoperableAddressName"}`, []abi.Value{raw("000200000101")}, "version 2"},
		"a selector of another length":     {"f(bytes x)", `{"path":"x","format":"calldata","params":{"callee":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","selectorPath":"x.[0:3]"}}`, []abi.Value{raw("010203")}, "a selector of 3 bytes"},
		"a negative amount of a call":      {"f(bytes x,int8 y)", `{"path":"x","format":"calldata","params":{"callee":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","amountPath":"y"}}`, []abi.Value{raw("010203"), abi.Int64(-1)}, "no amount"},
	} {
		t.Run(name, func(t *testing.T) {
			set := one(t, descriptor(metadata, test.key, `{"intent":"Do","fields":[`+test.field+`]}`))
			cs, err := set.Calldata(call(test.key, test.args...), book)
			if cs != nil || err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `"calldata-router.json"`) {
				t.Errorf("Calldata = %v, %v; want nothing and an error with the file and %q", cs, err, test.want)
			}
		})
	}
}

func TestCalldataMustBeTheOneEncoding(t *testing.T) {
	set := one(t, descriptor("", "f(address to)", `{"intent":"Do","fields":[{"path":"to"}]}`))
	c := call("f(address to)", abi.Addr(acme))
	for name, spoil := range map[string]func([]byte) []byte{
		"dirty bytes before an address": func(b []byte) []byte { b[4] = 1; return b },
		"bytes that trail":              func(b []byte) []byte { return append(b, 0) },
		"a byte too few":                func(b []byte) []byte { return b[:len(b)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			bad := c
			bad.Data = spoil(append([]byte(nil), c.Data...))
			if cs, err := set.Calldata(bad, book); cs != nil || err == nil {
				t.Errorf("Calldata = %v, %v; want an error", cs, err)
			}
		})
	}
}

// TestNothingApplies: what a descriptor is not for, it says nothing of.
func TestNothingApplies(t *testing.T) {
	set := one(t, descriptor("", "f(address to)", `{"intent":"Do","fields":[{"path":"to"}]}`))
	good := call("f(address to)", abi.Addr(acme))
	if cs, err := set.Calldata(good, book); cs == nil || err != nil {
		t.Fatalf("Calldata = %v, %v", cs, err)
	}
	var empty erc7730.Set
	for name, test := range map[string]struct {
		set    *erc7730.Set
		change func(*erc7730.Call)
	}{
		"another chain":               {set, func(c *erc7730.Call) { c.ChainID = 10 }},
		"another contract":            {set, func(c *erc7730.Call) { c.To = acme }},
		"another function":            {set, func(c *erc7730.Call) { c.Data = abi.MustParseSignature("g(address to)").Call(abi.Addr(acme)) }},
		"fewer bytes than a selector": {set, func(c *erc7730.Call) { c.Data = c.Data[:3] }},
		"no calldata":                 {set, func(c *erc7730.Call) { c.Data = nil }},
		"a zero set":                  {&empty, func(*erc7730.Call) {}},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			test.change(&c)
			if cs, err := test.set.Calldata(c, book); cs != nil || err != nil {
				t.Errorf("Calldata = %v, %v; want neither", cs, err)
			}
		})
	}
}

// TestWhatIsNotKnown: a sender that is not known is said to be, and does not stand in
// the way.
func TestWhatIsNotKnown(t *testing.T) {
	set := one(t, descriptor("", "f(bytes x)", `{"intent":"Do","interpolatedIntent":"From {@.from}","fields":[{"path":"@.from","label":"From","format":"addressName"},{"path":"@.value","label":"Sends","format":"amount"},{"path":"x","label":"In","format":"calldata","params":{"calleePath":"@.to"}}]}`))
	c := call("f(bytes x)", abi.BytesValue(abi.MustParseSignature("f(bytes x)").Call(raw(""))))
	c.From, c.Value = nil, nil
	cs, err := set.Calldata(c, book)
	if err != nil {
		t.Fatal(err)
	}
	const want = "From: not known\nSends: not known\n" +
		"In: call to 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor): Do\n" +
		"In > From: not known\nIn > Sends: not known\n" +
		"In > In: no calldata for 0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45 (Router, says its descriptor)\n"
	if got := text(cs.Fields); got != want || cs.InterpolatedIntent != "" {
		t.Errorf("got %q and\n%s\nwant\n%s", cs.InterpolatedIntent, got, want)
	}
}

// TestTextsInASentence: what the payload spells cannot go on with a sentence. Fields have
// it as it is.
func TestTextsInASentence(t *testing.T) {
	const key = "f(string id,string[] more,bytes raw)"
	set := one(t, descriptor(`, "enums": {"e": {"buy": "Buy"}}`, key, `{"intent":"Cancel","interpolatedIntent":"Cancel order {id}: {more}, {raw}","fields":[
		{"path":"id","label":"Order"},{"path":"more","label":"More","format":"enum","params":{"$ref":"$.metadata.enums.e"}},{"path":"raw","label":"Raw"}]}`))
	for name, test := range map[string]struct{ id, field, sentence string }{
		"words":            {"1 USDC and nothing else", "1 USDC and nothing else", `"1 USDC and nothing else"`},
		"a quotation mark": {`7" for "me`, `7" for "me`, `"7\" for \"me"`},
		"another's marks":  {"7” for free", "7” for free", `"7\u201d for free"`},
		"nothing":          {"", "", `""`},
	} {
		t.Run(name, func(t *testing.T) {
			cs, err := set.Calldata(call(key, abi.TextValue(test.id), abi.List(abi.TextValue("buy"), abi.TextValue("nothing")), abi.BytesValue([]byte("id"))), book)
			if err != nil {
				t.Fatal(err)
			}
			want := "Cancel order " + test.sentence + `: "Buy (buy)", "nothing (the descriptor has no name for it)", 0x6964`
			if cs.Fields[0].Value != test.field || cs.InterpolatedIntent != want {
				t.Errorf("got %q and %q, want %q and %q", cs.Fields[0].Value, cs.InterpolatedIntent, test.field, want)
			}
		})
	}
}

func TestIntents(t *testing.T) {
	const fields = `"fields":[{"path":"x","label":"X","format":"unit","params":{"base":"%"}},{"path":"h","visible":"never"},{"path":"o","visible":"optional"},{"path":"l.[]","format":"raw"},{"path":"@.value","format":"amount"}]`
	key := "f(uint8 x,uint8 h,uint8 o,uint8[] l)"
	for name, test := range map[string]struct{ intent, want, interpolated string }{
		"a text":                             {`"intent":"Send"`, "Send", ""},
		"no intent":                          {``, "", ""},
		"labels and texts keep their order":  {`"intent":{"Native":"Withdraw","A":"b"}`, "Native: Withdraw; A: b", ""},
		"a value as its field shows it":      {`"intent":"I","interpolatedIntent":"Give {x} to {#.x}"`, "I", "Give 7% to 7%"},
		"a value of the transaction":         {`"intent":"I","interpolatedIntent":"Wrap {@.value}"`, "I", "Wrap 0.5 ether (500000000000000000 base units)"},
		"every element of a list":            {`"intent":"I","interpolatedIntent":"All of {l}"`, "I", "All of 5, 6"},
		"a constant":                         {`"intent":"I","interpolatedIntent":"{$.metadata.owner}!"`, "I", "Router Labs!"},
		"braces":                             {`"intent":"I","interpolatedIntent":"{{x}} {x}"`, "I", "{x} 7%"},
		"a field that is never shown":        {`"intent":"I","interpolatedIntent":"{h}"`, "I", ""},
		"a field that may be left out":       {`"intent":"I","interpolatedIntent":"{o}"`, "I", ""},
		"a value without a field":            {`"intent":"I","interpolatedIntent":"{@.from}"`, "I", ""},
		"a path that names nothing":          {`"intent":"I","interpolatedIntent":"{y}"`, "I", ""},
		"a path that is no path":             {`"intent":"I","interpolatedIntent":"{x..}"`, "I", ""},
		"a brace that is not closed":         {`"intent":"I","interpolatedIntent":"{x"`, "I", ""},
		"a brace that was not opened":        {`"intent":"I","interpolatedIntent":"x}"`, "I", ""},
		"a constant that is not there":       {`"intent":"I","interpolatedIntent":"{$.metadata.x}"`, "I", ""},
		"one element of a list has no field": {`"intent":"I","interpolatedIntent":"{l.[0]}"`, "I", ""},
	} {
		t.Run(name, func(t *testing.T) {
			intent := test.intent
			if intent != "" {
				intent += ","
			}
			set := one(t, descriptor("", key, `{`+intent+fields+`}`))
			cs, err := set.Calldata(call(key, abi.Uint64(7), abi.Uint64(8), abi.Uint64(9), uints(5, 6)), book)
			if err != nil {
				t.Fatal(err)
			}
			if cs.Intent != test.want || cs.InterpolatedIntent != test.interpolated {
				t.Errorf("intent %q and %q, want %q and %q", cs.Intent, cs.InterpolatedIntent, test.want, test.interpolated)
			}
			if cs.Owner != "Router Labs" || cs.Descriptor != "calldata-router.json" || len(cs.Fields) != 5 {
				t.Errorf("clear signing = %+v", cs)
			}
		})
	}
}

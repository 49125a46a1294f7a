package strictjson_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer/strictjson"
)

type entry struct {
	Address *string   `json:"address"`
	Keys    *[]string `json:"keys"`
}

type document struct {
	Threshold int               `json:"threshold"`
	Small     uint8             `json:"small"`
	Ratio     float64           `json:"ratio"`
	Name      *string           `json:"name,omitempty"`
	On        bool              `json:"on"`
	List      []entry           `json:"list"`
	Pair      [2]int            `json:"pair"`
	Labels    map[string]string `json:"labels"`
	Exact     json.Number       `json:"exact"`
	Big       *big.Int          `json:"big"`
	Any       any               `json:"any"`
	Raw       json.RawMessage   `json:"raw"`
	Hidden    string            `json:"-"`
	Untagged  string
	private   string
}

func TestUnmarshalFillsWhatIsDescribed(t *testing.T) {
	text := `{"threshold": -2, "small":255, "ratio":0.5, "name":"n", "on":true, "list":[{"address":"0x1","keys":["a","b"]},{"address":null}],
		"pair":[1,2], "labels":{"x":"y"}, "exact":12345678901234567890123, "big":7, "any":{"deep":[1,null]}, "raw":{"a":1}, "Untagged":"u\ud83d\ude00\\u"} `
	var got, want document
	if err := strictjson.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got.private != "" || *got.List[0].Address != "0x1" || got.Untagged != "u\U0001f600\\u" {
		t.Errorf("got %+v", got)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	nested := func(n int) string { return `{"any":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                                 {"", "empty; want a JSON value"},
		"white space":                             {" \n", "empty; want a JSON value"},
		"half a value":                            {`{"threshold":`, "ends in the middle of a JSON value"},
		"bad syntax":                              {`{"threshold":2,}`, "byte 16: invalid character '}'"},
		"byte order mark":                         {"\ufeff{}", "byte 1: invalid character"},
		"misspelled key":                          {`{"treshold":2}`, `unknown field "treshold"`},
		"described key in other letter case":      {`{"Threshold":2}`, `unknown field "Threshold"`},
		"key hidden by a tag":                     {`{"Hidden":"x"}`, `unknown field "Hidden"`},
		"unexported field":                        {`{"private":"x"}`, `unknown field "private"`},
		"key with an invisible character":         {"{\"thre\u200bshold\":2}", `unknown field "thre\u200bshold"`},
		"long unknown key":                        {`{"` + strings.Repeat("k", 1000) + `":2}`, `k"... (1000 bytes)`},
		"nested unknown key":                      {`{"list":[{},{"addr":"x"}]}`, `list[1]: unknown field "addr"`},
		"repeated key":                            {`{"threshold":2,"threshold":0}`, "threshold: repeats"},
		"repeated key written with an escape":     {`{"threshold":2,"\u0074hreshold":0}`, "threshold: repeats"},
		"case twin":                               {`{"threshold":2,"Threshold":0}`, `Threshold: repeats "threshold" in other letter case`},
		"case twin by Unicode folding":            {`{"threshold":2,"threſhold":0}`, `repeats "threshold" in other letter case`},
		"case twin of k by Unicode folding":       {"{\"any\":{\"key\":1,\"\u212aey\":2}}", `repeats "key" in other letter case`},
		"repeated key where nothing is described": {`{"any":{"a":{"b":1,"b":2}}}`, "any.a.b: repeats"},
		"repeated key in a raw message":           {`{"raw":[0,{"b":1,"b":2}]}`, "raw[1].b: repeats"},
		"repeated key in a map":                   {`{"labels":{"odd key":"x","odd key":"y"}}`, `labels["odd key"]: repeats`},
		"second value":                            {`{"threshold":2}{}`, "byte 15: trailing data"},
		"trailing letters":                        {`{"threshold":2} x`, "byte 16: trailing data"},
		"invalid UTF-8":                           {"{\"name\":\"a\xff\"}", "byte 10: invalid UTF-8"},
		"lone high surrogate":                     {`{"name":"\ud800x"}`, `byte 9: lone surrogate \ud800`},
		"lone low surrogate":                      {`{"name":"\udc00"}`, `lone surrogate \udc00`},
		"two high surrogates":                     {`{"name":"\ud800\ud800"}`, `lone surrogate \ud800`},
		"null for a number":                       {`{"threshold":null}`, "threshold: want a number, got null"},
		"null for a list":                         {`{"list":null}`, "list: want an array, got null"},
		"string for a number":                     {`{"threshold":"2"}`, "threshold: want a number, got a string"},
		"string for an exact number":              {`{"exact":"2"}`, "exact: want a number, got a string"},
		"number for a string":                     {`{"list":[{"keys":["a",7]}]}`, "list[0].keys[1]: want a string, got a number"},
		"boolean for a string":                    {`{"name":true}`, "name: want a string, got a boolean"},
		"object for a list":                       {`{"list":{}}`, "list: want an array, got an object"},
		"list for an object":                      {`[]`, "want an object, got an array"},
		"object for a string":                     {`{"name":{}}`, "name: want a string, got an object"},
		"number that does not fit":                {`{"small":256}`, "small: 256 does not fit uint8"},
		"negative number for unsigned":            {`{"small":-1}`, "small: -1 does not fit uint8"},
		"minus zero for an integer":               {`{"threshold":-0}`, "threshold: -0 does not fit int"},
		"fraction for an integer":                 {`{"threshold":1.0}`, "threshold: 1.0 does not fit int"},
		"float out of range":                      {`{"ratio":1e999}`, "ratio: 1e999 does not fit float64"},
		"short array":                             {`{"pair":[1]}`, "pair: want 2 elements, got 1"},
		"long array":                              {`{"pair":[1,2,3]}`, "pair: want 2 elements, got 3"},
		"too deep":                                {nested(strictjson.MaxDepth), "nested more than 32 deep"},
		"far too deep":                            {nested(200_000), "exceeded max depth"},
		"too large":                               {`{"name":"` + strings.Repeat("a", strictjson.MaxSize) + `"}`, "the most is 1048576"},
		"what the type itself refuses":            {`{"big":"x"}`, "math/big"},
	} {
		t.Run(name, func(t *testing.T) {
			got := document{Threshold: 9}
			err := strictjson.Unmarshal([]byte(test.text), &got)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
			if !reflect.DeepEqual(got, document{Threshold: 9}) {
				t.Errorf("the receiver was changed to %+v", got)
			}
		})
	}
}

func TestUnmarshalAcceptsTheDeepestAllowed(t *testing.T) {
	var v any
	text := strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth)
	if err := strictjson.Unmarshal([]byte(text), &v); err != nil {
		t.Error(err)
	}
}

func TestUnmarshalStartsFromZero(t *testing.T) {
	got := document{Threshold: 9, Untagged: "left over"}
	if err := strictjson.Unmarshal([]byte(`{"small":1}`), &got); err != nil || !reflect.DeepEqual(got, document{Small: 1}) {
		t.Errorf("got %+v, %v; want nothing of the old value", got, err)
	}
}

func TestUnmarshalRefusesTypesItCannotCheck(t *testing.T) {
	type base struct{ A int }
	for name, test := range map[string]struct {
		v    any
		text string
		want string
	}{
		"not a pointer":  {document{}, `{}`, "want a pointer to fill"},
		"nil pointer":    {(*document)(nil), `{}`, "want a pointer to fill"},
		"embedded field": {&struct{ base }{}, `{}`, "it embeds base"},
		"string option": {&struct {
			A int `json:"a,omitempty,string"`
		}{}, `{}`, `option "string" of A`},
		"two fields with one name": {&struct {
			A int `json:"B"`
			B int
		}{}, `{}`, `two fields "B"`},
		"bytes as base64":           {&struct{ A []byte }{}, `{"A":"AA=="}`, "A: want an array, got a string"},
		"bytes as numbers":          {&struct{ A []byte }{}, `{"A":[1]}`, "A: type []uint8 is not supported"},
		"map with keys not strings": {&map[int]int{}, `{"1":1}`, "type map[int]int is not supported"},
		"channel":                   {&struct{ A chan int }{}, `{"A":1}`, "A: want nothing of type chan int"},
	} {
		t.Run(name, func(t *testing.T) {
			err := strictjson.Unmarshal([]byte(test.text), test.v)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
		})
	}
}

func ExampleUnmarshal() {
	var quorum struct {
		Threshold int `json:"threshold"`
	}
	fmt.Println(strictjson.Unmarshal([]byte(`{"threshold":2,"Threshold":0}`), &quorum))
	// Output: Threshold: repeats "threshold" in other letter case
}

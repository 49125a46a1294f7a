package erc7730_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

// The most that one payload may cost. Tests allow ten times the time, since they run
// beside others.
const (
	mostTime   = 50 * time.Millisecond
	mostMemory = 64 << 20
)

// TestHostileDescriptors has descriptors and payloads that are made to cost much. Most
// are refused; all end soon.
func TestHostileDescriptors(t *testing.T) {
	list := abi.List(make([]abi.Value, 4000)...)
	for i := range list.Elems {
		list.Elems[i] = abi.Uint64(uint64(i))
	}
	same := func(n int, field string) string { return strings.TrimSuffix(strings.Repeat(field+",", n), ",") }
	big := abi.BytesValue(make([]byte, 100<<10))
	hole := abi.BytesValue(nil)
	self := abi.MustParseSignature("f(bytes x)")
	for range 12 { // calls within calls
		hole = abi.BytesValue(self.Call(hole))
	}
	wide := abi.BytesValue(self.Call(abi.BytesValue(make([]byte, 60<<10))))
	calldata := `{"path":"x","label":"L","format":"calldata","params":{"callee":"` + router.Hex() + `"}}`
	for name, test := range map[string]struct {
		key, fields string
		args        []abi.Value
		want        string // of the error; empty: it is shown
	}{
		"a list of more elements than are shown": {"f(uint256[] x)", `{"path":"x"}`, []abi.Value{list}, "or 512 fields to show"},
		"a list that is checked in every field":  {"f(uint256[] x)", same(512, `{"path":"x","$ref":"$.display.definitions.rule"}`), []abi.Value{list}, "more than 65536 values"},
		"lists side by side, again and again":    {"f(uint256[] x)", `{"iteration":"bundled","fields":[` + same(500, `{"path":"x","$ref":"$.display.definitions.must"}`) + `]}`, []abi.Value{list}, "more than 65536 values"},
		"many bytes, shown often":                {"f(bytes x)", same(512, `{"path":"x"}`), []abi.Value{big}, "more than 65536 bytes"},
		"many bytes, compared often":             {"f(bytes x)", same(512, `{"path":"x","$ref":"$.display.definitions.bytes"}`), []abi.Value{big}, "more than 65536 values"},
		"many bytes, hashed often":               {"f(bytes x)", same(512, strings.Replace(calldata, router.Hex(), nobody.Hex(), 1)), []abi.Value{big}, "more than 1048576 bytes of embedded calls"},
		"calls within calls":                     {"f(bytes x)", calldata, []abi.Value{hole}, ""},
		"calls within calls, each shown twice":   {"f(bytes x)", calldata + "," + calldata, []abi.Value{hole}, "or 512 fields to show"},
		"a large call, read often":               {"f(bytes x)", same(100, calldata), []abi.Value{wide}, "bytes of embedded calls"},
		"a label of many bytes":                  {"f(uint256[] x)", `{"path":"x.[:100]","label":"` + strings.Repeat("L", 10<<10) + `"}`, []abi.Value{list}, "more than 65536 bytes"},
		"a long text of a unit":                  {"f(uint256[] x)", `{"path":"x.[:100]","format":"unit","params":{"decimals":255,"base":"` + strings.Repeat("L", 10<<10) + `"}}`, []abi.Value{list}, "more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			sentence := "{x} {x} {x} {x}"
			if test.want == "" {
				sentence = ""
			}
			text := descriptor("", test.key, `{"intent":"Do","interpolatedIntent":"`+sentence+`","fields":[`+test.fields+`]}`)
			text = strings.Replace(text, `"definitions": {}`, `"definitions": {"rule": {"visible":{"ifNotIn":[`+numbers(4000)+`]}},
				"must": {"visible":{"mustMatch":[`+numbers(4000)+`]}}, "bytes": {"visible":{"ifNotIn":["0x`+strings.Repeat("00", 100<<10)+`"]}}}`, 1)
			set := one(t, text)
			c := call(test.key, test.args...)
			cs, took, memory, err := measured(func() (*signer.ClearSigning, error) { return set.Calldata(c, book) })
			if took > 10*mostTime || memory > mostMemory {
				t.Errorf("took %v and %d bytes", took, memory)
			}
			switch {
			case test.want == "" && (err != nil || cs == nil):
				t.Errorf("Calldata = %v", err)
			case test.want != "" && (cs != nil || err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("Calldata error = %v, want %q", err, test.want)
			}
		})
	}
}

// measured runs f, and says how long it took and how much it allocated.
func measured(f func() (*signer.ClearSigning, error)) (*signer.ClearSigning, time.Duration, uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	cs, err := f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return cs, took, after.TotalAlloc - before.TotalAlloc, err
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,", i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// TestHostileFolders has files that are made to cost much when they are loaded: what one
// file repeats is read in proportion to its length.
func TestHostileFolders(t *testing.T) {
	repeat := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	plain := descriptor("", "f(address to)", `{"intent":"Do","fields":[{"path":"to"}]}`)
	where := fmt.Sprintf(`{"chainId": 1, "address": %q}`, router.Hex())
	var labels, formats strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&labels, `"%x":"",`, i)
	}
	for i := range 10 {
		fmt.Fprintf(&formats, `"f%d(address to)":{"fields":[%s]},`, i, repeat(100, `{"path":"to","$ref":"$.display.definitions.a"}`))
	}
	shared := func(params string) string {
		text := strings.Replace(plain, `"definitions": {}`, `"definitions": {"a":{"format":"addressName","params":`+params+`}}`, 1)
		return strings.Replace(text, `"formats": {`, `"formats": {`+formats.String(), 1)
	}
	for name, text := range map[string]string{
		"one deployment, again and again": strings.Replace(plain, where, repeat(5_000, where), 1),
		"an intent of many labels":        strings.Replace(plain, `"intent":"Do"`, `"intent":{`+labels.String()+`"z":""}`, 1),
		"types that many fields share":    shared(`{"types":[` + repeat(10_000, `"eoa"`) + `]}`),
		"sources that many fields share":  shared(`{"sources":[` + repeat(10_000, `"ens"`) + `]}`),
	} {
		t.Run(name, func(t *testing.T) {
			files := []string{"a.json", text, "b.json", text, "c.json", text}
			_, took, _, _ := measured(func() (*signer.ClearSigning, error) { folder(t, files...); return nil, nil })
			if took > 15*time.Second { // what grows with the square takes more
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestLargeFolders has as many files as there may be, for one contract, and what a few
// files can be for that are made for it. Most of the time goes into reading JSON.
func TestLargeFolders(t *testing.T) {
	many := func(n int, file func(i int) string) (files []string) {
		for i := range n {
			files = append(files, fmt.Sprintf("%04d.json", i), file(i))
		}
		return files
	}
	message := func(domain, intent string) string {
		return fmt.Sprintf(`{"$schema":"erc7730-v2.schema.json","context":{"eip712":{"deployments":[{"chainId":1,"address":%q}],"domain":{%s}}},
			"display":{"formats":{"A(uint8 x)":{"intent":%q,"fields":[]}}}}`, router.Hex(), domain, intent)
	}
	var places, formats strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&places, `,{"chainId":%d,"address":%q}`, i+2, router.Hex())
		fmt.Fprintf(&formats, `,"f%d()":{"fields":[]}`, i)
	}
	wide := strings.Replace(descriptor("", "f()", `{"fields":[]}`+formats.String()), "}]}}", "}"+places.String()+"]}}", 1)
	for name, test := range map[string]struct {
		files   []string
		refused int
		reason  string
	}{
		"of different functions": {many(maxFiles, func(i int) string { return descriptor("", fmt.Sprintf("f%d()", i), `{"fields":[]}`) }), 0, ""},
		"that all differ":        {many(maxFiles, func(i int) string { return descriptor("", "f()", fmt.Sprintf(`{"intent":"%d","fields":[]}`, i)) }), maxFiles, "say"},
		"of messages of different versions": {many(maxFiles, func(i int) string { return message(fmt.Sprintf(`"version":"%d"`, i), fmt.Sprint(i)) }),
			maxFiles - 64, "more than 64 descriptors"},
		"of a thousand functions of a thousand contracts": {[]string{"a.json", wide, "b.json", good, "c.json", wide}, 2, "more than 262144 functions"},
	} {
		t.Run(name, func(t *testing.T) {
			var refused []erc7730.Refusal
			_, took, memory, _ := measured(func() (*signer.ClearSigning, error) { refused = folder(t, test.files...).Refused(); return nil, nil })
			t.Logf("pinned and loaded in %v, %d MB allocated", took.Round(time.Millisecond), memory>>20)
			if len(refused) != test.refused || test.refused > 0 && !strings.Contains(refused[len(refused)-1].Reason, test.reason) {
				t.Errorf("%d refused, the last: %v; want %d, because %q", len(refused), refused[max(0, len(refused)-1):], test.refused, test.reason)
			}
			if took > 15*time.Second || memory > 1<<30 { // each against each takes more
				t.Errorf("took %v and %d bytes", took, memory)
			}
		})
	}
}

const maxFiles = 4096

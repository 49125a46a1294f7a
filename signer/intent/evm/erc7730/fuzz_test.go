package erc7730_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

// FuzzDescriptor loads any bytes as a descriptor and shows fixed payloads with it. What
// is pinned loads as it was pinned; a file is used, a template or refused, and says
// nothing of calls that it is not for; what is shown is bounded and the same each time.
func FuzzDescriptor(f *testing.F) {
	addSeeds(f)
	common, err := os.ReadFile(descriptors + "/common-erc20.json")
	if err != nil {
		f.Fatal(err)
	}
	typed := order(f, `"name":"Orders","version":"1","chainId":1,"verifyingContract":"0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"`)
	calls := []erc7730.Call{
		{ChainID: 1, From: &acme, To: usdc, Data: abi.MustParseSignature("transfer(address,uint256)").Call(abi.Addr(acme), most)},
		{ChainID: 1, To: safe, Data: execTransaction(usdc, abi.MustParseSignature("approve(address,uint256)").Call(abi.Addr(acme), most), 1)},
		call("transfer(address,uint256)", abi.Addr(acme), most),
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 64<<10 {
			return
		}
		dir := fstest.MapFS{"in.json": {Data: in}, "common-erc20.json": {Data: common}}
		manifest, refused, err := erc7730.Pin(dir)
		if err != nil {
			t.Fatal(err)
		}
		dir[erc7730.ManifestName] = &fstest.MapFile{Data: manifest}
		set, err := erc7730.Load(dir)
		if err != nil || !reflect.DeepEqual(set.Refused(), refused) || len(set.Files())+len(set.Templates())+len(set.Attestations())+len(refused) != 2 {
			t.Fatalf("pinned with %v refused, loaded %v, %v", refused, set, err)
		}
		shown := func(cs *signer.ClearSigning, err error) {
			if cs != nil && (err != nil || len(set.Files()) != 1 || cs.Descriptor != "in.json") {
				t.Fatalf("shown %+v, %v by %v", cs, err, set.Files())
			}
			bounded(t, cs)
		}
		for _, c := range calls {
			cs, err := set.Calldata(c, book)
			shown(cs, err)
			again, _ := set.Calldata(c, book)
			if !reflect.DeepEqual(cs, again) {
				t.Errorf("shown as %v and as %v", cs, again)
			}
			c.ChainID = 1 << 60
			if cs, err := set.Calldata(c, book); (cs != nil || err != nil) && !strings.Contains(string(in), "11529215") {
				t.Errorf("shown %v, %v on a chain that it is not for", cs, err)
			}
		}
		shown(set.TypedData(typed, &acme, book))
	})
}

// bounded checks the size of what is shown.
func bounded(t *testing.T, cs *signer.ClearSigning) {
	t.Helper()
	if cs == nil {
		return
	}
	size := len(cs.Intent) + len(cs.InterpolatedIntent) + len(cs.Owner)
	for _, l := range cs.Fields {
		size += len(l.Label) + len(l.Value)
		if !utf8.ValidString(l.Label + l.Value) {
			t.Errorf("not UTF-8: %q: %q", l.Label, l.Value)
		}
	}
	if size > 64<<10 || len(cs.Fields) > 512 {
		t.Errorf("%d bytes in %d fields", size, len(cs.Fields))
	}
}

// addSeeds adds the descriptors of the gallery, and two with all that they lack.
func addSeeds(f *testing.F) {
	f.Helper()
	seeds, err := filepath.Glob(descriptors + "/*.json")
	if err != nil || len(seeds) < 4 {
		f.Fatalf("%d seeds, %v", len(seeds), err)
	}
	for _, name := range seeds {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(orders(`{"domain":{"name":"Orders"}}`)))
	f.Add([]byte(descriptor(`, "maps": {"m": {"values": {"1": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}}}`, "transfer(address to,uint256 value)",
		`{"intent":{"A":"b"},"interpolatedIntent":"{{}} {to} {$.metadata.owner}","fields":[{"path":"value.[-8:]","format":"unit","params":{"base":"x","decimals":3,"prefix":true}},
		{"iteration":"bundled","fields":[]},{"path":"to","visible":{"mustMatch":["0x52908400098527886e0f7030069857d2e4169ee7"]}},
		{"path":"value","format":"tokenAmount","params":{"token":{"map":"$.metadata.maps.m","keyPath":"@.chainId"}},"encryption":{"scheme":"x"}}]}`)))
}

// FuzzManifest: a manifest that is accepted is the one that pinning writes.
func FuzzManifest(f *testing.F) {
	dir := fstest.MapFS{"a/x.json": {Data: []byte("{}")}, "b.json": {Data: []byte("[]")}}
	manifest, _, err := erc7730.Pin(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(manifest)
	f.Add([]byte("sealward descriptors 1\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		dir[erc7730.ManifestName] = &fstest.MapFile{Data: in}
		set, err := erc7730.Load(dir)
		if (err == nil) != (string(in) == string(manifest)) {
			t.Errorf("Load of %q = %v, %v", in, set, err)
		}
		if errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load of %q: %v", in, err)
		}
	})
}

// TestHostileText: what a descriptor and a payload say is passed on as it is, in its
// own label or value, and changes nothing that is ours.
func TestHostileText(t *testing.T) {
	const nasty = "\u001b[2J\u202e\nTo: 0x0000000000000000000000000000000000000000 (usdc) > {index} {{x}} %s"
	words := strings.NewReplacer("0x0000000000000000000000000000000000000000", "", "2", "").Replace(nasty) // a message has no digits
	quoted := strings.NewReplacer("\u001b", `\u001b`, "\n", `\n`).Replace(nasty)
	message := strings.NewReplacer("\u001b", `\u001b`, "\n", `\n`).Replace(words)
	set := one(t, strings.Replace(descriptor(`, "enums": {"e": {"1": "`+quoted+`"}}`, "f(string x,uint256 n,address a)", `{"intent":"`+quoted+`","interpolatedIntent":"{x} `+strings.NewReplacer("{", "{{", "}", "}}").Replace(quoted)+`","fields":[
		{"path":"x","label":"`+quoted+`"},
		{"path":"n","label":"N","format":"tokenAmount","params":{"token":"`+usdc.Hex()+`","threshold":"1","message":"`+message+`"}},
		{"path":"n","label":"E","format":"enum","params":{"$ref":"$.metadata.enums.e"}},
		{"path":"a","label":"A","format":"addressName"}]}`), `"Router"`, `"`+quoted+`"`, 1))
	cs, err := set.Calldata(call("f(string x,uint256 n,address a)", abi.TextValue(nasty), abi.Uint64(1), abi.Addr(router)), book)
	if err != nil {
		t.Fatal(err)
	}
	want := []signer.Labelled{
		{Label: nasty, Value: nasty},
		{Label: "N", Value: words + " usdc (1 base units)"},
		{Label: "E", Value: nasty + " (1)"},
		{Label: "A", Value: router.Hex() + " (" + nasty + ", says its descriptor)"},
	}
	if !reflect.DeepEqual(cs.Fields, want) || cs.Intent != nasty || cs.InterpolatedIntent != strconv.QuoteToASCII(nasty)+" "+nasty {
		t.Errorf("got %q", cs)
	}
}

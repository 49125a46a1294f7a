package erc7730_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

// base is a file that over includes.
var base = `{"$schema":"erc7730-v2.schema.json","context":{"contract":{}},
	"metadata":{"owner":"Base","constants":{"token":"0x0","unit":"x"}},
	"display":{"definitions":{"part":{"label":"Part","format":"unit","params":{"base":"%"}}},
	"formats":{"f(address to,uint256 n,uint8 p)":{"intent":"Do","fields":[
		{"path":"n","label":"Amount","format":"tokenAmount","params":{"token":"$.metadata.constants.token","threshold":"0xff"}},
		{"path":"to","label":"To","format":"raw"}]}}}}`
var over = `{"$schema":"erc7730-v2.schema.json","includes":"../common/base.json",
	"context":{"contract":{"deployments":[{"chainId":1,"address":"` + router.Hex() + `"}]}},
	"metadata":{"owner":"Over","constants":{"token":"` + usdc.Hex() + `"}},
	"display":{"formats":{"f(address to,uint256 n,uint8 p)":{"fields":[
		{"path":"#.to","label":"Receiver"},
		{"path":"p","$ref":"$.display.definitions.part","label":"Share","params":{"base":"bps"}},
		{"path":"n","params":{"message":"All"}}]}}}}`

// TestIncludes has how files are merged.
func TestIncludes(t *testing.T) {
	set := folder(t, "common/base.json", base, "x/calldata.json", over)
	if len(set.Refused()) > 0 || len(set.Templates()) != 1 {
		t.Fatalf("refused %v, templates %v", set.Refused(), set.Templates())
	}
	key := "f(address to,uint256 n,uint8 p)"
	cs, err := set.Calldata(call(key, abi.Addr(acme), abi.Uint64(1000), abi.Uint64(5)), book)
	if err != nil {
		t.Fatal(err)
	}
	const want = "Amount: All usdc (1000 base units)\nReceiver: 0x52908400098527886E0F7030069857D2E4169EE7\nShare: 5bps\n"
	if got := text(cs.Fields); got != want || cs.Owner != "Over" || cs.Intent != "Do" {
		t.Errorf("got %+v\n%s\nwant\n%s", cs, got, want)
	}
}

// Beside its descriptors the public registry has what auditors signed about them. A file
// that has more than that, or less, is a descriptor with a mistake in it.
func TestAttestationsAreNoDescriptors(t *testing.T) {
	set := folder(t, "sigs/a.json", `{"signer":"x","sig":{"version":2}}`, "sigs/b.json", `{"sig":{}}`,
		"sigs/c.json", `{"sig":{},"signer":"x","display":{}}`, "sigs/d.json", `["sig","signer"]`)
	if got := set.Attestations(); len(got) != 1 || got[0] != "sigs/a.json" || len(set.Refused()) != 3 || len(set.Files()) > 0 {
		t.Errorf("attestations %v, refused %v, in use %v", got, set.Refused(), set.Files())
	}
}

func TestIncludesThatAreRefused(t *testing.T) {
	t.Run("a mistake in an included file is named with it", func(t *testing.T) {
		r := refusals(t, "common/base.json", strings.Replace(base, `"raw"`, `"rwa"`, 1), "x/calldata.json", over)["x/calldata.json"]
		if !strings.Contains(r.Reason, `"rwa"`) || !strings.Contains(r.Reason, "in common/base.json, which it includes") {
			t.Errorf("refused = %v", r)
		}
	})
	t.Run("an included file of version 1", func(t *testing.T) {
		r := refusals(t, "common/base.json", strings.Replace(base, "v2.schema", "v1.schema", 1), "x/calldata.json", over)
		if len(r) != 2 || !strings.Contains(r["x/calldata.json"].Reason, "version 1") {
			t.Errorf("refused = %v", r)
		}
	})
	t.Run("includes in a row have an end", func(t *testing.T) {
		var files []string
		for i := range 7 {
			files = append(files, fmt.Sprintf("%d.json", i), fmt.Sprintf(`{"$schema":"erc7730-v2.schema.json","includes":"%d.json"}`, i+1))
		}
		files[13] = `{"$schema":"erc7730-v2.schema.json"}`
		r := refusals(t, files...)
		if len(r) != 2 || !strings.Contains(r["0.json"].Reason, "more than 4 files") || !strings.Contains(r["1.json"].Reason, "more than 4 files") {
			t.Errorf("refused = %v", r)
		}
	})
	t.Run("a large file that many include", func(t *testing.T) {
		files := []string{"base.json", `{"$schema":"erc7730-v2.schema.json","$comment":"` + strings.Repeat("x", 512<<10-100) + `"}`}
		for i := range 72 {
			files = append(files, fmt.Sprintf("%02d.json", i), `{"$schema":"erc7730-v2.schema.json","includes":"base.json"}`)
		}
		r := refusals(t, files...)
		if len(r) != 8 || !strings.Contains(r["71.json"].Reason, "read more than 33554432 bytes in all") {
			t.Errorf("refused = %v", r)
		}
	})
	t.Run("includes in a circle", func(t *testing.T) {
		r := refusals(t, "a.json", `{"$schema":"erc7730-v2.schema.json","includes":"b.json"}`, "b.json", `{"$schema":"erc7730-v2.schema.json","includes":"a.json"}`)
		if len(r) != 2 || !strings.Contains(r["a.json"].Reason, "includes itself") {
			t.Errorf("refused = %v", r)
		}
	})
}

// good is a descriptor that nothing is wrong with.
var good = descriptor("", "f(address to)", `{"intent":"Do","fields":[{"path":"to"}]}`)

// pinned is a folder of one good file and one that is refused.
func pinned(t *testing.T) fstest.MapFS {
	t.Helper()
	dir := fstest.MapFS{
		"a/calldata.json": {Data: []byte(good)}, "bad.json": {Data: []byte(`{}`)},
		"README.md": {Data: []byte("not a descriptor")},
	}
	manifest, refused, err := erc7730.Pin(dir)
	if err != nil || len(refused) != 1 || refused[0].File != "bad.json" {
		t.Fatalf("Pin = %v, %v", refused, err)
	}
	dir[erc7730.ManifestName] = &fstest.MapFile{Data: manifest}
	return dir
}

// TestPins has what may not happen to a folder once it is pinned.
func TestPins(t *testing.T) {
	for name, test := range map[string]struct {
		change func(dir fstest.MapFS)
		want   string
	}{
		"nothing":                      {func(fstest.MapFS) {}, ""},
		"another sort of file":         {func(d fstest.MapFS) { d["notes.txt"] = &fstest.MapFile{} }, ""},
		"no manifest":                  {func(d fstest.MapFS) { delete(d, erc7730.ManifestName) }, "descriptors.sha256 is missing"},
		"a file that differs":          {func(d fstest.MapFS) { d["a/calldata.json"] = &fstest.MapFile{Data: []byte(good + " ")} }, `"a/calldata.json" is not what was pinned`},
		"a refused file that differs":  {func(d fstest.MapFS) { d["bad.json"] = &fstest.MapFile{Data: []byte(good)} }, `"bad.json" is not what was pinned`},
		"a file that is missing":       {func(d fstest.MapFS) { delete(d, "a/calldata.json") }, `"a/calldata.json" is in descriptors.sha256 and is missing`},
		"a file that was added":        {func(d fstest.MapFS) { d["a/b/new.json"] = &fstest.MapFile{Data: []byte(good)} }, `"a/b/new.json" is not in descriptors.sha256`},
		"a file that was moved":        {func(d fstest.MapFS) { d["b.json"] = d["bad.json"]; delete(d, "bad.json") }, `"bad.json" is in descriptors.sha256 and is missing`},
		"a manifest that is a pipe":    {func(d fstest.MapFS) { d[erc7730.ManifestName].Mode = fs.ModeNamedPipe }, "descriptors.sha256 is not a regular file"},
		"a symbolic link":              {func(d fstest.MapFS) { d["l.json"] = &fstest.MapFile{Mode: 1 << 27} }, `"l.json" is not a regular file`},
		"a manifest of another format": {edit("descriptors 1", "descriptors 2"), "in the first line"},
		"a manifest that is cut":       {cutEnd(1), "line 3: it is cut off"},
		"a manifest without a line":    {cutEnd(75), `"bad.json" is not in descriptors.sha256`},
		"a manifest with a wrong path": {edit("  bad.json", "  ../x.json"), "line 3: \"../x.json\" is no path of a descriptor"},
		"a manifest out of order":      {edit("  bad.json", "  a/b.json"), "line 3: \"a/b.json\" is out of order or there twice"},
		"a manifest in capitals":       {upper, "line 2: want 64 lower-case"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := pinned(t)
			test.change(dir)
			set, err := erc7730.Load(dir)
			if test.want == "" {
				if err != nil || len(set.Files()) != 1 || len(set.Refused()) != 1 {
					t.Errorf("Load = %v, %v", set, err)
				}
				return
			}
			if set != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load = %v, %v; want an error with %q", set, err, test.want)
			}
		})
	}
	t.Run("the digest is that of the manifest", func(t *testing.T) {
		dir := pinned(t)
		a, err := erc7730.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if a.Digest() != sha256Of(dir[erc7730.ManifestName].Data) || a.Digest() == folder(t, "a.json", good).Digest() {
			t.Errorf("digest %x", a.Digest())
		}
	})
}

// TestBoundsOfAFolder has folders that are too large to be read at all.
func TestBoundsOfAFolder(t *testing.T) {
	for name, test := range map[string]struct {
		fill func(dir fstest.MapFS)
		want string
	}{
		"a large file":          {func(d fstest.MapFS) { d["x.json"] = &fstest.MapFile{Data: make([]byte, 512<<10+1)} }, `"x.json" has more than 524288 bytes`},
		"too many descriptors":  {func(d fstest.MapFS) { many(d, 4097, ".json", nil) }, "more than 4096 files end in .json"},
		"too many of any sort":  {func(d fstest.MapFS) { many(d, 1<<16, ".txt", nil) }, "more than 65536 files"},
		"too much in all":       {func(d fstest.MapFS) { many(d, 65, ".json", make([]byte, 512<<10)) }, "more than 33554432 bytes in all"},
		"a name of two lines":   {func(d fstest.MapFS) { d["a\nb.json"] = &fstest.MapFile{} }, `"a\nb.json": a path has at most 512 printable ASCII characters`},
		"a name that is hidden": {func(d fstest.MapFS) { d["a\u202eb.json"] = &fstest.MapFile{} }, `"a\u202eb.json": a path`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fstest.MapFS{}
			test.fill(dir)
			manifest, refused, err := erc7730.Pin(dir)
			if manifest != nil || refused != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Pin = %d bytes, %v, %v; want an error with %q", len(manifest), refused, err, test.want)
			}
		})
	}
}

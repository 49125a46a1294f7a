package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// Digests of the files in testdata.
const (
	tokensDigest   = "910801448b389043f8b7ff68eba03757b20799480e32e7baf23efdbe80899013"
	manifestDigest = "b621f30816db9f30aee2ce3e1a09047904c622e21af7991e444898436cc97df1"
)

const listBlock = `token_list "main" {
  file   = "tokens.json"
  sha256 = "` + tokensDigest + `"
}
`

const descriptorsBlock = `descriptors {
  folder = "descriptors"
  sha256 = "` + manifestDigest + `"
}
`

const safeBlock = `contract "vault" {
  account = "eip155:1:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
  kind    = "safe"
}
`

func TestTheBookHasWhatTheFilesSay(t *testing.T) {
	src := assetsText + listBlock + safeBlock + descriptorsBlock + `
asset "apes" {
  id       = "eip155:1/erc721:0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"
  decimals = 0
}
addresses "ours" {
  entries = { "` + vault + `" = "Vault", "` + acme + `" = "Acme" }
}
`
	p := load(t, src+elsewhere)
	book := p.Book()
	for id, want := range map[string]signer.Asset{
		ether: {ID: ether, Name: "eth", Decimals: 18},
		usdc:  {ID: usdc, Name: "usdc", Decimals: 6}, // the list says USDC; the owner's word wins
		dai:   {ID: dai, Name: "DAI", Decimals: 18},
		apes:  {ID: apes, Name: "apes"},
	} {
		if book.Assets[id] != want {
			t.Errorf("asset %s = %+v, want %+v", id, book.Assets[id], want)
		}
	}
	if n := len(book.Assets); n != 5 {
		t.Errorf("%d assets, want 5", n)
	}
	if got, want := book.Contracts[vault], (signer.Contract{Name: "vault", Kind: signer.ContractSafe}); got != want || len(book.Contracts) != 1 {
		t.Errorf("contracts = %v", book.Contracts)
	}
	if got := book.Accounts[acme]; got != "Acme, Acme Hosting" && got != "Acme Hosting, Acme" {
		t.Errorf("the label of an account in two books = %q", got)
	}
	if got := book.Accounts[vault]; got != "Vault" {
		t.Errorf("the label of a contract in a book = %q", got)
	}
	poison := "eip155:1:0x5290" + strings.Repeat("0", 32) + "9EE7"
	if got := book.Resembling(poison); len(got) != 1 || got[0] != acme {
		t.Errorf("Resembling = %v, want the vendor: the book was not made with NewBook", got)
	}
	if folder, digest, ok := p.Descriptors(); folder != "descriptors" || hex.EncodeToString(digest[:]) != manifestDigest || !ok {
		t.Errorf("Descriptors = %q, %x, %t", folder, digest, ok)
	}
	if folder, _, ok := load(t, sample).Descriptors(); folder != "" || ok {
		t.Errorf("Descriptors of a policy that names none = %q, %t", folder, ok)
	}
	rules := "rule \"x\" {\n  keys = [\"no such key\"]\n}\n"
	other, err := LoadBook("book.hcl", []byte(src+rules), Env{Files: testEnv().Files})
	if err != nil || !maps.Equal(other.Assets, book.Assets) || !maps.Equal(other.Contracts, book.Contracts) || !maps.Equal(other.Accounts, book.Accounts) {
		t.Errorf("LoadBook = %v, %v; want the same book, without keys", other, err)
	}
}

func TestASymbolOfAListDoesNotPassForTheOwners(t *testing.T) {
	fake := "0x6B175474E89094C44Da98b954EedeAC495271d0F"
	src := listJSON(tokenJSON(1, fake, `"USDC"`, 18, ""))
	sum := sha256.Sum256([]byte(src))
	env := testEnv()
	env.Files = func(string) ([]byte, error) { return []byte(src), nil }
	p, err := Load("policy.hcl", []byte(assetsText+strings.Replace(listBlock, tokensDigest, hex.EncodeToString(sum[:]), 1)+elsewhere), env)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Book().Assets["eip155:1/erc20:"+fake].Name; got != "USDC "+fake {
		t.Errorf("name = %q, want it with the address", got)
	}
}

func TestTokensOfListsAreNotNamedInAmounts(t *testing.T) {
	_, err := Load("policy.hcl", []byte(assetsText+listBlock+"rule \"r\" {\n  allow = true\n  limit \"l\" {\n    amount = \"1 dai\"\n  }\n}\n"), testEnv())
	if err == nil || !strings.Contains(err.Error(), `no asset is named "dai"`) {
		t.Errorf("Load error = %v", err)
	}
}

func TestBlocksThatAreRefused(t *testing.T) {
	contract := func(account, kind string) string {
		return assetsText + "contract \"c\" {\n  account = " + account + "\n  kind = " + kind + "\n}\n"
	}
	safe := `"` + vault + `"`
	list := func(file, sum string) string {
		return assetsText + "token_list \"l\" {\n  file = " + file + "\n  sha256 = " + sum + "\n}\n"
	}
	pin := `"` + tokensDigest + `"`
	descriptors := func(folder, sum string) string {
		return "version = 1\ndescriptors {\n  folder = " + folder + "\n  sha256 = " + sum + "\n}\n"
	}
	asset := func(id, decimals string) string {
		return "version = 1\nasset \"x\" {\n  id = " + id + "\n  decimals = " + decimals + "\n}\n"
	}
	for name, tt := range map[string]struct{ src, want string }{
		"a contract of an unknown kind":      {contract(safe, `«"saef"»`), `no kind of contract is named "saef"; did you mean "safe"?`},
		"a contract that is no account":      {contract(`«"0xfB69"»`, `"safe"`), "want a CAIP-10 id"},
		"a contract on no EVM chain":         {contract(`«"bip122:000000000019d6689c085ae165831e93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6"»`, `"safe"`), "on no EVM chain"},
		"a contract with a wrong digit":      {contract(`«"eip155:1:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d358"»`, `"safe"`), "at least one digit is wrong"},
		"a contract without a kind":          {"version = 1\ncontract \"c\" «»{\n  account = " + safe + "\n}\n", `The argument "kind" is required`},
		"a contract of a name CEL can't say": {"version = 1\ncontract «\"My Safe\"» {\n  account = " + safe + "\n  kind = \"safe\"\n}\n", "because conditions use it"},
		"a contract twice":                   {"version = 1\n" + safeBlock + "contract «\"vault\"» {\n  account = " + safe + "\n  kind = \"safe\"\n}\n", `contract "vault" is defined twice`},
		"one account that is two contracts":  {"version = 1\n" + safeBlock + "contract \"other\" {\n  account = «" + safe + "»\n  kind = \"module\"\n}\n", `has the account of contract "vault"`},
		"a contract that is a token":         {contract(`«"eip155:1:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"»`, `"safe"`), "its calls would have two meanings"},
		"a contract that a list has":         {assetsText + listBlock + "contract \"c\" {\n  account = «\"eip155:1:0x6B175474E89094C44Da98b954EedeAC495271d0F\"»\n  kind = \"permit2\"\n}\n", "its calls would have two meanings"},
		"a collection that is a token":       {assetsText + "asset \"x\" {\n  id = «\"eip155:1/erc721:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48\"»\n  decimals = 0\n}\n", `asset "usdc" has the same contract with erc20`},
		"a limit on a collection":            {asset(`"`+apes+`"`, "0") + "rule \"r\" {\n  allow = true\n  limit \"l\" {\n    amount = «\"3 x\"»\n  }\n}\n", "x is a collection, and what moves is its pieces, each an asset of its own: write an asset with id = \"" + apes + "/NUMBER\""},
		"a collection with decimals":         {asset(`"`+apes+`"`, "«1»"), "write decimals = 0"},

		"a list that changed":                  {list(`"tokens.json"`, `«"`+strings.Repeat("0", 64)+`"»`), "its digest is " + tokensDigest + `; put back the file that was reviewed, or review this one and then write sha256 = "` + tokensDigest + `"`},
		"a digest in upper case":               {list(`"tokens.json"`, `«"`+strings.ToUpper(tokensDigest)+`"»`), "64 lower-case hexadecimal digits, as sha256sum prints them for tokens.json"},
		"a list that is not there":             {list(`«"none.json"»`, pin), "read none.json: "},
		"a list that is none":                  {list(`«"descriptors/descriptors.sha256"»`, `"`+manifestDigest+`"`), "descriptors/descriptors.sha256: want a token list"},
		"a list above the folder":              {list(`«"../tokens.json"»`, pin), "want a name below the folder of this file"},
		"a list above it in the end":           {list(`«"a/../../tokens.json"»`, pin), "want a name below the folder"},
		"a list from the root":                 {list(`«"/etc/tokens.json"»`, pin), "want a name below the folder"},
		"a list by another name":               {list(`«"./tokens.json"»`, pin), "want a name below the folder"},
		"a list that is a folder":              {list(`«"."»`, pin), "want a name below the folder"},
		"a list without a digest":              {"version = 1\ntoken_list \"l\" «»{\n  file = \"tokens.json\"\n}\n", `The argument "sha256" is required`},
		"a list twice":                         {assetsText + listBlock + strings.Replace(listBlock, `"main"`, `«"main"»`, 1), `token_list "main" is defined twice`},
		"a list that contradicts the decimals": {strings.Replace(list(`«"tokens.json"»`, pin), "decimals = 6", "decimals = 18", 1), `eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 has 6 decimals, and asset "usdc" says 18; one of the two is wrong`},
		"a list that contradicts the standard": {strings.Replace(list(`«"tokens.json"»`, pin), "/erc20:", "/erc1155:", 1), `is an ERC-20 token, and asset "usdc" says it is eip155:1/erc1155:`},

		"descriptors that changed":       {descriptors(`"descriptors"`, `«"`+strings.Repeat("0", 64)+`"»`), "descriptors/descriptors.sha256 is not the file that was pinned: its digest is " + manifestDigest},
		"descriptors that are not there": {descriptors(`«"none"»`, pin), "read none/descriptors.sha256: "},
		"descriptors above the folder":   {descriptors(`«".."»`, pin), "want a name below the folder"},
		"descriptors twice":              {"version = 1\n" + descriptorsBlock + strings.Replace(descriptorsBlock, "descriptors", "«descriptors»", 1), "descriptors is there twice; the first is on line 2"},
		"a misspelt contract":            {assetsText + safeBlock + "rule \"r\" {\n  allow = true\n  when = \"effects.all(e, e.actor == contracts.«valut»)\"\n}\n", `did you mean "contracts.vault"?`},
		"a misspelt class of the intent": {assetsText + "rule \"r\" {\n  allow = true\n  when = \"intent.class == «'trasnfer'»\"\n}\n", `did you mean "transfer"?`},
		"a misspelt act":                 {assetsText + "rule \"r\" {\n  allow = true\n  when = \"effects.all(e, e.attributes.act == «'ad_owner'»)\"\n}\n", `no act is named "ad_owner"; did you mean "add_owner"?`},
	} {
		t.Run(name, func(t *testing.T) {
			src, place := marked(t, tt.src)
			p, err := Load("policy.hcl", []byte(src), testEnv())
			if p != nil || err == nil || !strings.Contains(err.Error(), place) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load = %v, %v\nwant an error with %q at %s", p, err, tt.want, place)
			}
		})
	}
}

func TestListsMustAgree(t *testing.T) {
	const a = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
	lists := map[string]string{
		"one.json": listJSON(tokenJSON(1, a, `"DAI"`, 18, "")), "same.json": listJSON(tokenJSON(1, a, `"OTHER"`, 18, "")),
		"wrong.json": listJSON(tokenJSON(1, a, `"DAI"`, 6, "")),
	}
	env := testEnv()
	env.Files = func(name string) ([]byte, error) { return []byte(lists[name]), nil }
	block := func(name string) string {
		sum := sha256.Sum256([]byte(lists[name]))
		return fmt.Sprintf("token_list %q {\n  file = %q\n  sha256 = \"%x\"\n}\n", name, name, sum)
	}
	p, err := Load("policy.hcl", []byte("version = 1\n"+block("one.json")+block("same.json")+elsewhere), env)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Book().Assets[dai].Name; got != "DAI" {
		t.Errorf("name = %q, want that of the first list", got)
	}
	_, err = Load("policy.hcl", []byte("version = 1\n"+block("one.json")+block("wrong.json")), env)
	if err == nil || !strings.Contains(err.Error(), "has 6 decimals, and one.json says 18") {
		t.Errorf("Load error = %v", err)
	}
}

func TestWithoutFilesNoneCanBeNamed(t *testing.T) {
	for name, env := range map[string]Env{
		"no reader":           {},
		"a reader that can't": {Files: func(string) ([]byte, error) { return nil, errors.New("tokens.json: mode 0666; chmod go-w") }},
	} {
		_, err := Load("policy.hcl", []byte("version = 1\n"+listBlock), env)
		_, err2 := LoadBook("policy.hcl", []byte("version = 1\n"+listBlock), env)
		if err == nil || err2 == nil || !strings.Contains(err.Error(), "tokens.json") {
			t.Errorf("%s: Load error = %v, LoadBook error = %v", name, err, err2)
		}
	}
	if _, err := LoadBook("book.hcl", []byte("version = 1\n"+descriptorsBlock), Env{}); err != nil {
		t.Errorf("a book does not need the descriptors: %v", err)
	}
}

// TestTheBytesOfTheBundleDigest holds the digest to docs/formats.md; the numbers were
// worked out from that page in another language.
func TestTheBytesOfTheBundleDigest(t *testing.T) {
	src, keys := []byte("version = 1\n"), map[string]string{"hot": "sha256:00"}
	files := map[string][32]byte{"tokens.json": [32]byte(bytes.Repeat([]byte{1}, 32)), "descriptors/descriptors.sha256": [32]byte(bytes.Repeat([]byte{2}, 32))}
	for name, tt := range map[string]struct {
		files map[string][32]byte
		want  string
	}{
		"without files": {nil, "a2fabbbc7705d8f42a373dab320d77950270bd0d2a75aeb7799005fb671fb554"},
		"with files":    {files, "c75d58d9e1b943d5f205663cb283d37fca377879925753a6bc3cd3af9e0f6771"},
	} {
		if got := bundleDigest(src, keys, tt.files); hex.EncodeToString(got[:]) != tt.want {
			t.Errorf("%s: %x, want %s", name, got, tt.want)
		}
	}
}

func TestTheVersionBindsTheFiles(t *testing.T) {
	lists := map[string]string{}
	env := testEnv()
	env.Files = func(name string) ([]byte, error) { return []byte(lists[name]), nil }
	version := func(src string) [32]byte {
		t.Helper()
		p, err := Load("policy.hcl", []byte(src), env)
		if err != nil {
			t.Fatal(err)
		}
		return p.Version()
	}
	lists["tokens.json"] = listJSON(tokenJSON(1, "0x6B175474E89094C44Da98b954EedeAC495271d0F", `"DAI"`, 18, ""))
	sum := sha256.Sum256([]byte(lists["tokens.json"]))
	pinned := assetsText + elsewhere + strings.Replace(listBlock, tokensDigest, hex.EncodeToString(sum[:]), 1)
	if got, plain := version(pinned), bundleDigest([]byte(pinned), load(t, assetsText+elsewhere).keys, nil); got == plain {
		t.Error("the files are not part of the version")
	}
	src := assetsText + elsewhere + safeBlock
	if got, plain := version(src), bundleDigest([]byte(src), load(t, assetsText+elsewhere).keys, nil); got != plain {
		t.Error("a policy that names no files has another version than before")
	}
}

// BenchmarkBook is what every request costs for the book that its payload is read by.
func BenchmarkBook(b *testing.B) {
	tokens := make([]string, maxTokens)
	for i := range tokens {
		tokens[i] = tokenJSON(1, fmt.Sprintf("0x%040d", i), fmt.Sprintf(`"T%d"`, i), 18, "")
	}
	src := listJSON(tokens...)
	sum := sha256.Sum256([]byte(src))
	env := testEnv()
	env.Files = func(string) ([]byte, error) { return []byte(src), nil }
	p, err := Load("policy.hcl", []byte(assetsText+strings.Replace(listBlock, tokensDigest, hex.EncodeToString(sum[:]), 1)+elsewhere), env)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(p.Book().Assets) != maxTokens+2 {
			b.Fatal("tokens are missing")
		}
	}
}

func TestFilesOfAPolicyAreBoundedTogether(t *testing.T) {
	const each = 4 << 20
	list := func(n int) []byte { // a token list that is long for nothing
		return fmt.Appendf(nil, `{"name":"L%d","timestamp":"2026-01-01T00:00:00Z","version":{"major":1,"minor":0,"patch":0},"tokens":[{"chainId":%d,"address":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","symbol":"L","name":"L","decimals":6}%s]}`, n, n+100, strings.Repeat(" ", each-300))
	}
	env := testEnv()
	env.Files = func(name string) ([]byte, error) {
		var n int
		_, err := fmt.Sscanf(name, "%d.json", &n)
		return list(n), err
	}
	policy := func(n int) string {
		src := assetsText + "rule \"r\" {\n  allow = true\n}\n"
		for i := range n {
			src += fmt.Sprintf("token_list \"l%d\" {\n  file = \"%d.json\"\n  sha256 = \"%x\"\n}\n", i, i, sha256.Sum256(list(i)))
		}
		return src
	}
	if _, err := Load("policy.hcl", []byte(policy(7)), env); err != nil {
		t.Errorf("Load error = %v for seven lists", err)
	}
	if _, err := Load("policy.hcl", []byte(policy(9)), env); err == nil || !strings.Contains(err.Error(), "the most is 33554432") {
		t.Errorf("Load error = %v for nine lists", err)
	}
}

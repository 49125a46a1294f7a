package policy

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/sealward/sealward/signer"
)

const dai = "eip155:1/erc20:0x6B175474E89094C44Da98b954EedeAC495271d0F"

// tokenJSON is an entry of a token list, with more members behind it.
func tokenJSON(chain int, address, symbol string, decimals int, more string) string {
	return fmt.Sprintf(`{"chainId":%d,"address":%q,"symbol":%s,"decimals":%d,"name":"a token"%s}`, chain, address, symbol, decimals, more)
}

func listJSON(tokens ...string) string {
	return `{"name":"list","timestamp":"2026-11-01T00:00:00Z","version":{"major":1,"minor":0,"patch":0},"tokens":[` + strings.Join(tokens, ",") + `]}`
}

// readTokenList is what a list says to a book that knows nothing.
func readTokenList(name string, src []byte) (map[string]signer.Asset, error) {
	book, err := AddTokens(signer.Book{}, name, src)
	return book.Assets, err
}

// A list beside a book is held to what a list inside of it is held to: a call that had
// one meaning by the book must not get another by somebody else's file.
func TestATokenListBesideABookContradictsNothingInIt(t *testing.T) {
	const apes, vault, usdc = "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D", "0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	const other, wrapper = "0xdAC17F958D2ee523a2206206994597C13D831ec7", "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
	book := signer.NewBook(
		map[string]signer.Asset{
			"eip155:1/erc721:" + apes: {ID: "eip155:1/erc721:" + apes, Name: "apes"},
			"eip155:1/erc20:" + usdc:  {ID: "eip155:1/erc20:" + usdc, Name: "usdc", Decimals: 6},
		},
		map[string]signer.Contract{
			"eip155:1:" + vault:   {Name: "vault", Kind: signer.ContractSafe},
			"eip155:1:" + wrapper: {Name: "wrapper", Kind: signer.ContractWETH},
		}, nil)
	for name, tt := range map[string]struct {
		address, symbol string
		want            string // the name, or the error
	}{
		"a collection as a token":                {apes, "APE", `asset "apes" says it is eip155:1/erc721:`},
		"a Safe as a token":                      {vault, "GEM", `has the account of contract "vault"`},
		"decimals of another size":               {usdc, "USDC", `asset "usdc" says 6`},
		"wrapped coin is a token, too":           {wrapper, "WETH", "WETH"},
		"another token":                          {other, "USDT", "USDT"},
		"another token with the book's name":     {other, "USDC", "USDC " + other},
		"another token that looks like the name": {other, "U5DC", "U5DC " + other},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := AddTokens(book, "l.json", []byte(listJSON(tokenJSON(1, tt.address, `"`+tt.symbol+`"`, 18, ""))))
			if strings.HasPrefix(tt.want, tt.symbol) {
				if is := got.Assets["eip155:1/erc20:"+tt.address].Name; err != nil || is != tt.want || got.Assets["eip155:1/erc20:"+usdc].Name != "usdc" {
					t.Errorf("AddTokens calls it %q, %v; want %q", is, err, tt.want)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.want) || got.Assets != nil {
				t.Errorf("AddTokens error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTokenListsAreRead(t *testing.T) {
	src, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := readTokenList("tokens.json", src)
	if err != nil {
		t.Fatal(err)
	}
	const bridged = "eip155:10/erc20:0x7F5c764cBc14f9669B88837ca1490cCa17c31607"
	want := map[string]signer.Asset{
		usdc:    {ID: usdc, Name: "USDC", Decimals: 6},
		dai:     {ID: dai, Name: "DAI", Decimals: 18},
		bridged: {ID: bridged, Name: "USDC.e", Decimals: 6},
	}
	if !maps.Equal(got, want) {
		t.Errorf("AddTokens = %v, want %v", got, want)
	}
}

func TestSymbolsThatDoNotIdentifyAreShownWithTheAddress(t *testing.T) {
	const a, b = "0x6B175474E89094C44Da98b954EedeAC495271d0F", "0xdAC17F958D2ee523a2206206994597C13D831ec7"
	for name, tt := range map[string]struct {
		symbols [2]string // in JSON; the second one of another chain where it begins with a number
		want    string    // of the first
	}{
		"alone":                       {[2]string{`"DAI"`, `"USDT"`}, "DAI"},
		"of the schema's characters":  {[2]string{`"a+b-c%d/e$f.g_h"`, `"USDT"`}, "a+b-c%d/e$f.g_h"},
		"shared":                      {[2]string{`"DAI"`, `"DAI"`}, "DAI " + a},
		"shared but for letter case":  {[2]string{`"DAI"`, `"dai"`}, "DAI " + a},
		"l for I":                     {[2]string{`"DAI"`, `"DAl"`}, "DAI " + a},
		"zero for O":                  {[2]string{`"GOLD"`, `"G0LD"`}, "GOLD " + a},
		"five for S":                  {[2]string{`"USDS"`, `"U5D5"`}, "USDS " + a},
		"shared with another chain":   {[2]string{`"DAI"`, `10"DAI"`}, "DAI"},
		"the coin's":                  {[2]string{`"ETH"`, `"USDT"`}, "ETH " + a},
		"the coin's other name":       {[2]string{`"Ether"`, `"USDT"`}, "Ether " + a},
		"a number":                    {[2]string{`"000.000"`, `"USDT"`}, a},
		"of signs alone":              {[2]string{`"$"`, `"USDT"`}, a},
		"a number and a letter":       {[2]string{`"1INCH"`, `"USDT"`}, "1INCH"},
		"a word of amounts":           {[2]string{`"UNLIMITED"`, `"USDT"`}, a},
		"one in another letter case":  {[2]string{`"Nothing"`, `"USDT"`}, a},
		"one with a zero for O":       {[2]string{`"unkn0wn"`, `"USDT"`}, a},
		"longer than such a word":     {[2]string{`"UNLIMITEDX"`, `"USDT"`}, "UNLIMITEDX"},
		"empty":                       {[2]string{`""`, `""`}, a},
		"of another script":           {[2]string{`"USD\u0421"`, `"USDT"`}, a},
		"with a sign of its own":      {[2]string{`"USD₮0"`, `"USDT0"`}, a},
		"with what does not show":     {[2]string{`"DA\u200bI"`, `"USDT"`}, a},
		"that turns the line around":  {[2]string{`"\u202eIAD"`, `"USDT"`}, a},
		"with a line end":             {[2]string{`"DAI\n"`, `"USDT"`}, a},
		"with a space":                {[2]string{`"000 DAI"`, `"USDT"`}, a},
		"in brackets":                 {[2]string{`"DAI (verified)"`, `"USDT"`}, a},
		"with a backslash":            {[2]string{`"DAI\\"`, `"USDT"`}, a},
		"longer than the schema says": {[2]string{`"AAAAAAAAAAAAAAAAAAAAA"`, `"USDT"`}, a},
	} {
		t.Run(name, func(t *testing.T) {
			chain := 1
			second, other := strings.CutPrefix(tt.symbols[1], "10")
			if other {
				chain = 10
			}
			got, err := readTokenList("l.json", []byte(listJSON(tokenJSON(1, a, tt.symbols[0], 18, ""), tokenJSON(chain, b, second, 6, ""))))
			if err != nil {
				t.Fatal(err)
			}
			if id := "eip155:1/erc20:" + a; got[id].Name != tt.want {
				t.Errorf("name = %q, want %q", got[id].Name, tt.want)
			}
		})
	}
}

// Lists of today have tokens of Solana among the rest, as Uniswap's own does,
// and may have the tokens a second time, as a map.
func TestTokenListsOfTodayAreRead(t *testing.T) {
	const a, solana = "0x6B175474E89094C44Da98b954EedeAC495271d0F", "So11111111111111111111111111111111111111112"
	src := listJSON(tokenJSON(501000101, solana, `"SOL"`, 9, ""), tokenJSON(1, a, `"DAI"`, 18, ""))
	src = strings.Replace(src, `{"name"`, `{"tokenMap":{"501000101_`+solana+`":`+tokenJSON(501000101, solana, `"SOL"`, 9, "")+`},"name"`, 1)
	got, err := readTokenList("l.json", []byte(src))
	if err != nil || len(got) != 1 || got["eip155:1/erc20:"+a].Name != "DAI" {
		t.Errorf("AddTokens = %v, %v; want DAI alone", got, err)
	}
}

func TestTokenListsAreRefused(t *testing.T) {
	const a = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
	good := tokenJSON(1, a, `"DAI"`, 18, "")
	many := make([]string, maxTokens+1)
	for i := range many {
		many[i] = tokenJSON(i+1, a, `"DAI"`, 18, "")
	}
	for name, tt := range map[string]struct{ src, want string }{
		"nothing":                       {"", "want a token list"},
		"no object":                     {"[]", "want a token list"},
		"an unknown member":             {`{"tokenz":[]}`, `no member "tokenz"; did you mean "tokens"?`},
		"a member in another case":      {`{"Tokens":[]}`, `no member "Tokens"; did you mean "tokens"?`},
		"a member twice":                {strings.Replace(listJSON(good), `{"name"`, `{"tokens":[`+good+`],"name"`, 1), `"tokens" is there twice`},
		"no tokens":                     {`{"name":"x"}`, "has no tokens"},
		"an empty list of tokens":       {listJSON(), "has no tokens"},
		"tokens that are no array":      {`{"tokens":{}}`, "tokens: a JSON array"},
		"something behind it":           {listJSON(good) + "{}", "something after"},
		"half of it":                    {listJSON(good)[:150], "tokens[0]"},
		"too many tokens":               {listJSON(many...), "more than 10000 tokens"},
		"too many bytes":                {strings.Repeat(" ", maxTokenList) + listJSON(good), "the most is 4194304"},
		"an unknown member of a token":  {listJSON(good, tokenJSON(1, a, `"DAI"`, 18, `,"decimal":6`)), `tokens[1]: unknown field "decimal"`},
		"a member of a token twice":     {listJSON(tokenJSON(1, a, `"DAI"`, 18, `,"decimals":6`)), "tokens[0]: decimals: repeats"},
		"one in another case":           {listJSON(tokenJSON(1, a, `"DAI"`, 18, `,"Decimals":6`)), "tokens[0]: Decimals: repeats"},
		"a token twice":                 {listJSON(good, good), "tokens[1]: eip155:1/erc20:" + a + " is in the list twice"},
		"a token twice in another case": {listJSON(good, tokenJSON(1, strings.ToLower(a), `"DAI"`, 18, "")), "is in the list twice"},
		"a token without a symbol":      {listJSON(`{"chainId":1,"address":"` + a + `","decimals":18}`), "want chainId, address, symbol and decimals"},
		"a token without decimals":      {listJSON(`{"chainId":1,"address":"` + a + `","symbol":"DAI"}`), "want chainId, address, symbol and decimals"},
		"decimals in quotes":            {listJSON(strings.Replace(good, ":18", `:"18"`, 1)), "tokens[0]: decimals"},
		"decimals with a fraction":      {listJSON(strings.Replace(good, ":18", ":1.8", 1)), "tokens[0]: decimals"},
		"decimals below zero":           {listJSON(tokenJSON(1, a, `"DAI"`, -1, "")), "decimals -1: want a number from 0 to 77"},
		"decimals beyond any number":    {listJSON(tokenJSON(1, a, `"DAI"`, 78, "")), "decimals 78: want a number from 0 to 77"},
		"chain zero":                    {listJSON(tokenJSON(0, a, `"DAI"`, 18, "")), "chainId 0"},
		"a chain in quotes":             {listJSON(strings.Replace(good, `"chainId":1`, `"chainId":"1"`, 1)), "tokens[0]: chainId"},
		"an address without 0x":         {listJSON(tokenJSON(1, a[2:], `"DAI"`, 18, "")), "want 0x and 40"},
		"an address that is too short":  {listJSON(tokenJSON(1, a[:40], `"DAI"`, 18, "")), "want 0x and 40"},
		"an address with a wrong digit": {listJSON(tokenJSON(1, "0x7"+a[3:], `"DAI"`, 18, "")), "at least one digit is wrong"},
		"an address in upper case":      {listJSON(tokenJSON(1, "0x"+strings.ToUpper(a[2:]), `"DAI"`, 18, "")), "at least one digit is wrong"},
		"a lone surrogate":              {listJSON(tokenJSON(1, a, `"\ud800"`, 18, "")), "lone surrogate"},
		"extensions that are too deep":  {listJSON(tokenJSON(1, a, `"DAI"`, 18, `,"extensions":`+strings.Repeat("[", 50)+strings.Repeat("]", 50))), "nested more than"},
		"brackets without end":          {`{"tags":` + strings.Repeat("[", 1<<20), "tags"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readTokenList("l.json", []byte(tt.src))
			if got != nil || err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "l.json: ") {
				t.Errorf("AddTokens = %v, %v; want an error with %q", got, err, tt.want)
			}
		})
	}
}

// FuzzAddTokens checks that whatever a list says, its tokens have ids that are
// checked, decimals that numbers have, and names that show as they are and are one
// token's alone.
func FuzzAddTokens(f *testing.F) {
	src, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(src))
	f.Add(listJSON(tokenJSON(1, "0x6b175474e89094c44da98b954eedeac495271d0f", `"USD\u0421"`, 0, `,"tags":[]`)))
	f.Add(`{"tokens":[` + tokenJSON(1, "0x6b175474e89094c44da98b954eedeac495271d0f", `"a"`, 77, "") + "," + tokenJSON(1, "0xdAC17F958D2ee523a2206206994597C13D831ec7", `"A"`, 1, "") + `]}`)
	f.Fuzz(func(t *testing.T, src string) {
		tokens, err := readTokenList("l.json", []byte(src))
		if err != nil {
			if tokens != nil {
				t.Errorf("tokens beside the error %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, id := range slices.Sorted(maps.Keys(tokens)) {
			a := tokens[id]
			chain, _, _ := strings.Cut(id, "/")
			hidden := func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }
			switch {
			case a.ID != id || checkAsset(id) != nil:
				t.Errorf("%q is the id of %+v", id, a)
			case a.Decimals < 0 || a.Decimals > maxDecimals:
				t.Errorf("%s has %d decimals", id, a.Decimals)
			case a.Name == "" || strings.ContainsFunc(a.Name, hidden):
				t.Errorf("%s is called %q", id, a.Name)
			case seen[chain+"/"+strings.ToLower(a.Name)]:
				t.Errorf("two tokens are called %q", a.Name)
			}
			seen[chain+"/"+strings.ToLower(a.Name)] = true
		}
	})
}

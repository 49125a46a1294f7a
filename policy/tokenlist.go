package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/strictjson"
)

// Token lists are in the format of github.com/Uniswap/token-lists. They are other
// people's files: an asset block of the owner's own wins over them, their tokens cannot
// be named in amounts, and what they call a token cannot pass for what the owner does.

// Bounds of a token list; the number of tokens is that of the format's schema.
const (
	maxTokens    = 10_000
	maxTokenList = 4 << 20 // bytes
)

// listedToken is an entry of a token list.
type listedToken struct {
	id       string // CAIP-19
	symbol   string // as the list has it; empty where it cannot be shown
	decimals int
	list     string // the file that it is from
}

// AddTokens adds the tokens of a list to what a book knows, as a block token_list of its
// file would. The name is for error messages.
func AddTokens(book signer.Book, name string, src []byte) (signer.Book, error) {
	tokens, err := parseTokenList(src)
	if err != nil {
		return signer.Book{}, fmt.Errorf("%s: %w", name, err)
	}
	own := map[string]signer.Asset{} // by the account of the contract
	for _, id := range sortedKeys(book.Assets) {
		if _, account := tokenContract(id); account != "" {
			own[account] = book.Assets[id]
		}
	}
	for _, id := range sortedKeys(tokens) {
		if why := (&loader{}).contradiction(tokens[id], own); why != "" {
			return signer.Book{}, fmt.Errorf("%s: %s", name, why)
		}
		_, account := tokenContract(id)
		if c, ok := book.Contracts[account]; ok && c.Kind != signer.ContractWETH {
			return signer.Book{}, fmt.Errorf("%s: the token %s has the account of contract %q: its calls would have two meanings", name, id, c.Name)
		}
	}
	assets := nameTokens(tokens, book.Assets)
	maps.Copy(assets, book.Assets)
	return signer.NewBook(assets, book.Contracts, book.Accounts), nil
}

var tokenListSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "file", Required: true}, {Name: "sha256", Required: true},
}}

func (l *loader) tokenList(b *hcl.Block) {
	l.titled(b)
	content := l.body(b.Body, tokenListSchema)
	file, sum := content.Attributes["file"], content.Attributes["sha256"]
	if file == nil || sum == nil {
		return
	}
	name, ok := l.fileName(file)
	if !ok {
		return
	}
	src, _, ok := l.pinned(name, file, sum)
	if !ok {
		return
	}
	tokens, err := parseTokenList(src)
	if err != nil {
		l.fail(file.Expr.Range(), "%s: %v", name, err)
		return
	}
	own := map[string]signer.Asset{} // by the account of the contract
	for _, asset := range sortedKeys(l.assets) {
		if _, account := tokenContract(l.assets[asset].ID); account != "" {
			own[account] = l.assets[asset]
		}
	}
	for _, id := range sortedKeys(tokens) {
		t := tokens[id]
		t.list = name
		if why := l.contradiction(t, own); why != "" {
			l.fail(file.Expr.Range(), "%s: %s", name, why)
		} else if _, listed := l.tokens[id]; !listed {
			l.tokens[id] = t // of two lists that agree, the first names it
		}
	}
}

// contradiction says how a token of a list is something else than what is known
// already. Whoever of the two is wrong, an amount would be read wrong by powers of ten.
func (l *loader) contradiction(t listedToken, own map[string]signer.Asset) string {
	_, account := tokenContract(t.id)
	a, named := own[account]
	other, listed := l.tokens[t.id]
	switch {
	case named && a.ID != t.id:
		return fmt.Sprintf("%s is an ERC-20 token, and asset %q says it is %s; one of the two is wrong", t.id, a.Name, a.ID)
	case named && a.Decimals != t.decimals:
		return fmt.Sprintf("%s has %d decimals, and asset %q says %d; one of the two is wrong", t.id, t.decimals, a.Name, a.Decimals)
	case listed && other.decimals != t.decimals:
		return fmt.Sprintf("%s has %d decimals, and %s says %d; one of the two is wrong", t.id, t.decimals, other.list, other.decimals)
	default:
		return ""
	}
}

// listFields are the members that a token list may have (tokenlist.schema.json). Only
// the tokens are used.
func listFields() []string {
	return []string{"name", "timestamp", "version", "tokens", "tokenMap", "keywords", "tags", "logoURI"}
}

// parseTokenList reads the tokens, by their asset ids. It reads them one at a time, so
// that an error says which is wrong and each is held to the bounds of a small text.
func parseTokenList(src []byte) (map[string]listedToken, error) {
	if len(src) > maxTokenList {
		return nil, fmt.Errorf("the token list has %d bytes; the most is %d", len(src), maxTokenList)
	}
	dec := json.NewDecoder(bytes.NewReader(src))
	if err := expect(dec, '{', "a token list: one JSON object"); err != nil {
		return nil, err
	}
	var tokens map[string]listedToken
	var seen []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string) // a member of an object begins with its name
		switch {
		case slices.Contains(seen, name):
			return nil, fmt.Errorf("%q is there twice", name)
		case !slices.Contains(listFields(), name):
			return nil, fmt.Errorf("a token list has no member %q%s", clip(name), didYouMean(name, listFields()))
		case name == "tokens":
			if tokens, err = parseTokens(dec); err != nil {
				return nil, err
			}
		default:
			var ignored json.RawMessage
			if err := dec.Decode(&ignored); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		seen = append(seen, name)
	}
	if err := expect(dec, '}', "the end of the token list"); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the token list")
	}
	if len(tokens) == 0 {
		return nil, errors.New("the token list has no tokens")
	}
	return tokens, nil
}

func expect(dec *json.Decoder, want json.Delim, what string) error {
	if t, err := dec.Token(); err != nil || t != want {
		return errors.Join(errors.New("want "+what), err)
	}
	return nil
}

func parseTokens(dec *json.Decoder) (map[string]listedToken, error) {
	if err := expect(dec, '[', "tokens: a JSON array"); err != nil {
		return nil, err
	}
	tokens := map[string]listedToken{}
	for n := 0; dec.More(); n++ {
		if n == maxTokens {
			return nil, fmt.Errorf("the token list has more than %d tokens", maxTokens)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", n, err)
		}
		t, err := parseToken(raw)
		if err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", n, err)
		}
		if t.id == "" {
			continue // of another family of chains
		}
		if _, twice := tokens[t.id]; twice {
			return nil, fmt.Errorf("tokens[%d]: %s is in the list twice", n, t.id)
		}
		tokens[t.id] = t
	}
	return tokens, expect(dec, ']', "the end of the tokens")
}

// jsonToken is an entry as the format has it. What may be anything is not used.
type jsonToken struct {
	ChainID    *int64  `json:"chainId"`
	Address    *string `json:"address"`
	Symbol     *string `json:"symbol"`
	Decimals   *int64  `json:"decimals"`
	Name       any     `json:"name"`
	LogoURI    any     `json:"logoURI"`
	Tags       any     `json:"tags"`
	Extensions any     `json:"extensions"`
}

// otherAddress is the address of a token on chains of another family (Solana), which lists
// have among the rest. Nothing here reads payloads for them.
var otherAddress = regexp.MustCompile(`^[1-9A-HJ-NP-Za-km-z]{32,44}$`)

// parseToken reads an entry. One of another family of chains has no id.
func parseToken(raw []byte) (listedToken, error) {
	var e jsonToken
	if err := strictjson.Unmarshal(raw, &e); err != nil {
		return listedToken{}, err
	}
	switch {
	case e.ChainID == nil || e.Address == nil || e.Symbol == nil || e.Decimals == nil:
		return listedToken{}, errors.New("want chainId, address, symbol and decimals")
	case *e.ChainID < 1:
		return listedToken{}, fmt.Errorf("chainId %d: want a number from 1", *e.ChainID)
	case *e.Decimals < 0 || *e.Decimals > maxDecimals:
		return listedToken{}, fmt.Errorf("decimals %d: want a number from 0 to %d", *e.Decimals, maxDecimals)
	case otherAddress.MatchString(*e.Address):
		return listedToken{}, nil
	case !evmAddress.MatchString(*e.Address):
		return listedToken{}, fmt.Errorf("address %q: want 0x and 40 hexadecimal digits", clip(*e.Address))
	}
	address := checksummed((*e.Address)[2:])
	// The schema wants a checksum; lists in the wild do without, in lower case.
	if *e.Address != address && *e.Address != strings.ToLower(address) {
		return listedToken{}, fmt.Errorf("address %q: its EIP-55 checksum does not match: at least one digit is wrong, or it has none and is not all in lower case", *e.Address)
	}
	t := listedToken{id: fmt.Sprintf("eip155:%d/erc20:%s", *e.ChainID, address), decimals: int(*e.Decimals)}
	if showable.MatchString(*e.Symbol) && letter.MatchString(*e.Symbol) && !slices.Contains(amountWords, look(*e.Symbol)) {
		t.symbol = *e.Symbol
	}
	return t, nil
}

// showable are the symbols that mean to a reader what they are: the characters of the
// format's schema and _, all of them ASCII. Other symbols, of letters that look like
// those of another script or do not show, are not used; nor are symbols without a letter,
// such as 000.000, which would read as a part of the amount before them, nor those that
// are words of amounts.
var (
	showable = regexp.MustCompile(`^[a-zA-Z0-9+%/$._-]{1,20}$`)
	letter   = regexp.MustCompile(`[a-zA-Z]`)
)

// amountWords are what stands in the place of an amount, as [look] leaves them: a token
// called UNLIMITED would read as one.
var amountWords = []string{look("unlimited"), look("unknown"), look("nothing")}

// nameTokens names the tokens of lists beside the owner's own assets. A symbol stands
// alone where nothing else of the chain is called like it; else the address follows, and
// where there is no symbol, the address is the name.
func nameTokens(tokens map[string]listedToken, own assets) map[string]signer.Asset {
	type called struct{ chain, look string }
	bearers := map[called]int{}
	of := func(id, name string) called {
		chain, _, _ := strings.Cut(id, "/")
		return called{chain, look(name)}
	}
	ids := map[string]bool{}
	for _, a := range own {
		bearers[of(a.ID, a.Name)]++
		ids[a.ID] = true
	}
	for id, t := range tokens {
		if !ids[id] {
			bearers[of(id, t.symbol)]++
		}
	}
	out := make(map[string]signer.Asset, len(tokens)+len(own))
	for id, t := range tokens {
		_, address, _ := strings.Cut(id, "/erc20:")
		name := t.symbol
		switch {
		case name == "":
			name = address
		case bearers[of(id, name)] > 1 || look(name) == look("eth") || look(name) == look("ether"):
			name += " " + address // the coin of a chain has no entry that would count
		}
		out[id] = signer.Asset{ID: id, Name: name, Decimals: t.decimals}
	}
	return out
}

// look is what is left of a name when letters that look alike are one.
func look(name string) string { return looks.Replace(strings.ToLower(name)) }

var looks = strings.NewReplacer("0", "o", "1", "l", "i", "l", "5", "s")

package policy

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sealward/sealward/signer"
)

// LoadBook reads what a file says about assets, token lists, accounts and contracts, and
// nothing else of it: a policy will do, and so will a file with these blocks alone. Of
// env it needs Files. The name is for error messages, as it is in [Load].
func LoadBook(name string, src []byte, env Env) (signer.Book, error) {
	l := newLoader(src, env)
	l.read(name, l.world)
	if err := l.err(); err != nil {
		return signer.Book{}, err
	}
	return l.book(), nil
}

// book is all that was read of the world.
func (l *loader) book() signer.Book {
	known := nameTokens(l.tokens, l.assets)
	for _, a := range l.assets {
		known[a.ID] = a
	}
	contracts := make(map[string]signer.Contract, len(l.contracts))
	for name, c := range l.contracts {
		contracts[c.account] = signer.Contract{Name: name, Kind: c.kind}
	}
	return signer.NewBook(known, contracts, l.accounts())
}

// accounts are the labels of the address books. An account with different labels in two
// books has both.
func (l *loader) accounts() map[string]string {
	out := map[string]string{}
	for _, name := range sortedKeys(l.books) {
		for account, label := range l.books[name] {
			if other := out[account]; other != "" && other != label {
				label = other + ", " + label
			}
			out[account] = label
		}
	}
	return out
}

var assetSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "id", Required: true}, {Name: "decimals", Required: true},
}}

func (l *loader) asset(b *hcl.Block) {
	name, ok := l.named(b)
	content := l.body(b.Body, assetSchema)
	id, decimals := content.Attributes["id"], content.Attributes["decimals"]
	if !ok || id == nil || decimals == nil {
		return
	}
	a := signer.Asset{Name: name}
	places, _ := l.number(decimals.Expr, 0, maxDecimals) // what is wrong with it is among the problems
	a.Decimals = int(places)
	if a.ID, ok = l.filled(id.Expr, "the id"); !ok {
		return
	}
	if err := checkAsset(a.ID); err != nil {
		l.fail(id.Expr.Range(), "%v", err)
		return
	}
	standard, contract := tokenContract(a.ID)
	if standard == "erc721" && a.Decimals != 0 {
		l.fail(decimals.Expr.Range(), "an ERC-721 token is one whole thing: write decimals = 0")
		return
	}
	for _, other := range l.assets {
		otherStandard, otherContract := tokenContract(other.ID)
		switch {
		case other.Name == a.Name: // reported as such
		case other.ID == a.ID:
			l.fail(id.Expr.Range(), "asset %q has the id of asset %q; one asset has one name", a.Name, other.Name)
			return
		case contract != "" && otherContract == contract && otherStandard != standard:
			// approve(address,uint256) is an amount to the one and a token's number to the other.
			l.fail(id.Expr.Range(), "asset %q is of standard %s, and asset %q has the same contract with %s: its calls would have two meanings", a.Name, standard, other.Name, otherStandard)
			return
		}
	}
	l.assets[name] = a
}

// tokenContract splits the id of a token of an EVM chain into the token's standard and
// the CAIP-10 account of its contract. Of other assets both are empty.
func tokenContract(id string) (standard, account string) {
	chain, name, _ := strings.Cut(id, "/")
	standard, reference, _ := strings.Cut(name, ":")
	if !strings.HasPrefix(chain, "eip155:") || standard == "slip44" {
		return "", ""
	}
	address, _, _ := strings.Cut(reference, "/")
	return standard, chain + ":" + address
}

// collectible reports whether an asset is a whole collection (ERC-721, ERC-1155), or a
// piece of one.
func collectible(id string) (whole, piece bool) {
	standard, _ := tokenContract(id)
	numbered := strings.Count(id, "/") > 1
	is := standard == "erc721" || standard == "erc1155"
	return is && !numbered, is && numbered
}

// books are address books: labels by CAIP-10 account id, by the book's name.
type books map[string]map[string]string

var addressesSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "entries", Required: true}}}

func (l *loader) addresses(b *hcl.Block) {
	name, ok := l.named(b)
	content := l.body(b.Body, addressesSchema)
	entries := content.Attributes["entries"]
	if !ok || entries == nil {
		return
	}
	object, ok := entries.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		l.fail(entries.Expr.Range(), "want entries such as { \"eip155:1:0x...\" = \"label\" }")
		return
	}
	book := map[string]string{}
	for _, e := range object.Items {
		key, wrapped := e.KeyExpr.(*hclsyntax.ObjectConsKeyExpr)
		if !wrapped {
			l.fail(e.KeyExpr.Range(), "want a CAIP-10 account id in quotes")
			continue
		}
		account, ok := l.filled(key.Wrapped, "the account")
		label, ok2 := l.filled(e.ValueExpr, "the label")
		if !ok || !ok2 {
			continue
		}
		if err := checkAccount(account); err != nil {
			l.fail(e.KeyExpr.Range(), "%v", err)
		} else if _, repeated := book[account]; repeated {
			l.fail(e.KeyExpr.Range(), "account %q is in the book twice", account)
		} else {
			book[account] = label
		}
	}
	l.books[name] = book
}

// contract is a contract whose calls the owner wants read.
type contract struct {
	account string // CAIP-10
	kind    signer.ContractKind
}

var contractSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "account", Required: true}, {Name: "kind", Required: true},
}}

func (l *loader) contract(b *hcl.Block) {
	name, ok := l.named(b)
	content := l.body(b.Body, contractSchema)
	account, kind := content.Attributes["account"], content.Attributes["kind"]
	if !ok || account == nil || kind == nil {
		return
	}
	id, ok := l.filled(account.Expr, "the account")
	given, ok2 := l.filled(kind.Expr, "the kind")
	if !ok || !ok2 {
		return
	}
	c := contract{id, signer.ContractKind(given)}
	if !slices.Contains(signer.ContractKinds(), c.kind) {
		l.fail(kind.Expr.Range(), "no kind of contract is named %q%s", given, didYouMean(given, contractKinds()))
		return
	}
	if err := checkAccount(id); err != nil {
		l.fail(account.Expr.Range(), "%v", err)
		return
	}
	if !strings.HasPrefix(id, "eip155:") {
		l.fail(account.Expr.Range(), "account %q is on no EVM chain, and contracts are", id)
		return
	}
	for _, other := range sortedKeys(l.contracts) {
		if other != name && l.contracts[other].account == id {
			l.fail(account.Expr.Range(), "contract %q has the account of contract %q; one account is one contract", name, other)
			return
		}
	}
	if asset, ok := l.tokenAt(id); ok && c.kind != signer.ContractWETH {
		l.fail(account.Expr.Range(), "contract %q has the account of the token %s: its calls would have two meanings", name, asset)
		return
	}
	l.contracts[name] = c
}

// tokenAt returns the asset whose contract an account is.
func (l *loader) tokenAt(account string) (id string, ok bool) {
	for _, name := range sortedKeys(l.assets) {
		if _, c := tokenContract(l.assets[name].ID); c == account {
			return l.assets[name].ID, true
		}
	}
	cut := strings.LastIndexByte(account, ':')
	id = account[:cut] + "/erc20:" + account[cut+1:]
	_, ok = l.tokens[id]
	return id, ok
}

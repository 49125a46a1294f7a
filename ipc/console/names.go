package console

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/sealward/sealward/signer"
)

// quantity writes an amount: in the asset's own decimals where the owner's book
// says how many there are, and always as the raw integer.
func (p *printer) quantity(q signer.Quantity) string {
	most := ""
	switch q.Kind {
	case signer.QuantityNone:
		return "nothing"
	case signer.QuantityUnlimited:
		return "UNLIMITED " + p.asset(q.Asset)
	case signer.QuantityAtMost:
		most = "at most "
	case signer.QuantityExact:
	default:
		if q.Asset == "" {
			return "UNKNOWN amounts of UNKNOWN assets"
		}
		return "an UNKNOWN amount of " + p.asset(q.Asset)
	}
	if q.N == nil {
		return "an UNKNOWN amount of " + p.asset(q.Asset)
	}
	return most + p.amount(q.N, q.Asset)
}

// Amount writes an integer of base units for a table: "2.5 usdc", or raw where the
// book does not have the asset.
func Amount(n *big.Int, asset string, names Names) string {
	p := printer{names: names}
	if a, ok := p.known(asset); ok {
		return decimal(n, a.Decimals) + " " + Safe(a.Name)
	}
	return p.amount(n, asset)
}

// amount writes an integer of base units with the integer itself: "2.5 usdc (2500000
// base units)". An item of a collection is counted in whole ones.
func (p *printer) amount(n *big.Int, asset string) string {
	if asset == signer.AssetRequests {
		return n.String() + " requests"
	}
	if _, _, item := itemOf(asset); item {
		return n.String() + " of " + p.asset(asset)
	}
	a, ok := p.known(asset)
	if !ok {
		return fmt.Sprintf("%s base units of %s", n, Safe(asset))
	}
	return fmt.Sprintf("%s %s (%s base units)", decimal(n, a.Decimals), Safe(a.Name), n)
}

func (p *printer) asset(id string) string {
	if a, ok := p.known(id); ok {
		return fmt.Sprintf("%s (%s)", Safe(a.Name), Safe(id))
	}
	if collection, number, ok := itemOf(id); ok {
		return "item " + Safe(number) + " of " + p.asset(collection)
	}
	return Safe(id)
}

// itemOf splits the id of one item of a collection: eip155:1/erc721:0xC/17. The book
// has the collection.
func itemOf(id string) (collection, number string, ok bool) {
	i := strings.LastIndexByte(id, '/')
	_, reference, _ := strings.Cut(id, "/")
	if !strings.HasPrefix(reference, "erc721:") && !strings.HasPrefix(reference, "erc1155:") || !strings.Contains(reference, "/") {
		return "", "", false
	}
	return id[:i], id[i+1:], true
}

// known finds an asset. Beside the book only what a standard fixes is known: a
// chain's own coin has 18 decimals to every node, and Ethereum's is ether.
func (p *printer) known(id string) (signer.Asset, bool) {
	if a, ok := p.names.Assets[id]; ok {
		return a, true
	}
	chain, coin, _ := strings.Cut(id, "/")
	switch {
	case id == "eip155:1/slip44:60":
		return signer.Asset{ID: id, Name: "ether", Decimals: 18}, true
	case coin == "slip44:60" && strings.HasPrefix(chain, "eip155:"):
		return signer.Asset{ID: id, Name: id, Decimals: 18}, true
	}
	return signer.Asset{}, false
}

// decimal moves the point; it neither rounds nor pads.
func decimal(n *big.Int, decimals int) string {
	if decimals <= 0 {
		return n.String()
	}
	sign, digits := "", n.String()
	if n.Sign() < 0 {
		sign, digits = "-", digits[1:]
	}
	if missing := decimals + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, part := digits[:len(digits)-decimals], strings.TrimRight(digits[len(digits)-decimals:], "0")
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}

// account writes a CAIP-10 account by its address, in full, and what it is called.
func (p *printer) account(id string) string {
	switch {
	case id == "":
		return "nobody"
	case address(id) == "":
		return Safe(id)
	}
	if label := p.label(id); label != "" {
		return address(id) + " (" + label + ")"
	}
	return address(id)
}

// label is what an account is called, or empty: what the owner's files say before what
// everybody knows, and that before what a descriptor says, which is quoted.
func (p *printer) label(id string) string {
	if label, ok := p.names.Accounts[id]; ok {
		return Safe(label)
	}
	if c, ok := p.names.Contracts[id]; ok {
		return fmt.Sprintf("%s, a contract of kind %s", Safe(c.Name), Safe(string(c.Kind)))
	}
	if a, ok := p.token(id); ok {
		return "the contract of " + Safe(a.Name)
	}
	if isZero(id) {
		return "the zero address: nobody"
	}
	if p.names.Canonical != nil {
		if name, ok := p.names.Canonical(id); ok {
			return Safe(name) + ", a canonical contract"
		}
	}
	if name, ok := p.names.Described[id]; ok {
		return "a descriptor file calls it " + quoted(name)
	}
	return ""
}

// token is the asset whose contract an account is.
func (p *printer) token(id string) (signer.Asset, bool) {
	i := strings.LastIndexByte(id, ':')
	if i < 0 {
		return signer.Asset{}, false
	}
	for _, standard := range []string{"/erc20:", "/erc721:", "/erc1155:"} {
		if a, ok := p.names.Assets[id[:i]+standard+id[i+1:]]; ok {
			return a, true
		}
	}
	return signer.Asset{}, false
}

// knows reports whether the owner's files have an account.
func (p *printer) knows(id string) bool {
	_, labelled := p.names.Accounts[id]
	_, contract := p.names.Contracts[id]
	_, token := p.token(id)
	return labelled || contract || token
}

// isZero reports whether an account is the zero address of an EVM chain.
func isZero(id string) bool {
	return id[strings.LastIndexByte(id, ':')+1:] == "0x"+strings.Repeat("0", 40)
}

// address is a CAIP-10 account without its chain.
func address(id string) string { return Safe(id[strings.LastIndexByte(id, ':')+1:]) }

// chainOf says on which chain an account is, or nothing.
func chainOf(id string) string {
	if i := strings.LastIndexByte(id, ':'); i > 0 {
		return " on " + Safe(id[:i])
	}
	return ""
}

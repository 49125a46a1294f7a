package console

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
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
// base units)".
func (p *printer) amount(n *big.Int, asset string) string {
	if asset == signer.AssetRequests {
		return n.String() + " requests"
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
	return Safe(id)
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

// account writes a CAIP-10 account by its address, in full, and the owner's label.
func (p *printer) account(id string) string {
	if id == "" {
		return "nobody"
	}
	if label, ok := p.names.Accounts[id]; ok {
		return fmt.Sprintf("%s (%s)", address(id), Safe(label))
	}
	return address(id)
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

// resembles finds entries of the owner's book that an account is not, but whose
// address begins and ends like its own: what address poisoning plants in a
// payer's history.
func (p *printer) resembles(id string) []string {
	const ends = 4 // characters; wallets that shorten show as many
	if _, mine := p.names.Accounts[id]; mine || id == "" {
		return nil
	}
	a := strings.ToLower(strings.TrimPrefix(address(id), "0x"))
	var out []string
	for _, other := range slices.Sorted(maps.Keys(p.names.Accounts)) {
		b := strings.ToLower(strings.TrimPrefix(address(other), "0x"))
		if a != b && len(a) == len(b) && len(a) > 2*ends && a[:ends] == b[:ends] && a[len(a)-ends:] == b[len(b)-ends:] {
			out = append(out, fmt.Sprintf("%s (%s)", address(other), Safe(p.names.Accounts[other])))
		}
	}
	return out
}

package evm

import (
	"strings"

	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// decimal writes n base units with the decimal point where people expect it.
func decimal(n *uint256.Int, decimals int) string {
	digits := n.Dec()
	if decimals <= 0 {
		return digits
	}
	if missing := decimals + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, part := digits[:len(digits)-decimals], strings.TrimRight(digits[len(digits)-decimals:], "0")
	if part == "" {
		return whole
	}
	return whole + "." + part
}

// amount writes n for people and exactly: "2.5 usdc (2500000 base units)".
func amount(n *uint256.Int, a signer.Asset) string {
	return decimal(n, a.Decimals) + " " + a.Name + " (" + n.Dec() + " base units)"
}

// gasPrice writes a price per gas. A gwei is 10^9 base units on every chain.
func gasPrice(n *uint256.Int) string {
	return decimal(n, 9) + " gwei (" + n.Dec() + " base units)"
}

// coin is the chain's own coin as the owner's book names it. Where it does not,
// only Ethereum's is called ether; all have 18 decimals to a node.
func coin(chain string, book signer.Book) signer.Asset {
	id := native(chain)
	if a, ok := book.Assets[id]; ok {
		return a
	}
	if id == "eip155:1/slip44:60" {
		return signer.Asset{ID: id, Name: "ether", Decimals: 18}
	}
	return signer.Asset{ID: id, Name: id, Decimals: 18}
}

package signer

import (
	"maps"
	"slices"
	"strings"
)

// Book is what the owner's files say about the world. Decoders take names and
// the meaning of contracts from it and from nowhere else. Make it with [NewBook]; it
// is shared and not changed afterwards. The zero Book knows nothing.
type Book struct {
	Assets    map[string]Asset    // by CAIP-19 id, addresses checksummed
	Contracts map[string]Contract // by CAIP-10 id
	Accounts  map[string]string   // labels of accounts, by CAIP-10 id

	shapes map[string][]string // the accounts and contracts, by what a shortened address shows
}

// Asset is a thing of value as the owner's files name it.
type Asset struct {
	ID       string // CAIP-19; of a collection (ERC-721, ERC-1155) without a token id
	Name     string // the owner's name for it, e.g. "usdc"
	Decimals int
}

// Contract is a contract whose calls the owner wants read, and what it is.
type Contract struct {
	Name string
	Kind ContractKind
}

// ContractKind says how the calls and messages of a contract are read. The set is
// closed. Tokens are not in it: they are assets.
type ContractKind string

// The kinds of contracts.
const (
	ContractWETH       ContractKind = "weth"       // wraps the chain's coin; its asset is an erc20 of the same address
	ContractSafe       ContractKind = "safe"       // a Safe account
	ContractMultiSend  ContractKind = "multisend"  // Safe's MultiSend or MultiSendCallOnly
	ContractMulticall  ContractKind = "multicall"  // Multicall3
	ContractPermit2    ContractKind = "permit2"    // Uniswap's Permit2
	ContractEntryPoint ContractKind = "entrypoint" // of ERC-4337
	ContractAccount    ContractKind = "account"    // a smart account with execute (ERC-4337, ERC-7579)
	ContractDelegate   ContractKind = "delegate"   // code that an account may be handed to (EIP-7702)
	ContractModule     ContractKind = "module"     // a module, guard or fallback handler of a Safe
)

// ContractKinds lists every kind of contract.
func ContractKinds() []ContractKind {
	return []ContractKind{
		ContractWETH, ContractSafe, ContractMultiSend, ContractMulticall, ContractPermit2,
		ContractEntryPoint, ContractAccount, ContractDelegate, ContractModule,
	}
}

// NewBook returns a book of the three maps, which must not be changed afterwards.
func NewBook(assets map[string]Asset, contracts map[string]Contract, accounts map[string]string) Book {
	b := Book{Assets: assets, Contracts: contracts, Accounts: accounts, shapes: map[string][]string{}}
	add := func(id string) {
		if s, ok := shape(id); ok && !slices.Contains(b.shapes[s], id) {
			b.shapes[s] = append(b.shapes[s], id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(accounts)) {
		add(id)
	}
	for _, id := range slices.Sorted(maps.Keys(contracts)) {
		add(id)
	}
	return b
}

// Knows reports whether an account is in the book, by any name.
func (b Book) Knows(account string) bool {
	_, labelled := b.Accounts[account]
	_, contract := b.Contracts[account]
	return labelled || contract
}

// Resembling returns the known accounts that an unknown one is not, but whose address
// begins and ends as its own does: what address poisoning plants in a payer's
// history. The chain makes no difference, since one key has one address on all.
func (b Book) Resembling(account string) []string {
	s, ok := shape(account)
	if !ok || b.Knows(account) {
		return nil
	}
	var out []string
	for _, id := range b.shapes[s] {
		if !strings.EqualFold(address(id), address(account)) {
			out = append(out, id)
		}
	}
	return out
}

// shape is what is left of an address where it is shortened. Wallets show four to six
// characters on each side; forgers match as few as they must.
func shape(account string) (string, bool) {
	const ends = 4
	a := strings.TrimPrefix(strings.ToLower(address(account)), "0x")
	if len(a) <= 2*ends {
		return "", false
	}
	return a[:ends] + a[len(a)-ends:], true
}

// address is a CAIP-10 account without its chain.
func address(account string) string { return account[strings.LastIndexByte(account, ':')+1:] }

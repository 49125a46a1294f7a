package erc7730

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// address is a value as an address. What is longer must have zeros before it.
func address(v abi.Value) (common.Address, error) {
	b := bytesOf(v)
	extra := len(b) - common.AddressLength
	if extra < 0 || extra > 12 || len(bytes.Trim(b[:extra], "\x00")) > 0 {
		return common.Address{}, fmt.Errorf("%s is no address", quote(rawText(v)))
	}
	return common.BytesToAddress(b), nil
}

// identity is who or what a value names.
func (r *reader) identity(f *field, env []place, v abi.Value) (string, error) {
	if f.format == formatInterop {
		return r.interoperable(v.Bytes, f.params)
	}
	a, err := address(v)
	if err != nil { // such as a number that has flags beside an address
		return hexText(bytesOf(v)) + " (no address)", nil
	}
	if f.format == formatTokenTicker {
		chain, err := r.chain(f.params.chain, env)
		if err != nil {
			return "", err
		}
		if asset, ok := r.book.Assets[chainID(chain)+"/erc20:"+a.Hex()]; ok {
			return a.Hex() + " (" + asset.Name + ")" + r.elsewhere(chain), nil
		}
		return a.Hex() + " (unknown token)" + r.elsewhere(chain), nil
	}
	return r.address(a, r.c.chain, f.params), nil
}

// address writes an address in full, with the name that it has, if any. One that stands
// for the sender is written as the sender.
func (r *reader) address(a common.Address, chain uint64, p *params) string {
	if slices.Contains(p.senders, a) {
		if r.c.from == nil {
			return "the sender (the payload has " + a.Hex() + ")"
		}
		return r.who(*r.c.from, chain, p) + ", the sender (the payload has " + a.Hex() + ")"
	}
	return r.who(a, chain, p)
}

// who is an address in full, with its name.
func (r *reader) who(a common.Address, chain uint64, p *params) string {
	if name := r.name(a, chain, p); name != "" {
		return a.Hex() + " (" + name + ")"
	}
	return a.Hex()
}

// name is the name that the owner's book has, or else that of a contract as its
// descriptor has it, which it says. The parameters say what sort of thing the name may be
// of, and whether it may be from anywhere: "When specified a wallet MUST only use
// specified sources", and the owner's own are always among them (ERC-7730, "Address types
// and sources").
func (r *reader) name(a common.Address, chain uint64, p *params) string {
	is := func(list ...string) bool {
		return len(p.types) == 0 || slices.ContainsFunc(list, func(t string) bool { return slices.Contains(p.types, t) })
	}
	account := chainID(chain) + ":" + a.Hex()
	if name, ok := r.book.Accounts[account]; ok && is("wallet", "eoa", "contract") {
		return name
	}
	if c, ok := r.book.Contracts[account]; ok && c.Name != "" && is("contract", "wallet") {
		return c.Name
	}
	for _, s := range []struct{ standard, is string }{{"erc20", "token"}, {"erc721", "collection"}, {"erc1155", "collection"}} {
		if asset, ok := r.book.Assets[chainID(chain)+"/"+s.standard+":"+a.Hex()]; ok && is(s.is, "contract") {
			return asset.Name
		}
	}
	if name, ok := r.set.ContractName(chain, a); ok && is("contract") && !p.sources {
		return name + ", says its descriptor"
	}
	return ""
}

// pseudoCoin is the address by which contracts that take tokens mean the chain's coin
// (ERC-7528). Others mean it by the zero address. No token can be at either.
var pseudoCoin = common.HexToAddress("0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE")

// tokenAmount writes an amount of a token, or the integer where the owner does not know
// the token.
func (r *reader) tokenAmount(p *params, env []place, n *big.Int) (string, error) {
	chain, err := r.chain(p.chain, env)
	if err != nil {
		return "", err
	}
	token, known, err := r.addressOf(p.token, env)
	if err != nil {
		return "", err
	}
	if !known {
		return n.String() + " base units of an unknown token", nil
	}
	asset, listed := r.book.Assets[chainID(chain)+"/erc20:"+token.Hex()]
	where := r.elsewhere(chain)
	if !listed && slices.Contains(p.native, token) { // what the owner lists is that, whatever a descriptor takes it for
		asset, listed = coin(chain, r.book), true
		if token != pseudoCoin && token != (common.Address{}) {
			where += " (by its address " + token.Hex() + ", which the descriptor takes for the coin)"
		}
	}
	above := p.threshold != nil && n.Cmp(p.threshold.ToBig()) >= 0 // as in the examples of the specification
	switch {
	case above && listed:
		return p.unlimited(n, asset.Name) + where, nil
	case above:
		return p.unlimited(n, "of unknown token "+token.Hex()) + where, nil
	case listed:
		return assetAmount(n, asset) + where, nil
	default:
		return n.String() + " base units of unknown token " + token.Hex() + where, nil
	}
}

// unlimited is the message, and the integer that it stands for.
func (p *params) unlimited(n *big.Int, name string) string {
	message := p.message
	if message == "" {
		message = "Unlimited"
	}
	return message + " " + name + " (" + n.String() + " base units)"
}

// nftName writes which item of which collection.
func (r *reader) nftName(p *params, env []place, n *big.Int) (string, error) {
	collection, _, err := r.addressOf(p.collection, env)
	if err != nil {
		return "", err
	}
	return n.String() + " of " + r.who(collection, r.c.chain, &params{types: []string{"collection"}}), nil
}

// elsewhere says which chain is meant where it is not that of the payload.
func (r *reader) elsewhere(chain uint64) string {
	if chain == r.c.chain {
		return ""
	}
	return " on " + chainText(new(big.Int).SetUint64(chain))
}

// chain is that of a parameter, or the payload's.
func (r *reader) chain(s *source, env []place) (uint64, error) {
	v, err := r.parameter(s, env)
	if err != nil || s == nil {
		return r.c.chain, err
	}
	n, err := integer(v)
	if err != nil {
		return 0, err
	}
	if !n.IsUint64() || n.Sign() == 0 {
		return 0, fmt.Errorf("%s is no chain", n)
	}
	return n.Uint64(), nil
}

func (r *reader) addressOf(s *source, env []place) (a common.Address, there bool, err error) {
	v, err := r.parameter(s, env)
	if err != nil || s == nil {
		return a, false, err
	}
	a, err = address(v)
	return a, true, err
}

// parameter is the value of a parameter.
func (r *reader) parameter(s *source, env []place) (abi.Value, error) {
	if s == nil {
		return abi.Value{}, nil
	}
	literal := s.text
	switch {
	case s.path != nil:
		return r.one(s.path, env)
	case s.key != nil:
		key, err := r.one(s.key, env)
		if err != nil {
			return abi.Value{}, err
		}
		var ok bool
		if literal, ok = lookup(s.table, key); !ok {
			// "In case no values matches the wallet MUST consider the 7730 file invalid
			// for the transaction."
			return abi.Value{}, fmt.Errorf("the descriptor's %s has nothing for %s", quote(s.name), quote(rawText(key)))
		}
	}
	v, ok := s.as.read(literal)
	if !ok {
		return abi.Value{}, fmt.Errorf("%s is no %s", quote(literal), s.as.name) // not reached: it was checked when it was loaded
	}
	return v, nil
}

// interoperable writes an interoperable address (ERC-7930) as an interoperable name
// (ERC-7828): address@chain#checksum. The name that the owner has for it follows.
func (r *reader) interoperable(b []byte, p *params) (string, error) {
	errCut := errors.New("an interoperable address that is cut off")
	if len(b) < 6 {
		return "", errCut
	}
	if version := binary.BigEndian.Uint16(b); version != 1 {
		return "", fmt.Errorf("version %d of interoperable addresses is not read", version)
	}
	kind := binary.BigEndian.Uint16(b[2:])
	rest := b[4:]
	next := func() ([]byte, bool) {
		if len(rest) == 0 || len(rest)-1 < int(rest[0]) {
			return nil, false
		}
		part := rest[1 : 1+int(rest[0])]
		rest = rest[1+len(part):]
		return part, true
	}
	reference, ok := next()
	if !ok {
		return "", errCut
	}
	account, ok := next()
	switch {
	case !ok:
		return "", errCut
	case len(rest) > 0:
		return "", fmt.Errorf("%d bytes follow an interoperable address", len(rest))
	case len(reference)+len(account) == 0:
		return "", errors.New("an interoperable address of nothing")
	}
	// ERC-7828, "Checksum": the first four bytes of the hash of all but the version.
	checksum := fmt.Sprintf("#%X", crypto.Keccak256(b[2:])[:4])
	// CAIP-350, "eip155": the chain id without zeros before it, and 20 bytes.
	chain := new(big.Int).SetBytes(reference)
	evm := kind == 0 && (len(account) == 0 || len(account) == common.AddressLength) && len(reference) <= 8 && (len(reference) == 0 || reference[0] != 0)
	if !evm {
		return fmt.Sprintf("%s@%04x:%s%s", hexText(account), kind, hexText(reference), checksum), nil
	}
	at := "@eip155"
	if len(reference) > 0 {
		at += ":" + chain.String()
	}
	if len(account) == 0 {
		return at + checksum, nil
	}
	a := common.BytesToAddress(account)
	out := a.Hex() + at + checksum
	if slices.Contains(p.senders, a) {
		return out + ", which stands for " + r.address(a, chain.Uint64(), p), nil
	}
	if name := r.name(a, chain.Uint64(), p); name != "" {
		out += " (" + name + ")"
	}
	return out, nil
}

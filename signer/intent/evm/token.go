package evm

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// Selectors: the first four bytes of the hash of the signature (Contract ABI
// specification, "Function Selector").
var (
	selectorTransfer = [4]byte{0xa9, 0x05, 0x9c, 0xbb}
	selectorApprove  = [4]byte{0x09, 0x5e, 0xa7, 0xb3}
)

// looksLike names the selectors that people are most often fooled with. Selectors
// collide and contracts lie, so a name is never more than a hint.
func looksLike(selector [4]byte) string {
	switch selector {
	case selectorTransfer:
		return "transfer(address,uint256)"
	case selectorApprove:
		return "approve(address,uint256)"
	case [4]byte{0x23, 0xb8, 0x72, 0xdd}:
		return "transferFrom(address,address,uint256)"
	case [4]byte{0x39, 0x50, 0x93, 0x51}:
		return "increaseAllowance(address,uint256)"
	case [4]byte{0xa2, 0x2c, 0xb4, 0x65}:
		return "setApprovalForAll(address,bool)"
	case [4]byte{0xd5, 0x05, 0xac, 0xcf}:
		return "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"
	default:
		return ""
	}
}

func isTokenCall(data []byte) bool {
	return bytes.HasPrefix(data, selectorTransfer[:]) || bytes.HasPrefix(data, selectorApprove[:])
}

// packTokenCall is the one encoding of a call with an address and an amount
// (Contract ABI specification, "Formal Specification of the Encoding").
func packTokenCall(selector [4]byte, who common.Address, n *uint256.Int) []byte {
	data := make([]byte, 4+32+32)
	copy(data, selector[:])
	copy(data[4+12:], who[:])
	n.WriteToSlice(data[4+32:])
	return data
}

// unpackTokenCall refuses what is not packed just so. A node would mask dirty
// address bytes and ignore what trails: two ways to write one call, and room to
// hide something.
func unpackTokenCall(data []byte) (who common.Address, n *uint256.Int, err error) {
	if len(data) != 4+32+32 {
		return who, nil, signer.Invalid("transaction: data: non-canonical: %s has 68 bytes of calldata, here are %d", looksLike([4]byte(data)), len(data))
	}
	who = common.Address(data[4+12 : 4+32])
	n = new(uint256.Int).SetBytes(data[4+32:])
	if !bytes.Equal(packTokenCall([4]byte(data), who, n), data) {
		return who, nil, signer.Invalid("transaction: data: non-canonical: the address in %s has dirty leading bytes", looksLike([4]byte(data)))
	}
	return who, n, nil
}

// tokenCall is transfer or approve on a token that the owner listed (ERC-20).
func (r *reading) tokenCall(token signer.Asset) error {
	contract := *r.tx.to
	who, n, err := unpackTokenCall(r.tx.data)
	if err != nil {
		return err
	}
	id := erc20(r.chain, contract)
	effect := signer.Effect{
		Counterparty: account(r.chain, who),
		Attributes:   map[string]string{"contract": account(r.chain, contract)},
	}
	r.field("token", token.Name+" ("+id+")")
	if [4]byte(r.tx.data) == selectorTransfer {
		effect.Class, effect.Quantity = signer.ClassTransfer, signer.Exact(id, n.ToBig())
		r.field("recipient", who.Hex())
		r.field("token amount", amount(n, token))
	} else {
		effect.Class, effect.Quantity = signer.ClassAllowance, allowance(id, n)
		r.allowanceFields(who, n, token)
	}
	r.effect(effect)
	r.tokenWarnings(who, contract, token)
	r.in.Digests = append(r.in.Digests, signer.Digest{Name: "calldata digest", Value: calldataDigest(r.tx.data)})
	return nil
}

// allowance is what a spender may take. Amounts that no supply reaches stand for
// "everything, for ever"; wallets and tokens write 2^256-1, and 2^96-1 or 2^160-1
// where a token or Permit2 counts in as many bits.
func allowance(asset string, n *uint256.Int) signer.Quantity {
	switch {
	case isUnlimited(n):
		return signer.Quantity{Kind: signer.QuantityUnlimited, Asset: asset}
	case n.IsZero():
		return signer.Exact(asset, n.ToBig())
	default:
		return signer.AtMost(asset, n.ToBig())
	}
}

func isUnlimited(n *uint256.Int) bool {
	allOnes := new(uint256.Int).AddUint64(n, 1) // a power of two
	switch bits := n.BitLen(); bits {
	case 256:
		return true // 2^255 or more
	case 96, 160:
		return allOnes.BitLen() == bits+1
	default:
		return false
	}
}

func (r *reading) allowanceFields(spender common.Address, n *uint256.Int, token signer.Asset) {
	r.field("spender", spender.Hex())
	switch {
	case n.IsZero():
		r.field("allowance", "0: revokes what was allowed before")
	case isUnlimited(n):
		r.field("allowance", "unlimited ("+n.Dec()+" base units), until revoked")
		r.warn(WarnUnlimitedAllowance, signer.SeverityDanger,
			spender.Hex()+" may take all "+token.Name+" of this account, now and later, until revoked")
	default:
		r.field("allowance", amount(n, token)+", until used up or revoked")
	}
}

func (r *reading) tokenWarnings(who, contract common.Address, token signer.Asset) {
	switch who {
	case common.Address{}:
		r.warn(WarnZeroAddress, signer.SeverityDanger, "the recipient or spender is the zero address: what is sent there is lost")
	case contract:
		r.warn(WarnTokenContract, signer.SeverityDanger, "the recipient or spender is the contract of "+token.Name+" itself: what is sent there is most likely lost")
	}
	if !r.tx.value.IsZero() {
		r.warn(WarnValueWithTokenCall, signer.SeverityWarn,
			"sends "+amount(&r.tx.value, r.coin)+" along with a token call, which has no use for it")
	}
}

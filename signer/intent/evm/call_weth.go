package evm

import (
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// wethMethods are all that WETH9 has: the coin is wrapped as a token and unwrapped, and
// the token is one of ERC-20 and no more. A selector that it does not have, such as that
// of a permit, it takes for a deposit (WETH9.sol, fallback): that is an unknown call.
var wethMethods = newFamily(
	paid("deposit()", readWrap),
	reads("withdraw(uint256 amount)", readUnwrap),
	reads("transfer(address to, uint256 amount)", readERC20Transfer),
	reads("approve(address spender, uint256 amount)", readERC20Approve),
	reads("transferFrom(address from, address to, uint256 amount)", readERC20TransferFrom),
)

// readWrap gives coin for as much of the token. Where the caller only hands on what it was
// given, the token is the caller's, for whoever calls that next: the coin is given away.
func readWrap(r *reading, f frame, _ []abi.Value) error {
	token := r.listed(f, f.to)
	r.field(f.named("wraps"), amount(&f.value, r.coin))
	if f.handedOn {
		r.coinTransfer(f, *f.from)
	}
	r.exchange(f, "wrap", native(r.chain), token.ID, &f.value)
	return nil
}

// readUnwrap gives the token for as much coin.
func readUnwrap(r *reading, f frame, args []abi.Value) error {
	token, n := r.called(f), args[0].Uint()
	r.field(f.named("unwraps"), amount(n, token))
	r.exchange(f, "unwrap", token.ID, native(r.chain), n)
	return nil
}

func (r *reading) exchange(f frame, act, gives, receives string, n *uint256.Int) {
	attributes := r.of(f)
	attributes["act"], attributes["receives"], attributes["receives_amount"] = act, receives, n.Dec()
	r.effect(f, signer.Effect{
		Class: signer.ClassExchange, Counterparty: r.account(f.to),
		Quantity: signer.Exact(gives, n.ToBig()), Attributes: attributes,
	})
}

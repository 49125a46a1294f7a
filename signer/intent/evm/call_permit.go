package evm

import (
	"encoding/hex"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// What an account signed before, and a call hands in, acts for that account whoever
// calls. Whether the signature is good is not looked at: if it is not, the call fails.

// callPermit: ERC-2612, and ERC-7597 for signatures of contracts. The deadline is that
// of the signature. The allowance has no end, so the effect has none.
func callPermit(r *reading, f frame, args []abi.Value) error {
	r.permit(f, args[0].Address(), args[1].Address(), args[2].Uint())
	r.moment(f, "deadline of the permit", args[3].Uint())
	r.signature(f, args[4:])
	return nil
}

// callDAIPermit: all or nothing (dss, Dai.sol, permit). An expiry of 0 is none.
func callDAIPermit(r *reading, f frame, args []abi.Value) error {
	n := new(uint256.Int)
	if args[4].Bool() {
		n.SetAllOne()
	}
	r.permit(f, args[0].Address(), args[1].Address(), n)
	r.field(f.named("nonce"), args[2].Uint().Dec())
	if expiry := args[3].Uint(); expiry.IsZero() {
		r.field(f.named("deadline of the permit"), "none")
	} else {
		r.moment(f, "deadline of the permit", expiry)
	}
	r.signature(f, args[5:])
	return nil
}

func (r *reading) permit(f frame, owner, spender common.Address, n *uint256.Int) {
	token := r.called(f)
	r.field(f.named("owner"), r.hex(owner))
	r.allowance(f, spender, n, token, signer.Effect{Actor: r.account(owner), Attributes: r.of(f)})
	r.tokenWarnings(f, spender, token)
}

// callAuthorizedTransfer: ERC-3009.
func callAuthorizedTransfer(r *reading, f frame, args []abi.Value) error {
	token, from := r.called(f), args[0].Address()
	r.field(f.named("from"), r.hex(from))
	r.tokenTransfer(f, token, args[1].Address(), args[2].Uint(), signer.Effect{Actor: r.account(from), Attributes: r.of(f)})
	r.moment(f, "valid after", args[3].Uint())
	r.moment(f, "valid before", args[4].Uint())
	r.field(f.named("nonce"), bytesText(args[5].Bytes))
	r.signature(f, args[6:])
	return nil
}

// callCancelAuthorization: ERC-3009. The authorisation with that nonce becomes void.
func callCancelAuthorization(r *reading, f frame, args []abi.Value) error {
	r.called(f)
	authorizer, attributes := args[0].Address(), r.of(f)
	attributes["act"] = "cancel"
	r.field(f.named("authorizer"), r.hex(authorizer))
	r.field(f.named("nonce"), bytesText(args[1].Bytes))
	r.signature(f, args[2:])
	r.effect(f, signer.Effect{Class: signer.ClassInvalidate, Actor: r.account(authorizer), Attributes: attributes})
	return nil
}

// signature shows a signature that is in a call: bytes, or v, r and s.
func (r *reading) signature(f frame, args []abi.Value) {
	if len(args) == 1 {
		r.field(f.named("signature"), bytesText(args[0].Bytes))
		return
	}
	v, r1, s := args[0].Uint(), args[1].Bytes, args[2].Bytes
	r.field(f.named("signature"), "v "+v.Dec()+", r 0x"+hex.EncodeToString(r1)+", s 0x"+hex.EncodeToString(s))
}

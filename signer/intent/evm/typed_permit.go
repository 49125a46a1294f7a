package evm

import (
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// erc2612 reads Permit(owner, spender, value, nonce, deadline).
func (t *typed) erc2612(m abi.Value) error {
	t.tokenPermit(m.Elems[0].Address(), m.Elems[1].Address(), m.Elems[2].Uint(), m.Elems[3].Uint(), m.Elems[4].Uint())
	return nil
}

// daiPermit reads the permit of DAI, which is older than the standard: Permit(holder,
// spender, nonce, expiry, allowed). It allows everything or nothing, and an expiry of 0
// is none (dss, Dai.sol, permit).
func (t *typed) daiPermit(m abi.Value) error {
	n, expiry := new(uint256.Int), m.Elems[3].Uint()
	if m.Elems[4].Bool() {
		n.SetAllOne()
	}
	if expiry.IsZero() {
		expiry.SetAllOne()
	}
	t.tokenPermit(m.Elems[0].Address(), m.Elems[1].Address(), n, m.Elems[2].Uint(), expiry)
	return nil
}

// tokenPermit is an allowance over a token by the token's own contract. The deadline is that
// of the signature: the allowance stays, once it is set.
func (t *typed) tokenPermit(owner, spender common.Address, n, nonce, deadline *uint256.Int) {
	f := t.frame()
	token := t.listed(f, f.to)
	t.signsFor(owner)
	e := t.permission(nonce, t.endOfSignature(deadline))
	e.Actor = t.account(owner)
	t.allowance(f, spender, n, token, e)
	t.tokenWarnings(f, spender, token)
}

// erc3009 reads TransferWithAuthorization and ReceiveWithAuthorization(from, to, value,
// validAfter, validBefore, nonce). Whoever has the signature can have the transfer
// made, once; of the second only the recipient can.
func (t *typed) erc3009(m abi.Value) error {
	f, owner := t.frame(), m.Elems[0].Address()
	token := t.listed(f, f.to)
	t.signsFor(owner)
	if after := m.Elems[3].Uint(); !after.IsZero() {
		t.moment(f, "start of the signature", after)
	}
	until := t.endOfSignature(m.Elems[4].Uint())
	t.tokenTransfer(f, token, m.Elems[1].Address(), m.Elems[2].Uint(), signer.Effect{
		Actor: t.account(owner), Until: until, Attributes: lasting(t.of(f), until),
	})
	return nil
}

// erc3009Cancel reads CancelAuthorization(authorizer, nonce): a transfer that was signed
// before can no longer be made.
func (t *typed) erc3009Cancel(m abi.Value) error {
	f, owner := t.frame(), m.Elems[0].Address()
	t.listed(f, f.to)
	t.signsFor(owner)
	e := signer.Effect{Class: signer.ClassInvalidate, Actor: t.account(owner), Attributes: t.of(f)}
	e.Attributes["act"] = "cancel"
	t.effect(f, e)
	return nil
}

// signsFor says when the owner in a message is not who signs. Such a signature counts
// only where the owner is a contract that takes it (ERC-1271).
func (t *typed) signsFor(owner common.Address) {
	if t.from != nil && *t.from != owner {
		t.field("owner", t.hex(owner)+" is not the signer: the signature counts only if that is a contract which takes it for its own")
	}
}

// endOfSignature says until when the signature can be used; zero if for ever.
func (t *typed) endOfSignature(deadline *uint256.Int) time.Time {
	return t.deadline(frame{}, "end of the signature", deadline)
}

// lasting adds to attributes until when a signature can be used, if it ends. The end of
// an effect may be another.
func lasting(attributes map[string]string, until time.Time) map[string]string {
	if !until.IsZero() {
		attributes["usable_until"] = until.Format(time.RFC3339)
	}
	return attributes
}

// permission is an effect of a signature that its nonce makes good for one use.
func (t *typed) permission(nonce *uint256.Int, usable time.Time) signer.Effect {
	e := signer.Effect{Attributes: lasting(t.of(t.frame()), usable)}
	e.Attributes["nonce"] = nonce.Dec()
	return e
}

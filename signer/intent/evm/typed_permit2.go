package evm

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// permit2Allowances reads PermitSingle(details, spender, sigDeadline) of Permit2 and
// PermitBatch, where the details are a list of PermitDetails(token, amount, expiration,
// nonce). An allowance ends at its expiration, whenever the signature is used. An
// expiration of 0 is the time of the block in which that is (Permit2, Allowance.sol,
// updateAmountAndExpiration): the end of the signature is its end then.
func (t *typed) permit2Allowances(m abi.Value) error {
	usable := t.endOfSignature(m.Elems[2].Uint())
	return t.permissions(m.Elems[0], func(details abi.Value) {
		d := details.Elems
		e := t.permission(d[3].Uint(), usable)
		e.Until = usable // unless the expiration says otherwise
		t.permit2Allowance(t.frame(), d[0].Address(), m.Elems[1].Address(), d[1].Uint(), d[2].Uint(), e)
		t.permit2Token(d[0].Address())
	})
}

// permit2Token says that a token of the message is not known.
func (t *typed) permit2Token(token common.Address) {
	if !t.fungible(token) {
		t.unknownMessage("")
		t.warn(WarnUnknownContract, signer.SeverityDanger, t.hex(token)+" "+notFungible)
	}
}

// permit2Transfers reads PermitTransferFrom(permitted, spender, nonce, deadline) of
// Permit2 and PermitBatchTransferFrom, where the permitted is a list of
// TokenPermissions(token, amount): a permission to take once, until the deadline. The
// spender says who receives, up to the amount.
func (t *typed) permit2Transfers(m abi.Value) error {
	f, spender, until := t.frame(), m.Elems[1].Address(), t.endOfSignature(m.Elems[3].Uint())
	return t.permissions(m.Elems[0], func(permitted abi.Value) {
		e := t.permission(m.Elems[2].Uint(), until)
		e.Until = until
		token := t.listed(f, permitted.Elems[0].Address())
		e.Quantity = signer.AtMost(token.ID, new(big.Int)) // zero of it revokes nothing
		t.allowance(f, spender, permitted.Elems[1].Uint(), token, e)
		t.tokenWarnings(f, spender, token)
		t.permit2Token(permitted.Elems[0].Address())
	})
}

// permit2Witness reads the two forms with a witness. What Permit2 lets the spender take
// is the same as without, once and no more. But the witness is data of the spender's
// own, signed along: the terms of an order, or consent to anything. It is shown, and it
// was not understood.
func (t *typed) permit2Witness(m abi.Value) error {
	if err := t.permit2Transfers(m); err != nil {
		return err
	}
	t.unknownMessage("")
	t.warn(WarnUnknownTypedData, signer.SeverityDanger,
		"what member "+m.Type.Fields[4].Name+" means is not known: it is between you and "+t.hex(m.Elems[1].Address()))
	return nil
}

// permissions reads one permission, or all of a list.
func (t *typed) permissions(v abi.Value, read func(abi.Value)) error {
	list := oneOrAll(v)
	switch n := len(list); {
	case n == 0:
		return signer.Invalid("typed data: %s permits nothing", t.data.PrimaryType)
	case n > maxCalls:
		return signer.Invalid("typed data: %d permissions in one payload; the most is %d: split it", n, maxCalls)
	}
	for i, e := range list {
		if len(list) > 1 {
			t.field("permission", fmt.Sprintf("%d of %d", i+1, len(list)))
		}
		read(e)
	}
	return nil
}

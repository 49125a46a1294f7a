package erc7730

import (
	"errors"
	"fmt"

	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// decode reads the arguments of a call. Its cost is taken from the budget first.
func (r *reader) decode(data []byte) (err error) {
	if r.budget.decoded -= len(data); r.budget.decoded < 0 {
		return fmt.Errorf("more than %d bytes of embedded calls", maxDecoded)
	}
	r.data, err = abi.Decode(r.f.args, data)
	return err
}

// embedded shows a call within the payload: with the descriptor of the contract that it
// is for, or else by its target, its length and its digest.
func (r *reader) embedded(p *params, env []place, v abi.Value) (string, []signer.Labelled, error) {
	callee, _, err := r.addressOf(p.callee, env)
	if err != nil {
		return "", nil, err
	}
	inner := container{chain: r.c.chain, to: callee}
	if spender, ok, err := r.addressOf(p.spender, env); err != nil {
		return "", nil, err
	} else if ok {
		inner.from = &spender
	}
	if p.amount != nil {
		v, err := r.parameter(p.amount, env)
		if err != nil {
			return "", nil, err
		}
		n, err := integer(v)
		if err != nil || n.Sign() < 0 {
			return "", nil, fmt.Errorf("the amount of an embedded call is no amount")
		}
		inner.value = uint256.MustFromBig(n)
	}
	data := v.Bytes
	if p.selector != nil {
		v, err := r.parameter(p.selector, env)
		if err != nil {
			return "", nil, err
		}
		if b := bytesOf(v); len(b) != 4 {
			return "", nil, fmt.Errorf("a selector of %d bytes", len(b))
		} else {
			data = append(b[:4:4], data...)
		}
	}
	return r.nested(inner, data)
}

// nested shows a call, and what is in it where a descriptor can say. What it is known to
// send along is shown whatever the descriptor shows.
func (r *reader) nested(c container, data []byte) (string, []signer.Labelled, error) {
	target := r.who(c.to, c.chain, &noParams)
	if c.value != nil {
		target += " with " + assetAmount(c.value.ToBig(), coin(c.chain, r.book))
	}
	if len(data) == 0 {
		return "no calldata for " + target, nil, nil
	}
	if r.budget.decoded -= len(data); r.budget.decoded < 0 { // they are hashed
		return "", nil, fmt.Errorf("more than %d bytes of embedded calls", maxDecoded)
	}
	unread := fmt.Sprintf("%d bytes of calldata for %s, digest %s", len(data), target, evm.CalldataDigest(data).Hex())
	d, f := r.set.find(c, data)
	switch {
	case d == nil, r.calls+1 == maxCalls:
		return unread, nil, nil
	case c.to != r.c.to && r.unread[r.c.account()]:
		// It may call the other, or run the other's code in its own place, as a Safe does.
		return unread + ", not read: what " + r.c.to.Hex() + " does with it is not known", nil, nil
	}
	in := &reader{set: r.set, d: d, f: f, c: c, book: r.book, budget: r.budget, calls: r.calls + 1, unread: r.unread}
	if err := in.decode(data[4:]); err != nil {
		return unread + ", not as its descriptor has it: " + err.Error(), nil, nil
	}
	cs, err := in.show()
	switch {
	case errors.Is(err, errLong), errors.Is(err, errWork):
		return "", nil, err
	case err != nil:
		return unread + ", not as its descriptor has it: " + err.Error(), nil, nil
	}
	intent := cs.InterpolatedIntent
	if intent == "" {
		intent = cs.Intent
	}
	return "call to " + target + ": " + intent, cs.Fields, nil
}

package main

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
)

// coinDomain is the domain of all that is signed for the token coin.
func (w *world) coinDomain() map[string]any {
	return map[string]any{"name": "Coin", "version": "1", "chainId": devChain, "verifyingContract": w.at["coin"]}
}

// authorization is a transfer that its owner signs and others have made (ERC-3009). Its
// nonce is a word of the owner's choice.
type authorization struct {
	from  string
	to    common.Address
	value *big.Int
	nonce common.Hash
}

// typed is what the owner signs: TransferWithAuthorization or ReceiveWithAuthorization.
func (a authorization) typed(w *world, primary string) string {
	w.t.Helper()
	return w.typed(w.coinDomain(), primary+"(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)", map[string]any{
		"from": w.at[a.from], "to": a.to, "value": a.value.String(), "validAfter": "0", "validBefore": fmt.Sprint(ends), "nonce": a.nonce,
	})
}

// call is how the transfer is made: transferWithAuthorization or receiveWithAuthorization.
func (a authorization) call(w *world, method string, signature []byte) []byte {
	w.t.Helper()
	v, r, s := vrs(signature)
	return w.pack("Coin", method, w.at[a.from], a.to, a.value, new(big.Int), big.NewInt(ends), a.nonce, v, r, s)
}

// vrs are the parts of a signature as contracts take them.
func vrs(signature []byte) (v byte, r, s [32]byte) {
	return signature[64], [32]byte(signature[:32]), [32]byte(signature[32:64])
}

// authorized is a step in which hot signs a transfer, and somebody else has it made, once.
func (w *world) authorized(name, primary, method string, a authorization) step {
	coin := w.at["coin"]
	return step{
		name: name, kind: signer.KindEVMTypedData, classes: []signer.Class{transfer},
		payload: func() string { return a.typed(w, primary) },
		send: func(signature []byte) outcome {
			call := a.call(w, method, signature)
			mined := w.byNode(&coin, call)
			if w.try(coin, call) == nil {
				w.t.Errorf("%s: it can be made again", name)
			}
			return mined
		},
	}
}

func TestTransfersByAuthorizationDoWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, coin := big.NewInt, w.at["coin"]
	hot, cold, payee, dev := w.at["hot"], w.at["cold"], w.at["payee"], w.at["dev"]
	w.byNode(&coin, w.pack("Coin", "transfer", cold, n(10_000)))
	others := authorization{"cold", payee, n(6000), common.Hash{3}}
	w.prove([]step{
		w.authorized("a transfer of ERC-3009", "TransferWithAuthorization", "transferWithAuthorization", authorization{"hot", payee, n(4321), common.Hash{1}}),
		w.authorized("a transfer of ERC-3009 that only the recipient makes", "ReceiveWithAuthorization", "receiveWithAuthorization", authorization{"hot", dev, n(765), common.Hash{2}}),
		w.withdrawn(authorization{"hot", payee, n(99), common.Hash{4}}),
		w.calling("a transfer that somebody else signed is handed in", "coin", new(big.Int), func() []byte {
			_, signature := w.sign("cold", signer.KindEVMTypedData, others.typed(w, "TransferWithAuthorization"))
			return others.call(w, "transferWithAuthorization", signature)
		}, transfer),
		w.calling("a transfer that somebody else signed is taken", "coin", new(big.Int), func() []byte {
			taken := authorization{"cold", hot, n(4000), common.Hash{5}}
			_, signature := w.sign("cold", signer.KindEVMTypedData, taken.typed(w, "ReceiveWithAuthorization"))
			return taken.call(w, "receiveWithAuthorization", signature)
		}, transfer),
	})
}

// withdrawn is a step in which hot makes void a transfer that it signed before.
func (w *world) withdrawn(a authorization) step {
	coin := w.at["coin"]
	var signed []byte
	return step{
		name: "a transfer of ERC-3009 is made void", kind: signer.KindEVMTypedData, classes: []signer.Class{signer.ClassInvalidate},
		payload: func() string {
			_, signed = w.sign("hot", signer.KindEVMTypedData, a.typed(w, "TransferWithAuthorization"))
			return w.typed(w.coinDomain(), "CancelAuthorization(address authorizer,bytes32 nonce)", map[string]any{"authorizer": w.at[a.from], "nonce": a.nonce})
		},
		send: func(signature []byte) outcome {
			call := a.call(w, "transferWithAuthorization", signed)
			if err := w.try(coin, call); err != nil {
				w.t.Errorf("before it is made void, it is no good: %v", err)
			}
			v, r, s := vrs(signature)
			mined := w.byNode(&coin, w.pack("Coin", "cancelAuthorization", w.at[a.from], a.nonce, v, r, s))
			if w.try(coin, call) == nil {
				w.t.Error("it is good for use after it was made void")
			}
			return mined
		},
	}
}

const daiPermitType = "Permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed)"

func TestPermitsOfDAIDoWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hot, dai := w.at["hot"], w.at["dai"]
	payload := func(spender common.Address, expiry int64, allowed bool) (string, *big.Int) {
		nonce := w.read("Dai", "dai", "nonces", hot)
		return w.typed(
			map[string]any{"name": "Dai Stablecoin", "version": "1", "chainId": devChain, "verifyingContract": dai}, daiPermitType,
			map[string]any{"holder": hot, "spender": spender, "nonce": nonce.String(), "expiry": fmt.Sprint(expiry), "allowed": allowed},
		), nonce
	}
	call := func(spender common.Address, nonce *big.Int, expiry int64, allowed bool, signature []byte) []byte {
		v, r, s := vrs(signature)
		return w.pack("Dai", "permit", hot, spender, nonce, big.NewInt(expiry), allowed, v, r, s)
	}
	submitted := func(name, spender string, expiry int64, allowed bool) step {
		var nonce *big.Int
		return step{
			name: name, kind: signer.KindEVMTypedData, classes: []signer.Class{allowance},
			payload: func() (p string) {
				p, nonce = payload(w.at[spender], expiry, allowed)
				return p
			},
			send: func(signature []byte) outcome {
				return w.byNode(&dai, call(w.at[spender], nonce, expiry, allowed, signature))
			},
		}
	}
	w.prove([]step{
		submitted("a permit of DAI, for everything", "other", ends, true),
		submitted("a permit of DAI that never ends", "payee", 0, true),
		submitted("a permit of DAI that revokes", "other", ends, false),
		w.calling("a permit of DAI is handed in by its signer", "dai", new(big.Int), func() []byte {
			p, nonce := payload(w.at["dev"], 0, true)
			_, signature := w.sign("hot", signer.KindEVMTypedData, p)
			return call(w.at["dev"], nonce, 0, true, signature)
		}, allowance),
	})
}

// The lists of Permit2's messages, named as its ABI names them.
type permitBatch struct {
	Details     []permitDetails
	Spender     common.Address
	SigDeadline *big.Int
}
type permitBatchTransferFrom struct {
	Permitted       []tokenPermissions
	Nonce, Deadline *big.Int
}

func TestListsOfPermit2DoWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	hot, dev, payee, other, coin, dai := w.at["hot"], w.at["dev"], w.at["payee"], w.at["other"], w.at["coin"], w.at["dai"]
	domain := map[string]any{"name": "Permit2", "chainId": devChain, "verifyingContract": permit2}
	w.prove([]step{
		w.calling("Permit2 is allowed everything", "coin", none, w.call("Coin", "approve", permit2, maxUint(256)), allowance),
		w.calling("Permit2 is allowed some of another", "dai", none, w.call("Dai", "approve", permit2, n(70_000)), allowance),
		{
			name: "a PermitBatch of Permit2", kind: signer.KindEVMTypedData, classes: []signer.Class{allowance, allowance, allowance},
			payload: func() string {
				one := func(token common.Address, amount *big.Int, end int64, nonce string) map[string]any {
					return map[string]any{"token": token, "amount": amount.String(), "expiration": fmt.Sprint(end), "nonce": nonce}
				}
				return w.typed(domain, "PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)",
					map[string]any{"details": []any{one(coin, n(70), ends, "0"), one(dai, maxUint(160), ends+5, "0"), one(coin, n(71), ends+6, "1")}, "spender": other, "sigDeadline": fmt.Sprint(ends + 1)})
			},
			send: func(signature []byte) outcome {
				return w.byNode(&permit2, w.pack("Permit2Batch", "permit", hot, permitBatch{
					[]permitDetails{{coin, n(70), n(ends), none}, {dai, maxUint(160), n(ends + 5), none}, {coin, n(71), n(ends + 6), n(1)}}, other, n(ends + 1),
				}, signature))
			},
		},
		{
			name: "a PermitBatchTransferFrom of Permit2", kind: signer.KindEVMTypedData, classes: []signer.Class{allowance, allowance},
			payload: func() string {
				return w.typed(domain, "PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)",
					map[string]any{"permitted": []any{
						map[string]any{"token": coin, "amount": "8000"}, map[string]any{"token": dai, "amount": "9000"},
					}, "spender": dev, "nonce": "5", "deadline": fmt.Sprint(ends)})
			},
			send: func(signature []byte) outcome {
				return w.byNode(&permit2, w.pack("Permit2Batch", "permitTransferFrom",
					permitBatchTransferFrom{[]tokenPermissions{{coin, n(8000)}, {dai, n(9000)}}, n(5), n(ends)},
					[]transferDetails{{payee, n(8000)}, {payee, n(8999)}}, hot, signature))
			},
			becomes: func(e signer.Effect) signer.Effect {
				if e.Counterparty != caip10(dev) || e.Until.Unix() != ends || e.Quantity.Kind != signer.QuantityAtMost {
					t.Errorf("the permission is %+v, want one of at most an amount, for %s until %d", e, caip10(dev), ends)
				}
				taken := signer.Effect{Class: transfer, Actor: e.Actor, Counterparty: caip10(payee), Quantity: e.Quantity}
				if e.Quantity.Asset == caip19("erc20", dai) { // ERC-20 counts down what is not everything
					taken.Attributes = map[string]string{"spender": caip10(permit2)}
				}
				return taken
			},
		},
	})
}

// OpenZeppelin's Multicall has a collection call itself, and runs each part as if
// its caller had sent it.
func TestCollectionsThatCallThemselvesDoWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	hot, payee, other := w.at["hot"], w.at["payee"], w.at["other"]
	parts := [][]byte{
		w.pack("Cards", "safeTransferFrom", hot, payee, n(1)),
		w.pack("Cards", "approve", other, n(2)),
		w.pack("Cards", "setApprovalForAll", other, true),
	}
	w.prove([]step{
		w.calling("an operator in a batch of a collection", "cards", none, w.call("Cards", "multicall", parts), transfer, allowance, operator),
		w.calling("a batch in a batch of a collection", "cards", none, w.call("Cards", "multicall", [][]byte{
			w.pack("Cards", "setApprovalForAll", other, false),
			w.pack("Cards", "multicall", [][]byte{w.pack("Cards", "transferFrom", hot, other, n(2))}),
		}), operator, transfer),
	})
}

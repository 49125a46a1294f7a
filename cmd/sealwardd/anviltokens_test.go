package main

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
)

// ends is when permissions of these tests end: at the beginning of the year 2100.
const ends = 4102444800

// maxUint is what wallets write for "everything".
func maxUint(bits uint) *big.Int {
	return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(1))
}

// calling is a step of hot's that calls a contract.
func (w *world) calling(name, to string, value *big.Int, data func() []byte, classes ...signer.Class) step {
	return step{name: name, classes: classes, payload: func() string { return w.transaction(to, value, data()) }}
}

// call is calldata that is known before.
func (w *world) call(contract, method string, args ...any) func() []byte {
	data := w.pack(contract, method, args...)
	return func() []byte { return data }
}

const ( // short, for the tables
	transfer, allowance, operator, exchange = signer.ClassTransfer, signer.ClassAllowance, signer.ClassOperator, signer.ClassExchange
)

func TestTokensDoWhatTheIntentsOfCallsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	hot, dev, other, payee := w.at["hot"], w.at["dev"], w.at["other"], w.at["payee"]
	coin := w.at["coin"]
	w.byNode(&coin, w.pack("Coin", "approve", hot, n(500)))
	ids, amounts := []*big.Int{n(1), n(2), n(3)}, []*big.Int{n(10), n(0), n(30)}
	w.prove([]step{
		w.calling("a plain payment", "payee", eth(1250), w.none, transfer),
		w.calling("an ERC-20 transfer", "coin", none, w.call("Coin", "transfer", payee, n(1001)), transfer),
		w.calling("an ERC-20 approval", "coin", none, w.call("Coin", "approve", other, n(77)), allowance),
		w.calling("an ERC-20 approval in place of another", "coin", none, w.call("Coin", "approve", other, n(78)), allowance),
		w.calling("a revocation", "coin", none, w.call("Coin", "approve", other, none), allowance),
		w.calling("an unlimited approval", "coin", none, w.call("Coin", "approve", dev, maxUint(256)), allowance),
		w.calling("a transfer of somebody else's tokens", "coin", none, w.call("Coin", "transferFrom", dev, payee, n(499)), transfer),

		w.calling("an ERC-721 transfer", "cards", none, w.call("Cards", "safeTransferFrom", hot, payee, n(1)), transfer),
		w.calling("an approval of one item", "cards", none, w.call("Cards", "approve", other, n(2)), allowance),
		w.calling("a transfer of the approved item", "cards", none, w.call("Cards", "transferFrom", hot, other, n(2)), transfer),
		w.calling("an approval of another item", "cards", none, w.call("Cards", "approve", other, n(3)), allowance),
		w.calling("no approval of it any more", "cards", none, w.call("Cards", "approve", common.Address{}, n(3)), allowance),
		w.calling("an operator of a collection", "cards", none, w.call("Cards", "setApprovalForAll", other, true), operator),
		w.calling("no operator of it any more", "cards", none, w.call("Cards", "setApprovalForAll", other, false), operator),
		w.calling("an ERC-1155 transfer", "parts", none, w.call("Parts", "safeTransferFrom", hot, payee, n(3), n(7), []byte("hello")), transfer),
		w.calling("an ERC-1155 batch", "parts", none, w.call("Parts", "safeBatchTransferFrom", hot, payee, ids, amounts, []byte{}), transfer, transfer, transfer),
		w.calling("an operator of parts", "parts", none, w.call("Parts", "setApprovalForAll", dev, true), operator),

		w.calling("coin is wrapped", "weth", eth(900), w.call("WETH9", "deposit"), exchange),
		w.calling("coin is wrapped by sending it", "weth", eth(100), w.none, exchange),
		w.calling("some is unwrapped", "weth", none, w.call("WETH9", "withdraw", eth(300)), exchange),
		w.calling("a wrapped coin is paid", "weth", none, w.call("WETH9", "transfer", payee, eth(200)), transfer),
		w.calling("an allowance of wrapped coin", "weth", none, w.call("WETH9", "approve", other, eth(1)), allowance),
	})
}

func (w *world) none() []byte { return nil }

// Calls of Multicall3, named as its ABI names them.
type call3 struct {
	Target       common.Address
	AllowFailure bool
	CallData     []byte
}
type call3Value struct {
	Target       common.Address
	AllowFailure bool
	Value        *big.Int
	CallData     []byte
}

func TestBatchesOfMulticall3DoWhatTheirIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	payee, other, coin, weth := w.at["payee"], w.at["other"], w.at["coin"], w.at["weth"]
	w.prove([]step{
		w.calling("a batch takes what was allowed to it", "multicall", none, func() []byte {
			_, signature := w.sign("hot", signer.KindEVMTypedData, w.permit(multicall3, n(5000)))
			return w.pack("Multicall3", "aggregate3", []call3{
				{Target: coin, CallData: w.permitCall(multicall3, n(5000), signature)},
				{Target: coin, CallData: w.pack("Coin", "transferFrom", w.at["hot"], payee, n(3000))},
				{Target: coin, CallData: w.pack("Coin", "transferFrom", w.at["hot"], other, n(1500))},
			})
		}, allowance, transfer, transfer),
		w.calling("a batch pays two at once", "multicall", eth(30), w.call("Multicall3", "aggregate3Value", []call3Value{
			{Target: payee, Value: eth(10)}, {Target: other, Value: eth(20)},
		}), transfer, transfer),
		w.calling("a batch wraps coin and hands it out", "multicall", eth(5), w.call("Multicall3", "aggregate3Value", []call3Value{
			{Target: weth, Value: eth(5)}, {Target: weth, Value: none, CallData: w.pack("WETH9", "transfer", w.at["hot"], eth(5))},
		}), transfer, exchange, transfer),
	})
}

const permitType = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"

// permit is a permit of ERC-2612 by hot.
func (w *world) permit(spender common.Address, value *big.Int) string {
	w.t.Helper()
	nonce := w.read("Coin", "coin", "nonces", w.at["hot"])
	return w.typed(
		map[string]any{"name": "Coin", "version": "1", "chainId": devChain, "verifyingContract": w.at["coin"]}, permitType,
		map[string]any{"owner": w.at["hot"], "spender": spender, "value": value.String(), "nonce": nonce.String(), "deadline": fmt.Sprint(ends)},
	)
}

// permitCall is how anybody puts a permit to use.
func (w *world) permitCall(spender common.Address, value *big.Int, signature []byte) []byte {
	w.t.Helper()
	return w.pack("Coin", "permit", w.at["hot"], spender, value, big.NewInt(ends), signature[64], [32]byte(signature[:32]), [32]byte(signature[32:64]))
}

// The parts of Permit2's messages, named as its ABI names them.
type permitDetails struct {
	Token                     common.Address
	Amount, Expiration, Nonce *big.Int
}
type permitSingle struct {
	Details     permitDetails
	Spender     common.Address
	SigDeadline *big.Int
}
type tokenPermissions struct {
	Token  common.Address
	Amount *big.Int
}
type permitTransferFrom struct {
	Permitted       tokenPermissions
	Nonce, Deadline *big.Int
}
type transferDetails struct {
	To              common.Address
	RequestedAmount *big.Int
}
type tokenSpender struct{ Token, Spender common.Address }

func TestPermitsThatOthersSubmitDoWhatTheirIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	coin := w.at["coin"]
	submitted := func(name string, spender common.Address, value *big.Int) step {
		return step{
			name: name, kind: signer.KindEVMTypedData, classes: []signer.Class{allowance},
			payload: func() string { return w.permit(spender, value) },
			send:    func(signature []byte) outcome { return w.byNode(&coin, w.permitCall(spender, value, signature)) },
		}
	}
	w.prove([]step{
		submitted("a permit of ERC-2612", w.at["other"], big.NewInt(4321)),
		submitted("a permit for everything", w.at["payee"], maxUint(256)),
		submitted("a permit that revokes", w.at["payee"], new(big.Int)),
	})
}

func TestPermit2DoesWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	hot, dev, other, payee, coin := w.at["hot"], w.at["dev"], w.at["other"], w.at["payee"], w.at["coin"]
	domain := map[string]any{"name": "Permit2", "chainId": devChain, "verifyingContract": permit2}
	// Somebody else allows hot to take, for the transfer below.
	w.byNode(&coin, w.pack("Coin", "approve", permit2, maxUint(256)))
	w.byNode(&permit2, w.pack("Permit2", "approve", coin, hot, n(900), n(ends)))
	w.prove([]step{
		w.calling("Permit2 is allowed everything", "coin", none, w.call("Coin", "approve", permit2, maxUint(256)), allowance),
		w.calling("an allowance within Permit2", "permit2", none, w.call("Permit2", "approve", coin, other, n(60), n(ends)), allowance),
		w.calling("an unlimited allowance within Permit2", "permit2", none, w.call("Permit2", "approve", coin, payee, maxUint(160), n(ends)), allowance),
		w.calling("somebody else's tokens are taken through Permit2", "permit2", none, w.call("Permit2", "transferFrom", dev, payee, n(899), coin), transfer),
		{
			name: "a PermitSingle of Permit2", kind: signer.KindEVMTypedData, classes: []signer.Class{allowance},
			payload: func() string {
				return w.typed(domain, "PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)",
					map[string]any{"details": map[string]any{"token": coin, "amount": "70", "expiration": fmt.Sprint(ends), "nonce": "0"}, "spender": dev, "sigDeadline": fmt.Sprint(ends + 1)})
			},
			send: func(signature []byte) outcome {
				return w.byNode(&permit2, w.pack("Permit2", "permit", hot, permitSingle{permitDetails{coin, n(70), n(ends), none}, dev, n(ends + 1)}, signature))
			},
		},
		w.calling("a lockdown of Permit2", "permit2", none, w.call("Permit2", "lockdown", []tokenSpender{{coin, other}, {coin, dev}}), allowance, allowance),
		w.takenOnce(domain),
	})
}

// takenOnce is a step in which hot lets somebody take tokens once, and they do: in full,
// and saying who receives them.
func (w *world) takenOnce(domain map[string]any) step {
	hot, dev, payee, coin, n := w.at["hot"], w.at["dev"], w.at["payee"], w.at["coin"], big.NewInt
	return step{
		name: "a PermitTransferFrom of Permit2", kind: signer.KindEVMTypedData, classes: []signer.Class{allowance},
		payload: func() string {
			return w.typed(domain, "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)",
				map[string]any{"permitted": map[string]any{"token": coin, "amount": "8000"}, "spender": dev, "nonce": "5", "deadline": fmt.Sprint(ends)})
		},
		send: func(signature []byte) outcome {
			take := func(amount int64) []byte {
				return w.pack("Permit2", "permitTransferFrom", permitTransferFrom{tokenPermissions{coin, n(8000)}, n(5), n(ends)}, transferDetails{payee, n(amount)}, hot, signature)
			}
			if w.try(permit2, take(8001)) == nil {
				w.t.Error("more can be taken than the permission is for")
			}
			mined := w.byNode(&permit2, take(8000))
			if w.try(permit2, take(1)) == nil {
				w.t.Error("a permission for one use can be used again")
			}
			return mined
		},
		becomes: func(e signer.Effect) signer.Effect {
			if e.Counterparty != caip10(dev) || e.Until.Unix() != ends || e.Quantity.Kind != signer.QuantityAtMost {
				w.t.Errorf("the permission is %+v, want one of at most an amount, for %s until %d", e, caip10(dev), ends)
			}
			return signer.Effect{Class: transfer, Actor: e.Actor, Counterparty: caip10(payee), Quantity: e.Quantity}
		},
	}
}

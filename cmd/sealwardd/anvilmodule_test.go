package main

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
)

// hotIsAModule has the owner of the policy know the account hot as a module of a Safe, as
// that of a robot is.
const hotIsAModule = `contract "robot" {
  account = "eip155:31337:{hot}"
  kind    = "module"
}
`

func TestModulesGuardsAndHandlersOfASafeDoWhatTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hotIsAModule)
	none, n, nobody, control := new(big.Int), big.NewInt, common.Address{}, signer.ClassControl
	hot, payee, other, dev, safe, coin := w.at["hot"], w.at["payee"], w.at["other"], w.at["dev"], w.at["safe"], w.at["coin"]
	itself := func(name, method string, args ...any) step {
		return w.agreed(name, safeTx{to: safe, data: w.pack("Safe", method, args...)}, control)
	}
	byModule := func(name, method string, to common.Address, value *big.Int, data []byte, operation uint8, classes ...signer.Class) step {
		return w.calling(name, "safe", none, w.call("Safe", method, to, value, data, operation), classes...)
	}
	hidden := w.pack("MultiSend", "multiSend", slices.Concat(
		packed(payee, eth(2), nil), packed(coin, none, w.pack("Coin", "approve", dev, maxUint(256))),
	))
	w.prove([]step{
		itself("a Safe gets a module", "enableModule", hot),
		byModule("the module pays from the Safe", "execTransactionFromModule", payee, eth(5), nil, 0, transfer),
		byModule("the module transfers a token of the Safe's", "execTransactionFromModuleReturnData", coin, none, w.pack("Coin", "transfer", payee, n(321)), 0, transfer),
		byModule("an approval in a batch of the module", "execTransactionFromModule", multiSend, none, hidden, 1, transfer, allowance),
		byModule("the module makes an owner", "execTransactionFromModule", safe, none, w.pack("Safe", "addOwnerWithThreshold", other, n(1)), 0, control, control),
		byModule("the module has one owner take the place of another", "execTransactionFromModule", safe, none, w.pack("Safe", "swapOwner", common.HexToAddress("0x1"), other, payee), 0, control, control),
		byModule("the module changes how many must agree", "execTransactionFromModule", safe, none, w.pack("Safe", "changeThreshold", n(2)), 0, control),
		byModule("and back", "execTransactionFromModule", safe, none, w.pack("Safe", "changeThreshold", n(1)), 0, control),
		itself("the Safe's module goes", "disableModule", common.HexToAddress("0x1"), hot),
		itself("a Safe gets a guard", "setGuard", w.at["guard"]),
		w.guarded(hidden),
		itself("the Safe's guard goes", "setGuard", nobody),
		itself("a Safe gets a handler", "setFallbackHandler", w.at["handler"]),
		itself("the Safe's handler goes", "setFallbackHandler", nobody),
		w.agreed("a module in a batch of a Safe", safeTx{to: multiSend, operation: 1, data: w.pack("MultiSend", "multiSend", slices.Concat(
			packed(payee, eth(1), nil), packed(safe, none, w.pack("Safe", "enableModule", hot)), packed(safe, none, w.pack("Safe", "setFallbackHandler", w.at["handler"])),
		))}, transfer, control, control),
	})
}

// guarded is a payment of the Safe while its guard stands against batches.
func (w *world) guarded(batch []byte) step {
	safe := w.at["safe"]
	s := w.agreed("a Safe with a guard pays", safeTx{to: w.at["payee"], value: eth(4)}, transfer)
	stopped := safeTx{to: multiSend, value: new(big.Int), data: batch, operation: 1}
	send := s.send
	s.send = func(agreed []byte) outcome {
		_, signature := w.sign("hot", signer.KindEVMTypedData, w.agreed("", stopped).payload())
		if err := w.try(safe, w.execute(stopped, signature)); err == nil || !strings.Contains(err.Error(), "This call is restricted") {
			w.t.Errorf("%s: what the guard should stop ends as %v", s.name, err)
		}
		return send(agreed)
	}
	return s
}

// A Safe that names nobody to be paid for gas pays whoever has its transaction done.
func TestASafePaysForGasToWhoeverSendsWhereNobodyIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.agreed("a Safe pays for the gas in a token, to nobody in particular",
		safeTx{to: w.at["payee"], value: eth(2), safeTxGas: 100_000, baseGas: 50_000, gasPrice: 3, gasToken: w.at["coin"]}, transfer, transfer)
	s.becomes = func(e signer.Effect) signer.Effect {
		if e.Attributes["act"] != "gas_refund" {
			return e
		}
		if e.Counterparty != "" {
			t.Errorf("the refund is announced to be for %s, want nobody that is known", e.Counterparty)
		}
		e.Counterparty = caip10(w.at["dev"])
		return e
	}
	// The Safe counts what its own call costs, too, even where no gas was set aside: here
	// that of value for an account that was not there.
	beyond := w.agreed("a Safe pays for gas beyond what its owners set aside",
		safeTx{to: w.at["payee"], value: eth(1), gasPrice: 3, gasToken: w.at["coin"], refundReceiver: w.at["other"]}, transfer, transfer)
	w.prove([]step{beyond, s})
}

// Who sets up a Safe says who owns it, and code that runs as it at once.
func TestASafeIsSetUpAsTheIntentSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hotIsAModule)
	none, n, control := new(big.Int), big.NewInt, signer.ClassControl
	hot, cold, other, dev, fresh, coin := w.at["hot"], w.at["cold"], w.at["other"], w.at["dev"], w.at["fresh"], w.at["coin"]
	first := w.pack("MultiSend", "multiSend", slices.Concat(
		packed(coin, none, w.pack("Coin", "approve", dev, maxUint(256))), packed(fresh, none, w.pack("Safe", "enableModule", hot)),
	))
	w.prove([]step{
		w.calling("a Safe is set up, with an approval and a module", "fresh", none, w.call("Safe", "setup",
			[]common.Address{hot, cold}, n(2), multiSend, first, w.at["handler"], coin, n(777), other,
		), control, control, control, allowance, control, control, transfer),
	})
}

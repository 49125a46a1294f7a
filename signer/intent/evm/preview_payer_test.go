package evm_test

import (
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// Coin that Multicall3 hands on is the sender's, also where the sender is not known: what
// it wraps for itself is given away.
func TestCoinThatIsHandedOnIsTheSendersAlsoInAPreview(t *testing.T) {
	tx := toContract(multicall3, 9, calldata("aggregate3Value((address,bool,uint256,bytes)[])", []any{[]any{weth, false, 9, calldata("deposit()")}}))
	for _, from := range []string{sender, ""} {
		in, err := evm.Transaction{}.Preview(raw(t, tx), from, callBook())
		if err != nil {
			t.Fatal(err)
		}
		if in.Class() != signer.ClassTransfer || len(in.Effects) != 2 {
			t.Errorf("from %q: class %q, effects %+v; want a transfer to Multicall3 besides", from, in.Class(), in.Effects)
			continue
		}
		want := ""
		if from != "" {
			want = account(from)
		}
		if got := in.Effects[0].Actor; got != want {
			t.Errorf("from %q: it is paid by %q, want %q", from, got, want)
		}
	}
}

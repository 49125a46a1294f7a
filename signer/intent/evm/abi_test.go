package evm_test

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

func tokenABI(t testing.TB) abi.ABI {
	t.Helper()
	a, err := abi.JSON(strings.NewReader(`[
		{"type":"function","name":"transfer","inputs":[{"name":"to","type":"address"},{"name":"value","type":"uint256"}]},
		{"type":"function","name":"approve","inputs":[{"name":"spender","type":"address"},{"name":"value","type":"uint256"}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestTokenCallsAgreeWithGoEthereumsABI packs calls with go-ethereum's ABI codec
// and spoils a byte of some: what is read must be what went in, and what packs to
// other bytes must be refused.
func TestTokenCallsAgreeWithGoEthereumsABI(t *testing.T) {
	codec, key := tokenABI(t), keyFor(t, "eip155:1")
	r := random{rand.New(rand.NewPCG(3, 4))}
	for i := range 2000 {
		method := []string{"transfer", "approve"}[r.IntN(2)]
		who, n := common.Address(r.bytes(20)), r.number(32)
		data, err := codec.Pack(method, who, n)
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(2) == 0 {
			data[4+r.IntN(64)] ^= byte(r.IntN(256))
		}
		args, err := codec.Methods[method].Inputs.Unpack(data[4:])
		if err != nil {
			t.Fatal(err)
		}
		again, err := codec.Pack(method, args...)
		if err != nil {
			t.Fatal(err)
		}
		in, err := evm.Transaction{}.Decode(raw(t, pay(onToken(data))), key, book())
		if !bytes.Equal(again, data) {
			if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), "non-canonical") {
				t.Fatalf("call %d, %x: error = %v, want non-canonical", i, data, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("call %d, %x: %v", i, data, err)
		}
		who, n = args[0].(common.Address), args[1].(*big.Int)
		e := in.Effects[0]
		if bound, ok := e.Quantity.Bound(); e.Counterparty != account(who.Hex()) || e.Quantity.Asset != usdcID || (ok && bound.Cmp(n) != 0) || (!ok && method == "transfer") {
			t.Fatalf("call %d, %x: effect %+v, want %s and %s", i, data, e, who, n)
		}
	}
}

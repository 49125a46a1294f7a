package main

import (
	"os"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

func TestQuantileIsTheNearestRank(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for name, test := range map[string]struct {
		sorted []int
		q      float64
		want   int
	}{
		"of nothing it is zero":                {nil, 0.5, 0},
		"of one it is that one":                {[]int{7}, 0.99, 7},
		"the median of five is the third":      {[]int{1, 2, 3, 4, 5}, 0.5, 3},
		"p99 of a hundred is the last but one": {hundred, 0.99, 99},
		"p100 of a hundred is the last":        {hundred, 1, 100},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quantile(test.sorted, test.q); got != test.want {
				t.Errorf("quantile = %d, want %d", got, test.want)
			}
		})
	}
}

// TestPaymentsAreUnderstood keeps the load from measuring refusals.
func TestPaymentsAreUnderstood(t *testing.T) {
	key := signer.KeyInfo{
		Name: "secp256k1", Kinds: []signer.Kind{signer.KindEVMTransaction}, Chains: []string{"eip155:1"},
		// The generator of the curve (SEC 2, 2.4.1), the public key of the private key 1.
		Public: signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: []byte("\x04" +
			"\x79\xbe\x66\x7e\xf9\xdc\xbb\xac\x55\xa0\x62\x95\xce\x87\x0b\x07\x02\x9b\xfc\xdb\x2d\xce\x28\xd9\x59\xf2\x81\x5b\x16\xf8\x17\x98" +
			"\x48\x3a\xda\x77\x26\xa3\xc4\x65\x5d\xa4\xfb\xfc\x0e\x11\x08\xa8\xfd\x17\xb4\x48\xa6\x85\x54\x19\x9c\x47\xd0\x8f\xfb\x10\xd4\xb8")},
	}
	seen := map[string]bool{}
	for nonce := range uint64(300) {
		payload, err := payment(nonce)
		if err != nil {
			t.Fatal(err)
		}
		in, err := evm.Transaction{}.Decode(payload, key, signer.Book{})
		if err != nil {
			t.Fatalf("payment %d: %v", nonce, err)
		}
		if len(in.Effects) != 1 || in.Effects[0].Class != signer.ClassTransfer || in.Effects[0].Counterparty != "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" {
			t.Fatalf("payment %d has the effects %+v; want one transfer to the first vendor", nonce, in.Effects)
		}
		if hash := string(in.Messages[0].Bytes); seen[hash] {
			t.Fatalf("payment %d is the same as an earlier one", nonce)
		} else {
			seen[hash] = true
		}
	}
}

func TestTheKernelTellsOfAProcess(t *testing.T) {
	for begun := time.Now(); time.Since(begun) < 50*time.Millisecond; { // use the processor for some ticks
	}
	used, err := processorTime(os.Getpid())
	if err != nil || used < 10*time.Millisecond || used > time.Hour {
		t.Errorf("processorTime = %s, %v; want some of the 50 ms at least", used, err)
	}
	kib, err := residentKiB(os.Getpid(), "VmRSS")
	if err != nil || kib < 1000 || kib > 10<<20 {
		t.Errorf("resident are %d KiB, %v; a Go program has some MiB", kib, err)
	}
	if _, err := residentKiB(os.Getpid(), "VmNothing"); err == nil {
		t.Error("a value that is not there was read")
	}
}

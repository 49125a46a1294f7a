package piv_test

import (
	"crypto"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends/sim/pivcard"
)

// eight has eight clients sign n times in all, and returns how long it took.
func eight(b *testing.B, n int, sign func() error) time.Duration {
	b.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				if err := sign(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// BenchmarkSign compares eight clients of the driver with eight clients of piv-go
// that share a key behind a lock, by turns in one run. piv-go is measured twice: as
// it is used (it asks before each signature whether the PIN is needed), and told that
// no PIN is ever needed, which is the least that a signature can cost.
func BenchmarkSign(b *testing.B) {
	const n = 400
	card := insert(b, pivcard.Config{})
	d := unlocked(b, card)
	k := generate(b, d, p256())
	var driver, usual, least time.Duration
	raw := func(yk *pivgo.YubiKey, auth pivgo.KeyAuth) time.Duration {
		info, err := yk.KeyInfo(pivgo.SlotSignature)
		if err != nil {
			b.Fatal(err)
		}
		private, err := yk.PrivateKey(pivgo.SlotSignature, info.PublicKey, auth)
		if err != nil {
			b.Fatal(err)
		}
		var mu sync.Mutex
		return eight(b, n, func() error {
			mu.Lock()
			defer mu.Unlock()
			_, err := private.(crypto.Signer).Sign(rand.Reader, prehash.Bytes, crypto.SHA256)
			return err
		})
	}
	rounds := 0
	for b.Loop() {
		rounds++
		driver += eight(b, n, func() error { _, err := k.Sign(b.Context(), prehash, nil); return err })
		another(b, func(yk *pivgo.YubiKey) {
			usual += raw(yk, pivgo.KeyAuth{PIN: factoryPIN, PINPolicy: pivgo.PINPolicyOnce})
			least += raw(yk, pivgo.KeyAuth{PINPolicy: pivgo.PINPolicyNever})
		})
	}
	rate := func(t time.Duration) float64 { return float64(rounds*n) / t.Seconds() }
	b.ReportMetric(rate(driver), "driver/s")
	b.ReportMetric(rate(usual), "piv-go/s")
	b.ReportMetric(rate(least), "piv-go-without-pin/s")
	b.ReportMetric(rate(driver)/rate(usual), "of-piv-go")
	b.ReportMetric(rate(driver)/rate(least), "of-piv-go-without-pin")
}

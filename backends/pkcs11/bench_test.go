package pkcs11_test

import (
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"

	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

var benchAlgorithms = []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmSecp256k1}

// spread runs f b.N times on a number of goroutines.
func spread(b *testing.B, workers int, f func() error) {
	b.Helper()
	var wg sync.WaitGroup
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	b.ResetTimer()
	for range workers {
		wg.Go(func() {
			for range work {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign/s")
}

// BenchmarkSign compares the driver with crypto11's own key, where that knows the
// curve. The raw module's rate is BenchmarkModule's.
func BenchmarkSign(b *testing.B) {
	for _, a := range benchAlgorithms {
		for _, sessions := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("%s/driver, %d sessions", a, sessions), func(b *testing.B) {
				s := settings()
				s.Sessions = sessions
				k, m := newKey(b, login(b, s), a), message(schemes(a)[0], "pay")
				spread(b, sessions, func() error { _, err := k.Sign(b.Context(), m, func(signer.Notice) {}); return err })
			})
		}
	}
	for _, sessions := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("p256/crypto11, %d sessions", sessions), func(b *testing.B) {
			u := makeKey(b, signer.AlgorithmP256)
			ctx, err := crypto11.Configure(&crypto11.Config{Path: token.Module, TokenLabel: token.Label, Pin: token.PIN, MaxSessions: sessions + 1})
			if err != nil {
				b.Fatal(err)
			}
			defer ctx.Close()
			key, err := ctx.FindKeyPair([]byte(u.ID), nil)
			if err != nil {
				b.Fatal(err)
			}
			digest := message(signer.SchemeP256, "pay").Bytes
			spread(b, sessions, func() error { _, err := key.Sign(rand.Reader, digest, nil); return err })
		})
	}
}

// BenchmarkModule is the module's rate with nothing in front of it. An iteration
// takes half a second, so give -benchtime in seconds.
func BenchmarkModule(b *testing.B) {
	for _, a := range benchAlgorithms {
		u := makeKey(b, a)
		for _, sessions := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("%s, %d sessions", a, sessions), func(b *testing.B) {
				for b.Loop() {
					rate, _, err := sim.RawRate(token.Module, token.Label, token.PIN, u.Object, sessions, 500*time.Millisecond)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(rate, "sign/s")
				}
			})
		}
	}
}

// makeKey makes a key and leaves the module to others.
func makeKey(t testing.TB, a signer.Algorithm) pkcs11.URI {
	t.Helper()
	d := login(t, settings())
	u, err := pkcs11.ParseURI(generate(t, d, a).Locator)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRawRate(t *testing.T) {
	for _, a := range []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmEd25519} {
		t.Run(string(a), func(t *testing.T) {
			u := makeKey(t, a)
			rate, latencies, err := sim.RawRate(token.Module, token.Label, token.PIN, u.Object, 2, 50*time.Millisecond)
			if err != nil || rate < 10 || len(latencies) < 5 {
				t.Errorf("RawRate = %.0f/s with %d latencies, %v; want a rate", rate, len(latencies), err)
			}
		})
	}
	if _, _, err := sim.RawRate(token.Module, token.Label, token.PIN, "no such key", 1, time.Millisecond); err == nil {
		t.Error("RawRate measured a key that is not there")
	}
	if _, _, err := sim.RawRate(token.Module, "no such token", token.PIN, "k", 1, time.Millisecond); err == nil {
		t.Error("RawRate measured a token that is not there")
	}
	if _, _, err := sim.RawRate(token.Module, token.Label, "4321", "k", 1, time.Millisecond); err == nil {
		t.Error("RawRate logged in with a wrong PIN")
	}
}

package tpm

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// clients is how many sign at once. A TPM does one thing at a time, so more of them
// show what the driver adds, and nothing else.
const clients = 8

// BenchmarkSign signs with a P-256 key through the driver; the digest is encrypted.
func BenchmarkSign(b *testing.B) {
	d := openTPM(b, startTPM(b))
	_, k := generate(b, d, p256)
	run(b, func() error {
		_, err := k.Sign(b.Context(), message(), nil)
		return err
	})
}

// BenchmarkSignPCR does so with a key that is bound to PCRs.
func BenchmarkSignPCR(b *testing.B) {
	d := openWith(b, Settings{Device: startTPM(b).Path(), PCRs: []int{0, 7}, PCRAuthority: newAuthority(b).pem})
	_, k := generate(b, d, p256)
	run(b, func() error {
		_, err := k.Sign(b.Context(), message(), nil)
		return err
	})
}

// BenchmarkSignWrapped does so with a secp256k1 key.
func BenchmarkSignWrapped(b *testing.B) {
	d := openTPM(b, startTPM(b))
	_, k := generate(b, d, wrappedSpecs["secp256k1"].spec)
	run(b, func() error {
		_, err := k.Sign(b.Context(), wrappedSpecs["secp256k1"].message, nil)
		return err
	})
}

// BenchmarkRaw does what BenchmarkSign does with go-tpm alone: a key that stays loaded,
// and a password, which crosses the bus in the clear.
func BenchmarkRaw(b *testing.B) {
	tpm := startTPM(b)
	sign := raw(b, foreign(b, tpm))
	var mu sync.Mutex
	run(b, func() error {
		mu.Lock()
		defer mu.Unlock()
		return sign()
	})
}

// BenchmarkRawConnection is BenchmarkRaw on one connection that stays open, which
// keeps every other program from the TPM.
func BenchmarkRawConnection(b *testing.B) {
	tpm := startTPM(b)
	conn, err := net.Dial("unix", tpm.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	sign := raw(b, transport.FromReadWriter(conn))
	var mu sync.Mutex
	run(b, func() error {
		mu.Lock()
		defer mu.Unlock()
		return sign()
	})
}

// raw loads a key and returns what signs with it.
func raw(t testing.TB, link transport.TPM) func() error {
	t.Helper()
	template, err := keyTemplate(p256.Algorithm, 0)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte(authValue)}}}}.Execute(link)
	if err != nil {
		t.Fatal(err)
	}
	return func() error {
		_, err := tpm2.Sign{
			KeyHandle:  tpm2.AuthHandle{Handle: key.ObjectHandle, Name: key.Name, Auth: tpm2.PasswordAuth([]byte(authValue))},
			Digest:     tpm2.TPM2BDigest{Buffer: message().Bytes},
			InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(link)
		return err
	}
}

// run shares b.N signatures among the clients.
func run(b *testing.B, sign func() error) {
	b.Helper()
	var wg sync.WaitGroup
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for range work {
				if err := sign(); err != nil {
					b.Errorf("sign: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign/s")
}

// BenchmarkRatio alternates short rounds of the driver and of go-tpm alone, so that
// whatever else the machine does falls on both, and reports the median of the ratios.
func BenchmarkRatio(b *testing.B) {
	d := openTPM(b, startTPM(b))
	_, k := generate(b, d, p256)
	sign := raw(b, foreign(b, startTPM(b)))
	var mu sync.Mutex
	round := func(one func() error) time.Duration {
		start := time.Now()
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for range 40 {
					if err := one(); err != nil {
						b.Errorf("sign: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	var ratios []float64
	for range max(b.N, 5) {
		ours := round(func() error {
			_, err := k.Sign(b.Context(), message(), nil)
			return err
		})
		theirs := round(func() error {
			mu.Lock()
			defer mu.Unlock()
			return sign()
		})
		ratios = append(ratios, float64(theirs)/float64(ours))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-raw")
}

package journal

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// BenchmarkRecordFinish measures the two commits of a signature, Record and Finish,
// with a limit in force. An op is one of each pair; p50-us is of Record alone.
func BenchmarkRecordFinish(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%d clients", clients), func(b *testing.B) {
			path := privateFile(b)
			j := open(b, Config{Path: path})
			// The reservation of the log ends in the background; begin after it.
			grownLog(b, path)
			var next atomic.Int64
			took := make([][]time.Duration, clients)
			b.ResetTimer()
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N+1)/2; n = next.Add(1) {
						p := proposal(j, fmt.Sprintf("request-%d", n), "hot", wei(1))
						p.Request.Payload = make([]byte, 250)
						start := time.Now()
						rec, err := j.Record(b.Context(), p, over(day), limit(1, 1<<60))
						if err != nil {
							b.Error(err)
							return
						}
						took[c] = append(took[c], time.Since(start))
						if _, err := j.Finish(b.Context(), signer.Outcome{Authorization: rec.Leaf, Signatures: [][]byte{make([]byte, 65)}}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			all := slices.Sorted(slices.Values(slices.Concat(took...)))
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

// BenchmarkManyRecipients measures Facts and Record of a batch to 512 recipients who
// are known, under limits per recipient over two windows; p50-us is of either.
func BenchmarkManyRecipients(b *testing.B) {
	needs := signer.Needs{Recipients: true, Measures: []signer.Measure{{Window: time.Hour, Per: signer.PerRecipient}, {Window: day, Per: signer.PerRecipient}}}
	for name, ask := range map[string]func(*Journal, signer.Proposal) error{
		"facts": func(j *Journal, p signer.Proposal) error { _, err := j.Facts(b.Context(), p, needs); return err },
		"record": func(j *Journal, p signer.Proposal) error {
			_, err := j.Record(b.Context(), p, needs, allow)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			path := privateFile(b)
			j := open(b, Config{Path: path})
			grownLog(b, path)
			if _, err := j.Record(b.Context(), payTo(j, "first", 512), needs, allow); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				p := payTo(j, fmt.Sprint(i), 512)
				start := time.Now()
				if err := ask(j, p); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
		})
	}
}

// BenchmarkRecordBesideWaiting measures Record with a limit in force while so many
// requests of the same account wait, and AllWaiting; p50-us is of either.
func BenchmarkRecordBesideWaiting(b *testing.B) {
	for _, waiting := range []int{0, 10_000} {
		path := privateFile(b)
		j := begun(b, newHost(), path)
		grownLog(b, path)
		haveWait(b, j, waiting)
		next := 0
		for _, bench := range []struct {
			name string
			do   func() error
		}{
			{"record", func() error {
				next++
				rec, err := j.Record(b.Context(), proposal(j, fmt.Sprintf("request-%d", next), "hot", wei(1)), over(day), limit(1, 1<<60))
				if err == nil && rec.Facts.Pending != waiting {
					err = fmt.Errorf("%d others wait, want %d", rec.Facts.Pending, waiting)
				}
				return err
			}},
			{"all waiting", func() error {
				all, err := j.AllWaiting(b.Context())
				if err == nil && len(all) != waiting {
					err = fmt.Errorf("%d wait, want %d", len(all), waiting)
				}
				return err
			}},
		} {
			b.Run(fmt.Sprintf("%s, %d waiting", bench.name, waiting), func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					start := time.Now()
					if err := bench.do(); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			})
		}
		shut(b, j)
	}
}

// haveWait makes so many requests wait.
func haveWait(b *testing.B, j *Journal, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := g; i < n; i += 64 {
				if _, err := j.Record(b.Context(), proposal(j, fmt.Sprintf("waits-%d", i), "hot", wei(1)), over(day), asksFor(asking(treasury(2)))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

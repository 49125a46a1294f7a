package backends_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
)

// BenchmarkWorker measures what the worker adds to a signature: the round trip of
// one by a device that takes no time.
func BenchmarkWorker(b *testing.B) {
	for name, idle := range map[string]time.Duration{"back to back": 0, "from idle": 2 * time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			c := config(b)
			c.Driver = "echo"
			k := find(b, start(b, c))
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				if idle > 0 {
					time.Sleep(idle)
				}
				began := time.Now()
				if _, err := backends.SignForTest(b.Context(), k, message()); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
		})
	}
}

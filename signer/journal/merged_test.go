package journal

import (
	"math/big"
	"math/rand"
	"testing"
	"time"
)

// TestMergedReservationsSumLikeSingleOnes compares with the naive sum, over several
// windows and with amounts that have no bound.
func TestMergedReservationsSumLikeSingleOnes(t *testing.T) {
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		s := newSpends()
		s.horizon = 50
		type one struct {
			t int64
			n *big.Int
		}
		var all []one
		now := int64(1000)
		for i := range 3000 {
			if r.Intn(3) == 0 {
				now += int64(r.Intn(3))
			}
			var n *big.Int
			if r.Intn(200) != 0 {
				n = big.NewInt(int64(r.Intn(5)))
			}
			s.add(spendKey{"k", "a"}, spend{now, n})
			all = append(all, one{now, n})
			if r.Intn(3) == 0 {
				w := []time.Duration{1, 2, 10, 50}[r.Intn(4)]
				got := s.measure("k", "a", time.Unix(0, now), w)
				want, endless := new(big.Int), false
				for j := len(all) - 1; j >= 0 && all[j].t > now-int64(w); j-- {
					if all[j].n == nil {
						endless = true
						continue
					}
					want.Add(want, all[j].n)
				}
				if endless {
					want = unbounded
				}
				if got.Amount.Cmp(want) != 0 {
					t.Fatalf("seed %d step %d: %v want %v", seed, i, got.Amount, want)
				}
			}
		}
	}
}

package journal

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// TestSpentIsExact compares with the definition: what was reserved at t counts in
// window w at now if t > now - w.
func TestSpentIsExact(t *testing.T) {
	type event struct {
		at     time.Time
		amount int64
		key    string
	}
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, seed))
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	windows := []time.Duration{time.Minute, time.Hour, day}
	var all []event
	for i := range 400 {
		switch rnd.IntN(20) {
		case 0:
			h.pass(time.Duration(rnd.IntN(int(8 * time.Hour))))
		case 1:
			shut(t, j)
			j = open(t, h.config(path))
		default:
			h.pass(time.Duration(rnd.IntN(4)) * 20 * time.Second)
		}
		key := []string{"hot", "cold"}[rnd.IntN(2)]
		amount := int64(rnd.IntN(3) * rnd.IntN(1000))
		// A longer window comes in only later, as with a change of policy.
		ws := windows[:1+min(2, i/100)]
		rec, err := j.Record(t.Context(), proposal(j, fmt.Sprint(i), key, wei(amount)), over(ws...), allow)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range ws {
			want, frees, requests := int64(0), time.Time{}, int64(0)
			for _, e := range all {
				if e.key != key || !e.at.After(rec.Time.Add(-w)) {
					continue
				}
				requests++
				if want += e.amount; frees.IsZero() && e.amount > 0 {
					frees = e.at.Add(w)
				}
			}
			got, _ := rec.Facts.Find(eth, signer.Measure{Window: w}, "")
			if got.Amount.Cmp(big.NewInt(want)) != 0 || !got.Frees.Equal(frees) {
				t.Fatalf("seed %d, record %d, window %s: %v, frees %s; want %d, %s", seed, i, w, got.Amount, got.Frees, want, frees)
			}
			if n, _ := rec.Facts.Find(signer.AssetRequests, signer.Measure{Window: w}, ""); n.Amount.Cmp(big.NewInt(requests)) != 0 {
				t.Fatalf("seed %d, record %d, window %s: %v requests, want %d", seed, i, w, n.Amount, requests)
			}
		}
		all = append(all, event{rec.Time, amount, key})
	}
}

func TestReservationsOfOneMomentAreHeldAsOne(t *testing.T) {
	s, k := newSpends(), spendKey{"sha256:hot", eth}
	at := time.Unix(1_000, 0)
	for _, amount := range []*big.Int{big.NewInt(1), big.NewInt(2), nil, nil, big.NewInt(4)} {
		s.add(k, spend{at.UnixNano(), amount})
	}
	s.add(k, spend{at.Add(time.Second).UnixNano(), big.NewInt(8)})
	// What has no bound is not a number that another could be added to.
	if n := len(s.of[k].all); n != 5 {
		t.Errorf("%d elements for 3 + unbounded + unbounded + 4 at one moment and 8 at the next; want 5", n)
	}
	if got := s.measure(k.fingerprint, k.asset, at.Add(time.Minute), time.Minute); got.Amount.Cmp(big.NewInt(8)) != 0 {
		t.Errorf("a minute after the first moment %v is spent; want 8", got.Amount)
	}
}

func TestAWindowFreesAtTheMomentItSays(t *testing.T) {
	h := newHost()
	j := open(t, h.config(privateFile(t)))
	rec := record(t, j, proposal(j, "a", "hot", wei(5)), limit(5, 5))
	spent := func() signer.Spent {
		f, err := j.Facts(t.Context(), proposal(j, "b", "hot", wei(1)), over(day))
		if err != nil {
			t.Fatal(err)
		}
		s, _ := f.Find(eth, signer.Measure{Window: day}, "")
		return s
	}
	s := spent()
	if s.Amount.Int64() != 5 || !s.Frees.Equal(rec.Time.Add(day)) {
		t.Fatalf("spent = %v, frees %s", s.Amount, s.Frees)
	}
	h.pass(day - time.Nanosecond)
	if s := spent(); s.Amount.Int64() != 5 {
		t.Errorf("a nanosecond before: %v", s.Amount)
	}
	h.pass(time.Nanosecond)
	if s := spent(); s.Amount.Sign() != 0 || !s.Frees.IsZero() {
		t.Errorf("at that moment: %v, frees %s", s.Amount, s.Frees)
	}
}

func TestAnOutflowWithoutBoundMakesEveryLimitFail(t *testing.T) {
	for name, tc := range map[string]struct {
		outflow signer.Quantity
		key     string
		asset   string
		fails   bool
	}{
		"unlimited counts against its asset":             {signer.Quantity{Kind: signer.QuantityUnlimited, Asset: eth}, "hot", eth, true},
		"unlimited does not count against another asset": {signer.Quantity{Kind: signer.QuantityUnlimited, Asset: eth}, "hot", usdc, false},
		"unknown counts against every asset":             {signer.Quantity{Kind: signer.QuantityUnknown}, "hot", usdc, true},
		"unknown does not count against requests":        {signer.Quantity{Kind: signer.QuantityUnknown}, "hot", signer.AssetRequests, false},
		"unknown does not count against another key":     {signer.Quantity{Kind: signer.QuantityUnknown}, "cold", eth, false},
		"a kind that does not exist counts as unknown":   {signer.Quantity{Kind: 99, Asset: eth}, "hot", eth, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			path := privateFile(t)
			j := open(t, h.config(path))
			rec := record(t, j, proposal(j, "a", "hot", tc.outflow), allow)
			check := func(when string, fails bool) {
				t.Helper()
				f, err := j.Facts(t.Context(), proposal(j, "b", tc.key, wei(1), signer.Exact(usdc, big.NewInt(1))), over(day))
				if err != nil {
					t.Fatal(err)
				}
				s, _ := f.Find(tc.asset, signer.Measure{Window: day}, "")
				use := signer.LimitUse{Max: new(big.Int).Sub(unbounded, big.NewInt(1)), Spent: s.Amount, Amount: new(big.Int)}
				if use.Exceeded() != fails || (fails && !s.Frees.Equal(rec.Time.Add(day))) {
					t.Errorf("%s: spent = %v, frees %s; want it to fail: %v", when, s.Amount, s.Frees, fails)
				}
			}
			check("at once", tc.fails)
			shut(t, j)
			j = open(t, h.config(path))
			check("after a restart", tc.fails)
			h.pass(day)
			check("after the window", false)
		})
	}
}

func TestMemoryForgetsWhatNoWindowReaches(t *testing.T) {
	s := newSpends()
	s.horizon = time.Hour
	k := spendKey{"sha256:00", eth}
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 100_000 {
		now := start.Add(time.Duration(i) * time.Second)
		s.add(k, spend{now.UnixNano(), big.NewInt(1)})
		for _, w := range []time.Duration{time.Minute, time.Hour} {
			if got, want := s.measure(k.fingerprint, eth, now, w).Amount.Int64(), min(int64(i)+1, int64(w/time.Second)); got != want {
				t.Fatalf("after %d: %d in %s, want %d", i, got, w, want)
			}
		}
	}
	if n := len(s.of[k].all); n > 3*3600 {
		t.Errorf("%d reservations are in memory; an hour has 3600", n)
	}
}

func TestAReservationOfNothingFreesNothing(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	record(t, j, proposal(j, "a", "hot", wei(0)), allow)
	rec := record(t, j, proposal(j, "b", "hot", wei(1)), allow)
	if s, ok := rec.Facts.Find(eth, signer.Measure{Window: day}, ""); !ok || s.Amount.Sign() != 0 || !s.Frees.IsZero() {
		t.Errorf("spent = %v, frees %s; want nothing", s.Amount, s.Frees)
	}
}

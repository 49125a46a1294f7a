package journal

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
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

// TestFactsAreThoseOfALedgerThatForgetsNothing records at random, opens the journal
// again at random, and asks for more as time goes on, as changes of policy do.
func TestFactsAreThoseOfALedgerThatForgetsNothing(t *testing.T) {
	const seed = 11
	rnd := rand.New(rand.NewPCG(seed, seed))
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	whole, known := ledger.New(), map[string]bool{}
	grown := allNeeds().Measures
	rnd.Shuffle(len(grown), func(i, k int) { grown[i], grown[k] = grown[k], grown[i] })
	for i := range 400 {
		switch rnd.IntN(20) {
		case 0:
			h.pass(time.Duration(rnd.IntN(int(8 * time.Hour))))
		case 1:
			shut(t, j)
			j = open(t, h.config(path))
		default:
			h.pass(time.Duration(rnd.IntN(4)) * 10 * time.Second)
		}
		p := proposal(j, fmt.Sprint(i), []string{"hot", "cold"}[rnd.IntN(2)], wei(rnd.Int64N(4)), signer.Exact(usdc, big.NewInt(rnd.Int64N(9))))
		p.Caller.UID = 1000 + rnd.Uint32N(2)
		for k := range p.Intent.Effects {
			p.Intent.Effects[k].Counterparty = []string{acme, bank, "", fmt.Sprint("eip155:1:0x", i)}[rnd.IntN(4)]
		}
		if rnd.IntN(30) == 0 {
			p.Intent.Effects[0].Quantity = signer.Quantity{Kind: signer.QuantityUnknown}
			p.Intent.Outflow[0] = p.Intent.Effects[0].Quantity
		}
		needs := signer.Needs{Measures: grown[:1+i*len(grown)/400], Recipients: i%2 == 0}
		decide := allow
		if rnd.IntN(5) == 0 {
			decide = deny
		}
		rec, err := j.Record(t.Context(), p, needs, decide)
		if err != nil {
			t.Fatal(err)
		}
		s := ledger.Of(p, rec.Time)
		want, err := whole.Measure(s, needs, rec.Time)
		if err != nil || fmt.Sprint(rec.Facts.Spent) != fmt.Sprint(want) {
			t.Fatalf("seed %d, record %d: facts are\n%v, want\n%v (%v)", seed, i, rec.Facts.Spent, want, err)
		}
		var fresh []string
		for _, r := range s.Recipients() {
			if needs.Recipients && !known[p.Key.Name+r] {
				fresh = append(fresh, r)
			}
		}
		if !slices.Equal(rec.Facts.NewRecipients, fresh) {
			t.Fatalf("seed %d, record %d: new recipients are %q, want %q", seed, i, rec.Facts.NewRecipients, fresh)
		}
		if rec.Decision.Verdict != signer.Allow {
			continue
		}
		whole.Add(s)
		for _, r := range s.Recipients() {
			known[p.Key.Name+r] = true
		}
	}
	shut(t, j)
	intact(t, verify(t, trusting(t, path, j.Instance())))
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
				use := signer.LimitUse{Max: new(big.Int).Lsh(big.NewInt(1), 255), Spent: s.Amount, Amount: new(big.Int)}
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

func TestAReservationOfNothingFreesNothing(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	record(t, j, proposal(j, "a", "hot", wei(0)), allow)
	rec := record(t, j, proposal(j, "b", "hot", wei(1)), allow)
	if s, ok := rec.Facts.Find(eth, signer.Measure{Window: day}, ""); !ok || s.Amount.Sign() != 0 || !s.Frees.IsZero() {
		t.Errorf("spent = %v, frees %s; want nothing", s.Amount, s.Frees)
	}
}

package ledger

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

var start0 = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func exact(asset string, n int64) signer.Quantity { return signer.Exact(asset, big.NewInt(n)) }

func transfer(to string, q signer.Quantity) signer.Effect {
	return signer.Effect{Class: signer.ClassTransfer, Counterparty: to, Quantity: q}
}

// pays is a proposal of uid 1000 with key "hot" whose outflow is what its effects move.
func pays(effects ...signer.Effect) signer.Proposal {
	p := signer.Proposal{Key: signer.KeyInfo{Fingerprint: "hot"}, Caller: signer.Caller{UID: 1000, User: "alice", Identified: true}}
	p.Intent.Effects = effects
	for _, e := range effects {
		p.Intent.Outflow = append(p.Intent.Outflow, e.Quantity)
	}
	p.Intent.Outflow = signer.Outflow(p.Intent.Outflow...)
	return p
}

var unknown = signer.Quantity{Kind: signer.QuantityUnknown}

func TestWhatAnAuthorisationCountsFor(t *testing.T) {
	unlimited := signer.Quantity{Kind: signer.QuantityUnlimited, Asset: "eth"}
	by := func(uid uint32, p signer.Proposal) signer.Proposal {
		p.Caller.UID, p.Caller.User = uid, map[uint32]string{7: "bob"}[uid]
		return p
	}
	with := func(key string, p signer.Proposal) signer.Proposal { p.Key.Fingerprint = key; return p }
	none := pays(transfer("acme", exact("eth", 0)))
	hidden := pays(transfer("acme", exact("eth", 2)))
	hidden.Intent.Outflow = []signer.Quantity{exact("eth", 5)}
	for name, c := range map[string]struct {
		was  signer.Proposal
		per  signer.Per
		asks signer.Proposal
		want string // subject/asset amount; what has no bound is "all"
	}{
		"a payment, of its key":       {pays(transfer("acme", exact("eth", 5))), signer.PerKey, pays(transfer("bank", exact("eth", 1))), "/eth 5, /requests 1"},
		"a payment, of another asset": {pays(transfer("acme", exact("eth", 5))), signer.PerKey, pays(transfer("acme", exact("usdc", 1))), "/usdc 0, /requests 1"},
		"a payment, of another key":   {with("cold", pays(transfer("acme", exact("eth", 5)))), signer.PerKey, pays(transfer("acme", exact("eth", 1))), "/eth 0, /requests 0"},
		"a payment, of its caller":    {pays(transfer("acme", exact("eth", 5))), signer.PerCaller, pays(transfer("bank", exact("eth", 1))), "uid:1000/eth 5, uid:1000/requests 1"},
		"a payment, of one of the uids that have no account, of them all": {by(100000, pays(transfer("acme", exact("eth", 5)))), signer.PerCaller,
			by(100001, pays(transfer("bank", exact("eth", 1)))), "uid:none/eth 5, uid:none/requests 1"},
		"a payment, of another caller":      {pays(transfer("acme", exact("eth", 5))), signer.PerCaller, by(7, pays(transfer("bank", exact("eth", 1)))), "uid:7/eth 0, uid:7/requests 0"},
		"another key's, of the same caller": {with("cold", pays(transfer("acme", exact("eth", 5)))), signer.PerCaller, pays(transfer("acme", exact("eth", 1))), "uid:1000/eth 0, uid:1000/requests 0"},
		"a payment, of its recipient":       {pays(transfer("acme", exact("eth", 5))), signer.PerRecipient, pays(transfer("acme", exact("eth", 1))), "acme/eth 5, acme/requests 1"},
		"a payment, of another recipient":   {pays(transfer("acme", exact("eth", 5))), signer.PerRecipient, pays(transfer("bank", exact("eth", 1))), "bank/eth 0, bank/requests 0"},
		"two payments to one are one request": {pays(transfer("acme", exact("eth", 5)), transfer("acme", exact("usdc", 1))), signer.PerRecipient,
			pays(transfer("acme", exact("eth", 1)), transfer("acme", exact("usdc", 1))), "acme/eth 5, acme/usdc 1, acme/requests 1"},
		"two recipients, each by itself": {pays(transfer("bank", exact("eth", 5)), transfer("acme", exact("eth", 1))), signer.PerRecipient,
			pays(transfer("bank", exact("eth", 1)), transfer("acme", exact("eth", 1))), "acme/eth 1, acme/requests 1, bank/eth 5, bank/requests 1"},
		"a flow to anybody, of every recipient":     {pays(transfer("", exact("eth", 5))), signer.PerRecipient, pays(transfer("acme", exact("eth", 1))), "acme/eth 5, acme/requests 1"},
		"to one and to anybody is one request":      {hidden, signer.PerRecipient, pays(transfer("acme", exact("eth", 1)), transfer("bank", exact("eth", 1))), "acme/eth 5, acme/requests 1, bank/eth 3, bank/requests 1"},
		"what nobody is named for is not measured":  {pays(transfer("", exact("eth", 5))), signer.PerRecipient, pays(transfer("", exact("eth", 1))), ""},
		"a payment, of its asset":                   {pays(transfer("acme", exact("eth", 5))), signer.PerAsset, pays(transfer("bank", exact("eth", 1))), "eth/requests 1"},
		"a payment, of another asset's count":       {pays(transfer("acme", exact("eth", 5))), signer.PerAsset, pays(transfer("acme", exact("usdc", 1))), "usdc/requests 0"},
		"what moves nothing has no asset":           {none, signer.PerAsset, none, ""},
		"what moves nothing spends nothing":         {none, signer.PerKey, none, "/eth 0, /requests 1"},
		"what moves nothing reaches nobody":         {none, signer.PerRecipient, pays(transfer("acme", exact("eth", 1))), "acme/eth 0, acme/requests 0"},
		"an unlimited outflow, of its asset":        {pays(transfer("dex", unlimited)), signer.PerKey, pays(transfer("acme", exact("eth", 1)), transfer("acme", exact("usdc", 1))), "/eth all, /usdc 0, /requests 1"},
		"an unlimited outflow, of its recipient":    {pays(transfer("dex", unlimited)), signer.PerRecipient, pays(transfer("acme", exact("eth", 1)), transfer("dex", exact("eth", 1))), "acme/eth 0, acme/requests 0, dex/eth all, dex/requests 1"},
		"an unknown outflow, of every asset":        {pays(transfer("acme", unknown)), signer.PerKey, pays(transfer("acme", exact("usdc", 1))), "/usdc all, /requests 1"},
		"an unknown outflow, of the caller's":       {pays(transfer("acme", unknown)), signer.PerCaller, pays(transfer("acme", exact("usdc", 1))), "uid:1000/usdc all, uid:1000/requests 1"},
		"an unknown outflow, of every recipient":    {pays(transfer("acme", unknown)), signer.PerRecipient, pays(transfer("bank", exact("usdc", 1))), "bank/usdc all, bank/requests 1"},
		"an unknown outflow, of every asset's":      {pays(transfer("acme", unknown)), signer.PerAsset, pays(transfer("bank", exact("usdc", 1))), "usdc/requests 1"},
		"unknown and known are one request":         {pays(transfer("acme", unknown), transfer("acme", exact("eth", 1))), signer.PerAsset, pays(transfer("bank", exact("eth", 1))), "eth/requests 1"},
		"what is unknown asks of what is unknown":   {pays(transfer("acme", unknown)), signer.PerAsset, pays(transfer("bank", unknown)), "/requests 1"},
		"what is known is not counted as unknown":   {pays(transfer("acme", exact("eth", 1))), signer.PerAsset, pays(transfer("bank", unknown)), "/requests 0"},
		"an amount of no asset has no bound at all": {pays(transfer("acme", exact("", 5))), signer.PerRecipient, pays(transfer("bank", exact("eth", 1))), "bank/eth all, bank/requests 1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := New()
			l.Add(Of(c.was, start0))
			got, err := l.Measure(Of(c.asks, start0), signer.Needs{Measures: []signer.Measure{{Window: time.Hour, Per: c.per}}}, start0.Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, s := range got {
				amount := s.Amount.String()
				if s.Amount.Cmp(unbounded) >= 0 {
					amount = "all"
				}
				texts = append(texts, fmt.Sprintf("%s/%s %s", s.Subject, s.Asset, amount))
				if frees := start0.Add(time.Hour); s.Per != c.per || s.Window != time.Hour || (s.Amount.Sign() > 0) != s.Frees.Equal(frees) {
					t.Errorf("%+v: want a measure of an hour per %q that frees %s", s, c.per, frees)
				}
			}
			if s := strings.Join(texts, ", "); s != c.want {
				t.Errorf("measured %q, want %q", s, c.want)
			}
		})
	}
}

func TestMeasuresComeInTheirOrder(t *testing.T) {
	l := New()
	n := signer.Needs{Measures: []signer.Measure{{Window: time.Hour, Per: signer.PerCaller}, {Window: time.Minute}, {Window: time.Second, Per: signer.PerAsset}, {Window: time.Hour}}}
	got, err := l.Measure(Of(pays(transfer("acme", exact("usdc", 1)), transfer("acme", exact("eth", 1))), start0), n, start0)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range got {
		texts = append(texts, fmt.Sprintf("%s %s %s", s.Window, s.Per, s.Asset+s.Subject))
	}
	want := []string{
		"1h0m0s caller ethuid:1000", "1h0m0s caller usdcuid:1000", "1h0m0s caller requestsuid:1000", "1m0s  eth", "1m0s  usdc", "1m0s  requests",
		"1s asset requestseth", "1s asset requestsusdc", "1h0m0s  eth", "1h0m0s  usdc", "1h0m0s  requests",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("measured\n%q, want\n%q", texts, want)
	}
}

func TestAWindowEndsAtItsMoment(t *testing.T) {
	l := New()
	s := Of(pays(transfer("acme", exact("eth", 5))), start0)
	l.Add(s)
	for after, want := range map[time.Duration]int64{0: 5, time.Hour - 1: 5, time.Hour: 0, 2 * time.Hour: 0} {
		fresh := New()
		fresh.Add(s)
		got, err := fresh.Measure(s, signer.Needs{Measures: []signer.Measure{{Window: time.Hour}}}, start0.Add(after))
		if err != nil || got[0].Amount.Int64() != want || got[0].Frees.IsZero() != (want == 0) {
			t.Errorf("after %s: %+v, %v; want %d", after, got, err, want)
		}
	}
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	hour := signer.Measure{Window: time.Hour, Per: signer.PerCaller}
	for name, c := range map[string]struct {
		l    *Ledger
		m    signer.Measure
		want string
	}{
		"no window":                      {New(), signer.Measure{}, "a window of 0s cannot be measured"},
		"a window of less than nothing":  {New(), signer.Measure{Window: -1}, "cannot be measured"},
		"a fee":                          {New(), signer.Measure{Window: 1, Per: signer.PerFee}, `nothing is counted per "fee"`},
		"what is not known":              {New(), signer.Measure{Window: 1, Per: "moon"}, `nothing is counted per "moon"`},
		"a longer window than it holds":  {Over(hour), signer.Measure{Window: time.Hour + 1, Per: signer.PerCaller}, "holds less than"},
		"what it does not count by":      {Over(hour), signer.Measure{Window: 1, Per: signer.PerRecipient}, "holds less than"},
		"anything, of one that is empty": {Over(), signer.Measure{Window: 1}, "holds less than"},
	} {
		t.Run(name, func(t *testing.T) {
			n := signer.Needs{Measures: []signer.Measure{hour, c.m}}
			if name == "anything, of one that is empty" {
				n.Measures = n.Measures[1:]
			}
			got, err := c.l.Measure(Spending{}, n, start0)
			if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
				t.Errorf("Measure = %v, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestALedgerSaysHowFarItReaches(t *testing.T) {
	if got := Over().Reach(); got != nil || !Over().Covers(signer.Needs{}) {
		t.Errorf("an empty one reaches %v", got)
	}
	l := Over(signer.Measure{Window: 2}, signer.Measure{Window: 9, Per: signer.PerAsset}, signer.Measure{Window: 5})
	if got, want := fmt.Sprint(l.Reach()), "[{5ns } {9ns asset}]"; got != want {
		t.Errorf("Reach = %s, want %s", got, want)
	}
	for m, want := range map[signer.Measure]bool{{Window: 5}: true, {Window: 6}: false, {Window: 9, Per: signer.PerAsset}: true, {Window: 1, Per: signer.PerCaller}: false} {
		if l.Covers(signer.Needs{Measures: []signer.Measure{m}}) != want {
			t.Errorf("Covers(%v) = %v, want %v", m, !want, want)
		}
	}
}

func TestOnlyWhatIsAskedForIsHeld(t *testing.T) {
	l := Over(signer.Measure{Window: time.Hour})
	for i := range 100 {
		l.Add(Of(pays(transfer(fmt.Sprint("acme-", i), exact("eth", 1))), start0.Add(time.Duration(i)*time.Second)))
	}
	if len(l.sums) != 2 {
		t.Errorf("%d sums are held for limits per key alone, want those of eth and of requests", len(l.sums))
	}
}

func TestWhatNoWindowReachesIsForgotten(t *testing.T) {
	hour := signer.Needs{Measures: []signer.Measure{{Window: time.Minute}, {Window: time.Hour}, {Window: time.Minute, Per: signer.PerRecipient}}}
	l := Over(hour.Measures...)
	most := 0
	for i := range 100_000 {
		now := start0.Add(time.Duration(i) * time.Second)
		s := Of(pays(transfer(fmt.Sprint("acme-", i), exact("eth", 1))), now) // a new one each time
		l.Add(s)
		if i%10 != 0 { // nor is what is added and never asked for kept
			continue
		}
		got, err := l.Measure(s, hour, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got[:4] {
			if want := min(int64(i)+1, int64(s.Window/time.Second)); s.Amount.Int64() != want {
				t.Fatalf("after %d: %v in %s, want %d", i, s.Amount, s.Window, want)
			}
		}
		most = max(most, l.held)
	}
	// An hour has 3600 by key, of eth and of requests; a minute has 60 recipients.
	if live := 2*3600 + 2*60; most > 2*live+minSweep || len(l.sums) > minSweep {
		t.Errorf("up to %d elements and now %d sums are held, of which %d elements count", most, len(l.sums), live)
	}
}

func TestElementsOfOneMomentAreHeldAsOne(t *testing.T) {
	l, a := New(), account{key: "hot", asset: "eth"}
	for _, amount := range []*big.Int{big.NewInt(1), big.NewInt(2), nil, nil, big.NewInt(4)} {
		l.add(a, element{1, amount})
	}
	l.add(a, element{2, big.NewInt(8)})
	// What has no bound is not a number that another could be added to.
	if n := len(l.sums[a].all); n != 5 || l.held != 5 {
		t.Errorf("%d elements for 3 + unbounded + unbounded + 4 at one moment and 8 at the next; want 5", n)
	}
}

func TestALedgerAndAProposalShareNothing(t *testing.T) {
	l := New()
	s := Of(pays(transfer("acme", exact("eth", 5))), start0)
	l.Add(s)
	l.Add(s)
	if n := s.Outflow[0].N.Int64(); n != 5 {
		t.Errorf("the proposal now moves %d, want 5", n)
	}
	s.Outflow[0].N.SetInt64(0)
	got, err := l.Measure(s, signer.Needs{Measures: []signer.Measure{{Window: time.Hour}}}, start0)
	if err != nil || got[0].Amount.Int64() != 10 {
		t.Errorf("measured %+v, %v; want the 10 that were added", got, err)
	}
	got[0].Amount.SetInt64(0)
	if again, err := l.Measure(s, signer.Needs{Measures: []signer.Measure{{Window: time.Hour}}}, start0); err != nil || again[0].Amount.Int64() != 10 {
		t.Errorf("measured again %+v, %v; want 10", again, err)
	}
}

func TestQuantitiesThatCannotBeCounted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*signer.Intent)
		want   string
	}{
		"a negative outflow":              {func(in *signer.Intent) { in.Outflow[0] = exact("eth", -1) }, "sensible amount"},
		"an outflow without its amount":   {func(in *signer.Intent) { in.Outflow[0].N = nil }, "sensible amount"},
		"an amount of no asset":           {func(in *signer.Intent) { in.Outflow[0].Asset = "" }, "without an asset"},
		"requests as an asset":            {func(in *signer.Intent) { in.Outflow[0].Asset = signer.AssetRequests }, "which is no asset"},
		"an effect without its amount":    {func(in *signer.Intent) { in.Effects[0].Quantity.N = nil }, "without an amount"},
		"requests as an effect's asset":   {func(in *signer.Intent) { in.Effects[0].Quantity.Asset = signer.AssetRequests }, "which is no asset"},
		"what is as it should be":         {func(*signer.Intent) {}, ""},
		"what is not known":               {func(in *signer.Intent) { in.Outflow[0] = unknown }, ""},
		"an effect that moves no more":    {func(in *signer.Intent) { in.Effects[0].Quantity = signer.Quantity{} }, ""},
		"an effect of less than nothing,": {func(in *signer.Intent) { in.Effects[0].Quantity = exact("eth", -1) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := pays(transfer("acme", exact("eth", 5))).Intent
			c.change(&in)
			err := Check(in)
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Check = %v, want %q", err, c.want)
			}
		})
	}
}

// BenchmarkPayment is what a payment costs beside the journal's statements: measured
// by key in two windows, and added, with many in the windows.
func BenchmarkPayment(b *testing.B) {
	n := signer.Needs{Measures: []signer.Measure{{Window: time.Hour}, {Window: 24 * time.Hour}}}
	l := Over(n.Measures...)
	p := pays(transfer("acme", exact("eth", 1)))
	for i := 0; b.Loop(); i++ {
		s := Of(p, start0.Add(time.Duration(i)*time.Millisecond))
		if _, err := l.Measure(s, n, s.Time); err != nil {
			b.Fatal(err)
		}
		l.Add(s)
	}
}

// BenchmarkManyRecipients is a batch to 512 of them, under limits per recipient.
func BenchmarkManyRecipients(b *testing.B) {
	n := signer.Needs{Measures: []signer.Measure{{Window: time.Hour, Per: signer.PerRecipient}, {Window: 24 * time.Hour, Per: signer.PerRecipient}}}
	l := Over(n.Measures...)
	var effects []signer.Effect
	for i := range 512 {
		effects = append(effects, transfer(fmt.Sprintf("eip155:1:0x%040x", i), exact("eip155:1/slip44:60", 1)))
	}
	p := pays(effects...)
	for i := 0; b.Loop(); i++ {
		s := Of(p, start0.Add(time.Duration(i)*time.Second))
		if _, err := l.Measure(s, n, s.Time); err != nil {
			b.Fatal(err)
		}
		l.Add(s)
	}
}

package ledger

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// unbounded is the amount spent once a quantity without bound was authorised. No
// amount of an asset that exists comes near it, so every limit over such a window
// fails.
var unbounded = new(big.Int).Lsh(big.NewInt(1), 256)

// endless is a window that holds everything.
const endless = time.Duration(math.MaxInt64)

// minSweep is how many elements are worth looking through for old ones.
const minSweep = 4096

// counted are what a ledger can count by.
var counted = [...]signer.Per{signer.PerKey, signer.PerCaller, signer.PerRecipient, signer.PerAsset}

// Ledger holds what was authorised, as far back as it is asked for. It is not safe for
// concurrent use.
type Ledger struct {
	reach map[signer.Per]time.Duration // how far back, by what is counted by; absent: not counted
	sums  map[account]*series
	held  int // elements in all series
	sweep int // how many are looked through for old ones
}

// account is what a sum is of.
type account struct {
	key, subject, asset string
	per                 signer.Per
}

// New returns an empty ledger that can measure anything, and so forgets nothing.
func New() *Ledger {
	var all []signer.Measure
	for _, per := range counted {
		all = append(all, signer.Measure{Window: endless, Per: per})
	}
	return Over(all...)
}

// Over returns an empty ledger that can measure what is given and shorter windows. It
// forgets what is older, and counts by nothing else.
func Over(measures ...signer.Measure) *Ledger {
	l := &Ledger{reach: map[signer.Per]time.Duration{}, sums: map[account]*series{}, sweep: minSweep}
	for _, m := range measures {
		l.reach[m.Per] = max(l.reach[m.Per], m.Window)
	}
	return l
}

// Reach returns the longest window that it can measure, for each that it counts by.
func (l *Ledger) Reach() []signer.Measure {
	var out []signer.Measure
	for _, per := range counted {
		if w, ok := l.reach[per]; ok {
			out = append(out, signer.Measure{Window: w, Per: per})
		}
	}
	return out
}

// Covers reports whether it can measure what a policy needs.
func (l *Ledger) Covers(n signer.Needs) bool {
	return !slices.ContainsFunc(n.Measures, func(m signer.Measure) bool { return m.Window > l.reach[m.Per] })
}

// CheckNeeds refuses what no ledger measures.
func CheckNeeds(n signer.Needs) error {
	for _, m := range n.Measures {
		switch {
		case m.Window <= 0:
			return fmt.Errorf("a window of %s cannot be measured", m.Window)
		case !slices.Contains(counted[:], m.Per):
			return fmt.Errorf("nothing is counted per %q", m.Per)
		}
	}
	return nil
}

// Add counts an authorisation. Its time is not before that of any other.
func (l *Ledger) Add(s Spending) {
	at := s.Time.UnixNano()
	for _, per := range counted {
		if _, ok := l.reach[per]; !ok {
			continue
		}
		s.entries(per, func(subject, asset string, amount *big.Int) {
			l.add(account{s.Key, subject, asset, per}, element{at, amount})
		})
	}
	if l.held >= l.sweep {
		l.forget(at)
	}
}

// add counts one element. One of zero is left out: it spends nothing, and nothing is
// freed when it leaves a window.
func (l *Ledger) add(a account, e element) {
	if e.amount != nil && e.amount.Sign() == 0 {
		return
	}
	q := l.sums[a]
	if q == nil {
		q = &series{}
		l.sums[a] = q
	}
	before := len(q.all)
	q.add(e)
	l.held += len(q.all) - before
}

// forget drops what no window reaches any more. It comes after as many elements were
// added as it looks through, so it costs each of them a constant.
func (l *Ledger) forget(now int64) {
	l.held = 0
	for a, q := range l.sums {
		q.cut(now, l.reach[a.per])
		if len(q.all) == 0 {
			delete(l.sums, a)
		}
		l.held += len(q.all)
	}
	l.sweep = max(minSweep, 2*l.held)
}

// Measure returns what a policy has to be told of what was spent, before s is added:
// [signer.Facts.Spent], in the order of the measures.
func (l *Ledger) Measure(s Spending, n signer.Needs, now time.Time) ([]signer.Spent, error) {
	if err := CheckNeeds(n); err != nil {
		return nil, err
	}
	if !l.Covers(n) {
		return nil, fmt.Errorf("the ledger holds less than what is to be measured: %v of %v", l.Reach(), n.Measures)
	}
	var out []signer.Spent
	for _, m := range n.Measures {
		measure := func(subject, asset string) {
			out = append(out, l.spent(account{s.Key, subject, asset, m.Per}, m.Window, now))
		}
		switch m.Per {
		case signer.PerKey, signer.PerCaller:
			for _, q := range s.Outflow {
				measure(s.subject(m.Per), q.Asset)
			}
			measure(s.subject(m.Per), signer.AssetRequests)
		case signer.PerRecipient:
			for i, f := range s.Flows {
				if f.Recipient == "" {
					continue
				}
				measure(f.Recipient, f.Quantity.Asset)
				if i+1 == len(s.Flows) || s.Flows[i+1].Recipient != f.Recipient {
					measure(f.Recipient, signer.AssetRequests)
				}
			}
		case signer.PerAsset:
			for _, q := range s.Outflow {
				if !nothing(q) {
					measure(q.Asset, signer.AssetRequests)
				}
			}
		}
	}
	return out, nil
}

// spent returns what was spent in the window that ends now. What has no asset counts
// against every asset but the count of requests, since it may have been any; and what
// went to anybody against every recipient, as what moved any asset does against each.
func (l *Ledger) spent(a account, length time.Duration, now time.Time) signer.Spent {
	out := signer.Spent{Asset: a.asset, Window: length, Amount: new(big.Int), Per: a.per, Subject: a.subject}
	oldest, boundless := int64(0), 0
	count := func(a account) {
		q := l.sums[a]
		if q == nil {
			return
		}
		w := q.window(now.UnixNano(), length)
		if w.first == len(q.all) {
			return
		}
		out.Amount.Add(out.Amount, &w.sum)
		boundless += w.boundless
		if t := q.all[w.first].time; oldest == 0 || t < oldest {
			oldest = t
		}
	}
	anySubject := a.subject != "" && (a.per == signer.PerRecipient || a.per == signer.PerAsset)
	anyAsset := a.asset != "" && a.asset != signer.AssetRequests
	count(a)
	if anySubject {
		count(account{a.key, "", a.asset, a.per})
	}
	if anyAsset {
		count(account{a.key, a.subject, "", a.per})
	}
	if anySubject && anyAsset {
		count(account{a.key, "", "", a.per})
	}
	if boundless > 0 && out.Amount.Cmp(unbounded) < 0 {
		out.Amount.Set(unbounded)
	}
	if out.Amount.Sign() > 0 {
		out.Frees = time.Unix(0, oldest).UTC().Add(length)
	}
	return out
}

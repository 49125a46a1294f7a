package journal

import (
	"math/big"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

// unbounded is the amount spent once a quantity without bound was authorised. No
// amount of an asset that exists comes near it, so every limit over such a window
// fails.
var unbounded = new(big.Int).Lsh(big.NewInt(1), 256)

// spends is what each key was authorised to spend, in memory: running sums over
// windows, so that measuring one is O(1) amortised. The writer's turn owns it.
type spends struct {
	horizon time.Duration // the longest window that what is loaded covers
	of      map[spendKey]*series
}

// spendKey is what limits count by: the public key, whatever it is called, and the
// asset.
type spendKey struct{ fingerprint, asset string }

// spend is one reservation, or what was reserved at one moment: operations that
// share a commit share its time, so under load there are fewer of these than
// authorisations.
type spend struct {
	time   int64    // journal time, ns
	amount *big.Int // nil: it has no bound
}

// series holds reservations in the order of time.
type series struct {
	all     []spend
	windows []*window
}

// window is the running sum over series.all[first:].
type window struct {
	length    time.Duration
	first     int
	sum       big.Int
	unbounded int // how many have no bound
}

func newSpends() *spends { return &spends{of: map[spendKey]*series{}} }

// add counts a reservation. One of zero is left out: it spends nothing, and nothing
// is freed when it leaves a window.
func (s *spends) add(k spendKey, e spend) {
	if e.amount != nil && e.amount.Sign() == 0 {
		return
	}
	q := s.of[k]
	if q == nil {
		q = &series{}
		s.of[k] = q
	}
	for _, w := range q.windows {
		w.count(e, 1)
	}
	if n := len(q.all); n > 0 && q.all[n-1].time == e.time && q.all[n-1].amount != nil && e.amount != nil {
		q.all[n-1].amount = new(big.Int).Add(q.all[n-1].amount, e.amount)
		return
	}
	q.all = append(q.all, e)
}

func (w *window) count(e spend, sign int) {
	switch {
	case e.amount == nil:
		w.unbounded += sign
	case sign > 0:
		w.sum.Add(&w.sum, e.amount)
	default:
		w.sum.Sub(&w.sum, e.amount)
	}
}

// measure returns what was spent in the window that ends now. An authorisation
// whose outflow is wholly unknown, which has no asset, counts against every asset
// but the count of requests, since it may have moved any.
func (s *spends) measure(fingerprint, asset string, now time.Time, length time.Duration) signer.Spent {
	out := signer.Spent{Asset: asset, Window: length, Amount: new(big.Int)}
	oldest, endless := int64(0), 0
	assets := []string{asset}
	if asset != "" && asset != signer.AssetRequests {
		assets = append(assets, "")
	}
	for _, a := range assets {
		q := s.of[spendKey{fingerprint, a}]
		if q == nil {
			continue
		}
		w := q.window(now.UnixNano(), length)
		if w.first == len(q.all) {
			continue
		}
		out.Amount.Add(out.Amount, &w.sum)
		endless += w.unbounded
		if t := q.all[w.first].time; oldest == 0 || t < oldest {
			oldest = t
		}
		q.prune(now.UnixNano(), s.horizon)
	}
	if endless > 0 && out.Amount.Cmp(unbounded) < 0 {
		out.Amount.Set(unbounded)
	}
	if out.Amount.Sign() > 0 {
		out.Frees = time.Unix(0, oldest).UTC().Add(length)
	}
	return out
}

// window returns the running sum over a window that ends now. What was reserved at
// t counts while t > now - length.
func (q *series) window(now int64, length time.Duration) *window {
	i := slices.IndexFunc(q.windows, func(w *window) bool { return w.length == length })
	if i < 0 {
		w := &window{length: length}
		for _, e := range q.all {
			w.count(e, 1)
		}
		q.windows = append(q.windows, w)
		i = len(q.windows) - 1
	}
	w := q.windows[i]
	for w.first < len(q.all) && q.all[w.first].time <= now-int64(length) {
		w.count(q.all[w.first], -1)
		w.first++
	}
	return w
}

// prune forgets what no window can reach any more, once that is most of it.
func (q *series) prune(now int64, horizon time.Duration) {
	old := len(q.all) / 2
	if old < 512 || q.all[old].time > now-int64(horizon) {
		return
	}
	for _, w := range q.windows {
		q.window(now, w.length)
	}
	for _, w := range q.windows {
		old = min(old, w.first)
	}
	q.all = slices.Clone(q.all[old:])
	for _, w := range q.windows {
		w.first -= old
	}
}

// cover makes sure that memory reaches back over a window, and reads it from disk
// when it does not: at the first request, and when a policy brings a longer window.
// Only reservations by leaves before end are read.
func (s *spends) cover(d *db, now time.Time, length time.Duration, end int64) error {
	if length <= s.horizon {
		return nil
	}
	fresh := newSpends()
	fresh.horizon = length
	begin, err := firstAfter(d, now.UnixNano()-int64(length), end)
	if err != nil {
		return err
	}
	c, err := d.query(sqlSpendsFrom, 4, begin, end)
	if err != nil {
		return err
	}
	defer c.close()
	for c.ok {
		k, e, err := readSpend(c.row)
		if err != nil {
			return err
		}
		fresh.add(k, e)
		if err := c.next(); err != nil {
			return err
		}
	}
	*s = *fresh
	return nil
}

// firstAfter returns the first leaf before end whose time is after t, or end.
// Times do not decrease, so it is found by halving.
func firstAfter(d *db, t, end int64) (int64, error) {
	lo, hi := int64(0), end
	for lo < hi {
		mid := lo + (hi-lo)/2
		at, err := d.integer(sqlLeafTime, mid)
		if err != nil {
			return 0, err
		}
		if at > t {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// readSpend reads the columns key, asset, time, amount.
func readSpend(row values) (spendKey, spend, error) {
	var k spendKey
	var e spend
	var err error
	if k.fingerprint, err = row.text(0); err != nil {
		return k, e, err
	}
	if k.asset, err = row.text(1); err != nil {
		return k, e, err
	}
	if e.time, err = row.int(2); err != nil {
		return k, e, err
	}
	if row[3] == nil {
		return k, e, nil
	}
	amount, err := row.text(3)
	if err != nil {
		return k, e, err
	}
	n, ok := new(big.Int).SetString(amount, 10)
	if !ok || n.Sign() < 0 {
		return k, e, broken("amount %q in table spends is not a decimal", amount)
	}
	e.amount = n
	return k, e, nil
}

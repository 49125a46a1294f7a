package ledger

import (
	"math"
	"math/big"
	"slices"
	"time"
)

// element is one amount, or what was added at one moment: authorisations that share a
// commit share its time, so under load there are fewer of these.
type element struct {
	time   int64    // ns since 1970
	amount *big.Int // nil: it has no bound
}

// series holds elements in the order of time.
type series struct {
	all     []element
	windows []*window
}

// window is the running sum over series.all[first:].
type window struct {
	length    time.Duration
	first     int
	sum       big.Int
	boundless int // how many have no bound
}

func (q *series) add(e element) {
	for _, w := range q.windows {
		w.count(e, 1)
	}
	if n := len(q.all); n > 0 && q.all[n-1].time == e.time && q.all[n-1].amount != nil && e.amount != nil {
		q.all[n-1].amount = new(big.Int).Add(q.all[n-1].amount, e.amount)
		return
	}
	if e.amount != nil && e.amount != one {
		e.amount = new(big.Int).Set(e.amount) // not the proposal's, which others hold
	}
	q.all = append(q.all, e)
}

func (w *window) count(e element, sign int) {
	switch {
	case e.amount == nil:
		w.boundless += sign
	case sign > 0:
		w.sum.Add(&w.sum, e.amount)
	default:
		w.sum.Sub(&w.sum, e.amount)
	}
}

// window returns the running sum over a window that ends now. What was added at t
// counts while t > now - length.
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
	w, begin := q.windows[i], start(now, length)
	for w.first < len(q.all) && q.all[w.first].time <= begin {
		w.count(q.all[w.first], -1)
		w.first++
	}
	return w
}

// start is the moment at which a window begins that ends now.
func start(now int64, length time.Duration) int64 {
	if t := now - int64(length); t <= now {
		return t
	}
	return math.MinInt64
}

// cut drops what is outside of the longest window.
func (q *series) cut(now int64, longest time.Duration) {
	old, begin := 0, start(now, longest)
	for old < len(q.all) && q.all[old].time <= begin {
		old++
	}
	if old == 0 {
		return
	}
	for _, w := range q.windows {
		q.window(now, w.length)
		w.first -= old
	}
	q.all = slices.Clone(q.all[old:])
}

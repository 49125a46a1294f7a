package main

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// queued is a request that waits, as the daemon lists it: good for finding one's way, and
// nothing that is approved. What a request does is shown once it is open, decoded here.
type queued struct {
	p      *v1.Pending
	assets []leaving // what leaves, one per asset
	mine   bool      // the approver may still approve it
	// place is 0 for what is largest in one of its measures, among all that wait; known
	// says that the measure is one that the approver's own files name.
	place int
	known bool
}

// leaving is how much of an asset leaves by a request.
type leaving struct {
	kind, asset string
	n           *big.Int // nil: nobody knows how much
}

func newQueued(p *v1.Pending, me string) *queued {
	e := &queued{p: p, mine: me != "" && slices.ContainsFunc(p.GetQuorums(), func(q *v1.QuorumState) bool { return slices.Contains(q.GetOpen(), me) })}
	for _, q := range p.GetOutflow() {
		if q.GetKind() == signer.QuantityNone.String() {
			continue
		}
		s := leaving{kind: q.GetKind(), asset: q.GetAsset()}
		bounded := s.kind == signer.QuantityExact.String() || s.kind == signer.QuantityAtMost.String()
		if n, ok := api.Integer(q.GetAmount()); ok && bounded && n.Sign() >= 0 {
			s.n = n
		}
		e.assets = append(e.assets, s)
	}
	return e
}

// same identifies a request, also after a change of policy made another proposal of it.
func same(p *v1.Pending) string { return p.GetCaller() + "\x00" + p.GetId() }

// measures are in what a request can be larger than another: its assets or, where nothing
// leaves, its class.
func (e *queued) measures() []string {
	if len(e.assets) == 0 {
		return []string{"class " + e.p.GetClass()}
	}
	out := make([]string, len(e.assets))
	for i, s := range e.assets {
		out[i] = "asset " + s.asset
	}
	return out
}

// in is how much of a measure a request is; nil is more than any amount.
func (e *queued) in(measure string) *big.Int {
	for _, s := range e.assets {
		if "asset "+s.asset == measure {
			return s.n
		}
	}
	return nil
}

// larger orders by how much of one measure requests are, the most first, and else the
// oldest first. It compares within that measure alone.
func larger(measure string) func(a, b *queued) int {
	return func(a, b *queued) int {
		if c := compareIn(measure, a, b); c != 0 {
			return c
		}
		return cmp.Compare(a.p.GetLeaf(), b.p.GetLeaf())
	}
}

func compareIn(measure string, a, b *queued) int {
	switch x, y := a.in(measure), b.in(measure); {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return -1
	case y == nil:
		return 1
	default:
		return y.Cmp(x)
	}
}

// sender is what one caller has waiting. Whoever sends ten thousand small requests fills
// his own group, and hides nothing in another.
type sender struct {
	caller, name string
	entries      []*queued // the heads first
	// heads are the largest in each measure: they show also when the group is folded.
	// more is how many of those do not, because no file of the approver's names their
	// assets, and there are too many to tell apart.
	heads []*queued
	more  int
	mine  int
}

// strangers is how many of the largest a folded group shows in assets that no file of
// the approver's names.
const strangers = 4

// arrange groups requests by caller and sorts both, the groups and what is in them, such
// that the largest by any measure stand first. Amounts are compared within an asset only;
// what is unlimited, or could not be read, is larger than every amount.
func arrange(entries []*queued, names console.Names) []*sender {
	byMeasure := map[string][]*queued{}
	for _, e := range entries {
		e.place, e.known = len(entries), false
		for _, m := range e.measures() {
			byMeasure[m] = append(byMeasure[m], e)
		}
	}
	for m, in := range byMeasure {
		slices.SortFunc(in, larger(m))
		known := named(m, names)
		place := 0
		for i, e := range in {
			if i > 0 && compareIn(m, in[i-1], e) != 0 {
				place = i
			}
			if place < e.place || place == e.place && known {
				e.place, e.known = place, known
			}
		}
	}
	byCaller := map[string]*sender{}
	var groups []*sender
	for _, e := range slices.SortedFunc(slices.Values(entries), first) {
		g := byCaller[e.p.GetCaller()]
		if g == nil { // its first is its largest, so groups come in their order
			g = &sender{caller: e.p.GetCaller(), name: callerText(e.p)}
			byCaller[g.caller], groups = g, append(groups, g)
		}
		g.entries = append(g.entries, e)
		if e.mine {
			g.mine++
		}
	}
	for _, g := range groups {
		g.choose(names)
	}
	return groups
}

// first orders what is looked at before what.
func first(a, b *queued) int {
	known := func(e *queued) int {
		if e.known {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(known(a), known(b)), cmp.Compare(a.p.GetLeaf(), b.p.GetLeaf()))
}

// choose finds the heads of a group and puts them before the rest: those in measures that
// are known, then others.
func (g *sender) choose(names console.Names) {
	most := map[string]*queued{}
	for _, e := range g.entries {
		for _, m := range e.measures() {
			if best := most[m]; best == nil || larger(m)(e, best) < 0 {
				most[m] = e
			}
		}
	}
	chosen, strange := map[*queued]bool{}, map[*queued]bool{}
	for m, e := range most {
		if named(m, names) || m == "asset " { // of an asset that nobody knows, which may be any
			chosen[e] = true
		} else {
			strange[e] = true
		}
	}
	pick := func(from map[*queued]bool) (out []*queued) {
		for _, e := range g.entries { // in their order
			if from[e] {
				out = append(out, e)
			}
		}
		return out
	}
	g.heads = pick(chosen)
	for i, e := range slices.DeleteFunc(pick(strange), func(e *queued) bool { return chosen[e] }) {
		if i >= strangers {
			g.more++
			continue
		}
		chosen[e] = true
		g.heads = append(g.heads, e)
	}
	g.entries = append(slices.Clone(g.heads), slices.DeleteFunc(g.entries, func(e *queued) bool { return chosen[e] })...)
}

// named reports whether the approver's own files, or a standard, say what a measure is.
func named(measure string, names console.Names) bool {
	asset, ok := strings.CutPrefix(measure, "asset ")
	if !ok {
		return true // a class
	}
	_, ok = names.Assets[asset]
	return ok || strings.HasPrefix(asset, "eip155:") && strings.HasSuffix(asset, "/slip44:60")
}

// words is an amount for people; not safe yet.
func (s leaving) words(names console.Names) string {
	if s.n != nil {
		most := ""
		if s.kind == signer.QuantityAtMost.String() {
			most = "at most "
		}
		return most + console.Amount(s.n, s.asset, names)
	}
	what := s.asset
	if a, ok := names.Assets[s.asset]; ok {
		what = a.Name
	}
	switch {
	case s.kind == signer.QuantityUnlimited.String():
		return "UNLIMITED " + what
	case s.asset == "":
		return "UNKNOWN amounts of UNKNOWN assets"
	}
	return "an UNKNOWN amount of " + what
}

// headline is what a request does, in a text that may be long and is not safe yet.
func (e *queued) headline(names console.Names) string {
	parts := make([]string, len(e.assets))
	for i, s := range e.assets {
		parts[i] = s.words(names)
	}
	what := "no value leaves"
	if len(parts) > 0 {
		what = strings.Join(parts, " + ")
	}
	danger := ""
	if n := e.dangers(); n > 0 {
		danger = fmt.Sprintf("; DANGER: %s", counted(n, "warning"))
	}
	return e.p.GetClass() + ": " + what + danger
}

func (e *queued) dangers() (n int) {
	for _, w := range e.p.GetWarnings() {
		if s := signer.Severity(w.GetSeverity()); s != signer.SeverityInfo && s != signer.SeverityWarn {
			n++
		}
	}
	return n
}

// state is how far a request is, and how long it has; not safe yet.
func (e *queued) state(now time.Time) string {
	parts := []string{"key " + e.p.GetKey(), "id " + e.p.GetId()}
	for _, q := range e.p.GetQuorums() {
		parts = append(parts, fmt.Sprintf("%d of %d of %s", len(q.GetApproved()), q.GetQuorum().GetApprovals(), q.GetQuorum().GetGroup()))
	}
	return strings.Join(append(parts, times(e.p, now)...), ", ")
}

// times are since when a request waits, until when it must, and until when it may.
func times(p *v1.Pending, now time.Time) (out []string) {
	if t := p.GetSince(); t != nil {
		out = append(out, "waits "+lasting(now.Sub(t.AsTime())))
	}
	if t := p.GetDue(); t != nil {
		if d := t.AsTime().Sub(now); d > 0 {
			out = append(out, "due in "+lasting(d))
		} else {
			out = append(out, "its delay is over")
		}
	}
	if t := p.GetDeadline(); t != nil {
		if d := t.AsTime().Sub(now); d > 0 {
			out = append(out, "expires in "+lasting(d))
		} else {
			out = append(out, "EXPIRED")
		}
	}
	return out
}

// lasting is a duration in its two largest units, cut off: nothing has longer than it says.
func lasting(d time.Duration) string {
	d = max(d, 0)
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

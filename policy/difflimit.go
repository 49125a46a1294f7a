package policy

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer"
)

// String says what a limit holds to: 10 eth in 24h to each recipient.
func (l limit) String() string {
	text := plainAmount(l.asset, l.max) + " " + l.span()
	if l.over != nil {
		text += ", and what exceeds that after " + quorumText(*l.over)
	}
	return text
}

// span is what a limit counts over.
func (l limit) span() string {
	text := "per request"
	if l.window > 0 {
		text = "in " + spanText(l.window)
	}
	switch l.per {
	case signer.PerKey:
		return text
	case signer.PerRecipient:
		return text + " to each recipient"
	default:
		return text + " for each " + string(l.per)
	}
}

// plainAmount is an amount without the raw integer beside it.
func plainAmount(a signer.Asset, n *big.Int) string {
	text, _, _ := strings.Cut(formatAmount(a, n), " (")
	return text
}

// percent is a share as people write it.
func percent(n *big.Int) string {
	return strings.ReplaceAll(plainAmount(signer.Asset{Name: "%", Decimals: shareDecimals}, n), " ", "")
}

func (f fee) String() string {
	switch {
	case f.share == nil:
		return plainAmount(f.asset, f.max)
	case f.max == nil:
		return percent(f.share) + " of what else leaves"
	default:
		return plainAmount(f.asset, f.max) + " and " + percent(f.share) + " of what else leaves"
	}
}

func quorumText(q signer.Quorum) string {
	text := fmt.Sprintf("%d %s of %q", q.Approvals, plural(q.Approvals, "approval"), q.Group)
	if q.ExcludeCaller {
		text += ", the caller's own not counted"
	}
	return text + further(q)
}

// String says when hours are: mon, tue 09:00 to 18:00 (Europe/Berlin).
func (h hours) String() string {
	var days []string
	for i := range h.days {
		if day := (i + 1) % 7; h.days[day] { // from Monday on
			days = append(days, weekdayNames[day])
		}
	}
	which := strings.Join(days, ", ")
	if len(days) == 7 {
		which = "every day"
	}
	return fmt.Sprintf("%s %02d:%02d to %02d:%02d (%s)", which, h.from/60, h.from%60, h.to/60, h.to%60, h.zone)
}

// limits compares limits of one name, then finds those that have another one.
func (d *diff) limits(a, b rule) {
	old, new := limitsByName(a), limitsByName(b)
	renamed := map[string]bool{}
	for _, l := range b.limits {
		if _, had := old[l.name]; had {
			continue
		}
		i := slices.IndexFunc(a.limits, func(x limit) bool {
			_, stays := new[x.name]
			x.name = l.name
			return !stays && same(x, l)
		})
		if i >= 0 && !renamed[a.limits[i].name] {
			renamed[a.limits[i].name] = true
			d.say(ChangeOther, b.title(), "calls limit %q %q now", a.limits[i].name, l.name)
			continue
		}
		d.addedLimit(a, b, l)
	}
	for _, l := range a.limits {
		n, stays := new[l.name]
		switch {
		case stays && n.asset.ID != l.asset.ID && n.asset.Name != l.asset.Name:
			// They have nothing but the name in common.
			d.removedLimit(a, b, l)
			d.addedLimit(a, b, n)
		case stays:
			d.limit(b, l, n)
		case !renamed[l.name]:
			d.removedLimit(a, b, l)
		}
	}
}

func limitsByName(r rule) map[string]limit {
	m := map[string]limit{}
	for _, l := range r.limits {
		m[l.name] = l
	}
	return m
}

// covers reports whether a rule lets out an asset at all, as far as its limits say: one
// that limits some amounts lets out nothing that no limit of it covers.
func (r *rule) covers(asset string) bool {
	return slices.ContainsFunc(r.limits, func(l limit) bool { return l.covers(asset) })
}

func (r *rule) limitsAmounts() bool {
	return slices.ContainsFunc(r.limits, func(l limit) bool { return !l.counts() })
}

// addedLimit is tighter, unless the asset could not leave by this rule at all.
func (d *diff) addedLimit(a, b rule, l limit) {
	if l.covers(l.asset.ID) && a.limitsAmounts() && !a.covers(l.asset.ID) {
		d.say(ChangeLoosens, b.title(), "lets out %s now, up to the limit %q of %s", l.asset.Name, l.name, l)
		return
	}
	d.say(ChangeTightens, b.title(), "has a new limit %q of %s", l.name, l)
}

// removedLimit is looser, unless the asset cannot leave by this rule any more.
func (d *diff) removedLimit(a, b rule, l limit) {
	if l.covers(l.asset.ID) && b.limitsAmounts() && !b.covers(l.asset.ID) {
		d.say(ChangeTightens, b.title(), "no longer lets out %s: its limit %q of %s is removed, and no other covers it", l.asset.Name, l.name, l)
		return
	}
	text := ""
	if !l.counts() && !b.limitsAmounts() {
		text = "; it HAS NO LIMIT BY AMOUNT any more"
	}
	d.say(ChangeLoosens, b.title(), "no longer has the limit %q of %s%s", l.name, l, text)
}

// limit compares two limits of one name and of what has one name.
func (d *diff) limit(r rule, a, b limit) {
	where := fmt.Sprintf("limit %q of %s", b.name, r.title())
	write := plainAmount
	if a.asset.Decimals != b.asset.Decimals { // the same number is another amount
		write = formatAmount
	}
	before, after := write(a.asset, a.max), write(b.asset, b.max)
	if a.asset.ID != b.asset.ID {
		d.say(ChangeRedefines, where, "is of %s, instead of %s, since that is what %s stands for", b.asset.ID, a.asset.ID, b.asset.Name)
	}
	switch {
	case a.per == b.per && a.window == b.window:
		switch n := b.max.Cmp(a.max); {
		case n > 0:
			d.say(ChangeLoosens, where, "is raised from %s to %s %s", before, after, b.span())
		case n < 0:
			d.say(ChangeTightens, where, "is lowered from %s to %s %s", before, after, b.span())
		}
	default:
		d.say(a.direction(b), where, "is %s %s, instead of %s %s", after, b.span(), before, a.span())
	}
	d.over(where, a, b)
}

// direction compares limits of one asset that count differently. One over a longer
// window counts at least as much, and so does one for all callers together; of
// recipients and assets nothing is claimed.
func (l limit) direction(to limit) ChangeKind {
	var kinds []ChangeKind
	kinds = append(kinds, toward(to.max.Cmp(l.max)), toward(cmp.Compare(l.window, to.window)))
	switch {
	case l.per == to.per:
	case l.per == signer.PerKey && to.per == signer.PerCaller:
		kinds = append(kinds, ChangeLoosens)
	case l.per == signer.PerCaller && to.per == signer.PerKey:
		kinds = append(kinds, ChangeTightens)
	default:
		return ChangeOther
	}
	looser, tighter := slices.Contains(kinds, ChangeLoosens), slices.Contains(kinds, ChangeTightens)
	switch {
	case looser && tighter:
		return ChangeOther
	case looser:
		return ChangeLoosens
	default:
		return ChangeTightens
	}
}

// toward is looser for what is positive and tighter for what is negative.
func toward(n int) ChangeKind {
	switch {
	case n > 0:
		return ChangeLoosens
	case n < 0:
		return ChangeTightens
	default:
		return ""
	}
}

// over compares who may let through what exceeds a limit.
func (d *diff) over(where string, a, b limit) {
	switch {
	case a.over == nil && b.over == nil:
	case a.over == nil:
		d.say(ChangeLoosens, where, "can be exceeded after %s, which was refused", quorumText(*b.over))
	case b.over == nil:
		d.say(ChangeTightens, where, "can no longer be exceeded, which took %s", quorumText(*a.over))
	default:
		d.quorum(where, "what exceeds it", *a.over, *b.over)
	}
}

// quorum compares two quorums, part by part.
func (d *diff) quorum(where, what string, a, b signer.Quorum) {
	counts, excludes := toward(a.Approvals-b.Approvals), toward(ones(a.ExcludeCaller)-ones(b.ExcludeCaller))
	others := []ChangeKind{toward(max(1, a.Devices) - max(1, b.Devices))}
	switch {
	case a.Including == b.Including:
	case a.Including == "":
		others = append(others, ChangeTightens)
	case b.Including == "":
		others = append(others, ChangeLoosens)
	default:
		others = append(others, ChangeOther)
	}
	if a.Group != b.Group {
		others = append(others, ChangeOther)
	}
	all := slices.DeleteFunc(append([]ChangeKind{counts, excludes}, others...), func(k ChangeKind) bool { return k == "" })
	others = slices.DeleteFunc(others, func(k ChangeKind) bool { return k == "" })
	if len(all) == 0 {
		return
	}
	kind := all[0]
	if slices.ContainsFunc(all, func(k ChangeKind) bool { return k != kind }) {
		kind = ChangeOther
	}
	switch {
	case len(others) == 0 && excludes == "":
		d.say(kind, where, "%s needs %s, instead of %d", what, quorumText(b), a.Approvals)
	case len(others) == 0 && counts == "" && b.ExcludeCaller:
		d.say(kind, where, "%s needs %s, which was counted so far", what, quorumText(b))
	case len(others) == 0 && counts == "":
		d.say(kind, where, "%s needs %s, and the caller's own counts now", what, quorumText(b))
	default:
		d.say(kind, where, "%s needs %s, instead of %s", what, quorumText(b), quorumText(a))
	}
}

// quorums compares what rules ask approvals for. A rule asks a group once.
func (d *diff) quorums(a, b rule) {
	of := func(r rule) map[string]signer.Quorum {
		m := map[string]signer.Quorum{}
		for _, q := range r.require {
			m[q.Group] = q
		}
		return m
	}
	both(of(a), of(b), func(_ string, q signer.Quorum) {
		d.say(ChangeTightens, b.title(), "needs %s now", quorumText(q))
	}, func(_ string, q signer.Quorum) {
		how := ""
		if len(b.require) == 0 {
			how = "; what it lets through is signed without approvals"
		}
		d.say(ChangeLoosens, b.title(), "no longer needs %s%s", quorumText(q), how)
	}, func(_ string, p, q signer.Quorum) {
		d.quorum(b.title(), "what it lets through", p, q)
	})
}

func (d *diff) fees(a, b rule) {
	old, new := sortedTexts(a.fees, fee.String), sortedTexts(b.fees, fee.String)
	switch {
	case same(a.fees, b.fees):
	case slices.Equal(old, new):
		d.say(ChangeRedefines, b.title(), "bounds the fee by %s, as before, which stands for another amount or asset now", strings.Join(new, ", or "))
	case len(old) == 0:
		d.say(ChangeTightens, b.title(), "bounds the fee now: at most %s", strings.Join(new, ", or "))
	case len(new) == 0:
		d.say(ChangeLoosens, b.title(), "no longer bounds the fee, which was at most %s", strings.Join(old, ", or "))
	default:
		kind := ChangeOther
		if len(a.fees) == 1 && len(b.fees) == 1 {
			kind = a.fees[0].direction(b.fees[0])
		}
		d.say(kind, b.title(), "bounds the fee by %s, instead of %s", strings.Join(new, ", or "), strings.Join(old, ", or "))
	}
}

// direction compares two bounds of a fee, where both bound the same.
func (f fee) direction(to fee) ChangeKind {
	if (f.max == nil) != (to.max == nil) || (f.share == nil) != (to.share == nil) || f.asset.ID != to.asset.ID {
		return ChangeOther
	}
	var n []int
	if f.max != nil {
		n = append(n, to.max.Cmp(f.max))
	}
	if f.share != nil {
		n = append(n, to.share.Cmp(f.share))
	}
	switch {
	case slices.Min(n) >= 0:
		return ChangeLoosens
	case slices.Max(n) <= 0:
		return ChangeTightens
	default:
		return ChangeOther
	}
}

// waits compares how long a rule has people wait. Of the rules that match, the longest
// delay holds and the shortest time for approvals.
func (d *diff) waits(a, b rule) {
	before, after := a.delay.Duration, b.delay.Duration
	switch {
	case before == after:
	case after == 0:
		d.say(ChangeLoosens, b.title(), "no longer waits %s before it signs", spanText(before))
	case before == 0:
		d.say(ChangeTightens, b.title(), "waits %s before it signs", spanText(after))
	default:
		d.say(toward(cmp.Compare(before, after)), b.title(), "waits %s before it signs, instead of %s", spanText(after), spanText(before))
	}
	before, after = a.expires.Duration, b.expires.Duration
	switch {
	case before == after:
	case after == 0:
		d.say(ChangeLoosens, b.title(), "no longer says within which time it must be approved, which was %s", spanText(before))
	case before == 0:
		d.say(ChangeTightens, b.title(), "must be approved within %s", spanText(after))
	default:
		d.say(toward(cmp.Compare(after, before)), b.title(), "must be approved within %s, instead of %s", spanText(after), spanText(before))
	}
}

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealward/sealward/signer"
)

// A request is held to every rule that matches it, so a rule that lets through also
// holds back: what else lets the same requests through is held to its limits, its
// conditions and its approvals, too. That is why such a rule may be wider without being
// tighter, and narrower without it.

// title names a rule and the keys that it is about.
func (r *rule) title() string { return fmt.Sprintf("rule %q (%s)", r.name, r.ofKeys()) }

func (r *rule) ofKeys() string {
	switch {
	case r.keys == nil:
		return "every key"
	case len(r.keys) == 1:
		return "key " + r.keys[0]
	default:
		return "keys " + strings.Join(r.keys, ", ")
	}
}

// mentions reports whether the condition has a name, as far as its letters tell.
func (r *rule) mentions(name string) bool {
	if r.when == nil {
		return false
	}
	for rest := r.when.text; ; {
		i := strings.Index(rest, name)
		if i < 0 {
			return false
		}
		if rest = rest[i+len(name):]; rest == "" || !nameByte(rest[0]) {
			return true
		}
	}
}

func nameByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// rules compares rules of one name, and finds those that have another one.
func (d *diff) rules() {
	old, new := byName(d.old.rules), byName(d.new.rules)
	renamed := map[string]string{} // new name by old
	for _, b := range d.new.rules {
		if _, had := old[b.name]; had {
			continue
		}
		i := slices.IndexFunc(d.old.rules, func(a rule) bool {
			_, stays := new[a.name]
			return !stays && renamed[a.name] == "" && b.alike(a)
		})
		if i >= 0 {
			renamed[d.old.rules[i].name] = b.name
			d.say(ChangeOther, b.title(), "is the new name of rule %q; nothing else of it is different", d.old.rules[i].name)
			continue
		}
		d.added(b)
	}
	for _, a := range d.old.rules {
		b, stays := new[a.name]
		switch {
		case stays:
			d.rule(a, b)
		case renamed[a.name] == "":
			d.removed(a)
		}
	}
	d.order(renamed)
}

func byName(rules []rule) map[string]rule {
	m := map[string]rule{}
	for _, r := range rules {
		m[r.name] = r
	}
	return m
}

// alike reports whether two rules differ in their names at most.
func (r rule) alike(other rule) bool {
	r.name = other.name
	return same(r, other)
}

// order tells of rules that stand in another order among themselves.
func (d *diff) order(renamed map[string]string) {
	var before, after []string
	new := byName(d.new.rules)
	for _, r := range d.old.rules {
		name := cmp.Or(renamed[r.name], r.name)
		if _, stays := new[name]; stays {
			before = append(before, name)
		}
	}
	for _, r := range d.new.rules {
		if slices.Contains(before, r.name) {
			after = append(after, r.name)
		}
	}
	if !slices.Equal(before, after) {
		d.say(ChangeOther, "rules", "stand in another order, in which decisions name them; what is decided is the same")
	}
}

func (d *diff) added(r rule) {
	c := Change{Where: r.title(), New: r.condition()}
	if r.lets() {
		c.Kind, c.Text = ChangeLoosens, "is new and lets through "+r.rest()
		if r.guards() {
			c.Text += "; what other rules let through is held to it, too, where it matches"
		}
	} else {
		c.Kind, c.Text = ChangeTightens, "is new and denies "+r.rest()
	}
	d.changes = append(d.changes, c)
}

func (d *diff) removed(r rule) {
	c := Change{Where: r.title(), Old: r.condition()}
	if r.lets() {
		c.Kind, c.Text = d.narrower(r), "is removed, which let through "+r.rest()
		if c.Kind == ChangeOther {
			c.Text += freed
		}
	} else {
		c.Kind, c.Text = ChangeLoosens, "is removed, which denied "+r.rest()
	}
	d.changes = append(d.changes, c)
}

// freed is said where a rule that holds back stops to match something.
const freed = "; another rule may let the same through, and that is no longer held to this one"

// guards reports whether a rule that lets through also holds back what others do.
func (r *rule) guards() bool {
	return len(r.limits) > 0 || len(r.fees) > 0 || len(r.require) > 0 || r.delay.Duration > 0 || r.expires.Duration > 0
}

// narrower is what it means that a rule which lets through matches less than it did:
// tighter, unless something that it held back passes by another rule now. A condition
// that cannot be evaluated holds back, too.
func (d *diff) narrower(r rule) ChangeKind {
	if !r.guards() && r.when == nil {
		return ChangeTightens
	}
	for _, other := range d.new.rules {
		if other.name != r.name && other.lets() && meet(r.keys, other.keys) && meet(r.kinds, other.kinds) {
			return ChangeOther
		}
	}
	return ChangeTightens
}

// meet reports whether two lists have something in common. nil is every thing.
func meet[T ~string](a, b []T) bool {
	return a == nil || b == nil || slices.ContainsFunc(a, func(x T) bool { return slices.Contains(b, x) })
}

// condition is the text of a rule's condition, or empty.
func (r *rule) condition() string {
	if r.when == nil {
		return ""
	}
	return r.when.text
}

// rest says in one line what a rule is about and holds to, but for its keys and the
// text of its condition.
func (r *rule) rest() string {
	parts := []string{"every kind"}
	if r.kinds != nil {
		parts[0] = joined(r.kinds)
	}
	if r.callers == nil {
		parts[0] += " from every caller"
	} else {
		parts[0] += " from " + strings.Join(r.callerTexts(), ", ")
	}
	if r.deny != "" {
		parts = append(parts, fmt.Sprintf("because %q", r.deny))
	}
	if r.when != nil {
		parts = append(parts, "where its condition holds")
	}
	for _, h := range sortedTexts(r.hours, hours.String) {
		parts = append(parts, "within "+h)
	}
	if len(r.blind) > 0 {
		parts = append(parts, "also where it cannot read "+joined(r.blind))
	}
	for _, l := range r.limits {
		parts = append(parts, fmt.Sprintf("limit %q: %s", l.name, l))
	}
	if r.allow && r.lets() && !r.limitsAmounts() && !slices.Equal(r.keys, []string{signer.AdminKey}) {
		parts = append(parts, "WITHOUT A LIMIT BY AMOUNT")
	}
	for _, f := range sortedTexts(r.fees, fee.String) {
		parts = append(parts, "a fee of at most "+f)
	}
	for _, q := range sortedTexts(r.require, quorumText) {
		parts = append(parts, "after "+q)
	}
	if r.delay.Duration > 0 {
		parts = append(parts, "not before "+spanText(r.delay.Duration)+" have passed")
	}
	if r.expires.Duration > 0 {
		parts = append(parts, "approved within "+spanText(r.expires.Duration))
	}
	return strings.Join(parts, "; ")
}

// rule compares two rules of one name, one thing after the other.
func (d *diff) rule(a, b rule) {
	was := len(d.changes)
	d.effect(a, b)
	if a.lets() == b.lets() {
		d.matching(a, b)
	}
	if !same(a.when, b.when) {
		d.changes = append(d.changes, Change{Kind: ChangeOther, Where: b.title(), Text: whenText(a, b), Old: a.condition(), New: b.condition()})
	}
	if a.lets() && b.lets() {
		d.blind(a, b)
		d.limits(a, b)
		d.fees(a, b)
		d.quorums(a, b)
		d.waits(a, b)
	}
	if len(d.changes) == was && !same(a, b) {
		d.say(ChangeOther, b.title(), "differs in something that this program has no words for; compare the two files")
	}
}

func whenText(a, b rule) string {
	switch {
	case a.when == nil:
		return "has a condition now"
	case b.when == nil:
		return "has no condition any more"
	default:
		return "has another condition"
	}
}

// effect compares what two rules do with what they match.
func (d *diff) effect(a, b rule) {
	switch {
	case a.lets() && !b.lets():
		kind := ChangeTightens
		if !a.matchesLike(b) { // what it held back may pass elsewhere now
			kind = ChangeOther
		}
		d.say(kind, b.title(), "denies, and let through so far %s; it denies %s", a.rest(), b.rest())
	case !a.lets() && b.lets():
		d.say(ChangeLoosens, b.title(), "lets through, and denied so far %s; it lets through %s", a.rest(), b.rest())
	case a.deny != b.deny:
		d.say(ChangeOther, b.title(), "denies because %q, so far because %q", b.deny, a.deny)
	}
}

// matchesLike reports whether two rules match the same requests.
func (r rule) matchesLike(other rule) bool {
	return same(r.keys, other.keys) && same(r.callers, other.callers) && same(r.kinds, other.kinds) &&
		same(r.hours, other.hours) && same(r.when, other.when)
}

// matching compares what two rules match.
func (d *diff) matching(a, b rule) {
	d.set(a, b, "key", "every key", "its keys", a.keys, b.keys)
	d.set(a, b, "caller", "every caller", "its callers", textsOf(a.callers, a.callerTexts()), textsOf(b.callers, b.callerTexts()))
	d.set(a, b, "kind", "every kind", "its kinds", plain(a.kinds), plain(b.kinds))
	d.hoursOf(a, b)
}

// set compares what a rule lists. No list is a list of everything.
func (d *diff) set(a, b rule, one, every, its string, old, new []string) {
	wider, narrower := d.directions(a, b)
	switch {
	case old == nil && new == nil:
	case old == nil:
		kind := narrower
		unmeasured := b.limitsAmounts() && len(without(new, []string{string(signer.KindEVMTransaction)})) > 0
		if b.lets() && (one == "kind" && unmeasured || one == "key" && slices.Contains(new, signer.AdminKey)) {
			// What limits by amount cannot hold passes where its kind is named, and
			// Sealward itself is none of every key unless it is named.
			kind = ChangeLoosens
		}
		d.say(kind, b.title(), "is for %s now, instead of %s%s", listOf(one, new), every, note(kind))
	case new == nil:
		d.say(wider, b.title(), "is for %s now, instead of %s", every, listOf(one, old))
	default:
		if more := without(new, old); len(more) > 0 {
			d.say(wider, b.title(), "is for %s, too: %s are %s", listOf(one, more), its, strings.Join(new, ", "))
		}
		if less := without(old, new); len(less) > 0 {
			d.say(narrower, b.title(), "is no longer for %s: %s are %s%s", listOf(one, less), its, strings.Join(new, ", "), note(narrower))
		}
	}
}

// directions are what it means for a rule to match more or less than it did.
func (d *diff) directions(a, b rule) (wider, narrower ChangeKind) {
	if !b.lets() {
		return ChangeTightens, ChangeLoosens
	}
	return ChangeLoosens, d.narrower(a)
}

func note(kind ChangeKind) string {
	if kind == ChangeOther {
		return freed
	}
	return ""
}

func (d *diff) hoursOf(a, b rule) {
	wider, narrower := d.directions(a, b)
	old, new := sortedTexts(a.hours, hours.String), sortedTexts(b.hours, hours.String)
	more, less := without(new, old), without(old, new)
	switch {
	case len(old) == 0 && len(new) > 0:
		d.say(narrower, b.title(), "holds %s only, instead of at any time%s", strings.Join(new, " and "), note(narrower))
	case len(old) > 0 && len(new) == 0:
		d.say(wider, b.title(), "holds at any time, instead of %s only", strings.Join(old, " and "))
	case len(more) > 0 && len(less) > 0:
		d.say(ChangeOther, b.title(), "holds %s, instead of %s", strings.Join(new, " and "), strings.Join(old, " and "))
	case len(more) > 0:
		d.say(wider, b.title(), "holds %s, too", strings.Join(more, " and "))
	case len(less) > 0:
		d.say(narrower, b.title(), "no longer holds %s%s", strings.Join(less, " and "), note(narrower))
	}
}

func (d *diff) blind(a, b rule) {
	old, new := plain(a.blind), plain(b.blind)
	if more := without(new, old); len(more) > 0 {
		d.say(ChangeLoosens, b.title(), "lets through blind, without reading all that it does: %s", strings.Join(more, ", "))
	}
	if less := without(old, new); len(less) > 0 {
		d.say(ChangeTightens, b.title(), "no longer lets through blind: %s", strings.Join(less, ", "))
	}
}

// without are the elements of a that b has not.
func without(a, b []string) (out []string) {
	for _, x := range a {
		if !slices.Contains(b, x) && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func (r *rule) callerTexts() (out []string) {
	for _, s := range r.callers {
		out = append(out, s.what+":"+s.name)
	}
	return out
}

// textsOf keeps the difference between no list and an empty one.
func textsOf[T any](list []T, texts []string) []string {
	if list != nil && texts == nil {
		return []string{}
	}
	return texts
}

func plain[T ~string](list []T) []string {
	if list == nil {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, x := range list {
		out = append(out, string(x))
	}
	return out
}

func joined[T ~string](list []T) string { return strings.Join(plain(list), ", ") }

func listOf(one string, list []string) string {
	if len(list) == 1 {
		return one + " " + list[0]
	}
	return one + "s " + strings.Join(list, ", ")
}

func sortedTexts[T any](list []T, text func(T) string) (out []string) {
	for _, x := range list {
		out = append(out, text(x))
	}
	slices.Sort(out)
	return out
}

// spanText is a duration as people write it: 24h and not 24h0m0s, 7d and not 168h.
func spanText(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

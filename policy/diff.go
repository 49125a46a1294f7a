package policy

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer"
)

// ChangeKind says which way a change goes, as far as that can be said.
type ChangeKind string

// The kinds of changes, in the order in which [Diff] has them.
const (
	// ChangeRedefines: a name stands for something else, and so does every amount,
	// condition and limit that has it.
	ChangeRedefines ChangeKind = "redefines"
	// ChangeLoosens: something may pass that did not.
	ChangeLoosens ChangeKind = "loosens"
	// ChangeOther: nothing is said of the direction.
	ChangeOther ChangeKind = "changes"
	// ChangeTightens: by this change alone nothing passes that did not.
	ChangeTightens ChangeKind = "tightens"
)

var changeKinds = []ChangeKind{ChangeRedefines, ChangeLoosens, ChangeOther, ChangeTightens}

// Change is one difference between two policies. Its texts have what the authors of the
// policies wrote: show them with package ipc/console.
type Change struct {
	Kind ChangeKind
	// Where is what changed: rule "payouts", asset "eth".
	Where string
	// Text says in one line what becomes of it.
	Text string
	// Old and New are conditions, as they are written, where the change is about one.
	// They may have line feeds.
	Old, New string
}

// Diff says what becomes different when one policy replaces another: first what names
// stand for something else, then what is looser, then what cannot be told, then what is
// tighter. None means that the two decide alike, whatever their texts are: that is said
// only if all that was read of them is equal, down to every field.
func Diff(old, new *Policy) []Change {
	d := &diff{old: old.content(), new: new.content()}
	d.keys()
	d.assets()
	d.contracts()
	d.tokens()
	d.books()
	d.people()
	d.rules()
	d.labels()
	if len(d.changes) == 0 && !same(d.old, d.new) {
		d.say(ChangeOther, "policy", "differs in something that this program has no words for; compare the two files")
	}
	slices.SortStableFunc(d.changes, func(a, b Change) int {
		return cmp.Compare(slices.Index(changeKinds, a.Kind), slices.Index(changeKinds, b.Kind))
	})
	return d.changes
}

// content is all that a policy holds a request to, as its files and its keys say.
type content struct {
	keys        map[string]string // fingerprints by name
	world       world
	people      people
	pending     int
	rules       []rule
	descriptors *descriptors
}

// world is what the files say of assets, accounts and contracts, by their names there.
type world struct {
	assets    assets
	books     books
	contracts map[string]contract
	tokens    map[string]listedToken // by asset id
}

// content returns what a policy holds. No policy holds nothing.
func (p *Policy) content() content {
	if p == nil {
		return content{}
	}
	return content{p.keys, p.world, p.people, p.pending, p.rules, p.descriptors}
}

// diff is a comparison in the making.
type diff struct {
	old, new content
	changes  []Change
}

func (d *diff) say(kind ChangeKind, where, format string, args ...any) {
	d.changes = append(d.changes, Change{Kind: kind, Where: where, Text: fmt.Sprintf(format, args...)})
}

// names are those of two maps together, sorted.
func names[V any](a, b map[string]V) []string {
	all := append(sortedKeys(a), sortedKeys(b)...)
	slices.Sort(all)
	return slices.Compact(all)
}

// both goes over the names of two maps. Of what is there twice, same says what differs.
func both[V any](old, new map[string]V, added, removed func(name string, v V), same func(name string, a, b V)) {
	for _, name := range names(old, new) {
		a, had := old[name]
		b, has := new[name]
		switch {
		case !had:
			added(name, b)
		case !has:
			removed(name, a)
		default:
			same(name, a, b)
		}
	}
}

func (d *diff) keys() {
	where := func(name string) string { return fmt.Sprintf("key %q", name) }
	both(d.old.keys, d.new.keys, func(name, print string) {
		rules, kind := d.new.about(name), ChangeOther
		if len(rules) > 0 {
			kind = ChangeLoosens
		}
		d.say(kind, where(name), "is new, %s; %s", print, orNobody(rules))
	}, func(name, print string) {
		d.say(ChangeTightens, where(name), "is no longer there, %s; nothing is signed with it", print)
	}, func(name, a, b string) {
		if a != b {
			d.say(ChangeRedefines, where(name), "stands for another public key, %s instead of %s; %s", b, a, orNobody(d.new.about(name)))
		}
	})
}

// about are the rules that let something through with a key.
func (c content) about(key string) (titles []string) {
	for _, r := range c.rules {
		if r.lets() && r.about(key) {
			titles = append(titles, fmt.Sprintf("rule %q", r.name))
		}
	}
	return titles
}

func orNobody(rules []string) string {
	if len(rules) == 0 {
		return "no rule lets anything through with it"
	}
	return listed("lets", "let", rules) + " something through with it"
}

// listed is a list with the verb that belongs to it.
func listed(one, many string, what []string) string {
	if len(what) == 1 {
		return what[0] + " " + one
	}
	return strings.Join(what, ", ") + " " + many
}

func (d *diff) assets() {
	where := func(name string) string { return fmt.Sprintf("asset %q", name) }
	both(d.old.world.assets, d.new.world.assets, func(name string, a signer.Asset) {
		if was := d.old.world.assets.byID(a.ID); was != "" {
			d.say(ChangeOther, where(name), "is the new name of %s, so far called %q", a.ID, was)
			return
		}
		d.say(ChangeOther, where(name), "is new: %s, with %d decimals; payloads are read with it, and amounts can name it", a.ID, a.Decimals)
	}, func(name string, a signer.Asset) {
		if is := d.new.world.assets.byID(a.ID); is != "" {
			return // said of the new name
		}
		d.say(ChangeOther, where(name), "is removed: %s; what moves of it is of an asset that is not known", a.ID)
	}, func(name string, a, b signer.Asset) {
		if a.ID != b.ID {
			d.say(ChangeRedefines, where(name), "is another asset: %s instead of %s", b.ID, a.ID)
		}
		d.decimals(name, a, b)
	})
	// An asset may be renamed and redefined in one go.
	for _, name := range sortedKeys(d.new.world.assets) {
		b := d.new.world.assets[name]
		if was := d.old.world.assets.byID(b.ID); was != "" && was != name {
			d.decimals(name, d.old.world.assets[was], b)
		}
	}
}

func (d *diff) decimals(name string, a, b signer.Asset) {
	if a.Decimals != b.Decimals {
		d.say(ChangeRedefines, fmt.Sprintf("asset %q", name), "has %d decimals instead of %d: every amount of it is another one, by %s",
			b.Decimals, a.Decimals, powers(b.Decimals-a.Decimals))
	}
}

// powers says how far off an amount is.
func powers(decimals int) string {
	if decimals < 0 {
		return fmt.Sprintf("a factor of 1/10^%d", -decimals)
	}
	return fmt.Sprintf("a factor of 10^%d", decimals)
}

// byID is the name of an asset, or empty.
func (as assets) byID(id string) string {
	for _, name := range sortedKeys(as) {
		if as[name].ID == id {
			return name
		}
	}
	return ""
}

func (d *diff) contracts() {
	where := func(name string) string { return fmt.Sprintf("contract %q", name) }
	both(d.old.world.contracts, d.new.world.contracts, func(name string, c contract) {
		d.say(ChangeOther, where(name), "is new: %s, read as one of kind %s", c.account, c.kind)
	}, func(name string, c contract) {
		d.say(ChangeOther, where(name), "is removed: %s, so far read as one of kind %s", c.account, c.kind)
	}, func(name string, a, b contract) {
		if a.account != b.account {
			d.say(ChangeRedefines, where(name), "is another contract: %s instead of %s", b.account, a.account)
		}
		if a.kind != b.kind {
			d.say(ChangeRedefines, where(name), "is read as one of kind %s instead of %s", b.kind, a.kind)
		}
	})
}

// tokens compares what the token lists say together. Which list says it, and how lists
// are cut up, makes no difference.
func (d *diff) tokens() {
	where := func(id string) string { return "token " + id }
	both(d.old.world.tokens, d.new.world.tokens, func(id string, t listedToken) {
		d.say(ChangeOther, where(id), "is new in %s: %q, with %d decimals", t.list, t.symbol, t.decimals)
	}, func(id string, t listedToken) {
		d.say(ChangeOther, where(id), "is no longer in %s: %q", t.list, t.symbol)
	}, func(id string, a, b listedToken) {
		if a.decimals != b.decimals {
			d.say(ChangeRedefines, where(id), "has %d decimals instead of %d in %s: what is shown of it is off by %s", b.decimals, a.decimals, b.list, powers(a.decimals-b.decimals))
		}
		if a.symbol != b.symbol {
			d.say(ChangeOther, where(id), "is called %q instead of %q by %s", b.symbol, a.symbol, b.list)
		}
	})
}

func (d *diff) books() {
	where := func(name string) string { return fmt.Sprintf("addresses %q", name) }
	entries := func(name string, old, new map[string]string) {
		both(old, new, func(account, label string) {
			d.say(d.new.listing(name), where(name), "%s, %q, is new; %s", account, label, d.new.readers(name))
		}, func(account, label string) {
			d.say(ChangeOther, where(name), "%s, %q, is removed; %s", account, label, d.new.readers(name))
		}, func(account, a, b string) {
			if a != b {
				d.say(ChangeOther, where(name), "%s is called %q instead of %q", account, b, a)
			}
		})
	}
	both(d.old.world.books, d.new.world.books, func(name string, book map[string]string) {
		d.say(ChangeOther, where(name), "is a new address book; %s", d.new.readers(name))
		entries(name, nil, book)
	}, func(name string, book map[string]string) {
		d.say(ChangeOther, where(name), "is removed as an address book")
		entries(name, book, nil)
	}, entries)
}

// readers says which rules have a condition that names an address book.
func (c content) readers(book string) string {
	var names []string
	for _, r := range c.rules {
		if r.mentions("addresses." + book) {
			names = append(names, fmt.Sprintf("rule %q", r.name))
		}
	}
	if len(names) == 0 {
		return "no condition asks about the book"
	}
	return listed("asks", "ask", names) + " about the book"
}

// listing is what a new entry of an address book does. As a rule such a book lists whom
// a rule lets through, but nothing keeps a rule from denying them.
func (c content) listing(book string) ChangeKind {
	kind := ChangeOther
	for _, r := range c.rules {
		switch {
		case !r.mentions("addresses." + book):
		case !r.lets():
			return ChangeOther
		default:
			kind = ChangeLoosens
		}
	}
	return kind
}

// labels are what people are shown beside an intent, and no decision looks at.
func (d *diff) labels() {
	const where = "descriptors"
	a, b := d.old.descriptors, d.new.descriptors
	switch {
	case a == nil && b == nil:
	case a == nil:
		d.say(ChangeOther, where, "labels for people are read from %s, with manifest %s; no decision depends on them", b.folder, hex.EncodeToString(b.manifest[:]))
	case b == nil:
		d.say(ChangeOther, where, "labels for people are no longer read from %s; no decision depended on them", a.folder)
	case *a != *b:
		d.say(ChangeOther, where, "labels for people are read from %s, with manifest %s, instead of %s, with manifest %s; no decision depends on them",
			b.folder, hex.EncodeToString(b.manifest[:]), a.folder, hex.EncodeToString(a.manifest[:]))
	}
}

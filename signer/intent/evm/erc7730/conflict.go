package erc7730

import (
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
)

// Bounds of what is compared.
const (
	maxClaims  = 1 << 18 // functions and messages of contracts, in a folder
	maxStances = 64      // that differ, of one of them
)

// claim is a function of a contract or a type of message for one, which a descriptor
// says something of. The zero deployment stands for any contract.
type claim struct {
	at   deployment
	what string // a selector, or a type text
}

// claims are all that a descriptor says something of, in a fixed order.
func (d *descriptor) claims() iter.Seq2[claim, *format] {
	places := d.deployments
	if len(places) == 0 {
		places = []deployment{{}}
	}
	keys := sortedKeys(d.formats)
	return func(yield func(claim, *format) bool) {
		for _, at := range places {
			for _, what := range keys {
				if !yield(claim{at, what}, d.formats[what]) {
					return
				}
			}
		}
	}
}

// stance is what one or more descriptors say of a claim, in the same words and under the
// same conditions.
type stance struct {
	d       *descriptor // the first of them
	f       *format
	next    *stance // another of the same claim
	against *stance // one that says something else of the same; nil: none
	where   deployment
}

// stances are what descriptors say, by what they say it of, so that each descriptor is
// held against those alone that speak of the same.
type stances struct {
	first map[claim]*stance
	order []claim // in which they were made
}

// conflicts finds descriptors that say different things of one function or type of
// message. Neither can be preferred, so both are refused.
func conflicts(all []*descriptor) map[*descriptor]Refusal {
	x := stances{first: map[claim]*stance{}}
	for _, d := range all {
		for c, f := range d.claims() {
			x.add(c, d, f)
		}
	}
	x.compare()
	refused := map[*descriptor]Refusal{}
	for _, d := range all {
		for c, f := range d.claims() {
			if reason := x.find(c, d, f).fault(); reason != "" {
				refused[d] = Refusal{File: d.file, Place: f.place, Reason: reason}
				break
			}
		}
	}
	return refused
}

// find is the stance of a descriptor, or nil.
func (x *stances) find(c claim, d *descriptor, f *format) *stance {
	for s := x.first[c]; s != nil; s = s.next {
		if s.f.said == f.said && s.d.bindsAs(d) {
			return s
		}
	}
	return nil
}

// add files a stance that is not there yet. One too many is not there when it is looked
// for.
func (x *stances) add(c claim, d *descriptor, f *format) {
	if x.find(c, d, f) != nil {
		return
	}
	s := &stance{d: d, f: f}
	last := x.first[c]
	if last == nil {
		x.first[c], x.order = s, append(x.order, c)
		return
	}
	n := 1
	for ; last.next != nil; last = last.next {
		n++
	}
	if n < maxStances {
		last.next = s
	}
}

// compare holds the stances of each claim against each other, and against those of the
// same message for any contract.
func (x *stances) compare() {
	for _, c := range x.order {
		for s := x.first[c]; s != nil; s = s.next {
			for o := s.next; o != nil; o = o.next {
				meet(s, o, c.at)
			}
			if c.at == (deployment{}) {
				continue
			}
			for o := x.first[claim{what: c.what}]; o != nil; o = o.next {
				if o.d.allows(c.at) {
					meet(s, o, c.at)
				}
			}
		}
	}
}

// meet notes of two stances that they say different things of what both are for.
func meet(a, b *stance, where deployment) {
	if a.f.said == b.f.said || !together(a.d, b.d) {
		return
	}
	if a.against == nil {
		a.against, a.where = b, where
	}
	if b.against == nil {
		b.against, b.where = a, where
	}
}

// fault is why a stance is not taken; empty if it is.
func (s *stance) fault() string {
	switch {
	case s == nil:
		return fmt.Sprintf("more than %d descriptors say different things of it; remove some of them", maxStances)
	case s.against == nil:
		return ""
	}
	where := "any contract"
	if s.where.chain != 0 {
		where = chainID(s.where.chain) + ":" + s.where.address.Hex()
	}
	return fmt.Sprintf("%s says something else of it, for %s; neither is used until one of them is removed", quote(s.against.d.file), where)
}

// bindsAs reports whether two contexts want the same of a domain.
func (d *descriptor) bindsAs(other *descriptor) bool {
	if (d.separator == nil) != (other.separator == nil) || d.separator != nil && *d.separator != *other.separator {
		return false
	}
	return slices.Equal(d.domain, other.domain)
}

// together reports whether one domain can be what two contexts want.
func together(a, b *descriptor) bool {
	if a.separator != nil && b.separator != nil && *a.separator != *b.separator {
		return false
	}
	for _, m := range a.domain {
		for _, n := range b.domain {
			if m.name == n.name && m.value != n.value {
				return false
			}
		}
	}
	return true
}

// allows reports whether the domain that a context wants can be of that contract.
func (d *descriptor) allows(at deployment) bool {
	for _, c := range d.domain {
		if c.name == "chainId" && c.value != decimalOf(at.chain) || c.name == "verifyingContract" && c.value != at.address.Hex() {
			return false
		}
	}
	return true
}

// digest is one of all that nodes say, whatever the order of members. Members whose
// names begin with $ say nothing ("Key naming convention"), but for references.
func digest(nodes ...at) (out [sha256.Size]byte) {
	h := sha256.New()
	for _, n := range nodes {
		n.v.writeTo(h)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (n *node) writeTo(w io.Writer) {
	if n == nil {
		fmt.Fprint(w, "nothing;")
		return
	}
	switch n.sort {
	case object:
		names := slices.Clone(n.names)
		slices.Sort(names)
		fmt.Fprint(w, "{")
		for _, name := range names {
			if name == "$id" || name == "$comment" {
				continue
			}
			fmt.Fprint(w, strconv.Quote(name), ":")
			n.members[name].writeTo(w)
		}
		fmt.Fprint(w, "}")
	case array:
		fmt.Fprint(w, "[")
		for _, e := range n.elems {
			e.writeTo(w)
		}
		fmt.Fprint(w, "]")
	default:
		fmt.Fprint(w, n.sort, strconv.Quote(n.text), ";")
	}
}

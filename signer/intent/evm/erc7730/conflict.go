package erc7730

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// conflicts finds descriptors that say different things of one function or type of
// message. Neither can be preferred, so both are refused.
func conflicts(all []*descriptor) map[*descriptor]Refusal {
	x := comparison{refused: map[*descriptor]Refusal{}, done: map[[2]*descriptor]bool{}}
	here := map[deployment][]*descriptor{}
	for _, d := range all {
		for _, at := range d.deployments {
			for _, other := range here[at] {
				x.compare(d, other, at)
			}
			here[at] = append(here[at], d)
		}
	}
	// What applies to any contract is held against all that is said of some.
	for i, d := range all {
		if len(d.deployments) > 0 {
			continue
		}
		for j, other := range all {
			if len(other.deployments) == 0 && j < i {
				x.compare(d, other, deployment{})
			}
			if k := slices.IndexFunc(other.deployments, d.allows); k >= 0 {
				x.compare(d, other, other.deployments[k])
			}
		}
	}
	return x.refused
}

// comparison is which descriptors were compared, and what came of it.
type comparison struct {
	refused map[*descriptor]Refusal
	done    map[[2]*descriptor]bool
}

// compare refuses two descriptors that say different things of what both are for. The
// zero deployment stands for any contract.
func (x *comparison) compare(a, b *descriptor, at deployment) {
	pair := [2]*descriptor{a, b}
	if x.done[pair] || !together(a, b) {
		return
	}
	x.done[pair] = true
	for _, what := range sortedKeys(a.formats) {
		f, g := a.formats[what], b.formats[what]
		if g != nil && f.said != g.said {
			x.refuse(a, f, b, at)
			x.refuse(b, g, a, at)
			return
		}
	}
}

func (x *comparison) refuse(d *descriptor, f *format, other *descriptor, at deployment) {
	if _, done := x.refused[d]; done {
		return
	}
	where := "any contract"
	if at.chain != 0 {
		where = chainID(at.chain) + ":" + at.address.Hex()
	}
	x.refused[d] = Refusal{
		File: d.file, Place: f.place,
		Reason: fmt.Sprintf("%s says something else of it, for %s; neither is used until one of them is removed", quote(other.file), where),
	}
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

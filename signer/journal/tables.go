package journal

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/ledger"
)

// sameAmount compares amounts of which nil has no bound.
func sameAmount(a, b *big.Int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Cmp(b) == 0
}

// reserved checks that the tables have exactly what a leaf reserved, and counts it.
func (a *audit) reserved(n int64, at time.Time, s *ledger.Spending) error {
	var spends []spendRow
	var flows []flowRow
	if s != nil {
		spends, flows = spendRows(*s, n), flowRows(*s, n)
		slices.SortFunc(spends, func(x, y spendRow) int { return cmp.Compare(x.asset, y.asset) })
		a.ledger.Add(*s)
	}
	if err := compare(a, a.spends, n, at, spends, spendTable(a.version)); err != nil {
		return err
	}
	if a.version < 3 {
		return nil
	}
	if err := compare(a, a.flows, n, at, flows, flowTable); err != nil || s == nil {
		return err
	}
	return a.recipients(n, at, *s)
}

// table is how rows of one are read, ordered within a leaf, compared and called.
type table[row any] struct {
	name string
	read func(values) (row, error)
	cmp  func(a, b row) int
	same func(a, b row) bool
	call func(row) string
	loss string // what comes of a row that is missing
}

// spendTable is table spends, which has no callers before version 3.
func spendTable(version int64) table[spendRow] {
	return table[spendRow]{
		"spends", readSpend,
		func(a, b spendRow) int { return cmp.Compare(a.asset, b.asset) },
		func(a, b spendRow) bool {
			return a.key == b.key && (a.caller == b.caller || version < 3) && a.time == b.time && sameAmount(a.amount, b.amount)
		},
		func(r spendRow) string { return r.asset },
		"so limits would not count it",
	}
}

var flowTable = table[flowRow]{
	"flows", readFlow,
	func(a, b flowRow) int {
		return cmp.Or(cmp.Compare(a.recipient, b.recipient), cmp.Compare(a.asset, b.asset))
	},
	func(a, b flowRow) bool { return sameAmount(a.amount, b.amount) },
	func(r flowRow) string { return fmt.Sprintf("%s to %q", r.asset, r.recipient) },
	"so limits per recipient would not count it",
}

// compare checks that a table has exactly the rows wanted of a leaf, which are in its
// order.
func compare[row any](a *audit, c *cursor, n int64, at time.Time, want []row, t table[row]) error {
	missing := func(r row) {
		a.rep.problem(n, at, "the row for %s is missing from table %s, %s", t.call(r), t.name, t.loss)
	}
	for c.ok {
		leaf, err := values(c.row).int(0)
		if err != nil {
			return err
		}
		if leaf > n {
			break
		}
		r, err := t.read(c.row)
		if err != nil {
			return err
		}
		for len(want) > 0 && t.cmp(want[0], r) < 0 {
			missing(want[0])
			want = want[1:]
		}
		switch {
		case len(want) == 0 || t.cmp(want[0], r) != 0:
			a.rep.problem(n, at, "table %s has a row for %s that the leaf does not account for", t.name, t.call(r))
		default:
			if !t.same(want[0], r) {
				a.rep.problem(n, at, "the row for %s in table %s was changed", t.call(r), t.name)
			}
			want = want[1:]
		}
		if err := c.next(); err != nil {
			return err
		}
	}
	for _, r := range want {
		missing(r)
	}
	return nil
}

// firstTo returns the leaf that table recipients has for a recipient, or false.
func (a *audit) firstTo(key, recipient string) (leaf int64, ok bool, err error) {
	row := make(values, 1)
	if ok, err = a.d.row(sqlGetRecipient, row, key, recipient); err != nil || !ok {
		return 0, false, err
	}
	leaf, err = row.int(0)
	return leaf, true, err
}

// recipients checks that table recipients has those of an authorisation, each with the
// leaf that was the first.
func (a *audit) recipients(n int64, at time.Time, s ledger.Spending) error {
	for _, r := range s.Recipients() {
		leaf, ok, err := a.firstTo(s.Key, r)
		switch {
		case err != nil:
			return err
		case !ok:
			a.rep.problem(n, at, "its recipient %q is missing from table recipients, so it would be taken for new", r)
		case leaf == n:
			a.known++
		default:
			had := int64(0)
			if leaf < n {
				if had, err = a.d.integer(sqlHadFlow, leaf, r, s.Key); err != nil {
					return err
				}
			}
			if had == 0 {
				a.rep.problem(n, at, "table recipients has leaf %d for its recipient %q, which is not the first that let it have anything", leaf, r)
			}
		}
	}
	return nil
}

// adopted checks the rows of a leaf that puts a policy in force, and that the bundle is
// the one that the leaf names.
func (a *audit) adopted(n int64, at time.Time, ev signer.Event) error {
	if !adopts(ev) {
		return nil
	}
	a.policies++
	if a.version < 3 {
		if ev.Bundle != ([32]byte{}) {
			a.rep.problem(n, at, "it keeps the bundle of a policy, which a journal of schema version %d cannot hold; the version was changed", a.version)
		}
		return nil
	}
	row := make(values, 2)
	switch ok, err := a.d.row(sqlGetPolicy, row, n); {
	case err != nil:
		return err
	case !ok:
		a.rep.problem(n, at, "its row is missing from table policies")
	default:
		version, _ := row[0].([]byte)
		bundle, _ := row[1].([]byte)
		if string(version) != string(ev.Policy[:]) || string(bundle) != string(digestBytes(ev.Bundle)) {
			a.rep.problem(n, at, "its row in table policies was changed")
		}
	}
	if ev.Bundle == ([32]byte{}) || a.bundles[ev.Bundle] {
		return nil
	}
	return a.bundle(n, at, ev.Bundle)
}

// bundle checks a bundle that a leaf names, the first time that one does.
func (a *audit) bundle(n int64, at time.Time, digest [32]byte) error {
	row := make(values, 1)
	ok, err := a.d.row(sqlGetBundle, row, digest[:])
	switch {
	case err != nil:
		return err
	case !ok:
		a.rep.problem(n, at, "the bundle of its policy, SHA-256 %x, is missing from table bundles", digest)
		return nil
	}
	a.bundles[digest] = true
	body, err := row.blob(0)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(body); sum != digest {
		a.rep.problem(n, at, "the bundle of its policy was changed: it has SHA-256 %x, the leaf says %x", sum, digest)
	}
	return nil
}

// digestBytes is a digest as a table has it: none where it is zero.
func digestBytes(d [32]byte) []byte {
	if d == ([32]byte{}) {
		return nil
	}
	return d[:]
}

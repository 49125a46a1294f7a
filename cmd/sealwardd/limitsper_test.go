package main

import (
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// A limit per recipient or asset has no one sum; one per caller has that of whoever asks,
// and an operator asks as nobody's caller.
func TestLimitsAreListedByWhatTheyCount(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.edit("policy.hcl", "  limit \"eth a day\" {", `  limit "to each" {
    amount = "100 eth"
    window = "24h"
    per    = "recipient"
  }
  limit "of each" {
    count  = 100
    window = "24h"
    per    = "asset"
  }
  limit "for each" {
    count  = 100
    window = "24h"
    per    = "caller"
  }
  limit "eth a day" {`)
	p := h.start()
	h.pay("one")
	byName := func(all []*v1.LimitState) map[string]*v1.LimitState {
		out := map[string]*v1.LimitState{}
		for _, l := range all {
			out[l.GetLimit()] = l
		}
		return out
	}
	mine, err := h.sign().Limits(t.Context(), "hot")
	must(t, err)
	all, err := h.admin().Limits(t.Context(), "hot")
	must(t, err)
	for name, want := range map[string]struct{ per, mine, all string }{
		"to each": {"recipient", "", ""}, "of each": {"asset", "", ""}, "for each": {"caller", "1", ""}, "eth a day": {"", "102100000000000000", "102100000000000000"},
	} {
		m, a := byName(mine)[name], byName(all)[name]
		if m.GetPer() != want.per || m.GetSpent() != want.mine || (m.GetLeft() == "") != (want.mine == "") || m.GetMax() == "" {
			t.Errorf("limit %q is %v to its caller, want spent %q", name, m, want.mine)
		}
		if a.GetPer() != want.per || a.GetSpent() != want.all || (a.GetLeft() == "") != (want.all == "") {
			t.Errorf("limit %q is %v to an operator, want spent %q", name, a, want.all)
		}
	}
	p.stop()
}

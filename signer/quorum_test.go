package signer_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealward/sealward/signer"
)

// board is who approves in these tests: Ann has two devices, of Eve's nobody knows.
func board() signer.People {
	device := func(ids ...string) (ds []signer.Device) {
		for _, id := range ids {
			ds = append(ds, signer.Device{Name: id, ID: id})
		}
		return ds
	}
	return signer.People{
		Approvers: []signer.Approver{
			{Name: "ann", Users: []string{"alice", "root"}, Devices: device("ann1", "ann2")},
			{Name: "bob", Users: []string{"bob"}, Devices: device("bob1", "bob2", "bob3")},
			{Name: "carol", Devices: device("carol1")},
			{Name: "dave", Users: []string{"dave"}, Devices: device("dave1")},
		},
		Groups: map[string][]string{
			"treasury": {"carol", "ann", "bob", "ann"}, "officers": {"dave", "carol"}, "ghosts": {"nobody"}, "empty": nil,
		},
	}
}

// heard reads approvals from words such as "approve ann1" or "approve ann1 until 3"
// (seconds after noon), with leaves from 1.
func heard(words ...string) (hs []signer.Heard) {
	for i, w := range words {
		f := strings.Fields(w)
		a := signer.Approval{Word: signer.Word(f[0]), Device: f[1]}
		if len(f) == 4 {
			n, err := time.ParseDuration(f[3] + "s")
			if err != nil {
				panic(err)
			}
			a.Expires = noon.Add(n)
		}
		hs = append(hs, signer.Heard{Approval: a, Leaf: uint64(i + 1)})
	}
	return hs
}

func TestWhoCounts(t *testing.T) {
	two := signer.Quorum{Group: "treasury", Approvals: 2}
	excluding, including, twice := two, two, two
	excluding.ExcludeCaller = true
	including.Including = "officers"
	twice.Devices = 2
	bob, stranger := signer.Caller{User: "bob"}, signer.Caller{User: "mallory"}
	for name, c := range map[string]struct {
		q        signer.Quorum
		caller   signer.Caller
		heard    []signer.Heard
		met      bool
		approved string
		open     string
		counted  []uint64
	}{
		"nothing was heard":                           {two, stranger, nil, false, "", "ann bob carol", nil},
		"one is not enough":                           {two, stranger, heard("approve ann1"), false, "ann", "bob carol", []uint64{1}},
		"two are":                                     {two, stranger, heard("approve ann1", "approve bob1"), true, "ann bob", "carol", []uint64{1, 2}},
		"more than enough":                            {two, stranger, heard("approve carol1", "approve ann1", "approve bob1"), true, "ann bob carol", "", []uint64{1, 2, 3}},
		"one person twice":                            {two, stranger, heard("approve ann1", "approve ann1"), false, "ann", "bob carol", []uint64{1}},
		"one person with two devices":                 {two, stranger, heard("approve ann1", "approve ann2"), false, "ann", "bob carol", []uint64{1, 2}},
		"somebody of another group":                   {two, stranger, heard("approve ann1", "approve dave1"), false, "ann", "bob carol", []uint64{1}},
		"a key that nobody has":                       {two, stranger, heard("approve ann1", "approve eve1"), false, "ann", "bob carol", []uint64{1}},
		"one who withdrew":                            {two, stranger, heard("approve ann1", "approve bob1", "withdraw bob1"), false, "ann", "carol", []uint64{1}},
		"one who withdrew with another device":        {two, stranger, heard("approve ann1", "approve bob1", "withdraw bob3"), false, "ann", "carol", []uint64{1}},
		"one who withdrew and approved again":         {two, stranger, heard("withdraw bob1", "approve bob1", "approve bob2", "approve ann1"), false, "ann", "carol", []uint64{4}},
		"one who withdrew for a while":                {two, stranger, heard("approve ann1", "withdraw bob1 until -9", "approve bob1"), false, "ann", "carol", []uint64{1}},
		"a withdrawal by somebody else":               {two, stranger, heard("approve ann1", "approve bob1", "withdraw dave1", "withdraw eve1"), true, "ann bob", "carol", []uint64{1, 2}},
		"one that expires later":                      {two, stranger, heard("approve ann1", "approve bob1 until 0.000000001"), true, "ann bob", "carol", []uint64{1, 2}},
		"one that expires now":                        {two, stranger, heard("approve ann1", "approve bob1 until 0"), false, "ann", "bob carol", []uint64{1}},
		"one that expired and another":                {two, stranger, heard("approve ann1", "approve bob1 until -1", "approve bob1 until 1"), true, "ann bob", "carol", []uint64{1, 3}},
		"one that lasts and then one that does not":   {two, stranger, heard("approve ann1", "approve bob1 until 9", "approve bob1 until -1"), true, "ann bob", "carol", []uint64{1, 2}},
		"words that approve nothing":                  {two, stranger, heard("approve ann1", "freeze bob1", "pay bob1", "Approve bob1"), false, "ann", "bob carol", []uint64{1}},
		"who asks does not count":                     {excluding, bob, heard("approve ann1", "approve bob1"), false, "ann", "carol", []uint64{1}},
		"who asks does not count, others do":          {excluding, bob, heard("approve ann1", "approve bob1", "approve carol1"), true, "ann carol", "", []uint64{1, 3}},
		"who asks with another of their accounts":     {excluding, signer.Caller{User: "root"}, heard("approve ann1", "approve bob1"), false, "bob", "carol", []uint64{2}},
		"nobody counts for a caller who is nobody's":  {excluding, stranger, heard("approve ann1", "approve bob1", "approve carol1"), false, "", "", nil},
		"nobody counts for a caller without a name":   {excluding, signer.Caller{}, heard("approve ann1", "approve bob1", "approve carol1"), false, "", "", nil},
		"who asks counts where that is not forbidden": {two, bob, heard("approve ann1", "approve bob1"), true, "ann bob", "carol", []uint64{1, 2}},
		"none of those who must be among them":        {including, stranger, heard("approve ann1", "approve bob1"), false, "ann bob", "carol", []uint64{1, 2}},
		"one of those who must be among them":         {including, stranger, heard("approve ann1", "approve carol1"), true, "ann carol", "bob", []uint64{1, 2}},
		"an officer who is not of the group":          {including, stranger, heard("approve ann1", "approve bob1", "approve dave1"), false, "ann bob", "carol", []uint64{1, 2}},
		"one device where two are asked":              {twice, stranger, heard("approve ann1", "approve bob1"), false, "", "ann bob carol", nil},
		"two devices of one, one of the other":        {twice, stranger, heard("approve ann1", "approve ann2", "approve bob1"), false, "ann", "bob carol", []uint64{1, 2}},
		"two devices of each":                         {twice, stranger, heard("approve ann1", "approve bob3", "approve ann2", "approve bob1"), true, "ann bob", "carol", []uint64{1, 2, 3, 4}},
		"the same device twice is one":                {twice, stranger, heard("approve ann1", "approve ann1", "approve bob1", "approve bob1"), false, "", "ann bob carol", nil},
		"the second device expired":                   {twice, stranger, heard("approve ann1", "approve ann2 until 0", "approve bob1", "approve bob2"), false, "bob", "ann carol", []uint64{3, 4}},
		"a group of people who are not there":         {signer.Quorum{Group: "ghosts", Approvals: 1}, stranger, heard("approve ann1"), false, "", "nobody", nil},
		"a group of nobody":                           {signer.Quorum{Group: "empty", Approvals: 1}, stranger, heard("approve ann1"), false, "", "", nil},
		"a group that is not there":                   {signer.Quorum{Group: "x", Approvals: 1}, stranger, heard("approve ann1"), false, "", "", nil},
		"a quorum of none":                            {signer.Quorum{Group: "treasury"}, stranger, heard("approve ann1"), false, "ann", "bob carol", []uint64{1}},
		"a quorum of fewer than none":                 {signer.Quorum{Group: "treasury", Approvals: -1}, stranger, heard("approve ann1"), false, "ann", "bob carol", []uint64{1}},
		"including a group that is not there":         {signer.Quorum{Group: "treasury", Approvals: 1, Including: "x"}, stranger, heard("approve ann1"), false, "ann", "bob carol", []uint64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			tally := signer.Count([]signer.Quorum{c.q}, board(), c.caller, c.heard, noon)
			q := tally.Quorums[0]
			if tally.Met() != c.met || q.Met() != c.met || strings.Join(q.Approved, " ") != c.approved || strings.Join(q.Open, " ") != c.open || !slices.Equal(tally.Counted, c.counted) {
				t.Errorf("Count = %+v; want met %v by %q, open to %q, leaves %v", tally, c.met, c.approved, c.open, c.counted)
			}
		})
	}
}

func TestQuorumsAreCountedEachByItself(t *testing.T) {
	quorums := []signer.Quorum{{Group: "treasury", Approvals: 2}, {Group: "officers", Approvals: 1}}
	for name, c := range map[string]struct {
		heard []signer.Heard
		met   bool
	}{
		"one is met, the other not":        {heard("approve ann1", "approve bob1"), false},
		"both, by three people":            {heard("approve ann1", "approve bob1", "approve dave1"), true},
		"one approval counts in both":      {heard("approve ann1", "approve carol1"), true},
		"but not for two people in either": {heard("approve carol1"), false},
		"a rejection outweighs all":        {heard("approve ann1", "approve carol1", "approve bob1", "reject dave1"), false},
		"a rejection stands for ever":      {heard("reject dave1 until -1", "withdraw dave1", "approve ann1", "approve carol1"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if tally := signer.Count(quorums, board(), alice, c.heard, noon); tally.Met() != c.met {
				t.Errorf("Count = %+v; want met %v", tally, c.met)
			}
		})
	}
	tally := signer.Count(quorums, board(), alice, heard("approve ann1", "reject dave1", "reject bob1"), noon)
	if tally.Rejected == nil || tally.Rejected.Leaf != 2 {
		t.Errorf("Rejected = %+v; want the first rejection", tally.Rejected)
	}
	if tally := signer.Count(nil, board(), alice, nil, noon); !tally.Met() {
		t.Error("what asks for no approval is not met")
	}
	if (signer.QuorumTally{}).Met() {
		t.Error("the zero quorum is met")
	}
}

// drawQuorum, drawHeard and drawCaller make histories of few people, so that all that can
// happen to one does.
func drawQuorum(t *rapid.T) signer.Quorum {
	return signer.Quorum{
		Group: rapid.SampledFrom([]string{"treasury", "officers", "ghosts", "empty"}).Draw(t, "group"), Approvals: rapid.IntRange(0, 3).Draw(t, "approvals"),
		ExcludeCaller: rapid.Bool().Draw(t, "exclude"), Including: rapid.SampledFrom([]string{"", "officers", "treasury", "empty"}).Draw(t, "including"),
		Devices: rapid.IntRange(0, 3).Draw(t, "devices"),
	}
}

func drawWord(words ...signer.Word) *rapid.Generator[signer.Heard] {
	return rapid.Custom(func(t *rapid.T) signer.Heard {
		a := signer.Approval{Word: rapid.SampledFrom(words).Draw(t, "word")}
		a.Device = rapid.SampledFrom([]string{"ann1", "ann2", "bob1", "bob2", "bob3", "carol1", "dave1", "eve1", ""}).Draw(t, "device")
		if n := rapid.IntRange(-2, 3).Draw(t, "until"); n < 3 {
			a.Expires = noon.Add(time.Duration(n))
		}
		return signer.Heard{Approval: a}
	})
}

func numbered(hs []signer.Heard) []signer.Heard {
	out := slices.Clone(hs)
	for i := range out {
		out[i].Leaf = uint64(i + 1)
	}
	return out
}

func drawCaller(t *rapid.T) signer.Caller {
	return signer.Caller{User: rapid.SampledFrom([]string{"alice", "root", "bob", "dave", "mallory", ""}).Draw(t, "user")}
}

// naive says who counts, by asking of everybody each question anew.
func naive(q signer.Quorum, p signer.People, c signer.Caller, hs []signer.Heard, at time.Time) (approved []string, met bool) {
	owns := func(a signer.Approver, id string) bool {
		return id != "" && slices.ContainsFunc(a.Devices, func(d signer.Device) bool { return d.ID == id })
	}
	callers := 0 // how many approvers the caller is
	for _, a := range p.Approvers {
		if slices.Contains(a.Users, c.User) {
			callers++
		}
	}
	included := q.Including == ""
	for _, a := range p.Approvers { // their names are in order
		keys := map[string]bool{}
		withdrew := false
		for _, h := range hs {
			withdrew = withdrew || owns(a, h.Approval.Device) && h.Approval.Word == "withdraw"
			if owns(a, h.Approval.Device) && h.Approval.Word == "approve" && (h.Approval.Expires.IsZero() || h.Approval.Expires.After(at)) {
				keys[h.Approval.Device] = true
			}
		}
		is := slices.Contains(a.Users, c.User)
		switch {
		case !slices.Contains(p.Groups[q.Group], a.Name), withdrew, len(keys) == 0, len(keys) < q.Devices:
		case q.ExcludeCaller && (is || callers == 0):
		default:
			approved = append(approved, a.Name)
			included = included || slices.Contains(p.Groups[q.Including], a.Name)
		}
	}
	return approved, q.Approvals > 0 && len(approved) >= q.Approvals && included
}

func TestCountingAgreesWithANaiveReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quorums := rapid.SliceOfN(rapid.Custom(drawQuorum), 0, 3).Draw(t, "quorums")
		hs := numbered(rapid.SliceOfN(drawWord("approve", "approve", "approve", "withdraw", "reject", "freeze", "x"), 0, 12).Draw(t, "heard"))
		caller := drawCaller(t)
		tally := signer.Count(quorums, board(), caller, hs, noon)
		all := !slices.ContainsFunc(hs, func(h signer.Heard) bool { return h.Approval.Word == "reject" })
		for i, q := range quorums {
			approved, met := naive(q, board(), caller, hs, noon)
			if got := tally.Quorums[i]; !slices.Equal(got.Approved, approved) || got.Met() != met || got.Quorum != q {
				t.Fatalf("Count = %+v of %+v; want %q, met %v", got, q, approved, met)
			}
			all = all && met
		}
		if tally.Met() != all {
			t.Fatalf("Met = %v; want %v: %+v", tally.Met(), all, tally)
		}
		for _, leaf := range tally.Counted {
			if h := hs[leaf-1].Approval; h.Word != "approve" || !h.Expires.IsZero() && !noon.Before(h.Expires) {
				t.Fatalf("leaf %d counts, and is %+v", leaf, h)
			}
		}
	})
}

func TestWhatMoreApprovalsChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quorums := rapid.SliceOfN(rapid.Custom(drawQuorum), 1, 3).Draw(t, "quorums")
		hs := rapid.SliceOfN(drawWord("approve", "approve", "withdraw"), 0, 8).Draw(t, "heard")
		caller := drawCaller(t)
		count := func(hs []signer.Heard, at time.Time) signer.Tally {
			return signer.Count(quorums, board(), caller, numbered(hs), at)
		}
		names := func(tally signer.Tally) (out []string) {
			for i, q := range tally.Quorums {
				for _, n := range q.Approved {
					out = append(out, fmt.Sprint(i, n))
				}
			}
			return out
		}
		now := count(hs, noon)
		more := count(append(slices.Clone(hs), drawWord("approve").Draw(t, "more")), noon)
		for _, n := range names(now) {
			if !slices.Contains(names(more), n) {
				t.Fatalf("an approval more, and %s does not count any more", n)
			}
		}
		if now.Met() && !more.Met() {
			t.Fatal("an approval more undid a quorum")
		}
		if again := count(append(slices.Clone(hs), hs...), noon); !reflect.DeepEqual(names(again), names(now)) {
			t.Fatalf("said twice, %q count; said once, %q", names(again), names(now))
		}
		if mixed := count(rapid.Permutation(hs).Draw(t, "mixed"), noon); !reflect.DeepEqual(names(mixed), names(now)) {
			t.Fatalf("in another order, %q count; %q before", names(mixed), names(now))
		}
		for _, n := range names(count(hs, noon.Add(1))) {
			if !slices.Contains(names(now), n) {
				t.Fatalf("%s counts as time passes", n)
			}
		}
		if rejected := count(append(slices.Clone(hs), drawWord("reject").Draw(t, "rejection")), noon); rejected.Met() {
			t.Fatal("met in spite of a rejection")
		}
	})
}

func TestNobodyWhoWithdrewCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quorum := drawQuorum(t)
		who := rapid.SampledFrom(board().Approvers).Draw(t, "who")
		gone := signer.Heard{Approval: signer.Approval{Word: "withdraw", Device: rapid.SampledFrom(who.Devices).Draw(t, "with").ID}}
		before := rapid.SliceOfN(drawWord("approve"), 0, 6).Draw(t, "before")
		after := rapid.SliceOfN(drawWord("approve"), 0, 6).Draw(t, "after")
		tally := signer.Count([]signer.Quorum{quorum}, board(), drawCaller(t), numbered(slices.Concat(before, []signer.Heard{gone}, after)), noon)
		if q := tally.Quorums[0]; slices.Contains(q.Approved, who.Name) || slices.Contains(q.Open, who.Name) {
			t.Fatalf("%s withdrew, and counts or still may: %+v", who.Name, q)
		}
	})
}

func TestFindingPeople(t *testing.T) {
	p := board()
	p.Approvers = append(p.Approvers, signer.Approver{Name: "zoe", Users: []string{""}, Devices: []signer.Device{{Name: "unenrolled"}}})
	for id, want := range map[string]string{"ann2": "ann", "bob3": "bob", "eve1": "", "": "", "ANN2": ""} {
		if a, d, ok := p.Find(id); a.Name != want || ok != (want != "") || ok && d.ID != id {
			t.Errorf("Find(%q) = %q, %+v, %v; want %q", id, a.Name, d, ok, want)
		}
	}
	for user, want := range map[string]string{"root": "ann", "bob": "bob", "carol": "", "": ""} {
		if got, ok := p.Owner(signer.Caller{User: user}); got != want || ok != (want != "") {
			t.Errorf("Owner(%q) = %q, %v; want %q", user, got, ok, want)
		}
	}
}

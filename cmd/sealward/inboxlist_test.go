package main

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

const dollar = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"

// bookOfTwo names ether and usdc.
var bookOfTwo = console.Names{Assets: map[string]signer.Asset{
	coin: {ID: coin, Name: "ether", Decimals: 18}, dollar: {ID: dollar, Name: "usdc", Decimals: 6},
}}

// waiting is a request that waits for ann and bob.
func waiting(leaf uint64, caller, id string, outflow ...*v1.Quantity) *v1.Pending {
	return &v1.Pending{
		Proposal: fmt.Sprintf("%064x", leaf), Leaf: leaf, Caller: caller, Id: id, Key: "hot", Kind: "evm.transaction", Class: "transfer", Outflow: outflow, State: "waiting",
		Since: noon, Deadline: timestamppb.New(noon.AsTime().Add(24 * time.Hour)),
		Quorums: []*v1.QuorumState{{Quorum: &v1.Quorum{Rule: "large", Group: "treasury", Approvals: 2}, Open: []string{"ann", "bob"}}},
	}
}

func exactly(asset, amount string) *v1.Quantity {
	return &v1.Quantity{Kind: "exact", Asset: asset, Amount: amount}
}

// outline is what a folded list shows: each group, and its heads.
func outline(senders []*sender) (out []string) {
	for _, s := range senders {
		text := s.caller + ":"
		for _, h := range s.heads {
			text += " " + h.p.GetId()
		}
		if s.more > 0 {
			text += fmt.Sprintf(" +%d", s.more)
		}
		out = append(out, text)
	}
	return out
}

func arranged(pending []*v1.Pending, names console.Names) []*sender {
	var all []*queued
	for _, p := range pending {
		all = append(all, newQueued(p, "ann"))
	}
	return arrange(all, names)
}

func TestTheLargestStandsFirst(t *testing.T) {
	strange := func(n int) string { return fmt.Sprintf("eip155:1/erc20:0x%040x", n) }
	unlimited := func(asset string) *v1.Quantity { return &v1.Quantity{Kind: "unlimited", Asset: asset} }
	unread := &v1.Quantity{Kind: "unknown"}
	var flood []*v1.Pending
	for i := range 50 {
		flood = append(flood, waiting(uint64(i+1), "uid:1", fmt.Sprint("s", i), exactly(coin, fmt.Sprint(1000+i))))
	}
	var spam []*v1.Pending
	for i := range 9 {
		spam = append(spam, waiting(uint64(i+1), "uid:1", fmt.Sprint("s", i), unlimited(strange(i))))
	}
	for name, c := range map[string]struct {
		pending []*v1.Pending
		want    []string
	}{
		"nothing waits": {nil, nil},
		"a larger amount before a smaller one that came first": {
			[]*v1.Pending{waiting(1, "uid:1", "small", exactly(coin, "5")), waiting(2, "uid:1", "large", exactly(coin, "10"))}, []string{"uid:1: large"}},
		"amounts are numbers and no texts": {
			[]*v1.Pending{waiting(1, "uid:1", "nine", exactly(coin, "9")), waiting(2, "uid:2", "ten", exactly(coin, "10"))}, []string{"uid:2: ten", "uid:1: nine"}},
		"a flood of one caller does not hide what another one asks for": {
			append(slices.Clone(flood), waiting(90, "uid:2", "huge", exactly(coin, "1000000"))), []string{"uid:2: huge", "uid:1: s49"}},
		"what is unlimited is larger than every amount": {
			[]*v1.Pending{waiting(1, "uid:1", "much", exactly(coin, "999999")), waiting(2, "uid:2", "all", unlimited(coin))}, []string{"uid:2: all", "uid:1: much"}},
		"what could not be read is shown beside the largest that could": {
			[]*v1.Pending{waiting(1, "uid:1", "much", exactly(coin, "9")), waiting(2, "uid:1", "unread", unread), waiting(3, "uid:1", "little", exactly(coin, "1"))}, []string{"uid:1: much unread"}},
		"an amount that is no number is larger than every amount": {
			[]*v1.Pending{waiting(1, "uid:1", "much", exactly(coin, "9")), waiting(2, "uid:1", "odd", exactly(coin, "0x1")), waiting(3, "uid:1", "minus", exactly(coin, "-1"))}, []string{"uid:1: odd"}},
		"an amount of more digits than any has is larger than every amount": {
			[]*v1.Pending{waiting(1, "uid:1", "much", exactly(coin, "9")), waiting(2, "uid:1", "long", exactly(coin, strings.Repeat("0", 100)+"1"))}, []string{"uid:1: long"}},
		"of two assets the largest of each is shown": {
			[]*v1.Pending{waiting(1, "uid:1", "wei", exactly(coin, "900000000000")), waiting(2, "uid:1", "dollars", exactly(dollar, "5")), waiting(3, "uid:1", "cents", exactly(dollar, "4"))}, []string{"uid:1: wei dollars"}},
		"the largest of an asset that the book has comes before that of one that it has not": {
			[]*v1.Pending{waiting(1, "uid:1", "spam", unlimited(strange(1))), waiting(2, "uid:2", "dollars", exactly(dollar, "5"))}, []string{"uid:2: dollars", "uid:1: spam"}},
		"strange assets do not push away what is known, and those that are not shown are counted": {
			append(slices.Clone(spam), waiting(90, "uid:1", "dollars", exactly(dollar, "5")), waiting(91, "uid:2", "more", exactly(dollar, "6"))),
			[]string{"uid:2: more", "uid:1: dollars s0 s1 s2 s3 +5"}},
		"strange assets do not hide what may be any asset": {
			append(slices.Clone(spam), waiting(90, "uid:1", "unread", unread)), []string{"uid:1: unread s0 s1 s2 s3 +5"}},
		"a change of policy is not hidden by payments": {
			append(slices.Clone(flood), &v1.Pending{Leaf: 90, Caller: "uid:1", Id: "policy", Class: "policy_change"}), []string{"uid:1: s49 policy"}},
		"what asks for as much comes in the order in which it came": {
			[]*v1.Pending{waiting(2, "uid:2", "later", exactly(coin, "5")), waiting(1, "uid:1", "sooner", exactly(coin, "5"))}, []string{"uid:1: sooner", "uid:2: later"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := outline(arranged(c.pending, bookOfTwo)); !slices.Equal(got, c.want) {
				t.Errorf("the list is %q, want %q", got, c.want)
			}
		})
	}
}

// Whatever waits, the largest of each known asset is on the folded list, and no group
// that has none of them stands before one that has.
func TestNothingBuriesTheLargest(t *testing.T) {
	assets := []string{coin, dollar, "eip155:1/erc20:0x01"}
	rapid.Check(t, func(t *rapid.T) {
		var pending []*v1.Pending
		for i := range rapid.IntRange(1, 60).Draw(t, "requests") {
			p := waiting(uint64(i+1), fmt.Sprint("uid:", rapid.IntRange(1, 5).Draw(t, "caller")), fmt.Sprint(i))
			for _, a := range assets {
				if rapid.Bool().Draw(t, "has") {
					kind := rapid.SampledFrom([]string{"exact", "exact", "exact", "at_most", "unlimited", "unknown"}).Draw(t, "kind")
					p.Outflow = append(p.Outflow, &v1.Quantity{Kind: kind, Asset: a, Amount: fmt.Sprint(rapid.IntRange(0, 1000).Draw(t, "amount"))})
				}
			}
			pending = append(pending, p)
		}
		senders := arranged(pending, bookOfTwo)
		shown, total := map[string]int{}, 0
		for i, s := range senders {
			total += len(s.entries)
			for _, h := range s.heads {
				shown[h.p.GetId()] = i
			}
		}
		if total != len(pending) {
			t.Fatalf("%d requests are in groups, want %d", total, len(pending))
		}
		last := -1
		for _, a := range assets[:2] {
			if id := largestOf(a, pending); id != "" {
				i, ok := shown[id]
				if !ok {
					t.Fatalf("request %s is the largest in %s and not on the folded list", id, a)
				}
				last = max(last, i)
			}
		}
		for i := range last {
			if !slices.ContainsFunc(senders[i].entries, func(q *queued) bool { return q.place == 0 }) {
				t.Fatalf("group %d has nothing that is largest, and stands before group %d, which has", i, last)
			}
		}
	})
}

// largestOf is the oldest of the largest by a plain search.
func largestOf(asset string, pending []*v1.Pending) (id string) {
	var most *big.Int
	for _, p := range pending {
		for _, q := range p.GetOutflow() {
			n, _ := new(big.Int).SetString(q.GetAmount(), 10)
			if q.GetKind() == "unlimited" || q.GetKind() == "unknown" {
				n = new(big.Int).Lsh(big.NewInt(1), 300)
			}
			if q.GetAsset() == asset && (most == nil || n.Cmp(most) > 0) {
				most, id = n, p.GetId()
			}
		}
	}
	return id
}

func TestARowSaysHowMuchAndHowLong(t *testing.T) {
	p := waiting(1, "uid:1", "r1", exactly(coin, "1500000000000000000"), &v1.Quantity{Kind: "unlimited", Asset: dollar}, &v1.Quantity{Kind: "unknown"})
	p.Warnings = []*v1.Warning{{Severity: "danger"}, {Severity: "of the future"}, {Severity: "info"}}
	p.Due = timestamppb.New(noon.AsTime().Add(time.Hour))
	p.Quorums[0].Approved = []string{"carol"}
	q := newQueued(p, "ann")
	if want := "transfer: 1.5 ether + UNLIMITED usdc + UNKNOWN amounts of UNKNOWN assets; DANGER: 2 warnings"; q.headline(bookOfTwo) != want {
		t.Errorf("the headline is %q, want %q", q.headline(bookOfTwo), want)
	}
	for after, want := range map[time.Duration]string{
		0:                            "key hot, id r1, 1 of 2 of treasury, waits 0s, due in 1h0m, expires in 1d0h",
		90*time.Minute + time.Second: "key hot, id r1, 1 of 2 of treasury, waits 1h30m, its delay is over, expires in 22h29m",
		24*time.Hour - time.Second:   "key hot, id r1, 1 of 2 of treasury, waits 23h59m, its delay is over, expires in 1s",
		24 * time.Hour:               "key hot, id r1, 1 of 2 of treasury, waits 1d0h, its delay is over, EXPIRED",
		-time.Minute:                 "key hot, id r1, 1 of 2 of treasury, waits 0s, due in 1h1m, expires in 1d0h",
	} {
		if got := q.state(noon.AsTime().Add(after)); got != want {
			t.Errorf("after %s it is %q, want %q", after, got, want)
		}
	}
	if !q.mine || newQueued(p, "carol").mine || newQueued(p, "").mine {
		t.Error("it is for ann, who may still approve, and for nobody else")
	}
	if strings.Contains(q.headline(console.Names{}), "usdc") {
		t.Error("a name of an asset comes from nowhere")
	}
}

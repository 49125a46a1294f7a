package journal

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// askPeople has requests wait, approved and settled from 16 goroutines until it is killed,
// and writes a line for whatever it was told is on disk.
func askPeople(path string) error {
	j, err := Open(Config{Path: path})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := j.Note(ctx, signer.Event{Type: signer.EventStarted}); err != nil {
		return err
	}
	if _, err := j.Checkpoint(ctx, publicKey("journal"), signWith("journal")); err != nil {
		return err
	}
	run := time.Now().UnixNano()
	failed := make(chan error)
	for g := range 16 {
		go func() {
			for n := 0; ; n++ {
				if err := askOnce(ctx, j, fmt.Sprintf("%d-%d-%d", run, g, n)); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// askOnce is one request of askPeople.
func askOnce(ctx context.Context, j *Journal, id string) error {
	p := proposal(j, id, "hot", wei(1))
	rec, err := j.Record(ctx, p, over(day), asksFor(asking(treasury(2))))
	if err != nil {
		return err
	}
	fmt.Printf("asked %s %d -\n", id, rec.Leaf)
	var leaves []uint64
	for _, who := range []string{"alice", "bob"} {
		leaf, prior, err := j.Hear(ctx, statement(j, p, signer.WordApprove, who, "key"), anything)
		if err != nil || prior {
			return fmt.Errorf("approved by %s, prior %v: %w", who, prior, err)
		}
		fmt.Printf("heard %s %d %s\n", id, leaf, who)
		leaves = append(leaves, leaf)
	}
	done, err := j.Settle(ctx, rec.Leaf, p, over(day), settles(granting(leaves, treasury(2))))
	if err != nil {
		return err
	}
	fmt.Printf("settled %s %d %s\n", id, done.Leaf, done.Decision.Verdict)
	return nil
}

// What waits and what was said of it outlive the daemon, at whatever moment it dies, and a
// request is settled once.
func TestNoApprovalIsLostWhenTheDaemonIsKilled(t *testing.T) {
	path := privateFile(t)
	var acks []ack
	for round := range 5 {
		acks = append(acks, killed(t, "treasury", path, 23+round*round*13)...)
	}
	j := open(t, Config{Path: path})
	all, err := j.AllWaiting(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("%d requests wait, %v; want those that were not settled", len(all), err)
	}
	for _, a := range acks {
		rec := lookup(t, j, a.id)
		approved := slices.ContainsFunc(rec.Heard, func(h signer.Heard) bool { return h.Leaf == a.leaf && h.Approver == a.verdict })
		switch {
		case a.what == "asked" && rec.Leaf != a.leaf && rec.Waited != a.leaf:
			t.Errorf("%s waited at leaf %d, and is %+v", a.id, a.leaf, rec)
		case a.what == "heard" && !approved:
			t.Errorf("the approval of %s at leaf %d is lost", a.id, a.leaf)
		case a.what == "settled" && (rec.Leaf != a.leaf || rec.Decision.Verdict != signer.Allow || len(rec.Heard) != 2):
			t.Errorf("%s was settled at leaf %d, and is %+v", a.id, a.leaf, rec)
		}
	}
	for _, w := range all { // what was heard before the crash counts after it
		rec, ok, err := j.Waiting(t.Context(), w.Proposal)
		if err != nil || !ok || len(rec.Heard) != w.Heard {
			t.Fatalf("Waiting = %+v, %v, %v; want %d heard", rec, ok, err, w.Heard)
		}
		leaves := []uint64{}
		for _, who := range []string{"alice", "bob"} {
			leaf, _, err := j.Hear(t.Context(), statement(j, rec.Proposal, signer.WordApprove, who, "key"), anything)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leaf)
		}
		for _, h := range rec.Heard { // which were signed by another clock, so they are other ones
			leaves = append(leaves, h.Leaf)
		}
		if out := settle(t, j, rec, granting(leaves, treasury(2))); out.Decision.Verdict != signer.Allow {
			t.Errorf("%s is settled as %+v", w.ID, out.Decision)
		}
	}
	if got := brief(t, j); got != nil {
		t.Errorf("there still wait %q", got)
	}
	r := good(t, j, path)
	if r.Asked != r.Authorized || r.Waiting != 0 {
		t.Errorf("report = %+v", r)
	}
}

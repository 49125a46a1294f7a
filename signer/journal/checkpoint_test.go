package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

func TestEveryLeafHasAProofOnceACheckpointCoversIt(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	v := trusting(t, path, j.Instance()).Trusted
	if _, err := j.Proof(t.Context(), 0); signer.CodeOf(err) != signer.CodePending {
		t.Errorf("Proof before any checkpoint: error = %v", err)
	}
	for i := range 20 {
		rec := record(t, j, proposal(j, fmt.Sprint(i), "hot", wei(1)), allow)
		if _, err := j.Proof(t.Context(), rec.Leaf); signer.CodeOf(err) != signer.CodePending {
			t.Errorf("Proof before its checkpoint: error = %v", err)
		}
		finish(t, j, rec)
		checkpoint(t, j, "journal")
		if i == 10 { // proofs of old leaves survive a restart
			shut(t, j)
			j = open(t, h.config(path))
		}
	}
	es, err := j.Entries(t.Context(), 0, maxPage)
	if err != nil || len(es) != 40 {
		t.Fatalf("%d entries, %v", len(es), err)
	}
	for _, e := range es {
		proof, err := j.Proof(t.Context(), e.Index)
		if err != nil {
			t.Fatal(err)
		}
		ev, c, err := receipt.Verify(v, e, proof)
		if err != nil || c.Size != 40 || ev.Type != e.Leaf.Type {
			t.Errorf("leaf %d: %v at size %d, %v", e.Index, ev.Type, c.Size, err)
		}
	}
}

func TestCheckpointsAreConsistent(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	var all []Checkpoint
	for i := range 9 {
		record(t, j, proposal(j, fmt.Sprint(i), "hot", wei(1)), allow)
		all = append(all, checkpoint(t, j, "journal"))
	}
	for i, earlier := range all {
		for _, later := range all[i:] {
			path, err := j.Consistency(t.Context(), earlier.Size, later.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := receipt.CheckConsistency(earlier.Checkpoint, later.Checkpoint, path); err != nil {
				t.Error(err)
			}
		}
	}
	for _, sizes := range [][2]uint64{{0, 3}, {4, 3}, {3, 10}} {
		if _, err := j.Consistency(t.Context(), sizes[0], sizes[1]); signer.CodeOf(err) != signer.CodeInvalid {
			t.Errorf("Consistency(%v) error = %v", sizes, err)
		}
	}
}

func TestACheckpointIsMadeWhenTheTreeHasGrown(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	signed := 0
	sign := func(ctx context.Context, text []byte) ([]byte, error) {
		signed++
		return signWith("journal")(ctx, text)
	}
	for range 2 { // of an empty tree, once
		if _, err := j.Checkpoint(t.Context(), publicKey("journal"), sign); err != nil {
			t.Fatal(err)
		}
	}
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	for range 2 {
		c, err := j.Checkpoint(t.Context(), publicKey("journal"), sign)
		if latest, ok := j.Latest(); err != nil || c.Size != 1 || !ok || latest.Size != 1 {
			t.Fatalf("Checkpoint = size %d, %v; latest has %d", c.Size, err, latest.Size)
		}
	}
	if signed != 2 {
		t.Errorf("%d checkpoints were signed, want 2", signed)
	}
}

func TestACheckpointUnderAnotherKeyIsRefusedByName(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	checkpoint(t, j, "journal")
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	for range 2 {
		_, err := j.Checkpoint(t.Context(), publicKey("another"), signWith("another"))
		first := trusting(t, path, j.Instance()).Trusted.String()
		if err == nil || !strings.Contains(err.Error(), "was signed by key "+first) {
			t.Errorf("Checkpoint error = %v, want %s in it", err, first)
		}
		shut(t, j)
		j = open(t, h.config(path))
	}
	checkpoint(t, j, "journal")
}

func TestACheckpointThatCannotBeSignedChangesNothing(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	for name, sign := range map[string]func(context.Context, []byte) ([]byte, error){
		"the token is gone":  func(context.Context, []byte) ([]byte, error) { return nil, errors.New("token removed") },
		"another key signs":  signWith("another"),
		"the token lies":     func(context.Context, []byte) ([]byte, error) { return make([]byte, 64), nil },
		"the token is silly": func(context.Context, []byte) ([]byte, error) { return nil, nil },
	} {
		if _, err := j.Checkpoint(t.Context(), publicKey("journal"), sign); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if c, ok := j.Latest(); ok {
		t.Errorf("latest = %+v, want none", c)
	}
	record(t, j, proposal(j, "b", "hot", wei(1)), allow)
	if c := checkpoint(t, j, "journal"); c.Size != 2 {
		t.Errorf("size = %d, want 2", c.Size)
	}
}

func TestTheJournalGoesOnWhileACheckpointIsSigned(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	c, err := j.Checkpoint(t.Context(), publicKey("journal"), func(ctx context.Context, text []byte) ([]byte, error) {
		record(t, j, proposal(j, "b", "hot", wei(1)), allow) // would wait for ever if it had to
		return signWith("journal")(ctx, text)
	})
	if err != nil || c.Size != 1 {
		t.Errorf("Checkpoint = size %d, %v; want the size when it was asked for", c.Size, err)
	}
}

func TestWaitCheckpointWaitsForALeaf(t *testing.T) {
	j := open(t, newHost().config(privateFile(t)))
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := j.WaitCheckpoint(ctx, 0); signer.CodeOf(err) != signer.CodePending {
		t.Errorf("without a checkpoint: error = %v", err)
	}
	got := make(chan error)
	for range 3 {
		go func() {
			c, err := j.WaitCheckpoint(t.Context(), 0)
			if err == nil && c.Size != 1 {
				err = fmt.Errorf("size %d", c.Size)
			}
			got <- err
		}()
	}
	checkpoint(t, j, "journal")
	for range 3 {
		if err := <-got; err != nil {
			t.Errorf("WaitCheckpoint error = %v", err)
		}
	}
}

package main

import (
	"context"
	"strings"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/receipt"
)

// entry reads one leaf of the journal as somebody would who keeps receipts.
func (h *host) entry(leaf uint64) receipt.Entry {
	h.t.Helper()
	page, err := h.admin().Entries(context.Background(), leaf, 1)
	must(h.t, err)
	if len(page.GetEntries()) != 1 {
		h.t.Fatalf("leaf %d: got %d entries, want it", leaf, len(page.GetEntries()))
	}
	e := page.GetEntries()[0]
	salt := [32]byte(e.GetSalt())
	return receipt.Entry{
		Index: e.GetIndex(), Salt: salt, Body: []byte(e.GetBody()),
		Leaf: receipt.Leaf{Type: signer.EventType(e.GetType()), Time: e.GetTime().AsTime(), Commitment: receipt.Commit(salt, []byte(e.GetBody()))},
	}
}

func TestAProofThatCameWithASignatureVerifies(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	res, err := h.sign().Sign(context.Background(), &v1.SignRequest{Request: payment("r1", 7), Proof: true})
	must(t, err)
	at, err := h.admin().Checkpoint(context.Background(), false)
	must(t, err)
	trusted, err := receipt.ParseVerifier(at.GetVerifierKey())
	must(t, err)

	entry := h.entry(res.GetLeaf())
	ev, checkpoint, err := receipt.Verify(trusted, entry, []byte(res.GetProof()))
	if err != nil {
		t.Fatalf("the proof does not verify: %v", err)
	}
	if ev.Type != signer.EventAuthorized || ev.Proposal.Request.ID != "r1" || checkpoint.Size <= res.GetLeaf() {
		t.Errorf("proven is %q of request %q in a tree of %d, want the authorisation of r1", ev.Type, ev.Proposal.Request.ID, checkpoint.Size)
	}
	if got, want := ev.Proposal.Intent.Messages[0].Bytes, res.GetIntent().GetMessages()[0].GetBytes(); string(got) != string(want) {
		t.Errorf("proven is the message %x, signed was %x", got, want)
	}

	// It proves nothing else.
	other := h.entry(res.GetOutcomeLeaf())
	other.Index = entry.Index
	if _, _, err := receipt.Verify(trusted, other, []byte(res.GetProof())); err == nil {
		t.Error("the proof also verifies for another entry")
	}
	altered := entry
	altered.Body = []byte(strings.Replace(string(entry.Body), `"r1"`, `"r2"`, 1))
	if _, _, err := receipt.Verify(trusted, altered, []byte(res.GetProof())); err == nil {
		t.Error("the proof also verifies for an altered entry")
	}
	stranger := newHost(t)
	q := stranger.start()
	theirs, err := stranger.admin().Checkpoint(context.Background(), true)
	must(t, err)
	another, err := receipt.ParseVerifier(theirs.GetVerifierKey())
	must(t, err)
	if _, _, err := receipt.Verify(another, entry, []byte(res.GetProof())); err == nil {
		t.Error("the proof verifies under the name of another journal")
	}
	q.stop()

	// The same proof, or one of a later checkpoint, survives a restart.
	p.stop()
	h.start()
	late, err := h.admin().Proof(context.Background(), res.GetLeaf(), true)
	must(t, err)
	if _, _, err := receipt.Verify(trusted, entry, []byte(late)); err != nil {
		t.Errorf("a proof of after the restart: %v", err)
	}
}

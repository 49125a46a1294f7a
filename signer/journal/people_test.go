package journal

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// treasury is a quorum of a group that the policy of these tests has.
func treasury(approvals int) signer.Quorum {
	return signer.Quorum{Rule: "large", Group: "treasury", Approvals: approvals}
}

// asking is a decision to ask: for quorums, within a day.
func asking(quorums ...signer.Quorum) signer.Decision {
	return signer.Decision{Verdict: signer.Ask, Rules: []string{"large"}, Reason: "it takes approvals", Quorums: quorums, Expires: day}
}

// asksFor decides so.
func asksFor(d signer.Decision) func(signer.Facts) signer.Decision {
	return func(signer.Facts) signer.Decision { return d }
}

// granting is a decision to allow by approvals.
func granting(approvals []uint64, quorums ...signer.Quorum) signer.Decision {
	return signer.Decision{Verdict: signer.Allow, Rules: []string{"large"}, Quorums: quorums, Expires: day, Approvals: approvals}
}

// settles decides so, whatever was heard.
func settles(d signer.Decision) func(signer.Facts, []signer.Heard) signer.Decision {
	return func(signer.Facts, []signer.Heard) signer.Decision { return d }
}

// statement is what an approver says of a proposal with a device, whose keys are named
// for them.
func statement(j *Journal, p signer.Proposal, word signer.Word, approver, device string) signer.Event {
	sum := sha256.Sum256([]byte(approver + device + string(word)))
	a := signer.Approval{
		Word: word, Instance: j.Instance(), Device: fmt.Sprintf("SHA256:%s-%s", approver, device), Reason: "because",
		Time: j.c.Now(), Nonce: [16]byte(sum[:16]),
	}
	kind := signer.EventFrozen
	if word != signer.WordFreeze {
		kind, a.Proposal = signer.EventApproval, p.Digest()
	}
	return signer.Event{Type: kind, Heard: &signer.Heard{Approval: a, Approver: approver, Device: device, Signed: []byte("signed by " + approver)}}
}

func anything(signer.Recorded) error { return nil }

// hear has a statement recorded, which must not fail.
func hear(t testing.TB, j *Journal, e signer.Event) uint64 {
	t.Helper()
	leaf, prior, err := j.Hear(t.Context(), e, anything)
	if err != nil || prior {
		t.Fatalf("Hear of %q: prior %v, error %v", e.Heard.Approver, prior, err)
	}
	return leaf
}

// say is hear of a word about a proposal.
func say(t testing.TB, j *Journal, p signer.Proposal, word signer.Word, approver string) uint64 {
	t.Helper()
	return hear(t, j, statement(j, p, word, approver, "key"))
}

// settle is Settle with the same proposal, which must not fail.
func settle(t testing.TB, j *Journal, rec signer.Recorded, d signer.Decision) signer.Recorded {
	t.Helper()
	out, err := j.Settle(t.Context(), rec.Leaf, rec.Proposal, over(day), settles(d))
	if err != nil {
		t.Fatalf("Settle(%d) error = %v", rec.Leaf, err)
	}
	return out
}

// renewed is the proposal that another policy makes of one.
func renewed(p signer.Proposal, policy byte) signer.Proposal {
	p.Policy, p.Nonce = [32]byte{policy}, sha256.Sum256(append(p.Nonce[:], policy))
	return p
}

// lookup finds a request of the caller of these tests, which must be there.
func lookup(t testing.TB, j *Journal, id string) signer.Recorded {
	t.Helper()
	rec, ok, err := j.Lookup(t.Context(), "uid:1000", id)
	if err != nil || !ok {
		t.Fatalf("Lookup(%s) = %v, %v", id, ok, err)
	}
	return rec
}

// pending is how many other requests wait, as the facts about a proposal say.
func pending(t testing.TB, j *Journal, p signer.Proposal) int {
	t.Helper()
	f, err := j.Facts(t.Context(), p, over())
	if err != nil {
		t.Fatal(err)
	}
	return f.Pending
}

// good signs a checkpoint, closes a journal and verifies it.
func good(t testing.TB, j *Journal, path string) Report {
	t.Helper()
	checkpoint(t, j, "journal")
	shut(t, j)
	r := verify(t, trusting(t, path, j.Instance()))
	intact(t, r)
	return r
}

func words(heard []signer.Heard) (out []string) {
	for _, h := range heard {
		out = append(out, fmt.Sprintf("%d %s %s", h.Leaf, h.Approver, h.Approval.Word))
	}
	return out
}

// change is a proposal to put a version of the policy in force, with its bundle.
func change(j *Journal, id string, to byte, bundle string) signer.Proposal {
	p := act(j, id, "hot", signer.ClassPolicyChange)
	p.Intent.Effects[0].Attributes = map[string]string{signer.AttributePolicyTo: fmt.Sprintf("%x", [32]byte{to})}
	p.Bundle = []byte(bundle)
	return p
}

// brief says of every request that waits what is known without reading its record.
func brief(t testing.TB, j *Journal) (out []string) {
	t.Helper()
	all, err := j.AllWaiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		out = append(out, fmt.Sprintf("%d %s %s %d %d heard, due %s, until %s", w.Leaf, w.Caller, w.ID, w.Policy[0], w.Heard, w.Due.Sub(w.Since), w.Deadline.Sub(w.Since)))
	}
	return out
}

const hour = time.Hour

package main

import (
	"context"
	"strings"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// exitWaits is the exit code of what waits for approvals.
const exitWaits = 8

// proposes asks for an administrative act, and returns the digest of what waits.
func (o *office) proposes(id string, args ...string) (proposal string) {
	o.t.Helper()
	code, stdout, stderr := o.sealward(-1, append(args, "--id", id)...)
	if code != exitWaits {
		o.t.Fatalf("sealward %q ends with %d, want %d:\n%s%s", args, code, exitWaits, stdout, stderr)
	}
	res, err := o.admin().Request(context.Background(), id, "")
	must(o.t, err)
	if res.GetState() != "waiting" {
		o.t.Fatalf("%s is %q", id, res.GetState())
	}
	return res.GetProposalDigest()
}

// done waits until an administrative act is.
func (o *office) done(id string) {
	o.t.Helper()
	eventually(o.t, id+" is done", func() bool {
		res, err := o.admin().Request(context.Background(), id, "")
		must(o.t, err)
		return res.GetState() == "acted"
	})
}

func (o *office) policyChanged() {
	p := o.asks(payment("void", 11))
	o.carol.approves(p)
	signed, held := o.said("void"), o.bob.approvesInAFile(p)

	old, conf := o.status().GetPolicy(), o.path("sealward.hcl")
	o.edit("policy.hcl", `expires = "10s"`, `expires = "1m"`)
	next := o.onDisk()
	change := o.proposes("change", "policy", "apply", "--config", conf, "--reason", "ten seconds are few", "--to", next)
	// What is on disk from now on is not what was proposed: bob's card has become ann's.
	o.write("approvers/bob.pem", o.ann.read("certificate.pem"))
	o.write("approvers/bob-attestation.pem", o.ann.read("slot.pem")+o.ann.read("token.pem"))
	o.edit("policy.hcl", `including = "officers"`, ``)

	_, shown := o.ann.runsWith("approver.hcl", "approve", "--yes", change)
	contains(o.t, "what ann reads", shown, "messages, soon", next)
	o.counts(change, "ann")
	if now := o.status().GetPolicy(); now != old {
		o.t.Errorf("policy %s is in force before its quorum", now)
	}
	o.bob.approves(change)
	o.done("change")
	if now := o.status().GetPolicy(); now != next {
		o.t.Errorf("policy %s is in force, want %s", now, next)
	}

	again := o.renewed("void", p)
	o.known(o.carol, signed) // about what is no more
	o.unheard("of another version of the policy", signer.CodeNotFound, "another policy made a new proposal", held)
	about := decoded(o.t, again)
	o.unheard("of another version of the policy, moved to this one", signer.CodeInvalid, "signature", forged(o.t, signed, func(a *signer.Approval) { a.Proposal = about }))
	o.counts(again)
	o.bob.approves(again) // with the card that is his
	o.carol.approves(again)
	o.becomes("void", "signed")
	o.restart()
	if now := o.status().GetPolicy(); now != next {
		o.t.Errorf("policy %s is in force after a start, want %s; the one on disk counts for nothing", now, next)
	}
}

// renewed waits until another policy has made another proposal of a request.
func (o *office) renewed(id, old string) (proposal string) {
	o.t.Helper()
	eventually(o.t, id+" is another proposal", func() bool {
		proposal = o.state(id).GetProposalDigest()
		return proposal != old
	})
	return proposal
}

// restart stops the daemon and starts it again.
func (o *office) restart() {
	o.t.Helper()
	t := o.t
	defer func() { o.t = t }()
	o.t = o.daemon.t // it stays for what comes after this case
	o.daemon = o.again(o.daemon)
}

func (o *office) frozen() {
	p, q := o.asks(payment("frozen", 12)), o.asks(payment("also", 13))
	o.ann.approves(p)
	if code, _, stderr := o.sealward(-1, "freeze", "--reason", "I may not"); code != 3 || !strings.Contains(stderr, "freeze_users") {
		o.t.Errorf("a user whom the configuration does not list freezes: %d, %s", code, stderr)
	}
	out := o.carol.runs("freeze", "--sign", "--reason", "my bag is gone")
	contains(o.t, "freeze", out, "nothing is signed until a thaw", "nothing was inside a device")
	for range 2 {
		contains(o.t, "status", o.status().GetFrozen(), `approver "carol"`, "my bag is gone")
		if _, err := o.sign().Sign(o.t.Context(), &v1.SignRequest{Request: payment("new", 14)}); codeOf(err) != signer.CodeFrozen {
			o.t.Errorf("asked while it is frozen: %v, want code %q", err, signer.CodeFrozen)
		}
		o.carol.refused("frozen", "approve", "--yes", p)
		o.restart()
	}
	o.bob.runs("reject", "--yes", q, "--reason", "not now")
	o.becomes("also", "denied")

	thaw := o.proposes("thaw", "thaw", "--reason", "she found it")
	o.ann.approves(thaw)
	contains(o.t, "status", o.status().GetFrozen(), "my bag is gone")
	o.bob.approves(thaw)
	o.done("thaw")
	if why := o.status().GetFrozen(); why != "" {
		o.t.Errorf("after a thaw it is %s", why)
	}
	signed := o.froze()
	if res, err := o.admin().Freeze(o.t.Context(), "", signed); codeOf(err) != signer.CodeConflict || o.status().GetFrozen() != "" {
		o.t.Errorf("the freeze that was thawed, posted again: %v, %v; want code %q", res, err, signer.CodeConflict)
	}
	o.counts(p, "ann")
	o.carol.approves(p)
	o.becomes("frozen", "signed")
}

// froze is the one signed freeze on record.
func (o *office) froze() (signed []byte) {
	o.t.Helper()
	for _, ev := range o.events(0) {
		if ev.Type == signer.EventFrozen {
			signed = ev.Heard.Signed
		}
	}
	return signed
}

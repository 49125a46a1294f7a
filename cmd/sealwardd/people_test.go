package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/backends/sim"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// TestPeople is three people with a PIV card each, their own program and their own
// configuration, who reach one daemon through OpenSSH. What each of them signed is sent
// once more wherever it might count and must not. In the end the journal is sound, and
// what people said verifies with openssl and ssh-keygen.
func TestPeople(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for _, c := range []struct {
		name string
		do   func(o *office)
	}{
		{"two of three sign, and one of them is an officer", (*office).twoOfThree},
		{"who asks for it does not count", (*office).requesterExcluded},
		{"one rejection ends it", (*office).rejected},
		{"a person counts once, with whichever of her keys", (*office).oncePerPerson},
		{"two devices of one person, where the policy asks for two", (*office).twoDevices},
		{"an approval is good for its own request alone", (*office).anotherRequest},
		{"an approval is good for its own daemon alone", (*office).anotherDaemon},
		{"an approval that expired is not taken", (*office).expiredApproval},
		{"what expires counts no more, be it the approval or the request", (*office).expired},
		{"what was withdrawn stays so", (*office).withdrawn},
		{"without a connection, approvals travel as files", (*office).offline},
		{"a card that is pulled while it signs has signed nothing", (*office).pulled},
		{"a wrong PIN is tried once", (*office).wrongPIN},
		{"a change of policy takes its quorum, and voids what was approved before", (*office).policyChanged},
		{"a freeze holds over a restart, until a quorum thaws it", (*office).frozen},
	} {
		if !o.under(t, c.name, c.do) {
			return // what follows builds on the same daemon
		}
	}
	out := o.sealwardOK("journal", "verify")
	contains(t, "journal verify", out, "0 failed, 0 outcome unknown", "intact")
	jws, sshsig := o.provable()
	if jws < 30 || sshsig != 2 {
		t.Errorf("%d JWS and %d SSH signatures are on record; want those of all cases", jws, sshsig)
	}
	o.daemon.stop()
}

func (o *office) twoOfThree() {
	p := o.asks(payment("ether", 1))
	o.ann.approves(p)
	o.counts(p, "ann")
	o.bob.approves(p)
	o.counts(p, "ann", "bob") // two of three, and no officer
	o.carol.approves(p)
	got := o.becomes("ether", "signed")
	res, err := o.sign().Sign(o.t.Context(), &v1.SignRequest{Request: payment("ether", 1)})
	if err != nil || len(res.GetSignatures()) != 1 || string(res.GetArtifact()) != string(got.GetArtifact()) {
		o.t.Errorf("asked again, it is %v, %v; the record has %v", res, err, got)
	}
	ev := o.events(got.GetLeaf())[0]
	if ev.Type != signer.EventAuthorized || ev.Waited == 0 || len(ev.Decision.Approvals) != 3 {
		o.t.Errorf("leaf %d is %q, waited at leaf %d, by the approvals %v; want three", got.GetLeaf(), ev.Type, ev.Waited, ev.Decision.Approvals)
	}
}

func (o *office) requesterExcluded() {
	p := o.asks(devcoins("devcoin"))
	o.ann.refused("a request of their own", "approve", "--yes", p)
	o.bob.approves(p)
	o.counts(p, "bob")
	o.carol.approves(p)
	o.becomes("devcoin", "signed")
}

func (o *office) rejected() {
	p := o.asks(payment("rejected", 2))
	o.bob.approves(p)
	o.carol.runs("reject", "--yes", p, "--reason", "we know no such vendor")
	if why := o.becomes("rejected", "denied").GetDecision().GetReason(); !strings.Contains(why, `rejected by "carol": we know no such vendor`) {
		o.t.Errorf("the record says %q", why)
	}
	o.ann.refused("no request waits", "approve", "--yes", p)
	if _, err := o.sign().Sign(o.t.Context(), &v1.SignRequest{Request: payment("rejected", 2)}); codeOf(err) != signer.CodeDenied {
		o.t.Errorf("asked again: %v, want code %q", err, signer.CodeDenied)
	}
}

func (o *office) oncePerPerson() {
	p := o.asks(payment("once", 3))
	o.bob.approves(p)
	o.bob.refused("nobody counts twice", "approve", "--yes", p)
	o.bob.runsWith("laptop.hcl", "approve", "--yes", p)
	o.counts(p, "bob")
	if heard := o.state("once").GetHeard(); len(heard) != 2 || heard[0].GetDevice() == heard[1].GetDevice() {
		o.t.Errorf("on record is %v, want what both of bob's keys signed", heard)
	}
	o.carol.approves(p)
	o.becomes("once", "signed")
}

func (o *office) twoDevices() {
	p := o.asks(note("two-devices", "cold"))
	o.bob.approves(p)
	o.counts(p)
	o.bob.runsWith("laptop.hcl", "approve", "--yes", p)
	o.becomes("two-devices", "signed")
}

func (o *office) anotherRequest() {
	one, other := o.asks(payment("one", 4)), o.asks(payment("other", 4))
	o.carol.approves(one)
	signed := o.said("one")
	o.known(o.ann, signed) // the same again is no other approval
	o.counts(one, "carol")
	about := decoded(o.t, other)
	o.unheard("moved to another request", signer.CodeInvalid, "signature", forged(o.t, signed, func(a *signer.Approval) { a.Proposal = about }))
	o.unheard("with another nonce", signer.CodeInvalid, "signature", forged(o.t, signed, func(a *signer.Approval) { a.Nonce[0]++ }))
	o.counts(other)
	o.ann.approves(one)
	o.becomes("one", "signed")
	o.known(o.bob, signed)
	o.counts(other)
	o.cancels("other")
}

func (o *office) anotherDaemon() {
	p := o.asks(payment("here", 5))
	o.carol.approves(p)
	signed := o.said("here")

	there := newHost(o.t)
	o.lay(there)
	daemon := there.start()
	elsewhere := &office{host: there} // nobody approves anything there
	q := elsewhere.asks(payment("here", 5))
	about, instance := decoded(o.t, q), there.status().GetInstance()
	elsewhere.unheard("of another daemon", signer.CodeInvalid, "is for instance", signed)
	elsewhere.unheard("of another daemon, with the name of this one", signer.CodeInvalid, "signature",
		forged(o.t, signed, func(a *signer.Approval) { a.Instance, a.Proposal = instance, about }))
	elsewhere.counts(q)

	// And carol's program signs nothing for a daemon that she does not know.
	before := o.carol.card.Counts().Signatures
	o.carol.write("elsewhere.hcl", strings.Replace(o.carol.read("approver.hcl"), "daemon.sock", there.path("admin.sock"), 1))
	code, _, stderr := o.carol.sealward("elsewhere.hcl", "approve", "--yes", q)
	if code != 7 || !strings.Contains(stderr, instance) || o.carol.card.Counts().Signatures != before {
		o.t.Errorf("carol approves for a daemon that is not in her file: %d, %s", code, stderr)
	}
	elsewhere.counts(q)
	there.sound()
	daemon.stop()
	o.cancels("here")
}

func (o *office) expiredApproval() {
	p := o.asks(payment("late", 6))
	signed := o.carol.approvesInAFile(p, "--valid-for", "1s")
	time.Sleep(2 * time.Second) // it is past its end then, however long all else takes
	o.unheard("that expired", signer.CodeExpired, "expired at", signed)
	o.unheard("that expired, with another end", signer.CodeInvalid, "signature", forged(o.t, signed, func(a *signer.Approval) { a.Expires = a.Expires.Add(time.Hour) }))
	o.unheard("that expired, without an end", signer.CodeInvalid, "signature", forged(o.t, signed, func(a *signer.Approval) { a.Expires = time.Time{} }))
	o.ann.approves(p)
	o.counts(p, "ann")
	o.carol.approves(p) // nothing of hers is on record
	o.becomes("late", "signed")
}

func (o *office) expired() {
	brief, lapsing := o.asks(note("brief", "hot")), o.asks(payment("lapsing", 6))
	end := o.state("brief").GetDeadline().AsTime()
	held := o.carol.approvesInAFile(brief)
	o.carol.runs("approve", "--yes", lapsing, "--valid-for", "10s")
	o.counts(lapsing, "carol")

	got := o.becomes("brief", "denied")
	if why := got.GetDecision().GetReason(); !strings.Contains(why, "expired at "+end.Format("2006-01-02T15:04:05")) || got.GetTime().AsTime().Before(end) {
		o.t.Errorf("decided at %s, to expire at %s: %s", got.GetTime().AsTime(), end, why)
	}
	o.unheard("of a request that expired", signer.CodeNotFound, "no request waits", held)

	until := o.state("lapsing").GetHeard()[0].GetExpires().AsTime()
	time.Sleep(time.Until(until))
	o.counts(lapsing)
	o.ann.approves(lapsing) // with carol's they would be two, and she is an officer
	o.counts(lapsing, "ann")
	o.cancels("lapsing")
}

func (o *office) withdrawn() {
	p := o.asks(payment("withdrawn", 7))
	o.ann.approves(p)
	o.bob.refused("nothing to withdraw", "withdraw", "--yes", p)
	o.bob.approves(p)
	o.bob.runs("withdraw", "--yes", p, "--reason", "the invoice is a duplicate")
	o.counts(p, "ann")
	heard := o.state("withdrawn").GetHeard()
	if len(heard) != 3 || heard[1].GetApprover() != "bob" {
		o.t.Fatalf("on record is %v", heard)
	}
	o.known(o.bob, heard[1].GetSigned())
	o.counts(p, "ann")
	o.bob.refused("withdrew, which is final", "approve", "--yes", p)
	if code, _, stderr := o.bob.sealward("laptop.hcl", "approve", "--yes", p); code == 0 || !strings.Contains(stderr, "withdrew, which is final") {
		o.t.Errorf("bob's other key approves what he withdrew: %d, %s", code, stderr)
	}
	o.counts(p, "ann")
	o.carol.approves(p)
	o.becomes("withdrawn", "signed")
}

func (o *office) offline() {
	p := o.asks(payment("offline", 8))
	request, signed := o.carol.path("offline.request"), o.carol.path("offline.signed")
	o.ann.runs("request", "export", p, request)
	_, said := o.carol.runsWith("offline.hcl", "approve", "--yes", p, "--file", request, "--out", signed)
	contains(o.t, "what carol reads", said, "0.1 eth", "Acme")
	o.counts(p)
	for _, again := range []string{"", "as it was before"} {
		code, stdout, stderr := o.ann.sealward("", "approval", "import", "--socket", o.ann.path("daemon.sock"), signed)
		if code != 0 || !strings.Contains(stdout, "approved by carol") || !strings.Contains(stdout, again) {
			o.t.Errorf("approval import ends with %d: %s%s", code, stdout, stderr)
		}
		o.counts(p, "carol")
	}
	o.bob.approves(p)
	o.becomes("offline", "signed")
}

func (o *office) pulled() {
	p := o.asks(payment("pulled", 9))
	touch := o.carol.touch
	o.carol.touch = func() {
		if err := o.carol.reader.Remove(o.carol.card); err != nil {
			o.t.Error(err)
		}
	}
	o.carol.refused("your device", "approve", "--yes", p)
	o.counts(p)
	o.carol.refused("out of reach", "approve", "--yes", p) // there is no card
	o.carol.touch = touch
	must(o.t, o.carol.reader.Insert(o.carol.card))
	o.carol.approves(p)
	o.ann.approves(p)
	o.becomes("pulled", "signed")
}

func (o *office) wrongPIN() {
	p := o.asks(payment("pin", 10))
	before, _ := o.carol.card.Tries()
	o.carol.write("pin", "654321")
	o.carol.write("asked", "")
	o.carol.refused("refused the PIN", "approve", "--yes", p)
	if left, _ := o.carol.card.Tries(); left != before-1 {
		o.t.Errorf("%d tries are left of %d, want one fewer", left, before)
	}
	if asked := o.carol.read("asked"); strings.Count(asked, "\n") != 1 || !strings.Contains(asked, fmt.Sprintf("%d tries left", before)) {
		o.t.Errorf("carol was asked %q, want once, with %d tries left", asked, before)
	}
	o.counts(p)
	o.carol.write("pin", sim.CardPIN)
	o.carol.approves(p)
	o.ann.approves(p)
	o.becomes("pin", "signed")
	if left, _ := o.carol.card.Tries(); left != before {
		o.t.Errorf("%d tries are left, want %d", left, before)
	}
}

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// office is a daemon whose policy asks three people, each of whom reaches it through a
// socket that OpenSSH forwards to her own machine.
type office struct {
	*host
	daemon          *process
	ann, bob, carol *holder
	maker           string // of the cards, in PEM
	laptop          string // bob's other key, one of SSH
}

// officePolicy asks for approvals: for payments in ether two people and one of them an
// officer, for payments in devcoin two and not whoever asks, for messages of key hot one
// and soon, for messages of key cold one with two devices.
const officePolicy = hostAssets + `
approver "ann" {
  users       = [%q]
  certificate = "approvers/ann.pem"
  attestation = "approvers/ann-attestation.pem"
}
approver "bob" {
  device "card" {
    certificate = "approvers/bob.pem"
    attestation = "approvers/bob-attestation.pem"
  }
  device "laptop" {
    ssh_key = "approvers/bob.pub"
  }
}
approver "carol" {
  roles       = ["officer"]
  certificate = "approvers/carol.pem"
  attestation = "approvers/carol-attestation.pem"
}
attestation {
  roots = ["approvers/maker.pem"]
  touch = "always"
  pin   = "always"
}
group "treasury" { members = ["ann", "bob", "carol"] }
group "officers" { roles = ["officer"] }

rule "payments in ether" {
  keys  = ["hot"]
  kinds = ["evm.transaction"]
  when  = "effects.all(e, e.class == 'transfer' && e.quantity.asset == assets.eth)"
  require {
    group     = "treasury"
    approvals = 2
    including = "officers"
  }
}
rule "payments in devcoin" {
  keys  = ["hot"]
  kinds = ["evm.transaction"]
  when  = "effects.all(e, e.class == 'transfer' && e.quantity.asset == assets.devcoin)"
  require {
    group          = "treasury"
    approvals      = 2
    exclude_caller = true
  }
}
rule "messages, soon" {
  keys    = ["hot"]
  kinds   = ["evm.message"]
  expires = "10s"
  require {
    group     = "treasury"
    approvals = 1
  }
}
rule "messages, with two devices" {
  keys  = ["cold"]
  kinds = ["evm.message"]
  require {
    group     = "treasury"
    approvals = 1
    devices   = 2
  }
}
rule "policy and thaw" {
  keys = ["sealward"]
  when = "effects.all(e, e.class in ['policy_change', 'thaw'])"
  require {
    group     = "treasury"
    approvals = 2
  }
}
`

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{host: newHost(t)}
	maker, people := newHolders(t, o.dir, "ann", "bob", "carol")
	o.ann, o.bob, o.carol, o.maker = people["ann"], people["bob"], people["carol"], pemOf(maker)
	o.laptop = sshKey(t, o.bob.path("laptop"))
	o.lay(o.host)
	o.daemon = o.start()
	outdoors := newSSHHost(t, o.path("ssh"))
	for _, p := range people {
		outdoors.admit(sshKey(t, p.path("login")))
		outdoors.forward(p.path("login"), p.path("daemon.sock"), o.path("admin.sock"))
		p.configure(o)
	}
	return o
}

// lay gives a host the policy of the office, and what it names.
func (o *office) lay(h *host) {
	o.t.Helper()
	must(o.t, os.Mkdir(h.path("approvers"), 0o700))
	h.write("approvers/maker.pem", o.maker)
	h.write("approvers/bob.pub", o.laptop)
	for _, p := range []*holder{o.ann, o.bob, o.carol} {
		h.write("approvers/"+p.name+".pem", p.read("certificate.pem"))
		h.write("approvers/"+p.name+"-attestation.pem", p.read("slot.pem")+p.read("token.pem"))
	}
	h.write("sealward.hcl", h.read("sealward.hcl")+"key \"cold\" {\n  token = \"softhsm\"\n  uri   = \"pkcs11:object=cold\"\n  kinds = [\"evm.message\"]\n}\n")
	h.write("policy.hcl", fmt.Sprintf(officePolicy, me(o.t)))
	h.trust(false)
}

// devcoins is a payment in devcoin, and note a message.
func devcoins(id string) *v1.Request {
	return &v1.Request{Id: id, Key: "hot", Kind: "evm.transaction", PayloadText: transaction(31337, 1, eth(100))}
}

func note(id, key string) *v1.Request {
	return &v1.Request{Id: id, Key: key, Kind: "evm.message", Payload: []byte("note " + id)}
}

// asks asks for a signature, as ann's local user, and returns the digest of the proposal
// that waits.
func (o *office) asks(r *v1.Request) (proposal string) {
	o.t.Helper()
	res, err := o.sign().Sign(context.Background(), &v1.SignRequest{Request: r})
	if codeOf(err) != signer.CodeWaiting {
		o.t.Fatalf("Sign = %v, %v; want code %q", res, err, signer.CodeWaiting)
	}
	got := o.state(r.GetId())
	if got.GetState() != "waiting" || !strings.Contains(err.Error(), got.GetProposalDigest()) {
		o.t.Fatalf("request %s is %q with proposal %s, and Sign says %v", r.GetId(), got.GetState(), got.GetProposalDigest(), err)
	}
	return got.GetProposalDigest()
}

func (o *office) state(id string) *v1.GetRequestResponse {
	o.t.Helper()
	res, err := o.sign().Request(context.Background(), id, "")
	must(o.t, err)
	return res
}

// becomes waits until a request is decided, and done.
func (o *office) becomes(id, state string) *v1.GetRequestResponse {
	o.t.Helper()
	var got *v1.GetRequestResponse
	eventually(o.t, fmt.Sprintf("request %s is %s", id, state), func() bool {
		got = o.state(id)
		if s := got.GetState(); s != state && s != "waiting" && s != "outcome_unknown" {
			o.t.Fatalf("request %s is %q (%s), want %q", id, s, got.GetDecision().GetReason(), state)
		}
		return got.GetState() == state
	})
	return got
}

// under has a case in a test of its own, which must not go on in another one.
func (o *office) under(t *testing.T, name string, do func(*office)) bool {
	return t.Run(name, func(t *testing.T) {
		of := func(t *testing.T) {
			o.t, o.ann.t, o.bob.t, o.carol.t = t, t, t, t
		}
		before := o.t
		defer of(before)
		of(t)
		do(o)
	})
}

// counts checks whose approvals count for a request that still waits.
func (o *office) counts(proposal string, who ...string) {
	o.t.Helper()
	res, err := o.admin().Pending(context.Background(), proposal)
	must(o.t, err)
	quorums := res.GetPending().GetQuorums()
	if len(quorums) != 1 || !slices.Equal(quorums[0].GetApproved(), who) || quorums[0].GetMet() {
		o.t.Fatalf("request %s waits for %v; want that %q count, and no more", res.GetPending().GetId(), quorums, who)
	}
}

// said is the one statement on record about a request that waits.
func (o *office) said(id string) (signed []byte) {
	o.t.Helper()
	heard := o.state(id).GetHeard()
	if len(heard) != 1 {
		o.t.Fatalf("on record about %s is %v, want one statement", id, heard)
	}
	return heard[0].GetSigned()
}

// unheard checks that a statement is refused, and on record as nothing but that.
func (o *office) unheard(what string, code signer.Code, why string, signed []byte) {
	o.t.Helper()
	from := o.size()
	res, err := o.admin().PostApproval(context.Background(), signed)
	if codeOf(err) != code || !strings.Contains(err.Error(), why) {
		o.t.Errorf("an approval %s: %v, %v; want code %q and %q", what, res, err, code, why)
	}
	for _, ev := range o.events(from) {
		if ev.Heard != nil {
			o.t.Errorf("an approval %s is on record", what)
		}
	}
}

func (o *office) cancels(id string) {
	o.t.Helper()
	must(o.t, o.sign().Cancel(context.Background(), id, "it was to see"))
	o.becomes(id, "denied")
}

// decoded is a digest as bytes.
func decoded(t *testing.T, text string) (d [32]byte) {
	t.Helper()
	b, err := hex.DecodeString(text)
	must(t, err)
	if copy(d[:], b) != len(b) || len(b) != len(d) {
		t.Fatalf("%q is no digest", text)
	}
	return d
}

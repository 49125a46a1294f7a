package signer_test

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// treasury is an office in which people approve.
type treasury struct {
	*office
	tokens map[string]*softKey // by the approver's name, and "bob's phone"
}

// owners are the approvers and their local users.
var owners = map[string]string{"ann": "alice", "bob": "bob", "carol": "carol", "dave": "dave"}

// openTreasury has a policy that asks for quorums, and allows what is about key "cold".
func openTreasury(t *testing.T, d signer.Decision) *treasury {
	t.Helper()
	return openTreasuryIn(t, t.TempDir(), d)
}

func openTreasuryIn(t tester, folder string, d signer.Decision) *treasury {
	t.Helper()
	tr := &treasury{openOfficeIn(t, folder), map[string]*softKey{}}
	for _, name := range tokens {
		tr.tokens[name] = newSoftKey("token of " + name)
	}
	d.Verdict = signer.Ask
	tr.policy = tr.asking(1, d)
	if _, err := tr.journal.Adopt(t.Context(), signer.Event{Type: signer.EventStarted, Policy: tr.policy.Version()}, []byte("policy")); err != nil {
		t.Fatal(err)
	}
	tr.restart()
	return tr
}

var tokens = []string{"ann", "bob", "bob's phone", "carol", "dave"}

func (tr *treasury) asking(version byte, d signer.Decision) policy {
	return policy{version: version, people: tr.people(), decide: func(p signer.Proposal, _ signer.Facts) signer.Decision {
		if p.Key.Name == "cold" {
			return signer.Decision{Verdict: signer.Allow}
		}
		return d
	}}
}

// people are made once: their tokens' names are their seeds.
func (tr *treasury) people() signer.People {
	enrolled.Lock()
	defer enrolled.Unlock()
	if enrolled.people.Approvers == nil {
		enrolled.people = tr.enrol()
	}
	return enrolled.people
}

var enrolled struct {
	sync.Mutex
	people signer.People
}

func (tr *treasury) enrol() signer.People {
	var p signer.People
	for _, name := range []string{"ann", "bob", "carol", "dave"} {
		a := signer.Approver{Name: name, Users: []string{owners[name]}, Devices: []signer.Device{tr.device("token", name)}}
		if name == "bob" {
			a.Devices = append(a.Devices, tr.device("phone", "bob's phone"))
		}
		p.Approvers = append(p.Approvers, a)
	}
	p.Groups = map[string][]string{"treasury": {"ann", "bob", "carol"}, "officers": {"carol", "dave"}}
	return p
}

func (tr *treasury) device(name, token string) signer.Device {
	k := tr.tokens[token]
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.private.Public(), k.private)
	if err != nil {
		tr.t.Fatal(err)
	}
	return signer.Device{Name: name, ID: k.Public().Fingerprint(), Certificate: der}
}

// says signs an approval with somebody's token.
func (tr *treasury) says(token string, a signer.Approval) []byte {
	tr.t.Helper()
	k := tr.tokens[token]
	a.Device = k.Public().Fingerprint()
	if a.Instance == "" {
		a.Instance = tr.journal.Instance()
	}
	if a.Time.IsZero() {
		a.Time = tr.now().UTC().Truncate(time.Second)
	}
	if a.Nonce == [16]byte{} {
		_, _ = rand.Read(a.Nonce[:])
	}
	jws, err := signer.SignApproval(tr.t.Context(), k, "", &scheme.Verifier{}, a, nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	signed, err := approval.WrapJWS(jws)
	if err != nil {
		tr.t.Fatal(err)
	}
	return signed
}

// proposal is the digest of the only request that waits.
func (tr *treasury) proposal() [32]byte {
	tr.t.Helper()
	all, err := tr.engine.AllWaiting(tr.t.Context())
	if err != nil || len(all) != 1 {
		tr.t.Fatalf("waiting: %v, %v; want one", all, err)
	}
	return all[0].Proposal
}

func (tr *treasury) hear(signed []byte) error {
	_, _, err := tr.engine.Hear(tr.t.Context(), root, signed)
	return err
}

func (tr *treasury) approve(token string) {
	tr.t.Helper()
	if err := tr.hear(tr.says(token, signer.Approval{Word: signer.WordApprove, Proposal: tr.proposal()})); err != nil {
		tr.t.Fatalf("%s approves: %v", token, err)
	}
}

// becomes asks again until the answer is not that the request waits, or is worked on.
func (tr *treasury) becomes(id string) (signer.Result, error) {
	tr.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		res, err := tr.sign(id, "hot")
		if code := signer.CodeOf(err); err == nil || code != signer.CodeWaiting || time.Now().After(end) {
			return res, err
		}
	}
}

func (tr *treasury) waits(id string) {
	tr.t.Helper()
	if _, err := tr.sign(id, "hot"); signer.CodeOf(err) != signer.CodeWaiting {
		tr.t.Fatalf("Sign error = %v, want code %q", err, signer.CodeWaiting)
	}
	if n := tr.hot.count(); n != 0 {
		tr.t.Fatalf("the key signed %d times", n)
	}
}

var twoOfThree = signer.Decision{Reason: "needs 2 approvals", Quorums: []signer.Quorum{{Rule: "large", Group: "treasury", Approvals: 2}}}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// person is an approver with one key, which is here and in no token.
type person struct {
	t    *testing.T
	name string
	key  *ecdsa.PrivateKey
	id   string // of the key, as approvals have it
	pem  string // of its certificate
}

func newPerson(t *testing.T, name string) *person {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return &person{t, name, key, fmt.Sprintf("sha256:%x", sha256.Sum256(spki)), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// signs returns what this person says, signed. What it does not say is filled in.
func (p *person) signs(a signer.Approval) []byte {
	p.t.Helper()
	a.Device, a.Time = p.id, time.Now()
	_, err := rand.Read(a.Nonce[:])
	must(p.t, err)
	b64 := base64.RawURLEncoding
	header := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":%q}`, p.id, signer.ApprovalJWSType)
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(a.Canonical())
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	must(p.t, err)
	signed, err := approval.WrapJWS(input + "." + b64.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)))
	must(p.t, err)
	return signed
}

// treasuryPolicy lets a payment through with two of three, and a message with nobody.
const treasuryPolicy = hostAssets + `
approver "alice" { certificate = "alice.pem" }
approver "bob"   { certificate = "bob.pem" }
approver "carol" { certificate = "carol.pem" }
group "treasury" { members = ["alice", "bob", "carol"] }
rule "payments" {
  keys  = ["hot"]
  kinds = ["evm.transaction"]
  require {
    group     = "treasury"
    approvals = 2
  }
}
rule "messages" {
  kinds = ["evm.message"]
  allow = true
}
rule "who decides" {
  keys  = ["sealward"]
  kinds = ["sealward.admin"]
  require {
    group     = "treasury"
    approvals = 2
  }
}
`

// treasury is a host that is governed by three people, and does not trust its policy file.
type treasury struct {
	*host
	alice, bob, carol *person
}

func newTreasury(t *testing.T) *treasury {
	t.Helper()
	h := &treasury{newHost(t), newPerson(t, "alice"), newPerson(t, "bob"), newPerson(t, "carol")}
	for _, p := range []*person{h.alice, h.bob, h.carol} {
		h.write(p.name+".pem", p.pem)
	}
	h.write("policy.hcl", treasuryPolicy)
	h.trust(false)
	return h
}

// trust has the configuration say whether the policy file is trusted.
func (h *host) trust(yes bool) {
	h.t.Helper()
	text := h.read("sealward.hcl")
	for _, old := range []string{"true", "false"} {
		text = strings.ReplaceAll(text, "trust_policy_file = "+old, fmt.Sprintf("trust_policy_file = %t", yes))
	}
	h.write("sealward.hcl", text)
}

// ask makes a request of which it is said at once that it waits.
func (h *treasury) ask(r *v1.Request) *v1.Pending {
	h.t.Helper()
	client := h.sign()
	if r.GetKind() == string(signer.KindAdmin) {
		client = h.admin()
	}
	if res, err := client.Sign(context.Background(), &v1.SignRequest{Request: r}); codeOf(err) != signer.CodeWaiting || res != nil {
		h.t.Fatalf("request %s: %v, %v; want code %q", r.GetId(), res, err, signer.CodeWaiting)
	}
	return h.pending(r.GetId())
}

// pending finds the request that waits with an id.
func (h *treasury) pending(id string) *v1.Pending {
	h.t.Helper()
	all, err := h.admin().ListPending(context.Background(), 0, 0)
	must(h.t, err)
	for _, p := range all.GetPending() {
		if p.GetId() == id {
			return p
		}
	}
	h.t.Fatalf("no request %s waits: %v", id, all)
	return nil
}

func order(t *testing.T, id string, o admin.Order) *v1.Request {
	t.Helper()
	payload, err := o.Encode()
	must(t, err)
	return &v1.Request{Id: id, Key: signer.AdminKey, Kind: string(signer.KindAdmin), Payload: payload}
}

// about is what somebody says of a request that waits.
func (h *treasury) about(p *v1.Pending, word signer.Word) signer.Approval {
	h.t.Helper()
	a := signer.Approval{Word: word, Instance: h.status().GetInstance()}
	if word == signer.WordReject {
		a.Reason = "no"
	}
	digest, err := hex.DecodeString(p.GetProposal())
	must(h.t, err)
	a.Proposal = [32]byte(digest)
	return a
}

// post hands in what somebody says, which is taken.
func (h *treasury) post(p *person, about *v1.Pending, word signer.Word) *v1.PostApprovalResponse {
	h.t.Helper()
	res, err := h.admin().PostApproval(context.Background(), p.signs(h.about(about, word)))
	if err != nil || res.GetApprover() != p.name || res.GetPrior() || res.GetPending().GetId() != about.GetId() {
		h.t.Fatalf("%s by %s: %v, %v", word, p.name, res, err)
	}
	return res
}

// agree has two people approve a request, and waits until it is in a state.
func (h *treasury) agree(about *v1.Pending, state string) {
	h.t.Helper()
	h.agreeBy(about, state, h.alice, h.bob)
}

func (h *treasury) agreeBy(about *v1.Pending, state string, people ...*person) {
	h.t.Helper()
	for _, p := range people {
		h.post(p, about, signer.WordApprove)
	}
	h.becomes(about, state)
}

func (h *treasury) becomes(about *v1.Pending, state string) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("request %s is %s", about.GetId(), state), func() bool {
		r, err := h.admin().Request(context.Background(), about.GetId(), about.GetCaller())
		return err == nil && r.GetState() == state
	})
}

// do has an act asked for, approved and done.
func (h *treasury) do(id string, o admin.Order) {
	h.t.Helper()
	h.agree(h.ask(order(h.t, id, o)), "acted")
}

// postAs posts a message to a method as another account, with curl.
func (h *host) postAs(uid uint32, socket, method, body string) (status int, answer string) {
	h.t.Helper()
	cmd := exec.Command("curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", h.path(socket), "-H", "Content-Type: application/json", "-d", body, "http://localhost/sealward.v1."+method)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = "/"
	out, err := cmd.Output()
	must(h.t, err)
	answer, code, _ := strings.Cut(string(out), "\n")
	status, err = strconv.Atoi(code)
	must(h.t, err)
	return status, answer
}

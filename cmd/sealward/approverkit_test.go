package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/admin"
)

// house answers as a daemon with requests that wait. It verifies what it is sent as the
// daemon does, and lies where a test has it lie.
type house struct {
	sealwardv1connect.UnimplementedApprovalServiceHandler
	sealwardv1connect.UnimplementedSignerServiceHandler
	sealwardv1connect.UnimplementedPolicyServiceHandler

	pending  []*v1.GetPendingResponse
	keys     []*v1.Key
	policies []*v1.GetPolicyResponse
	people   signer.People
	events   []*v1.PendingEvent

	mu        sync.Mutex
	heard     []signer.Heard // owned by mu
	reason    string         // of a freeze by uid; owned by mu
	cancelled string         // owned by mu
	calls     int            // of Sign; owned by mu
	waits     int            // how many calls of Sign answer "waiting"
}

const instanceID = "0123456789abcdef0123456789abcdef"

const tokenPayment = `{"chainId":"0x1","nonce":"0x7","to":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","gas":"0x186a0","maxFeePerGas":"0x4a817c800","maxPriorityFeePerGas":"0x3b9aca00",` +
	`"data":"0xa9059cbb00000000000000000000000052908400098527886e0f7030069857d2e4169ee700000000000000000000000000000000000000000000000000000000002625a0"}`

const ownBook = `version = 1
asset "usdc" {
  id       = "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
  decimals = 6
}
addresses "vendors" {
  entries = { "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "hosting" }
}
`

// treasuryKey is the key that pays.
func treasuryKey(t *testing.T) signer.KeyInfo {
	t.Helper()
	point, err := hex.DecodeString(strings.TrimPrefix(generator, "0x"))
	must1(t, err)
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: point}
	return signer.KeyInfo{Name: "treasury", Public: pub, Fingerprint: pub.Fingerprint(), Protection: signer.ProtectionResident, Kinds: []signer.Kind{signer.KindEVMTransaction}, Chains: []string{"eip155:1"}}
}

func must1(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func bookOf(t *testing.T, text string) signer.Book {
	t.Helper()
	b, err := policy.LoadBook("book.hcl", []byte(text), policy.Env{})
	must1(t, err)
	return b
}

func apiKey(k signer.KeyInfo) *v1.Key {
	out := &v1.Key{Name: k.Name, Algorithm: string(k.Public.Algorithm), Public: k.Public.Bytes, Fingerprint: k.Fingerprint, Protection: string(k.Protection), Chains: k.Chains}
	for _, kind := range k.Kinds {
		out.Kinds = append(out.Kinds, string(kind))
	}
	return out
}

var adminInfo = signer.KeyInfo{Name: signer.AdminKey, Kinds: []signer.Kind{signer.KindAdmin}}

// waits puts a request among those that wait, and returns its digest.
func (d *house) waitsFor(t *testing.T, id string, kind signer.Kind, payload string, key signer.KeyInfo, policyVersion [32]byte) string {
	t.Helper()
	r := signer.Request{ID: id, Key: key.Name, Kind: kind, Payload: []byte(payload), Claim: "hosting, November"}
	in, err := signer.Read(r, key, engineDecoders(), bookOf(t, ownBook))
	must1(t, err)
	must1(t, in.Identify(key, func(name string) (signer.KeyInfo, bool) { return dossier{keys: d.keys}.key(name) }))
	p := signer.Proposal{
		Instance: instanceID, Caller: signer.Caller{UID: 1000, GID: 1000, PID: 7, User: "payroll", Socket: "sign", Identified: true}, Request: r, Key: key,
		Intent: in, Policy: policyVersion, Decoder: engineDecoders()[kind].Version(), Created: noon.AsTime(), Nonce: [32]byte{byte(len(d.pending) + 1)},
	}
	doc := api.Document(in, nil, noon.AsTime())
	digest := fmt.Sprintf("%x", p.Digest())
	d.pending = append(d.pending, &v1.GetPendingResponse{
		Pending: &v1.Pending{
			Proposal: digest, Leaf: uint64(10 * (len(d.pending) + 1)), Caller: "uid:1000", User: "payroll", Id: id, Key: key.Name, Kind: string(kind), Class: doc.GetClass(),
			Outflow: proto.CloneOf(doc).GetOutflow(), Since: noon, Deadline: timestamppb.New(time.Now().Add(48 * time.Hour)), Claim: r.Claim, State: "waiting",
			Quorums: []*v1.QuorumState{{Quorum: &v1.Quorum{Rule: "large", Group: "treasury", Approvals: 2}, Open: []string{"alice", "bob"}}},
		},
		Proposal: p.Canonical(), Payload: r.Payload, Claim: r.Claim, Key: apiKey(key), Intent: doc, Decision: &v1.Decision{Verdict: "ask"},
	})
	return digest
}

// payday is a daemon with one payment that waits.
func payday(t *testing.T) (d *house, digest string) {
	t.Helper()
	d = &house{keys: []*v1.Key{apiKey(treasuryKey(t))}}
	return d, d.waitsFor(t, "invoice-7", signer.KindEVMTransaction, tokenPayment, treasuryKey(t), [32]byte{1})
}

func notFound(what string) error {
	return (&fake{refusal: &v1.ErrorDetail{Code: "not_found"}, why: what}).refuse()
}

func (d *house) ListPending(_ context.Context, m *connect.Request[v1.ListPendingRequest]) (*connect.Response[v1.ListPendingResponse], error) {
	const pageOfTwo = 2 // so that there are pages
	res := &v1.ListPendingResponse{}
	for _, p := range d.pending {
		if p.GetPending().GetLeaf() > m.Msg.GetAfter() && len(res.Pending) < pageOfTwo {
			res.Pending = append(res.Pending, p.GetPending())
		}
	}
	return connect.NewResponse(res), nil
}

func (d *house) GetPending(_ context.Context, m *connect.Request[v1.GetPendingRequest]) (*connect.Response[v1.GetPendingResponse], error) {
	for _, p := range d.pending {
		if p.GetPending().GetProposal() == m.Msg.GetProposal() {
			return connect.NewResponse(p), nil
		}
	}
	return nil, notFound("no such proposal waits")
}

func (d *house) GetKey(_ context.Context, m *connect.Request[v1.GetKeyRequest]) (*connect.Response[v1.GetKeyResponse], error) {
	i := slices.IndexFunc(d.keys, func(k *v1.Key) bool { return k.GetName() == m.Msg.GetName() })
	if i < 0 {
		return nil, notFound("no such key")
	}
	return connect.NewResponse(&v1.GetKeyResponse{Key: d.keys[i]}), nil
}

func (d *house) GetPolicy(_ context.Context, m *connect.Request[v1.GetPolicyRequest]) (*connect.Response[v1.GetPolicyResponse], error) {
	for _, p := range d.policies {
		if p.GetVersion() == m.Msg.GetVersion() || m.Msg.GetVersion() == "" {
			return connect.NewResponse(p), nil
		}
	}
	return nil, notFound("no such policy")
}

func (d *house) verify(signed []byte) (signer.Heard, error) {
	h, err := approval.Verifier{}.Verify(signed, d.people)
	if err != nil {
		return h, fails(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard = append(d.heard, h)
	return h, nil
}

func (d *house) PostApproval(_ context.Context, m *connect.Request[v1.PostApprovalRequest]) (*connect.Response[v1.PostApprovalResponse], error) {
	h, err := d.verify(m.Msg.GetSigned())
	if err != nil {
		return nil, err
	}
	for _, p := range d.pending {
		if p.GetPending().GetProposal() == fmt.Sprintf("%x", h.Approval.Proposal) {
			after := proto.CloneOf(p.GetPending())
			after.Quorums[0].Approved, after.Quorums[0].Open = []string{h.Approver}, []string{"bob"}
			return connect.NewResponse(&v1.PostApprovalResponse{Approver: h.Approver, Leaf: 77, Pending: after}), nil
		}
	}
	return nil, notFound("no such proposal waits")
}

func (d *house) Freeze(_ context.Context, m *connect.Request[v1.FreezeRequest]) (*connect.Response[v1.FreezeResponse], error) {
	res := &v1.FreezeResponse{Leaf: 78, InDevice: []*v1.InDevice{{Caller: "uid:1000", Id: "slow-1", Key: "treasury", Leaf: 70}}}
	if len(m.Msg.GetSigned()) > 0 {
		_, err := d.verify(m.Msg.GetSigned())
		return connect.NewResponse(res), err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reason = m.Msg.GetReason()
	if d.reason == "disk full" {
		res.Leaf, res.Unrecorded = 0, "the freeze could not be recorded"
	}
	return connect.NewResponse(res), nil
}

func (d *house) CancelRequest(_ context.Context, m *connect.Request[v1.CancelRequestRequest]) (*connect.Response[v1.CancelRequestResponse], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cancelled = m.Msg.GetId() + " " + m.Msg.GetReason()
	return connect.NewResponse(&v1.CancelRequestResponse{}), nil
}

// Sign answers "waiting" for as often as the test wants, and then with the signature.
func (d *house) Sign(_ context.Context, m *connect.Request[v1.SignRequest]) (*connect.Response[v1.SignResponse], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls++; d.calls <= d.waits {
		return nil, (&fake{refusal: &v1.ErrorDetail{Code: "waiting", RequestId: m.Msg.GetRequest().GetId()}, why: "it waits for 2 approvals"}).refuse()
	}
	return connect.NewResponse(&v1.SignResponse{Id: m.Msg.GetRequest().GetId(), Signatures: [][]byte{{1}}, Artifact: []byte{2}, Intent: payment(), Key: hot(), Leaf: 12}), nil
}

func (d *house) GetRequest(_ context.Context, m *connect.Request[v1.GetRequestRequest]) (*connect.Response[v1.GetRequestResponse], error) {
	for _, p := range d.pending {
		if p.GetPending().GetId() == m.Msg.GetId() {
			return connect.NewResponse(&v1.GetRequestResponse{
				Id: m.Msg.GetId(), Caller: "uid:1000", State: "waiting", Kind: p.GetPending().GetKind(), Key: p.GetPending().GetKey(), Intent: p.GetIntent(), Decision: p.GetDecision(),
				ProposalDigest: p.GetPending().GetProposal(), Quorums: p.GetPending().GetQuorums(), Deadline: p.GetPending().GetDeadline(),
			}), nil
		}
	}
	return nil, notFound("no such request")
}

// WatchRequest says that it waits, and then nothing more for as long as it is asked.
func (d *house) WatchRequest(ctx context.Context, m *connect.Request[v1.WatchRequestRequest]) (*connect.Response[v1.WatchRequestResponse], error) {
	if m.Msg.GetKnown() == "waiting" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return connect.NewResponse(&v1.WatchRequestResponse{State: "waiting"}), nil
}

// WatchPending has what happened, and then hangs up.
func (d *house) WatchPending(_ context.Context, m *connect.Request[v1.WatchPendingRequest]) (*connect.Response[v1.WatchPendingResponse], error) {
	if m.Msg.GetAfter() > 0 {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("stopping"))
	}
	return connect.NewResponse(&v1.WatchPendingResponse{Events: d.events, Position: 99}), nil
}

// serve listens as admin.sock and sign.sock in a folder.
func (d *house) serve(t *testing.T) (dir string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewApprovalServiceHandler(d))
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(d))
	mux.Handle(sealwardv1connect.NewPolicyServiceHandler(d))
	dir = adminSocket(t, mux)
	stop, err := listen(filepath.Join(dir, "sign.sock"), mux)
	must1(t, err)
	t.Cleanup(stop)
	return dir
}

// withSSH writes an approver.hcl with an SSH key, and enrols the key as alice's.
func (d *house) withSSH(t *testing.T, more string) (file string) {
	t.Helper()
	dir := t.TempDir()
	must1(t, os.Chmod(dir, 0o700))
	key := filepath.Join(dir, "id")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	device, _, err := readSSHKey(key)
	must1(t, err)
	d.people.Approvers = append(d.people.Approvers, signer.Approver{Name: "alice", Devices: []signer.Device{device}})
	return approverFile(t, dir, "device {\n  ssh { key = \"id\" }\n}\n"+more)
}

// approverFile writes an approver.hcl that knows the daemon and its key.
func approverFile(t *testing.T, dir, more string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "approver.hcl")
	text := fmt.Sprintf("version  = 1\ninstance = %q\nname     = \"alice\"\nbook     = \"book.hcl\"\nkey \"treasury\" {\n  fingerprint = %q\n}\n%s", instanceID, treasuryKey(t).Fingerprint, more)
	must1(t, os.WriteFile(file, []byte(text), 0o600))
	must1(t, os.WriteFile(filepath.Join(dir, "book.hcl"), []byte(ownBook), 0o600))
	return file
}

// kept are two policies and their versions.
func (d *house) kept(t *testing.T) (from, to [32]byte) {
	t.Helper()
	versions := [][32]byte{}
	for _, limit := range []string{"1000", "2000"} {
		source := "version = 1\nasset \"usdc\" {\n  id       = \"eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48\"\n  decimals = 6\n}\n" +
			"rule \"small\" {\n  keys  = [\"treasury\"]\n  allow = true\n  limit \"a day\" {\n    amount = \"" + limit + " usdc\"\n    window = \"24h\"\n  }\n}\n" +
			"rule \"changes\" {\n  keys  = [\"sealward\"]\n  allow = true\n}\n"
		b := policy.Bundle{Name: "policy.hcl", Source: []byte(source), Keys: map[string]signer.KeyInfo{"treasury": treasuryKey(t)}, Sockets: []string{"admin", "sign"}}
		p, err := b.Load()
		must1(t, err)
		d.policies = append(d.policies, &v1.GetPolicyResponse{Version: fmt.Sprintf("%x", p.Version()), Bundle: p.Bundle()})
		versions = append(versions, p.Version())
	}
	return versions[0], versions[1]
}

// change has a change of policy wait.
func (d *house) change(t *testing.T) (digest string) {
	t.Helper()
	from, to := d.kept(t)
	payload, err := admin.Order{Act: admin.ActPolicy, From: hex.EncodeToString(from[:]), To: hex.EncodeToString(to[:]), Reason: "growth"}.Encode()
	must1(t, err)
	return d.waitsFor(t, "policy-2", signer.KindAdmin, string(payload), adminInfo, from)
}

// limited adds a limit of which a request takes a share.
func limited(spent string) *v1.LimitUse {
	return &v1.LimitUse{Rule: "large", Limit: "a day", Asset: "eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", Window: durationpb.New(24 * time.Hour), Max: "5000000", Spent: spent, Amount: "2500000"}
}

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

const adminPolicy = `
rule "the keys are looked after" {
  keys  = ["sealward"]
  kinds = ["sealward.admin"]
  allow = true
}
`

// sealwardOK runs the command line, which has to succeed.
func (h *host) sealwardOK(args ...string) (stdout string) {
	h.t.Helper()
	code, stdout, stderr := h.sealward(-1, args...)
	if code != 0 {
		h.t.Fatalf("sealward %q ends with %d: %s", args, code, stderr)
	}
	return stdout
}

// again restarts the daemon.
func (h *host) again(p *process) *process {
	h.t.Helper()
	p.stop()
	return h.start()
}

func (h *host) payBy(key, id string) (*v1.SignResponse, error) {
	r := payment(id, 7)
	r.Key = key
	return h.sign().Sign(context.Background(), &v1.SignRequest{Request: r})
}

// paid has a key sign a payment, and recovers its sender as the chain will.
func (h *host) paid(key, id string) {
	h.t.Helper()
	res, err := h.payBy(key, id)
	if err != nil {
		h.t.Fatalf("request %s for key %s: %v", id, key, err)
	}
	var tx types.Transaction
	must(h.t, tx.UnmarshalBinary(res.GetArtifact()))
	sender, err := types.Sender(types.LatestSignerForChainID(big.NewInt(1)), &tx)
	must(h.t, err)
	if want := res.GetKey().GetEthereumAddress(); sender.Hex() != want || res.GetKey().GetName() != key {
		h.t.Errorf("request %s is signed by %s, want %s of key %s", id, sender.Hex(), want, key)
	}
}

// unpaid checks that a key is disabled, and that the caller is told why.
func (h *host) unpaid(key, id, why string) {
	h.t.Helper()
	res, err := h.payBy(key, id)
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code != signer.CodeDenied || len(res.GetSignatures()) > 0 || len(res.GetArtifact()) > 0 {
		h.t.Fatalf("request %s for key %s: %v (%v), want code %q and no signature", id, key, res, err, signer.CodeDenied)
	}
	contains(h.t, "the caller's error", e.Error(), "disabled", why)
}

// succeeds has one key name another as its successor, and checks what it says as
// whoever trusted the old one does.
func (h *host) succeeds(old, next string) {
	h.t.Helper()
	var said struct{ Statement, Scheme, Signature string }
	if code, stderr := h.cli(-1, &said, "keys", "rotate", old, "--to", next, "--id", "rotation"); code != 0 {
		h.t.Fatalf("keys rotate ends with %d: %s", code, stderr)
	}
	sig, err := hex.DecodeString(said.Signature)
	must(h.t, err)
	trusted, successor := h.public(old), h.public(next)
	r, err := signer.VerifyRotation(trusted, []byte(said.Statement), signer.Scheme(said.Scheme), sig, scheme.Verify)
	must(h.t, err)
	spki, err := successor.SPKI()
	must(h.t, err)
	if !bytes.Equal(r.New, spki) || r.Instance != h.status().GetInstance() || r.RequestID != "rotation" {
		h.t.Errorf("the rotation is %+v, want one to %s", r, successor.Fingerprint())
	}
	if _, err := signer.VerifyRotation(successor, []byte(said.Statement), signer.Scheme(said.Scheme), sig, scheme.Verify); err == nil {
		h.t.Error("the rotation verifies under the successor's key")
	}
	altered := strings.Replace(said.Statement, `"request_id":"rotation"`, `"request_id":"rotatioN"`, 1)
	if _, err := signer.VerifyRotation(trusted, []byte(altered), signer.Scheme(said.Scheme), sig, scheme.Verify); err == nil {
		h.t.Error("an altered rotation verifies")
	}
}

// public is the public half of a key.
func (h *host) public(name string) signer.PublicKey {
	h.t.Helper()
	k, err := h.admin().Key(context.Background(), name)
	must(h.t, err)
	return signer.PublicKey{Algorithm: signer.Algorithm(k.GetAlgorithm()), Bytes: k.GetPublic()}
}

// TestTheLifeOfAKey follows docs/operations.md: a key is made, served, stopped, let go
// on, and succeeds another one.
func TestTheLifeOfAKey(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	// What a successor has to accept is what the line that is printed for it has.
	h.edit("sealward.hcl", `kinds  = ["evm.transaction", "evm.message"]`, `kinds  = ["evm.transaction"]`)
	h.edit("sealward.hcl", `chains = ["eip155:1", "eip155:31337"]`, `chains = ["eip155:1"]`)
	payments, _, _ := strings.Cut(hostPolicy, `rule "messages"`)
	h.write("policy.hcl", payments+adminPolicy)
	p := h.start()

	printed := h.sealwardOK("keys", "create", "hot-2", "--token", "softhsm", "--algorithm", "secp256k1")
	_, block, ok := strings.Cut(printed, "\nkey \"hot-2\" {\n")
	if !ok {
		t.Fatalf("keys create prints no block: %s", printed)
	}
	h.write("sealward.hcl", h.read("sealward.hcl")+"\nkey \"hot-2\" {\n"+block)
	h.edit("policy.hcl", `keys  = ["hot"]`, `keys  = ["hot", "hot-2"]`)
	p = h.again(p)
	h.paid("hot-2", "first")

	h.sealwardOK("keys", "disable", "hot-2", "--reason", "a laptop was lost")
	h.unpaid("hot-2", "while-off", "a laptop was lost")
	h.paid("hot", "another")
	p = h.again(p)
	h.unpaid("hot-2", "still-off", "a laptop was lost")
	h.sealwardOK("keys", "enable", "hot-2", "--reason", "it was found")
	h.paid("hot-2", "on-again")
	p = h.again(p)
	h.paid("hot-2", "still-on")

	h.succeeds("hot", "hot-2")
	if r := h.sound(); r.GetActed() != 4 {
		t.Errorf("the journal has %d acts, want 4", r.GetActed())
	}
	p.stop()
}

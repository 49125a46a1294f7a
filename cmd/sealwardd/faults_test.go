package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// faultyConfig is a second token, behind a module that fails on demand.
const faultyConfig = `
token "faulty" {
  environment = { SOFTHSM2_CONF = %q, FAULTS_MODULE = %q, FAULTS_STATE = %q }
  writable    = ["faulty"]
  timeout     = "3s"
  pkcs11 {
    module   = %q
    uri      = %q
    pin_file = "pin"
  }
}
key "cold" {
  token = "faulty"
  uri   = "pkcs11:object=cold"
  kinds = ["evm.message"]
}
`

// faultyHost is a host with the key hot in a good token and the key cold in a faulty
// one.
func faultyHost(t *testing.T) (*host, *sim.Faults) {
	t.Helper()
	h := newHost(t)
	dir := h.path("faulty")
	must(t, os.CopyFS(dir, os.DirFS(h.token.dir)))
	h.write("faulty/softhsm2.conf", fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(dir, "tokens")))
	faults, err := sim.NewFaults(dir, h.token.module)
	must(t, err)
	t.Cleanup(func() { must(t, faults.Close()) })
	h.write("sealward.hcl", h.read("sealward.hcl")+fmt.Sprintf(faultyConfig, filepath.Join(dir, "softhsm2.conf"), h.token.module, faults.State, faults.Module, h.token.uri))
	return h, faults
}

// note has a key sign a message. The signature is recovered to the key's address, as
// whoever gets it would.
func (h *host) note(key, id string) error {
	h.t.Helper()
	text := "note " + id
	res, err := h.sign().Sign(context.Background(), &v1.SignRequest{Request: &v1.Request{Id: id, Key: key, Kind: string(signer.KindEVMMessage), PayloadText: text}})
	if err != nil {
		if len(res.GetSignatures()) > 0 || len(res.GetArtifact()) > 0 {
			h.t.Errorf("request %s was refused (%v), and has the signature %x", id, err, res)
		}
		return err
	}
	if len(res.GetSignatures()) != 1 {
		h.t.Fatalf("request %s has the signatures %x, want one", id, res.GetSignatures())
	}
	public, err := crypto.SigToPub(accounts.TextHash([]byte(text)), res.GetSignatures()[0])
	must(h.t, err)
	if got, want := crypto.PubkeyToAddress(*public).Hex(), res.GetKey().GetEthereumAddress(); got != want {
		h.t.Errorf("the signature for %s is one of %s, want %s", id, got, want)
	}
	return nil
}

// TestAModuleThatFailsInASignatureCostsItsOwnKeyAlone and nothing else, for as long as
// it fails: no signature leaves the daemon, other tokens sign meanwhile, and the key is
// back without anybody's doing.
func TestAModuleThatFailsInASignatureCostsItsOwnKeyAlone(t *testing.T) {
	t.Parallel()
	const lied = `key "cold" returned a signature that does not verify; nothing is released`
	for name, c := range map[string]struct {
		deed     sim.Deed
		restarts uint64
		code     signer.Code // for the caller
		text     string
		log      []string // for the operator
	}{
		"it segfaults":                   {sim.Crash, 1, signer.CodeUnavailable, "lost its worker, which is started again; ask again", []string{"a key could not sign", "SIGSEGV"}},
		"it never returns":               {sim.Hang, 1, signer.CodeUnavailable, "lost its worker, which is started again; ask again", []string{"a key could not sign", "it did not sign within 3s"}},
		"it flips a bit":                 {sim.FlipBit, 0, signer.CodeInternal, lied, []string{"a device returned a signature that does not verify", "does not verify under the public key"}},
		"it signs another message":       {sim.OtherMessage, 0, signer.CodeInternal, lied, []string{"a device returned a signature that does not verify", "does not verify under the public key"}},
		"it claims too long a signature": {sim.TooLong, 0, signer.CodeInternal, lied, []string{"a device returned a signature that does not verify", "want 64"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, faults := faultyHost(t)
			p := h.start()
			must(t, h.note("cold", "before"))

			must(t, faults.Do(sim.Sign, c.deed, 1))
			failed := make(chan error, 1)
			go func() { failed <- h.note("cold", "broken") }()
			eventually(t, "the module is asked to sign", func() bool {
				n, err := faults.Calls(sim.Sign)
				return err == nil && n == 2
			})
			must(t, h.note("hot", "meanwhile"))
			if c.deed == sim.Hang && len(failed) > 0 {
				t.Error("the other token signed only after the one that hangs was given up")
			}
			e, ok := errors.AsType[*api.Error](<-failed)
			if !ok || e.Code != c.code {
				t.Fatalf("the caller gets %v, want code %q", e, c.code)
			}
			contains(t, "the caller's error", e.Error(), c.text)

			n := 0
			eventually(t, "the key signs again", func() bool {
				n++
				return h.note("cold", fmt.Sprintf("again-%d", n)) == nil
			})
			if c.restarts == 0 && n != 1 {
				t.Errorf("the key signed only when it was asked %d times", n)
			}
			contains(t, "the log", p.log.String(), c.log...)
			for _, tok := range h.status().GetTokens() {
				if want := map[string]uint64{"softhsm": 0, "faulty": c.restarts}[tok.GetName()]; tok.GetRestarts() != want || tok.GetState() != "up" {
					t.Errorf("token %s is %s after %d restarts of its worker, want %d", tok.GetName(), tok.GetState(), tok.GetRestarts(), want)
				}
			}
			rec, err := h.sign().Request(t.Context(), "broken", "")
			must(t, err)
			if rec.GetState() != "failed" || len(rec.GetSignatures()) > 0 || len(rec.GetArtifact()) > 0 {
				t.Errorf("the request is on record as %v, want failed and without a signature", rec)
			}
			// One that was asked again may have found the worker gone a moment later.
			if r := h.sound(); r.GetSigned() != 3 || r.GetFailed() < 1 || r.GetOutcomeUnknown() != 0 {
				t.Errorf("the journal has %d signed, %d failed and %d unknown; want 3, one at least and none", r.GetSigned(), r.GetFailed(), r.GetOutcomeUnknown())
			}
		})
	}
}

func (h *host) status() *v1.GetStatusResponse {
	h.t.Helper()
	s, err := h.admin().Status(context.Background())
	must(h.t, err)
	return s
}

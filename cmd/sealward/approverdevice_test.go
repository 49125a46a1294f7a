package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// hclPath writes a path into HCL.
func hclPath(path string) string { return fmt.Sprintf("%q", path) }

// enrolled is a device of an approver's, with a certificate for a public key that
// somebody else issued.
func enrolled(t *testing.T, pub signer.PublicKey) signer.Device {
	t.Helper()
	spki, err := pub.SPKI()
	must1(t, err)
	key, err := x509.ParsePKIXPublicKey(spki)
	must1(t, err)
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must1(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key, crypto.Signer(issuer))
	must1(t, err)
	return signer.Device{ID: pub.Fingerprint(), Certificate: der}
}

// workerPath is where the program is that drives devices.
func workerPath(t *testing.T) string {
	t.Helper()
	worker, err := exec.LookPath("sealward-worker")
	must1(t, err)
	return worker
}

// asksPIN is a pinentry program that types a PIN, and counts how often.
func asksPIN(t *testing.T, pin string) (program, count string) {
	t.Helper()
	dir := t.TempDir()
	program, count = filepath.Join(dir, "pinentry"), filepath.Join(dir, "count")
	script := "#!/bin/sh\necho asked >>" + count + "\necho OK\nwhile read -r word rest; do\n\tif [ \"$word\" = GETPIN ]; then echo \"D " + pin + "\"; fi\n\techo OK\ndone\n"
	must1(t, os.WriteFile(program, []byte(script), 0o700))
	return program, count
}

// withSoftHSM has alice sign with keys in a token.
func (d *house) withSoftHSM(t *testing.T, algorithm signer.Algorithm) (file string) {
	t.Helper()
	dir := t.TempDir()
	must1(t, os.Chmod(dir, 0o700))
	soft, err := sim.SoftHSM(filepath.Join(dir, "softhsm"), "alice", rightPIN)
	must1(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made, err := soft.MakeKeys(ctx, workerPath(t), filepath.Join(dir, "mark"), []sim.KeyToMake{{Label: "approvals", Algorithm: algorithm}})
	must1(t, err)
	d.people.Approvers = append(d.people.Approvers, signer.Approver{Name: "alice", Devices: []signer.Device{enrolled(t, made["approvals"])}})
	return approverFile(t, dir, "worker_program = "+hclPath(workerPath(t))+"\ndevice {\n  environment = { SOFTHSM2_CONF = "+hclPath(soft.Conf)+" }\n  writable    = [\"softhsm\"]\n"+
		"  timeout     = \"1m\"\n  pkcs11 {\n    module = "+hclPath(soft.Module)+"\n    uri    = \"pkcs11:token=alice;object=approvals\"\n  }\n}\n")
}

func TestARequestIsApprovedWithATokenBehindPKCS11(t *testing.T) {
	for _, algorithm := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmP384, signer.AlgorithmEd25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			d, digest := payday(t)
			file := d.withSoftHSM(t, algorithm)
			program, count := asksPIN(t, rightPIN)
			code, stdout, stderr := sealward("", "--sockets", d.serve(t), "approve", digest, "--yes", "--config", file, "--pinentry", program)
			if code != exitOK || len(d.heard) != 1 || !strings.Contains(stdout, "approved by alice") {
				t.Fatalf("exit code %d, heard %d:\n%s%s", code, len(d.heard), stdout, stderr)
			}
			if text, err := os.ReadFile(count); err != nil || string(text) != "asked\n" {
				t.Errorf("the PIN was asked for %q, %v", text, err)
			}
		})
	}
}

// A PIN that is wrong costs one try, and nothing is signed or sent.
func TestAWrongPINIsSentOnce(t *testing.T) {
	d, digest := payday(t)
	file := d.withSoftHSM(t, signer.AlgorithmP256)
	program, count := asksPIN(t, wrongPIN)
	code, stdout, stderr := sealward("", "--sockets", d.serve(t), "approve", digest, "--yes", "--config", file, "--pinentry", program)
	if code != exitGeneral || len(d.heard) != 0 || stdout != "" || !strings.Contains(stderr, "your device") || !strings.Contains(strings.ToLower(stderr), "pin") {
		t.Errorf("exit code %d, heard %d:\n%s%s", code, len(d.heard), stdout, stderr)
	}
	if text, err := os.ReadFile(count); err != nil || string(text) != "asked\n" {
		t.Errorf("the PIN was asked for %q, %v", text, err)
	}
}

// A card is reached as the daemon reaches cards, without a connection to any daemon.
func TestARequestIsApprovedWithAPIVCard(t *testing.T) {
	d, digest := payday(t)
	dir, err := os.MkdirTemp("", "sw") // pcscd's socket is in it
	must1(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	card, err := sim.NewPIVToken(dir)
	must1(t, err)
	t.Cleanup(func() { must1(t, card.Reader.Stop()) })
	raw, err := os.ReadFile(filepath.Join(dir, "9a.pem"))
	must1(t, err)
	block, _ := pem.Decode(raw)
	cert, err := x509.ParseCertificate(block.Bytes)
	must1(t, err)
	key := cert.PublicKey.(*ecdsa.PublicKey)
	point, err := key.Bytes()
	must1(t, err)
	pub := signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: point}
	d.people.Approvers = append(d.people.Approvers, signer.Approver{Name: "alice", Devices: []signer.Device{enrolled(t, pub)}})
	folder := t.TempDir()
	must1(t, os.Chmod(folder, 0o700))
	file := approverFile(t, folder, fmt.Sprintf("worker_program = %q\ndevice {\n  timeout = \"1m\"\n  piv {\n    serial = %d\n    slot   = \"9a\"\n    socket = %q\n  }\n}\n", workerPath(t), card.Card.Serial(), card.Reader.Socket()))
	program, _ := asksPIN(t, card.PIN)
	code, stdout, stderr := sealward("", "--sockets", d.serve(t), "approve", digest, "--yes", "--config", file, "--pinentry", program)
	if code != exitOK || len(d.heard) != 1 {
		t.Fatalf("exit code %d, heard %d:\n%s%s", code, len(d.heard), stdout, stderr)
	}
	if got := d.heard[0].Approval; got.Device != pub.Fingerprint() || hex.EncodeToString(got.Proposal[:]) != digest {
		t.Errorf("signed was %+v", got)
	}
}

// A person reads, confirms and types the PIN on a terminal.
func TestApprovalOnATerminal(t *testing.T) {
	d, digest := payday(t)
	file := d.withSoftHSM(t, signer.AlgorithmP256)
	dir := d.serve(t)
	p := sits(t, "--sockets", dir, "approve", "invoice-7", "--config", file)
	p.waitsFor(`approve [^?]*\? type yes: `)
	if !strings.Contains(p.shown(), digest) {
		t.Errorf("it asks before it shows what for:\n%s", p.shown())
	}
	p.types("yes\n")
	p.waitsFor(`PIN of .*: `)
	p.echoes(false)
	p.types(rightPIN + "\n")
	if code, shown := p.sees(); code != exitOK || len(d.heard) != 1 || strings.Contains(shown, rightPIN) {
		t.Errorf("exit code %d, heard %d:\n%s", code, len(d.heard), shown)
	}

	p = sits(t, "--sockets", dir, "approve", "invoice-7", "--config", file)
	p.waitsFor(`approve [^?]*\? type yes: `)
	p.types("y\n")
	if code, shown := p.sees(); code != exitGeneral || len(d.heard) != 1 || !strings.Contains(shown, "not confirmed; nothing was signed") {
		t.Errorf("exit code %d, heard %d:\n%s", code, len(d.heard), shown)
	}
}

// A "yes" that is pasted with the command, or typed too early, is about nothing yet.
func TestAYesBeforeTheQuestionApprovesNothing(t *testing.T) {
	d, _ := payday(t)
	p := sits(t, "--sockets", d.serve(t), "approve", "invoice-7", "--config", d.withSSH(t, ""))
	p.types("yes\n")
	p.waitsFor(`approve [^?]*\? type yes: `)
	p.types("no\n")
	if code, shown := p.sees(); code != exitGeneral || len(d.heard) != 0 {
		t.Errorf("exit code %d, heard %d:\n%s", code, len(d.heard), shown)
	}
}

func TestWhoIsAskedIsShownWhatForWithJSONToo(t *testing.T) {
	d, digest := payday(t)
	p := sits(t, "-o", "json", "--sockets", d.serve(t), "approve", "invoice-7", "--config", d.withSSH(t, ""))
	p.waitsFor(`approve [^?]*\? type yes: `)
	if shown := p.shown(); !strings.Contains(shown, digest) || !strings.Contains(shown, "2.5 usdc") {
		t.Errorf("it asks before it shows what for:\n%s", shown)
	}
}

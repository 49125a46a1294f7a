package approval_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// exampleFile is a file in docs/approvals.md: its name, then its content in a fence.
var exampleFile = regexp.MustCompile("(?m)^`([a-z-]+\\.[a-z]+)`[^\n]*:\n\n```(json|text)\n((?s:.*?))```$")

// exampleCommand is a block of commands, and what they write if that is shown.
var exampleCommand = regexp.MustCompile("(?m)^```sh\n((?s:.*?))```\n(?:\n```text\n((?s:.*?))```)?")

// example puts the files of docs/approvals.md into a folder.
func example(t testing.TB) (dir, text string) {
	t.Helper()
	dir, text = t.TempDir(), read(t, "../../docs", "approvals.md")
	files := exampleFile.FindAllStringSubmatch(text, -1)
	if len(files) != 6 {
		t.Fatalf("docs/approvals.md has %d files; want 6", len(files))
	}
	for _, f := range files {
		if f[2] == "json" { // those have no line feed at their end
			f[3] = strings.TrimSuffix(f[3], "\n")
		}
		write(t, dir, f[1], f[3], 0o600)
	}
	return dir, text
}

// enrolledPeople are Alice and Bob of docs/approvals.md.
func enrolledPeople(t testing.TB, dir string) signer.People {
	t.Helper()
	block, _ := pem.Decode([]byte(read(t, dir, "alice.pem")))
	a := must[signer.Approval](t)(approval.ReadUnverified([]byte(read(t, dir, "signed.json"))))
	bob := enrolledSSH(t, dir, "bob.pub")
	return signer.People{Approvers: []signer.Approver{
		{Name: "alice", Devices: []signer.Device{{ID: a.Device, Certificate: block.Bytes}}}, {Name: "bob", Devices: []signer.Device{bob}},
	}}
}

func TestTheCommandsInTheDocumentationDoWhatItSays(t *testing.T) {
	dir, text := example(t)
	blocks := exampleCommand.FindAllStringSubmatch(text, -1)
	if len(blocks) != 6 {
		t.Fatalf("docs/approvals.md has %d blocks of commands; want 6", len(blocks))
	}
	const end = "\n==== end of block\n"
	script := "set -eu -o pipefail\n"
	for _, b := range blocks {
		script += b[1] + "printf '" + strings.ReplaceAll(end, "\n", `\n`) + "'\n"
	}
	out := strings.Split(run(t, dir, "", "bash", "-c", script), end)
	for i, b := range blocks {
		if got := strings.TrimPrefix(out[i], "\n"); strings.TrimSpace(got) != strings.TrimSpace(b[2]) {
			t.Errorf("%s\nwrites\n%s\nand docs/approvals.md says\n%s", b[1], got, b[2])
		}
	}
	carol := enrolledSSH(t, dir, "carol.pub")
	h, err := approval.Verifier{}.Verify([]byte(read(t, dir, "carol-signed.json")), people(carol))
	if err != nil || h.Approval.Word != signer.WordApprove || hex.EncodeToString(h.Approval.Proposal[:]) != documentedDigest(t, dir) {
		t.Errorf("what Carol makes by hand: %+v, %v", h, err)
	}
}

// documentedDigest is the digest that the documented approval is about.
func documentedDigest(t testing.TB, dir string) string {
	t.Helper()
	a := must[signer.Approval](t)(approval.ReadUnverified([]byte(read(t, dir, "signed.json"))))
	return hex.EncodeToString(a.Proposal[:])
}

func TestTheDocumentedExampleIsReal(t *testing.T) {
	dir, _ := example(t)
	all := enrolledPeople(t, dir)
	for file, want := range map[string]string{"signed.json": "alice approve", "signed-ssh.json": "bob reject"} {
		h, err := approval.Verifier{}.Verify([]byte(read(t, dir, file)), all)
		if got := h.Approver + " " + string(h.Approval.Word); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", file, got, err, want)
		}
	}
	payload := must[[]byte](t)(hex.DecodeString(strings.TrimSpace(read(t, dir, "payload.hex"))))
	canonical := []byte(read(t, dir, "proposal.json"))
	p, ds, err := approval.Review(approval.Told{
		Digest: [32]byte(must[[]byte](t)(hex.DecodeString(documentedDigest(t, dir)))), Canonical: canonical, Payload: payload,
		Intent: payoutIntent(t, payload),
	}, treasury(), decode)
	if err != nil || len(ds) > 0 || p.Intent.Effects[0].Quantity.N.String() != "250000000000" {
		t.Errorf("the documented proposal: %v, %v", ds, err)
	}
}

func payoutIntent(t testing.TB, payload []byte) signer.Intent {
	t.Helper()
	return must[signer.Intent](t)(decode(signer.Request{Key: "treasury", Kind: signer.KindEVMTransaction, Payload: payload}, treasury()))
}

// second runs the second implementation.
func second(t *testing.T, fields map[string]any, payload, signed []byte, d signer.Device) (string, error) {
	t.Helper()
	input := must[[]byte](t)(json.Marshal(map[string]any{
		"fields": fields, "payload": hex.EncodeToString(payload), "signed": string(signed),
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate})),
	}))
	file := filepath.Join(t.TempDir(), "input.json")
	if err := os.WriteFile(file, input, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "node", "testdata/second.mjs", file).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestASecondImplementationAgrees(t *testing.T) {
	p := payout(t)
	p.Request.ID, p.Caller.Unit, p.Request.NotBefore = "payout:7.é", "system.slice/\u2028\"a\".service", noon.Add(7)
	digest := p.Digest()
	// The fields as values, in no order: the script makes the canonical form.
	fields := map[string]any{
		"caller":  map[string]any{"uid": 1000, "gid": 1000, "pid": 4321, "user": "payments", "groups": []string{"payments"}, "socket": "sign", "unit": p.Caller.Unit},
		"created": "2025-06-01T12:00:00Z", "decoder": p.Decoder, "expires": "2025-06-02T12:00:00Z", "not_before": "2025-06-01T12:00:00.000000007Z",
		"instance": p.Instance, "key": p.Key.Fingerprint, "kind": "evm.transaction", "request_id": "payout:7.é",
		"messages": []any{map[string]string{"scheme": "ecdsa-secp256k1-recoverable", "bytes": hex.EncodeToString(p.Intent.Messages[0].Bytes)}},
		"nonce":    hex.EncodeToString(p.Nonce[:]), "policy": hex.EncodeToString(p.Policy[:]),
	}
	for alg, k := range map[string]crypto.Signer{
		"ES256": ec(elliptic.P256(), 1), "ES384": ec(elliptic.P384(), 1), "ES512": ec(elliptic.P521(), 1), "EdDSA": ed(1), "PS256": rsaKey(), "RS256": rsaKey(),
	} {
		t.Run(alg, func(t *testing.T) {
			d := certified(t, "alice", k)
			a := said(d.ID)
			a.Proposal = digest
			signed := must[[]byte](t)(approval.WrapJWS(jws(t, k, alg, header(alg, d.ID), a.Canonical())))
			want := fmt.Sprintf(`{"about":true,"digest":"%x","word":"approve"}`, digest)
			if got, err := second(t, fields, p.Request.Payload, signed, d); err != nil || got != want {
				t.Errorf("second.mjs says %s, %v; want %s", got, err, want)
			}
			forged, at := bytes.Clone(signed), len(signed)-20
			if forged[at] = 'A'; signed[at] == 'A' {
				forged[at] = 'B'
			}
			if got, err := second(t, fields, p.Request.Payload, forged, d); err == nil {
				t.Errorf("second.mjs takes a forged signature: %s", got)
			}
			if got, err := second(t, fields, append(p.Request.Payload, 0), signed, d); err != nil || !strings.Contains(got, `"about":false`) {
				t.Errorf("second.mjs says %s, %v, of another payload", got, err)
			}
		})
	}
}

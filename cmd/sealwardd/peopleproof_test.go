package main

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// provable checks that all that people said verifies with programs that are not ours, for
// whoever has the journal and the certificates of the policy: a JWS with openssl, an SSH
// signature with ssh-keygen. It returns how many of each there are.
func (o *office) provable() (jws, sshsig int) {
	o.t.Helper()
	// Not what is on disk, where somebody may have put something else.
	o.sealwardOK("policy", "show", o.status().GetPolicy(), o.path("shown"))
	for leaf, ev := range o.events(0) {
		if ev.Heard == nil {
			continue
		}
		var signed struct{ JWS, Approval, SSHSig string }
		must(o.t, json.Unmarshal(ev.Heard.Signed, &signed))
		said := signed.Approval
		if signed.JWS != "" {
			jws++
			said = o.verifyJWS(signed.JWS, ev.Heard.Approver)
		} else {
			sshsig++
			o.verifySSH(signed.Approval, signed.SSHSig)
		}
		if want := ev.Heard.Approval; said != string(want.Canonical()) || want.Instance != o.status().GetInstance() {
			o.t.Errorf("leaf %d has %s, and what is signed is %s", leaf, want.Canonical(), said)
		}
	}
	return jws, sshsig
}

// verifyJWS returns the payload.
func (o *office) verifyJWS(jws, approver string) (payload string) {
	t := o.t
	t.Helper()
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWS in compact serialization", jws)
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		raw[i], err = base64.RawURLEncoding.DecodeString(p)
		must(t, err)
	}
	dir := t.TempDir()
	public := outside(t, "", "openssl", "x509", "-in", o.path("shown/approvers/"+approver+".pem"), "-noout", "-pubkey")
	block, _ := pem.Decode([]byte(public))
	sum := sha256.Sum256(block.Bytes)
	if got, want := string(raw[0]), fmt.Sprintf(`{"alg":"ES256","kid":"sha256:%x","typ":%q}`, sum, signer.ApprovalJWSType); got != want {
		t.Errorf("the header is %s, want %s", got, want)
	}
	// RFC 7518, 3.4: r and s in 32 bytes each; openssl wants them in DER.
	if len(raw[2]) != 64 {
		t.Fatalf("the signature has %d bytes", len(raw[2]))
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:])})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "public.pem"), []byte(public), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "signature"), der, 0o600))
	out := outside(t, parts[0]+"."+parts[1], "openssl", "dgst", "-sha256", "-verify", filepath.Join(dir, "public.pem"), "-signature", filepath.Join(dir, "signature"))
	if !strings.Contains(out, "Verified OK") {
		t.Errorf("openssl says %q of a JWS of %s's", out, approver)
	}
	return string(raw[1])
}

// verifySSH is for what bob signed, who alone has an SSH key.
func (o *office) verifySSH(text, sshsig string) {
	t := o.t
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "allowed"), []byte("bob "+o.laptop), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "signature"), []byte(sshsig), 0o600))
	outside(t, text, "ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "allowed"), "-I", "bob", "-n", signer.ApprovalNamespace, "-s", filepath.Join(dir, "signature"))
}

// forged is a signed approval by a card that is about something else than was signed: each
// side of the signature is genuine.
func forged(t *testing.T, signed []byte, change func(*signer.Approval)) []byte {
	t.Helper()
	var doc struct {
		JWS string `json:"jws"`
	}
	must(t, json.Unmarshal(signed, &doc))
	parts := strings.Split(doc.JWS, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	a, err := signer.ParseApproval(text)
	must(t, err)
	change(&a)
	parts[1] = base64.RawURLEncoding.EncodeToString(a.Canonical())
	out, err := json.Marshal(struct {
		JWS string `json:"jws"`
	}{strings.Join(parts, ".")})
	must(t, err)
	return out
}

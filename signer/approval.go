package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Word is what an approval says.
type Word string

// The words. Approve is taken back by withdraw, as long as what it approves waits; the
// other three cannot be taken back, and nobody who withdrew approves the same proposal
// again.
const (
	WordApprove  Word = "approve"
	WordReject   Word = "reject"
	WordWithdraw Word = "withdraw"
	WordFreeze   Word = "freeze" // about no proposal: nothing is to be signed until a thaw
)

// The texts that keep an approval apart from whatever else its key might sign.
const (
	ApprovalType      = "sealward.dev/approval/v1" // in the approval itself
	ApprovalJWSType   = "sealward-approval+jws"    // "typ" of a JWS's header
	ApprovalNamespace = "approval@sealward.dev"    // of an SSH signature (PROTOCOL.sshsig)
)

// MaxReason bounds the reason of an approval, and MaxSignedApproval one with its
// signature, in bytes.
const (
	MaxReason         = 500
	MaxSignedApproval = 16 << 10
)

// Approval is what an approver says of a proposal, or to freeze.
type Approval struct {
	Word     Word
	Instance string   // of the journal of the daemon it is for
	Proposal [32]byte // its digest; zero for a freeze
	Device   string   // the key that signs it, [Device.ID]
	Reason   string   // why; must be there for reject and freeze
	// Time is when it was made, by the clock of whoever made it. Nothing depends on it.
	Time time.Time
	// Expires is when it ceases to count; zero: it counts as long as the request waits.
	Expires time.Time
	// Nonce makes two that say the same two.
	Nonce [16]byte
}

type approvalWire struct {
	Device   string `json:"device"`
	Expires  string `json:"expires,omitempty"`
	Instance string `json:"instance"`
	Nonce    string `json:"nonce"`
	Proposal string `json:"proposal,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Time     string `json:"time"`
	Type     string `json:"type"`
	Word     Word   `json:"word"`
}

// Canonical returns what is signed: canonical JSON (RFC 8785). docs/approvals.md has its
// fields. [ParseApproval] is its inverse.
func (a Approval) Canonical() []byte {
	w := approvalWire{
		Device: a.Device, Expires: formatTime(a.Expires), Instance: a.Instance, Nonce: hex.EncodeToString(a.Nonce[:]),
		Reason: a.Reason, Time: formatTime(a.Time), Type: ApprovalType, Word: a.Word,
	}
	if a.Proposal != ([32]byte{}) {
		w.Proposal = hex.EncodeToString(a.Proposal[:])
	}
	return canonical(w)
}

// ID identifies an approval, whatever signature is on it: SHA-256 of its canonical form.
func (a Approval) ID() [32]byte { return sha256.Sum256(a.Canonical()) }

// ParseApproval reads what [Approval.Canonical] wrote and refuses anything else. It
// checks no signature.
func ParseApproval(data []byte) (Approval, error) {
	var w approvalWire
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Approval{}, fmt.Errorf("approval: %w", err)
	}
	if w.Type != ApprovalType {
		return Approval{}, fmt.Errorf("approval: its type is %q; this program reads %q", clip(w.Type), ApprovalType)
	}
	var r reader
	a := Approval{Word: w.Word, Instance: w.Instance, Device: w.Device, Reason: w.Reason, Time: r.time(w.Time), Expires: r.time(w.Expires)}
	if w.Proposal != "" {
		a.Proposal = r.hash(w.Proposal)
	}
	nonce := r.hex(w.Nonce)
	if r.err != nil {
		return Approval{}, fmt.Errorf("approval: %w", r.err)
	}
	if len(nonce) != len(a.Nonce) {
		return Approval{}, fmt.Errorf("approval: its nonce has %d bytes; want %d", len(nonce), len(a.Nonce))
	}
	a.Nonce = [16]byte(nonce)
	if err := a.check(); err != nil {
		return Approval{}, err
	}
	if !bytes.Equal(a.Canonical(), data) {
		return Approval{}, fmt.Errorf("approval: not in canonical form")
	}
	return a, nil
}

// check refuses what says nothing, or not all of it.
func (a Approval) check() error {
	none := a.Proposal == [32]byte{}
	switch {
	case a.Word != WordApprove && a.Word != WordReject && a.Word != WordWithdraw && a.Word != WordFreeze:
		return fmt.Errorf("approval: its word is %q; want approve, reject, withdraw or freeze", clip(string(a.Word)))
	case none != (a.Word == WordFreeze):
		return fmt.Errorf("approval: a freeze is about no proposal, and every other word about one")
	case a.Instance == "" || a.Device == "" || a.Time.IsZero():
		return fmt.Errorf("approval: instance, device and time must be there")
	case a.Reason == "" && (a.Word == WordReject || a.Word == WordFreeze):
		return fmt.Errorf("approval: to %s takes a reason", a.Word)
	case len(a.Reason) > MaxReason || !utf8.ValidString(a.Reason):
		return fmt.Errorf("approval: its reason has %d bytes; want UTF-8 of at most %d", len(a.Reason), MaxReason)
	}
	return nil
}

// Heard is an approval whose signature was verified, and whose it is.
type Heard struct {
	Approval Approval
	// Approver and Device are their names in the policy by which it was verified.
	Approver, Device string
	// Signed is the approval with its signature, as it came. docs/approvals.md has the
	// format.
	Signed []byte
	// Leaf and Time are those of its record; the journal sets them.
	Leaf uint64
	Time time.Time
}

// Approvals verifies what approvers sign.
type Approvals interface {
	// Verify returns what a signed approval says, and whose it is. What is not signed by
	// a key of one of the people is an error for whoever sent it.
	Verify(signed []byte, people People) (Heard, error)
}

// approvalHeader is the protected header of a JWS, its fields in canonical order.
type approvalHeader struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// jwsAlgorithms are the names of schemes in a JWS (RFC 7518, 3.1; RFC 8037, 3.1).
var jwsAlgorithms = map[Scheme]string{
	SchemeP256: "ES256", SchemeP384: "ES384", SchemeP521: "ES512", SchemeEd25519: "EdDSA",
	SchemePSSSHA256: "PS256", SchemePKCS1SHA256: "RS256",
}

// SignApproval has a key sign an approval, and returns it as a JWS in compact
// serialization (RFC 7515, 7.1). The approval's device must be the key. padding is that
// of an RSA key.
func SignApproval(ctx context.Context, k Key, padding Padding, v Verifier, a Approval, notice func(Notice)) (string, error) {
	pub := k.Public()
	err := a.check()
	if err == nil {
		_, err = ParseApproval(a.Canonical()) // which nobody might be able to
	}
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	if a.Device != pub.Fingerprint() {
		return "", fmt.Errorf("sign approval: it is for key %s, the key in the token is %s", a.Device, pub.Fingerprint())
	}
	m, err := statementMessage(pub.Algorithm, padding, nil)
	if err != nil {
		return "", fmt.Errorf("sign approval: %w", err)
	}
	alg := jwsAlgorithms[m.Scheme]
	if alg == "" {
		return "", fmt.Errorf("sign approval: a key of algorithm %q cannot sign a JWS here; use p256, p384, p521, ed25519 or rsa", pub.Algorithm)
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString(canonical(approvalHeader{alg, a.Device, ApprovalJWSType})) + "." + b64.EncodeToString(a.Canonical())
	if m, err = statementMessage(pub.Algorithm, padding, []byte(input)); err != nil {
		return "", fmt.Errorf("sign approval: %w", err)
	}
	raw, err := k.SignStatement(ctx, Statement{msg: m, ok: true, notice: notice})
	if err != nil {
		return "", fmt.Errorf("sign approval: %w", err)
	}
	sig, err := v.Finish(pub, m, raw)
	if err != nil {
		return "", fmt.Errorf("sign approval: %w", err)
	}
	return input + "." + b64.EncodeToString(sig), nil
}

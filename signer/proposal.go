package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Proposal is a request as it was understood, and everything that an approval of
// it commits to.
type Proposal struct {
	Instance string // of this daemon's journal
	Caller   Caller
	Request  Request
	Key      KeyInfo
	Intent   Intent
	Policy   [32]byte // version of the policy in force
	Decoder  string   // its version
	Created  time.Time
	Nonce    [32]byte // chosen by the daemon

	// Bundle is the policy that a change of policy would put in force, as it is kept
	// beside the record. The proposal commits to it by its version, which the intent and
	// the payload have.
	Bundle []byte
}

// Digest is what an approval signs: SHA-256 under a domain string over the
// canonical JSON (RFC 8785) of the proposal. docs/formats.md has its fields.
func (p Proposal) Digest() [32]byte {
	return sha256.Sum256(append([]byte("sealward.dev/proposal/v1\x00"), p.Canonical()...))
}

// weight is how many bytes of its caller's choice a record of it keeps.
func (p Proposal) weight() int { return len(p.Request.Payload) + len(p.Bundle) }

// ReadProposal puts a proposal together again from its canonical form and what that
// commits to by a hash or not at all, for whoever is to approve it: the key, the payload
// and the claim. The intent has the messages alone; its reader decodes the payload, sets
// the intent, and compares the digest with that of the canonical form.
func ReadProposal(canonicalForm []byte, key KeyInfo, payload []byte, claim string) (Proposal, error) {
	var w proposalWire
	dec := json.NewDecoder(bytes.NewReader(canonicalForm))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Proposal{}, fmt.Errorf("proposal: %w", err)
	}
	if w.Version != wireVersion {
		return Proposal{}, fmt.Errorf("proposal: version %d; this program reads version %d", w.Version, wireVersion)
	}
	if sum := sha256.Sum256(payload); w.Payload != hex.EncodeToString(sum[:]) {
		return Proposal{}, fmt.Errorf("proposal: it is about a payload with SHA-256 %q, and the one beside it has %x", clip(w.Payload), sum)
	}
	var r reader
	p := r.proposal(w, key, payload, claim)
	p.Intent = Intent{Kind: w.Kind, Messages: r.messages(w.Messages)}
	switch {
	case r.err != nil:
		return Proposal{}, fmt.Errorf("proposal: %w", r.err)
	case p.Key.Fingerprint != key.Public.Fingerprint() || w.Key != p.Key.Fingerprint:
		return Proposal{}, fmt.Errorf("proposal: it is for key %q, and the key beside it is %q", clip(w.Key), key.Public.Fingerprint())
	case !bytes.Equal(p.Canonical(), canonicalForm):
		return Proposal{}, errors.New("proposal: not in canonical form")
	}
	return p, nil
}

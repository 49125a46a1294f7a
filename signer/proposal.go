package signer

import (
	"crypto/sha256"
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
}

// Digest is what an approval signs: SHA-256 under a domain string over the
// canonical JSON (RFC 8785) of the proposal. docs/formats.md has its fields.
func (p Proposal) Digest() [32]byte {
	return sha256.Sum256(append([]byte("sealward.dev/proposal/v1\x00"), p.Canonical()...))
}

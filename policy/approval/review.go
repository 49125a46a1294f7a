package approval

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer"
)

// Told is what a daemon tells an approver of a proposal. None of it is believed.
type Told struct {
	Digest    [32]byte // of the proposal
	Canonical []byte   // the proposal in canonical form
	Payload   []byte
	Claim     string // of the caller; nothing commits to it
	Intent    signer.Intent
}

// Review puts a proposal together again and compares it with what the daemon told. The
// intent in it is that of decode, which reads the payload with the approver's own files
// and adds what the engine adds ([signer.Intent.Identify]). key is the key that is to sign,
// whose fingerprint the approver knows from elsewhere; of an administrative request it has
// a name alone.
//
// Only a proposal without differences may be approved. To approve it is to sign
// [signer.Proposal.Digest] of what Review returns, never the digest that was told.
func Review(told Told, key signer.KeyInfo, decode func(signer.Request, signer.KeyInfo) (signer.Intent, error)) (signer.Proposal, []Difference, error) {
	p, err := signer.ReadProposal(told.Canonical, key, told.Payload, told.Claim)
	if err != nil {
		return signer.Proposal{}, nil, fmt.Errorf("what the daemon says is no proposal about this payload and key, so do not approve it: %w", err)
	}
	committed := p.Intent // the kind and the messages
	own, err := decode(p.Request, p.Key)
	if err != nil {
		return signer.Proposal{}, nil, fmt.Errorf("the payload cannot be read here, so do not approve it: %w", err)
	}
	p.Intent = own
	ds := compare(messages("message %d of the proposal", own.Messages), messages("message %d of the proposal", committed.Messages))
	ds = append(ds, Compare(own, told.Intent)...)
	if mine := p.Digest(); mine != told.Digest {
		ds = append(ds, Difference{"digest of the proposal", hex.EncodeToString(mine[:]), hex.EncodeToString(told.Digest[:])})
	}
	if len(ds) == 0 && !bytes.Equal(p.Canonical(), told.Canonical) {
		return signer.Proposal{}, nil, errors.New("the proposal that is shown here is not the one that was read; this is a defect of this program, so do not approve it")
	}
	return p, ds, nil
}

// Difference is one fact that an approver's program finds other than the daemon says. Its
// texts may be hostile: render them with package ipc/console.
type Difference struct {
	What         string // e.g. "effect 2, counterparty"
	Mine, Theirs string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %s here, %s by the daemon", d.What, d.Mine, d.Theirs)
}

// Compare returns in which facts two intents differ: what a payload does, and what is
// signed for it. What is only said about it, fields and warnings, depends on whose names
// are used, and is not compared: an approver is shown their own.
func Compare(own, theirs signer.Intent) []Difference { return compare(facts(own), facts(theirs)) }

// fact is one fact of an intent. No two values have one text.
type fact struct{ what, value string }

// absent stands for the value of a fact that one side does not have; no fact's text
// begins with a parenthesis.
const absent = "(not there)"

// compare pairs facts by what they are about, which is unique on each side.
func compare(own, theirs []fact) (ds []Difference) {
	said := map[string]string{}
	for _, f := range theirs {
		said[f.what] = f.value
	}
	mine := map[string]bool{}
	for _, f := range own {
		mine[f.what] = true
		value, there := said[f.what]
		if !there {
			value = absent
		}
		if value != f.value {
			ds = append(ds, Difference{f.what, f.value, value})
		}
	}
	for _, f := range theirs {
		if !mine[f.what] {
			ds = append(ds, Difference{f.what, absent, f.value})
		}
	}
	return ds
}

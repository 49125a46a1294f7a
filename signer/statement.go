package signer

import (
	"context"
	"fmt"
	"strings"
)

// CheckpointOrigin begins the first line of every checkpoint that Sealward signs;
// it keeps a checkpoint apart from whatever else an Ed25519 or P-256 key might be
// asked to sign.
const CheckpointOrigin = "sealward.dev/journal/"

// CheckpointSigner signs the journal's checkpoints and nothing else.
type CheckpointSigner struct {
	key      Key
	verifier Verifier
	origin   string
}

// NewCheckpointSigner returns the signer of checkpoints for a journal. The key
// must be one that the configuration gives to statements only; the caller sees
// to that, by never handing it to an [Engine].
func NewCheckpointSigner(k Key, v Verifier, instance string) (*CheckpointSigner, error) {
	s := &CheckpointSigner{key: k, verifier: v, origin: CheckpointOrigin + instance}
	switch alg := k.Public().Algorithm; alg { // those of C2SP signed-note
	case AlgorithmEd25519, AlgorithmP256:
	default:
		return nil, fmt.Errorf("journal key: algorithm %q cannot sign checkpoints; use an ed25519 or p256 key", alg)
	}
	return s, nil
}

// Origin is the first line of the checkpoints.
func (s *CheckpointSigner) Origin() string { return s.origin }

// Public is the key that checkpoints verify under.
func (s *CheckpointSigner) Public() PublicKey { return s.key.Public() }

// Sign signs the text of a checkpoint (C2SP tlog-checkpoint, the note's text): of
// this journal's origin, with a size and a root. The signature is in the encoding
// of the key's scheme.
func (s *CheckpointSigner) Sign(ctx context.Context, text []byte) ([]byte, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || lines[0] != s.origin || lines[3] != "" {
		return nil, fmt.Errorf("sign checkpoint: the text is not a checkpoint of %s", s.origin)
	}
	m, err := statementMessage(s.key.Public().Algorithm, "", text)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	raw, err := s.key.SignStatement(ctx, Statement{msg: m, ok: true})
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return s.verifier.Finish(s.key.Public(), m, raw)
}

package receipt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
)

// maxSize bounds a tree. It is what a JSON number holds exactly, and keeps the
// arithmetic of package tlog away from overflow.
const maxSize = 1 << 53

// maxCheckpoint bounds a signed checkpoint in bytes, with room for the 16
// cosignatures that signed-note asks for, post-quantum ones included.
const maxCheckpoint = 128 << 10

// Origin is the first line of the checkpoints of the journal with the given
// instance id, and the name of their key.
func Origin(instance string) string { return signer.CheckpointOrigin + instance }

// Checkpoint is a journal's size and root.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   tlog.Hash
}

// Text is what gets signed: three lines (C2SP tlog-checkpoint, "Note text"),
// without extension lines.
func (c Checkpoint) Text() []byte {
	return fmt.Appendf(nil, "%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// ParseCheckpoint reads what [Checkpoint.Text] wrote and refuses anything else.
// It checks no signature.
func ParseCheckpoint(text []byte) (Checkpoint, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("checkpoint: want three lines: origin, size, root")
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > maxSize || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("checkpoint: size %q: want a decimal up to 2^53 without leading zeros", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return Checkpoint{}, fmt.Errorf("checkpoint: root %q: want base64 of 32 bytes", lines[2])
	}
	if !validName(lines[0]) {
		return Checkpoint{}, fmt.Errorf("checkpoint: origin %q: want a name without spaces or '+'", lines[0])
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// Sign returns the checkpoint as a signed note. sign is given the text and returns
// the signature as a device makes it: 64 bytes, r || s for ECDSA over the text's
// SHA-256, RFC 8032 for Ed25519 over the text. What does not verify is not
// returned.
func (c Checkpoint) Sign(v *Verifier, sign func(text []byte) ([]byte, error)) ([]byte, error) {
	if c.Origin != v.Name() {
		return nil, fmt.Errorf("sign checkpoint: its origin is %q, the key's name %q", c.Origin, v.Name())
	}
	text := c.Text()
	if _, err := ParseCheckpoint(text); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	raw, err := sign(text)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	sig, err := v.noteEncoding(raw)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	if !v.Verify(text, sig) {
		return nil, fmt.Errorf("sign checkpoint: the signature does not verify under %s", v)
	}
	return note.Sign(&note.Note{Text: string(text)}, signed{v, sig})
}

// signed is a [note.Signer] that has signed already.
type signed struct {
	*Verifier
	sig []byte
}

func (s signed) Sign([]byte) ([]byte, error) { return s.sig, nil }

// OpenCheckpoint verifies a signed checkpoint under the key that the caller trusts.
// Signatures by other keys, such as witnesses, are passed over.
func OpenCheckpoint(signedNote []byte, v *Verifier) (Checkpoint, error) {
	if len(signedNote) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("checkpoint: %d bytes; the most is %d", len(signedNote), maxCheckpoint)
	}
	n, err := note.Open(signedNote, note.VerifierList(v))
	if unsigned, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		var by []string
		for _, s := range unsigned.Note.UnverifiedSigs {
			by = append(by, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
		}
		return Checkpoint{}, fmt.Errorf("checkpoint: signed by %q, not by the trusted key %s+%08x", by, v.Name(), v.KeyHash())
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := ParseCheckpoint([]byte(n.Text))
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, fmt.Errorf("checkpoint: is of %q, the trusted key of %q", c.Origin, v.Name())
	}
	return c, nil
}

// CheckConsistency verifies that the tree of the later checkpoint begins with the
// tree of the earlier one, so that nothing was rewritten in between. The path is a
// consistency proof (RFC 6962, 2.1.2); it is empty when the sizes are equal or the
// earlier tree is empty.
func CheckConsistency(earlier, later Checkpoint, path []tlog.Hash) error {
	switch {
	case earlier.Origin != later.Origin:
		return fmt.Errorf("consistency: the checkpoints are of %q and of %q", earlier.Origin, later.Origin)
	case earlier.Size > later.Size || later.Size > maxSize:
		return fmt.Errorf("consistency: the journal shrank from %d to %d leaves", earlier.Size, later.Size)
	case earlier.Size == 0 || earlier.Size == later.Size:
		if len(path) != 0 || (earlier.Size == later.Size && earlier.Root != later.Root) {
			return fmt.Errorf("consistency: the journal has two different roots at %d leaves, or the proof is not empty", earlier.Size)
		}
		return nil
	}
	if err := tlog.CheckTree(path, int64(later.Size), later.Root, int64(earlier.Size), earlier.Root); err != nil {
		return fmt.Errorf("consistency: the tree of %d leaves does not begin with the one of %d: history was rewritten, or the proof is wrong", later.Size, earlier.Size)
	}
	return nil
}

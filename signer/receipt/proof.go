package receipt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
)

const (
	proofHeader = "c2sp.org/tlog-proof@v1"
	maxExtra    = 64 << 10 // bytes of extra data
	maxPath     = 53       // hashes; log2 of maxSize
)

// Proof ties a leaf to a signed checkpoint (C2SP tlog-proof).
type Proof struct {
	// Extra is opaque and not authenticated. Sealward writes none.
	Extra      []byte
	Index      uint64
	Path       []tlog.Hash // from the leaf's sibling up to the root's child
	Checkpoint []byte      // the signed note, verbatim
}

// Encode returns the proof as text.
func (p Proof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if len(p.Extra) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Extra) + "\n")
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Path {
		b.WriteString(h.String() + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads what [Proof.Encode] wrote and refuses anything else. It checks
// no hash and no signature; that is [Proof.Verify].
func ParseProof(text []byte) (Proof, error) {
	if len(text) > maxExtra*2+maxCheckpoint {
		return Proof{}, fmt.Errorf("proof: %d bytes is too long", len(text))
	}
	head, checkpoint, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok || len(checkpoint) == 0 {
		return Proof{}, errors.New("proof: no checkpoint after an empty line")
	}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofHeader {
		return Proof{}, fmt.Errorf("proof: the first line is %q; want %q", clip(lines[0]), proofHeader)
	}
	p := Proof{Checkpoint: bytes.Clone(checkpoint)}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		extra, err := base64.StdEncoding.DecodeString(lines[0][len("extra "):])
		if err != nil || len(extra) == 0 || len(extra) > maxExtra {
			return Proof{}, fmt.Errorf("proof: the extra line is not base64 of 1 to %d bytes", maxExtra)
		}
		p.Extra, lines = extra, lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return Proof{}, errors.New("proof: no index line")
	}
	index, err := strconv.ParseUint(lines[0][len("index "):], 10, 64)
	if err != nil || index >= maxSize {
		return Proof{}, fmt.Errorf("proof: %q: want a decimal below 2^53", clip(lines[0]))
	}
	p.Index = index
	if len(lines)-1 > maxPath {
		return Proof{}, fmt.Errorf("proof: %d hashes; the most is %d", len(lines)-1, maxPath)
	}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return Proof{}, fmt.Errorf("proof: %q: want base64 of 32 bytes", clip(line))
		}
		p.Path = append(p.Path, h)
	}
	// Base64 and decimals have more than one spelling; only ours is accepted.
	if !bytes.Equal(p.Encode(), text) {
		return Proof{}, errors.New("proof: not in canonical form")
	}
	return p, nil
}

// Verify checks that a trusted key signed the checkpoint and that its tree holds
// the leaf at the proof's index.
func (p Proof) Verify(v *Verifier, l Leaf) (Checkpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, v)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("proof: %w", err)
	}
	if p.Index >= c.Size {
		return Checkpoint{}, fmt.Errorf("proof: leaf %d is not in a tree of %d leaves", p.Index, c.Size)
	}
	h, err := l.Hash()
	if err != nil {
		return Checkpoint{}, fmt.Errorf("proof: %w", err)
	}
	if err := tlog.CheckRecord(p.Path, int64(c.Size), c.Root, int64(p.Index), h); err != nil {
		return Checkpoint{}, fmt.Errorf("proof: the tree of %d leaves does not hold this leaf at index %d", c.Size, p.Index)
	}
	return c, nil
}

// Verify checks one entry of a journal from end to end, given the key that the
// caller trusts: signature of the checkpoint, inclusion of the leaf, commitment to
// the body. It returns the event that is thereby proven to be in the journal.
func Verify(v *Verifier, e Entry, proof []byte) (signer.Event, Checkpoint, error) {
	p, err := ParseProof(proof)
	if err != nil {
		return signer.Event{}, Checkpoint{}, err
	}
	if p.Index != e.Index {
		return signer.Event{}, Checkpoint{}, fmt.Errorf("proof: is of leaf %d, not of leaf %d", p.Index, e.Index)
	}
	c, err := p.Verify(v, e.Leaf)
	if err != nil {
		return signer.Event{}, Checkpoint{}, err
	}
	ev, err := e.Event()
	if err != nil {
		return signer.Event{}, Checkpoint{}, err
	}
	return ev, c, nil
}

// clip bounds hostile text in an error.
func clip(s string) string {
	if len(s) <= 100 {
		return s
	}
	return s[:100] + "..."
}

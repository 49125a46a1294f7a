package receipt

import (
	"bytes"
	"testing"
)

// FuzzParseLeaf checks that a leaf has one encoding: what is accepted encodes back
// to itself.
func FuzzParseLeaf(f *testing.F) {
	for n := range uint64(3) {
		b, err := entry(n).Leaf.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := ParseLeaf(in)
		if err != nil {
			return
		}
		out, err := l.Encode()
		if err != nil || !bytes.Equal(in, out[:]) {
			t.Errorf("accepted %x but it encodes as %x (%v)", in, out, err)
		}
	})
}

// FuzzParseProof checks that a proof has one encoding, and that no change to a
// proof shows anything but the leaf that it was made for.
func FuzzParseProof(f *testing.F) {
	var l log
	l.grow(f, 13)
	d := ed25519Device("journal")
	v := verifier(f, d)
	for _, leaf := range []uint64{0, 7, 12} {
		f.Add(l.prove(f, leaf, d).Encode())
	}
	p := l.prove(f, 7, d)
	p.Extra = []byte{1, 2, 3}
	f.Add(p.Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ParseProof(in)
		if err != nil {
			return
		}
		if out := p.Encode(); !bytes.Equal(in, out) {
			t.Errorf("accepted %q but it encodes as %q", in, out)
		}
		if _, err := p.Verify(v, entry(7).Leaf); err == nil && p.Index != 7 {
			t.Errorf("shows leaf 7 at index %d", p.Index)
		}
	})
}

// FuzzParseCheckpoint checks that a checkpoint's text has one spelling.
func FuzzParseCheckpoint(f *testing.F) {
	f.Add(new(log).grow(f, 0).Text())
	f.Add(new(log).grow(f, 5).Text())
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseCheckpoint(in)
		if err != nil {
			return
		}
		if out := c.Text(); !bytes.Equal(in, out) {
			t.Errorf("accepted %q but it encodes as %q", in, out)
		}
	})
}

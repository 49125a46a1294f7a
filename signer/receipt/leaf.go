package receipt

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
)

// LeafSize is the length of a leaf in bytes.
const LeafSize = 72

// The parts of a leaf, all of fixed size. The domain names the version, so a leaf
// of another version can be of any length.
const (
	leafDomain = "sealward/leaf/v1" // 16 bytes
	typeSize   = 16                 // the event type, padded with zero bytes
	typeAt     = len(leafDomain)
	timeAt     = typeAt + typeSize
	bodyAt     = timeAt + 8
)

// bodyDomain separates commitments to bodies from every other hash of ours.
const bodyDomain = "sealward.dev/body/v1\x00"

// Leaf is what the Merkle tree holds of one event.
type Leaf struct {
	Type       signer.EventType
	Time       time.Time // journal time, at or after 1970, to the nanosecond
	Commitment [32]byte  // to the body: [Commit]
}

// Commit is the salted commitment to a body: SHA-256(domain || salt || body). The
// salt keeps a body that is easy to guess from being confirmed by its leaf.
func Commit(salt [32]byte, body []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(bodyDomain))
	h.Write(salt[:])
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// Encode returns the bytes that the tree hashes. It refuses a type or a time that
// the format cannot hold.
func (l Leaf) Encode() ([LeafSize]byte, error) {
	var b [LeafSize]byte
	if !validType(string(l.Type)) {
		return b, fmt.Errorf("leaf: event type %q: want 1 to %d characters out of a-z and _", l.Type, typeSize)
	}
	ns := l.Time.UnixNano()
	if ns < 0 || !time.Unix(0, ns).Equal(l.Time) {
		return b, fmt.Errorf("leaf: time %s is outside 1970 to 2262", l.Time.UTC().Format(time.RFC3339Nano))
	}
	copy(b[:], leafDomain)
	copy(b[typeAt:], l.Type)
	binary.BigEndian.PutUint64(b[timeAt:], uint64(ns))
	copy(b[bodyAt:], l.Commitment[:])
	return b, nil
}

// ParseLeaf reads what [Leaf.Encode] wrote and refuses anything else.
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) < typeAt || string(b[:typeAt]) != leafDomain {
		return Leaf{}, fmt.Errorf("leaf: does not begin with %q; it is of another version or no leaf", leafDomain)
	}
	if len(b) != LeafSize {
		return Leaf{}, fmt.Errorf("leaf: has %d bytes; want %d", len(b), LeafSize)
	}
	name, pad, _ := bytes.Cut(b[typeAt:timeAt], []byte{0})
	if !validType(string(name)) || len(bytes.Trim(pad, "\x00")) != 0 {
		return Leaf{}, fmt.Errorf("leaf: event type %q: want a-z and _, padded with zero bytes", b[typeAt:timeAt])
	}
	ns := binary.BigEndian.Uint64(b[timeAt:])
	if ns > 1<<63-1 {
		return Leaf{}, fmt.Errorf("leaf: time %d is out of range", ns)
	}
	return Leaf{
		Type:       signer.EventType(name),
		Time:       time.Unix(0, int64(ns)).UTC(),
		Commitment: [32]byte(b[bodyAt:]),
	}, nil
}

// Hash is the leaf's hash in the tree (RFC 6962, 2.1).
func (l Leaf) Hash() (tlog.Hash, error) {
	b, err := l.Encode()
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.RecordHash(b[:]), nil
}

func validType(s string) bool {
	if s == "" || len(s) > typeSize {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// Entry is one leaf with what it commits to.
type Entry struct {
	Index uint64
	Leaf  Leaf
	Salt  [32]byte
	Body  []byte
}

// Event checks that the body is the one that the leaf commits to and says the same
// of itself as the leaf does, and returns it. It says nothing about the leaf being
// in any tree; that is [Verify].
func (e Entry) Event() (signer.Event, error) {
	if want := Commit(e.Salt, e.Body); subtle.ConstantTimeCompare(want[:], e.Leaf.Commitment[:]) != 1 {
		return signer.Event{}, fmt.Errorf("leaf %d: the body is not the one that the leaf commits to", e.Index)
	}
	ev, err := signer.ParseEvent(e.Body)
	if err != nil {
		return signer.Event{}, fmt.Errorf("leaf %d: %w", e.Index, err)
	}
	if ev.Type != e.Leaf.Type || !ev.Time.Equal(e.Leaf.Time) {
		return signer.Event{}, fmt.Errorf("leaf %d: the leaf says %s at %s, its body %s at %s", e.Index,
			e.Leaf.Type, e.Leaf.Time.Format(time.RFC3339Nano), ev.Type, ev.Time.Format(time.RFC3339Nano))
	}
	return ev, nil
}

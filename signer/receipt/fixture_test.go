package receipt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealward/sealward/signer"
)

const origin = signer.CheckpointOrigin + "00112233445566778899aabbccddeeff"

// device signs as hardware does: 64 bytes, r || s for ECDSA.
type device struct {
	public signer.PublicKey
	sign   func(text []byte) ([]byte, error)
}

func ed25519Device(name string) device {
	seed := sha256.Sum256([]byte(name))
	key := ed25519.NewKeyFromSeed(seed[:])
	return device{
		signer.PublicKey{Algorithm: signer.AlgorithmEd25519, Bytes: key.Public().(ed25519.PublicKey)},
		func(text []byte) ([]byte, error) { return ed25519.Sign(key, text), nil },
	}
}

func p256Device(t testing.TB, name string) device {
	t.Helper()
	d := sha256.Sum256([]byte(name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return device{
		signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: point},
		func(text []byte) ([]byte, error) {
			sum := sha256.Sum256(text)
			r, s, err := ecdsa.Sign(nil, key, sum[:])
			if err != nil {
				return nil, err
			}
			sig := make([]byte, 64)
			new(big.Int).Set(r).FillBytes(sig[:32])
			new(big.Int).Set(s).FillBytes(sig[32:])
			return sig, nil
		},
	}
}

func verifier(t testing.TB, d device) *Verifier {
	t.Helper()
	v, err := NewVerifier(origin, d.public)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// entry is leaf number n of a test journal: a start of the daemon.
func entry(n uint64) Entry {
	at := time.Date(2025, 6, 1, 12, 0, 0, int(n), time.UTC)
	ev := signer.Event{Type: signer.EventStarted, Time: at, Wall: at, Detail: "a start"}
	e := Entry{Index: n, Salt: sha256.Sum256([]byte{byte(n)}), Body: ev.Canonical()}
	e.Leaf = Leaf{Type: ev.Type, Time: at, Commitment: Commit(e.Salt, e.Body)}
	return e
}

// log is a tree of entries in memory.
type log struct {
	hashes []tlog.Hash
	size   uint64
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = l.hashes[x]
	}
	return out, nil
}

func (l *log) grow(t testing.TB, size uint64) Checkpoint {
	t.Helper()
	for ; l.size < size; l.size++ {
		h, err := entry(l.size).Leaf.Hash()
		if err != nil {
			t.Fatal(err)
		}
		stored, err := tlog.StoredHashesForRecordHash(int64(l.size), h, l)
		if err != nil {
			t.Fatal(err)
		}
		l.hashes = append(l.hashes, stored...)
	}
	root, err := tlog.TreeHash(int64(l.size), l)
	if err != nil {
		t.Fatal(err)
	}
	return Checkpoint{Origin: origin, Size: l.size, Root: root}
}

// prove returns the proof of a leaf under a fresh checkpoint.
func (l *log) prove(t testing.TB, leaf uint64, d device) Proof {
	t.Helper()
	note, err := l.grow(t, l.size).Sign(verifier(t, d), d.sign)
	if err != nil {
		t.Fatal(err)
	}
	path, err := tlog.ProveRecord(int64(l.size), int64(leaf), l)
	if err != nil {
		t.Fatal(err)
	}
	return Proof{Index: leaf, Path: path, Checkpoint: note}
}

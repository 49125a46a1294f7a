package scheme_test

import (
	"crypto/ecdsa"
	"math/big"
	"testing"

	decred "github.com/decred/dcrd/dcrec/secp256k1/v4"
	decredecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	libsecp256k1 "github.com/ethereum/go-ethereum/crypto/secp256k1"

	"github.com/sealward/sealward/signer/scheme"
)

// BenchmarkSecp256k1 compares ways to verify; Finish finds the recovery id too,
// in one attempt or two.
func BenchmarkSecp256k1(b *testing.B) {
	key := newSecp256k1(b)
	var ids [2]signed
	for i := byte(0); ids[0].raw == nil || ids[1].raw == nil; i++ {
		s, id := signSecp256k1(b, key, hash(string(rune(i))))
		ids[id] = s
	}
	var v scheme.Verifier
	for id, s := range ids {
		b.Run([]string{"Finish, id 0", "Finish, id 1"}[id], func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Finish(s.pub, s.msg, s.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	s := ids[0]
	b.Run("libsecp256k1 verify", func(b *testing.B) {
		for b.Loop() {
			if !libsecp256k1.VerifySignature(s.pub.Bytes, s.msg.Bytes, s.raw) {
				b.Fatal("does not verify")
			}
		}
	})
	b.Run("decred verify", func(b *testing.B) {
		var r, t decred.ModNScalar
		r.SetByteSlice(s.raw[:32])
		t.SetByteSlice(s.raw[32:])
		sig, pub := decredecdsa.NewSignature(&r, &t), key.PubKey()
		for b.Loop() {
			if !sig.Verify(s.msg.Bytes, pub) {
				b.Fatal("does not verify")
			}
		}
	})
	compact := decredecdsa.SignCompact(key, s.msg.Bytes, false)
	b.Run("decred recover", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := decredecdsa.RecoverCompact(compact, s.msg.Bytes); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkP256 compares the table of a known key with the standard library.
func BenchmarkP256(b *testing.B) {
	key := newP256(b)
	s := signP256(b, key, hash("pay"))
	var v scheme.Verifier
	b.Run("Finish", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.Finish(s.pub, s.msg, s.raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Finish, first use of a key", func(b *testing.B) {
		for b.Loop() {
			var v scheme.Verifier
			if _, err := v.Finish(s.pub, s.msg, s.raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("crypto/ecdsa", func(b *testing.B) {
		r, t := new(big.Int).SetBytes(s.raw[:32]), new(big.Int).SetBytes(s.raw[32:])
		for b.Loop() {
			if !ecdsa.Verify(&key.PublicKey, s.msg.Bytes, r, t) {
				b.Fatal("does not verify")
			}
		}
	})
}

func BenchmarkEd25519(b *testing.B) {
	s := signEd25519(b, []byte("pay"))
	var v scheme.Verifier
	for b.Loop() {
		if _, err := v.Finish(s.pub, s.msg, s.raw); err != nil {
			b.Fatal(err)
		}
	}
}

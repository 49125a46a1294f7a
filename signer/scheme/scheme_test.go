package scheme_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
	"strings"
	"testing"

	decred "github.com/decred/dcrd/dcrec/secp256k1/v4"
	decredecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// signed is a message, the key it was signed with, and what a device returned.
type signed struct {
	pub signer.PublicKey
	msg signer.Message
	raw []byte
}

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// hashFor hashes a text as a scheme wants it.
func hashFor(t testing.TB, s signer.Scheme, text []byte) []byte {
	t.Helper()
	f, ok := s.Facts()
	if !ok {
		t.Fatalf("there is no scheme %q", s)
	}
	switch f.Prehash {
	case 32:
		sum := sha256.Sum256(text)
		return sum[:]
	case 48:
		sum := sha512.Sum384(text)
		return sum[:]
	case 64:
		sum := sha512.Sum512(text)
		return sum[:]
	}
	return text
}

func concat(r, s *big.Int) []byte { return concatOf(32, r, s) }

func concatOf(size int, r, s *big.Int) []byte {
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// signP256 signs with the standard library, whose s is in either half.
func signP256(t testing.TB, key *ecdsa.PrivateKey, digest []byte) signed {
	t.Helper()
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return signed{signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: pub}, signer.Message{Scheme: signer.SchemeP256, Bytes: digest}, concat(r, s)}
}

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signSecp256k1 signs with decred's curve, an implementation that the package
// under test does not use, and returns the recovery id that it found beside it.
func signSecp256k1(t testing.TB, key *decred.PrivateKey, digest []byte) (signed, byte) {
	t.Helper()
	compact := decredecdsa.SignCompact(key, digest, false)
	return signed{
		signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: key.PubKey().SerializeUncompressed()},
		signer.Message{Scheme: signer.SchemeSecp256k1, Bytes: digest},
		compact[1:],
	}, compact[0] - 27
}

func newSecp256k1(t testing.TB) *decred.PrivateKey {
	t.Helper()
	key, err := decred.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signEd25519(t testing.TB, msg []byte) signed {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signed{signer.PublicKey{Algorithm: signer.AlgorithmEd25519, Bytes: pub}, signer.Message{Scheme: signer.SchemeEd25519, Bytes: msg}, ed25519.Sign(key, msg)}
}

// negateS turns a signature into the other one that verifies.
func negateS(raw []byte, n *big.Int) []byte {
	s := new(big.Int).SetBytes(raw[32:64])
	return concat(new(big.Int).SetBytes(raw[:32]), s.Sub(n, s))
}

var secp256k1N = decred.Params().N

func TestFinishSecp256k1AgreesWithAnotherImplementation(t *testing.T) {
	var v scheme.Verifier
	key, ids := newSecp256k1(t), [2]int{}
	for i := range 200 {
		s, id := signSecp256k1(t, key, hash(strings.Repeat("x", i)))
		ids[id]++
		want := append(bytes.Clone(s.raw), id)
		for half, raw := range map[string][]byte{"lower": s.raw, "upper": negateS(s.raw, secp256k1N)} {
			got, err := v.Finish(s.pub, s.msg, raw)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("Finish of s in the %s half = %x, %v; want %x", half, got, err, want)
			}
			if err := scheme.Verify(s.pub, s.msg, got); err != nil {
				t.Fatalf("Verify of what Finish made: %v", err)
			}
		}
	}
	if ids[0] == 0 || ids[1] == 0 {
		t.Errorf("recovery ids seen = %v; want both", ids)
	}
}

func TestFinishP256AgreesWithTheStandardLibrary(t *testing.T) {
	var v scheme.Verifier
	// Small private keys make the table's points meet the sum, so that additions
	// become doublings or cancel out.
	keys := []*ecdsa.PrivateKey{newP256(t)}
	for _, d := range []int64{1, 2, 3, 63, 64, 65, 1 << 12} {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), big.NewInt(d).FillBytes(make([]byte, 32)))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	n := elliptic.P256().Params().N
	digests := [][]byte{make([]byte, 32), n.Bytes(), bytes.Repeat([]byte{0xff}, 32), new(big.Int).Sub(n, big.NewInt(1)).Bytes()}
	for i := range 60 {
		digests = append(digests, hash(strings.Repeat("y", i)))
	}
	for _, key := range keys {
		for _, digest := range digests {
			s := signP256(t, key, digest)
			for _, raw := range [][]byte{s.raw, negateS(s.raw, n)} {
				got, err := v.Finish(s.pub, s.msg, raw)
				if err != nil {
					t.Fatalf("Finish: %v", err)
				}
				if half := new(big.Int).Rsh(n, 1); new(big.Int).SetBytes(got[32:]).Cmp(half) > 0 {
					t.Fatalf("Finish left s in the upper half: %x", got)
				}
				if err := scheme.Verify(s.pub, s.msg, got); err != nil {
					t.Fatalf("Verify of what Finish made: %v", err)
				}
			}
			bad := bytes.Clone(s.raw)
			bad[int(digest[5])%64] ^= 1 << (digest[6] % 8)
			want := ecdsa.Verify(&key.PublicKey, digest, new(big.Int).SetBytes(bad[:32]), new(big.Int).SetBytes(bad[32:]))
			if _, err := v.Finish(s.pub, s.msg, bad); (err == nil) != want {
				t.Fatalf("Finish of a changed signature: %v; crypto/ecdsa says %v", err, want)
			}
		}
	}
}

// The sum of the two products can be infinity, or both can be the same point.
func TestFinishP256AtTheEdgesOfAddition(t *testing.T) {
	var v scheme.Verifier
	n := elliptic.P256().Params().N
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), big.NewInt(1).FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey.Bytes() // Q = G
	if err != nil {
		t.Fatal(err)
	}
	r := new(big.Int).SetBytes(pub[1:33]) // x of G
	for name, c := range map[string]struct {
		e, s *big.Int
		want bool
	}{
		"e = -r cancels":                      {new(big.Int).Sub(n, r), big.NewInt(7), false},
		"e = r doubles":                       {r, new(big.Int).Lsh(r, 1), true}, // s = 2r: (r/s + r/s) G = G
		"e = 0 leaves the key's product":      {new(big.Int), r, true},
		"e = n is e = 0":                      {n, r, true},
		"e = 0 and another s does not verify": {new(big.Int), big.NewInt(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(big.Int).Mod(c.s, n)
			digest := c.e.FillBytes(make([]byte, 32))
			if got := ecdsa.Verify(&key.PublicKey, digest, r, s); got != c.want {
				t.Fatalf("crypto/ecdsa says %v; the case wants %v", got, c.want)
			}
			m := signer.Message{Scheme: signer.SchemeP256, Bytes: digest}
			_, err := v.Finish(signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: pub}, m, concat(r, s))
			if (err == nil) != c.want {
				t.Errorf("Finish error = %v, want verified %v", err, c.want)
			}
		})
	}
}

func TestFinishP256WithMoreKeysThanTables(t *testing.T) {
	var v scheme.Verifier
	for range 40 {
		s := signP256(t, newP256(t), hash("one of many"))
		for range 2 {
			if _, err := v.Finish(s.pub, s.msg, s.raw); err != nil {
				t.Fatalf("Finish: %v", err)
			}
		}
		s.msg.Bytes = hash("another")
		if sig, err := v.Finish(s.pub, s.msg, s.raw); err == nil || sig != nil {
			t.Fatalf("Finish of another message = %x, %v; want an error", sig, err)
		}
	}
}

func TestFinishEd25519(t *testing.T) {
	var v scheme.Verifier
	for _, msg := range []string{"", "a", strings.Repeat("long ", 100)} {
		s := signEd25519(t, []byte(msg))
		got, err := v.Finish(s.pub, s.msg, s.raw)
		if err != nil || !bytes.Equal(got, s.raw) {
			t.Errorf("Finish = %x, %v; want the signature as it is", got, err)
		}
		if err := scheme.Verify(s.pub, s.msg, got); err != nil {
			t.Errorf("Verify of what Finish made: %v", err)
		}
	}
}

func TestBadSignaturesAreNotReleased(t *testing.T) {
	n := elliptic.P256().Params().N
	p256 := signP256(t, newP256(t), hash("pay"))
	secp, _ := signSecp256k1(t, newSecp256k1(t), hash("pay"))
	ed := signEd25519(t, []byte("pay"))
	zero, one := new(big.Int), big.NewInt(1)
	with := func(s signed, change func(*signed)) signed {
		s.msg.Bytes, s.pub.Bytes = bytes.Clone(s.msg.Bytes), bytes.Clone(s.pub.Bytes)
		change(&s)
		return s
	}
	cases := map[string]struct {
		signed
		want string
	}{
		"unknown scheme":  {with(p256, func(s *signed) { s.msg.Scheme = "rot13" }), `unknown signature scheme "rot13"`},
		"no scheme":       {with(p256, func(s *signed) { s.msg.Scheme = "" }), `unknown signature scheme ""`},
		"zero public key": {with(p256, func(s *signed) { s.pub = signer.PublicKey{} }), `of algorithm ""`},
	}
	for name, s := range map[string]signed{"p256": p256, "secp256k1": secp, "ed25519": ed} {
		for what, change := range map[string]struct {
			f    func(*signed)
			want string
		}{
			"empty":                    {func(s *signed) { s.raw = nil }, "returned 0 bytes"},
			"short":                    {func(s *signed) { s.raw = s.raw[:63] }, "returned 63 bytes"},
			"long":                     {func(s *signed) { s.raw = append(bytes.Clone(s.raw), 0) }, "returned 65 bytes"},
			"changed":                  {func(s *signed) { s.raw = bytes.Clone(s.raw); s.raw[40] ^= 4 }, "does not verify"},
			"of another message":       {func(s *signed) { s.msg.Bytes[0] ^= 1 }, "does not verify"},
			"key of another algorithm": {func(s *signed) { s.pub.Algorithm = signer.AlgorithmP384 }, `of algorithm "p384"`},
			"short key":                {func(s *signed) { s.pub.Bytes = s.pub.Bytes[1:] }, "bytes that are no"},
			"key not on the curve":     {func(s *signed) { s.pub.Bytes[20] ^= 1 }, ""},
		} {
			cases[name+": "+what] = struct {
				signed
				want string
			}{with(s, change.f), change.want}
		}
	}
	for name, s := range map[string]signed{"p256": p256, "secp256k1": secp} {
		order := map[string]*big.Int{"p256": n, "secp256k1": secp256k1N}[name]
		for what, raw := range map[string][]byte{
			"r is zero": concat(zero, one), "s is zero": concat(one, zero),
			"r is the order": concat(order, one), "s is the order": concat(one, order),
			"all ones": bytes.Repeat([]byte{0xff}, 64),
		} {
			cases[name+": "+what] = struct {
				signed
				want string
			}{with(s, func(s *signed) { s.raw = raw }), "r or s is"}
		}
		cases[name+": short prehash"] = struct {
			signed
			want string
		}{with(s, func(s *signed) { s.msg.Bytes = s.msg.Bytes[1:] }), "prehash has 31 bytes; want 32"}
		cases[name+": compressed key"] = struct {
			signed
			want string
		}{with(s, func(s *signed) { s.pub.Bytes[0] = 2 }), "are no"}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var v scheme.Verifier
			sig, err := v.Finish(c.pub, c.msg, c.raw)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Finish error = %v, want %q", err, c.want)
			}
			if sig != nil {
				t.Errorf("Finish returned a signature with its error: %x", sig)
			}
		})
	}
}

func TestVerifyRefusesWhatFinishDoesNotMake(t *testing.T) {
	var v scheme.Verifier
	p256 := signP256(t, newP256(t), hash("pay"))
	secp, _ := signSecp256k1(t, newSecp256k1(t), hash("pay"))
	ed := signEd25519(t, []byte("pay"))
	finish := func(s signed) []byte {
		sig, err := v.Finish(s.pub, s.msg, s.raw)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	ps, ss, es := finish(p256), finish(secp), finish(ed)
	n := elliptic.P256().Params().N
	for name, c := range map[string]struct {
		signed
		sig  []byte
		want string
	}{
		"p256 with the upper s":            {p256, negateS(ps, n), "upper half"},
		"p256 too short":                   {p256, ps[:63], "63 bytes; want 64"},
		"p256 with a zero r":               {p256, append(make([]byte, 32), ps[32:]...), "zero"},
		"p256 changed":                     {p256, append(bytes.Clone(ps[:31]), append([]byte{ps[31] ^ 1}, ps[32:]...)...), "does not verify"},
		"secp256k1 with the upper s":       {secp, append(negateS(ss, secp256k1N), ss[64]^1), "upper half"},
		"secp256k1 without id":             {secp, ss[:64], "64 bytes; want 65"},
		"secp256k1 with the other id":      {secp, append(bytes.Clone(ss[:64]), ss[64]^1), "does not verify"},
		"secp256k1 with Ethereum's old id": {secp, append(bytes.Clone(ss[:64]), ss[64]+27), "want 0 or 1"},
		"secp256k1 with an overflow id":    {secp, append(bytes.Clone(ss[:64]), ss[64]+2), "want 0 or 1"},
		"ed25519 changed":                  {ed, append([]byte{es[0] ^ 1}, es[1:]...), "does not verify"},
		"ed25519 too long":                 {ed, append(bytes.Clone(es), 0), "65 bytes; want 64"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := scheme.Verify(c.pub, c.msg, c.sig); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Verify error = %v, want %q", err, c.want)
			}
		})
	}
}

func TestFinishLeavesItsInputAlone(t *testing.T) {
	var v scheme.Verifier
	s, _ := signSecp256k1(t, newSecp256k1(t), hash("pay"))
	raw := append(negateS(s.raw, secp256k1N), 0xaa)
	before := bytes.Clone(raw)
	if _, err := v.Finish(s.pub, s.msg, raw[:64]); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, before) {
		t.Errorf("Finish changed its input from %x to %x", before, raw)
	}
}

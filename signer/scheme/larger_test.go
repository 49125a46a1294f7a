package scheme_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// larger are the curves that the standard library verifies alone.
var larger = map[signer.Scheme]elliptic.Curve{signer.SchemeP384: elliptic.P384(), signer.SchemeP521: elliptic.P521()}

// signLarger signs a text with the standard library, whose s is in either half.
func signLarger(t *testing.T, s signer.Scheme, key *ecdsa.PrivateKey, text string) signed {
	t.Helper()
	digest := hashFor(t, s, []byte(text))
	r, sv, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f, _ := s.Facts()
	return signed{signer.PublicKey{Algorithm: f.Algorithm, Bytes: pub}, signer.Message{Scheme: s, Bytes: digest}, concatOf((key.Params().BitSize+7)/8, r, sv)}
}

func newLarger(t *testing.T, s signer.Scheme) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(larger[s], rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFinishTakesEitherHalfOnTheLargerCurves(t *testing.T) {
	for s, c := range larger {
		t.Run(string(s), func(t *testing.T) {
			var v scheme.Verifier
			key, n, size := newLarger(t, s), c.Params().N, (c.Params().BitSize+7)/8
			for i := range 20 {
				got := signLarger(t, s, key, strings.Repeat("z", i))
				r, sv := new(big.Int).SetBytes(got.raw[:size]), new(big.Int).SetBytes(got.raw[size:])
				other := concatOf(size, r, new(big.Int).Sub(n, sv))
				var finished [][]byte
				for _, raw := range [][]byte{got.raw, other} {
					sig, err := v.Finish(got.pub, got.msg, raw)
					if err != nil {
						t.Fatalf("Finish: %v", err)
					}
					if new(big.Int).Lsh(new(big.Int).SetBytes(sig[size:]), 1).Cmp(n) > 0 {
						t.Fatalf("Finish left s in the upper half: %x", sig)
					}
					if err := scheme.Verify(got.pub, got.msg, sig); err != nil {
						t.Fatalf("Verify of what Finish made: %v", err)
					}
					finished = append(finished, sig)
				}
				if !bytes.Equal(finished[0], finished[1]) {
					t.Fatalf("two forms of one signature became %x and %x", finished[0], finished[1])
				}
				upper := got.raw
				if bytes.Equal(upper, finished[0]) {
					upper = other
				}
				if err := scheme.Verify(got.pub, got.msg, upper); err == nil || !strings.Contains(err.Error(), "upper half") {
					t.Fatalf("Verify of the upper s: %v", err)
				}
			}
		})
	}
}

func TestBadSignaturesOnTheLargerCurvesAreNotReleased(t *testing.T) {
	for s, c := range larger {
		key, n, size := newLarger(t, s), c.Params().N, (c.Params().BitSize+7)/8
		one := big.NewInt(1)
		for name, tc := range map[string]struct {
			change func(*signed)
			want   string
		}{
			"the lengths of another curve": {func(g *signed) { g.raw = g.raw[:64] }, "returned 64 bytes"},
			"a byte too many":              {func(g *signed) { g.raw = append(bytes.Clone(g.raw), 0) }, "bytes; want"},
			"r is zero":                    {func(g *signed) { g.raw = concatOf(size, new(big.Int), one) }, "zero"},
			"s is the order":               {func(g *signed) { g.raw = concatOf(size, one, n) }, "not below the order"},
			"changed":                      {func(g *signed) { g.raw[size+5] ^= 1 }, "does not verify"},
			"another message":              {func(g *signed) { g.msg.Bytes[0] ^= 1 }, "does not verify"},
			"a prehash of SHA-256":         {func(g *signed) { g.msg.Bytes = hash("pay") }, "prehash has 32 bytes"},
			"another scheme":               {func(g *signed) { g.msg.Scheme = signer.SchemeP256 }, "of algorithm"},
			"a key off the curve":          {func(g *signed) { g.pub.Bytes[20] ^= 1 }, "public key"},
			"a compressed key":             {func(g *signed) { g.pub.Bytes = append([]byte{2}, g.pub.Bytes[1:1+size]...) }, "are no"},
		} {
			t.Run(string(s)+": "+name, func(t *testing.T) {
				got := signLarger(t, s, key, "pay")
				tc.change(&got)
				var v scheme.Verifier
				if sig, err := v.Finish(got.pub, got.msg, got.raw); err == nil || !strings.Contains(err.Error(), tc.want) || sig != nil {
					t.Errorf("Finish = %x, %v; want %q", sig, err, tc.want)
				}
			})
		}
	}
}

var rsaSchemes = []signer.Scheme{
	signer.SchemePSSSHA256, signer.SchemePSSSHA384, signer.SchemePSSSHA512,
	signer.SchemePKCS1SHA256, signer.SchemePKCS1SHA384, signer.SchemePKCS1SHA512,
}

// signRSA signs a text with the standard library.
func signRSA(t *testing.T, s signer.Scheme, key *rsa.PrivateKey, salt int) signed {
	t.Helper()
	digest := hashFor(t, s, []byte("pay"))
	h := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(digest)]
	var raw []byte
	var err error
	if f, _ := s.Facts(); f.Padding == signer.PaddingPSS {
		raw, err = rsa.SignPSS(rand.Reader, key, h, digest, &rsa.PSSOptions{SaltLength: salt})
	} else {
		raw, err = rsa.SignPKCS1v15(rand.Reader, key, h, digest)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed{signer.PublicKey{Algorithm: signer.AlgorithmRSA, Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)}, signer.Message{Scheme: s, Bytes: digest}, raw}
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFinishRSA(t *testing.T) {
	key := newRSA(t, 2048)
	for _, s := range rsaSchemes {
		t.Run(string(s), func(t *testing.T) {
			var v scheme.Verifier
			got := signRSA(t, s, key, rsa.PSSSaltLengthEqualsHash)
			sig, err := v.Finish(got.pub, got.msg, got.raw)
			if err != nil || !bytes.Equal(sig, got.raw) {
				t.Fatalf("Finish = %x, %v; want the signature as it is", sig, err)
			}
			if err := scheme.Verify(got.pub, got.msg, sig); err != nil {
				t.Errorf("Verify of what Finish made: %v", err)
			}
			for _, other := range rsaSchemes {
				if other == s {
					continue
				}
				m := signer.Message{Scheme: other, Bytes: hashFor(t, other, []byte("pay"))}
				if sig, err := v.Finish(got.pub, m, got.raw); err == nil || sig != nil {
					t.Errorf("it verifies as %q too", other)
				}
			}
		})
	}
}

func TestBadRSASignaturesAreNotReleased(t *testing.T) {
	key, small, large := newRSA(t, 2048), newRSA(t, 1024), newRSA(t, 4104)
	encode := func(n *big.Int, e int) []byte {
		der, err := asn1.Marshal(struct {
			N *big.Int
			E int
		}{n, e})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, c := range map[string]struct {
		key    *rsa.PrivateKey
		change func(*signed)
		want   string
	}{
		"empty":                        {key, func(g *signed) { g.raw = nil }, "returned 0 bytes; want 256"},
		"short":                        {key, func(g *signed) { g.raw = g.raw[1:] }, "returned 255 bytes"},
		"long":                         {key, func(g *signed) { g.raw = append([]byte{0}, g.raw...) }, "returned 257 bytes"},
		"changed":                      {key, func(g *signed) { g.raw[100] ^= 1 }, "does not verify"},
		"not below the modulus":        {key, func(g *signed) { g.raw = bytes.Repeat([]byte{0xff}, 256) }, "does not verify"},
		"of another message":           {key, func(g *signed) { g.msg.Bytes[0] ^= 1 }, "does not verify"},
		"a short prehash":              {key, func(g *signed) { g.msg.Bytes = g.msg.Bytes[1:] }, "prehash has 31 bytes; want 32"},
		"1024 bits":                    {small, func(*signed) {}, "modulus of 1024 bits"},
		"4104 bits":                    {large, func(*signed) {}, "modulus of 4104 bits"},
		"an exponent of 3":             {key, func(g *signed) { g.pub.Bytes = encode(key.N, 3) }, "the exponent 3"},
		"an even exponent":             {key, func(g *signed) { g.pub.Bytes = encode(key.N, 65538) }, "the exponent 65538"},
		"an exponent of 1":             {key, func(g *signed) { g.pub.Bytes = encode(key.N, 1) }, "the exponent 1"},
		"an exponent beyond 31 bits":   {key, func(g *signed) { g.pub.Bytes = encode(key.N, 1<<31+1) }, "public key"},
		"an even modulus":              {key, func(g *signed) { g.pub.Bytes = encode(new(big.Int).Add(key.N, big.NewInt(1)), 65537) }, "want an odd one"},
		"a negative modulus":           {key, func(g *signed) { g.pub.Bytes = encode(new(big.Int).Neg(key.N), 65537) }, "no rsa key"},
		"bytes after the key":          {key, func(g *signed) { g.pub.Bytes = append(g.pub.Bytes, 0) }, "no rsa key"},
		"a key that is none":           {key, func(g *signed) { g.pub.Bytes = []byte{4} }, "no rsa key"},
		"a key of another algorithm":   {key, func(g *signed) { g.pub.Algorithm = signer.AlgorithmP256 }, `of algorithm "p256"`},
		"a scheme of another key type": {key, func(g *signed) { g.msg.Scheme = signer.SchemeP256 }, `of algorithm "rsa"`},
	} {
		t.Run(name, func(t *testing.T) {
			var v scheme.Verifier
			got := signRSA(t, signer.SchemePKCS1SHA256, c.key, 0)
			c.change(&got)
			if sig, err := v.Finish(got.pub, got.msg, got.raw); err == nil || !strings.Contains(err.Error(), c.want) || sig != nil {
				t.Errorf("Finish = %x, %v; want %q", sig, err, c.want)
			}
		})
	}
}

// A salt of another length is another scheme: a device that chooses its own makes
// signatures that other programs refuse.
func TestPSSSaltHasTheLengthOfTheHash(t *testing.T) {
	key := newRSA(t, 2048)
	for _, salt := range []int{1, 20, 31, 33, rsa.PSSSaltLengthAuto} {
		var v scheme.Verifier
		got := signRSA(t, signer.SchemePSSSHA256, key, salt)
		if sig, err := v.Finish(got.pub, got.msg, got.raw); err == nil || sig != nil {
			t.Errorf("Finish accepts a salt of length %d", salt)
		}
	}
}

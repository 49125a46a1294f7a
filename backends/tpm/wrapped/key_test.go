package wrapped

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// orderN is the order of secp256k1; SEC 2, 2.4.1.
const orderN = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"

func TestKnownAnswers(t *testing.T) {
	const (
		one       = "0000000000000000000000000000000000000000000000000000000000000001"
		generator = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798" +
			"483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
		minusG = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798" +
			"b7c52588d95c3b9aa25b0403f1eef75702e84bb7597aabe663b82f6f04ef2777"
	)
	prehash := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
	for name, c := range map[string]struct {
		algorithm      signer.Algorithm
		secret, public string
		message        []byte
		signature      string
	}{
		// RFC 6979 with the curve of Bitcoin, as its implementations share them.
		"secp256k1, 1, Satoshi Nakamoto": {signer.AlgorithmSecp256k1, one, generator, prehash("Satoshi Nakamoto"),
			"934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8" +
				"2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"},
		"secp256k1, 1, tears in rain": {signer.AlgorithmSecp256k1, one, generator,
			prehash("All those moments will be lost in time, like tears in rain. Time to die..."),
			"8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b" +
				"547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"},
		"secp256k1, n-1, Satoshi Nakamoto": {signer.AlgorithmSecp256k1, orderN[:63] + "0", minusG, prehash("Satoshi Nakamoto"),
			"fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0" +
				"6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5"},
		// RFC 8032, 7.1.
		"Ed25519, test 1": {signer.AlgorithmEd25519, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
			"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", nil,
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		"Ed25519, test 2": {signer.AlgorithmEd25519, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", []byte{0x72},
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := Open(unhex(t, c.secret), c.algorithm)
			if err != nil {
				t.Fatal(err)
			}
			if p := k.Public(); p.Algorithm != c.algorithm || hex.EncodeToString(p.Bytes) != c.public {
				t.Errorf("public key = %v %x, want %s", p.Algorithm, p.Bytes, c.public)
			}
			for range 2 { // it is deterministic
				if sig, err := k.Sign(c.message); err != nil || hex.EncodeToString(sig) != c.signature {
					t.Errorf("signature = %x, %v, want %s", sig, err, c.signature)
				}
			}
		})
	}
}

func TestASecretThatIsNoneIsRefused(t *testing.T) {
	good := bytes.Repeat([]byte{1}, 32)
	for name, c := range map[string]struct {
		algorithm signer.Algorithm
		secret    []byte
	}{
		"zero":                      {signer.AlgorithmSecp256k1, make([]byte, 32)},
		"the order":                 {signer.AlgorithmSecp256k1, unhex(t, orderN)},
		"more than the order":       {signer.AlgorithmSecp256k1, bytes.Repeat([]byte{0xff}, 32)},
		"too short":                 {signer.AlgorithmSecp256k1, good[:31]},
		"too long":                  {signer.AlgorithmSecp256k1, append(good[:32:32], 1)},
		"nothing":                   {signer.AlgorithmEd25519, nil},
		"an expanded Ed25519 key":   {signer.AlgorithmEd25519, append(good[:32:32], good...)},
		"of a curve that TPMs have": {signer.AlgorithmP256, good},
		"of no algorithm":           {"", good},
	} {
		t.Run(name, func(t *testing.T) {
			if k, err := Open(c.secret, c.algorithm); err == nil || k != nil {
				t.Errorf("Open = %v, %v", k, err)
			}
		})
	}
}

func TestAWipedKeyHoldsNothingAndSignsNothing(t *testing.T) {
	for _, a := range []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmEd25519} {
		t.Run(string(a), func(t *testing.T) {
			secret := bytes.Repeat([]byte{0x5a}, 32)
			k, err := Open(secret, a)
			if err != nil {
				t.Fatal(err)
			}
			scalar, seed := k.ecdsa, k.ed25519
			k.Wipe()
			if scalar != nil && !scalar.Key.IsZero() {
				t.Error("the scalar is still there")
			}
			if !bytes.Equal(seed, make([]byte, len(seed))) {
				t.Error("the seed is still there")
			}
			if sig, err := k.Sign(make([]byte, 32)); err == nil || sig != nil {
				t.Errorf("Sign = %x, %v", sig, err)
			}
			if p := k.Public(); p.Algorithm != "" || p.Bytes != nil {
				t.Errorf("Public = %v", p)
			}
			if secret[0] != 0x5a {
				t.Error("the caller's copy was cleared too, which is the caller's to do")
			}
		})
	}
}

func TestSecp256k1SignsAPrehashOnly(t *testing.T) {
	k, err := Open(bytes.Repeat([]byte{1}, 32), signer.AlgorithmSecp256k1)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 20, 31, 33, 64} {
		if sig, err := k.Sign(make([]byte, n)); err == nil || sig != nil {
			t.Errorf("Sign of %d bytes = %x, %v", n, sig, err)
		}
	}
}

func TestGeneratedSecretsDifferAndOpen(t *testing.T) {
	for _, a := range []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmEd25519} {
		seen := map[string]bool{}
		for _, random := range [][]byte{nil, bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{7}, 48)} {
			secret, err := Generate(a, random)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(secret, a); err != nil || seen[string(secret)] {
				t.Errorf("%s: secret does not open (%v) or came twice", a, err)
			}
			seen[string(secret)] = true
		}
	}
	if secret, err := Generate(signer.AlgorithmP384, nil); err == nil || secret != nil || !strings.Contains(err.Error(), "in the TPM itself") {
		t.Errorf("Generate for P-384 = %x, %v", secret, err)
	}
}

func BenchmarkOpenSignWipe(b *testing.B) {
	secret, digest := bytes.Repeat([]byte{1}, 32), make([]byte, 32)
	for _, a := range []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmEd25519} {
		b.Run(string(a), func(b *testing.B) {
			for b.Loop() {
				k, err := Open(secret, a)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := k.Sign(digest); err != nil {
					b.Fatal(err)
				}
				k.Wipe()
			}
		})
	}
}

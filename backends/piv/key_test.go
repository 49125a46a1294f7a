package piv_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

// verify checks a signature with the standard library.
func verify(t testing.TB, key signer.PublicKey, m signer.Message, sig []byte) {
	t.Helper()
	ok := false
	switch key.Algorithm {
	case signer.AlgorithmP256, signer.AlgorithmP384:
		curve, size := elliptic.P256(), 32
		if key.Algorithm == signer.AlgorithmP384 {
			curve, size = elliptic.P384(), 48
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, key.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		ok = len(sig) == 2*size && ecdsa.Verify(public, m.Bytes, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
	case signer.AlgorithmEd25519:
		ok = ed25519.Verify(key.Bytes, m.Bytes, sig)
	case signer.AlgorithmRSA:
		public, err := x509.ParsePKCS1PublicKey(key.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		ok = verifyRSA(public, m, sig) == nil
	}
	if !ok {
		t.Errorf("the signature %x does not verify with %s", sig, m.Scheme)
	}
}

func verifyRSA(public *rsa.PublicKey, m signer.Message, sig []byte) error {
	hash := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(m.Bytes)]
	if f, _ := m.Scheme.Facts(); f.Padding == signer.PaddingPSS {
		return rsa.VerifyPSS(public, hash, m.Bytes, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})
	}
	return rsa.VerifyPKCS1v15(public, hash, m.Bytes, sig)
}

func digests() (s256, s384, s512 []byte) {
	a, b, c := sha256.Sum256([]byte("pay")), sha512.Sum384([]byte("pay")), sha512.Sum512([]byte("pay"))
	return a[:], b[:], c[:]
}

func TestEachAlgorithmSigns(t *testing.T) {
	d := unlocked(t, insert(t, pivcard.Config{}))
	s256, s384, s512 := digests()
	rsaMessages := []signer.Message{
		{Scheme: signer.SchemePSSSHA256, Bytes: s256}, {Scheme: signer.SchemePSSSHA384, Bytes: s384}, {Scheme: signer.SchemePSSSHA512, Bytes: s512},
		{Scheme: signer.SchemePKCS1SHA256, Bytes: s256}, {Scheme: signer.SchemePKCS1SHA384, Bytes: s384}, {Scheme: signer.SchemePKCS1SHA512, Bytes: s512},
	}
	for name, c := range map[string]struct {
		slot      string
		algorithm signer.Algorithm
		bits      int
		messages  []signer.Message
	}{
		"P-256 in 9a":    {"9a", signer.AlgorithmP256, 0, []signer.Message{{Scheme: signer.SchemeP256, Bytes: s256}}},
		"P-384 in 9c":    {"9c", signer.AlgorithmP384, 0, []signer.Message{{Scheme: signer.SchemeP384, Bytes: s384}}},
		"RSA-2048 in 9d": {"9d", signer.AlgorithmRSA, 2048, rsaMessages},
		"RSA-3072 in 9e": {"9e", signer.AlgorithmRSA, 3072, rsaMessages},
		"RSA-4096 in 82": {"82", signer.AlgorithmRSA, 4096, rsaMessages[:1]},
		"Ed25519 in 95": {"95", signer.AlgorithmEd25519, 0, []signer.Message{
			{Scheme: signer.SchemeEd25519, Bytes: []byte("short")}, {Scheme: signer.SchemeEd25519, Bytes: make([]byte, 3000)}, {Scheme: signer.SchemeEd25519},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			k := generate(t, d, backends.KeySpec{Algorithm: c.algorithm, Bits: c.bits, Options: map[string]string{"slot": c.slot}})
			f := k.Facts()
			if f.Public.Algorithm != c.algorithm || f.Protection != signer.ProtectionResident || f.Origin != signer.OriginGenerated || f.Touch {
				t.Errorf("facts = %+v", f)
			}
			for _, m := range c.messages {
				for range 4 { // a leading zero must not shorten a signature
					sig, err := k.Sign(t.Context(), m, nil)
					if err != nil {
						t.Fatalf("Sign with %s: %v", m.Scheme, err)
					}
					verify(t, f.Public, m, sig)
				}
			}
		})
	}
}

func TestWhatAKeyCannotSignIsRefused(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k, ed := generate(t, d, p256()), generate(t, d, backends.KeySpec{Algorithm: signer.AlgorithmEd25519, Options: map[string]string{"slot": "82"}})
	before := card.Counts().Signatures
	for name, c := range map[string]struct {
		key backends.DeviceKey
		m   signer.Message
	}{
		"a longer prehash":                        {k, signer.Message{Scheme: signer.SchemeP256, Bytes: make([]byte, 33)}},
		"a shorter prehash":                       {k, signer.Message{Scheme: signer.SchemeP256, Bytes: make([]byte, 31)}},
		"a scheme of another curve":               {k, signer.Message{Scheme: signer.SchemeP384, Bytes: make([]byte, 48)}},
		"a scheme of RSA":                         {k, signer.Message{Scheme: signer.SchemePSSSHA256, Bytes: make([]byte, 32)}},
		"no scheme":                               {k, signer.Message{Bytes: make([]byte, 32)}},
		"a message whose length piv-go would cut": {ed, signer.Message{Scheme: signer.SchemeEd25519, Bytes: make([]byte, 65_536+10)}},
	} {
		t.Run(name, func(t *testing.T) {
			sig, err := c.key.Sign(t.Context(), c.m, nil)
			wantCode(t, sig, err, signer.CodeInvalid, "")
		})
	}
	if n := card.Counts().Signatures; n != before {
		t.Errorf("the card signed %d times", n-before)
	}
}

func TestThirtyTwoSignaturesAtOnce(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	sent := card.Counts().Verify
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			sig, err := k.Sign(t.Context(), prehash, nil)
			if err != nil {
				t.Errorf("Sign: %v", err)
				return
			}
			verify(t, k.Facts().Public, prehash, sig)
		})
	}
	wg.Wait()
	if n := card.Counts().Verify - sent; n > 2 {
		t.Errorf("the PIN was sent %d times for 32 signatures", n)
	}
}

func TestAContextThatEndedHarmsNothing(t *testing.T) {
	k := generate(t, unlocked(t, insert(t, pivcard.Config{})), p256())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sig, err := k.Sign(ctx, prehash, nil)
	wantCode(t, sig, err, signer.CodeUnavailable, "busy")
	mustSign(t, k)
}

func TestAnImportedKeySaysSo(t *testing.T) {
	d := unlocked(t, insert(t, pivcard.Config{}))
	private := newP256(t)
	another(t, func(yk *pivgo.YubiKey) {
		policy := pivgo.Key{PINPolicy: pivgo.PINPolicyOnce, TouchPolicy: pivgo.TouchPolicyNever}
		if err := yk.SetPrivateKeyInsecure(pivgo.DefaultManagementKey, pivgo.SlotSignature, private, policy); err != nil {
			t.Fatal(err)
		}
	})
	k := find(t, d, "9c")
	if f := k.Facts(); f.Origin != signer.OriginImported {
		t.Errorf("origin = %q", f.Origin)
	}
	mustSign(t, k)
}

// notices collects what a key says while it signs.
type notices struct {
	mu  sync.Mutex
	all []signer.Notice
}

func (n *notices) add(x signer.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, x)
}

func TestTouch(t *testing.T) {
	fixed := time.Now()
	card := insert(t, pivcard.Config{TouchTimeout: 3 * time.Second, Now: func() time.Time { return fixed }})
	d := unlocked(t, card)
	for name, c := range map[string]struct {
		slot, policy string
		touched      bool
		signatures   int
		want         []signer.Notice
		refused      bool
	}{
		"always, touched twice":                        {"82", "always", true, 2, []signer.Notice{"touch", "", "touch", ""}, false},
		"cached, touched once, remembered for another": {"83", "cached", true, 2, []signer.Notice{"touch", ""}, false},
		"never":                {"84", "never", false, 2, nil, false},
		"always, nobody there": {"85", "always", false, 1, []signer.Notice{"touch", ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			another(t, func(*pivgo.YubiKey) {}) // it is let go, and can
			card.Reset()                        // forget earlier touches
			k := generate(t, d, p256("slot", c.slot, "touch_policy", c.policy))
			if k.Facts().Touch != (c.policy != "never") {
				t.Errorf("Touch = %v", k.Facts().Touch)
			}
			var told notices
			for range c.signatures {
				sig, err := k.Sign(t.Context(), prehash, func(n signer.Notice) {
					told.add(n)
					if n == signer.NoticeTouch && c.touched {
						card.Touch()
					}
				})
				if c.refused {
					wantCode(t, sig, err, signer.CodeUnavailable, "nobody touched")
				} else if err != nil {
					t.Fatal(err)
				} else {
					verify(t, k.Facts().Public, prehash, sig)
				}
			}
			if !slices.Equal(told.all, c.want) {
				t.Errorf("notices = %q, want %q", told.all, c.want)
			}
		})
	}
	k := find(t, d, "84")
	mustSign(t, k) // a touch that was not given costs nothing but its own request
}

func TestAKeyThatIsNotTheSameIsRefused(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	a := generate(t, d, p256())
	generate(t, d, p256("slot", "82"))
	generate(t, d, p256("slot", "83", "pin_policy", "never"))
	mustSign(t, a)
	for name, other := range map[string]byte{"another key": 0x82, "another key with no PIN": 0x83} {
		t.Run(name, func(t *testing.T) {
			another(t, func(*pivgo.YubiKey) {}) // the connection has ended
			if err := card.Swap(0x9c, other); err != nil {
				t.Fatal(err)
			}
			sig, err := a.Sign(t.Context(), prehash, nil)
			wantCode(t, sig, err, signer.CodeUnavailable, "another one than before")
			another(t, func(*pivgo.YubiKey) {})
			if err := card.Swap(0x9c, other); err != nil {
				t.Fatal(err)
			}
			mustSign(t, a)
		})
	}
}

func TestACertificateOfAnotherKeyIsRefused(t *testing.T) {
	d := unlocked(t, insert(t, pivcard.Config{}))
	generate(t, d, p256())
	another(t, func(yk *pivgo.YubiKey) {
		if err := yk.SetCertificate(pivgo.DefaultManagementKey, pivgo.SlotSignature, selfSigned(t, newP256(t))); err != nil {
			t.Fatal(err)
		}
	})
	k, err := d.Find(t.Context(), "9c")
	if k != nil || err == nil || !contains(err, "certificates delete 9c") {
		t.Errorf("Find = %v, %v; want it refused with what to do", k, err)
	}
}

// TestFirmwareWithoutMetadata finds keys by attestation, or where they were imported
// by certificate.
func TestFirmwareWithoutMetadata(t *testing.T) {
	for name, firmware := range map[string]pivcard.Version{"5.2": {5, 2, 7}, "4.3": {4, 3, 5}} {
		t.Run(name, func(t *testing.T) {
			d := unlocked(t, insert(t, pivcard.Config{Serial: 77, Firmware: firmware}))
			imported := newP256(t)
			another(t, func(yk *pivgo.YubiKey) {
				policy := pivgo.Key{Algorithm: pivgo.AlgorithmEC256, PINPolicy: pivgo.PINPolicyOnce, TouchPolicy: pivgo.TouchPolicyNever}
				if _, err := yk.GenerateKey(pivgo.DefaultManagementKey, pivgo.SlotAuthentication, policy); err != nil {
					t.Fatal(err)
				}
				if err := yk.SetPrivateKeyInsecure(pivgo.DefaultManagementKey, pivgo.SlotSignature, imported, policy); err != nil {
					t.Fatal(err)
				}
				if err := yk.SetCertificate(pivgo.DefaultManagementKey, pivgo.SlotSignature, selfSigned(t, imported)); err != nil {
					t.Fatal(err)
				}
			})
			for slot, origin := range map[string]signer.Origin{"9a": signer.OriginGenerated, "9c": signer.OriginUnknown} {
				k := find(t, d, slot)
				if k.Facts().Origin != origin {
					t.Errorf("origin of %s = %q, want %q", slot, k.Facts().Origin, origin)
				}
				mustSign(t, k)
			}
			if _, err := d.Find(t.Context(), "9d"); !contains(err, "empty") {
				t.Errorf("Find of an empty slot: %v", err)
			}
			if _, err := d.Generate(t.Context(), p256("slot", "9d")); !contains(err, "by hand") {
				t.Errorf("Generate: %v; want it refused", err)
			}
		})
	}
}

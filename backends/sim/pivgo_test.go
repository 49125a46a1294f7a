package sim

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends/sim/pivcard"
)

// newCard makes a card.
func newCard(t *testing.T, c pivcard.Config) *pivcard.Card {
	t.Helper()
	card, err := pivcard.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// startReader starts a reader for a test.
func startReader(t *testing.T) *Reader {
	t.Helper()
	r, err := StartReader(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// insert inserts a card for the rest of the test.
func insert(t *testing.T, r *Reader, card *pivcard.Card) {
	t.Helper()
	if err := r.Insert(card); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Remove(card); err != nil {
			t.Error(err)
		}
	})
}

// firstSlot is the name of the reader that the first card is in.
const firstSlot = readerName + " 00 00"

func openPIV(t *testing.T, reader string) *piv.YubiKey {
	t.Helper()
	yk, err := piv.Open(reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = yk.Close() }) // the card may be gone
	return yk
}

// TestACardServesPIVGo is one test, because a process can use one pcscd only.
func TestACardServesPIVGo(t *testing.T) {
	r := startReader(t)
	t.Setenv("PCSCLITE_CSOCK_NAME", r.Socket())
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, r *Reader, card *pivcard.Card)
	}{
		{"it says who it is", testIdentity},
		{"every algorithm generates, signs and attests", testAlgorithms},
		{"every algorithm is imported, and not attested", testImport},
		{"a shared secret is agreed on", testECDH},
		{"a certificate is kept", testCertificate},
		{"the PIN is changed, blocked and unblocked", testPIN},
		{"the management key is changed", testManagementKey},
		{"the card is reset", testReset},
		{"a touch must be given", testTouch},
		{"the PIN is needed each time", testPINAlways},
		{"the card is pulled and inserted", testRemoval},
		{"the card is pulled in the middle of a command", testRemovalWhileItHangs},
		{"pcscd is killed and started again", testRestart},
		{"two cards are inserted", testTwoCards},
	} {
		t.Run(tt.name, func(t *testing.T) {
			card := newCard(t, pivcard.Config{Serial: 31415926, TouchTimeout: 100 * time.Millisecond})
			insert(t, r, card)
			tt.run(t, r, card)
		})
	}
}

func testIdentity(t *testing.T, _ *Reader, _ *pivcard.Card) {
	cards, err := piv.Cards()
	if err != nil || len(cards) != 2 || cards[0] != firstSlot {
		t.Fatalf("Cards = %q, %v; want the two slots of the reader", cards, err)
	}
	yk := openPIV(t, firstSlot)
	serial, err := yk.Serial()
	if err != nil || serial != 31415926 {
		t.Errorf("Serial = %d, %v", serial, err)
	}
	if v := yk.Version(); v != (piv.Version{Major: 5, Minor: 7, Patch: 1}) {
		t.Errorf("Version = %v", v)
	}
	if f, err := yk.FormFactor(); err != nil || f != piv.FormfactorUSBAKeychain {
		t.Errorf("FormFactor = %v, %v", f, err)
	}
	if n, err := yk.Retries(); err != nil || n != 3 {
		t.Errorf("Retries = %d, %v", n, err)
	}
	if _, err := yk.KeyInfo(piv.SlotSignature); !errors.Is(err, piv.ErrNotFound) {
		t.Errorf("KeyInfo of an empty slot = %v; want not found", err)
	}
	if _, err := yk.Certificate(piv.SlotSignature); !errors.Is(err, piv.ErrNotFound) {
		t.Errorf("Certificate of an empty slot = %v; want not found", err)
	}
	if _, err := yk.Attest(piv.SlotSignature); !errors.Is(err, piv.ErrNotFound) {
		t.Errorf("Attest of an empty slot = %v; want not found", err)
	}
}

var signingAlgorithms = map[string]piv.Algorithm{
	"P-256": piv.AlgorithmEC256, "P-384": piv.AlgorithmEC384, "Ed25519": piv.AlgorithmEd25519,
	"RSA-1024": piv.AlgorithmRSA1024, "RSA-2048": piv.AlgorithmRSA2048, "RSA-3072": piv.AlgorithmRSA3072, "RSA-4096": piv.AlgorithmRSA4096,
}

// checkSignatures signs with a key in every way that it has, and verifies.
func checkSignatures(t *testing.T, key crypto.PrivateKey) {
	t.Helper()
	signer := key.(crypto.Signer)
	message := []byte("what is to be signed")
	digest := sha256.Sum256(message)
	var opts crypto.SignerOpts = crypto.SHA256
	in := digest[:]
	if _, ok := signer.Public().(ed25519.PublicKey); ok {
		opts, in = crypto.Hash(0), message
	}
	signature, err := signer.Sign(rand.Reader, in, opts)
	if err != nil {
		t.Fatal(err)
	}
	good := false
	switch pub := signer.Public().(type) {
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(pub, digest[:], signature)
	case ed25519.PublicKey:
		good = ed25519.Verify(pub, message, signature)
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], signature) == nil
		pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		if signature, err = signer.Sign(rand.Reader, in, pss); err != nil {
			t.Fatal(err)
		}
		good = good && rsa.VerifyPSS(pub, crypto.SHA256, digest[:], signature, pss) == nil
	}
	if !good {
		t.Errorf("the signature by a %T is not valid", signer.Public())
	}
}

func testAlgorithms(t *testing.T, _ *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	roots := x509.NewCertPool()
	roots.AddCert(card.Root())
	attester, err := yk.AttestationCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for name, alg := range signingAlgorithms {
		t.Run(name, func(t *testing.T) {
			want := piv.Key{Algorithm: alg, PINPolicy: piv.PINPolicyOnce, TouchPolicy: piv.TouchPolicyNever}
			pub, err := yk.GenerateKey(piv.DefaultManagementKey, piv.SlotAuthentication, want)
			if err != nil {
				t.Fatal(err)
			}
			info, err := yk.KeyInfo(piv.SlotAuthentication)
			if err != nil || info.Algorithm != alg || info.Origin != piv.OriginGenerated || info.PINPolicy != want.PINPolicy || info.TouchPolicy != want.TouchPolicy {
				t.Errorf("KeyInfo = %+v, %v; want %+v", info, err, want)
			}
			if !info.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(pub) {
				t.Error("the metadata show another key")
			}
			key, err := yk.PrivateKey(piv.SlotAuthentication, pub, piv.KeyAuth{PIN: piv.DefaultPIN})
			if err != nil {
				t.Fatal(err)
			}
			checkSignatures(t, key)
			statement, err := yk.Attest(piv.SlotAuthentication)
			if err != nil {
				t.Fatal(err)
			}
			v := piv.Verifier{Roots: roots}
			a, err := v.Verify(attester, statement)
			if err != nil || a.Serial != 31415926 || a.PINPolicy != want.PINPolicy || a.TouchPolicy != want.TouchPolicy ||
				a.Slot != piv.SlotAuthentication || a.Version != yk.Version() || a.Formfactor != piv.FormfactorUSBAKeychain {
				t.Errorf("Verify = %+v, %v", a, err)
			}
			if !statement.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(pub) {
				t.Error("the statement is about another key")
			}
			if _, err := piv.Verify(attester, statement); err == nil {
				t.Error("the statement leads to Yubico's root")
			}
		})
	}
}

func testImport(t *testing.T, _ *Reader, _ *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	must := func(key any, err error) crypto.PrivateKey {
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	keys := map[string]crypto.PrivateKey{
		"P-256":    must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"P-384":    must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"RSA-2048": must(rsa.GenerateKey(rand.Reader, 2048)),
		"Ed25519":  must(ed, err),
	}
	for name, private := range keys {
		t.Run(name, func(t *testing.T) {
			// Of Ed25519 keys piv-go does not find out the algorithm itself.
			policy := piv.Key{Algorithm: piv.AlgorithmEd25519, PINPolicy: piv.PINPolicyNever, TouchPolicy: piv.TouchPolicyNever}
			if err := yk.SetPrivateKeyInsecure(piv.DefaultManagementKey, piv.SlotCardAuthentication, private, policy); err != nil {
				t.Fatal(err)
			}
			key, err := yk.PrivateKey(piv.SlotCardAuthentication, private.(crypto.Signer).Public(), piv.KeyAuth{})
			if err != nil {
				t.Fatal(err)
			}
			checkSignatures(t, key)
			if info, err := yk.KeyInfo(piv.SlotCardAuthentication); err != nil || info.Origin != piv.OriginImported {
				t.Errorf("KeyInfo = %+v, %v; want imported", info, err)
			}
			if _, err := yk.Attest(piv.SlotCardAuthentication); !errors.Is(err, piv.ErrNotFound) {
				t.Errorf("Attest of an imported key = %v; want a refusal", err)
			}
		})
	}
}

func testECDH(t *testing.T, _ *Reader, _ *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	for name, tt := range map[string]struct {
		alg   piv.Algorithm
		curve ecdh.Curve
	}{
		"P-256": {piv.AlgorithmEC256, ecdh.P256()}, "P-384": {piv.AlgorithmEC384, ecdh.P384()}, "X25519": {piv.AlgorithmX25519, ecdh.X25519()},
	} {
		t.Run(name, func(t *testing.T) {
			pub, err := yk.GenerateKey(piv.DefaultManagementKey, piv.SlotKeyManagement, piv.Key{Algorithm: tt.alg, PINPolicy: piv.PINPolicyOnce, TouchPolicy: piv.TouchPolicyNever})
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := pub.(*ecdsa.PublicKey); ok {
				if pub, err = p.ECDH(); err != nil {
					t.Fatal(err)
				}
			}
			private, err := yk.PrivateKey(piv.SlotKeyManagement, pubForPIV(t, yk), piv.KeyAuth{PIN: piv.DefaultPIN})
			if err != nil {
				t.Fatal(err)
			}
			peer, err := tt.curve.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			got, err := private.(interface {
				ECDH(*ecdh.PublicKey) ([]byte, error)
			}).ECDH(peer.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			if want, err := peer.ECDH(pub.(*ecdh.PublicKey)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the secrets are %x and %x, %v", got, want, err)
			}
		})
	}
}

func pubForPIV(t *testing.T, yk *piv.YubiKey) crypto.PublicKey {
	t.Helper()
	info, err := yk.KeyInfo(piv.SlotKeyManagement)
	if err != nil {
		t.Fatal(err)
	}
	return info.PublicKey
}

func testCertificate(t *testing.T, _ *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	for _, slot := range []piv.Slot{piv.SlotAuthentication, piv.SlotSignature, piv.SlotKeyManagement, piv.SlotCardAuthentication, {Key: 0x82, Object: 0x5fc10d}, {Key: 0x95, Object: 0x5fc120}} {
		if err := yk.SetCertificate(piv.DefaultManagementKey, slot, card.Root()); err != nil {
			t.Fatal(err)
		}
		if got, err := yk.Certificate(slot); err != nil || !got.Equal(card.Root()) {
			t.Errorf("slot %v: Certificate = %v, %v; want what was set", slot, got, err)
		}
	}
	wrong := bytes.Repeat([]byte{7}, 24)
	if err := yk.SetCertificate(wrong, piv.SlotSignature, card.Root()); err == nil {
		t.Error("a certificate was set with a wrong management key")
	}
	if err := yk.SetMetadata(piv.DefaultManagementKey, &piv.Metadata{ManagementKey: &wrong}); err != nil {
		t.Fatal(err)
	}
	if m, err := yk.Metadata(piv.DefaultPIN); err != nil || m.ManagementKey == nil || !bytes.Equal(*m.ManagementKey, wrong) {
		t.Errorf("Metadata = %+v, %v; want the management key", m, err)
	}
}

func testPIN(t *testing.T, _ *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	if err := yk.SetPIN(piv.DefaultPIN, "87654321"); err != nil {
		t.Fatal(err)
	}
	for want := 2; want >= 0; want-- {
		var e piv.AuthErr
		if err := yk.VerifyPIN(piv.DefaultPIN); !errors.As(err, &e) || e.Retries != want {
			t.Errorf("VerifyPIN with the old PIN = %v; want %d tries left", err, want)
		}
	}
	if err := yk.VerifyPIN("87654321"); err == nil || !strings.Contains(err.Error(), "blocked") {
		t.Errorf("VerifyPIN = %v; want blocked", err)
	}
	if err := yk.SetPUK(piv.DefaultPUK, "22222222"); err != nil {
		t.Fatal(err)
	}
	if err := yk.Unblock("22222222", "111111"); err != nil {
		t.Fatal(err)
	}
	if err := yk.VerifyPIN("111111"); err != nil {
		t.Errorf("VerifyPIN after the PUK = %v", err)
	}
	if err := yk.SetRetries(piv.DefaultManagementKey, "111111", 7, 8); err != nil {
		t.Fatal(err)
	}
	if n, err := yk.Retries(); err != nil || n != 7 {
		t.Errorf("Retries = %d, %v; want 7", n, err)
	}
	if n := card.Counts().Verify; n != 6 {
		t.Errorf("the card saw %d PINs; want 6", n)
	}
}

func testManagementKey(t *testing.T, _ *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	old := piv.DefaultManagementKey
	for _, size := range []int{16, 32, 24} {
		key := make([]byte, size)
		if _, err := io.ReadFull(rand.Reader, key); err != nil {
			t.Fatal(err)
		}
		if err := yk.SetManagementKey(old, key); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := yk.SetCertificate(key, piv.SlotSignature, card.Root()); err != nil {
			t.Errorf("%d bytes: the new key does not do: %v", size, err)
		}
		if err := yk.SetCertificate(append(key[1:], 0), piv.SlotSignature, card.Root()); err == nil {
			t.Errorf("%d bytes: another key does, too", size)
		}
		old = key
	}
}

func testReset(t *testing.T, _ *Reader, _ *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	if _, err := yk.GenerateKey(piv.DefaultManagementKey, piv.SlotSignature, piv.Key{Algorithm: piv.AlgorithmEC256, PINPolicy: piv.PINPolicyOnce, TouchPolicy: piv.TouchPolicyNever}); err != nil {
		t.Fatal(err)
	}
	if err := yk.SetPIN(piv.DefaultPIN, "87654321"); err != nil {
		t.Fatal(err)
	}
	if err := yk.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := yk.VerifyPIN(piv.DefaultPIN); err != nil {
		t.Errorf("VerifyPIN after a reset = %v; want the factory's PIN", err)
	}
	if _, err := yk.KeyInfo(piv.SlotSignature); !errors.Is(err, piv.ErrNotFound) {
		t.Errorf("KeyInfo after a reset = %v; want not found", err)
	}
	if _, err := yk.AttestationCertificate(); err != nil {
		t.Errorf("AttestationCertificate after a reset = %v", err)
	}
}

// pivKey makes a key in slot 9c.
func pivKey(t *testing.T, yk *piv.YubiKey, pin piv.PINPolicy, touch piv.TouchPolicy, auth piv.KeyAuth) crypto.Signer {
	t.Helper()
	pub, err := yk.GenerateKey(piv.DefaultManagementKey, piv.SlotSignature, piv.Key{Algorithm: piv.AlgorithmEC256, PINPolicy: pin, TouchPolicy: touch})
	if err != nil {
		t.Fatal(err)
	}
	key, err := yk.PrivateKey(piv.SlotSignature, pub, auth)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}

func testTouch(t *testing.T, _ *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	key := pivKey(t, yk, piv.PINPolicyNever, piv.TouchPolicyAlways, piv.KeyAuth{})
	if _, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err == nil || !strings.Contains(err.Error(), "6982") {
		t.Errorf("Sign without a touch = %v; want 6982", err)
	}
	card.OnTouch(card.Touch)
	checkSignatures(t, key)
}

func testPINAlways(t *testing.T, _ *Reader, card *pivcard.Card) {
	yk := openPIV(t, firstSlot)
	key := pivKey(t, yk, piv.PINPolicyAlways, piv.TouchPolicyNever, piv.KeyAuth{PIN: piv.DefaultPIN, PINPolicy: piv.PINPolicyAlways})
	checkSignatures(t, key)
	checkSignatures(t, key)
	if c := card.Counts(); c.Verify != 2 || c.Signatures != 2 {
		t.Errorf("the card counts %+v; want a PIN for each signature", c)
	}
	once, err := yk.PrivateKey(piv.SlotSignature, key.Public(), piv.KeyAuth{PIN: piv.DefaultPIN, PINPolicy: piv.PINPolicyOnce})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := once.(crypto.Signer).Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err == nil {
		t.Error("the card signs with a PIN that was verified earlier")
	}
}

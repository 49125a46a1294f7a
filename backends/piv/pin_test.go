package piv_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func selfSigned(t testing.TB, k *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func contains(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

// burn sends wrong PINs, as another program may.
func burn(t *testing.T, n int) {
	t.Helper()
	another(t, func(yk *pivgo.YubiKey) {
		for range n {
			if err := yk.VerifyPIN("999999"); err == nil {
				t.Fatal("a wrong PIN was accepted")
			}
		}
	})
}

func TestThePINIsSentAsThePolicyWants(t *testing.T) {
	for policy, want := range map[string]int{"never": 0, "once": 0, "always": 3} {
		t.Run(policy, func(t *testing.T) {
			card := insert(t, pivcard.Config{})
			d := unlocked(t, card)
			k := generate(t, d, p256("pin_policy", policy))
			login(t, d) // a new connection that has seen the PIN
			before := card.Counts().Verify
			for range 3 {
				mustSign(t, k)
			}
			if n := card.Counts().Verify - before; n != want {
				t.Errorf("the PIN was sent %d times for 3 signatures, want %d", n, want)
			}
		})
	}
}

func TestAKeyWaitsForItsPIN(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := open(t, card, &host{})
	free, locked := generate(t, d, p256("slot", "9a", "pin_policy", "never")), generate(t, d, p256())
	mustSign(t, free)
	sig, err := locked.Sign(t.Context(), prehash, nil)
	wantCode(t, sig, err, signer.CodeUnavailable, "PIN")
	if s, err := d.State(t.Context()); err != nil || !s.NeedsPIN {
		t.Errorf("State = %+v, %v; want it to need a PIN", s, err)
	}
	login(t, d)
	mustSign(t, locked)
	if s, err := d.State(t.Context()); err != nil || s.NeedsPIN || s.TriesLeft != 3 {
		t.Errorf("State = %+v, %v; want no need of a PIN and 3 tries", s, err)
	}
}

func TestThePINIsForgottenWhenTheCardIsLetGo(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	mustSign(t, k)
	another(t, func(yk *pivgo.YubiKey) {
		if left, err := yk.Retries(); err != nil || left != 3 {
			t.Errorf("another program finds %d tries, %v; want 3 and the PIN not verified", left, err)
		}
	})
	mustSign(t, k)
}

// TestACardWithNoOtherApplicationIsReset has the card refuse to select the one that
// would make it forget the PIN.
func TestACardWithNoOtherApplicationIsReset(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	mustSign(t, k)
	card.Fault(pivcard.Fault{Kind: pivcard.WrongStatus, INS: 0xa4, Status: 0x6a82, Times: 1})
	another(t, func(yk *pivgo.YubiKey) {
		if left, err := yk.Retries(); err != nil || left != 3 {
			t.Errorf("another program finds %d tries, %v; want 3 and the PIN not verified", left, err)
		}
	})
	mustSign(t, k)
}

// TestACardThatForgetsThePINIsGivenItAgain has the card refuse a signature and say
// that the PIN is not verified, as some firmware does by itself.
func TestACardThatForgetsThePINIsGivenItAgain(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	login(t, d)
	before := card.Counts().Verify
	card.Fault(pivcard.Fault{Kind: pivcard.WrongStatus, INS: 0x87, Status: 0x6982, Times: 1})
	card.Fault(pivcard.Fault{Kind: pivcard.WrongStatus, INS: 0x20, Status: 0x63c3, Times: 1})
	card.Fault(pivcard.Fault{Kind: pivcard.WrongStatus, INS: 0x20, Status: 0x63c3, Times: 1})
	mustSign(t, k)
	if n := card.Counts().Verify - before; n != 1 {
		t.Errorf("the PIN was sent %d times, want once more", n)
	}
	card.Fault(pivcard.Fault{Kind: pivcard.WrongStatus, INS: 0x87, Status: 0x6982})
	if sig, err := k.Sign(t.Context(), prehash, nil); sig != nil || !contains(err, "6982") {
		t.Errorf("Sign = %x, %v; want the card's refusal", sig, err)
	}
	if n := card.Counts().Verify - before; n != 1 {
		t.Errorf("the PIN was sent %d times, want no more", n)
	}
}

func TestAWrongPINIsCountedOnceAndNeverAgain(t *testing.T) {
	card := insert(t, pivcard.Config{})
	h := &host{}
	d := open(t, card, h)
	k := generate(t, d, p256())
	wantPINError(t, d.Login(t.Context(), []byte("000000")), 2, false, true, "not sent again")
	for range 3 {
		sig, err := k.Sign(t.Context(), prehash, nil)
		wantCode(t, sig, err, signer.CodeUnavailable, "PIN")
	}
	if n := card.Counts().Verify; n != 1 || len(h.lefts) != 1 || h.lefts[0] != 3 {
		t.Errorf("the PIN was sent %d times, with %v left; want once, with 3", n, h.lefts)
	}
}

func TestAPINThatWasChangedIsRefusedOnce(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	another(t, func(yk *pivgo.YubiKey) {
		if err := yk.SetPIN(factoryPIN, "654321"); err != nil {
			t.Fatal(err)
		}
		if _, err := yk.FormFactor(); err != nil { // or the card would be left with the PIN verified
			t.Fatal(err)
		}
	})
	before := card.Counts().Verify
	_, err := k.Sign(t.Context(), prehash, nil)
	wantPINError(t, err, 2, false, true, "refused")
	for range 3 {
		sig, err := k.Sign(t.Context(), prehash, nil)
		wantCode(t, sig, err, signer.CodeUnavailable, "PIN")
	}
	if n := card.Counts().Verify - before; n != 1 {
		t.Errorf("the PIN was sent %d times, want once", n)
	}
}

func TestTheLastTryIsNotUsed(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	burn(t, 2)
	before := card.Counts().Verify
	for range 3 {
		_, err := k.Sign(t.Context(), prehash, nil)
		wantPINError(t, err, 1, false, false, "verify-pin")
		wantPINError(t, d.Login(t.Context(), []byte(factoryPIN)), 1, false, false, "verify-pin")
	}
	if s, err := d.State(t.Context()); err != nil || s.TriesLeft != 1 || !strings.Contains(strings.Join(s.Notes, "\n"), "one wrong PIN") {
		t.Errorf("State = %+v, %v; want 1 try and a note", s, err)
	}
	if n := card.Counts().Verify - before; n != 0 {
		t.Errorf("the PIN was sent %d times", n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	typed := open(t, card, &person{})
	login(t, typed)
	mustSign(t, find(t, typed, "9c"))
}

func TestABlockedCardSaysWhatToDo(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	burn(t, 3)
	_, err := k.Sign(t.Context(), prehash, nil)
	wantPINError(t, err, 0, true, false, "unblock-pin")
	wantPINError(t, d.Login(t.Context(), []byte(factoryPIN)), 0, true, false, "unblock-pin")
	s, err := d.State(t.Context())
	if err != nil || s.TriesLeft != 0 || !strings.Contains(strings.Join(s.Notes, "\n"), "unblock-pin") {
		t.Errorf("State = %+v, %v; want it blocked, and a note", s, err)
	}
	another(t, func(yk *pivgo.YubiKey) {
		for range 3 {
			if err := yk.SetPUK("99999999", "88888888"); err == nil {
				t.Fatal("a wrong PUK was accepted")
			}
		}
	})
	if s, err = d.State(t.Context()); err != nil || !strings.Contains(strings.Join(s.Notes, "\n"), "ykman piv reset") {
		t.Errorf("State = %+v, %v; want a note about the PUK", s, err)
	}
}

func TestAPINOfTheWrongLengthIsNotSent(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := open(t, card, &host{})
	for _, pin := range []string{"", "12345", "123456789", "12345\xff"} {
		wantPINError(t, d.Login(t.Context(), []byte(pin)), -1, false, false, "not sent")
	}
	if n := card.Counts().Verify; n != 0 {
		t.Errorf("the PIN was sent %d times", n)
	}
}

package backendtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// Run checks that keys keep the contract of [signer.Key]. open returns a key,
// which may be the same one each time, and cleans up with the test.
func Run(t *testing.T, open func(t *testing.T) signer.Key) {
	for name, clause := range map[string]func(*testing.T, signer.Key){
		"a signature verifies under the public key":              verifies,
		"the public key stays the same and cannot be changed":    publicIsFixed,
		"the protection is one of the two":                       protectionIsKnown,
		"what was never authorised is refused":                   zeroRefused,
		"a message for another scheme is refused":                otherSchemesRefused,
		"a prehash of the wrong length is refused":               wrongLengthRefused,
		"a context that ended is unavailable, and harms nothing": contextHonoured,
		"thirty-two signatures at once all verify":               concurrent,
		"a statement is signed":                                  statementSigned,
		"the raw form is 64 bytes":                               rawForm,
	} {
		t.Run(name, func(t *testing.T) { clause(t, open(t)) })
	}
}

// Recovers checks that a key works again, with no restart, after its device was
// taken away and given back, and that it says unavailable in between. restore may
// return before the device answers.
func Recovers(t *testing.T, key signer.Key, remove, restore func()) {
	t.Helper()
	door := NewDoor(t, key, 0)
	m := message(key, "before")
	sign(t, door, key, m)
	remove()
	for range 3 {
		if sig, err := door.Sign(t.Context(), m); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
			t.Fatalf("Sign without the device = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
		}
	}
	restore()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		sig, err := door.Sign(ctx, m)
		if err == nil {
			if err := scheme.Verify(key.Public(), m, sig); err != nil {
				t.Fatalf("Sign with the device back: %v", err)
			}
			return
		}
		if signer.CodeOf(err) != signer.CodeUnavailable {
			t.Fatalf("Sign with the device back: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

var schemeOf = map[signer.Algorithm]signer.Scheme{
	signer.AlgorithmSecp256k1: signer.SchemeSecp256k1,
	signer.AlgorithmP256:      signer.SchemeP256,
	signer.AlgorithmEd25519:   signer.SchemeEd25519,
}

// message is one that the key can sign.
func message(k signer.Key, text string) signer.Message {
	sum := sha256.Sum256([]byte(text))
	return signer.Message{Scheme: schemeOf[k.Public().Algorithm], Bytes: sum[:]}
}

// sign signs and verifies.
func sign(t *testing.T, d *Door, k signer.Key, m signer.Message) []byte {
	t.Helper()
	sig, err := d.Sign(t.Context(), m)
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	if err := scheme.Verify(k.Public(), m, sig); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return sig
}

func verifies(t *testing.T, k signer.Key) {
	d := NewDoor(t, k, 0)
	for i := range 20 { // s is in the upper half, and the recovery id 1, half of the time
		sign(t, d, k, message(k, fmt.Sprint("message ", i)))
	}
}

func publicIsFixed(t *testing.T, k signer.Key) {
	first := k.Public()
	if first.Fingerprint() == "" {
		t.Fatalf("public key %+v has no fingerprint", first)
	}
	if _, ok := schemeOf[first.Algorithm]; !ok {
		t.Fatalf("no scheme signs with algorithm %q", first.Algorithm)
	}
	sign(t, NewDoor(t, k, 0), k, message(k, "between"))
	if again := k.Public(); again.Fingerprint() != first.Fingerprint() {
		t.Errorf("public key was %s and is %s", first.Fingerprint(), again.Fingerprint())
	}
}

func protectionIsKnown(t *testing.T, k signer.Key) {
	if p := k.Protection(); p != signer.ProtectionResident && p != signer.ProtectionWrapped {
		t.Errorf("protection is %q", p)
	}
}

func zeroRefused(t *testing.T, k signer.Key) {
	if sig, err := k.Sign(t.Context(), signer.Authorized{}); err == nil || sig != nil {
		t.Errorf("Sign of the zero Authorized = %x, %v; want an error", sig, err)
	}
	if sig, err := k.SignStatement(t.Context(), signer.Statement{}); err == nil || sig != nil {
		t.Errorf("SignStatement of the zero Statement = %x, %v; want an error", sig, err)
	}
}

func otherSchemesRefused(t *testing.T, k signer.Key) {
	d := NewDoor(t, k, 0)
	m := message(k, "pay")
	own := m.Scheme
	for _, m.Scheme = range []signer.Scheme{signer.SchemeSecp256k1, signer.SchemeP256, signer.SchemeEd25519, "ecdsa-p256-sha1"} {
		if m.Scheme == own {
			continue
		}
		if sig, err := d.Sign(t.Context(), m); signer.CodeOf(err) != signer.CodeInvalid || sig != nil {
			t.Errorf("Sign with scheme %q = %x, %v; want code %q", m.Scheme, sig, err, signer.CodeInvalid)
		}
	}
}

func wrongLengthRefused(t *testing.T, k signer.Key) {
	d := NewDoor(t, k, 0)
	m := message(k, "pay")
	if m.Scheme == signer.SchemeEd25519 { // it has no prehash: any length signs
		for _, n := range []int{1, 31, 33, 10_000} {
			m.Bytes = make([]byte, n)
			sign(t, d, k, m)
		}
		return
	}
	for _, n := range []int{1, 20, 31, 33, 48, 64} {
		m.Bytes = make([]byte, n)
		if sig, err := d.Sign(t.Context(), m); signer.CodeOf(err) != signer.CodeInvalid || sig != nil {
			t.Errorf("Sign of a prehash of %d bytes = %x, %v; want code %q", n, sig, err, signer.CodeInvalid)
		}
	}
}

func contextHonoured(t *testing.T, k signer.Key) {
	late := NewDoor(t, k, time.Nanosecond)
	for range 10 {
		if sig, err := late.Sign(t.Context(), message(k, "late")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
			t.Errorf("Sign with no time = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
		}
	}
	sign(t, NewDoor(t, k, 0), k, message(k, "in time"))
}

func concurrent(t *testing.T, k signer.Key) {
	d := NewDoor(t, k, 0)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			m := message(k, fmt.Sprint("at once ", i))
			sig, err := d.Sign(t.Context(), m)
			if err != nil {
				t.Errorf("Sign: %v", err)
			} else if err := scheme.Verify(k.Public(), m, sig); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
	}
	wg.Wait()
}

func statementSigned(t *testing.T, k signer.Key) {
	s, err := signer.NewCheckpointSigner(k, &scheme.Verifier{}, "backendtest")
	if k.Public().Algorithm == signer.AlgorithmSecp256k1 { // no statement is signed with it
		if err == nil {
			t.Error("NewCheckpointSigner accepts a secp256k1 key")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	// Sign verifies what it returns.
	if sig, err := s.Sign(t.Context(), []byte(s.Origin()+"\n1\n"+strings.Repeat("A", 43)+"=\n")); err != nil || len(sig) != 64 {
		t.Errorf("Sign a checkpoint = %x, %v; want 64 bytes", sig, err)
	}
}

// raw keeps what a device returned.
type raw struct {
	signer.Key
	sig []byte
}

func (r *raw) Sign(ctx context.Context, a signer.Authorized) (sig []byte, err error) {
	r.sig, err = r.Key.Sign(ctx, a)
	return r.sig, err
}

func rawForm(t *testing.T, k signer.Key) {
	r := &raw{Key: k}
	sign(t, NewDoor(t, r, 0), k, message(k, "raw"))
	if len(r.sig) != 64 {
		t.Errorf("the raw signature is %x; want 64 bytes", r.sig)
	}
}

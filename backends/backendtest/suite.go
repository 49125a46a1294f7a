package backendtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// Run checks that keys keep the contract of [signer.Key], with every scheme that
// they sign with. open returns a key, which may be the same one each time, and
// cleans up with the test. A device that lacks some of an RSA key's schemes says so
// with without.
func Run(t *testing.T, open func(t *testing.T) signer.Key, without ...signer.Scheme) {
	for name, clause := range map[string]func(*testing.T, subject){
		"a signature verifies under the public key":              verifies,
		"the public key stays the same and cannot be changed":    publicIsFixed,
		"the protection is one of the two":                       protectionIsKnown,
		"what was never authorised is refused":                   zeroRefused,
		"a message for another scheme is refused":                otherSchemesRefused,
		"a prehash of the wrong length is refused":               wrongLengthRefused,
		"a context that ended is unavailable, and harms nothing": contextHonoured,
		"thirty-two signatures at once all verify":               concurrent,
		"a statement is signed":                                  statementSigned,
		"the raw form has its length":                            rawForm,
	} {
		t.Run(name, func(t *testing.T) { clause(t, newSubject(t, open(t), without)) })
	}
}

// subject is a key under test and the schemes that it signs with.
type subject struct {
	signer.Key
	schemes []signer.Scheme
}

func newSubject(t *testing.T, k signer.Key, without []signer.Scheme) subject {
	t.Helper()
	all := slices.DeleteFunc(schemesOf(k.Public().Algorithm), func(s signer.Scheme) bool { return slices.Contains(without, s) })
	if len(all) == 0 {
		t.Fatalf("no scheme signs with algorithm %q", k.Public().Algorithm)
	}
	return subject{k, all}
}

// message is one that the key can sign.
func (k subject) message(text string) signer.Message { return message(k.schemes[0], text) }

// sign signs and verifies.
func sign(t *testing.T, d *Door, k signer.Key, m signer.Message) {
	t.Helper()
	sig, err := d.Sign(t.Context(), m)
	if err != nil {
		t.Fatalf("Sign with %s: %v", m.Scheme, err)
	}
	if err := verify(k.Public(), m, sig); err != nil {
		t.Fatalf("signature with %s: %v", m.Scheme, err)
	}
	if err := scheme.Verify(k.Public(), m, sig); err != nil {
		t.Fatalf("Verify: %v", err)
	}
}

func verifies(t *testing.T, k subject) {
	d := NewDoor(t, k, 0)
	for _, s := range k.schemes {
		for i := range 20 / len(k.schemes) { // s is in the upper half, and the recovery id 1, half of the time
			sign(t, d, k, message(s, fmt.Sprint("message ", i)))
		}
	}
}

func publicIsFixed(t *testing.T, k subject) {
	first := k.Public()
	if first.Fingerprint() == "" {
		t.Fatalf("public key %+v has no fingerprint", first)
	}
	k.Public().Bytes[10] ^= 1
	sign(t, NewDoor(t, k, 0), k, k.message("between"))
	if again := k.Public(); again.Fingerprint() != first.Fingerprint() {
		t.Errorf("public key was %s and is %s", first.Fingerprint(), again.Fingerprint())
	}
}

func protectionIsKnown(t *testing.T, k subject) {
	if p := k.Protection(); p != signer.ProtectionResident && p != signer.ProtectionWrapped {
		t.Errorf("protection is %q", p)
	}
}

func zeroRefused(t *testing.T, k subject) {
	if sig, err := k.Sign(t.Context(), signer.Authorized{}); err == nil || sig != nil {
		t.Errorf("Sign of the zero Authorized = %x, %v; want an error", sig, err)
	}
	if sig, err := k.SignStatement(t.Context(), signer.Statement{}); err == nil || sig != nil {
		t.Errorf("SignStatement of the zero Statement = %x, %v; want an error", sig, err)
	}
}

func otherSchemesRefused(t *testing.T, k subject) {
	d := NewDoor(t, k, 0)
	for _, s := range allSchemes() {
		if f, _ := s.Facts(); f.Algorithm == k.Public().Algorithm && (slices.Contains(k.schemes, s) || f.Algorithm != signer.AlgorithmRSA) {
			continue
		}
		// A device that lacks a scheme of its key's may find out late; no other key
		// is asked at all.
		sig, err := d.Sign(t.Context(), message(s, "pay"))
		if sig != nil || signer.CodeOf(err) != signer.CodeInvalid && signer.CodeOf(err) != signer.CodeUnavailable {
			t.Errorf("Sign with scheme %q = %x, %v; want code %q", s, sig, err, signer.CodeInvalid)
		}
		if f, _ := s.Facts(); f.Algorithm != k.Public().Algorithm && signer.CodeOf(err) != signer.CodeInvalid {
			t.Errorf("Sign with scheme %q = %v; want code %q", s, err, signer.CodeInvalid)
		}
	}
}

func wrongLengthRefused(t *testing.T, k subject) {
	d := NewDoor(t, k, 0)
	for _, s := range k.schemes {
		f, _ := s.Facts()
		for _, n := range []int{1, 20, 31, 32, 33, 48, 64, 65, 2_000} {
			m := signer.Message{Scheme: s, Bytes: make([]byte, n)}
			switch {
			case f.Prehash == 0: // whole messages are signed: any length does
				sign(t, d, k, m)
			case f.Prehash != n:
				if sig, err := d.Sign(t.Context(), m); signer.CodeOf(err) != signer.CodeInvalid || sig != nil {
					t.Errorf("Sign of a prehash of %d bytes with %s = %x, %v; want code %q", n, s, sig, err, signer.CodeInvalid)
				}
			}
		}
	}
}

func contextHonoured(t *testing.T, k subject) {
	late := NewDoor(t, k, time.Nanosecond)
	for range 10 {
		if sig, err := late.Sign(t.Context(), k.message("late")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
			t.Errorf("Sign with no time = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
		}
	}
	sign(t, NewDoor(t, k, 0), k, k.message("in time"))
}

func concurrent(t *testing.T, k subject) { atOnce(t, []subject{k}) }

// atOnce has thirty-two messages signed at once by some keys.
func atOnce(t *testing.T, keys []subject) {
	t.Helper()
	doors := make([]*Door, len(keys))
	for i, k := range keys {
		doors[i] = NewDoor(t, k, time.Minute)
	}
	var wg sync.WaitGroup
	for i := range 32 {
		k, d := keys[i%len(keys)], doors[i%len(keys)]
		wg.Go(func() {
			m := message(k.schemes[i%len(k.schemes)], fmt.Sprint("at once ", i))
			sig, err := d.Sign(t.Context(), m)
			if err != nil {
				t.Errorf("Sign with %s: %v", m.Scheme, err)
			} else if err := verify(k.Public(), m, sig); err != nil {
				t.Errorf("signature with %s: %v", m.Scheme, err)
			}
		})
	}
	wg.Wait()
}

func statementSigned(t *testing.T, k subject) {
	s, err := signer.NewCheckpointSigner(k, &scheme.Verifier{}, "backendtest")
	if a := k.Public().Algorithm; a != signer.AlgorithmEd25519 && a != signer.AlgorithmP256 { // no checkpoint is signed with it
		if err == nil {
			t.Errorf("NewCheckpointSigner accepts a key of algorithm %q", a)
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

func rawForm(t *testing.T, k subject) {
	for _, s := range k.schemes {
		r := &raw{Key: k.Key}
		sign(t, NewDoor(t, r, 0), k, message(s, "raw"))
		if want := rawSize(k.Public()); len(r.sig) != want {
			t.Errorf("the raw signature with %s is %x; want %d bytes", s, r.sig, want)
		}
	}
}

package pkcs11_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// losses are the errors that one new connection cures, with the PIN that is known.
var losses = map[string]struct {
	at   sim.Function
	code uint
}{
	"session closed by the token":     {sim.SignInit, raw.CKR_SESSION_CLOSED},
	"session unknown":                 {sim.SignInit, raw.CKR_SESSION_HANDLE_INVALID},
	"device error while signing":      {sim.Sign, raw.CKR_DEVICE_ERROR},
	"token pulled":                    {sim.SignInit, raw.CKR_TOKEN_NOT_PRESENT},
	"token that is not known":         {sim.SignInit, raw.CKR_TOKEN_NOT_RECOGNIZED},
	"slot gone":                       {sim.SignInit, raw.CKR_SLOT_ID_INVALID},
	"reader pulled":                   {sim.Sign, raw.CKR_DEVICE_REMOVED},
	"logged out behind our back":      {sim.SignInit, raw.CKR_USER_NOT_LOGGED_IN},
	"finalised behind our back":       {sim.SignInit, raw.CKR_CRYPTOKI_NOT_INITIALIZED},
	"whatever a vendor calls this":    {sim.Sign, raw.CKR_GENERAL_ERROR},
	"something failed":                {sim.Sign, raw.CKR_FUNCTION_FAILED},
	"no session that could be opened": {sim.OpenSession, raw.CKR_DEVICE_ERROR},
}

func TestLossesThatOneRequestOutlives(t *testing.T) {
	for name, c := range losses {
		t.Run(name, func(t *testing.T) {
			h := &host{}
			d := open(t, faulty(t), h)
			if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
				t.Fatal(err)
			}
			if c.at == sim.OpenSession { // no session is idle yet
				fail(t, c.at, c.code, 1)
			}
			k := newKey(t, d, signer.AlgorithmP256)
			if c.at != sim.OpenSession {
				fail(t, c.at, c.code, 1)
			}
			for i := range 5 {
				mustSign(t, k, fmt.Sprint(i))
			}
			if n := calls(t, sim.Initialize); n != 2 || h.tries() != 2 {
				t.Errorf("the module was initialised %d times, and %d tries were made of the PIN; want two of each", n, h.tries())
			}
		})
	}
}

func TestHandlesThatHoldNoLonger(t *testing.T) {
	for name, code := range map[string]uint{"a key": raw.CKR_KEY_HANDLE_INVALID, "an object": raw.CKR_OBJECT_HANDLE_INVALID} {
		t.Run(name, func(t *testing.T) {
			d := login(t, faulty(t))
			k := newKey(t, d, signer.AlgorithmP256)
			fail(t, sim.SignInit, code, 1)
			mustSign(t, k, "pay")
			if n := calls(t, sim.Login); n != 1 {
				t.Errorf("it logged in %d times; want once", n)
			}
		})
	}
}

// What one new connection does not cure ends the worker.
func TestADeviceThatStaysAwayIsGone(t *testing.T) {
	for name, c := range losses {
		if c.at == sim.OpenSession || c.code == raw.CKR_USER_NOT_LOGGED_IN {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d := login(t, faulty(t))
			k := newKey(t, d, signer.AlgorithmP256)
			fail(t, c.at, c.code, 1<<40)
			if err := sign(t, k, "pay"); !errors.Is(err, backends.ErrGone) {
				t.Errorf("Sign error = %v, want that the device is gone", err)
			}
			if n := calls(t, sim.Login); n != 2 {
				t.Errorf("it logged in %d times; want once, and once anew", n)
			}
		})
	}
}

// A new connection that wants a login again, right after it, wants another one than
// ours; starting the worker again would not help.
func TestATokenThatWantsAnotherLogin(t *testing.T) {
	d := login(t, faulty(t))
	k := newKey(t, d, signer.AlgorithmP256)
	fail(t, sim.SignInit, raw.CKR_USER_NOT_LOGGED_IN, 2)
	if err := sign(t, k, "pay"); err == nil || errors.Is(err, backends.ErrGone) || !strings.Contains(err.Error(), "more than its user's login") {
		t.Errorf("Sign error = %v, want that another login is wanted", err)
	}
	mustSign(t, k, "pay")
}

func TestAModuleThatDoesNotComeBackIsGone(t *testing.T) {
	d := login(t, faulty(t))
	k := newKey(t, d, signer.AlgorithmP256)
	fail(t, sim.Sign, raw.CKR_DEVICE_REMOVED, 1)
	fail(t, sim.Initialize, raw.CKR_DEVICE_ERROR, 1<<40)
	for range 3 {
		if err := sign(t, k, "pay"); !errors.Is(err, backends.ErrGone) {
			t.Errorf("Sign error = %v, want that the device is gone", err)
		}
	}
	if _, err := d.State(t.Context()); !errors.Is(err, backends.ErrGone) {
		t.Errorf("State error = %v, want that the device is gone", err)
	}
	if n := calls(t, sim.Initialize); n > 4 { // and again, to say what tokens there are
		t.Errorf("the module was initialised %d times; want no more after it was lost", n)
	}
}

// An error that is about one request and not about the token loses that request
// alone, and the session it was made on.
func TestOtherErrorsLoseOneRequest(t *testing.T) {
	d := login(t, faulty(t))
	k := newKey(t, d, signer.AlgorithmP256)
	fail(t, sim.Sign, raw.CKR_DEVICE_MEMORY, 1)
	closed := calls(t, sim.CloseSession)
	if err := sign(t, k, "first"); err == nil || errors.Is(err, backends.ErrGone) || !strings.Contains(err.Error(), "CKR_DEVICE_MEMORY") {
		t.Errorf("Sign error = %v, want the device's", err)
	}
	if n := calls(t, sim.CloseSession) - closed; n != 1 {
		t.Errorf("%d sessions were closed; want the one that failed", n)
	}
	mustSign(t, k, "second")
	if n := calls(t, sim.Login); n != 1 {
		t.Errorf("it logged in %d times; want once", n)
	}
}

// Everybody loses the token at the same time; it is opened anew once.
func TestLossUnderLoad(t *testing.T) {
	d := login(t, faulty(t))
	k := newKey(t, d, signer.AlgorithmP256)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				if i == 0 && j == 5 {
					fail(t, sim.SignInit, raw.CKR_SESSION_HANDLE_INVALID, 1)
				}
				mustSign(t, k, fmt.Sprint(i, j))
			}
		})
	}
	wg.Wait()
	if n := calls(t, sim.Login); n != 2 {
		t.Errorf("it logged in %d times; want once, and once anew", n)
	}
}

// Somebody closes all sessions, and with them the login.
func TestSessionsClosedBehindOurBack(t *testing.T) {
	d := login(t, faulty(t))
	k := newKey(t, d, signer.AlgorithmSecp256k1)
	for range 3 {
		mustSign(t, k, "pay")
		mod, slot, _ := rawSession(t, faults.Module)
		if err := mod.CloseAllSessions(slot); err != nil {
			t.Fatal(err)
		}
	}
	mustSign(t, k, "pay")
	if n := calls(t, sim.Login); n != 4 {
		t.Errorf("it logged in %d times; want once, and once for each loss", n)
	}
}

// The PIN is changed while we run, and then the session is lost.
func TestAPINThatIsWrongAfterALossIsSentOnce(t *testing.T) {
	h := &host{}
	d := open(t, faulty(t), h)
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Fatal(err)
	}
	k := newKey(t, d, signer.AlgorithmP256)
	fail(t, sim.Sign, raw.CKR_SESSION_CLOSED, 1)
	fail(t, sim.Login, raw.CKR_PIN_INCORRECT, 1)
	var refused *backends.PINError
	if err := sign(t, k, "pay"); !errors.As(err, &refused) || !refused.Sent {
		t.Fatalf("Sign error = %v, want that the PIN was refused", err)
	}
	for range 5 {
		if err := sign(t, k, "pay"); signer.CodeOf(err) != signer.CodeUnavailable {
			t.Errorf("Sign error = %v, want code %q", err, signer.CodeUnavailable)
		}
	}
	if h.tries() != 2 {
		t.Errorf("%d tries of PINs; want the right one, and the wrong one once", h.tries())
	}
	if s, err := d.State(t.Context()); err != nil || !s.NeedsPIN {
		t.Errorf("State = %+v, %v; want that it needs its PIN", s, err)
	}
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Fatal(err)
	}
	mustSign(t, k, "pay")
}

func TestSessionsAreBoundedAndShared(t *testing.T) {
	s := faulty(t)
	s.Sessions = 3
	d := login(t, s)
	k := newKey(t, d, signer.AlgorithmP256)
	before := calls(t, sim.OpenSession)
	burst := func() {
		t.Helper()
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() { mustSign(t, k, fmt.Sprint(i)) })
		}
		wg.Wait()
	}
	burst()
	if n := calls(t, sim.OpenSession) - before; n > 3 {
		t.Errorf("%d sessions opened; the most is 3", n)
	}
	// A token with no session left to give: those that are open are shared.
	fail(t, sim.OpenSession, raw.CKR_SESSION_COUNT, 1<<40)
	burst()
}

// Other programs hold every session: that is said within seconds, and is no loss.
func TestATokenWithNoSessionLeft(t *testing.T) {
	d := login(t, faulty(t))
	fail(t, sim.OpenSession, raw.CKR_SESSION_COUNT, 1<<40)
	start := time.Now()
	if k, err := d.Find(t.Context(), "pkcs11:object=k"); signer.CodeOf(err) != signer.CodeUnavailable || k != nil || !strings.Contains(err.Error(), "no session left") {
		t.Errorf("Find = %v, %v; want code %q", k, err, signer.CodeUnavailable)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %s to say so", d)
	}
	fail(t, sim.OpenSession, raw.CKR_SESSION_COUNT, 3) // for a moment
	mustSign(t, newKey(t, d, signer.AlgorithmP256), "pay")
	if n := calls(t, sim.Login); n != 1 {
		t.Errorf("it logged in %d times; want once", n)
	}
}

// Keys are looked for again after a loss, and another key in the same place is
// not the same key.
func TestAnotherKeyInTheSamePlaceIsRefused(t *testing.T) {
	d := login(t, faulty(t))
	rawKey(t, "swapped", []byte("swapped"), nil)
	k := find(t, d, "pkcs11:object=swapped")
	mustSign(t, k, "pay")
	mod, _, s := rawSession(t, token.Module)
	for _, class := range []uint{raw.CKO_PUBLIC_KEY, raw.CKO_PRIVATE_KEY} {
		for _, o := range objects(t, mod, s, class, "swapped") {
			if err := mod.DestroyObject(s, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := sign(t, k, "pay"); err == nil || !strings.Contains(err.Error(), "has no private key") {
		t.Errorf("Sign with the key gone: %v", err)
	}
	rawKey(t, "swapped", []byte("swapped"), nil)
	if err := sign(t, k, "pay"); err == nil || !strings.Contains(err.Error(), "another one than before") {
		t.Errorf("Sign with another key in its place: %v", err)
	}
}

// The device is another process, which is killed and started again. A driver whose
// device is not back at once gives up, and the next one finds everything.
func TestDeviceDiesAndComesBack(t *testing.T) {
	server, err := sim.NewServer(t.TempDir(), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
	})
	s := settings()
	s.Module = server.Module
	for _, a := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmSecp256k1, signer.AlgorithmRSA} {
		t.Run(string(a), func(t *testing.T) {
			d := login(t, s)
			made := generate(t, d, a)
			k := find(t, d, made.Locator)
			mustSign(t, k, "before")
			restart := func() {
				if err := errors.Join(server.Kill(), server.Start()); err != nil {
					t.Fatal(err)
				}
			}
			restart()
			mustSign(t, k, "after a restart that nobody noticed")
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := sign(t, k, "without the device"); !errors.Is(err, backends.ErrGone) {
				t.Errorf("Sign error = %v, want that the device is gone", err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			again := login(t, s)
			mustSign(t, find(t, again, made.Locator), "with the device back")
		})
	}
}

// p11-kit's server passes on what its client knows, which Ed25519 is not.
func TestATokenWithoutTheMechanismSaysSo(t *testing.T) {
	made := func() backends.NewKey {
		d := login(t, settings())
		defer d.Close()
		return generate(t, d, signer.AlgorithmEd25519)
	}()
	server, err := sim.NewServer(t.TempDir(), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
	})
	s := settings()
	s.Module = server.Module
	if k, err := login(t, s).Find(t.Context(), made.Locator); err == nil || k != nil || !strings.Contains(err.Error(), "has no mechanism that signs with one (CKM_EDDSA)") {
		t.Errorf("Find = %v, %v; want that there is no mechanism", k, err)
	}
}

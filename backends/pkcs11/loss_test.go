package pkcs11_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

const time24h = 24 * time.Hour

// A token that was lost a moment ago is opened anew within the same request.
func TestLossesThatOneRequestOutlives(t *testing.T) {
	for name, c := range map[string]struct {
		at   sim.Function
		code uint
	}{
		"session closed by the token":     {sim.SignInit, raw.CKR_SESSION_CLOSED},
		"session unknown":                 {sim.SignInit, raw.CKR_SESSION_HANDLE_INVALID},
		"device error while signing":      {sim.Sign, raw.CKR_DEVICE_ERROR},
		"token pulled":                    {sim.SignInit, raw.CKR_TOKEN_NOT_PRESENT},
		"reader pulled":                   {sim.Sign, raw.CKR_DEVICE_REMOVED},
		"logged out behind our back":      {sim.SignInit, raw.CKR_USER_NOT_LOGGED_IN},
		"finalised behind our back":       {sim.SignInit, raw.CKR_CRYPTOKI_NOT_INITIALIZED},
		"whatever a vendor calls this":    {sim.Sign, raw.CKR_GENERAL_ERROR},
		"a handle that holds no longer":   {sim.SignInit, raw.CKR_KEY_HANDLE_INVALID},
		"an object that was loaded anew":  {sim.SignInit, raw.CKR_OBJECT_HANDLE_INVALID},
		"no session that could be opened": {sim.OpenSession, raw.CKR_DEVICE_ERROR},
		"no more sessions, for a moment":  {sim.OpenSession, raw.CKR_SESSION_COUNT},
	} {
		t.Run(name, func(t *testing.T) {
			conf := faulty(t)
			conf.Now = newClock().Now
			tok := open(t, conf)
			k := generate(t, tok, signer.AlgorithmP256)
			if c.at == sim.OpenSession { // no session may be idle, so begin with none
				if err := tok.Close(); err != nil {
					t.Fatal(err)
				}
				tok = open(t, conf)
				fail(t, c.at, c.code, 1)
				if _, err := tok.Key(t.Context(), k.URI()); err != nil {
					t.Fatalf("Key: %v", err)
				}
				return
			}
			door := backendtest.NewDoor(t, k, 0)
			fail(t, c.at, c.code, 1)
			for i := range 5 {
				if _, err := door.Sign(t.Context(), prehash(fmt.Sprint(i))); err != nil {
					t.Fatalf("signature %d: %v", i, err)
				}
			}
			if !tok.Health().Up {
				t.Errorf("health = %+v; want up", tok.Health())
			}
		})
	}
}

// An error that is about one request and not about the token loses that request
// alone, and the session it was made on.
func TestOtherErrorsLoseOneRequest(t *testing.T) {
	tok := open(t, faulty(t))
	door := backendtest.NewDoor(t, generate(t, tok, signer.AlgorithmP256), 0)
	logins := calls(t, sim.Login)
	fail(t, sim.Sign, raw.CKR_DEVICE_MEMORY, 1)
	if sig, err := door.Sign(t.Context(), prehash("first")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
		t.Errorf("Sign = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
	}
	if _, err := door.Sign(t.Context(), prehash("second")); err != nil {
		t.Errorf("Sign afterwards: %v", err)
	}
	if n := calls(t, sim.Login); n != logins {
		t.Errorf("it logged in %d times more; want none", n-logins)
	}
}

func TestAttemptsToOpenAreSpacedOut(t *testing.T) {
	conf, clk := faulty(t), newClock()
	conf.Now = clk.Now
	tok := open(t, conf)
	key := generate(t, tok, signer.AlgorithmP256)
	door := backendtest.NewDoor(t, key, 0)
	if err := key.Available(); err != nil {
		t.Errorf("Available = %v, want nothing in its way", err)
	}
	before := calls(t, sim.Login)
	fail(t, sim.SignInit, raw.CKR_DEVICE_ERROR, 1<<40)
	attempts := func() uint64 { return calls(t, sim.Login) - before }
	try := func(n int) {
		t.Helper()
		for range n {
			_, err := door.Sign(t.Context(), prehash("pay"))
			if signer.CodeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "it is tried again after 2026-01-0") {
				t.Fatalf("Sign error = %v, want code %q and when it is tried again", err, signer.CodeUnavailable)
			}
		}
	}
	try(20)
	if n := attempts(); n != 1 {
		t.Fatalf("%d attempts to open the token within no time; want 1", n)
	}
	if h := tok.Health(); h.Up || h.Retry.Sub(clk.Now()) != 500*time.Millisecond || !strings.Contains(h.Reason, "CKR_DEVICE_ERROR") {
		t.Errorf("health = %+v; want down, its reason, and a retry in 500 ms", h)
	}
	if err := key.Available(); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Available = %v, want code %q", err, signer.CodeUnavailable)
	}
	clk.advance(500 * time.Millisecond)
	if err := key.Available(); err != nil {
		t.Errorf("Available = %v when it is time to try again", err)
	}
	try(20)
	clk.advance(999 * time.Millisecond)
	try(20)
	if n := attempts(); n != 2 {
		t.Fatalf("%d attempts after 1.5 s; want 2", n)
	}
	for range 30 {
		clk.advance(time.Minute)
		try(1)
	}
	if n := attempts(); n != 32 {
		t.Fatalf("%d attempts, with a minute between the last 30; want 32", n)
	}
	fail(t, sim.SignInit, 0, 0)
	clk.advance(time.Minute)
	if _, err := door.Sign(t.Context(), prehash("pay")); err != nil {
		t.Fatalf("Sign with the device back: %v", err)
	}
	if !tok.Health().Up {
		t.Errorf("health = %+v; want up", tok.Health())
	}
}

// Everybody loses the token at the same time; it is opened anew once.
func TestLossUnderLoad(t *testing.T) {
	tok := open(t, faulty(t))
	door := backendtest.NewDoor(t, generate(t, tok, signer.AlgorithmP256), 0)
	before := calls(t, sim.Login)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				if i == 0 && j == 5 {
					fail(t, sim.SignInit, raw.CKR_SESSION_HANDLE_INVALID, 1)
				}
				if _, err := door.Sign(t.Context(), prehash(fmt.Sprint(i, j))); err != nil {
					t.Errorf("Sign: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n := calls(t, sim.Login) - before; n != 1 {
		t.Errorf("the token was opened anew %d times; want once", n)
	}
}

// Another program in the process closes all sessions, and with them the login.
func TestSessionsClosedBehindOurBack(t *testing.T) {
	tok := open(t, faulty(t))
	door := backendtest.NewDoor(t, generate(t, tok, signer.AlgorithmSecp256k1), 0)
	m := signer.Message{Scheme: signer.SchemeSecp256k1, Bytes: prehash("pay").Bytes}
	for range 3 {
		if _, err := door.Sign(t.Context(), m); err != nil {
			t.Fatalf("Sign: %v", err)
		}
		mod, slot, _ := rawSession(t, faults.Module)
		if err := mod.CloseAllSessions(slot); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := door.Sign(t.Context(), m); err != nil {
		t.Errorf("Sign: %v", err)
	}
	if n := calls(t, sim.Login); n != 4 {
		t.Errorf("it logged in %d times; want once, and once for each loss", n)
	}
}

func TestSessionsAreBoundedAndShared(t *testing.T) {
	conf := faulty(t)
	conf.Sessions = 3
	tok := open(t, conf)
	door := backendtest.NewDoor(t, generate(t, tok, signer.AlgorithmP256), 0)
	before := calls(t, sim.OpenSession)
	burst := func() {
		t.Helper()
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if _, err := door.Sign(t.Context(), prehash(fmt.Sprint(i))); err != nil {
					t.Errorf("Sign: %v", err)
				}
			})
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

// Keys are looked for again after a loss, and another key in the same place is
// not the same key.
func TestAnotherKeyInTheSamePlaceIsRefused(t *testing.T) {
	conf := faulty(t)
	tok := open(t, conf)
	rawKey(t, "swapped", []byte("swapped"), nil)
	k, err := tok.Key(t.Context(), "pkcs11:object=swapped")
	if err != nil {
		t.Fatal(err)
	}
	door := backendtest.NewDoor(t, k, 0)
	mod, _, s := rawSession(t, token.Module)
	if err := mod.FindObjectsInit(s, []*raw.Attribute{raw.NewAttribute(raw.CKA_LABEL, "swapped")}); err != nil {
		t.Fatal(err)
	}
	objects, _, err := mod.FindObjects(s, 10)
	if err != nil || len(objects) != 2 {
		t.Fatalf("found %d objects, %v; want a key pair", len(objects), err)
	}
	if err := mod.FindObjectsFinal(s); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := mod.DestroyObject(s, o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := door.Sign(t.Context(), prehash("pay")); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Sign with the key gone: %v; want code %q", err, signer.CodeUnavailable)
	}
	rawKey(t, "swapped", []byte("swapped"), nil)
	sig, err := door.Sign(t.Context(), prehash("pay"))
	if signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
		t.Errorf("Sign with another key in its place = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
	}
}

// The device is another process, which is killed and started again.
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
	conf := config()
	conf.Module = server.Module
	tok := open(t, conf)
	for _, a := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmSecp256k1} {
		t.Run(string(a), func(t *testing.T) {
			k := generate(t, tok, a)
			kill := func() {
				if err := server.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			start := func() {
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
			}
			backendtest.Recovers(t, k, kill, start)
		})
	}
}

package pkcs11_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

var algorithms = []signer.Algorithm{
	signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmP384, signer.AlgorithmP521, signer.AlgorithmEd25519, signer.AlgorithmRSA,
}

func TestKeysSignWithEveryScheme(t *testing.T) {
	d := login(t, settings())
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			k := newKey(t, d, a)
			for i := range 8 { // s is in the upper half half of the time
				mustSign(t, k, strings.Repeat("x", i+1))
			}
			f := k.Facts()
			if f.Public.Algorithm != a || f.Protection != signer.ProtectionResident || f.Origin != signer.OriginGenerated || f.Touch {
				t.Errorf("facts = %+v; want a resident key that was generated", f)
			}
		})
	}
}

func TestLargeRSAKeysSign(t *testing.T) {
	d := login(t, settings())
	for _, bits := range []int{3072, 4096} {
		s := spec(signer.AlgorithmRSA)
		s.Bits = bits
		k, err := d.(backends.Generator).Generate(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		mustSign(t, find(t, d, k.Locator), "pay")
	}
}

func TestKeysOutliveTheDriver(t *testing.T) {
	d := login(t, settings())
	k := generate(t, d, signer.AlgorithmSecp256k1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := find(t, login(t, settings()), k.Locator)
	if got, want := again.Facts().Public.Fingerprint(), k.Facts.Public.Fingerprint(); got != want {
		t.Errorf("public key is %s, was %s", got, want)
	}
}

func TestCloseTwice(t *testing.T) {
	d := login(t, settings())
	k := newKey(t, d, signer.AlgorithmP256)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := sign(t, k, "late"); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Sign after Close: %v; want it closed", err)
	}
}

func TestSettingsAreStrict(t *testing.T) {
	good := map[string]any{"module": token.Module, "uri": token.URI}
	with := func(name string, value any) map[string]any {
		m := map[string]any{}
		for k, v := range good {
			m[k] = v
		}
		m[name] = value
		return m
	}
	for name, c := range map[string]struct {
		settings any
		want     string
	}{
		"nothing":                       {map[string]any{}, "want it to begin with"},
		"a list":                        {[]string{}, "settings: "},
		"a typing error":                {with("sesions", 3), `unknown field "sesions"`},
		"a PIN":                         {with("pin", "1234"), `unknown field "pin"`},
		"no module":                     {with("module", ""), "absolute path"},
		"a relative module":             {with("module", "libsofthsm2.so"), "absolute path"},
		"no token":                      {with("uri", "pkcs11:model=SoftHSM%20v2"), "by its label"},
		"a key instead of a token":      {with("uri", token.URI+";object=k"), "this names a key"},
		"a URI with a typing error":     {with("uri", "pkcs11:tokne=x"), `"tokne" is not supported`},
		"no sessions":                   {with("sessions", 0), "want 1 to"},
		"a negative number of sessions": {with("sessions", -1), "want 1 to"},
		"far too many sessions":         {with("sessions", 100000), "want 1 to"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := newDriver(t, c.settings, &host{})
			if err == nil || !strings.Contains(err.Error(), c.want) || d != nil {
				t.Errorf("NewDriver = %v, %v; want %q", d, err, c.want)
			}
		})
	}
	if _, err := newDriver(t, good, &host{}); err != nil {
		t.Errorf("NewDriver with the least that there is: %v", err)
	}
	if _, err := pkcs11.NewDriver([]byte(`{"module":"/m","uri":"pkcs11:token=a"}{}`), &host{}); err == nil || !strings.Contains(err.Error(), "follows") {
		t.Errorf("NewDriver with two settings: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "module.so")
	if err := os.WriteFile(text, []byte("not a module"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*pkcs11.Settings)
		want   string
		gone   bool // waiting may help
	}{
		"a missing module":             {func(s *pkcs11.Settings) { s.Module = "/nonexistent.so" }, "/nonexistent.so", false},
		"a module that is none":        {func(s *pkcs11.Settings) { s.Module = text }, "it is not a PKCS#11 module", false},
		"another digest":               {func(s *pkcs11.Settings) { s.ModuleSHA256 = strings.Repeat("0", 64) }, "it is not loaded", false},
		"two tokens with one label":    {func(s *pkcs11.Settings) { s.URI = "pkcs11:token=twin" }, "2 tokens are pkcs11:token=twin; add serial=", false},
		"a token that is not there":    {func(s *pkcs11.Settings) { s.URI = "pkcs11:token=cold" }, "the module shows pkcs11:token=", true},
		"a token of another maker":     {func(s *pkcs11.Settings) { s.URI += ";manufacturer=Acme" }, "no token is all of", true},
		"a serial number of another":   {func(s *pkcs11.Settings) { s.URI += ";serial=nonesuch" }, "the module shows", true},
		"a token of another model too": {func(s *pkcs11.Settings) { s.URI += ";model=None" }, "the module shows", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings()
			c.change(&s)
			d, err := newDriver(t, s, &host{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Open(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, backends.ErrGone) != c.gone {
				t.Errorf("Open error = %v, want %q, gone %v", err, c.want, c.gone)
			}
			if k, err := d.Find(t.Context(), "pkcs11:object=k"); err == nil || k != nil {
				t.Errorf("Find in a token that is not open = %v, %v", k, err)
			}
			if err := d.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	login(t, settings()) // none of them has left the module in a bad state
}

func TestOpenAcceptsThePinnedModule(t *testing.T) {
	data, err := os.ReadFile(token.Module)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	s := settings()
	s.ModuleSHA256 = strings.ToUpper(hex.EncodeToString(sum[:]))
	login(t, s)
}

func TestStateSaysWhatTheTokenNeeds(t *testing.T) {
	h := &host{}
	d := open(t, faulty(t), h)
	s, err := d.State(t.Context())
	if err != nil || !s.NeedsPIN || s.TriesLeft != -1 || !strings.Contains(s.Device, token.Label) {
		t.Errorf("State before the PIN = %+v, %v; want that it needs one", s, err)
	}
	if k, err := d.Find(t.Context(), "pkcs11:object=k"); signer.CodeOf(err) != signer.CodeUnavailable || k != nil {
		t.Errorf("Find before the PIN = %v, %v; want code %q", k, err, signer.CodeUnavailable)
	}
	if n := calls(t, sim.Login); n != 0 || h.tries() != 0 {
		t.Errorf("%d logins, %d tries before there is a PIN", n, h.tries())
	}
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Fatal(err)
	}
	if s, err = d.State(t.Context()); err != nil || s.NeedsPIN || len(s.Notes) != 0 {
		t.Errorf("State after the PIN = %+v, %v; want nothing more", s, err)
	}
	if !slices.Equal(h.lefts, []int{-1}) || !slices.Equal(h.ends, []error{nil}) {
		t.Errorf("the host heard of tries %v that ended in %v; want one that was right", h.lefts, h.ends)
	}
}

func TestWrongPINIsSentOnce(t *testing.T) {
	h := &host{}
	d := open(t, faulty(t), h)
	err := d.Login(t.Context(), []byte("4321"))
	var refused *backends.PINError
	if !errors.As(err, &refused) || !refused.Sent || refused.Blocked || !strings.Contains(err.Error(), "CKR_PIN_INCORRECT") {
		t.Fatalf("Login error = %#v, want that the PIN was sent and refused", err)
	}
	if n := calls(t, sim.Login); n != 1 || h.tries() != 1 {
		t.Errorf("the PIN was sent %d times in %d tries; want once", n, h.tries())
	}
	if !errors.As(h.ends[0], &refused) || !refused.Sent {
		t.Errorf("the host was told %v; want that the PIN was refused", h.ends[0])
	}
	s, err := d.State(t.Context())
	if err != nil || !s.NeedsPIN || !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, "wrong PIN was tried") }) {
		t.Errorf("State = %+v, %v; want that it needs a PIN and a wrong one was tried", s, err)
	}
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Errorf("Login with the right PIN: %v", err)
	}
}

func TestLoginRefuses(t *testing.T) {
	h := &host{refuse: errors.New("it was refused before")}
	d := open(t, faulty(t), h)
	if err := d.Login(t.Context(), []byte(token.PIN)); !errors.Is(err, h.refuse) {
		t.Errorf("Login error = %v, want the host's", err)
	}
	if err := d.Login(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("Login with no PIN: %v", err)
	}
	h.refuse = nil
	if n := calls(t, sim.Login); n != 0 {
		t.Errorf("the PIN was sent %d times against the host's word", n)
	}
	for _, pin := range []string{token.PIN, token.PIN} {
		if err := d.Login(t.Context(), []byte(pin)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Login(t.Context(), []byte("4321")); err == nil || !strings.Contains(err.Error(), "logged in already") {
		t.Errorf("Login with another PIN: %v", err)
	}
	if n := calls(t, sim.Login); n != 1 {
		t.Errorf("the PIN was sent %d times; want once", n)
	}
}

// What a login that failed says of the PIN decides whether it may be sent again.
func TestWhatBecameOfThePIN(t *testing.T) {
	for name, c := range map[string]struct {
		code                 uint
		isPIN, sent, blocked bool
		gone                 bool
	}{
		"incorrect":                     {raw.CKR_PIN_INCORRECT, true, true, false, false},
		"of a length that it cannot be": {raw.CKR_PIN_LEN_RANGE, true, true, false, false},
		"locked":                        {raw.CKR_PIN_LOCKED, true, false, true, false},
		"expired":                       {raw.CKR_PIN_EXPIRED, true, true, false, false},
		"never set":                     {raw.CKR_USER_PIN_NOT_INITIALIZED, true, false, false, false},
		"no token to look at it":        {raw.CKR_TOKEN_NOT_PRESENT, true, false, false, true},
		"no session to look at it":      {raw.CKR_SESSION_HANDLE_INVALID, true, false, false, true},
		"a device that broke down":      {raw.CKR_DEVICE_ERROR, false, false, false, true},
		"a device that was pulled":      {raw.CKR_DEVICE_REMOVED, false, false, false, true},
		"anything":                      {raw.CKR_FUNCTION_FAILED, false, false, false, true},
		"no memory":                     {raw.CKR_HOST_MEMORY, false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{}
			d := open(t, faulty(t), h)
			fail(t, sim.Login, c.code, 1)
			err := d.Login(t.Context(), []byte(token.PIN))
			if err == nil || len(h.ends) != 1 || errors.Is(err, backends.ErrGone) != c.gone {
				t.Fatalf("Login error = %v in %d tries; want one try, gone %v", err, len(h.ends), c.gone)
			}
			var p *backends.PINError
			if errors.As(h.ends[0], &p) != c.isPIN || c.isPIN && (p.Sent != c.sent || p.Blocked != c.blocked) {
				t.Errorf("the host was told %#v; want sent %v, blocked %v", h.ends[0], c.sent, c.blocked)
			}
			if s, err := d.State(t.Context()); err != nil || !s.NeedsPIN {
				t.Errorf("State = %+v, %v; want that it needs its PIN", s, err)
			}
		})
	}
}

// A token that was idle since it was opened is found out before the PIN is sent.
func TestLoginAfterALongIdleTime(t *testing.T) {
	h := &host{}
	d := open(t, faulty(t), h)
	fail(t, sim.OpenSession, raw.CKR_SESSION_CLOSED, 1)
	if err := d.Login(t.Context(), []byte(token.PIN)); err != nil {
		t.Fatalf("Login: %v", err)
	}
	if n := calls(t, sim.Initialize); n != 2 || h.tries() != 1 {
		t.Errorf("the module was initialised %d times, with %d tries; want it anew, and one", n, h.tries())
	}
}

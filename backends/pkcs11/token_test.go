package pkcs11_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends/backendtest"
	"github.com/sealward/sealward/backends/pkcs11"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

var algorithms = []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmEd25519}

func TestKeyKeepsTheContract(t *testing.T) {
	tok := open(t, config())
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			k := generate(t, tok, a)
			backendtest.Run(t, func(t *testing.T) signer.Key {
				again, err := tok.Key(t.Context(), k.URI())
				if err != nil {
					t.Fatal(err)
				}
				return again
			})
		})
	}
}

func TestKeysOutliveTheProcess(t *testing.T) {
	tok := open(t, config())
	k := generate(t, tok, signer.AlgorithmSecp256k1)
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := open(t, config()).Key(t.Context(), k.URI())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.Public().Fingerprint(), k.Public().Fingerprint(); got != want {
		t.Errorf("public key is %s, was %s", got, want)
	}
}

func TestTwoTokensOfOneModule(t *testing.T) {
	a, b := open(t, config()), open(t, config())
	k := generate(t, a, signer.AlgorithmP256)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := b.Key(t.Context(), k.URI())
	if err != nil {
		t.Fatalf("the second token was closed with the first: %v", err)
	}
	if _, err := backendtest.NewDoor(t, again, 0).Sign(t.Context(), prehash("pay")); err != nil {
		t.Error(err)
	}
}

func prehash(text string) signer.Message {
	sum := sha256.Sum256([]byte(text))
	return signer.Message{Scheme: signer.SchemeP256, Bytes: sum[:]}
}

func TestCloseTwice(t *testing.T) {
	tok := open(t, config())
	k := generate(t, tok, signer.AlgorithmP256)
	for range 2 {
		if err := tok.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if sig, err := backendtest.NewDoor(t, k, 0).Sign(t.Context(), prehash("late")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
		t.Errorf("Sign after Close = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
	}
	if tok.Health().Up {
		t.Error("a closed token is up")
	}
}

func TestOpenRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "module.so")
	if err := os.WriteFile(text, []byte("not a module"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*pkcs11.Config)
		want   string
	}{
		"no name":               {func(c *pkcs11.Config) { c.Name = "" }, "want a name"},
		"no module":             {func(c *pkcs11.Config) { c.Module = "" }, "absolute path"},
		"a relative module":     {func(c *pkcs11.Config) { c.Module = "libsofthsm2.so" }, "absolute path"},
		"a missing module":      {func(c *pkcs11.Config) { c.Module = "/nonexistent.so" }, "/nonexistent.so"},
		"a module that is none": {func(c *pkcs11.Config) { c.Module = text }, "failed to open module"},
		"no PIN":                {func(c *pkcs11.Config) { c.PIN = nil }, "no PIN given"},
		"an empty PIN":          {func(c *pkcs11.Config) { c.PIN = pin("") }, "it is empty"},
		"a PIN that cannot be read": {func(c *pkcs11.Config) {
			c.PIN = func() ([]byte, error) { return nil, errors.New("no such credential") }
		}, "no such credential"},
		"no token":                      {func(c *pkcs11.Config) { c.TokenURI = "pkcs11:model=SoftHSM%20v2" }, "by its label"},
		"a key instead of a token":      {func(c *pkcs11.Config) { c.TokenURI += ";object=k" }, "this names a key"},
		"a URI with a typing error":     {func(c *pkcs11.Config) { c.TokenURI = "pkcs11:tokne=x" }, `"tokne" is not supported`},
		"a token that is not there":     {func(c *pkcs11.Config) { c.TokenURI = "pkcs11:token=cold" }, "the module shows pkcs11:token="},
		"a token of another maker":      {func(c *pkcs11.Config) { c.TokenURI += ";manufacturer=Acme" }, "no token is all of"},
		"two tokens with one label":     {func(c *pkcs11.Config) { c.TokenURI = "pkcs11:token=twin" }, "2 tokens are pkcs11:token=twin; add serial="},
		"a serial number of another":    {func(c *pkcs11.Config) { c.TokenURI += ";serial=nonesuch" }, "the module shows"},
		"a negative number of sessions": {func(c *pkcs11.Config) { c.Sessions = -1 }, "negative"},
		"another digest":                {func(c *pkcs11.Config) { c.ModuleSHA256 = strings.Repeat("0", 64) }, "it is not loaded"},
		"a wrong PIN":                   {func(c *pkcs11.Config) { c.PIN = pin("4321") }, "CKR_PIN_INCORRECT"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := config()
			c.change(&conf)
			tok, err := pkcs11.Open(t.Context(), conf)
			if err == nil || !strings.Contains(err.Error(), c.want) || tok != nil {
				t.Errorf("Open = %v, %v; want %q", tok, err, c.want)
			}
		})
	}
	open(t, config()) // none of them has left the module in a bad state
}

func TestOpenHonoursItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if tok, err := pkcs11.Open(ctx, config()); signer.CodeOf(err) != signer.CodeUnavailable || tok != nil {
		t.Errorf("Open = %v, %v; want code %q", tok, err, signer.CodeUnavailable)
	}
}

func TestOpenAcceptsThePinnedModule(t *testing.T) {
	data, err := os.ReadFile(token.Module)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	c := config()
	c.ModuleSHA256 = strings.ToUpper(hex.EncodeToString(sum[:]))
	open(t, c)
}

func TestWrongPINIsSentOnce(t *testing.T) {
	c := faulty(t)
	c.PIN = pin("4321")
	if _, err := pkcs11.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "CKR_PIN_INCORRECT") {
		t.Fatalf("Open error = %v, want CKR_PIN_INCORRECT", err)
	}
	if n := calls(t, sim.Login); n != 1 {
		t.Errorf("the PIN was sent %d times; want once", n)
	}
}

// A PIN can become wrong while we run: changed by hand, or by a twin of ours.
func TestWrongPINIsSentOnceAfterALoss(t *testing.T) {
	c, clk := faulty(t), newClock()
	right := true
	c.Now = clk.Now
	c.PIN = func() ([]byte, error) {
		if right {
			return []byte("1234"), nil
		}
		return []byte("4321"), nil
	}
	tok := open(t, c)
	k := generate(t, tok, signer.AlgorithmP256)
	door := backendtest.NewDoor(t, k, 0)
	right = false
	fail(t, sim.Sign, raw.CKR_DEVICE_REMOVED, 1)
	for range 10 {
		_, err := door.Sign(t.Context(), prehash("pay"))
		if signer.CodeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "refuses its PIN") {
			t.Fatalf("Sign error = %v, want code %q that speaks of the PIN", err, signer.CodeUnavailable)
		}
		clk.advance(time24h)
	}
	if n := calls(t, sim.Login); n != 2 {
		t.Errorf("PINs were sent %d times; want the right one once and the wrong one once", n)
	}
	if h := tok.Health(); h.Up || !strings.Contains(h.Reason, "CKR_PIN_INCORRECT") || !h.Retry.IsZero() {
		t.Errorf("health = %+v; want down because of the PIN, for good", h)
	}
}

func TestPINIsWipedAfterLogin(t *testing.T) {
	c, secret := config(), []byte("1234")
	c.PIN = func() ([]byte, error) { return secret, nil }
	open(t, c)
	if strings.Contains(string(secret), "1") {
		t.Errorf("the PIN is still %q", secret)
	}
}

func TestCausesStayInside(t *testing.T) {
	c := faulty(t)
	c.Now = newClock().Now
	tok := open(t, c)
	k := generate(t, tok, signer.AlgorithmP256)
	fail(t, sim.SignInit, raw.CKR_DEVICE_ERROR, 2)
	_, err := backendtest.NewDoor(t, k, 0).Sign(t.Context(), prehash("pay"))
	var e *signer.Error
	if !errors.As(err, &e) || e.Code != signer.CodeUnavailable {
		t.Fatalf("Sign error = %v, want code %q", err, signer.CodeUnavailable)
	}
	if strings.Contains(e.Detail, "CKR_") {
		t.Errorf("what the caller reads names the cause: %q", e.Detail)
	}
}

func TestReadPIN(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		shared bool
		want   string // of the PIN
		err    string
	}{
		"a file of its owner":          {write(t, "12 34\n", 0o600), false, "12 34", ""},
		"without a newline":            {write(t, "1234", 0o400), false, "1234", ""},
		"a credential of systemd's":    {write(t, "1234", 0o440), true, "1234", ""},
		"one that the group can read":  {write(t, "1234", 0o640), false, "", "mode 0640"},
		"one that everybody can read":  {write(t, "1234", 0o604), false, "", "chmod 0600"},
		"one that the group can write": {write(t, "1234", 0o620), false, "", "mode 0620"},
		"an empty one":                 {write(t, "", 0o600), false, "", "is empty"},
		"a newline and nothing else":   {write(t, "\n", 0o600), false, "", "is empty"},
		"two lines":                    {write(t, "1234\n\n", 0o600), false, "", "more than one line"},
		"a line of Windows":            {write(t, "1234\r\n", 0o600), false, "", "more than one line"},
		"one that is far too long":     {write(t, strings.Repeat("1", 2000), 0o600), false, "", "2000 bytes"},
		"a folder":                     {t.TempDir(), true, "", "not a regular file"},
		"one that is not there":        {"/nonexistent", false, "", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pkcs11.ReadPIN(c.path, c.shared)
			if string(got) != c.want {
				t.Errorf("ReadPIN = %q, want %q", got, c.want)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("ReadPIN error = %v, want %q", err, c.err)
			}
		})
	}
}

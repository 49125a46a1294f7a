package pkcs11

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
)

// SoftHSM does not count wrong PINs, so what a token's flags lead to is tested apart.
func TestTheFlagsOfATokenSayWhetherAPINMayBeSent(t *testing.T) {
	const usable = pkcs11.CKF_USER_PIN_INITIALIZED | pkcs11.CKF_TOKEN_INITIALIZED
	for name, c := range map[string]struct {
		flags uint
		fresh bool // it has just come from outside
		left  int
		may   bool
		note  string // in the token's state
	}{
		"nothing tried yet":                                {usable, true, -1, true, ""},
		"nothing tried, and the one that was right":        {usable, false, -1, true, ""},
		"a wrong one was tried":                            {usable | pkcs11.CKF_USER_PIN_COUNT_LOW, false, -1, true, "a wrong PIN was tried"},
		"the last try, with one that its host vouches for": {usable | pkcs11.CKF_USER_PIN_COUNT_LOW | pkcs11.CKF_USER_PIN_FINAL_TRY, true, 1, true, "one more wrong PIN locks"},
		"the last try, with the one that was right":        {usable | pkcs11.CKF_USER_PIN_FINAL_TRY, false, 1, false, "one more wrong PIN locks"},
		"locked":                              {usable | pkcs11.CKF_USER_PIN_LOCKED, true, 0, false, "the PIN is locked"},
		"locked, and said to have a last try": {usable | pkcs11.CKF_USER_PIN_LOCKED | pkcs11.CKF_USER_PIN_FINAL_TRY, true, 0, false, "the PIN is locked"},
		"no PIN set":                          {pkcs11.CKF_TOKEN_INITIALIZED, true, -1, true, "no user PIN is set"},
	} {
		t.Run(name, func(t *testing.T) {
			left, err := mayTry("token", c.flags, c.fresh)
			var p *backends.PINError
			if left != c.left || (err == nil) != c.may || err != nil && (!errors.As(err, &p) || p.Sent || p.Left != c.left || p.Blocked != (c.left == 0)) {
				t.Errorf("mayTry = %d, %#v; want %d tries left, may %v", left, err, c.left, c.may)
			}
			s := stateOf(pkcs11.TokenInfo{Flags: c.flags}, false, 8, 8)
			if !s.NeedsPIN || s.TriesLeft != c.left || strings.Join(s.Notes, "; ") != "" != (c.note != "") || !strings.Contains(strings.Join(s.Notes, "; "), c.note) {
				t.Errorf("state = %+v; want %d tries left, and %q", s, c.left, c.note)
			}
		})
	}
}

func TestAWrongPINSaysWhatIsLeft(t *testing.T) {
	wrong := pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)
	for name, c := range map[string]struct {
		flags   uint
		left    int
		blocked bool
		text    string
	}{
		"more than one": {pkcs11.CKF_USER_PIN_COUNT_LOW, -1, false, "CKR_PIN_INCORRECT"},
		"one":           {pkcs11.CKF_USER_PIN_FINAL_TRY, 1, false, "one more wrong PIN locks it"},
		"none":          {pkcs11.CKF_USER_PIN_LOCKED, 0, true, "it is locked now"},
	} {
		t.Run(name, func(t *testing.T) {
			var p *backends.PINError
			if err := pinError("token", wrong, c.flags); !errors.As(err, &p) || !p.Sent || p.Left != c.left || p.Blocked != c.blocked || !strings.Contains(p.Text, c.text) {
				t.Errorf("pinError = %#v; want %d left, blocked %v, %q", err, c.left, c.blocked, c.text)
			}
		})
	}
}

func TestATokenWithFewerSessionsThanConfiguredSaysSo(t *testing.T) {
	s := stateOf(pkcs11.TokenInfo{Flags: pkcs11.CKF_USER_PIN_INITIALIZED, MaxSessionCount: 4}, true, 2, 8)
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "the token has 4 sessions") {
		t.Errorf("notes = %q, want that there are 4 sessions", s.Notes)
	}
}

// Certificates and EC points come from the token, and may be anything.
func TestParsePointRefuses(t *testing.T) {
	a, _ := algorithmOf("p256")
	for name, value := range map[string][]byte{
		"nothing":               nil,
		"infinity":              {4, 1, 0},
		"a point cut short":     append([]byte{4, 64, 4}, make([]byte, 63)...),
		"a point off the curve": append([]byte{4}, make([]byte, 64)...),
		"a compressed point":    append([]byte{4, 33, 2}, make([]byte, 32)...),
		"bytes after it":        append([]byte{4, 65, 4}, make([]byte, 65)...),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := parsePoint(a, value); err == nil || p.Bytes != nil {
				t.Errorf("parsePoint = %x, %v; want an error", p.Bytes, err)
			}
		})
	}
	if p, err := certified([]byte("no certificate")); err == nil || p.Bytes != nil {
		t.Errorf("certified = %x, %v; want an error", p.Bytes, err)
	}
}

package backends_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

const (
	rightPIN = "271828"
	wrongPIN = "314159"
)

// locked describes a token whose device wants rightPIN, with a credential of pin;
// none where it is empty.
func locked(t testing.TB, pin string) backends.Config {
	t.Helper()
	c := config(t)
	change(t, c, func(d *device) { d.PIN = rightPIN })
	if pin != "" {
		c.PIN = func() ([]byte, error) { return []byte(pin), nil }
	}
	return c
}

func isLocked(tok *backends.Token) func() bool { return func() bool { return tok.Health().Locked } }

// unlock types a PIN.
func unlock(t testing.TB, tok *backends.Token, pin string) error {
	t.Helper()
	key, err := tok.UnlockKey()
	if err != nil {
		t.Fatalf("UnlockKey: %v", err)
	}
	sealed, err := backends.SealPIN(key, "hsm", []byte(pin))
	if err != nil {
		t.Fatal(err)
	}
	return tok.Unlock(t.Context(), sealed)
}

func noMark(t testing.TB, c backends.Config) {
	t.Helper()
	if b, err := os.ReadFile(c.PINMark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark is %s, %v; want none", b, err)
	}
}

func TestACredentialLogsInAndLeavesNoMark(t *testing.T) {
	t.Parallel()
	c := locked(t, rightPIN)
	tok := start(t, c)
	mustSign(t, find(t, tok))
	noMark(t, c)
	if h := tok.Health(); h.State.NeedsPIN || h.Locked {
		t.Errorf("health = %+v", h)
	}
	for range 20 {
		kill(t, tok)
		eventually(t, "it is up", up(tok))
	}
	if d, err := readDevice(dirOf(c)); err != nil || d.Left != 3 {
		t.Errorf("device = %+v, %v; want no try lost in 20 crashes", d, err)
	}
}

// TestARefusedPINIsSentOnce through twenty restarts of worker and daemon, until the
// credential is another one.
func TestARefusedPINIsSentOnce(t *testing.T) {
	for name, silent := range map[string]bool{"where the device tells the tries left": false, "where it does not": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := locked(t, wrongPIN)
			change(t, c, func(d *device) { d.Silent = silent })
			for i := range 20 {
				tok := start(t, c)
				k := tok.Known("key", factsOf("a"))
				if h := tok.Health(); h.Up || !h.Locked || !strings.Contains(h.Reason, "run: sealward unlock hsm") {
					t.Fatalf("health = %+v", h)
				}
				if err := sign(k); signer.CodeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "locked") {
					t.Fatalf("sign = %v", err)
				}
				if i%2 == 0 {
					kill(t, tok)
					eventually(t, "it is locked again", isLocked(tok))
				}
				if err := tok.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if n := events(t, c, "pin "); n != 1 {
				t.Errorf("a PIN was sent %d times", n)
			}
			c.PIN = func() ([]byte, error) { return []byte(rightPIN), nil }
			mustSign(t, find(t, start(t, c)))
			noMark(t, c)
		})
	}
}

// TestATryThatIsCutShort ends the worker in each window between mark and result.
func TestATryThatIsCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		pin, window, how string
		silent           bool
		sent             int // in all
		locked           bool
	}{
		"before it is announced":                                     {rightPIN, "before try", "exit", true, 1, false},
		"before it is sent, tries known":                             {rightPIN, "before pin", "exit", false, 1, false},
		"before it is sent, tries unknown":                           {rightPIN, "before pin", "exit", true, 0, true},
		"after the right PIN, tries known":                           {rightPIN, "after pin", "exit", false, 2, false},
		"after the right PIN, tries unknown":                         {rightPIN, "after pin", "exit", true, 1, true},
		"after a wrong PIN, tries known":                             {wrongPIN, "after pin", "exit", false, 1, true},
		"after a wrong PIN, tries unknown":                           {wrongPIN, "after pin", "exit", true, 1, true},
		"by a hang after a wrong PIN":                                {wrongPIN, "after pin", "hang", false, 1, true},
		"by the loss of the device after a wrong PIN, tries known":   {wrongPIN, "after pin", "gone", false, 1, true},
		"by the loss of the device before it is sent":                {rightPIN, "before pin", "gone", true, 1, false},
		"by another error each time after a wrong PIN, tries hidden": {wrongPIN, "after pin", "fail always", true, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := locked(t, c.pin)
			conf.Timeout = 3 * time.Second
			change(t, conf, func(d *device) {
				d.Silent, d.Do[c.window] = c.silent, c.how
				if c.how == "fail always" {
					d.Left = 10
				}
			})
			tok := start(t, conf)
			if c.how != "fail always" {
				change(t, conf, func(d *device) { d.Do[c.window] = "" })
			}
			settled := func(tok *backends.Token) {
				t.Helper()
				eventually(t, "it is up or locked", func() bool { return tok.Health().Up || tok.Health().Locked })
				if h := tok.Health(); h.Locked != c.locked {
					t.Errorf("health = %+v, want locked %v", h, c.locked)
				}
				if n := events(t, conf, "pin "); n != c.sent {
					t.Errorf("a PIN was sent %d times, want %d", n, c.sent)
				}
			}
			settled(tok)
			if !c.locked {
				noMark(t, conf)
				return
			}
			if err := tok.Close(); err != nil {
				t.Fatal(err)
			}
			tok = start(t, conf) // another daemon knows as much
			settled(tok)
			change(t, conf, func(d *device) { d.Do[c.window] = "" })
			if err := unlock(t, tok, rightPIN); err != nil {
				t.Errorf("unlock: %v", err)
			}
			mustSign(t, find(t, tok))
		})
	}
}

func TestATypedPINIsAskedForAgainAfterItsWorkerDied(t *testing.T) {
	c := locked(t, "")
	tok := start(t, c)
	k := tok.Known("key", factsOf("a"))
	for range 3 {
		if h := tok.Health(); !h.Locked || !strings.Contains(h.Reason, "its PIN has to be typed; run: sealward unlock hsm") {
			t.Fatalf("health = %+v", h)
		}
		if err := unlock(t, tok, rightPIN); err != nil {
			t.Fatalf("unlock: %v", err)
		}
		mustSign(t, k)
		noMark(t, c)
		if err := unlockTwice(tok); signer.CodeOf(err) != signer.CodeInvalid {
			t.Errorf("UnlockKey of a token that is not locked = %v", err)
		}
		kill(t, tok)
		eventually(t, "it is locked again", isLocked(tok))
	}
}

func unlockTwice(tok *backends.Token) error {
	_, err := tok.UnlockKey()
	return err
}

func TestAWrongTypedPINShowsTheTriesLeft(t *testing.T) {
	c := locked(t, "")
	tok := start(t, c)
	for _, want := range []string{"2 tries are left", "one try is left", "blocked"} {
		err := unlock(t, tok, wrongPIN)
		pin, ok := errors.AsType[*backends.PINError](err)
		if !ok || signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("unlock = %v (%+v), want %q", err, pin, want)
		}
		if !tok.Health().Locked {
			t.Errorf("health = %+v", tok.Health())
		}
	}
	if err := unlock(t, tok, rightPIN); err == nil || !strings.Contains(err.Error(), "blocked") {
		t.Errorf("unlock of a blocked device = %v", err)
	}
	if n := events(t, c, "pin "); n != 3 {
		t.Errorf("%d PINs were sent", n)
	}
}

func TestATypedPINSaysNothingAboutTheCredential(t *testing.T) {
	c := locked(t, wrongPIN)
	tok := start(t, c)
	if err := unlock(t, tok, rightPIN); err != nil {
		t.Fatal(err)
	}
	mustSign(t, find(t, tok))
	kill(t, tok)
	eventually(t, "it is locked again", isLocked(tok))
	if n := events(t, c, "pin "+wrongPIN); n != 1 {
		t.Errorf("the credential was sent %d times", n)
	}
	tok.Retry()
	eventually(t, "it is tried once more, as the operator says", func() bool { return events(t, c, "pin "+wrongPIN) == 2 })
	eventually(t, "it is locked again", isLocked(tok))
}

func TestASealedPINOpensOnceForItsTokenAlone(t *testing.T) {
	c := locked(t, "")
	tok := start(t, c)
	key, err := tok.UnlockKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := backends.SealPIN(key, "another", []byte(rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Unlock(t.Context(), other); signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("a PIN for another token: %v", err)
	}
	sealed, err := backends.SealPIN(key, "hsm", []byte(rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Unlock(t.Context(), sealed); signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("a PIN sealed to a key that was used: %v", err)
	}
	again, err := tok.UnlockKey()
	if err != nil || bytes.Equal(again, key) {
		t.Errorf("the key after use = %x, %v; want a new one", again, err)
	}
	if n := events(t, c, "pin "); n != 0 {
		t.Errorf("%d PINs were sent", n)
	}
	if err := unlock(t, tok, rightPIN); err != nil {
		t.Error(err)
	}
}

func TestAPINThatChangedBehindTheTokenIsSentOnceMoreAtMost(t *testing.T) {
	c := locked(t, rightPIN)
	change(t, c, func(d *device) { d.Each = true })
	tok := start(t, c)
	k := find(t, tok)
	mustSign(t, k)
	change(t, c, func(d *device) { d.PIN, d.Left = "161803", 5 })
	for range 5 {
		if err := sign(k); signer.CodeOf(err) != signer.CodeUnavailable {
			t.Errorf("sign = %v", err)
		}
	}
	kill(t, tok)
	eventually(t, "it is locked again", isLocked(tok))
	if d, err := readDevice(dirOf(c)); err != nil || d.Left != 4 {
		t.Errorf("device = %+v, %v; want one try lost", d, err)
	}
}

func TestABlockedDeviceIsNoTry(t *testing.T) {
	c := locked(t, wrongPIN)
	change(t, c, func(d *device) { d.Left = 0 })
	tok := start(t, c)
	if h := tok.Health(); !h.Locked || !strings.Contains(h.Reason, "PUK") {
		t.Errorf("health = %+v", h)
	}
	if n := events(t, c, "pin "); n != 0 {
		t.Errorf("%d PINs were sent", n)
	}
	noMark(t, c)
}

func TestAMarkThatCannotBeReadKeepsThePINFromBeingTried(t *testing.T) {
	for name, text := range map[string]string{
		"cut off":         `{"version":1,"refused":{"at"`,
		"empty":           "",
		"another version": `{"version":2}`,
		"unknown field":   `{"version":1,"tried":{}}`,
		"no digest":       `{"version":1,"refused":{"at":"2026-01-01T00:00:00Z","left":1}}`,
		"two values":      `{"version":1}{"version":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := locked(t, rightPIN)
			if err := os.WriteFile(c.PINMark, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			tok := start(t, c)
			if h := tok.Health(); !h.Locked || !strings.Contains(h.Reason, c.PINMark) {
				t.Errorf("health = %+v", h)
			}
			if n := events(t, c, "pin "); n != 0 {
				t.Errorf("%d PINs were sent", n)
			}
			tok.Retry()
			eventually(t, "the operator has it tried", up(tok))
		})
	}
}

func TestAMarkThatCannotBeWrittenKeepsThePINFromBeingTried(t *testing.T) {
	c := locked(t, rightPIN)
	if err := os.MkdirAll(filepath.Join(c.PINMark+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	tok := start(t, c)
	if h := tok.Health(); h.Up || events(t, c, "pin ") != 0 {
		t.Errorf("health = %+v with %d PINs sent", h, events(t, c, "pin "))
	}
}

func TestACredentialThatCannotBeReadLeavesTheTokenToItsOperator(t *testing.T) {
	c := locked(t, "")
	c.PIN = func() ([]byte, error) { return nil, errors.New("read PIN: no such file") }
	tok := start(t, c)
	if h := tok.Health(); !h.Locked || !strings.Contains(h.Reason, "no such file") {
		t.Errorf("health = %+v", h)
	}
	if err := unlock(t, tok, rightPIN); err != nil {
		t.Error(err)
	}
}

func TestAPINIsWipedAfterUse(t *testing.T) {
	c := locked(t, "")
	pin := []byte(rightPIN)
	c.PIN = func() ([]byte, error) { return pin, nil }
	start(t, c)
	if !bytes.Equal(pin, make([]byte, len(pin))) {
		t.Errorf("the PIN was left as %q", pin)
	}
}

// TestAPINIsSeenNowhere but in the worker and the device: the right one and a
// refused one.
func TestAPINIsSeenNowhere(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	c := locked(t, wrongPIN)
	c.Log = slog.New(slog.NewJSONHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.Environment = []string{"SEALWARD_TEST=1"}
	tok := start(t, c)
	seen := fmt.Sprint(tok.Health(), sign(tok.Known("key", factsOf("a"))), unlock(t, tok, wrongPIN+"1"), tok.Health())
	mark, err := os.ReadFile(c.PINMark)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.PINMark); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mark has mode %v, %v", info.Mode(), err)
	}
	if err := unlock(t, tok, rightPIN); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", tok.Health().WorkerPID, file))
		if err != nil || len(b) == 0 {
			t.Fatalf("%s = %q, %v", file, b, err)
		}
		seen += string(b)
	}
	script(t, c, "sign", "segv")
	seen += fmt.Sprint(sign(find(t, tok)))
	eventually(t, "it is locked again", isLocked(tok))
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "SIGSEGV") || strings.Contains(log.String(), "rip ") {
		t.Errorf("the log has not what it should: %s", log.String())
	}
	seen += string(mark) + log.String()
	for _, pin := range []string{rightPIN, wrongPIN} {
		if i := strings.Index(seen, pin); i >= 0 {
			t.Errorf("the PIN is seen in %q", seen[max(0, i-100):i+20])
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func TestSealPINChecksItsArguments(t *testing.T) {
	for name, c := range map[string]struct {
		key []byte
		pin string
	}{
		"no key":    {nil, "1"},
		"short key": {make([]byte, 31), "1"},
		"no PIN":    {slices.Repeat([]byte{9}, 32), ""},
		"long PIN":  {slices.Repeat([]byte{9}, 32), strings.Repeat("1", 2000)},
	} {
		t.Run(name, func(t *testing.T) {
			if sealed, err := backends.SealPIN(c.key, "hsm", []byte(c.pin)); err == nil || sealed != nil {
				t.Errorf("SealPIN = %x, %v; want an error", sealed, err)
			}
		})
	}
}

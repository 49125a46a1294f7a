package backends_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/backends"
)

// TestDaemonsThatLogInToOneTokenAtOnce take no try that is under way for one that was
// cut short.
func TestDaemonsThatLogInToOneTokenAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		pin    string
		silent bool
		sent   int // in all
		locked bool
	}{
		"the right PIN, tries known":   {rightPIN, false, 3, false},
		"the right PIN, tries unknown": {rightPIN, true, 3, false},
		"a wrong PIN, tries known":     {wrongPIN, false, 1, true},
		"a wrong PIN, tries unknown":   {wrongPIN, true, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := locked(t, c.pin)
			change(t, conf, func(d *device) { d.Silent, d.Do["after pin"] = c.silent, "slow 200ms" })
			var wg sync.WaitGroup
			tokens := make([]*backends.Token, 3)
			for i := range tokens {
				wg.Go(func() {
					var err error
					if tokens[i], err = backends.Start(t.Context(), conf); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for _, tok := range tokens {
				if tok == nil {
					continue
				}
				if h := tok.Health(); h.Up == c.locked || h.Locked != c.locked || c.locked && !strings.Contains(h.Reason, "wrong") && !strings.Contains(h.Reason, "was refused") {
					t.Errorf("health = %+v, want it locked: %v", h, c.locked)
				}
				if err := tok.Close(); err != nil {
					t.Error(err)
				}
			}
			if n := events(t, conf, "pin "); n != c.sent {
				t.Errorf("a PIN was sent %d times, want %d", n, c.sent)
			}
			if !c.locked {
				noMark(t, conf)
			}
		})
	}
}

// othersTry holds a token's tries as a process does that is trying a PIN.
func othersTry(t *testing.T, c backends.Config) (release func()) {
	t.Helper()
	f, err := os.OpenFile(c.PINMark+".lock", os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

const othersTrying = "another process is trying a PIN"

func TestATryOfAnotherProcessIsWaitedForNoLongerThanAWhile(t *testing.T) {
	c := locked(t, rightPIN)
	change(t, c, func(d *device) { d.Silent = true })
	c.Timeout = 3 * time.Second
	release := othersTry(t, c)
	tok := start(t, c)
	if h := tok.Health(); h.Up || h.Locked || !strings.Contains(h.Reason, othersTrying) {
		t.Errorf("health = %+v, want it down because another process is trying", h)
	}
	if n := events(t, c, "pin "); n != 0 {
		t.Errorf("%d PINs were sent beside the other's", n)
	}
	release()
	eventually(t, "it comes up by itself", up(tok))
	mustSign(t, find(t, tok))
	noMark(t, c)
}

func TestAPINIsNotTypedBesideTheTryOfAnotherProcess(t *testing.T) {
	c := locked(t, "")
	c.Timeout = 3 * time.Second
	tok := start(t, c)
	release := othersTry(t, c)
	if err := unlock(t, tok, rightPIN); err == nil || !strings.Contains(fmt.Sprint(err, errors.Unwrap(err)), othersTrying) {
		t.Errorf("unlock = %v, want %q", err, othersTrying)
	}
	if n := events(t, c, "pin "); n != 0 {
		t.Errorf("%d PINs were sent beside the other's", n)
	}
	release()
	if err := unlock(t, tok, rightPIN); err != nil {
		t.Errorf("unlock afterwards: %v", err)
	}
	mustSign(t, find(t, tok))
}

// TestAPINOfEverySignatureIsNotSentBesideTheTryOfAnotherProcess has a device that
// wants its PIN for each signature.
func TestAPINOfEverySignatureIsNotSentBesideTheTryOfAnotherProcess(t *testing.T) {
	c := locked(t, rightPIN)
	change(t, c, func(d *device) { d.Each = true })
	c.Timeout = 3 * time.Second
	tok := start(t, c)
	k := find(t, tok)
	mustSign(t, k)
	sent := events(t, c, "pin ")
	release := othersTry(t, c)
	if err := sign(k); err == nil {
		t.Error("it signed while another process was trying a PIN")
	}
	if n := events(t, c, "pin "); n != sent {
		t.Errorf("%d PINs were sent beside the other's", n-sent)
	}
	release()
	eventually(t, "it signs again", func() bool { return sign(k) == nil })
	noMark(t, c)
}

// A daemon that has a PIN does not send it again once another one had it refused.
func TestAPINThatAnotherDaemonHadRefusedIsNotSentForASignature(t *testing.T) {
	c := locked(t, rightPIN)
	change(t, c, func(d *device) { d.Each = true })
	tok := start(t, c)
	k := find(t, tok)
	mustSign(t, k)
	change(t, c, func(d *device) { d.PIN, d.Left = "161803", 5 })
	if h := start(t, c).Health(); !h.Locked {
		t.Fatalf("health of the other = %+v, want it locked", h)
	}
	if err := sign(k); err == nil {
		t.Error("it signed with a PIN that is wrong")
	}
	if d, err := readDevice(dirOf(c)); err != nil || d.Left != 4 {
		t.Errorf("device = %+v, %v; want one try lost", d, err)
	}
}

// TestATryEndsWithItsProcess kills a process that is trying a PIN: until then others
// wait for it, and from then on its try is one that was cut short.
func TestATryEndsWithItsProcess(t *testing.T) {
	const variable = "SEALWARD_TEST_TRYING"
	if text := os.Getenv(variable); text != "" {
		c := locked(t, rightPIN)
		if err := json.Unmarshal([]byte(text), &c.Settings); err != nil {
			t.Fatal(err)
		}
		var where struct{ Dir string }
		if err := json.Unmarshal(c.Settings, &where); err != nil {
			t.Fatal(err)
		}
		c.PINMark, c.Confinement.Write, c.Timeout = where.Dir+"/mark", []string{where.Dir}, time.Hour
		start(t, c)
		return
	}
	c := locked(t, rightPIN)
	change(t, c, func(d *device) { d.Silent, d.Do["after pin"] = true, "hang" })
	c.Timeout = 3 * time.Second
	cmd := exec.Command(os.Args[0], "-test.run=^TestATryEndsWithItsProcess$")
	cmd.Env = append(os.Environ(), variable+"="+string(c.Settings))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // it may have ended
	eventually(t, "the other process has sent the PIN", func() bool { return events(t, c, "pin ") == 1 })
	tok := start(t, c)
	if h := tok.Health(); h.Up || h.Locked || !strings.Contains(h.Reason, othersTrying) {
		t.Errorf("health = %+v, want it down because another process is trying", h)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	eventually(t, "it is locked", isLocked(tok))
	if h := tok.Health(); !strings.Contains(h.Reason, "was cut short") {
		t.Errorf("health = %+v", h)
	}
	if n := events(t, c, "pin "); n != 1 {
		t.Errorf("a PIN was sent %d times", n)
	}
}

func TestPINDoubtSaysWhyNoPINIsTried(t *testing.T) {
	const at = `"at":"2026-11-23T12:00:00Z"`
	digest := `"salt":"AAAA","digest":"` + strings.Repeat("A", 43) + `="`
	for name, c := range map[string]struct{ mark, want string }{
		"a PIN that was refused":         {`{"version":1,"refused":{` + at + `,"left":2,` + digest + `}}`, "was refused at 2026-11-23T12:00:00Z"},
		"a try that was cut short":       {`{"version":1,"trying":{` + at + `,"left":3,"cut":true,"failures":0}}`, "a try of its PIN at 2026-11-23T12:00:00Z was cut short"},
		"a typed PIN that was cut short": {`{"version":1,"typed":{` + at + `,"left":-1,"cut":true,"failures":0}}`, "a try of a typed PIN at 2026-11-23T12:00:00Z was cut short"},
		"three errors in a row":          {`{"version":1,"trying":{` + at + `,"left":-1,"cut":false,"failures":3}}`, "ended in an error"},
		"an error is no doubt":           {`{"version":1,"trying":{` + at + `,"left":-1,"cut":false,"failures":1}}`, ""},
		"a mark that is cut off":         {`{"version":1,`, "cannot be read"},
		"a mark of another version":      {`{"version":2}`, "version 2; want 1"},
		"no mark":                        {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conf := config(t)
			if c.mark != "" {
				if err := os.WriteFile(conf.PINMark, []byte(c.mark), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			look := func() string {
				t.Helper()
				doubt, err := backends.PINDoubt(conf.PINMark)
				if err != nil {
					t.Errorf("PINDoubt error = %v", err)
				}
				return doubt
			}
			if got := look(); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("PINDoubt = %q, want %q", got, c.want)
			}
			release := othersTry(t, conf)
			if got := look(); got != "" {
				t.Errorf("PINDoubt while a try is under way = %q, want nothing", got)
			}
			release()
			if got := look(); (got == "") != (c.want == "") {
				t.Errorf("PINDoubt after a try = %q, want %q", got, c.want)
			}
		})
	}
}

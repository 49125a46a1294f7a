package backends_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// config describes a token with a scripted device in a folder of its own.
func config(t testing.TB) backends.Config {
	t.Helper()
	dir := t.TempDir()
	settings, err := json.Marshal(struct{ Dir string }{dir})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := writeDevice(dir, device{Left: 3, Seed: "a"}); err != nil {
		t.Fatal(err)
	}
	return backends.Config{
		Name: "hsm", Driver: "scripted", Settings: settings,
		Worker: []string{self, "worker"}, Confinement: backends.Confinement{Write: []string{dir}},
		PINMark: filepath.Join(dir, "mark"), Timeout: 20 * time.Second,
	}
}

func dirOf(c backends.Config) string { return filepath.Dir(c.PINMark) }

// change changes the device of a configuration.
func change(t testing.TB, c backends.Config, f func(*device)) {
	t.Helper()
	d, err := readDevice(dirOf(c))
	if err != nil {
		t.Fatal(err)
	}
	if d.Do == nil {
		d.Do = map[string]string{}
	}
	f(&d)
	if err := writeDevice(dirOf(c), d); err != nil {
		t.Fatal(err)
	}
}

// script sets what happens in one operation.
func script(t testing.TB, c backends.Config, operation, what string) {
	t.Helper()
	change(t, c, func(d *device) { d.Do[operation] = what })
}

// events counts what a device was asked to do, by the beginning of the event.
func events(t testing.TB, c backends.Config, prefix string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dirOf(c), "events"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func start(t testing.TB, c backends.Config) *backends.Token {
	t.Helper()
	tok, err := backends.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tok.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tok
}

func find(t testing.TB, tok *backends.Token) *backends.Key {
	t.Helper()
	k, err := tok.Find(t.Context(), "key")
	if err != nil {
		t.Fatalf("Find: %v; health %+v", err, tok.Health())
	}
	return k
}

func message() signer.Message {
	return signer.Message{Scheme: signer.SchemeP256, Bytes: bytes.Repeat([]byte{7}, 32)}
}

// sign signs and checks the signature.
func sign(k *backends.Key) error {
	m := message()
	sig, err := backends.SignForTest(context.Background(), k, m)
	if err != nil {
		return err
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if len(sig) != 64 || !ecdsa.Verify(&keyOf("a").PublicKey, m.Bytes, r, s) {
		return fmt.Errorf("signature %x does not verify", sig)
	}
	return nil
}

func mustSign(t testing.TB, k *backends.Key) {
	t.Helper()
	if err := sign(k); err != nil {
		t.Fatalf("sign: %v; health %+v", err, k.Available())
	}
}

// eventually waits for what must come, and takes a small part of a minute for it
// where nothing is wrong.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func up(tok *backends.Token) func() bool { return func() bool { return tok.Health().Up } }

// kill kills the worker and waits until that was noticed.
func kill(t testing.TB, tok *backends.Token) {
	t.Helper()
	h := tok.Health()
	if h.WorkerPID == 0 {
		t.Fatalf("there is no worker to kill: %+v", h)
	}
	if err := syscall.Kill(h.WorkerPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker's end is noticed", func() bool { return tok.Health().Restarts > h.Restarts })
}

func TestAKeySignsThroughItsWorker(t *testing.T) {
	c := config(t)
	tok := start(t, c)
	k := find(t, tok)
	mustSign(t, k)
	if k.Public().Fingerprint() != factsOf("a").Public.Fingerprint() || k.Protection() != signer.ProtectionResident || k.Locator() != "key" {
		t.Errorf("key = %+v, %q", k.Facts(), k.Locator())
	}
	if again := find(t, tok); again != k {
		t.Error("a key that is found twice is two")
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := sign(k); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if h := tok.Health(); !h.Up || h.State.Device != "scripted 1?[0m" || h.WorkerPID == 0 || h.Restarts != 0 {
		t.Errorf("health = %+v", h)
	}
	if got, err := tok.Call(t.Context(), "double", []byte(`[1]`)); err != nil || string(got) != `"double[1]"` {
		t.Errorf("Call = %s, %v", got, err)
	}
	if e, err := tok.Attest(t.Context(), "key", []byte{1}); err != nil || !bytes.Equal(e.Parts["key"], []byte{1}) {
		t.Errorf("Attest = %+v, %v", e, err)
	}
	if made, err := tok.Generate(t.Context(), backends.KeySpec{Name: "new"}); err != nil || made.Locator != "new" {
		t.Errorf("Generate = %+v, %v", made, err)
	}
	if _, err := tok.Find(t.Context(), "other"); signer.CodeOf(err) != signer.CodeNotFound {
		t.Errorf("Find of what is not there = %v", err)
	}
}

func TestNothingIsSignedThatWasNotAuthorised(t *testing.T) {
	c := config(t)
	k := find(t, start(t, c))
	if sig, err := k.Sign(t.Context(), signer.Authorized{}); signer.CodeOf(err) != signer.CodeInternal || sig != nil {
		t.Errorf("Sign = %x, %v", sig, err)
	}
	if sig, err := k.SignStatement(t.Context(), signer.Statement{}); signer.CodeOf(err) != signer.CodeInternal || sig != nil {
		t.Errorf("SignStatement = %x, %v", sig, err)
	}
	m := message()
	m.Bytes = m.Bytes[1:]
	if sig, err := backends.SignForTest(t.Context(), k, m); signer.CodeOf(err) != signer.CodeInvalid || sig != nil {
		t.Errorf("sign of a short prehash = %x, %v", sig, err)
	}
	if n := events(t, c, "sign"); n != 0 {
		t.Errorf("the device was asked to sign %d times", n)
	}
}

// TestWhatHappensInAWorkerCostsOneOperation and no more than the worker.
func TestWhatHappensInAWorkerCostsOneOperation(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		code    signer.Code
		reason  string // in Health, or in the error where the worker lives on
		restart bool
	}{
		"it crashes":             {"segv", signer.CodeUnavailable, "SIGSEGV", true},
		"its last words count":   {"segv", signer.CodeUnavailable, "about to crash ?[2J here", true},
		"it panics":              {"panic", signer.CodeUnavailable, "impossible answer", true},
		"it exits":               {"exit", signer.CodeUnavailable, "status 7", true},
		"it hangs":               {"hang", signer.CodeUnavailable, "did not sign within", true},
		"its device is gone":     {"gone", signer.CodeUnavailable, "card pulled", true},
		"it never stops to talk": {"shout", signer.CodeUnavailable, "noise noise", true},
		"it refuses":             {"refuse this", signer.CodeInvalid, "refuses this", false},
		"it claims to decide":    {"deny", signer.CodeInternal, "policy says no", false},
		"it fails":               {"fail", signer.CodeUnavailable, "paper jam ?[31m", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := config(t)
			conf.Timeout = 3 * time.Second
			tok := start(t, conf)
			k := find(t, tok)
			pid := tok.Health().WorkerPID
			script(t, conf, "sign", c.script)
			sig, err := backends.SignForTest(t.Context(), k, message())
			if signer.CodeOf(err) != c.code || sig != nil {
				t.Fatalf("sign = %x, %v; want code %q", sig, err, c.code)
			}
			script(t, conf, "sign", "")
			if !c.restart {
				if !strings.Contains(err.Error(), c.reason) || tok.Health().Restarts != 0 {
					t.Errorf("error = %v, health %+v; want %q and the same worker", err, tok.Health(), c.reason)
				}
				mustSign(t, k)
				return
			}
			reason := ""
			eventually(t, "the token is up again", func() bool {
				if h := tok.Health(); h.Reason != "" {
					reason = h.Reason
				}
				return tok.Health().Up && tok.Health().WorkerPID != pid
			})
			if !strings.Contains(reason, c.reason) || strings.Contains(reason, "does not say") {
				t.Errorf("reason = %q, want %q in it, and no blame for the worker's words", reason, c.reason)
			}
			if err := syscall.Kill(-pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("the worker's group is still there: %v", err)
			}
			mustSign(t, k)
		})
	}
}

func TestEverythingInFlightIsAnsweredWhenAWorkerIsKilled(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Timeout = 2 * time.Second
	tok := start(t, c)
	k := find(t, tok)
	script(t, c, "sign", "hang")
	began := time.Now()
	var wg sync.WaitGroup
	for range 20 { // more than run at once
		wg.Go(func() {
			if err := sign(k); signer.CodeOf(err) != signer.CodeUnavailable {
				t.Errorf("sign = %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s for a timeout of %s", took, c.Timeout)
	}
	if err := k.Available(); err != nil && signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Available = %v", err)
	}
	script(t, c, "sign", "")
	eventually(t, "it signs again", func() bool { return sign(k) == nil })
}

func TestWaitingForATouchIsAddedToTheTimeout(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Timeout, c.TouchTimeout = 2*time.Second, 30*time.Second
	tok := start(t, c)
	k := find(t, tok)
	script(t, c, "touch", "after 3s")
	var heard []signer.Notice
	if _, err := backends.SignTouching(t.Context(), k, message(), func(n signer.Notice) { heard = append(heard, n) }); err != nil {
		t.Errorf("sign = %v", err)
	}
	if !slices.Equal(heard, []signer.Notice{signer.NoticeTouch, signer.NoticeNone}) {
		t.Errorf("notices = %q", heard)
	}
	if tok.Health().Restarts != 0 {
		t.Error("the worker was killed while somebody was to touch the device")
	}
	// What follows the touch has no more time than any other operation.
	script(t, c, "touch", "after 1ms")
	script(t, c, "sign", "hang")
	began := time.Now()
	if err := sign(k); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("sign = %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("a hang after a touch was cut after %s", took)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.AtOnce, c.Queue = 1, 2
	tok := start(t, c)
	k := find(t, tok)
	script(t, c, "sign", "slow 2s")
	var refused, signed atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			switch err := sign(k); {
			case err == nil:
				signed.Add(1)
			case strings.Contains(err.Error(), "requests waiting"):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if refused.Load() != 7 || signed.Load() != 3 {
		t.Errorf("%d refused, %d signed; want 7 and 3", refused.Load(), signed.Load())
	}
}

func TestACrashLoopIsNoRestartStorm(t *testing.T) {
	t.Parallel()
	c := config(t)
	script(t, c, "open", "segv")
	began := time.Now()
	tok := start(t, c)
	h := tok.Health()
	if h.Up || !strings.Contains(h.Reason, "SIGSEGV") {
		t.Fatalf("health = %+v", h)
	}
	_, err := tok.Find(t.Context(), "key")
	if signer.CodeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "tried again after 20") {
		t.Errorf("Find = %v; want when it is tried again", err)
	}
	time.Sleep(5 * time.Second)
	// 100, 200, 400, 800 ms, then one each second.
	most := 5 + int(time.Since(began)/time.Second)
	if n := events(t, c, "open"); n < 2 || n > most {
		t.Errorf("%d workers in %s; want at most %d", n, time.Since(began), most)
	}
	script(t, c, "open", "")
	eventually(t, "it is up", up(tok))
	mustSign(t, find(t, tok))
}

func TestADeviceThatIsAbsentAtTheStartIsFoundWhenItComes(t *testing.T) {
	c := config(t)
	script(t, c, "open", "gone")
	tok := start(t, c)
	k := tok.Known("key", factsOf("a"))
	if err := k.Available(); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Available = %v", err)
	}
	if err := sign(k); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("sign = %v", err)
	}
	script(t, c, "open", "")
	eventually(t, "the key is available", func() bool { return k.Available() == nil })
	mustSign(t, k)
}

func TestAKeySwappedBehindItsNameIsRefusedUntilItIsBack(t *testing.T) {
	c := config(t)
	tok := start(t, c)
	k := find(t, tok)
	mustSign(t, k)
	change(t, c, func(d *device) { d.Seed = "b" })
	kill(t, tok)
	eventually(t, "it is up", up(tok))
	for range 3 {
		sig, err := backends.SignForTest(t.Context(), k, message())
		if signer.CodeOf(err) != signer.CodeUnavailable || sig != nil ||
			!strings.Contains(err.Error(), factsOf("a").Public.Fingerprint()) || !strings.Contains(err.Error(), factsOf("b").Public.Fingerprint()) {
			t.Fatalf("sign = %x, %v; want a refusal that names both keys", sig, err)
		}
	}
	if err := k.Available(); signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("Available = %v", err)
	}
	if n := events(t, c, "sign"); n != 1 {
		t.Errorf("the device signed %d times; want the one before", n)
	}
	other := find(t, tok)
	if other == k || other.Public().Fingerprint() != factsOf("b").Public.Fingerprint() {
		t.Errorf("Find = %+v; want the other key as one of its own", other.Facts())
	}
	change(t, c, func(d *device) { d.Seed = "a" })
	eventually(t, "the key is back, without a restart", func() bool { return k.Available() == nil })
	mustSign(t, k)
}

func TestAKeyThatIsLessProtectedThanKnownIsRefused(t *testing.T) {
	facts := factsOf("a")
	facts.Protection = signer.ProtectionWrapped
	k := start(t, config(t)).Known("key", facts)
	if err := sign(k); signer.CodeOf(err) != signer.CodeUnavailable || !strings.Contains(err.Error(), "protection") {
		t.Errorf("sign = %v", err)
	}
}

func TestStateIsAskedForOnDemandAndNotTooOften(t *testing.T) {
	t.Parallel()
	c := config(t)
	tok := start(t, c)
	for range 100 {
		if s, err := tok.State(t.Context()); err != nil || s.TriesLeft != 3 {
			t.Fatalf("State = %+v, %v", s, err)
		}
	}
	if n := events(t, c, "state"); n > 30 {
		t.Errorf("the device was asked %d times", n)
	}
	script(t, c, "state", "gone")
	var err error
	eventually(t, "a look at the device shows that it is gone", func() bool { _, err = tok.State(t.Context()); return err != nil })
	if signer.CodeOf(err) != signer.CodeUnavailable {
		t.Errorf("State = %v", err)
	}
	eventually(t, "the worker is started again", func() bool { return tok.Health().Restarts > 0 && tok.Health().Up })
}

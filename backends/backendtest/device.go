package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// Device is a device with a worker in front of it, and what a test can do to it.
// What a kind of device cannot do is left nil, and what follows from it is not
// asked; Config, PIN and Locators are required.
//
// A device that is away, killed or hanging is back, and as it was, when the function
// beside returns or soon after.
type Device struct {
	// Config describes the device and the worker, without credential and mark.
	Config func(t *testing.T) backends.Config
	// PIN is the right one, WrongPIN one that the device takes for wrong at once. A
	// device that blocks after wrong PINs takes one, and forgets it with a right one.
	PIN, WrongPIN string
	// Locators name keys, by what to call them in the test. All must sign.
	Locators map[string]string
	// Without are the schemes that the device lacks of those of its RSA keys.
	Without []signer.Scheme

	// NoCrashes says that a process which was killed leaves something behind in the
	// device that only its power supply cures.
	NoCrashes bool

	// Sent counts the PINs that the device was sent; it is not asked where nothing
	// counts them.
	Sent func(t *testing.T) int
	// Left is the device's own count: tries of a PIN that are left, or what its
	// lockout counter lacks of its limit.
	Left func(t *testing.T) int
	// Remove takes the device away, as far as the worker can see, and Restore gives it back.
	Remove, Restore func(t *testing.T)
	// Kill ends the device with no warning, in the middle of what it does, and
	// Restart starts it again: what it does not keep is lost.
	Kill, Restart func(t *testing.T)
	// Stop makes the device hang, and Continue ends that.
	Stop, Continue func(t *testing.T)
	// Exhaust takes all sessions or slots of the device that are not in use, and
	// Release gives them back.
	Exhaust, Release func(t *testing.T)
	// MakeSwapped makes a key and returns its locator; Swap puts another key in its
	// place, for the same locator.
	MakeSwapped func(t *testing.T) (locator string)
	Swap        func(t *testing.T, locator string)
}

// back is how long a device may take to be back in use. It is back within two
// seconds on a quiet machine.
const back = 40 * time.Second

// RunDevice checks that a device keeps what is promised of every device: each of its
// keys keeps the contract, and it outlives what can happen to it with nobody's help
// and no PIN wasted.
func RunDevice(t *testing.T, d Device) {
	t.Run("each key keeps the contract", func(t *testing.T) {
		token := d.start(t, d.config(t))
		for _, name := range slices.Sorted(maps.Keys(d.Locators)) {
			t.Run(name, func(t *testing.T) {
				Run(t, func(t *testing.T) signer.Key { return find(t, token, d.Locators[name]) }, d.Without...)
			})
		}
	})
	for _, c := range []struct {
		name   string
		can    bool
		clause func(*testing.T, Device)
	}{
		{"thirty-two signers with every key at once", true, everyKeyAtOnce},
		{"keys that are known sign when the device is there", true, knownKeys},
		{"a wrong PIN is sent once", d.WrongPIN != "", wrongPIN},
		{"twenty crashes of the worker cost no PIN", !d.NoCrashes, crashes},
		{"removed and returned", d.Remove != nil, func(t *testing.T, d Device) { lossAndReturn(t, d, d.Remove, d.Restore) }},
		{"killed and started again", d.Kill != nil, func(t *testing.T, d Device) { lossAndReturn(t, d, d.Kill, d.Restart) }},
		{"killed under load", d.Kill != nil, killedUnderLoad},
		{"a hang is cut at its deadline", d.Stop != nil, hang},
		{"no session left", d.Exhaust != nil, exhaustion},
		{"a key that was swapped is refused", d.Swap != nil, swapped},
	} {
		if c.can {
			t.Run(c.name, func(t *testing.T) { c.clause(t, d) })
		}
	}
}

// config is the device's, with the right PIN and a mark of its own.
func (d Device) config(t *testing.T) backends.Config {
	t.Helper()
	c := d.Config(t)
	c.PIN, c.PINMark = pin(d.PIN), filepath.Join(t.TempDir(), "mark")
	return c
}

func pin(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

// start starts a token that ends with the test.
func (d Device) start(t *testing.T, c backends.Config) *backends.Token {
	t.Helper()
	token, err := backends.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	})
	return token
}

// find finds a key of a token that is up or about to be.
func find(t *testing.T, token *backends.Token, locator string) *backends.Key {
	t.Helper()
	var k *backends.Key
	await(t, "find "+locator, func() (err error) {
		k, err = token.Find(t.Context(), locator)
		return err
	})
	return k
}

// await calls f until it succeeds. Only what may go away by itself is waited for.
func await(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for start := time.Now(); time.Since(start) < back; time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
		if signer.CodeOf(err) != signer.CodeUnavailable {
			break
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// subjects finds every key.
func (d Device) subjects(t *testing.T, token *backends.Token) []subject {
	t.Helper()
	var all []subject
	for _, name := range slices.Sorted(maps.Keys(d.Locators)) {
		all = append(all, newSubject(t, find(t, token, d.Locators[name]), d.Without))
	}
	return all
}

// signs waits until each key signs.
func signs(t *testing.T, doors []*Door, keys []subject) {
	t.Helper()
	for i, k := range keys {
		m := k.message("pay")
		await(t, "Sign with the device back", func() error {
			sig, err := doors[i].Sign(t.Context(), m)
			if err != nil {
				return err
			}
			return verify(k.Public(), m, sig)
		})
	}
}

func doorsOf(t *testing.T, keys []subject) []*Door {
	t.Helper()
	var all []*Door
	for _, k := range keys {
		all = append(all, NewDoor(t, k, time.Minute))
	}
	return all
}

func everyKeyAtOnce(t *testing.T, d Device) { atOnce(t, d.subjects(t, d.start(t, d.config(t)))) }

func knownKeys(t *testing.T, d Device) {
	keys := d.subjects(t, d.start(t, d.config(t)))
	again := d.start(t, d.config(t))
	for i, k := range keys {
		was := k.Key.(*backends.Key)
		keys[i].Key = again.Known(was.Locator(), was.Facts())
	}
	signs(t, doorsOf(t, keys), keys)
}

// wrongPIN checks that a wrong PIN is sent once, whoever asks for signatures, and
// however often the daemon is started.
func wrongPIN(t *testing.T, d Device) {
	right := d.subjects(t, d.start(t, d.config(t)))
	c := d.config(t)
	c.PIN = pin(d.WrongPIN)
	before := d.counters(t)
	for range 3 {
		token := d.start(t, c)
		await(t, "notice that the PIN is wrong", func() error {
			if token.Health().Locked {
				return nil
			}
			return backends.Unavailable(nil, "health is %+v", token.Health())
		})
		known := token.Known(right[0].Key.(*backends.Key).Locator(), right[0].Key.(*backends.Key).Facts())
		for range 10 {
			if sig, err := NewDoor(t, known, 0).Sign(t.Context(), right[0].message("pay")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
				t.Fatalf("Sign with a wrong PIN = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
			}
		}
		if err := token.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := d.counters(t); d.Sent != nil && after.sent != before.sent+1 || d.Left != nil && after.left != before.left-1 {
		t.Errorf("counters were %+v and are %+v; want one try used up", before, after)
	}
	// Another PIN in the credential is another PIN.
	c.PIN = pin(d.PIN)
	keys := d.subjects(t, d.start(t, c))
	signs(t, doorsOf(t, keys), keys)
	if after := d.counters(t); d.Left != nil && after.left != before.left {
		t.Errorf("counters were %+v and are %+v after the right PIN", before, after)
	}
}

type counters struct{ sent, left int }

func (d Device) counters(t *testing.T) (c counters) {
	t.Helper()
	if d.Sent != nil {
		c.sent = d.Sent(t)
	}
	if d.Left != nil {
		c.left = d.Left(t)
	}
	return c
}

// crashes kills the worker in the middle of its work, twenty times.
func crashes(t *testing.T, d Device) {
	token := d.start(t, d.config(t))
	keys := d.subjects(t, token)
	doors := doorsOf(t, keys)
	signs(t, doors, keys)
	first, before := d.counters(t), state(t, token)
	for i := range 20 {
		pid := token.Health().WorkerPID
		var wg sync.WaitGroup
		for j := range 4 {
			wg.Go(func() {
				k := keys[j%len(keys)]
				m := k.message(fmt.Sprint("crash ", i, j))
				sig, err := doors[j%len(keys)].Sign(t.Context(), m)
				if err == nil {
					err = verify(k.Public(), m, sig)
				} else if signer.CodeOf(err) == signer.CodeUnavailable {
					return
				}
				if err != nil {
					t.Errorf("Sign while the worker dies: %v", err)
				}
			})
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); pid < 2 || err != nil {
			t.Fatalf("kill worker %d: %v", pid, err)
		}
		wg.Wait()
		vouch(t, token, pid)
		signs(t, doors, keys)
	}
	if n := token.Health().Restarts; n < 20 {
		t.Errorf("the worker was started again %d times; it was killed 20 times", n)
	}
	after := state(t, token)
	if after.TriesLeft != before.TriesLeft || !slices.Equal(after.Notes, before.Notes) {
		t.Errorf("state was %+v and is %+v; want no more wrong PINs", before, after)
	}
	if last := d.counters(t); last.left != first.left {
		t.Errorf("counters were %+v and are %+v; want as many tries left", first, last)
	}
}

// vouch does what an operator does after a worker was killed in the middle of a try of
// its PIN, where the device does not tell whether that counted as a wrong one: nobody
// else may have the credential tried again. Until another worker is up, what is said of
// the one that was killed may be old.
func vouch(t *testing.T, token *backends.Token, killed int) {
	t.Helper()
	await(t, "be up again, or wait for its operator", func() error {
		h := token.Health()
		if h.Locked && h.State.TriesLeft < 0 {
			t.Log("killed in the middle of a try: " + h.Reason)
			token.Retry()
		}
		if h.Up && h.WorkerPID != killed {
			return nil
		}
		return backends.Unavailable(nil, "health is %+v", h)
	})
}

func state(t *testing.T, token *backends.Token) (s backends.State) {
	t.Helper()
	await(t, "ask the device how it is", func() (err error) { s, err = token.State(t.Context()); return err })
	return s
}

// lossAndReturn takes the device away and gives it back.
func lossAndReturn(t *testing.T, d Device, lose, restore func(*testing.T)) {
	token := d.start(t, d.config(t))
	keys := d.subjects(t, token)
	doors := doorsOf(t, keys)
	for range 2 {
		signs(t, doors, keys)
		before := d.counters(t)
		lose(t)
		for range 3 {
			for i, k := range keys {
				if sig, err := doors[i].Sign(t.Context(), k.message("pay")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
					t.Fatalf("Sign without the device = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
				}
			}
		}
		await(t, "be down without the device, and say why", func() error {
			if h := token.Health(); h.Up || h.Reason == "" {
				return backends.Unavailable(nil, "health is %+v", h)
			}
			return nil
		})
		restore(t)
		signs(t, doors, keys)
		if after := d.counters(t); d.Left != nil && after.left != before.left {
			t.Errorf("counters were %+v and are %+v; want as many tries left", before, after)
		}
	}
}

// killedUnderLoad checks that what is released verifies, whatever happens meanwhile.
func killedUnderLoad(t *testing.T, d Device) {
	keys := d.subjects(t, d.start(t, d.config(t)))
	doors := doorsOf(t, keys)
	signs(t, doors, keys)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 8 {
		k, door := keys[i%len(keys)], doors[i%len(keys)]
		wg.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				m := k.message(fmt.Sprint("load ", i, j))
				sig, err := door.Sign(t.Context(), m)
				if err == nil {
					err = verify(k.Public(), m, sig)
				} else if signer.CodeOf(err) == signer.CodeUnavailable {
					err = nil
					time.Sleep(5 * time.Millisecond)
				}
				if err != nil {
					t.Errorf("Sign: %v", err)
				}
			}
		})
	}
	d.Kill(t)
	d.Restart(t)
	signs(t, doors, keys)
	cancel()
	wg.Wait()
}

// hang checks that a device that does not answer costs one deadline.
func hang(t *testing.T, d Device) {
	c := d.config(t)
	c.Timeout = 2 * time.Second
	token := d.start(t, c)
	keys := d.subjects(t, token)
	doors := doorsOf(t, keys)
	signs(t, doors, keys)
	before, pid := d.counters(t), token.Health().WorkerPID
	d.Stop(t)
	start := time.Now()
	if sig, err := doors[0].Sign(t.Context(), keys[0].message("pay")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
		t.Errorf("Sign with a device that hangs = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
	}
	if took := time.Since(start); took > 10*c.Timeout {
		t.Errorf("it took %s to give up; the deadline is %s", took, c.Timeout)
	}
	start = time.Now()
	if sig, err := doors[0].Sign(t.Context(), keys[0].message("pay")); signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
		t.Errorf("Sign with a device that still hangs = %x, %v; want code %q", sig, err, signer.CodeUnavailable)
	}
	if took := time.Since(start); took > 10*c.Timeout {
		t.Errorf("it took %s to refuse the next; the deadline is %s", took, c.Timeout)
	}
	d.Continue(t)
	signs(t, doors, keys)
	if now := token.Health().WorkerPID; now == pid {
		t.Errorf("the worker that hung is still there: process %d", pid)
	}
	if after := d.counters(t); d.Left != nil && after.left != before.left {
		t.Errorf("counters were %+v and are %+v; want as many tries left", before, after)
	}
}

// exhaustion checks that who has a session goes on with it, and that who has none
// is told, and signs once there are some.
func exhaustion(t *testing.T, d Device) {
	keys := d.subjects(t, d.start(t, d.config(t)))
	doors := doorsOf(t, keys)
	signs(t, doors, keys)
	d.Exhaust(t)
	atOnce(t, keys)
	d.Release(t)
	signs(t, doors, keys)
}

// swapped checks that a key is what its public key says, not what its name says.
func swapped(t *testing.T, d Device) {
	token := d.start(t, d.config(t))
	k := newSubject(t, find(t, token, d.MakeSwapped(t)), d.Without)
	door := NewDoor(t, k, time.Minute)
	signs(t, []*Door{door}, []subject{k})
	facts, locator := k.Key.(*backends.Key).Facts(), k.Key.(*backends.Key).Locator()
	d.Swap(t, locator)
	refused := func(door *Door, when string) {
		t.Helper()
		for range 3 {
			sig, err := door.Sign(t.Context(), k.message("pay"))
			if signer.CodeOf(err) != signer.CodeUnavailable || sig != nil {
				t.Errorf("Sign %s = %x, %v; want code %q", when, sig, err, signer.CodeUnavailable)
			}
		}
	}
	// A handle may still mean the old key. A worker that starts anew cannot know it.
	if err := syscall.Kill(token.Health().WorkerPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "start the worker again", func() error {
		if h := token.Health(); !h.Up {
			return backends.Unavailable(nil, "health is %+v", h)
		}
		return nil
	})
	refused(door, "with another key in its place")
	again := d.start(t, d.config(t))
	known := again.Known(locator, facts)
	refused(NewDoor(t, known, time.Minute), "by a daemon that was started after")
	other := find(t, again, locator)
	if bytes.Equal(other.Public().Bytes, facts.Public.Bytes) || strings.TrimSpace(locator) == "" {
		t.Error("the fixture has swapped nothing")
	}
	signs(t, []*Door{NewDoor(t, other, time.Minute)}, []subject{newSubject(t, other, d.Without)})
}

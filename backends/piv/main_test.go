package piv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/piv"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

// reader is shared by all tests: libpcsclite reads the path of the socket once, so a
// process can use one pcscd only. No test runs in parallel.
var reader *sim.Reader

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "piv")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if reader, err = sim.StartReader(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer reader.Stop()
	if err := os.Setenv("PCSCLITE_CSOCK_NAME", reader.Socket()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

const factoryPIN = "123456"

// insert puts a new card into the reader for the length of the test.
func insert(t testing.TB, c pivcard.Config) *pivcard.Card {
	t.Helper()
	card, err := pivcard.New(c)
	if err != nil {
		t.Fatal(err)
	}
	put(t, card)
	return card
}

func put(t testing.TB, card *pivcard.Card) {
	t.Helper()
	if err := reader.Insert(card); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		card.ClearFaults()
		_ = reader.Remove(card) // the test may have pulled it
	})
}

func pull(t testing.TB, card *pivcard.Card) {
	t.Helper()
	if err := reader.Remove(card); err != nil {
		t.Fatal(err)
	}
}

// host does what a worker's owner does: it does not let a refused PIN be sent again.
type host struct {
	mu      sync.Mutex
	lefts   []int
	refused error
}

func (h *host) TryPIN(_ context.Context, left int, send func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused != nil {
		return fmt.Errorf("not sent again: %w", h.refused)
	}
	h.lefts = append(h.lefts, left)
	err := send()
	if e, ok := errors.AsType[*backends.PINError](err); ok && e.Sent {
		h.refused = err
	}
	return err
}

// person is a host whose PIN somebody has typed.
type person struct{ host }

func (*person) PINTyped() bool { return true }

type driver interface {
	backends.Driver
	backends.Generator
	backends.Attester
}

func newDriver(t testing.TB, s piv.Settings, h backends.Host) driver {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := piv.NewDriver(b, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d.(driver)
}

// open opens a card whose PIN is the factory's.
func open(t testing.TB, card *pivcard.Card, h backends.Host) driver {
	t.Helper()
	d := newDriver(t, piv.Settings{Serial: card.Serial()}, h)
	if _, err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// unlocked is a driver that has the PIN.
func unlocked(t testing.TB, card *pivcard.Card) driver {
	t.Helper()
	d := open(t, card, &host{})
	login(t, d)
	return d
}

func login(t testing.TB, d driver) {
	t.Helper()
	if err := d.Login(t.Context(), []byte(factoryPIN)); err != nil {
		t.Fatal(err)
	}
}

func p256(options ...string) backends.KeySpec {
	spec := backends.KeySpec{Algorithm: signer.AlgorithmP256, Options: map[string]string{"slot": "9c"}}
	for i := 0; i < len(options); i += 2 {
		spec.Options[options[i]] = options[i+1]
	}
	return spec
}

// generate makes a key and finds it.
func generate(t testing.TB, d driver, spec backends.KeySpec) backends.DeviceKey {
	t.Helper()
	made, err := d.Generate(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return find(t, d, made.Locator)
}

func find(t testing.TB, d driver, locator string) backends.DeviceKey {
	t.Helper()
	k, err := d.Find(t.Context(), locator)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var prehash = signer.Message{Scheme: signer.SchemeP256, Bytes: []byte("thirty-two bytes of some prehash")}

// mustSign signs the prehash and verifies.
func mustSign(t testing.TB, k backends.DeviceKey) {
	t.Helper()
	sig, err := k.Sign(t.Context(), prehash, nil)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, k.Facts().Public, prehash, sig)
}

func wantCode(t testing.TB, sig []byte, err error, code signer.Code, text string) {
	t.Helper()
	if sig != nil || err == nil || signer.CodeOf(err) != code || !strings.Contains(err.Error(), text) {
		t.Fatalf("Sign = %x, %v; want code %q and %q", sig, err, code, text)
	}
}

func wantGone(t testing.TB, err error, text string) {
	t.Helper()
	if !errors.Is(err, backends.ErrGone) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error = %v; want the device to be out of reach and %q", err, text)
	}
}

func wantPINError(t testing.TB, err error, left int, blocked, sent bool, text string) {
	t.Helper()
	e, ok := errors.AsType[*backends.PINError](err)
	if !ok || e.Left != left || e.Blocked != blocked || e.Sent != sent || !strings.Contains(e.Text, text) {
		t.Fatalf("error = %#v; want a PINError with %d left, blocked %v, sent %v, and %q", err, left, blocked, sent, text)
	}
}

// another opens the card as another program does, once it is let go.
func another(t testing.TB, use func(*pivgo.YubiKey)) {
	t.Helper()
	names, err := pivgo.Cards()
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		for _, name := range names {
			yk, err := pivgo.Open(name)
			if err != nil {
				continue
			}
			use(yk)
			if err := yk.Close(); err != nil {
				t.Fatal(err)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the card was not let go within 10 s")
}

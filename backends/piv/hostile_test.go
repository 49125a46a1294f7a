package piv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/piv"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

var kinds = map[string]pivcard.Fault{
	"says yes and nothing else": {Kind: pivcard.Empty},
	"answers at random":         {Kind: pivcard.Garbage},
	"answers by half":           {Kind: pivcard.Truncated},
	"refuses with 6f00":         {Kind: pivcard.WrongStatus, Status: 0x6f00},
	"refuses with 6982":         {Kind: pivcard.WrongStatus, Status: 0x6982},
	"refuses with 63c0":         {Kind: pivcard.WrongStatus, Status: 0x63c0},
	"does not find it":          {Kind: pivcard.WrongStatus, Status: 0x6a82},
}

// attempt uses a card as far as it can be used, and returns the key it was led to
// believe in, if any, and a signature, if any.
func attempt(t *testing.T, d driver) (key signer.PublicKey, sig []byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // it takes milliseconds
	defer cancel()
	if _, err = d.Open(ctx); err != nil {
		return key, nil, err
	}
	if err = d.Login(ctx, []byte(factoryPIN)); err != nil {
		return key, nil, err
	}
	k, err := d.Find(ctx, "9c")
	if err != nil {
		return key, nil, err
	}
	sig, err = k.Sign(ctx, prehash, nil)
	return k.Facts().Public, sig, err
}

// TestAHostileCardDeceivesNobody has every command that signing needs answered in
// every wrong way, at once and after the first good answer. Whatever happens: nothing
// panics, no other key is believed in, and a driver that is started anew with a card
// that behaves finds its key.
func TestAHostileCardDeceivesNobody(t *testing.T) {
	for name, ins := range map[string]byte{
		"SELECT": 0xa4, "GET VERSION": 0xfd, "GET SERIAL": 0xf8, "GET METADATA": 0xf7, "VERIFY": 0x20,
		"GET DATA": 0xcb, "GENERAL AUTHENTICATE": 0x87, "READ CONFIG": 0x1d,
	} {
		t.Run(name, func(t *testing.T) {
			card := insert(t, pivcard.Config{})
			d := unlocked(t, card)
			want := generate(t, d, p256()).Facts().Public
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			failed := 0
			for kind, f := range kinds {
				for _, f.After = range []int{0, 1, 2} {
					f.INS = ins
					card.Fault(f)
					victim := newDriver(t, piv.Settings{Serial: card.Serial()}, &person{})
					key, sig, err := attempt(t, victim)
					if err != nil {
						failed++
					}
					if key.Algorithm != "" && (key.Algorithm != want.Algorithm || !bytes.Equal(key.Bytes, want.Bytes)) {
						t.Errorf("a card that %s led to the key %x", kind, key.Bytes)
					}
					if err == nil {
						verify(t, want, prehash, sig)
					}
					_ = victim.Close()
					card.ClearFaults()
					recovers(t, card, fmt.Sprintf("%s after %d", kind, f.After), want)
				}
			}
			if failed == 0 && ins != 0x1d { // the form factor is for people only
				t.Error("no fault was noticed")
			}
		})
	}
}

// recovers checks that a new driver works. A handle that piv-go lost is returned when
// its process ends; here pcscd is started again instead.
func recovers(t *testing.T, card *pivcard.Card, after string, want signer.PublicKey) {
	t.Helper()
	d := newDriver(t, piv.Settings{Serial: card.Serial()}, &person{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := d.Open(ctx); err != nil {
		if err := errors.Join(reader.Kill(), reader.Restart()); err != nil {
			t.Fatal(err)
		}
		d = newDriver(t, piv.Settings{Serial: card.Serial()}, &person{})
	}
	key, sig, err := attempt(t, d)
	if err != nil || !bytes.Equal(key.Bytes, want.Bytes) {
		t.Fatalf("%s: a new driver = %x, %v", after, key.Bytes, err)
	}
	verify(t, want, prehash, sig)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAPanicOfPIVGoEndsTheWorker(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	// The second is for the management key's algorithm, of which piv-go reads the
	// third byte.
	card.Fault(pivcard.Fault{Kind: pivcard.Empty, INS: 0xf7, After: 1})
	_, err := d.Generate(t.Context(), p256())
	wantGone(t, err, "crashed its driver")
	_, err = d.State(t.Context())
	wantGone(t, err, "crashed its driver")
	if _, err := d.Find(t.Context(), "9c"); err == nil {
		t.Error("a broken driver finds keys")
	}
}

// TestACardThatHangsIsGoneWhenItIsPulled shows that nothing is stuck for longer than
// the card; while it hangs, only its worker's owner can end that.
func TestACardThatHangsIsGoneWhenItIsPulled(t *testing.T) {
	for name, kind := range map[string]pivcard.Kind{"before it signs": pivcard.Hang, "after it has signed": pivcard.HangAfter} {
		t.Run(name, func(t *testing.T) {
			card := insert(t, pivcard.Config{})
			k := generate(t, unlocked(t, card), p256())
			card.Fault(pivcard.Fault{Kind: kind, INS: 0x87})
			signed := make(chan error, 1)
			go func() { // ends when the card is pulled
				_, err := k.Sign(t.Context(), prehash, nil)
				signed <- err
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			<-ctx.Done()
			sig, err := k.Sign(ctx, prehash, nil)
			wantCode(t, sig, err, signer.CodeUnavailable, "busy")
			pull(t, card)
			wantGone(t, <-signed, "card")
		})
	}
}

func TestAnAnswerWithoutEndIsCutWhereWeRead(t *testing.T) {
	card := insert(t, pivcard.Config{})
	for name, ins := range map[string]byte{"SELECT": 0xa4, "GET SERIAL": 0xf8, "GET METADATA": 0xf7} {
		t.Run(name, func(t *testing.T) {
			card.Fault(pivcard.Fault{Kind: pivcard.Endless, INS: ins})
			defer card.ClearFaults()
			_, err := newDriver(t, piv.Settings{Serial: card.Serial()}, &host{}).Open(t.Context())
			wantGone(t, err, "no end")
		})
	}
}

// TestAKeyThatIsMadeMustBeTheOneThatWasAskedFor has the card tell of another key
// than the one it made.
func TestAKeyThatIsMadeMustBeTheOneThatWasAskedFor(t *testing.T) {
	for kind, f := range kinds {
		t.Run(kind, func(t *testing.T) {
			card := insert(t, pivcard.Config{})
			d := unlocked(t, card)
			f.INS = 0x47 // GENERATE ASYMMETRIC KEY PAIR
			card.Fault(f)
			if made, err := d.Generate(t.Context(), p256()); err == nil || made.Locator != "" {
				t.Errorf("Generate = %+v, %v", made, err)
			}
		})
	}
}

var _ backends.Host = (*person)(nil)

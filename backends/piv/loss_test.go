package piv_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends/piv"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

func TestACardThatIsPulledIsGoneAndComesBack(t *testing.T) {
	for name, idle := range map[string]bool{"while it is held": false, "while it is let go": true} {
		t.Run(name, func(t *testing.T) {
			card := insert(t, pivcard.Config{Serial: 42})
			d := unlocked(t, card)
			k := generate(t, d, p256())
			mustSign(t, k)
			if idle {
				another(t, func(*pivgo.YubiKey) {})
			}
			pull(t, card)
			for range 3 {
				_, err := k.Sign(t.Context(), prehash, nil)
				wantGone(t, err, "card")
			}
			_, err := d.State(t.Context())
			wantGone(t, err, "no card")
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			_, err = newDriver(t, piv.Settings{Serial: 42}, &host{}).Open(t.Context())
			wantGone(t, err, "no card")
			put(t, card)
			again := unlocked(t, card)
			found := find(t, again, "9c")
			if found.Facts().Public.Fingerprint() != k.Facts().Public.Fingerprint() {
				t.Error("the key is another one")
			}
			mustSign(t, found)
		})
	}
}

func TestAnotherCardIsNotTakenForTheOne(t *testing.T) {
	card := insert(t, pivcard.Config{Serial: 42})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	mustSign(t, k)
	another(t, func(*pivgo.YubiKey) {})
	pull(t, card)
	other := insert(t, pivcard.Config{Serial: 43})
	_, err := k.Sign(t.Context(), prehash, nil)
	wantGone(t, err, "serial number 43")
	_, err = newDriver(t, piv.Settings{Serial: 42}, &host{}).Open(t.Context())
	wantGone(t, err, "serial number 43")
	if n := other.Counts().Verify; n != 0 {
		t.Errorf("the other card was given the PIN %d times", n)
	}
}

func TestACardIsFoundInAnyReader(t *testing.T) {
	insert(t, pivcard.Config{Serial: 1})
	card := insert(t, pivcard.Config{Serial: 2})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	mustSign(t, k)
	s, err := d.State(t.Context())
	if err != nil || !strings.Contains(s.Device, "PIV card 2, firmware 5.7.1") {
		t.Errorf("State = %+v, %v", s, err)
	}
}

func TestTwoCardsWithOneSerialNumberAreRefused(t *testing.T) {
	insert(t, pivcard.Config{Serial: 5})
	insert(t, pivcard.Config{Serial: 5})
	_, err := newDriver(t, piv.Settings{Serial: 5}, &host{}).Open(t.Context())
	wantGone(t, err, "one of them lies")
}

func TestAReaderThatIsNotNamedIsLeftAlone(t *testing.T) {
	card := insert(t, pivcard.Config{Serial: 5})
	_, err := newDriver(t, piv.Settings{Serial: 5, Reader: "Gemalto"}, &host{}).Open(t.Context())
	wantGone(t, err, `no reader has "Gemalto" in its name`)
	if n := card.Counts().Commands; n != 0 {
		t.Errorf("the card got %d commands", n)
	}
}

func TestPCSCDEndsAndComesBack(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	mustSign(t, k)
	if err := reader.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := k.Sign(t.Context(), prehash, nil)
		wantGone(t, err, "pcscd")
	}
	_ = d.Close()
	_, err := newDriver(t, piv.Settings{Serial: card.Serial()}, &host{}).Open(t.Context())
	wantGone(t, err, "pcscd is not running")
	if err := reader.Restart(); err != nil {
		t.Fatal(err)
	}
	mustSign(t, find(t, unlocked(t, card), "9c"))
}

func TestAnotherProgramHoldsTheCard(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	another(t, func(*pivgo.YubiKey) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		sig, err := k.Sign(ctx, prehash, nil)
		wantCode(t, sig, err, signer.CodeUnavailable, "another program holds card")
		s, err := d.State(t.Context())
		if err != nil || !strings.Contains(strings.Join(s.Notes, "\n"), "another program holds the card") {
			t.Errorf("State = %+v, %v; want what is known, and a note", s, err)
		}
	})
	mustSign(t, k)
}

func TestARequestWaitsForAnotherProgram(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	signed := make(chan error, 1)
	another(t, func(*pivgo.YubiKey) {
		go func() { // ends with the signature
			_, err := k.Sign(t.Context(), prehash, nil)
			signed <- err
		}()
		select {
		case err := <-signed:
			t.Errorf("Sign = %v while another program held the card", err)
		case <-time.After(200 * time.Millisecond):
		}
	})
	if err := <-signed; err != nil {
		t.Errorf("Sign afterwards: %v", err)
	}
}

// TestForeignProgramsComeBetween runs yubico-piv-tool, which knows nothing of us,
// between signatures and while there always is something to sign.
func TestForeignProgramsComeBetween(t *testing.T) {
	card := insert(t, pivcard.Config{})
	d := unlocked(t, card)
	k := generate(t, d, p256())
	foreign := func() bool {
		cmd := exec.Command("yubico-piv-tool", "--action", "status", "--reader", "")
		cmd.Env = append(os.Environ(), reader.Env())
		out, err := cmd.CombinedOutput()
		return err == nil && strings.Contains(string(out), "PIN tries left:\t3")
	}
	eventually := func(what string) {
		for range 1000 {
			if foreign() {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("yubico-piv-tool never got the card %s", what)
	}
	for range 3 {
		mustSign(t, k)
		eventually("between signatures")
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // ends when stop is closed
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := k.Sign(t.Context(), prehash, nil); err != nil {
				t.Errorf("Sign: %v", err)
				return
			}
		}
	}()
	eventually("from somebody who always signs")
	close(stop)
	<-done
}

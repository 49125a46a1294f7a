package piv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
)

// Login sends the PIN to the card once, and keeps it when the card accepts it.
func (d *driver) Login(ctx context.Context, pin []byte) error {
	// SP 800-73-4 part 2, 2.4.3. Any other cannot be right, and would cost a try.
	if len(pin) < 6 || len(pin) > 8 || bytes.IndexByte(pin, 0xff) >= 0 {
		return &backends.PINError{Left: -1, Text: fmt.Sprintf("the PIN has %d bytes; a PIV card's has 6 to 8; it was not sent", len(pin))}
	}
	return d.alone(ctx, func() error {
		// A new connection, where the card has forgotten an earlier PIN, is the only
		// one that tells how many tries are left.
		d.letGo()
		c, err := d.connected(ctx)
		if err != nil {
			return err
		}
		left, _, err := d.tries(c.yk)
		if err == nil {
			err = d.send(ctx, left, func() error { return c.yk.VerifyPIN(string(pin)) })
		}
		if err != nil {
			return d.explain(err)
		}
		c.verified = true
		d.forget()
		d.pin = bytes.Clone(pin)
		return nil
	})
}

// forget wipes the PIN. Copies that were made to send it cannot be wiped.
func (d *driver) forget() {
	clear(d.pin)
	d.pin = nil
}

// verify makes sure that the card has seen the PIN, as a policy wants it, and
// reports whether it was sent.
func (d *driver) verify(ctx context.Context, c *connection, policy piv.PINPolicy) (sent bool, err error) {
	if policy == piv.PINPolicyNever || policy == piv.PINPolicyOnce && c.verified {
		return false, nil
	}
	if d.pin == nil {
		return false, d.locked()
	}
	left := d.most()
	if !c.verified {
		var verified bool
		if left, verified, err = d.tries(c.yk); err != nil {
			return false, err
		}
		if verified && policy == piv.PINPolicyOnce { // by another program, before us
			c.verified = true
			return false, nil
		}
	}
	err = d.send(ctx, left, func() error { return c.yk.VerifyPIN(string(d.pin)) })
	if err != nil {
		if e, ok := errors.AsType[*backends.PINError](err); ok && e.Sent {
			c.verified = false
			d.forget()
		}
		return false, err
	}
	c.verified = true
	return true, nil
}

// most is how many tries are left when the PIN is verified, which sets the count back
// to its maximum: the card does not tell then. It is -1 for a card without metadata.
func (d *driver) most() int { return min(d.last.pin.total, 15) } // VERIFY tells no more

func (d *driver) locked() error {
	return backends.Unavailable(errors.New("no PIN"), "card %d waits for its PIN; unlock it, or correct the credential", d.settings.Serial)
}

// tries returns how many wrong PINs the card still takes, and whether the PIN is
// verified.
func (d *driver) tries(yk *piv.YubiKey) (left int, verified bool, err error) {
	left, err = yk.Retries()
	switch {
	case err == nil:
		return left, false, nil
	case !refused(err) && strings.Contains(err.Error(), "expected error code from empty pin"):
		return d.most(), true, nil // the card answered 9000
	}
	return 0, false, fmt.Errorf("ask for the PIN's tries: %w", err)
}

// send sends the PIN, where that cannot block the card.
func (d *driver) send(ctx context.Context, left int, verify func() error) error {
	switch {
	case left == 0:
		return &backends.PINError{Left: 0, Blocked: true, Text: blockedText(d.last)}
	case left == 1 && !d.typed():
		return &backends.PINError{Left: 1, Text: fmt.Sprintf("card %d takes one more wrong PIN before it is blocked, so the PIN was not sent; verify the right one, which sets the count back: yubico-piv-tool -a verify-pin", d.settings.Serial)}
	}
	return d.host.TryPIN(ctx, left, func() error {
		err := verify()
		if e, ok := errors.AsType[piv.AuthErr](err); ok {
			return refusedPIN(d.last, e.Retries)
		}
		return err
	})
}

func refusedPIN(v survey, left int) error {
	e := &backends.PINError{Left: left, Blocked: left == 0, Sent: true, Text: blockedText(v)}
	if left > 0 {
		e.Text = fmt.Sprintf("card %d refused the PIN, which is not sent again; wrong ones that it still takes: %d; unlock it with the right one, or correct the credential", v.serial, left)
	}
	return e
}

func blockedText(v survey) string {
	if v.puk.left == 0 {
		return fmt.Sprintf("PIN and PUK of card %d are blocked; all that is left is `ykman piv reset`, which destroys its keys", v.serial)
	}
	return fmt.Sprintf("the PIN of card %d is blocked; set a new one with the PUK: `ykman piv access unblock-pin`, or `yubico-piv-tool -a unblock-pin`", v.serial)
}

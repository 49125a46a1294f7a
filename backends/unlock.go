package backends

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer"
)

// A PIN that a person types is sealed to the worker that is to use it, with HPKE
// (RFC 9180) in base mode: what carries it, the daemon included, cannot read it.
// That the key is the worker's, there is the daemon's word for.

func sealedFor(token string) []byte { return []byte("sealward unlock v1\x00" + token) }

// unlockKEM and the two beside it are DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
// AES-256-GCM (RFC 9180, 7).
func unlockKEM() hpke.KEM   { return hpke.DHKEM(ecdh.X25519()) }
func unlockKDF() hpke.KDF   { return hpke.HKDFSHA256() }
func unlockAEAD() hpke.AEAD { return hpke.AES256GCM() }

// mostPIN bounds a PIN. PIV has 8 bytes (SP 800-73-4 part 1, 3.3.2); passphrases of
// HSMs are longer.
const mostPIN = 1 << 10

// SealPIN seals a PIN for a token's worker. It is for the operator's program; key
// is what [Token.UnlockKey] returned, and token the token's name.
func SealPIN(key []byte, token string, pin []byte) ([]byte, error) {
	if len(pin) == 0 || len(pin) > mostPIN {
		return nil, fmt.Errorf("a PIN of %d bytes; want 1 to %d", len(pin), mostPIN)
	}
	public, err := unlockKEM().NewPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("the key to seal the PIN to: %w", err)
	}
	return hpke.Seal(public, unlockKDF(), unlockAEAD(), sealedFor(token), pin)
}

// UnlockKey is the public key to which a PIN is sealed with [SealPIN]. Each worker
// process has its own, and a new one after each use.
func (t *Token) UnlockKey() ([]byte, error) {
	t.unlocking.Lock()
	defer t.unlocking.Unlock()
	p := t.now.Load()
	if err := t.waits(p); err != nil {
		return nil, err
	}
	key, err := p.link.call(kindUnlockKey, nil)
	if err != nil {
		return nil, t.explain(p.link, "take a PIN", err)
	}
	return key, nil
}

// waits refuses where no PIN is waited for.
func (t *Token) waits(p *phase) error {
	if p.link == nil {
		return p.err
	}
	if p.locked == nil {
		return signer.Invalid("token %q is not locked", t.c.Name)
	}
	return nil
}

// Unlock passes a PIN that a person typed, sealed with [SealPIN], to the worker,
// which alone can open it. It is sent to the device also where an earlier PIN was
// refused: that is for the person to decide. Where the device refuses it, the error
// is an [*signer.Error] for the person, and wraps a [*PINError].
func (t *Token) Unlock(ctx context.Context, sealed []byte) error {
	t.unlocking.Lock()
	defer t.unlocking.Unlock()
	p := t.now.Load()
	if err := t.waits(p); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return Unavailable(err, "nobody waits any more for token %q to be unlocked", t.c.Name)
	}
	release, err := t.marks.lock.hold(ctx.Done(), t.c.Timeout/2)
	if err != nil {
		return Unavailable(err, "the PIN was not sent to token %q: %v; type it again", t.c.Name, err)
	}
	defer release()
	p.link.pins.use(pinTyped, nil)
	_, err = p.link.call(kindUnlock, nil, sealed)
	if err != nil {
		p.link.pins.use(pinNone, nil) // and none that the driver may still have
	}
	if pin, ok := errors.AsType[*PINError](err); ok {
		_ = t.lock(p.link, pin)
		return &signer.Error{Code: signer.CodeInvalid, Detail: fmt.Sprintf("token %q is still locked: %s", t.c.Name, pin.describe()), Err: pin}
	}
	if err != nil {
		return t.explain(p.link, "take a PIN", err)
	}
	var s State
	if err := t.refresh(p.link, &s); err != nil {
		return t.explain(p.link, "take a PIN", err)
	}
	t.c.Log.Info("token was unlocked with a PIN that was typed")
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now.Load().link == p.link {
		t.use(p.link, t.health.WorkerPID, nil)
	}
	select { // keys that only show themselves now
	case t.look <- struct{}{}:
	default:
	}
	return nil
}

// describe says what a person must know before typing another PIN.
func (e *PINError) describe() string {
	switch {
	case e.Blocked || e.Left == 0:
		return e.Text + "; " + errBlocked.Error()
	case e.Left == 1:
		return e.Text + "; one try is left before it is blocked"
	case e.Left > 1:
		return fmt.Sprintf("%s; %d tries are left", e.Text, e.Left)
	}
	return e.Text
}

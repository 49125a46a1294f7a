package pkcs11

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// key implements [backends.DeviceKey].
type key struct {
	driver *driver
	uri    URI
	first  found // as it was when it was opened
	at     atomic.Pointer[place]
}

// place is where a key was found. Its handle holds for one connection.
type place struct {
	on *connection
	found
}

// Facts implements [backends.DeviceKey].
func (k *key) Facts() backends.KeyFacts { return k.first.facts }

// Sign implements [backends.DeviceKey].
func (k *key) Sign(ctx context.Context, m signer.Message, _ func(signer.Notice)) ([]byte, error) {
	mech, input, err := mechanism(m)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(k.first.sign, mech.Mechanism) {
		return nil, signer.Invalid("the token has no mechanism for scheme %q (%s)", m.Scheme, mechanismNames([]uint{mech.Mechanism}))
	}
	var sig []byte
	err = k.driver.do(ctx, func(c *connection, s pkcs11.SessionHandle) error {
		at, err := k.locate(c, s)
		if err != nil {
			return err
		}
		if err := c.mod.SignInit(s, []*pkcs11.Mechanism{mech}, at.handle); err != nil {
			return k.failed(err)
		}
		if at.always {
			if err := k.driver.authenticate(ctx, c, s); err != nil {
				return err
			}
		}
		if sig, err = c.mod.Sign(s, input); err != nil {
			return k.failed(err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// failed forgets a handle that does not hold.
func (k *key) failed(err error) error {
	if stale(err) {
		k.at.Store(nil)
	}
	return fmt.Errorf("sign with %s: %w", k.uri, err)
}

// locate returns where the key is on a connection. After the token was opened
// anew the key must be found anew, and must be the same and as well protected.
func (k *key) locate(c *connection, s pkcs11.SessionHandle) (*place, error) {
	if at := k.at.Load(); at != nil && at.on == c {
		return at, nil
	}
	f, err := c.findKey(s, k.uri)
	if err != nil {
		return nil, fmt.Errorf("find %s again: %w", k.uri, err)
	}
	if is, was := f.facts.Public, k.first.facts.Public; is.Algorithm != was.Algorithm || !bytes.Equal(is.Bytes, was.Bytes) {
		return nil, fmt.Errorf("key %s is another one than before: its public key is %s and was %s", k.uri, is.Fingerprint(), was.Fingerprint())
	}
	at := &place{c, f}
	k.at.Store(at)
	return at, nil
}

// authenticate sends the PIN for the one operation that was begun in a session
// (PKCS #11 v2.40, 5.6, C_Login with CKU_CONTEXT_SPECIFIC). The connection is held.
func (d *driver) authenticate(ctx context.Context, c *connection, s pkcs11.SessionHandle) error {
	if d.pin == nil {
		return backends.Unavailable(nil, "token %q waits for its PIN", c.info.Label)
	}
	left, err := mayTry(c.name(), c.flags(), false)
	if err != nil {
		return err
	}
	return heard(d.host.TryPIN(ctx, left, func() error {
		return pinError(c.name(), c.mod.Login(s, pkcs11.CKU_CONTEXT_SPECIFIC, string(d.pin)), c.flags())
	}))
}

package pkcs11

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// Key is a key pair in a token. It implements [signer.Key].
type Key struct {
	token  *Token
	uri    URI
	public signer.PublicKey
	at     atomic.Pointer[place]
}

// place is where a key was found. Its handle holds for one connection.
type place struct {
	on        *connection
	handle    pkcs11.ObjectHandle
	mechanism []*pkcs11.Mechanism
}

// Key finds the one key pair that a URI names by object and id, or either. What
// the URI says of the token must be so. A key that the token does not protect is
// refused.
func (t *Token) Key(ctx context.Context, uri string) (*Key, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	if u.Object == "" && u.ID == "" {
		return nil, fmt.Errorf("%s names no key: give its label (object=) or id (id=)", u)
	}
	f, on, err := t.withKey(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", u, err)
	}
	k := &Key{token: t, uri: u, public: f.public}
	k.at.Store(newPlace(f, on))
	return k, nil
}

func newPlace(f found, on *connection) *place {
	return &place{on, f.private, []*pkcs11.Mechanism{pkcs11.NewMechanism(f.algorithm.sign, nil)}}
}

// Public returns the public key, which the token had when the key was opened.
func (k *Key) Public() signer.PublicKey {
	return signer.PublicKey{Algorithm: k.public.Algorithm, Bytes: bytes.Clone(k.public.Bytes)}
}

// Protection is resident: the token signs.
func (k *Key) Protection() signer.Protection { return signer.ProtectionResident }

// URI returns the URI that the key was found by, in its one form.
func (k *Key) URI() string { return k.uri.String() }

// Available says why the token is known to be out of reach, until it is time to try
// it again.
func (k *Key) Available() error {
	if k.token.Health().Up {
		return nil
	}
	return k.token.mayTry()
}

// Sign signs an authorised message. The context bounds the wait for a turn; a
// call into the module that has begun cannot be cancelled.
func (k *Key) Sign(ctx context.Context, a signer.Authorized) ([]byte, error) {
	m, ok := a.Message()
	return k.sign(ctx, m, ok)
}

// SignStatement signs a statement, in the same way as Sign.
func (k *Key) SignStatement(ctx context.Context, s signer.Statement) ([]byte, error) {
	m, ok := s.Message()
	return k.sign(ctx, m, ok)
}

func (k *Key) sign(ctx context.Context, m signer.Message, ok bool) ([]byte, error) {
	if err := backends.CheckMessage(k.public.Algorithm, m, ok); err != nil {
		return nil, err
	}
	var sig []byte
	err := k.token.do(ctx, func(ctx context.Context, c *connection) error {
		return c.with(ctx, func(s pkcs11.SessionHandle) (err error) {
			at, err := k.locate(c, s)
			if err != nil {
				return err
			}
			if err := c.mod.SignInit(s, at.mechanism, at.handle); err != nil {
				return k.failed(err)
			}
			if sig, err = c.mod.Sign(s, m.Bytes); err != nil {
				return k.failed(err)
			}
			return nil
		})
	})
	if err == nil {
		return sig, nil
	}
	if signer.CodeOf(err) == signer.CodeUnavailable {
		return nil, err
	}
	return nil, backends.Unavailable(err, "token %q could not sign; ask again", k.token.c.Name)
}

// failed forgets a handle that does not hold.
func (k *Key) failed(err error) error {
	if stale(err) {
		k.at.Store(nil)
	}
	return fmt.Errorf("sign with %s: %w", k.uri, err)
}

// locate returns where the key is on a connection. After the token was opened
// anew the key must be found anew, and must be the same and as well protected.
func (k *Key) locate(c *connection, s pkcs11.SessionHandle) (*place, error) {
	if at := k.at.Load(); at != nil && at.on == c {
		return at, nil
	}
	if !k.uri.matches(c.info) {
		return nil, fmt.Errorf("key %s is not in the token any more", k.uri)
	}
	f, err := c.find(s, k.uri)
	if err != nil {
		return nil, fmt.Errorf("find %s again: %w", k.uri, err)
	}
	if f.public.Algorithm != k.public.Algorithm || !bytes.Equal(f.public.Bytes, k.public.Bytes) {
		return nil, fmt.Errorf("key %s is another one than before: its public key is %s and was %s", k.uri, f.public.Fingerprint(), k.public.Fingerprint())
	}
	at := newPlace(f, c)
	k.at.Store(at)
	return at, nil
}

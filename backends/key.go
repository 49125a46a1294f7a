package backends

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sealward/sealward/signer"
)

// Key is a key in a device. It implements [signer.Key], and alone turns what was
// authorised into a call of a worker.
type Key struct {
	token   *Token
	locator string
	facts   KeyFacts
	at      atomic.Pointer[place]
}

// place is what came of the last look for a key. It holds for one worker.
type place struct {
	link   *link
	handle uint32
	err    error // for callers; the handle is void
}

// Find asks the device for the one key that a locator names.
func (t *Token) Find(ctx context.Context, locator string) (*Key, error) {
	var k *Key
	err := t.do(ctx, "find the key", func(l *link) error {
		handle, facts, err := l.find(locator)
		if err == nil {
			k = t.register(locator, facts)
			k.at.Store(&place{link: l, handle: handle})
		}
		return err
	})
	return k, err
}

// Known returns a key whose public key is known already. The device need not be
// there: the key can be used as soon as it is, and has that very key, as well
// protected.
func (t *Token) Known(locator string, facts KeyFacts) *Key {
	k := t.register(locator, facts)
	select {
	case t.look <- struct{}{}:
	default:
	}
	return k
}

// register keeps one Key for each, so that who finds a key often needs no more
// memory for that.
func (t *Token) register(locator string, facts KeyFacts) *Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := facts.Public.Fingerprint() + " " + string(facts.Protection) + " " + locator
	if k := t.keys[name]; k != nil {
		return k
	}
	facts.Public.Bytes = bytes.Clone(facts.Public.Bytes)
	facts.Facts = slices.Clone(facts.Facts)
	k := &Key{token: t, locator: locator, facts: facts}
	t.keys[name] = k
	return k
}

// Public returns the public key.
func (k *Key) Public() signer.PublicKey {
	return signer.PublicKey{Algorithm: k.facts.Public.Algorithm, Bytes: bytes.Clone(k.facts.Public.Bytes)}
}

// Protection says where the private key can be used.
func (k *Key) Protection() signer.Protection { return k.facts.Protection }

// Facts is what was known of the key when it was found.
func (k *Key) Facts() KeyFacts {
	f := k.facts
	f.Public, f.Facts = k.Public(), slices.Clone(f.Facts)
	return f
}

// Locator is what the key was found by.
func (k *Key) Locator() string { return k.locator }

// shown is the locator for messages. That of a TPM is a key file's content, which
// is neither for callers nor for logs.
func (k *Key) shown() string {
	if len(k.locator) > 200 || strings.ContainsRune(k.locator, '\n') {
		return k.facts.Public.Fingerprint()
	}
	return k.locator
}

// Available says why the key is known to be out of reach.
func (k *Key) Available() error {
	p := k.token.now.Load()
	if p.err != nil {
		return p.err
	}
	if at := k.at.Load(); at != nil && at.link == p.link {
		return at.err
	}
	return nil
}

// Sign signs an authorised message. The context bounds the wait for a turn; what the
// worker has begun ends with an answer or with the worker.
func (k *Key) Sign(ctx context.Context, a signer.Authorized) ([]byte, error) {
	m, ok := a.Message()
	return k.sign(ctx, m, ok, a.Notify)
}

// SignStatement signs a statement, in the same way as Sign.
func (k *Key) SignStatement(ctx context.Context, s signer.Statement) ([]byte, error) {
	m, ok := s.Message()
	return k.sign(ctx, m, ok, s.Notify)
}

func (k *Key) sign(ctx context.Context, m signer.Message, ok bool, notify func(signer.Notice)) ([]byte, error) {
	if err := CheckMessage(k.facts.Public.Algorithm, m, ok); err != nil {
		return nil, err
	}
	if p := k.token.now.Load(); p.err != nil {
		return nil, p.err
	}
	var sig []byte
	err := k.token.do(ctx, "sign", func(l *link) error {
		if p := k.token.now.Load(); p.err != nil {
			return p.err
		}
		handle, err := k.locate(l)
		if err != nil {
			return err
		}
		sig, err = l.sign(handle, m, notify)
		return err
	})
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// Attest returns the device's evidence about this key, and not about one that took
// its place.
func (k *Key) Attest(ctx context.Context, challenge []byte) (Evidence, error) {
	var e Evidence
	err := k.token.do(ctx, "attest a key", func(l *link) error {
		_, facts, err := l.find(k.locator)
		if err == nil {
			err = k.same(facts)
		}
		if err != nil {
			return err
		}
		return l.ask(kindAttest, attestation{k.locator, challenge}, &e)
	})
	return e, err
}

// locate returns the worker's handle of the key. Each worker finds it anew, and it
// must be the same, and as well protected.
func (k *Key) locate(l *link) (uint32, error) {
	if at := k.at.Load(); at != nil && at.link == l && at.err == nil {
		return at.handle, nil
	}
	handle, facts, err := l.find(k.locator)
	if err == nil {
		err = k.same(facts)
	} else if _, lost := errors.AsType[*lostError](err); lost || errors.Is(err, ErrGone) {
		return 0, err
	} else if _, pin := errors.AsType[*PINError](err); pin {
		return 0, err
	} else {
		err = Unavailable(err, "key %s cannot be found in token %q", k.shown(), k.token.c.Name)
	}
	k.at.Store(&place{link: l, handle: handle, err: err})
	return handle, err
}

// same refuses a key that took the place of this one.
func (k *Key) same(facts KeyFacts) error {
	was, is := k.facts.Public, facts.Public
	if was.Algorithm != is.Algorithm || !bytes.Equal(was.Bytes, is.Bytes) {
		return Unavailable(errors.New("the key was replaced"), "key %s in token %q is another one than before, and is refused: its public key is %s and was %s",
			k.shown(), k.token.c.Name, is.Fingerprint(), was.Fingerprint())
	}
	if k.facts.Protection != facts.Protection {
		return Unavailable(errors.New("the key's protection has changed"), "key %s in token %q is refused: its protection is %q and was %q",
			k.shown(), k.token.c.Name, facts.Protection, k.facts.Protection)
	}
	return nil
}

// find has the worker find a key.
func (l *link) find(locator string) (uint32, KeyFacts, error) {
	b, err := l.call(kindFind, nil, []byte(locator))
	if err != nil {
		return 0, KeyFacts{}, err
	}
	handle, facts, err := handleOf(b)
	if err != nil {
		err = fmt.Errorf("it said what a worker does not say: %w", err)
		l.end(err)
		return 0, KeyFacts{}, &lostError{err}
	}
	return handle, facts, nil
}

// sign has the worker sign.
func (l *link) sign(handle uint32, m signer.Message, notify func(signer.Notice)) ([]byte, error) {
	var room [64]byte
	head := binary.BigEndian.AppendUint32(room[:0], handle)
	head = append(head, byte(len(m.Scheme)))
	head = append(head, m.Scheme...)
	return l.call(kindSign, notify, head, m.Bytes)
}

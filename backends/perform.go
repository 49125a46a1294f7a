package backends

import (
	"context"
	"crypto/hpke"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer"
)

// perform does one operation.
func (s *server) perform(ctx context.Context, f frame) ([]byte, error) {
	switch f.kind {
	case kindSign:
		return s.sign(ctx, f)
	case kindOpen:
		return s.open(ctx, f.body)
	case kindState:
		state, err := s.driver.State(ctx)
		return toJSON(state, err)
	case kindFind:
		return s.find(ctx, string(f.body))
	case kindLogin:
		return nil, s.login(ctx, f.body, true)
	case kindUnlockKey:
		return s.unlockKey()
	case kindUnlock:
		return nil, s.openPIN(ctx, f.body)
	case kindGenerate:
		return s.generate(ctx, f.body)
	case kindAttest:
		return s.attest(ctx, f.body)
	case kindCall:
		return s.invoke(ctx, f.body)
	case kindClose:
		return nil, s.driver.Close()
	}
	return nil, fmt.Errorf("an operation of kind %d", f.kind)
}

func toJSON(v any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// fail answers with an error.
func (s *server) fail(id uint32, err error) {
	w := toWire(err)
	w.Text, w.Detail = plain(w.Text, 2000), plain(w.Detail, 2000)
	body, jerr := json.Marshal(w)
	if jerr == nil {
		jerr = s.out.send(kindFailed, id, body)
	}
	if jerr != nil {
		s.end(jerr)
	}
}

func (s *server) open(ctx context.Context, body []byte) ([]byte, error) {
	var h hello
	if err := fromJSON(body, &h); err != nil {
		return nil, fmt.Errorf("its worker was asked to open something else: %w; daemon and worker are of different versions: restart both", err)
	}
	if h.Version != protocolVersion {
		return nil, fmt.Errorf("the daemon speaks version %d of the protocol, and its worker version %d; restart both", h.Version, protocolVersion)
	}
	make, ok := s.drivers[h.Driver]
	if !ok {
		return nil, fmt.Errorf("its worker has no driver %q", h.Driver)
	}
	driver, err := make(h.Settings, &host{s})
	if err != nil {
		return nil, err
	}
	state, err := driver.Open(ctx)
	if err != nil {
		return nil, err
	}
	s.driver, s.token = driver, h.Token
	s.opened.Store(true)
	return json.Marshal(welcome{protocolVersion, state})
}

func (s *server) sign(ctx context.Context, f frame) ([]byte, error) {
	handle, m, err := signBody(f.body)
	if err != nil {
		return nil, err
	}
	key := s.key(handle)
	if key == nil {
		return nil, fmt.Errorf("there is no key %d", handle)
	}
	return key.Sign(ctx, m, func(n signer.Notice) {
		if err := s.out.send(kindNotice, f.id, []byte(n)); err != nil {
			s.end(err)
		}
	})
}

func (s *server) key(handle uint32) DeviceKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if int64(handle) >= int64(len(s.keys)) {
		return nil
	}
	return s.keys[handle].key
}

// find gives a key a handle. A handle never comes to mean another key: who has it
// knows the public key that it stood for.
func (s *server) find(ctx context.Context, locator string) ([]byte, error) {
	key, err := s.driver.Find(ctx, locator)
	if err != nil {
		return nil, err
	}
	facts := key.Facts()
	body, err := json.Marshal(facts)
	if err != nil {
		return nil, err
	}
	handle, err := s.handle(servedKey{locator, facts.Public.Fingerprint() + " " + string(facts.Protection), key})
	return append(binary.BigEndian.AppendUint32(nil, handle), body...), err
}

func (s *server) handle(k servedKey) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.keys {
		if old.locator == k.locator && old.public == k.public {
			s.keys[i] = k
			return uint32(i), nil
		}
	}
	if len(s.keys) >= mostKeys {
		return 0, fmt.Errorf("%d keys are in use, which is the most", mostKeys)
	}
	s.keys = append(s.keys, k)
	return uint32(len(s.keys) - 1), nil
}

func (s *server) generate(ctx context.Context, body []byte) ([]byte, error) {
	g, ok := s.driver.(Generator)
	if !ok {
		return nil, signer.Invalid("a device of this kind makes no keys")
	}
	var spec KeySpec
	if err := fromJSON(body, &spec); err != nil {
		return nil, err
	}
	made, err := g.Generate(ctx, spec)
	return toJSON(made, err)
}

func (s *server) attest(ctx context.Context, body []byte) ([]byte, error) {
	a, ok := s.driver.(Attester)
	if !ok {
		return nil, signer.Invalid("a device of this kind attests nothing")
	}
	var q attestation
	if err := fromJSON(body, &q); err != nil {
		return nil, err
	}
	e, err := a.Attest(ctx, q.Locator, q.Challenge)
	return toJSON(e, err)
}

func (s *server) invoke(ctx context.Context, body []byte) ([]byte, error) {
	c, ok := s.driver.(Caller)
	if !ok {
		return nil, signer.Invalid("a device of this kind has no further operations")
	}
	var q invocation
	if err := fromJSON(body, &q); err != nil {
		return nil, err
	}
	return c.Call(ctx, q.Operation, q.Arguments)
}

// login gives the driver a PIN and wipes what is left of it here.
func (s *server) login(ctx context.Context, pin []byte, credential bool) error {
	defer clear(pin)
	var salt, digest []byte
	if credential {
		salt = newSalt()
		digest = pinDigest(salt, pin)
	}
	s.mu.Lock()
	s.salt, s.digest = salt, digest
	s.mu.Unlock()
	return s.driver.Login(ctx, pin)
}

// unlockKey is the key that the next PIN is to be sealed to.
func (s *server) unlockKey() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unlock == nil {
		key, err := unlockKEM().GenerateKey()
		if err != nil {
			return nil, err
		}
		s.unlock = key
	}
	return s.unlock.PublicKey().Bytes(), nil
}

// openPIN logs in with a PIN that was sealed. Its key is of no further use, so that
// nobody can have the same PIN tried again.
func (s *server) openPIN(ctx context.Context, sealed []byte) error {
	s.mu.Lock()
	key := s.unlock
	s.unlock = nil
	s.mu.Unlock()
	if key == nil {
		return signer.Invalid("the PIN was sealed to a key that was used already; type it again")
	}
	pin, err := hpke.Open(key, unlockKDF(), unlockAEAD(), sealedFor(s.token), sealed)
	if err != nil {
		return signer.Invalid("the PIN was sealed to another key, or for another token; type it again")
	}
	s.typing.Store(true)
	defer s.typing.Store(false)
	return s.login(ctx, pin, false)
}

// host is what the driver sees of the daemon.
type host struct{ s *server }

// PINTyped reports whether the PIN that is being tried was typed by a person just now,
// who may use up the last try.
func (h *host) PINTyped() bool { return h.s.typing.Load() }

// TryPIN asks the daemon before, and tells it after. Not hearing its second answer
// ends the worker with the connection, so that nothing comes of the PIN before what
// came of it is durable.
func (h *host) TryPIN(ctx context.Context, left int, send func() error) error {
	h.s.trying.Lock()
	defer h.s.trying.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], uint32(int32(left)))
	text, err := h.converse(kindTrying, kindMayTry, number[:])
	if err != nil {
		return err
	}
	if text != "" {
		return &PINError{Left: left, Blocked: left == 0, Text: text}
	}
	err = send()
	t := h.verdict(err, left)
	body, jerr := json.Marshal(t)
	if jerr != nil {
		return jerr
	}
	if _, jerr := h.converse(kindTried, kindNoted, body); jerr != nil {
		return jerr
	}
	return err
}

// verdict is what the device said to the PIN.
func (h *host) verdict(err error, left int) wireTry {
	t := wireTry{Verdict: verdictNone, Left: left}
	pin, refused := errors.AsType[*PINError](err)
	switch {
	case err == nil:
		t.Verdict = verdictAccepted
	case refused && pin.Sent:
		h.s.mu.RLock()
		defer h.s.mu.RUnlock()
		t = wireTry{verdictRefused, max(pin.Left, -1), h.s.salt, h.s.digest}
	case refused:
		t.Verdict = verdictUnsent
	}
	return t
}

// converse sends a frame and waits for its answer, of which it returns the text.
func (h *host) converse(say, hear frameKind, body []byte) (string, error) {
	if err := h.s.out.send(say, 0, body); err != nil {
		h.s.end(err)
		return "", Gone(err)
	}
	f := <-h.s.answers // the process ends with its connection, whoever waits here
	if f.kind != hear || f.id != 0 {
		err := fmt.Errorf("the daemon answers a PIN with a frame of kind %d", f.kind)
		h.s.end(err)
		return "", Gone(err)
	}
	return string(f.body), nil
}

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealward/sealward/backends"
)

// Config describes a token. Name, Module, TokenURI and PIN are required.
type Config struct {
	Name   string // in messages
	Module string // absolute path of the PKCS#11 module
	// ModuleSHA256 is the digest that the module must have, in hexadecimal; empty
	// accepts any. It is compared right before each loading. Whether the file can
	// be changed by others is for the caller to check.
	ModuleSHA256 string
	TokenURI     string // RFC 7512; must give the token's label or serial number
	// PIN returns the user PIN. It is called for every login, after the token was
	// identified, and what it returns is wiped after use; [ReadPIN] reads a file.
	PIN func() ([]byte, error)
	// Sessions bounds how many signatures are made at once, 8 by default. Beside
	// these, one session holds the login and one is opened to find keys.
	Sessions int
	Queue    int              // requests that may wait, 1024 by default
	Timeout  time.Duration    // the longest wait for a turn, 30 s by default
	Now      func() time.Time // the clock by which attempts are spaced out, time.Now by default
}

// Token is an open token. It is safe for concurrent use, and outlives the loss of
// its device: the next use after that opens it anew.
type Token struct {
	c      Config
	uri    URI
	device *backends.Device

	// conn may be read within device.Do and changed within device.Exclusively. It
	// is nil while there is none.
	conn *connection

	troubled atomic.Bool // whether mu's fields are not zero; saves a lock for each signature
	mu       sync.Mutex
	failures int       // attempts to open since it last worked; owned by mu
	retry    time.Time // none before; owned by mu
	cause    error     // of the last failure; owned by mu
	pin      error     // the token refused the PIN, for good; owned by mu
}

// Open finds the token, logs in and returns it. It fails where the token is not
// there or refuses the PIN; the PIN is sent once.
func Open(ctx context.Context, c Config) (*Token, error) {
	t, err := newToken(c)
	if err != nil {
		return nil, fmt.Errorf("PKCS#11 token %q: %w", c.Name, err)
	}
	if err := t.device.Exclusively(ctx, func() error { t.conn, err = t.connect(); return err }); err != nil {
		return nil, fmt.Errorf("PKCS#11 token %q: %w", c.Name, err)
	}
	t.device.Report(backends.Health{Up: true, Since: c.now()})
	return t, nil
}

func newToken(c Config) (*Token, error) {
	if c.Sessions == 0 {
		c.Sessions = 8
	}
	if c.Queue == 0 {
		c.Queue = 1024
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	uri, err := ParseURI(c.TokenURI)
	switch {
	case err != nil:
		return nil, err
	case !filepath.IsAbs(c.Module):
		return nil, fmt.Errorf("module %q: want an absolute path", c.Module)
	case c.PIN == nil:
		return nil, errors.New("no PIN given; keys that need none are not protected by their token")
	case uri.Token == "" && uri.Serial == "":
		return nil, fmt.Errorf("%s: name the token by its label (token=) or serial number (serial=)", uri)
	case uri.Object != "" || uri.ID != "" || uri.Type != "":
		return nil, fmt.Errorf("%s: this names a key; the token's URI has no object, id or type", uri)
	case c.Sessions < 0 || c.Timeout < 0:
		return nil, fmt.Errorf("%d sessions and a timeout of %s: neither can be negative", c.Sessions, c.Timeout)
	}
	device, err := backends.NewDevice(c.Name, c.Sessions, c.Queue)
	if err != nil {
		return nil, err
	}
	return &Token{c: c, uri: uri, device: device}, nil
}

func (c Config) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Health is the state of the token when it was last used.
func (t *Token) Health() backends.Health { return t.device.Health() }

// Close waits for what the token is doing, closes its sessions and, where no
// other token of this process uses the module, finalises it. Where a call into
// the module does not return within the timeout, Close returns an error and leaves
// the module as it is. A token may be closed twice.
func (t *Token) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), t.c.Timeout)
	defer cancel()
	if err := t.device.Close(ctx); err != nil {
		return err
	}
	// Nobody gets a turn any more; the lock keeps a second Close away.
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.close()
		t.conn = nil
	}
	return nil
}

// do calls f with an open connection, on a turn of its own. When that shows that
// the token is gone or that handles are stale, it calls f once more on a
// connection, or after handles were found, anew.
func (t *Token) do(ctx context.Context, f func(context.Context, *connection) error) error {
	ctx, cancel := context.WithTimeout(ctx, t.c.Timeout)
	defer cancel()
	for again := false; ; again = true {
		var used *connection
		err := t.device.Do(ctx, func() error {
			used = t.conn
			if used == nil || used.dead.Load() {
				return errNotOpen
			}
			return f(ctx, used)
		})
		switch {
		case err == nil:
			t.worked(used)
			return nil
		case errors.Is(err, errNotOpen):
		case gone(err):
			t.lose(used, err)
		case stale(err) && !again:
			continue
		default:
			return err
		}
		if again {
			return t.unavailable()
		}
		if err := t.reopen(ctx); err != nil {
			return err
		}
	}
}

// errNotOpen says that there is no connection to work on.
var errNotOpen = errors.New("token is not open")

// lose marks a connection as dead, so that nobody works on it any more.
func (t *Token) lose(c *connection, cause error) {
	if c.dead.Swap(true) {
		return // another request has met the same
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cause = cause
	t.troubled.Store(true)
	t.device.Report(backends.Health{Reason: cause.Error(), Since: t.c.now(), Retry: t.retry})
}

// reopen replaces a dead connection, unless another request has done so.
func (t *Token) reopen(ctx context.Context) error {
	if err := t.mayTry(); err != nil {
		return err
	}
	return t.device.Exclusively(ctx, func() error {
		if t.conn != nil && !t.conn.dead.Load() {
			return nil
		}
		if err := t.mayTry(); err != nil {
			return err
		}
		if t.conn != nil {
			t.conn.close()
			t.conn = nil
		}
		conn, err := t.connect()
		t.tried(err)
		if err != nil {
			return t.unavailable()
		}
		t.conn = conn
		return nil
	})
}

// mayTry refuses an attempt to open the token that comes too early.
func (t *Token) mayTry() error {
	t.mu.Lock()
	early := t.pin != nil || t.c.now().Before(t.retry)
	t.mu.Unlock()
	if early {
		return t.unavailable()
	}
	return nil
}

// tried takes note of an attempt to open the token. Attempts grow apart until the
// token has done something: one that opens and then cannot sign is no better than
// one that does not open.
func (t *Token) tried(err error) {
	const first, most = 500 * time.Millisecond, time.Minute
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures++
	t.troubled.Store(true)
	now := t.c.now()
	t.retry = now.Add(min(first<<min(t.failures-1, 10), most))
	if err == nil {
		t.device.Report(backends.Health{Up: true, Since: now})
		return
	}
	t.cause = err
	h := backends.Health{Reason: err.Error(), Since: t.device.Health().Since, Retry: t.retry}
	if pinRefused(err) {
		t.pin, h.Retry = err, time.Time{}
	}
	t.device.Report(h)
}

// worked forgets earlier trouble, unless there is new trouble since.
func (t *Token) worked(on *connection) {
	if !t.troubled.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if on.dead.Load() {
		return
	}
	t.failures, t.retry, t.cause = 0, time.Time{}, nil
	t.troubled.Store(false)
}

// unavailable says why there is no token to work with, and when it is tried again.
func (t *Token) unavailable() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pin != nil {
		return backends.Unavailable(t.pin, "token %q refuses its PIN, and it is not sent again; its operator must set it right and restart sealwardd", t.c.Name)
	}
	if t.retry.IsZero() {
		return backends.Unavailable(t.cause, "token %q does not answer; ask again", t.c.Name)
	}
	return backends.Unavailable(t.cause, "token %q does not answer; it is tried again after %s", t.c.Name, t.retry.UTC().Format(time.RFC3339))
}

package pkcs11

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// driver implements [backends.Driver], [backends.Generator] and
// [backends.Attester].
type driver struct {
	settings Settings
	uri      URI
	host     backends.Host
	turns    chan struct{} // holds an element for each turn that is taken

	// mu is held for reading by those who use the connection, and for writing by
	// who opens it, logs in or ends it.
	mu   sync.RWMutex
	conn *connection // nil before Open and once the token is lost or closed
	lost error       // why there is none
	pin  []byte      // what the token accepted, for as long as it does
}

var (
	_ backends.Generator = (*driver)(nil)
	_ backends.Attester  = (*driver)(nil)
)

// NewDriver returns a driver for the token that the settings, a [Settings] in JSON,
// describe.
func NewDriver(settings json.RawMessage, host backends.Host) (backends.Driver, error) {
	s, uri, err := parseSettings(settings)
	if err != nil {
		return nil, fmt.Errorf("PKCS#11: %w", err)
	}
	return &driver{settings: s, uri: uri, host: host, lost: errors.New("the token is not open")}, nil
}

// Open implements [backends.Driver].
func (d *driver) Open(ctx context.Context) (backends.State, error) {
	if err := d.open(); err != nil {
		return backends.State{}, err
	}
	return d.State(ctx)
}

func (d *driver) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	conn, err := connect(d.settings, d.uri)
	if err != nil {
		return err
	}
	d.conn, d.lost = conn, nil
	// One session holds the login, and one is opened to make a key.
	turns := d.settings.Sessions
	if most := conn.info.MaxSessionCount; most != pkcs11.CK_EFFECTIVELY_INFINITE && most != pkcs11.CK_UNAVAILABLE_INFORMATION && most < uint(turns)+2 {
		turns = max(1, int(most)-2)
	}
	d.turns = make(chan struct{}, turns)
	return nil
}

// State implements [backends.Driver].
func (d *driver) State(ctx context.Context) (backends.State, error) {
	var s backends.State
	err := d.recovering(ctx, func(c *connection) error {
		info, err := tokenInfo(c.mod, c.slot)
		if err != nil {
			return fmt.Errorf("ask how %s is: %w", c.name(), err)
		}
		if identity(info) != identity(c.info) {
			return fmt.Errorf("%s is %s now: %w", c.name(), identity(info), pkcs11.Error(pkcs11.CKR_DEVICE_REMOVED))
		}
		s = stateOf(info, c.loggedIn, cap(d.turns), d.settings.Sessions)
		return nil
	})
	return s, err
}

func stateOf(info pkcs11.TokenInfo, loggedIn bool, turns, sessions int) backends.State {
	s := backends.State{
		Device:    fmt.Sprintf("%s %s, serial number %s, token %q", info.ManufacturerID, info.Model, info.SerialNumber, info.Label),
		NeedsPIN:  !loggedIn,
		TriesLeft: triesLeft(info.Flags),
		Facts: []signer.Field{
			{Name: "firmware", Value: fmt.Sprintf("%d.%d", info.FirmwareVersion.Major, info.FirmwareVersion.Minor)},
			{Name: "sessions at once", Value: strconv.Itoa(turns)},
		},
	}
	switch {
	case s.TriesLeft == 0:
		s.Notes = append(s.Notes, "the PIN is locked after too many wrong ones; the token's security officer must set a new one, e.g. pkcs11-tool --init-pin")
	case s.TriesLeft == 1:
		s.Notes = append(s.Notes, "one more wrong PIN locks the token; type the right one")
	case info.Flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0:
		s.Notes = append(s.Notes, "a wrong PIN was tried since the last right one")
	}
	if info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0 {
		s.Notes = append(s.Notes, "no user PIN is set; the token's security officer must set one, e.g. pkcs11-tool --init-pin")
	}
	if turns < sessions {
		s.Notes = append(s.Notes, fmt.Sprintf("the token has %d sessions, fewer than the %d that the configuration asks for and two of our own", info.MaxSessionCount, sessions))
	}
	return s
}

// Find implements [backends.Driver]. The locator is a URI (RFC 7512) that names a
// private key by object and id, or either. What it says of the token must be so.
func (d *driver) Find(ctx context.Context, locator string) (backends.DeviceKey, error) {
	u, err := ParseURI(locator)
	if err != nil {
		return nil, err
	}
	if u.Object == "" && u.ID == "" {
		return nil, fmt.Errorf("%s names no key: give its label (object=) or id (id=)", u)
	}
	k := &key{driver: d, uri: u}
	err = d.do(ctx, func(c *connection, s pkcs11.SessionHandle) error {
		f, err := c.findKey(s, u)
		if err != nil {
			return err
		}
		k.first = f
		k.at.Store(&place{c, f})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", u, err)
	}
	return k, nil
}

// Close implements [backends.Driver]. A driver may be closed twice.
func (d *driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		d.conn.close()
	}
	d.conn, d.lost = nil, errors.New("the token is closed")
	d.forget()
	return nil
}

// forget wipes the PIN. What crypto11 and miekg/pkcs11 made strings of ends with
// the process.
func (d *driver) forget() {
	clear(d.pin)
	d.pin = nil
}

// do calls f with a session of a token that is logged in, on a turn of its own.
// Where that shows that a handle is stale, f is called once more; where the token is
// gone, once more on a connection anew.
func (d *driver) do(ctx context.Context, f func(*connection, pkcs11.SessionHandle) error) error {
	d.mu.RLock()
	turns, lost := d.turns, d.lost
	d.mu.RUnlock()
	if turns == nil {
		return lost // it was never open
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return backends.Unavailable(context.Cause(ctx), "the token was busy for as long as the request could wait; ask again later")
	}
	once := func(c *connection) error {
		if !c.loggedIn {
			return backends.Unavailable(nil, "token %q waits for its PIN", c.info.Label)
		}
		return c.with(ctx, func(s pkcs11.SessionHandle) error { return f(c, s) })
	}
	err := d.recovering(ctx, func(c *connection) error {
		err := once(c)
		if stale(err) {
			err = once(c)
		}
		return err
	})
	if refused, ok := errors.AsType[*backends.PINError](err); ok && refused.Sent {
		d.logOut(ctx, err)
	}
	return err
}

// logOut gives up a login whose PIN was refused since, for a single key. To the
// module we would still be logged in, and it would take any PIN for right, so it is
// initialised anew.
func (d *driver) logOut(ctx context.Context, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil || d.pin == nil {
		return
	}
	d.forget()
	d.conn.dead.Store(true)
	_ = d.replace(ctx, cause) // what goes wrong is in d.lost
}

// recovering calls f with the connection, and once more with a new one where the
// token is gone. A PIN that a person typed lives in this process, so what one new
// connection cures must not end it: an HSM that closes sessions when they are idle
// would want its operator after each pause.
func (d *driver) recovering(ctx context.Context, f func(*connection) error) error {
	for again := false; ; again = true {
		used, err := d.use(f)
		switch {
		case err == nil || used == nil || !gone(err):
			return err
		case again && hasCode(err, pkcs11.CKR_USER_NOT_LOGGED_IN):
			return fmt.Errorf("%s wants more than its user's login for this: %w", used.name(), err)
		case again:
			return backends.Gone(err)
		}
		if err := d.reopen(ctx, used, err); err != nil {
			return err
		}
	}
}

// use calls f with the connection, and returns which one that was.
func (d *driver) use(f func(*connection) error) (*connection, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.conn == nil {
		return nil, d.lost
	}
	return d.conn, f(d.conn)
}

// reopen replaces a connection that is lost, unless somebody else has done so, and
// logs in again.
func (d *driver) reopen(ctx context.Context, used *connection, cause error) error {
	used.dead.Store(true) // whoever waits for one of its sessions lets go
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != used {
		return d.lost
	}
	return d.replace(ctx, cause)
}

// replace opens a new connection in place of the old. mu is held for writing.
func (d *driver) replace(ctx context.Context, cause error) error {
	old := d.conn
	old.close()
	d.conn, d.lost = nil, backends.Gone(cause)
	conn, err := connect(d.settings, d.uri)
	if err != nil {
		d.lost = backends.Gone(errors.Join(cause, err))
		return d.lost
	}
	if identity(conn.info) != identity(old.info) {
		conn.close()
		d.lost = backends.Gone(fmt.Errorf("%s was replaced by %s", old.name(), conn.name()))
		return d.lost
	}
	d.conn, d.lost = conn, nil
	if d.pin == nil {
		return nil
	}
	// Nobody typed the PIN for this, and it was changed if it is refused now.
	err = d.login(ctx, d.pin, false)
	if _, refused := errors.AsType[*backends.PINError](err); refused {
		d.forget()
		return fmt.Errorf("log in again after %v: %w", cause, err)
	}
	if err != nil {
		conn.close()
		d.conn, d.lost = nil, backends.Gone(fmt.Errorf("log in again after %w: %w", cause, err))
	}
	return d.lost
}

// Login implements [backends.Driver].
func (d *driver) Login(ctx context.Context, pin []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.conn == nil:
		return d.lost
	case len(pin) == 0:
		return errors.New("log in: the PIN is empty")
	case d.conn.loggedIn && bytes.Equal(pin, d.pin):
		return nil
	case d.conn.loggedIn:
		return fmt.Errorf("%s is logged in already; nothing was sent", d.conn.name())
	}
	// The token may have been idle since it was opened. Better to find out with no
	// PIN under way.
	if err := d.conn.probe(); gone(err) {
		d.conn.dead.Store(true)
		if err := d.replace(ctx, err); err != nil {
			return err
		}
	}
	if err := d.login(ctx, pin, true); err != nil {
		return err
	}
	d.pin = bytes.Clone(pin)
	return nil
}

// login sends the PIN, once, if the token may be sent it. fresh says that it came
// from outside just now, so that the owner of the worker knows whether somebody
// typed it and may use up the last try. mu is held for writing.
func (d *driver) login(ctx context.Context, pin []byte, fresh bool) error {
	c := d.conn
	left, err := mayTry(c.name(), c.flags(), fresh)
	if err != nil {
		return err
	}
	err = d.host.TryPIN(ctx, left, func() error {
		return pinError(c.name(), c.login(string(pin)), c.flags())
	})
	return heard(err)
}

// heard is the end of a login once its host knows what became of the PIN. A PIN that
// was not looked at concerns nobody else: waiting may help, and typing it does not.
func heard(err error) error {
	if e, ok := errors.AsType[*notSent](err); ok {
		err = fmt.Errorf("%s: %w", e.pin.Text, e.cause)
	}
	if gone(err) {
		return backends.Gone(err)
	}
	return err
}

// mayTry refuses to send a PIN that could do harm, and says how many tries are left.
func mayTry(token string, flags uint, fresh bool) (int, error) {
	switch left := triesLeft(flags); {
	case left == 0:
		return 0, locked(token)
	case left == 1 && !fresh:
		return 1, &backends.PINError{Left: 1, Text: token + " would be locked by one more wrong PIN, so the one that was right before is not sent again; type it"}
	default:
		return left, nil
	}
}

// flags are the token's flags as they are now or, if it does not tell, were.
func (c *connection) flags() uint {
	if info, err := tokenInfo(c.mod, c.slot); err == nil {
		return info.Flags
	}
	return c.info.Flags
}

func (c *connection) name() string { return fmt.Sprintf("token %q", c.info.Label) }

package pkcs11

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"github.com/sealward/sealward/backends"
)

// connection is a module that is initialised and a token that was found in it,
// until it is lost or closed.
type connection struct {
	module string
	mod    *pkcs11.Ctx
	slot   uint
	info   pkcs11.TokenInfo // as it was when it was found
	dead   atomic.Bool      // set when it is lost, for those who wait on it

	// life keeps the module initialised and, once logged in, the login. It is nil
	// for p11-kit's client, a module anew for each handle, which crypto11 cannot
	// initialise for us; held is the session of the login there.
	life     *crypto11.Context
	held     pkcs11.SessionHandle
	loggedIn bool

	idle chan pkcs11.SessionHandle // sessions that nobody uses
	open atomic.Int64              // sessions, idle or not
}

// connect loads the module and finds the one token that a URI describes.
func connect(s Settings, u URI) (*connection, error) {
	if err := checkDigest(s.Module, s.ModuleSHA256); err != nil {
		return nil, err
	}
	c := &connection{module: s.Module, mod: pkcs11.New(s.Module), idle: make(chan pkcs11.SessionHandle, s.Sessions)}
	if c.mod == nil {
		return nil, fmt.Errorf("load %s: it is not a PKCS#11 module, or a library that it needs is missing", s.Module)
	}
	// crypto11 takes the first token with a label. So it is asked without login
	// here, which initialises the module, and again for the slot of the one token
	// that is all that the URI says; the numbers of slots hold until the module is
	// finalised.
	first := &crypto11.Config{Path: s.Module, MaxSessions: 2, LoginNotSupported: true}
	if first.TokenSerial = u.Serial; first.TokenSerial == "" {
		first.TokenLabel = u.Token
	}
	var err error
	if c.life, err = crypto11.Configure(first); err != nil {
		defer c.mod.Destroy()
		return nil, backends.Gone(fmt.Errorf("open %s in %s: %w%s", u, s.Module, err, present(c.mod)))
	}
	if err := c.find(u); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// find finds the token, in a module that is initialised afterwards whatever it was.
func (c *connection) find(u URI) (err error) {
	if _, err := c.mod.GetSlotList(true); hasCode(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		_ = c.life.Close() // it never returns an error
		c.life = nil
		if err := c.mod.Initialize(); err != nil {
			return backends.Gone(fmt.Errorf("initialise %s: %w", c.module, err))
		}
	}
	c.slot, c.info, err = findToken(c.mod, u)
	return err
}

// login sends the PIN, once. Nobody else uses c.
func (c *connection) login(pin string) error {
	if c.life == nil {
		// The login lasts as long as one session does, and this one stays.
		s, err := c.mod.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			return err
		}
		if err := c.mod.Login(s, pkcs11.CKU_USER, pin); err != nil {
			return errors.Join(err, c.mod.CloseSession(s))
		}
		c.held, c.loggedIn = s, true
		return nil
	}
	number := int(c.slot)
	config := &crypto11.Config{Path: c.module, SlotNumber: &number, Pin: pin, MaxSessions: 2}
	life, err := crypto11.Configure(config)
	config.Pin = "" // crypto11 keeps the configuration
	if err != nil {
		return err
	}
	_ = c.life.Close() // the module stays initialised for the one that is logged in
	c.life, c.loggedIn = life, true
	return nil
}

// probe reports whether the token gives sessions, which one that was idle for long
// may not.
func (c *connection) probe() error {
	s, err := c.mod.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION)
	if hasCode(err, pkcs11.CKR_SESSION_COUNT) {
		return nil // it is there, and busy
	}
	if err != nil {
		return err
	}
	return c.mod.CloseSession(s)
}

// close closes the sessions and finalises the module. Nobody uses c any more.
func (c *connection) close() {
	for len(c.idle) > 0 {
		c.drop(<-c.idle)
	}
	if c.life != nil {
		_ = c.life.Close() // it never returns an error
	} else {
		_ = c.mod.Finalize() // closes the session that was held; nothing is left to use
	}
	c.mod.Destroy()
}

// session returns a session that nobody else uses. Where the token has fewer than
// we may use, or other programs have taken them, those that are open are shared;
// where none is, it is waited for a moment.
func (c *connection) session(ctx context.Context) (pkcs11.SessionHandle, error) {
	const again, most = 20 * time.Millisecond, 2 * time.Second
	for start := time.Now(); ; {
		select {
		case s := <-c.idle:
			return s, nil
		default:
		}
		s, err := c.mod.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION)
		if err == nil {
			c.open.Add(1)
			return s, nil
		}
		if !hasCode(err, pkcs11.CKR_SESSION_COUNT) {
			return 0, fmt.Errorf("open session: %w", err)
		}
		if c.open.Load() == 0 && time.Since(start) > most {
			return 0, backends.Unavailable(err, "token %q has no session left; ask again later", c.info.Label)
		}
		select {
		case s := <-c.idle:
			return s, nil
		case <-time.After(again):
		case <-ctx.Done():
			return 0, backends.Unavailable(err, "token %q had no session left for as long as the request could wait; ask again later", c.info.Label)
		}
		if c.dead.Load() {
			return 0, pkcs11.Error(pkcs11.CKR_SESSION_CLOSED)
		}
	}
}

// drop closes a session that may have an operation or an error pending.
func (c *connection) drop(s pkcs11.SessionHandle) {
	_ = c.mod.CloseSession(s) // it may be gone
	c.open.Add(-1)
}

// with calls f with a session, which is used again only after a success.
func (c *connection) with(ctx context.Context, f func(pkcs11.SessionHandle) error) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	if err := f(s); err != nil {
		c.drop(s)
		return err
	}
	c.idle <- s // there is room for as many as there are turns
	return nil
}

// findToken returns the slot of the one token that a URI describes.
func findToken(mod *pkcs11.Ctx, u URI) (uint, pkcs11.TokenInfo, error) {
	slots, err := mod.GetSlotList(true)
	if err != nil {
		return 0, pkcs11.TokenInfo{}, backends.Gone(fmt.Errorf("list slots: %w", err))
	}
	var found []uint
	var info pkcs11.TokenInfo
	for _, slot := range slots {
		i, err := tokenInfo(mod, slot)
		if err == nil && u.matches(i) {
			found, info = append(found, slot), i
		}
	}
	switch len(found) {
	case 1:
		return found[0], info, nil
	case 0:
		return 0, pkcs11.TokenInfo{}, backends.Gone(fmt.Errorf("no token is all of %s%s", u, describe(mod)))
	default:
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("%d tokens are %s; add serial= to name one%s", len(found), u, describe(mod))
	}
}

// tokenInfo is what a token says of itself. Padding is not part of a value (RFC
// 7512, 2.6). miekg/pkcs11 removes blanks; tpm2-pkcs11 pads with zeros too.
func tokenInfo(mod *pkcs11.Ctx, slot uint) (pkcs11.TokenInfo, error) {
	i, err := mod.GetTokenInfo(slot)
	for _, s := range []*string{&i.Label, &i.ManufacturerID, &i.Model, &i.SerialNumber} {
		*s = strings.TrimRight(*s, "\x00 ")
	}
	return i, err
}

// matches reports whether a token is all that u says.
func (u URI) matches(i pkcs11.TokenInfo) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(u.Token, i.Label) && is(u.Manufacturer, i.ManufacturerID) && is(u.Model, i.Model) && is(u.Serial, i.SerialNumber)
}

// identity is all that a URI can say of a token.
func identity(i pkcs11.TokenInfo) URI {
	return URI{Token: i.Label, Manufacturer: i.ManufacturerID, Model: i.Model, Serial: i.SerialNumber}
}

// describe lists the tokens of a module that is initialised, for an error.
func describe(mod *pkcs11.Ctx) string {
	slots, err := mod.GetSlotList(true)
	if err != nil {
		return ""
	}
	var all []string
	for _, slot := range slots {
		if i, err := tokenInfo(mod, slot); err == nil && i.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			all = append(all, identity(i).String())
		}
	}
	if len(all) == 0 {
		return "; the module shows no token"
	}
	return "; the module shows " + strings.Join(all, " and ")
}

// present is describe for a module that is not initialised.
func present(mod *pkcs11.Ctx) string {
	if err := mod.Initialize(); err != nil {
		return ""
	}
	defer func() { _ = mod.Finalize() }() // it is only for a message
	return describe(mod)
}

// checkDigest compares a file's SHA-256 with what it should be.
func checkDigest(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("module: %w", err)
	}
	defer f.Close()
	if want == "" {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("module: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != strings.ToLower(want) {
		return fmt.Errorf("module %s: its SHA-256 is %s, pinned is %s; it is not loaded", path, got, want)
	}
	return nil
}

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
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

// loading serialises what changes the state of a module, which belongs to the
// process: loading, C_Initialize, C_Login, C_Finalize.
var loading sync.Mutex

// connection is a token that is logged in, until it is lost or closed.
type connection struct {
	mod  *pkcs11.Ctx
	slot uint
	info pkcs11.TokenInfo
	dead atomic.Bool

	idle chan pkcs11.SessionHandle // sessions that nobody uses
	// logout ends the login and finalises the module, once nobody uses it.
	logout func()
}

// connect loads the module, finds the token and logs in.
func (t *Token) connect() (*connection, error) {
	loading.Lock()
	defer loading.Unlock()
	if err := checkDigest(t.c.Module, t.c.ModuleSHA256); err != nil {
		return nil, err
	}
	// crypto11 takes the first token with a label, logs in and returns. So it is
	// asked twice: once without login, which initialises the module, and again for
	// the slot of the one token that is all that the URI says. Both share the
	// module, and the numbers of slots hold while it is initialised.
	first := &crypto11.Config{Path: t.c.Module, MaxSessions: 2, LoginNotSupported: true}
	if first.TokenSerial = t.uri.Serial; first.TokenSerial == "" {
		first.TokenLabel = t.uri.Token
	}
	probe, err := crypto11.Configure(first)
	if err != nil {
		return nil, fmt.Errorf("open %s in %s: %w%s", t.uri, t.c.Module, err, present(t.c.Module))
	}
	defer probe.Close()
	c := &connection{mod: pkcs11.New(t.c.Module), idle: make(chan pkcs11.SessionHandle, t.c.Sessions)}
	if c.mod == nil {
		return nil, fmt.Errorf("load %s: it is not a PKCS#11 module", t.c.Module)
	}
	if err := t.find(c); err != nil {
		c.mod.Destroy()
		return nil, err
	}
	return c, nil
}

// find finds the token and logs in.
func (t *Token) find(c *connection) (err error) {
	// p11-kit's client is a module anew for each handle on it, which crypto11 does
	// not know to be initialised. There we do all by ourselves.
	login, finalise := t.loginByCrypto11, func() {}
	if _, err := c.mod.GetSlotList(true); hasCode(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		if err := c.mod.Initialize(); err != nil {
			return fmt.Errorf("initialise %s: %w", t.c.Module, err)
		}
		login, finalise = t.loginByHand, func() { _ = c.mod.Finalize() } // nothing of it is left to use
	}
	if c.slot, c.info, err = findToken(c.mod, t.uri); err == nil {
		err = t.login(c, login)
	}
	if err != nil {
		finalise()
		return err
	}
	end := c.logout
	c.logout = func() { end(); finalise() }
	return nil
}

// login sends the PIN, once.
func (t *Token) login(c *connection, send func(c *connection, pin string) error) error {
	switch {
	case c.info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return fmt.Errorf("log in to %s: %w", t.uri, pkcs11.Error(pkcs11.CKR_PIN_LOCKED))
	case c.info.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return fmt.Errorf("log in to %s: one more wrong PIN would lock the token, so none is sent; log in by hand with the right one first: %w", t.uri, errFinalTry)
	}
	pin, err := t.c.PIN()
	defer clear(pin)
	if err != nil {
		return fmt.Errorf("PIN of %s: %w", t.uri, err)
	}
	if len(pin) == 0 {
		return fmt.Errorf("PIN of %s: it is empty", t.uri)
	}
	if err := send(c, string(pin)); err != nil {
		return fmt.Errorf("log in to %s: %w", t.uri, err)
	}
	return nil
}

func (t *Token) loginByCrypto11(c *connection, pin string) error {
	number := int(c.slot)
	config := &crypto11.Config{Path: t.c.Module, SlotNumber: &number, Pin: pin, MaxSessions: 2}
	life, err := crypto11.Configure(config)
	config.Pin = "" // crypto11 keeps the configuration
	if err != nil {
		return err
	}
	c.logout = func() { _ = life.Close() } // it never returns one
	return nil
}

func (t *Token) loginByHand(c *connection, pin string) error {
	// The login lasts as long as one session does, and this one stays.
	s, err := c.mod.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return err
	}
	if err := c.mod.Login(s, pkcs11.CKU_USER, pin); err != nil {
		return errors.Join(err, c.mod.CloseSession(s))
	}
	c.logout = func() { c.drop(s) }
	return nil
}

// close closes the sessions and lets go of the module. Nobody uses c any more.
func (c *connection) close() {
	loading.Lock()
	defer loading.Unlock()
	for len(c.idle) > 0 {
		c.drop(<-c.idle)
	}
	c.logout()
	c.mod.Destroy()
}

// session returns a session that nobody else uses, for with.
// Where the token has fewer sessions than we have turns, or other programs have
// taken them, it waits for one.
func (c *connection) session(ctx context.Context) (pkcs11.SessionHandle, error) {
	const again = 20 * time.Millisecond
	for {
		select {
		case s := <-c.idle:
			return s, nil
		default:
		}
		s, err := c.mod.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION)
		if err == nil {
			return s, nil
		}
		if !hasCode(err, pkcs11.CKR_SESSION_COUNT) {
			return 0, fmt.Errorf("open session: %w", err)
		}
		select {
		case s := <-c.idle:
			return s, nil
		case <-time.After(again):
		case <-ctx.Done():
			return 0, fmt.Errorf("open session: %w, for as long as the request could wait", err)
		}
		if c.dead.Load() {
			return 0, errNotOpen
		}
	}
}

// drop closes a session that may have an operation or an error pending.
func (c *connection) drop(s pkcs11.SessionHandle) { _ = c.mod.CloseSession(s) } // it may be gone

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
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("list slots: %w", err)
	}
	var found []uint
	var info pkcs11.TokenInfo
	for _, slot := range slots {
		i, err := mod.GetTokenInfo(slot)
		if err == nil && u.matches(i) {
			found, info = append(found, slot), i
		}
	}
	switch len(found) {
	case 1:
		return found[0], info, nil
	case 0:
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("no token is all of %s%s", u, describe(mod))
	default:
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("%d tokens are %s; add serial= to name one%s", len(found), u, describe(mod))
	}
}

// matches reports whether a token is all that u says. Padding is not part of a
// value (RFC 7512, 2.6), and miekg/pkcs11 has removed it.
func (u URI) matches(i pkcs11.TokenInfo) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(u.Token, i.Label) && is(u.Manufacturer, i.ManufacturerID) && is(u.Model, i.Model) && is(u.Serial, i.SerialNumber)
}

// describe lists the tokens of a module that is initialised, for an error.
func describe(mod *pkcs11.Ctx) string {
	slots, err := mod.GetSlotList(true)
	if err != nil {
		return ""
	}
	var all []string
	for _, slot := range slots {
		if i, err := mod.GetTokenInfo(slot); err == nil && i.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			all = append(all, URI{Token: i.Label, Manufacturer: i.ManufacturerID, Model: i.Model, Serial: i.SerialNumber}.String())
		}
	}
	if len(all) == 0 {
		return "; the module shows no token"
	}
	return "; the module shows " + strings.Join(all, " and ")
}

// present is describe for a module that crypto11 did not keep initialised.
func present(module string) string {
	mod := pkcs11.New(module)
	if mod == nil {
		return ""
	}
	defer mod.Destroy()
	switch err := mod.Initialize(); {
	case err == nil:
		defer func() { _ = mod.Finalize() }() // it is only for a message
	case !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)):
		return ""
	}
	return describe(mod)
}

// checkDigest compares a file's SHA-256 with what it should be.
func checkDigest(path, want string) error {
	if want == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != strings.ToLower(want) {
		return fmt.Errorf("module %s: its SHA-256 is %s, pinned is %s; it is not loaded", path, got, want)
	}
	return nil
}

package pivcard

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"time"
)

// Version is a firmware version.
type Version [3]byte

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// least reports whether a version is another one or a later one.
func (v Version) least(major, minor byte) bool {
	return v[0] > major || v[0] == major && v[1] >= minor
}

// Config says what card to make. Its zero value is a card with serial number 1, the
// newest firmware, and nothing that outlives the process.
type Config struct {
	Serial     uint32
	Firmware   Version // the zero value is 5.7.1
	FormFactor byte    // the zero value is 1, a USB-A keychain
	// File keeps what outlives the power: it is read if it is there, and written
	// before the answer to each command that changes something. Keys are in it in
	// the clear. None if empty.
	File string
	// Authority signs the certificate of the attestation key; nil makes one.
	Authority *Authority
	// TouchTimeout is how long the card waits for a touch; the zero value is 15 s.
	TouchTimeout time.Duration
	// Now is the clock for cached touches; nil is the host's.
	Now func() time.Time
}

// Card is a PIV card.
type Card struct {
	config Config
	root   *x509.Certificate
	touch  chan struct{} // holds a touch that was given while the card waits

	// turn is held for as long as a command is carried out, so that there is one at
	// a time. Whoever holds it may read state and session.
	turn sync.Mutex
	// mu guards what follows. It is free while the card waits for a touch.
	mu      sync.Mutex
	state   state
	session session
	dirty   bool // state differs from the file
	counts  Counts
	faults  []*fault
	waiting bool
	onTouch func()
	pause   time.Duration
}

// session is everything that the card forgets when its power goes.
type session struct {
	applet       applet
	pinVerified  bool
	pinFresh     bool // the last command verified the PIN
	pinBefore    bool // the command before the one in hand verified the PIN
	managed      bool // the management key was proved
	witness      []byte
	challenge    []byte
	lastTouch    time.Time
	chained      *command
	rest         []byte // of a response
	endless      bool   // see [Endless]
	otherMessage bool   // see [OtherMessage]
	otherKey     bool   // see [OtherKey]
}

// Counts are what a card has seen since it was made.
type Counts struct {
	Commands   int // complete commands, GET RESPONSE not counted
	Verify     int // VERIFY with a PIN
	Signatures int // private key operations, for whatever purpose
	Touches    int // that a command waited for and got
	Resets     int // power cycles and resets
}

// New makes a card, or reads it from its file.
func New(c Config) (*Card, error) {
	if c.Serial == 0 {
		c.Serial = 1
	}
	if c.Firmware == (Version{}) {
		c.Firmware = Version{5, 7, 1}
	}
	if c.FormFactor == 0 {
		c.FormFactor = 1
	}
	if c.TouchTimeout == 0 {
		c.TouchTimeout = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	card := &Card{config: c, touch: make(chan struct{}, 1)}
	found, err := card.load()
	if err != nil || found {
		return card, err
	}
	if err := card.manufacture(); err != nil {
		return nil, err
	}
	return card, card.save()
}

// Transmit carries out one command APDU and returns the response APDU. It returns
// nil when the context ends first, while the card waits for a touch or hangs.
func (c *Card) Transmit(ctx context.Context, apdu []byte) []byte {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.session.pinFresh
	c.session.pinFresh = false
	cmd, err := parseCommand(apdu)
	if err != nil {
		return c.session.respond(nil, swWrongLength, 0)
	}
	switch {
	case cmd.cla&^0x10 == 0: // what PIV uses: SP 800-73-4 part 2, 3
	case cmd.cla&0xfc == 0x0c:
		return c.session.respond(nil, swNoSecureMessage, 0)
	case cmd.cla&0xe0 == 0:
		return c.session.respond(nil, swNoLogicalChan, 0)
	default:
		return c.session.respond(nil, swUnknownCLA, 0)
	}
	if c.session.endless {
		return endless()
	}
	if cmd.ins == insGetResponse {
		if len(c.session.rest) == 0 {
			return c.session.respond(nil, swConditions, 0)
		}
		return c.session.respond(c.session.rest, swOK, cmd.want)
	}
	c.session.pinBefore = fresh
	cmd, complete, sw := c.session.chain(cmd)
	if !complete { // the next link is the same command
		c.session.pinFresh = c.session.pinBefore
		return c.session.respond(nil, sw, 0)
	}
	c.counts.Commands++
	return c.failing(ctx, cmd)
}

// do carries out a complete command.
func (c *Card) do(ctx context.Context, cmd command) []byte {
	data, sw := c.dispatch(ctx, cmd)
	if c.dirty {
		c.dirty = false
		if err := c.save(); err != nil {
			sw = swMemoryFailure
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if sw != swOK {
		data = nil
	}
	return c.session.respond(data, sw, cmd.want)
}

// Reset is a reset or the loss of power: the card forgets that a PIN was verified.
func (c *Card) Reset() {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = session{}
	c.counts.Resets++
}

// OnTouch sets a function that is called when the card starts to wait for a touch.
func (c *Card) OnTouch(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onTouch = f
}

// Touch touches the card. A touch that no command waits for does nothing.
func (c *Card) Touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waiting {
		return
	}
	select {
	case c.touch <- struct{}{}:
	default:
	}
}

// Slow has each use of a private key take that much longer, as it does in hardware,
// where it costs this host's processor nothing.
func (c *Card) Slow(pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pause = pause
}

// Waiting reports whether the card waits for a touch.
func (c *Card) Waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// Counts returns what the card has seen.
func (c *Card) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Tries returns how many wrong PINs and PUKs the card still takes.
func (c *Card) Tries() (pin, puk int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.PIN.Left, c.state.PUK.Left
}

// Serial returns the card's serial number.
func (c *Card) Serial() uint32 { return c.config.Serial }

// Root returns the certificate that the card's attestations lead to.
func (c *Card) Root() *x509.Certificate { return c.root }

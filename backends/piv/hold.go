package piv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

const (
	// burst is for how long the card is held in one go when there is always something
	// to sign, and breather how long other programs then have to take it. PC/SC does
	// not tell that somebody waits, and does not queue: they have to ask again and
	// again.
	burst    = 2 * time.Second
	breather = 50 * time.Millisecond

	firstPause   = 5 * time.Millisecond
	longestPause = 100 * time.Millisecond
)

// connection is the card while it is held.
type connection struct {
	yk    *piv.YubiKey
	since time.Time
	// verified is set once the card has seen the PIN. Nobody else can make it forget
	// while the card is held.
	verified bool
	slots    map[piv.Slot]slotKey // as read on this connection
}

// read returns the key in a slot, which is the same for as long as the card is held.
func (c *connection) read(slot piv.Slot) (slotKey, error) {
	if k, ok := c.slots[slot]; ok {
		return k, nil
	}
	k, err := readSlot(c.yk, slot)
	if err == nil {
		c.slots[slot] = k
	}
	return k, err
}

// alone waits for the turn and calls f. A panic, which a card can cause in piv-go,
// is an error that ends the worker: what it leaves behind is unknown.
func (d *driver) alone(ctx context.Context, f func() error) (err error) {
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	defer d.recovered(&err)
	if d.broken != nil {
		return backends.Gone(d.broken)
	}
	return f()
}

// use calls f with the card held.
func (d *driver) use(ctx context.Context, f func(*connection) error) error {
	return d.alone(ctx, func() error {
		c, err := d.connected(ctx)
		if err != nil {
			return err
		}
		return d.explain(f(c))
	})
}

func (d *driver) recovered(err *error) {
	if p := recover(); p != nil {
		d.broken = fmt.Errorf("the card %d gave an answer that crashed its driver: %v", d.settings.Serial, p)
		*err = backends.Gone(d.broken)
	}
}

// explain finds out what an error means for the connection, and for the worker.
func (d *driver) explain(err error) error {
	if err == nil || refused(err) || errors.Is(err, backends.ErrGone) {
		return err
	}
	if _, ok := errors.AsType[*signer.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*backends.PINError](err); ok {
		return err
	}
	// Either the card cannot be reached, or it answers nonsense. piv-go does not let
	// on which, so the reader is asked. A new connection is needed either way.
	d.letGo()
	if d.broken != nil {
		return backends.Gone(d.broken)
	}
	_, why := find(d.settings.Serial, d.settings.Reader, d.last.reader)
	if why != nil && !errors.Is(why, faultSharing) {
		return backends.Gone(fmt.Errorf("%w (%w)", why, err))
	}
	return err
}

// take waits for the turn.
func (d *driver) take(ctx context.Context) error {
	if ctx.Err() == nil { // select would take either
		select {
		case d.turn <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	if d.waiting.Load() {
		return d.heldByOthers(context.Cause(ctx))
	}
	return backends.Unavailable(context.Cause(ctx), "card %d was busy for as long as the request could wait; ask again later", d.settings.Serial)
}

func (d *driver) give() {
	if d.conn != nil {
		d.idle.Reset(d.hold)
	}
	<-d.turn
}

// wait lets another program work with the card for a moment.
func (d *driver) wait(ctx context.Context, pause time.Duration, cause error) error {
	d.waiting.Store(true)
	defer d.waiting.Store(false)
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return d.heldByOthers(cause)
	}
}

func (d *driver) heldByOthers(cause error) error {
	return backends.Unavailable(cause, "another program holds card %d; ask again when it is done, or end it (gpg's scdaemon and browsers hold cards for long)", d.settings.Serial)
}

// connected returns the card, held, and sure to be the one.
func (d *driver) connected(ctx context.Context) (*connection, error) {
	if d.conn != nil {
		if time.Since(d.conn.since) < burst {
			return d.conn, nil
		}
		d.letGo()
		time.Sleep(breather)
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		c, err := d.open()
		if err == nil {
			d.conn = c
			return c, nil
		}
		if errors.Is(err, backends.ErrGone) {
			return nil, err
		}
		v, why := find(d.settings.Serial, d.settings.Reader, d.last.reader)
		switch {
		case why == nil: // it is free by now, or in another reader
			d.last, why = v, err
		case !errors.Is(why, faultSharing):
			return nil, backends.Gone(why)
		}
		if err := d.wait(ctx, pause, why); err != nil {
			return nil, err
		}
	}
}

// open takes hold of the card in the reader where it was last.
func (d *driver) open() (*connection, error) {
	yk, err := piv.Open(d.last.reader)
	switch {
	case err == nil:
	case strings.HasPrefix(err.Error(), "connecting to "): // nothing is held yet
		return nil, err
	default:
		// piv-go has taken hold of the card and will not let it go: end the process.
		d.broken = fmt.Errorf("open the PIV application of card %d: %w", d.settings.Serial, err)
		return nil, backends.Gone(d.broken)
	}
	serial, err := yk.Serial()
	if err == nil && serial != d.settings.Serial {
		err = fmt.Errorf("the card in reader %q has serial number %d; want %d", d.last.reader, serial, d.settings.Serial)
	}
	if err != nil {
		_ = yk.Close() // it was not used for anything
		return nil, err
	}
	return &connection{yk: yk, since: time.Now(), slots: map[piv.Slot]slotKey{}}, nil
}

// letGo lets the card go so that nobody else can sign with our PIN. What goes wrong
// here is met again by whoever connects next.
func (d *driver) letGo() {
	c := d.conn
	if c == nil {
		return
	}
	d.conn = nil
	forgot := true
	if c.verified {
		// FormFactor selects another application, which makes the card forget that
		// the PIN was verified (SP 800-73-4 part 2, 3.1.1).
		_, err := c.yk.FormFactor()
		forgot = err == nil
	}
	if err := c.yk.Close(); err != nil || forgot {
		return
	}
	s, err := openService()
	if err != nil {
		return
	}
	defer s.close()
	if ch, err := s.connect(d.last.reader); err == nil {
		ch.reset()
	}
}

// letGoWhenIdle is called by the timer. When somebody has the turn, the timer is set
// again as they give it back.
func (d *driver) letGoWhenIdle() {
	select {
	case d.turn <- struct{}{}:
	default:
		return
	}
	defer func() { <-d.turn }()
	var err error
	defer d.recovered(&err) // the next to come is told
	d.letGo()
}

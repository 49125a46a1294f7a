package piv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// driver drives one card. It does one thing at a time, as the card does.
type driver struct {
	settings Settings
	roots    Roots
	host     backends.Host
	typed    func() bool // whether the PIN was typed by a person
	hold     time.Duration
	idle     *time.Timer // lets the card go
	// waiting is set while whoever has the turn waits for another program.
	waiting atomic.Bool

	turn chan struct{} // held by whoever reads or writes what follows
	last survey        // of the card, as it was seen last
	conn *connection   // nil while the card is let go
	pin  []byte        // nil until Login, and after the card refused it
	// broken says why this process can do no more, and must end.
	broken error
}

// Open finds the card.
func (d *driver) Open(ctx context.Context) (s backends.State, err error) {
	err = d.alone(ctx, func() error {
		d.letGo()
		if d.last, err = d.search(ctx); err != nil {
			return err
		}
		if !least(d.last.firmware, 4, 3) {
			return fmt.Errorf("card %d has firmware %s, which cannot attest its keys; want 4.3 or later", d.last.serial, version(d.last.firmware))
		}
		// piv-go must be able to open it as well.
		if _, err := d.connected(ctx); err != nil {
			return err
		}
		s = d.describe()
		return nil
	})
	return s, err
}

// State looks at the card anew, where no other program holds it for longer than a
// moment.
func (d *driver) State(ctx context.Context) (s backends.State, err error) {
	const patience = time.Second
	err = d.alone(ctx, func() error {
		d.letGo()
		short, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		v, err := d.search(short)
		switch {
		case err == nil:
			d.last = v
			s = d.describe()
			return nil
		case errors.Is(err, faultSharing) && ctx.Err() == nil:
			s = d.describe()
			s.Notes = append(s.Notes, "another program holds the card; this is how it was before")
			return nil
		}
		return err
	})
	return s, err
}

// search returns a survey of the card. It waits as long as another program holds it.
func (d *driver) search(ctx context.Context) (survey, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		v, err := find(d.settings.Serial, d.settings.Reader, d.last.reader)
		switch {
		case err == nil:
			return v, nil
		case !errors.Is(err, faultSharing):
			return survey{}, backends.Gone(err)
		}
		if err := d.wait(ctx, pause, err); err != nil {
			return survey{}, err
		}
	}
}

// describe puts what was seen into words.
func (d *driver) describe() backends.State {
	v := d.last
	s := backends.State{
		Device:    fmt.Sprintf("PIV card %d, firmware %s", v.serial, version(v.firmware)),
		NeedsPIN:  d.pin == nil,
		TriesLeft: v.pin.left,
		Facts: []signer.Field{
			{Name: "serial", Value: strconv.FormatUint(uint64(v.serial), 10)},
			{Name: "firmware", Value: version(v.firmware)},
			{Name: "reader", Value: v.reader},
			{Name: "pin tries left", Value: v.pin.String()},
			{Name: "puk tries left", Value: v.puk.String()},
		},
	}
	if v.formFactor != 0 {
		s.Facts = append(s.Facts, signer.Field{Name: "form factor", Value: v.formFactor.String()})
	}
	for _, n := range []struct {
		wrong bool
		text  string
	}{
		{v.pin.left == 0, blockedText(v)},
		{v.pin.left == 1, "one wrong PIN blocks the card; it is not sent by itself any more. Verify the right one, which sets the count back: yubico-piv-tool -a verify-pin"},
		{v.puk.left == 0 && v.pin.left != 0, "the PUK is blocked: a PIN that is blocked as well can only be cured by `ykman piv reset`, which destroys the keys"},
		{v.pin.factory == factoryYes, "the PIN is the factory's, which everybody knows; change it: ykman piv access change-pin"},
		{v.puk.factory == factoryYes, "the PUK is the factory's, which everybody knows; change it: ykman piv access change-puk"},
		{v.management == factoryYes, "the management key is the factory's: whoever can reach the card can replace its keys; change it: ykman piv access change-management-key --generate --protect"},
		{!least(v.firmware, 5, 7), "with firmware before 5.7, whoever has the card in a laboratory can learn its P-256 and P-384 keys (Yubico's advisory YSA-2024-03); keep it locked up, or use another card"},
	} {
		if n.wrong {
			s.Notes = append(s.Notes, n.text)
		}
	}
	return s
}

func version(v piv.Version) string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

func (n counter) String() string {
	switch {
	case n.left < 0:
		return "unknown"
	case n.total < 0:
		return strconv.Itoa(n.left)
	}
	return fmt.Sprintf("%d of %d", n.left, n.total)
}

// Find returns the key in a slot.
func (d *driver) Find(ctx context.Context, locator string) (backends.DeviceKey, error) {
	slot, err := parseSlot(locator)
	if err != nil {
		return nil, err
	}
	k := &key{driver: d, slot: slot}
	err = d.use(ctx, func(c *connection) (err error) {
		if k.slotKey, err = c.read(slot); err != nil {
			return err
		}
		return checkCertificate(c.yk, slot, k.slotKey)
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Close lets the card go, without its PIN, and forgets the PIN. It does so also when
// the driver is broken, as far as it can.
func (d *driver) Close() (err error) {
	if err := d.take(context.Background()); err != nil {
		return err
	}
	defer d.give()
	defer d.recovered(&err)
	d.broken = errors.New("the driver is closed")
	d.idle.Stop()
	d.forget()
	d.letGo()
	return nil
}

package piv

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

// plan is a key to make.
type plan struct {
	slot   piv.Slot
	key    piv.Key
	ykman  string // the algorithm's name in ykman
	recent bool   // it needs firmware 5.7
}

// parsePlan reads a specification. Its options are slot, which is required,
// pin_policy (never, once or always; once by default) and touch_policy (never, cached
// or always; never by default).
func parsePlan(spec backends.KeySpec) (plan, error) {
	var p plan
	if spec.Wrapped {
		return p, errors.New("a PIV card has no wrapped keys")
	}
	given := map[string]string{"pin_policy": "once", "touch_policy": "never"}
	for name, value := range spec.Options {
		if name != "slot" && given[name] == "" {
			return p, fmt.Errorf("unknown option %q; a PIV card has slot, pin_policy and touch_policy", name)
		}
		given[name] = value
	}
	var err error
	if p.slot, err = parseSlot(given["slot"]); err != nil {
		return p, err
	}
	for policy, name := range pinPolicies {
		if name == given["pin_policy"] {
			p.key.PINPolicy = policy
		}
	}
	for policy, name := range touchPolicies {
		if name == given["touch_policy"] {
			p.key.TouchPolicy = policy
		}
	}
	switch {
	case p.key.PINPolicy == 0:
		return p, fmt.Errorf("pin_policy %q: want never, once or always", given["pin_policy"])
	case p.key.TouchPolicy == 0:
		return p, fmt.Errorf("touch_policy %q: want never, cached or always", given["touch_policy"])
	case spec.Bits != 0 && spec.Algorithm != signer.AlgorithmRSA:
		return p, fmt.Errorf("a key of algorithm %q has no choice of bits", spec.Algorithm)
	}
	switch spec.Algorithm {
	case signer.AlgorithmP256:
		p.key.Algorithm, p.ykman = piv.AlgorithmEC256, "ECCP256"
	case signer.AlgorithmP384:
		p.key.Algorithm, p.ykman = piv.AlgorithmEC384, "ECCP384"
	case signer.AlgorithmEd25519:
		p.key.Algorithm, p.ykman, p.recent = piv.AlgorithmEd25519, "ED25519", true
	case signer.AlgorithmRSA:
		return p, p.setBits(spec.Bits)
	default:
		return p, fmt.Errorf("a PIV card has no keys of algorithm %q; it has p256, p384, ed25519 and rsa", spec.Algorithm)
	}
	return p, nil
}

func (p *plan) setBits(bits int) error {
	switch bits {
	case 2048:
		p.key.Algorithm = piv.AlgorithmRSA2048
	case 3072:
		p.key.Algorithm, p.recent = piv.AlgorithmRSA3072, true
	case 4096:
		p.key.Algorithm, p.recent = piv.AlgorithmRSA4096, true
	default:
		return fmt.Errorf("an RSA key in a PIV card has 2048, 3072 or 4096 bits, not %d", bits)
	}
	p.ykman = fmt.Sprint("RSA", bits)
	return nil
}

// Generate makes a key in an empty slot. It needs a management key that the card
// keeps protected by its PIN, or the factory's; management keys pass through no
// configuration.
func (d *driver) Generate(ctx context.Context, spec backends.KeySpec) (backends.NewKey, error) {
	p, err := parsePlan(spec)
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("make a key: %w", err)
	}
	var made backends.NewKey
	err = d.use(ctx, func(c *connection) (err error) {
		made, err = d.generate(ctx, c, p)
		return err
	})
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("make a key in slot %s of card %d: %w", p.slot, d.settings.Serial, err)
	}
	return made, nil
}

func (d *driver) generate(ctx context.Context, c *connection, p plan) (backends.NewKey, error) {
	if err := mayGenerate(c.yk, p); err != nil {
		return backends.NewKey{}, err
	}
	management, fromFactory, err := d.managementKey(ctx, c)
	if err != nil {
		return backends.NewKey{}, err
	}
	public, err := c.yk.GenerateKey(management, p.slot, p.key)
	if err != nil && fromFactory && strings.HasPrefix(err.Error(), "authenticating with management key") {
		return backends.NewKey{}, fmt.Errorf("the management key is not the factory's, and the card does not keep it protected by a PIN that was given; make the key by hand: "+
			"`ykman piv keys generate --algorithm %s --pin-policy %s --touch-policy %s %s public.pem` (%w)",
			p.ykman, strings.ToUpper(pinPolicies[p.key.PINPolicy]), strings.ToUpper(touchPolicies[p.key.TouchPolicy]), p.slot, err)
	}
	if err != nil {
		return backends.NewKey{}, err
	}
	k := &key{driver: d, slot: p.slot}
	if k.slotKey, err = readSlot(c.yk, p.slot); err != nil {
		return backends.NewKey{}, err
	}
	returned, err := standard(public)
	if err != nil {
		return backends.NewKey{}, err
	}
	if !same(returned, k.key) || k.pin != p.key.PINPolicy || k.touch != p.key.TouchPolicy || k.origin != signer.OriginGenerated {
		return backends.NewKey{}, errors.New("the card now has another key than the one that it said it made, or under other policies; do not use this card")
	}
	delete(c.slots, p.slot)
	facts := k.Facts()
	if fromFactory {
		facts.Facts = append(facts.Facts, signer.Field{Name: "warning",
			Value: "the management key is the factory's: whoever can reach the card can replace this key; change it now: ykman piv access change-management-key --generate --protect"})
	}
	return backends.NewKey{Locator: p.slot.String(), Facts: facts}, nil
}

// mayGenerate refuses what would destroy a key, or make one that the card lacks.
func mayGenerate(yk *piv.YubiKey, p plan) error {
	switch v := yk.Version(); {
	case !least(v, 5, 3):
		return fmt.Errorf("firmware %s cannot tell whether the slot is empty; make the key by hand with ykman", version(v))
	case p.recent && !least(v, 5, 7):
		return fmt.Errorf("firmware %s has no %s keys; they need 5.7", version(v), p.ykman)
	}
	switch _, err := readMetadata(yk, p.slot); {
	case err == nil:
		return fmt.Errorf("the slot has a key already, which would be destroyed; use another slot, or delete it first: ykman piv keys delete %s", p.slot)
	case !errors.Is(err, errEmptySlot):
		return fmt.Errorf("find out whether the slot is empty: %w", err)
	}
	switch _, err := yk.Certificate(p.slot); {
	case err == nil:
		return fmt.Errorf("the slot has a certificate of some other key; delete it first: ykman piv certificates delete %s", p.slot)
	case !errors.Is(err, piv.ErrNotFound):
		return fmt.Errorf("find out whether the slot has a certificate: %w", err)
	}
	return nil
}

// managementKey returns the management key that the card keeps protected by its PIN,
// or the factory's.
func (d *driver) managementKey(ctx context.Context, c *connection) (key []byte, fromFactory bool, err error) {
	if d.pin == nil {
		return piv.DefaultManagementKey, true, nil
	}
	left := d.most()
	if !c.verified {
		if left, _, err = d.tries(c.yk); err != nil {
			return nil, false, err
		}
	}
	var (
		kept    *piv.Metadata
		reading error
	)
	err = d.send(ctx, left, func() error {
		var err error
		kept, err = c.yk.Metadata(string(d.pin)) // sends the PIN first
		if err != nil && !strings.HasPrefix(err.Error(), "authenticating with pin") {
			reading = err // the PIN was right
			return nil
		}
		return err
	})
	if e, ok := errors.AsType[*backends.PINError](err); ok && e.Sent {
		c.verified = false
		d.forget()
	}
	if err != nil {
		return nil, false, err
	}
	c.verified = true
	switch {
	case reading != nil:
		return nil, false, fmt.Errorf("read the management key that the PIN protects: %w", reading)
	case kept.ManagementKey == nil:
		return piv.DefaultManagementKey, true, nil
	}
	return *kept.ManagementKey, false, nil
}

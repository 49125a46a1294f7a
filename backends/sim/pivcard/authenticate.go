package pivcard

import (
	"context"
	"time"
)

// touchCache is how long a touch is good for where the policy lets it be kept.
const touchCache = 15 * time.Second

// authenticate carries out GENERAL AUTHENTICATE: SP 800-73-4 part 2, 3.2.4.
func (c *Card) authenticate(ctx context.Context, cmd command) ([]byte, status) {
	outer, ok := parseTLV(cmd.data)
	if !ok || len(outer) != 1 || outer[0].tag != 0x7c {
		return nil, swWrongData
	}
	template, ok := parseTLV(outer[0].value)
	if !ok {
		return nil, swWrongData
	}
	if cmd.p2 == slotManagement {
		if !c.touched(ctx, c.managementTouch(template)) {
			return nil, swNotSatisfied
		}
		return c.proveManagement(cmd.p1, template)
	}
	key := c.state.Keys[cmd.p2]
	switch {
	case !isKeySlot(cmd.p2) || cmd.p2 == slotAttestation:
		return nil, swWrongP1P2
	case key == nil:
		return nil, swNoReference
	case key.Algorithm != cmd.p1:
		return nil, swWrongP1P2
	}
	message, signs := find(template, 0x81)
	point, agrees := find(template, 0x85)
	if answer, ok := find(template, 0x82); !ok || len(answer) != 0 || signs == agrees {
		return nil, swWrongData
	}
	if !c.permitted(key.PIN) || !c.touched(ctx, key.Touch) {
		return nil, swNotSatisfied
	}
	return c.use(key, message, point, signs)
}

// use carries out the private key operation, and what was injected into it.
func (c *Card) use(key *slotKey, message, point []byte, signs bool) ([]byte, status) {
	if c.session.otherKey {
		private, err := newPrivate(key.Algorithm)
		if err != nil {
			return nil, swInternal
		}
		key = &slotKey{Algorithm: key.Algorithm, private: private}
	}
	var result []byte
	var err error
	if signs {
		if c.session.otherMessage && len(message) > 0 {
			message = append([]byte(nil), message...)
			message[len(message)-1] ^= 1
		}
		result, err = key.sign(message)
	} else {
		result, err = key.agree(point)
	}
	if err != nil {
		return nil, swWrongData
	}
	c.counts.Signatures++
	time.Sleep(c.pause)
	return appendTLV(nil, 0x7c, appendTLV(nil, 0x82, result...)...), swOK
}

// permitted reports whether the PIN was given as a policy asks. A policy that is
// none permits nothing.
func (c *Card) permitted(p pinPolicy) bool {
	switch p {
	case pinNever:
		return true
	case pinOnce:
		return c.session.pinVerified
	case pinAlways:
		return c.session.pinVerified && c.session.pinBefore
	}
	return false
}

// managementTouch is what the management key asks for: a touch for the step that
// proves it, none for asking for a challenge.
func (c *Card) managementTouch(template []tlv) touchPolicy {
	for _, t := range template {
		if len(t.value) == 0 {
			return touchNever
		}
	}
	return c.state.Management.Touch
}

// touched waits for a touch where a policy asks for one. A YubiKey that is not
// touched in time answers 6982, as it does when the PIN is missing.
func (c *Card) touched(ctx context.Context, p touchPolicy) bool {
	now := c.config.Now()
	switch {
	case p == touchNever:
		return true
	case p == touchCached && !c.session.lastTouch.IsZero() && now.Sub(c.session.lastTouch) < touchCache:
		return true
	case p != touchAlways && p != touchCached:
		return false
	}
	if !c.awaitTouch(ctx) {
		return false
	}
	c.counts.Touches++
	c.session.lastTouch = c.config.Now()
	return true
}

// awaitTouch gives up mu while it waits.
func (c *Card) awaitTouch(ctx context.Context) bool {
	c.waiting = true
	select {
	case <-c.touch: // came too late for the command before
	default:
	}
	blink := c.onTouch
	c.mu.Unlock()
	if blink != nil {
		blink()
	}
	timeout := time.NewTimer(c.config.TouchTimeout)
	defer timeout.Stop()
	given := false
	select {
	case <-c.touch:
		given = true
	case <-timeout.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.waiting = false
	return given
}

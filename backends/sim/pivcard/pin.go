package pivcard

import (
	"bytes"
	"crypto/subtle"
)

// The key references of PIN and PUK: SP 800-73-4 part 1, table 4.
const (
	refPIN = 0x80
	refPUK = 0x81
)

var (
	defaultPIN = []byte("123456\xff\xff")
	defaultPUK = []byte("12345678")
)

// reference is a PIN or PUK, padded to eight bytes, and its tries.
type reference struct {
	Value []byte `json:"value"`
	Left  int    `json:"left"`
	Max   int    `json:"max"`
}

// check compares a value, and counts a wrong one.
func (r *reference) check(value []byte) status {
	if r.Left == 0 {
		return swBlocked
	}
	if subtle.ConstantTimeCompare(value, r.Value) == 1 {
		r.Left = r.Max
		return swOK
	}
	r.Left--
	return r.triesLeft()
}

func (r *reference) triesLeft() status { return swTriesLeft | status(min(r.Left, 15)) }

// wellFormed checks a new PIN or PUK: six to eight bytes, then padding.
func wellFormed(value []byte) bool {
	text := bytes.TrimRight(value, "\xff")
	return len(value) == 8 && len(text) >= 6 && !bytes.Contains(text, []byte{0xff})
}

// verify carries out VERIFY: SP 800-73-4 part 2, 3.2.1.
func (c *Card) verify(cmd command) ([]byte, status) {
	if cmd.p2 != refPIN {
		return nil, swNoReference
	}
	pin := &c.state.PIN
	switch {
	case cmd.p1 == 0xff && len(cmd.data) == 0:
		c.session.pinVerified = false
		return nil, swOK
	case cmd.p1 != 0:
		return nil, swWrongP1P2
	case len(cmd.data) == 0 && c.session.pinVerified:
		return nil, swOK
	case len(cmd.data) == 0 && pin.Left == 0:
		return nil, swBlocked
	case len(cmd.data) == 0:
		return nil, pin.triesLeft()
	case len(cmd.data) != 8: // does not count
		return nil, swWrongData
	}
	c.counts.Verify++
	c.dirty = true
	sw := pin.check(cmd.data)
	c.session.pinVerified = sw == swOK
	c.session.pinFresh = sw == swOK
	return nil, sw
}

// change carries out CHANGE REFERENCE DATA: SP 800-73-4 part 2, 3.2.2.
func (c *Card) change(cmd command) ([]byte, status) {
	if cmd.p1 != 0 {
		return nil, swWrongP1P2
	}
	var ref *reference
	switch cmd.p2 {
	case refPIN:
		ref = &c.state.PIN
	case refPUK:
		ref = &c.state.PUK
	default:
		return nil, swNoReference
	}
	if len(cmd.data) != 16 || !wellFormed(cmd.data[8:]) {
		return nil, swWrongData
	}
	c.dirty = true
	sw := ref.check(cmd.data[:8])
	if sw == swOK {
		ref.Value = cmd.data[8:]
	}
	if cmd.p2 == refPIN {
		c.session.pinVerified = sw == swOK
	}
	return nil, sw
}

// resetRetry carries out RESET RETRY COUNTER: SP 800-73-4 part 2, 3.2.3.
func (c *Card) resetRetry(cmd command) ([]byte, status) {
	switch {
	case cmd.p1 != 0:
		return nil, swWrongP1P2
	case cmd.p2 != refPIN:
		return nil, swNoReference
	case len(cmd.data) != 16 || !wellFormed(cmd.data[8:]):
		return nil, swWrongData
	}
	c.dirty = true
	sw := c.state.PUK.check(cmd.data[:8])
	if sw == swOK {
		c.state.PIN.Value, c.state.PIN.Left = cmd.data[8:], c.state.PIN.Max
	}
	return nil, sw
}

// setRetries carries out Yubico's SET PIN RETRIES, which also sets PIN and PUK back
// to what they were at the factory.
func (c *Card) setRetries(cmd command) ([]byte, status) {
	switch {
	case !c.session.managed || !c.session.pinVerified:
		return nil, swNotSatisfied
	case cmd.p1 == 0 || cmd.p2 == 0:
		return nil, swWrongP1P2
	}
	c.dirty = true
	c.state.PIN = reference{defaultPIN, int(cmd.p1), int(cmd.p1)}
	c.state.PUK = reference{defaultPUK, int(cmd.p2), int(cmd.p2)}
	c.session.pinVerified = false
	return nil, swOK
}

// factoryReset carries out Yubico's RESET, which is for a card whose PIN and PUK are
// both blocked. The attestation key and its certificate stay.
func (c *Card) factoryReset(cmd command) ([]byte, status) {
	switch {
	case cmd.p1 != 0 || cmd.p2 != 0:
		return nil, swWrongP1P2
	case c.state.PIN.Left != 0 || c.state.PUK.Left != 0:
		return nil, swConditions
	}
	key, certificate := c.state.Keys[slotAttestation], c.state.Objects[objectAttestation]
	c.state = c.factoryState()
	if key != nil {
		c.state.Keys[slotAttestation] = key
	}
	if certificate != nil {
		c.state.Objects[objectAttestation] = certificate
	}
	c.session = session{applet: appletPIV}
	c.dirty = true
	return nil, swOK
}

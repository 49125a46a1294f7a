package pivcard

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"
)

// policies reads the policies in a template; what is missing or 0 is the slot's
// default, and an invalid one is reported.
func policies(slot byte, template []tlv) (pin pinPolicy, touch touchPolicy, ok bool) {
	pin, touch = pinOnce, touchNever
	switch slot {
	case slotSignature:
		pin = pinAlways
	case slotCard:
		pin = pinNever
	}
	if v, found := find(template, 0xaa); found {
		if len(v) != 1 || v[0] > byte(pinAlways) {
			return 0, 0, false
		}
		if v[0] != 0 {
			pin = pinPolicy(v[0])
		}
	}
	if v, found := find(template, 0xab); found {
		if len(v) != 1 || v[0] > byte(touchCached) {
			return 0, 0, false
		}
		if v[0] != 0 {
			touch = touchPolicy(v[0])
		}
	}
	return pin, touch, true
}

// generate carries out GENERATE ASYMMETRIC KEY PAIR: SP 800-73-4 part 2, 3.3.2, with
// Yubico's policies.
func (c *Card) generate(cmd command) ([]byte, status) {
	switch {
	case cmd.p1 != 0 || !isKeySlot(cmd.p2):
		return nil, swWrongP1P2
	case !c.session.managed:
		return nil, swNotSatisfied
	}
	outer, ok := parseTLV(cmd.data)
	if !ok || len(outer) != 1 || outer[0].tag != 0xac {
		return nil, swWrongData
	}
	template, ok := parseTLV(outer[0].value)
	algorithm, found := find(template, 0x80)
	if !ok || !found || len(algorithm) != 1 || !c.config.Firmware.supports(algorithm[0]) {
		return nil, swWrongData
	}
	pin, touch, ok := policies(cmd.p2, template)
	if !ok {
		return nil, swWrongData
	}
	private, err := newPrivate(algorithm[0])
	if err != nil {
		return nil, swInternal
	}
	key := &slotKey{algorithm[0], pin, touch, originGenerated, private}
	public, err := key.publicTLV()
	if err != nil {
		return nil, swInternal
	}
	c.state.Keys[cmd.p2] = key
	c.dirty = true
	return appendTLV(nil, 0x7f49, public...), swOK
}

// importKey carries out Yubico's IMPORT ASYMMETRIC KEY.
func (c *Card) importKey(cmd command) ([]byte, status) {
	switch {
	case !isKeySlot(cmd.p2):
		return nil, swWrongP1P2
	case !c.config.Firmware.supports(cmd.p1):
		return nil, swWrongData
	case !c.session.managed:
		return nil, swNotSatisfied
	}
	template, ok := parseTLV(cmd.data)
	if !ok {
		return nil, swWrongData
	}
	pin, touch, ok := policies(cmd.p2, template)
	if !ok {
		return nil, swWrongData
	}
	private, ok := parsePrivate(cmd.p1, template)
	if !ok {
		return nil, swWrongData
	}
	c.state.Keys[cmd.p2] = &slotKey{cmd.p1, pin, touch, originImported, private}
	c.dirty = true
	return nil, swOK
}

// parsePrivate reads the private key in an import: 01 to 05 for RSA, 06 a scalar, 07
// and 08 the seeds of Ed25519 and X25519.
func parsePrivate(algorithm byte, template []tlv) (crypto.PrivateKey, bool) {
	if bits := rsaBits(algorithm); bits != 0 {
		return parseRSA(bits, template)
	}
	switch algorithm {
	case algP256, algP384:
		if v, ok := find(template, 0x06); ok {
			key, err := ecdsa.ParseRawPrivateKey(curve(algorithm), v)
			return key, err == nil
		}
	case algEd25519:
		if v, ok := find(template, 0x07); ok && len(v) == ed25519.SeedSize {
			return ed25519.NewKeyFromSeed(v), true
		}
	case algX25519:
		if v, ok := find(template, 0x08); ok {
			key, err := ecdh.X25519().NewPrivateKey(v)
			return key, err == nil
		}
	}
	return nil, false
}

// parseRSA rebuilds an RSA key from its primes; the exponent of a YubiKey's keys is
// always 65537, and the parts derived from it must agree.
func parseRSA(bits int, template []tlv) (crypto.PrivateKey, bool) {
	part := func(tag uint32) *big.Int {
		v, _ := find(template, tag)
		return new(big.Int).SetBytes(v)
	}
	p, q, one := part(0x01), part(0x02), big.NewInt(1)
	if p.BitLen() != bits/2 || q.BitLen() != bits/2 {
		return nil, false
	}
	e := big.NewInt(65537)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, phi)
	if d == nil {
		return nil, false
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q}}
	if key.N.BitLen() != bits || key.Validate() != nil {
		return nil, false
	}
	key.Precompute()
	pre := key.Precomputed
	same := pre.Dp.Cmp(part(0x03)) == 0 && pre.Dq.Cmp(part(0x04)) == 0 && pre.Qinv.Cmp(part(0x05)) == 0
	return key, same
}

// moveKey carries out Yubico's MOVE KEY: from p2 to p1, or nowhere if that is ff.
func (c *Card) moveKey(cmd command) ([]byte, status) {
	to, from := cmd.p1, cmd.p2
	switch {
	case !isKeySlot(from) || (to != 0xff && (!isKeySlot(to) || to == slotAttestation || from == slotAttestation)):
		return nil, swWrongP1P2
	case !c.session.managed:
		return nil, swNotSatisfied
	case c.state.Keys[from] == nil:
		return nil, swNoReference
	case to != 0xff && c.state.Keys[to] != nil:
		return nil, swConditions
	}
	if to != 0xff {
		c.state.Keys[to] = c.state.Keys[from]
	}
	delete(c.state.Keys, from)
	c.dirty = true
	return nil, swOK
}

// metadata carries out Yubico's GET METADATA.
func (c *Card) metadata(cmd command) ([]byte, status) {
	if cmd.p1 != 0 {
		return nil, swWrongP1P2
	}
	tries := func(r reference, factory []byte) []byte {
		out := appendTLV(nil, 0x01, 0xff)
		out = appendTLV(out, 0x05, truth(bytes.Equal(r.Value, factory)))
		return appendTLV(out, 0x06, byte(r.Max), byte(r.Left))
	}
	switch cmd.p2 {
	case refPIN:
		return tries(c.state.PIN, defaultPIN), swOK
	case refPUK:
		return tries(c.state.PUK, defaultPUK), swOK
	case slotManagement:
		m := c.state.Management
		out := appendTLV(nil, 0x01, m.Algorithm)
		out = appendTLV(out, 0x02, 0, byte(m.Touch))
		return appendTLV(out, 0x05, truth(bytes.Equal(m.Key, defaultManagementKey))), swOK
	}
	key := c.state.Keys[cmd.p2]
	if !isKeySlot(cmd.p2) || key == nil {
		return nil, swNoReference
	}
	public, err := key.publicTLV()
	if err != nil {
		return nil, swInternal
	}
	out := appendTLV(nil, 0x01, key.Algorithm)
	out = appendTLV(out, 0x02, byte(key.PIN), byte(key.Touch))
	out = appendTLV(out, 0x03, byte(key.Origin))
	return appendTLV(out, 0x04, public...), swOK
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}

package pivcard

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
)

// slotManagement is the key reference of the card management key.
const slotManagement = 0x9b

// The algorithms of the management key: SP 800-78-4, table 6-2.
const (
	alg3DES   = 0x03
	algAES128 = 0x08
	algAES192 = 0x0a
	algAES256 = 0x0c
)

var defaultManagementKey = unhex("010203040506070801020304050607080102030405060708")

// management is the card management key.
type management struct {
	Algorithm byte        `json:"algorithm"`
	Key       []byte      `json:"key"`
	Touch     touchPolicy `json:"touch"`
}

func (m management) cipher() (cipher.Block, error) {
	if m.Algorithm == alg3DES {
		return des.NewTripleDESCipher(m.Key)
	}
	return aes.NewCipher(m.Key)
}

// managementKeySize returns the length of a management key, 0 for an algorithm that
// the firmware does not have.
func managementKeySize(algorithm byte, firmware Version) int {
	switch {
	case algorithm == alg3DES:
		return 24
	case !firmware.least(5, 4):
		return 0
	case algorithm == algAES128:
		return 16
	case algorithm == algAES192:
		return 24
	case algorithm == algAES256:
		return 32
	}
	return 0
}

// proveManagement carries out GENERAL AUTHENTICATE with the management key: SP
// 800-73-4 part 2, A.1 (single: 81 then 82) and A.2 (mutual: 80, then 80 and 81).
func (c *Card) proveManagement(algorithm byte, template []tlv) ([]byte, status) {
	m := c.state.Management
	if algorithm != m.Algorithm && (algorithm != 0 || m.Algorithm != alg3DES) {
		return nil, swWrongP1P2
	}
	block, err := m.cipher()
	if err != nil {
		return nil, swInternal
	}
	// What the card asked before is good for one answer.
	witness, challenge := c.session.witness, c.session.challenge
	c.session.witness, c.session.challenge = nil, nil

	size := block.BlockSize()
	theirWitness, hasWitness := find(template, 0x80)
	theirChallenge, hasChallenge := find(template, 0x81)
	theirResponse, hasResponse := find(template, 0x82)
	switch {
	case hasWitness && len(theirWitness) == 0:
		c.session.witness = random(size)
		sealed := make([]byte, size)
		block.Encrypt(sealed, c.session.witness)
		return appendTLV(nil, 0x7c, appendTLV(nil, 0x80, sealed...)...), swOK
	case hasWitness && hasChallenge && len(theirChallenge) == size:
		if witness == nil || subtle.ConstantTimeCompare(witness, theirWitness) != 1 {
			return nil, swNotSatisfied
		}
		c.session.managed = true
		answer := make([]byte, size)
		block.Encrypt(answer, theirChallenge)
		return appendTLV(nil, 0x7c, appendTLV(nil, 0x82, answer...)...), swOK
	case hasChallenge && len(theirChallenge) == 0:
		c.session.challenge = random(size)
		return appendTLV(nil, 0x7c, appendTLV(nil, 0x81, c.session.challenge...)...), swOK
	case hasResponse && len(theirResponse) == size:
		expected := make([]byte, size)
		if challenge == nil {
			return nil, swNotSatisfied
		}
		block.Encrypt(expected, challenge)
		if subtle.ConstantTimeCompare(expected, theirResponse) != 1 {
			return nil, swNotSatisfied
		}
		c.session.managed = true
		return nil, swOK
	}
	return nil, swWrongData
}

// setManagement carries out Yubico's SET MANAGEMENT KEY: algorithm, 9b, length, key.
func (c *Card) setManagement(cmd command) ([]byte, status) {
	touch := touchNever
	switch {
	case cmd.p1 != 0xff:
		return nil, swWrongP1P2
	case cmd.p2 == 0xff:
	case cmd.p2 == 0xfe:
		touch = touchAlways
	case cmd.p2 == 0xfd:
		touch = touchCached
	default:
		return nil, swWrongP1P2
	}
	if !c.session.managed {
		return nil, swNotSatisfied
	}
	if len(cmd.data) < 3 || cmd.data[1] != slotManagement || int(cmd.data[2]) != len(cmd.data)-3 {
		return nil, swWrongData
	}
	algorithm, key := cmd.data[0], cmd.data[3:]
	if len(key) != managementKeySize(algorithm, c.config.Firmware) {
		return nil, swWrongData
	}
	c.state.Management = management{algorithm, key, touch}
	c.dirty = true
	return nil, swOK
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

package piv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/go-piv/piv-go/v2/piv"
)

// survey is what a card tells without a PIN.
type survey struct {
	reader     string
	serial     uint32
	firmware   piv.Version
	formFactor piv.Formfactor // 0 where the card does not tell
	pin, puk   counter
	management factory // whether the management key is the factory's
}

// counter is a PIN's or PUK's.
type counter struct {
	left    int // tries; -1 where the card does not tell
	total   int // likewise
	factory factory
}

// factory says whether a secret is still the one that every card is made with.
type factory uint8

const (
	factoryUnknown factory = iota
	factoryYes
	factoryNo
)

// The applications: SP 800-73-4 part 1, 2.2, and Yubico's.
var (
	applicationPIV        = []byte{0xa0, 0, 0, 0x03, 0x08}
	applicationManagement = []byte{0xa0, 0, 0, 0x05, 0x27, 0x47, 0x11, 0x17}
	applicationOTP        = []byte{0xa0, 0, 0, 0x05, 0x27, 0x20, 0x01, 0x01}
)

const (
	insVerify   = 0x20
	insSelect   = 0xa4
	insMetadata = 0xf7 // Yubico's, from firmware 5.3
	insSerial   = 0xf8 // Yubico's, from firmware 5.0
	insVersion  = 0xfd // Yubico's
	insConfig   = 0x1d // of the management application
)

// look surveys the card in a reader, which it leaves with no PIN verified.
func look(s *service, reader string) (survey, error) {
	c, err := s.connect(reader)
	if err != nil {
		return survey{}, err
	}
	defer c.leave()
	v := survey{reader: reader}
	if _, err := c.transmit(insSelect, 0x04, 0, applicationPIV...); err != nil {
		return v, fmt.Errorf("select the PIV application: %w", err)
	}
	version, err := c.transmit(insVersion, 0, 0)
	if err != nil || len(version) != 3 {
		return v, fmt.Errorf("ask for the firmware version: %w", answered(version, err))
	}
	v.firmware = piv.Version{Major: int(version[0]), Minor: int(version[1]), Patch: int(version[2])}
	if v.pin.left, err = askTries(c); err != nil {
		return v, fmt.Errorf("ask for the PIN's tries: %w", err)
	}
	v.pin.total, v.puk = -1, counter{left: -1, total: -1}
	if least(v.firmware, 5, 3) {
		if err := v.readMetadata(c); err != nil {
			return v, err
		}
	}
	if v.serial, err = readSerial(c, v.firmware); err != nil {
		return v, fmt.Errorf("ask for the serial number: %w", err)
	}
	v.formFactor = readFormFactor(c) // last: it selects another application
	return v, nil
}

// answered is the error for an answer that cannot be right.
func answered(b []byte, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("the card answered with %d bytes", len(b))
}

func least(v piv.Version, major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// askTries returns how many wrong PINs the card still takes, or -1 when it takes the
// PIN for verified: VERIFY without a PIN asks (SP 800-73-4 part 2, 3.2.1).
func askTries(c *channel) (int, error) {
	_, err := c.transmit(insVerify, 0, 0x80)
	status, ok := errors.AsType[statusWord](err)
	switch {
	case err == nil:
		return -1, nil
	case ok && status == 0x6983:
		return 0, nil
	case ok && status&0xfff0 == 0x63c0:
		return int(status & 0xf), nil
	}
	return 0, err
}

// readMetadata reads what Yubico's GET METADATA tells of PIN, PUK and management key.
// A card may lack it, but not answer with what makes no sense.
func (v *survey) readMetadata(c *channel) error {
	for _, m := range []struct {
		name      string
		reference byte
		read      func(tags map[byte][]byte) error
	}{
		{"PIN", 0x80, v.pin.read},
		{"PUK", 0x81, v.puk.read},
		{"management key", 0x9b, func(tags map[byte][]byte) (err error) {
			v.management, err = readFactory(tags)
			return err
		}},
	} {
		b, err := c.transmit(insMetadata, 0, m.reference)
		if _, ok := errors.AsType[statusWord](err); ok {
			continue
		}
		var tags map[byte][]byte
		if err == nil {
			tags, err = parseTags(b)
		}
		if err == nil {
			err = m.read(tags)
		}
		if err != nil {
			return fmt.Errorf("read the metadata of the %s: %w", m.name, err)
		}
	}
	return nil
}

// read takes tries and total from the metadata. What the card said about the PIN
// with a status word may be cut to 15; where the two differ otherwise, the lower is
// the safe one to believe.
func (n *counter) read(tags map[byte][]byte) (err error) {
	if n.factory, err = readFactory(tags); err != nil {
		return err
	}
	retries, ok := tags[0x06]
	if !ok || len(retries) != 2 || retries[1] > retries[0] {
		return fmt.Errorf("the count of tries is %x; want total and left", retries)
	}
	left := int(retries[1])
	if n.left == -1 || n.left == 15 || left < n.left {
		n.left = left
	}
	n.total = int(retries[0])
	return nil
}

func readFactory(tags map[byte][]byte) (factory, error) {
	b, ok := tags[0x05]
	switch {
	case !ok:
		return factoryUnknown, nil
	case len(b) != 1:
		return factoryUnknown, fmt.Errorf("whether it is the default is %x; want one byte", b)
	case b[0] == 0:
		return factoryNo, nil
	}
	return factoryYes, nil
}

// readSerial returns the card's serial number. Before firmware 5 it is asked of
// another application.
func readSerial(c *channel, v piv.Version) (uint32, error) {
	ins, p1 := byte(insSerial), byte(0)
	if v.Major < 5 {
		if _, err := c.transmit(insSelect, 0x04, 0, applicationOTP...); err != nil {
			return 0, err
		}
		ins, p1 = 0x01, 0x10
	}
	b, err := c.transmit(ins, p1, 0)
	if err != nil || len(b) != 4 {
		return 0, answered(b, err)
	}
	return binary.BigEndian.Uint32(b), nil
}

// readFormFactor returns 0 where the card does not tell: it is for people only.
func readFormFactor(c *channel) piv.Formfactor {
	if _, err := c.transmit(insSelect, 0x04, 0, applicationManagement...); err != nil {
		return 0
	}
	b, err := c.transmit(insConfig, 0, 0)
	if err != nil || len(b) < 1 {
		return 0
	}
	tags, err := parseTags(b[1:]) // after a length
	if err != nil || len(tags[0x04]) != 1 {
		return 0
	}
	return piv.Formfactor(tags[0x04][0])
}

// parseTags reads a sequence of tags of one byte, lengths and values. Of a tag that
// is there twice, or does not fit, nothing is believed.
func parseTags(b []byte) (map[byte][]byte, error) {
	tags := map[byte][]byte{}
	for len(b) > 0 {
		if len(b) < 2 || b[1] >= 0x80 || len(b) < 2+int(b[1]) {
			return nil, fmt.Errorf("the answer ends within a tag: %x", b)
		}
		tag, value := b[0], b[2:2+int(b[1])]
		if _, ok := tags[tag]; ok {
			return nil, fmt.Errorf("the answer has tag %02x twice", tag)
		}
		tags[tag] = value
		b = b[2+len(value):]
	}
	return tags, nil
}

// find returns the survey of the one card with a serial number. It looks first into
// the reader where it was last, and disturbs no other card then. When the card is not
// found but another program holds one that could be it, the error is [faultSharing].
func find(serial uint32, match, last string) (survey, error) {
	s, err := openService()
	if err != nil {
		return survey{}, err
	}
	defer s.close()
	if last != "" {
		v, err := look(s, last)
		switch {
		case err == nil && v.serial == serial:
			return v, nil
		case errors.Is(err, faultSharing):
			return survey{}, err
		}
	}
	readers, err := s.readers()
	if err != nil {
		return survey{}, err
	}
	var (
		found []survey
		seen  []string
		busy  bool
	)
	for _, reader := range readers {
		if !strings.Contains(reader, match) {
			continue
		}
		v, err := look(s, reader)
		switch {
		case err != nil:
			busy = busy || errors.Is(err, faultSharing)
			seen = append(seen, fmt.Sprintf("%q: %v", reader, err))
		case v.serial == serial:
			found = append(found, v)
		default:
			seen = append(seen, fmt.Sprintf("%q: serial number %d", reader, v.serial))
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return survey{}, fmt.Errorf("%d cards say that they have serial number %d; one of them lies: take the others out", len(found), serial)
	case busy:
		return survey{}, fmt.Errorf("looked for card %d: %s: %w", serial, strings.Join(seen, "; "), faultSharing)
	case len(seen) == 0 && match != "":
		return survey{}, fmt.Errorf("no reader has %q in its name; there are %d others", match, len(readers))
	case len(seen) == 0:
		return survey{}, faultNoReaders
	}
	return survey{}, fmt.Errorf("card %d is in no reader: %s", serial, strings.Join(seen, "; "))
}

package pivcard

import (
	"encoding/binary"
	"errors"
)

// status is the status word that ends a response: ISO/IEC 7816-4, 5.6.
type status uint16

// The status words: SP 800-73-4 part 1, 5.6.
const (
	swOK              status = 0x9000
	swMoreData        status = 0x6100 // low byte: how much
	swTriesLeft       status = 0x63c0 // low four bits: how many
	swMemoryFailure   status = 0x6581
	swWrongLength     status = 0x6700
	swNoLogicalChan   status = 0x6881
	swNoSecureMessage status = 0x6882
	swNotSatisfied    status = 0x6982 // PIN, management key or touch is missing
	swBlocked         status = 0x6983
	swConditions      status = 0x6985
	swWrongData       status = 0x6a80
	swNotFound        status = 0x6a82
	swNoSpace         status = 0x6a84
	swWrongP1P2       status = 0x6a86
	swNoReference     status = 0x6a88
	swUnknownINS      status = 0x6d00
	swUnknownCLA      status = 0x6e00
	swInternal        status = 0x6f00
)

// The instructions: SP 800-73-4 part 2, 3, and Yubico's extensions.
const (
	insVerify        = 0x20
	insChange        = 0x24
	insResetRetry    = 0x2c
	insGenerate      = 0x47
	insAuthenticate  = 0x87
	insSelect        = 0xa4
	insGetResponse   = 0xc0
	insGetData       = 0xcb
	insPutData       = 0xdb
	insMoveKey       = 0xf6 // from 5.7
	insMetadata      = 0xf7 // from 5.3
	insSerial        = 0xf8 // from 5.0
	insAttest        = 0xf9
	insSetRetries    = 0xfa
	insReset         = 0xfb
	insVersion       = 0xfd
	insImport        = 0xfe
	insSetManagement = 0xff
)

// maxCommand bounds what a chained command may add up to.
const maxCommand = 4096

// command is a command APDU.
type command struct {
	cla, ins, p1, p2 byte
	data             []byte
	want             int // how many bytes of data the response may have
}

var errLength = errors.New("the lengths in the command APDU do not add up")

// parseCommand reads a command APDU in any of the seven cases of ISO/IEC 7816-3,
// 12.1. Where no response length is given the card returns data all the same, as a
// card that speaks T=1 does.
func parseCommand(b []byte) (command, error) {
	if len(b) < 4 {
		return command{}, errLength
	}
	c := command{cla: b[0], ins: b[1], p1: b[2], p2: b[3], want: 256}
	body := b[4:]
	switch {
	case len(body) == 0: // case 1
		return c, nil
	case len(body) == 1: // case 2, short
		c.want = orDefault(int(body[0]), 256)
		return c, nil
	case body[0] == 0 && len(body) >= 3:
		return parseExtended(c, body[1:])
	}
	n, rest := int(body[0]), body[1:]
	if n == 0 || len(rest) < n || len(rest) > n+1 {
		return command{}, errLength
	}
	c.data = rest[:n]
	if len(rest) == n+1 {
		c.want = orDefault(int(rest[n]), 256)
	}
	return c, nil
}

func parseExtended(c command, body []byte) (command, error) {
	n, rest := int(binary.BigEndian.Uint16(body)), body[2:]
	c.want = 65536
	switch {
	case len(rest) == 0: // case 2: the number is the length of the response
		c.want = orDefault(n, 65536)
		return c, nil
	case n == 0 || (len(rest) != n && len(rest) != n+2):
		return command{}, errLength
	}
	c.data = rest[:n]
	if len(rest) == n+2 {
		c.want = orDefault(int(binary.BigEndian.Uint16(rest[n:])), 65536)
	}
	return c, nil
}

func orDefault(n, zero int) int {
	if n == 0 {
		return zero
	}
	return n
}

// chain adds a command to the chain that it belongs to (ISO/IEC 7816-4, 5.1.1) and
// reports whether it is complete. A command that is not part of the chain ends it.
func (s *session) chain(c command) (command, bool, status) {
	if first := s.chained; first != nil && (first.ins != c.ins || first.p1 != c.p1 || first.p2 != c.p2) {
		s.chained, s.pinBefore = nil, false
	}
	if s.chained != nil {
		if len(s.chained.data)+len(c.data) > maxCommand {
			s.chained = nil
			return c, false, swWrongLength
		}
		c.data = append(s.chained.data, c.data...)
	} else {
		c.data = append([]byte(nil), c.data...)
	}
	if c.cla&0x10 != 0 {
		s.chained = &c
		return c, false, swOK
	}
	s.chained = nil
	return c, true, swOK
}

// respond returns as much of an answer as the reader wants, and keeps the rest for
// GET RESPONSE.
func (s *session) respond(data []byte, sw status, want int) []byte {
	s.rest = nil
	if len(data) > want {
		data, s.rest = data[:want], data[want:]
		sw = swMoreData | status(min(len(s.rest), 256)&0xff)
	}
	return binary.BigEndian.AppendUint16(append([]byte(nil), data...), uint16(sw))
}

package piv

// #cgo pkg-config: libpcsclite
// #include <stdlib.h>
// #include <winscard.h>
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"
)

// fault is a return code of PC/SC (PC/SC part 5, and winscard.h).
type fault uint32

const (
	faultUnknownReader fault = 0x80100009
	faultSharing       fault = 0x8010000b
	faultNoCard        fault = 0x8010000c
	faultProtocol      fault = 0x8010000f
	faultReaderGone    fault = 0x80100017
	faultNoService     fault = 0x8010001d
	faultStopped       fault = 0x8010001e
	faultNoReaders     fault = 0x8010002e
	faultUnresponsive  fault = 0x80100066
	faultRemoved       fault = 0x80100069
	faultNotAllowed    fault = 0x8010006a
)

var faultTexts = map[fault]string{
	faultUnknownReader: "the reader is not there any more",
	faultSharing:       "another program holds the card",
	faultNoCard:        "there is no card in the reader",
	faultProtocol:      "the card does not speak T=1, as PIV cards do",
	faultReaderGone:    "the reader is not there any more",
	faultNoService:     "pcscd is not running, or its socket is out of reach; systemctl start pcscd.socket",
	faultStopped:       "pcscd has ended",
	faultNoReaders:     "there is no reader",
	faultUnresponsive:  "the card does not answer; is it the right way round?",
	faultRemoved:       "the card was removed",
	faultNotAllowed:    "pcscd ended just now, or refuses this user, who then needs a polkit rule that allows it org.debian.pcsc-lite.access_pcsc and access_card",
}

func (f fault) Error() string {
	if text, ok := faultTexts[f]; ok {
		return text
	}
	return fmt.Sprintf("PC/SC error %08x", uint32(f))
}

func check(rc C.LONG) error {
	if rc == C.SCARD_S_SUCCESS {
		return nil
	}
	return fault(uint32(rc)) // a LONG has 64 bits here, and the code is in the lower half
}

// service is a connection to pcscd.
type service struct{ context C.SCARDCONTEXT }

func openService() (*service, error) {
	s := &service{}
	if err := check(C.SCardEstablishContext(C.SCARD_SCOPE_SYSTEM, nil, nil, &s.context)); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *service) close() { C.SCardReleaseContext(s.context) }

// readers returns the names of all readers.
func (s *service) readers() ([]string, error) {
	// PCSCLITE_MAX_READERS_CONTEXTS is 16, and MAX_READERNAME 128.
	var buf [16*128 + 1]C.char
	n := C.DWORD(len(buf))
	err := check(C.SCardListReaders(s.context, nil, &buf[0], &n))
	switch {
	case errors.Is(err, faultNoReaders):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var names []string
	for name := range bytes.SplitSeq(C.GoBytes(unsafe.Pointer(&buf[0]), C.int(n)), []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names, nil
}

// channel is a card that is held by us alone.
type channel struct{ handle C.SCARDHANDLE }

// connect takes hold of the card in a reader. It never waits for another program.
func (s *service) connect(reader string) (*channel, error) {
	name := C.CString(reader)
	defer C.free(unsafe.Pointer(name))
	var (
		c        channel
		protocol C.DWORD
	)
	// T=1, as piv-go does: what it could not talk to is no use to us.
	if err := check(C.SCardConnect(s.context, name, C.SCARD_SHARE_EXCLUSIVE, C.SCARD_PROTOCOL_T1, &c.handle, &protocol)); err != nil {
		return nil, err
	}
	return &c, nil
}

// leave lets the card go as it is.
func (c *channel) leave() { C.SCardDisconnect(c.handle, C.SCARD_LEAVE_CARD) }

// reset lets the card go and makes it forget everything that it forgets without
// power, such as that a PIN was verified.
func (c *channel) reset() { C.SCardDisconnect(c.handle, C.SCARD_RESET_CARD) }

// statusWord ends each answer of a card: ISO/IEC 7816-4, 5.6.
type statusWord uint16

func (s statusWord) Error() string { return fmt.Sprintf("the card answered %04x", uint16(s)) }

// transmit sends one command that has at most 255 bytes of data, and collects its
// answer. A status other than 9000 is a [statusWord].
func (c *channel) transmit(ins, p1, p2 byte, data ...byte) ([]byte, error) {
	const most = 4096 // several times what any answer that we ask for has
	command := append([]byte{0, ins, p1, p2, byte(len(data))}, data...)
	var answer []byte
	for {
		part, status, err := c.exchange(command)
		if err != nil {
			return nil, err
		}
		answer = append(answer, part...)
		switch {
		case status == 0x9000:
			return answer, nil
		case status>>8 != 0x61: // 61xx: there is more
			return nil, status
		case len(answer) > most || len(part) == 0 && command[1] == 0xc0:
			return nil, errors.New("the card's answer has no end")
		}
		command = []byte{0, 0xc0, 0, 0, 0} // GET RESPONSE
	}
}

func (c *channel) exchange(command []byte) ([]byte, statusWord, error) {
	var buf [C.MAX_BUFFER_SIZE_EXTENDED]byte
	n := C.DWORD(len(buf))
	pci := C.SCARD_IO_REQUEST{dwProtocol: C.SCARD_PROTOCOL_T1, cbPciLength: C.sizeof_SCARD_IO_REQUEST}
	err := check(C.SCardTransmit(c.handle, &pci, (*C.BYTE)(&command[0]), C.DWORD(len(command)), nil, (*C.BYTE)(&buf[0]), &n))
	if err != nil {
		return nil, 0, err
	}
	if n < 2 || int(n) > len(buf) {
		return nil, 0, fmt.Errorf("the card answered with %d bytes; the least is 2", n)
	}
	return bytes.Clone(buf[:n-2]), statusWord(buf[n-2])<<8 | statusWord(buf[n-1]), nil
}

package pivcard

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
)

// applet is an application on the card.
type applet uint8

const (
	noApplet applet = iota
	appletPIV
	appletManagement
	appletOTP
)

// The application identifiers: SP 800-73-4 part 1, 2.2, and Yubico's.
var applets = []struct {
	aid    []byte
	least  int // how much of the identifier a client must give
	applet applet
}{
	{unhex("a000000308000010000100"), 5, appletPIV},
	{unhex("a000000527471117"), 8, appletManagement},
	{unhex("a000000527200101"), 7, appletOTP},
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a constant of ours
	}
	return b
}

// selectApplet carries out SELECT. An application that is not there leaves the one
// that was selected as it is: SP 800-73-4 part 2, 3.1.1.
func (c *Card) selectApplet(cmd command) ([]byte, status) {
	if cmd.p1 != 0x04 || cmd.p2 != 0x00 {
		return nil, swWrongP1P2
	}
	for _, a := range applets {
		if len(cmd.data) < a.least || !bytes.HasPrefix(a.aid, cmd.data) {
			continue
		}
		if c.session.applet != a.applet { // else nothing changes: SP 800-73-4 part 2, 3.1.1
			c.session = session{applet: a.applet, lastTouch: c.session.lastTouch}
		}
		switch a.applet {
		case appletManagement:
			return []byte("Virtual mgr - FW version " + c.config.Firmware.String()), swOK
		case appletOTP: // version, programming sequence, touch level
			return append(c.config.Firmware[:3:3], 0, 0, 0), swOK
		default: // SP 800-73-4 part 2, table 3
			property := appendTLV(nil, 0x4f, a.aid[5:]...)
			authority := appendTLV(nil, 0x4f, a.aid[:5]...)
			return appendTLV(nil, 0x61, appendTLV(property, 0x79, authority...)...), swOK
		}
	}
	return nil, swNotFound
}

// dispatch finds who carries out a command.
func (c *Card) dispatch(ctx context.Context, cmd command) ([]byte, status) {
	if cmd.ins == insSelect {
		return c.selectApplet(cmd)
	}
	switch c.session.applet {
	case appletPIV:
		return c.piv(ctx, cmd)
	case appletManagement:
		if cmd.ins == 0x1d { // READ CONFIG
			return c.deviceInfo(), swOK
		}
	case appletOTP:
		if cmd.ins == 0x01 && cmd.p1 == 0x10 { // the serial number
			return binary.BigEndian.AppendUint32(nil, c.config.Serial), swOK
		}
	}
	return nil, swUnknownINS
}

func (c *Card) piv(ctx context.Context, cmd command) ([]byte, status) {
	firmware := c.config.Firmware
	switch cmd.ins {
	case insVerify:
		return c.verify(cmd)
	case insChange:
		return c.change(cmd)
	case insResetRetry:
		return c.resetRetry(cmd)
	case insSetRetries:
		return c.setRetries(cmd)
	case insReset:
		return c.factoryReset(cmd)
	case insGetData:
		return c.getData(cmd)
	case insPutData:
		return c.putData(cmd)
	case insGenerate:
		return c.generate(cmd)
	case insImport:
		return c.importKey(cmd)
	case insAuthenticate:
		return c.authenticate(ctx, cmd)
	case insSetManagement:
		return c.setManagement(cmd)
	case insAttest:
		return c.attest(cmd)
	case insVersion:
		return firmware[:], swOK
	case insSerial:
		if firmware.least(5, 0) {
			return binary.BigEndian.AppendUint32(nil, c.config.Serial), swOK
		}
	case insMetadata:
		if firmware.least(5, 3) {
			return c.metadata(cmd)
		}
	case insMoveKey:
		if firmware.least(5, 7) {
			return c.moveKey(cmd)
		}
	}
	return nil, swUnknownINS
}

// deviceInfo is the configuration that the management applet reports, with its
// length before it.
func (c *Card) deviceInfo() []byte {
	const piv = 0x10 // the capability
	info := appendTLV(nil, 0x01, 0, piv)
	info = appendTLV(info, 0x02, binary.BigEndian.AppendUint32(nil, c.config.Serial)...)
	info = appendTLV(info, 0x03, 0, piv)
	info = appendTLV(info, 0x04, c.config.FormFactor)
	info = appendTLV(info, 0x05, c.config.Firmware[:]...)
	return append([]byte{byte(len(info))}, info...)
}

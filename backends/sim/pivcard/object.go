package pivcard

import "slices"

// The data objects that are not like the others: SP 800-73-4 part 1, table 3.
const (
	objectDiscovery   = 0x7e
	objectAttestation = 0x5fff01
)

// needPIN are the objects that are read only after the PIN was verified: SP 800-73-4
// part 1, table 2. Printed information is where Yubico's tools keep a management key.
var needPIN = []uint32{0x5fc103, 0x5fc108, 0x5fc109, 0x5fc121}

// maxObject is the longest object that a YubiKey takes.
const maxObject = 3052

// parseTagList reads the tag list that starts the data of GET DATA and PUT DATA, and
// returns what follows it.
func parseTagList(data []byte) (id uint32, rest []byte, ok bool) {
	if len(data) < 2 || data[0] != 0x5c || len(data) < 2+int(data[1]) {
		return 0, nil, false
	}
	tag, rest := data[2:2+data[1]], data[2+data[1]:]
	for _, b := range tag {
		id = id<<8 | uint32(b)
	}
	known := id == objectDiscovery && len(tag) == 1 || len(tag) == 3 && (id>>8 == 0x5fc1 || id>>8 == 0x5fff)
	return id, rest, known
}

// getData carries out GET DATA: SP 800-73-4 part 2, 3.1.2.
func (c *Card) getData(cmd command) ([]byte, status) {
	if cmd.p1 != 0x3f || cmd.p2 != 0xff {
		return nil, swWrongP1P2
	}
	id, rest, ok := parseTagList(cmd.data)
	switch {
	case len(cmd.data) == 0 || cmd.data[0] != 0x5c || len(rest) != 0:
		return nil, swWrongData
	case !ok:
		return nil, swNotFound
	case id == objectDiscovery: // SP 800-73-4 part 1, 3.3.2
		aid := appendTLV(nil, 0x4f, applets[0].aid...)
		return appendTLV(nil, objectDiscovery, appendTLV(aid, 0x5f2f, 0x40, 0x00)...), swOK
	case slices.Contains(needPIN, id) && !c.session.pinVerified:
		return nil, swNotSatisfied
	}
	value, ok := c.state.Objects[id]
	if !ok {
		return nil, swNotFound
	}
	return appendTLV(nil, 0x53, value...), swOK
}

// putData carries out PUT DATA: SP 800-73-4 part 2, 3.3.1. An empty object is none.
func (c *Card) putData(cmd command) ([]byte, status) {
	switch {
	case cmd.p1 != 0x3f || cmd.p2 != 0xff:
		return nil, swWrongP1P2
	case !c.session.managed:
		return nil, swNotSatisfied
	}
	id, rest, ok := parseTagList(cmd.data)
	all, wellFormed := parseTLV(rest)
	if !ok || id == objectDiscovery || !wellFormed || len(all) != 1 || all[0].tag != 0x53 {
		return nil, swWrongData
	}
	switch value := all[0].value; {
	case len(value) > maxObject:
		return nil, swNoSpace
	case len(value) == 0:
		delete(c.state.Objects, id)
	default:
		c.state.Objects[id] = value
	}
	c.dirty = true
	return nil, swOK
}

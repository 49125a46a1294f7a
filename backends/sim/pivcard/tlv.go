package pivcard

import "slices"

// tlv is a data object in the BER-TLV coding of ISO/IEC 7816-4, 6.3.
type tlv struct {
	tag   uint32
	value []byte
}

// parseTLV reads a series of data objects that fills b, or reports false. Tags have
// one or two bytes and lengths up to three, which is all that PIV uses.
func parseTLV(b []byte) ([]tlv, bool) {
	var all []tlv
	for len(b) > 0 {
		tag := uint32(b[0])
		b = b[1:]
		if tag&0x1f == 0x1f {
			if len(b) == 0 || b[0]&0x80 != 0 {
				return nil, false
			}
			tag, b = tag<<8|uint32(b[0]), b[1:]
		}
		n, rest, ok := parseLength(b)
		if !ok || n > len(rest) {
			return nil, false
		}
		all = append(all, tlv{tag, rest[:n]})
		b = rest[n:]
	}
	return all, true
}

func parseLength(b []byte) (n int, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	n, b = int(b[0]), b[1:]
	if n < 0x80 {
		return n, b, true
	}
	size := n & 0x7f
	if size == 0 || size > 2 || size > len(b) {
		return 0, nil, false
	}
	n = 0
	for _, c := range b[:size] {
		n = n<<8 | int(c)
	}
	return n, b[size:], true
}

// find returns the value of the first data object with a tag.
func find(all []tlv, tag uint32) ([]byte, bool) {
	i := slices.IndexFunc(all, func(t tlv) bool { return t.tag == tag })
	if i < 0 {
		return nil, false
	}
	return all[i].value, true
}

// appendTLV appends a data object to b.
func appendTLV(b []byte, tag uint32, value ...byte) []byte {
	if tag > 0xff {
		b = append(b, byte(tag>>8))
	}
	b = append(b, byte(tag))
	switch n := len(value); {
	case n < 0x80:
		b = append(b, byte(n))
	case n < 0x100:
		b = append(b, 0x81, byte(n))
	default:
		b = append(b, 0x82, byte(n>>8), byte(n))
	}
	return append(b, value...)
}

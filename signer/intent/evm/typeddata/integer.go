package typeddata

import (
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// integer reads a JSON integer, decimal text, or hexadecimal text.
func integer(v *abi.Value, in any, at *place) error {
	var text string
	switch in := in.(type) {
	case json.Number:
		text = in.String()
		if !isDecimal(text) {
			return at.errorf("%s: want a whole number without fraction or exponent", describe(in))
		}
	case string:
		text = in
	default:
		return at.errorf("want a number of type %s, got %s", v.Type, describe(in))
	}
	n, negative, ok := parseInteger(text)
	if !ok {
		return at.errorf("%s: want decimal digits, or \"0x\" and hexadecimal digits", describe(in))
	}
	if n == nil || !fits(v.Type, n, negative) {
		return at.errorf("%s does not fit %s", describe(in), v.Type)
	}
	if _, unquoted := in.(json.Number); unquoted && n.BitLen() > exactBits {
		return at.errorf("%s is too large for some readers of JSON, which round it; write it as text, in quotes", describe(in))
	}
	if negative {
		n.Neg(n)
	}
	v.Word = *n
	return nil
}

// exactBits: readers agree on integers below 2^53 (RFC 8259, 6). JavaScript reads
// 9007199254740993 as 9007199254740992, and would sign that.
const exactBits = 53

// parseInteger returns the magnitude of an integer, nil where it has more than 256
// bits. Hexadecimal digits may be padded with zeros, as a word of the EVM is, and
// have no sign; decimal digits may not be padded.
func parseInteger(text string) (n *uint256.Int, negative, ok bool) {
	if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
		if len(digits)%2 == 1 {
			digits = "0" + digits
		}
		raw, err := hex.DecodeString(digits)
		switch {
		case err != nil || digits == "":
			return nil, false, false
		case len(raw) > 32:
			return nil, false, true
		}
		return new(uint256.Int).SetBytes(raw), false, true
	}
	if !isDecimal(text) {
		return nil, false, false
	}
	digits, negative := strings.CutPrefix(text, "-")
	n, err := uint256.FromDecimal(digits)
	if err != nil {
		return nil, negative, true
	}
	return n, negative, true
}

// isDecimal: the one way to write an integer in decimal digits.
func isDecimal(text string) bool {
	digits, negative := strings.CutPrefix(text, "-")
	if digits == "" || digits[0] == '0' && (len(digits) > 1 || negative) {
		return false
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// fits reports whether a type holds an integer of magnitude n.
func fits(t *abi.Type, n *uint256.Int, negative bool) bool {
	switch {
	case t.Kind == abi.Uint:
		return !negative && n.BitLen() <= t.Size
	case negative: // the least is -2^(Size-1)
		return new(uint256.Int).SubUint64(n, 1).BitLen() < t.Size
	default:
		return n.BitLen() < t.Size
	}
}

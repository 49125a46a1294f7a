package erc7730

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// The formats of the schema (ERC-7730, "Field formats").
const (
	formatRaw         = "raw"
	formatAmount      = "amount"
	formatTokenAmount = "tokenAmount"
	formatTokenTicker = "tokenTicker"
	formatNFTName     = "nftName"
	formatDate        = "date"
	formatDuration    = "duration"
	formatUnit        = "unit"
	formatEnum        = "enum"
	formatAddress     = "addressName"
	formatInterop     = "interoperableAddressName"
	formatCalldata    = "calldata"
	formatChainID     = "chainId"
)

// field checks one field, its definition merged in.
func (c *compiler) field(e at, base []word, depth int) (*field, error) {
	err := e.object("$id", "path", "value", "visible", "label", "format", "params", "separator", "encryption")
	if err != nil {
		return nil, err
	}
	f := &field{}
	if f.label, err = e.member("label").text(); err != nil {
		return nil, err
	}
	if f.separator, err = e.member("separator").text(); err != nil {
		return nil, err
	}
	if f.format, err = e.member("format").text(); err != nil {
		return nil, err
	}
	if f.format == "" && !e.member("format").there() {
		f.format = formatRaw
	}
	if f.encryption, err = readEncryption(e.member("encryption"), f.format); err != nil {
		return nil, err
	}
	if err := c.subject(f, e, base); err != nil {
		return nil, err
	}
	if err := c.readRule(f, e.member("visible")); err != nil {
		return nil, err
	}
	if err := f.fits(e); err != nil {
		return nil, err
	}
	limit := depth
	if f.path != nil {
		limit = max(depth, f.path.each)
		if f.label == "" {
			f.label = f.path.text
		}
	}
	if f.separator != "" && (f.path == nil || f.path.each == 0) {
		return nil, e.member("separator").errorf("stands between the elements of a list, and this field is none")
	}
	_, err = e.member("$id").text()
	if err != nil {
		return nil, err
	}
	f.params, err = c.params(e, f.format, base, limit)
	return f, err
}

// subject reads what the field shows: a value of the payload or a literal one.
func (c *compiler) subject(f *field, e at, base []word) (err error) {
	path, value := e.member("path"), e.member("value")
	if path.there() == value.there() {
		return e.errorf("want either path or value")
	}
	if path.there() {
		_, f.path, err = c.path(path, base)
		return err
	}
	s, err := c.constant(value)
	if err != nil {
		return err
	}
	switch f.format {
	case formatAddress, formatTokenTicker:
		a, ok := parseAddress(s)
		if !ok {
			return value.errorf("%s is no address", quote(s))
		}
		f.literal = abi.Addr(a)
	case formatCalldata, formatInterop:
		b, ok := hexBytes(s)
		if !ok {
			return value.errorf("want 0x and hexadecimal digits, got %s", quote(s))
		}
		f.literal = abi.BytesValue(b)
	case formatRaw, formatEnum:
		f.literal = abi.TextValue(s)
	default:
		n, ok := parseInteger(s)
		if !ok {
			return value.errorf("want an integer, got %s", quote(s))
		}
		f.literal = abi.Uint256(n)
	}
	return nil
}

// valueType is the type of what the field shows.
func (f *field) valueType() *abi.Type {
	if f.path != nil {
		return f.path.last
	}
	return f.literal.Type
}

// fits checks that the format is one for the type of the value.
func (f *field) fits(e at) error {
	var kinds []abi.Kind
	switch f.format {
	case formatRaw, formatEnum:
		kinds = []abi.Kind{abi.Uint, abi.Int, abi.Bool, abi.Address, abi.FixedBytes, abi.Bytes, abi.String}
	case formatAmount, formatTokenAmount, formatNFTName, formatDate, formatDuration, formatUnit, formatChainID:
		kinds = []abi.Kind{abi.Uint, abi.Int, abi.FixedBytes, abi.Bytes}
	case formatAddress, formatTokenTicker:
		kinds = []abi.Kind{abi.Address, abi.Uint, abi.FixedBytes, abi.Bytes}
	case formatInterop, formatCalldata:
		kinds = []abi.Kind{abi.Bytes}
	default:
		return e.member("format").errorf("the schema has no format %s", quote(f.format))
	}
	if f.visible == never || f.encryption != nil {
		return nil // nothing is formatted
	}
	t := f.valueType()
	for _, k := range kinds {
		if t.Kind == k {
			return nil
		}
	}
	return e.errorf("format %s is not for a value of type %s", quote(f.format), quote(t.String()))
}

// readRule reads when the field is shown.
func (c *compiler) readRule(f *field, visible at) (err error) {
	if !visible.there() {
		return nil
	}
	if visible.v.sort == text {
		switch visible.v.text {
		case "always":
		case "never":
			f.visible = never
		case "optional":
			f.visible = optional
		default:
			return visible.errorf("want \"always\", \"never\", \"optional\" or a rule, got %s", quote(visible.v.text))
		}
		return nil
	}
	if err := visible.object("ifNotIn", "mustMatch"); err != nil {
		return err
	}
	list := visible.member("ifNotIn")
	f.visible = ifNotIn
	if match := visible.member("mustMatch"); match.there() {
		if list.there() {
			return visible.errorf("want either ifNotIn or mustMatch")
		}
		list, f.visible = match, mustMatch
	}
	if err := list.want(array); err != nil {
		return err
	}
	if len(list.v.elems) == 0 {
		return list.errorf("is empty")
	}
	key := rule{list.v, f.valueType().Kind}
	if c.rules[key] == nil {
		if c.rules[key], err = readValues(list, f.valueType()); err != nil {
			return err
		}
	}
	f.values = c.rules[key]
	return nil
}

// readValues reads the values of a rule.
func readValues(list at, t *abi.Type) (map[string]bool, error) {
	out := make(map[string]bool, len(list.v.elems))
	for i := range list.v.elems {
		e := list.elem(i)
		if e.v.sort == null {
			continue // no value is null
		}
		s, err := e.scalar()
		if err != nil {
			return nil, err
		}
		value, ok := canonicalText(t, s)
		if !ok {
			return nil, e.errorf("%s is no value of type %s", quote(s), quote(t.String()))
		}
		out[value] = true
	}
	return out, nil
}

// readEncryption reads what an encrypted value is, which nobody decrypts here.
func readEncryption(from at, format string) (*encryption, error) {
	if !from.there() {
		return nil, nil
	}
	if err := from.object("scheme", "plaintextType", "fallbackLabel"); err != nil {
		return nil, err
	}
	var e encryption
	var err error
	if e.scheme, err = from.member("scheme").string(); err != nil {
		return nil, err
	}
	if e.label, err = from.member("fallbackLabel").text(); err != nil {
		return nil, err
	}
	plain := from.member("plaintextType")
	name, err := plain.text()
	if err != nil || !plain.there() {
		return &e, err
	}
	t, err := abi.Parse(name)
	if err != nil {
		return nil, plain.errorf("%v", err)
	}
	f := field{format: format, path: &route{last: t}}
	return &e, f.fits(plain)
}

// canonicalText is a value that a descriptor writes as text, as [canonical] writes one
// of that type.
func canonicalText(t *abi.Type, s string) (string, bool) {
	switch t.Kind {
	case abi.Uint, abi.Int:
		n, ok := parseSigned(s)
		if !ok {
			return "", false
		}
		return n.String(), true
	case abi.String, abi.Tuple:
		return s, t.Kind == abi.String
	default:
		return strings.ToLower(s), true
	}
}

// canonical is a value as text that equals that of the same value in a descriptor.
func canonical(v abi.Value) string {
	switch v.Type.Kind {
	case abi.Uint:
		return v.Word.Dec()
	case abi.Int:
		return v.Signed().String()
	case abi.Bool:
		return strconv.FormatBool(v.Bool())
	case abi.Address:
		return strings.ToLower(v.Address().Hex())
	case abi.String:
		return v.Text()
	default:
		return hexText(v.Bytes)
	}
}

// parseInteger reads an unsigned integer, in decimal or with 0x.
func parseInteger(s string) (*uint256.Int, bool) {
	n, ok := parseSigned(s)
	if !ok || n.Sign() < 0 {
		return nil, false
	}
	return uint256.MustFromBig(n), true
}

// parseSigned reads an integer of at most 256 bits.
func parseSigned(s string) (*big.Int, bool) {
	digits, base := strings.TrimPrefix(s, "-"), 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	}
	if digits == "" || len(digits) > 80 || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return nil, false
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok || n.BitLen() > 256 {
		return nil, false
	}
	if strings.HasPrefix(s, "-") {
		n.Neg(n)
	}
	return n, true
}

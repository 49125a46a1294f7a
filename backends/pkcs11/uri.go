package pkcs11

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// URI is a PKCS#11 URI (RFC 7512), as far as it identifies tokens and keys. An
// attribute that is empty matches everything.
type URI struct {
	Token, Manufacturer, Model, Serial string // of the token, without padding
	Object                             string // CKA_LABEL
	ID                                 string // CKA_ID, as it is
	Type                               string // "private" or empty
}

// attribute is one that we match. most is how many bytes the token has for it
// (PKCS #11 v2.40, 3.2, CK_TOKEN_INFO).
type attribute struct {
	name  string
	most  int
	value func(*URI) *string
}

// attributes are in the order in which a URI is written.
var attributes = []attribute{
	{"token", 32, func(u *URI) *string { return &u.Token }},
	{"manufacturer", 32, func(u *URI) *string { return &u.Manufacturer }},
	{"model", 16, func(u *URI) *string { return &u.Model }},
	{"serial", 16, func(u *URI) *string { return &u.Serial }},
	{"object", 1 << 10, func(u *URI) *string { return &u.Object }},
	{"id", 1 << 10, func(u *URI) *string { return &u.ID }},
	{"type", 16, func(u *URI) *string { return &u.Type }},
}

const uriPrefix = "pkcs11:"

// ParseURI reads a PKCS#11 URI. It is strict: an attribute that we would not
// match is an error, as ignoring it could choose another key than was meant.
func ParseURI(s string) (URI, error) {
	var u URI
	rest, ok := strings.CutPrefix(s, uriPrefix)
	if !ok {
		return URI{}, fmt.Errorf("PKCS#11 URI %q: want it to begin with %q", s, uriPrefix)
	}
	if strings.Contains(rest, "?") {
		return URI{}, fmt.Errorf("PKCS#11 URI %q: nothing may follow a \"?\"; module and PIN have settings of their own", s)
	}
	if rest == "" {
		return URI{}, fmt.Errorf("PKCS#11 URI %q: it names nothing; give e.g. token=LABEL", s)
	}
	for part := range strings.SplitSeq(rest, ";") {
		if err := u.set(part); err != nil {
			return URI{}, fmt.Errorf("PKCS#11 URI %q: %w", s, err)
		}
	}
	return u, nil
}

func (u *URI) set(part string) error {
	name, text, ok := strings.Cut(part, "=")
	if !ok {
		return fmt.Errorf("%q: want name=value", part)
	}
	i := slices.IndexFunc(attributes, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return fmt.Errorf("attribute %q is not supported; token, manufacturer, model, serial, object, id and type are", name)
	}
	a := attributes[i]
	value, err := unescape(text)
	switch field := a.value(u); {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case *field != "":
		return fmt.Errorf("%s is given twice", name)
	case value == "":
		return fmt.Errorf("%s is empty; leave it out to match every %s", name, name)
	case len(value) > a.most:
		return fmt.Errorf("%s has %d bytes; the most is %d", name, len(value), a.most)
	case name != "id" && !utf8.ValidString(value):
		return fmt.Errorf("%s is not UTF-8 (RFC 7512, 2.3)", name)
	case name == "type" && value != "private":
		return fmt.Errorf("type is %q; want private, as it is the private key that signs", value)
	default:
		*field = value
		return nil
	}
}

// String returns the URI in one form: attributes in a fixed order, as little
// escaped as can be, the id escaped throughout (RFC 7512, 2.3).
func (u URI) String() string {
	var b strings.Builder
	sep := uriPrefix
	for _, a := range attributes {
		value := *a.value(&u)
		if value == "" {
			continue
		}
		b.WriteString(sep + a.name + "=")
		for _, c := range []byte(value) {
			if a.name != "id" && plain(c) {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		sep = ";"
	}
	return b.String()
}

// plain is pk11-path-char without the escaped ones: RFC 3986's unreserved, and
// pk11-path-res-avail (RFC 7512, 2.3).
func plain(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	default:
		return strings.IndexByte("-._~:[]@!$'()*+,=&", c) >= 0
	}
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+3 > len(s) {
				return "", fmt.Errorf("%q ends within an escape; want %% and two hexadecimal digits", s)
			}
			raw, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				return "", fmt.Errorf("%q is no escape; want %% and two hexadecimal digits", s[i:i+3])
			}
			b.WriteByte(raw[0])
			i += 2
		case plain(c):
			b.WriteByte(c)
		default:
			return "", fmt.Errorf("%q must be written %%%02X", string(rune(c)), c)
		}
	}
	return b.String(), nil
}

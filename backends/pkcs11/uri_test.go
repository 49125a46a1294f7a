package pkcs11

import (
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	for s, want := range map[string]URI{
		"pkcs11:token=Hot%20wallet":                     {Token: "Hot wallet"},
		"pkcs11:object=pay;id=%01%ff;type=private":      {Object: "pay", ID: "\x01\xff", Type: "private"},
		"pkcs11:id=ab":                                  {ID: "ab"},
		"pkcs11:serial=0042;model=X;manufacturer=A%26B": {Serial: "0042", Model: "X", Manufacturer: "A&B"},
		"pkcs11:token=a=b":                              {Token: "a=b"}, // "=" needs no escape, RFC 7512, 2.3
		"pkcs11:object=gr%C3%BCn":                       {Object: "grün"},
	} {
		t.Run(s, func(t *testing.T) {
			got, err := ParseURI(s)
			if err != nil || got != want {
				t.Errorf("ParseURI = %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestParseURIRefuses(t *testing.T) {
	for name, c := range map[string]struct{ uri, want string }{
		"nothing":                       {"", "begin with"},
		"another scheme":                {"file:/etc/passwd", "begin with"},
		"upper case scheme":             {"PKCS11:token=a", "begin with"},
		"no attribute":                  {"pkcs11:", "names nothing"},
		"trailing semicolon":            {"pkcs11:token=a;", "want name=value"},
		"no value":                      {"pkcs11:token", "want name=value"},
		"empty value":                   {"pkcs11:token=", "leave it out"},
		"unknown attribute":             {"pkcs11:tokne=a", `"tokne" is not supported`},
		"attribute in other case":       {"pkcs11:Token=a", `"Token" is not supported`},
		"slot, which changes":           {"pkcs11:slot-id=1", "not supported"},
		"vendor attribute":              {"pkcs11:token=a;x-vendor=1", "not supported"},
		"attribute twice":               {"pkcs11:token=a;token=b", "twice"},
		"same attribute twice":          {"pkcs11:token=a;token=a", "twice"},
		"PIN in the URI":                {"pkcs11:token=a?pin-value=1234", "settings of their own"},
		"module in the URI":             {"pkcs11:token=a?module-path=/tmp/x.so", "settings of their own"},
		"public key":                    {"pkcs11:object=a;type=public", "want private"},
		"escape with one digit":         {"pkcs11:token=a%2", "ends within an escape"},
		"escape with no digit":          {"pkcs11:token=a%zz", "no escape"},
		"bare space":                    {"pkcs11:token=a b", "must be written %20"},
		"bare slash":                    {"pkcs11:token=a/b", "must be written %2F"},
		"bare newline":                  {"pkcs11:token=a\nb", "must be written %0A"},
		"label that is not UTF-8":       {"pkcs11:object=%ff", "not UTF-8"},
		"label longer than any token's": {"pkcs11:token=" + strings.Repeat("a", 33), "33 bytes; the most is 32"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseURI(c.uri)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseURI error = %v, want %q", err, c.want)
			}
			if got != (URI{}) {
				t.Errorf("ParseURI returned %+v with its error", got)
			}
		})
	}
}

// FuzzParseURI checks that a URI has one meaning: what is accepted can be written,
// reads back as the same, and is then written the same.
func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=Hot%20wallet;object=a=b;id=%00%ff;type=private")
	f.Add("pkcs11:serial=0042;model=X;manufacturer=A%26B")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		again, err := ParseURI(u.String())
		if err != nil || again != u {
			t.Errorf("%q is %+v, written %q, which reads as %+v, %v", s, u, u, again, err)
		}
		if strings.Count(s, ";") != strings.Count(u.String(), ";") {
			t.Errorf("%q has other attributes than %q", s, u)
		}
	})
}

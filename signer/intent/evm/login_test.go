package evm_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// signIn is the example of ERC-4361 ("Example Message", all parts), for the key of the
// tests.
const signIn = `service.invalid wants you to sign in with your Ethereum account:
` + sender + `

I accept the ServiceOrg Terms of Service: https://service.invalid/tos

URI: https://service.invalid/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2021-09-30T16:25:24Z
Expiration Time: 2021-09-30T18:25:24.5+02:00
Not Before: 2021-09-30T16:00:00Z
Request ID: a%20b
Resources:
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/
- https://example.com/my-web2-claim.json`

// shortSignIn has the mandatory parts alone.
const shortSignIn = "https://service.invalid:8443 wants you to sign in with your Ethereum account:\n" + sender +
	"\n\n\nURI: https://service.invalid:8443\nVersion: 1\nChain ID: 1\nNonce: 32891756\nIssued At: 2021-09-30T16:25:24Z"

func TestSignInMeans(t *testing.T) {
	in, err := evm.Message{}.Decode([]byte(signIn), keyFor(t, "eip155:1"), book())
	if err != nil {
		t.Fatal(err)
	}
	want := []signer.Effect{{
		Class: signer.ClassLogin, Actor: account(sender), Until: time.Date(2021, 9, 30, 16, 25, 24, 5e8, time.UTC),
		Attributes: map[string]string{"domain": "service.invalid", "uri": "https://service.invalid/login"},
	}}
	if !reflect.DeepEqual(in.Effects, want) || !in.Complete || len(in.Outflow) != 0 || len(in.Warnings) != 0 {
		t.Errorf("intent = %+v, want effects %+v, complete and without a warning", in, want)
	}
	for name, value := range map[string]string{
		"domain": "service.invalid", "account": sender, "statement": "I accept the ServiceOrg Terms of Service: https://service.invalid/tos",
		"uri": "https://service.invalid/login", "version": "1", "chain id": "1", "nonce": "32891756", "issued at": "2021-09-30T16:25:24Z",
		"expiration time": "2021-09-30T18:25:24.5+02:00", "not before": "2021-09-30T16:00:00Z", "request id": "a%20b",
		"resource 1": "ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/", "resource 2": "https://example.com/my-web2-claim.json",
		"text": signIn, "signer": sender,
	} {
		if got := field(in, name); got != value {
			t.Errorf("field %s = %q, want %q", name, got, value)
		}
	}
	short, err := evm.Message{}.Decode([]byte(shortSignIn), keyFor(t, "eip155:1"), book())
	if err != nil {
		t.Fatal(err)
	}
	if e := short.Effects[0]; e.Class != signer.ClassLogin || !e.Until.IsZero() || e.Attributes["domain"] != "service.invalid:8443" || len(short.Warnings) != 0 || field(short, "scheme") != "https" {
		t.Errorf("intent = %+v, want a login without an end at service.invalid:8443", short)
	}
}

// By ERC-5573 a sign-in lets whoever has the key of its URI act for the account. What at
// is not in words.
func TestSignInThatHandsOnPowersWasNotRead(t *testing.T) {
	for _, scheme := range []string{"urn:recap:", "URN:ReCap:"} {
		text := strings.Replace(signIn, "https://example.com/my-web2-claim.json", scheme+"eyJhdHQiOnt9LCJwcmYiOltdfQ", 1)
		in, err := evm.Message{}.Decode([]byte(text), keyFor(t, "eip155:1"), book())
		if err != nil || in.Complete || in.Class() != signer.ClassUnknownMessage || in.Effects[0].Class != signer.ClassLogin {
			t.Errorf("%s: complete %v, effects %+v, %v; want a login and an unknown message, incomplete", scheme, in.Complete, in.Effects, err)
		}
	}
}

func TestSignInIsComparedWithTheKey(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		chains []string
		warns  []string
	}{
		"as it should be":           {signIn, []string{"eip155:1", "eip155:10"}, nil},
		"a key without chains":      {signIn, nil, nil},
		"another account":           {strings.Replace(signIn, sender, payee, 1), []string{"eip155:1"}, []string{evm.WarnLoginMismatch}},
		"another chain":             {signIn, []string{"eip155:10"}, []string{evm.WarnLoginMismatch}},
		"another account and chain": {strings.Replace(signIn, sender, payee, 1), []string{"eip155:10"}, []string{evm.WarnLoginMismatch, evm.WarnLoginMismatch}},
		"a URI without a host":      {strings.Replace(signIn, "URI: https://service.invalid/login", "URI: did:key:z6Mk", 1), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Message{}.Decode([]byte(test.text), keyFor(t, test.chains...), book())
			if err != nil {
				t.Fatal(err)
			}
			if got := warnings(in); !slices.Equal(got, test.warns) {
				t.Errorf("warnings = %v, want %v", got, test.warns)
			}
		})
	}
}

// What a careless service could take for a sign-in is one, or it is not signed.
func TestTextThatAsksForASignInIsOneToTheLetter(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(signIn, old) {
			t.Fatalf("the sign-in has no %q", old)
		}
		return strings.Replace(signIn, old, new, 1)
	}
	for name, test := range map[string]struct{ text, want string }{
		"the first line alone":             {"service.invalid wants you to sign in with your Ethereum account:", "ends too early"},
		"in other letter case":             {change("wants you to sign", "wants you to SIGN"), "first line"},
		"behind a greeting":                {"Hello!\n" + signIn, "first line"},
		"behind white space":               {" " + signIn, "first line"},
		"without a domain":                 {change("service.invalid wants", " wants"), "first line"},
		"a domain with a user":             {change("service.invalid wants", "service.invalid@evil.invalid wants"), "first line"},
		"a domain with a path":             {change("service.invalid wants", "service.invalid/x wants"), "first line"},
		"a domain of another alphabet":     {change("service.invalid wants", "s\u0435rvice.invalid wants"), "first line"},
		"lines that end as on Windows":     {strings.ReplaceAll(signIn, "\n", "\r\n"), "first line"},
		"an address that is cut":           {change(sender, sender[:41]), "account"},
		"an address with a wrong checksum": {change(sender, strings.Replace(sender, "F", "f", 1)), "account"},
		"no blank line":                    {change("\n\nI accept", "\nI accept"), "blank line"},
		"a statement of two lines":         {change("Terms of", "Terms\nof"), "blank line"},
		"a statement that is not UTF-8":    {change("Terms", "T\xe9rms"), "statement"},
		"a statement beyond ASCII":         {change("Terms", "T\u00e9rms"), "statement"},
		"no blank line for no statement":   {change("\n\nI accept the ServiceOrg Terms of Service: https://service.invalid/tos\n\n", "\n\n"), "blank line"},
		"no URI":                           {change("URI: https://service.invalid/login\n", ""), "URI: missing"},
		"a URI with a space":               {change("/login", "/log in"), "URI"},
		"a URI with half an escape":        {change("/login", "/log%2"), "URI"},
		"no URI but a path":                {change("https://service.invalid/login", "/login"), "URI"},
		"another version":                  {change("Version: 1", "Version: 2"), "Version"},
		"no version":                       {change("Version: 1\n", ""), "Version: missing"},
		"parts in another order":           {change("Version: 1\nChain ID: 1", "Chain ID: 1\nVersion: 1"), "Version: missing"},
		"a chain that is no number":        {change("Chain ID: 1", "Chain ID: 0x1"), "Chain ID"},
		"a chain with a leading zero":      {change("Chain ID: 1", "Chain ID: 01"), "Chain ID"},
		"a chain above 64 bits":            {change("Chain ID: 1", "Chain ID: 18446744073709551616"), "more than 64 bits"},
		"a nonce of seven letters":         {change("32891756", "3289175"), "Nonce"},
		"a nonce with a sign":              {change("32891756", "3289175-"), "Nonce"},
		"no time of issue":                 {change("Issued At: 2021-09-30T16:25:24Z\n", ""), "Issued At: missing"},
		"a date for a time":                {change("2021-09-30T16:25:24Z", "2021-09-30"), "Issued At"},
		"a day that does not exist":        {change("2021-09-30T16:25:24Z", "2021-09-31T16:25:24Z"), "there is no such time"},
		"an end twice":                     {change("Not Before", "Expiration Time: 2031-09-30T16:25:24Z\nNot Before"), "another order"},
		"a request with a space":           {change("a%20b", "a b"), "Request ID"},
		"a resource that is no URI":        {change("- ipfs://", "- "), "resource 1"},
		"a resource without its dash":      {change("- ipfs://", "ipfs://"), "Resources"},
		"a line feed behind it":            {signIn + "\n", "a line feed at the end; the message has none"},
		"a line feed behind a short one":   {shortSignIn + "\n", "a line feed at the end; the message has none"},
		"two line feeds behind it":         {shortSignIn + "\n\n", "end: \"\": want nothing there"},
		"a defect and a line feed":         {change("Version: 1", "Version: 2") + "\n", "Version"},
		"a second sign-in behind it":       {shortSignIn + "\n" + shortSignIn, "end"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := evm.Message{}.Decode([]byte(test.text), keyFor(t, "eip155:1"), book())
			if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "ERC-4361") {
				t.Errorf("Decode error = %v, want code %q and %q", err, signer.CodeInvalid, test.want)
			}
			if len(in.Messages) != 0 {
				t.Error("a refused message came with something to sign")
			}
		})
	}
}

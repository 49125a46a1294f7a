package evm

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// login is a sign-in with Ethereum (ERC-4361): a personal message by which whoever has
// the account becomes it at a service.
type login struct {
	domain, scheme string // who asks: scheme is empty where it is not named
	account        common.Address
	chainID        uint64
	uri            string
	until          time.Time // zero: never
	recap          bool      // it hands on powers of the account at services (ERC-5573)
	parts          []signer.Field
}

// loginPhrase is in every sign-in. A service may read a text with less care than we do,
// so whatever has the phrase must be a sign-in to the letter, or it is refused.
const loginPhrase = "wants you to sign in with your ethereum account"

func looksLikeLogin(text string) bool {
	return strings.Contains(strings.ToLower(text), loginPhrase)
}

// The grammar of ERC-4361 ("ABNF Message Format") over that of URIs (RFC 3986,
// appendix A) and times (RFC 3339, 5.6).
const (
	unreserved = `A-Za-z0-9\-._~`
	subDelims  = `!$&'()*+,;=`
	percent    = `%[0-9A-Fa-f]{2}`
	host       = `(?:\[[0-9A-Fa-f:.]+\]|(?:[` + unreserved + subDelims + `]|` + percent + `)+)`
	pchar      = `(?:[` + unreserved + subDelims + `:@]|` + percent + `)`
	userinfo   = `(?:(?:[` + unreserved + subDelims + `:]|` + percent + `)*@)`
	uriGrammar = `[A-Za-z][A-Za-z0-9+\-.]*:(?://` + userinfo + `?` + host + `?(?::[0-9]*)?(?:/` + pchar + `*)*|/?(?:` + pchar + `+(?:/` + pchar + `*)*)?)` +
		`(?:\?(?:` + pchar + `|[/?])*)?(?:#(?:` + pchar + `|[/?])*)?`
	timeGrammar = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+\-][0-9]{2}:[0-9]{2})`
)

var (
	loginFirst     = regexp.MustCompile(`^(?:([A-Za-z][A-Za-z0-9+\-.]*)://)?(` + host + `(?::[0-9]*)?) wants you to sign in with your Ethereum account:$`)
	loginStatement = regexp.MustCompile(`^[` + unreserved + subDelims + `:/?#\[\]@ ]+$`)
	loginURI       = regexp.MustCompile(`^` + uriGrammar + `$`)
	loginChain     = regexp.MustCompile(`^(?:0|[1-9][0-9]*)$`)
	loginNonce     = regexp.MustCompile(`^[A-Za-z0-9]{8,}$`)
	loginTime      = regexp.MustCompile(`^` + timeGrammar + `$`)
	loginRequest   = regexp.MustCompile(`^` + pchar + `*$`)
)

// parseLogin reads the text of a sign-in, whose parts stand in a fixed order.
func parseLogin(text string) (*login, error) {
	p := loginParser{lines: strings.Split(strings.TrimSuffix(text, "\n"), "\n")}
	p.first()
	p.address()
	p.blank()
	if statement := p.line(); statement != "" {
		p.part("statement", statement, loginStatement)
		p.blank()
	}
	p.uri = p.labelled("URI", loginURI)
	if version := p.labelled("Version", nil); version != "1" {
		p.fail("Version", "%s: want 1", abi.Quote(version))
	}
	chain := p.labelled("Chain ID", loginChain)
	p.labelled("Nonce", loginNonce)
	p.time(p.labelled("Issued At", loginTime))
	if p.has("Expiration Time") {
		p.until = p.time(p.labelled("Expiration Time", loginTime))
	}
	if p.has("Not Before") {
		p.time(p.labelled("Not Before", loginTime))
	}
	if p.has("Request ID") {
		p.labelled("Request ID", loginRequest)
	}
	p.resources()
	if len(p.lines) > 0 {
		p.fail("end", "%s: want nothing there; parts may be missing, twice or in another order", abi.Quote(p.lines[0]))
	}
	if strings.HasSuffix(text, "\n") {
		p.fail("end", "a line feed at the end; the message has none: save it without the one that editors add")
	}
	var err error
	if p.chainID, err = strconv.ParseUint(chain, 10, 64); err != nil {
		p.fail("Chain ID", "%s: more than 64 bits", abi.Quote(chain))
	}
	return &p.login, p.err
}

// loginParser takes lines off a text and keeps the first error.
type loginParser struct {
	login
	lines []string
	err   error
}

func (p *loginParser) fail(name, format string, args ...any) {
	if p.err == nil {
		p.err = signer.Invalid("message: it asks for a sign-in with Ethereum, but is none by ERC-4361, and a service could still take it for one: "+name+": "+format, args...)
	}
}

func (p *loginParser) line() string {
	if len(p.lines) == 0 {
		p.fail("end", "the text ends too early")
		return ""
	}
	line := p.lines[0]
	p.lines = p.lines[1:]
	return line
}

func (p *loginParser) blank() {
	if line := p.line(); line != "" {
		p.fail("blank line", "%s: want an empty line there", abi.Quote(line))
	}
}

func (p *loginParser) first() {
	line := p.line()
	m := loginFirst.FindStringSubmatch(line)
	if m == nil {
		p.fail("first line", `%s: want a domain, without a user name, and " wants you to sign in with your Ethereum account:"`, abi.Quote(line))
		return
	}
	p.scheme, p.domain = m[1], m[2]
	p.parts = append(p.parts, signer.Field{Name: "domain", Value: p.domain})
	if p.scheme != "" {
		p.parts = append(p.parts, signer.Field{Name: "scheme", Value: p.scheme})
	}
}

func (p *loginParser) address() {
	var r textReader
	p.account = r.address("account", p.line())
	if r.err != nil {
		p.fail("account", "want an address on the second line, in the letter case of EIP-55")
	}
	p.parts = append(p.parts, signer.Field{Name: "account", Value: p.account.Hex()})
}

// part shows a part and holds it to its grammar.
func (p *loginParser) part(name, value string, grammar *regexp.Regexp) {
	if grammar != nil && !grammar.MatchString(value) {
		p.fail(name, "%s: it has characters that it may not have, or is not of the form that it must have", abi.Quote(value))
	}
	p.parts = append(p.parts, signer.Field{Name: strings.ToLower(name), Value: value})
}

func (p *loginParser) has(name string) bool {
	return len(p.lines) > 0 && strings.HasPrefix(p.lines[0], name+": ")
}

// labelled takes a line that begins with its name.
func (p *loginParser) labelled(name string, grammar *regexp.Regexp) string {
	if !p.has(name) {
		p.fail(name, "missing where it must stand")
		return ""
	}
	value := p.line()[len(name+": "):]
	p.part(name, value, grammar)
	return value
}

func (p *loginParser) time(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		p.fail("time", "%s: there is no such time", abi.Quote(text))
	}
	// The offset may lead out of the years that RFC 3339 can write in UTC, as a record
	// does; and the first moment of all stands for "never".
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 || t.IsZero() {
		p.fail("time", "%s: not within the years 1 to 9999 in UTC", abi.Quote(text))
	}
	return t
}

func (p *loginParser) resources() {
	if len(p.lines) == 0 || p.lines[0] != "Resources:" {
		return
	}
	p.line()
	for n := 1; len(p.lines) > 0; n++ {
		uri, ok := strings.CutPrefix(p.line(), "- ")
		if !ok {
			p.fail("Resources", "%s: want \"- \" and a URI", abi.Quote(uri))
		}
		p.part("resource "+strconv.Itoa(n), uri, loginURI)
		p.recap = p.recap || strings.HasPrefix(strings.ToLower(uri), "urn:recap:")
	}
}

// login says what a sign-in does. Chains are those that the key signs for; none are
// compared where there are none.
func (r *reading) login(l *login, from *common.Address, chains []string) {
	chain := chainName(l.chainID)
	r.in.Fields = append(r.in.Fields, l.parts...)
	r.effect(frame{}, signer.Effect{
		Class: signer.ClassLogin, Actor: account(chain, l.account), Until: l.until,
		Attributes: map[string]string{"domain": l.domain, "uri": l.uri},
	})
	if l.recap {
		// What the URI of the sign-in may then do, such as have another key sign, is in a
		// JSON object in base64.
		r.in.Complete = false
		r.effect(frame{}, signer.Effect{
			Class: signer.ClassUnknownMessage, Actor: account(chain, l.account), Quantity: signer.Quantity{Kind: signer.QuantityUnknown},
		})
	}
	if from != nil && *from != l.account {
		r.warn(WarnLoginMismatch, signer.SeverityDanger,
			"signs in as "+l.account.Hex()+", but the key's address is "+from.Hex())
	}
	if len(chains) > 0 && !slices.Contains(chains, chain) {
		r.warn(WarnLoginMismatch, signer.SeverityDanger,
			"signs in on chain "+chain+", but the key signs for "+strings.Join(chains, ", "))
	}
}

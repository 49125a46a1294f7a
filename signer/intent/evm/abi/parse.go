package abi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"
)

// Method is a function of a contract: its name and its arguments.
type Method struct {
	Name string
	Args *Type // a Tuple
}

// Signature is the canonical text, without names: "transfer(address,uint256)".
func (m Method) Signature() string { return m.Name + m.Args.String() }

// Selector is what calldata for the method begins with (Contract ABI Specification,
// "Function Selector").
func (m Method) Selector() [4]byte {
	return [4]byte(crypto.Keccak256([]byte(m.Signature())))
}

// Parse reads the text of a type: "uint256", "(address token, uint96 amount)[3][]".
// Fields of tuples may have names. "uint" is uint256 and "int" is int256, as in
// Solidity. "()" is the type of no arguments; nothing else may be empty.
func Parse(text string) (*Type, error) {
	t, err := parse(text, func(p *parser) (*Type, error) { return p.typ(1) })
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", Quote(text), err)
	}
	return t, nil
}

// ParseSignature reads a method as ERC-7730 and Solidity write it, with or without
// names: "transfer(address to, uint256 value)".
func ParseSignature(text string) (Method, error) {
	var name string
	args, err := parse(text, func(p *parser) (*Type, error) {
		if name = p.identifier(); name == "" {
			return nil, errors.New("a name, such as in \"transfer(address to, uint256 value)\", is missing")
		}
		if !p.take('(') {
			return nil, p.want("\"(\" after the name")
		}
		return p.tuple(1)
	})
	if err != nil {
		return Method{}, fmt.Errorf("signature %s: %w", Quote(text), err)
	}
	return Method{Name: name, Args: args}, nil
}

// MustParseSignature is [ParseSignature] for constants. It panics.
func MustParseSignature(text string) Method {
	m, err := ParseSignature(text)
	if err != nil {
		panic(err)
	}
	return m
}

func parse(text string, read func(*parser) (*Type, error)) (*Type, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("longer than %d bytes", maxText)
	}
	p := &parser{text: text}
	t, err := read(p)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(text) {
		return nil, p.want("the end")
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	// "uint" grows to "uint256"; what String gives must be read again.
	if len(t.String()) > maxText {
		return nil, fmt.Errorf("longer than %d bytes when written out", maxText)
	}
	return t, nil
}

// parser reads types from left to right. Nothing is read twice.
type parser struct {
	text string
	pos  int
}

// space skips blanks. Descriptors have them anywhere between words.
func (p *parser) space() {
	for p.pos < len(p.text) && p.text[p.pos] == ' ' {
		p.pos++
	}
}

func (p *parser) take(c byte) bool {
	if p.space(); p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// identifier is the next word, or empty (Solidity grammar, "Identifier").
func (p *parser) identifier() string {
	p.space()
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '$'
		if !letter && (p.pos == start || c < '0' || c > '9') {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

// want is the error of a place where something else stands.
func (p *parser) want(what string) error {
	if p.space(); p.pos == len(p.text) {
		return fmt.Errorf("it ends where %s is due", what)
	}
	return fmt.Errorf("at byte %d, %s where %s is due", p.pos+1, Quote(p.text[p.pos:]), what)
}

// typ reads a type at a depth, its dimensions included.
func (p *parser) typ(depth int) (t *Type, err error) {
	if p.take('(') {
		t, err = p.tuple(depth)
	} else if name := p.identifier(); name == "" {
		return nil, p.want("a type")
	} else if name == "tuple" {
		if !p.take('(') {
			return nil, p.want("\"(\" after \"tuple\"")
		}
		t, err = p.tuple(depth)
	} else {
		t, err = elementary(name)
	}
	for err == nil && p.take('[') {
		t, err = p.dimension(t)
	}
	return t, err
}

// dimension makes an array of a type, after "[".
func (p *parser) dimension(elem *Type) (*Type, error) {
	if p.take(']') {
		return &Type{Kind: Slice, Elem: elem}, nil
	}
	p.space()
	rest := p.text[p.pos:]
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	n, ok := number(digits)
	if !ok {
		return nil, p.want("a length of an array")
	}
	p.pos += len(digits)
	if !p.take(']') {
		return nil, p.want("\"]\"")
	}
	return &Type{Kind: Array, Size: n, Elem: elem}, nil
}

// tuple reads fields up to ")", after "(".
func (p *parser) tuple(depth int) (*Type, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("tuples and arrays nest more than %d deep", maxDepth)
	}
	t := &Type{Kind: Tuple}
	if p.take(')') {
		return t, nil
	}
	names := map[string]bool{"": false}
	for {
		ft, err := p.typ(depth + 1)
		if err != nil {
			return nil, err
		}
		name, err := p.fieldName()
		if err != nil {
			return nil, err
		}
		if names[name] {
			return nil, fmt.Errorf("two fields of one tuple are called %s", Quote(name))
		}
		names[name] = name != ""
		t.Fields = append(t.Fields, Field{Name: name, Type: ft})
		if p.take(')') {
			return t, nil
		}
		if !p.take(',') {
			return nil, p.want("\",\" or \")\"")
		}
	}
}

// fieldName reads what may follow the type of a field: words that say where it is
// kept, and its name. The last word is the name, as contracts are about that call an
// argument "calldata".
func (p *parser) fieldName() (string, error) {
	name := p.identifier()
	for {
		at := p.pos
		next := p.identifier()
		if next == "" {
			return name, nil
		}
		switch name {
		case "calldata", "memory", "storage", "payable", "indexed":
			name = next
		default:
			p.pos = at
			return "", p.want("\",\" or \")\"")
		}
	}
}

// elementary is a type that is one word of text.
func elementary(name string) (*Type, error) {
	switch name {
	case "bool":
		return &Type{Kind: Bool}, nil
	case "address":
		return &Type{Kind: Address}, nil
	case "bytes":
		return &Type{Kind: Bytes}, nil
	case "string":
		return &Type{Kind: String}, nil
	case "uint":
		return &Type{Kind: Uint, Size: 256}, nil
	case "int":
		return &Type{Kind: Int, Size: 256}, nil
	case "function":
		return nil, errors.New("values of type function are not supported")
	}
	if strings.HasPrefix(name, "fixed") || strings.HasPrefix(name, "ufixed") {
		return nil, fmt.Errorf("%s: fixed-point numbers are not supported", Quote(name))
	}
	prefix := strings.TrimRight(name, "0123456789")
	if n, ok := number(name[len(prefix):]); ok {
		switch prefix {
		case "uint":
			return &Type{Kind: Uint, Size: n}, nil
		case "int":
			return &Type{Kind: Int, Size: n}, nil
		case "bytes":
			return &Type{Kind: FixedBytes, Size: n}, nil
		}
	}
	return nil, fmt.Errorf("there is no type %s", Quote(name))
}

// number reads a decimal number in the one way to write it.
func number(digits string) (int, bool) {
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), err == nil && digits == strconv.FormatUint(n, 10)
}

// Quote makes hostile text safe to put into an error: what is not printable ASCII is
// escaped, and what is long is cut off and its length said.
func Quote(s string) string {
	const most = 100
	if len(s) <= most {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:most]) + "... (" + strconv.Itoa(len(s)) + " bytes)"
}

package erc7730

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// maxStructs bounds the struct types of one key, as package typeddata does.
const maxStructs = 64

// parseTypeText reads a key of an EIP-712 context: the text that encodeType returns
// for the primary type (EIP-712, "Definition of encodeType"). It returns the type, and
// the text as encodeType writes it: a message has that type if it has that text.
func parseTypeText(key string) (*abi.Type, string, error) {
	p := &typeText{types: map[string]*abi.Type{}}
	for rest := strings.TrimSpace(key); rest != ""; {
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return nil, "", fmt.Errorf("%s: a \")\" is missing", quote(rest))
		}
		if err := p.declare(rest[:end]); err != nil {
			return nil, "", err
		}
		rest = strings.TrimSpace(rest[end+1:])
	}
	if len(p.names) == 0 {
		return nil, "", fmt.Errorf("no type")
	}
	if err := p.resolve(); err != nil {
		return nil, "", err
	}
	primary := p.names[0]
	others := p.reach(primary)
	if len(others) != len(p.names) {
		return nil, "", fmt.Errorf("%s does not use all of the %d types that follow it", quote(primary), len(p.names)-1)
	}
	slices.Sort(others[1:])
	var b strings.Builder
	for _, name := range others {
		b.WriteString(name + "(" + strings.Join(p.texts(name), ",") + ")")
	}
	return p.types[primary], b.String(), nil
}

// typeText is the struct types of a key.
type typeText struct {
	names   []string // in the order of the key
	types   map[string]*abi.Type
	members map[string][][2]string // type and name
}

// declare reads "Name(type name,type name".
func (p *typeText) declare(text string) error {
	name, list, ok := strings.Cut(text, "(")
	name = strings.TrimSpace(name)
	switch {
	case !ok || !identifier(strings.ReplaceAll(name, ":", "_")): // the schema allows a colon
		return fmt.Errorf("%s: want a type such as \"Mail(address to,string contents)\"", quote(text))
	case p.types[name] != nil:
		return fmt.Errorf("a second type %s", quote(name))
	case len(p.names) == maxStructs:
		return fmt.Errorf("more than %d types", maxStructs)
	}
	if p.members == nil {
		p.members = map[string][][2]string{}
	}
	seen := map[string]bool{}
	for member := range strings.SplitSeq(list, ",") {
		words := strings.Fields(member)
		if len(words) != 2 || !identifier(words[1]) || seen[words[1]] {
			return fmt.Errorf("type %s: %s: want a type and a name that no other member has", quote(name), quote(member))
		}
		seen[words[1]] = true
		p.members[name] = append(p.members[name], [2]string{words[0], words[1]})
	}
	p.names = append(p.names, name)
	p.types[name] = &abi.Type{Kind: abi.Tuple, Name: name}
	return nil
}

// resolve ties the types together.
func (p *typeText) resolve() error {
	for _, name := range p.names {
		t := p.types[name]
		for _, m := range p.members[name] {
			mt, err := p.member(m[0])
			if err != nil {
				return fmt.Errorf("type %s, member %s: %w", quote(name), quote(m[1]), err)
			}
			t.Fields = append(t.Fields, abi.Field{Name: m[1], Type: mt})
		}
	}
	return nil
}

// member is the type of a member: a struct type or one of Solidity's, and dimensions.
func (p *typeText) member(text string) (*abi.Type, error) {
	base, dimensions := baseOf(text)
	t := p.types[base]
	if t == nil {
		return abi.Parse(text)
	}
	if dimensions == "" {
		return t, nil
	}
	// The dimensions are those of any other type.
	outer, err := abi.Parse("bool" + dimensions)
	if err != nil {
		return nil, err
	}
	last := outer
	for last.Elem.Elem != nil {
		last = last.Elem
	}
	last.Elem = t
	return outer, nil
}

// texts are the members of a type as encodeType writes them.
func (p *typeText) texts(name string) (out []string) {
	for _, m := range p.members[name] {
		out = append(out, m[0]+" "+m[1])
	}
	return out
}

// reach is a type and all struct types that it refers to.
func (p *typeText) reach(name string) []string {
	out := []string{name}
	for i := 0; i < len(out); i++ {
		for _, m := range p.members[out[i]] {
			base, _ := baseOf(m[0])
			if p.types[base] != nil && !slices.Contains(out, base) {
				out = append(out, base)
			}
		}
	}
	return out
}

func baseOf(text string) (base, dimensions string) {
	if i := strings.IndexByte(text, '['); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

// identifier reports whether a name is one of Solidity's.
func identifier(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '$'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

package typeddata

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// Bounds of the types. Those of Permit2, Seaport and Safe are well below.
const (
	maxTypes      = 64
	maxMembers    = 128      // of one struct type
	maxName       = 128      // bytes of a name
	maxDimensions = 16       // of one array type
	maxText       = 32 << 10 // bytes of the type text; it is hashed for each type anew
)

// domainMembers are the members that a domain may have, in the order of the standard.
var domainMembers = []string{"name", "version", "chainId", "verifyingContract", "salt"}

// standardDomain has the types of the members that a domain may have. They may
// come in any order: "User-agents should accept fields in any order as specified by
// the EIP712Domain type" (EIP-712, "Definition of domainSeparator").
var standardDomain = map[string]string{
	"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address", "salt": "bytes32",
}

// schema is the struct types of a document, each known to be sound.
type schema struct {
	structs map[string]*structType
}

type structType struct {
	resolved *abi.Type
	declared []member
	refers   []string     // names of the struct types of the members, sorted
	direct   []string     // those of which a value always holds a value
	text     string       // made by encodeType when needed
	hash     *common.Hash // made by typeHash when needed
}

func (s *schema) of(name string) *abi.Type { return s.structs[name].resolved }

// resolve checks the types and ties them together. Types in error are named in
// alphabetical order, so that the same text gives the same error.
func resolve(declared map[string][]member, primary string, domain any) (*schema, error) {
	at := root("types")
	if len(declared) > maxTypes {
		return nil, at.errorf("%d types; the most is %d", len(declared), maxTypes)
	}
	s := &schema{structs: make(map[string]*structType, len(declared))}
	names := slices.Sorted(maps.Keys(declared))
	for _, name := range names {
		if err := checkStructName(name, at.member(name)); err != nil {
			return nil, err
		}
		s.structs[name] = &structType{resolved: &abi.Type{Kind: abi.Tuple, Name: name}, declared: declared[name]}
	}
	for _, name := range names {
		if err := s.members(name, at.member(name)); err != nil {
			return nil, err
		}
	}
	if err := s.checkDomain(domain); err != nil {
		return nil, err
	}
	if err := s.checkPrimary(primary); err != nil {
		return nil, err
	}
	for _, name := range names {
		if slices.Contains(s.reach(name, true), name) {
			return nil, at.member(name).errorf("holds itself without end; only an array of any length ([]) may lead back to it")
		}
	}
	if n := len(s.encodeType(primary)); n > maxText {
		return nil, at.errorf("the type text of %s has %d bytes; the most is %d", primary, n, maxText)
	}
	return s, nil
}

// members resolves the members of one struct type.
func (s *schema) members(name string, at *place) error {
	st := s.structs[name]
	switch n := len(st.declared); {
	case n == 0 && name != domainType:
		return at.errorf("no members; Solidity has no such struct")
	case n > maxMembers:
		return at.errorf("%d members; the most is %d", n, maxMembers)
	}
	seen := make(map[string]bool, len(st.declared))
	for i, m := range st.declared {
		at := at.element(i)
		switch {
		case m.Name == nil:
			return at.errorf("name is missing")
		case m.Type == nil:
			return at.errorf("type is missing")
		case !isIdentifier(*m.Name):
			return at.errorf("name %s is not an identifier of at most %d characters", abi.Quote(*m.Name), maxName)
		case seen[*m.Name]:
			return at.errorf("a second member %s; rename one", *m.Name)
		}
		seen[*m.Name] = true
		t, err := s.member(st, *m.Type, at)
		if err != nil {
			return err
		}
		st.resolved.Fields = append(st.resolved.Fields, abi.Field{Name: *m.Name, Type: t})
	}
	slices.Sort(st.refers)
	st.refers = slices.Compact(st.refers)
	return nil
}

// member resolves the type of one member: a base and any number of array suffixes,
// the innermost first.
func (s *schema) member(st *structType, text string, at *place) (*abi.Type, error) {
	base, dimensions := text, ""
	if i := strings.IndexByte(text, '['); i >= 0 {
		base, dimensions = text[:i], text[i:]
	}
	t, err := s.base(st, base, at)
	if err != nil {
		return nil, err
	}
	direct := t.Kind == abi.Tuple
	for n := 1; dimensions != ""; n++ {
		inner, rest, closed := strings.Cut(dimensions[1:], "]")
		if dimensions[0] != '[' || !closed {
			return nil, at.errorf("type %s is malformed; an array is written as in \"uint256[]\" or \"uint256[2]\"", abi.Quote(text))
		}
		if n > maxDimensions {
			return nil, at.errorf("an array of more than %d dimensions", maxDimensions)
		}
		dimensions = rest
		if inner == "" {
			t, direct = &abi.Type{Kind: abi.Slice, Elem: t}, false
			continue
		}
		size, err := strconv.Atoi(inner)
		if err != nil || size < 1 || size > maxElements || strconv.Itoa(size) != inner {
			return nil, at.errorf("type %s: want a length from 1 to %d without leading zeros", abi.Quote(text), maxElements)
		}
		t = &abi.Type{Kind: abi.Array, Size: size, Elem: t}
	}
	if direct {
		st.direct = append(st.direct, base)
	}
	return t, nil
}

// base resolves a type that is no array. Aliases are refused: EIP-712 has none
// (Definition of typed structured data), and readers that take them disagree on
// whether the type text says "uint" or "uint256".
func (s *schema) base(st *structType, name string, at *place) (*abi.Type, error) {
	if name == domainType {
		return nil, at.errorf("%s cannot be part of a struct", domainType)
	}
	if known, ok := s.structs[name]; ok {
		st.refers = append(st.refers, name)
		return known.resolved, nil
	}
	if isIdentifier(name) {
		t, err := abi.Parse(name)
		switch {
		case err == nil && t.String() == name:
			return t, nil
		case err == nil:
			return nil, at.errorf("type %s is an alias, which EIP-712 does not have; write %s", abi.Quote(name), t)
		}
	}
	return nil, at.errorf("type %s is neither declared in types nor a type of EIP-712", abi.Quote(name))
}

// checkDomain holds EIP712Domain to the standard. Without it nothing of the domain
// would be signed, or what is signed would depend on who reads: go-ethereum refuses
// that, MetaMask takes a domain without members, ethers makes the type up.
func (s *schema) checkDomain(domain any) error {
	at := root("types").member(domainType)
	st, ok := s.structs[domainType]
	if !ok || len(st.declared) == 0 {
		return at.errorf("missing or empty; declare the members of the domain, without which the signature is good everywhere%s", missingDomain(domain))
	}
	for i, m := range st.declared {
		want, ok := standardDomain[*m.Name]
		switch {
		case !ok:
			return at.element(i).errorf("%s is no member of a domain; EIP-712 has name, version, chainId, verifyingContract and salt", *m.Name)
		case *m.Type != want:
			return at.element(i).errorf("%s is of type %s; EIP-712 wants %s", *m.Name, abi.Quote(*m.Type), want)
		}
	}
	return nil
}

// missingDomain is the declaration that the members of a domain ask for. Libraries leave
// it out of what they are given and put it in before they send it.
func missingDomain(domain any) string {
	object, ok := domain.(map[string]any)
	if !ok {
		return ""
	}
	var members []string
	for _, name := range domainMembers {
		if _, ok := object[name]; ok {
			members = append(members, fmt.Sprintf(`{"name": %q, "type": %q}`, name, standardDomain[name]))
		}
	}
	if len(members) == 0 {
		return ""
	}
	return fmt.Sprintf("; by its members: %q: [%s]", domainType, strings.Join(members, ", "))
}

// checkPrimary: every declared type must have a part in what is signed.
func (s *schema) checkPrimary(primary string) error {
	at := root("primaryType")
	if primary == domainType {
		return at.errorf("%s is the type of the domain, not of a message", domainType)
	}
	if _, ok := s.structs[primary]; !ok {
		return at.errorf("%s is not declared in types", abi.Quote(primary))
	}
	used := s.reach(primary, false)
	for _, name := range slices.Sorted(maps.Keys(s.structs)) {
		if name != primary && name != domainType && !slices.Contains(used, name) {
			return root("types").member(name).errorf("declared, but not part of %s; leave it out, it would not be signed", primary)
		}
	}
	return nil
}

// reach returns the types that one refers to, at any remove, sorted; itself where a
// path leads back. With direct set it follows only those that a value must hold.
func (s *schema) reach(name string, direct bool) []string {
	found := map[string]bool{}
	for todo := []string{name}; len(todo) > 0; {
		last := len(todo) - 1
		st := s.structs[todo[last]]
		todo = todo[:last]
		next := st.refers
		if direct {
			next = st.direct
		}
		for _, n := range next {
			if !found[n] {
				found[n] = true
				todo = append(todo, n)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// checkStructName: a struct named as an elementary type, or nearly, would make one
// type text mean two things. MetaMask ends the name of a type at "$", so that it leaves
// the type out of the text and signs another digest (eth-sig-util 9.0.0,
// findTypeDependencies).
func checkStructName(name string, at *place) error {
	if !isIdentifier(name) || strings.Contains(name, "$") {
		return at.errorf("the name of a type must be an identifier of at most %d characters, without \"$\"", maxName)
	}
	switch strings.TrimRight(name, "0123456789x") {
	case "address", "bool", "byte", "bytes", "fixed", "function", "int", "mapping", "string", "tuple", "ufixed", "uint":
		return at.errorf("a struct cannot have the name of an elementary type")
	}
	return nil
}

// isIdentifier: the Solidity grammar, "identifier".
func isIdentifier(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c == '$':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return true
}

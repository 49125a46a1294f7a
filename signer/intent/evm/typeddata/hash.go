package typeddata

import (
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// hash fills in the type texts and the digests.
func (d *Data) hash(types *schema) {
	d.TypeText = types.encodeType(d.PrimaryType)
	d.DomainText = types.encodeType(domainType)
	d.DomainHash = types.hashStruct(d.DomainValue)
	d.MessageHash = types.hashStruct(d.Message)
	d.Digest = crypto.Keccak256Hash([]byte("\x19\x01"), d.DomainHash[:], d.MessageHash[:])
}

// encodeType: EIP-712, "Definition of encodeType": the type itself, then those it
// refers to, sorted.
func (s *schema) encodeType(name string) string {
	st := s.structs[name]
	if st.text != "" {
		return st.text
	}
	var b strings.Builder
	s.writeType(&b, name)
	for _, other := range s.reach(name, false) {
		if other != name {
			s.writeType(&b, other)
		}
	}
	st.text = b.String()
	return st.text
}

func (s *schema) writeType(b *strings.Builder, name string) {
	b.WriteString(name)
	b.WriteByte('(')
	for i, m := range s.structs[name].declared {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(*m.Type)
		b.WriteByte(' ')
		b.WriteString(*m.Name)
	}
	b.WriteByte(')')
}

// typeHash is computed once for a type, however many values there are.
func (s *schema) typeHash(name string) common.Hash {
	st := s.structs[name]
	if st.hash == nil {
		st.hash = new(crypto.Keccak256Hash([]byte(s.encodeType(name))))
	}
	return *st.hash
}

// hashStruct: EIP-712, "Definition of hashStruct".
func (s *schema) hashStruct(v abi.Value) common.Hash {
	typeHash := s.typeHash(v.Type.Name)
	encoded := make([]byte, 0, 32*(1+len(v.Elems)))
	encoded = append(encoded, typeHash[:]...)
	return crypto.Keccak256Hash(s.appendAll(encoded, v.Elems))
}

func (s *schema) appendAll(out []byte, values []abi.Value) []byte {
	for _, v := range values {
		word := s.encode(v)
		out = append(out, word[:]...)
	}
	return out
}

// encode is a value as one word: EIP-712, "Definition of encodeData".
func (s *schema) encode(v abi.Value) (word common.Hash) {
	switch v.Type.Kind {
	case abi.Tuple:
		return s.hashStruct(v)
	case abi.Slice, abi.Array:
		return crypto.Keccak256Hash(s.appendAll(make([]byte, 0, 32*len(v.Elems)), v.Elems))
	case abi.Bytes, abi.String:
		return crypto.Keccak256Hash(v.Bytes)
	case abi.FixedBytes:
		copy(word[:], v.Bytes) // zeros follow
		return word
	default:
		return v.Word.Bytes32()
	}
}

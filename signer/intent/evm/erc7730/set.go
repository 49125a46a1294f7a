package erc7730

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// Set is the descriptors of a folder. It is not changed once made, and the zero Set has
// none.
type Set struct {
	digest       [32]byte
	files        []string
	templates    []string
	attestations []string
	refused      []Refusal

	calls    map[claim]*descriptor
	messages map[string][]*descriptor // by type text
	names    map[deployment]string    // empty where they do not agree
}

// Digest is the SHA-256 of the manifest: it names all that the set is made of.
func (s *Set) Digest() [32]byte { return s.digest }

// Files are the descriptors in use, sorted.
func (s *Set) Files() []string { return slices.Clone(s.files) }

// Templates are the files that are bound to nothing and apply only where others include
// them, sorted.
func (s *Set) Templates() []string { return slices.Clone(s.templates) }

// Attestations are the files that say who vouches for a descriptor (ERC-8176), sorted.
// They lie beside the descriptors in the public registry. They are pinned with them and
// not read: whom to trust is for who pins.
func (s *Set) Attestations() []string { return slices.Clone(s.attestations) }

// Refused are the files that are not used, sorted.
func (s *Set) Refused() []Refusal { return slices.Clone(s.refused) }

// newSet reads the descriptors in a folder.
func newSet(files map[string][]byte, names []string) *Set {
	dir := &folder{data: files, parsed: map[string]*node{}}
	s := &Set{calls: map[claim]*descriptor{}, messages: map[string][]*descriptor{}, names: map[deployment]string{}}
	var all []*descriptor
	claims := 0
	for _, name := range names {
		if dir.attests(name) {
			s.attestations = append(s.attestations, name)
			continue
		}
		doc, err := dir.document(name)
		var d *descriptor
		if err == nil {
			d, err = newDescriptor(name, doc)
		}
		if d != nil {
			n := max(1, len(d.deployments)) * len(d.formats)
			if claims+n > maxClaims {
				err = fmt.Errorf("the descriptors of this folder are for more than %d functions and messages of contracts in all; this one is for %d", maxClaims, n)
			} else {
				claims += n
			}
		}
		switch {
		case err != nil:
			s.refused = append(s.refused, refusal(name, err))
		case d == nil:
			s.templates = append(s.templates, name)
		default:
			all = append(all, d)
		}
	}
	bad := conflicts(all)
	for _, d := range all {
		if r, ok := bad[d]; ok {
			s.refused = append(s.refused, r)
			continue
		}
		s.use(d)
	}
	slices.SortFunc(s.refused, func(a, b Refusal) int { return strings.Compare(a.File, b.File) })
	return s
}

// use makes a descriptor one that is looked up.
func (s *Set) use(d *descriptor) {
	s.files = append(s.files, d.file)
	for _, at := range d.deployments {
		if name, seen := s.names[at]; d.contractName != "" && seen && name != d.contractName {
			s.names[at] = ""
		} else if d.contractName != "" {
			s.names[at] = d.contractName
		}
	}
	if d.eip712 {
		for text := range d.formats {
			s.messages[text] = append(s.messages[text], d)
		}
		return
	}
	for c := range d.claims() {
		s.calls[c] = d // of two that say the same, either will do
	}
}

func refusal(name string, err error) Refusal {
	f, ok := errors.AsType[*fault](err)
	if !ok {
		return Refusal{File: name, Reason: err.Error()}
	}
	out := Refusal{File: name, Place: f.place, Reason: f.reason}
	if f.file != "" && f.file != name {
		out.Reason += " (in " + f.file + ", which it includes)"
	}
	return out
}

// ContractName is the name that descriptors have for a contract, if they agree on one.
func (s *Set) ContractName(chain uint64, address common.Address) (string, bool) {
	name := s.names[deployment{chain, address}]
	return name, name != ""
}

// find is the descriptor and the format for a call, or nil. "If no key matches the
// calldata selector, wallets [...] MUST NOT attempt to apply any unrelated format
// specifications" (ERC-7730, "Unknown selectors").
func (s *Set) find(c container, data []byte) (*descriptor, *format) {
	if len(data) < 4 {
		return nil, nil
	}
	d := s.calls[claim{deployment{c.chain, c.to}, string(data[:4])}]
	if d == nil {
		return nil, nil
	}
	return d, d.formats[string(data[:4])]
}

// calldata labels a call, whose reader has no descriptor yet. It returns nil where none
// applies, and an error where one does that the call does not fit.
func (r *reader) calldata(data []byte) (*signer.ClearSigning, error) {
	if r.d, r.f = r.set.find(r.c, data); r.d == nil {
		return nil, nil
	}
	if err := r.decode(data[4:]); err != nil {
		return nil, misfit(r.d, err)
	}
	cs, err := r.show()
	if err != nil {
		return nil, misfit(r.d, err)
	}
	return cs, nil
}

// typedData labels typed data. It returns as calldata does.
func (r *reader) typedData(data *typeddata.Data) (*signer.ClearSigning, error) {
	for _, d := range r.set.messages[data.TypeText] {
		if !d.appliesTo(data) {
			continue
		}
		domain := &data.Domain
		if domain.ChainID == nil || domain.VerifyingContract == nil {
			// ERC-7730, "EIP-712 container": "If not known a wallet SHOULD reject using
			// the ERC-7730 file to clear sign the message."
			return nil, misfit(d, errors.New("the domain has no chainId or no verifyingContract"))
		}
		r.d, r.f, r.data = d, d.formats[data.TypeText], data.Message
		// "EIP-712 have no underlying currency value transferred, so a wallet MAY
		// interpret it as 0".
		r.c = container{*domain.ChainID, r.c.from, *domain.VerifyingContract, new(uint256.Int)}
		cs, err := r.show()
		if err != nil {
			return nil, misfit(d, err)
		}
		return cs, nil
	}
	return nil, nil
}

func misfit(d *descriptor, err error) error {
	return fmt.Errorf("descriptor %s does not fit this payload: %w", quote(d.file), err)
}

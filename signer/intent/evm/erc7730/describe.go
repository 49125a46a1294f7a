package erc7730

import (
	"fmt"
	"strings"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// Describe labels a payload that a decoder of this family read as in, and that from
// signs: an address, alone or as CAIP-10, or empty where it is not known. It returns nil
// where no descriptor applies, and nil and the reason where one does and there are no
// labels all the same.
func (s *Set) Describe(in signer.Intent, payload []byte, from string, book signer.Book) (*signer.ClearSigning, error) {
	r := &reader{set: s, book: book, budget: newBudget(), unread: map[string]bool{}}
	for _, e := range in.Effects {
		switch e.Class {
		case signer.ClassDelegateCall, signer.ClassDelegation:
			return nil, fmt.Errorf("code of another contract runs as the account (%s); a descriptor says what a contract does for its caller, not what its code does in the caller's place", e.Class)
		case signer.ClassUnknownCall, signer.ClassUnknownMessage:
			r.unread[e.Counterparty] = true
		}
	}
	if from != "" {
		a, ok := parseAddress(from[strings.LastIndexByte(from, ':')+1:])
		if !ok {
			return nil, signer.Invalid("sender %s: want an address", quote(from))
		}
		r.c.from = &a
	}
	switch in.Kind {
	case signer.KindEVMTransaction:
		call, err := evm.ReadCall(payload)
		if err != nil || call.To == nil {
			return nil, err
		}
		r.c.chain, r.c.to, r.c.value = call.ChainID, *call.To, &call.Value
		return r.calldata(call.Data)
	case signer.KindEVMTypedData:
		data, err := typeddata.Parse(payload)
		if err != nil {
			return nil, err
		}
		return r.typedData(data)
	default:
		return nil, nil
	}
}

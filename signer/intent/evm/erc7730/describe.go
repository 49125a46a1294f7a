package erc7730

import (
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// Describe labels a payload of any kind that a decoder of this family reads, as from
// signs it: an address, alone or as CAIP-10, or empty where it is not known.
func (s *Set) Describe(kind signer.Kind, payload []byte, from string, book signer.Book) (*signer.ClearSigning, error) {
	var sender *common.Address
	if from != "" {
		a, ok := parseAddress(from[strings.LastIndexByte(from, ':')+1:])
		if !ok {
			return nil, signer.Invalid("sender %s: want an address", quote(from))
		}
		sender = &a
	}
	switch kind {
	case signer.KindEVMTransaction:
		call, err := evm.ReadCall(payload)
		if err != nil || call.To == nil {
			return nil, err
		}
		return s.Calldata(Call{call.ChainID, sender, *call.To, &call.Value, call.Data}, book)
	case signer.KindEVMTypedData:
		data, err := typeddata.Parse(payload)
		if err != nil {
			return nil, err
		}
		return s.TypedData(data, sender, book)
	default:
		return nil, nil
	}
}

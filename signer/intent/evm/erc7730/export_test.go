package erc7730

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// Call is a call that has nothing around it, for tests of what is shown of one.
type Call struct {
	ChainID uint64
	From    *common.Address // nil where it is not known
	To      common.Address
	Value   *uint256.Int // nil where it is not known
	Data    []byte
}

// Calldata labels a call.
func (s *Set) Calldata(c Call, book signer.Book) (*signer.ClearSigning, error) {
	r := &reader{set: s, book: book, budget: newBudget(), c: container{c.ChainID, c.From, c.To, c.Value}}
	return r.calldata(c.Data)
}

// TypedData labels typed data.
func (s *Set) TypedData(data *typeddata.Data, from *common.Address, book signer.Book) (*signer.ClearSigning, error) {
	r := &reader{set: s, book: book, budget: newBudget(), c: container{from: from}}
	return r.typedData(data)
}

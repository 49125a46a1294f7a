package typeddata

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// Data is typed data that was read. It must not be changed.
type Data struct {
	PrimaryType string
	Domain      Domain
	// DomainValue and Message are the trees that were hashed, both of kind
	// [abi.Tuple] with named fields.
	DomainValue, Message abi.Value

	// TypeText is the encoding of the primary type with the types it refers to
	// (EIP-712, "Definition of encodeType"); DomainText is that of EIP712Domain.
	TypeText, DomainText string

	DomainHash  common.Hash // hashStruct(domain): the domain separator
	MessageHash common.Hash // hashStruct(message)
	Digest      common.Hash // keccak256(0x1901 || DomainHash || MessageHash): what is signed
}

// Domain is what typed data is for (EIP-712, "Definition of domainSeparator"). A
// member is nil where EIP712Domain does not have it.
type Domain struct {
	Name, Version     *string
	ChainID           *uint64 // a chain id of more than 64 bits is refused
	VerifyingContract *common.Address
	Salt              *common.Hash
}

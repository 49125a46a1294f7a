package evm

import (
	"bytes"
	"encoding/hex"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/strictjson"
)

// encoded returns the bytes of a transaction from any of the forms of a payload. The
// first byte tells them apart: no transaction type is 0x7b ("{") or 0x30 ("0").
func encoded(payload []byte, sender *common.Address) ([]byte, error) {
	switch {
	case bytes.HasPrefix(payload, []byte("{")):
		tx, from, err := parseJSON(payload)
		if err != nil {
			return nil, err
		}
		if from != nil && sender != nil && *from != *sender {
			return nil, signer.Invalid("transaction: from is %s, but the key's address is %s; name the right key or leave from out", from.Hex(), sender.Hex())
		}
		return tx.encode(), nil
	case bytes.HasPrefix(payload, []byte("0x")):
		raw, err := hex.DecodeString(string(payload[2:]))
		if err != nil {
			return nil, signer.Invalid("transaction as hexadecimal text: %v", err)
		}
		return raw, nil
	default:
		return payload, nil
	}
}

// transactionJSON is the object that eth_signTransaction takes. Absent and null
// are the same; what must be there is checked by the code below.
type transactionJSON struct {
	Type                 *string       `json:"type"`
	From                 *string       `json:"from"`
	To                   *string       `json:"to"`
	Nonce                *string       `json:"nonce"`
	Gas                  *string       `json:"gas"`
	GasPrice             *string       `json:"gasPrice"`
	MaxFeePerGas         *string       `json:"maxFeePerGas"`
	MaxPriorityFeePerGas *string       `json:"maxPriorityFeePerGas"`
	Value                *string       `json:"value"`
	Data                 *string       `json:"data"`
	Input                *string       `json:"input"`
	ChainID              *string       `json:"chainId"`
	AccessList           *[]tupleJSON  `json:"accessList"`
	MaxFeePerBlobGas     *string       `json:"maxFeePerBlobGas"`
	BlobVersionedHashes  *[]string     `json:"blobVersionedHashes"`
	AuthorizationList    *[]signedJSON `json:"authorizationList"`
	Blobs                any           `json:"blobs"`       // of the sidecar, as the next two
	Commitments          any           `json:"commitments"` // and refused
	Proofs               any           `json:"proofs"`
}

type tupleJSON struct {
	Address     *string   `json:"address"`
	StorageKeys *[]string `json:"storageKeys"`
}

// signedJSON is an authorisation in a transaction.
type signedJSON struct {
	ChainID *string `json:"chainId"`
	Address *string `json:"address"`
	Nonce   *string `json:"nonce"`
	YParity *string `json:"yParity"`
	R       *string `json:"r"`
	S       *string `json:"s"`
}

// parseJSON reads the object and fills in nothing: nonce, gas, fees and chain are
// the caller's to say. An absent value is zero and absent data empty, as they are
// to every node. The sender is nil where the object does not name it.
func parseJSON(payload []byte) (tx *transaction, from *common.Address, err error) {
	var in transactionJSON
	if err := strictjson.Unmarshal(payload, &in); err != nil {
		return nil, nil, signer.Invalid("transaction as JSON: %v", err)
	}
	kind, err := in.kind()
	if err != nil {
		return nil, nil, err
	}
	r := textReader{what: "transaction"}
	tx = &transaction{kind: kind}
	tx.chainID = r.uint64("chainId", in.ChainID)
	tx.nonce = r.uint64("nonce", in.Nonce)
	tx.gas = r.uint64("gas", in.Gas)
	if kind >= types.DynamicFeeTxType {
		r.uint256("maxFeePerGas", in.MaxFeePerGas, &tx.price)
		r.uint256("maxPriorityFeePerGas", in.MaxPriorityFeePerGas, &tx.tip)
	} else {
		r.uint256("gasPrice", in.GasPrice, &tx.price)
	}
	from, tx.to = r.optionalAddress("from", in.From), r.optionalAddress("to", in.To)
	if in.Value != nil {
		r.uint256("value", in.Value, &tx.value)
	}
	tx.data = r.calldata(in.Data, in.Input)
	tx.access = r.accessList(in.AccessList)
	switch kind {
	case types.BlobTxType:
		r.uint256("maxFeePerBlobGas", in.MaxFeePerBlobGas, &tx.blobFee)
		tx.blobs = r.hashes("blobVersionedHashes", in.BlobVersionedHashes)
	case types.SetCodeTxType:
		tx.auths = r.authorizations(*in.AuthorizationList)
	}
	return tx, from, r.err
}

// kind is the type as named or, where it is not, as the fields imply it.
func (in *transactionJSON) kind() (byte, error) {
	implied, err := in.implied()
	if err != nil || in.Type == nil {
		return implied, err
	}
	r := textReader{what: "transaction"}
	named := r.uint64("type", in.Type)
	switch {
	case r.err != nil:
		return 0, r.err
	case named > types.SetCodeTxType:
		return 0, unsupported(named)
	case named == uint64(implied), named == types.AccessListTxType && implied == types.LegacyTxType:
		return byte(named), nil
	default:
		return 0, signer.Invalid("transaction: type is %d, but its fields are those of type %d", named, implied)
	}
}

// implied is the type that the fields imply: blobs and authorisations have a type
// each, and of the others each has fee fields of its own; an access list turns type 0
// into type 1.
func (in *transactionJSON) implied() (byte, error) {
	market := in.MaxFeePerGas != nil || in.MaxPriorityFeePerGas != nil
	blobs, auths := in.MaxFeePerBlobGas != nil || in.BlobVersionedHashes != nil, in.AuthorizationList != nil
	switch {
	case in.Blobs != nil || in.Commitments != nil || in.Proofs != nil:
		return 0, withSidecar()
	case market && in.GasPrice != nil:
		return 0, signer.Invalid("transaction: both gasPrice and maxFeePerGas or maxPriorityFeePerGas; leave one out")
	case blobs && auths:
		return 0, signer.Invalid("transaction: both blobs (type 3) and an authorizationList (type 4); no type has both")
	case (blobs || auths) && in.GasPrice != nil:
		return 0, signer.Invalid("transaction: gasPrice beside blobs or an authorizationList, whose types have maxFeePerGas and maxPriorityFeePerGas")
	case blobs:
		return types.BlobTxType, nil
	case auths:
		return types.SetCodeTxType, nil
	case market:
		return types.DynamicFeeTxType, nil
	case in.GasPrice == nil:
		return 0, signer.Invalid("transaction: no fee; give gasPrice, or maxFeePerGas and maxPriorityFeePerGas")
	case in.AccessList != nil:
		return types.AccessListTxType, nil
	default:
		return types.LegacyTxType, nil
	}
}

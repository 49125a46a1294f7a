package evm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/strictjson"
)

// encoded returns the bytes of a transaction from any of the forms of a payload. The
// first byte tells them apart: no transaction type is 0x7b ("{") or 0x30 ("0").
func encoded(payload []byte, sender *common.Address, called string) ([]byte, error) {
	switch {
	case bytes.HasPrefix(payload, []byte("{")):
		tx, from, err := parseJSON(payload)
		if err != nil {
			return nil, err
		}
		if from != nil && sender != nil && *from != *sender {
			remedy := "name the right key or leave from out"
			if called == theAccount {
				remedy = "leave --from out if the payload is right, or from out of the payload if the flag is"
			}
			return nil, signer.Invalid("transaction: from is %s, but %s is %s; %s", from.Hex(), called, sender.Hex(), remedy)
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
		return nil, nil, signer.Invalid("transaction as JSON: %v%s", err, advice(payload))
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

// quantities are the members that are quantities, in the order of the object.
var quantities = []string{
	"type", "nonce", "gas", "gasLimit", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value", "chainId", "maxFeePerBlobGas",
}

// typeNames are what viem calls types 0 to 4.
var typeNames = []string{"legacy", "eip2930", "eip1559", "eip4844", "eip7702"}

// advice is what to write for what libraries (viem, ethers) have in a transaction before
// they send it: numbers where JSON-RPC has hexadecimal text, and gasLimit for gas.
func advice(payload []byte) (out string) {
	var object map[string]json.RawMessage
	if json.Unmarshal(payload, &object) != nil {
		return ""
	}
	if object["gasLimit"] != nil {
		out = "; gasLimit is called gas here"
	}
	var write []string
	for _, name := range quantities {
		number := string(object[name])
		if number == "" || number[0] != '-' && (number[0] < '0' || number[0] > '9') {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 64)
		text := "0x" + strconv.FormatUint(n, 16)
		if err != nil || n > maxSafe {
			text = "0x..." // whoever wrote the number may have rounded it
		}
		if name == "gasLimit" {
			name = "gas"
		}
		write = append(write, strconv.Quote(name)+": "+strconv.Quote(text))
	}
	if len(write) > 0 {
		out += "; numbers are written as hexadecimal text: " + strings.Join(write, ", ")
	}
	return out
}

// kind is the type as named or, where it is not, as the fields imply it.
func (in *transactionJSON) kind() (byte, error) {
	implied, err := in.implied()
	if err != nil || in.Type == nil {
		return implied, err
	}
	r := textReader{what: "transaction"}
	if i := slices.Index(typeNames, *in.Type); i >= 0 {
		return 0, signer.Invalid("transaction: type: %q is its name in a library; write %q", *in.Type, "0x"+strconv.Itoa(i))
	}
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

package evm

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/strictjson"
)

// unsigned returns the unsigned bytes of a transaction from any of the forms of a
// payload. The first byte tells them apart: no transaction type is 0x7b ("{") or
// 0x30 ("0").
func unsigned(payload []byte, sender *common.Address) ([]byte, error) {
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
	Type                 *string      `json:"type"`
	From                 *string      `json:"from"`
	To                   *string      `json:"to"`
	Nonce                *string      `json:"nonce"`
	Gas                  *string      `json:"gas"`
	GasPrice             *string      `json:"gasPrice"`
	MaxFeePerGas         *string      `json:"maxFeePerGas"`
	MaxPriorityFeePerGas *string      `json:"maxPriorityFeePerGas"`
	Value                *string      `json:"value"`
	Data                 *string      `json:"data"`
	Input                *string      `json:"input"`
	ChainID              *string      `json:"chainId"`
	AccessList           *[]tupleJSON `json:"accessList"`
}

type tupleJSON struct {
	Address     *string   `json:"address"`
	StorageKeys *[]string `json:"storageKeys"`
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
	var r textReader
	tx = &transaction{kind: kind}
	tx.chainID = r.uint64("chainId", in.ChainID)
	tx.nonce = r.uint64("nonce", in.Nonce)
	tx.gas = r.uint64("gas", in.Gas)
	if kind == types.DynamicFeeTxType {
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
	return tx, from, r.err
}

// kind is the type as named or, where it is not, as the fields imply it: each
// type has fee fields of its own, an access list turns type 0 into type 1.
func (in *transactionJSON) kind() (byte, error) {
	market := in.MaxFeePerGas != nil || in.MaxPriorityFeePerGas != nil
	var implied byte
	switch {
	case market && in.GasPrice != nil:
		return 0, signer.Invalid("transaction: both gasPrice and maxFeePerGas or maxPriorityFeePerGas; leave one out")
	case market:
		implied = types.DynamicFeeTxType
	case in.GasPrice == nil:
		return 0, signer.Invalid("transaction: no fee; give gasPrice, or maxFeePerGas and maxPriorityFeePerGas")
	case in.AccessList != nil:
		implied = types.AccessListTxType
	default:
		implied = types.LegacyTxType
	}
	if in.Type == nil {
		return implied, nil
	}
	var r textReader
	named := r.uint64("type", in.Type)
	switch {
	case r.err != nil:
		return 0, r.err
	case named > types.DynamicFeeTxType:
		return 0, unsupported(named)
	case named == uint64(implied), named == types.AccessListTxType && implied == types.LegacyTxType:
		return byte(named), nil
	default:
		return 0, signer.Invalid("transaction: type is %d, but its fields are those of type %d", named, implied)
	}
}

// textReader reads the values of JSON-RPC (Ethereum execution APIs, "Encoding")
// and keeps the first error.
type textReader struct{ err error }

func (r *textReader) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = signer.Invalid("transaction: "+name+": "+format, args...)
	}
}

// uint256 reads a quantity: hexadecimal, without leading zeros, 0x0 for zero.
func (r *textReader) uint256(name string, s *string, n *uint256.Int) {
	if s == nil {
		r.fail(name, "missing; it is never filled in for you")
		return
	}
	digits, ok := strings.CutPrefix(*s, "0x")
	switch {
	case !ok || digits == "" || !isHex(digits):
		r.fail(name, "%s: want a quantity such as \"0x1b\"", quote(*s))
	case len(digits) > 1 && digits[0] == '0':
		r.fail(name, "%s: non-canonical: a quantity has no leading zeros", quote(*s))
	case len(digits) > 64:
		r.fail(name, "more than 256 bits")
	default:
		if err := n.SetFromHex(*s); err != nil {
			r.fail(name, "%v", err)
		}
	}
}

func (r *textReader) uint64(name string, s *string) uint64 {
	var n uint256.Int
	r.uint256(name, s, &n)
	if !n.IsUint64() {
		r.fail(name, "%s: more than 64 bits", quote(*s))
	}
	return n.Uint64()
}

func (r *textReader) bytes(name, s string, size int) []byte {
	digits, ok := strings.CutPrefix(s, "0x")
	b, err := hex.DecodeString(digits)
	switch {
	case !ok || err != nil:
		r.fail(name, "%s: want bytes such as \"0x00ff\"", quote(s))
	case size >= 0 && len(b) != size:
		r.fail(name, "%d bytes, want %d", len(b), size)
	default:
		return b
	}
	return nil
}

// address reads an address and, where it is in mixed case, holds it to its
// checksum (EIP-55).
func (r *textReader) address(name, s string) common.Address {
	a := common.BytesToAddress(r.bytes(name, s, common.AddressLength))
	if r.err != nil {
		return a
	}
	digits := s[2:]
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && s != a.Hex() {
		r.fail(name, "%s: its checksum (EIP-55) does not hold; check the address with its owner", quote(s))
	}
	return a
}

func (r *textReader) optionalAddress(name string, s *string) *common.Address {
	if s == nil {
		return nil
	}
	a := r.address(name, *s)
	return &a
}

func (r *textReader) calldata(data, input *string) []byte {
	switch {
	case data == nil && input == nil:
		return nil
	case data == nil:
		return r.bytes("input", *input, -1)
	case input == nil:
		return r.bytes("data", *data, -1)
	}
	a, b := r.bytes("data", *data, -1), r.bytes("input", *input, -1)
	if !bytes.Equal(a, b) {
		r.fail("data", "differs from input; give one of them")
	}
	return a
}

func (r *textReader) accessList(in *[]tupleJSON) types.AccessList {
	if in == nil {
		return nil
	}
	list := make(types.AccessList, 0, len(*in))
	for _, tuple := range *in {
		if tuple.Address == nil || tuple.StorageKeys == nil {
			r.fail("accessList", "an entry without address or storageKeys")
			return nil
		}
		entry := types.AccessTuple{Address: r.address("accessList: address", *tuple.Address)}
		for _, key := range *tuple.StorageKeys {
			entry.StorageKeys = append(entry.StorageKeys, common.BytesToHash(r.bytes("accessList: storage key", key, common.HashLength)))
		}
		list = append(list, entry)
	}
	return list
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}

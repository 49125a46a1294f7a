package evm

import (
	"bytes"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// transaction is an unsigned transaction of type 0 (EIP-155), 1 or 2.
type transaction struct {
	kind    byte // its EIP-2718 type
	chainID uint64
	nonce   uint64
	tip     uint256.Int // most for the block's producer, per gas; type 2 only
	price   uint256.Int // most in all, per gas; the gas price of types 0 and 1
	gas     uint64
	to      *common.Address // nil creates a contract
	value   uint256.Int
	data    []byte
	access  types.AccessList // types 1 and 2
	hash    common.Hash      // of its encoding: what is signed; set by parse
}

// parse reads the unsigned bytes of a transaction and refuses them unless they
// are the one encoding of what was read.
func parse(raw []byte) (*transaction, error) {
	kind, body, err := envelope(raw)
	if err != nil {
		return nil, err
	}
	items, rest, err := rlp.SplitList(body)
	if err != nil {
		return nil, signer.Invalid("transaction of type %d: %v", kind, err)
	}
	if len(rest) > 0 {
		return nil, signer.Invalid("transaction of type %d: %d trailing bytes behind it", kind, len(rest))
	}
	if err := checkCount(kind, items); err != nil {
		return nil, err
	}
	tx := &transaction{kind: kind}
	f := fields{rest: items}
	tx.read(&f)
	if f.err != nil {
		return nil, f.err
	}
	again := tx.encode()
	if !bytes.Equal(again, raw) {
		return nil, signer.Invalid("transaction of type %d: non-canonical: it encodes to other bytes", kind)
	}
	tx.hash = crypto.Keccak256Hash(again)
	return tx, nil
}

// envelope splits off the type (EIP-2718) and refuses what we do not decode.
func envelope(raw []byte) (kind byte, body []byte, err error) {
	if len(raw) == 0 {
		return 0, nil, signer.Invalid("transaction: empty")
	}
	switch first := raw[0]; {
	case first >= 0xc0 && first < 0xff:
		return types.LegacyTxType, raw, nil
	case first == types.AccessListTxType, first == types.DynamicFeeTxType:
		return first, raw[1:], nil
	case first == types.LegacyTxType:
		return 0, nil, signer.Invalid("transaction: begins with 0x00, but type 0 is written without its type")
	case first <= 0x7f:
		return 0, nil, unsupported(uint64(first))
	default:
		return 0, nil, signer.Invalid("transaction: begins with 0x%02x, which is neither a type nor an RLP list", first)
	}
}

func unsupported(kind uint64) error {
	what := ""
	switch kind {
	case types.BlobTxType:
		what = " (EIP-4844, blobs)"
	case types.SetCodeTxType:
		what = " (EIP-7702, hands the account over to code)"
	}
	return signer.Invalid("transaction of type %d%s: not supported; want type 0, 1 or 2", kind, what)
}

// checkCount tells unsigned from signed transactions by the number of fields.
func checkCount(kind byte, items []byte) error {
	n, err := rlp.CountValues(items)
	if err != nil {
		return signer.Invalid("transaction of type %d: %v", kind, err)
	}
	unsigned := 9
	if kind == types.AccessListTxType {
		unsigned = 8
	}
	switch {
	case n == unsigned:
		return nil
	case kind == types.LegacyTxType && n == 6:
		return signer.Invalid("transaction of type 0 without a chain id (before EIP-155): it could be replayed on every chain; add chainId, 0, 0")
	case kind != types.LegacyTxType && n == unsigned+3:
		return alreadySigned(kind)
	default:
		return signer.Invalid("transaction of type %d: %d fields, want %d", kind, n, unsigned)
	}
}

func alreadySigned(kind byte) error {
	return signer.Invalid("transaction of type %d: already signed; send it unsigned, without signature fields", kind)
}

func (tx *transaction) read(f *fields) {
	if tx.kind != types.LegacyTxType {
		tx.chainID = f.uint64("chain id")
	}
	tx.nonce = f.uint64("nonce")
	if tx.kind == types.DynamicFeeTxType {
		f.uint256("max priority fee per gas", &tx.tip)
	}
	f.uint256("max fee per gas or gas price", &tx.price)
	tx.gas = f.uint64("gas")
	tx.to = f.recipient()
	f.uint256("value", &tx.value)
	tx.data = f.bytes("data")
	if tx.kind != types.LegacyTxType {
		tx.access = f.accessList()
		return
	}
	// EIP-155: what is hashed ends with the chain id and two empty fields, where
	// a signed transaction has v, r and s.
	v, r, s := f.bytes("chain id"), f.bytes("r"), f.bytes("s")
	if f.err == nil && (len(r) > 0 || len(s) > 0) {
		f.err = alreadySigned(tx.kind)
		return
	}
	var id uint256.Int
	f.integer("chain id", v, 8, &id)
	tx.chainID = id.Uint64()
}

// encode returns the bytes whose hash is signed.
func (tx *transaction) encode() []byte {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	if tx.kind != types.LegacyTxType {
		w.WriteUint64(tx.chainID)
	}
	w.WriteUint64(tx.nonce)
	if tx.kind == types.DynamicFeeTxType {
		w.WriteUint256(&tx.tip)
	}
	w.WriteUint256(&tx.price)
	w.WriteUint64(tx.gas)
	if tx.to == nil {
		w.WriteBytes(nil)
	} else {
		w.WriteBytes(tx.to[:])
	}
	w.WriteUint256(&tx.value)
	w.WriteBytes(tx.data)
	if tx.kind == types.LegacyTxType {
		w.WriteUint64(tx.chainID)
		w.WriteUint64(0)
		w.WriteUint64(0)
	} else {
		writeAccessList(w, tx.access)
	}
	w.ListEnd(list)
	out := make([]byte, 0, w.Size()+1)
	if tx.kind != types.LegacyTxType {
		out = append(out, tx.kind)
	}
	out = w.AppendToBytes(out)
	w.Flush() // gives the buffer back; there is no writer, so no error
	return out
}

func writeAccessList(w rlp.EncoderBuffer, list types.AccessList) {
	outer := w.List()
	for _, entry := range list {
		tuple := w.List()
		w.WriteBytes(entry.Address[:])
		keys := w.List()
		for _, key := range entry.StorageKeys {
			w.WriteBytes(key[:])
		}
		w.ListEnd(keys)
		w.ListEnd(tuple)
	}
	w.ListEnd(outer)
}

// forGeth returns the transaction in go-ethereum's own type.
func (tx *transaction) forGeth() *types.Transaction {
	chainID := new(uint256.Int).SetUint64(tx.chainID).ToBig()
	switch tx.kind {
	case types.LegacyTxType:
		return types.NewTx(&types.LegacyTx{
			Nonce: tx.nonce, GasPrice: tx.price.ToBig(), Gas: tx.gas, To: tx.to, Value: tx.value.ToBig(), Data: tx.data,
		})
	case types.AccessListTxType:
		return types.NewTx(&types.AccessListTx{
			ChainID: chainID, Nonce: tx.nonce, GasPrice: tx.price.ToBig(), Gas: tx.gas,
			To: tx.to, Value: tx.value.ToBig(), Data: tx.data, AccessList: slices.Clone(tx.access),
		})
	default:
		return types.NewTx(&types.DynamicFeeTx{
			ChainID: chainID, Nonce: tx.nonce, GasTipCap: tx.tip.ToBig(), GasFeeCap: tx.price.ToBig(), Gas: tx.gas,
			To: tx.to, Value: tx.value.ToBig(), Data: tx.data, AccessList: slices.Clone(tx.access),
		})
	}
}

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

// transaction is a transaction of types 0 (EIP-155) to 4, unsigned or signed.
type transaction struct {
	kind    byte // its EIP-2718 type
	chainID uint64
	nonce   uint64
	tip     uint256.Int // most for the block's producer, per gas; types 2 and later
	price   uint256.Int // most in all, per gas; the gas price of types 0 and 1
	gas     uint64
	to      *common.Address // nil creates a contract
	value   uint256.Int
	data    []byte
	access  types.AccessList // types 1 and later
	blobFee uint256.Int      // most per blob gas; type 3
	blobs   []common.Hash    // type 3
	auths   []authorization  // type 4
	signed  *signed          // nil of an unsigned one

	hash common.Hash // of its unsigned encoding: what is signed; set by parse
}

// signed is what a signed transaction has beyond an unsigned one.
type signed struct {
	signature
	by   common.Address // whose signature it is
	hash common.Hash    // of the signed encoding, by which a node knows the transaction
}

// maxListed bounds the entries of the access list, the blobs and the authorisations
// together: each is shown, and each authorisation costs the recovery of a key.
const maxListed = 512

// parse reads the bytes of a transaction, unsigned or signed, and refuses them unless
// they are the one encoding of what was read. What is signed is always the hash of the
// unsigned encoding, made again from what was read.
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
	tx := &transaction{kind: kind}
	withSignature, err := checkCount(kind, items)
	if err != nil {
		return nil, err
	}
	f := newFields("transaction", items)
	tx.read(f, withSignature)
	if *f.err != nil {
		return nil, *f.err
	}
	if n := len(tx.access) + len(tx.blobs) + len(tx.auths); n > maxListed {
		return nil, signer.Invalid("transaction of type %d: %d entries of access list, blobs and authorizations; the most is %d", kind, n, maxListed)
	}
	again := tx.encode()
	if !bytes.Equal(again, raw) {
		return nil, signer.Invalid("transaction of type %d: non-canonical: it encodes to other bytes", kind)
	}
	return tx, tx.recover(again)
}

// recover sets the hashes and finds out whose signatures there are.
func (tx *transaction) recover(encoding []byte) (err error) {
	if tx.signed == nil {
		tx.hash = crypto.Keccak256Hash(encoding)
	} else {
		unsigned := *tx
		unsigned.signed = nil
		tx.hash = crypto.Keccak256Hash(unsigned.encode())
		tx.signed.hash = crypto.Keccak256Hash(encoding)
		if tx.signed.by, err = tx.signed.signature.by(tx.hash); err != nil {
			return signer.Invalid("transaction of type %d: its signature: %v", tx.kind, err)
		}
	}
	for i := range tx.auths {
		a := &tx.auths[i]
		if a.authority, err = a.signature.by(a.hash()); err != nil {
			return signer.Invalid("transaction: authorization %d: %v, so it would do nothing; leave it out", i+1, err)
		}
	}
	return nil
}

// envelope splits off the type (EIP-2718) and refuses what we do not decode.
func envelope(raw []byte) (kind byte, body []byte, err error) {
	if len(raw) == 0 {
		return 0, nil, signer.Invalid("transaction: empty")
	}
	switch first := raw[0]; {
	case first >= 0xc0 && first < 0xff:
		return types.LegacyTxType, raw, nil
	case first == types.LegacyTxType:
		return 0, nil, signer.Invalid("transaction: begins with 0x00, but type 0 is written without its type")
	case first <= types.SetCodeTxType:
		return first, raw[1:], nil
	case first <= 0x7f:
		return 0, nil, unsupported(uint64(first))
	default:
		return 0, nil, signer.Invalid("transaction: begins with 0x%02x, which is neither a type nor an RLP list", first)
	}
}

func unsupported(kind uint64) error {
	return signer.Invalid("transaction of type %d: not supported; want type 0 to 4", kind)
}

// unsignedFields is how many fields an unsigned transaction has, by its type. A signed
// one has three more; type 0 has as many either way.
var unsignedFields = [...]int{types.LegacyTxType: 9, types.AccessListTxType: 8, types.DynamicFeeTxType: 9, types.BlobTxType: 11, types.SetCodeTxType: 10}

// checkCount tells unsigned from signed transactions by the number of fields.
func checkCount(kind byte, items []byte) (withSignature bool, err error) {
	n, err := rlp.CountValues(items)
	if err != nil {
		return false, signer.Invalid("transaction of type %d: %v", kind, err)
	}
	switch want := unsignedFields[kind]; {
	case n == want:
		return false, nil
	case kind == types.LegacyTxType && n == 6:
		return false, beforeEIP155("add chainId, 0, 0")
	case kind != types.LegacyTxType && n == want+3:
		return true, nil
	case kind == types.BlobTxType && (n == 4 || n == 5): // EIP-4844 and EIP-7594, "Networking"
		return false, withSidecar()
	default:
		return false, signer.Invalid("transaction of type %d: %d fields, want %d, or three more when it is signed", kind, n, want)
	}
}

func beforeEIP155(remedy string) error {
	return signer.Invalid("transaction of type 0 without a chain id (before EIP-155): it could be replayed on every chain; %s", remedy)
}

func withSidecar() error {
	return signer.Invalid("transaction of type 3 with its sidecar: blobs, commitments and proofs are not signed; leave the sidecar out and send the transaction alone, with its blob versioned hashes")
}

func (tx *transaction) read(f *fields, withSignature bool) {
	if tx.kind != types.LegacyTxType {
		tx.chainID = f.uint64("chain id")
	}
	tx.nonce = f.uint64("nonce")
	if tx.kind >= types.DynamicFeeTxType {
		f.uint256("max priority fee per gas", &tx.tip)
	}
	f.uint256("max fee per gas or gas price", &tx.price)
	tx.gas = f.uint64("gas")
	tx.to = f.recipient()
	f.uint256("value", &tx.value)
	tx.data = f.bytes("data")
	if tx.kind == types.LegacyTxType {
		tx.readTail(f)
		return
	}
	if tx.kind >= types.BlobTxType && tx.to == nil {
		f.fail("to", "missing; a transaction of type %d creates no contract", tx.kind)
	}
	tx.access = f.accessList()
	switch tx.kind {
	case types.BlobTxType:
		f.uint256("max fee per blob gas", &tx.blobFee)
		tx.blobs = f.blobHashes()
	case types.SetCodeTxType:
		tx.auths = f.authorizations()
	}
	if withSignature {
		tx.signed = &signed{signature: f.signature("")}
	}
}

// readTail reads how a transaction of type 0 ends (EIP-155): an unsigned one with the
// chain id and two empty fields, a signed one with v, which has the chain id in it, r
// and s.
func (tx *transaction) readTail(f *fields) {
	last, r, s := f.bytes("chain id or v"), f.bytes("r"), f.bytes("s")
	if *f.err != nil {
		return
	}
	if len(r) == 0 && len(s) == 0 {
		var id uint256.Int
		f.integer("chain id", last, 8, &id)
		tx.chainID = id.Uint64()
		return
	}
	tx.signed = &signed{}
	f.integer("r", r, 32, &tx.signed.r)
	f.integer("s", s, 32, &tx.signed.s)
	var v uint256.Int
	f.integer("v", last, 9, &v)
	switch twice, low := new(uint256.Int).SubUint64(&v, 35), v.LtUint64(35); {
	case *f.err != nil:
	case low && (v.Uint64() == 27 || v.Uint64() == 28):
		*f.err = beforeEIP155("sign it again with one")
	case low:
		f.fail("v", "%d; want 35 or more: twice the chain id, and 35 or 36", v.Uint64())
	default:
		tx.signed.parity = twice.Uint64() & 1
		id := twice.Rsh(twice, 1)
		if !id.IsUint64() {
			f.fail("v", "a chain id of more than 64 bits")
		}
		tx.chainID = id.Uint64()
	}
}

// encode returns the bytes that a node takes of a signed transaction, and of an
// unsigned one those whose hash is signed.
func (tx *transaction) encode() []byte {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	if tx.kind != types.LegacyTxType {
		w.WriteUint64(tx.chainID)
	}
	w.WriteUint64(tx.nonce)
	if tx.kind >= types.DynamicFeeTxType {
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
		tx.writeTail(w)
	} else {
		tx.writeTyped(w)
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

func (tx *transaction) writeTail(w rlp.EncoderBuffer) {
	if tx.signed == nil {
		w.WriteUint64(tx.chainID)
		w.WriteUint64(0)
		w.WriteUint64(0)
		return
	}
	v := uint256.NewInt(tx.chainID)
	v.Lsh(v, 1)
	w.WriteUint256(v.AddUint64(v, 35+tx.signed.parity))
	w.WriteUint256(&tx.signed.r)
	w.WriteUint256(&tx.signed.s)
}

func (tx *transaction) writeTyped(w rlp.EncoderBuffer) {
	writeAccessList(w, tx.access)
	switch tx.kind {
	case types.BlobTxType:
		w.WriteUint256(&tx.blobFee)
		hashes := w.List()
		for _, h := range tx.blobs {
			w.WriteBytes(h[:])
		}
		w.ListEnd(hashes)
	case types.SetCodeTxType:
		auths := w.List()
		for i := range tx.auths {
			tuple := w.List()
			tx.auths[i].write(w)
			tx.auths[i].signature.write(w)
			w.ListEnd(tuple)
		}
		w.ListEnd(auths)
	}
	if tx.signed != nil {
		tx.signed.write(w)
	}
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

// forGeth returns the unsigned transaction in go-ethereum's own type.
func (tx *transaction) forGeth() *types.Transaction {
	chainID, access := uint256.NewInt(tx.chainID), slices.Clone(tx.access)
	switch tx.kind {
	case types.LegacyTxType:
		return types.NewTx(&types.LegacyTx{
			Nonce: tx.nonce, GasPrice: tx.price.ToBig(), Gas: tx.gas, To: tx.to, Value: tx.value.ToBig(), Data: tx.data,
		})
	case types.AccessListTxType:
		return types.NewTx(&types.AccessListTx{
			ChainID: chainID.ToBig(), Nonce: tx.nonce, GasPrice: tx.price.ToBig(), Gas: tx.gas,
			To: tx.to, Value: tx.value.ToBig(), Data: tx.data, AccessList: access,
		})
	case types.DynamicFeeTxType:
		return types.NewTx(&types.DynamicFeeTx{
			ChainID: chainID.ToBig(), Nonce: tx.nonce, GasTipCap: tx.tip.ToBig(), GasFeeCap: tx.price.ToBig(), Gas: tx.gas,
			To: tx.to, Value: tx.value.ToBig(), Data: tx.data, AccessList: access,
		})
	case types.BlobTxType:
		return types.NewTx(&types.BlobTx{
			ChainID: chainID, Nonce: tx.nonce, GasTipCap: &tx.tip, GasFeeCap: &tx.price, Gas: tx.gas, To: *tx.to,
			Value: &tx.value, Data: tx.data, AccessList: access, BlobFeeCap: &tx.blobFee, BlobHashes: slices.Clone(tx.blobs),
		})
	default:
		auths := make([]types.SetCodeAuthorization, len(tx.auths))
		for i := range tx.auths {
			auths[i] = tx.auths[i].forGeth()
		}
		return types.NewTx(&types.SetCodeTx{
			ChainID: chainID, Nonce: tx.nonce, GasTipCap: &tx.tip, GasFeeCap: &tx.price, Gas: tx.gas, To: *tx.to,
			Value: &tx.value, Data: tx.data, AccessList: access, AuthList: auths,
		})
	}
}

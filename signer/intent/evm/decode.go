package evm

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// Transaction decodes transactions of types 0 to 4: kind "evm.transaction". A payload
// is the JSON object that eth_signTransaction takes, or the bytes of a transaction,
// unsigned or signed, as they are or as hexadecimal text with 0x. A signed one must be
// signed by the key, which then signs it again. Blobs do not come along: what is
// signed are their hashes.
type Transaction struct{}

var _ signer.Decoder = Transaction{}

// Version implements [signer.Decoder].
func (Transaction) Version() string { return "evm.transaction/2" }

// Decode implements [signer.Decoder].
func (Transaction) Decode(payload []byte, key signer.KeyInfo, book signer.Book) (signer.Intent, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return signer.Intent{}, err
	}
	tx, err := read(payload, &from, theKey)
	if err != nil {
		return signer.Intent{}, err
	}
	if !slices.Contains(key.Chains, chainName(tx.chainID)) {
		return signer.Intent{}, wrongChain("transaction", tx.chainID, key)
	}
	return meaning(tx, &from, book)
}

// Preview returns what a payload would do, for people who read one without a key: it
// has no message to sign. The sender is the address from, or unknown where that is
// empty.
func (Transaction) Preview(payload []byte, from string, book signer.Book) (signer.Intent, error) {
	sender, err := readSender(from)
	if err != nil {
		return signer.Intent{}, err
	}
	tx, err := read(payload, sender, theAccount)
	if err != nil {
		return signer.Intent{}, err
	}
	if tx.signed != nil {
		sender = &tx.signed.by
	}
	in, err := meaning(tx, sender, book)
	in.Messages = nil
	return in, err
}

// Recognises implements [signer.Decoder].
func (Transaction) Recognises(payload []byte) bool { return isTransaction(payload) }

func meaning(tx *transaction, from *common.Address, book signer.Book) (signer.Intent, error) {
	fee, err := tx.check()
	if err != nil {
		return signer.Intent{}, err
	}
	r := newReading(signer.KindEVMTransaction, chainName(tx.chainID), book)
	r.fee(fee)
	r.digest("transaction signing hash", tx.hash)
	if tx.signed != nil {
		r.digest("transaction hash", tx.signed.hash)
	}
	r.in.Messages = []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: slices.Clone(tx.hash[:])}}
	r.envelope(tx, from, fee)
	if len(tx.data) > 0 {
		r.digest("calldata digest", CalldataDigest(tx.data))
	}
	if tx.to == nil {
		r.creation(tx, from)
		return r.finish(), nil
	}
	r.authorizations(tx)
	if err := r.call(frame{from: from, to: *tx.to, value: tx.value, data: tx.data}); err != nil {
		return signer.Intent{}, err
	}
	return r.finish(), nil
}

// Assemble implements [signer.Decoder]: it returns the signed transaction as
// eth_sendRawTransaction takes it.
func (Transaction) Assemble(payload []byte, key signer.KeyInfo, signatures [][]byte) ([]byte, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return nil, err
	}
	tx, err := read(payload, &from, theKey)
	if err != nil {
		return nil, err
	}
	sig, err := onlySignature(signatures)
	if err != nil {
		return nil, fmt.Errorf("assemble transaction: %w", err)
	}
	if tx.chainID == 0 {
		return nil, fmt.Errorf("assemble transaction: chain id 0")
	}
	// go-ethereum encodes the result. It must agree with us on what was signed.
	geth, chain := tx.forGeth(), types.LatestSignerForChainID(new(big.Int).SetUint64(tx.chainID))
	if chain.Hash(geth) != tx.hash {
		return nil, fmt.Errorf("assemble transaction: its signing hash is another one to go-ethereum")
	}
	signed, err := geth.WithSignature(chain, sig)
	if err != nil {
		return nil, fmt.Errorf("assemble transaction: %w", err)
	}
	return signed.MarshalBinary()
}

// read reads a payload and holds it to a sender, where that is known. Errors call the
// sender as it was named.
func read(payload []byte, from *common.Address, called string) (*transaction, error) {
	raw, err := encoded(payload, from, called)
	if err != nil {
		return nil, err
	}
	tx, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if tx.signed != nil && from != nil && tx.signed.by != *from {
		return nil, wrongSigner("transaction", tx.signed.by, called, *from)
	}
	return tx, nil
}

// wrongSigner refuses what somebody else signed than who is asked about.
func wrongSigner(what string, by common.Address, called string, from common.Address) error {
	remedy := "name the key that signed it, or send it unsigned"
	if called == theAccount {
		remedy = "leave --from out, since the signature says whose it is, or give it unsigned"
	}
	return signer.Invalid("%s: it is signed by %s, but %s is %s; %s", what, by.Hex(), called, from.Hex(), remedy)
}

func wrongChain(what string, id uint64, key signer.KeyInfo) error {
	allowed := strings.Join(key.Chains, ", ")
	if allowed == "" {
		allowed = "no chain at all"
	}
	return signer.Invalid("%s: it is for chain %s, but key %q signs for %s", what, chainName(id), key.Name, allowed)
}

const (
	// gasCap is the most gas that a transaction may have since Fusaka (EIP-7825).
	// Other chains may not have it, so above it there is a warning.
	gasCap = 1 << 24
	// gasPerBlob is what each blob takes (EIP-4844, GAS_PER_BLOB).
	gasPerBlob = 1 << 17
	// maxBlobs is the most blobs of a transaction since Fusaka (EIP-7594).
	maxBlobs = 6
	// versionKZG begins a blob's versioned hash (EIP-4844, VERSIONED_HASH_VERSION_KZG).
	versionKZG = 0x01
)

// check refuses what no node would take and what only a mistake would ask for. It
// returns the most that the fee can be.
func (tx *transaction) check() (fee *uint256.Int, err error) {
	switch {
	case tx.chainID == 0:
		return nil, signer.Invalid("transaction: chain id 0 would leave it open to replay")
	case tx.gas == 0:
		return nil, signer.Invalid("transaction: gas is 0; say how much it may use")
	case tx.nonce == math.MaxUint64: // EIP-2681
		return nil, signer.Invalid("transaction: nonce is 2^64-1, which no account can use")
	case tx.tip.Gt(&tx.price):
		return nil, signer.Invalid("transaction: max priority fee per gas %s is above max fee per gas %s", tx.tip.Dec(), tx.price.Dec())
	case tx.to == nil && len(tx.data) == 0:
		return nil, signer.Invalid("transaction: neither a recipient (to) nor code for a new contract (data)")
	}
	if err := tx.checkLists(); err != nil {
		return nil, err
	}
	fee, over := new(uint256.Int).MulOverflow(&tx.price, uint256.NewInt(tx.gas))
	if !over && len(tx.blobs) > 0 {
		var blobs uint256.Int
		if _, over = blobs.MulOverflow(&tx.blobFee, uint256.NewInt(uint64(len(tx.blobs))*gasPerBlob)); !over {
			_, over = fee.AddOverflow(fee, &blobs)
		}
	}
	if !over {
		_, over = new(uint256.Int).AddOverflow(fee, &tx.value)
	}
	if over {
		return nil, signer.Invalid("transaction: gas times price plus value exceeds 256 bits")
	}
	return fee, nil
}

// checkLists holds blobs and authorisations to what nodes ask of them.
func (tx *transaction) checkLists() error {
	switch n := len(tx.blobs); {
	case tx.kind == types.BlobTxType && n == 0:
		return signer.Invalid("transaction of type 3 without a blob; use type 2")
	case n > maxBlobs:
		return signer.Invalid("transaction: %d blobs; the most is %d (EIP-7594)", n, maxBlobs)
	case tx.kind == types.SetCodeTxType && len(tx.auths) == 0:
		return signer.Invalid("transaction of type 4 without an authorization; use type 2")
	}
	for i, hash := range tx.blobs {
		if hash[0] != versionKZG {
			return signer.Invalid("transaction: blob %d: its versioned hash begins with 0x%02x, want 0x%02x (EIP-4844)", i+1, hash[0], versionKZG)
		}
	}
	for i := range tx.auths {
		if err := tx.auths[i].check("transaction: authorization " + strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	return nil
}

// envelope adds the fields that every transaction has.
func (r *reading) envelope(tx *transaction, from *common.Address, fee *uint256.Int) {
	r.field("chain", r.chain)
	r.field("type", [...]string{"0 (legacy, EIP-155)", "1 (EIP-2930)", "2 (EIP-1559)", "3 (EIP-4844, blobs)", "4 (EIP-7702, hands accounts over to code)"}[tx.kind])
	r.field("from", senderText(from))
	if tx.signed != nil {
		r.field("signed by", tx.signed.by.Hex())
	}
	r.field("nonce", strconv.FormatUint(tx.nonce, 10))
	if tx.to != nil {
		r.field("to", tx.to.Hex())
	} else {
		r.field("to", "nobody: creates a contract")
	}
	r.field("value", amount(&tx.value, r.coin))
	r.field("gas", strconv.FormatUint(tx.gas, 10))
	if tx.kind >= types.DynamicFeeTxType {
		r.field("max fee per gas", gasPrice(&tx.price))
		r.field("max priority fee per gas", gasPrice(&tx.tip))
	} else {
		r.field("gas price", gasPrice(&tx.price))
	}
	r.blobs(tx)
	r.field("max fee", amount(fee, r.coin))
	if tx.kind != types.LegacyTxType {
		r.accessList(tx.access)
	}
	if tx.gas > gasCap {
		r.warn(WarnGasAboveCap, signer.SeverityWarn,
			"gas "+strconv.FormatUint(tx.gas, 10)+" is above 2^24; Ethereum refuses such a transaction (EIP-7825)")
	}
}

// blobs adds what is signed of the blobs.
func (r *reading) blobs(tx *transaction) {
	if tx.kind != types.BlobTxType {
		return
	}
	n := uint64(len(tx.blobs))
	most := new(uint256.Int).Mul(&tx.blobFee, uint256.NewInt(n*gasPerBlob))
	r.field("blobs", strconv.FormatUint(n, 10))
	for i, hash := range tx.blobs {
		r.field("blob "+strconv.Itoa(i+1), hash.Hex())
	}
	r.field("max fee per blob gas", gasPrice(&tx.blobFee))
	r.field("max blob fee", amount(most, r.coin))
}

// accessList shows which storage is warmed up, though that changes only the price of gas
// (EIP-2930).
func (r *reading) accessList(list types.AccessList) {
	if len(list) == 0 {
		r.field("access list", "empty")
		return
	}
	r.field("access list", strconv.Itoa(len(list))+" addresses, "+strconv.Itoa(list.StorageKeys())+" storage keys")
	for i, entry := range list {
		text := []string{entry.Address.Hex()}
		for _, key := range entry.StorageKeys {
			text = append(text, "key "+key.Hex())
		}
		r.field("access list "+strconv.Itoa(i+1), strings.Join(text, ", "))
	}
}

// Call is what a transaction calls, for what labels it.
type Call struct {
	ChainID uint64
	To      *common.Address // nil creates a contract
	Value   uint256.Int
	Data    []byte
}

// ReadCall reads what a payload of kind "evm.transaction" calls.
func ReadCall(payload []byte) (Call, error) {
	tx, err := read(payload, nil, "")
	if err != nil {
		return Call{}, err
	}
	return Call{ChainID: tx.chainID, To: tx.to, Value: tx.value, Data: tx.data}, nil
}

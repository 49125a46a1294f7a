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
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// Transaction decodes unsigned transactions: kind "evm.transaction". A payload is
// the JSON object that eth_signTransaction takes, or the unsigned bytes, as they
// are or as hexadecimal text with 0x.
type Transaction struct{}

var _ signer.Decoder = Transaction{}

// Version implements [signer.Decoder].
func (Transaction) Version() string { return "evm.transaction/1" }

// Decode implements [signer.Decoder].
func (Transaction) Decode(payload []byte, key signer.KeyInfo, book signer.Book) (signer.Intent, error) {
	from, err := addressOf(key.Public)
	if err != nil {
		return signer.Intent{}, err
	}
	tx, err := read(payload, &from)
	if err != nil {
		return signer.Intent{}, err
	}
	if !slices.Contains(key.Chains, chainName(tx.chainID)) {
		return signer.Intent{}, wrongChain(tx.chainID, key)
	}
	return meaning(tx, &from, book)
}

// Preview returns what a payload would do whoever signs it, for people who read
// one without a key: its sender is unknown and it has no message to sign.
func (Transaction) Preview(payload []byte, book signer.Book) (signer.Intent, error) {
	tx, err := read(payload, nil)
	if err != nil {
		return signer.Intent{}, err
	}
	in, err := meaning(tx, nil, book)
	in.Messages = nil
	return in, err
}

func meaning(tx *transaction, from *common.Address, book signer.Book) (signer.Intent, error) {
	fee, err := tx.check()
	if err != nil {
		return signer.Intent{}, err
	}
	r := newReading(tx, from, fee, book)
	if err := r.effects(); err != nil {
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
	tx, err := read(payload, &from)
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

func read(payload []byte, from *common.Address) (*transaction, error) {
	raw, err := unsigned(payload, from)
	if err != nil {
		return nil, err
	}
	return parse(raw)
}

// onlySignature returns the one signature, which must be r || s || v.
func onlySignature(signatures [][]byte) ([]byte, error) {
	if len(signatures) != 1 || len(signatures[0]) != crypto.SignatureLength || signatures[0][crypto.RecoveryIDOffset] > 1 {
		return nil, fmt.Errorf("want one signature of %d bytes with v 0 or 1", crypto.SignatureLength)
	}
	return signatures[0], nil
}

func wrongChain(id uint64, key signer.KeyInfo) error {
	allowed := strings.Join(key.Chains, ", ")
	if allowed == "" {
		allowed = "no chain at all"
	}
	return signer.Invalid("transaction: it is for chain %s, but key %q signs for %s", chainName(id), key.Name, allowed)
}

// gasCap is the most gas that a transaction may have since Fusaka (EIP-7825).
// Other chains may not have it, so above it there is a warning.
const gasCap = 1 << 24

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
	fee, over := new(uint256.Int).MulOverflow(&tx.price, uint256.NewInt(tx.gas))
	if !over {
		_, over = new(uint256.Int).AddOverflow(fee, &tx.value)
	}
	if over {
		return nil, signer.Invalid("transaction: gas times price plus value exceeds 256 bits")
	}
	return fee, nil
}

// reading is an intent in the making.
type reading struct {
	tx    *transaction
	chain string
	actor string
	from  *common.Address // nil: not known
	coin  signer.Asset
	fee   *uint256.Int
	book  signer.Book
	in    signer.Intent
	out   []signer.Quantity
}

func newReading(tx *transaction, from *common.Address, fee *uint256.Int, book signer.Book) *reading {
	chain := chainName(tx.chainID)
	r := &reading{
		tx: tx, chain: chain, from: from,
		coin: coin(chain, book), fee: fee, book: book,
	}
	if from != nil {
		r.actor = account(chain, *from)
	}
	r.in = signer.Intent{
		Kind:     signer.KindEVMTransaction,
		Complete: true,
		Fee:      signer.AtMost(native(chain), fee.ToBig()),
		Fields:   make([]signer.Field, 0, 20),
		Digests:  []signer.Digest{{Name: "transaction signing hash", Value: tx.hash}},
		Messages: []signer.Message{{Scheme: signer.SchemeSecp256k1, Bytes: slices.Clone(tx.hash[:])}},
	}
	r.out = append(make([]signer.Quantity, 0, 3), r.in.Fee)
	r.envelope()
	return r
}

func (r *reading) field(name, value string) {
	r.in.Fields = append(r.in.Fields, signer.Field{Name: name, Value: value})
}

func (r *reading) warn(code string, s signer.Severity, text string) {
	r.in.Warnings = append(r.in.Warnings, signer.Warning{Code: code, Severity: s, Text: text})
}

// effect adds an effect and counts its quantity as flowing out.
func (r *reading) effect(e signer.Effect) {
	e.Actor = r.actor
	r.in.Effects = append(r.in.Effects, e)
	r.out = append(r.out, e.Quantity)
}

func (r *reading) finish() signer.Intent {
	r.in.Outflow = signer.Outflow(r.out...)
	return r.in
}

// envelope adds the fields that every transaction has.
func (r *reading) envelope() {
	tx := r.tx
	r.field("chain", r.chain)
	r.field("type", [...]string{"0 (legacy, EIP-155)", "1 (EIP-2930)", "2 (EIP-1559)"}[tx.kind])
	r.field("from", senderText(r.from))
	r.field("nonce", strconv.FormatUint(tx.nonce, 10))
	if tx.to != nil {
		r.field("to", tx.to.Hex())
	} else {
		r.field("to", "nobody: creates a contract")
	}
	r.field("value", amount(&tx.value, r.coin))
	r.field("gas", strconv.FormatUint(tx.gas, 10))
	if tx.kind == types.DynamicFeeTxType {
		r.field("max fee per gas", gasPrice(&tx.price))
		r.field("max priority fee per gas", gasPrice(&tx.tip))
	} else {
		r.field("gas price", gasPrice(&tx.price))
	}
	r.field("max fee", amount(r.fee, r.coin))
	if tx.kind != types.LegacyTxType {
		r.field("access list", accessListText(tx.access))
	}
	if tx.gas > gasCap {
		r.warn(WarnGasAboveCap, signer.SeverityWarn,
			"gas "+strconv.FormatUint(tx.gas, 10)+" is above 2^24; Ethereum refuses such a transaction (EIP-7825)")
	}
}

func accessListText(list types.AccessList) string {
	if len(list) == 0 {
		return "empty"
	}
	return strconv.Itoa(len(list)) + " addresses, " + strconv.Itoa(list.StorageKeys()) + " storage keys"
}

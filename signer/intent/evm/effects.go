package evm

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
)

// effects says what the transaction does.
func (r *reading) effects() error {
	tx := r.tx
	switch {
	case tx.to == nil:
		r.creation()
		return nil
	case len(tx.data) == 0:
		r.transfer()
		return nil
	}
	token, listed := r.book.Assets[erc20(r.chain, *tx.to)]
	if listed && isTokenCall(tx.data) {
		if err := r.tokenCall(token); err != nil {
			return err
		}
	} else {
		r.unknownCall(listed)
	}
	r.valueAlong()
	return nil
}

// transfer is a payment in the chain's coin.
func (r *reading) transfer() {
	to := *r.tx.to
	r.effect(signer.Effect{
		Class:        signer.ClassTransfer,
		Counterparty: account(r.chain, to),
		Quantity:     signer.Exact(native(r.chain), r.tx.value.ToBig()),
	})
	if to == (common.Address{}) {
		r.warn(WarnZeroAddress, signer.SeverityDanger, "pays the zero address: what is sent there is lost")
	}
	if token, listed := r.book.Assets[erc20(r.chain, to)]; listed {
		r.warn(WarnTokenContract, signer.SeverityDanger,
			"pays the contract of token "+token.Name+": what is sent there is most likely lost")
	}
}

// creation runs code that we cannot read and installs what it returns.
func (r *reading) creation() {
	at, where := "", senderText(nil)
	if r.from != nil {
		created := crypto.CreateAddress(*r.from, r.tx.nonce)
		at, where = account(r.chain, created), created.Hex()
	}
	digest := calldataDigest(r.tx.data)
	length := strconv.Itoa(len(r.tx.data))
	quantity := signer.Quantity{}
	if !r.tx.value.IsZero() {
		quantity = signer.Exact(native(r.chain), r.tx.value.ToBig())
	}
	r.in.Complete = false
	r.effect(signer.Effect{
		Class:        signer.ClassCreate,
		Counterparty: at,
		Quantity:     quantity,
		Attributes: map[string]string{
			"init_code_length": length,
			"init_code_digest": "0x" + hex.EncodeToString(digest[:]),
		},
	})
	r.field("new contract", where)
	r.field("init code length", length+" bytes")
	r.in.Digests = append(r.in.Digests, signer.Digest{Name: "calldata digest", Value: digest})
	r.warn(WarnContractCreation, signer.SeverityWarn, "creates a contract from code that was not read")
}

// valueAlong is the coin that a call takes along.
func (r *reading) valueAlong() {
	if r.tx.value.IsZero() {
		return
	}
	r.effect(signer.Effect{
		Class:        signer.ClassTransfer,
		Counterparty: account(r.chain, *r.tx.to),
		Quantity:     signer.Exact(native(r.chain), r.tx.value.ToBig()),
	})
}

// unknownCall is a call that we cannot say the meaning of. It could move anything
// that the key's account holds.
func (r *reading) unknownCall(listed bool) {
	data := r.tx.data
	digest := calldataDigest(data)
	length := strconv.Itoa(len(data))
	attributes := map[string]string{
		"calldata_length": length,
		"calldata_digest": "0x" + hex.EncodeToString(digest[:]),
	}
	r.in.Complete = false
	if len(data) >= 4 {
		attributes["selector"] = "0x" + hex.EncodeToString(data[:4])
		r.field("selector", attributes["selector"])
		if name := looksLike([4]byte(data)); name != "" && listed {
			r.field("looks like", name+", which is not read yet")
		} else if name != "" {
			r.field("looks like", name+", but the contract is not an asset of the policy, so this means nothing")
		}
	}
	r.field("calldata length", length+" bytes")
	r.effect(signer.Effect{
		Class:        signer.ClassUnknownCall,
		Counterparty: account(r.chain, *r.tx.to),
		Quantity:     signer.Quantity{Kind: signer.QuantityUnknown},
		Attributes:   attributes,
	})
	r.in.Digests = append(r.in.Digests, signer.Digest{Name: "calldata digest", Value: digest})
	r.warn(WarnUnknownCall, signer.SeverityDanger, "calls a contract in a way that was not understood: it could move anything")
}

// calldataDigest is the calldata digest of ERC-8213: the hash of the length as a
// 256-bit number and the calldata.
func calldataDigest(data []byte) [32]byte {
	var length [32]byte
	binary.BigEndian.PutUint64(length[24:], uint64(len(data)))
	return crypto.Keccak256Hash(length[:], data)
}

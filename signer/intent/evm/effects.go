package evm

import (
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
)

// plain is a payment in the chain's coin. To a contract that wraps the coin it is a
// deposit.
func (r *reading) plain(f frame) error {
	if r.at(f.to).contract.Kind == signer.ContractWETH {
		return readWrap(r, f, nil)
	}
	r.coinTransfer(f, f.to)
	if f.to == (common.Address{}) {
		r.warn(WarnZeroAddress, signer.SeverityDanger, f.named("pays the zero address: what is sent there is lost"))
	}
	if token, listed := r.book.Assets[r.asset("erc20", f.to)]; listed {
		r.warn(WarnTokenContract, signer.SeverityDanger,
			f.named("pays the contract of token "+token.Name+": what is sent there is most likely lost"))
	}
	return nil
}

// creation runs code that we cannot read and installs what it returns.
func (r *reading) creation(tx *transaction, from *common.Address) {
	at, where := "", senderText(nil)
	if from != nil {
		created := crypto.CreateAddress(*from, tx.nonce)
		at, where = r.account(created), created.Hex()
	}
	length := strconv.Itoa(len(tx.data))
	quantity := signer.Quantity{}
	if !tx.value.IsZero() {
		quantity = signer.Exact(native(r.chain), tx.value.ToBig())
	}
	r.in.Complete = false
	r.effect(frame{from: from}, signer.Effect{
		Class:        signer.ClassCreate,
		Counterparty: at,
		Quantity:     quantity,
		Attributes: map[string]string{
			"init_code_length": length,
			"init_code_digest": CalldataDigest(tx.data).Hex(),
		},
	})
	r.field("new contract", where)
	r.field("init code length", length+" bytes")
	r.warn(WarnContractCreation, signer.SeverityWarn, "creates a contract from code that was not read")
}

package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"

	"github.com/sealward/sealward/signer"
)

// market are the fees of types 2 and later.
const market = `"maxFeePerGas":"0x174876e800","maxPriorityFeePerGas":"0x3b9aca00"`

// Type 4 is tested below.
func TestTransactionsOfEveryTypeDoWhatTheirIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	payment := []signer.Class{signer.ClassTransfer}
	blob, sidecar := w.blob("what a roll-up would publish")
	w.prove([]step{
		{name: "type 0 pays", classes: payment, payload: func() string {
			return w.envelope("0x0", "payee", eth(1), nil, `"gasPrice":"0x174876e800"`)
		}},
		{name: "type 1 pays, with an access list", classes: payment, payload: func() string {
			return w.envelope("0x1", "payee", eth(2), nil, `"gasPrice":"0x174876e800"`, fmt.Sprintf(`"accessList":[{"address":%q,"storageKeys":["0x%064x"]}]`, w.at["coin"], 7))
		}},
		{name: "type 2 pays", classes: payment, payload: func() string {
			return w.envelope("0x2", "payee", eth(3), nil, market)
		}},
		{
			name: "type 3 pays and publishes a blob", classes: payment,
			payload: func() string {
				return w.envelope("0x3", "payee", eth(4), nil, market, fmt.Sprintf(`"maxFeePerBlobGas":"0x3b9aca00","blobVersionedHashes":[%q]`, blob))
			},
			send: func(artifact []byte) outcome {
				var tx types.Transaction
				must(t, tx.UnmarshalBinary(artifact))
				raw, err := tx.WithBlobTxSidecar(sidecar).MarshalBinary() // as nodes hand it on (EIP-4844, "Networking")
				must(t, err)
				r := w.broadcast(raw)
				if r.Type != types.BlobTxType || r.BlobGasUsed != 1<<17 {
					t.Errorf("what was mined has type %d and %d blob gas, want type 3 and the gas of one blob", r.Type, r.BlobGasUsed)
				}
				return r
			},
		},
	})
	w.prove([]step{{
		name: "a contract is created and given coin", create: crypto.CreateAddress(w.at["hot"], w.nonce("hot")), classes: []signer.Class{signer.ClassCreate},
		payload: func() string {
			// PUSH1 1 PUSH1 10 PUSH0 CODECOPY PUSH1 1 PUSH0 RETURN, and what it returns: STOP.
			return w.transaction("", big.NewInt(12345), hexutil.MustDecode("0x6001600a5f3960015ff300"))
		},
	}})
}

func TestAccountsAreHandedOverAndTakenBackAsTheIntentsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody, code := common.Address{}, w.at["delegate"]
	// authorized is signed by the daemon, too, and put into the transaction as it came.
	authorized := func(key string, delegate common.Address, nonce uint64) string {
		_, element := w.sign(key, signer.KindEVMAuthorization, fmt.Sprintf(`{"chainId":31337,"address":%q,"nonce":%d}`, delegate, nonce))
		return string(element)
	}
	both := []signer.Class{signer.ClassDelegation, signer.ClassDelegation, signer.ClassTransfer}
	w.prove([]step{
		{name: "type 4 hands over a second account and the payer", classes: both, payload: func() string {
			// The payer's own nonce is counted up before the list is looked at (EIP-7702).
			return w.envelope("0x4", "payee", eth(5), nil, market, fmt.Sprintf(`"authorizationList":[%s,%s]`,
				authorized("cold", code, w.nonce("cold")), authorized("hot", code, w.nonce("hot")+1)))
		}},
		{name: "type 4 takes both back", classes: both, payload: func() string {
			return w.envelope("0x4", "payee", eth(6), nil, market, fmt.Sprintf(`"authorizationList":[%s,%s]`,
				authorized("hot", nobody, w.nonce("hot")+1), authorized("cold", nobody, w.nonce("cold"))))
		}},
		{
			name: "an authorization that was signed is used by somebody else", key: "cold", kind: signer.KindEVMAuthorization,
			classes: []signer.Class{signer.ClassDelegation},
			payload: func() string {
				return fmt.Sprintf(`{"chainId":"0x7a69","address":%q,"nonce":"0x%x"}`, code, w.nonce("cold"))
			},
			send: w.byNodeAuthorized,
		},
	})
}

// blob is a blob with a text in it: its versioned hash, and what goes along with it.
func (w *world) blob(text string) (hash string, sidecar *types.BlobTxSidecar) {
	w.t.Helper()
	var b kzg4844.Blob
	copy(b[1:], text) // the first byte of a field element stays zero
	commitment, err := kzg4844.BlobToCommitment(&b)
	must(w.t, err)
	proofs, err := kzg4844.ComputeCellProofs(&b) // EIP-7594
	must(w.t, err)
	sidecar = types.NewBlobTxSidecar(types.BlobSidecarVersion1, []kzg4844.Blob{b}, []kzg4844.Commitment{commitment}, proofs)
	return sidecar.BlobHashes()[0].Hex(), sidecar
}

// byNodeAuthorized has the node's own account send a transaction with an authorisation.
func (w *world) byNodeAuthorized(element []byte) outcome {
	w.t.Helper()
	var hash common.Hash
	w.n.call(&hash, "eth_sendTransaction", map[string]any{
		"from": w.at["dev"], "to": w.at["dev"], "gas": "0x186a0", "authorizationList": []json.RawMessage{element},
	})
	return w.mined(hash)
}

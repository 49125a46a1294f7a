package evm

import (
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/signer"
)

// Address returns the address of a secp256k1 key, checksummed (EIP-55).
func Address(pub signer.PublicKey) (string, error) {
	a, err := addressOf(pub)
	if err != nil {
		return "", err
	}
	return a.Hex(), nil
}

// What errors call the account that a payload is read for.
const (
	theKey     = "the key's address"
	theAccount = "the account that --from names"
)

// readSender reads the address of a sender that people name; nil for none.
func readSender(text string) (*common.Address, error) {
	if text == "" {
		return nil, nil
	}
	var r textReader
	a := r.address("from", text)
	return &a, r.err
}

// senderText writes a sender for people; nil is one that is not known.
func senderText(sender *common.Address) string {
	if sender == nil {
		return "unknown (no key given)"
	}
	return sender.Hex()
}

// addressOf: the last 20 bytes of the hash of the point (Yellow Paper, appendix F).
func addressOf(pub signer.PublicKey) (common.Address, error) {
	if pub.Algorithm != signer.AlgorithmSecp256k1 {
		return common.Address{}, signer.Invalid("ethereum address: want a secp256k1 key, this one is %q", pub.Algorithm)
	}
	if _, err := crypto.UnmarshalPubkey(pub.Bytes); err != nil {
		return common.Address{}, signer.Invalid("ethereum address: the public key is not an uncompressed point of secp256k1")
	}
	return addressOfPoint(pub.Bytes), nil
}

// addressOfPoint is the address of the key whose uncompressed point it is.
func addressOfPoint(point []byte) common.Address {
	return common.BytesToAddress(crypto.Keccak256(point[1:])[12:])
}

// chainName is the CAIP-2 name of a chain; CAIP-10 accounts and CAIP-19 assets
// begin with it.
func chainName(id uint64) string { return "eip155:" + strconv.FormatUint(id, 10) }

func account(chain string, a common.Address) string { return chain + ":" + a.Hex() }

// addressOnly is a CAIP-10 account without its chain.
func addressOnly(account string) string { return account[strings.LastIndexByte(account, ':')+1:] }

// native is a chain's own coin. SLIP-44 gives 60 to Ether; the same number stands
// for the coin of every chain here, which CAIP-19 tells apart by the chain.
func native(chain string) string { return chain + "/slip44:60" }

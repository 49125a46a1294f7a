package evm

import (
	"strconv"

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
	return common.BytesToAddress(crypto.Keccak256(pub.Bytes[1:])[12:]), nil
}

// chainName is the CAIP-2 name of a chain; CAIP-10 accounts and CAIP-19 assets
// begin with it.
func chainName(id uint64) string { return "eip155:" + strconv.FormatUint(id, 10) }

func account(chain string, a common.Address) string { return chain + ":" + a.Hex() }

func erc20(chain string, contract common.Address) string {
	return chain + "/erc20:" + contract.Hex()
}

// native is a chain's own coin. SLIP-44 gives 60 to Ether; the same number stands
// for the coin of every chain here, which CAIP-19 tells apart by the chain.
func native(chain string) string { return chain + "/slip44:60" }

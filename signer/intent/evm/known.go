package evm

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
)

// canonical is what a standard or a deployment that is the same on every chain makes
// of an address; its kind is empty where they know nothing of it. The owner's book
// goes first.
func canonical(chain string, a common.Address) signer.Contract {
	if w, ok := wrappedCoins[chain]; ok && w == a {
		return signer.Contract{Name: "WETH", Kind: signer.ContractWETH}
	}
	return canonicalContracts[a]
}

// CanonicalContract is the name of a contract that is known without the owner's book.
func CanonicalContract(chain uint64, a common.Address) (name string, ok bool) {
	name = canonical(chainName(chain), a).Name
	return name, name != ""
}

// canonicalContracts have one address on every chain: their makers put them there with
// CREATE2 through a fixed factory, or with a transaction made once for all chains, so
// that the address commits to the code. Chains that derive addresses in another way
// (zkSync) have them elsewhere, and only the owner's book can say where.
//
// Sources: Permit2, Uniswap's permit2-sdk 1.4.0 (PERMIT2_ADDRESS); EntryPoints and
// Multicall3, viem 2.57.20 (account-abstraction/constants, chains/definitions); MultiSend
// and MultiSendCallOnly, safe-deployments 1.37.56 ("canonical" and "eip155"). MultiSend
// 1.1.1 is left out: it is on nine chains, and was deployed on each by itself.
var canonicalContracts = map[common.Address]signer.Contract{
	common.HexToAddress("0x000000000022D473030F116dDEE9F6B43aC78BA3"): {Name: "Permit2", Kind: signer.ContractPermit2},
	common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11"): {Name: "Multicall3", Kind: signer.ContractMulticall},

	common.HexToAddress("0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789"): {Name: "EntryPoint 0.6", Kind: signer.ContractEntryPoint},
	common.HexToAddress("0x0000000071727De22E5E9d8BAf0edAc6f37da032"): {Name: "EntryPoint 0.7", Kind: signer.ContractEntryPoint},
	common.HexToAddress("0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"): {Name: "EntryPoint 0.8", Kind: signer.ContractEntryPoint},
	common.HexToAddress("0x433709009B8330FDa32311DF1C2AFA402eD8D009"): {Name: "EntryPoint 0.9", Kind: signer.ContractEntryPoint},

	common.HexToAddress("0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761"): {Name: "MultiSend 1.3.0", Kind: signer.ContractMultiSend},
	common.HexToAddress("0x998739BFdAAdde7C933B942a68053933098f9EDa"): {Name: "MultiSend 1.3.0", Kind: signer.ContractMultiSend},
	common.HexToAddress("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526"): {Name: "MultiSend 1.4.1", Kind: signer.ContractMultiSend},
	common.HexToAddress("0x218543288004CD07832472D464648173c77D7eB7"): {Name: "MultiSend 1.5.0", Kind: signer.ContractMultiSend},
	common.HexToAddress("0x40A2aCCbd92BCA938b02010E17A5b8929b49130D"): {Name: "MultiSendCallOnly 1.3.0", Kind: signer.ContractMultiSend},
	common.HexToAddress("0xA1dabEF33b3B82c7814B6D82A79e50F4AC44102B"): {Name: "MultiSendCallOnly 1.3.0", Kind: signer.ContractMultiSend},
	common.HexToAddress("0x9641d764fc13c8B624c04430C7356C1C7C8102e2"): {Name: "MultiSendCallOnly 1.4.1", Kind: signer.ContractMultiSend},
	common.HexToAddress("0xA83c336B20401Af773B6219BA5027174338D1836"): {Name: "MultiSendCallOnly 1.5.0", Kind: signer.ContractMultiSend},
}

// wrappedCoins is the WETH of each chain that has a well-known one whose coin is ether.
//
// Source: Uniswap's sdk-core 7.19.4 (WETH9). On the chains of the OP Stack it is a
// predeploy (OP Stack specification, "Predeploys").
var wrappedCoins = map[string]common.Address{
	"eip155:1":        common.HexToAddress("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"),
	"eip155:10":       common.HexToAddress("0x4200000000000000000000000000000000000006"),
	"eip155:130":      common.HexToAddress("0x4200000000000000000000000000000000000006"),
	"eip155:8453":     common.HexToAddress("0x4200000000000000000000000000000000000006"),
	"eip155:42161":    common.HexToAddress("0x82aF49447D8a07e3bd95BD0d56f35241523fBab1"),
	"eip155:84532":    common.HexToAddress("0x4200000000000000000000000000000000000006"),
	"eip155:11155111": common.HexToAddress("0xfFf9976782d46CC05630D1f6eBAb18b2324d6B14"),
	"eip155:11155420": common.HexToAddress("0x4200000000000000000000000000000000000006"),
}

// ends are what a shortened address shows.
func ends(a common.Address) [4]byte { return [4]byte{a[0], a[1], a[18], a[19]} }

var canonicalByEnds = func() map[[4]byte]common.Address {
	out := map[[4]byte]common.Address{}
	for a := range canonicalContracts {
		out[ends(a)] = a
	}
	return out
}()

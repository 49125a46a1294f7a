package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// contract is what a compiler made of a contract. An interface has no code.
type contract struct {
	ABI  abi.ABI
	Code hexutil.Bytes
}

// compileContracts compiles the sources of the tests, and finds what packages bring
// compiled: WETH9 and Safe as they are on the chain.
var compileContracts = sync.OnceValues(func() (out map[string]contract, err error) {
	packages, err := filepath.Abs("../../tools/node/node_modules")
	if err != nil {
		return nil, err
	}
	text, err := exec.Command("node", "testdata/contracts/compile.mjs", packages, "testdata/contracts/tokens.sol").Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w\n%s", err, e.Stderr)
		}
		return nil, fmt.Errorf("compile the contracts of the tests (run make deps): %w", err)
	}
	return out, json.Unmarshal(text, &out)
})

// Where contracts are on every chain.
var (
	permit2    = common.HexToAddress("0x000000000022D473030F116dDEE9F6B43aC78BA3")
	multicall3 = common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")
	multiSend  = common.HexToAddress("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526") // 1.4.1
	callOnly   = common.HexToAddress("0x9641d764fc13c8B624c04430C7356C1C7C8102e2") // 1.4.1
)

// world is a daemon beside a node whose contracts its policy knows. The accounts hot and
// cold are the daemon's, dev is the node's own.
type world struct {
	t         *testing.T
	h         *host
	n         *node
	contracts map[string]contract
	at        map[string]common.Address // accounts and contracts by name
	requests  int
	step      string // what is being done, for who reads of a failure
}

const worldConfig = `key "cold" {
  token  = "softhsm"
  uri    = "pkcs11:object=cold"
  kinds  = ["evm.transaction", "evm.typed_data", "evm.authorization"]
  chains = ["eip155:31337"]
}
`

// worldPolicy lets through what can be read and, beside that, new contracts. It has no
// limits by amount, since some of what is tested has no bound.
const worldPolicy = `version = 1
asset "devcoin" {
  id       = "eip155:31337/slip44:60"
  decimals = 18
}
asset "coin" {
  id       = "eip155:31337/erc20:{coin}"
  decimals = 18
}
asset "dai" {
  id       = "eip155:31337/erc20:{dai}"
  decimals = 18
}
asset "weth" {
  id       = "eip155:31337/erc20:{weth}"
  decimals = 18
}
asset "cards" {
  id       = "eip155:31337/erc721:{cards}"
  decimals = 0
}
asset "parts" {
  id       = "eip155:31337/erc1155:{parts}"
  decimals = 0
}
contract "wrapper" {
  account = "eip155:31337:{weth}"
  kind    = "weth"
}
contract "vault" {
  account = "eip155:31337:{safe}"
  kind    = "safe"
}
contract "smart_account" {
  account = "eip155:31337:{account}"
  kind    = "account"
}
contract "savings" {
  account = "eip155:31337:{savings}"
  kind    = "account"
}
contract "account_of_0_7" {
  account = "eip155:31337:{account7}"
  kind    = "account"
}
contract "account_of_0_6" {
  account = "eip155:31337:{account6}"
  kind    = "account"
}
contract "modular_account" {
  account = "eip155:31337:{modular}"
  kind    = "account"
}
contract "guard" {
  account = "eip155:31337:{guard}"
  kind    = "module"
}
contract "module_for_operations" {
  account = "eip155:31337:{module}"
  kind    = "module"
}
contract "handler" {
  account = "eip155:31337:{handler}"
  kind    = "module"
}
contract "safe_to_be" {
  account = "eip155:31337:{fresh}"
  kind    = "safe"
}
contract "account_to_be" {
  account = "eip155:31337:{unborn}"
  kind    = "account"
}
contract "wallet_code" {
  account = "eip155:31337:{delegate}"
  kind    = "delegate"
}
rule "what can be read" {
  keys  = ["hot", "cold"]
  kinds = ["evm.transaction", "evm.typed_data", "evm.authorization"]
  allow = true
}
rule "new contracts" {
  kinds = ["evm.transaction"]
  when  = "effects.all(e, e.class == 'create')"
  allow = true
  blind = ["create"]
}
`

// newWorld starts all of it. The policy may have more than that of every test.
func newWorld(t *testing.T, more ...string) *world {
	t.Helper()
	contracts, err := compileContracts()
	must(t, err)
	w := &world{t: t, h: newHost(t), n: startNode(t), contracts: contracts, at: map[string]common.Address{
		"permit2": permit2, "multicall": multicall3, "multisend": multiSend, "callonly": callOnly,
		"payee": common.HexToAddress(payee), "other": common.HexToAddress("0x8617E340B3D01FA5F11F306F4090FD50E238070D"),
	}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last step was: %s", w.step)
		}
	})
	var own []common.Address
	w.n.call(&own, "eth_accounts")
	w.at["dev"], w.at["hot"] = own[0], common.HexToAddress(w.h.token.address)
	w.settle()
	w.h.edit("sealward.hcl", `["evm.transaction", "evm.message"]`, `["evm.transaction", "evm.message", "evm.typed_data", "evm.authorization"]`)
	w.h.write("sealward.hcl", w.h.read("sealward.hcl")+worldConfig)
	policy := worldPolicy + strings.Join(more, "")
	for name, a := range w.at {
		policy = strings.ReplaceAll(policy, "{"+name+"}", a.Hex())
	}
	w.h.write("policy.hcl", policy)
	w.h.start()
	cold, err := w.h.sign().Key(context.Background(), "cold")
	must(t, err)
	w.at["cold"] = common.HexToAddress(cold.GetEthereumAddress())
	for _, name := range []string{"hot", "cold", "safe", "fresh", "account", "savings", "account7", "account6", "modular", "unborn"} {
		w.n.fund(w.at[name].Hex(), eth(100_000))
	}
	return w
}

// settle puts the contracts on the chain.
func (w *world) settle() {
	w.t.Helper()
	// Of the node's kinds of networks one begins with contracts that others have to be
	// given: the code that Ethereum has at these addresses.
	other := startNode(w.t, "--network", "tempo")
	for _, a := range []common.Address{permit2, multicall3} {
		var code hexutil.Bytes
		other.call(&code, "eth_getCode", a, "latest")
		w.n.call(nil, "anvil_setCode", a, code)
	}
	hot := w.at["hot"]
	w.settleSafes(hot)
	w.at["guard"], w.at["handler"] = w.deploy("DelegateCallTransactionGuard", common.Address{}), w.deploy("CompatibilityFallbackHandler")
	w.settleAccounts(hot)
	w.at["module"] = w.deploy("Safe4337Module", w.at["entrypoint7"])
	owners := []common.Address{hot, w.at["dev"]}
	for _, name := range []string{"safe", "fresh", "account", "savings", "account7", "account6", "modular", "unborn"} {
		owners = append(owners, w.at[name])
	}
	w.at["coin"] = w.deploy("Coin", owners)
	w.at["cards"], w.at["parts"], w.at["dai"] = w.deploy("Cards", hot), w.deploy("Parts", hot), w.deploy("Dai", hot)
	w.at["weth"], w.at["delegate"] = w.deploy("WETH9"), w.deploy("Delegate")
}

// settleSafes puts Safe's contracts on the chain and makes a Safe of one owner, and one
// that nobody has set up. Those that are known by their address get it the way their makers
// did: it commits to the factory's address and to their code (EIP-1014).
func (w *world) settleSafes(owner common.Address) {
	w.t.Helper()
	factory := common.HexToAddress("0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7")
	var code hexutil.Bytes // the node has one of the same sort, at another address
	w.n.call(&code, "eth_getCode", "0x4e59b44847b379578588920cA78FbF26c0B4956C", "latest")
	w.n.call(nil, "anvil_setCode", factory, code)
	for name, at := range map[string]common.Address{"MultiSend": multiSend, "MultiSendCallOnly": callOnly} {
		w.byNode(&factory, slices.Concat(make([]byte, 32), w.contracts[name].Code))
		w.n.call(&code, "eth_getCode", at, "latest")
		if len(code) == 0 {
			w.t.Fatalf("%s, put on the chain as its makers did, is not at %s", name, at)
		}
	}
	singleton, proxies := w.deploy("Safe"), w.deploy("SafeProxyFactory")
	nobody, nothing := common.Address{}, new(big.Int)
	setup := w.pack("Safe", "setup", []common.Address{owner}, big.NewInt(1), nobody, []byte{}, nobody, nobody, nothing, nobody)
	created := w.contracts["SafeProxyFactory"].ABI.Events["ProxyCreation"].ID
	for name, first := range map[string][]byte{"safe": setup, "fresh": {}} {
		mined := w.byNode(&proxies, w.pack("SafeProxyFactory", "createProxyWithNonce", singleton, first, nothing))
		for _, l := range mined.Logs {
			if l.Topics[0] == created {
				w.at[name] = common.BytesToAddress(l.Topics[1][:])
			}
		}
		if w.at[name] == nobody {
			w.t.Fatal("the factory made no Safe")
		}
	}
}

func (w *world) pack(contract, method string, args ...any) []byte {
	w.t.Helper()
	data, err := w.contracts[contract].ABI.Pack(method, args...)
	must(w.t, err)
	return data
}

// deploy has the node's own account create a contract.
func (w *world) deploy(name string, args ...any) common.Address {
	w.t.Helper()
	return *w.byNode(nil, slices.Concat(w.contracts[name].Code, w.pack(name, "", args...))).ContractAddress
}

// byNode has the node's own account send a transaction that must succeed.
func (w *world) byNode(to *common.Address, data []byte) outcome {
	w.t.Helper()
	var hash common.Hash
	w.n.call(&hash, "eth_sendTransaction", map[string]any{"from": w.at["dev"], "to": to, "data": hexutil.Bytes(data), "gas": "0x989680"})
	return w.mined(hash)
}

// outcome is what became of a transaction.
type outcome struct {
	Status, GasUsed, BlobGasUsed    hexutil.Uint64
	EffectiveGasPrice, BlobGasPrice *hexutil.Big
	Type                            hexutil.Uint64
	ContractAddress                 *common.Address
	Logs                            []*types.Log
}

// fee is what was paid to have it mined.
func (r outcome) fee() *big.Int {
	fee := new(big.Int).Mul(r.EffectiveGasPrice.ToInt(), new(big.Int).SetUint64(uint64(r.GasUsed)))
	if r.BlobGasPrice != nil {
		fee.Add(fee, new(big.Int).Mul(r.BlobGasPrice.ToInt(), new(big.Int).SetUint64(uint64(r.BlobGasUsed))))
	}
	return fee
}

// mined waits for a transaction that must succeed.
func (w *world) mined(hash common.Hash) outcome {
	w.t.Helper()
	var r *outcome
	eventually(w.t, "transaction "+hash.Hex()+" is mined", func() bool {
		w.n.call(&r, "eth_getTransactionReceipt", hash)
		return r != nil
	})
	if r.Status != 1 {
		w.t.Fatalf("transaction %s was mined and failed", hash)
	}
	return *r
}

// broadcast sends a signed transaction to the node.
func (w *world) broadcast(raw []byte) outcome {
	w.t.Helper()
	var hash common.Hash
	w.n.call(&hash, "eth_sendRawTransaction", hexutil.Bytes(raw))
	return w.mined(hash)
}

// sign has the daemon sign and returns what it makes of the payload, and the artefact.
func (w *world) sign(key string, kind signer.Kind, payload string) (signer.Intent, []byte) {
	w.t.Helper()
	w.requests++
	res, err := w.h.sign().Sign(context.Background(), &v1.SignRequest{Request: &v1.Request{
		Id: fmt.Sprint(w.requests), Key: key, Kind: string(kind), PayloadText: payload,
	}})
	if err != nil {
		w.t.Fatalf("%s is refused: %v\n%s", kind, err, payload)
	}
	in, err := api.ReadIntent(res.GetIntent())
	must(w.t, err)
	return in, res.GetArtifact()
}

// nonce is the next of an account.
func (w *world) nonce(account string) uint64 {
	w.t.Helper()
	var n hexutil.Uint64
	w.n.call(&n, "eth_getTransactionCount", w.at[account], "latest")
	return uint64(n)
}

// transaction is one of type 2 from hot.
func (w *world) transaction(to string, value *big.Int, data []byte) string {
	w.t.Helper()
	return w.envelope("0x2", to, value, data, market)
}

// envelope is a transaction of any type from hot, with its fees among the members that
// are given besides. Without a recipient it creates a contract.
func (w *world) envelope(kind, to string, value *big.Int, data []byte, more ...string) string {
	w.t.Helper()
	fields := append([]string{
		fmt.Sprintf(`"type":%q,"chainId":"0x7a69","nonce":"0x%x","gas":"0x1e8480","value":"0x%x","data":"0x%x"`, kind, w.nonce("hot"), value, data),
	}, more...)
	if to != "" {
		fields = append(fields, fmt.Sprintf(`"to":%q`, w.at[to]))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// read asks a contract for a number.
func (w *world) read(contract, at, method string, args ...any) *big.Int {
	w.t.Helper()
	var word hexutil.Bytes
	w.n.call(&word, "eth_call", map[string]any{"to": w.at[at], "data": hexutil.Bytes(w.pack(contract, method, args...))}, "latest")
	return new(big.Int).SetBytes(word)
}

// try has the node's own account call a contract, and leaves nothing of it.
func (w *world) try(to common.Address, data []byte) error {
	w.t.Helper()
	return w.n.ask(nil, "eth_call", map[string]any{"from": w.at["dev"], "to": to, "data": hexutil.Bytes(data)}, "latest")
}

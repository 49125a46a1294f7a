package main

import (
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/sealward/sealward/signer"
)

// entry is an EntryPoint of ERC-4337.
type entry struct {
	version string // in the names of its contracts; none for the latest here
	at      common.Address
	salt    string // which its makers put it on the chain with
}

// name is that of its address in a world.
func (e entry) name() string { return "entrypoint" + e.version }

var entryPoint = common.HexToAddress("0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108") // 0.8

var entryPoints = []entry{
	{"", entryPoint, "0x0a59dbff790c23c976a548690c27297883cc66b4c67024f9117b0238995e35e9"},
	{"7", common.HexToAddress("0x0000000071727De22E5E9d8BAf0edAc6f37da032"), "0x90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3"},
	{"6", common.HexToAddress("0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789"), "0x0000000000000000000000000000000000000000000000000000000000000000"},
}

// settleAccounts puts the EntryPoints on the chain the way their makers did: salt and code
// make their addresses (EIP-1014). It makes smart accounts: two for the latest, and one
// that acts by modes, are the owner's; those for older ones are the node's own, since their
// operations are signed as hashes. A sponsor has a deposit with each.
func (w *world) settleAccounts(owner common.Address) {
	w.t.Helper()
	account := func(e entry, owner common.Address) common.Address {
		code := w.deploy("SimpleAccount"+e.version, e.at)
		return w.deploy("AccountProxy", code, w.pack("SimpleAccount"+e.version, "initialize", owner))
	}
	factory := common.HexToAddress("0x4e59b44847b379578588920cA78FbF26c0B4956C") // the node has it
	sponsor := w.deploy("Sponsor")
	w.at["sponsor"] = sponsor
	for _, e := range entryPoints {
		w.byNode(&factory, slices.Concat(hexutil.MustDecode(e.salt), w.contracts["EntryPoint"+e.version].Code))
		var code hexutil.Bytes
		if w.n.call(&code, "eth_getCode", e.at, "latest"); len(code) == 0 {
			w.t.Fatalf("EntryPoint%s, put on the chain as its makers did, is not at %s", e.version, e.at)
		}
		w.at[e.name()] = e.at
		w.n.fund(sponsor.Hex(), eth(10))
		w.byNode(&sponsor, w.pack("Sponsor", "deposit", e.at))
	}
	w.at["account"], w.at["savings"] = account(entryPoints[0], owner), account(entryPoints[0], owner)
	w.at["account7"], w.at["account6"] = account(entryPoints[1], w.at["dev"]), account(entryPoints[2], w.at["dev"])
	w.at["modular"] = w.deploy("Modular", owner)
	w.at["factory"] = w.deploy("SimpleAccountFactory", entryPoint)
	w.at["unborn"] = common.BigToAddress(w.read("SimpleAccountFactory", "factory", "getAddress", owner, new(big.Int)))
}

// userOperation is what a smart account is asked to do (ERC-4337), named as the ABI of the
// EntryPoint names it.
type userOperation struct {
	Sender             common.Address
	Nonce              *big.Int
	InitCode, CallData []byte
	AccountGasLimits   [32]byte
	PreVerificationGas *big.Int
	GasFees            [32]byte
	PaymasterAndData   []byte
	Signature          []byte
}

const userOperationType = "PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)"

// two are two numbers in a word.
func two(high, low int64) (word [32]byte) {
	big.NewInt(high).FillBytes(word[:16])
	big.NewInt(low).FillBytes(word[16:])
	return word
}

// operation is one of hot's account by that name, not signed yet.
func (w *world) operation(account string, data []byte) userOperation {
	w.t.Helper()
	return userOperation{
		Sender: w.at[account], Nonce: w.read("EntryPoint", "entrypoint", "getNonce", w.at[account], new(big.Int)), CallData: data,
		AccountGasLimits: two(200_000, 900_000), PreVerificationGas: big.NewInt(60_000), GasFees: two(1_000_000_000, 3_000_000_000),
	}
}

// consent is the typed data by which the owner of an account agrees to an operation.
func (w *world) consent(op userOperation) string {
	w.t.Helper()
	return w.typed(
		map[string]any{"name": "ERC4337", "version": "1", "chainId": devChain, "verifyingContract": entryPoint}, userOperationType,
		map[string]any{
			"sender": op.Sender, "nonce": op.Nonce.String(), "initCode": hexutil.Bytes(op.InitCode), "callData": hexutil.Bytes(op.CallData),
			"accountGasLimits": hexutil.Bytes(op.AccountGasLimits[:]), "preVerificationGas": op.PreVerificationGas.String(),
			"gasFees": hexutil.Bytes(op.GasFees[:]), "paymasterAndData": hexutil.Bytes(op.PaymasterAndData),
		},
	)
}

// handle is the call by which anybody has operations done, and is paid for it.
func (w *world) handle(ops ...userOperation) []byte {
	w.t.Helper()
	return w.pack("EntryPoint", "handleOps", ops, w.at["other"])
}

// signed is an operation that hot has agreed to.
func (w *world) signed(account string, data []byte) userOperation {
	w.t.Helper()
	op := w.operation(account, data)
	_, op.Signature = w.sign("hot", signer.KindEVMTypedData, w.consent(op))
	return op
}

// operated is a step in which hot agrees to an operation, and somebody else has it done.
func (w *world) operated(name string, data []byte, classes ...signer.Class) step {
	at := entryPoint
	var op userOperation
	return step{
		name: name, kind: signer.KindEVMTypedData, classes: classes,
		payload: func() string {
			op = w.operation("account", data)
			return w.consent(op)
		},
		send: func(signature []byte) outcome {
			op.Signature = signature
			return w.byNode(&at, w.handle(op))
		},
	}
}

// charge is what an operation cost, and whose deposit with which EntryPoint pays for it.
type charge struct {
	cost      *big.Int
	payer, at string
}

// charged is what operations cost, by their accounts. One whose calls failed proves
// nothing.
func (w *world) charged(mined outcome) map[string]charge {
	w.t.Helper()
	out := map[string]charge{}
	event := w.contracts["EntryPoint"].ABI.Events["UserOperationEvent"] // the same in all versions
	for _, l := range mined.Logs {
		if l.Topics[0] != event.ID || !slices.ContainsFunc(entryPoints, func(e entry) bool { return e.at == l.Address }) {
			continue
		}
		values, err := event.Inputs.NonIndexed().Unpack(l.Data) // nonce, success, cost, gas
		must(w.t, err)
		account, paymaster := caip10(common.BytesToAddress(l.Topics[2][:])), common.BytesToAddress(l.Topics[3][:])
		if _, twice := out[account]; twice || values[1] != true {
			w.t.Fatalf("an operation of %s was done twice, or failed: %v", account, values)
		}
		c := charge{values[2].(*big.Int), account, caip10(l.Address)}
		if paymaster != (common.Address{}) {
			c.payer = caip10(paymaster)
		}
		out[account] = c
	}
	return out
}

// charge takes what an operation cost. The EntryPoint takes the most that it may cost
// beforehand, from the deposit of who pays and what that lacks from a smart account, gives
// the beneficiary what it did cost, and keeps the rest as deposit (EntryPoint.sol,
// handleOps). All that leaves who pays is within the bound.
func (f *forecast) charge(account, beneficiary string, most signer.Quantity) {
	c := f.charged[account]
	deposit := depositOf(c.payer, c.at)
	kept := new(big.Int).Sub(number(f.after[deposit]), number(f.state[deposit]))
	left := new(big.Int).Add(c.cost, kept)
	if most.Kind != signer.QuantityAtMost || most.Asset != devcoin || c.cost.Sign() <= 0 || c.cost.Cmp(most.N) > 0 || left.Cmp(most.N) > 0 {
		f.fail("the operation cost %s and took %s from the account, announced is %s %s of %s", c.cost, left, most.Kind, most.N, most.Asset)
	}
	f.add(balanceOf(c.payer, devcoin), new(big.Int).Neg(left))
	f.add(balanceOf(c.at, devcoin), kept)
	f.add(balanceOf(beneficiary, devcoin), c.cost)
	f.set(deposit, f.after[deposit])
}

// accountCall is one call of a batch of an account, named as its ABI names it.
type accountCall struct {
	Target common.Address
	Value  *big.Int
	Data   []byte
}

func TestSmartAccountsDoWhatTheIntentsOfOperationsSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	none, n := new(big.Int), big.NewInt
	payee, other, dev, coin, weth := w.at["payee"], w.at["other"], w.at["dev"], w.at["coin"], w.at["weth"]
	execute := func(to common.Address, value *big.Int, data []byte) []byte {
		return w.pack("SimpleAccount", "execute", to, value, data)
	}
	// A payment in front of an approval of everything that is hidden behind it.
	batch := w.pack("SimpleAccount", "executeBatch", []accountCall{
		{payee, eth(3), nil},
		{coin, none, w.pack("Coin", "transfer", payee, n(1000))},
		{coin, none, w.pack("Coin", "approve", dev, maxUint(256))},
		{weth, eth(40), w.pack("WETH9", "deposit")},
		{weth, none, w.pack("WETH9", "withdraw", eth(15))},
	})
	w.prove([]step{
		w.operated("an account pays", execute(payee, eth(77), nil), transfer),
		w.operated("an account transfers a token", execute(coin, none, w.pack("Coin", "transfer", payee, n(123))), transfer),
		w.operated("an account allows", execute(coin, none, w.pack("Coin", "approve", other, n(9))), allowance),
		w.operated("a call with value", execute(weth, eth(12), w.pack("WETH9", "deposit")), exchange),
		w.operated("an approval in a batch of an account", batch, transfer, transfer, allowance, exchange, exchange),
		w.operated("an operation that calls nothing", nil, signer.ClassInvalidate),
		w.calling("who bundles has an operation done", "entrypoint", none, func() []byte {
			return w.handle(w.signed("account", batch))
		}, transfer, transfer, allowance, exchange, exchange, transfer),
		w.calling("who bundles has two operations done, an approval in the second", "entrypoint", none, func() []byte {
			return w.handle(w.signed("account", execute(payee, eth(1), nil)), w.signed("savings", execute(coin, none, w.pack("Coin", "approve", dev, n(55)))))
		}, transfer, transfer, allowance, transfer),
		w.calling("the owner has the account act", "account", none, w.call("SimpleAccount", "execute", payee, eth(5), []byte{}), transfer),
		w.calling("the owner has the account do a batch", "account", none, func() []byte { return batch }, transfer, transfer, allowance, exchange, exchange),
	})
}

// newAccounts lets operations through that make the account they are of.
const newAccounts = `rule "new accounts" {
  kinds = ["evm.typed_data"]
  when  = "effects.exists(e, e.class == 'create')"
  allow = true
  blind = ["create"]
}
`

func TestAnAccountIsMadeByItsFirstOperationAsTheIntentSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newAccounts)
	made := slices.Concat(w.at["factory"].Bytes(), w.pack("SimpleAccountFactory", "createAccount", w.at["hot"], new(big.Int)))
	at := entryPoint
	var op userOperation
	w.prove([]step{{
		name: "the first operation of an account", kind: signer.KindEVMTypedData, classes: []signer.Class{signer.ClassCreate, transfer, allowance},
		payload: func() string {
			op = w.operation("unborn", w.pack("SimpleAccount", "executeBatch", []accountCall{
				{w.at["payee"], eth(3), nil}, {w.at["coin"], new(big.Int), w.pack("Coin", "approve", w.at["dev"], maxUint(256))},
			}))
			op.InitCode, op.AccountGasLimits = made, two(600_000, 900_000)
			return w.consent(op)
		},
		send: func(signature []byte) outcome {
			op.Signature = signature
			return w.byNode(&at, w.handle(op))
		},
	}})
}

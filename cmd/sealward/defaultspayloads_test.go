package main

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/sealward/sealward/signer"
)

// obj is what JSON calls one.
type obj = map[string]any

// transaction is a call with so much ether, at a gas price that is no danger.
func transaction(t testing.TB, to string, ether float64, data []byte, change ...func(obj)) payload {
	t.Helper()
	wei, _ := new(big.Float).Mul(big.NewFloat(ether), big.NewFloat(1e18)).Int(nil)
	o := obj{
		"chainId": "0x1", "nonce": "0x7", "to": to, "value": hexutil.EncodeBig(wei), "gas": "0x186a0",
		"maxFeePerGas": "0x4a817c800", "maxPriorityFeePerGas": "0x3b9aca00", "data": hexutil.Encode(data),
	}
	for _, c := range change {
		c(o)
	}
	return payload{signer.KindEVMTransaction, asJSON(t, o)}
}

// rawTransaction is for calldata that is too long as text.
func rawTransaction(t testing.TB, to string, data []byte) payload {
	return unsigned(t, types.DynamicFeeTxType, big.NewInt(1), uint64(7), big.NewInt(1e9), big.NewInt(20e9), uint64(1_000_000), common.HexToAddress(to), new(big.Int), data, types.AccessList{})
}

// unsigned is a transaction of some type, by its fields.
func unsigned(t testing.TB, kind byte, fields ...any) payload {
	t.Helper()
	list, err := rlp.EncodeToBytes(fields)
	if err != nil {
		t.Fatal(err)
	}
	return payload{signer.KindEVMTransaction, append([]byte{kind}, list...)}
}

// handsOver is a transaction that pays Acme and brings an authorisation of the sender's.
func handsOver(t testing.TB, chain uint64, to string) payload {
	return unsigned(t, types.SetCodeTxType, big.NewInt(1), uint64(7), big.NewInt(1e9), big.NewInt(20e9), uint64(100_000), common.HexToAddress(acme), big.NewInt(5), []byte{},
		types.AccessList{}, []types.SetCodeAuthorization{signedAuthorization(t, chain, to)})
}

func signedAuthorization(t testing.TB, chain uint64, to string) types.SetCodeAuthorization {
	t.Helper()
	private, err := crypto.HexToECDSA(hotPrivate)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := types.SignSetCode(private, types.SetCodeAuthorization{ChainID: *uint256.NewInt(chain), Address: common.HexToAddress(to), Nonce: 8})
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

func authorization(t testing.TB, chain, to string) payload {
	return payload{signer.KindEVMAuthorization, asJSON(t, obj{"chainId": chain, "address": to, "nonce": "0x8"})}
}

func says(text string) payload { return payload{signer.KindEVMMessage, []byte(text)} }

// signIn is a sign-in to a service.
func signIn(domain, account string) payload {
	return says(domain + " wants you to sign in with your Ethereum account:\n" + account + "\n\n\nURI: https://service.example/login\n" +
		"Version: 1\nChain ID: 1\nNonce: 32891756\nIssued At: 2026-11-23T12:00:00Z")
}

// calldata encodes a call with go-ethereum.
func calldata(t testing.TB, signature string, args ...any) []byte {
	t.Helper()
	_, list, _ := strings.Cut(strings.TrimSuffix(signature, ")"), "(")
	var in abi.Arguments
	for _, name := range strings.Split(list, ",") {
		typ, err := abi.NewType(name, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, abi.Argument{Type: typ})
	}
	return pack(t, signature, in, args...)
}

func pack(t testing.TB, signature string, in abi.Arguments, args ...any) []byte {
	t.Helper()
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = common.HexToAddress(a)
		case int:
			args[i] = big.NewInt(int64(a))
		}
	}
	packed, err := in.Pack(args...)
	if err != nil {
		t.Fatal(err)
	}
	return append(crypto.Keccak256([]byte(signature))[:4], packed...)
}

func transfers(t testing.TB, to string, n int) []byte {
	return calldata(t, "transfer(address,uint256)", to, n)
}

func approves(t testing.TB, to string, n *big.Int) []byte {
	return calldata(t, "approve(address,uint256)", to, n)
}

var (
	all     = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	hundred = big.NewInt(100e6)
)

// called is one call of a batch.
type called struct {
	to   string
	data []byte
}

// batch is calldata for MultiSend, which packs calls one behind the other.
func batch(t testing.TB, calls ...called) []byte {
	t.Helper()
	var packed []byte
	for _, c := range calls {
		packed = append(packed, 0) // a call, no delegatecall
		packed = append(packed, common.HexToAddress(c.to).Bytes()...)
		packed = append(packed, make([]byte, 32)...) // value
		packed = append(packed, common.LeftPadBytes(big.NewInt(int64(len(c.data))).Bytes(), 32)...)
		packed = append(packed, c.data...)
	}
	return calldata(t, "multiSend(bytes)", packed)
}

// multicalls is calldata for Multicall3.
func multicalls(t testing.TB, calls ...called) []byte {
	t.Helper()
	type call3 struct {
		Target       common.Address
		AllowFailure bool
		CallData     []byte
	}
	typ, err := abi.NewType("tuple[]", "", []abi.ArgumentMarshaling{
		{Name: "target", Type: "address"}, {Name: "allowFailure", Type: "bool"}, {Name: "callData", Type: "bytes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []call3
	for _, c := range calls {
		list = append(list, call3{common.HexToAddress(c.to), false, c.data})
	}
	return pack(t, "aggregate3((address,bool,bytes)[])", abi.Arguments{{Type: typ}}, list)
}

// execs is calldata by which the owners of a Safe have it act.
func execs(t testing.TB, to string, data []byte, operation uint8) []byte {
	return calldata(t, "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
		to, 0, data, operation, 0, 0, 0, nobody, nobody, make([]byte, 65))
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	permitType       = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
	daiType          = "Permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed)"
	permitSingleType = "PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
	permitBatchType  = "PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
	safeTxType       = "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
	operationType    = "PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)"
	orderType        = "Order(string note,address maker)"
)

// typedData is typed data of a type as EIP-712 writes it. The members of the domain are
// those that it has.
func typedData(t testing.TB, text string, domain, message obj) payload {
	t.Helper()
	members := []obj{}
	for _, m := range [][2]string{{"name", "string"}, {"version", "string"}, {"chainId", "uint256"}, {"verifyingContract", "address"}} {
		if _, ok := domain[m[0]]; ok {
			members = append(members, obj{"name": m[0], "type": m[1]})
		}
	}
	all := obj{"EIP712Domain": members}
	primary, _, _ := strings.Cut(text, "(")
	for _, def := range strings.Split(strings.TrimSuffix(text, ")"), ")") {
		name, list, _ := strings.Cut(def, "(")
		fields := []obj{}
		for _, f := range strings.Split(list, ",") {
			kind, name, _ := strings.Cut(f, " ")
			fields = append(fields, obj{"name": name, "type": kind})
		}
		all[name] = fields
	}
	return payload{signer.KindEVMTypedData, asJSON(t, obj{"types": all, "primaryType": primary, "domain": domain, "message": message})}
}

func tokenDomain(chain int, contract string) obj {
	return obj{"name": "USD Coin", "version": "2", "chainId": chain, "verifyingContract": contract}
}

// permits is a permit (ERC-2612) of 100 USDC.
func permits(t testing.TB, domain obj, spender, deadline string) payload {
	return typedData(t, permitType, domain, obj{"owner": galleryAccount, "spender": spender, "value": "100000000", "nonce": "0", "deadline": deadline})
}

// permits2 is an allowance of Permit2 over 100 USDC.
func permits2(t testing.TB, spender, expiration, deadline string) payload {
	return typedData(t, permitSingleType, obj{"name": "Permit2", "chainId": 1, "verifyingContract": permit2}, obj{
		"details": obj{"token": usdc, "amount": "100000000", "expiration": expiration, "nonce": "0"}, "spender": spender, "sigDeadline": deadline,
	})
}

// safeTx is what an owner of the vault agrees to.
func safeTx(t testing.TB, domain obj, to string, data []byte, operation string, change ...func(obj)) payload {
	m := obj{
		"to": to, "value": "0", "data": hexutil.Encode(data), "operation": operation, "safeTxGas": "0", "baseGas": "0", "gasPrice": "0",
		"gasToken": nobody, "refundReceiver": nobody, "nonce": "12",
	}
	for _, c := range change {
		c(m)
	}
	return typedData(t, safeTxType, domain, m)
}

func vaultDomain() obj { return obj{"chainId": 1, "verifyingContract": vault} }

// refunds has a Safe pay for gas.
func refunds(to, price string) func(obj) {
	return func(m obj) { m["refundReceiver"], m["gasPrice"], m["baseGas"] = to, price, "100000" }
}

// operation is a user operation of the owner's smart account.
func operation(t testing.TB, initCode string, data []byte) payload {
	return typedData(t, operationType, obj{"name": "ERC4337", "version": "1", "chainId": 1, "verifyingContract": entryPoint}, obj{
		"sender": ours, "nonce": "41", "initCode": initCode, "callData": hexutil.Encode(data),
		"accountGasLimits": "0x" + strings.Repeat("0", 27) + "249f0" + strings.Repeat("0", 27) + "13880", "preVerificationGas": "50000",
		"gasFees": "0x" + strings.Repeat("0", 24) + "3b9aca00" + strings.Repeat("0", 23) + "4a817c800", "paymasterAndData": "0x",
	})
}

func executes(t testing.TB, to string, data []byte) []byte {
	return calldata(t, "execute(address,uint256,bytes)", to, 0, data)
}

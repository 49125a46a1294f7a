package evm_test

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	entryPoint8 = "0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"

	packedOpType = "PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)"
	safeOp6Type  = "SafeOp(address safe,uint256 nonce,bytes initCode,bytes callData,uint256 callGasLimit,uint256 verificationGasLimit,uint256 preVerificationGas,uint256 maxFeePerGas,uint256 maxPriorityFeePerGas,bytes paymasterAndData,uint48 validAfter,uint48 validUntil,address entryPoint)"
	safeOp7Type  = "SafeOp(address safe,uint256 nonce,bytes initCode,bytes callData,uint128 verificationGasLimit,uint128 callGasLimit,uint256 preVerificationGas,uint128 maxPriorityFeePerGas,uint128 maxFeePerGas,bytes paymasterAndData,uint48 validAfter,uint48 validUntil,address entryPoint)"
)

// execution is a smart account's call of a contract.
func execution(to string, data []byte) string {
	return text0x(calldata("execute(address,uint256,bytes)", to, 0, data))
}

// halves is a word of two numbers.
func halves(high, low uint64) string { return fmt.Sprintf("0x%032x%032x", high, low) }

func entryPointDomain() obj {
	return obj{"name": "ERC4337", "version": "1", "chainId": 1, "verifyingContract": entryPoint8}
}

func packedOpMessage(callData string) obj {
	return obj{"sender": ourAccount, "nonce": "7", "initCode": "0x", "callData": callData, "accountGasLimits": halves(200000, 100000),
		"preVerificationGas": 50000, "gasFees": halves(1000000000, 30000000000), "paymasterAndData": "0x"}
}

func decodeAccount(t *testing.T, payload []byte) signer.Intent {
	t.Helper()
	in, err := evm.TypedData{}.Decode(payload, keyFor(t, "eip155:1"), callBook())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// approves is the effect of an approve of all there is, wherever in an operation it
// stands.
func approves(actor, path string, more map[string]string) signer.Effect {
	attributes := map[string]string{"contract": account(usdc), "call": path}
	maps.Copy(attributes, more)
	return signer.Effect{Class: signer.ClassAllowance, Actor: account(actor), Counterparty: account(stranger),
		Quantity: unlimited(usdcID), Attributes: attributes}
}

func TestUserOperationThatHidesAnApproveIsAnAllowance(t *testing.T) {
	hidden := execution(usdc, call(approve, stranger, below(pow2(256))))
	in := decodeAccount(t, typedJSON(t, packedOpType, entryPointDomain(), packedOpMessage(hidden)))
	want := approves(ourAccount, "1.1", map[string]string{"nonce": "7", "type": "PackedUserOperation", "entrypoint": account(entryPoint8)})
	if got := text(in.Effects); fmt.Sprint(got) != fmt.Sprint(text([]signer.Effect{want})) || !in.Complete {
		t.Errorf("effects = %v, complete = %v; want %v", got, in.Complete, text([]signer.Effect{want}))
	}
	most := signer.AtMost(ether, new(big.Int).Mul(big.NewInt(350000), big.NewInt(30000000000)))
	if got := quantities([]signer.Quantity{in.Fee}); !slices.Equal(got, quantities([]signer.Quantity{most})) {
		t.Errorf("fee = %v, want %v", got, most)
	}
	if got, want := quantities(in.Outflow), quantities([]signer.Quantity{want.Quantity, most}); !slices.Equal(got, want) {
		t.Errorf("outflow = %v, want %v", got, want)
	}
}

// viem 2.57.20, getUserOperationHash, of an operation for EntryPoint 0.8.
func TestUserOperationIsSignedAsViemHasIt(t *testing.T) {
	message := with(packedOpMessage("0xb61d27f6"), obj{
		"sender": ourSafe, "paymasterAndData": stranger + fmt.Sprintf("%032x%032xabcd", 60000, 40000)})
	in := decodeTyped(t, typedJSON(t, packedOpType, entryPointDomain(), message))
	if got := common.Hash(in.Digests[0].Value).Hex(); got != "0x20f14237a9ba60b46f549b57d47c9bc412e4a8629fbc6e0e75ed90995801bb10" {
		t.Errorf("digest = %s", got)
	}
	if !slices.Contains(warnings(in), evm.WarnPaymaster) || in.Complete {
		t.Errorf("warnings = %v, complete = %v", warnings(in), in.Complete)
	}
	most := new(big.Int).Mul(big.NewInt(450000), big.NewInt(30000000000))
	if in.Fee.N.Cmp(most) != 0 {
		t.Errorf("fee = %v, want %v", in.Fee.N, most)
	}
}

func TestUserOperationElsewhereIsAnUnknownMessageToo(t *testing.T) {
	for name, domain := range map[string]obj{
		"a contract that nobody knows": with(entryPointDomain(), obj{"verifyingContract": stranger}),
		"another name":                 with(entryPointDomain(), obj{"name": "ERC4338"}),
		"another version":              with(entryPointDomain(), obj{"version": "2"}),
		"another type of domain":       {"name": "ERC4337", "chainId": 1, "verifyingContract": entryPoint8},
	} {
		in := decodeAccount(t, typedJSON(t, packedOpType, domain, packedOpMessage(execution(usdc, call(transfer, payee, big.NewInt(1))))))
		if in.Complete || in.Class() != signer.ClassUnknownMessage || in.Effects[0].Class != signer.ClassTransfer ||
			!slices.Contains(warnings(in), evm.WarnUnknownContract) {
			t.Errorf("%s: effects = %+v, complete = %v, warnings = %v", name, in.Effects, in.Complete, warnings(in))
		}
	}
}

func TestUserOperationOfAnAccountThatNobodyKnowsIsAnUnknownCall(t *testing.T) {
	message := with(packedOpMessage(execution(usdc, call(transfer, payee, big.NewInt(1)))), obj{"sender": stranger})
	in := decodeAccount(t, typedJSON(t, packedOpType, entryPointDomain(), message))
	if in.Complete || in.Class() != signer.ClassUnknownCall {
		t.Errorf("class = %q, complete = %v", in.Class(), in.Complete)
	}
}

func TestUserOperationOutOfBoundsIsRefused(t *testing.T) {
	key := keyFor(t, "eip155:1")
	for name, change := range map[string]obj{
		"a price beyond 256 bits":     {"preVerificationGas": maxWord, "gasFees": halves(1, 1<<63)},
		"gas beyond 256 bits":         {"preVerificationGas": maxWord},
		"half a paymaster":            {"paymasterAndData": "0x1234"},
		"a paymaster without its gas": {"paymasterAndData": stranger},
		"half a factory":              {"initCode": "0x1234"},
	} {
		t.Run(name, func(t *testing.T) {
			refusedTyped(t, typedJSON(t, packedOpType, entryPointDomain(), with(packedOpMessage("0x"), change)), key, "user operation")
		})
	}
}

func safeOpMessage(entryPoint string) obj {
	hidden := calldata("executeUserOp(address,uint256,bytes,uint8)", usdc, 0, call(approve, stranger, below(pow2(256))), 0)
	return obj{"safe": ourSafe, "nonce": "7", "initCode": "0x", "callData": text0x(hidden),
		"callGasLimit": 100000, "verificationGasLimit": 200000, "preVerificationGas": 50000, "maxFeePerGas": "30000000000", "maxPriorityFeePerGas": 1000000000,
		"paymasterAndData": "0x", "validAfter": 0, "validUntil": 1893456000, "entryPoint": entryPoint}
}

func TestSafeOperationMeans(t *testing.T) {
	domain := obj{"chainId": 1, "verifyingContract": module}
	for name, test := range map[string]struct {
		text, entryPoint string
	}{
		"for EntryPoint 0.6": {safeOp6Type, oldEntryPoint},
		"for EntryPoint 0.7": {safeOp7Type, packedEntryPoint},
	} {
		t.Run(name, func(t *testing.T) {
			in := decodeAccount(t, typedJSON(t, test.text, domain, safeOpMessage(test.entryPoint)))
			want := approves(ourSafe, "1.1", map[string]string{"nonce": "7", "type": "SafeOp", "entrypoint": account(test.entryPoint), "usable_until": year2030})
			if got := text(in.Effects); fmt.Sprint(got) != fmt.Sprint(text([]signer.Effect{want})) || !in.Complete {
				t.Errorf("effects = %v, complete = %v; want %v", got, in.Complete, text([]signer.Effect{want}))
			}
			if most := new(big.Int).Mul(big.NewInt(350000), big.NewInt(30000000000)); in.Fee.N.Cmp(most) != 0 {
				t.Errorf("fee = %v, want %v", in.Fee.N, most)
			}
			elsewhere := decodeAccount(t, typedJSON(t, test.text, domain, safeOpMessage(stranger)))
			if elsewhere.Complete || elsewhere.Class() != signer.ClassUnknownMessage || !slices.Contains(warnings(elsewhere), evm.WarnUnknownContract) {
				t.Errorf("at no EntryPoint: class = %q, complete = %v, warnings = %v", elsewhere.Class(), elsewhere.Complete, warnings(elsewhere))
			}
			forEver := decodeAccount(t, typedJSON(t, test.text, domain, with(safeOpMessage(test.entryPoint), obj{"validAfter": 9, "validUntil": 0})))
			if until, ok := forEver.Effects[0].Attributes["usable_until"]; ok || field(forEver, "start of the signature") != "1970-01-01 00:00:09 UTC" {
				t.Errorf("usable until %q, want for ever; fields %v", until, forEver.Fields)
			}
		})
	}
	refusedTyped(t, typedJSON(t, safeOp6Type, domain, with(safeOpMessage(oldEntryPoint), obj{"callGasLimit": maxWord})), keyFor(t, "eip155:1"), "gas exceeds 256 bits")
	refusedTyped(t, typedJSON(t, safeOp7Type, domain, with(safeOpMessage(packedEntryPoint), obj{"paymasterAndData": "0x12"})), keyFor(t, "eip155:1"), "paymasterAndData")
	unknown := decodeTyped(t, typedJSON(t, safeOp7Type, domain, safeOpMessage(packedEntryPoint)))
	if unknown.Complete || unknown.Class() != signer.ClassUnknownMessage {
		t.Errorf("a module that nobody knows: class = %q, complete = %v", unknown.Class(), unknown.Complete)
	}
}

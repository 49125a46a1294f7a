package evm

import (
	"strings"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
	"github.com/sealward/sealward/signer/intent/evm/typeddata"
)

// standard is what is known of a type of typed data.
type standard struct {
	name string // for people, and for what merely looks like it
	// known reports whether the contract, with the domain as it is, is one for which
	// the standard says what the type does.
	known func(*typed) bool
	// read adds what the message does. The value is one of the type.
	read func(*typed, abi.Value) error
}

// Texts of struct types (EIP-712, "Definition of encodeType").
const (
	permitDetails    = "PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
	tokenPermissions = "TokenPermissions(address token,uint256 amount)"

	// A witness of the spender's own follows, as fifth member.
	permitWitness      = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,"
	permitBatchWitness = "PermitBatchWitnessTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline,"
)

// standards are the known types by their whole text, that of the types they refer to
// included. Equal texts are equal type hashes, and with the values equal digests; a
// type that differs in a space is another one.
var standards = map[string]standard{
	"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)": {
		"ERC-2612 permit", knownToken, (*typed).erc2612},
	"Permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed)": {
		"permit of DAI", knownToken, (*typed).daiPermit},

	"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)": {
		"ERC-3009 transfer", knownToken, (*typed).erc3009},
	"ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)": {
		"ERC-3009 transfer", knownToken, (*typed).erc3009},
	"CancelAuthorization(address authorizer,bytes32 nonce)": {
		"ERC-3009 cancellation", knownToken, (*typed).erc3009Cancel},

	"PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)" + permitDetails: {
		"Permit2 allowance", knownPermit2, (*typed).permit2Allowances},
	"PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)" + permitDetails: {
		"Permit2 allowances", knownPermit2, (*typed).permit2Allowances},
	"PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)" + tokenPermissions: {
		"Permit2 transfer", knownPermit2, (*typed).permit2Transfers},
	"PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)" + tokenPermissions: {
		"Permit2 transfers", knownPermit2, (*typed).permit2Transfers},

	"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)": {
		"transaction of a Safe", knownSafe, (*typed).safeTransaction},
	"SafeMessage(bytes message)": {
		"message of a Safe", knownSafe, (*typed).safeMessage},

	"PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)": {
		"user operation (ERC-4337)", knownEntryPoint, (*typed).packedUserOperation},
	"SafeOp(address safe,uint256 nonce,bytes initCode,bytes callData,uint256 callGasLimit,uint256 verificationGasLimit,uint256 preVerificationGas,uint256 maxFeePerGas,uint256 maxPriorityFeePerGas,bytes paymasterAndData,uint48 validAfter,uint48 validUntil,address entryPoint)": {
		"user operation of a Safe", knownSafeModule, (*typed).safeOperation6},
	"SafeOp(address safe,uint256 nonce,bytes initCode,bytes callData,uint128 verificationGasLimit,uint128 callGasLimit,uint256 preVerificationGas,uint128 maxPriorityFeePerGas,uint128 maxFeePerGas,bytes paymasterAndData,uint48 validAfter,uint48 validUntil,address entryPoint)": {
		"user operation of a Safe", knownSafeModule, (*typed).safeOperation7},
}

// lookAlikes are types that are known by their name alone, and are unknown messages.
// Delegation of votes moves no value and grants no power over any, and no class of
// effects is about votes; the forwarders of ERC-2771 differ in what they append to the
// call they make.
var lookAlikes = map[string]string{
	"Delegation(address delegatee,uint256 nonce,uint256 expiry)":                                                 "delegation of votes (ERC-5805)",
	"ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,bytes data)":                 "request to a forwarder (ERC-2771)",
	"ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,bytes data)": "request to a forwarder (ERC-2771)",
}

func standardOf(d *typeddata.Data) (standard, bool) {
	if s, ok := standards[d.TypeText]; ok {
		return s, true
	}
	witness := strings.HasPrefix(d.TypeText, permitWitness) || strings.HasPrefix(d.TypeText, permitBatchWitness)
	if witness && len(d.Message.Elems) == 5 && isTokenPermissions(d.Message.Type.Fields[0].Type) {
		return standard{"Permit2 transfer with a witness", knownPermit2, (*typed).permit2Witness}, true
	}
	return standard{}, false
}

// isTokenPermissions reports whether a type, or that of its elements, is the struct of
// Permit2. With a witness the type text goes on after it, and Permit2 hashes with its
// own.
func isTokenPermissions(t *abi.Type) bool {
	if t.Kind == abi.Slice {
		t = t.Elem
	}
	f := t.Fields
	return t.Name == "TokenPermissions" && len(f) == 2 &&
		f[0].Name == "token" && f[0].Type.Kind == abi.Address &&
		f[1].Name == "amount" && f[1].Type.Kind == abi.Uint && f[1].Type.Size == 256
}

// knownToken: each token has a domain of its own making, so the contract decides.
func knownToken(t *typed) bool {
	_, ok := t.book.Assets[t.asset("erc20", t.verifier())]
	return ok && !t.at(t.verifier()).twice
}

func knownPermit2(t *typed) bool {
	name := t.data.Domain.Name
	return t.isKind(t.verifier(), signer.ContractPermit2) && name != nil && *name == "Permit2" &&
		t.data.DomainText == "EIP712Domain(string name,uint256 chainId,address verifyingContract)"
}

// knownSafe: a Safe before 1.3.0 has no chain in its domain (Safe.sol, domainSeparator),
// which is warned of like all that has none.
func knownSafe(t *typed) bool {
	return t.isKind(t.verifier(), signer.ContractSafe) && (t.data.DomainText == "EIP712Domain(uint256 chainId,address verifyingContract)" ||
		t.data.DomainText == "EIP712Domain(address verifyingContract)")
}

// knownEntryPoint: EntryPoint.sol 0.8, DOMAIN_NAME and DOMAIN_VERSION.
func knownEntryPoint(t *typed) bool {
	d := t.data.Domain
	return t.isKind(t.verifier(), signer.ContractEntryPoint) && d.Name != nil && *d.Name == "ERC4337" && d.Version != nil && *d.Version == "1" &&
		t.data.DomainText == "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
}

// knownSafeModule: the contract is Safe's module for ERC-4337, if the owner says so.
func knownSafeModule(t *typed) bool {
	return t.isKind(t.verifier(), signer.ContractModule) && t.data.DomainText == "EIP712Domain(uint256 chainId,address verifyingContract)"
}

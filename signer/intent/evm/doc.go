// Package evm says what Ethereum payloads do: transactions of types 0, 1 and 2,
// and personal messages (EIP-191).
//
// # Order of work
//
//	payload -> unsigned bytes -> fields -> bytes again, compared -> intent
//
// A JSON object or hexadecimal text is first turned into the unsigned bytes. The
// intent is read from those alone, and the message for the key is the hash of the
// bytes made again from what was read. So nothing is signed that was not read.
//
// # What it knows
//
// A transfer is a transaction to an address without calldata. ERC-20 transfer and
// approve are taken at their word only where the owner's book has the contract as
// an asset: a selector on an unknown contract means nothing. All other calldata
// is an unknown call, and its intent is incomplete.
//
// Values are counted at their most: the fee is gas limit times the highest price,
// an allowance counts as spent.
//
// # What it cannot know
//
// Whether a recipient is a contract with code of its own; what a listed token's
// contract really does; what a roll-up charges beyond gas times price, such as
// the data fee of the OP Stack.
//
// # Names that stay
//
// Codes of warnings: [WarnUnlimitedAllowance] and its neighbours. Digests:
// "transaction signing hash" is what the key signs, "calldata digest" that of
// ERC-8213, "message digest" that of EIP-191. Attributes of an unknown call are
// "selector" (absent for fewer than four bytes), "calldata_length" and
// "calldata_digest"; of a created contract "init_code_length" and
// "init_code_digest"; of a token's transfer or allowance "contract".
package evm

// Codes of warnings. They are stable; policy may name them.
const (
	WarnUnlimitedAllowance = "evm_unlimited_allowance"       // danger: the spender may take everything, for ever
	WarnOperator           = "evm_operator"                  // danger: the operator may take all items, now and later
	WarnUnknownCall        = "evm_unknown_call"              // danger: a contract does we do not know what
	WarnUnknownTypedData   = "evm_unknown_typed_data"        // danger: typed data whose meaning is not known
	WarnUnknownContract    = "evm_unknown_contract"          // danger: read as what it looks like, for a contract that is not known
	WarnUnknownToken       = "evm_unknown_token"             // warn: a token that no list of the owner's has
	WarnDelegateCall       = "evm_delegatecall"              // danger: foreign code runs as the account
	WarnDelegation         = "evm_delegation"                // danger: the account is handed over to code (EIP-7702)
	WarnControl            = "evm_account_control"           // danger: who controls the account changes
	WarnEveryChain         = "evm_every_chain"               // danger: it holds on every chain
	WarnNeverExpires       = "evm_never_expires"             // warn: a signed permission without an end in this age
	WarnGasRefund          = "evm_gas_refund"                // warn: a Safe pays for its gas, to whom the payload says
	WarnPaymaster          = "evm_paymaster"                 // warn: code of a third party decides on and pays for the operation
	WarnOtherChain         = "evm_authorization_other_chain" // warn: an authorisation beside a transaction of another chain
	WarnResembles          = "evm_resembles_known"           // danger: an address that looks like one the owner knows, and is not
	WarnZeroAddress        = "evm_zero_address"              // danger: what is sent there is lost
	WarnTokenContract      = "evm_to_token_contract"         // danger: what is sent there is most likely lost
	WarnValueWithTokenCall = "evm_value_with_token_call"     // warn: the coin sent along is most likely lost
	WarnContractCreation   = "evm_contract_creation"         // warn: code that we cannot read is run and installed
	WarnGasAboveCap        = "evm_gas_above_cap"             // warn: above the cap of EIP-7825, 2^24
	WarnLoginMismatch      = "evm_login_mismatch"            // danger: a sign-in for another account than the key's
	WarnLooksLikeHash      = "evm_message_looks_like_hash"   // warn: it may stand for anything
	WarnHiddenCharacters   = "evm_message_hidden_characters" // warn: it may not read as it looks
	WarnMixedScripts       = "evm_message_mixed_scripts"     // warn: letters of several alphabets in one word: it may not read as it looks
)

// Package evm says what Ethereum payloads do: transactions of types 0 to 4, typed data
// (EIP-712), authorisations that hand an account over to code (EIP-7702) and personal
// messages (EIP-191), among them sign-ins (ERC-4361).
//
// # Order of work
//
//	payload -> bytes -> fields -> bytes again, compared -> intent
//
// A JSON object or hexadecimal text is first turned into bytes. The intent is read
// from those alone, and the message for the key is the hash of the bytes made again
// from what was read. So nothing is signed that was not read. A transaction that is
// signed already is read with its signature, which must be the key's; what is signed
// is computed without it.
//
// # What it knows
//
// What a call does is taken from the standards, and only for a contract that the
// owner's book has or that has one address on every chain: a selector on an unknown
// contract means nothing. Calls in calls are read to the leaves. Typed data is read by
// the exact text of its type. Whatever else there is makes the intent incomplete.
//
// Values are counted at their most: the fee is gas limit times the highest price, and
// so for blobs; an allowance counts as spent.
//
// # What we defend against
//
//   - A payload that is one thing as the kind it was given as and another elsewhere.
//     Each decoder recognises its own kind in what others are given, by its shape, and
//     [signer.Crossing] refuses that.
//   - A text that a careless service takes for a sign-in, and we for a mere message:
//     what has the words of a sign-in is one to the letter, or it is refused.
//   - Signatures that no node takes, in an authorisation that then seems to do
//     something.
//
// # What it cannot know
//
// Whether a recipient is a contract with code of its own; what a listed token's
// contract really does; what the code of a delegate does; what a roll-up charges beyond
// gas times price, such as the data fee of the OP Stack; who shows the text of a
// sign-in.
//
// # Names that stay
//
// Codes of warnings: [WarnUnlimitedAllowance] and its neighbours. Digests, after
// ERC-8213 where it has a name: "transaction signing hash" is what the key signs,
// "transaction hash" that of a signed transaction, "authorization digest" that of
// EIP-7702, "calldata digest" and "ERC-191 digest" those of ERC-8213, as are
// "EIP-712 digest", "EIP-712 domain hash" and "EIP-712 message hash". The attributes of
// effects are in docs/policy.md.
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
	WarnLooksLikeHash      = "evm_message_looks_like_hash"   // danger: it may stand for anything
	WarnHiddenCharacters   = "evm_message_hidden_characters" // warn: it may not read as it looks
	WarnMixedScripts       = "evm_message_mixed_scripts"     // warn: letters of several alphabets in one word: it may not read as it looks
)

// Package typeddata reads typed structured data (EIP-712) as eth_signTypedData_v4
// takes it, and computes its digests.
//
// # Order of work
//
//	JSON, strictly -> types -> values of these types -> hashes
//
// Values and hashes come from one tree: what is shown is what is hashed.
//
// # What it takes
//
// An object of exactly types, primaryType, domain and message.
//
//   - types declares EIP712Domain and every struct type that the primary type
//     leads to, and no other. Names are identifiers. A struct may lead back to
//     itself through an array of any length, as in Solidity.
//   - EIP712Domain has some of the five members of the standard, of its types, in
//     any order, and domain has just these. A type EIP712Domain that is missing is
//     not made up: go-ethereum refuses such data, MetaMask takes the type for one
//     without members, ethers and viem make one up from the domain. Who reads would
//     decide what is signed.
//   - Integers are JSON integers, decimal text, or hexadecimal text after "0x",
//     which may be padded with zeros; go-ethereum, ethers and viem take these three
//     too. JSON integers of 2^53 and more are refused, because readers round them
//     (RFC 8259, 6). Aliases (uint, int) are refused; EIP-712 has none.
//   - Addresses and bytes are hexadecimal text after "0x". An address in mixed
//     letter case has a right checksum (EIP-55).
//   - An array of fixed length has that length. Nothing may be null or missing.
//
// The tests list, with reasons, where go-ethereum, ethers and viem read otherwise.
//
// # What we defend against
//
//   - Two readings of one text: repeated members, members that the types do not
//     describe, members of the domain that EIP712Domain leaves out (they would be
//     shown and not signed), numbers that are not exact, addresses with a wrong
//     checksum or written as numbers.
//   - Types that nest without end, and texts that make a reader work for long: size,
//     depth and every count have bounds.
//
// # What we do not defend against
//
// What a message means, and whether its contract is the one it names, is for package
// evm to say. Text is any Unicode; who shows it must escape it.
package typeddata

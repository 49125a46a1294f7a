// Package typeddata reads typed structured data (EIP-712) as eth_signTypedData_v4
// takes it, and computes its digests.
//
// # Order of work
//
//	JSON, strictly -> types -> values of these types -> hashes
//
// Values and hashes come from one tree: what is shown is what is hashed.
//
// # What we defend against
//
//   - Two readings of one text: repeated members, members that the types do not
//     describe, members of the domain that EIP712Domain leaves out (they would be
//     shown and not signed), numbers that are not exact, addresses with a wrong
//     checksum or written as numbers.
//   - Types that nest without end, and texts that make a reader work for long.
package typeddata

// Package abi has the values of Solidity types: what calldata (Contract ABI
// Specification) and typed data (EIP-712) are made of, read without leniency.
//
// # Order of work
//
//	type text -> Type
//	bytes + Type -> Value -> bytes again, compared
//
// [Decode] takes bytes only where the canonical encoding puts them, and is strict by
// re-encoding too: calldata that is not, byte for byte, the one encoding of what was
// read is refused. A node masks dirty address bytes, follows offsets backwards and
// ignores what trails: ways to write one call in two forms, and room to hide
// something.
//
// # What we defend against
//
//   - Offsets that make few bytes stand for many values: each byte of the input is
//     read once, from left to right, so that work and memory are bounded by the
//     length of the input.
//   - Elements that take no bytes, of which there could be any number, and lengths
//     that no input holds.
//   - Numbers beyond their type, signs that are not extended, a bool that is neither
//     0 nor 1, text that is not UTF-8: contracts differ in what they make of these.
//   - Types from descriptors that nest, or multiply, without end.
//
// # What we do not defend against
//
// A type that is not the contract's: bytes may be the encoding of values of several
// types. Who names the type must know the contract.
package abi

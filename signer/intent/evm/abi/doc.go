// Package abi has the values of Solidity types: what calldata (Contract ABI
// Specification) and typed data (EIP-712) are made of, read without leniency.
//
// # Order of work
//
//	type text -> Type
//	bytes + Type -> Value -> bytes again, compared
//
// [Decode] is strict by re-encoding: calldata that is not, byte for byte, the one
// encoding of what was read is refused. A node masks dirty address bytes, follows
// offsets backwards and ignores what trails: ways to write one call in two forms, and
// room to hide something.
//
// # What we defend against
//
// Offsets that make few bytes stand for many values: each byte of the input is read at
// most once, so that work and memory are bounded by the length of the input.
package abi

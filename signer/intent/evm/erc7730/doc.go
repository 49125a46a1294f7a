// Package erc7730 labels the parts of Ethereum payloads as descriptors say that the
// owner pinned (ERC-7730, "Structured Data Clear Signing Format", schema version 2).
//
// # A second layer
//
// What a payload does is said by package signer/intent/evm, from the bytes alone. A
// descriptor may rename, leave out and reorder what it likes, so what it says stands
// beside that, never in its place: nothing that decides may import this package, and no
// record holds what it says.
//
// # Order of work
//
//	folder -> manifest checked -> JSON, strictly -> includes merged -> checked against
//	the schema and against the types that its keys name -> Set
//	payload -> bound descriptor -> values of the payload -> labels and text
//
// [Pin] writes the manifest, a text with the SHA-256 of every file in the folder whose
// name ends in ".json"; [Load] reads the folder only if it holds exactly these files.
// The network is never used: what a descriptor includes is a file of the folder.
//
// A descriptor that is wrong is refused by name, with the reason and the place, and is
// as good as absent; so are both of two that say different things of one function or
// message. A file whose context binds it to nothing, or that has no display, is a
// template: others may include it, and by itself it applies to nothing. So is one that is
// bound to nothing but a factory, whose events cannot be looked up.
//
// # Where there are no labels
//
// A descriptor says what a contract does for its caller. Where the intent says that code
// of another contract runs as the account (delegatecall, EIP-7702), it says nothing of
// what that code does there, and nothing is labelled. Of a contract whose part could not
// be read nobody knows whether it calls another or runs the other's code in its own
// place: what is embedded in that part for another is left as bytes.
//
// # What the values are made of
//
// Names, and the decimals of tokens, come from the owner's [signer.Book]. From the
// descriptors come labels, intents, names of enumerated values, units, and two things that
// are marked as theirs: the names of the contracts that they are for, where no sources of
// names are asked for, and values that are not of the payload. Neither ticker nor decimals
// of a token are taken from a descriptor (metadata.token).
//
// Nothing is rounded, and what a value is made of stands beside it: the integer of an
// amount or of a unit with decimals or a prefix, the 20 bytes of a named address, the
// number of an enumerated value, the address of what only a descriptor takes for the
// chain's coin. Dates and durations are their numbers written another way.
//
// Calldata is decoded strictly (package abi). Where it, or any field, does not fit the
// descriptor, there is no clear signing but an error that says why. The one exception is
// the interpolated intent: where it cannot be made, it is left out. Texts of the payload
// stand in quotes in it, so that they do not go on with the sentence.
//
// # What we defend against
//
//   - Files that changed since they were pinned, that are missing or that were added.
//   - Descriptors that make a reader work for long: files, includes, fields, output and
//     the work for one payload are bounded.
//   - A label that passes for a value of ours: every text stays where it belongs, in a
//     label or in a value, and raw values are there beside the names.
//   - A call that is none: see above.
//
// # What we do not defend against
//
// A descriptor that was wrong when the owner pinned it: it may call an approval a gift.
// Proxies: a descriptor binds to the address that is called, whatever code runs there.
// Texts are passed on as they are, control characters included; package ipc/console
// makes them safe to show.
package erc7730

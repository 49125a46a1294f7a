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
// message. A file whose context binds it to nothing, or that has no display, is a template: others may include
// it, and by itself it applies to nothing. So is one that is bound to nothing but a
// factory, whose events cannot be looked up.
//
// # What the values are made of
//
// Names, and the decimals of tokens, come from the owner's [signer.Book]; from the
// descriptors come labels, intents, names of enumerated values, units, and the names of
// the contracts that they are for and values that are not of the payload, which both are
// marked as theirs. Neither ticker nor
// decimals of a token are taken from a descriptor (metadata.token). An amount shows its
// integer too, a named address its 20 bytes, and an enumerated value its number.
//
// Calldata is decoded strictly (package abi). Where it, or any field, does not fit the
// descriptor, there is no clear signing but an error that says why. The one exception is
// the interpolated intent: where it cannot be made, it is left out.
//
// # What we defend against
//
//   - Files that changed since they were pinned, that are missing or that were added.
//   - Descriptors that make a reader work for long: files, includes, fields, output and
//     the work for one payload are bounded.
//   - A label that passes for a value of ours: every text stays where it belongs, in a
//     label or in a value, and raw values are always there beside the names.
//
// # What we do not defend against
//
// A descriptor that was wrong when the owner pinned it: it may call an approval a gift.
// Proxies: a descriptor binds to the address that is called, whatever code runs there.
// Texts are passed on as they are, control characters included; package ipc/console
// makes them safe to show.
package erc7730

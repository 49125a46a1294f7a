// Package receipt has the formats of the journal that leave the daemon, and their
// verification: leaves, checkpoints, inclusion proofs and consistency proofs. It
// is pure: no clock, no file, no cgo, so that anyone can check evidence offline.
//
// # What a receipt proves
//
// A leaf commits to a body (an event, as canonical JSON) and to when the journal
// recorded it. The leaves form a Merkle tree (RFC 6962, 2.1). A checkpoint is a
// signed statement of the tree's size and root (C2SP tlog-checkpoint), and a proof
// ties one leaf to one checkpoint (C2SP tlog-proof). [Verify] checks all of it and
// returns the event.
//
// # What we defend against
//
//   - Evidence that brings its own key. A verifier is told the journal's key as a
//     vkey text, beforehand; nothing is trusted because it was in the receipt.
//   - Two readings of the same bytes. Parsers accept exactly what the encoders
//     write, and nothing else.
//   - A body that is guessed from its leaf. The commitment is salted, so leaves and
//     proofs can be published, and a body can be erased or encrypted later, without
//     changing the tree.
//
// # What we do not defend against
//
// A journal that shows different trees to different people. Compare checkpoints
// with [CheckConsistency], or have them cosigned by witnesses.
//
// docs/formats.md describes every byte.
package receipt

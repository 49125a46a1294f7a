// Package console shows an intent to people, in plain text.
//
// # Order of what is shown
//
//	what could not be read, warnings (the worst first)
//	effects, fee, what leaves in all
//	the remaining facts
//	digests, for comparing on a second device
//
// # What it defends against
//
// Everything in an intent that is text may come from whoever wants the signature.
//
//   - Characters that do not show, that change how others show or that move what
//     stands beside them are written as \u{...}; see [Safe].
//   - Text of theirs never begins a line, so none of it can pass for ours.
//   - Nothing is cut off: what is long is wrapped, and a hash of the whole follows.
//   - Names come from the owner's book alone. What is not in it is shown by its
//     address, in full, and by its raw integer.
//
// # What it does not defend against
//
// Letters of different scripts that look alike; it points out words that mix
// them. A terminal that is not the user's own. People who do not read.
package console

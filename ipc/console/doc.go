// Package console shows an intent to people, in plain text of at most 80 columns.
//
// # Order of what is shown
//
//	the class: the worst that it does
//	what could not be read, warnings (the worst first)
//	effects, the worst first; fee, what leaves in all
//	the remaining facts
//	digests, for comparing on a second device
//	what a descriptor calls the parts, marked as that
//	where all this is long: the class and the dangers, again
//
// Five and more effects of one class are a batch: its totals come first, then those
// for accounts that the owner's book does not have, then the rest, the largest first.
// Every effect is shown, whatever their number.
//
// # How lines read
//
// A line that begins with a word in capitals is ours, and so is one that begins under
// the first letter after that word. What does not fit goes on two columns further to
// the right; where it was cut inside a word, the line before ends with a backslash. A
// fact is indented and begins with its name. Values that are long or hold what does not
// print stand below their name, each line after a bar; there a line break is only one
// of ours. Every line of what a descriptor says begins with "~".
//
// # What it defends against
//
// Everything in an intent that is text may come from whoever wants the signature.
//
//   - Characters that do not show, that change how others show or that move what
//     stands beside them are written as \u{...}; see [Safe].
//   - Text of theirs never begins a line where ours would, so none of it can pass for
//     ours.
//   - Nothing is cut off: what is long is wrapped, and a hash of the whole follows.
//   - Names come from the owner's book alone. What is not in it is shown by its
//     address, in full, and by its raw integer. Where the owner has no name for a
//     contract, one that is the same on every chain is called what it is, as a canonical
//     contract, and another what a descriptor calls it, as the descriptor's word.
//   - A class, a kind or a severity of a newer daemon is shown as the worst there is.
//
// # What it does not defend against
//
// Letters of different scripts that look alike; it points out words that mix
// them. A terminal that is not the user's own. People who do not read.
package console

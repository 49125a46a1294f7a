// Package policy is the owner's word: it reads a policy file, and decides what a
// proposal may do.
//
// # Order of work
//
// [Load] reads the whole file, HCL for its frame and CEL for its conditions, and the
// files that it names, such as token lists and certificates. It checks everything that
// can be checked before a request exists: every argument, every name that one section
// mentions of another, every type, every literal amount, class and address, the digest
// of every file, and whether anybody could ever satisfy it. A file with a defect gives
// no policy at all, and an error that says where it is and what to write.
//
// The blocks about the world (assets, token lists, address books, contracts) make the
// [signer.Book] that decoders read payloads by, once. [LoadBook] reads them alone.
//
// [Policy.Decide] is pure: the same proposal and facts give the same decision,
// on any machine, at any time. (One thing is taken from the machine: the rules of
// a time zone that a condition or hours name.)
//
//	well-formed? -> what became of every rule: caller, key, kind, hours, condition
//	             -> rules that deny -> rules that let through -> blindness
//	             -> limits and fees -> approvals and delays
//
// A refusal says everything that stands against a request. What exceeds a limit that
// names a group, and what a rule requires approvals for, is asked for: an Ask is no
// permission.
//
// Another policy, trust in its file and the end of a freeze decide who decides. In a
// policy that names people they are never allowed, only asked for; and a recovery, which
// asks a quorum of its own, is for no rule to stop.
//
// [Policy.Explain] decides the same way and says how it came about; for that alone it
// evaluates the parts of conditions one by one, and nothing is decided by them.
//
// # What we defend against
//
//   - A rule that fails open: a condition that cannot be evaluated, a fact that
//     is missing, a quantity without a number, a comparison of two assets all
//     refuse the request, also when another rule would allow it.
//   - A misspelt name that silently never matches: it stops the load.
//   - A token list that changed behind the owner's back, contradicts the owner's own
//     words, or calls a token what something else is called.
//   - Power that no amount measures, let through by a rule of amounts: what is not a
//     transaction must be named by its kind.
//   - Amounts that lose a digit: they are integers in base units from the text of
//     the file to the comparison. There is no floating point here.
//   - A limit that is reset by a new name: limits are counted per public key and
//     asset, and two names for one public key are refused.
//   - A recipient or an asset that a payload hides from the limit that counts by it: what
//     anybody may get, or what could not be read, such a limit refuses.
//   - Approvals that nobody could give, or one person twice: a key is one device of one
//     approver, in whatever form it is named, and so is a token that attests to it; a
//     group has as many members, with as many devices, as a quorum asks for; and a caller
//     whose person is not known cannot be left out.
//   - A policy that nobody could change, or somebody alone.
//   - A key that is said to be in a token and is not, where attestations are demanded.
//   - A decision that takes for ever: what conditions and limits take at most is worked
//     out at load, for the largest request that is let in, and bounded there.
//
// # What we do not defend against
//
// A policy that says something else than its owner meant. docs/policy.md teaches
// the language; "sealward policy explain" shows what a policy makes of a request.
//
// What a root vouches for that the policy names, and whether somebody else has the token
// of an approver: a policy has no clock and no list of revoked certificates. A lost token
// is a change of the policy.
package policy

// Package journal is the durable record of a signing daemon: a Merkle log of every
// decision and outcome and of whatever approvers said, and the state derived from it (who
// asked what, what was spent, who may have got it, which policies were in force, which
// requests wait for whom), in one SQLite database with one durability story. [Journal] implements [signer.Journal]. What counts as spent,
// package signer/ledger says.
//
// # Order of work
//
// Callers queue operations. Whoever finds the writer free takes its turn: it runs
// what is queued, up to a bound, inside one transaction, commits it with one fsync,
// and wakes everyone. There is no timer, so that a lone request waits for nothing;
// under load one fsync carries many. Nothing is returned before it is on disk.
//
// A request that policy asks people about waits. What they say of it is recorded while it
// does ([Journal.Hear]), and one operation ([Journal.Settle]) decides again, on all that
// was said until that moment, and ends the wait. It cannot overlap another, nor be made
// of half of what was said.
//
// # What we defend against
//
//   - A crash at any moment. A reservation, its record and the tree that holds it
//     become durable together or not at all.
//   - Two requests that both fit a limit alone. Facts are measured and the decision
//     made inside the writer, one at a time.
//   - An approval that counts twice, or for what it does not name, and a wait that ends
//     twice, or unseen. Each approval is on record once, and only while the request waits
//     of which it names the very proposal; whatever ends a wait is a record.
//   - An engine that counts wrongly. What ends a wait with an authorisation is held
//     against what was said, who said it and when, once before it is recorded and again
//     by [Verify], which shares no code with the engine.
//   - A disk that fails. After the first failed write the journal stops for good,
//     as what the kernel caches after a failed fsync is not to be trusted; reopening
//     reads back what really is there.
//   - A second daemon on the same file. It is refused when it opens it.
//   - A wall clock that is set forward to empty a window of a limit: see [Journal.TimeHeld].
//   - A change of version that loses something. A journal of an earlier one is brought
//     up in one transaction, from the bodies; a program that does not know a later one
//     refuses it.
//   - Rewriting. Each change to a past record changes the root, and [Verify] finds
//     it against any checkpoint that was signed after it.
//
// # What we do not defend against
//
// Rolling the whole database back to an older copy, or cutting off what no
// checkpoint covers yet. A checkpoint kept elsewhere ([VerifyConfig.Known]) shows
// either. Reading: bodies are stored in clear; the folder must be private. An approval
// that nobody signed: whose key it was signed with, the caller of Hear has verified. Who
// is in which group: the policy says, and its bundle is kept for whoever wants to look.
//
// docs/formats.md describes the leaves, the bodies and the schema.
package journal

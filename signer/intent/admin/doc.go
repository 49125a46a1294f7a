// Package admin reads administrative requests: payloads of kind "sealward.admin" that
// create, import, attest, disable, enable, rotate and duplicate keys, put another policy
// in force, trust its file, and end a freeze. Such a request goes through the same pipeline as any other, and ends
// at the record and an act instead of a signature.
//
// # Order of work
//
// A payload is one JSON object, an [Order]. [Parse] reads it strictly and encodes it
// anew; unless that gives the same bytes, it is refused. So a payload has one reading,
// and what was recorded is what was decided on. [Decoder] turns it into an intent with
// one effect, whose class and attributes policy can match and the engine acts on; the
// engine adds which public keys the names in it stand for.
//
// # What we defend against
//
//   - Two readings of one payload: unknown and repeated fields, case twins, white
//     space, other escapes, numbers written in another way.
//   - Text that shows as something else: what is not printable is refused.
//   - A field that the act does not have, which somebody might rely on.
//
// # What we do not defend against
//
// What a blob or a target means: they are shown by their SHA-256 digest, and the
// device that opens them checks them. What a version of a policy stands for: whoever
// asks for it, and whoever approves that, reads the policy itself.
package admin

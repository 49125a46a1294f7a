// Package approval reads and verifies what approvers sign, and is how an approver's own
// program makes sure that it signs what it was shown.
//
// # Order of work
//
// On the daemon's side, [Verifier]:
//
//	bound the size -> one of two documents, exactly -> approval, canonical ->
//	whose key -> signature by that key's one algorithm -> presence, verification
//
// On the approver's side, [Review]:
//
//	read the proposal -> decode the payload -> make the digest anew -> compare the facts
//
// # What we defend against
//
//   - A text that two programs read differently. Everything has one encoding, which is
//     made again and compared: the document, the header, the payload, the base64.
//   - A signature that chooses how it is checked. The algorithm comes from the enrolled
//     key; a header that says something else, or anything more, is refused.
//   - A signature made for something else by the same key: the type of a JWS and the
//     namespace of an SSH signature are Sealward's own.
//   - A security key that signs while nobody is there.
//   - One approval that counts as two. Its identity is that of what was signed, whatever
//     signature is on it.
//   - A daemon that shows an approver something else than it has signed. [Review] says
//     what differs.
//
// # What we do not defend against
//
// An approver who does not read; one whose token and PIN somebody else has; an approver's
// program that was replaced. When an approval was made is what its maker says. Whether it
// counts is package signer's to say, by the record and the policy in force.
package approval

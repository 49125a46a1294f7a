// Package signer is the signing pipeline and its vocabulary: it takes a request
// from an identified caller and either returns a signature or refuses, leaving a
// record both ways.
//
// # Order of work
//
//	identify -> decode -> decide -> (ask) -> reserve + record [durable]
//	         -> sign in hardware -> verify -> record outcome -> reply
//
// [Engine.Sign] is that order, and the only way to a key: a [Key] signs an
// [Authorized] or a [Statement], both have unexported fields, and only this
// package makes non-zero ones.
//
// An administrative request, such as to disable a key, goes the same way up to the
// record, and ends at an act: of the engine itself, or of an [Administrator], which
// does an [Act] that only this package makes.
//
// # What we defend against
//
//   - A caller that lies about what it is asking for. The bytes that get signed
//     are derived by a [Decoder] from the payload that was displayed.
//   - A full disk, a crash or a lost connection between signing and recording.
//     No durable record, no signature.
//   - A caller that asks twice, at once or after a crash: it gets one answer, and
//     what it was granted is counted once.
//   - A key that was disabled. It signs nothing from the moment on at which that is on
//     record, whatever was authorised before, under whatever name, after any restart.
//   - A device that returns something else than the signature that was asked for.
//     What does not verify is not released.
//
// # What we do not defend against
//
// Root on this host, a compromised token, an approver who does not read.
// docs/threat-model.md argues each of these.
package signer

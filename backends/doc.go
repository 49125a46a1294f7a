// Package backends holds what all signing hardware shares: one owner per device
// with a bounded queue in front of it, a state of health that says why, and the
// check of what a key is asked to sign.
//
// # What we defend against
//
//   - A slow device: who waits for it waits no longer than its context, and only
//     so many can wait.
//   - A device that is replaced while it is in use: [Device.Exclusively] runs when
//     nothing else does.
//
// # What we do not defend against
//
// A call into a vendor's library that never returns. C calls cannot be cancelled,
// so it keeps its turn for ever, and everybody else is refused as they run out of
// time.
package backends

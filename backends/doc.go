// Package backends holds what all signing hardware shares: the worker process that
// drives a device, the daemon's end of it, and the care of PINs.
//
// # Order of work
//
// [Start] starts a worker process for one device and owns it: one goroutine starts
// it, has it open the device and log in, serves, and begins again when the worker
// has ended for whatever reason. A [Key] takes its turn in the bounded queue of a
// [Device], checks what it is asked to sign, and has the worker sign it. In the
// worker, [Serve] turns what comes down the connection into calls of a [Driver].
//
// A PIN goes down the same connection, and lives in the worker alone. Before the
// driver sends it to the device it asks the daemon ([Host.TryPIN]), which writes a
// mark to disk first.
//
// # What we defend against
//
//   - A library that hangs: each operation has a deadline, at which its worker is
//     killed. It costs what that worker was doing.
//   - A library or a card that crashes its worker, or takes it over. It is confined
//     ([Confinement]), and what it says is read as a stranger's: in bounded frames,
//     at a bounded rate, in turn. It costs its own token.
//   - A slow device: who waits for it waits no longer than its context, and only so
//     many can wait.
//   - A device that is pulled, or a daemon that is restarted, again and again: a PIN
//     that was refused, or may have been, is not sent again by itself.
//   - A key that is replaced behind its name: it must be the one that was known, and
//     as well protected.
//
// # What we do not defend against
//
// What a worker must have: one that was taken over can use its own device, learn its
// PIN, and sign what it was not asked to. Its answer to what it was asked is checked
// by a [signer.Verifier], and what it signs otherwise has to leave the host by a way
// that its confinement leaves open.
package backends

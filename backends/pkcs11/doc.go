// Package pkcs11 drives PKCS#11 tokens: hardware security modules, smartcards,
// SoftHSM. It implements [backends.Driver], so it runs in a worker process that has
// one token and nothing else in it.
//
// # Order of work
//
//	Open   digest of the module -> initialise it -> find the token
//	Login  tries left -> send the PIN, once
//	Find   find the key pair -> check how the token protects it
//	Sign   wait for a turn -> sign
//	       -> where the token is gone: open it anew, once, and sign again
//
// # Two libraries, one module
//
// crypto11 loads the module, initialises it, logs in, and holds the session that
// keeps the login alive; when it is closed, it finalises the module. Keys are used
// through miekg/pkcs11, on which crypto11 is built, with a second handle on the
// same module that is never initialised by itself: C_Initialize is once for a
// process. (For p11-kit's client, which is a module anew for each handle, the
// second handle does all of this by itself.) crypto11 knows neither secp256k1 nor
// Ed25519, and for P-256 it is no faster (BenchmarkSign, BenchmarkModule) but
// returns a session that failed to its pool, where it fails the next request too.
// So all keys are used in one way.
//
// crypto11 must not be asked to list keys: it gives up at the first that it does
// not know. Keys are found by label and id alone.
//
// # What we defend against
//
//   - A PIN that is locked by trying: a PIN that the token refused is wiped, and one
//     that logged in before is not sent again with one try left. Whether any other
//     may be sent is for [backends.Host.TryPIN] to say, each time.
//   - The wrong token: it is identified by all that its URI says before the PIN is
//     sent, and one that looks the same is not told apart by luck but refused.
//   - A key that could leave its token: one that is not private, sensitive and
//     unextractable is refused.
//   - Sessions and tokens that die. A session that failed is closed. A token that is
//     gone is opened anew, with the module initialised anew and the PIN that was
//     right before, within this process: it is the only place where a PIN that a
//     person typed is kept. If that does not help, the worker ends. Keys are found
//     anew, as handles do not survive, and must be the same keys.
//   - A full token: no more sessions are opened than configured, and where the
//     token has fewer, those are shared.
//
// # What we do not defend against
//
// The module: it is C code of a vendor's in this process, which can crash it and
// hang. The owner of the worker sees to that. The token: what it says of a key's
// protection is believed. And traces of the PIN: it passes through strings, which
// cannot be wiped; they end with the process.
package pkcs11

// Package pkcs11 signs with keys in PKCS#11 tokens: hardware security modules,
// smartcards, SoftHSM.
//
// # Order of work
//
//	[Open]      digest of the module -> find the token -> log in, once
//	[Token.Key] find the key pair -> check how the token protects it
//	[Key.Sign]  check the message -> wait for a turn -> sign
//	            -> where the token is gone: open it anew, once, and sign again
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
//   - A PIN that is locked by trying: a PIN that the token refused is never sent
//     again, and with one try left none is sent at all.
//   - The wrong token: it is identified by all that its URI says before the PIN is
//     sent, and one that looks the same is not told apart by luck but refused.
//   - A key that could leave its token: one that is not private, sensitive and
//     unextractable is refused.
//   - Sessions and tokens that die. A session that failed is closed; a token that
//     is gone is opened anew, with the module initialised anew where this token is
//     the only one in the process that uses it; keys are found anew, as handles do
//     not survive, and must be the same keys. Attempts are spaced out.
//   - A full token: no more sessions are opened than configured, and where the
//     token has fewer, those are shared.
//
// # What we do not defend against
//
// The module: it is C code of a vendor's in our address space, which can crash the
// process, read its memory, and hang. A call into it cannot be cancelled; a
// context bounds the wait for a turn and nothing after that. The token: what it
// says of a key's protection is believed. And traces of the PIN: it passes through
// strings, which cannot be wiped.
package pkcs11

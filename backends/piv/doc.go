// Package piv signs with keys in PIV cards: YubiKeys, and cards that speak Yubico's
// extensions of NIST SP 800-73-4. It is a [backends.Driver] and runs in a worker
// process of its own.
//
// # Order of work
//
//	Open      look into the readers -> the one card with the configured serial number
//	Find      read the slot: metadata, else attestation, else certificate
//	Sign      wait for a turn -> hold the card -> is it the card? is it the key?
//	          -> PIN, where the key's policy wants it -> sign (-> touch)
//	          -> a moment later, with nothing to do: forget the PIN, let the card go
//
// # Two ways to the card
//
// piv-go signs, makes keys and reads certificates. A small binding of our own
// (pcsc.go) does what it cannot: look at a card that may not be a PIV card at all
// without keeping hold of it (piv-go's Open leaks its handle, and with it the card,
// when SELECT fails), say why a reader is out of reach, and read the metadata of PIN,
// PUK and management key. Both connect exclusively, so they are never used together.
//
// # The PIN
//
// VERIFY is sent only when the card has not seen the PIN since it was connected, or
// before each signature where the key's policy is "always"; each time through
// [backends.Host.TryPIN] and with the tries left that the card reports. With one
// try left it is not sent, unless the host says that a person typed it (a host says
// so with a method PINTyped() bool). A PIN that the card refused is forgotten.
//
// A card keeps its PIN verified when it is let go, and any program that comes next
// could sign with it. So before the card is let go, another application is selected
// on it, which makes it forget; where it has none, it is reset. A touch that the card
// remembers (policy "cached") it may still remember then: only the PIN stands between
// another program and a signature, so such a key should have a PIN policy.
//
// # Keys
//
// Locators are slots: 9a, 9c, 9d, 9e and 82 to 95. P-256 and P-384 are in every card
// that is supported, and RSA-2048; RSA-3072, RSA-4096 and Ed25519 need firmware 5.7.
// Keys are made with firmware 5.3 and later only: an older one cannot tell whether a
// slot is empty. No certificate is put into the slot: it would have to be signed with
// the new key, and a key signs nothing that was not authorised and recorded. Programs
// that find keys by certificate (ykcs11, OpenSC) need one, which the owner can make:
// ykman piv certificates generate.
//
// # What we defend against
//
//   - A card that is pulled, a pcscd that ends, another card in the reader: the
//     driver says that the device is gone, and its worker starts anew.
//   - Other programs. They get the card whenever there is nothing to sign, and in
//     between when there always is; while they have it, requests wait.
//   - A hostile card. Its answers are checked before they mean anything; a panic in
//     piv-go becomes an error and ends the worker; a key whose sources disagree, or
//     that is not the one it was, is refused. What it returns as a signature is
//     checked by [signer.Verifier].
//
// # What we do not defend against
//
// A card that is exchanged between two signatures for a forgery with the same serial
// number and public keys: it is given the PIN. A card that answers without end, or
// never: calls into the reader cannot be cancelled, and it costs its worker, by
// deadline or memory. Other programs of this host that may use pcscd and know the PIN.
package piv

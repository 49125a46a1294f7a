// Package pivcard is a PIV card in software: what a YubiKey with firmware 5.7 does
// on its smart card interface, by NIST SP 800-73-4 part 2 and Yubico's published
// extensions, without the hardware. It takes command APDUs and returns responses;
// [Card.Serve] puts it into a virtual reader of pcscd.
//
// # Order of work
//
//	Transmit -> fault? -> assemble a chained command -> applet -> handler
//	         -> write the state file -> split the response
//
// One command is carried out at a time, as on the card. A handler returns data and
// a status word and knows nothing of chaining; everything that a card forgets when
// its power goes is in one struct that is replaced at reset.
//
// # What it is good for
//
// Tests and trying things out. It keeps a card's promises about use: no private key
// operation without the PIN and the touch that the key's policy asks for, tries that
// are counted and end, keys that no command reads out. It fails on demand, too: see
// [Fault].
//
// # What it does not protect
//
// Anything. Keys are in memory and, where a file was named, in the clear in that
// file; private key operations take a time that depends on the key; the attestation
// root is made up on the spot. The daemon cannot be linked with this package.
package pivcard

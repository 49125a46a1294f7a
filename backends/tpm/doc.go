// Package tpm drives a TPM 2.0 with go-tpm's direct API: one connection, one command
// at a time.
//
// # Keys
//
// A key is a child of the storage root key, the ECC P-256 one of the TCG's
// provisioning guidance, and lives in a TSS2 key file that the owner of the worker
// keeps: the file's content is the key's locator. It is fixed to its TPM, made in it,
// exempt from dictionary-attack lockout, and has an auth value of 16 to 32 bytes,
// which is what [backends.Driver.Login] takes. secp256k1 and Ed25519, which no TPM
// has, are sealed under the same rules and opened for one signature (package wrapped).
//
// # Order of work
//
//	connect -> flush what a predecessor left -> storage root key -> [Find: load, check auth]
//	Sign: (session) -> load -> TPM2_Sign -> check what a TPM may get wrong
//
// A TPM without a resource manager has three slots. What is needed is loaded, and
// what was not used for longest gives way when the TPM says that it is full; so
// nothing here counts slots, and other programs may use them too. Auth values and
// digests travel in one session that is salted to the storage root key, encrypts, and
// is used again. After a TPM restart, handles and sessions are stale: they are
// dropped, and the operation is tried once more.
//
// # What we defend against
//
//   - Lockout. A wrong auth value of a key that is exempt counts no try, and crashes
//     add none (TPM 2.0 Library part 1, 19.8.4 and 19.8.6), so keys that are not
//     exempt are refused. With at least 16 bytes there is nothing to be guessed, so no
//     try needs to be remembered, and [backends.Host.TryPIN] is not asked.
//   - Slots and sessions that leak: everything is flushed at the end, and on start
//     where a crash left it.
//   - Whoever listens on the bus: auth values never cross it, digests and what is
//     unsealed cross it encrypted.
//   - Another TPM behind the same name: its storage root key has another name.
//   - A firmware update that would lose a key: one that is bound to PCRs names who may
//     approve other values.
//
// # What we do not defend against
//
// Whoever answers in the TPM's place when the serial is not configured. Root, who can
// use the auth value while it is in memory. PCR values that were approved once stay
// approved: a signed approval has no end.
package tpm

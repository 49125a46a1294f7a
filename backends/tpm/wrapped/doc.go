// Package wrapped is the part of wrapped keys that needs no device: secp256k1 and
// Ed25519 keys for hosts whose only hardware is a TPM, which has neither curve. The
// secret is sealed to the TPM, opened for the moment of use, and wiped.
//
// # Order of work
//
//	make       [Generate] -> TPM2_Create of the secret with [Template] -> [File]
//	use        [Parse] -> TPM2_Load, TPM2_Unseal -> [File.Open] -> [Key.Sign] -> [Key.Wipe]
//	import     [ParseSecret], [ParseTarget], [VerifyEndorsement], [Recipient.Wrap] where the
//	           secret is; TPM2_Import, TPM2_Load, TPM2_Unseal, [File.Open] where the TPM is,
//	           and [Recipient.Wrap] again, to the TPM's own [StorageKey]
//	duplicate  as an import, in the worker of the TPM that has the key
//
// # What we defend against
//
//   - A secret that goes to somebody else's TPM, or to a program that says it is
//     one: [Recipient.Wrap] is the only way out, and a Recipient comes from a
//     certificate of a TPM's endorsement key under a configured root, from an
//     exception that names the TPM's fingerprint, or from the TPM that the caller
//     itself drives.
//   - A file that claims to be another key: the secret has to give the public key
//     that the file names, or the file is refused before anything is signed.
//   - An import that is shown as generated: where a key comes from follows from
//     attributes that are part of the object's Name, which the TPM enforces. It loads
//     an object as fixedTPM only if it made it itself.
//
// # What we do not defend against
//
// Whoever reads the worker's memory while a key is in use, and traces after it: see
// [Key.Wipe]. A manufacturer's certificate authority that certifies a key outside a
// TPM, or certificates that were revoked: lists of them are not consulted. Whoever
// has a file on its way and may use the TPM that it goes to: its auth value is empty,
// as nobody knows another host's. And somebody with the host's TPM and the auth value
// of its keys can seal a secret that he knows, which shows as generated.
package wrapped

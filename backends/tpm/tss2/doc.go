// Package tss2 reads and writes TPM 2.0 key files, "TSS2 PRIVATE KEY" in PEM, as
// draft-bottomley-tpm2-keys describes them and as the OpenSSL and GnuTLS engines,
// GRUB and ssh-tpm-agent use them. It knows nothing of devices.
//
// # What we defend against
//
//   - Two files that mean the same, and bytes that nobody reads: what [Parse]
//     accepts, [Key.Encode] writes back byte for byte. So the digest of a file pins
//     what is in it.
//   - A file of another kind of object, or a part that is missing: what a key of
//     its type must have, and must not have, is checked.
//
// # What we do not defend against
//
// A file that was made for deceit: everything outside the private part can be
// written by anybody, and the TPM checks no more than that the private part belongs
// to the public one. The description is a remark of whoever wrote it.
package tss2

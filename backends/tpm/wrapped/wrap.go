package wrapped

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

// Recipient is a storage key inside a TPM that a secret may be encrypted to.
// [VerifyEndorsement], [AcceptTest.Verify] and [StorageKey] make it; the zero
// Recipient takes nothing.
type Recipient struct {
	public tpm2.TPMTPublic
	handle tpm2.TPMHandle
	name   []byte
	facts  []signer.Field
}

// Name is the storage key's Name (TPM 2.0 Library part 1, 16).
func (r *Recipient) Name() []byte { return bytes.Clone(r.name) }

// Facts say which TPM it is, and why it is believed to be one, for the record.
func (r *Recipient) Facts() []signer.Field { return append([]signer.Field(nil), r.facts...) }

// recipient checks that a public area is that of a storage key which nobody can have
// outside its TPM, if it is in one.
func recipient(public *tpm2.TPMTPublic, handle tpm2.TPMHandle, facts []signer.Field) (*Recipient, error) {
	a := public.ObjectAttributes
	if !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin || !a.Restricted || !a.Decrypt || a.SignEncrypt {
		return nil, errors.New("the target is no storage key that is fixed to its TPM")
	}
	if _, err := tpm2.ImportEncapsulationKey(public); err != nil {
		return nil, fmt.Errorf("the target's public key: %w", err)
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return nil, fmt.Errorf("the target's name: %w", err)
	}
	return &Recipient{public: *public, handle: handle, name: name.Buffer, facts: facts}, nil
}

// StorageKey is a storage key of the TPM that the caller itself drives and has read
// the public area from, with the handle that is to stand as parent in the file. It
// must never come from a file: nothing here can tell whether it is in a TPM.
func StorageKey(public *tpm2.TPMTPublic, handle tpm2.TPMHandle) (*Recipient, error) {
	return recipient(public, handle, nil)
}

// Guard is what the TPM asks for before it opens the secret. In a file on its way
// both are empty; the driver that imports it wraps it again with its own.
type Guard struct {
	Auth   []byte        // up to 32 bytes
	Digest []byte        // of the policy, if there is one
	Policy []tss2.Policy // its commands, for the file
}

// Wrap seals a secret in software, as TPM2_Duplicate would, for TPM2_Import under
// the recipient (TPM 2.0 Library part 1, 23.3, outer wrapper only). The caller clears
// its secret.
func (r *Recipient) Wrap(secret []byte, algorithm signer.Algorithm, g Guard) (*File, error) {
	if len(r.name) == 0 {
		return nil, errors.New("wrap the key: the recipient was not verified")
	}
	k, err := Open(secret, algorithm)
	if err != nil {
		return nil, fmt.Errorf("wrap the key: %w", err)
	}
	defer k.Wipe()
	// Part 1, 19.6.4.3: a TPM drops zeros at the end of auth values, wherever it meets
	// them, so that one with zeros is the same as one without.
	auth := bytes.TrimRight(g.Auth, "\x00")
	if len(auth) > sha256.Size || (len(g.Digest) != 0 && len(g.Digest) != sha256.Size) {
		return nil, fmt.Errorf("wrap the key: an auth value or policy digest has more than %d bytes, or a digest less", sha256.Size)
	}
	pub, sensitive := seal(secret, auth, g.Digest)
	defer clear(sensitive)
	duplicate, seed, err := r.protect(&pub, sensitive)
	if err != nil {
		return nil, fmt.Errorf("wrap the key: %w", err)
	}
	return &File{
		Public: k.Public(),
		Target: r.Name(),
		Key: tss2.Key{
			Type:      tss2.Sealed,
			EmptyAuth: len(auth) == 0,
			Policy:    g.Policy,
			Secret:    seed,
			RSAParent: r.public.Type == tpm2.TPMAlgRSA,
			Parent:    r.handle,
			Public:    pub,
			Private:   duplicate,
		},
	}, nil
}

// seal makes the two parts of a sealed data object.
func seal(secret, auth, policy []byte) (tpm2.TPMTPublic, []byte) {
	// Part 1, 27.6.3: a value of the size of the digest keeps the public part from
	// being a hash of the secret alone, which could be guessed at.
	obfuscation := make([]byte, sha256.Size)
	rand.Read(obfuscation)
	h := sha256.New()
	h.Write(obfuscation)
	h.Write(secret)
	pub := sealedObject(policy)
	pub.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: h.Sum(nil)})
	return pub, tpm2.Marshal(tpm2.TPMTSensitive{
		SensitiveType: tpm2.TPMAlgKeyedHash,
		AuthValue:     tpm2.TPM2BAuth{Buffer: auth},
		SeedValue:     tpm2.TPM2BDigest{Buffer: obfuscation},
		Sensitive:     tpm2.NewTPMUSensitiveComposite(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BSensitiveData{Buffer: secret}),
	})
}

// protect puts the outer wrapper around the sensitive part.
func (r *Recipient) protect(pub *tpm2.TPMTPublic, sensitive []byte) (duplicate, seed []byte, err error) {
	name, err := tpm2.ObjectName(pub)
	if err != nil {
		return nil, nil, err
	}
	to, err := tpm2.ImportEncapsulationKey(&r.public)
	if err != nil {
		return nil, nil, err
	}
	return tpm2.CreateDuplicate(rand.Reader, to, name.Buffer, sensitive)
}

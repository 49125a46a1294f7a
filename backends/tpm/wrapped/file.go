package wrapped

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

// version is the first word of the description in a file of ours. After it come the
// algorithm, the public key and, in a file on its way, the Name of the key that it is
// encrypted to.
const version = "sealward-wrapped-key/1"

// File is a wrapped key as it is kept, or on its way to another TPM: TSS2 sealed data
// of 32 bytes, the secret itself, so that tpm2_unseal gives it to whoever may have it.
// Algorithm and public key are in the description. They are a claim, which
// [File.Open] holds against the secret each time that it is opened.
type File struct {
	Public signer.PublicKey
	// Target is the Name of the storage key that a file on its way is for, and empty
	// in one that is kept.
	Target []byte
	// Key is the sealed object. Its description is made of the fields above.
	Key tss2.Key
}

// Parse reads a file, and refuses one whose parts do not go together.
func Parse(file []byte) (*File, error) {
	k, err := tss2.Parse(file)
	if err != nil {
		return nil, err
	}
	f := &File{Key: *k}
	words := strings.Split(k.Description, " ")
	if words[0] != version {
		return nil, fmt.Errorf("read wrapped key: its description does not start with %q: it is a key of another program or version", version)
	}
	if len(words) > 1 {
		f.Public.Algorithm = signer.Algorithm(words[1])
	}
	for i, to := range []*[]byte{&f.Public.Bytes, &f.Target} {
		if len(words) > i+2 {
			if *to, err = hex.DecodeString(words[i+2]); err != nil {
				return nil, fmt.Errorf("read wrapped key: description: %w", err)
			}
		}
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("read wrapped key: %w", err)
	}
	// Spaces, words and digits that a second writing would lose.
	if k.Description != f.description() {
		return nil, fmt.Errorf("read wrapped key: its description is not as version %q is written", version)
	}
	return f, nil
}

// Encode writes the file.
func (f *File) Encode() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("write wrapped key: %w", err)
	}
	k := f.Key
	k.Description = f.description()
	return k.Encode()
}

func (f *File) description() string {
	words := []string{version, string(f.Public.Algorithm), hex.EncodeToString(f.Public.Bytes)}
	if len(f.Target) > 0 {
		words = append(words, hex.EncodeToString(f.Target))
	}
	return strings.Join(words, " ")
}

// check says what does not go together.
func (f *File) check() error {
	if err := known(f.Public.Algorithm); err != nil {
		return err
	}
	size := 65 // SEC 1, 2.3.3, uncompressed
	if f.Public.Algorithm == signer.AlgorithmEd25519 {
		size = 32
	}
	switch {
	case len(f.Public.Bytes) != size:
		return fmt.Errorf("a public key of %s has %d bytes, not %d", f.Public.Algorithm, size, len(f.Public.Bytes))
	case f.Key.Type != tss2.Sealed:
		return errors.New("it is not sealed data")
	case (len(f.Target) > 0) != (len(f.Key.Secret) > 0):
		return errors.New("it names a target but is not encrypted to one, or the other way round")
	}
	origin, err := origin(&f.Key.Public)
	if err != nil {
		return err
	}
	if len(f.Target) > 0 && origin != signer.OriginImported {
		return errors.New("it is on its way, but its attributes are those of an object that cannot leave its TPM")
	}
	return nil
}

// Origin says where the secret was made, from attributes that the TPM enforces.
func (f *File) Origin() signer.Origin {
	o, err := origin(&f.Key.Public)
	if err != nil {
		return signer.OriginUnknown
	}
	return o
}

// Open makes a key of the secret that the TPM unsealed, of which it takes a copy. It
// refuses a secret that is not the one that the file speaks of.
func (f *File) Open(secret []byte) (*Key, error) {
	k, err := Open(secret, f.Public.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("open wrapped key: %w", err)
	}
	if !bytes.Equal(k.Public().Bytes, f.Public.Bytes) {
		k.Wipe()
		return nil, errors.New("open wrapped key: the sealed secret is not that of the public key in the file; the file was put together from two, or somebody changed it")
	}
	return k, nil
}

// Imported is the file to keep after TPM2_Import, which returned private.
func (f *File) Imported(private []byte) *File {
	g := *f
	g.Target, g.Key.Secret, g.Key.Private = nil, nil, private
	return &g
}

// Template is the public area for TPM2_Create of a secret that was made for this
// TPM. With a policy the auth value alone is not enough to open it.
func Template(policy []byte) tpm2.TPMTPublic {
	pub := sealedObject(policy)
	// TPM 2.0 Library part 2, 8.3.3: a TPM sets and loads these for objects of its
	// own only, so that they prove that the object was not imported.
	pub.ObjectAttributes.FixedTPM = true
	pub.ObjectAttributes.FixedParent = true
	return pub
}

// sealedObject is the public area of an object that may be imported. TPM2_Duplicate
// moves it on only with a policy that allows that command (part 3, 13.1), which an
// object without a policy has not.
func sealedObject(policy []byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgKeyedHash,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			UserWithAuth: len(policy) == 0,
			// Out of the reach of the lockout, which a crash of the host would trigger:
			// the auth value is random.
			NoDA: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{
			Scheme: tpm2.TPMTKeyedHashScheme{Scheme: tpm2.TPMAlgNull},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{}),
	}
}

// origin tells the two public areas that there are apart, and refuses any other.
func origin(pub *tpm2.TPMTPublic) (signer.Origin, error) {
	for _, c := range []struct {
		want   tpm2.TPMTPublic
		origin signer.Origin
	}{
		{Template(pub.AuthPolicy.Buffer), signer.OriginGenerated},
		{sealedObject(pub.AuthPolicy.Buffer), signer.OriginImported},
	} {
		c.want.Unique = pub.Unique
		if pub.Type == c.want.Type && bytes.Equal(tpm2.Marshal(pub), tpm2.Marshal(c.want)) {
			return c.origin, nil
		}
	}
	return signer.OriginUnknown, errors.New("the sealed object's attributes are not those of a wrapped key")
}

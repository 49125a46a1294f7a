package tss2

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/google/go-tpm/tpm2"
)

// Type says how the TPM takes a key. Its zero value is none.
type Type uint8

// The types; draft-bottomley-tpm2-keys, 3.1.1.
const (
	Loadable   Type = iota + 1 // TPM2_Load
	Importable                 // TPM2_Import, then TPM2_Load
	Sealed                     // data for TPM2_Unseal; with a Secret it is imported first
)

// Key is a key file. The handle of a parent that is not persistent is that of a
// hierarchy, and stands for the hierarchy's storage key.
type Key struct {
	Type Type
	// EmptyAuth is set when the auth value is empty.
	EmptyAuth bool
	// Policy are the commands that satisfy the policy, in their order; AuthPolicies
	// are policies that whoever may authorise policies has signed.
	Policy       []Policy
	AuthPolicies []AuthPolicy
	// Secret is the seed of an outer wrapper, encrypted to the parent. A key that
	// has one is imported before it is loaded.
	Secret []byte
	// Description is a remark. Nothing vouches for it.
	Description string
	// RSAParent is set when the hierarchy's storage key is the RSA one.
	RSAParent bool
	Parent    tpm2.TPMHandle
	Public    tpm2.TPMTPublic
	Private   []byte // contents of the TPM2B_PRIVATE

	// emptyAuth is the byte that the file has for EmptyAuth, where it has one. The
	// draft allows FALSE to be written, which DER would leave out, and tpm2-tools
	// writes it, and writes TRUE as 1, which DER has as 0xff.
	emptyAuth []byte
}

// Policy is one command that has to be run in a policy session.
type Policy struct {
	Command    tpm2.TPMCC
	Parameters []byte // of the command, after its handles
}

// AuthPolicy is a policy that was authorised later.
type AuthPolicy struct {
	Name   string
	Policy []Policy
}

// pemType is what the first and the last line say; the draft, 3.
const pemType = "TSS2 PRIVATE KEY"

// oids are the types' identifiers; the draft, 3.1.1.
var oids = map[Type]asn1.ObjectIdentifier{
	Loadable:   {2, 23, 133, 10, 1, 3},
	Importable: {2, 23, 133, 10, 1, 4},
	Sealed:     {2, 23, 133, 10, 1, 5},
}

// Parse reads a key file: one PEM block and nothing else.
func Parse(file []byte) (*Key, error) {
	block, rest := pem.Decode(file)
	switch {
	case block == nil:
		return nil, fmt.Errorf("read TPM key file: no PEM block; it starts with -----BEGIN %s-----", pemType)
	case block.Type != pemType:
		return nil, fmt.Errorf("read TPM key file: it holds a %q, not a %q", block.Type, pemType)
	case len(rest) != 0 || !bytes.Equal(pem.EncodeToMemory(block), file):
		return nil, errors.New("read TPM key file: there is more in it than one PEM block without headers, in lines of 64 characters")
	case len(block.Headers) != 0:
		return nil, errors.New("read TPM key file: the PEM block has headers, which a TPM key has not")
	}
	k, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read TPM key file: %w", err)
	}
	again, err := k.der()
	if err != nil {
		return nil, fmt.Errorf("read TPM key file: %w", err)
	}
	if !bytes.Equal(again, block.Bytes) {
		return nil, errors.New("read TPM key file: its parts are not in the order and the encoding that DER has for them")
	}
	return k, nil
}

// Encode writes the key file.
func (k *Key) Encode() ([]byte, error) {
	der, err := k.der()
	if err != nil {
		return nil, fmt.Errorf("write TPM key file: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// check says what is wrong with a key of its type.
func (k *Key) check() error {
	switch {
	case oids[k.Type] == nil:
		return fmt.Errorf("%d is no type of key", k.Type)
	case k.Type == Importable && len(k.Secret) == 0:
		return errors.New("an importable key has no secret")
	case k.Type == Loadable && len(k.Secret) != 0:
		return errors.New("a loadable key has a secret, which only one that is imported has")
	case k.Parent == 0:
		return errors.New("there is no parent")
	case len(k.Private) == 0:
		return errors.New("the private part is empty")
	case len(k.Private) > math.MaxUint16 || len(k.Secret) > math.MaxUint16:
		return errors.New("the private part or the secret is longer than a TPM can take")
	case k.Type == Sealed && k.Public.Type != tpm2.TPMAlgKeyedHash:
		return errors.New("sealed data has a public part of another kind")
	case !utf8.ValidString(k.Description):
		return errors.New("the description is not UTF-8")
	}
	for _, a := range k.AuthPolicies {
		if !utf8.ValidString(a.Name) {
			return errors.New("the name of an authorised policy is not UTF-8")
		}
		if len(a.Policy) == 0 {
			return errors.New("an authorised policy has no commands")
		}
	}
	return nil
}

package wrapped

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/sealward/sealward/signer"
)

// secretSize is the length of every secret: a scalar of secp256k1, most significant
// byte first, or a seed of Ed25519 (RFC 8032, 5.1.5).
const secretSize = 32

// Key is an opened key. It is for one goroutine. The zero Key signs nothing.
type Key struct {
	algorithm signer.Algorithm
	ecdsa     *secp256k1.PrivateKey
	ed25519   ed25519.PrivateKey
}

// Generate makes a secret. The TPM's random numbers, which may be nil, are mixed in,
// so that one good source is enough. The caller clears what it gets.
func Generate(algorithm signer.Algorithm, tpm []byte) ([]byte, error) {
	for {
		secret := make([]byte, secretSize)
		rand.Read(secret)
		for i, b := range tpm {
			secret[i%secretSize] ^= b
		}
		k, err := Open(secret, algorithm)
		if err == nil {
			k.Wipe()
			return secret, nil
		}
		if err := known(algorithm); err != nil {
			return nil, err
		}
		// Out of the curve's order, which happens to nobody: once in 2^128.
	}
}

// known refuses an algorithm that is not for wrapped keys.
func known(algorithm signer.Algorithm) error {
	if algorithm != signer.AlgorithmSecp256k1 && algorithm != signer.AlgorithmEd25519 {
		return fmt.Errorf("a wrapped key is %s or %s, not %q; make other keys in the TPM itself", signer.AlgorithmSecp256k1, signer.AlgorithmEd25519, algorithm)
	}
	return nil
}

// Open makes a key of a secret, of which it takes a copy. The caller clears its own.
func Open(secret []byte, algorithm signer.Algorithm) (*Key, error) {
	if err := known(algorithm); err != nil {
		return nil, err
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("a secret of %s has %d bytes, not %d", algorithm, secretSize, len(secret))
	}
	if algorithm == signer.AlgorithmEd25519 {
		return &Key{algorithm: algorithm, ed25519: ed25519.NewKeyFromSeed(secret)}, nil
	}
	// SEC 1, 3.2.1: the scalar is between 1 and n-1. Nothing is reduced, since that
	// would make one key of two secrets.
	k := &Key{algorithm: algorithm, ecdsa: new(secp256k1.PrivateKey)}
	if overflow := k.ecdsa.Key.SetByteSlice(secret); overflow || k.ecdsa.Key.IsZero() {
		k.Wipe()
		return nil, errors.New("the secret is no key of secp256k1: it is zero, or not below the curve's order")
	}
	return k, nil
}

// Public returns the public key.
func (k *Key) Public() signer.PublicKey {
	switch {
	case k.ecdsa != nil:
		return signer.PublicKey{Algorithm: k.algorithm, Bytes: k.ecdsa.PubKey().SerializeUncompressed()}
	case k.ed25519 != nil:
		return signer.PublicKey{Algorithm: k.algorithm, Bytes: append([]byte(nil), k.ed25519[ed25519.SeedSize:]...)}
	}
	return signer.PublicKey{}
}

// Sign signs a prehash of 32 bytes with secp256k1 (deterministic, RFC 6979; r || s)
// or a whole message with Ed25519 (RFC 8032, 5.1.6).
func (k *Key) Sign(message []byte) ([]byte, error) {
	switch {
	case k.ecdsa != nil:
		if len(message) != 32 {
			return nil, fmt.Errorf("secp256k1 signs a prehash of 32 bytes, not of %d", len(message))
		}
		sig := ecdsa.Sign(k.ecdsa, message)
		r, s := sig.R(), sig.S()
		rb, sb := r.Bytes(), s.Bytes()
		return append(rb[:], sb[:]...), nil
	case k.ed25519 != nil:
		return ed25519.Sign(k.ed25519, message), nil
	}
	return nil, errors.New("the key is not open")
}

// Wipe clears the secret; the key signs nothing after it. What cannot be cleared are
// copies that Go and the libraries make: the scalar and the nonces on the stacks of
// signing functions, the expanded Ed25519 key that crypto/ed25519 keeps until the
// garbage collector finds that this one is gone, and pages that were swapped out or
// dumped before. They end with the process.
func (k *Key) Wipe() {
	if k.ecdsa != nil {
		k.ecdsa.Zero()
	}
	clear(k.ed25519)
	*k = Key{}
}

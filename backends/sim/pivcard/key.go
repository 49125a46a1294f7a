package pivcard

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// pinPolicy and touchPolicy say what a key asks for; origin, where it comes from.
// The numbers are those of Yubico's extensions.
type (
	pinPolicy   byte
	touchPolicy byte
	origin      byte
)

const (
	pinNever  pinPolicy = 1
	pinOnce   pinPolicy = 2
	pinAlways pinPolicy = 3

	touchNever  touchPolicy = 1
	touchAlways touchPolicy = 2
	touchCached touchPolicy = 3

	originGenerated origin = 1
	originImported  origin = 2
)

// The slots whose rules differ: SP 800-73-4 part 1, table 4; f9 is Yubico's.
const (
	slotAuthentication = 0x9a
	slotSignature      = 0x9c
	slotKeyManagement  = 0x9d
	slotCard           = 0x9e
	slotAttestation    = 0xf9
)

func isKeySlot(slot byte) bool {
	switch slot {
	case slotAuthentication, slotSignature, slotKeyManagement, slotCard, slotAttestation:
		return true
	}
	return slot >= 0x82 && slot <= 0x95 // retired key management
}

// The algorithms of keys: SP 800-78-4, table 6-2; those without a name there are
// Yubico's.
const (
	algRSA3072 = 0x05
	algRSA1024 = 0x06
	algRSA2048 = 0x07
	algP256    = 0x11
	algP384    = 0x14
	algRSA4096 = 0x16
	algEd25519 = 0xe0
	algX25519  = 0xe1
)

// rsaBits returns the length of an RSA key's modulus, 0 if it is no RSA algorithm.
func rsaBits(algorithm byte) int {
	switch algorithm {
	case algRSA1024:
		return 1024
	case algRSA2048:
		return 2048
	case algRSA3072:
		return 3072
	case algRSA4096:
		return 4096
	}
	return 0
}

func curve(algorithm byte) elliptic.Curve {
	if algorithm == algP384 {
		return elliptic.P384()
	}
	return elliptic.P256()
}

// supports reports whether the firmware has an algorithm.
func (v Version) supports(algorithm byte) bool {
	switch algorithm {
	case algRSA1024, algRSA2048, algP256, algP384:
		return true
	case algRSA3072, algRSA4096, algEd25519, algX25519:
		return v.least(5, 7)
	}
	return false
}

// slotKey is a private key in a slot, with what it asks for.
type slotKey struct {
	Algorithm byte
	PIN       pinPolicy
	Touch     touchPolicy
	Origin    origin
	private   crypto.PrivateKey
}

// newPrivate makes a private key.
func newPrivate(algorithm byte) (crypto.PrivateKey, error) {
	switch algorithm {
	case algP256, algP384:
		return ecdsa.GenerateKey(curve(algorithm), rand.Reader)
	case algEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case algX25519:
		return ecdh.X25519().GenerateKey(rand.Reader)
	}
	if bits := rsaBits(algorithm); bits != 0 {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	return nil, fmt.Errorf("the card has no algorithm %#x", algorithm)
}

// public returns the public key.
func (k *slotKey) public() crypto.PublicKey {
	return k.private.(interface{ Public() crypto.PublicKey }).Public()
}

// publicTLV is the public key as GENERATE and GET METADATA return it: SP 800-73-4
// part 2, table 11.
func (k *slotKey) publicTLV() ([]byte, error) {
	switch pub := k.public().(type) {
	case *rsa.PublicKey:
		modulus := appendTLV(nil, 0x81, pub.N.Bytes()...)
		return appendTLV(modulus, 0x82, big.NewInt(int64(pub.E)).Bytes()...), nil
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		return appendTLV(nil, 0x86, point...), err
	case ed25519.PublicKey:
		return appendTLV(nil, 0x86, pub...), nil
	case *ecdh.PublicKey:
		return appendTLV(nil, 0x86, pub.Bytes()...), nil
	}
	return nil, fmt.Errorf("a public key of type %T", k.public())
}

var errOperand = errors.New("the operand does not fit the key")

// sign carries out the private key operation on a message: for RSA, the padded block.
func (k *slotKey) sign(message []byte) ([]byte, error) {
	switch key := k.private.(type) {
	case *rsa.PrivateKey:
		return rawRSA(key, message)
	case *ecdsa.PrivateKey:
		if len(message) > (key.Curve.Params().BitSize+7)/8 {
			return nil, errOperand
		}
		return ecdsa.SignASN1(rand.Reader, key, message)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, message), nil
	}
	return nil, errOperand
}

// agree returns the secret that the key shares with a point: SP 800-73-4 part 2, A.4.
func (k *slotKey) agree(point []byte) ([]byte, error) {
	var key *ecdh.PrivateKey
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		var err error
		if key, err = private.ECDH(); err != nil {
			return nil, err
		}
	case *ecdh.PrivateKey:
		key = private
	default:
		return nil, errOperand
	}
	peer, err := key.Curve().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	return key.ECDH(peer)
}

// rawRSA raises a block to the private exponent. Its time depends on the key.
func rawRSA(key *rsa.PrivateKey, block []byte) ([]byte, error) {
	m := new(big.Int).SetBytes(block)
	if len(block) != key.Size() || m.Cmp(key.N) >= 0 {
		return nil, errOperand
	}
	p, q := key.Primes[0], key.Primes[1]
	a := new(big.Int).Exp(m, key.Precomputed.Dp, p)
	b := new(big.Int).Exp(m, key.Precomputed.Dq, q)
	a.Sub(a, b).Mul(a, key.Precomputed.Qinv).Mod(a, p).Mul(a, q).Add(a, b)
	return a.FillBytes(make([]byte, key.Size())), nil
}

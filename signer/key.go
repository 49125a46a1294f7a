package signer

import (
	"context"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
)

// Algorithm is what a key is.
type Algorithm string

// The algorithms.
const (
	AlgorithmSecp256k1 Algorithm = "secp256k1"
	AlgorithmP256      Algorithm = "p256"
	AlgorithmP384      Algorithm = "p384"
	AlgorithmP521      Algorithm = "p521"
	AlgorithmEd25519   Algorithm = "ed25519"
	AlgorithmRSA       Algorithm = "rsa"
)

// PublicKey is a public key in its standard encoding.
type PublicKey struct {
	Algorithm Algorithm
	// Bytes is the uncompressed point (SEC 1, 2.3.3) for the curves, the 32 bytes
	// of RFC 8032 for Ed25519, the RSAPublicKey of RFC 8017 A.1.1 for RSA.
	Bytes []byte
}

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidCurve       = map[Algorithm]asn1.ObjectIdentifier{ // RFC 5480, 2.1.1.1; SEC 2, A.2.1
		AlgorithmSecp256k1: {1, 3, 132, 0, 10},
		AlgorithmP256:      {1, 2, 840, 10045, 3, 1, 7},
		AlgorithmP384:      {1, 3, 132, 0, 34},
		AlgorithmP521:      {1, 3, 132, 0, 35},
	}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}             // RFC 8410, 3
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1} // RFC 8017, A.1
)

// SPKI returns the key as a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), or an error
// for an algorithm that is not one of ours.
func (k PublicKey) SPKI() ([]byte, error) {
	type algorithm struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	}
	var a algorithm
	switch k.Algorithm {
	case AlgorithmEd25519:
		a.OID = oidEd25519
	case AlgorithmRSA:
		a.OID, a.Params = oidRSA, asn1.NullRawValue
	default:
		curve, ok := oidCurve[k.Algorithm]
		if !ok {
			return nil, fmt.Errorf("public key: unknown algorithm %q", k.Algorithm)
		}
		der, err := asn1.Marshal(curve)
		if err != nil {
			return nil, err
		}
		a.OID, a.Params = oidECPublicKey, asn1.RawValue{FullBytes: der}
	}
	return asn1.Marshal(struct {
		Algorithm algorithm
		Key       asn1.BitString
	}{a, asn1.BitString{Bytes: k.Bytes, BitLength: 8 * len(k.Bytes)}})
}

// Fingerprint is "sha256:" and the hexadecimal SHA-256 of the key's SPKI. Limits
// and records name keys by it, so that renaming a key resets nothing. It is empty
// for a key that has no SPKI.
func (k PublicKey) Fingerprint() string {
	der, err := k.SPKI()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Protection says where a private key can be used.
type Protection string

// The protections. There is no third one outside tests.
const (
	ProtectionResident Protection = "resident" // the device signs
	ProtectionWrapped  Protection = "wrapped"  // sealed to the device, opened for the moment of use
)

// Origin says where a private key was made.
type Origin string

// The origins. A key that was once outside its device stays imported for ever.
const (
	OriginGenerated Origin = "generated" // in the device, or for it in its worker, as the device or its file attests
	OriginImported  Origin = "imported"
	OriginUnknown   Origin = "unknown" // the device does not tell
)

// Padding says how an RSA key signs. A key has one: signing with two weakens both.
type Padding string

// The paddings.
const (
	PaddingPSS   Padding = "pss"   // RFC 8017, 8.1, with a salt of the hash's length
	PaddingPKCS1 Padding = "pkcs1" // RFC 8017, 8.2
)

// KeyInfo is what policy, decoders and people may know of a key.
type KeyInfo struct {
	Name        string
	Public      PublicKey
	Fingerprint string // of Public
	Protection  Protection
	Origin      Origin
	Padding     Padding  // of an RSA key; empty for others
	Kinds       []Kind   // the kinds of payload that it signs
	Chains      []string // CAIP-2; a payload for another chain is refused. Empty: the kind has no chain
}

// Scheme says how a message is signed and how the signature is encoded.
type Scheme string

// The schemes. For ECDSA and RSA, [Message].Bytes is the prehash, of the length
// given here, and for ECDSA s is in the lower half of the order; for Ed25519 it is
// the whole message (RFC 8032, 5.1). An RSA signature has the length of the modulus.
const (
	SchemeSecp256k1   Scheme = "ecdsa-secp256k1-recoverable" // 32; r || s || v, 65 bytes, v is 0 or 1 (SEC 1, 4.1.6)
	SchemeP256        Scheme = "ecdsa-p256"                  // 32; r || s, 64 bytes
	SchemeP384        Scheme = "ecdsa-p384"                  // 48; r || s, 96 bytes
	SchemeP521        Scheme = "ecdsa-p521"                  // 64; r || s, 132 bytes
	SchemeEd25519     Scheme = "ed25519"                     // 64 bytes
	SchemePSSSHA256   Scheme = "rsa-pss-sha256"              // 32; RFC 8017, 8.1, salt of 32 bytes, MGF1 with the same hash
	SchemePSSSHA384   Scheme = "rsa-pss-sha384"              // 48; salt of 48 bytes
	SchemePSSSHA512   Scheme = "rsa-pss-sha512"              // 64; salt of 64 bytes
	SchemePKCS1SHA256 Scheme = "rsa-pkcs1-sha256"            // 32; RFC 8017, 8.2
	SchemePKCS1SHA384 Scheme = "rsa-pkcs1-sha384"            // 48
	SchemePKCS1SHA512 Scheme = "rsa-pkcs1-sha512"            // 64
)

// Message is what a key signs.
type Message struct {
	Scheme Scheme
	Bytes  []byte
}

// Authorized is proof that a message was decided, approved and durably recorded.
// Only [Engine] makes one that is not zero, so no code path reaches a key around
// the pipeline.
type Authorized struct {
	msg    Message
	ok     bool
	notice func(Notice)
}

// Message returns the message to sign, or false for the zero Authorized.
func (a Authorized) Message() (Message, bool) { return a.msg, a.ok }

// Notify tells whoever watches the request what its device waits for. It does not
// block.
func (a Authorized) Notify(n Notice) {
	if a.notice != nil {
		a.notice(n)
	}
}

// Notify is that of [Authorized]. Nobody watches a checkpoint.
func (s Statement) Notify(n Notice) {
	if s.notice != nil {
		s.notice(n)
	}
}

// Notice says what a device waits for.
type Notice string

// The notices.
const (
	NoticeNone  Notice = ""      // nothing, or nothing any more
	NoticeTouch Notice = "touch" // somebody has to touch the device now
)

// Statement is something that Sealward itself says with a key: a closed set, each
// domain-separated. Only this package makes one that is not zero.
type Statement struct {
	msg    Message
	ok     bool
	notice func(Notice)
}

// Message returns the message to sign, or false for the zero Statement.
func (s Statement) Message() (Message, bool) { return s.msg, s.ok }

// Key signs in hardware. Implementations live under backends; they refuse a zero
// argument, return the device's own encoding (r || s for ECDSA, each of the order's
// length, whatever half s is in), and do not check the signature: a [Verifier] does. An error of theirs is
// an [*Error] with code [CodeUnavailable] where trying again later makes sense. One
// that knows when its device is out of reach has a method Available() error too,
// which says so without asking the device.
type Key interface {
	Public() PublicKey
	Protection() Protection
	Sign(ctx context.Context, a Authorized) ([]byte, error)
	SignStatement(ctx context.Context, s Statement) ([]byte, error)
}

// Verifier stands between a device and the world.
type Verifier interface {
	// Finish checks what a device returned for a message under a public key and
	// returns it in the encoding of the message's scheme. What it returns an error
	// for is never released.
	Finish(pub PublicKey, m Message, raw []byte) ([]byte, error)
}

package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealward/sealward/signer"
)

// The signature types of C2SP signed-note that we use.
const (
	typeEd25519 = 0x01
	typeECDSA   = 0x02 // P-256 with SHA-256, DER; the key id is over the SPKI alone
)

// Verifier is a journal's public key under the journal's name. It implements
// [note.Verifier]. The zero Verifier accepts nothing.
type Verifier struct {
	name   string
	id     uint32
	vkey   string
	public signer.PublicKey
	ecdsa  *ecdsa.PublicKey // nil for Ed25519
}

var _ note.Verifier = (*Verifier)(nil)

// NewVerifier returns the verifier of notes signed under a name, which for a
// journal is [Origin]. The key must be Ed25519 or P-256.
func NewVerifier(name string, pub signer.PublicKey) (*Verifier, error) {
	if !validName(name) {
		return nil, fmt.Errorf("verifier key: name %q: want valid UTF-8 without spaces, control characters or '+'", name)
	}
	v := &Verifier{name: name, public: signer.PublicKey{Algorithm: pub.Algorithm, Bytes: bytes.Clone(pub.Bytes)}}
	var encoded []byte
	switch pub.Algorithm {
	case signer.AlgorithmEd25519:
		if len(pub.Bytes) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("verifier key: an ed25519 key has %d bytes; this one has %d", ed25519.PublicKeySize, len(pub.Bytes))
		}
		encoded = append([]byte{typeEd25519}, pub.Bytes...)
		// Signed-note, "Ed25519 signatures": SHA-256(name || 0x0A || 0x01 || key)[:4].
		v.id = keyID([]byte(name), []byte{'\n'}, encoded)
	case signer.AlgorithmP256:
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), pub.Bytes)
		if err != nil {
			return nil, fmt.Errorf("verifier key: p256 key: %w", err)
		}
		spki, err := pub.SPKI()
		if err != nil {
			return nil, fmt.Errorf("verifier key: %w", err)
		}
		v.ecdsa = key
		encoded = append([]byte{typeECDSA}, spki...)
		// Signed-note, "Signature types", 0x02: the truncated SHA-256 of the SPKI.
		v.id = keyID(spki)
	default:
		return nil, fmt.Errorf("verifier key: algorithm %q cannot sign checkpoints; use an ed25519 or p256 key", pub.Algorithm)
	}
	v.vkey = fmt.Sprintf("%s+%08x+%s", name, v.id, base64.StdEncoding.EncodeToString(encoded))
	return v, nil
}

// ParseVerifier reads a vkey, the text that tells people which key to trust:
// name+keyid+base64(type || key).
func ParseVerifier(vkey string) (*Verifier, error) {
	name, rest, ok1 := strings.Cut(vkey, "+")
	_, b64, ok2 := strings.Cut(rest, "+")
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("verifier key %q: want NAME+KEYID+KEY", vkey)
	}
	encoded, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(encoded) < 2 {
		return nil, fmt.Errorf("verifier key %q: the part after the second '+' is not base64 of a key", vkey)
	}
	var pub signer.PublicKey
	switch encoded[0] {
	case typeEd25519:
		pub = signer.PublicKey{Algorithm: signer.AlgorithmEd25519, Bytes: encoded[1:]}
	case typeECDSA:
		if pub, err = p256FromSPKI(encoded[1:]); err != nil {
			return nil, fmt.Errorf("verifier key %q: %w", vkey, err)
		}
	default:
		return nil, fmt.Errorf("verifier key %q: signature type 0x%02x; want 0x01 (Ed25519) or 0x02 (ECDSA P-256)", vkey, encoded[0])
	}
	v, err := NewVerifier(name, pub)
	if err != nil {
		return nil, err
	}
	if v.vkey != vkey {
		return nil, fmt.Errorf("verifier key %q: altered or mistyped; this name and key give %q", vkey, v.vkey)
	}
	return v, nil
}

func p256FromSPKI(der []byte) (signer.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return signer.PublicKey{}, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return signer.PublicKey{}, errors.New("a key of signature type 0x02 must be P-256 here")
	}
	point, err := key.Bytes()
	if err != nil {
		return signer.PublicKey{}, err
	}
	return signer.PublicKey{Algorithm: signer.AlgorithmP256, Bytes: point}, nil
}

// Name is the name of the key, for a journal its origin.
func (v *Verifier) Name() string { return v.name }

// KeyHash is the key id of signed-note.
func (v *Verifier) KeyHash() uint32 { return v.id }

// String is the vkey; [ParseVerifier] is its inverse.
func (v *Verifier) String() string { return v.vkey }

// Public is the key itself.
func (v *Verifier) Public() signer.PublicKey { return v.public }

// Verify reports whether sig, in the note's encoding, is a signature of text.
func (v *Verifier) Verify(text, sig []byte) bool {
	switch {
	case v.ecdsa != nil:
		sum := sha256.Sum256(text)
		return ecdsa.VerifyASN1(v.ecdsa, sum[:], sig)
	case v.public.Algorithm == signer.AlgorithmEd25519:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(v.public.Bytes, text, sig)
	default:
		return false
	}
}

// noteEncoding turns a signature as devices make it (64 bytes: r || s for ECDSA)
// into the encoding of a note (DER for ECDSA).
func (v *Verifier) noteEncoding(raw []byte) ([]byte, error) {
	if len(raw) != 64 {
		return nil, fmt.Errorf("the signature has %d bytes; want 64", len(raw))
	}
	if v.ecdsa == nil {
		return raw, nil
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
}

func keyID(parts ...[]byte) uint32 {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return binary.BigEndian.Uint32(sum[:])
}

// validName is signed-note's rule for key names, and no control characters, which
// could not stand in the note's text.
func validName(s string) bool {
	bad := func(r rune) bool { return r == '+' || r < 0x20 || unicode.IsSpace(r) }
	return s != "" && utf8.ValidString(s) && strings.IndexFunc(s, bad) < 0
}

// Package digest takes 32, 48 or 64 bytes that somebody else hashed. Nobody can say
// what signing them does, so the intent is opaque and incomplete, and only a key
// that accepts nothing else will sign one: the digest of a transaction would
// otherwise pass every rule that reads transactions.
//
// How long a digest is follows from the key: 32 bytes for secp256k1 and P-256, 48
// for P-384, 64 for P-521. An RSA key signs all three, with the padding that it is
// configured for.
package digest

import (
	"bytes"
	"encoding/hex"
	"slices"

	"github.com/sealward/sealward/signer"
)

// WarnOpaque is the code of the warning that every digest carries.
const WarnOpaque = "digest_opaque"

// Decoder decodes kind "digest": 32, 48 or 64 bytes, or 0x and twice as many
// hexadecimal digits.
type Decoder struct{}

var _ signer.Decoder = Decoder{}

// Version implements [signer.Decoder].
func (Decoder) Version() string { return "digest/2" }

// Decode implements [signer.Decoder].
func (Decoder) Decode(payload []byte, key signer.KeyInfo, _ signer.Book) (signer.Intent, error) {
	if !slices.Equal(key.Kinds, []signer.Kind{signer.KindDigest}) {
		return signer.Intent{}, signer.Invalid(
			"digest: key %q accepts other kinds too, and a digest could be that of any of them; use a key whose only kind is %q", key.Name, signer.KindDigest)
	}
	in, sum, err := meaning(payload)
	if err != nil {
		return signer.Intent{}, err
	}
	scheme, err := schemeOf(key, len(sum))
	if err != nil {
		return signer.Intent{}, err
	}
	in.Messages = []signer.Message{{Scheme: scheme, Bytes: sum}}
	return in, nil
}

// Preview shows a digest to people who have no key: it has no message to sign.
func (Decoder) Preview(payload []byte, _ string, _ signer.Book) (signer.Intent, error) {
	in, _, err := meaning(payload)
	return in, err
}

func meaning(payload []byte) (signer.Intent, []byte, error) {
	sum, err := parse(payload)
	if err != nil {
		return signer.Intent{}, nil, err
	}
	in := signer.Intent{
		Kind:     signer.KindDigest,
		Complete: false,
		Effects:  []signer.Effect{{Class: signer.ClassOpaque, Quantity: signer.Quantity{Kind: signer.QuantityUnknown}}},
		Fields:   []signer.Field{{Name: "digest", Value: "0x" + hex.EncodeToString(sum)}},
		Warnings: []signer.Warning{{Code: WarnOpaque, Severity: signer.SeverityDanger,
			Text: "a hash of unknown content: the signature could move everything that this key controls"}},
	}
	// What a second device compares has 32 bytes. A longer digest is compared as the
	// field, which is all of it; a hash of the hash would be one more thing to trust.
	if len(sum) == 32 {
		in.Digests = []signer.Digest{{Name: "digest", Value: [32]byte(sum)}}
	}
	return in, sum, nil
}

// Recognises implements [signer.Decoder]: any 32 bytes can be a digest, so none is
// taken for one.
func (Decoder) Recognises([]byte) bool { return false }

// Assemble implements [signer.Decoder]: the signature is the artefact.
func (Decoder) Assemble([]byte, signer.KeyInfo, [][]byte) ([]byte, error) { return nil, nil }

// schemeOf returns the scheme by which a key signs a digest of a length.
func schemeOf(key signer.KeyInfo, length int) (signer.Scheme, error) {
	a := key.Public.Algorithm
	switch {
	case a == signer.AlgorithmEd25519:
		// RFC 8032, 5.1.6: Ed25519 hashes the message itself, so a digest given to it
		// is a message, and the result no signature of the content.
		return "", signer.Invalid("digest: an Ed25519 key signs messages, not digests: the digest would be the message; send the content with its own kind")
	case a == signer.AlgorithmRSA && key.Padding == "":
		return "", signer.Invalid("digest: key %q is an RSA key without a padding, so it does not say how it signs; its configuration must name %q or %q", key.Name, signer.PaddingPSS, signer.PaddingPKCS1)
	}
	if s, ok := signer.SchemeFor(a, key.Padding, length); ok {
		return s, nil
	}
	for _, other := range lengths {
		if _, ok := signer.SchemeFor(a, key.Padding, other); ok && a != signer.AlgorithmRSA {
			return "", signer.Invalid("digest: it has %d bytes; a key of algorithm %q signs digests of %d", length, a, other)
		}
	}
	return "", signer.Invalid("digest: a key of algorithm %q with padding %q does not sign digests of %d bytes", a, key.Padding, length)
}

// lengths are those that a digest can have: of SHA-256 or Keccak-256, SHA-384 and
// SHA-512.
var lengths = []int{32, 48, 64}

// parse reads the bytes or the text of a digest. No length is one of both.
func parse(payload []byte) ([]byte, error) {
	digits, isText := bytes.CutPrefix(payload, []byte("0x"))
	switch {
	case (len(payload) == 48 || len(payload) == 64) && hexadecimal(digits):
		// No longer hash looks like this by chance (2^-155), but the text of a shorter
		// one does, without its 0x or cut short, and would be signed as something else.
		return nil, signer.Invalid("digest: a text of %d hexadecimal digits; want 64, 96 or 128 of them after 0x, or the bytes themselves", len(digits))
	case slices.Contains(lengths, len(payload)):
		return bytes.Clone(payload), nil
	case !isText || !slices.Contains(lengths, len(digits)/2) || len(digits)%2 != 0:
		return nil, signer.Invalid("digest: %d bytes; want 32, 48 or 64, or 0x and 64, 96 or 128 hexadecimal digits", len(payload))
	}
	sum := make([]byte, len(digits)/2)
	if _, err := hex.Decode(sum, digits); err != nil {
		return nil, signer.Invalid("digest as hexadecimal text: %v", err)
	}
	return sum, nil
}

func hexadecimal(text []byte) bool {
	_, err := hex.DecodeString(string(text))
	return err == nil
}

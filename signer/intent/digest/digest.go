// Package digest takes 32 bytes that somebody else hashed. Nobody can say what
// signing them does, so the intent is opaque and incomplete, and only a key that
// accepts nothing else will sign one: the digest of a transaction would otherwise
// pass every rule that reads transactions.
package digest

import (
	"bytes"
	"encoding/hex"
	"slices"

	"github.com/sealward/sealward/signer"
)

// WarnOpaque is the code of the warning that every digest carries.
const WarnOpaque = "digest_opaque"

// Decoder decodes kind "digest": 32 bytes, or 0x and 64 hexadecimal digits.
type Decoder struct{}

var _ signer.Decoder = Decoder{}

// Version implements [signer.Decoder].
func (Decoder) Version() string { return "digest/1" }

// Decode implements [signer.Decoder].
func (Decoder) Decode(payload []byte, key signer.KeyInfo, _ signer.Book) (signer.Intent, error) {
	scheme, err := schemeOf(key.Public.Algorithm)
	if err != nil {
		return signer.Intent{}, err
	}
	if !slices.Equal(key.Kinds, []signer.Kind{signer.KindDigest}) {
		return signer.Intent{}, signer.Invalid(
			"digest: key %q accepts other kinds too, and a digest could be that of any of them; use a key whose only kind is %q", key.Name, signer.KindDigest)
	}
	in, sum, err := meaning(payload)
	if err != nil {
		return signer.Intent{}, err
	}
	in.Messages = []signer.Message{{Scheme: scheme, Bytes: sum[:]}}
	return in, nil
}

// Preview shows a digest to people who have no key: it has no message to sign.
func (Decoder) Preview(payload []byte, _ signer.Book) (signer.Intent, error) {
	in, _, err := meaning(payload)
	return in, err
}

func meaning(payload []byte) (signer.Intent, [32]byte, error) {
	sum, err := parse(payload)
	if err != nil {
		return signer.Intent{}, sum, err
	}
	return signer.Intent{
		Kind:     signer.KindDigest,
		Complete: false,
		Effects:  []signer.Effect{{Class: signer.ClassOpaque, Quantity: signer.Quantity{Kind: signer.QuantityUnknown}}},
		Fields:   []signer.Field{{Name: "digest", Value: "0x" + hex.EncodeToString(sum[:])}},
		Warnings: []signer.Warning{{Code: WarnOpaque, Severity: signer.SeverityDanger,
			Text: "a hash of unknown content: the signature could move everything that this key controls"}},
		Digests: []signer.Digest{{Name: "digest", Value: sum}},
	}, sum, nil
}

// Assemble implements [signer.Decoder]: the signature is the artefact.
func (Decoder) Assemble([]byte, signer.KeyInfo, [][]byte) ([]byte, error) { return nil, nil }

func schemeOf(a signer.Algorithm) (signer.Scheme, error) {
	switch a {
	case signer.AlgorithmSecp256k1:
		return signer.SchemeSecp256k1, nil
	case signer.AlgorithmP256:
		return signer.SchemeP256, nil
	case signer.AlgorithmEd25519:
		// RFC 8032, 5.1.6: Ed25519 hashes the message itself, so 32 bytes given to
		// it are a message of 32 bytes, and the result no signature of the content.
		return "", signer.Invalid("digest: an Ed25519 key signs messages, not digests: the digest would be the message; send the content with its own kind")
	default:
		return "", signer.Invalid("digest: a key of algorithm %q does not sign digests of 32 bytes; want %q or %q",
			a, signer.AlgorithmSecp256k1, signer.AlgorithmP256)
	}
}

func parse(payload []byte) (sum [32]byte, err error) {
	digits, isText := bytes.CutPrefix(payload, []byte("0x"))
	switch {
	case len(payload) == len(sum):
		return [32]byte(payload), nil
	case !isText || len(digits) != hex.EncodedLen(len(sum)):
		return sum, signer.Invalid("digest: %d bytes; want 32, or 0x and 64 hexadecimal digits", len(payload))
	}
	if _, err := hex.Decode(sum[:], digits); err != nil {
		return sum, signer.Invalid("digest as hexadecimal text: %v", err)
	}
	return sum, nil
}

package digest_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/digest"
)

// FuzzDigest checks that every accepted payload is the digest that is signed, as
// bytes or as text.
func FuzzDigest(f *testing.F) {
	f.Add(sum[:])
	f.Add([]byte("0x" + hex.EncodeToString(sum[:])))
	f.Add([]byte("0x12"))
	f.Add(bytes.Repeat([]byte{0x30, 0xfe}, 24))
	f.Add([]byte("0x" + strings.Repeat("ab", 64)))
	key := rsaKey(signer.PaddingPSS)
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := digest.Decoder{}.Decode(payload, key, signer.Book{})
		if err != nil {
			return
		}
		signed := in.Messages[0].Bytes
		if text := []byte("0x" + hex.EncodeToString(signed)); !bytes.Equal(payload, signed) && !bytes.Equal(bytes.ToLower(payload), text) {
			t.Errorf("accepted %q, but it signs %x", payload, signed)
		}
	})
}

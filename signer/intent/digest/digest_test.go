package digest_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/digest"
)

var sum = [32]byte{0x30, 0x78, 31: 0xff} // it begins like text

func keyOf(a signer.Algorithm, kinds ...signer.Kind) signer.KeyInfo {
	return signer.KeyInfo{Name: "raw", Public: signer.PublicKey{Algorithm: a}, Kinds: kinds}
}

func rsaKey(p signer.Padding) signer.KeyInfo {
	k := keyOf(signer.AlgorithmRSA, signer.KindDigest)
	k.Padding = p
	return k
}

func TestDigestIsOpaque(t *testing.T) {
	text := hex.EncodeToString(sum[:])
	for name, test := range map[string]struct {
		payload []byte
		key     signer.KeyInfo
		scheme  signer.Scheme
	}{
		"bytes for a secp256k1 key":      {sum[:], keyOf(signer.AlgorithmSecp256k1, signer.KindDigest), signer.SchemeSecp256k1},
		"text for a secp256k1 key":       {[]byte("0x" + text), keyOf(signer.AlgorithmSecp256k1, signer.KindDigest), signer.SchemeSecp256k1},
		"bytes for a P-256 key":          {sum[:], keyOf(signer.AlgorithmP256, signer.KindDigest), signer.SchemeP256},
		"text in upper case for a P-256": {[]byte("0x" + strings.ToUpper(text)), keyOf(signer.AlgorithmP256, signer.KindDigest), signer.SchemeP256},
		"bytes for an RSA key with PSS":  {sum[:], rsaKey(signer.PaddingPSS), signer.SchemePSSSHA256},
		"text for an RSA key with PKCS1": {[]byte("0x" + text), rsaKey(signer.PaddingPKCS1), signer.SchemePKCS1SHA256},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := digest.Decoder{}.Decode(test.payload, test.key, signer.Book{})
			if err != nil {
				t.Fatal(err)
			}
			if in.Complete || in.Kind != signer.KindDigest || len(in.Outflow) != 0 || in.Fee.Kind != signer.QuantityNone {
				t.Errorf("intent = %+v, want it incomplete and without outflow", in)
			}
			if len(in.Effects) != 1 || in.Effects[0].Class != signer.ClassOpaque || in.Effects[0].Quantity.Kind != signer.QuantityUnknown {
				t.Errorf("effects = %+v, want one, opaque and unknown", in.Effects)
			}
			if want := []signer.Message{{Scheme: test.scheme, Bytes: sum[:]}}; !reflect.DeepEqual(in.Messages, want) {
				t.Errorf("messages = %v, want %v", in.Messages, want)
			}
			if want := []signer.Digest{{Name: "digest", Value: sum}}; !reflect.DeepEqual(in.Digests, want) {
				t.Errorf("digests = %v, want %v", in.Digests, want)
			}
			if len(in.Fields) != 1 || in.Fields[0].Value != "0x"+text {
				t.Errorf("fields = %v, want the digest", in.Fields)
			}
			if len(in.Warnings) != 1 || in.Warnings[0].Code != digest.WarnOpaque || in.Warnings[0].Severity != signer.SeverityDanger {
				t.Errorf("warnings = %v, want %s", in.Warnings, digest.WarnOpaque)
			}
		})
	}
}

func TestLongerDigests(t *testing.T) {
	for name, test := range map[string]struct {
		length int
		key    signer.KeyInfo
		scheme signer.Scheme
	}{
		"P-384":                {48, keyOf(signer.AlgorithmP384, signer.KindDigest), signer.SchemeP384},
		"P-521":                {64, keyOf(signer.AlgorithmP521, signer.KindDigest), signer.SchemeP521},
		"RSA, PSS, SHA-384":    {48, rsaKey(signer.PaddingPSS), signer.SchemePSSSHA384},
		"RSA, PSS, SHA-512":    {64, rsaKey(signer.PaddingPSS), signer.SchemePSSSHA512},
		"RSA, PKCS#1, SHA-384": {48, rsaKey(signer.PaddingPKCS1), signer.SchemePKCS1SHA384},
		"RSA, PKCS#1, SHA-512": {64, rsaKey(signer.PaddingPKCS1), signer.SchemePKCS1SHA512},
	} {
		t.Run(name, func(t *testing.T) {
			want := bytes.Repeat([]byte{0x30, 0xfe}, test.length/2)
			text := "0x" + hex.EncodeToString(want)
			for _, payload := range [][]byte{want, []byte(text)} {
				in, err := digest.Decoder{}.Decode(payload, test.key, signer.Book{})
				if err != nil {
					t.Fatal(err)
				}
				if m := []signer.Message{{Scheme: test.scheme, Bytes: want}}; !reflect.DeepEqual(in.Messages, m) {
					t.Errorf("messages = %v, want %v", in.Messages, m)
				}
				if in.Complete || len(in.Fields) != 1 || in.Fields[0].Value != text || len(in.Digests) != 0 {
					t.Errorf("intent = %+v, want all of the digest in a field", in)
				}
			}
		})
	}
}

func TestPreviewHasNothingToSign(t *testing.T) {
	in, err := digest.Decoder{}.Preview(sum[:], "", signer.Book{})
	if err != nil || len(in.Messages) != 0 || in.Complete || in.Effects[0].Class != signer.ClassOpaque {
		t.Errorf("Preview = %+v, %v; want it opaque, without a message", in, err)
	}
	if _, err := (digest.Decoder{}).Preview(sum[:31], "", signer.Book{}); signer.CodeOf(err) != signer.CodeInvalid {
		t.Errorf("Preview error = %v, want code %q", err, signer.CodeInvalid)
	}
}

func TestDigestRefuses(t *testing.T) {
	good := keyOf(signer.AlgorithmSecp256k1, signer.KindDigest)
	for name, test := range map[string]struct {
		payload []byte
		key     signer.KeyInfo
		want    string
	}{
		"nothing":                      {nil, good, "0 bytes; want 32, 48 or 64, or 0x and 64, 96 or 128"},
		"31 bytes":                     {sum[:31], good, "31 bytes; want 32"},
		"33 bytes":                     {append(sum[:], 0), good, "33 bytes; want 32"},
		"64 digits without 0x":         {bytes.Repeat([]byte("a"), 64), good, "a text of 64 hexadecimal digits"},
		"64 digits for a P-521 key":    {bytes.Repeat([]byte("a"), 64), keyOf(signer.AlgorithmP521, signer.KindDigest), "a text of 64 hexadecimal digits"},
		"64 digits for an RSA key":     {bytes.Repeat([]byte("a"), 64), rsaKey(signer.PaddingPSS), "a text of 64 hexadecimal digits"},
		"66 digits without 0x":         {bytes.Repeat([]byte("a"), 66), good, "66 bytes; want 32"},
		"0x and 62 digits for RSA":     {[]byte("0x" + strings.Repeat("a", 62)), rsaKey(signer.PaddingPSS), "a text of 62 hexadecimal digits"},
		"0x and 46 digits for P-384":   {[]byte("0x" + strings.Repeat("a", 46)), keyOf(signer.AlgorithmP384, signer.KindDigest), "a text of 46 hexadecimal digits"},
		"0x and 63 digits":             {[]byte("0x" + strings.Repeat("a", 63)), good, "65 bytes; want 32"},
		"0x and what is no digit":      {[]byte("0x" + strings.Repeat("a", 63) + "g"), good, "digest as hexadecimal text"},
		"a key that does other things": {sum[:], keyOf(signer.AlgorithmSecp256k1, signer.KindDigest, signer.KindEVMTransaction), `key "raw" accepts other kinds too`},
		"a key for something else":     {sum[:], keyOf(signer.AlgorithmSecp256k1, signer.KindEVMTransaction), "use a key whose only kind is \"digest\""},
		"a key for nothing":            {sum[:], keyOf(signer.AlgorithmSecp256k1), "use a key whose only kind is \"digest\""},
		"Ed25519":                      {sum[:], keyOf(signer.AlgorithmEd25519, signer.KindDigest), "the digest would be the message"},
		"32 bytes for P-384":           {sum[:], keyOf(signer.AlgorithmP384, signer.KindDigest), `it has 32 bytes; a key of algorithm "p384" signs digests of 48`},
		"48 bytes for P-521":           {make([]byte, 48), keyOf(signer.AlgorithmP521, signer.KindDigest), "signs digests of 64"},
		"64 bytes for P-256":           {make([]byte, 64), keyOf(signer.AlgorithmP256, signer.KindDigest), "signs digests of 32"},
		"48 bytes for secp256k1":       {make([]byte, 48), good, "signs digests of 32"},
		"20 bytes for RSA":             {make([]byte, 20), rsaKey(signer.PaddingPKCS1), "20 bytes; want 32"},
		"RSA without a padding":        {sum[:], rsaKey(""), `must name "pss" or "pkcs1"`},
		"RSA with another padding":     {sum[:], rsaKey("oaep"), `padding "oaep" does not`},
		"no key":                       {sum[:], signer.KeyInfo{Kinds: []signer.Kind{signer.KindDigest}}, `algorithm "" with padding "" does not`},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := digest.Decoder{}.Decode(test.payload, test.key, signer.Book{})
			if signer.CodeOf(err) != signer.CodeInvalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Decode error = %v, want code %q and %q", err, signer.CodeInvalid, test.want)
			}
			if len(in.Messages) != 0 {
				t.Errorf("a refused payload came with a message to sign: %x", in.Messages[0].Bytes)
			}
		})
	}
}

func TestSignatureIsTheArtefact(t *testing.T) {
	out, err := digest.Decoder{}.Assemble(sum[:], signer.KeyInfo{}, [][]byte{make([]byte, 65)})
	if out != nil || err != nil {
		t.Errorf("Assemble = %x, %v; want nothing", out, err)
	}
}

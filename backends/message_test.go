package backends_test

import (
	"strings"
	"testing"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/signer"
)

func TestCheckMessage(t *testing.T) {
	of := func(s signer.Scheme, n int) signer.Message { return signer.Message{Scheme: s, Bytes: make([]byte, n)} }
	for name, c := range map[string]struct {
		algorithm signer.Algorithm
		message   signer.Message
		ok        bool
		want      string // empty: accepted
	}{
		"secp256k1":                          {signer.AlgorithmSecp256k1, of(signer.SchemeSecp256k1, 32), true, ""},
		"P-256":                              {signer.AlgorithmP256, of(signer.SchemeP256, 32), true, ""},
		"P-384":                              {signer.AlgorithmP384, of(signer.SchemeP384, 48), true, ""},
		"P-521":                              {signer.AlgorithmP521, of(signer.SchemeP521, 64), true, ""},
		"Ed25519, whole message":             {signer.AlgorithmEd25519, of(signer.SchemeEd25519, 1000), true, ""},
		"RSA with PSS":                       {signer.AlgorithmRSA, of(signer.SchemePSSSHA384, 48), true, ""},
		"RSA with PKCS#1":                    {signer.AlgorithmRSA, of(signer.SchemePKCS1SHA512, 64), true, ""},
		"never authorised":                   {signer.AlgorithmP256, of(signer.SchemeP256, 32), false, "never authorised"},
		"no scheme":                          {signer.AlgorithmP256, of("", 32), true, "unknown signature scheme"},
		"a scheme that does not exist":       {signer.AlgorithmRSA, of("rsa-pkcs1-sha1", 20), true, "unknown signature scheme"},
		"another curve's scheme":             {signer.AlgorithmP384, of(signer.SchemeP256, 32), true, `algorithm "p384" cannot sign`},
		"no algorithm":                       {"", of(signer.SchemeP256, 32), true, `algorithm "" cannot sign`},
		"a prehash of another curve":         {signer.AlgorithmP384, of(signer.SchemeP384, 32), true, "32 bytes; want 48"},
		"a prehash longer than the curve's":  {signer.AlgorithmP256, of(signer.SchemeP256, 64), true, "64 bytes; want 32"},
		"a message in place of a prehash":    {signer.AlgorithmRSA, of(signer.SchemePSSSHA256, 1000), true, "1000 bytes; want 32"},
		"an RSA prehash of another function": {signer.AlgorithmRSA, of(signer.SchemePKCS1SHA256, 48), true, "48 bytes; want 32"},
	} {
		t.Run(name, func(t *testing.T) {
			err := backends.CheckMessage(c.algorithm, c.message, c.ok)
			code := signer.CodeInvalid
			if !c.ok {
				code = signer.CodeInternal
			}
			if err != nil && signer.CodeOf(err) != code {
				t.Errorf("CheckMessage = %v, want code %q", err, code)
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("CheckMessage = %v, want %q", err, c.want)
			}
		})
	}
}

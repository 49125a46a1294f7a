package scheme_test

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// vectors is the part of a Wycheproof file that the tests need.
type vectors struct {
	TestGroups []struct {
		PublicKey struct {
			Uncompressed string `json:"uncompressed"`   // ECDSA
			PK           string `json:"pk"`             // EdDSA
			Exponent     string `json:"publicExponent"` // RSA
		} `json:"publicKey"`
		RSA     string `json:"publicKeyAsn"` // RSAPublicKey
		KeySize int    `json:"keySize"`
		Salt    int    `json:"sLen"`
		Tests   []struct {
			ID      int    `json:"tcId"`
			Comment string `json:"comment"`
			Msg     string `json:"msg"`
			Sig     string `json:"sig"`
			Result  string `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// overflows are the signatures on secp256k1 whose x is not below the order. They
// verify, but need a recovery id above 1, which the scheme does not have.
var overflows = map[string]bool{
	"k*G has a large x-coordinate":                                 true,
	"r = 2, x = n + 2 is the smallest possible x with a reduction": true,
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWycheproof(t *testing.T) {
	for file, c := range map[string]struct {
		scheme signer.Scheme
		least  int // vectors, so that an empty file is noticed
	}{
		"ecdsa_secp256r1_sha256_p1363_test.json": {signer.SchemeP256, 200},
		"ecdsa_secp256k1_sha256_p1363_test.json": {signer.SchemeSecp256k1, 200},
		"ecdsa_secp384r1_sha384_p1363_test.json": {signer.SchemeP384, 200},
		"ecdsa_secp521r1_sha512_p1363_test.json": {signer.SchemeP521, 200},
		"ed25519_test.json":                      {signer.SchemeEd25519, 100},
		"rsa_signature_2048_sha256_test.json":    {signer.SchemePKCS1SHA256, 200},
		"rsa_signature_2048_sha384_test.json":    {signer.SchemePKCS1SHA384, 200},
		"rsa_signature_3072_sha384_test.json":    {signer.SchemePKCS1SHA384, 200},
		"rsa_signature_3072_sha512_test.json":    {signer.SchemePKCS1SHA512, 200},
		"rsa_signature_4096_sha512_test.json":    {signer.SchemePKCS1SHA512, 200},
		"rsa_signature_8192_sha512_test.json":    {signer.SchemePKCS1SHA512, 200},
		"rsa_pss_2048_sha256_mgf1_32_test.json":  {signer.SchemePSSSHA256, 100},
		"rsa_pss_3072_sha256_mgf1_32_test.json":  {signer.SchemePSSSHA256, 100},
		"rsa_pss_4096_sha384_mgf1_48_test.json":  {signer.SchemePSSSHA384, 100},
		"rsa_pss_4096_sha512_mgf1_64_test.json":  {signer.SchemePSSSHA512, 100},
		"rsa_pss_4096_sha512_mgf1_32_test.json":  {signer.SchemePSSSHA512, 100}, // a salt of another length
	} {
		t.Run(file, func(t *testing.T) {
			data, err := fs.ReadFile(wycheproof.TestVectors, file)
			if err != nil {
				t.Fatal(err)
			}
			var vs vectors
			if err := json.Unmarshal(data, &vs); err != nil {
				t.Fatal(err)
			}
			var v scheme.Verifier
			count := 0
			for _, g := range vs.TestGroups {
				f, _ := c.scheme.Facts()
				pub := signer.PublicKey{Algorithm: f.Algorithm, Bytes: unhex(t, g.PublicKey.Uncompressed+g.PublicKey.PK+g.RSA)}
				// We are stricter than the vectors with the keys and salts of RSA.
				refused := f.Algorithm == signer.AlgorithmRSA && (g.PublicKey.Exponent == "03" || g.KeySize > 4096 || f.Padding == signer.PaddingPSS && g.Salt != f.Prehash)
				for _, tc := range g.Tests {
					count++
					m := signer.Message{Scheme: c.scheme, Bytes: hashFor(t, c.scheme, unhex(t, tc.Msg))}
					sig, err := v.Finish(pub, m, unhex(t, tc.Sig))
					want := tc.Result == "valid" && !refused && (c.scheme != signer.SchemeSecp256k1 || !overflows[tc.Comment])
					if (err == nil) != want {
						t.Errorf("vector %d (%s) is %s; Finish error = %v", tc.ID, tc.Comment, tc.Result, err)
					}
					if err != nil {
						continue
					}
					if err := scheme.Verify(pub, m, sig); err != nil {
						t.Errorf("vector %d (%s): Verify of what Finish made: %v", tc.ID, tc.Comment, err)
					}
				}
			}
			if count < c.least {
				t.Errorf("%d vectors; want at least %d", count, c.least)
			}
		})
	}
}

package scheme_test

import (
	"crypto/sha256"
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
			Uncompressed string `json:"uncompressed"` // ECDSA
			PK           string `json:"pk"`           // EdDSA
		} `json:"publicKey"`
		Tests []struct {
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
		algorithm signer.Algorithm
		scheme    signer.Scheme
		least     int // vectors, so that an empty file is noticed
	}{
		"ecdsa_secp256r1_sha256_p1363_test.json": {signer.AlgorithmP256, signer.SchemeP256, 200},
		"ecdsa_secp256k1_sha256_p1363_test.json": {signer.AlgorithmSecp256k1, signer.SchemeSecp256k1, 200},
		"ed25519_test.json":                      {signer.AlgorithmEd25519, signer.SchemeEd25519, 100},
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
				pub := signer.PublicKey{Algorithm: c.algorithm, Bytes: unhex(t, g.PublicKey.Uncompressed+g.PublicKey.PK)}
				for _, tc := range g.Tests {
					count++
					m := signer.Message{Scheme: c.scheme, Bytes: unhex(t, tc.Msg)}
					if c.scheme != signer.SchemeEd25519 {
						sum := sha256.Sum256(m.Bytes)
						m.Bytes = sum[:]
					}
					sig, err := v.Finish(pub, m, unhex(t, tc.Sig))
					want := tc.Result == "valid" && (c.scheme != signer.SchemeSecp256k1 || !overflows[tc.Comment])
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

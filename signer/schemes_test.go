package signer

import "testing"

func TestSchemeForIsTheInverseOfFacts(t *testing.T) {
	if len(schemeFacts) != 11 {
		t.Errorf("there are %d schemes; key.go has 11", len(schemeFacts))
	}
	for s := range schemeFacts {
		f, ok := s.Facts()
		if got, found := SchemeFor(f.Algorithm, f.Padding, f.Prehash); !ok || !found || got != s {
			t.Errorf("SchemeFor(%+v) = %q, %v; want %q", f, got, found, s)
		}
		if (f.Algorithm == AlgorithmRSA) != (f.Padding != "") {
			t.Errorf("%q has padding %q", s, f.Padding)
		}
	}
}

func TestThereIsNoSchemeFor(t *testing.T) {
	for name, c := range map[string]SchemeFacts{
		"an RSA key without a padding":          {AlgorithmRSA, "", 32},
		"a padding that is none":                {AlgorithmRSA, "oaep", 32},
		"a curve with a padding":                {AlgorithmP256, PaddingPSS, 32},
		"a prehash longer than the curve's":     {AlgorithmP256, "", 48},
		"a prehash shorter than the curve's":    {AlgorithmP521, "", 48},
		"a prehash for Ed25519":                 {AlgorithmEd25519, "", 32},
		"SHA-1":                                 {AlgorithmRSA, PaddingPKCS1, 20},
		"no algorithm":                          {"", "", 32},
		"an algorithm that is none and no hash": {},
	} {
		t.Run(name, func(t *testing.T) {
			if s, ok := SchemeFor(c.Algorithm, c.Padding, c.Prehash); ok || s != "" {
				t.Errorf("SchemeFor = %q, %v; want none", s, ok)
			}
		})
	}
	if _, ok := Scheme("rsa-pkcs1-sha1").Facts(); ok {
		t.Error("a scheme that does not exist has facts")
	}
}

package signer

// SchemeFacts is what a scheme fixes.
type SchemeFacts struct {
	Algorithm Algorithm // of the keys that sign with it
	Padding   Padding   // of those keys, for RSA
	// Prehash is how many bytes [Message].Bytes has; 0 for a scheme that signs whole
	// messages, of any length.
	Prehash int
}

// schemeFacts has every scheme. What is not in it does not exist.
var schemeFacts = map[Scheme]SchemeFacts{
	SchemeSecp256k1:   {AlgorithmSecp256k1, "", 32},
	SchemeP256:        {AlgorithmP256, "", 32},
	SchemeP384:        {AlgorithmP384, "", 48},
	SchemeP521:        {AlgorithmP521, "", 64},
	SchemeEd25519:     {AlgorithmEd25519, "", 0},
	SchemePSSSHA256:   {AlgorithmRSA, PaddingPSS, 32},
	SchemePSSSHA384:   {AlgorithmRSA, PaddingPSS, 48},
	SchemePSSSHA512:   {AlgorithmRSA, PaddingPSS, 64},
	SchemePKCS1SHA256: {AlgorithmRSA, PaddingPKCS1, 32},
	SchemePKCS1SHA384: {AlgorithmRSA, PaddingPKCS1, 48},
	SchemePKCS1SHA512: {AlgorithmRSA, PaddingPKCS1, 64},
}

// Facts returns what the scheme fixes, or false for a scheme that does not exist.
func (s Scheme) Facts() (SchemeFacts, bool) {
	f, ok := schemeFacts[s]
	return f, ok
}

// SchemeFor returns the one scheme with which a key of an algorithm and, for RSA, a
// padding signs a prehash of a length, or false where there is none.
func SchemeFor(a Algorithm, p Padding, prehash int) (Scheme, bool) {
	for s, f := range schemeFacts {
		if f == (SchemeFacts{a, p, prehash}) {
			return s, true
		}
	}
	return "", false
}

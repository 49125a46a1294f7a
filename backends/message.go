package backends

import "github.com/sealward/sealward/signer"

// schemes says which algorithm a scheme signs with.
var schemes = map[signer.Scheme]signer.Algorithm{
	signer.SchemeSecp256k1: signer.AlgorithmSecp256k1,
	signer.SchemeP256:      signer.AlgorithmP256,
	signer.SchemeEd25519:   signer.AlgorithmEd25519,
}

// CheckMessage refuses what a key of an algorithm must not sign. Every backend
// calls it on the two results of [signer.Authorized.Message] or
// [signer.Statement.Message] before anything reaches the device.
func CheckMessage(a signer.Algorithm, m signer.Message, ok bool) error {
	want, known := schemes[m.Scheme]
	switch {
	case !ok:
		return &signer.Error{Code: signer.CodeInternal, Detail: "a key was asked to sign what was never authorised"}
	case !known:
		return signer.Invalid("unknown signature scheme %q", m.Scheme)
	case want != a:
		return signer.Invalid("a key of algorithm %q cannot sign with scheme %q", a, m.Scheme)
	case a != signer.AlgorithmEd25519 && len(m.Bytes) != 32:
		// A longer prehash would be cut silently (FIPS 186-5, 6.4.1), a shorter one
		// is no hash that we know.
		return signer.Invalid("the prehash for scheme %q has %d bytes; want 32", m.Scheme, len(m.Bytes))
	}
	return nil
}

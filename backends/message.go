package backends

import "github.com/sealward/sealward/signer"

// CheckMessage refuses what a key of an algorithm must not sign. Everything that
// implements [signer.Key] calls it on the two results of
// [signer.Authorized.Message] or [signer.Statement.Message] before anything reaches
// a device. Which of the paddings an RSA key signs with is its configuration's
// matter, and its decoder's.
func CheckMessage(a signer.Algorithm, m signer.Message, ok bool) error {
	scheme, known := m.Scheme.Facts()
	switch {
	case !ok:
		return &signer.Error{Code: signer.CodeInternal, Detail: "a key was asked to sign what was never authorised"}
	case !known:
		return signer.Invalid("unknown signature scheme %q", m.Scheme)
	case scheme.Algorithm != a:
		return signer.Invalid("a key of algorithm %q cannot sign with scheme %q", a, m.Scheme)
	case scheme.Prehash != 0 && len(m.Bytes) != scheme.Prehash:
		// A longer prehash would be cut silently (FIPS 186-5, 6.4.1), a shorter one
		// is no hash that we know.
		return signer.Invalid("the prehash for scheme %q has %d bytes; want %d", m.Scheme, len(m.Bytes), scheme.Prehash)
	}
	return nil
}

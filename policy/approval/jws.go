package approval

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/sealward/sealward/signer"
)

// payload returns that of a JWS in compact serialization (RFC 7515, 7.1). It checks the
// form of all three parts.
func payload(jws string) ([]byte, error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("approval: its JWS has %d parts; want the compact serialization, header.payload.signature", len(parts))
	}
	var middle []byte
	for i, name := range []string{"header", "payload", "signature"} {
		b, err := unbase64(parts[i])
		if err != nil {
			return nil, fmt.Errorf("approval: the %s of its JWS %w", name, err)
		}
		if i == 1 {
			middle = b
		}
	}
	return middle, nil
}

// unbase64 reads base64url without padding (RFC 7515, 2) in its one encoding: no line
// feeds, which encoding/base64 skips, and no bits left over.
func unbase64(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	switch {
	case err != nil || base64.RawURLEncoding.EncodeToString(b) != s:
		return nil, errors.New("is not base64url as RFC 7515 has it: without padding, line feeds or bits left over")
	case len(b) == 0:
		return nil, errors.New("is empty")
	}
	return b, nil
}

// protected is the one header of a JWS with which a key signs an approval, encoded.
func protected(alg, kid string) string {
	header := `{"alg":` + quote(alg) + `,"kid":` + quote(kid) + `,"typ":` + quote(signer.ApprovalJWSType) + `}`
	return base64.RawURLEncoding.EncodeToString([]byte(header))
}

// verifyJWS checks a JWS whose payload was read already. Its algorithm is one of the key's
// own: the header is compared with the one that the key makes, and never interpreted.
func (k key) verifyJWS(jws string, a signer.Approval) error {
	algorithms := k.algorithms()
	switch {
	case k.ssh != nil:
		return errors.New("it is a JWS, and this key is enrolled as an SSH key; sign with ssh-keygen -Y sign")
	case algorithms == nil:
		return fmt.Errorf("the enrolled certificate has a key of a kind (%T) that signs no approvals; enrol one for P-256, P-384, P-521, Ed25519 or RSA", k.cert)
	}
	if err := strong(k.cert); err != nil {
		return err
	}
	header, _, _ := strings.Cut(jws, ".")
	i := slices.IndexFunc(algorithms, func(alg string) bool { return protected(alg, a.Device) == header })
	if i < 0 {
		got, _ := unbase64(header)
		return fmt.Errorf("the header of its JWS is %.300q; want exactly %q, where alg is %s",
			got, `{"alg":"...","kid":"`+a.Device+`","typ":"`+signer.ApprovalJWSType+`"}`, strings.Join(algorithms, " or "))
	}
	object, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithms[i])})
	if err != nil {
		return fmt.Errorf("its JWS cannot be read: %w", err)
	}
	if _, err := object.Verify(k.cert); err != nil || !saltFits(k.cert, algorithms[i], jws) {
		return errors.New("the signature is not by this key over this text; what was signed was changed, or another key signed it")
	}
	return nil
}

// saltFits checks what go-jose leaves open: the salt of PS256 is as long as its hash (RFC
// 7518, 3.5).
func saltFits(pub any, alg, jws string) bool {
	k, ok := pub.(*rsa.PublicKey)
	if !ok || alg != "PS256" {
		return true
	}
	end := strings.LastIndexByte(jws, '.')
	sig, err := unbase64(jws[end+1:])
	sum := sha256.Sum256([]byte(jws[:end]))
	return err == nil && rsa.VerifyPSS(k, crypto.SHA256, sum[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

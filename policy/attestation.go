package policy

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// attestation is what is asked of the keys of certificates: that a PIV token says to have
// made it, one for which a root vouches. It says nothing of SSH keys.
type attestation struct {
	roots      []string // SHA-256 of the certificates
	touch, pin string   // as in the file; empty: not asked for

	certificates []*x509.Certificate // the roots
}

var attestationSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "roots", Required: true}, {Name: "touch"}, {Name: "pin"},
}}

func (l *loader) attestation(b *hcl.Block) {
	content := l.body(b.Body, attestationSchema)
	t := &attestation{}
	l.people.attestation = t
	for name, a := range content.Attributes {
		switch name {
		case "roots":
			for _, i := range l.list(a.Expr) {
				l.root(t, i)
			}
		case "touch":
			t.touch = l.choice(a, []string{"always", "cached"})
		case "pin":
			t.pin = l.choice(a, []string{"always", "once"})
		}
	}
}

// root reads the certificates of those who vouch for tokens.
func (l *loader) root(t *attestation, file item) {
	name, ok := l.validName("roots", file)
	if !ok {
		return
	}
	if l.env.Files == nil {
		l.fail(file.at, "%s cannot be read: this file is read by itself here", name)
		return
	}
	src, err := l.env.Files(name)
	if err != nil {
		l.fail(file.at, "read %s: %v; put the file in the folder of the policy, or correct its name", name, err)
		return
	}
	certs, err := certificates(src)
	if err != nil {
		l.fail(file.at, "%s %v", name, err)
		return
	}
	for _, c := range certs {
		if !c.IsCA || !c.BasicConstraintsValid {
			l.fail(file.at, "%s has the certificate of %q, which vouches for nobody (it is not one of an authority); name the root, or the intermediate, that signs the certificates of the tokens", name, clip(c.Subject.String()))
			continue
		}
		sum := sha256.Sum256(c.Raw)
		t.roots = append(t.roots, hex.EncodeToString(sum[:]))
		t.certificates = append(t.certificates, c)
	}
	l.keep(name, src, file.at)
}

// attested checks the attestation of a device's key, and returns the serial number of the
// token that it is in.
func (l *loader) attested(o owned, cert *x509.Certificate, certificate, a *hcl.Attribute) (serial int64, ok bool) {
	t := l.people.attestation
	switch {
	case t == nil && a == nil:
		return 0, true
	case t == nil:
		l.fail(a.NameRange, "%s names an attestation, and the policy does not say whose word counts; write a block attestation { roots = [\"approvers/yubico-piv-root.pem\"] } at the top", o)
		return 0, false
	case len(t.certificates) == 0: // which was said
		return 0, false
	case a == nil:
		l.fail(certificate.NameRange, "%s has a certificate without an attestation, and the block attestation demands one of every certificate; write attestation = \"approvers/alice-attestation.pem\", made with: yubico-piv-tool -a attest -s 9c, and behind it the certificate of slot f9", o)
		return 0, false
	}
	name, src, ok := l.deviceFile(o, a, "the attestation")
	if !ok {
		return 0, false
	}
	chain, err := certificates(src)
	if err == nil && len(chain) != 2 {
		err = fmt.Errorf("holds %d %s; want two: the attestation of the slot, and behind it the token's own certificate, that of slot f9", len(chain), plural(len(chain), "certificate"))
	}
	if err == nil {
		serial, err = t.verify(cert, chain[0], chain[1])
	}
	if err != nil {
		l.fail(a.Expr.Range(), "%s: %s %v", o, name, err)
		return 0, false
	}
	switch other, taken := l.cards[serial]; {
	case taken && other.approver == o.approver:
		l.fail(a.Expr.Range(), "%s and %s are in one token, that with serial number %d, which makes them one device; enrol a key of another token, or remove one of the two", other, o, serial)
	case taken:
		l.fail(a.Expr.Range(), "%s and %s are in one token, that with serial number %d, and one token is one person's; enrol a token of each person's own", other, o, serial)
	default:
		l.cards[serial] = o
	}
	l.keep(name, src, a.Expr.Range())
	return serial, true
}

// Yubico's extensions of an attestation certificate
// (https://developers.yubico.com/PIV/Introduction/PIV_attestation.html).
var (
	extensionSerial = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}
	extensionPolicy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8}
)

func extension(c *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

// verify checks that a root vouches for a token that says it made the key of a
// certificate, and for what is asked of the key. Signatures are checked, and no dates: a
// policy has no clock, and what a token said of its key stays so.
func (t *attestation) verify(of, slot, token *x509.Certificate) (serial int64, err error) {
	policy := extension(slot, extensionPolicy)
	switch {
	case extension(token, extensionPolicy) != nil && policy == nil:
		return 0, errors.New("has its two certificates in the wrong order; the attestation of the slot comes first, and behind it the token's own, that of slot f9")
	case extension(token, extensionPolicy) != nil:
		// A key in a slot signs what its holder likes, so its attestation is no
		// certificate of a token.
		return 0, errors.New("has the attestation of a slot in place of the token's own certificate, that of slot f9")
	case len(policy) != 2:
		return 0, errors.New("does not begin with the attestation of a slot, which has Yubico's extension for the PIN and touch policy; make one with: yubico-piv-tool -a attest -s 9c")
	}
	// CheckSignatureFrom would want the token's certificate to be one of an authority,
	// which those of old tokens do not say.
	if err := token.CheckSignature(slot.SignatureAlgorithm, slot.RawTBSCertificate, slot.Signature); err != nil {
		return 0, fmt.Errorf("has an attestation that its second certificate did not sign (%v); take both from one token", err)
	}
	vouches := func(root *x509.Certificate) bool { return token.CheckSignatureFrom(root) == nil }
	if !slices.ContainsFunc(t.certificates, vouches) {
		return 0, fmt.Errorf("is of a token for which no root of the block attestation vouches; its certificate is signed by %q", clip(token.Issuer.String()))
	}
	if !bytes.Equal(slot.RawSubjectPublicKeyInfo, of.RawSubjectPublicKeyInfo) {
		return 0, errors.New("attests another key than that of the certificate; attest the slot whose certificate is named")
	}
	rest, err := asn1.Unmarshal(extension(slot, extensionSerial), &serial)
	if err != nil || len(rest) > 0 || serial <= 0 {
		return 0, errors.New("does not say which token it is of: there is no serial number in it")
	}
	return serial, t.demands(policy[0], policy[1])
}

// The policies of a key, as the extension numbers them.
const (
	pinOnce     = 2
	pinAlways   = 3
	matchOnce   = 4 // by a finger
	matchAlways = 5

	touchAlways = 2
	touchCached = 3
)

// demands checks what a key asks of its holder each time.
func (t *attestation) demands(pin, touch byte) error {
	pins := map[string][]byte{"always": {pinAlways, matchAlways}, "once": {pinAlways, matchAlways, pinOnce, matchOnce}}
	touches := map[string][]byte{"always": {touchAlways}, "cached": {touchAlways, touchCached}}
	switch {
	case t.pin != "" && !slices.Contains(pins[t.pin], pin):
		return fmt.Errorf("is of a key whose PIN policy is less than %q, as the block attestation asks for; make a new key in the token with --pin-policy=%s", t.pin, t.pin)
	case t.touch != "" && !slices.Contains(touches[t.touch], touch):
		return fmt.Errorf("is of a key whose touch policy is less than %q, as the block attestation asks for; make a new key in the token with --touch-policy=%s", t.touch, t.touch)
	}
	return nil
}

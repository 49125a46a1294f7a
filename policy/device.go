package policy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/crypto/ssh"

	"github.com/sealward/sealward/signer"
)

// device is what an approver approves with: a key, by a certificate or as an SSH key.
type device struct {
	name             string
	id               string // as in an approval; names the key
	certificate, ssh []byte // one of the two
	unverified       bool   // of a FIDO key: without a PIN or a finger
	serial           int64  // of the token that attests to have made the key; 0: none does
}

var deviceSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "certificate"}, {Name: "ssh_key"}, {Name: "attestation"}, {Name: "user_verification"},
}}

// device reads one device.
func (l *loader) device(o owned, at hcl.Range, args hcl.Attributes) (d device, ok bool) {
	certificate, key := args["certificate"], args["ssh_key"]
	switch {
	case certificate == nil && key == nil:
		l.fail(at, "%s has no key; write certificate = \"approvers/alice.pem\" or ssh_key = \"approvers/alice.pub\"", o)
		return d, false
	case certificate != nil && key != nil:
		l.fail(key.NameRange, "%s has a certificate and an ssh_key, and a device has one key; write a device block for each", o)
		return d, false
	case key != nil:
		d, ok = l.sshDevice(o, key, args)
	default:
		d, ok = l.certified(o, certificate, args)
	}
	d.name = o.device
	return d, ok
}

// certified reads a device whose key a certificate names. What that says of names and
// dates is not looked at: an approver is a key, for as long as the policy names it.
func (l *loader) certified(o owned, a *hcl.Attribute, args hcl.Attributes) (d device, ok bool) {
	if v := args["user_verification"]; v != nil {
		l.fail(v.NameRange, "%s: user_verification is for FIDO keys of SSH; of a PIV token, ask for pin in the attestation block", o)
	}
	name, src, ok := l.deviceFile(o, a, "the certificate")
	if !ok {
		return d, false
	}
	certs, err := certificates(src)
	if _, isKey := parseSSHKey(src); isKey == nil {
		err = errors.New("is an SSH key; write ssh_key in place of certificate")
	}
	if err == nil && len(certs) != 1 {
		err = errors.New("holds more than one certificate alone; want one, without a chain and without text around it")
	}
	if err != nil {
		l.fail(a.Expr.Range(), "%s: %s %v", o, name, err)
		return d, false
	}
	spki, err := approving(certs[0].PublicKey)
	if err == nil && !bytes.Equal(spki, certs[0].RawSubjectPublicKeyInfo) {
		err = errors.New("writes its public key in another way than it is written in an approval; make the certificate anew")
	}
	if err != nil {
		l.fail(a.Expr.Range(), "%s: %s %v", o, name, err)
		return d, false
	}
	sum := sha256.Sum256(spki)
	d = device{id: "sha256:" + hex.EncodeToString(sum[:]), certificate: certs[0].Raw}
	l.enroll(o, spki, a.Expr.Range())
	l.keep(name, src, a.Expr.Range())
	d.serial, ok = l.attested(o, certs[0], a, args["attestation"])
	return d, ok
}

// sshDevice reads a device whose key is one of SSH.
func (l *loader) sshDevice(o owned, a *hcl.Attribute, args hcl.Attributes) (d device, ok bool) {
	if x := args["attestation"]; x != nil {
		l.fail(x.NameRange, "%s: attestation is for certificates of PIV tokens, and this is an SSH key; remove it", o)
	}
	name, src, ok := l.deviceFile(o, a, "the SSH key")
	if !ok {
		return d, false
	}
	key, err := parseSSHKey(src)
	var spki []byte
	if err == nil {
		spki, err = approving(key.(ssh.CryptoPublicKey).CryptoPublicKey()) // as every type of sshTypes is
	}
	if err != nil {
		l.fail(a.Expr.Range(), "%s: %s %v", o, name, err)
		return d, false
	}
	d = device{id: ssh.FingerprintSHA256(key), ssh: key.Marshal()}
	if v := args["user_verification"]; v != nil {
		verified, ok := l.boolean(v.Expr)
		if ok && !strings.HasPrefix(key.Type(), "sk-") {
			l.fail(v.NameRange, "%s: user_verification is for FIDO keys, whose types begin with sk-, and this key is of type %s; remove it", o, key.Type())
		}
		d.unverified = !verified
	}
	l.enroll(o, spki, a.Expr.Range())
	l.keep(name, src, a.Expr.Range())
	return d, true
}

// deviceFile reads a file that a device names.
func (l *loader) deviceFile(o owned, a *hcl.Attribute, what string) (name string, src []byte, ok bool) {
	if name, ok = l.fileName(a); !ok {
		return "", nil, false
	}
	if l.env.Files == nil {
		l.fail(a.Expr.Range(), "%s cannot be read: this file is read by itself here", name)
		return "", nil, false
	}
	src, err := l.env.Files(name)
	if err != nil {
		l.fail(a.Expr.Range(), "read %s of %s: %v; put the file in the folder of the policy, or correct its name", what, o, err)
		return "", nil, false
	}
	return name, src, true
}

// certificates takes a file that is certificates in PEM (RFC 7468, 5.1) and nothing else,
// so that nobody reads another one in it than we do.
func certificates(src []byte) (out []*x509.Certificate, err error) {
	if bytes.Contains(src, []byte("PRIVATE KEY-----")) {
		return nil, errors.New("holds a private key, which belongs nowhere near a policy; name the certificate's file, and take that key for exposed if others can read this file")
	}
	for rest := src; len(out) == 0 || len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		before := bytes.TrimLeft(rest, "\r\n")
		block, rest = pem.Decode(before)
		switch {
		case block == nil && len(out) == 0 && len(src) > 0 && src[0] == 0x30: // a DER SEQUENCE
			return nil, errors.New("is a certificate in binary; convert it: openssl x509 -inform der -in FILE -out FILE.pem")
		case block == nil && len(out) == 0:
			return nil, errors.New("is not a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")
		case block == nil || !bytes.HasPrefix(before, []byte("-----BEGIN")) || len(block.Headers) > 0:
			return nil, errors.New("holds more than certificates alone; want PEM without text around it")
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("is a %s in PEM; want a CERTIFICATE", clip(strings.ToValidUTF8(block.Type, "?")))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds no certificate that can be read: %w", err)
		}
		out = append(out, cert)
	}
	return out, nil
}

// approving returns the SubjectPublicKeyInfo of a key that can sign approvals.
func approving(key any) ([]byte, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return nil, errors.New("has a key of another curve; want P-256, P-384 or P-521")
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < signer.LeastRSA {
			return nil, fmt.Errorf("has an RSA key of %d bits; want at least %d", k.N.BitLen(), signer.LeastRSA)
		}
	default:
		return nil, errors.New("has a key that signs no approvals; want one of P-256, P-384, P-521, Ed25519 or RSA")
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("has a key that cannot be written: %w", err)
	}
	return spki, nil
}

// sshTypes are the types of SSH keys that can approve.
var sshTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// parseSSHKey takes a file that is one public key as ssh-keygen writes it (sshd(8),
// "AUTHORIZED_KEYS FILE FORMAT", without options), and nothing else.
func parseSSHKey(src []byte) (ssh.PublicKey, error) {
	const want = "want one line as ssh-keygen writes it into a file .pub: the type, the key, and a comment"
	line := strings.TrimRight(string(src), "\r\n")
	words := strings.Fields(line)
	switch {
	case strings.Contains(line, "PRIVATE KEY-----"):
		return nil, errors.New("holds a private key, which belongs nowhere near a policy; name the file that ends in .pub, and take that key for exposed if others can read this file")
	case strings.Contains(line, "-----BEGIN CERTIFICATE"):
		return nil, errors.New("is a certificate; write certificate in place of ssh_key")
	case strings.ContainsAny(line, "\r\n") || len(words) < 2 || strings.HasPrefix(line, "#"):
		return nil, errors.New("is not an SSH public key alone; " + want)
	case strings.Contains(words[0], "-cert-v0"):
		return nil, errors.New("is a certificate of an SSH authority, which says nothing here; name the key itself")
	case !slices.Contains(sshTypes, words[0]):
		return nil, fmt.Errorf("begins with %q, which is no type of a key that can approve; %s; the type is one of %s", clip(strings.ToValidUTF8(words[0], "?")), want, strings.Join(sshTypes, ", "))
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(words[1])
	if err != nil {
		return nil, fmt.Errorf("has a key that is no base64; %s", want)
	}
	key, err := ssh.ParsePublicKey(blob)
	switch {
	case err != nil:
		return nil, fmt.Errorf("holds no SSH key that can be read: %w", err)
	case key.Type() != words[0] || !bytes.Equal(key.Marshal(), blob):
		return nil, fmt.Errorf("holds a key of another type than it says, or in another form; %s", want)
	}
	if fido := strings.HasPrefix(words[0], "sk-"); fido && !strings.HasPrefix(lastText(blob), "ssh:") {
		return nil, fmt.Errorf("is for application %q, and only what a FIDO key signs for one that begins with \"ssh:\" is an approval; make it with ssh-keygen -t ed25519-sk", clip(lastText(blob)))
	}
	return key, nil
}

// lastText is the last field of a key whose fields are texts; of a FIDO key, that is the
// application it is for (PROTOCOL.u2f).
func lastText(blob []byte) string {
	var field struct {
		Text string
		Rest []byte `ssh:"rest"`
	}
	for field.Rest = blob; len(field.Rest) > 0; {
		if err := ssh.Unmarshal(field.Rest, &field); err != nil {
			return ""
		}
	}
	return field.Text
}

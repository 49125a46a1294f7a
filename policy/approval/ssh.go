package approval

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sealward/sealward/signer"
)

// sshMagic begins an SSH signature, and what is signed for one (PROTOCOL.sshsig).
const sshMagic = "SSHSIG"

// sshSignature is the content of an SSH signature's armor.
type sshSignature struct {
	Magic     [len(sshMagic)]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  []byte
	Hash      string
	Signature []byte
}

// The flags of a signature by a FIDO key (PROTOCOL.u2f; Web Authentication, 6.1).
const (
	flagPresent  = 0x01
	flagVerified = 0x04
)

// sshFormats are the signatures that each type of key may make. "ssh-rsa", which is SHA-1,
// is not among them, nor is anything by a certificate.
var sshFormats = map[string][]string{
	ssh.KeyAlgoED25519:    {ssh.KeyAlgoED25519},
	ssh.KeyAlgoECDSA256:   {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384:   {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521:   {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoRSA:        {ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
	ssh.KeyAlgoSKED25519:  {ssh.KeyAlgoSKED25519},
	ssh.KeyAlgoSKECDSA256: {ssh.KeyAlgoSKECDSA256},
}

// verifySSH checks an SSH signature of the text of an approval.
func (k key) verifySSH(d document) error {
	if k.ssh == nil {
		return errors.New("it has an SSH signature, and this key is enrolled by a certificate; sign a JWS")
	}
	s, err := dearmor(d.SSHSig)
	if err != nil {
		return err
	}
	switch {
	case string(s.Magic[:]) != sshMagic || s.Version != 1:
		return fmt.Errorf("its SSH signature has version %d; want %s, version 1", s.Version, sshMagic)
	case s.Namespace != signer.ApprovalNamespace:
		return fmt.Errorf("its SSH signature is for namespace %.100q; sign with ssh-keygen -Y sign -n %s", s.Namespace, signer.ApprovalNamespace)
	case len(s.Reserved) > 0:
		return errors.New("its SSH signature has something in the field that is reserved")
	case !bytes.Equal(s.PublicKey, k.ssh.Marshal()):
		return errors.New("its SSH signature is by another key than it says")
	}
	var sum []byte
	switch s.Hash {
	case "sha512":
		h := sha512.Sum512([]byte(d.Approval))
		sum = h[:]
	case "sha256":
		h := sha256.Sum256([]byte(d.Approval))
		sum = h[:]
	default:
		return fmt.Errorf("its SSH signature hashes with %.100q; want sha512 or sha256", s.Hash)
	}
	return k.verifySSHBlob(s, sum)
}

func (k key) verifySSHBlob(s sshSignature, sum []byte) error {
	var sig ssh.Signature
	if err := ssh.Unmarshal(s.Signature, &sig); err != nil {
		return fmt.Errorf("its SSH signature cannot be read: %w", err)
	}
	formats := sshFormats[k.ssh.Type()]
	if !slices.Contains(formats, sig.Format) {
		return fmt.Errorf("its SSH signature is of type %.100q; a key of type %q signs approvals with %q", sig.Format, k.ssh.Type(), formats)
	}
	if c, ok := k.ssh.(ssh.CryptoPublicKey); ok {
		if err := strong(c.CryptoPublicKey()); err != nil {
			return err
		}
	}
	if err := k.checkToken(sig); err != nil {
		return err
	}
	text := append([]byte(sshMagic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{s.Namespace, "", s.Hash, sum})...)
	if err := k.ssh.Verify(text, &sig); err != nil {
		return errors.New("the signature is not by this key over this text; what was signed was changed, or another key signed it")
	}
	return nil
}

// checkToken checks what a FIDO token says of its user, which its signature covers:
// package ssh looks at presence only, and ignores what follows a signature of other keys.
func (k key) checkToken(sig ssh.Signature) error {
	application, ok := application(k.ssh)
	switch {
	case !ok && len(sig.Rest) > 0:
		return errors.New("its SSH signature has something after its end")
	case !ok:
		return nil
	case !strings.HasPrefix(application, "ssh:"):
		// A key for a web site signs whatever that site asks for.
		return fmt.Errorf("the enrolled key is for application %.100q; want one that begins with \"ssh:\", as ssh-keygen makes it", application)
	}
	var said struct {
		Flags   byte
		Counter uint32
	}
	if err := ssh.Unmarshal(sig.Rest, &said); err != nil {
		return fmt.Errorf("what its token says of its user cannot be read: %w", err)
	}
	switch {
	case said.Flags&flagPresent == 0:
		return errors.New("its token signed without a touch; make the key without the option no-touch-required, and touch it")
	case said.Flags&flagVerified == 0 && !k.unverified:
		return errors.New("its token signed without checking who its user is; make the key with ssh-keygen -O verify-required, or have the policy say user_verification = false")
	}
	return nil
}

// application returns what a FIDO key is for, or false for a key of another type.
func application(pub ssh.PublicKey) (string, bool) {
	var ecdsa struct {
		Type, Curve string
		Point       []byte
		Application string
	}
	var ed25519 struct {
		Type        string
		Point       []byte
		Application string
	}
	switch pub.Type() {
	case ssh.KeyAlgoSKECDSA256:
		err := ssh.Unmarshal(pub.Marshal(), &ecdsa)
		return ecdsa.Application, err == nil
	case ssh.KeyAlgoSKED25519:
		err := ssh.Unmarshal(pub.Marshal(), &ed25519)
		return ed25519.Application, err == nil
	}
	return "", false
}

// dearmor reads an SSH signature that is armored exactly as [armor] does it.
func dearmor(text string) (sshSignature, error) {
	inner := strings.TrimSuffix(strings.TrimPrefix(text, armorBegin+"\n"), armorEnd+"\n")
	blob, err := base64.StdEncoding.Strict().DecodeString(inner)
	if err != nil || armor(blob) != text {
		return sshSignature{}, fmt.Errorf("its SSH signature is not armored as ssh-keygen -Y sign does it: from %q to %q, 70 characters a line, a line feed after each line", armorBegin, armorEnd)
	}
	var s sshSignature
	if err := ssh.Unmarshal(blob, &s); err != nil {
		return sshSignature{}, fmt.Errorf("its SSH signature cannot be read: %w", err)
	}
	return s, nil
}

package approval_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// FuzzVerify checks that what is accepted is all there is: the document is made again,
// byte for byte, from what was read, and one that differs in a bit is refused, or is the
// same approval by the same person.
func FuzzVerify(f *testing.F) {
	p256, p384, ed25519 := ec(elliptic.P256(), 1), ec(elliptic.P384(), 1), ed(1)
	a, b, c := certified(f, "p256", p256), certified(f, "p384", p384), certified(f, "ed25519", ed25519)
	plain := must[ssh.Signer](f)(ssh.NewSignerFromSigner(ed(2)))
	curve := must[ssh.Signer](f)(ssh.NewSignerFromSigner(ec(elliptic.P256(), 2)))
	fido := token{ed(3), "ssh:"}
	d, e, g := sshDevice("ssh", plain.PublicKey()), sshDevice("ecdsa", curve.PublicKey()), sshDevice("fido", fido.public(f))
	all := people(a, b, c, d, e, g)
	for i, doc := range [][]byte{
		jwsDoc(jws(f, p256, "ES256", header("ES256", a.ID), said(a.ID).Canonical())),
		jwsDoc(jws(f, p384, "ES384", header("ES384", b.ID), said(b.ID).Canonical())),
		jwsDoc(jws(f, ed25519, "EdDSA", header("EdDSA", c.ID), said(c.ID).Canonical())),
		wrapped(said(d.ID), goodSSH(plain.PublicKey()).by(f, plain, ssh.KeyAlgoED25519, said(d.ID).Canonical())),
		wrapped(said(e.ID), goodSSH(curve.PublicKey()).by(f, curve, ssh.KeyAlgoECDSA256, said(e.ID).Canonical())),
		wrapped(said(g.ID), fido.sign(goodSSH(fido.public(f)), said(g.ID).Canonical(), 5, "")),
	} {
		if _, err := (approval.Verifier{}).Verify(doc, all); err != nil {
			f.Fatalf("seed %d is refused: %v", i, err)
		}
		for bit := range uint(64) {
			f.Add(doc, bit*uint(len(doc))/8)
		}
	}
	f.Fuzz(func(t *testing.T, signed []byte, bit uint) {
		h, err := approval.Verifier{}.Verify(signed, all)
		if err != nil {
			if h.Approver != "" || h.Signed != nil {
				t.Errorf("%+v came with the error %v", h, err)
			}
			return
		}
		again, err := signer.ParseApproval(h.Approval.Canonical())
		if err != nil || again != h.Approval {
			t.Errorf("accepted %+v, which reads back as %+v, %v", h.Approval, again, err)
		}
		if made := remade(t, signed, h.Approval); !bytes.Equal(made, signed) {
			t.Errorf("accepted\n%s\nwhich is made again as\n%s", signed, made)
		}
		flipped := bytes.Clone(signed)
		flipped[bit/8%uint(len(flipped))] ^= 1 << (bit % 8)
		other, err := approval.Verifier{}.Verify(flipped, all)
		if err == nil && (other.Approval.ID() != h.Approval.ID() || other.Approver != h.Approver || other.Device != h.Device) {
			t.Errorf("a bit made %+v of %+v", other, h)
		}
	})
}

// remade wraps what an accepted document has in it once more.
func remade(t *testing.T, signed []byte, a signer.Approval) []byte {
	t.Helper()
	var d struct{ JWS, SSHSig string }
	if err := json.Unmarshal(signed, &d); err != nil {
		t.Fatal(err)
	}
	if d.JWS != "" {
		return must[[]byte](t)(approval.WrapJWS(d.JWS))
	}
	return must[[]byte](t)(approval.WrapSSH(a, d.SSHSig))
}

// TestEveryBitMatters flips each bit of one document of each form.
func TestEveryBitMatters(t *testing.T) {
	k := must[ssh.Signer](t)(ssh.NewSignerFromSigner(ed(2)))
	a, b := certified(t, "alice", ed(1)), sshDevice("bob", k.PublicKey())
	for name, doc := range map[string][]byte{
		"JWS": jwsDoc(jws(t, ed(1), "EdDSA", header("EdDSA", a.ID), said(a.ID).Canonical())),
		"SSH": wrapped(said(b.ID), goodSSH(k.PublicKey()).by(t, k, ssh.KeyAlgoED25519, said(b.ID).Canonical())),
	} {
		for i := range 8 * len(doc) {
			flipped := bytes.Clone(doc)
			flipped[i/8] ^= 1 << (i % 8)
			if h, err := (approval.Verifier{}).Verify(flipped, people(a, b)); err == nil {
				t.Errorf("%s with bit %d flipped is accepted: %+v", name, i, h)
			}
		}
	}
}

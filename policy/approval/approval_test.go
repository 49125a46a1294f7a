package approval_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

var _ signer.Approvals = approval.Verifier{}

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// said is an approval by a device.
func said(device string) signer.Approval {
	return signer.Approval{
		Word: signer.WordApprove, Instance: "0123456789abcdef0123456789abcdef", Proposal: [32]byte{1, 2, 3}, Device: device,
		Reason: "invoice 7 \u2028 <ok> \"quoted\" \\ \u007f é", Time: noon, Expires: noon.Add(time.Hour), Nonce: [16]byte{9},
	}
}

// The keys of the tests are made from numbers where that is possible: a fuzzer's
// processes have to agree on them.
func ec(curve elliptic.Curve, seed byte) *ecdsa.PrivateKey {
	raw := make([]byte, (curve.Params().BitSize+7)/8)
	raw[len(raw)-1] = seed
	k, err := ecdsa.ParseRawPrivateKey(curve, raw)
	if err != nil {
		panic(err)
	}
	return k
}

func ed(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// certified is a device with a certificate for a key.
func certified(t testing.TB, name string, k crypto.Signer) signer.Device {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon, NotAfter: noon} // nobody looks
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return signer.Device{Name: name, ID: "sha256:" + hex.EncodeToString(sum[:]), Certificate: der}
}

// sshDevice is a device with an SSH key.
func sshDevice(name string, pub ssh.PublicKey) signer.Device {
	return signer.Device{Name: name, ID: ssh.FingerprintSHA256(pub), SSH: pub.Marshal()}
}

// people are approvers, each with one device.
func people(devices ...signer.Device) (p signer.People) {
	for _, d := range devices {
		p.Approvers = append(p.Approvers, signer.Approver{Name: "owner of " + d.Name, Devices: []signer.Device{d}})
	}
	return p
}

// b64 is base64url without padding.
func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func header(alg, kid string) string {
	return `{"alg":"` + alg + `","kid":"` + kid + `","typ":"sealward-approval+jws"}`
}

// jws signs by the letter of RFC 7515 and 7518, without a library of JOSE.
func jws(t testing.TB, k crypto.Signer, alg, header string, payload []byte) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64(payload)
	return input + "." + b64(rawSign(t, k, alg, []byte(input)))
}

func rawSign(t testing.TB, k crypto.Signer, alg string, input []byte) []byte {
	t.Helper()
	var sig []byte
	var err error
	sum := sha256.Sum256(input)
	switch alg {
	case "EdDSA":
		return ed25519.Sign(k.(ed25519.PrivateKey), input)
	case "RS256":
		sig, err = k.Sign(rand.Reader, sum[:], crypto.SHA256)
	case "PS256":
		sig, err = k.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})
	default:
		hash := sum[:]
		if alg == "ES384" {
			h := sha512.Sum384(input)
			hash = h[:]
		} else if alg == "ES512" {
			h := sha512.Sum512(input)
			hash = h[:]
		}
		key := k.(*ecdsa.PrivateKey)
		r, s, e := ecdsa.Sign(rand.Reader, key, hash)
		if e != nil {
			t.Fatal(e)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// sshsig is an SSH signature with everything in it as one likes (PROTOCOL.sshsig).
type sshsig struct {
	magic               string
	version             uint32
	public              []byte
	namespace, reserved string
	hash                string
	after               string // the end of the blob
}

func goodSSH(pub ssh.PublicKey) sshsig {
	return sshsig{"SSHSIG", 1, pub.Marshal(), signer.ApprovalNamespace, "", "sha512", ""}
}

// text is what is signed.
func (s sshsig) text(message []byte) []byte {
	sum := sha512.Sum512(message)
	hash := sum[:]
	if s.hash == "sha256" {
		h := sha256.Sum256(message)
		hash = h[:]
	}
	return append([]byte(s.magic), ssh.Marshal(struct {
		A, B, C string
		D       []byte
	}{s.namespace, s.reserved, s.hash, hash})...)
}

// armor puts a signature into the blob, and that into its armor.
func (s sshsig) armor(signature []byte) string {
	blob := append([]byte(s.magic), ssh.Marshal(struct {
		Version uint32
		A       []byte
		B, C, D string
		E       []byte
	}{s.version, s.public, s.namespace, s.reserved, s.hash, signature})...)
	return armored(append(blob, s.after...), 70)
}

func armored(blob []byte, width int) string {
	text := base64.StdEncoding.EncodeToString(blob)
	out := "-----BEGIN SSH SIGNATURE-----\n"
	for ; len(text) > width; text = text[width:] {
		out += text[:width] + "\n"
	}
	return out + text + "\n-----END SSH SIGNATURE-----\n"
}

// by has a key of package ssh sign.
func (s sshsig) by(t testing.TB, k ssh.Signer, format string, message []byte) string {
	t.Helper()
	sig, err := k.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, s.text(message), format)
	if err != nil {
		t.Fatal(err)
	}
	return s.armor(ssh.Marshal(sig))
}

// token is a FIDO token whose flags can be chosen (PROTOCOL.u2f).
type token struct {
	key         ed25519.PrivateKey
	application string
}

func (k token) public(t testing.TB) ssh.PublicKey {
	t.Helper()
	pub, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type  string
		Point []byte
		App   string
	}{ssh.KeyAlgoSKED25519, k.key.Public().(ed25519.PublicKey), k.application}))
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func (k token) sign(s sshsig, message []byte, flags byte, after string) string {
	app, sum := sha256.Sum256([]byte(k.application)), sha256.Sum256(s.text(message))
	said := append([]byte{flags}, 0, 0, 0, 7)
	data := append(append(append([]byte{}, app[:]...), said...), sum[:]...)
	sig := ssh.Marshal(struct {
		Format string
		Blob   []byte
	}{ssh.KeyAlgoSKED25519, ed25519.Sign(k.key, data)})
	return s.armor(append(append(sig, said...), after...))
}

// wrapped is a document of an approval and an SSH signature, as WrapSSH makes it but for
// the armor, which stays as it is.
func wrapped(a signer.Approval, armor string) []byte {
	return []byte(`{"approval":` + jcsText(string(a.Canonical())) + `,"sshsig":` + jcsText(armor) + `}`)
}

// jcsText is RFC 8785, 3.2.2.2.
func jcsText(s string) string {
	out := `"`
	for _, r := range s {
		switch r {
		case '"', '\\':
			out += `\` + string(r)
		case '\n':
			out += `\n`
		case '\r':
			out += `\r`
		default:
			if r < 0x20 {
				out += fmt.Sprintf(`\u%04x`, r)
			} else {
				out += string(r)
			}
		}
	}
	return out + `"`
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// accepts checks that a document is taken, for what and whose it is.
func accepts(t *testing.T, signed []byte, p signer.People, a signer.Approval, approver string) {
	t.Helper()
	h, err := approval.Verifier{}.Verify(signed, p)
	if err != nil {
		t.Fatalf("Verify: %v\n%s", err, signed)
	}
	if h.Approval.ID() != a.ID() || h.Approval.Device != a.Device || h.Approver != approver || string(h.Signed) != string(signed) {
		t.Errorf("Verify = %+v; want %+v by %q", h, a, approver)
	}
}

func TestEveryKindOfKeySignsAnApproval(t *testing.T) {
	for alg, k := range map[string]crypto.Signer{
		"ES256": ec(elliptic.P256(), 1), "ES384": ec(elliptic.P384(), 1), "ES512": ec(elliptic.P521(), 1), "EdDSA": ed(1), "PS256": rsaKey(), "RS256": rsaKey(),
	} {
		t.Run("JWS with "+alg, func(t *testing.T) {
			d := certified(t, "alice", k)
			a := said(d.ID)
			signed := must[[]byte](t)(approval.WrapJWS(jws(t, k, alg, header(alg, d.ID), a.Canonical())))
			accepts(t, signed, people(certified(t, "bob", ed(99)), d), a, "owner of alice")
		})
	}
	for format, k := range map[string]crypto.Signer{
		ssh.KeyAlgoED25519: ed(1), ssh.KeyAlgoECDSA256: ec(elliptic.P256(), 1), ssh.KeyAlgoECDSA384: ec(elliptic.P384(), 1), ssh.KeyAlgoECDSA521: ec(elliptic.P521(), 1),
		ssh.KeyAlgoRSASHA256: rsaKey(), ssh.KeyAlgoRSASHA512: rsaKey(),
	} {
		for _, hash := range []string{"sha256", "sha512"} {
			t.Run("SSH with "+format+" and "+hash, func(t *testing.T) {
				key := must[ssh.Signer](t)(ssh.NewSignerFromSigner(k))
				d := sshDevice("bob", key.PublicKey())
				a, s := said(d.ID), goodSSH(key.PublicKey())
				s.hash = hash
				signed := must[[]byte](t)(approval.WrapSSH(a, s.by(t, key, format, a.Canonical())))
				accepts(t, signed, people(certified(t, "alice", ed(99)), d), a, "owner of bob")
			})
		}
	}
}

func TestPresenceIsDemandedAndVerificationUnlessThePolicySaysOtherwise(t *testing.T) {
	k := token{ed(3), "ssh:"}
	for name, c := range map[string]struct {
		flags      byte
		unverified bool
		ok         bool
	}{
		"touched and verified":                         {5, false, true},
		"touched and verified, where a touch will do":  {5, true, true},
		"touched, not verified":                        {1, false, false},
		"touched, not verified, where a touch will do": {1, true, true},
		"verified, not touched":                        {4, false, false},
		"verified, not touched, where a touch will do": {4, true, false},
		"neither":                        {0, false, false},
		"neither, where a touch will do": {0, true, false},
		"with flags of data that an authenticator may add": {5 | 0x40 | 0x80, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := sshDevice("key", k.public(t))
			d.Unverified = c.unverified
			a := said(d.ID)
			signed := must[[]byte](t)(approval.WrapSSH(a, k.sign(goodSSH(k.public(t)), a.Canonical(), c.flags, "")))
			if c.ok {
				accepts(t, signed, people(d), a, "owner of key")
				return
			}
			if h, err := (approval.Verifier{}).Verify(signed, people(d)); err == nil {
				t.Errorf("Verify = %+v; want a refusal", h)
			}
		})
	}
}

func TestTwoSignaturesOfOneApprovalAreOneApproval(t *testing.T) {
	k := ec(elliptic.P256(), 1)
	d := certified(t, "alice", k)
	a := said(d.ID)
	input := b64([]byte(header("ES256", d.ID))) + "." + b64(a.Canonical())
	first := rawSign(t, k, "ES256", []byte(input))
	s := new(big.Int).SetBytes(first[32:])
	mirrored := append(append([]byte{}, first[:32]...), s.Sub(k.Params().N, s).FillBytes(make([]byte, 32))...)
	for name, sig := range map[string][]byte{"first": first, "second": rawSign(t, k, "ES256", []byte(input)), "the first with s in the other half": mirrored} {
		t.Run(name, func(t *testing.T) {
			accepts(t, must[[]byte](t)(approval.WrapJWS(input+"."+b64(sig))), people(d), a, "owner of alice")
		})
	}
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	return must[[]byte](t)(base64.StdEncoding.DecodeString(s))
}

// certifiedElsewhere is a device for a key that signs no certificate of its own.
func certifiedElsewhere(t testing.TB, k signer.PublicKey) signer.Device {
	t.Helper()
	spki := must[[]byte](t)(k.SPKI())
	pub := must[any](t)(x509.ParsePKIXPublicKey(spki))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon, NotAfter: noon}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, pub, ed(7)))
	return signer.Device{Name: "token", ID: k.Fingerprint(), Certificate: der}
}

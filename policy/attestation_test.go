package policy

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/backends/sim/pivcard"
)

// piv is a virtual PIV card, and what it takes of a client to have it make keys and
// attest to them: SP 800-73-4 part 2, and Yubico's ATTEST
// (https://developers.yubico.com/PIV/Introduction/Yubico_extensions.html).
type piv struct {
	t    testing.TB
	card *pivcard.Card
}

func newPIV(t testing.TB, serial uint32, authority *pivcard.Authority) piv {
	t.Helper()
	card, err := pivcard.New(pivcard.Config{Serial: serial, Authority: authority})
	if err != nil {
		t.Fatal(err)
	}
	c := piv{t, card}
	c.send(0xa4, 0x04, 0x00, 0xa0, 0, 0, 3, 8) // SELECT
	// The management key of new cards, by which both sides prove that they have it.
	key, _ := hex.DecodeString("010203040506070801020304050607080102030405060708")
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	witness := c.send(0x87, 0x0a, 0x9b, 0x7c, 2, 0x80, 0)[4:]
	block.Decrypt(witness, witness)
	proof := append(append([]byte{0x7c, 36, 0x80, 16}, witness...), append([]byte{0x81, 16}, make([]byte, 16)...)...)
	c.send(0x87, 0x0a, 0x9b, proof...)
	return c
}

// send carries out a command and fetches the whole answer.
func (c piv) send(ins, p1, p2 byte, data ...byte) (answer []byte) {
	c.t.Helper()
	apdu := []byte{0, ins, p1, p2}
	if len(data) > 0 {
		apdu = append(apdu, byte(len(data)))
	}
	for out := c.card.Transmit(c.t.Context(), append(append(apdu, data...), 0)); ; out = c.card.Transmit(c.t.Context(), []byte{0, 0xc0, 0, 0, 0}) {
		n := len(out) - 2
		answer = append(answer, out[:n]...)
		switch {
		case out[n] == 0x61:
		case out[n] == 0x90:
			return answer
		default:
			c.t.Fatalf("instruction %02x %02x %02x answers %x", ins, p1, p2, out[n:])
		}
	}
}

// The policies of a key, for generate.
const (
	algorithmRSA2048 = 0x07
	algorithmP256    = 0x11
	algorithmP384    = 0x14
	touchNever       = 1
)

// generate makes a key in a slot and returns the card's attestation of it, in DER.
func (c piv) generate(slot, algorithm, pin, touch byte) []byte {
	c.t.Helper()
	c.send(0x47, 0, slot, 0xac, 9, 0x80, 1, algorithm, 0xaa, 1, pin, 0xab, 1, touch)
	return c.send(0xf9, slot, 0)
}

// own is the card's own certificate, of slot f9.
func (c piv) own() []byte {
	c.t.Helper()
	object := c.send(0xcb, 0x3f, 0xff, 0x5c, 3, 0x5f, 0xff, 0x01)
	var cert asn1.RawValue // behind the tags of the object, and before another one
	if _, err := asn1.Unmarshal(object[bytes.Index(object, []byte{0x30, 0x82}):], &cert); err != nil {
		c.t.Fatal(err)
	}
	return cert.FullBytes
}

func pemOf(ders ...[]byte) string {
	var out bytes.Buffer
	for _, der := range ders {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return out.String()
}

// attest is a policy of one approver "a" with a certificate, the attestation of its key,
// and roots.
func attest(demands, certificate, attestation, roots string) (*Policy, error) {
	env := testEnv()
	env.Files = func(name string) ([]byte, error) {
		return []byte(map[string]string{"a.pem": certificate, "attested.pem": attestation, "roots.pem": roots}[name]), nil
	}
	return Load("policy.hcl", []byte(assetsText+elsewhere+`attestation {
  roots = ["roots.pem"]
  `+demands+`
}
approver "a" {
  certificate = "a.pem"
  attestation = "attested.pem"
}
group "g" {
  members = ["a"]
}
recovery {
  group     = "g"
  approvals = 1
}
`), env)
}

func authority(t testing.TB) *pivcard.Authority {
	t.Helper()
	a, err := pivcard.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAttestedKeys(t *testing.T) {
	trusted, stranger := authority(t), authority(t)
	card, other := newPIV(t, 4711, trusted), newPIV(t, 4712, trusted)
	strict := card.generate(0x9c, algorithmP256, pinAlways, touchAlways)
	loose := card.generate(0x9a, algorithmP384, pinOnce, touchCached)
	none := card.generate(0x9d, algorithmRSA2048, 1, touchNever)
	foreign := newPIV(t, 4713, stranger)
	root := pemOf(trusted.Certificate.Raw)
	nobodys := other.generate(0x9c, algorithmP256, pinOnce, touchNever)
	tampered := bytes.Clone(strict)
	tampered[len(tampered)-1] ^= 1
	fine := pemOf(strict, card.own())
	for name, tt := range map[string]struct{ demands, certificate, attestation, roots, want string }{
		"a key of the card":                              {"", pemOf(strict), fine, root, ""},
		"whatever it asks of its holder":                 {"", pemOf(none), pemOf(none, card.own()), root, ""},
		"of several roots, one":                          {"", pemOf(strict), fine, pemOf(stranger.Certificate.Raw, trusted.Certificate.Raw), ""},
		"always touch, always PIN":                       {"touch = \"always\"\npin = \"always\"", pemOf(strict), fine, root, ""},
		"more than is demanded":                          {"touch = \"cached\"\npin = \"once\"", pemOf(strict), fine, root, ""},
		"as much as is demanded":                         {"touch = \"cached\"\npin = \"once\"", pemOf(loose), pemOf(loose, card.own()), root, ""},
		"less touch than is demanded":                    {"touch = \"always\"", pemOf(loose), pemOf(loose, card.own()), root, `whose touch policy is less than "always"`},
		"less PIN than is demanded":                      {"pin = \"always\"", pemOf(loose), pemOf(loose, card.own()), root, `whose PIN policy is less than "always"`},
		"no touch":                                       {"touch = \"cached\"", pemOf(none), pemOf(none, card.own()), root, "make a new key in the token with --touch-policy=cached"},
		"no PIN":                                         {"pin = \"once\"", pemOf(none), pemOf(none, card.own()), root, "--pin-policy=once"},
		"another slot of the card":                       {"", pemOf(strict), pemOf(loose, card.own()), root, "attests another key than that of the certificate"},
		"another card's key":                             {"", pemOf(strict), pemOf(nobodys, other.own()), root, "attests another key"},
		"another card's certificate":                     {"", pemOf(strict), pemOf(strict, other.own()), root, "that its second certificate did not sign"},
		"a card that nobody vouches for":                 {"", pemOf(strict), fine, pemOf(stranger.Certificate.Raw), `no root of the block attestation vouches; its certificate is signed by "CN=Virtual PIV Root CA"`},
		"a root that vouches for another card":           {"", pemOf(strict), pemOf(strict, foreign.own()), pemOf(stranger.Certificate.Raw), "did not sign"},
		"an attestation that was changed":                {"", pemOf(strict), pemOf(tampered, card.own()), root, "did not sign"},
		"the wrong order":                                {"", pemOf(strict), pemOf(card.own(), strict), root, "in the wrong order"},
		"two attestations":                               {"", pemOf(strict), pemOf(strict, loose), root, "has the attestation of a slot in place of the token's own certificate"},
		"the card's certificate twice":                   {"", pemOf(strict), pemOf(card.own(), card.own()), root, "does not begin with the attestation of a slot"},
		"the root in place of the card's":                {"", pemOf(strict), pemOf(strict, trusted.Certificate.Raw), root, "did not sign"},
		"an attestation alone":                           {"", pemOf(strict), pemOf(strict), root, "holds 1 certificate; want two"},
		"more than two":                                  {"", pemOf(strict), pemOf(strict, card.own(), trusted.Certificate.Raw), root, "holds 3 certificates; want two"},
		"nothing":                                        {"", pemOf(strict), "", root, "is not a certificate in PEM"},
		"no root":                                        {"", pemOf(strict), fine, "", "roots.pem is not a certificate in PEM"},
		"a root that is no authority":                    {"", pemOf(strict), fine, pemOf(strict), "vouches for nobody (it is not one of an authority)"},
		"the card's own certificate, taken for a root":   {"", pemOf(strict), fine, pemOf(card.own()), "no root of the block attestation vouches"},
		"touch that is not known":                        {"touch = \"sometimes\"", pemOf(strict), fine, root, `touch "sometimes" is not known`},
		"a certificate that is no attestation, alone":    {"", pemOf(strict), pemOf(card.own(), trusted.Certificate.Raw), root, "does not begin with the attestation of a slot"},
		"a key that the holder of an attested one signs": {"", pemOf(nobodys), pemOf(nobodys, strict), root, "has the attestation of a slot in place"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := attest(tt.demands, tt.certificate, tt.attestation, tt.roots)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Load error = %v", err)
			case tt.want == "":
				if d := p.people.approvers["a"].devices[0]; d.serial != 4711 {
					t.Errorf("serial = %d", d.serial)
				}
			case err == nil || !strings.Contains(err.Error(), tt.want):
				t.Errorf("Load error = %v, want %q", err, tt.want)
			}
		})
	}
}

// A card of the time before basic constraints is a card all the same, and no date matters.
func TestAnAttestationIsAsGoodTomorrow(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(change func(*x509.Certificate), parent *x509.Certificate, of, by *ecdsa.PrivateKey) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: at.Add(-48 * time.Hour), NotAfter: at.Add(-24 * time.Hour)}
		change(c)
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, of.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		return parsed(t, der)
	}
	root := sign(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, nil, trusted, trusted)
	token := sign(func(*x509.Certificate) {}, root, own, trusted)
	says := func(serial []byte, policy ...byte) *x509.Certificate {
		return sign(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: extensionPolicy, Value: policy}}
			if serial != nil {
				c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: extensionSerial, Value: serial})
			}
		}, token, key, own)
	}
	demands := &attestation{touch: "always", pin: "always", certificates: []*x509.Certificate{root}}
	for name, tt := range map[string]struct {
		slot *x509.Certificate
		want string
	}{
		"long expired, by an old card": {says([]byte{2, 1, 9}, pinAlways, touchAlways), ""},
		"with a finger for a PIN":      {says([]byte{2, 1, 9}, matchAlways, touchAlways), ""},
		"with a finger once":           {says([]byte{2, 1, 9}, matchOnce, touchAlways), "PIN policy"},
		"policies to come":             {says([]byte{2, 1, 9}, 9, 9), "PIN policy"},
		"policies of nothing":          {says([]byte{2, 1, 9}, 0, 0), "PIN policy"},
		"three policies":               {says([]byte{2, 1, 9}, pinAlways, touchAlways, 1), "does not begin with the attestation"},
		"no serial number":             {says(nil, pinAlways, touchAlways), "no serial number"},
		"a serial number of nothing":   {says([]byte{2, 1, 0}, pinAlways, touchAlways), "no serial number"},
		"a serial number below zero":   {says([]byte{2, 1, 0xff}, pinAlways, touchAlways), "no serial number"},
		"a serial number and more":     {says([]byte{2, 1, 9, 0}, pinAlways, touchAlways), "no serial number"},
		"a text for a serial number":   {says([]byte{0x0c, 1, '9'}, pinAlways, touchAlways), "no serial number"},
	} {
		t.Run(name, func(t *testing.T) {
			serial, err := demands.verify(tt.slot, tt.slot, token)
			if tt.want == "" && (err != nil || serial != 9) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("verify = %d, %v; want %q", serial, err, tt.want)
			}
		})
	}
}

func parsed(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A token is one device, and one person's, however many keys it has.
func TestATokenCountsOnce(t *testing.T) {
	trusted := authority(t)
	card := newPIV(t, 5, trusted)
	first, second := card.generate(0x9c, algorithmP256, pinOnce, touchAlways), card.generate(0x9a, algorithmP256, pinOnce, touchAlways)
	files := map[string]string{
		"root.pem": pemOf(trusted.Certificate.Raw), "1.pem": pemOf(first), "2.pem": pemOf(second),
		"1a.pem": pemOf(first, card.own()), "2a.pem": pemOf(second, card.own()),
	}
	env := testEnv()
	env.Files = func(name string) ([]byte, error) { return []byte(files[name]), nil }
	const of = "{\n certificate = \"%[1]d.pem\"\n attestation = \"%[1]da.pem\"\n}\n"
	for name, tt := range map[string]struct{ people, want string }{
		"two devices of one person": {"approver \"a\" {\ndevice \"x\" " + fmt.Sprintf(of, 1) + "device \"y\" " + fmt.Sprintf(of, 2) + "}\n", `device "x" of approver "a" and device "y" of approver "a" are in one token, that with serial number 5, which makes them one device`},
		"two people":                {"approver \"a\" " + fmt.Sprintf(of, 1) + "approver \"b\" " + fmt.Sprintf(of, 2), "and one token is one person's"},
		"no attestation":            {"approver \"a\" {\n certificate = \"1.pem\"\n}\n", "without an attestation, and the block attestation demands one of every certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load("policy.hcl", []byte(assetsText+elsewhere+"attestation {\n roots = [\"root.pem\"]\n}\n"+tt.people), env)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load error = %v, want %q", err, tt.want)
			}
		})
	}
}

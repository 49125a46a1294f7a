package wrapped

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

func fact(t *testing.T, r *Recipient, name string) string {
	t.Helper()
	for _, f := range r.Facts() {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func TestATPMWithItsManufacturersCertificateIsBelieved(t *testing.T) {
	state, certificates, root := manufactured(t)
	_, _, foreign := manufactured(t)
	tpm := softTPM(t, state)
	// The templates that swtpm_setup has certificates made for.
	byIndex := map[tpm2.TPMHandle][][]byte{0x01c00002: certificates[0], 0x01c00016: certificates[1]}
	for _, e := range EndorsementTemplates() {
		chain, ok := byIndex[e.CertificateIndex]
		if !ok {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			otherChain := certificates[0]
			if bytes.Equal(otherChain[0], chain[0]) {
				otherChain = certificates[1]
			}
			key := primary(t, tpm, tpm2.TPMRHEndorsement, e.Public)
			text, err := NewTarget("vault-2", &key.public, chain).Encode()
			if err != nil {
				t.Fatal(err)
			}
			target, err := ParseTarget(text)
			if err != nil {
				t.Fatal(err)
			}
			r, err := VerifyEndorsement(target, []*x509.Certificate{foreign, root}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(r.Name(), key.name.Buffer) || fact(t, r, "target") != "vault-2" || fact(t, r, "TPM model") != "swtpm" || fact(t, r, "exception") != "" {
				t.Errorf("recipient %x, facts %v", r.Name(), r.Facts())
			}
			f := onWay(t, mustWrap(t, r, Guard{}))
			object, err := imported(t, tpm, key, f)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := unseal(tpm, object, tpm2.PasswordAuth(nil)); err != nil || !bytes.Equal(got, secretOfTests) {
				t.Errorf("unsealed %x, %v", got, err)
			}
			flush(tpm, object.handle)

			for name, c := range map[string]struct {
				chain [][]byte
				roots []*x509.Certificate
				now   time.Time
			}{
				"a foreign root":                 {chain, []*x509.Certificate{foreign}, time.Now()},
				"no roots":                       {chain, nil, time.Now()},
				"no certificate":                 {nil, []*x509.Certificate{root}, time.Now()},
				"the authority's is missing":     {chain[:1], []*x509.Certificate{root}, time.Now()},
				"the authority's alone":          {chain[1:], []*x509.Certificate{root}, time.Now()},
				"before it is valid":             {chain, []*x509.Certificate{root}, time.Now().Add(-48 * time.Hour)},
				"that of the TPM's other key":    {otherChain, []*x509.Certificate{root}, time.Now()},
				"more than anybody has":          {slices.Repeat(chain, 5), []*x509.Certificate{root}, time.Now()},
				"one bit of the certificate off": {flipped(chain), []*x509.Certificate{root}, time.Now()},
			} {
				t.Run(name, func(t *testing.T) {
					bad := *target
					bad.Certificates = c.chain
					if r, err := VerifyEndorsement(&bad, c.roots, c.now); err == nil || r != nil {
						t.Errorf("VerifyEndorsement = %v, %v", r, err)
					}
				})
			}
		})
	}
}

// flipped changes the last bit of the leaf's signature.
func flipped(chain [][]byte) [][]byte {
	leaf := bytes.Clone(chain[0])
	leaf[len(leaf)-1] ^= 1
	return [][]byte{leaf, chain[1]}
}

// authority issues certificates for endorsement keys, wrong ones too.
type authority struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "TPM manufacturer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, root}
}

// issue makes a certificate for an endorsement key, as the profile has it unless it
// is changed: with an empty subject, so that the alternative name is critical.
func (a *authority) issue(t *testing.T, key crypto.PublicKey, change func(*x509.Certificate)) [][]byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageKeyAgreement,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidEKCertificate},
		ExtraExtensions:    []pkix.Extension{alternativeName(t, len(deviceAttributes))},
	}
	if _, ok := key.(*rsa.PublicKey); ok {
		template.KeyUsage = x509.KeyUsageKeyEncipherment
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{der}
}

// alternativeName has the first n attributes of a TPM.
func alternativeName(t *testing.T, n int) pkix.Extension {
	t.Helper()
	return nameOf(t, []int{0, 1, 2}[:n]...)
}

// nameOf has the attributes of a TPM at the indices.
func nameOf(t *testing.T, indices ...int) pkix.Extension {
	t.Helper()
	var rdns pkix.RDNSequence
	for _, i := range indices {
		rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: deviceAttributes[i].oid, Value: fmt.Sprintf("id:%d", i)}})
	}
	name, err := asn1.Marshal(rdns)
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: oidSubjectAltName, Critical: true, Value: value}
}

func TestACertificateThatIsNotOneOfAnEndorsementKeyIsRefused(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	key := primary(t, tpm, tpm2.TPMRHEndorsement, tpm2.ECCEKTemplate)
	other := primary(t, tpm, tpm2.TPMRHEndorsement, tpm2.RSAEKTemplate)
	public, otherPublic := tpmKey(t, key), tpmKey(t, other)
	ca := newAuthority(t)
	for name, c := range map[string]struct {
		key    crypto.PublicKey
		change func(*x509.Certificate)
		want   string // in the error; empty: accepted
	}{
		"as the profile has it": {public, func(*x509.Certificate) {}, ""},
		"of another key":        {otherPublic, func(*x509.Certificate) {}, "another key"},
		"expired":               {public, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "expired"},
		"not valid yet":         {public, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, "not yet valid"},
		"for a website": {public, func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, "extended key usage"},
		"for anything": {public, func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		}, "extended key usage"},
		"of a key that signs":   {public, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, "key usage"},
		"without a key usage":   {public, func(c *x509.Certificate) { c.KeyUsage = 0 }, "key usage"},
		"of an authority":       {public, func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage |= x509.KeyUsageCertSign }, "authority"},
		"that names no TPM":     {public, func(c *x509.Certificate) { c.ExtraExtensions = nil; c.Subject.CommonName = "tpm" }, "manufacturer, model and version"},
		"that names half a TPM": {public, func(c *x509.Certificate) { c.ExtraExtensions[0] = alternativeName(t, 2) }, "manufacturer, model and version"},
		"that names one twice":  {public, func(c *x509.Certificate) { c.ExtraExtensions[0] = nameOf(t, 0, 0, 1) }, "manufacturer, model and version"},
		"with a damaged name":   {public, func(c *x509.Certificate) { c.ExtraExtensions[0].Value = []byte{0x30, 4, 0xa4, 2, 0x04, 0} }, "directory name"},
		"with an unknown demand": {public, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}, "critical"},
		"with an uncritical name": {public, func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false; c.Subject.CommonName = "tpm" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			target := NewTarget("host", &key.public, ca.issue(t, c.key, c.change))
			r, err := VerifyEndorsement(target, []*x509.Certificate{ca.root}, time.Now())
			if c.want == "" {
				if err != nil {
					t.Errorf("VerifyEndorsement error = %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || r != nil {
				t.Errorf("VerifyEndorsement = %v, %v, want an error with %q", r, err, c.want)
			}
		})
	}
}

func tpmKey(t *testing.T, l *loaded) crypto.PublicKey {
	t.Helper()
	k, err := tpm2.Pub(l.public)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The certificates here are right: it is the key that could be used for more, or by
// others, than an endorsement key can.
func TestAKeyFromAnotherTemplateIsNoEndorsementKey(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	ca := newAuthority(t)
	for name, change := range map[string]func(*tpm2.TPMTPublic){
		"another policy":       func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = bytes.Repeat([]byte{1}, 32) },
		"no policy":            func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = nil; p.ObjectAttributes.UserWithAuth = true },
		"usable with its auth": func(p *tpm2.TPMTPublic) { p.ObjectAttributes.UserWithAuth = true },
		"out of the lockout":   func(p *tpm2.TPMTPublic) { p.ObjectAttributes.NoDA = true },
		"another curve": func(p *tpm2.TPMTPublic) {
			p.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{Symmetric: aesCFB(128), CurveID: tpm2.TPMECCNistP384})
		},
	} {
		t.Run(name, func(t *testing.T) {
			template := tpm2.ECCEKTemplate
			change(&template)
			key := primary(t, tpm, tpm2.TPMRHEndorsement, template)
			target := NewTarget("host", &key.public, ca.issue(t, tpmKey(t, key), func(*x509.Certificate) {}))
			r, err := VerifyEndorsement(target, []*x509.Certificate{ca.root}, time.Now())
			if err == nil || !strings.Contains(err.Error(), "template") || r != nil {
				t.Errorf("VerifyEndorsement = %v, %v", r, err)
			}
			r, err = AcceptTest{"host", target.Fingerprint()}.Verify(target)
			if err == nil || r != nil {
				t.Errorf("AcceptTest.Verify = %v, %v", r, err)
			}
		})
	}
}

// RFC 4055, 4.1: the only use that such a key has stands as its algorithm.
func TestAnOlderRSACertificateIsRead(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	key := primary(t, tpm, tpm2.TPMRHEndorsement, tpm2.RSAEKTemplate)
	ca := newAuthority(t)
	der := ca.issue(t, tpmKey(t, key), func(*x509.Certificate) {})[0]
	var c struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		t.Fatal(err)
	}
	// Both object identifiers have the same length.
	rsaEncryption := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1}
	tbs := bytes.Replace(c.TBS.FullBytes, rsaEncryption, append(rsaEncryption[:8:8], 7), 1)
	digest := crypto.SHA256.New()
	digest.Write(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, ca.key, digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	c.TBS, c.Signature = asn1.RawValue{FullBytes: tbs}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	if der, err = asn1.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyEndorsement(NewTarget("host", &key.public, [][]byte{der}), []*x509.Certificate{ca.root}, time.Now()); err != nil {
		t.Errorf("VerifyEndorsement error = %v", err)
	}
}

func TestAnExceptionIsForOneTPMAndSaysSo(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	key := primary(t, tpm, tpm2.TPMRHEndorsement, tpm2.ECCEKTemplate)
	target := NewTarget("ci", &key.public, nil)
	fingerprint := target.Fingerprint()
	r, err := AcceptTest{"ci", fingerprint}.Verify(target)
	if err != nil {
		t.Fatal(err)
	}
	if fact(t, r, "exception") == "" || fact(t, r, "endorsement key") != fingerprint || !bytes.Equal(r.Name(), key.name.Buffer) {
		t.Errorf("facts = %v, name %x", r.Facts(), r.Name())
	}
	for name, a := range map[string]AcceptTest{
		"the zero exception":  {},
		"another name":        {"vault", fingerprint},
		"another fingerprint": {"ci", "sha256:" + strings.Repeat("0", 64)},
		"no fingerprint":      {"ci", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := a.Verify(target); err == nil || r != nil {
				t.Errorf("Verify = %v, %v", r, err)
			}
		})
	}
	if _, err := (AcceptTest{"", fingerprint}).Verify(NewTarget("", &key.public, nil)); err == nil {
		t.Error("an exception without a name was taken")
	}
}

func TestATargetIsReadOnlyAsItIsWritten(t *testing.T) {
	pub := tpm2.ECCEKTemplate
	text, err := NewTarget("host", &pub, [][]byte{{1, 2}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTarget(text); err != nil {
		t.Fatal(err)
	}
	s := string(text)
	for name, bad := range map[string]string{
		"nothing":            "",
		"another version":    strings.Replace(s, `"version": 1`, `"version": 2`, 1),
		"an unknown field":   strings.Replace(s, `"name"`, `"nam"`, 1),
		"a case twin":        strings.Replace(s, `"name": "host"`, `"name": "host", "Name": "other"`, 1),
		"a repeated field":   strings.Replace(s, `"name": "host"`, `"name": "host", "name": "other"`, 1),
		"a second value":     s + s,
		"white space":        s + "\n",
		"more than it holds": strings.Replace(s, "host", strings.Repeat("x", maxTarget), 1),
	} {
		t.Run(name, func(t *testing.T) {
			if target, err := ParseTarget([]byte(bad)); err == nil || target != nil {
				t.Errorf("ParseTarget = %v, %v", target, err)
			}
		})
	}
}

// The digests of the profile follow from its policies: A, PolicySecret with the
// endorsement hierarchy, and C, PolicyAuthorizeNV with the profile's NV index.
func TestThePoliciesOfTheTemplatesAreThoseOfTheProfile(t *testing.T) {
	for name, c := range map[string]struct {
		hash    crypto.Hash
		a, c, b string
	}{
		"SHA-256": {crypto.SHA256,
			"837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa",
			"3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde", policyBSHA256},
		"SHA-384": {crypto.SHA384,
			"8bbf2266537c171cb56e403c4dc1d4b64f432611dc386e6f532050c3278c930e143e8bb1133824ccb431053871c6db53",
			"d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5b4947c2d73e63005eed2dc2b3593d165", policyBSHA384},
	} {
		t.Run(name, func(t *testing.T) {
			sum := func(text string) string {
				var in []byte
				if _, err := fmt.Sscanf(text, "%x", &in); err != nil {
					t.Fatal(err)
				}
				h := c.hash.New()
				h.Write(in)
				return fmt.Sprintf("%x", h.Sum(nil))
			}
			zero := strings.Repeat("00", c.hash.Size())
			if a := sum(sum(zero + "00000151" + "4000000b")); a != c.a {
				t.Errorf("policy A = %s", a)
			}
			if b := sum(zero + "00000171" + c.a + c.c); b != c.b {
				t.Errorf("policy B = %s", b)
			}
		})
	}
}

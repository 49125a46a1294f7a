package pkcs11_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	raw "github.com/miekg/pkcs11"

	"github.com/sealward/sealward/signer"
)

// certificate is one for a public key, from an authority of the test's own.
func certificate(t *testing.T, p signer.PublicKey) []byte {
	t.Helper()
	spki, err := p.SPKI()
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	authority := softKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "key"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, authority)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func softKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// importKey brings a P-256 key into the token that was made outside.
func importKey(t *testing.T, id string) {
	t.Helper()
	k := softKey(t)
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	mod, _, s := rawSession(t, token.Module)
	p256 := []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	for _, template := range [][]*raw.Attribute{{
		raw.NewAttribute(raw.CKA_CLASS, raw.CKO_PUBLIC_KEY), raw.NewAttribute(raw.CKA_VERIFY, true),
		raw.NewAttribute(raw.CKA_EC_POINT, append([]byte{4, 65}, point...)),
	}, {
		raw.NewAttribute(raw.CKA_CLASS, raw.CKO_PRIVATE_KEY), raw.NewAttribute(raw.CKA_SIGN, true), raw.NewAttribute(raw.CKA_PRIVATE, true),
		raw.NewAttribute(raw.CKA_SENSITIVE, true), raw.NewAttribute(raw.CKA_EXTRACTABLE, false), raw.NewAttribute(raw.CKA_VALUE, secret),
	}} {
		both := []*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_KEY_TYPE, raw.CKK_EC), raw.NewAttribute(raw.CKA_EC_PARAMS, p256), raw.NewAttribute(raw.CKA_ID, []byte(id))}
		if _, err := mod.CreateObject(s, append(template, both...)); err != nil {
			t.Fatal(err)
		}
	}
}

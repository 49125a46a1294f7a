package pivcard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// Yubico's extensions in attestation certificates.
var (
	oidFirmware   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 3}
	oidSerial     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}
	oidPolicy     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8}
	oidFormFactor = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 9}
)

// Authority is a root that vouches for cards, as Yubico's does. Cards that share one
// are made with it in their [Config].
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes a root.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("Virtual PIV Root CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	return &Authority{parsed, key}, err
}

// certificate is a template that is valid for longer than anybody will use it, as
// the certificates of cards without a clock are.
func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(append([]byte{1}, random(15)...)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Date(2016, 3, 14, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2052, 4, 17, 0, 0, 0, 0, time.UTC),
	}
}

// certify makes the attestation key of a card and its certificate.
func (a *Authority) certify() (*slotKey, []byte, error) {
	private, err := newPrivate(algP256)
	if err != nil {
		return nil, nil, err
	}
	key := &slotKey{algP256, pinNever, touchNever, originImported, private}
	template := certificate("Yubico PIV Attestation")
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, key.public(), a.key)
	return key, der, err
}

// certificateObject is a certificate as a data object: SP 800-73-4 part 1, table 11.
func certificateObject(der []byte) []byte {
	b := appendTLV(nil, 0x70, der...)
	b = appendTLV(b, 0x71, 0)
	return appendTLV(b, 0xfe)
}

// attest carries out Yubico's ATTEST: a certificate, signed by the key in slot f9,
// which says that the key in a slot was generated on this card, and what it asks for.
func (c *Card) attest(cmd command) ([]byte, status) {
	key := c.state.Keys[cmd.p1]
	switch {
	case cmd.p2 != 0 || !isKeySlot(cmd.p1):
		return nil, swWrongP1P2
	case key == nil || key.Origin != originGenerated:
		return nil, swWrongData
	}
	signer := c.state.Keys[slotAttestation]
	object, _ := parseTLV(c.state.Objects[objectAttestation])
	der, _ := find(object, 0x70)
	parent, err := x509.ParseCertificate(der)
	if signer == nil || err != nil {
		return nil, swConditions
	}
	serial, err := asn1.Marshal(int64(c.config.Serial))
	if err != nil {
		return nil, swInternal
	}
	template := certificate(fmt.Sprintf("YubiKey PIV Attestation %x", cmd.p1))
	template.ExtraExtensions = []pkix.Extension{
		{Id: oidFirmware, Value: c.config.Firmware[:]},
		{Id: oidSerial, Value: serial},
		{Id: oidPolicy, Value: []byte{byte(key.PIN), byte(key.Touch)}},
		{Id: oidFormFactor, Value: []byte{c.config.FormFactor}},
	}
	der, err = x509.CreateCertificate(rand.Reader, template, parent, key.public(), signer.private)
	if err != nil { // such as a certificate that is not the key's
		return nil, swConditions
	}
	return der, swOK
}

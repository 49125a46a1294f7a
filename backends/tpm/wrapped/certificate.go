package wrapped

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealward/sealward/signer"
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}               // RFC 5280, 4.2.1.6
	oidEKCertificate  = asn1.ObjectIdentifier{2, 23, 133, 8, 1}           // TCG EK Credential Profile, 3.2.16
	oidRSAESOAEP      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7} // RFC 4055, 4
)

type deviceAttribute struct {
	oid  asn1.ObjectIdentifier
	name string
}

// deviceAttributes are what a certificate has to say of the TPM; TCG EK Credential
// Profile, 3.1.2.
var deviceAttributes = []deviceAttribute{
	{asn1.ObjectIdentifier{2, 23, 133, 2, 1}, "TPM manufacturer"},
	{asn1.ObjectIdentifier{2, 23, 133, 2, 2}, "TPM model"},
	{asn1.ObjectIdentifier{2, 23, 133, 2, 3}, "TPM version"},
}

// checkCertificate checks that a certificate is one of an endorsement key, and not
// another that the same authority issued, and returns which TPM it names.
func checkCertificate(c *x509.Certificate) ([]signer.Field, error) {
	// 3.2.15: keyEncipherment for RSA, keyAgreement for elliptic curves.
	usage := x509.KeyUsageKeyEncipherment
	if c.PublicKeyAlgorithm == x509.ECDSA {
		usage = x509.KeyUsageKeyAgreement
	}
	switch {
	case c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return nil, errors.New("it is that of an authority")
	case c.KeyUsage&usage == 0:
		return nil, errors.New("its key usage is not that of a key that decrypts")
	case !slices.ContainsFunc(c.UnknownExtKeyUsage, oidEKCertificate.Equal):
		return nil, fmt.Errorf("its extended key usage does not have %v, which says that it is one", oidEKCertificate)
	}
	return device(c)
}

// device reads the TPM's manufacturer, model and version.
func device(c *x509.Certificate) ([]signer.Field, error) {
	var fields []signer.Field
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		names, err := directoryNames(e.Value)
		if err != nil {
			return nil, fmt.Errorf("subject alternative name: %w", err)
		}
		for _, want := range deviceAttributes {
			for _, n := range names {
				if text, ok := n.Value.(string); ok && n.Type.Equal(want.oid) {
					fields = append(fields, signer.Field{Name: want.name, Value: text})
				}
			}
		}
	}
	if !slices.EqualFunc(fields, deviceAttributes, func(f signer.Field, a deviceAttribute) bool { return f.Name == a.name }) {
		return nil, errors.New("its subject alternative name does not give the TPM's manufacturer, model and version, each once")
	}
	return fields, nil
}

// directoryNames returns the attributes of all directory names in a GeneralNames
// (RFC 5280, 4.2.1.6: directoryName is [4], and explicit, since Name is a CHOICE).
func directoryNames(der []byte) ([]pkix.AttributeTypeAndValue, error) {
	var general []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &general); err != nil || len(rest) != 0 {
		return nil, errors.New("it is not a list of names")
	}
	var out []pkix.AttributeTypeAndValue
	for _, g := range general {
		if g.Class != asn1.ClassContextSpecific || g.Tag != 4 {
			continue
		}
		var rdns pkix.RDNSequence
		if rest, err := asn1.Unmarshal(g.Bytes, &rdns); err != nil || len(rest) != 0 {
			return nil, errors.New("a directory name in it is damaged")
		}
		for _, set := range rdns {
			out = append(out, set...)
		}
	}
	return out, nil
}

// certifiedKey returns the certificate's public key. Older RSA certificates name the
// key's only use as its algorithm, id-RSAES-OAEP, which crypto/x509 does not know.
func certifiedKey(c *x509.Certificate) (any, error) {
	if c.PublicKey != nil {
		return c.PublicKey, nil
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki)
	if err != nil || len(rest) != 0 || !spki.Algorithm.Algorithm.Equal(oidRSAESOAEP) {
		return nil, errors.New("its public key is neither of RSA nor of an elliptic curve")
	}
	return x509.ParsePKCS1PublicKey(spki.Key.RightAlign())
}

// checkChain checks that the first certificate leads to a root, and returns that.
func checkChain(chain, roots []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	leaf, rest := *chain[0], chain[1:]
	// RFC 5280, 4.1.2.6: with an empty subject the alternative name is critical.
	// crypto/x509 hands that to us, as it does not read directory names; device did.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), oidSubjectAltName.Equal)
	options := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		// That of the leaf was checked; crypto/x509 does not know it.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range roots {
		options.Roots.AddCert(c)
	}
	for _, c := range rest {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil, fmt.Errorf("endorsement certificate: %w", err)
	}
	return chains[0][len(chains[0])-1], nil
}

package wrapped

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sealward/sealward/signer"
)

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1} // RFC 5480, 2.1.1
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}       // SEC 2, A.2.1
	oidEd25519     = asn1.ObjectIdentifier{1, 3, 101, 112}         // RFC 8410, 3
)

// pkcs8 is the OneAsymmetricKey of RFC 5958, 2.
type pkcs8 struct {
	Version    int
	Algorithm  algorithmIdentifier
	PrivateKey []byte
	Attributes asn1.RawValue  `asn1:"optional,tag:0"`
	PublicKey  asn1.BitString `asn1:"optional,tag:1"`
}

type algorithmIdentifier struct {
	OID    asn1.ObjectIdentifier
	Params asn1.RawValue `asn1:"optional"`
}

// sec1 is the ECPrivateKey of SEC 1, C.4.
type sec1 struct {
	Version    int
	PrivateKey []byte
	Curve      asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	PublicKey  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// ParseSecret reads a secret as its owner has it: one PEM block, PKCS#8 ("PRIVATE
// KEY") for either curve or SEC 1 ("EC PRIVATE KEY") for secp256k1, or 64 digits of
// hexadecimal. Digits do not say what they are for, so that algorithm has to; with
// PEM it may be empty, and is refused when the file says otherwise. A public key in
// the file must be that of the secret. The caller clears the secret, and the file.
func ParseSecret(file []byte, algorithm signer.Algorithm) (signer.Algorithm, []byte, error) {
	found, secret, err := parseSecret(file, algorithm)
	if err == nil && algorithm != "" && found != algorithm {
		err = fmt.Errorf("it is a key of %s, not of %s", found, algorithm)
	}
	if err == nil {
		var k *Key
		if k, err = Open(secret, found); err == nil {
			k.Wipe()
		}
	}
	if err != nil {
		clear(secret)
		return "", nil, fmt.Errorf("read the secret: %w", err)
	}
	return found, secret, nil
}

func parseSecret(file []byte, algorithm signer.Algorithm) (signer.Algorithm, []byte, error) {
	text := bytes.TrimSpace(file)
	if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		return parseHex(text, algorithm)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return "", nil, errors.New("the PEM block is damaged")
	}
	defer clear(block.Bytes)
	if len(rest) != 0 {
		return "", nil, errors.New("there is more than one PEM block in the file; leave only the private key in it")
	}
	if len(block.Headers) != 0 {
		return "", nil, errors.New("the PEM block has headers, as one that is encrypted has; decrypt it first")
	}
	switch block.Type {
	case "PRIVATE KEY":
		return parsePKCS8(block.Bytes)
	case "EC PRIVATE KEY":
		secret, err := parseSEC1(block.Bytes, nil)
		return signer.AlgorithmSecp256k1, secret, err
	case "ENCRYPTED PRIVATE KEY":
		return "", nil, errors.New("it is encrypted; decrypt it first, for instance with openssl pkcs8")
	}
	return "", nil, fmt.Errorf("the PEM block is a %q; it has to be a PRIVATE KEY or an EC PRIVATE KEY", block.Type)
}

func parseHex(text []byte, algorithm signer.Algorithm) (signer.Algorithm, []byte, error) {
	text = bytes.TrimPrefix(text, []byte("0x"))
	if len(text) != hex.EncodedLen(secretSize) {
		return "", nil, fmt.Errorf("it is neither a PEM block nor %d digits of hexadecimal", hex.EncodedLen(secretSize))
	}
	if algorithm == "" {
		return "", nil, errors.New("digits do not say for which curve they are; name the algorithm, secp256k1 or ed25519")
	}
	secret := make([]byte, secretSize)
	if _, err := hex.Decode(secret, text); err != nil {
		// Without the cause, which quotes the digit.
		return algorithm, secret, errors.New("it is not all hexadecimal")
	}
	return algorithm, secret, nil
}

// parsePKCS8 reads RFC 5958 as RFC 8410, 7 and SEC 1, C.4 fill it.
func parsePKCS8(der []byte) (signer.Algorithm, []byte, error) {
	var p pkcs8
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) != 0 {
		return "", nil, errors.New("it is no PKCS#8 private key")
	}
	defer clear(p.PrivateKey)
	switch {
	case p.Algorithm.OID.Equal(oidEd25519):
		var seed []byte
		rest, err := asn1.Unmarshal(p.PrivateKey, &seed)
		if err != nil || len(rest) != 0 || len(p.Algorithm.Params.FullBytes) != 0 {
			return "", nil, errors.New("it is no Ed25519 key as in RFC 8410")
		}
		return signer.AlgorithmEd25519, seed, matches(seed, signer.AlgorithmEd25519, p.PublicKey)
	case p.Algorithm.OID.Equal(oidECPublicKey):
		var curve asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(p.Algorithm.Params.FullBytes, &curve); err != nil || len(rest) != 0 {
			return "", nil, errors.New("it does not name its curve")
		}
		secret, err := parseSEC1(p.PrivateKey, curve)
		return signer.AlgorithmSecp256k1, secret, err
	}
	return "", nil, fmt.Errorf("it is a key of algorithm %v, neither secp256k1 nor Ed25519; other keys are made in the TPM itself", p.Algorithm.OID)
}

// parseSEC1 reads an ECPrivateKey, whose curve stands in it or around it.
func parseSEC1(der []byte, curve asn1.ObjectIdentifier) ([]byte, error) {
	var e sec1
	if rest, err := asn1.Unmarshal(der, &e); err != nil || len(rest) != 0 || e.Version != 1 {
		return nil, errors.New("it is no EC private key as in SEC 1")
	}
	if curve == nil {
		curve = e.Curve
	}
	if !curve.Equal(oidSecp256k1) || (e.Curve != nil && !e.Curve.Equal(curve)) {
		clear(e.PrivateKey)
		return nil, fmt.Errorf("its curve is %v, not secp256k1; keys of other curves are made in the TPM itself", curve)
	}
	return e.PrivateKey, matches(e.PrivateKey, signer.AlgorithmSecp256k1, e.PublicKey)
}

// matches compares the public key that stands in a file, if one does.
func matches(secret []byte, algorithm signer.Algorithm, public asn1.BitString) error {
	if public.BitLength == 0 {
		return nil
	}
	k, err := Open(secret, algorithm)
	if err != nil {
		return err
	}
	defer k.Wipe()
	forms := [][]byte{k.Public().Bytes}
	if k.ecdsa != nil {
		forms = append(forms, k.ecdsa.PubKey().SerializeCompressed())
	}
	for _, f := range forms {
		if public.BitLength == 8*len(f) && bytes.Equal(public.Bytes, f) {
			return nil
		}
	}
	return errors.New("the public key in the file is not that of the secret; the file is damaged")
}

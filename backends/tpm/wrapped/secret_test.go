package wrapped

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

func openssl(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, &stderr)
	}
	return out
}

func TestSecretsOfOpenSSLAreRead(t *testing.T) {
	k1 := openssl(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")
	ed := openssl(t, nil, "genpkey", "-algorithm", "ed25519")
	for name, c := range map[string]struct {
		file []byte
		want signer.Algorithm
	}{
		"secp256k1, PKCS#8":            {k1, signer.AlgorithmSecp256k1},
		"secp256k1, SEC 1":             {openssl(t, k1, "ec"), signer.AlgorithmSecp256k1},
		"secp256k1, compressed point":  {openssl(t, k1, "ec", "-conv_form", "compressed"), signer.AlgorithmSecp256k1},
		"secp256k1, no public key":     {openssl(t, k1, "ec", "-no_public"), signer.AlgorithmSecp256k1},
		"Ed25519, PKCS#8":              {ed, signer.AlgorithmEd25519},
		"Ed25519, with an empty line":  {append(ed[:len(ed):len(ed)], '\n'), signer.AlgorithmEd25519},
		"secp256k1, lines of Windows":  {bytes.ReplaceAll(k1, []byte("\n"), []byte("\r\n")), signer.AlgorithmSecp256k1},
		"secp256k1, algorithm omitted": {k1, signer.AlgorithmSecp256k1},
	} {
		t.Run(name, func(t *testing.T) {
			given := c.want
			if strings.HasSuffix(name, "omitted") {
				given = ""
			}
			found, secret, err := ParseSecret(c.file, given)
			if err != nil || found != c.want {
				t.Fatalf("ParseSecret = %v, %v", found, err)
			}
			k, err := Open(secret, found)
			if err != nil {
				t.Fatal(err)
			}
			spki, err := k.Public().SPKI()
			if err != nil {
				t.Fatal(err)
			}
			source := k1
			if c.want == signer.AlgorithmEd25519 {
				source = ed
			}
			if want := openssl(t, source, "pkey", "-pubout", "-outform", "DER"); !bytes.Equal(spki, want) {
				t.Errorf("public key = %x, openssl says %x", spki, want)
			}
			// As digits, it is the same key.
			for _, digits := range []string{hex.EncodeToString(secret), "0x" + strings.ToUpper(hex.EncodeToString(secret)) + "\n"} {
				if a, again, err := ParseSecret([]byte(digits), c.want); err != nil || a != c.want || !bytes.Equal(again, secret) {
					t.Errorf("ParseSecret of its digits = %v, %v", a, err)
				}
			}
		})
	}
}

func TestAFileThatIsNoSecretIsRefused(t *testing.T) {
	p256 := openssl(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	k1 := openssl(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")
	ed := openssl(t, nil, "genpkey", "-algorithm", "ed25519")
	digits := strings.Repeat("5a", 32)
	for name, c := range map[string]struct {
		file      string
		algorithm signer.Algorithm
		want      string
	}{
		"nothing":                          {"", "", "neither a PEM block"},
		"digits without an algorithm":      {digits, "", "name the algorithm"},
		"too few digits":                   {digits[2:], signer.AlgorithmEd25519, "64 digits"},
		"no digits":                        {strings.Repeat("zz", 32), signer.AlgorithmEd25519, "not all hexadecimal"},
		"digits of zero":                   {strings.Repeat("0", 64), signer.AlgorithmSecp256k1, "it is zero"},
		"the order":                        {orderN, signer.AlgorithmSecp256k1, "not below the curve's order"},
		"another algorithm than was named": {string(ed), signer.AlgorithmSecp256k1, "of ed25519, not of secp256k1"},
		"P-256":                            {string(p256), "", "made in the TPM itself"},
		"P-256 in SEC 1":                   {string(openssl(t, p256, "ec")), "", "made in the TPM itself"},
		"RSA":                              {string(openssl(t, nil, "genpkey", "-algorithm", "RSA")), "", "neither secp256k1 nor Ed25519"},
		"an encrypted key":                 {string(openssl(t, k1, "pkcs8", "-topk8", "-passout", "pass:x")), "", "decrypt it first"},
		"an encrypted SEC 1 key":           {string(openssl(t, k1, "ec", "-aes128", "-passout", "pass:x")), "", "decrypt it first"},
		"a public key":                     {string(openssl(t, k1, "pkey", "-pubout")), "", "PUBLIC KEY"},
		"parameters before the key":        {string(openssl(t, nil, "ecparam", "-name", "secp256k1", "-genkey")), "", "more than one PEM block"},
		"two keys":                         {string(k1) + string(ed), "", "more than one PEM block"},
		"a damaged block":                  {string(k1[:40]), "", "damaged"},
		"no PKCS#8":                        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "", "no PKCS#8"},
		"another's public key":             {string(foreignPublic(t)), "", "not that of the secret"},
	} {
		t.Run(name, func(t *testing.T) {
			a, secret, err := ParseSecret([]byte(c.file), c.algorithm)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseSecret error = %v, want one with %q", err, c.want)
			}
			if a != "" || secret != nil {
				t.Errorf("ParseSecret = %v, %x", a, secret)
			}
			if err != nil && len(c.file) > 40 && strings.Contains(err.Error(), digits[:8]) {
				t.Errorf("the error quotes the secret: %v", err)
			}
		})
	}
}

// foreignPublic is a key of SEC 1 with the public key of another.
func foreignPublic(t *testing.T) []byte {
	t.Helper()
	k, err := Open(bytes.Repeat([]byte{2}, 32), signer.AlgorithmSecp256k1)
	if err != nil {
		t.Fatal(err)
	}
	public := k.Public().Bytes
	der, err := asn1.Marshal(sec1{1, bytes.Repeat([]byte{1}, 32), oidSecp256k1, asn1.BitString{Bytes: public, BitLength: 8 * len(public)}})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

package wrapped

import (
	"bytes"
	"encoding/hex"

	"github.com/google/go-tpm/tpm2"
)

// EndorsementTemplate is a template of the TCG EK Credential Profile for TPM Family
// 2.0, version 2.3, B.3 and B.4: TPM2_CreatePrimary with Public in the endorsement
// hierarchy makes the endorsement key that the certificate in the NV index is for.
type EndorsementTemplate struct {
	Name             string // in the profile
	CertificateIndex tpm2.TPMHandle
	Public           tpm2.TPMTPublic
}

// Made says whether a public area is from the template: the same in everything but
// the public key itself.
func (e *EndorsementTemplate) Made(pub *tpm2.TPMTPublic) bool {
	if pub.Type != e.Public.Type {
		return false
	}
	want := e.Public
	want.Unique = pub.Unique
	return bytes.Equal(tpm2.Marshal(want), tpm2.Marshal(pub))
}

// Policies of the profile, B.6. A is TPM2_PolicySecret(TPM_RH_ENDORSEMENT); B is A
// or a policy that the platform may keep in an NV index.
const (
	policyBSHA256 = "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"
	policyBSHA384 = "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419ca" +
		"cb47ba09699646150f9fc000f3f80e12"
)

// EndorsementTemplates are the templates whose keys are taken, in the order in which
// to look for a certificate: the elliptic curves first, as they are quicker.
func EndorsementTemplates() []EndorsementTemplate {
	return []EndorsementTemplate{
		{"L-2", 0x01c0000a, tpm2.ECCEKTemplate},
		{"H-2", 0x01c00014, highRangeECC(tpm2.TPMAlgSHA256, policyBSHA256, 128, tpm2.TPMECCNistP256)},
		{"H-3", 0x01c00016, highRangeECC(tpm2.TPMAlgSHA384, policyBSHA384, 256, tpm2.TPMECCNistP384)},
		{"L-1", 0x01c00002, tpm2.RSAEKTemplate},
		{"H-1", 0x01c00012, highRangeRSA(tpm2.TPMAlgSHA256, policyBSHA256, 128, 2048)},
		{"H-6", 0x01c0001c, highRangeRSA(tpm2.TPMAlgSHA384, policyBSHA384, 256, 3072)},
	}
}

// highRange is what the templates of B.4 have in common. Unlike those of B.3, their
// keys may be used with their auth value, which is empty.
func highRange(kind, hash tpm2.TPMAlgID, policy string) tpm2.TPMTPublic {
	digest, err := hex.DecodeString(policy)
	if err != nil {
		panic("wrapped: a policy's digest is not hexadecimal: " + err.Error())
	}
	return tpm2.TPMTPublic{
		Type:    kind,
		NameAlg: hash,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: true, AdminWithPolicy: true,
			Restricted: true, Decrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: digest},
	}
}

func highRangeECC(hash tpm2.TPMAlgID, policy string, aes tpm2.TPMKeyBits, curve tpm2.TPMECCCurve) tpm2.TPMTPublic {
	pub := highRange(tpm2.TPMAlgECC, hash, policy)
	pub.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{Symmetric: aesCFB(aes), CurveID: curve})
	pub.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return pub
}

func highRangeRSA(hash tpm2.TPMAlgID, policy string, aes tpm2.TPMKeyBits, bits tpm2.TPMKeyBits) tpm2.TPMTPublic {
	pub := highRange(tpm2.TPMAlgRSA, hash, policy)
	pub.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{Symmetric: aesCFB(aes), KeyBits: bits})
	pub.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	return pub
}

func aesCFB(bits tpm2.TPMKeyBits) tpm2.TPMTSymDefObject {
	return tpm2.TPMTSymDefObject{
		Algorithm: tpm2.TPMAlgAES,
		KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, bits),
		Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
	}
}

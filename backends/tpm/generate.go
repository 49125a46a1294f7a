package tpm

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/backends/tpm/wrapped"
	"github.com/sealward/sealward/signer"
)

// Generate makes a key. Its options are "pcrs", such as "0,2,7" or "none", and
// "pcr_authority", the PEM of a public key; without them the settings hold.
func (d *driver) Generate(ctx context.Context, spec backends.KeySpec) (backends.NewKey, error) {
	bind, err := d.bindingFor(spec.Options)
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("make a key: %w", err)
	}
	if spec.Wrapped {
		return d.generateWrapped(ctx, spec, bind)
	}
	template, err := keyTemplate(spec.Algorithm, spec.Bits)
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("make a key: %w", err)
	}
	var made backends.NewKey
	err = d.exclusively(ctx, func() error {
		g, err := d.guard(bind)
		if err != nil {
			return err
		}
		template.AuthPolicy = tpm2.TPM2BDigest{Buffer: g.Digest}
		template.ObjectAttributes.UserWithAuth = g.Digest == nil // or else the policy protects nothing
		rsp, err := d.create(template, g.Auth, nil)
		if err != nil {
			return err
		}
		public, err := rsp.OutPublic.Contents()
		if err != nil {
			return err
		}
		f := &tss2.Key{Type: tss2.Loadable, Policy: g.Policy, Parent: d.storageParent(), Public: *public, Private: rsp.OutPrivate.Buffer}
		made, err = d.made(f.Encode())
		return err
	})
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("make a key: %w", err)
	}
	return made, nil
}

// bindingFor reads the options of a new key.
func (d *driver) bindingFor(options map[string]string) (*binding, error) {
	pcrs, authority := d.settings.PCRs, d.settings.PCRAuthority
	for name, value := range options {
		switch name {
		case "pcrs":
			pcrs = nil
			if value == "none" {
				continue
			}
			for _, p := range strings.Split(value, ",") {
				n, err := strconv.Atoi(strings.TrimSpace(p))
				if err != nil {
					return nil, fmt.Errorf(`option pcrs is %q; want numbers, as in "0,2,7", or "none"`, value)
				}
				pcrs = append(pcrs, n)
			}
		case "pcr_authority":
			authority = value
		default:
			return nil, fmt.Errorf("a key in a TPM has no option %q; there are pcrs and pcr_authority", name)
		}
	}
	return newBinding(pcrs, authority)
}

// attributes of every key; doc.go says why.
var attributes = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true}

// keyTemplate is the public area of a key to make. The scheme is given with each
// signature: that is what other programs expect of a key file, and which padding an
// RSA key has is its configuration's matter.
func keyTemplate(a signer.Algorithm, bits int) (tpm2.TPMTPublic, error) {
	t := tpm2.TPMTPublic{NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes}
	t.ObjectAttributes.SignEncrypt = true
	curve := map[signer.Algorithm]tpm2.TPMECCCurve{signer.AlgorithmP256: tpm2.TPMECCNistP256, signer.AlgorithmP384: tpm2.TPMECCNistP384}[a]
	switch {
	case curve != 0 && bits == 0:
		t.Type = tpm2.TPMAlgECC
		t.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull},
			Scheme:    tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull},
			CurveID:   curve,
			KDF:       tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull},
		})
		t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	case a == signer.AlgorithmRSA && (bits == 2048 || bits == 3072):
		t.Type = tpm2.TPMAlgRSA
		t.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull},
			Scheme:    tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgNull},
			KeyBits:   tpm2.TPMKeyBits(bits),
		})
		t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	case a == signer.AlgorithmRSA:
		return t, fmt.Errorf("a TPM makes RSA keys of 2048 and 3072 bits, not of %d", bits)
	case a == signer.AlgorithmSecp256k1 || a == signer.AlgorithmEd25519:
		return t, fmt.Errorf("no TPM has %s; make a wrapped key, which is sealed to the TPM and opened to sign", a)
	default:
		return t, fmt.Errorf("a key in a TPM is p256, p384 or rsa, not %q with %d bits", a, bits)
	}
	return t, nil
}

// guard is what the TPM asks for before it uses a new key.
func (d *driver) guard(bind *binding) (wrapped.Guard, error) {
	if err := d.needAuth(); err != nil {
		return wrapped.Guard{}, err
	}
	g := wrapped.Guard{Auth: d.auth}
	if bind == nil {
		return g, nil
	}
	values, err := d.readPCRs(bind.pcrs)
	if err != nil {
		return wrapped.Guard{}, err
	}
	s := bind.seal(values)
	g.Digest, g.Policy = s.initial.digest(), s.initial.commands()
	return g, nil
}

// storageParent is how a key file names the storage root key.
func (d *driver) storageParent() tpm2.TPMHandle {
	if d.storage.permanent {
		return persistentStorage
	}
	return tpm2.TPMRHOwner
}

// made finds a new key, so that its file is known to work before anybody relies on it.
func (d *driver) made(file []byte, err error) (backends.NewKey, error) {
	if err != nil {
		return backends.NewKey{}, err
	}
	k, err := d.find(string(file))
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("the key was made but cannot be used: %w", err)
	}
	return backends.NewKey{Locator: string(file), File: true, Facts: k.facts}, nil
}

// create runs TPM2_Create. The auth value and the data cross the bus encrypted, in a
// session of their own, since the storage root key has an empty auth value.
func (d *driver) create(template tpm2.TPMTPublic, auth, data []byte) (*tpm2.CreateResponse, error) {
	if err := d.load(d.storage); err != nil {
		return nil, err
	}
	sensitive := tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: auth}}
	if data != nil {
		sensitive.Data = tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: data})
	}
	var rsp *tpm2.CreateResponse
	err := d.room(func() (err error) {
		rsp, err = tpm2.Create{
			ParentHandle: d.storage.authorized(tpm2.HMAC(tpm2.TPMAlgSHA256, 16, d.options(in, nil)...)),
			InSensitive:  tpm2.TPM2BSensitiveCreate{Sensitive: &sensitive},
			InPublic:     tpm2.New2B(template),
		}.Execute(d.link)
		return err
	}, d.storage)
	return rsp, err
}

package tpm

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/wrapped"
	"github.com/sealward/sealward/signer"
)

// presentation is the argument of "target": what this TPM presents to be sent a key.
type presentation struct {
	Name string `json:"name"`
	// Chain are the certificates between that of the endorsement key, which is read
	// from the TPM, and a root, in DER.
	Chain [][]byte `json:"chain,omitempty"`
}

// presented is its result.
type presented struct {
	Target      []byte `json:"target"` // the file, for [wrapped.ParseTarget]
	Fingerprint string `json:"fingerprint"`
}

func (d *driver) target(ctx context.Context, p presentation) (presented, error) {
	var t *wrapped.Target
	err := d.exclusively(ctx, func() error {
		public, certificate, err := d.endorsement()
		if err != nil {
			return err
		}
		var chain [][]byte
		if certificate != nil {
			chain = append([][]byte{certificate}, p.Chain...)
		}
		t = wrapped.NewTarget(p.Name, &public, chain)
		return nil
	})
	if err != nil {
		return presented{}, fmt.Errorf("present the TPM: %w", err)
	}
	file, err := t.Encode()
	if err != nil {
		return presented{}, err
	}
	return presented{file, t.Fingerprint()}, nil
}

// importable is the argument of "import".
type importable struct {
	Key     string            `json:"key"`     // a wrapped key on its way to this TPM
	Options map[string]string `json:"options"` // as those of a new key
}

// importKey takes a key that was encrypted to this TPM's endorsement key, and gives it
// the auth value and the policy of the keys here. What it is shown as stays imported:
// the TPM does not load it as fixed to itself.
func (d *driver) importKey(ctx context.Context, i importable) (backends.NewKey, error) {
	f, err := wrapped.Parse([]byte(i.Key))
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("import a key: %w", err)
	}
	bind, err := d.bindingFor(i.Options)
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("import a key: %w", err)
	}
	var made backends.NewKey
	err = d.exclusively(ctx, func() error {
		g, err := d.guard(bind)
		if err != nil {
			return err
		}
		secret, err := d.receive(f)
		if err != nil {
			return err
		}
		defer clear(secret)
		to, err := wrapped.StorageKey(&d.storagePublic, d.storageParent())
		if err != nil {
			return err
		}
		kept, err := to.Wrap(secret, f.Public.Algorithm, g)
		if err != nil {
			return err
		}
		if err := d.load(d.storage); err != nil {
			return err
		}
		if err := d.adopt(kept, d.storage, tpm2.PasswordAuth(nil)); err != nil {
			return err
		}
		made, err = d.made(kept.Encode())
		return err
	})
	if err != nil {
		return backends.NewKey{}, fmt.Errorf("import a key: %w", err)
	}
	return made, nil
}

// receive opens a key on its way: it is imported under the endorsement key, loaded,
// unsealed and flushed.
func (d *driver) receive(f *wrapped.File) ([]byte, error) {
	for _, e := range wrapped.EndorsementTemplates() {
		var public tpm2.TPMTPublic
		ek := d.primary("the endorsement key", e.Public, &public)
		if len(f.Target) == 0 || int(f.Target[0])<<8+int(f.Target[1]) != int(e.Public.NameAlg) || f.Key.RSAParent != (e.Public.Type == tpm2.TPMAlgRSA) {
			continue // saves making it, which takes a TPM long for RSA
		}
		if err := d.load(ek); err != nil {
			return nil, err
		}
		if !bytes.Equal(ek.name, f.Target) {
			d.unload(ek)
			continue
		}
		defer d.unload(ek)
		return d.receiveUnder(f, ek, e.Public)
	}
	return nil, errors.New("the key was encrypted to another TPM, or the file is one that is kept, which moves with \"duplicate\" only")
}

func (d *driver) receiveUnder(f *wrapped.File, ek *object, template tpm2.TPMTPublic) ([]byte, error) {
	received := *f
	if err := d.adopt(&received, ek, useEndorsement(template)); err != nil {
		return nil, err
	}
	o := &object{what: "the received key", bring: func([]*object) (tpm2.TPMHandle, tpm2.TPM2BName, error) {
		rsp, err := tpm2.Load{ParentHandle: ek.authorized(useEndorsement(template)), InPrivate: tpm2.TPM2BPrivate{Buffer: received.Key.Private}, InPublic: tpm2.New2B(received.Key.Public)}.Execute(d.link)
		if err != nil {
			return 0, tpm2.TPM2BName{}, err
		}
		return rsp.ObjectHandle, rsp.Name, nil
	}}
	if err := d.load(o, ek); err != nil {
		return nil, err
	}
	defer d.unload(o)
	if err := d.load(d.storage, o); err != nil { // the session is salted to it
		return nil, err
	}
	var rsp *tpm2.UnsealResponse
	err := d.room(func() (err error) {
		rsp, err = tpm2.Unseal{ItemHandle: o.authorized(tpm2.HMAC(tpm2.TPMAlgSHA256, 16, d.options(out, nil)...))}.Execute(d.link)
		return err
	}, o, d.storage)
	if err != nil {
		return nil, fmt.Errorf("open the received key: %w", err)
	}
	opened, err := f.Open(rsp.OutData.Buffer)
	if err != nil {
		clear(rsp.OutData.Buffer)
		return nil, err
	}
	opened.Wipe()
	return rsp.OutData.Buffer, nil
}

// adopt has the TPM take off the outer wrapper and put its parent's around the private
// part, so that the file is one that is loaded.
func (d *driver) adopt(f *wrapped.File, parent *object, use tpm2.Session) error {
	var rsp *tpm2.ImportResponse
	err := d.room(func() (err error) {
		rsp, err = tpm2.Import{
			ParentHandle: parent.authorized(use),
			ObjectPublic: tpm2.New2B(f.Key.Public),
			Duplicate:    tpm2.TPM2BPrivate{Buffer: f.Key.Private},
			InSymSeed:    tpm2.TPM2BEncryptedSecret{Buffer: f.Key.Secret},
			Symmetric:    tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
		}.Execute(d.link)
		return err
	}, parent)
	if err != nil {
		return fmt.Errorf("take the key from its wrapper: %w", err)
	}
	f.Key.Private, f.Key.Secret, f.Target = rsp.OutPrivate.Buffer, nil, nil
	return nil
}

// duplication is the argument of "duplicate".
type duplication struct {
	Key    string `json:"key"`    // the key file
	Target []byte `json:"target"` // the file that the other TPM presented
	// Roots are the PEM of the certificates of TPM manufacturers that are trusted.
	Roots string `json:"roots,omitempty"`
	// Accept names the one TPM without a certificate that is accepted as an exception:
	// its target's name, and the fingerprint that it shows itself.
	Accept *struct {
		Name        string `json:"name"`
		Fingerprint string `json:"fingerprint"`
	} `json:"accept,omitempty"`
}

// duplicated is its result.
type duplicated struct {
	Key   string         `json:"key"`   // the key on its way, for "import" there
	Facts []signer.Field `json:"facts"` // which TPM it goes to, and why it is believed to be one
}

// duplicate encrypts a wrapped key to another TPM.
func (d *driver) duplicate(ctx context.Context, a duplication) (duplicated, error) {
	to, err := a.recipient()
	if err != nil {
		return duplicated{}, fmt.Errorf("duplicate a key: %w", err)
	}
	var file []byte
	err = d.exclusively(ctx, func() error {
		k, err := d.find(a.Key)
		if err != nil {
			return err
		}
		if k.sealed == nil {
			return errors.New("the key was made in this TPM and cannot leave it; only wrapped keys can be duplicated")
		}
		secret, err := k.open()
		if err != nil {
			return err
		}
		defer clear(secret)
		opened, err := k.sealed.Open(secret)
		if err != nil {
			return err
		}
		opened.Wipe()
		f, err := to.Wrap(secret, k.sealed.Public.Algorithm, wrapped.Guard{})
		if err != nil {
			return err
		}
		file, err = f.Encode()
		return err
	})
	if err != nil {
		return duplicated{}, fmt.Errorf("duplicate a key: %w", refusedAuth(err))
	}
	return duplicated{string(file), to.Facts()}, nil
}

// recipient verifies the target.
func (a duplication) recipient() (*wrapped.Recipient, error) {
	t, err := wrapped.ParseTarget(a.Target)
	if err != nil {
		return nil, err
	}
	if a.Accept != nil {
		return wrapped.AcceptTest{Name: a.Accept.Name, Fingerprint: a.Accept.Fingerprint}.Verify(t)
	}
	var roots []*x509.Certificate
	for rest := bytes.TrimSpace([]byte(a.Roots)); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("the roots are not PEM blocks of certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("roots: %w", err)
		}
		roots = append(roots, c)
		rest = bytes.TrimSpace(rest)
	}
	return wrapped.VerifyEndorsement(t, roots, time.Now())
}

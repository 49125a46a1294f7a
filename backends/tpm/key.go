package tpm

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/backends/tpm/wrapped"
	"github.com/sealward/sealward/signer"
)

// key is a key of a file, loaded when it is used.
type key struct {
	d      *driver
	object *object
	public tpm2.TPMTPublic
	seal   *seal         // nil when the auth value alone is enough
	sealed *wrapped.File // nil for a key that the TPM itself signs with
	facts  backends.KeyFacts
}

// Find loads the key of a file, and checks the auth value if it is known by now.
func (d *driver) Find(ctx context.Context, locator string) (backends.DeviceKey, error) {
	var k *key
	err := d.exclusively(ctx, func() (err error) {
		k, err = d.find(locator)
		return err
	})
	if err != nil {
		return nil, refusedAuth(err)
	}
	if k.sealed != nil {
		return wrappedKey{k}, nil
	}
	return k, nil
}

// find is Find for whoever has the TPM.
func (d *driver) find(locator string) (*key, error) {
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(locator)))
	k := d.keys[id]
	if k == nil {
		var err error
		if k, err = d.parse(locator); err != nil {
			return nil, err
		}
	}
	if err := d.load(k.object); err != nil {
		return nil, err
	}
	if err := k.checkAuth(); err != nil {
		d.unload(k.object)
		return nil, err
	}
	d.keys[id] = k
	return k, nil
}

// parse makes a key of a file.
func (d *driver) parse(locator string) (*key, error) {
	f, err := tss2.Parse([]byte(locator))
	if err != nil {
		return nil, err
	}
	if err := checkFile(f); err != nil {
		return nil, fmt.Errorf("the key file is refused: %w", err)
	}
	name, err := tpm2.ObjectName(&f.Public)
	if err != nil {
		return nil, fmt.Errorf("the key file is refused: %w", err)
	}
	k := &key{d: d, public: f.Public}
	k.object = &object{what: "the key", name: name.Buffer, bring: func(kept []*object) (tpm2.TPMHandle, tpm2.TPM2BName, error) {
		return d.bring(f, kept)
	}}
	if k.seal, err = sealOf(f); err != nil {
		return nil, fmt.Errorf("the key file is refused: %w", err)
	}
	if f.Type == tss2.Sealed {
		if k.sealed, err = wrapped.Parse([]byte(locator)); err != nil {
			return nil, err
		}
	}
	if err := k.describe(); err != nil {
		return nil, fmt.Errorf("the key file is refused: %w", err)
	}
	return k, nil
}

// checkFile refuses what is no key of ours.
func checkFile(f *tss2.Key) error {
	a := f.Public.ObjectAttributes
	switch {
	case f.Type == tss2.Importable || len(f.Secret) != 0:
		return errors.New("it still has to be imported into this TPM")
	case f.RSAParent || (f.Parent != tpm2.TPMRHOwner && f.Parent != persistentStorage):
		return fmt.Errorf("its parent is %#x, not the ECC storage root key of the owner hierarchy", uint32(f.Parent))
	case f.EmptyAuth:
		return errors.New("it has no auth value, so that every program that reaches the TPM could sign with it")
	case !a.NoDA:
		return errors.New("it is subject to dictionary-attack lockout: crashes and other programs' wrong passwords would lock it. Keys made here are exempt (noDA)")
	case f.Public.NameAlg != tpm2.TPMAlgSHA256:
		return fmt.Errorf("its name is made with algorithm %#x, not SHA-256", uint16(f.Public.NameAlg))
	case f.Type == tss2.Loadable && (!a.SignEncrypt || a.Restricted || a.Decrypt):
		return errors.New("it is no key that signs what it is given, and only signs (sign, not restricted, not decrypt)")
	}
	return nil
}

// bring loads the key's object.
func (d *driver) bring(f *tss2.Key, kept []*object) (tpm2.TPMHandle, tpm2.TPM2BName, error) {
	if err := d.load(d.storage, kept...); err != nil {
		return 0, tpm2.TPM2BName{}, err
	}
	var rsp *tpm2.LoadResponse
	err := d.room(func() (err error) {
		rsp, err = tpm2.Load{
			ParentHandle: d.storage.authorized(tpm2.PasswordAuth(nil)),
			InPrivate:    tpm2.TPM2BPrivate{Buffer: f.Private},
			InPublic:     tpm2.New2B(f.Public),
		}.Execute(d.link)
		return err
	}, append(kept, d.storage)...)
	switch {
	case err == nil:
		return rsp.ObjectHandle, rsp.Name, nil
	case has(err, tpm2.TPMRCIntegrity):
		// TPM 2.0 Library part 1, 22.4: the private part is under an HMAC that only
		// its parent can make.
		return 0, tpm2.TPM2BName{}, fmt.Errorf("this key file belongs to another TPM, or the TPM was cleared since, or the file is damaged (this TPM is %s): %w", d.serial(), err)
	}
	return 0, tpm2.TPM2BName{}, err
}

// describe fills in what is known of a key. The public key of a wrapped one is the
// file's claim, which is checked each time that it is opened.
func (k *key) describe() error {
	if k.sealed != nil {
		k.facts = backends.KeyFacts{Public: k.sealed.Public, Protection: signer.ProtectionWrapped, Origin: k.sealed.Origin(), Facts: k.fields()}
		return nil
	}
	public, err := publicKey(k.public)
	if err != nil {
		return err
	}
	k.facts = backends.KeyFacts{Public: public, Protection: signer.ProtectionResident, Origin: origin(k.public.ObjectAttributes), Facts: k.fields()}
	return nil
}

// origin follows from attributes that are part of the object's name: a TPM sets
// sensitiveDataOrigin on what it made itself, and loads as fixedTPM only what it made
// or sealed (TPM 2.0 Library part 2, 8.3.3).
func origin(a tpm2.TPMAObject) signer.Origin {
	if a.FixedTPM && a.FixedParent && a.SensitiveDataOrigin {
		return signer.OriginGenerated
	}
	return signer.OriginImported
}

func (k *key) fields() []signer.Field {
	f := []signer.Field{{Name: "tpm name", Value: hex.EncodeToString(k.object.name)}}
	if k.seal != nil {
		f = append(f, signer.Field{Name: "pcrs", Value: k.seal.pcrs()})
	}
	return f
}

// publicKey translates a public area.
func publicKey(p tpm2.TPMTPublic) (signer.PublicKey, error) {
	switch p.Type {
	case tpm2.TPMAlgECC:
		params, err := p.Parameters.ECCDetail()
		if err != nil {
			return signer.PublicKey{}, err
		}
		point, err := p.Unique.ECC()
		if err != nil {
			return signer.PublicKey{}, err
		}
		algorithm, size := signer.AlgorithmP256, 32
		if params.CurveID == tpm2.TPMECCNistP384 {
			algorithm, size = signer.AlgorithmP384, 48
		} else if params.CurveID != tpm2.TPMECCNistP256 {
			return signer.PublicKey{}, fmt.Errorf("it is on curve %#x; P-256 and P-384 are supported", uint16(params.CurveID))
		}
		if len(point.X.Buffer) > size || len(point.Y.Buffer) > size {
			return signer.PublicKey{}, errors.New("its point is not on its curve")
		}
		return signer.PublicKey{Algorithm: algorithm, Bytes: append([]byte{4}, append(pad(point.X.Buffer, size), pad(point.Y.Buffer, size)...)...)}, nil
	case tpm2.TPMAlgRSA:
		params, err := p.Parameters.RSADetail()
		if err != nil {
			return signer.PublicKey{}, err
		}
		modulus, err := p.Unique.RSA()
		if err != nil {
			return signer.PublicKey{}, err
		}
		if params.KeyBits < 2048 {
			return signer.PublicKey{}, fmt.Errorf("it is an RSA key of %d bits; at least 2048 are asked for", params.KeyBits)
		}
		public, err := tpm2.RSAPub(params, modulus)
		if err != nil {
			return signer.PublicKey{}, err
		}
		return signer.PublicKey{Algorithm: signer.AlgorithmRSA, Bytes: x509.MarshalPKCS1PublicKey(public)}, nil
	}
	return signer.PublicKey{}, fmt.Errorf("it is an object of type %#x, not an ECC or RSA key", uint16(p.Type))
}

// pad brings an integer to its full length: a TPM may leave out zeros in front.
func pad(b []byte, size int) []byte {
	if len(b) >= size {
		return b
	}
	return append(make([]byte, size-len(b)), b...)
}

func (k *key) Facts() backends.KeyFacts { return k.facts }

// checkAuth has the TPM describe the key in a statement that nobody signs, which
// needs the key's auth value and does nothing with the key (TPM 2.0 Library part 3,
// 18.2). It does nothing before Login.
func (k *key) checkAuth() error {
	if k.d.auth == nil {
		return nil
	}
	s, err := k.d.session(in)
	if err != nil {
		return err
	}
	if err := k.d.load(k.object); err != nil {
		return err
	}
	_, err = tpm2.Certify{
		ObjectHandle: k.object.authorized(s),
		SignHandle:   tpm2.AuthHandle{Handle: tpm2.TPMRHNull, Auth: tpm2.PasswordAuth(nil)},
		InScheme:     tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
	}.Execute(k.d.link)
	return err
}

// refusedAuth says that a key's auth value is another one.
func refusedAuth(err error) error {
	if !refused(err) {
		return err
	}
	return &backends.PINError{Left: -1, Sent: true, Text: "the auth value is not the one with which this key was made; " +
		"give that one (nothing was counted: the key is exempt from lockout)"}
}

// authorize returns a session that may use the key, and what ends it.
func (k *key) authorize(dir direction) (tpm2.Session, func(), error) {
	if err := k.d.needAuth(); err != nil {
		return nil, nil, err
	}
	if k.seal == nil {
		s, err := k.d.session(dir)
		return s, func() {}, err
	}
	s, err := k.d.policySession(dir, k.d.auth)
	if err != nil {
		return nil, nil, err
	}
	end := func() { _ = s.end() }
	if err := k.seal.satisfy(k.d, s); err != nil {
		end()
		return nil, nil, err
	}
	return s, end, nil
}

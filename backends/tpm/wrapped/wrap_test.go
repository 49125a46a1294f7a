package wrapped

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

var secretOfTests = bytes.Repeat([]byte{0x5a}, 32)

func mustWrap(t *testing.T, r *Recipient, g Guard) *File {
	t.Helper()
	f, err := r.Wrap(secretOfTests, signer.AlgorithmSecp256k1, g)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func storageKey(t *testing.T, l *loaded, handle tpm2.TPMHandle) *Recipient {
	t.Helper()
	r, err := StorageKey(&l.public, handle)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.Name(), l.name.Buffer) {
		t.Fatalf("name = %x, and the TPM says %x", r.Name(), l.name.Buffer)
	}
	return r
}

func TestARealTPMImportsWhatWasWrappedForIt(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	type parent struct {
		hierarchy tpm2.TPMHandle
		template  tpm2.TPMTPublic
	}
	parents := map[string]parent{
		"P-256 storage key":    {tpm2.TPMRHOwner, tpm2.ECCSRKTemplate},
		"RSA 2048 storage key": {tpm2.TPMRHOwner, tpm2.RSASRKTemplate},
	}
	for _, e := range EndorsementTemplates() {
		parents["endorsement key "+e.Name] = parent{tpm2.TPMRHEndorsement, e.Public}
	}
	for name, p := range parents {
		t.Run(name, func(t *testing.T) {
			key := primary(t, tpm, p.hierarchy, p.template)
			f := onWay(t, mustWrap(t, storageKey(t, key, p.hierarchy), Guard{}))
			if f.Origin() != signer.OriginImported || !f.Key.EmptyAuth || f.Key.Parent != p.hierarchy || f.Key.RSAParent != (p.template.Type == tpm2.TPMAlgRSA) {
				t.Errorf("file = %+v, origin %v", f, f.Origin())
			}
			object, err := imported(t, tpm, key, f)
			if err != nil {
				t.Fatalf("import: %v", err)
			}
			secret, err := unseal(tpm, object, tpm2.PasswordAuth(nil))
			if err != nil || !bytes.Equal(secret, secretOfTests) {
				t.Fatalf("unsealed %x, %v", secret, err)
			}
			k, err := f.Open(secret)
			if err != nil {
				t.Fatal(err)
			}
			k.Wipe()
		})
	}
}

func TestATPMRefusesWhatWasWrappedForAnother(t *testing.T) {
	tpm, other := softTPM(t, t.TempDir()), softTPM(t, t.TempDir())
	for name, template := range map[string]tpm2.TPMTPublic{"P-256": tpm2.ECCSRKTemplate, "RSA": tpm2.RSASRKTemplate} {
		t.Run(name, func(t *testing.T) {
			f := mustWrap(t, storageKey(t, primary(t, other, tpm2.TPMRHOwner, template), tpm2.TPMRHOwner), Guard{})
			if _, err := imported(t, tpm, primary(t, tpm, tpm2.TPMRHOwner, template), f); err == nil {
				t.Error("it was imported")
			}
		})
	}
}

func TestOneFlippedBitIsRefused(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	key := primary(t, tpm, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate)
	f := mustWrap(t, storageKey(t, key, tpm2.TPMRHOwner), Guard{})
	public := tpm2.Marshal(f.Key.Public)
	for name, part := range map[string][]byte{"duplicate": f.Key.Private, "seed": f.Key.Secret, "public area": public} {
		t.Run(name, func(t *testing.T) {
			for i := range part {
				part[i] ^= 1 << (i % 8)
				g := *f
				pub, err := tss2.ParsePublic(public)
				if err == nil {
					g.Key.Public = *pub
					_, err = imported(t, tpm, key, &g)
				}
				if err == nil {
					t.Errorf("with a bit of byte %d flipped it was imported", i)
				}
				part[i] ^= 1 << (i % 8)
			}
		})
	}
	if _, err := imported(t, tpm, key, f); err != nil {
		t.Errorf("with nothing flipped it was not: %v", err)
	}
}

// What a driver does with an import: open it once under the endorsement key, and
// keep it under the storage key with the auth value of its own keys.
func TestAnImportIsKeptWithTheHostsAuthAndStaysImported(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	endorsement := primary(t, tpm, tpm2.TPMRHEndorsement, tpm2.ECCEKTemplate)
	f := onWay(t, mustWrap(t, storageKey(t, endorsement, tpm2.TPMRHEndorsement), Guard{}))
	object, err := imported(t, tpm, endorsement, f)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := unseal(tpm, object, tpm2.PasswordAuth(nil))
	if err != nil {
		t.Fatal(err)
	}
	flush(tpm, object.handle)
	flush(tpm, endorsement.handle)

	storage := primary(t, tpm, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate)
	own, err := StorageKey(&storage.public, tpm2.TPMRHOwner)
	if err != nil {
		t.Fatal(err)
	}
	auth := append(bytes.Repeat([]byte{7}, 30), 0, 0) // a TPM drops the zeros
	if f, err = own.Wrap(secret, f.Public.Algorithm, Guard{Auth: auth}); err != nil {
		t.Fatal(err)
	}
	r, err := tpm2.Import{
		ParentHandle: storage.use(storage.auth),
		ObjectPublic: tpm2.New2B(f.Key.Public),
		Duplicate:    tpm2.TPM2BPrivate{Buffer: f.Key.Private},
		InSymSeed:    tpm2.TPM2BEncryptedSecret{Buffer: f.Key.Secret},
		Symmetric:    tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
	}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	f = onWay(t, f.Imported(r.OutPrivate.Buffer))
	if f.Origin() != signer.OriginImported || f.Key.EmptyAuth {
		t.Errorf("origin = %v, empty auth = %v", f.Origin(), f.Key.EmptyAuth)
	}

	kept, err := load(t, tpm, storage, f.Key.Public, tpm2.TPM2BPrivate{Buffer: f.Key.Private})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unseal(tpm, kept, tpm2.PasswordAuth(nil)); !errors.Is(err, tpm2.TPMRCBadAuth) {
		t.Errorf("unseal with the wrong auth value = %v", err)
	}
	if got, err := unseal(tpm, kept, tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth))); err != nil || !bytes.Equal(got, secretOfTests) {
		t.Errorf("unsealed %x, %v", got, err)
	}
	// And TPM2_Duplicate, the TPM's own way out, is closed.
	_, err = tpm2.Duplicate{
		ObjectHandle:    kept.use(tpm2.PasswordAuth(auth)),
		NewParentHandle: tpm2.NamedHandle{Handle: storage.handle, Name: storage.name},
		Symmetric:       tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
	}.Execute(tpm)
	if err == nil {
		t.Error("TPM2_Duplicate gave the key away")
	}
}

func TestAPolicyGuardsTheSecret(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	storage := primary(t, tpm, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate)
	// Part 3, 23.17: PolicyAuthValue extends the digest by its command code.
	digest := sha256.Sum256(binary.BigEndian.AppendUint32(make([]byte, 32), uint32(tpm2.TPMCCPolicyAuthValue)))
	auth := []byte("auth")
	f := onWay(t, mustWrap(t, storageKey(t, storage, tpm2.TPMRHOwner), Guard{
		Auth: auth, Digest: digest[:], Policy: []tss2.Policy{{Command: tpm2.TPMCCPolicyAuthValue}},
	}))
	object, err := imported(t, tpm, storage, f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unseal(tpm, object, tpm2.PasswordAuth(auth)); !errors.Is(err, tpm2.TPMRCAuthUnavailable) {
		t.Errorf("unseal without the policy = %v", err)
	}
	session, done, err := tpm2.PolicySession(tpm, tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := (tpm2.PolicyAuthValue{PolicySession: session.Handle()}).Execute(tpm); err != nil {
		t.Fatal(err)
	}
	if got, err := unseal(tpm, object, session); err != nil || !bytes.Equal(got, secretOfTests) {
		t.Errorf("unsealed %x, %v", got, err)
	}
}

func TestTheTPMEnforcesTheOrigin(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	storage := primary(t, tpm, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate)
	made, err := tpm2.Create{
		ParentHandle: storage.use(storage.auth),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secretOfTests}),
		}},
		InPublic: tpm2.New2B(Template(nil)),
	}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	public, err := made.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(secretOfTests, signer.AlgorithmEd25519)
	if err != nil {
		t.Fatal(err)
	}
	generated := onWay(t, &File{Public: k.Public(), Key: tss2.Key{
		Type: tss2.Sealed, EmptyAuth: true, Parent: tpm2.TPMRHOwner, Public: *public, Private: made.OutPrivate.Buffer,
	}})
	if generated.Origin() != signer.OriginGenerated {
		t.Errorf("origin of a key that was made = %v", generated.Origin())
	}
	object, err := load(t, tpm, storage, generated.Key.Public, made.OutPrivate)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unseal(tpm, object, tpm2.PasswordAuth(nil)); err != nil || !bytes.Equal(got, secretOfTests) {
		t.Errorf("unsealed %x, %v", got, err)
	}
	flush(tpm, object.handle)

	// An import with the attributes of a generated key: rightly wrapped, so that
	// nothing but the attributes is wrong.
	r := storageKey(t, storage, tpm2.TPMRHOwner)
	pub, sensitive := seal(secretOfTests, nil, nil)
	pub.ObjectAttributes = Template(nil).ObjectAttributes
	duplicate, seed, err := r.protect(&pub, sensitive)
	if err != nil {
		t.Fatal(err)
	}
	lie := &File{Public: k.Public(), Key: tss2.Key{Public: pub, Private: duplicate, Secret: seed}}
	if _, err := imported(t, tpm, storage, lie); !errors.Is(err, tpm2.TPMRCAttributes) {
		t.Errorf("import of an object that says it is fixed to the TPM = %v", err)
	}
	// And an import whose attributes are changed in the file afterwards.
	f := mustWrap(t, r, Guard{})
	in, err := tpm2.Import{
		ParentHandle: storage.use(storage.auth), ObjectPublic: tpm2.New2B(f.Key.Public),
		Duplicate: tpm2.TPM2BPrivate{Buffer: f.Key.Private}, InSymSeed: tpm2.TPM2BEncryptedSecret{Buffer: f.Key.Secret},
		Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
	}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	f.Key.Public.ObjectAttributes = Template(nil).ObjectAttributes
	if _, err := load(t, tpm, storage, f.Key.Public, in.OutPrivate); err == nil {
		t.Error("an imported key was loaded as one that was made in the TPM")
	}
}

func TestOnlyAVerifiedStorageKeyReceives(t *testing.T) {
	var zero Recipient
	if f, err := zero.Wrap(secretOfTests, signer.AlgorithmSecp256k1, Guard{}); err == nil || f != nil {
		t.Errorf("the zero recipient took a secret: %v, %v", f, err)
	}
	for name, change := range map[string]func(*tpm2.TPMTPublic){
		"one that can leave its TPM":        func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false },
		"one whose parent can be moved":     func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false },
		"one that was made elsewhere":       func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false },
		"one that decrypts anything":        func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false },
		"one that signs":                    func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = true },
		"a template, which is no point yet": func(*tpm2.TPMTPublic) {},
		"sealed data":                       func(p *tpm2.TPMTPublic) { *p = Template(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			pub := tpm2.ECCSRKTemplate
			change(&pub)
			if r, err := StorageKey(&pub, tpm2.TPMRHOwner); err == nil || r != nil {
				t.Errorf("StorageKey = %v, %v", r, err)
			}
		})
	}
}

func TestABadGuardOrSecretIsNotWrapped(t *testing.T) {
	tpm := softTPM(t, t.TempDir())
	r := storageKey(t, primary(t, tpm, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate), tpm2.TPMRHOwner)
	for name, c := range map[string]struct {
		secret    []byte
		algorithm signer.Algorithm
		guard     Guard
	}{
		"an auth value that is too long": {secretOfTests, signer.AlgorithmSecp256k1, Guard{Auth: bytes.Repeat([]byte{1}, 33)}},
		"a digest that is too short":     {secretOfTests, signer.AlgorithmSecp256k1, Guard{Digest: []byte{1}}},
		"a secret of zero":               {make([]byte, 32), signer.AlgorithmSecp256k1, Guard{}},
		"a curve that the TPM has":       {secretOfTests, signer.AlgorithmP256, Guard{}},
	} {
		t.Run(name, func(t *testing.T) {
			if f, err := r.Wrap(c.secret, c.algorithm, c.guard); err == nil || f != nil {
				t.Errorf("Wrap = %v, %v", f, err)
			}
		})
	}
}

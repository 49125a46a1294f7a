package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

func TestACertificationProvesWhereAKeyIs(t *testing.T) {
	tpm, _, _ := certified(t)
	boss := newAuthority(t)
	d := openWith(t, Settings{Device: tpm.Path(), PCRAuthority: boss.pem})
	challenge := []byte("a nonce of the auditor")
	var ak []byte
	for name, spec := range map[string]backends.KeySpec{
		"P-256":         p256,
		"P-384":         {Algorithm: signer.AlgorithmP384},
		"RSA":           {Algorithm: signer.AlgorithmRSA, Bits: 2048},
		"bound to PCRs": {Algorithm: signer.AlgorithmP256, Options: map[string]string{"pcrs": "0,7"}},
		"wrapped":       wrappedSpecs["Ed25519"].spec,
	} {
		t.Run(name, func(t *testing.T) {
			made, _ := generate(t, d, spec)
			e, err := d.Attest(t.Context(), made.Locator, challenge)
			if err != nil {
				t.Fatal(err)
			}
			c, err := VerifyCertification(e, made.Facts.Public, challenge)
			if err != nil {
				t.Fatal(err)
			}
			if ak == nil {
				ak = c.AK
			}
			if !bytes.Equal(c.AK, ak) || len(c.EKCertificate) == 0 || len(c.EK) == 0 {
				t.Errorf("certified by %x, before by %x; EK %x, certificate %x", c.AK, ak, c.EK, c.EKCertificate)
			}
			proven := map[string]string{}
			for _, f := range e.Proven {
				proven[f.Name] = f.Value
			}
			if spec.Wrapped {
				if proven["object"] != "sealed data" || proven["public key"] != "" {
					t.Errorf("proven %v; a TPM knows nothing of a wrapped key's public key", proven)
				}
				return
			}
			if proven["made in its TPM"] != "yes" || proven["fixed to its TPM"] != "yes" || proven["public key"] != made.Facts.Public.Fingerprint() {
				t.Errorf("proven %v", proven)
			}
			if bound := strings.HasPrefix(proven["authorisation"], "policy "); bound != (spec.Options != nil) {
				t.Errorf("authorisation %q", proven["authorisation"])
			}
		})
	}
}

func TestACertificationOfSomethingElseDoesNotVerify(t *testing.T) {
	d := openTPM(t, startTPM(t))
	made, _ := generate(t, d, p256)
	other, _ := generate(t, d, p256)
	challenge := []byte("challenge")
	good, err := d.Attest(t.Context(), made.Locator, challenge)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := d.Attest(t.Context(), other.Locator, challenge)
	if err != nil {
		t.Fatal(err)
	}
	public := func(file string) tpm2.TPMTPublic {
		k, err := tss2.Parse([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		return k.Public
	}
	unrestricted := attestationTemplate()
	unrestricted.ObjectAttributes.Restricted = false
	for name, c := range map[string]struct {
		change    func(map[string][]byte)
		public    signer.PublicKey
		challenge []byte
		want      string
	}{
		"another challenge":         {func(map[string][]byte) {}, made.Facts.Public, []byte("old"), "another challenge"},
		"another key":               {func(map[string][]byte) {}, other.Facts.Public, challenge, "the certified key is"},
		"another object":            {func(p map[string][]byte) { p[partPublic] = elsewhere.Parts[partPublic] }, other.Facts.Public, challenge, "another object"},
		"another statement":         {func(p map[string][]byte) { p[partAttest] = elsewhere.Parts[partAttest] }, made.Facts.Public, challenge, "not the attestation key's"},
		"a changed statement":       {func(p map[string][]byte) { p[partAttest][40] ^= 1 }, made.Facts.Public, challenge, "not the attestation key's"},
		"a changed signature":       {func(p map[string][]byte) { p[partSignature][20] ^= 1 }, made.Facts.Public, challenge, "not the attestation key's"},
		"something after it":        {func(p map[string][]byte) { p[partSignature] = append(p[partSignature], 0) }, made.Facts.Public, challenge, "exactly one TPMT_SIGNATURE"},
		"a key that signs anything": {func(p map[string][]byte) { p[partAK] = tpm2.Marshal(unrestricted) }, made.Facts.Public, challenge, "restricted"},
		"the key itself":            {func(p map[string][]byte) { p[partAK] = tpm2.Marshal(public(made.Locator)) }, made.Facts.Public, challenge, "restricted"},
		"no attestation key":        {func(p map[string][]byte) { delete(p, partAK) }, made.Facts.Public, challenge, "attestation key"},
		"no key":                    {func(p map[string][]byte) { delete(p, partPublic) }, made.Facts.Public, challenge, "key"},
		"a claim of attributes": {func(p map[string][]byte) {
			o := public(made.Locator)
			o.ObjectAttributes.NoDA = false
			p[partPublic] = tpm2.Marshal(o)
		}, made.Facts.Public, challenge, "another object"},
	} {
		t.Run(name, func(t *testing.T) {
			e := backends.Evidence{Format: good.Format, Parts: map[string][]byte{}}
			for k, v := range maps.All(good.Parts) {
				e.Parts[k] = bytes.Clone(v)
			}
			c.change(e.Parts)
			got, err := VerifyCertification(e, c.public, c.challenge)
			if err == nil || !strings.Contains(err.Error(), c.want) || got.Proven != nil {
				t.Errorf("VerifyCertification = %+v, %v; want an error with %q", got, err, c.want)
			}
		})
	}
	if _, err := VerifyCertification(backends.Evidence{Format: "piv-attestation"}, made.Facts.Public, challenge); err == nil {
		t.Error("evidence of another format verifies")
	}
	if e, err := d.Attest(t.Context(), made.Locator, make([]byte, 33)); err == nil || e.Parts != nil {
		t.Errorf("with a challenge of 33 bytes, Attest = %+v, %v", e, err)
	}
}

// A credential that only one TPM can open shows that the attestation key and the
// endorsement key are in that TPM.
func TestACredentialIsOpenedByItsTPMOnly(t *testing.T) {
	withCertificate, _, _ := certified(t)
	other := openTPM(t, startTPM(t))
	defer neverCounted(t, withCertificate)
	secret := sha256.Sum256([]byte("secret"))
	for name, d := range map[string]*driver{"an ECC key": openTPM(t, startTPM(t)), "a certified key": openTPM(t, withCertificate)} {
		t.Run(name, func(t *testing.T) {
			made, _ := generate(t, d, p256)
			e, err := d.Attest(t.Context(), made.Locator, nil)
			if err != nil {
				t.Fatal(err)
			}
			c, err := VerifyCertification(e, made.Facts.Public, nil)
			if err != nil {
				t.Fatal(err)
			}
			blob, encrypted, err := MakeCredential(c.EK, c.AK, secret[:])
			if err != nil {
				t.Fatal(err)
			}
			got := must[activated](t, d, "activate-credential", credential{c.EK, blob, encrypted})
			if !bytes.Equal(got.Secret, secret[:]) {
				t.Errorf("secret = %x, want %x", got.Secret, secret)
			}
			if got, err := do[activated](t, other, "activate-credential", credential{c.EK, blob, encrypted}); err == nil || got.Secret != nil {
				t.Errorf("another TPM opened it: %x", got.Secret)
			}
			blob, encrypted, err = MakeCredential(c.EK, append([]byte{0, 11}, make([]byte, 32)...), secret[:])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := do[activated](t, d, "activate-credential", credential{c.EK, blob, encrypted}); err == nil || got.Secret != nil {
				t.Errorf("it was opened for another attestation key: %x", got.Secret)
			}
		})
	}
	for name, c := range map[string]struct{ ek, secret []byte }{
		"no endorsement key": {nil, secret[:]},
		"no secret":          {tpm2.Marshal(tpm2.ECCEKTemplate), nil},
		"a long secret":      {tpm2.Marshal(tpm2.ECCEKTemplate), make([]byte, 33)},
	} {
		if blob, _, err := MakeCredential(c.ek, nil, c.secret); err == nil || blob != nil {
			t.Errorf("%s: MakeCredential = %x, %v", name, blob, err)
		}
	}
}

// neverCounted checks that a crash after what was done counts as no try.
func neverCounted(t *testing.T, tpm *sim.TPM) {
	t.Helper()
	for range 2 {
		if err := errors.Join(tpm.Kill(), tpm.Start()); err != nil {
			t.Fatal(err)
		}
		d := openTPM(t, tpm)
		if s, err := d.State(t.Context()); err != nil || fact(s, "lockout counter") != "0 of 3" {
			t.Errorf("after a crash the lockout counter is %q, %v", fact(s, "lockout counter"), err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACounterOnlyGoesUp(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	a := counterIndex{Index: firstOwnerIndex + 7}
	if v, err := do[counterValue](t, d, "counter.read", a); err == nil || !strings.Contains(err.Error(), "no such counter") {
		t.Errorf("counter.read = %+v, %v before it is defined", v, err)
	}
	first := must[counterValue](t, d, "counter.define", a)
	if again := must[counterValue](t, d, "counter.define", a); again != first {
		t.Errorf("defined again it is %+v, before %+v", again, first)
	}
	last := first
	for range 5 {
		next := must[counterValue](t, d, "counter.increment", a)
		if next.Value != last.Value+1 || next.Name != first.Name {
			t.Errorf("after %+v comes %+v", last, next)
		}
		if last = next; last != must[counterValue](t, d, "counter.read", a) {
			t.Error("it is read as another value")
		}
		if err := tpm.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := tpm.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Login(t.Context(), []byte("another value of enough bytes")); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if v, err := do[counterValue](t, d, "counter.increment", a); err == nil || v != (counterValue{}) {
			t.Errorf("with another auth value, counter.increment = %+v, %v", v, err)
		}
	}
	if err := d.Login(t.Context(), []byte(authValue)); err != nil {
		t.Fatal(err)
	}
	if s, err := d.State(t.Context()); err != nil || fact(s, "lockout counter") != "0 of 3" {
		t.Errorf("lockout counter is %q, %v", fact(s, "lockout counter"), err)
	}
	undefine(t, tpm, a.Index)
	if v := must[counterValue](t, d, "counter.define", a); v.Value <= last.Value {
		t.Errorf("deleted and made again, it is %d, before %d", v.Value, last.Value)
	}
}

func undefine(t *testing.T, tpm interface{ Path() string }, index uint32) {
	t.Helper()
	l, err := dial(tpm.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: rsp.NVName}}).Execute(l); err != nil {
		t.Fatal(err)
	}
}

func TestAnIndexThatIsNotACounterOfOursIsRefused(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	define := func(index uint32, change func(*tpm2.TPMSNVPublic)) {
		p := counterPublic(index, false)
		change(&p)
		_, err := tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, Auth: tpm2.TPM2BAuth{Buffer: []byte(authValue)}, PublicInfo: tpm2.New2B(p)}.Execute(foreign(t, tpm))
		if err != nil {
			t.Fatal(err)
		}
	}
	define(firstOwnerIndex, func(p *tpm2.TPMSNVPublic) { p.Attributes.NT = 0 })
	define(firstOwnerIndex+1, func(p *tpm2.TPMSNVPublic) { p.Attributes.Orderly = true })
	define(firstOwnerIndex+2, func(p *tpm2.TPMSNVPublic) { p.Attributes.OwnerWrite = true })
	define(firstOwnerIndex+3, func(p *tpm2.TPMSNVPublic) { p.Attributes.NoDA = false })
	for index, want := range map[uint32]string{
		firstOwnerIndex: "something else", firstOwnerIndex + 1: "something else", firstOwnerIndex + 2: "something else", firstOwnerIndex + 3: "something else",
		firstOwnerIndex - 1: "the indices for it", lastOwnerIndex + 1: "the indices for it", 0: "the indices for it",
	} {
		for _, operation := range []string{"counter.define", "counter.read", "counter.increment"} {
			v, err := do[counterValue](t, d, operation, counterIndex{index})
			if err == nil || !strings.Contains(err.Error(), want) || v != (counterValue{}) {
				t.Errorf("%s of %#x = %+v, %v; want an error with %q", operation, index, v, err, want)
			}
		}
	}
	// Half made: the crash came between the two commands.
	define(firstOwnerIndex+4, func(*tpm2.TPMSNVPublic) {})
	if v, err := do[counterValue](t, d, "counter.read", counterIndex{firstOwnerIndex + 4}); err == nil {
		t.Errorf("one that never counted has the value %d", v.Value)
	}
	if v := must[counterValue](t, d, "counter.define", counterIndex{firstOwnerIndex + 4}); v.Value == 0 || len(v.Name) != hex.EncodedLen(34) {
		t.Errorf("counter.define = %+v", v)
	}
}

func TestAnOperationThatDoesNotExistIsRefused(t *testing.T) {
	d := openTPM(t, startTPM(t))
	for operation, arguments := range map[string]string{"clear": "{}", "": "{}", "counter.read": `{"indx":1}`, "target": "", "import": `{"key":""}`} {
		if out, err := d.Call(t.Context(), operation, []byte(arguments)); err == nil || out != nil {
			t.Errorf("Call(%q, %s) = %s, %v; want an error", operation, arguments, out, err)
		}
	}
}

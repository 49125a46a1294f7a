package piv_test

import (
	"encoding/pem"
	"maps"
	"slices"
	"testing"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/piv"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

func rootPEM(c *pivcard.Card) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Root().Raw}))
}

func attest(t *testing.T, d driver, slot string) backends.Evidence {
	t.Helper()
	e, err := d.Attest(t.Context(), slot, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnAttestationProvesWhereAKeyIs(t *testing.T) {
	card := insert(t, pivcard.Config{Serial: 4711})
	d := newDriver(t, piv.Settings{Serial: 4711, AttestationRoots: rootPEM(card)}, &host{})
	if _, err := d.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	generate(t, d, p256("pin_policy", "always", "touch_policy", "cached"))
	e := attest(t, d, "9c")
	want := []signer.Field{
		{Name: "made", Value: "in the card"}, {Name: "serial", Value: "4711"}, {Name: "firmware", Value: "5.7.1"},
		{Name: "slot", Value: "9c"}, {Name: "pin policy", Value: "always"}, {Name: "touch policy", Value: "cached"},
	}
	if !slices.Equal(e.Proven, want) || e.Claimed != nil || e.Format != "piv-attestation" {
		t.Errorf("evidence = %+v; want it to prove %v", e, want)
	}
}

func TestAnAttestationThatLeadsNowhereIsShownAsUnverified(t *testing.T) {
	card := insert(t, pivcard.Config{})
	stranger, err := pivcard.New(pivcard.Config{})
	if err != nil {
		t.Fatal(err)
	}
	generate(t, unlocked(t, card), p256())
	for name, roots := range map[string]string{"no roots": "", "another's root": rootPEM(stranger), "Yubico's roots": "yubico"} {
		t.Run(name, func(t *testing.T) {
			another(t, func(*pivgo.YubiKey) {})
			d := newDriver(t, piv.Settings{Serial: card.Serial(), AttestationRoots: roots}, &host{})
			if _, err := d.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			e := attest(t, d, "9c")
			if e.Proven != nil || len(e.Claimed) == 0 || e.Claimed[len(e.Claimed)-1].Name != "not verified" {
				t.Errorf("evidence = %+v; want nothing proven", e)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	authority, err := pivcard.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	card := insert(t, pivcard.Config{Serial: 1, Authority: authority})
	other := insert(t, pivcard.Config{Serial: 2, Authority: authority})
	d, od := unlocked(t, card), unlocked(t, other)
	key := generate(t, d, p256()).Facts().Public
	generate(t, d, p256("slot", "82"))
	generate(t, od, p256())
	good, second, foreign := attest(t, d, "9c"), attest(t, d, "82"), attest(t, od, "9c")
	roots, err := piv.ParseRoots(rootPEM(card))
	if err != nil {
		t.Fatal(err)
	}
	if facts, err := piv.Verify(good, roots, key); err != nil || len(facts) == 0 {
		t.Fatalf("Verify = %v, %v", facts, err)
	}
	with := func(part string, b []byte) backends.Evidence {
		e := backends.Evidence{Format: good.Format, Parts: maps.Clone(good.Parts)}
		e.Parts[part] = b
		return e
	}
	tampered := slices.Clone(good.Parts["certificate"])
	tampered[len(tampered)-1] ^= 1
	stranger, err := pivcard.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := piv.ParseRoots(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: stranger.Certificate.Raw})))
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := piv.ParseRoots(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Parts["intermediate"]})))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		e     backends.Evidence
		roots piv.Roots
		text  string
	}{
		"another slot's attestation":                   {second, roots, "is for key"},
		"another card's attestation":                   {foreign, roots, "is for key"},
		"another card's intermediate":                  {with("intermediate", foreign.Parts["intermediate"]), roots, "unknown authority"},
		"a foreign root":                               {good, strangers, "unknown authority"},
		"Yubico's roots":                               {good, piv.Roots{}, "no attestation roots"},
		"a certificate that was changed":               {with("certificate", tampered), roots, "verif"},
		"an attestation as the intermediate":           {with("intermediate", second.Parts["certificate"]), pinned, "itself the attestation"},
		"the card's own certificate as an attestation": {with("certificate", good.Parts["intermediate"]), roots, "no extension"},
		"no certificate":                               {with("certificate", nil), roots, "attestation"},
		"no intermediate":                              {with("intermediate", nil), roots, "attestation certificate"},
		"another format":                               {backends.Evidence{Format: "tpm2-certify", Parts: good.Parts}, roots, "format"},
		"nothing":                                      {backends.Evidence{}, roots, "format"},
	} {
		t.Run(name, func(t *testing.T) {
			if facts, err := piv.Verify(c.e, c.roots, key); facts != nil || !contains(err, c.text) {
				t.Errorf("Verify = %v, %v; want %q", facts, err, c.text)
			}
		})
	}
}

func TestAnImportedKeyHasNoAttestation(t *testing.T) {
	d := unlocked(t, insert(t, pivcard.Config{}))
	another(t, func(yk *pivgo.YubiKey) {
		policy := pivgo.Key{PINPolicy: pivgo.PINPolicyOnce, TouchPolicy: pivgo.TouchPolicyNever}
		if err := yk.SetPrivateKeyInsecure(pivgo.DefaultManagementKey, pivgo.SlotSignature, newP256(t), policy); err != nil {
			t.Fatal(err)
		}
	})
	if e, err := d.Attest(t.Context(), "9c", nil); e.Parts != nil || !contains(err, "imported") {
		t.Errorf("Attest = %+v, %v", e, err)
	}
	if e, err := d.Attest(t.Context(), "9a", nil); e.Parts != nil || !contains(err, "empty") {
		t.Errorf("Attest of an empty slot = %+v, %v", e, err)
	}
}

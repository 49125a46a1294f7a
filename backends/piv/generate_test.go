package piv_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	pivgo "github.com/go-piv/piv-go/v2/piv"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/piv"
	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

func TestGenerateRefuses(t *testing.T) {
	d := unlocked(t, insert(t, pivcard.Config{Firmware: pivcard.Version{5, 4, 3}}))
	kept := generate(t, d, p256())
	another(t, func(yk *pivgo.YubiKey) {
		if err := yk.SetCertificate(pivgo.DefaultManagementKey, pivgo.SlotKeyManagement, selfSigned(t, newP256(t))); err != nil {
			t.Fatal(err)
		}
	})
	free := map[string]string{"slot": "9a"}
	for name, c := range map[string]struct {
		spec backends.KeySpec
		text string
	}{
		"a slot with a key":            {p256(), "would be destroyed"},
		"a slot with a certificate":    {p256("slot", "9d"), "certificates delete 9d"},
		"no slot":                      {backends.KeySpec{Algorithm: signer.AlgorithmP256}, `slot ""`},
		"the attestation slot":         {p256("slot", "f9"), `slot "f9"`},
		"the PIN's reference":          {p256("slot", "80"), `slot "80"`},
		"a slot in capitals":           {p256("slot", "9A"), `slot "9A"`},
		"an unknown option":            {p256("slot", "9a", "managment_key", "01"), "unknown option"},
		"an unknown PIN policy":        {p256("slot", "9a", "pin_policy", "sometimes"), "pin_policy"},
		"an unknown touch policy":      {p256("slot", "9a", "touch_policy", ""), "touch_policy"},
		"a wrapped key":                {backends.KeySpec{Algorithm: signer.AlgorithmP256, Wrapped: true, Options: free}, "no wrapped keys"},
		"a curve that PIV lacks":       {backends.KeySpec{Algorithm: signer.AlgorithmSecp256k1, Options: free}, "secp256k1"},
		"a short RSA key":              {backends.KeySpec{Algorithm: signer.AlgorithmRSA, Bits: 1024, Options: free}, "not 1024"},
		"an RSA key of no length":      {backends.KeySpec{Algorithm: signer.AlgorithmRSA, Options: free}, "not 0"},
		"a length for a curve":         {backends.KeySpec{Algorithm: signer.AlgorithmP256, Bits: 256, Options: free}, "no choice of bits"},
		"Ed25519 before firmware 5.7":  {backends.KeySpec{Algorithm: signer.AlgorithmEd25519, Options: free}, "5.7"},
		"RSA of 4096 bits before that": {backends.KeySpec{Algorithm: signer.AlgorithmRSA, Bits: 4096, Options: free}, "5.7"},
	} {
		t.Run(name, func(t *testing.T) {
			if made, err := d.Generate(t.Context(), c.spec); made.Locator != "" || !contains(err, c.text) {
				t.Errorf("Generate = %+v, %v; want %q", made, err, c.text)
			}
		})
	}
	mustSign(t, kept)
}

func TestTheManagementKey(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 24)
	for name, c := range map[string]struct {
		change, protect, locked bool
		refused, warning        string
	}{
		"the factory's, with a warning":             {warning: "change-management-key"},
		"the factory's, and no PIN":                 {locked: true, warning: "change-management-key"},
		"protected by the PIN":                      {change: true, protect: true},
		"protected by the PIN, which was not given": {change: true, protect: true, locked: true, refused: "ykman piv keys generate --algorithm ECCP256 --pin-policy ONCE --touch-policy NEVER 9c"},
		"somewhere else":                            {change: true, refused: "ykman piv keys generate"},
	} {
		t.Run(name, func(t *testing.T) {
			card := insert(t, pivcard.Config{})
			another(t, func(yk *pivgo.YubiKey) {
				if !c.change {
					return
				}
				if err := yk.SetManagementKey(pivgo.DefaultManagementKey, secret); err != nil {
					t.Fatal(err)
				}
				if c.protect {
					if err := yk.SetMetadata(secret, &pivgo.Metadata{ManagementKey: &secret}); err != nil {
						t.Fatal(err)
					}
				}
			})
			d := open(t, card, &host{})
			if !c.locked {
				login(t, d)
			}
			made, err := d.Generate(t.Context(), p256())
			if c.refused != "" {
				if !contains(err, c.refused) {
					t.Errorf("Generate = %+v, %v; want %q", made, err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			warned := slices.ContainsFunc(made.Facts.Facts, func(f signer.Field) bool { return f.Name == "warning" && strings.Contains(f.Value, c.warning) })
			if warned != (c.warning != "") {
				t.Errorf("facts = %+v; want a warning: %v", made.Facts.Facts, c.warning != "")
			}
		})
	}
}

func TestStateWarnsOfFactorySecrets(t *testing.T) {
	card := insert(t, pivcard.Config{Serial: 9})
	d := open(t, card, &host{})
	notes := func() string {
		s, err := d.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(s.Notes, "\n")
	}
	warnings := []string{"change-pin", "change-puk", "change-management-key"}
	for _, w := range warnings {
		if got := notes(); !strings.Contains(got, w) {
			t.Errorf("notes = %q; want %q", got, w)
		}
	}
	secret := bytes.Repeat([]byte{7}, 24)
	another(t, func(yk *pivgo.YubiKey) {
		if err := yk.SetPIN(factoryPIN, "835729"); err != nil {
			t.Fatal(err)
		}
		if err := yk.SetPUK(pivgo.DefaultPUK, "83572994"); err != nil {
			t.Fatal(err)
		}
		if err := yk.SetManagementKey(pivgo.DefaultManagementKey, secret); err != nil {
			t.Fatal(err)
		}
	})
	if got := notes(); got != "" {
		t.Errorf("notes = %q; want none", got)
	}
	s, err := d.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []signer.Field{
		{Name: "serial", Value: "9"}, {Name: "firmware", Value: "5.7.1"}, {Name: "pin tries left", Value: "3 of 3"},
		{Name: "puk tries left", Value: "3 of 3"}, {Name: "form factor", Value: "USB-A Keychain"},
	} {
		if !slices.Contains(s.Facts, f) {
			t.Errorf("facts = %+v; want %+v", s.Facts, f)
		}
	}
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                       {``, "EOF"},
		"no serial number":              {`{}`, "serial is missing"},
		"a serial number that is zero":  {`{"serial":0}`, "serial is missing"},
		"a serial number that is large": {`{"serial":4294967296}`, "4294967296"},
		"an unknown name":               {`{"serial":1,"readr":"x"}`, "unknown field"},
		"something after":               {`{"serial":1}{}`, "after the settings"},
		"a relative socket":             {`{"serial":1,"socket":"pcscd.comm"}`, "absolute"},
		"a negative hold":               {`{"serial":1,"hold_ms":-1}`, "hold_ms"},
		"a long hold":                   {`{"serial":1,"hold_ms":2001}`, "hold_ms"},
		"roots that are none":           {`{"serial":1,"attestation_roots":"none"}`, "no PEM certificate"},
		"roots of another kind":         {`{"serial":1,"attestation_roots":"-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"}`, "certificates only"},
	} {
		t.Run(name, func(t *testing.T) {
			if d, err := piv.NewDriver(json.RawMessage(c.text), &host{}); d != nil || !contains(err, c.want) {
				t.Errorf("NewDriver = %v, %v; want %q", d, err, c.want)
			}
		})
	}
	if d, err := piv.NewDriver(json.RawMessage(`{"serial":1}`), nil); d != nil || err == nil {
		t.Errorf("NewDriver without a host = %v, %v; want an error", d, err)
	}
}

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

// TestExamplesPassTheirCases writes each example as a person would and runs its cases,
// which have to match every rule, and every rule has to decide one of them.
func TestExamplesPassTheirCases(t *testing.T) {
	for _, name := range exampleNames() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			c := &cli{stdout: io.Discard, stderr: io.Discard, output: outputText}
			if err := c.writeExample(name, dir); err != nil {
				t.Fatal(err)
			}
			report, err := (&testFlags{policy: filepath.Join(dir, "policy.hcl")}).run()
			if err != nil {
				t.Fatal(err)
			}
			for _, tried := range report.Cases {
				if !tried.Passed {
					t.Errorf("%s: case %q: %s; the reason was: %s", tried.Place, tried.Case, strings.Join(tried.Wrong, "; "), tried.Reason)
				}
			}
			for _, rule := range report.Rules {
				if rule.Decided == 0 {
					t.Errorf("rule %q matched %d cases and decided none", rule.Rule, rule.Matched)
				}
			}
			if err := report.verdict(true); err != nil || len(report.Cases) < 10 || len(report.Rules) < 3 {
				t.Errorf("of %d cases and %d rules the verdict is %v", len(report.Cases), len(report.Rules), err)
			}
		})
	}
}

// TestExamplesLoadFromWhatTheJournalKeeps loads each example as the daemon does, and once
// more out of the bundle that is kept of it.
func TestExamplesLoadFromWhatTheJournalKeeps(t *testing.T) {
	for _, name := range exampleNames() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("examples", name, "policy.hcl")
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cases, err := os.ReadFile(strings.TrimSuffix(path, ".hcl") + ".test.hcl")
			if err != nil {
				t.Fatal(err)
			}
			file, err := policy.ReadCaseFile("policy.test.hcl", cases)
			if err != nil {
				t.Fatal(err)
			}
			env, err := caseEnv(nil, file)
			if err != nil {
				t.Fatal(err)
			}
			env.Files = filesBeside(path)
			p, err := policy.Load(path, src, env)
			if err != nil {
				t.Fatal(err)
			}
			bundle, err := policy.ReadBundle(p.Bundle())
			if err != nil {
				t.Fatal(err)
			}
			again, err := bundle.Load()
			if err != nil || again.Version() != p.Version() {
				t.Errorf("out of its bundle it has version %x, error %v; want %x", again.Version(), err, p.Version())
			}
		})
	}
}

// TestMadeUpKeysAreKeys holds them to the libraries that will read them.
func TestMadeUpKeysAreKeys(t *testing.T) {
	curves := map[signer.Algorithm]elliptic.Curve{signer.AlgorithmP256: elliptic.P256(), signer.AlgorithmP384: elliptic.P384(), signer.AlgorithmP521: elliptic.P521()}
	seen := map[string]bool{}
	for _, a := range []signer.Algorithm{signer.AlgorithmSecp256k1, signer.AlgorithmP256, signer.AlgorithmP384, signer.AlgorithmP521, signer.AlgorithmEd25519, signer.AlgorithmRSA} {
		for _, name := range []string{"hot", "treasury", "a", "b", "c", "d"} {
			pub := madeUpKey(a, name)
			if again := madeUpKey(a, name); pub.Fingerprint() == "" || !bytes.Equal(again.Bytes, pub.Bytes) || seen[pub.Fingerprint()] {
				t.Errorf("%s %q is no key of its own: %x", a, name, pub.Bytes)
			}
			seen[pub.Fingerprint()] = true
			var err error
			switch a {
			case signer.AlgorithmSecp256k1:
				_, err = crypto.UnmarshalPubkey(pub.Bytes)
			case signer.AlgorithmRSA:
				_, err = x509.ParsePKCS1PublicKey(pub.Bytes)
			case signer.AlgorithmEd25519:
				if len(pub.Bytes) != 32 {
					t.Errorf("an Ed25519 key of %d bytes", len(pub.Bytes))
				}
			default:
				_, err = ecdsa.ParseUncompressedPublicKey(curves[a], pub.Bytes)
			}
			if err != nil {
				t.Errorf("%s %q: %v", a, name, err)
			}
		}
	}
}

// TestPaymentsAreWhatTheySay has the decoder read what pay writes.
func TestPaymentsAreWhatTheySay(t *testing.T) {
	const me = "eip155:1:" + acme
	huge := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))
	for name, c := range map[string]struct {
		pay  policy.Payment
		want string
	}{
		"of ether":                  {policy.Payment{Chain: "eip155:1", To: me, N: big.NewInt(5), Fee: big.NewInt(3 * payGas)}, "transfer; transfer acme exact 5 wei"},
		"of nothing":                {policy.Payment{Chain: "eip155:1", To: me, N: new(big.Int), Fee: new(big.Int)}, "transfer; transfer acme exact 0 wei"},
		"of much ether":             {policy.Payment{Chain: "eip155:1", To: me, N: huge, Fee: new(big.Int)}, "transfer; transfer acme exact " + huge.String() + " wei"},
		"of a token":                {policy.Payment{Chain: "eip155:1", Token: "eip155:1:" + usdc, To: me, N: big.NewInt(7), Fee: big.NewInt(payGas)}, "transfer; transfer acme exact 7 usdc"},
		"of more tokens than exist": {policy.Payment{Chain: "eip155:1", Token: "eip155:1:" + usdc, To: me, N: all, Fee: new(big.Int)}, "transfer; transfer acme exact " + all.String() + " usdc"},
	} {
		t.Run(name, func(t *testing.T) {
			p := asInit(t, true, "")
			key := hotKey(t)
			tr := trial{policy: p, keys: map[string]signer.KeyInfo{"hot": key}}
			c.pay.Fee = new(big.Int).Set(c.pay.Fee)
			one := policy.Case{Key: "hot", Kind: signer.KindEVMTransaction, Pay: &c.pay, Time: decidedAt(t)}
			payload, err := tr.payload(one)
			if err != nil {
				t.Fatal(err)
			}
			proposal, err := tr.propose(one, payload)
			if err != nil {
				t.Fatal(err)
			}
			if got := meaning(proposal.Intent); got != c.want {
				t.Errorf("it means %q, want %q", got, c.want)
			}
			if fee, ok := proposal.Intent.Fee.Bound(); !ok || fee.Cmp(c.pay.Fee) != 0 {
				t.Errorf("its fee is at most %v, want %v", fee, c.pay.Fee)
			}
		})
	}
	if _, err := paying(policy.Payment{Chain: "eip155:1", To: me, N: big.NewInt(1), Fee: big.NewInt(payGas + 1)}); err == nil {
		t.Error("a fee that cannot be had is rounded")
	}
}

// decidedAt is some time.
func decidedAt(t testing.TB) time.Time {
	t.Helper()
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
}

// TestCasesAreToldWhatTheEngineAdds compares with what it adds to an intent.
func TestCasesAreToldWhatTheEngineAdds(t *testing.T) {
	key := hotKey(t)
	key.Protection = signer.ProtectionWrapped
	tr := trial{policy: asInit(t, true, ""), keys: map[string]signer.KeyInfo{"hot": key, "next": {Name: "next", Fingerprint: "sha256:next"}}}
	for name, c := range map[string]struct {
		in   policy.Case
		text string
		want map[string]string
	}{
		"a key that is disabled": {policy.Case{Key: signer.AdminKey, Kind: signer.KindAdmin}, `{"act":"keys.disable","key":"hot","reason":"lost"}`, map[string]string{
			signer.AttributeFingerprint: key.Fingerprint, signer.AttributeProtection: "wrapped", signer.AttributeAlgorithm: "secp256k1", signer.AttributeOrigin: "generated"}},
		"a key that is rotated": {policy.Case{Key: signer.AdminKey, Kind: signer.KindAdmin}, `{"act":"keys.rotate","key":"hot","successor":"next"}`, map[string]string{
			signer.AttributeFingerprint: key.Fingerprint, signer.AttributeSuccessorFingerprint: "sha256:next"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := tr.propose(c.in, []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			for attribute, want := range c.want {
				if got := p.Intent.Effects[0].Attributes[attribute]; got != want {
					t.Errorf("attribute %s is %q, want %q", attribute, got, want)
				}
			}
		})
	}
	p, err := tr.propose(policy.Case{Key: "hot", Kind: signer.KindEVMMessage}, []byte("hello"))
	if err != nil || !slices.ContainsFunc(p.Intent.Warnings, func(w signer.Warning) bool { return w.Code == signer.WarnKeyWrapped }) {
		t.Errorf("a wrapped key signs with warnings %v, error %v", p.Intent.Warnings, err)
	}
	for name, c := range map[string]struct {
		in   policy.Case
		text string
	}{
		"a key that is not there":           {policy.Case{Key: signer.AdminKey, Kind: signer.KindAdmin}, `{"act":"keys.disable","key":"cold","reason":"lost"}`},
		"a kind that the key does not sign": {policy.Case{Key: "hot", Kind: signer.KindAdmin}, `{"act":"keys.disable","key":"hot","reason":"lost"}`},
		"a transaction as a message":        {policy.Case{Key: "hot", Kind: signer.KindEVMMessage}, string(transaction(t, acme, 1, nil).bytes)},
		"a payload without end":             {policy.Case{Key: "hot", Kind: signer.KindEVMMessage}, strings.Repeat("a", signer.MaxPayload+1)},
		"no payload":                        {policy.Case{Key: "hot", Kind: signer.KindEVMMessage}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := tr.propose(c.in, []byte(c.text)); signer.CodeOf(err) != signer.CodeInvalid || p.Intent.Effects != nil {
				t.Errorf("error = %v, want code %q", err, signer.CodeInvalid)
			}
		})
	}
}

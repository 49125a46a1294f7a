package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/tpm/tss2"
	"github.com/sealward/sealward/signer"
)

// authority is somebody who approves PCR values.
type authority struct {
	key *ecdsa.PrivateKey
	pem string
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

// sign does what `openssl dgst -sha256 -sign` does.
func (a authority) sign(t testing.TB, statement []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(statement)
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// measure extends PCR 7, as another boot loader would.
func measure(t testing.TB, link transport.TPM, what string) {
	t.Helper()
	sum := sha256.Sum256([]byte(what))
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: 7, Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: sum[:]}}},
	}.Execute(link)
	if err != nil {
		t.Fatal(err)
	}
}

func TestAKeyThatIsBoundToPCRsIsResealed(t *testing.T) {
	for name, c := range map[string]struct {
		spec    backends.KeySpec
		message signer.Message
	}{
		"the TPM signs": {p256, message()},
		"wrapped":       wrappedSpecs["secp256k1"],
	} {
		t.Run(name, func(t *testing.T) {
			tpm, boss := startTPM(t), newAuthority(t)
			d := openWith(t, Settings{Device: tpm.Path(), PCRs: []int{7, 0}, PCRAuthority: boss.pem})
			made, k := generate(t, d, c.spec)
			if f := k.Facts(); f.Facts[1] != (signer.Field{Name: "pcrs", Value: "0,7"}) {
				t.Errorf("facts are %+v", f)
			}
			for range 3 {
				signs(t, k, c.message)
			}
			link := foreign(t, tpm)
			measure(t, link, "an update")
			refuses(t, k, c.message, "bound to PCRs 0,7")
			refuses(t, k, c.message, "sealward keys reseal")

			plan := must[resealPlan](t, d, "reseal.plan", reseal{Key: made.Locator, Authority: boss.pem})
			again := must[resealed](t, d, "reseal", reseal{Key: made.Locator, Authority: boss.pem, PCRs: plan.PCRs, Signature: boss.sign(t, plan.Statement)})
			for range 3 {
				signs(t, find(t, d, again.Key), c.message)
			}
			refuses(t, find(t, d, made.Locator), c.message, "bound to PCRs")

			// A reboot into what was there when the key was made.
			if err := tpm.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := tpm.Start(); err != nil {
				t.Fatal(err)
			}
			signs(t, find(t, d, again.Key), c.message)

			// Without the auth value, the PCRs alone are not enough.
			if err := d.Login(t.Context(), []byte("another value of enough bytes")); err != nil {
				t.Fatal(err)
			}
			sig, err := k.Sign(t.Context(), c.message, nil)
			if _, ok := errors.AsType[*backends.PINError](err); !ok || sig != nil {
				t.Errorf("with another auth value, Sign = %x, %v", sig, err)
			}
			if s, err := d.State(t.Context()); err != nil || fact(s, "lockout counter") != "0 of 3" {
				t.Errorf("lockout counter is %q, %v", fact(s, "lockout counter"), err)
			}
		})
	}
}

// Values that are known before an update are approved before it.
func TestAKeyIsResealedBeforeAnUpdate(t *testing.T) {
	tpm, boss := startTPM(t), newAuthority(t)
	d := openWith(t, Settings{Device: tpm.Path(), PCRAuthority: boss.pem})
	made, _ := generate(t, d, backends.KeySpec{Algorithm: signer.AlgorithmP256, Options: map[string]string{"pcrs": "7"}})
	update := sha256.Sum256([]byte("an update"))
	next := sha256.Sum256(append(make([]byte, 32), update[:]...))
	values := map[string]string{"7": hex.EncodeToString(next[:])}
	plan := must[resealPlan](t, d, "reseal.plan", reseal{Key: made.Locator, Authority: boss.pem, PCRs: values})
	again := must[resealed](t, d, "reseal", reseal{Key: made.Locator, Authority: boss.pem, PCRs: values, Signature: boss.sign(t, plan.Statement)})
	k := find(t, d, again.Key)
	signs(t, k, message())
	measure(t, foreign(t, tpm), "an update")
	signs(t, k, message())
	measure(t, foreign(t, tpm), "another, which nobody approved")
	refuses(t, k, message(), "bound to PCRs 7")
}

func TestOnlyTheAuthorityApproves(t *testing.T) {
	tpm, boss, stranger := startTPM(t), newAuthority(t), newAuthority(t)
	d := openWith(t, Settings{Device: tpm.Path(), PCRs: []int{7}, PCRAuthority: boss.pem})
	made, k := generate(t, d, p256)
	free, _ := generate(t, d, backends.KeySpec{Algorithm: signer.AlgorithmP256, Options: map[string]string{"pcrs": "none"}})
	old := must[resealPlan](t, d, "reseal.plan", reseal{Key: made.Locator, Authority: boss.pem})
	measure(t, foreign(t, tpm), "an update")
	plan := must[resealPlan](t, d, "reseal.plan", reseal{Key: made.Locator, Authority: boss.pem})
	for name, c := range map[string]struct {
		r    reseal
		want string
	}{
		"a stranger's signature": {reseal{Key: made.Locator, Authority: boss.pem, Signature: stranger.sign(t, plan.Statement)}, "not the authority's"},
		"a stranger's authority": {reseal{Key: made.Locator, Authority: stranger.pem, Signature: stranger.sign(t, plan.Statement)}, "not the authority that the key was made with"},
		"no signature":           {reseal{Key: made.Locator, Authority: boss.pem}, "not the authority's"},
		"one for other values":   {reseal{Key: made.Locator, Authority: boss.pem, Signature: boss.sign(t, old.Statement)}, "not the authority's"},
		"a key that is not":      {reseal{Key: free.Locator, Authority: boss.pem}, "not bound to PCRs"},
		"another PCR":            {reseal{Key: made.Locator, Authority: boss.pem, PCRs: map[string]string{"8": strings.Repeat("00", 32)}}, "bound to 7"},
		"a short value":          {reseal{Key: made.Locator, Authority: boss.pem, PCRs: map[string]string{"7": "00"}}, "64 hexadecimal"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := do[resealed](t, d, "reseal", c.r)
			if err == nil || !strings.Contains(err.Error(), c.want) || r.Key != "" {
				t.Errorf("reseal = %+v, %v; want an error with %q", r, err, c.want)
			}
		})
	}
	refuses(t, k, message(), "bound to PCRs 7")

	// A file into which an approval was written that the TPM does not accept.
	good := must[resealed](t, d, "reseal", reseal{Key: made.Locator, Authority: boss.pem, Signature: boss.sign(t, plan.Statement)})
	f, err := tss2.Parse([]byte(good.Key))
	if err != nil {
		t.Fatal(err)
	}
	approval := f.AuthPolicies[0].Policy[1].Parameters
	approval[len(approval)-1] ^= 1
	file, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	forged := find(t, d, string(file))
	refuses(t, forged, message(), "check the approval")
	signs(t, find(t, d, good.Key), message())
}

func TestAPolicyThatIsNotTheKeysIsRefused(t *testing.T) {
	tpm, boss := startTPM(t), newAuthority(t)
	d := openWith(t, Settings{Device: tpm.Path(), PCRs: []int{7}, PCRAuthority: boss.pem})
	made, _ := generate(t, d, p256)
	for name, change := range map[string]func(*tss2.Key){
		"no policy":           func(k *tss2.Key) { k.Policy = nil },
		"other values":        func(k *tss2.Key) { k.Policy[0].Parameters[20] ^= 1 },
		"another PCR":         func(k *tss2.Key) { k.Policy[0].Parameters[7] ^= 1 },
		"another bank":        func(k *tss2.Key) { k.Policy[0].Parameters[5] ^= 1 },
		"another choice":      func(k *tss2.Key) { k.Policy[1].Parameters[10] ^= 1 },
		"no auth value":       func(k *tss2.Key) { k.Policy = k.Policy[:2] },
		"something after it":  func(k *tss2.Key) { k.Policy = append(k.Policy, k.Policy[2]) },
		"another command":     func(k *tss2.Key) { k.Policy[2].Command = tpm2.TPMCCPolicyPassword },
		"cut short":           func(k *tss2.Key) { k.Policy[0].Parameters = k.Policy[0].Parameters[:30] },
		"the PCRs and no OR":  func(k *tss2.Key) { k.Policy = append(k.Policy[:1], k.Policy[2:]...) },
		"approved by nobody":  func(k *tss2.Key) { k.AuthPolicies = []tss2.AuthPolicy{{Policy: k.Policy}} },
		"usable without it":   func(k *tss2.Key) { k.Public.ObjectAttributes.UserWithAuth = true },
		"administered by it":  func(k *tss2.Key) { k.Public.ObjectAttributes.AdminWithPolicy = true },
		"too many approvals":  func(k *tss2.Key) { k.AuthPolicies = make([]tss2.AuthPolicy, 9); fill(k) },
		"a policy of the key": func(k *tss2.Key) { k.Public.AuthPolicy.Buffer[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			f, err := tss2.Parse([]byte(made.Locator))
			if err != nil {
				t.Fatal(err)
			}
			change(f)
			file, err := f.Encode()
			if err != nil {
				t.Fatal(err)
			}
			k, err := d.Find(t.Context(), string(file))
			if err == nil || !strings.Contains(err.Error(), "the key file is refused") || k != nil {
				t.Errorf("Find = %v, %v; want a refusal", k, err)
			}
		})
	}
}

func fill(k *tss2.Key) {
	for i := range k.AuthPolicies {
		k.AuthPolicies[i].Policy = k.Policy
	}
}

// The file keeps the newest approvals.
func TestApprovalsDoNotPileUp(t *testing.T) {
	tpm, boss := startTPM(t), newAuthority(t)
	d := openWith(t, Settings{Device: tpm.Path(), PCRs: []int{7}, PCRAuthority: boss.pem})
	made, _ := generate(t, d, p256)
	file := made.Locator
	for range mostApprovals + 3 {
		measure(t, foreign(t, tpm), "an update")
		for range 2 { // the second replaces the first
			plan := must[resealPlan](t, d, "reseal.plan", reseal{Key: file, Authority: boss.pem})
			file = must[resealed](t, d, "reseal", reseal{Key: file, Authority: boss.pem, Signature: boss.sign(t, plan.Statement)}).Key
		}
		signs(t, find(t, d, file), message())
	}
	f, err := tss2.Parse([]byte(file))
	if err != nil || len(f.AuthPolicies) != mostApprovals {
		t.Errorf("the file has %d approvals, %v; want %d", len(f.AuthPolicies), err, mostApprovals)
	}
}

// FuzzSeal checks that a policy which is accepted is one that is written back as it
// was, so that nothing in it is ignored.
func FuzzSeal(f *testing.F) {
	boss := newAuthority(f)
	bind, err := newBinding([]int{0, 7}, boss.pem)
	if err != nil {
		f.Fatal(err)
	}
	b := bind.seal([][]byte{make([]byte, 32), make([]byte, 32)}).initial
	b.approval = &approval{authority: bind.authority}
	if b.approval.signature, err = approvalSignature(b, boss.sign(f, b.statement())); err != nil {
		f.Fatal(err)
	}
	p := b.commands()
	f.Add(p[0].Parameters, p[1].Parameters, p[2].Parameters)
	f.Add(p[0].Parameters, []byte(nil), p[2].Parameters)
	f.Fuzz(func(t *testing.T, pcr, authorize, or []byte) {
		list := []tss2.Policy{{Command: tpm2.TPMCCPolicyPCR, Parameters: pcr}}
		if authorize != nil {
			list = append(list, tss2.Policy{Command: tpm2.TPMCCPolicyAuthorize, Parameters: authorize})
		}
		list = append(list, tss2.Policy{Command: tpm2.TPMCCPolicyOR, Parameters: or}, tss2.Policy{Command: tpm2.TPMCCPolicyAuthValue})
		got, err := parseBranch(list, b.digest())
		if err != nil {
			return
		}
		for i, c := range got.commands() {
			if c.Command != list[i].Command || !bytes.Equal(c.Parameters, list[i].Parameters) {
				t.Errorf("command %d was accepted as %x, and is written as %x", i, list[i].Parameters, c.Parameters)
			}
		}
	})
}

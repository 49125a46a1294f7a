package approval_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/scheme"
)

// run runs a program in a folder and returns what it writes.
func run(t testing.TB, dir, stdin, name string, args ...string) string {
	t.Helper()
	out, err := try(t, dir, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t testing.TB, dir, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	// ssh-keygen asks the program for the PIN of a token.
	cmd.Env = append(os.Environ(), "SSH_ASKPASS="+filepath.Join(dir, "ask"), "SSH_ASKPASS_REQUIRE=force", "SSH_SK_PROVIDER="+filepath.Join(dir, "fido.so"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t testing.TB, dir, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sshFolder is a folder with a FIDO token, and a program that knows its PIN.
func sshFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := sim.FIDO(dir); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ask", "#!/bin/sh\necho "+sim.FIDOPIN+"\n", 0o700)
	return dir
}

// enrolledSSH is the device of a public key as ssh-keygen writes and names it.
func enrolledSSH(t testing.TB, dir, file string) signer.Device {
	t.Helper()
	wire := unbase64(t, strings.Fields(read(t, dir, file))[1])
	return signer.Device{Name: "key", ID: strings.Fields(run(t, dir, "", "ssh-keygen", "-l", "-f", file))[1], SSH: wire}
}

func TestOpenSSHSignsAndVerifies(t *testing.T) {
	dir := sshFolder(t)
	for name, c := range map[string]struct {
		make, sign []string
		refused    string // why we refuse what ssh-keygen verifies
		unverified bool
	}{
		"ed25519":                       {make: []string{"-t", "ed25519"}},
		"ecdsa-256":                     {make: []string{"-t", "ecdsa", "-b", "256"}},
		"ecdsa-384":                     {make: []string{"-t", "ecdsa", "-b", "384"}},
		"ecdsa-521":                     {make: []string{"-t", "ecdsa", "-b", "521"}, sign: []string{"-O", "hashalg=sha256"}},
		"rsa":                           {make: []string{"-t", "rsa", "-b", "2048"}},
		"rsa-short":                     {make: []string{"-t", "rsa", "-b", "1024"}, refused: "has 1024 bits"},
		"ed25519-sk-verified":           {make: []string{"-t", "ed25519-sk", "-O", "verify-required"}},
		"ecdsa-sk-verified":             {make: []string{"-t", "ecdsa-sk", "-O", "verify-required"}, sign: []string{"-O", "hashalg=sha256"}},
		"ed25519-sk":                    {make: []string{"-t", "ed25519-sk"}, refused: "without checking who its user is"},
		"ed25519-sk-where-a-touch-does": {make: []string{"-t", "ed25519-sk"}, unverified: true},
		"ecdsa-sk":                      {make: []string{"-t", "ecdsa-sk"}, refused: "without checking who its user is"},
		"ecdsa-sk-where-a-touch-does":   {make: []string{"-t", "ecdsa-sk"}, unverified: true},
		"ed25519-sk-untouched":          {make: []string{"-t", "ed25519-sk", "-O", "no-touch-required"}, unverified: true, refused: "without a touch"},
		"ecdsa-sk-untouched":            {make: []string{"-t", "ecdsa-sk", "-O", "no-touch-required"}, unverified: true, refused: "without a touch"},
		"ed25519-sk-of-another-program": {make: []string{"-t", "ed25519-sk", "-O", "application=ssh:sealward", "-O", "verify-required"}},
	} {
		t.Run(name, func(t *testing.T) {
			// Short keys are made by openssl: ssh-keygen does not like them either.
			if name == "rsa-short" {
				run(t, dir, "", "openssl", "genrsa", "-traditional", "-out", name, "1024")
				write(t, dir, name+".pub", run(t, dir, "", "ssh-keygen", "-y", "-f", name), 0o600)
			} else {
				run(t, dir, "", "ssh-keygen", append(c.make, "-q", "-N", "", "-f", name, "-w", filepath.Join(dir, "fido.so"))...)
			}
			d := enrolledSSH(t, dir, name+".pub")
			d.Unverified = c.unverified
			a := said(d.ID)
			write(t, dir, name+".json", string(a.Canonical()), 0o600)
			run(t, dir, "", "ssh-keygen", append(append([]string{"-Y", "sign", "-n", signer.ApprovalNamespace, "-f", name}, c.sign...), name+".json")...)
			signed := must[[]byte](t)(approval.WrapSSH(a, read(t, dir, name+".json.sig")))
			// What ssh-keygen writes is what the format demands.
			if want := string(wrapped(a, read(t, dir, name+".json.sig"))); want != string(signed) {
				t.Errorf("WrapSSH made\n%s\nof\n%s", signed, want)
			}
			if c.refused != "" {
				refuses(t, signed, people(d), c.refused)
				return
			}
			accepts(t, signed, people(d), a, "owner of key")
			opensshVerifies(t, dir, name)
		})
	}
}

// opensshVerifies has ssh-keygen verify a signature in a folder, and refuse it for
// another text or namespace.
func opensshVerifies(t *testing.T, dir, name string) {
	t.Helper()
	text := read(t, dir, name+".json")
	write(t, dir, "allowed", `bob namespaces="`+signer.ApprovalNamespace+`" `+read(t, dir, name+".pub"), 0o600)
	check := func(text, namespace string) (string, error) {
		return try(t, dir, text, "ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "bob", "-n", namespace, "-s", name+".json.sig")
	}
	if out, err := check(text, signer.ApprovalNamespace); err != nil || !strings.Contains(out, `Good "`+signer.ApprovalNamespace+`" signature for bob`) {
		t.Errorf("ssh-keygen -Y verify: %v: %s", err, out)
	}
	if out, err := check(text+" ", signer.ApprovalNamespace); err == nil {
		t.Errorf("ssh-keygen -Y verify takes another text: %s", out)
	}
	if out, err := check(text, "file"); err == nil {
		t.Errorf("ssh-keygen -Y verify takes another namespace: %s", out)
	}
}

// nodeJWS checks or makes a JWS with node's own cryptography.
const nodeJWS = `
const {createHash, sign, verify, createPublicKey, createPrivateKey, constants} = require('crypto')
const [mode, alg, file, ...rest] = process.argv.slice(1)
const pem = require('fs').readFileSync(file)
const hash = alg === 'EdDSA' ? null : 'sha' + alg.slice(2)
const how = {dsaEncoding: 'ieee-p1363'}
if (alg.startsWith('PS')) Object.assign(how, {padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32})
if (mode === 'sign') {
  const input = rest.map((s) => Buffer.from(s).toString('base64url')).join('.')
  process.stdout.write(input + '.' + sign(hash, input, {key: createPrivateKey(pem), ...how}).toString('base64url'))
} else {
  const [h, p, s] = rest[0].split('.')
  const header = JSON.parse(Buffer.from(h, 'base64url'))
  if (header.alg !== alg) throw new Error('alg is ' + header.alg)
  const ok = verify(hash, Buffer.from(h + '.' + p), {key: createPublicKey(pem), ...how}, Buffer.from(s, 'base64url'))
  process.stdout.write(ok + ' ' + createHash('sha256').update(Buffer.from(p, 'base64url')).digest('hex'))
}`

func TestNodeAndOpenSSLSignAndVerify(t *testing.T) {
	dir := t.TempDir()
	for alg, args := range map[string][]string{
		"ES256": {"EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, "ES384": {"EC", "-pkeyopt", "ec_paramgen_curve:P-384"}, "ES512": {"EC", "-pkeyopt", "ec_paramgen_curve:P-521"},
		"EdDSA": {"ED25519"}, "PS256": {"RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, "RS256": {"RSA", "-pkeyopt", "rsa_keygen_bits:3072"},
	} {
		t.Run(alg, func(t *testing.T) {
			run(t, dir, "", "openssl", append([]string{"genpkey", "-quiet", "-out", alg + ".key", "-algorithm"}, args...)...)
			d := opensslCertificate(t, dir, alg)
			a := said(d.ID)
			token := run(t, dir, "", "node", "-e", nodeJWS, "sign", alg, alg+".key", header(alg, d.ID), string(a.Canonical()))
			signed := must[[]byte](t)(approval.WrapJWS(token))
			accepts(t, signed, people(d), a, "owner of token")
			id := a.ID()
			if got, want := run(t, dir, "", "node", "-e", nodeJWS, "verify", alg, alg+".pem", token), "true "+hex.EncodeToString(id[:]); got != want {
				t.Errorf("node says %s; want %s", got, want)
			}
		})
	}
}

// opensslCertificate makes a certificate of a key in a folder, and finds its id as a
// person would.
func opensslCertificate(t testing.TB, dir, name string) signer.Device {
	t.Helper()
	run(t, dir, "", "openssl", "req", "-x509", "-new", "-key", name+".key", "-subj", "/CN=token", "-days", "3", "-out", name+".pem")
	block, _ := pem.Decode([]byte(read(t, dir, name+".pem")))
	spki := run(t, dir, "", "openssl", "x509", "-in", name+".pem", "-noout", "-pubkey")
	key, _ := pem.Decode([]byte(spki))
	sum := sha256.Sum256(key.Bytes)
	return signer.Device{Name: "token", ID: "sha256:" + hex.EncodeToString(sum[:]), Certificate: block.Bytes}
}

func TestAKeyInATokenSignsAnApproval(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	worker := filepath.Join(dir, "sealward-worker")
	run(t, ".", "", "go", "build", "-o", worker, "../../cmd/sealward-worker")
	soft := must[*sim.SoftHSMToken](t)(sim.SoftHSM(filepath.Join(dir, "softhsm"), "approver", "1234"))
	token := must[*backends.Token](t)(soft.Open(ctx, worker, filepath.Join(dir, "mark")))
	defer func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i, c := range []struct {
		algorithm signer.Algorithm
		padding   signer.Padding
		alg       string
	}{
		{signer.AlgorithmP256, "", "ES256"}, {signer.AlgorithmP384, "", "ES384"}, {signer.AlgorithmP521, "", "ES512"}, {signer.AlgorithmEd25519, "", "EdDSA"},
		{signer.AlgorithmRSA, signer.PaddingPSS, "PS256"}, {signer.AlgorithmRSA, signer.PaddingPKCS1, "RS256"},
	} {
		t.Run(c.alg, func(t *testing.T) {
			spec := backends.KeySpec{Name: c.alg, Algorithm: c.algorithm, Options: map[string]string{"id": fmt.Sprintf("%02x", i+1)}}
			if c.padding != "" {
				spec.Bits = 2048
			}
			made := must[backends.NewKey](t)(token.Generate(ctx, spec))
			k := must[*backends.Key](t)(token.Find(ctx, made.Locator))
			d := certifiedElsewhere(t, k.Public())
			a := said(d.ID)
			jws, err := signer.SignApproval(ctx, k, c.padding, &scheme.Verifier{}, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(jws, b64([]byte(header(c.alg, d.ID)))+".") {
				t.Errorf("the header is not that of %s: %s", c.alg, jws)
			}
			accepts(t, must[[]byte](t)(approval.WrapJWS(jws)), people(d), a, "owner of token")
			a.Device = "sha256:another"
			if jws, err := signer.SignApproval(ctx, k, c.padding, &scheme.Verifier{}, a, nil); err == nil {
				t.Errorf("signed for another key: %s", jws)
			}
		})
	}
}

package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

// tools runs tpm2-tools and openssl in a folder.
type tools struct {
	t   *testing.T
	tpm *sim.TPM
	dir string
}

func (x tools) run(name string, args ...string) string {
	x.t.Helper()
	out, err := x.command(name, args)
	if err != nil {
		x.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// attempt runs what is to fail, and returns what it says.
func (x tools) attempt(name string, args ...string) string {
	x.t.Helper()
	out, err := x.command(name, args)
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		x.t.Fatalf("%s %s: %v; want that it fails\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (x tools) command(name string, args []string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = x.dir
	cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI="+x.tpm.TCTI())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (x tools) write(name string, b []byte) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.dir, name), b, 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x tools) read(name string) []byte {
	x.t.Helper()
	b, err := os.ReadFile(filepath.Join(x.dir, name))
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

// storage makes the storage root key as draft-bottomley-tpm2-keys, 3.1.8 has it.
func (x tools) storage() {
	x.t.Helper()
	x.write("unique", []byte{0, 0, 0, 0})
	x.run("tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc", "-g", "sha256", "-u", "unique", "-c", "storage.ctx",
		"-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt")
	x.run("tpm2_flushcontext", "-t")
}

// Keys made here are loaded by tpm2-tools from their file, and sign with it.
func TestTPM2ToolsSignWithOurKeyFiles(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	for name, c := range map[string]struct {
		spec backends.KeySpec
		sign []string
		as   []string // openssl dgst
	}{
		"P-256":    {p256, []string{"-g", "sha256", "-f", "plain"}, []string{"-sha256"}},
		"P-384":    {backends.KeySpec{Algorithm: signer.AlgorithmP384}, []string{"-g", "sha384", "-f", "plain"}, []string{"-sha384"}},
		"RSA-2048": {backends.KeySpec{Algorithm: signer.AlgorithmRSA, Bits: 2048}, []string{"-g", "sha256", "-s", "rsassa", "-f", "plain"}, []string{"-sha256"}},
		"RSA-3072": {backends.KeySpec{Algorithm: signer.AlgorithmRSA, Bits: 3072}, []string{"-g", "sha256", "-s", "rsapss", "-f", "plain"}, []string{"-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := tools{t, tpm, t.TempDir()}
			made, _ := generate(t, d, c.spec)
			der, err := made.Facts.Public.SPKI()
			if err != nil {
				t.Fatal(err)
			}
			d.forget() // of slots: tpm2-tools needs them
			x.write("key.pem", []byte(made.Locator))
			x.write("public.der", der)
			x.write("message", []byte("a message"))
			x.run("tpm2_load", "-Q", "-r", "key.pem", "-c", "key.ctx") // it makes the parent
			x.run("tpm2_flushcontext", "-t")
			x.run("tpm2_sign", append([]string{"-Q", "-c", "key.ctx", "-p", authValue, "-o", "signature"}, append(c.sign, "message")...)...)
			x.run("tpm2_flushcontext", "-t")
			out := x.run("openssl", append(append([]string{"dgst", "-keyform", "DER", "-verify", "public.der", "-signature", "signature"}, c.as...), "message")...)
			if !strings.Contains(out, "Verified OK") {
				t.Errorf("openssl says %s", out)
			}
		})
	}
}

// Keys that tpm2-tools make sign here, once they are exempt from lockout.
func TestKeysOfTPM2ToolsSignHere(t *testing.T) {
	tpm := startTPM(t)
	x := tools{t, tpm, t.TempDir()}
	x.storage()
	for name, want := range map[string]string{"noda": "", "sign": "lockout"} { // sign is there anyway
		x.run("tpm2_create", "-Q", "-C", "storage.ctx", "-G", "ecc", "-p", authValue, "-u", "key.pub", "-r", "key.priv",
			"-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|"+name)
		x.run("tpm2_flushcontext", "-t")
		x.run("tpm2_encodeobject", "-Q", "-C", "o", "-u", "key.pub", "-r", "key.priv", "-o", "key.pem")
		x.run("tpm2_flushcontext", "-t")
		d := openTPM(t, tpm)
		k, err := d.Find(t.Context(), string(x.read("key.pem")))
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: Find error = %v, want one with %q", name, err, want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		signs(t, k, message())
		if o := k.Facts().Origin; o != signer.OriginGenerated {
			t.Errorf("origin %q", o)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// openssl verifies the statement's signature, and tpm2_print reads the statement.
func TestForeignProgramsVerifyACertification(t *testing.T) {
	tpm := startTPM(t)
	d := openTPM(t, tpm)
	x := tools{t, tpm, t.TempDir()}
	made, _ := generate(t, d, p256)
	challenge := sha256.Sum256([]byte("challenge"))
	e, err := d.Attest(t.Context(), made.Locator, challenge[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	x.write("attest", e.Parts[partAttest])
	x.write("signature", e.Parts[partSignature])
	x.write("ak.tpmt", e.Parts[partAK])
	x.write("key.tpmt", e.Parts[partPublic])
	// The attestation key's public part in PEM, by tpm2_print; the signature in DER, by
	// tpm2_verifysignature, which reads a TPMT_SIGNATURE and asks the TPM.
	x.write("ak.pem", []byte(x.run("tpm2_print", "-t", "TPMT_PUBLIC", "-f", "pem", "ak.tpmt")))
	x.run("tpm2_loadexternal", "-Q", "-C", "n", "-G", "ecc", "-u", "ak.pem", "-c", "ak.ctx")
	x.run("tpm2_verifysignature", "-Q", "-c", "ak.ctx", "-g", "sha256", "-m", "attest", "-s", "signature")
	x.run("tpm2_flushcontext", "-t")
	// tpm2_print 5.4 prints a certification up to what was certified, and fails there.
	// Which object that is, the end of the statement says; tpm2_load names the key.
	out := x.attempt("tpm2_print", "-t", "TPMS_ATTEST", "attest")
	for _, want := range []string{"type: 8017", "magic: ff544347", hex.EncodeToString(challenge[:])} {
		if !strings.Contains(out, want) {
			t.Errorf("tpm2_print says\n%s\nwithout %q", out, want)
		}
	}
	x.write("key.pem", []byte(made.Locator))
	x.run("tpm2_load", "-Q", "-r", "key.pem", "-c", "key.ctx", "-n", "name")
	x.run("tpm2_flushcontext", "-t")
	if name := x.read("name"); !bytes.Contains(e.Parts[partAttest], append([]byte{0, byte(len(name))}, name...)) {
		t.Errorf("the statement %x is not about the object that tpm2_load names %x", e.Parts[partAttest], name)
	}
	bad := bytes.Clone(e.Parts[partAttest])
	bad[30] ^= 1
	x.write("bad", bad)
	if out := x.attempt("tpm2_verifysignature", "-c", "ak.ctx", "-g", "sha256", "-m", "bad", "-s", "signature"); !strings.Contains(out, "signature is not valid") {
		t.Errorf("of a changed statement, tpm2_verifysignature says %s", out)
	}
}

// openssl approves PCR values as an authority does in the documentation.
func TestOpenSSLApprovesPCRs(t *testing.T) {
	tpm := startTPM(t)
	x := tools{t, tpm, t.TempDir()}
	x.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "authority.key")
	x.run("openssl", "ec", "-in", "authority.key", "-pubout", "-out", "authority.pem")
	d := openWith(t, Settings{Device: tpm.Path(), PCRs: []int{7}, PCRAuthority: string(x.read("authority.pem"))})
	made, k := generate(t, d, p256)
	x.run("tpm2_pcrextend", "7:sha256="+strings.Repeat("ab", 32))
	refuses(t, k, message(), "bound to PCRs 7")
	r := reseal{Key: made.Locator, Authority: string(x.read("authority.pem"))}
	x.write("statement", must[resealPlan](t, d, "reseal.plan", r).Statement)
	x.run("openssl", "dgst", "-sha256", "-sign", "authority.key", "-out", "approval", "statement")
	r.Signature = x.read("approval")
	signs(t, find(t, d, must[resealed](t, d, "reseal", r).Key), message())
}

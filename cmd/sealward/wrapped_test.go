package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/backends/tpm/wrapped"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// runs runs a program of the host's.
func runs(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// chip is a software TPM with an endorsement certificate, driven by a real worker,
// and the file of the certificates that it leads to.
func chip(t *testing.T) (token *backends.Token, roots string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"ca", "state"} {
		if err := os.Mkdir(at(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"localca.conf": fmt.Sprintf("statedir = %[1]s\nsigningkey = %[1]s/signkey.pem\nissuercert = %[1]s/issuercert.pem\ncertserial = %[1]s/certserial\n", at("ca")),
		"localca.opts": "--platform-manufacturer Sealward\n--platform-version 1\n--platform-model test\n",
		"setup.conf":   fmt.Sprintf("create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = %s\ncreate_certs_tool_options = %s\n", at("localca.conf"), at("localca.opts")),
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runs(t, "swtpm_setup", "--tpm2", "--tpmstate", at("state"), "--config", at("setup.conf"), "--create-ek-cert")
	soft, err := sim.StartTPM(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = soft.Kill() })
	settings, err := json.Marshal(map[string]string{"device": soft.Path()})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := exec.LookPath("sealward-worker")
	if err != nil {
		t.Fatal(err)
	}
	token, err = backends.Start(t.Context(), backends.Config{
		Name: "tpm0", Driver: "tpm", Settings: settings, Worker: []string{worker}, PINMark: at("pin-tpm0.json"), Timeout: patience,
		Confinement: backends.Confinement{Devices: []string{soft.Path()}}, PIN: func() ([]byte, error) { return []byte("0123456789abcdef0123456789abcdef"), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = token.Close() })
	if h := token.Health(); !h.Up {
		t.Fatalf("health of the TPM = %+v", h)
	}
	return token, at("ca/issuercert.pem")
}

// targetOf is what the TPM presents itself with.
func targetOf(t *testing.T, token *backends.Token, name string) *v1.GetTargetResponse {
	t.Helper()
	out, err := token.Call(t.Context(), "target", []byte(fmt.Sprintf(`{"name":%q}`, name)))
	if err != nil {
		t.Fatal(err)
	}
	var res struct {
		Target      []byte `json:"target"`
		Fingerprint string `json:"fingerprint"`
	}
	if err := json.Unmarshal(out, &res); err != nil {
		t.Fatal(err)
	}
	return &v1.GetTargetResponse{Target: res.Target, Fingerprint: res.Fingerprint}
}

// TestAKeyIsWrappedForARealTPM goes the whole way: the target from the TPM, the secret
// from openssl, and back into the TPM, which has the same public key then.
func TestAKeyIsWrappedForARealTPM(t *testing.T) {
	token, roots := chip(t)
	f := operated()
	f.target = targetOf(t, token, "vault-2")
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }

	code, stdout, stderr := sealward("", "--sockets", f.serve(t), "keys", "target", "--token", "tpm0", "--name", "vault-2")
	if code != exitOK || stdout != string(f.target.GetTarget()) || stderr != "target vault-2, fingerprint "+f.target.GetFingerprint()+"\n" {
		t.Fatalf("target: exit code %d:\n%s%s", code, stdout, stderr)
	}
	if err := os.WriteFile(at("target"), []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	runs(t, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-out", at("hot.pem"))

	believe := map[string][]string{
		"by its certificate":  {"--roots", roots},
		"by an exception":     {"--accept-test-tpm", "vault-2", "--fingerprint", f.target.GetFingerprint()},
		"as JSON, a hex file": {"--roots", roots, "-o", "json", "--algorithm", "ed25519", "--secret", at("seed")},
	}
	if err := os.WriteFile(at("seed"), []byte(strings.Repeat("9d", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range believe {
		t.Run(name, func(t *testing.T) {
			blob := filepath.Join(t.TempDir(), "blob")
			code, stdout, stderr := sealward("", append([]string{"keys", "wrap", "--for", at("target"), "--secret", at("hot.pem"), "--out", blob}, flags...)...)
			if code != exitOK {
				t.Fatalf("exit code %d:\n%s%s", code, stdout, stderr)
			}
			print := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(stdout)
			if mode(t, blob) != "-rw-------" || strings.Contains(stdout+stderr, "9d9d") {
				t.Errorf("mode %s:\n%s%s", mode(t, blob), stdout, stderr)
			}
			file, err := os.ReadFile(blob)
			if err != nil {
				t.Fatal(err)
			}
			arguments, err := json.Marshal(map[string]string{"key": string(file)})
			if err != nil {
				t.Fatal(err)
			}
			out, err := token.Call(t.Context(), "import", arguments)
			if err != nil {
				t.Fatal(err)
			}
			var made backends.NewKey
			if err := json.Unmarshal(out, &made); err != nil {
				t.Fatal(err)
			}
			if got := made.Facts.Public.Fingerprint(); !strings.Contains(stdout, "\""+got+"\"") && print != got {
				t.Errorf("the TPM has %s, and was shown:\n%s", got, stdout)
			}
			if name == "by an exception" && !strings.Contains(stdout, "accepted without a certificate") {
				t.Errorf("nothing says that it was an exception:\n%s", stdout)
			}
		})
	}
	t.Run("refused", func(t *testing.T) { refusesToWrap(t, at("target"), at("hot.pem"), roots, f.target.GetFingerprint()) })
}

func refusesToWrap(t *testing.T, target, secret, roots, print string) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	runs(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=somebody", "-keyout", at("ca.key"), "-out", at("foreign.pem"))
	for name, content := range map[string]string{"nothing": "", "taken": "x", "short": "00"} {
		if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		target, secret, out string
		more                []string
		code                int
		want                string
	}{
		"without roots":                      {target, secret, at("1"), nil, exitUsage, "--roots is missing"},
		"under foreign roots":                {target, secret, at("1"), []string{"--roots", at("foreign.pem")}, exitGeneral, "verify target"},
		"under roots that are none":          {target, secret, at("1"), []string{"--roots", at("nothing")}, exitGeneral, "there is no certificate in PEM in it"},
		"half an exception":                  {target, secret, at("1"), []string{"--accept-test-tpm", "vault-2"}, exitUsage, "go together"},
		"an exception for another TPM":       {target, secret, at("1"), []string{"--accept-test-tpm", "vault-2", "--fingerprint", "sha256:00"}, exitGeneral, "the exception is for sha256:00"},
		"an exception for another name":      {target, secret, at("1"), []string{"--accept-test-tpm", "ci", "--fingerprint", print}, exitGeneral, "accept test target"},
		"a target that is none":              {at("nothing"), secret, at("1"), []string{"--roots", roots}, exitGeneral, "read target"},
		"a secret that is none":              {target, at("short"), at("1"), []string{"--roots", roots, "--algorithm", "ed25519"}, exitGeneral, "read the secret"},
		"a secret of another algorithm":      {target, secret, at("1"), []string{"--roots", roots, "--algorithm", "ed25519"}, exitGeneral, "read the secret"},
		"a file that is there":               {target, secret, at("taken"), []string{"--roots", roots}, exitGeneral, "file exists"},
		"a secret that is not there":         {target, "/nowhere", at("1"), []string{"--roots", roots}, exitGeneral, "/nowhere"},
		"no secret":                          {target, "", at("1"), []string{"--roots", roots}, exitUsage, "--secret is missing"},
		"nowhere to put it":                  {target, secret, "", []string{"--roots", roots}, exitUsage, "--out is missing"},
		"a folder that does not take a file": {target, secret, "/proc/blob", []string{"--roots", roots}, exitGeneral, "/proc/blob"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := sealward("", append([]string{"keys", "wrap", "--for", c.target, "--secret", c.secret, "--out", c.out}, c.more...)...)
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q, %q; want %d and %q", code, stdout, stderr, c.code, c.want)
			}
			if _, err := os.Stat(at("1")); err == nil {
				t.Error("a file was left behind")
			}
			if b, err := os.ReadFile(at("taken")); err != nil || string(b) != "x" {
				t.Errorf("the file that was there holds %q, %v", b, err)
			}
		})
	}
}

// What keys wrap reads, only keys target writes; so the two forms are one.
func TestATargetFromARealTPMIsCanonical(t *testing.T) {
	token, _ := chip(t)
	res := targetOf(t, token, "vault-2")
	target, err := wrapped.ParseTarget(res.GetTarget())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := target.Encode(); err != nil || !bytes.Equal(again, res.GetTarget()) || target.Fingerprint() != res.GetFingerprint() {
		t.Errorf("%v, %s, want %s:\n%s", err, target.Fingerprint(), res.GetFingerprint(), again)
	}
}

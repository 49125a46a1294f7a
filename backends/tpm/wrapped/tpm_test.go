package wrapped

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// softTPM starts a software TPM on a state folder, which may be new.
func softTPM(t *testing.T, state string) transport.TPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state,
		"--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	if err := cmd.Start(); err != nil {
		t.Fatalf("start swtpm: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("swtpm does not listen: %v", err)
		}
	}
	tpm, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	return tpm
}

// manufactured makes the state of a software TPM with endorsement certificates, and
// returns them (RSA 2048, then P-384, with the authority that issued them) and the
// authority's root.
func manufactured(t *testing.T) (state string, certificates [2][][]byte, root *x509.Certificate) {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"ca", "state", "certs"} {
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
	out, err := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", at("state"), "--config", at("setup.conf"),
		"--create-ek-cert", "--write-ek-cert-files", at("certs")).CombinedOutput()
	if err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	issuer := readPEM(t, at("ca/issuercert.pem"))
	for i, name := range []string{"ek-rsa2048.crt", "ek-secp384r1.crt"} {
		der, err := os.ReadFile(at(filepath.Join("certs", name)))
		if err != nil {
			t.Fatal(err)
		}
		certificates[i] = [][]byte{der, issuer}
	}
	root, err = x509.ParseCertificate(readPEM(t, at("ca/swtpm-localca-rootca-cert.pem")))
	if err != nil {
		t.Fatal(err)
	}
	return at("state"), certificates, root
}

func readPEM(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s: no PEM block", name)
	}
	return block.Bytes
}

// loaded is an object in the TPM, and how it is used as a parent.
type loaded struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
	auth   tpm2.Session
}

func (l *loaded) use(auth tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: l.handle, Name: l.name, Auth: auth}
}

func primary(t *testing.T, tpm transport.TPM, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic) *loaded {
	t.Helper()
	r, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(tpm)
	if err != nil {
		t.Fatalf("make a primary key: %v", err)
	}
	public, err := r.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	l := &loaded{r.ObjectHandle, r.Name, *public, tpm2.PasswordAuth(nil)}
	if !template.ObjectAttributes.UserWithAuth {
		l.auth = tpm2.Policy(tpm2.TPMAlgSHA256, 16, tpm2.PolicyCallback(func(tpm transport.TPM, s tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
			_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: s, NonceTPM: nonce}.Execute(tpm)
			return err
		}))
	}
	t.Cleanup(func() { flush(tpm, l.handle) })
	return l
}

func flush(tpm transport.TPM, h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(tpm)
}

// imported imports a file under its parent, and loads it.
func imported(t *testing.T, tpm transport.TPM, parent *loaded, f *File) (*loaded, error) {
	t.Helper()
	r, err := tpm2.Import{
		ParentHandle: parent.use(parent.auth),
		ObjectPublic: tpm2.New2B(f.Key.Public),
		Duplicate:    tpm2.TPM2BPrivate{Buffer: f.Key.Private},
		InSymSeed:    tpm2.TPM2BEncryptedSecret{Buffer: f.Key.Secret},
		Symmetric:    tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
	}.Execute(tpm)
	if err != nil {
		return nil, err
	}
	return load(t, tpm, parent, f.Key.Public, r.OutPrivate)
}

func load(t *testing.T, tpm transport.TPM, parent *loaded, public tpm2.TPMTPublic, private tpm2.TPM2BPrivate) (*loaded, error) {
	t.Helper()
	r, err := tpm2.Load{ParentHandle: parent.use(parent.auth), InPublic: tpm2.New2B(public), InPrivate: private}.Execute(tpm)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { flush(tpm, r.ObjectHandle) })
	return &loaded{handle: r.ObjectHandle, name: r.Name, public: public}, nil
}

func unseal(tpm transport.TPM, object *loaded, auth tpm2.Session) ([]byte, error) {
	r, err := tpm2.Unseal{ItemHandle: object.use(auth)}.Execute(tpm)
	if err != nil {
		return nil, err
	}
	return r.OutData.Buffer, nil
}

// onWay writes a file and reads it again, as if it had been sent.
func onWay(t *testing.T, f *File) *File {
	t.Helper()
	text, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	g, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g.Target, f.Target) {
		t.Fatalf("target = %x, want %x", g.Target, f.Target)
	}
	return g
}

package sim

import (
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealward/sealward/backends/sim/pivcard"
)

// run runs a program that looks for cards in a reader.
func run(t *testing.T, r *Reader, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), r.Env())
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed; run `make deps`", program)
	}
	return string(out), err
}

// shows runs a program and wants it to succeed and to say something.
func shows(t *testing.T, r *Reader, want string, program string, args ...string) {
	t.Helper()
	if out, err := run(t, r, program, args...); err != nil || !strings.Contains(out, want) {
		t.Errorf("%s %s says %q, %v; want %q", program, strings.Join(args, " "), out, err, want)
	}
}

// refuses runs a program and wants it to fail and to say something.
func refuses(t *testing.T, r *Reader, want string, program string, args ...string) {
	t.Helper()
	if out, err := run(t, r, program, args...); err == nil || !strings.Contains(out, want) {
		t.Errorf("%s %s says %q, %v; want an error and %q", program, strings.Join(args, " "), out, err, want)
	}
}

// threeDES is firmware whose management key is 3DES, which is all that the version of
// yubico-piv-tool knows that Debian 12 has.
var threeDES = pivcard.Version{5, 4, 3}

func TestACardServesYubicosTool(t *testing.T) {
	r, dir := startReader(t), t.TempDir()
	card := newCard(t, pivcard.Config{Serial: 4711, Firmware: threeDES})
	insert(t, r, card)
	const tool = "yubico-piv-tool"
	shows(t, r, "Serial Number:\t4711", tool, "-a", "status")
	shows(t, r, "Application version 5.4.3", tool, "-a", "version")
	shows(t, r, "Successfully set new CCC", tool, "-a", "set-chuid", "-a", "set-ccc")
	for slot, alg := range map[string]string{"9a": "ECCP256", "9c": "RSA2048", "9d": "ECCP384", "82": "RSA1024"} {
		public, cert := filepath.Join(dir, slot+".pub"), filepath.Join(dir, slot+".pem")
		shows(t, r, "Successfully generated a new private key", tool, "-a", "generate", "-s", slot, "-A", alg, "-o", public)
		shows(t, r, "", tool, "-a", "attest", "-s", slot, "-o", cert)
		shows(t, r, "Successfully imported a new certificate", tool, "-a", "import-certificate", "-s", slot, "-i", cert)
		shows(t, r, " verification.", tool, "-a", "verify-pin", "-P", "123456", "-a", "test-signature", "-s", slot, "-i", cert)
		shows(t, r, "Slot "+slot, tool, "-a", "status")
		shows(t, r, "", tool, "-a", "read-certificate", "-s", slot, "-o", cert+".2")
		sameFile(t, cert, cert+".2")
		shows(t, r, "", tool, "-a", "read-certificate", "-s", "f9", "-o", filepath.Join(dir, "f9.pem"))
		// The chain, as openssl sees it.
		root := writePEM(t, filepath.Join(dir, "root.pem"), "CERTIFICATE", card.Root().Raw)
		shows(t, r, "OK", "openssl", "verify", "-CAfile", root, "-untrusted", filepath.Join(dir, "f9.pem"), cert)
	}
	refuses(t, r, "Failed authentication with the application", tool, "-a", "generate", "-s", "9a", "-A", "ECCP256", "-k"+strings.Repeat("ab", 24))
	refuses(t, r, "2 tries left", tool, "-a", "verify-pin", "-P", "999999")
	shows(t, r, "Successfully changed the pin code", tool, "-a", "change-pin", "-P", "123456", "-N", "654321")
	shows(t, r, "Successfully unblocked the pin code", tool, "-a", "unblock-pin", "-P", "12345678", "-N", "123456")
	shows(t, r, "Successfully verified PIN", tool, "-a", "verify-pin", "-P", "123456")
	shows(t, r, "Successfully changed pin retries to 5", tool, "-a", "verify-pin", "-P", "123456", "-a", "pin-retries", "--pin-retries", "5", "--puk-retries", "6")
	shows(t, r, "Successfully set new management key", tool, "-a", "set-mgm-key", "-n", strings.Repeat("0a", 24))
	shows(t, r, "Successfully generated", tool, "-a", "generate", "-s", "9e", "-A", "ECCP256", "-k"+strings.Repeat("0a", 24))
	refuses(t, r, "", tool, "-a", "reset")
	for range 6 {
		refuses(t, r, "", tool, "-a", "verify-pin", "-P", "999999")
		refuses(t, r, "", tool, "-a", "change-puk", "-P", "99999999", "-N", "11111111")
	}
	shows(t, r, "Successfully reset", tool, "-a", "reset")
	shows(t, r, "PIN tries left:\t3", tool, "-a", "status")
}

func TestACardServesOpenSC(t *testing.T) {
	r, dir := startReader(t), t.TempDir()
	insert(t, r, newCard(t, pivcard.Config{Firmware: threeDES}))
	shows(t, r, readerName, "opensc-tool", "-l")
	shows(t, r, "Personal Identity Verification Card", "opensc-tool", "-n")
	public, message, signature := prepareSlots(t, r, dir)
	shows(t, r, "PIV AUTH key", "pkcs15-tool", "--list-keys")
	shows(t, r, "Certificate for PIV Authentication", "pkcs15-tool", "--list-certificates")
	shows(t, r, "Reference      : 128", "pkcs15-tool", "--list-pins")
	signAndVerify(t, r, "opensc-pkcs11.so", public, message, signature)
}

func TestACardServesYubicosModule(t *testing.T) {
	r, dir := startReader(t), t.TempDir()
	card := newCard(t, pivcard.Config{Firmware: threeDES})
	insert(t, r, card)
	public, message, signature := prepareSlots(t, r, dir)
	before := card.Counts().Signatures
	signAndVerify(t, r, "libykcs11.so", public, message, signature)
	if n := card.Counts().Signatures - before; n != 2 {
		t.Errorf("the card made %d signatures; want 2", n)
	}
}

// prepareSlots puts a P-256 key into slot 9a and an RSA key into 9c, with
// certificates.
func prepareSlots(t *testing.T, r *Reader, dir string) (public map[string]string, message, signature string) {
	t.Helper()
	public = map[string]string{}
	shows(t, r, "", "yubico-piv-tool", "-a", "set-chuid", "-a", "set-ccc")
	for slot, alg := range map[string]string{"9a": "ECCP256", "9c": "RSA2048"} {
		public[slot] = filepath.Join(dir, slot+".pub")
		cert := filepath.Join(dir, slot+".pem")
		shows(t, r, "", "yubico-piv-tool", "-a", "generate", "-s", slot, "-A", alg, "-o", public[slot])
		shows(t, r, "", "yubico-piv-tool", "-a", "attest", "-s", slot, "-o", cert)
		shows(t, r, "", "yubico-piv-tool", "-a", "import-certificate", "-s", slot, "-i", cert)
	}
	message = filepath.Join(dir, "message")
	if err := os.WriteFile(message, []byte("what is to be signed"), 0o600); err != nil {
		t.Fatal(err)
	}
	return public, message, filepath.Join(dir, "signature")
}

// signAndVerify signs with a PKCS#11 module, and verifies with openssl.
func signAndVerify(t *testing.T, r *Reader, name string, public map[string]string, message, signature string) {
	t.Helper()
	module, err := find(name, []string{"/usr/lib/*-linux-gnu*/" + name, "/usr/lib64/" + name, "/usr/lib64/pkcs11/" + name})
	if err != nil {
		t.Fatal(err)
	}
	for slot, key := range map[string][]string{
		"9a": {"--id", "01", "-m", "ECDSA-SHA256", "--signature-format", "openssl"},
		"9c": {"--id", "02", "-m", "SHA256-RSA-PKCS"},
	} {
		args := append([]string{"--module", module, "--login", "--pin", "123456", "--sign", "-i", message, "-o", signature}, key...)
		shows(t, r, "", "pkcs11-tool", args...)
		shows(t, r, "Verified OK", "openssl", "dgst", "-sha256", "-verify", public[slot], "-signature", signature, message)
	}
	refuses(t, r, "CKR_PIN_INCORRECT", "pkcs11-tool", "--module", module, "--login", "--pin", "999999", "--sign", "--id", "01", "-m", "ECDSA-SHA256", "-i", message, "-o", signature)
}

func TestReadersRunSideBySide(t *testing.T) {
	first, second := startReader(t), startReader(t)
	for i, r := range []*Reader{first, second} {
		insert(t, r, newCard(t, pivcard.Config{Serial: uint32(100 + i)}))
	}
	if first.PID() == second.PID() || first.Socket() == second.Socket() {
		t.Fatal("the readers are one")
	}
	shows(t, first, "Serial Number:\t100", "yubico-piv-tool", "-a", "status")
	shows(t, second, "Serial Number:\t101", "yubico-piv-tool", "-a", "status")
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	refuses(t, first, "", "yubico-piv-tool", "-a", "status")
	shows(t, second, "Serial Number:\t101", "yubico-piv-tool", "-a", "status")
}

func TestStopLeavesNothingRunning(t *testing.T) {
	r, err := StartReader(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Insert(newCard(t, pivcard.Config{})); err != nil {
		t.Fatal(err)
	}
	pid := r.PID()
	for range 2 {
		if err := r.Stop(); err != nil {
			t.Errorf("Stop = %v", err)
		}
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to pcscd = %v; want that there is no such process", err)
	}
}

func TestPortsThatAreTakenAreNoticed(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	defer l.Close()
	for _, p := range []int{port, port - 1} { // the first, and the second of the two
		r := &Reader{dir: t.TempDir()}
		r.socket = filepath.Join(r.dir, "pcscd.comm")
		if err := r.startAt(p); !errors.Is(err, errPorts) {
			t.Errorf("startAt(%d) with port %d taken = %v; want %v", p, port, err, errPorts)
		}
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	}
}

// unprivileged is set in the process that TestAReaderNeedsNoPrivileges starts.
const unprivileged = "SEALWARD_TEST_UNPRIVILEGED"

func TestAReaderNeedsNoPrivileges(t *testing.T) {
	if os.Getenv(unprivileged) == "" && os.Getuid() == 0 {
		runAsNobody(t)
		return
	}
	if os.Getuid() == 0 {
		t.Fatal("the process still is root's")
	}
	r := startReader(t)
	insert(t, r, newCard(t, pivcard.Config{Serial: 55}))
	shows(t, r, "Serial Number:\t55", "yubico-piv-tool", "-a", "status")
}

// runAsNobody runs the test again as a user who may do nothing.
func runAsNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	dir := t.TempDir()
	binary := filepath.Join(dir, "test")
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	temporary := filepath.Join(dir, "tmp")
	if err := errors.Join(os.WriteFile(binary, exe, 0o755), os.Mkdir(temporary, 0o700), os.Chown(temporary, nobody, nobody), os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir = temporary
	cmd.Env = append(os.Environ(), unprivileged+"=1", "TMPDIR="+temporary, "HOME="+temporary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func sameFile(t *testing.T, a, b string) {
	t.Helper()
	first, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(b)
	if err != nil || string(first) != string(second) {
		t.Errorf("%s and %s differ, %v", a, b, err)
	}
}

func writePEM(t *testing.T, path, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

package sim

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestSoftHSMAddsTokensToAFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := SoftHSM(dir, "first one", "1234")
	if err != nil {
		t.Fatal(err)
	}
	second, err := SoftHSM(dir, "second", "5678")
	if err != nil {
		t.Fatal(err)
	}
	if first.URI != "pkcs11:token=first%20one" || first.Conf != second.Conf {
		t.Errorf("tokens are %+v and %+v; want one configuration and an escaped URI", first, second)
	}
	cmd := exec.Command("softhsm2-util", "--show-slots")
	cmd.Env = append(os.Environ(), first.Env())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "first one") || !strings.Contains(string(out), "second") {
		t.Errorf("SoftHSM shows %s, %v; want both tokens", out, err)
	}
	info, err := os.Stat(first.Conf)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration is %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestWhatIsMissingNamesTheCure(t *testing.T) {
	if path, err := find("SoftHSM's module", []string{"/nonexistent/*.so"}); err == nil || !strings.Contains(err.Error(), "run `make deps`") || path != "" {
		t.Errorf("find = %q, %v; want what to run", path, err)
	}
}

func TestFaultsCountsAndForgets(t *testing.T) {
	f, err := NewFaults(t.TempDir(), "/nonexistent.so")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.put(int(Login), 3); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Calls(Login); err != nil || n != 3 {
		t.Errorf("Calls = %d, %v; want 3", n, err)
	}
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Calls(Login); err != nil || n != 0 {
		t.Errorf("Calls after Reset = %d, %v; want none", n, err)
	}
}

package sim_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/sealward/sealward/backends/sim"
)

// primary is the name of a key that the TPM derives from what it keeps.
func primary(t *testing.T, tpm *sim.TPM) string {
	t.Helper()
	link, err := linuxudstpm.Open(tpm.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	rsp, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(link)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: rsp.ObjectHandle}).Execute(link); err != nil {
		t.Fatal(err)
	}
	return string(rsp.Name.Buffer)
}

func TestATPMKeepsItsStateAndTwoOfThemHaveTheirOwn(t *testing.T) {
	start := func() *sim.TPM {
		tpm, err := sim.StartTPM(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := tpm.Kill(); err != nil {
				t.Error(err)
			}
		})
		return tpm
	}
	one, other := start(), start()
	first := primary(t, one)
	if primary(t, other) == first {
		t.Error("two TPMs have one storage key")
	}
	for name, end := range map[string]func() error{"killed": one.Kill, "stopped": one.Stop} {
		pid := one.PID()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if one.PID() != 0 {
			t.Errorf("%s, it has process %d", name, one.PID())
		}
		if err := one.Start(); err != nil {
			t.Fatal(err)
		}
		if one.PID() == pid || primary(t, one) != first {
			t.Errorf("%s and started again, it is process %d, before %d, with another storage key", name, one.PID(), pid)
		}
	}
	if err := one.Start(); err == nil {
		t.Error("it was started twice")
	}
}

func TestToolsReachATPMWithoutAPort(t *testing.T) {
	tpm, err := sim.StartTPM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tpm.Kill()
	cmd := exec.Command("tpm2_getcap", "properties-fixed")
	cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI="+tpm.TCTI())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "TPM2_PT_MANUFACTURER") {
		t.Errorf("tpm2_getcap says %s, %v", out, err)
	}
}

func TestATPMWhoseSocketPathIsTooLongSaysSo(t *testing.T) {
	if tpm, err := sim.StartTPM(t.TempDir() + "/" + strings.Repeat("x", 100)); err == nil || !strings.Contains(err.Error(), "too long") || tpm != nil {
		t.Errorf("StartTPM = %v, %v; want an error that names the path", tpm, err)
	}
}

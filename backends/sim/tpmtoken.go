package sim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// TPMToken is a TPM behind tpm2-pkcs11, a PKCS#11 module that has nothing in common
// with SoftHSM. It holds one P-256 key: without a resource manager the TPM has room
// for three objects, and the module takes one for the token and one for itself.
type TPMToken struct {
	Module string
	Label  string
	PIN    string
	URI    string   // of the token
	KeyURI string   // of its key
	Env    []string // variables that a process needs to see the token
	Store  string   // folder that such a process writes to
	TPM    *TPM
}

// NewTPMToken starts a TPM in a folder and makes a token and its key.
func NewTPMToken(dir string) (*TPMToken, error) {
	module, err := find("tpm2-pkcs11's module", []string{"/usr/lib/*-linux-gnu*/libtpm2_pkcs11.so.1", "/usr/lib/*-linux-gnu*/pkcs11/libtpm2_pkcs11.so*", "/usr/lib64/pkcs11/libtpm2_pkcs11.so*"})
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	t := &TPMToken{Module: module, Label: "tpm", PIN: "1234", URI: "pkcs11:token=tpm", KeyURI: "pkcs11:object=p256", Store: filepath.Join(dir, "store")}
	if err := os.MkdirAll(t.Store, 0o700); err != nil {
		return nil, err
	}
	if t.TPM, err = StartTPM(dir); err != nil {
		return nil, err
	}
	// With no backend named, the module looks for one more and complains.
	t.Env = []string{"TPM2_PKCS11_STORE=" + t.Store, "TPM2_PKCS11_TCTI=" + t.TPM.TCTI(), "TPM2_PKCS11_BACKEND=esysdb"}
	if err := t.setUp(); err != nil {
		return nil, errors.Join(err, t.TPM.Kill())
	}
	if err := t.Flush(); err != nil { // pkcs11-tool leaves an object loaded
		return nil, errors.Join(err, t.TPM.Kill())
	}
	return t, nil
}

// setUp makes the token and its key.
func (t *TPMToken) setUp() error {
	const soPIN = "so-1234" // on command lines, as the PIN of SoftHSM
	for _, args := range [][]string{
		// Each power cut counts as a wrong PIN, and three of these would lock this TPM;
		// those in machines take some tens.
		{"tpm2_dictionarylockout", "--tcti", t.TPM.TCTI(), "--setup-parameters", "--max-tries", "1000", "--recovery-time", "1", "--lockout-recovery-time", "1"},
		{"pkcs11-tool", "--module", t.Module, "--init-token", "--label", t.Label, "--so-pin", soPIN},
		{"pkcs11-tool", "--module", t.Module, "--token-label", t.Label, "--login", "--login-type", "so", "--so-pin", soPIN, "--init-pin", "--pin", t.PIN},
		{"pkcs11-tool", "--module", t.Module, "--token-label", t.Label, "--login", "--pin", t.PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "p256", "--id", "01"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), t.Env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("make a token with tpm2-pkcs11: %s (is it installed? run `make deps`): %w: %s", args[0], err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// Flush removes what a process that was killed has left in the TPM, as the kernel's
// resource manager, /dev/tpmrm0, does at once. Nobody may be using the token.
func (t *TPMToken) Flush() (err error) {
	link, err := linuxudstpm.Open(t.TPM.Path())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	handles, err := loaded(link)
	if err != nil {
		return err
	}
	for _, h := range handles {
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(link); err != nil {
			return fmt.Errorf("flush %#x: %w", uint32(h), err)
		}
	}
	return nil
}

// loaded lists sessions and objects in the TPM.
func loaded(link transport.TPM) (all []tpm2.TPMHandle, err error) {
	// TPM 2.0 Library part 2, 7.2: the first byte of a handle is its kind.
	for _, kind := range []tpm2.TPMHT{tpm2.TPMHTHMACSession, tpm2.TPMHTPolicySession, tpm2.TPMHTTransient} {
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(kind) << 24, PropertyCount: 64}.Execute(link)
		if err != nil {
			return nil, fmt.Errorf("list what is loaded in the TPM: %w", err)
		}
		handles, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			return nil, err
		}
		for _, h := range handles.Handle {
			if tpm2.TPMHT(h>>24) == kind && !slices.Contains(all, h) { // the list goes on with other kinds
				all = append(all, h)
			}
		}
	}
	return all, nil
}

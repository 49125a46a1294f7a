package sim

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sealward/sealward/backends/sim/pivcard"
	"github.com/sealward/sealward/signer"
)

// PIVToken is a virtual PIV card behind ykcs11, Yubico's PKCS#11 module, which has
// nothing in common with SoftHSM.
type PIVToken struct {
	Module  string
	Label   string
	PIN     string
	URI     string                      // of the token
	KeyURIs map[signer.Algorithm]string // of its keys
	Env     []string                    // variables that a process needs to see the token
	Reader  *Reader
	Card    *pivcard.Card
}

// NewPIVToken starts a pcscd in a folder, and inserts a card with keys for P-256,
// P-384 and RSA-2048 that want the PIN once.
func NewPIVToken(dir string) (*PIVToken, error) {
	module, err := find("ykcs11", []string{"/usr/lib/*-linux-gnu*/libykcs11.so", "/usr/lib/*-linux-gnu*/libykcs11.so.*", "/usr/lib64/libykcs11.so*"})
	if err != nil {
		return nil, err
	}
	const serial = 2002 // ykcs11's label for a card has its serial number
	t := &PIVToken{Module: module, Label: fmt.Sprintf("YubiKey PIV #%d", serial), PIN: "123456", KeyURIs: map[signer.Algorithm]string{}}
	t.URI = "pkcs11:token=" + url.PathEscape(t.Label)
	// Later firmware has a management key that Debian 12's yubico-piv-tool cannot use.
	t.Card, err = pivcard.New(pivcard.Config{Serial: serial, Firmware: pivcard.Version{5, 4, 3}})
	if err != nil {
		return nil, err
	}
	if t.Reader, err = StartReader(dir); err != nil {
		return nil, err
	}
	t.Env = []string{t.Reader.Env()}
	if err = t.Reader.Insert(t.Card); err == nil {
		err = t.makeKeys(dir)
	}
	if err != nil {
		return nil, errors.Join(err, t.Reader.Stop())
	}
	return t, nil
}

// makeKeys makes the keys as a card's owner does. The module shows no key without a
// certificate, and numbers the slots; the rest is like a YubiKey from the shop.
func (t *PIVToken) makeKeys(dir string) error {
	for id, k := range []struct {
		slot, name string
		algorithm  signer.Algorithm
	}{{"9a", "ECCP256", signer.AlgorithmP256}, {"9c", "ECCP384", signer.AlgorithmP384}, {"9d", "RSA2048", signer.AlgorithmRSA}} {
		cert := filepath.Join(dir, k.slot+".pem")
		for _, args := range [][]string{
			{"-a", "generate", "-s", k.slot, "-A", k.name, "--pin-policy", "once"},
			{"-a", "attest", "-s", k.slot, "-o", cert},
			{"-a", "import-certificate", "-s", k.slot, "-i", cert},
		} {
			cmd := exec.Command("yubico-piv-tool", args...)
			cmd.Env = append(os.Environ(), t.Env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("make a key in a virtual card (is yubico-piv-tool installed? run `make deps`): %w: %s", err, strings.TrimSpace(string(out)))
			}
		}
		t.KeyURIs[k.algorithm] = fmt.Sprintf("pkcs11:id=%%%02x", id+1)
	}
	return nil
}

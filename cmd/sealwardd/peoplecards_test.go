package main

import (
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/backends/sim/pivcard"
)

// holder is a person with a PIV card, a reader and a folder of her own, which stands for
// her machine. The card wants its PIN and a touch for each signature.
type holder struct {
	t      *testing.T
	name   string
	dir    string
	serial uint32
	reader *sim.Reader
	card   *pivcard.Card
	// touch is what she does when her program tells her to touch her card.
	touch func()
}

// slot is that for digital signatures.
const slot = "9c"

func (p *holder) path(name string) string { return filepath.Join(p.dir, name) }

func (p *holder) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(p.path(name))
	must(p.t, err)
	return string(b)
}

func (p *holder) write(name, text string) {
	p.t.Helper()
	must(p.t, os.WriteFile(p.path(name), []byte(text), 0o600))
}

// newHolders makes people with cards that one maker vouches for, all of them at once.
func newHolders(t *testing.T, dir string, names ...string) (root *pivcard.Authority, people map[string]*holder) {
	t.Helper()
	root, err := pivcard.NewAuthority()
	must(t, err)
	people = map[string]*holder{}
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		p := &holder{t: t, name: name, dir: filepath.Join(dir, name), serial: uint32(7001 + i)}
		people[name] = p
		wg.Go(func() { errs[i] = p.enrol(root) })
	}
	wg.Wait()
	for _, p := range people {
		if p.reader != nil {
			t.Cleanup(func() { must(t, p.reader.Stop()) })
		}
	}
	for _, err := range errs {
		must(t, err)
	}
	// Their employer's authority gives each a certificate for the key of her card.
	outside(t, "", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Staff",
		"-keyout", filepath.Join(dir, "staff.key"), "-out", filepath.Join(dir, "staff.pem"))
	for _, p := range people {
		outside(t, "", "openssl", "x509", "-new", "-force_pubkey", p.path("public.pem"), "-subj", "/CN="+p.name,
			"-CA", filepath.Join(dir, "staff.pem"), "-CAkey", filepath.Join(dir, "staff.key"), "-out", p.path("certificate.pem"))
	}
	return root, people
}

// enrol makes a card and its key, as its holder does with the tool of the card's maker.
func (p *holder) enrol(root *pivcard.Authority) (err error) {
	if err = os.Mkdir(p.dir, 0o700); err != nil {
		return err
	}
	// Later firmware has a management key that Debian 12's yubico-piv-tool cannot use.
	p.card, err = pivcard.New(pivcard.Config{Serial: p.serial, Firmware: pivcard.Version{5, 4, 3}, Authority: root})
	if err != nil {
		return err
	}
	p.touch = p.card.Touch
	if p.reader, err = sim.StartReader(p.path("reader")); err != nil {
		return err
	}
	if err = p.reader.Insert(p.card); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"-a", "generate", "-s", slot, "-A", "ECCP256", "--pin-policy", "always", "--touch-policy", "always", "-o", p.path("public.pem")},
		{"-a", "attest", "-s", slot, "-o", p.path("slot.pem")},
		{"-a", "read-certificate", "-s", "f9", "-o", p.path("token.pem")},
	} {
		cmd := exec.Command("yubico-piv-tool", args...)
		cmd.Env = append(os.Environ(), p.reader.Env())
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("yubico-piv-tool %q (is it installed? run make deps): %w: %s", args, err, out)
		}
	}
	return nil
}

// pemOf writes the certificate of the cards' maker.
func pemOf(root *pivcard.Authority) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate.Raw}))
}

package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sealward/sealward/cmd/config"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// token judges what the daemon says of a device.
func (d *doctor) token(t *v1.TokenHealth) {
	check := "token " + t.GetName()
	var c config.Token
	for _, other := range d.cfg.Tokens {
		if other.Name == t.GetName() {
			c = other
		}
	}
	blocked := t.TriesLeft != nil && t.GetTriesLeft() == 0
	switch {
	case blocked:
		d.fail(check, unblock(c), "its PIN is blocked, after too many wrong ones: %s", t.GetDevice())
	case t.GetState() == "up":
		d.ok(check, "up: %s", t.GetDevice())
	case t.GetState() == "locked":
		d.wrong(check, "sealward unlock "+t.GetName(), t.GetReason())
	default:
		d.wrong(check, "journalctl -u sealwardd -n 50  # the checks above may say more", "down: "+t.GetReason())
	}
	if t.TriesLeft != nil && t.GetTriesLeft() == 1 {
		d.fail(check, "sealward unlock "+t.GetName()+"  # with the right PIN, which sets the count back where the device counts so", "one wrong PIN more blocks it")
	}
	if t.GetRestarts() > 10 {
		d.warn(check, "journalctl -u sealwardd | grep token="+t.GetName(), "its worker was started again %d times", t.GetRestarts())
	}
	d.facts(check, c, t)
	for _, n := range t.GetNotes() {
		d.add(levelWarn, check, "", n) // says what to do by itself
	}
}

// facts judges the facts that drivers give, by their names.
func (d *doctor) facts(check string, c config.Token, t *v1.TokenHealth) {
	for _, f := range t.GetFacts() {
		switch f.GetName() {
		case "lockout":
			if f.GetValue() == "yes" {
				d.warn(check, "tpm2_dictionarylockout --clear-lockout", "the TPM is in dictionary-attack lockout; keys of Sealward's are exempt, those of other programs are not")
			}
		case "lockout counter":
			d.ok(check, "lockout counter: %s", f.GetValue())
		case "sessions at once":
			if n, err := strconv.Atoi(f.GetValue()); err == nil && c.PKCS11 != nil && n < c.PKCS11.Sessions {
				d.warn(check, fmt.Sprintf("sessions = %d  # in token %q of sealward.hcl", n, c.Name), "%d sessions at once, %d are configured", n, c.PKCS11.Sessions)
			} else {
				d.ok(check, "sessions at once: %s", f.GetValue())
			}
		}
	}
}

// unblock is how the PIN of a device is set anew by whoever has its PUK or is its
// security officer.
func unblock(t config.Token) string {
	switch {
	case t.PIV != nil:
		return fmt.Sprintf("ykman --device %d piv access unblock-pin  # or: yubico-piv-tool -a unblock-pin\nsealward unlock %s", t.PIV.Serial, t.Name)
	case t.PKCS11 != nil:
		which := ""
		for part := range strings.SplitSeq(strings.TrimPrefix(t.PKCS11.URI, "pkcs11:"), ";") {
			if label, ok := strings.CutPrefix(part, "token="); ok {
				if plain, err := url.PathUnescape(label); err == nil {
					which = " --token-label " + quote(plain)
				}
			}
		}
		return fmt.Sprintf("pkcs11-tool --module %s%s --login --login-type so --init-pin\nsealward unlock %s", t.PKCS11.Module, which, t.Name)
	}
	return "sealward unlock " + t.Name
}

// quote makes a word safe to paste into a command.
func quote(word string) string {
	if strings.Trim(word, "/._-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// at is a path of the host.
func (d *doctor) at(path string) string { return filepath.Join("/", d.root, path) }

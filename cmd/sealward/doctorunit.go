package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/backends"
	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/signer/trustfile"
)

// unit is what systemd says of the daemon's service. A nil one says nothing and
// forbids nothing.
type unit struct{ values map[string][]string }

// properties are those that decide what the daemon and its workers can reach.
var properties = []string{
	"LoadState", "User", "SupplementaryGroups", "PrivateDevices", "DevicePolicy", "DeviceAllow", "PrivateNetwork", "ReadWritePaths",
	"LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted",
}

// readUnit asks systemd, where it is this host's service manager and has the unit.
func (d *doctor) readUnit(ctx context.Context) *unit {
	if _, err := os.Stat(d.at("/run/systemd/system")); err != nil || d.cfg.Private { // sd_booted(3)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property="+strings.Join(properties, ","), "sealwardd.service").Output()
	if err != nil {
		d.warn("unit", "systemctl status sealwardd", "systemd cannot be asked about the daemon's unit: %v", err)
		return nil
	}
	u := &unit{map[string][]string{}}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && value != "" {
			u.values[name] = append(u.values[name], value)
		}
	}
	if u.first("LoadState") != "loaded" {
		d.warn("unit", "cp packaging/systemd/* /etc/systemd/system/ && systemctl daemon-reload", "systemd has no sealwardd.service (%s)", u.first("LoadState"))
		return nil
	}
	d.ok("unit", "sealwardd.service")
	return u
}

func (u *unit) first(property string) string {
	if u == nil || len(u.values[property]) == 0 {
		return ""
	}
	return u.values[property][0]
}

func (u *unit) words(property string) []string {
	if u == nil {
		return nil
	}
	return strings.Fields(strings.Join(u.values[property], " "))
}

// admits reports whether a device node can be opened within the unit. Of one that
// admits a class of devices ("char-tpm") it is not known, and no reason for alarm.
func (u *unit) admits(device string) bool {
	if u == nil {
		return true
	}
	closed := u.first("DevicePolicy") == "closed" || u.first("DevicePolicy") == "strict"
	return u.first("PrivateDevices") != "yes" && (!closed || slices.ContainsFunc(u.words("DeviceAllow"), func(w string) bool {
		return w == device || strings.HasPrefix(w, "char-")
	}))
}

// writes reports whether a path can be written within the unit.
func (u *unit) writes(path string) bool {
	return u == nil || slices.ContainsFunc(u.words("ReadWritePaths"), func(p string) bool {
		p = strings.TrimLeft(p, "-+")
		return path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/")
	})
}

// dropIn is how lines are added to the daemon's unit.
func dropIn(lines ...string) string {
	return "systemctl edit sealwardd  # and add:\n[Service]\n" + strings.Join(lines, "\n") + "\nsystemctl restart sealwardd"
}

// worker checks what a token's worker needs beside its device: the socket of one that
// is a service of its own, or what the daemon's unit has to let through.
func (d *doctor) worker(t config.Token) {
	check := "worker of " + t.Name
	if t.Worker != "" {
		d.workerSocket(check, t)
		return
	}
	for _, path := range slices.Concat(t.Readable, t.Writable) {
		if _, err := os.Stat(path); err != nil {
			d.fail(check, "ls -ld "+quote(path), "it may use what is not there: %v", err)
		}
	}
	for _, path := range t.Writable {
		if !d.unit.writes(path) {
			d.fail(check, dropIn("ReadWritePaths="+path), "the daemon's unit lets nobody write to %s", path)
		}
	}
	if t.Network && d.unit.first("PrivateNetwork") == "yes" {
		d.fail(check, dropIn("PrivateNetwork=no", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6", "IPAddressAllow=ADDRESS  # the HSM's"), "it may use the network, and the daemon's unit has none")
	}
}

func (d *doctor) workerSocket(check string, t config.Token) {
	info, err := os.Stat(t.Worker)
	switch {
	case err != nil:
		d.fail(check, fmt.Sprintf("systemctl enable --now sealward-worker@%s.socket", t.Name), "%v", err)
	case info.Mode()&fs.ModeSocket == 0:
		d.fail(check, fmt.Sprintf("rm %s && systemctl restart sealward-worker@%s.socket", quote(t.Worker), t.Name), "%s is not a socket", t.Worker)
	case info.Mode().Perm()&0o077 != 0:
		d.fail(check, fmt.Sprintf("chmod 0600 %s  # and SocketMode=0600 in sealward-worker@%s.socket", quote(t.Worker), t.Name), "%s has mode %04o: whoever connects has signed what he likes", t.Worker, info.Mode().Perm())
	case d.account != nil && ownerOf(info) != d.account.Uid:
		d.fail(check, fmt.Sprintf("chown %s %s  # and SocketUser=%s in sealward-worker@%s.socket", d.account.Username, quote(t.Worker), d.account.Username, t.Name), "%s belongs to uid %s, and the daemon runs as %s", t.Worker, ownerOf(info), d.account.Username)
	default:
		d.ok(check, "a service of its own, at %s", t.Worker)
	}
}

// secret checks where a PIN or an auth value comes from.
func (d *doctor) secret(t config.Token) {
	check := "credential of " + t.Name
	switch {
	case t.Secret.Typed:
		d.ok(check, "typed by an operator: sealward unlock %s", t.Name)
	case t.Secret.Credential == "":
		d.secretFile(check, t)
	case d.unit == nil:
		d.warn(check, "systemctl show --property=LoadCredential,LoadCredentialEncrypted sealwardd", "systemd cannot be asked here whether it passes %q", t.Secret.Credential)
	default:
		for _, p := range []string{"LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"} {
			for _, v := range d.unit.values[p] {
				if name, _, _ := strings.Cut(v, ":"); name == t.Secret.Credential {
					d.ok(check, "systemd passes %q", name)
					return
				}
			}
		}
		d.fail(check, dropIn(fmt.Sprintf("LoadCredential=%s:/etc/sealward/%s", t.Secret.Credential, t.Secret.Credential)), "the unit passes no credential %q", t.Secret.Credential)
	}
}

// leastAuth is how long the auth value of a TPM's keys must be.
const leastAuth = 16

func (d *doctor) secretFile(check string, t config.Token) {
	path := t.Secret.File
	again := fmt.Sprintf("install -m 0600 -o %s /dev/stdin %s  # and type it", d.name(), quote(path))
	if t.TPM != nil {
		again = fmt.Sprintf("openssl rand -hex 16 | install -m 0600 -o %s /dev/stdin %s  # if there are no keys yet", d.name(), quote(path))
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail(check, again, "there is no %s", path)
		return
	case err != nil:
		d.warn(check, "sudo sealward doctor", "%v", err)
		return
	case info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0:
		d.fail(check, "chmod 0600 "+quote(path), "%s has mode %04o; only its owner may have access", path, info.Mode().Perm())
		return
	case d.account != nil && ownerOf(info) != d.account.Uid && d.account.Uid != "0":
		d.fail(check, fmt.Sprintf("chown %s %s", d.account.Username, quote(path)), "%s belongs to uid %s, and %s has to read it", path, ownerOf(info), d.account.Username)
		return
	}
	pin, err := backends.ReadPIN(path, false)
	length := len(pin)
	clear(pin)
	switch {
	case errors.Is(err, fs.ErrPermission):
		d.warn(check, "sudo sealward doctor", "%s is not for you to read", path)
	case err != nil:
		d.fail(check, again, "%v", err)
	case t.TPM != nil && length < leastAuth:
		d.fail(check, again, "%s has %d bytes; the auth value of a TPM's keys has at least %d", path, length, leastAuth)
	default:
		d.ok(check, "%s", path)
	}
}

// name is the account that the daemon runs as, for a command.
func (d *doctor) name() string {
	if d.account == nil {
		return "sealward"
	}
	return d.account.Username
}

// mark reads what became of the PIN that was tried last. The daemon says it too, if
// it runs.
func (d *doctor) mark(t config.Token) {
	check, path := "PIN of "+t.Name, filepath.Join(filepath.Dir(d.cfg.Journal.Path), "pin-"+t.Name+".json")
	doubt, err := backends.PINDoubt(path)
	switch {
	case err != nil:
		d.warn(check, "sudo sealward doctor", "%v", err)
	case doubt != "":
		d.fail(check, fmt.Sprintf("sealward unlock --credential %s  # once its PIN was set right where it is kept\nsealward unlock %s  # or type it", t.Name, t.Name), "%s", doubt)
	}
}

// files checks the files that decide what is believed, and those of a TPM's keys.
func (d *doctor) files() {
	type file struct{ check, path, fix string }
	var all []file
	tpm := map[string]bool{}
	for _, t := range d.cfg.Tokens {
		if t.TPM != nil {
			tpm[t.Name] = true
			all = append(all, file{"pcr_authority of " + t.Name, t.TPM.Authority, "openssl ec -in authority.pem -pubout -out " + quote(t.TPM.Authority)},
				file{"endorsement_roots of " + t.Name, t.TPM.Roots, "install -m 0644 roots.pem " + quote(t.TPM.Roots) + "  # the certificates of the TPM's manufacturer"})
		}
		if t.PIV != nil && t.PIV.Roots != config.RootsYubico {
			all = append(all, file{"attestation_roots of " + t.Name, t.PIV.Roots, `attestation_roots = "yubico"  # in sealward.hcl, for a YubiKey`})
		}
	}
	for _, k := range d.cfg.Keys {
		if tpm[k.Token] {
			all = append(all, file{"key " + k.Name, k.Locator, "install -m 0644 BACKUP " + quote(k.Locator) + "  # the file that keys create wrote, or: sealward request show ID"})
		}
	}
	for _, f := range all {
		if f.path == "" {
			continue
		}
		if err := trustfile.Check(f.path); err != nil {
			d.wrong(f.check, f.fix, err.Error())
			continue
		}
		d.ok(f.check, "%s", f.path)
	}
}

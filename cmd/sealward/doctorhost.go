package main

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/signer/trustfile"
)

// programs checks the program that drives devices, where the daemon looks for it.
func (d *doctor) programs() {
	const check = "programs"
	path := d.cfg.WorkerProgram
	if path == "" {
		daemon, err := exec.LookPath("sealwardd")
		if err != nil {
			daemon = d.at("/usr/bin/sealwardd")
		}
		if daemon, err = filepath.EvalSymlinks(daemon); err != nil {
			say := d.fail
			if d.cfg.Private { // its own daemon may be anywhere
				say = d.warn
			}
			say(check, "make build && install -t /usr/bin bin/sealwardd bin/sealward-worker bin/sealward", "sealwardd is not installed: %v", err)
			return
		}
		path = filepath.Join(filepath.Dir(daemon), "sealward-worker")
	}
	if err := trustfile.Check(path); err != nil {
		d.wrong(check, fmt.Sprintf("make build && install bin/sealward-worker %s", path), fmt.Sprintf("the program that drives devices: %v", err))
		return
	}
	d.ok(check, "%s drives devices", path)
}

// module checks a PKCS#11 module without loading it.
func (d *doctor) module(t config.Token) {
	check, path := "token "+t.Name, t.PKCS11.Module
	const another = `module = "/usr/lib/softhsm/libsofthsm2.so"  # in sealward.hcl: the path of the vendor's module`
	if err := trustfile.Check(path); err != nil {
		d.wrong(check, another, "module: "+err.Error())
		return
	}
	f, err := elf.Open(path)
	if err != nil {
		d.fail(check, another, "module %s is no library: %v", path, err)
		return
	}
	defer f.Close()
	if me, err := elf.Open("/proc/self/exe"); err == nil {
		defer me.Close()
		if me.Machine != f.Machine || me.Class != f.Class {
			d.fail(check, another, "module %s is for %s %s, this program for %s %s", path, f.Machine, f.Class, me.Machine, me.Class)
			return
		}
	}
	if want := t.PKCS11.ModuleSHA256; want != nil {
		data, err := os.ReadFile(path)
		if err != nil {
			d.fail(check, "ls -l "+quote(path), "module: %v", err)
			return
		}
		if sum := sha256.Sum256(data); !bytes.Equal(sum[:], want) {
			d.fail(check, fmt.Sprintf("module_sha256 = %q  # in sealward.hcl, if the module was updated on purpose", hex.EncodeToString(sum[:])), "module %s is not the one whose digest is pinned", path)
			return
		}
	}
	d.ok(check, "module %s", path)
}

// chip checks a TPM's device node.
func (d *doctor) chip(t config.Token) {
	check, path := "token "+t.Name, t.TPM.Device
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		nodes, _ := filepath.Glob(d.at("/dev/tpm*")) // the pattern is well formed
		if len(nodes) == 0 {
			d.fail(check, "dmesg | grep -i tpm  # then switch the TPM on in the firmware's set-up, or: modprobe tpm_tis", "there is no %s, nor any other TPM", path)
			return
		}
		d.fail(check, fmt.Sprintf("device = %q  # in sealward.hcl", nodes[len(nodes)-1]), "there is no %s, but there is %s", path, strings.Join(nodes, ", "))
		return
	}
	if err != nil {
		d.fail(check, "ls -ld "+quote(filepath.Dir(path)), "%v", err)
		return
	}
	if path == "/dev/tpm0" {
		d.warn(check, `device = "/dev/tpmrm0"  # in sealward.hcl`, "%s has no resource manager: another program that uses the TPM gets in the way", path)
	}
	if t.Worker != "" {
		d.ok(check, "%s is there; its worker is a service of its own, whose unit has to let it in", path)
		return
	}
	d.reachable(check, path, info)
}

// reachable checks that the daemon's account may read and write a device, and that
// its unit lets it.
func (d *doctor) reachable(check, path string, info fs.FileInfo) {
	if d.account == nil {
		return
	}
	mode, group := info.Mode().Perm(), groupOf(info)
	switch {
	case ownerOf(info) == d.account.Uid && mode&0o600 == 0o600, mode&0o006 == 0o006, d.account.Uid == "0":
	case mode&0o060 == 0o060 && slices.Contains(d.groups, group):
	case mode&0o060 == 0o060 && d.unit == nil:
		d.fail(check, fmt.Sprintf("usermod -aG %s %s", group, d.account.Username), "%s is for the group %s, and %s is not in it", path, group, d.account.Username)
		return
	case mode&0o060 == 0o060:
		d.fail(check, dropIn("SupplementaryGroups="+group), "%s is for the group %s, and the daemon is not in it", path, group)
		return
	default:
		d.fail(check, "udevadm trigger --subsystem-match=tpm --subsystem-match=tpmrm  # sets owner and mode as the distribution has them", "%s has owner %s and mode %04o, which lets %s in nowhere", path, ownerOf(info), mode, d.account.Username)
		return
	}
	if info.Mode()&fs.ModeDevice != 0 && !d.unit.admits(path) {
		d.fail(check, dropIn("PrivateDevices=no", "DevicePolicy=closed", "DeviceAllow="+path+" rw"), "the daemon's unit keeps %s from it", path)
		return
	}
	d.ok(check, "%s can be opened by %s", path, d.account.Username)
}

func ownerOf(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(uint64(st.Uid), 10)
}

// groupOf is the name of a file's group, or its number where it has none.
func groupOf(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	id := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

const polkitRule = `cat > /etc/polkit-1/rules.d/50-sealward.rules <<'EOF'
polkit.addRule(function(action, subject) {
  if ((action.id == "org.debian.pcsc-lite.access_pcsc" || action.id == "org.debian.pcsc-lite.access_card") && subject.user == "%s")
    return polkit.Result.YES;
});
EOF`

// card checks the way to a smartcard: the reader on the bus, pcscd and its driver,
// its permission.
func (d *doctor) card(t config.Token) {
	check, socket := "token "+t.Name, t.PIV.Socket
	if socket == "" {
		socket = d.at("/run/pcscd/pcscd.comm")
		d.reader(check)
	}
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		d.fail(check, "apt-get install pcscd libccid\nsystemctl enable --now pcscd.socket", "pcscd does not answer: %v", err)
		return
	}
	_ = conn.Close()
	d.ok(check, "pcscd answers at %s", socket)
	if t.PIV.Socket == "" && t.Worker == "" {
		d.polkit(check)
	}
}

// reader looks for what is between pcscd and a card.
func (d *doctor) reader(check string) {
	if _, err := os.Stat(d.at("/usr/lib/pcsc/drivers/ifd-ccid.bundle")); err != nil {
		d.warn(check, "apt-get install libccid", "pcscd has no driver for USB readers: %v", err)
	}
	classes, _ := filepath.Glob(d.at("/sys/bus/usb/devices/*/bInterfaceClass")) // the pattern is well formed
	for _, path := range classes {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) == "0b" { // USB: smart card
			return
		}
	}
	d.warn(check, "lsusb  # after plugging it in; for a YubiKey: ykman config usb --enable PIV", "there is no smartcard reader on USB")
}

// polkit looks for the rule that a service needs where pcscd asks polkit: its account
// has no session, and is refused.
func (d *doctor) polkit(check string) {
	if d.account == nil || d.account.Uid == "0" {
		return
	}
	if _, err := os.Stat(d.at("/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy")); err != nil {
		return
	}
	var files []string
	for _, dir := range []string{"/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"} {
		more, _ := filepath.Glob(d.at(dir) + "/*.rules") // the pattern is well formed
		files = append(files, more...)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), "pcsc-lite") && strings.Contains(string(text), d.account.Username) {
			d.ok(check, "%s lets %s use cards", f, d.account.Username)
			return
		}
	}
	d.warn(check, fmt.Sprintf(polkitRule, d.account.Username), "pcscd may ask polkit, and no rule of it lets %s use cards", d.account.Username)
}

// sockets checks the sockets' owners and modes against the configuration.
func (d *doctor) sockets() {
	all := slices.Clone(d.cfg.Sockets)
	if d.cfg.Metrics != nil {
		all = append(all, *d.cfg.Metrics)
	}
	for _, s := range all {
		d.socket(s)
	}
}

func (d *doctor) socket(s config.Socket) {
	check, path := "socket "+s.Name, s.Path
	if path == "" {
		path = d.at("/run/sealward/" + s.Name + ".sock")
	}
	start := d.start()
	if s.Path == "" || d.unit != nil {
		start = fmt.Sprintf("systemctl enable --now sealwardd-%s.socket", s.Name)
	}
	info, err := os.Stat(path)
	if err != nil {
		d.fail(check, start, "%v", err)
		return
	}
	mode := info.Mode().Perm()
	switch {
	case info.Mode()&fs.ModeSocket == 0:
		d.fail(check, fmt.Sprintf("rm %s && %s", quote(path), start), "%s is not a socket", path)
	case s.Name == config.SocketAdmin && mode&0o002 != 0:
		d.fail(check, fmt.Sprintf("chmod 0660 %s  # and SocketMode=0660 in its unit, or mode = \"0660\" in sealward.hcl", quote(path)), "%s has mode %04o: every account is an operator", path, mode)
	case s.Path != "" && d.unit == nil && mode != s.Mode:
		d.warn(check, fmt.Sprintf("chmod %04o %s", s.Mode, quote(path)), "%s has mode %04o, the configuration says %04o", path, mode, s.Mode)
	default:
		d.ok(check, "%s, group %s, mode %04o", path, groupOf(info), mode)
	}
}

// clock asks the kernel whether something keeps the clock right.
func (d *doctor) clock() {
	var tx unix.Timex
	if _, err := unix.Adjtimex(&tx); err != nil {
		d.warn("clock", "timedatectl", "the kernel cannot be asked about it: %v", err)
		return
	}
	d.judgeClock(tx.Status)
}

// judgeClock judges the status of adjtimex(2).
func (d *doctor) judgeClock(status int32) {
	if status&unix.STA_UNSYNC != 0 {
		d.warn("clock", "timedatectl set-ntp true", "nothing keeps it right, as far as the kernel knows; expiry and limits depend on it")
		return
	}
	d.ok("clock", "synchronised")
}

// disk checks the room for the journal: without a record nothing is signed.
func (d *doctor) disk() {
	folder := filepath.Dir(d.cfg.Journal.Path)
	info, err := os.Stat(folder)
	if err != nil {
		d.fail("disk", fmt.Sprintf("install -d -m 0700 -o %s %s", d.name(), quote(folder)), "the journal's folder: %v", err)
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		d.fail("disk", "chmod 0700 "+quote(folder), "%s has mode %04o; only the daemon may enter the journal's folder", folder, mode)
	}
	if d.account != nil && ownerOf(info) != d.account.Uid {
		d.fail("disk", fmt.Sprintf("chown %s %s", d.account.Username, quote(folder)), "%s belongs to uid %s, not to %s, who keeps the journal there", folder, ownerOf(info), d.account.Username)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		d.fail("disk", "df -h "+quote(folder), "the journal's folder: %v", err)
		return
	}
	d.judgeDisk(folder, &st)
}

// judgeDisk judges what statfs(2) says.
func (d *doctor) judgeDisk(folder string, st *unix.Statfs_t) {
	const least, little = 256 << 20, 1 << 30
	free := st.Bavail * uint64(st.Bsize)
	text := fmt.Sprintf("%d MiB free in %s", free>>20, folder)
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		d.fail("disk", fmt.Sprintf("mount -o remount,rw $(findmnt -no TARGET -T %s)", quote(folder)), "%s is read-only", folder)
	case free < least:
		d.fail("disk", fmt.Sprintf("du -xh %s | sort -h | tail", quote(folder)), "%s; without room the journal stops, and nothing is signed", text)
	case st.Files > 0 && st.Ffree < 100: // some file systems do not count
		d.fail("disk", "df -i "+quote(folder), "%d files more can be made in %s; without room the journal stops, and nothing is signed", st.Ffree, folder)
	case free < little:
		d.warn("disk", fmt.Sprintf("du -xh %s | sort -h | tail", quote(folder)), "%s", text)
	default:
		d.ok("disk", "%s", text)
	}
}

package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealward/sealward/cmd/config"
)

// host is a folder that stands for the root of a host.
type host struct {
	t    *testing.T
	root string
}

func (h host) put(path, text string) {
	h.t.Helper()
	path = filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// stranger is an account that owns nothing here.
func stranger() *user.User { return &user.User{Username: "sealward", Uid: "54321"} }

// booted has a systemctl that prints this about the unit, in front of the real one.
func booted(t *testing.T, h host, show string) {
	t.Helper()
	h.put("run/systemd/system/.keep", "")
	h.put("bin/systemctl", "#!/bin/sh\ntest \"$1 $3\" = \"show sealwardd.service\" || exit 1\ncat <<'EOF'\n"+show+"\nEOF\n")
	if err := os.Chmod(filepath.Join(h.root, "bin/systemctl"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(h.root, "bin")+":"+os.Getenv("PATH"))
}

func TestDoctorReadsTheUnit(t *testing.T) {
	h := host{t, t.TempDir()}
	hsm := config.Token{Name: "hsm", PKCS11: &config.PKCS11{}, Secret: config.Secret{Credential: "hsm-pin"}}
	tpm := config.Token{Name: "tpm0", TPM: &config.TPM{Device: "/dev/null"}}
	network, writing := hsm, hsm
	network.Network, writing.Writable = true, []string{h.root + "/tokens"}
	h.put("tokens/.keep", "")
	const loaded = "LoadState=loaded\nUser=root\n"
	for name, c := range map[string]struct {
		show  string
		check func(*doctor)
		want  finding
	}{
		"a unit":                  {loaded, func(*doctor) {}, finding{levelOK, "unit", "sealwardd.service", "^$"}},
		"no unit":                 {"LoadState=not-found", func(*doctor) {}, finding{levelWarn, "unit", "no sealwardd.service", "^cp packaging/systemd/"}},
		"its account and groups":  {loaded + "SupplementaryGroups=tss softhsm", func(d *doctor) { d.whose("") }, finding{levelOK, "account", "runs as root, with the groups .*tss, softhsm", "^$"}},
		"a credential":            {loaded + "LoadCredential=other:/x\nLoadCredential=hsm-pin:/etc/sealward/hsm.pin", func(d *doctor) { d.secret(hsm) }, finding{levelOK, "credential of hsm", `systemd passes "hsm-pin"`, "^$"}},
		"an encrypted credential": {loaded + "LoadCredentialEncrypted=hsm-pin:/etc/sealward/hsm.pin.cred", func(d *doctor) { d.secret(hsm) }, finding{levelOK, "credential of hsm", "systemd passes", "^$"}},
		"a credential of a longer name": {loaded + "LoadCredential=hsm-pin-2:/x", func(d *doctor) { d.secret(hsm) },
			finding{levelFail, "credential of hsm", `no credential "hsm-pin"`, `^systemctl edit sealwardd  # and add:\n\[Service\]\nLoadCredential=hsm-pin:/etc/sealward/hsm-pin\nsystemctl restart sealwardd$`}},
		"devices that are kept away": {loaded + "PrivateDevices=yes\nDevicePolicy=closed", func(d *doctor) { d.whose(""); d.chip(tpm) },
			finding{levelFail, "token tpm0", "keeps /dev/null from it", `PrivateDevices=no\nDevicePolicy=closed\nDeviceAllow=/dev/null rw`}},
		"a device that is not allowed": {loaded + "PrivateDevices=no\nDevicePolicy=closed\nDeviceAllow=/dev/tpmrm0 rw", func(d *doctor) { d.whose(""); d.chip(tpm) },
			finding{levelFail, "token tpm0", "keeps /dev/null from it", `DeviceAllow=/dev/null rw`}},
		"a device that is allowed": {loaded + "PrivateDevices=no\nDevicePolicy=closed\nDeviceAllow=/dev/tpmrm0 rw\nDeviceAllow=/dev/null rw", func(d *doctor) { d.whose(""); d.chip(tpm) },
			finding{levelOK, "token tpm0", "/dev/null can be opened by root", "^$"}},
		"a class of devices":               {loaded + "DevicePolicy=closed\nDeviceAllow=char-tpm rw", func(d *doctor) { d.whose(""); d.chip(tpm) }, finding{levelOK, "token tpm0", "/dev/null can be opened by root", "^$"}},
		"no network for one that needs it": {loaded + "PrivateNetwork=yes", func(d *doctor) { d.worker(network) }, finding{levelFail, "worker of hsm", "may use the network", `PrivateNetwork=no\nRestrictAddressFamilies=`}},
		"a folder that may not be written": {loaded + "ReadWritePaths=/var/lib/other", func(d *doctor) { d.worker(writing) }, finding{levelFail, "worker of hsm", "lets nobody write to .*/tokens", `\nReadWritePaths=.*/tokens\n`}},
		"one beside that which may":        {loaded + "ReadWritePaths=" + h.root + "/tok", func(d *doctor) { d.worker(writing) }, finding{levelFail, "worker of hsm", "lets nobody write to .*/tokens", `\nReadWritePaths=.*/tokens\n`}},
	} {
		t.Run(name, func(t *testing.T) {
			booted(t, h, c.show)
			d := &doctor{root: h.root, cfg: &config.Config{}}
			d.unit = d.readUnit(t.Context())
			c.check(d)
			has(t, d.findings, c.want)
		})
	}
	t.Run("a folder that may be written", func(t *testing.T) {
		booted(t, h, loaded+"ReadWritePaths=-"+h.root+"/")
		d := &doctor{root: h.root, cfg: &config.Config{}}
		d.unit = d.readUnit(t.Context())
		if d.worker(writing); len(d.findings) != 1 {
			t.Errorf("findings = %+v", d.findings)
		}
	})
	t.Run("a systemctl that fails", func(t *testing.T) {
		booted(t, h, "")
		h.put("bin/systemctl", "#!/bin/sh\nexit 1\n")
		d := &doctor{root: h.root, cfg: &config.Config{}}
		if u := d.readUnit(t.Context()); u != nil {
			t.Errorf("unit = %+v", u)
		}
		has(t, d.findings, finding{levelWarn, "unit", "cannot be asked", "^systemctl status sealwardd$"})
	})
}

func TestDoctorChecksWhoMayUseADevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tpmrm0")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	group := groupOf(info)
	for name, c := range map[string]struct {
		mode   os.FileMode
		groups []string
		unit   *unit
		owner  string
		want   finding
	}{
		"it is for its owner alone":             {0o600, []string{group}, nil, "", finding{levelFail, "token tpm0", "has owner [0-9]+ and mode 0600, which lets sealward in nowhere", "^udevadm trigger"}},
		"it is for its owner, who asks":         {0o600, nil, nil, ownerOf(info), finding{levelOK, "token tpm0", "can be opened by", ""}},
		"it may only be read":                   {0o644, []string{group}, nil, "", finding{levelFail, "token tpm0", "lets sealward in nowhere", "^udevadm"}},
		"it is for a group":                     {0o660, nil, nil, "", finding{levelFail, "token tpm0", "is for the group " + group + ", and sealward is not in it", "^usermod -aG " + group + " sealward$"}},
		"it is for a group, and there's a unit": {0o660, nil, &unit{}, "", finding{levelFail, "token tpm0", "is for the group " + group, `\nSupplementaryGroups=` + group + `\n`}},
		"the account is in the group":           {0o660, []string{group}, nil, "", finding{levelOK, "token tpm0", "can be opened by sealward", ""}},
		"it is for everybody":                   {0o666, nil, nil, "", finding{levelOK, "token tpm0", "can be opened by sealward", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			d := &doctor{cfg: &config.Config{}, account: stranger(), groups: c.groups, unit: c.unit}
			if c.owner != "" {
				d.account.Uid = c.owner
			}
			d.chip(config.Token{Name: "tpm0", TPM: &config.TPM{Device: path}})
			has(t, d.findings, c.want)
		})
	}
}

func TestDoctorLooksForTheTPM(t *testing.T) {
	none, other := host{t, t.TempDir()}, host{t, t.TempDir()}
	other.put("dev/tpm0", "")
	other.put("dev/tpmrm0", "")
	for name, c := range map[string]struct {
		root, device, worker string
		want                 finding
	}{
		"the kernel has none":           {none.root, "/nowhere/tpm", "", finding{levelFail, "token tpm0", "nor any other TPM", "^dmesg"}},
		"the kernel has another":        {other.root, "/nowhere/tpm", "", finding{levelFail, "token tpm0", "but there is .*tpm0, .*tpmrm0", `^device = ".*/dev/tpmrm0"`}},
		"a worker of its own drives it": {none.root, "/dev/null", "/run/w.sock", finding{levelOK, "token tpm0", "whose unit has to let it in", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &doctor{root: c.root, cfg: &config.Config{}, account: stranger()}
			d.chip(config.Token{Name: "tpm0", TPM: &config.TPM{Device: c.device}, Worker: c.worker})
			has(t, d.findings, c.want)
		})
	}
}

func TestDoctorChecksTheOwnersOfFiles(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/pin", []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	listens(t, folder+"/w.sock", 0o600)
	d := &doctor{cfg: &config.Config{Journal: config.Journal{Path: folder + "/journal.db"}}, account: stranger()}
	d.secret(config.Token{Name: "hsm", PKCS11: &config.PKCS11{}, Secret: config.Secret{File: folder + "/pin"}})
	d.worker(config.Token{Name: "hsm", Worker: folder + "/w.sock"})
	d.disk()
	has(t, d.findings, finding{levelFail, "credential of hsm", "belongs to uid [0-9]+, and sealward has to read it", `^chown sealward \S+/pin$`})
	has(t, d.findings, finding{levelFail, "worker of hsm", "belongs to uid [0-9]+, and the daemon runs as sealward", `^chown sealward \S+/w\.sock  # and SocketUser=sealward`})
	has(t, d.findings, finding{levelFail, "disk", "belongs to uid [0-9]+, not to sealward", `^chown sealward \S+$`})
}

func TestDoctorLooksForTheWayToACard(t *testing.T) {
	const rule = `polkit.addRule(function(action, subject) { if (action.id == "org.debian.pcsc-lite.access_pcsc" && subject.user == "%s") return polkit.Result.YES; });`
	bare, complete := host{t, t.TempDir()}, host{t, t.TempDir()}
	complete.put("usr/lib/pcsc/drivers/ifd-ccid.bundle/x", "")
	complete.put("sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "03\n")
	complete.put("sys/bus/usb/devices/1-1:1.1/bInterfaceClass", "0b\n")
	complete.put("usr/share/polkit-1/actions/org.debian.pcsc-lite.policy", "")
	complete.put("run/pcscd/x", "")
	listens(t, complete.root+"/run/pcscd/pcscd.comm", 0o666)
	look := func(h host) *doctor {
		d := &doctor{root: h.root, cfg: &config.Config{}, account: stranger()}
		d.card(config.Token{Name: "card", PIV: &config.PIV{Serial: 1}})
		return d
	}
	d := look(bare)
	has(t, d.findings, finding{levelWarn, "token card", "no driver for USB readers", "^apt-get install libccid$"})
	has(t, d.findings, finding{levelWarn, "token card", "no smartcard reader on USB", "^lsusb"})
	has(t, d.findings, finding{levelFail, "token card", "pcscd does not answer", "^apt-get install pcscd"})

	complete.put("etc/polkit-1/rules.d/10-other.rules", fmt.Sprintf(rule, "somebody"))
	d = look(complete)
	has(t, d.findings, finding{levelOK, "token card", "pcscd answers", ""})
	has(t, d.findings, finding{levelWarn, "token card", "no rule of it lets sealward use cards", `(?s)^cat > /etc/polkit-1/rules\.d/50-sealward\.rules <<'EOF'.*subject\.user == "sealward".*EOF$`})
	// The rule that it gives is one that it finds.
	fix := d.findings[len(d.findings)-1].Fix
	lines := strings.Split(fix, "\n")
	complete.put("etc/polkit-1/rules.d/50-sealward.rules", strings.Join(lines[1:len(lines)-1], "\n"))
	d = look(complete)
	has(t, d.findings, finding{levelOK, "token card", "50-sealward.rules lets sealward use cards", ""})
	if len(d.findings) != 2 {
		t.Errorf("findings about a sound way = %+v", d.findings)
	}
}

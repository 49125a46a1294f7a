// Package systemd_test holds the unit files to what they promise.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	service = "sealwardd.service"
	worker  = "sealward-worker@.service"
	watch   = "sealward-watch@.service"
)

// programs are what the services start.
var programs = map[string]string{service: "/usr/bin/sealwardd", worker: "/usr/bin/sealward-worker", watch: "/usr/bin/sealward"}

var units = []string{service, worker, watch, "sealwardd-sign.socket", "sealwardd-admin.socket", "sealward-worker@.socket"}

func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

// lines returns a unit file without its comments and, when told to, with the
// settings that are offered in comments.
func lines(t *testing.T, unit string, offered bool) []string {
	t.Helper()
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`^#[A-Z][A-Za-z]+=`)
	var out []string
	for l := range strings.Lines(string(b)) {
		l = strings.TrimSuffix(l, "\n")
		if offered && setting.MatchString(l) {
			l = l[1:]
		}
		if l != "" && l[0] != '#' {
			out = append(out, l)
		}
	}
	return out
}

// verify runs systemd-analyze verify on copies of the units, whose programs exist.
// extra is a setting for every service.
func verify(t *testing.T, offered bool, extra string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	exe := filepath.Join(dir, "program")
	if err := os.WriteFile(exe, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"--no-pager", "--man=no", "verify"}
	for _, unit := range units {
		content := strings.Join(lines(t, unit, offered), "\n")
		if program := programs[unit]; program != "" {
			if !strings.Contains(content, "\nExecStart="+program+" ") {
				t.Fatalf("%s does not start %s", unit, program)
			}
			content = strings.ReplaceAll(content, program, exe)
			content = strings.Replace(content, "[Service]\n", "[Service]\n"+extra+"\n", 1)
		}
		path := filepath.Join(dir, unit)
		if err := os.WriteFile(path, []byte(content+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	return tool(t, "systemd-analyze", args...)
}

func TestTheUnitsAreCleanUnderVerify(t *testing.T) {
	for name, offered := range map[string]bool{"as they are": false, "with every setting that comments offer": true} {
		if out, err := verify(t, offered, ""); err != nil || out != "" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if out, _ := verify(t, false, "NoNewPrivilege=yes"); !strings.Contains(out, "NoNewPrivilege") {
		t.Errorf("verify does not see a misspelt setting: %q", out)
	}
}

// exposure is the score of systemd-analyze security; less is safer.
func exposure(t *testing.T, unit string) float64 {
	t.Helper()
	out, err := tool(t, "systemd-analyze", "--no-pager", "security", "--offline=true", "--threshold=100", unit)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+) `).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no score in\n%s", out)
	}
	score, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return score
}

func TestTheServicesAreExposedByAtMostOne(t *testing.T) {
	for unit := range programs {
		score := exposure(t, "./"+unit)
		if score > 1.0 {
			t.Errorf("exposure of %s = %.1f, want at most 1.0", unit, score)
		}
		t.Logf("exposure of %s = %.1f", unit, score)
	}
	bare := filepath.Join(t.TempDir(), service)
	if err := os.WriteFile(bare, []byte("[Service]\nExecStart=/bin/true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if worst := exposure(t, bare); worst < 5 {
		t.Errorf("exposure of a service without any setting = %.1f; the score says nothing", worst)
	}
}

func TestSettingsThatOtherPartsRelyOn(t *testing.T) {
	for unit, settings := range map[string]map[string]string{
		service: {
			"Type=notify":              "the daemon says when it is ready",
			"NotifyAccess=main":        "no worker speaks for it",
			"PrivateUsers=no":          "identity needs the uids of the host",
			"WatchdogSignal=SIGKILL":   "no registers in the journal",
			"KillMode=mixed":           "workers live until what is being signed is finished",
			"User=sealward":            "sysusers makes it",
			"UMask=0077":               "nobody else reads its files",
			"StateDirectoryMode=0700":  "callers are in its group",
			"LimitCORE=0":              "no memory in files",
			"ProcSubset=all":           "journal time reads /proc/sys/kernel/random/boot_id",
			"NoNewPrivileges=yes":      "no set-uid programs",
			"ProtectControlGroups=yes": "readable, for the unit of a caller",
			"Sockets=sealwardd-sign.socket sealwardd-admin.socket": "both are passed on each start",
		},
		worker: {
			"User=sealward-worker":    "sysusers makes it, and it is not the daemon's",
			"PrivateUsers=no":         "the worker admits the daemon by its uid on the host",
			"StartLimitIntervalSec=0": "the socket never stays shut after crashes",
			"UMask=0077":              "nobody else reads its files",
			"LimitCORE=0":             "PINs are in its memory",
			"NoNewPrivileges=yes":     "no set-uid programs",
			"IPAddressDeny=any":       "what is allowed is named",
			"InaccessiblePaths=-/etc/sealward -/var/lib/sealward": "not even their names",
		},
		watch: {
			"User=sealward-watch":                        "sysusers makes it, and it is not the daemon's",
			"SupplementaryGroups=sealward-admin":         "the admin socket lets it in",
			"PrivateUsers=no":                            "the daemon knows it by its uid on the host",
			"StartLimitIntervalSec=0":                    "it comes back, however long the daemon is away",
			"Restart=on-failure":                         "nobody looks whether notices still come",
			"StateDirectory=sealward-watch/%i":           "the position survives a restart",
			"UMask=0077":                                 "nobody else reads its files",
			"LimitCORE=0":                                "what waits is in its memory",
			"NoNewPrivileges=yes":                        "no set-uid programs",
			"PrivateNetwork=yes":                         "what is allowed is named",
			"IPAddressDeny=any":                          "what is allowed is named",
			"ConditionPathExists=/etc/sealward-watch/%i": "an instance without a program does nothing",
			"InaccessiblePaths=-/etc/sealward -/var/lib/sealward -/run/sealward-worker":                                                    "not even their names",
			"ExecStart=/usr/bin/sealward watch --position /var/lib/sealward-watch/%i/position --timeout 30s --exec /etc/sealward-watch/%i": "documented",
		},
		"sealward-worker@.socket": {
			"SocketUser=sealward": "the daemon's account", "SocketMode=0600": "nobody else", "RemoveOnStop=yes": "no stale socket",
			"ListenStream=/run/sealward-worker/%i.sock": "documented",
		},
		"sealwardd-sign.socket": {
			"FileDescriptorName=sign": "the name in policy", "SocketGroup=sealward": "callers", "SocketMode=0660": "nobody else",
			"RemoveOnStop=yes": "no stale socket", "Service=sealwardd.service": "one daemon", "ListenStream=/run/sealward/sign.sock": "documented",
		},
		"sealwardd-admin.socket": {
			"FileDescriptorName=admin": "the name in the daemon", "SocketGroup=sealward-admin": "operators", "SocketMode=0660": "nobody else",
			"RemoveOnStop=yes": "no stale socket", "Service=sealwardd.service": "one daemon", "ListenStream=/run/sealward/admin.sock": "documented",
		},
	} {
		have := lines(t, unit, false)
		for setting, why := range settings {
			if !slices.Contains(have, setting) {
				t.Errorf("%s lacks %s: %s", unit, setting, why)
			}
			key, _, _ := strings.Cut(setting, "=")
			if n := len(slices.DeleteFunc(slices.Clone(have), func(l string) bool { return !strings.HasPrefix(l, key+"=") })); n != 1 {
				t.Errorf("%s has %s %d times", unit, key, n)
			}
		}
		if unit == service && slices.ContainsFunc(have, func(l string) bool { return strings.HasPrefix(l, "RuntimeDirectory=sealward") }) {
			t.Error("RuntimeDirectory=sealward would remove the sockets when the service stops")
		}
	}
}

// A worker confines itself with Landlock, also within the daemon's sandbox.
func TestTheServicesAdmitLandlock(t *testing.T) {
	for _, unit := range []string{service, worker} {
		filter := strings.Join(lines(t, unit, false), "\n")
		for _, call := range []string{"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} {
			if !regexp.MustCompile(`(?m)^SystemCallFilter=@system-service .*\b` + call + `\b`).MatchString(filter) {
				t.Errorf("%s refuses %s", unit, call)
			}
		}
	}
}

func TestSysusersMakesEveryAccountThatTheUnitsName(t *testing.T) {
	file, err := filepath.Abs("sealward.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	// An empty root, so that accounts of this host do not count.
	out, err := tool(t, "systemd-sysusers", "--dry-run", "--root="+t.TempDir(), file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, unit := range units {
		for _, l := range lines(t, unit, false) {
			key, name, _ := strings.Cut(l, "=")
			var want string
			switch key {
			case "User", "SocketUser":
				want = "Creating user '" + name + "'"
			case "Group", "SocketGroup":
				want = "Creating group '" + name + "'"
			}
			if want != "" && name != "root" && !strings.Contains(out, want) {
				t.Errorf("%s: %s, but sysusers says\n%s", unit, l, out)
			}
		}
	}
}

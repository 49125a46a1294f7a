package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/cmd/config"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// patient is a set-up for the doctor: everything in one folder, and a daemon that
// answers there.
type patient struct {
	t              *testing.T
	dir            string
	module, worker string
	token          string // of sealward.hcl
	head           string // of sealward.hcl, more
	fake           *fake
	stop           []func()
	args           []string
}

// newPatient is sound.
func newPatient(t *testing.T) *patient {
	t.Helper()
	dir, err := os.MkdirTemp("", "sw") // a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &patient{t: t, dir: dir, fake: operated()}
	p.fake.status.Tokens = []*v1.TokenHealth{{Name: "hsm", Kind: "pkcs11", State: "up", Device: "SoftHSM", Facts: []*v1.Field{{Name: "sessions at once", Value: "8"}}}}
	p.fake.status.Keys = []*v1.KeyHealth{{Key: "hot", Device: "hsm", Available: true}}
	if p.module, err = sim.SoftHSMModule(); err != nil {
		t.Fatal(err)
	}
	if p.worker, err = exec.LookPath("sealward-worker"); err != nil {
		t.Fatal(err)
	}
	p.token = fmt.Sprintf("pkcs11 {\n module = %q\n uri = \"pkcs11:token=my%%20token\"\n pin_file = \"hsm.pin\"\n }", p.module)
	p.write("hsm.pin", rightPIN+"\n", 0o600)
	p.write("policy.hcl", "version = 1\n", 0o600)
	for _, name := range []string{"sign", "admin"} {
		stop, err := p.fake.listen(p.at(name+".sock"), name == "admin")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		p.stop = append(p.stop, stop)
		p.chmod(name+".sock", 0o660)
	}
	return p
}

func (p *patient) at(name string) string { return filepath.Join(p.dir, name) }

func (p *patient) write(name, text string, mode os.FileMode) {
	p.t.Helper()
	if err := os.WriteFile(p.at(name), []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
	p.chmod(name, mode) // whatever the umask
}

func (p *patient) chmod(name string, mode os.FileMode) {
	p.t.Helper()
	if err := os.Chmod(p.at(name), mode); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) remove(name string) {
	p.t.Helper()
	if err := os.Remove(p.at(name)); err != nil {
		p.t.Fatal(err)
	}
}

// replace changes sealward.hcl.
func (p *patient) replace(old, new string) {
	p.t.Helper()
	if !strings.Contains(p.head+p.token, old) {
		p.t.Fatalf("no %q in %s", old, p.token)
	}
	p.token = strings.Replace(p.token, old, new, 1)
}

// configuration is sealward.hcl.
func (p *patient) configuration() string {
	locator := `uri = "pkcs11:object=hot"`
	switch {
	case strings.Contains(p.token, "tpm {"):
		locator = `file = "hot.tpm"`
	case strings.Contains(p.token, "piv {"):
		locator = `slot = "9c"`
	}
	return fmt.Sprintf(`version = 1
private = true
policy  = "policy.hcl"
worker_program = %q
journal {
  path = "journal.db"
  key  = "journal"
}
socket "sign" { path = "sign.sock" }
socket "admin" { path = "admin.sock" }
token "hsm" {
  %s
}
key "hot" {
  token = "hsm"
  %s
  kinds = ["digest"]
}
key "journal" {
  token      = "hsm"
  %s
  statements = true
}
%s`, p.worker, p.token, locator, locator, p.head)
}

// examined is what the doctor says.
func (p *patient) examined() (code int, findings []finding) {
	p.t.Helper()
	if _, err := os.Stat(p.at("sealward.hcl")); err != nil && p.token != "" {
		p.write("sealward.hcl", p.configuration(), 0o600)
	}
	code, stdout, stderr := sealward("", append([]string{"-o", "json", "doctor", "--config", p.at("sealward.hcl")}, p.args...)...)
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil {
		p.t.Fatalf("exit code %d, %v:\n%s%s", code, err, stdout, stderr)
	}
	for _, f := range findings {
		if f.Level == levelFail && f.Fix == "" {
			p.t.Errorf("a failure without a fix: %+v", f)
		}
	}
	return code, findings
}

// has looks for a finding: its text and its fix are regular expressions.
func has(t *testing.T, findings []finding, want finding) {
	t.Helper()
	var all strings.Builder
	for _, f := range findings {
		if f.Level == want.Level && f.Check == want.Check && regexp.MustCompile(want.What).MatchString(f.What) && regexp.MustCompile(want.Fix).MatchString(f.Fix) {
			return
		}
		fmt.Fprintf(&all, "%+v\n", f)
	}
	t.Errorf("no %+v in:\n%s", want, &all)
}

func TestDoctorIsContentWithWhatIsSound(t *testing.T) {
	p := newPatient(t)
	code, findings := p.examined()
	if code != exitOK {
		t.Errorf("exit code %d: %+v", code, findings)
	}
	for check, what := range map[string]string{
		"configuration": "tokens: 1, keys: 2", "policy": "policy.hcl", "account": "runs as", "programs": "sealward-worker drives devices", "token hsm": "module /",
		"credential of hsm": "hsm.pin", "socket sign": "mode 0660", "socket admin": "mode 0660", "daemon": "since 2026-11-23",
	} {
		has(t, findings, finding{levelOK, check, what, "^$"})
	}
	has(t, findings, finding{levelOK, "token hsm", "^up: SoftHSM$", "^$"})
	has(t, findings, finding{levelOK, "token hsm", "^sessions at once: 8$", "^$"})
	_, stdout, _ := sealward("", "doctor", "--config", p.at("sealward.hcl"))
	if !regexp.MustCompile(`(?m)^ok    token hsm: up: SoftHSM$`).MatchString(stdout) {
		t.Errorf("as text:\n%s", stdout)
	}
}

func TestDoctorFindsWhatIsWrongOnTheHost(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(*patient)
		want finding
	}{
		"no configuration": {func(p *patient) { p.token = "" }, finding{levelFail, "configuration", "there is no ", "^sealward init /"}},
		"a configuration that others can write": {func(p *patient) { p.write("sealward.hcl", p.configuration(), 0o622) },
			finding{levelFail, "configuration", "can be written by others", `^chmod go-w \S+sealward\.hcl$`}},
		"a configuration with a mistake": {func(p *patient) { p.write("sealward.hcl", p.configuration()+"\nspelling = 1\n", 0o600) },
			finding{levelFail, "configuration", "sealward.hcl:[0-9]+,.*spelling", "^sealwardd --check-config --config "}},
		"no policy":      {func(p *patient) { p.remove("policy.hcl") }, finding{levelFail, "policy", "policy.hcl", "^sealward init"}},
		"no account":     {func(p *patient) { p.args = []string{"--user", "no-such-account"} }, finding{levelFail, "account", `"no-such-account"`, "^systemd-sysusers$"}},
		"no worker":      {func(p *patient) { p.worker = "/nowhere/sealward-worker" }, finding{levelFail, "programs", "/nowhere", "install bin/sealward-worker /nowhere/sealward-worker$"}},
		"no module":      {func(p *patient) { p.replace(p.module, "/nowhere/hsm.so") }, finding{levelFail, "token hsm", "^module: .*/nowhere", "^module = "}},
		"another module": {func(p *patient) { p.replace("uri", "module_sha256 = \""+strings.Repeat("0", 64)+"\"\n uri") }, finding{levelFail, "token hsm", "not the one whose digest is pinned", `^module_sha256 = "` + digestOf(t) + `"`}},
		"a module that is none": {func(p *patient) { p.write("hsm.so", "text", 0o700); p.replace(p.module, p.at("hsm.so")) },
			finding{levelFail, "token hsm", "hsm.so is no library", "^module = "}},
		"a module for another machine": {func(p *patient) { p.write("hsm.so", foreign(t), 0o700); p.replace(p.module, p.at("hsm.so")) },
			finding{levelFail, "token hsm", "hsm.so is for EM_S390", "^module = "}},
		"a module that others can write": {func(p *patient) { p.write("hsm.so", "text", 0o722); p.replace(p.module, p.at("hsm.so")) },
			finding{levelFail, "token hsm", "can be written by others", `^chmod go-w \S+hsm\.so$`}},
		"no PIN file":                   {func(p *patient) { p.remove("hsm.pin") }, finding{levelFail, "credential of hsm", "there is no .*hsm.pin", `^install -m 0600 -o \S+ /dev/stdin \S+hsm\.pin`}},
		"a PIN that the group may read": {func(p *patient) { p.chmod("hsm.pin", 0o640) }, finding{levelFail, "credential of hsm", "has mode 0640", `^chmod 0600 \S+hsm\.pin$`}},
		"an empty PIN":                  {func(p *patient) { p.write("hsm.pin", "", 0o600) }, finding{levelFail, "credential of hsm", "is empty", "^install -m 0600"}},
		"a PIN of two lines":            {func(p *patient) { p.write("hsm.pin", "1\n2\n", 0o600) }, finding{levelFail, "credential of hsm", "more than one line", "^install -m 0600"}},
		"a PIN that is a folder":        {func(p *patient) { p.replace("hsm.pin", ".") }, finding{levelFail, "credential of hsm", "not a regular file", "^install -m 0600"}},
		"a credential where there is no systemd": {func(p *patient) { p.replace(`pin_file = "hsm.pin"`, `pin_credential = "hsm-pin"`) },
			finding{levelWarn, "credential of hsm", `cannot be asked here whether it passes "hsm-pin"`, "^systemctl show"}},
		"a PIN that is typed": {func(p *patient) { p.replace(`pin_file = "hsm.pin"`, `pin_typed = true`) }, finding{levelOK, "credential of hsm", "sealward unlock hsm", ""}},
		"no auth value of a TPM": {func(p *patient) {
			p.token = `tpm {` + "\n" + `device = "/dev/null"` + "\n" + `auth_file = "tpm.auth"` + "\n}"
		},
			finding{levelFail, "credential of hsm", "there is no .*tpm.auth", `^openssl rand -hex 16 \| install -m 0600 -o \S+ /dev/stdin \S+tpm\.auth`}},
		"a short auth value of a TPM": {func(p *patient) {
			p.token = `tpm {` + "\n" + `device = "/dev/null"` + "\n" + `auth_file = "tpm.auth"` + "\n}"
			p.write("tpm.auth", "short\n", 0o600)
		}, finding{levelFail, "credential of hsm", "has 5 bytes; .* at least 16", "^openssl rand -hex 16"}},
		"no file of a TPM's key": {func(p *patient) {
			p.token = `tpm {` + "\n" + `device = "/dev/null"` + "\n" + `auth_file = "tpm.auth"` + "\n}"
		},
			finding{levelFail, "key hot", "hot.tpm", `^install -m 0644 BACKUP \S+hot\.tpm`}},
		"no PCR authority": {func(p *patient) {
			p.token = `tpm {` + "\n" + `device = "/dev/null"` + "\n" + `auth_file = "tpm.auth"` + "\n" + `pcr_authority = "authority.pub"` + "\n}"
		}, finding{levelFail, "pcr_authority of hsm", "authority.pub", `^openssl ec .* -pubout -out \S+authority\.pub$`}},
		"endorsement roots that others can write": {func(p *patient) {
			p.token = `tpm {` + "\n" + `device = "/dev/null"` + "\n" + `auth_file = "tpm.auth"` + "\n" + `endorsement_roots = "roots.pem"` + "\n}"
			p.write("roots.pem", "", 0o666)
		}, finding{levelFail, "endorsement_roots of hsm", "can be written by others", `^chmod go-w \S+roots\.pem$`}},
		"no attestation roots": {func(p *patient) {
			p.token = `piv {` + "\n" + `serial = 7654321` + "\n" + `pin_typed = true` + "\n" + `attestation_roots = "roots.pem"` + "\n}"
		}, finding{levelFail, "attestation_roots of hsm", "roots.pem", `^attestation_roots = "yubico"`}},
		"no TPM": {func(p *patient) {
			p.token = `tpm {` + "\n" + `device = "/nowhere/tpm"` + "\n" + `auth_file = "tpm.auth"` + "\n}"
		},
			finding{levelFail, "token hsm", "there is no /nowhere/tpm", "."}},
		"no pcscd": {func(p *patient) {
			p.token = `piv {` + "\n" + `serial = 7654321` + "\n" + `socket = "pcscd"` + "\n" + `pin_typed = true` + "\n}"
		},
			finding{levelFail, "token hsm", "pcscd does not answer", "^apt-get install pcscd libccid\nsystemctl enable --now pcscd.socket$"}},
		"a pcscd": {func(p *patient) {
			p.token = `piv {` + "\n" + `serial = 7654321` + "\n" + `socket = "pcscd"` + "\n" + `pin_typed = true` + "\n}"
			listens(p.t, p.at("pcscd"), 0o600)
		}, finding{levelOK, "token hsm", "pcscd answers at .*pcscd", ""}},
		"a mark that cannot be read":  {func(p *patient) { p.write("pin-hsm.json", "{", 0o600) }, finding{levelFail, "PIN of hsm", "cannot be read", "^sealward unlock --credential hsm"}},
		"a mark of another version":   {func(p *patient) { p.write("pin-hsm.json", `{"version":2}`, 0o600) }, finding{levelFail, "PIN of hsm", "version 2", "sealward unlock hsm"}},
		"a try that was cut short":    {func(p *patient) { p.write("pin-hsm.json", tried("trying", true, 0), 0o600) }, finding{levelFail, "PIN of hsm", "a try of its PIN at 2026-11-23T12:00:00Z was cut short", "^sealward unlock --credential hsm"}},
		"tries that ended otherwise":  {func(p *patient) { p.write("pin-hsm.json", tried("trying", false, 3), 0o600) }, finding{levelFail, "PIN of hsm", "a try of its PIN", "sealward unlock hsm"}},
		"a typed PIN, cut short":      {func(p *patient) { p.write("pin-hsm.json", tried("typed", true, 0), 0o600) }, finding{levelFail, "PIN of hsm", "a try of a typed PIN", "sealward unlock hsm"}},
		"no sign socket":              {func(p *patient) { p.stop[0](); _ = os.Remove(p.at("sign.sock")) }, finding{levelFail, "socket sign", "sign.sock", `^sealwardd --config \S+sealward\.hcl$`}},
		"a socket that is a file":     {func(p *patient) { p.stop[0](); p.write("sign.sock", "", 0o660) }, finding{levelFail, "socket sign", "is not a socket", `^rm \S+sign\.sock && sealwardd --config`}},
		"an admin socket for all":     {func(p *patient) { p.chmod("admin.sock", 0o666) }, finding{levelFail, "socket admin", "mode 0666: every account is an operator", `^chmod 0660 \S+admin\.sock`}},
		"a socket of another mode":    {func(p *patient) { p.chmod("sign.sock", 0o600) }, finding{levelWarn, "socket sign", "has mode 0600, the configuration says 0660", `^chmod 0660 \S+sign\.sock$`}},
		"no metrics socket":           {func(p *patient) { p.head = "metrics { path = \"metrics.sock\" }\n" }, finding{levelFail, "socket metrics", "metrics.sock", "."}},
		"a journal's folder for all":  {func(p *patient) { p.chmod(".", 0o755) }, finding{levelFail, "disk", "has mode 0755", `^chmod 0700 \S+$`}},
		"no worker of its own":        {func(p *patient) { p.token += "\nworker = \"w.sock\"" }, finding{levelFail, "worker of hsm", "w.sock", `^systemctl enable --now sealward-worker@hsm\.socket$`}},
		"a worker that is a file":     {func(p *patient) { p.token += "\nworker = \"hsm.pin\"" }, finding{levelFail, "worker of hsm", "is not a socket", `systemctl restart sealward-worker@hsm\.socket$`}},
		"a worker for all":            {func(p *patient) { p.token += "\nworker = \"w.sock\""; listens(p.t, p.at("w.sock"), 0o666) }, finding{levelFail, "worker of hsm", "mode 0666: whoever connects", `^chmod 0600 \S+w\.sock`}},
		"a worker of its own":         {func(p *patient) { p.token += "\nworker = \"w.sock\""; listens(p.t, p.at("w.sock"), 0o600) }, finding{levelOK, "worker of hsm", "a service of its own, at ", ""}},
		"a folder that is not there":  {func(p *patient) { p.token += "\nwritable = [\"/nowhere/tokens\"]" }, finding{levelFail, "worker of hsm", "/nowhere/tokens", "^ls -ld /nowhere/tokens$"}},
		"a file that is not there":    {func(p *patient) { p.token += "\nreadable = [\"/nowhere/hsm.conf\"]" }, finding{levelFail, "worker of hsm", "/nowhere/hsm.conf", "^ls -ld /nowhere/hsm.conf$"}},
		"no daemon":                   {func(p *patient) { p.stop[1]() }, finding{levelFail, "daemon", "admin.sock", `^sealwardd --config \S+sealward\.hcl$`}},
		"a daemon at another address": {func(p *patient) { p.args = []string{"--socket", "/nowhere/admin.sock"} }, finding{levelFail, "daemon", "no socket /nowhere/admin.sock", "."}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			c.harm(p)
			code, findings := p.examined()
			has(t, findings, c.want)
			if c.want.Level == levelFail && code != exitProblems {
				t.Errorf("exit code = %d, want %d", code, exitProblems)
			}
		})
	}
}

func digestOf(t *testing.T) string {
	t.Helper()
	module, err := sim.SoftHSMModule()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// foreign is the module with another machine in its header (elf(5), e_machine), that
// nobody has under a desk.
func foreign(t *testing.T) string {
	t.Helper()
	module, err := sim.SoftHSMModule()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	b[18] = 22 // EM_S390
	return string(b)
}

func tried(what string, cut bool, failures int) string {
	return fmt.Sprintf(`{"version":1,%q:{"at":"2026-11-23T12:00:00Z","left":-1,"cut":%v,"failures":%d}}`, what, cut, failures)
}

func listens(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A try that was not cut short, and one that the token did not answer as wrong, keep
// nothing from being tried.
func TestDoctorIsNotAlarmedByATryThatWentOn(t *testing.T) {
	p := newPatient(t)
	p.write("pin-hsm.json", tried("trying", false, 2), 0o600)
	if code, findings := p.examined(); code != exitOK {
		t.Errorf("exit code %d: %+v", code, findings)
	}
}

// The mark that a real worker's refused PIN leaves is one that the doctor reads.
func TestDoctorReadsTheMarkOfARefusedPIN(t *testing.T) {
	credential := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(credential, []byte(wrongPIN), 0o600); err != nil {
		t.Fatal(err)
	}
	token, mark := softToken(t, credential)
	text, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	p := newPatient(t)
	p.write("pin-hsm.json", string(text), 0o600)
	p.fake.token = token
	_, findings := p.examined()
	has(t, findings, finding{levelFail, "PIN of hsm", "was refused at 20[0-9-]+T", "^sealward unlock --credential hsm"})
	has(t, findings, finding{levelFail, "token hsm", "^locked: ", "^sealward unlock hsm$"})
}

func TestDoctorTellsWhatTheDaemonKnows(t *testing.T) {
	left := func(n uint32) *uint32 { return &n }
	facts := func(pairs ...string) (out []*v1.Field) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, &v1.Field{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	hsm := func(t *v1.TokenHealth) func(*v1.GetStatusResponse) {
		return func(s *v1.GetStatusResponse) { t.Name, s.Tokens = "hsm", []*v1.TokenHealth{t} }
	}
	for name, c := range map[string]struct {
		change func(*v1.GetStatusResponse)
		want   finding
	}{
		"a journal that stopped":    {func(s *v1.GetStatusResponse) { s.JournalError = "disk full" }, finding{levelFail, "journal", "disk full", "^systemctl restart sealwardd"}},
		"a policy that was refused": {func(s *v1.GetStatusResponse) { s.PolicyError = "policy.hcl:3,1" }, finding{levelFail, "policy", "policy.hcl:3,1", "^systemctl reload sealwardd"}},
		"journal time that waits":   {func(s *v1.GetStatusResponse) { s.JournalTimeHeld = durationpb.New(time.Hour) }, finding{levelFail, "clock", "1h0m0s behind", `--accept-time\\n' >/run/systemd/system/sealwardd\.service\.d/accept\.conf`}},
		"a locked token":            {hsm(&v1.TokenHealth{State: "locked", Reason: "locked: a PIN is needed; run: sealward unlock hsm"}), finding{levelFail, "token hsm", "^locked: a PIN is needed$", "^sealward unlock hsm$"}},
		"a token that is gone":      {hsm(&v1.TokenHealth{State: "down", Reason: "no such token"}), finding{levelFail, "token hsm", "^down: no such token$", "^journalctl"}},
		"a blocked PIN":             {hsm(&v1.TokenHealth{State: "locked", TriesLeft: left(0)}), finding{levelFail, "token hsm", "its PIN is blocked", `^pkcs11-tool --module \S+ --token-label 'my token' --login --login-type so --init-pin\nsealward unlock hsm$`}},
		"one try left":              {hsm(&v1.TokenHealth{State: "up", TriesLeft: left(1)}), finding{levelFail, "token hsm", "one wrong PIN more blocks it", "^sealward unlock hsm  # with the right PIN"}},
		"a worker that dies often":  {hsm(&v1.TokenHealth{State: "up", Restarts: 11}), finding{levelWarn, "token hsm", "started again 11 times", "^journalctl -u sealwardd"}},
		"fewer sessions":            {hsm(&v1.TokenHealth{State: "up", Facts: facts("sessions at once", "3")}), finding{levelWarn, "token hsm", "3 sessions at once, 8 are configured", `^sessions = 3  # in token "hsm"`}},
		"a TPM in lockout":          {hsm(&v1.TokenHealth{State: "up", Facts: facts("lockout", "yes")}), finding{levelWarn, "token hsm", "dictionary-attack lockout", "^tpm2_dictionarylockout --clear-lockout$"}},
		"a TPM's lockout counter":   {hsm(&v1.TokenHealth{State: "up", Facts: facts("lockout", "no", "lockout counter", "1 of 32")}), finding{levelOK, "token hsm", "^lockout counter: 1 of 32$", "^$"}},
		"what a driver remarks":     {hsm(&v1.TokenHealth{State: "up", Notes: []string{"the PUK is blocked"}}), finding{levelWarn, "token hsm", "the PUK is blocked", "^$"}},
		"a key that is refused": {func(s *v1.GetStatusResponse) {
			s.Keys[0].Available, s.Keys[0].Reason = false, "another one than before"
		}, finding{levelFail, "key hot", "another one than before", "^sealward keys show hot$"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			c.change(p.fake.status)
			_, findings := p.examined()
			has(t, findings, c.want)
		})
	}
}

// A key is not reported beside its token, which says why.
func TestDoctorBlamesTheTokenAndNotItsKeys(t *testing.T) {
	p := newPatient(t)
	p.fake.status.Tokens[0].State = "down"
	p.fake.status.Keys[0].Available = false
	_, findings := p.examined()
	for _, f := range findings {
		if f.Check == "key hot" {
			t.Errorf("the key is reported too: %+v", f)
		}
	}
}

// A private set-up's daemon need not be installed; that of a host has to be.
func TestDoctorLooksForTheProgramsWhereTheDaemonDoes(t *testing.T) {
	h := host{t, t.TempDir()}
	t.Setenv("PATH", h.root+"/nowhere")
	for private, want := range map[bool]level{false: levelFail, true: levelWarn} {
		d := &doctor{root: h.root, cfg: &config.Config{Private: private}}
		d.programs()
		has(t, d.findings, finding{want, "programs", "sealwardd is not installed", "^make build && install -t /usr/bin "})
	}
	h.put("usr/bin/sealwardd", "")
	d := &doctor{root: h.root, cfg: &config.Config{}}
	d.programs()
	has(t, d.findings, finding{levelFail, "programs", "/usr/bin/sealward-worker: no such file", `^make build && install bin/sealward-worker \S+/usr/bin/sealward-worker$`})
	h.put("usr/bin/sealward-worker", "")
	d = &doctor{root: h.root, cfg: &config.Config{}}
	d.programs()
	has(t, d.findings, finding{levelOK, "programs", "/usr/bin/sealward-worker drives devices", "^$"})
}

func TestDoctorUnblocksACardByItsSerial(t *testing.T) {
	p := newPatient(t)
	p.token = "piv {\n serial = 7654321\n pin_typed = true\n }"
	p.fake.status.Tokens[0].TriesLeft = new(uint32)
	_, findings := p.examined()
	has(t, findings, finding{levelFail, "token hsm", "its PIN is blocked", `^ykman --device 7654321 piv access unblock-pin .*\nsealward unlock hsm$`})
}

func TestDoctorJudgesClockAndDisk(t *testing.T) {
	const gib = 1 << 30
	roomy := unix.Statfs_t{Bsize: 1, Bavail: 8 * gib, Files: 1000, Ffree: 900}
	with := func(change func(*unix.Statfs_t)) *unix.Statfs_t { s := roomy; change(&s); return &s }
	for name, c := range map[string]struct {
		judge func(*doctor)
		want  finding
	}{
		"a clock that is kept right":  {func(d *doctor) { d.judgeClock(0) }, finding{levelOK, "clock", "synchronised", "^$"}},
		"a clock that is not":         {func(d *doctor) { d.judgeClock(unix.STA_UNSYNC) }, finding{levelWarn, "clock", "nothing keeps it right", "^timedatectl set-ntp true$"}},
		"a roomy disk":                {func(d *doctor) { d.judgeDisk("/j", &roomy) }, finding{levelOK, "disk", "8192 MiB free in /j", "^$"}},
		"a disk that fills up":        {func(d *doctor) { d.judgeDisk("/j", with(func(s *unix.Statfs_t) { s.Bavail = gib / 2 })) }, finding{levelWarn, "disk", "512 MiB", "^du -xh /j"}},
		"a full disk":                 {func(d *doctor) { d.judgeDisk("/j", with(func(s *unix.Statfs_t) { s.Bavail = gib / 8 })) }, finding{levelFail, "disk", "128 MiB", "^du -xh /j"}},
		"no inodes":                   {func(d *doctor) { d.judgeDisk("/j", with(func(s *unix.Statfs_t) { s.Ffree = 9 })) }, finding{levelFail, "disk", "9 files more", "^df -i /j$"}},
		"inodes that are not counted": {func(d *doctor) { d.judgeDisk("/j", with(func(s *unix.Statfs_t) { s.Files, s.Ffree = 0, 0 })) }, finding{levelOK, "disk", "free", "^$"}},
		"a disk that is read-only":    {func(d *doctor) { d.judgeDisk("/j", with(func(s *unix.Statfs_t) { s.Flags = unix.ST_RDONLY })) }, finding{levelFail, "disk", "read-only", "^mount -o remount,rw"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &doctor{}
			c.judge(d)
			has(t, d.findings, c.want)
		})
	}
}

func TestDoctorLooksForTheJournalsFolder(t *testing.T) {
	p := newPatient(t)
	p.write("sealward.hcl", strings.Replace(p.configuration(), "journal.db", "nowhere/journal.db", 1), 0o600)
	_, findings := p.examined()
	has(t, findings, finding{levelFail, "disk", "nowhere", `^install -d -m 0700 -o \S+ \S+/nowhere$`})
}

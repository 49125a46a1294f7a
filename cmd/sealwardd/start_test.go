package main

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// reasons are set-ups with which the daemon does not start, and why.
var reasons = map[string]struct {
	spoil func(*host)
	want  []string
}{
	"a misspelt argument": {func(h *host) { h.edit("sealward.hcl", "checkpoint_interval", "checkpoint_intervall") },
		[]string{"sealward.hcl:9,3-23: ", "checkpoint_intervall"}},
	"a key for no kind": {func(h *host) { h.edit("sealward.hcl", `kinds  = ["evm.transaction", "evm.message"]`, "") },
		[]string{"sealward.hcl:", "Missing kinds"}},
	"a configuration that all may write": {func(h *host) { h.mode("sealward.hcl", 0o666) },
		[]string{"read configuration", "sealward.hcl", "chmod"}},
	"a policy that all may write": {func(h *host) { h.mode("policy.hcl", 0o666) },
		[]string{"read policy", "policy.hcl", "chmod"}},
	"a policy with a misspelt class": {func(h *host) {
		h.edit("policy.hcl", "allow = true\n  limit \"eth", "when = \"effects.all(e, e.class == 'trasnfer')\"\n  allow = true\n  limit \"eth")
	},
		[]string{"policy.hcl:18,37-47: ", `did you mean "transfer"`}},
	"a policy for a key that is not there": {func(h *host) { h.edit("policy.hcl", `keys  = ["hot"]`, `keys  = ["hott"]`) },
		[]string{"policy.hcl:16,12-18: ", "hott"}},
	"no policy": {func(h *host) { must(h.t, os.Remove(h.path("policy.hcl"))) },
		[]string{"read policy", "no such file"}},
	"no PIN": {func(h *host) { must(h.t, os.Remove(h.path("pin"))) },
		[]string{`token "softhsm"`, "read PIN", "no such file"}},
	"a PIN that all may read": {func(h *host) { h.mode("pin", 0o644) },
		[]string{`token "softhsm"`, "mode 0644", "chmod 0600"}},
	"an empty PIN": {func(h *host) { h.write("pin", "\n") },
		[]string{`token "softhsm"`, "pin is empty"}},
	"a wrong PIN": {func(h *host) { h.write("pin", pin+"x\n") },
		[]string{`token "softhsm"`, "PIN"}},
	"a token that is not there": {func(h *host) { h.edit("sealward.hcl", h.token.uri, "pkcs11:token=e2f") },
		[]string{`token "softhsm"`, "e2f"}},
	"a key that is not there": {func(h *host) { h.edit("sealward.hcl", "pkcs11:object=hot", "pkcs11:object=warm") },
		[]string{`key "hot"`, "object=warm"}},
	"two names for one key": {func(h *host) {
		h.write("sealward.hcl", h.read("sealward.hcl")+"key \"warm\" {\n  token = \"softhsm\"\n  uri = \"pkcs11:object=hot\"\n  kinds = [\"evm.message\"]\n}\n")
	}, []string{`"hot"`, `"warm"`, "public key"}},
	"the journal's key for payments": {func(h *host) { h.edit("sealward.hcl", "pkcs11:object=hot", "pkcs11:object=journal") },
		[]string{`key "hot"`, "journal's key"}},
	"another module than the pinned one": {func(h *host) {
		h.edit("sealward.hcl", `    uri      = "pkcs11:token`, fmt.Sprintf("    module_sha256 = %q\n    uri      = \"pkcs11:token", strings.Repeat("00", 32)))
	}, []string{`token "softhsm"`, "its SHA-256 is ", strings.Repeat("00", 32)}},
	"a module that is not there": {func(h *host) { h.edit("sealward.hcl", h.token.module, h.path("none.so")) },
		[]string{`token "softhsm"`, "none.so"}},
	"another key than the pinned one": {func(h *host) {
		h.edit("sealward.hcl", `  kinds  = ["evm.transaction", "evm.message"]`, "  kinds  = [\"evm.transaction\", \"evm.message\"]\n  fingerprint = \"sha256:"+strings.Repeat("00", 32)+"\"")
	}, []string{`key "hot"`, "the device has sha256:", "the configuration wants sha256:00"}},
	"a key that cannot sign its kinds": {func(h *host) {
		h.edit("sealward.hcl", `"pkcs11:object=hot"`, `"pkcs11:object=journal"`)
		h.edit("sealward.hcl", "uri        = \"pkcs11:object=journal\"", "uri        = \"pkcs11:object=hot\"")
	}, []string{`key "hot"`, "ed25519 key, which cannot sign kind"}},
	"a journal that others may read": {func(h *host) { h.mode("journal", 0o755) },
		[]string{"journal", "0755", "chmod"}},
	"a journal where all may write": {func(h *host) { h.mode("journal", 0o777) },
		[]string{"journal", "chmod"}},
}

func (h *host) mode(name string, mode os.FileMode) {
	h.t.Helper()
	must(h.t, os.Chmod(h.path(name), mode))
}

func TestCheckConfigSaysWhatStartingWouldSay(t *testing.T) {
	t.Parallel()
	for name, c := range reasons {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			c.spoil(h)
			check := h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl"))
			if code := check.wait(); code != 1 {
				t.Errorf("--check-config ends with %d, want 1", code)
			}
			contains(t, "--check-config", check.log.String(), append(c.want, "sealwardd would not start")...)
			start := h.try()
			if code := start.wait(); code != 1 {
				t.Errorf("starting ends with %d, want 1", code)
			}
			contains(t, "starting", strings.NewReplacer(`\"`, `"`, `\n`, "\n").Replace(start.log.String()), c.want...)
			if all := check.log.String() + start.log.String(); strings.Contains(all, pin) {
				t.Errorf("the PIN is in the output:\n%s", all)
			}
			if !h.missing("sign.sock") || !h.missing("journal/journal.db") {
				t.Error("it left a socket or a journal behind")
			}
		})
	}
}

func TestASocketForAGroupThatIsNotThere(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.edit("sealward.hcl", "socket \"sign\" {\n", "socket \"sign\" {\n  group = \"no-such-group\"\n")
	check := func() *process {
		return h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl"))
	}
	start := func() *process { return h.try() }
	// One after the other: both log in to the token, and would find each other's try.
	for what, begin := range map[string]func() *process{"--check-config": check, "starting": start} {
		p := begin()
		if code := p.wait(); code != 1 {
			t.Errorf("%s ends with %d, want 1", what, code)
		}
		contains(t, what, p.log.String(), "no-such-group", "groupadd")
	}
}

// A service manager restarts a daemon that ends; that must not use up the tries that
// a token gives a PIN.
func TestAPINThatWasRefusedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("pin", pin+"x\n")
	for i := range 3 {
		p := h.try()
		if code := p.wait(); code != 1 {
			t.Errorf("start %d ends with %d, want 1", i, code)
		}
		contains(t, "the start", p.log.String(), "sealward unlock softhsm")
		if sent := strings.Contains(p.log.String(), "CKR_PIN_INCORRECT"); sent != (i == 0) {
			t.Errorf("start %d: the PIN was sent: %t, want that of the first start only:\n%s", i, sent, p.log.String())
		}
	}
	h.write("pin", pin+"\n") // another credential is tried
	h.start().stop()
}

func TestAnotherJournalKeyIsRefusedBeforeAnythingIsSigned(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.start()
	h.pay("r1")
	p.stop()
	h.edit("sealward.hcl", `"pkcs11:object=journal"`, `"pkcs11:object=spare"`)
	again := h.try()
	if code := again.wait(); code != 1 {
		t.Errorf("the start ends with %d, want 1", code)
	}
	contains(t, "the start", again.log.String(), "the journal was signed by key", "configure the former")
}

func TestCheckConfigOfASoundSetUpChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	image, err := os.ReadFile(h.token.module)
	must(t, err)
	h.edit("sealward.hcl", `    uri      = "pkcs11:token`, fmt.Sprintf("    module_sha256 = \"%x\"\n    uri      = \"pkcs11:token", sha256.Sum256(image)))
	check := func() {
		p := h.launch(nil, self(t), "--check-config", "--config", h.path("sealward.hcl"))
		if code := p.wait(); code != 0 {
			t.Errorf("--check-config ends with %d, want 0", code)
		}
		contains(t, "--check-config", p.log.String(), "sealwardd would start: 1 keys, policy ", "note: this is a private set-up")
	}
	check()
	if !h.missing("sign.sock") || !h.missing("journal/journal.db") {
		t.Error("--check-config made a socket or a journal")
	}
	p := h.start()
	check() // beside a running daemon too
	h.pay("r1")
	p.stop()
}

func TestTheCommandLine(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":                          {[]string{"--help"}, 0, "hardware-backed signing daemon"},
		"the version":                   {[]string{"--version"}, 0, "sealwardd "},
		"an argument too many":          {[]string{"sealward.hcl"}, 2, `unexpected argument "sealward.hcl"`},
		"a flag that is not there":      {[]string{"--pin", "1234"}, 2, "flag provided but not defined: -pin"},
		"a configuration that is gone":  {[]string{"--config", h.path("none.hcl")}, 1, "none.hcl"},
		"a check of one that is gone":   {[]string{"--check-config", "--config", h.path("none.hcl")}, 1, "none.hcl: no such file"},
		"a configuration in the folder": {[]string{"--config", h.dir}, 1, "want a regular file"},
	} {
		p := h.launch(nil, self(t), c.args...)
		if code := p.wait(); code != c.code {
			t.Errorf("%s: it ends with %d, want %d", name, code, c.code)
		}
		contains(t, name, p.log.String(), c.want)
	}
}

func TestOneJournalHasOneDaemon(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.start()
	h.write("second.hcl", strings.NewReplacer("sign.sock", "sign2.sock", "admin.sock", "admin2.sock", "metrics.sock", "metrics2.sock").Replace(h.read("sealward.hcl")))
	second := h.launch(nil, self(t), "--config", h.path("second.hcl"))
	if code := second.wait(); code != 1 {
		t.Errorf("a second daemon on the same journal ends with %d, want 1", code)
	}
	contains(t, "its log", second.log.String(), "journal", "another")

	h.write("second.hcl", strings.NewReplacer("journal/journal.db", "journal/other.db").Replace(h.read("sealward.hcl")))
	second = h.launch(nil, self(t), "--config", h.path("second.hcl"))
	if code := second.wait(); code != 1 {
		t.Errorf("a second daemon on the same sockets ends with %d, want 1", code)
	}
	contains(t, "its log", second.log.String(), "sign.sock", "another daemon listens")
	h.pay("r1")
	h.sound()
	first.stop()
	if !h.missing("sign.sock") || !h.missing("admin.sock") || !h.missing("metrics.sock") {
		t.Error("sockets were left behind")
	}
}

func TestAStaleSocketIsReplacedAndAnAnsweringOneIsNot(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.path("sign.sock"), Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	p := h.try()
	if code := p.wait(); code != 1 {
		t.Errorf("beside a socket that answers it ends with %d, want 1", code)
	}
	contains(t, "its log", p.log.String(), "another process answers on "+h.path("sign.sock"))
	if h.missing("sign.sock") {
		t.Error("the socket of another process was removed")
	}
	must(t, l.Close())
	p = h.start()
	h.pay("r1")
	p.stop()

	must(t, os.WriteFile(h.path("sign.sock"), []byte("precious"), 0o600))
	p = h.try()
	if code := p.wait(); code != 1 || h.read("sign.sock") != "precious" {
		t.Errorf("where a file has the socket's name it ends with %d, want 1, and the file as it was", code)
	}
	contains(t, "its log", p.log.String(), "is no socket")
}

func TestSystemdPassesTheSocketsByName(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatalf("systemd-socket-activate is not installed; run make deps: %v", err)
	}
	// What the configuration says of the sockets does not hold where systemd makes
	// them: these paths are its own.
	args := []string{"-l", h.path("a.sock"), "-l", h.path("b.sock"), "--fdname=sign:admin"}
	for _, e := range h.env() {
		args = append(args, "-E", e)
	}
	p := h.launch(nil, activate, append(args, self(t), "--config", h.path("sealward.hcl"))...)
	p.waitLog("b.sock as 4") // a file that is there may not be listened on yet
	must(t, os.Symlink(h.path("a.sock"), h.path("sign.sock")))
	must(t, os.Symlink(h.path("b.sock"), h.path("admin.sock")))
	h.pay("r1") // which starts the daemon
	r := h.sound()
	if r.GetSigned() != 1 {
		t.Errorf("%d were signed, want one", r.GetSigned())
	}
	p.stop()
	if h.missing("a.sock") || h.missing("b.sock") {
		t.Error("the daemon removed sockets that are systemd's")
	}

	must(t, os.Remove(h.path("sign.sock")))
	must(t, os.Remove(h.path("admin.sock")))
	p = h.launch(nil, activate, append([]string{"-l", h.path("c.sock"), "--fdname=sing"}, append(args[5:], self(t), "--config", h.path("sealward.hcl"))...)...)
	p.waitLog("c.sock as 3")
	_, err = net.Dial("unix", h.path("c.sock"))
	must(t, err)
	if code := p.wait(); code != 1 {
		t.Errorf("with a socket of an unknown name it ends with %d, want 1", code)
	}
	contains(t, "its log", p.log.String(), `systemd passes a socket named \"sing\"`)
}

func TestASignalThatComesWhileStartingIsObeyed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	p := h.try()
	eventually(t, "the journal is made", func() bool { return !h.missing("journal/journal.db") || p.ended() })
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("it ends with %d, want 0", code)
	}
	h.start().stop()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer/trustfile"
)

// finding is what a check found. A fix is what to run or to write, exactly.
type finding struct {
	Level level  `json:"level"`
	Check string `json:"check"`
	What  string `json:"what"`
	Fix   string `json:"fix,omitempty"`
}

type level string

const (
	levelOK   level = "ok"
	levelWarn level = "warn" // it works, and could be better
	levelFail level = "fail" // it keeps something from working, or from being safe
)

// doctor gathers findings about one configuration. It goes on where one of them says
// that something is wrong, as far as that leaves something to look at.
type doctor struct {
	root     string // in front of the host's own paths; empty but in tests
	cfg      *config.Config
	account  *user.User // that the daemon runs as; nil when it is not known
	groups   []string   // of the account, and of the unit
	unit     *unit      // nil where systemd does not run the daemon
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.add(levelOK, check, "", fmt.Sprintf(format, args...))
}

func (d *doctor) warn(check, fix, format string, args ...any) {
	d.add(levelWarn, check, fix, fmt.Sprintf(format, args...))
}

func (d *doctor) fail(check, fix, format string, args ...any) {
	d.add(levelFail, check, fix, fmt.Sprintf(format, args...))
}

// wrong is a failure that says what to run by itself. Where it does not, fix does.
func (d *doctor) wrong(check, fix, what string) {
	if text, run, ok := strings.Cut(what, "; run: "); ok {
		what, fix = text, run
	}
	d.add(levelFail, check, fix, what)
}

func (d *doctor) add(l level, check, fix, what string) {
	d.findings = append(d.findings, finding{l, check, what, fix})
}

func (c *cli) doctorCommand() *cobra.Command {
	var path, account string
	cmd := &cobra.Command{
		Use: "doctor", Short: "check devices and host, and say how to mend what is wrong",
		Long: `Check what signing depends on: the configuration, the daemon and its devices, drivers,
groups, credentials, PIN tries, a TPM's lockout, sessions, sockets, clock and disk. For
each thing that is wrong the fix is printed, as a command or as lines for a file. Nothing
is changed, no PIN is sent, and no vendor's library is loaded.

Run it as root or as the daemon's account; others cannot see everything. The exit code
is 7 if something is wrong.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			d := &doctor{}
			d.examine(cmd.Context(), c, path, account)
			return c.diagnosis(d.findings)
		},
	}
	cmd.Flags().StringVar(&path, "config", "/etc/sealward/sealward.hcl", "the daemon's configuration `file`")
	cmd.Flags().StringVar(&account, "user", "", "the `account` that the daemon runs as: by default that of its unit, or sealward, or your own for a private set-up")
	return cmd
}

func (c *cli) diagnosis(findings []finding) error {
	if err := c.record(findings, func(w io.Writer) error { return showFindings(w, findings) }); err != nil {
		return err
	}
	failed := 0
	for _, f := range findings {
		if f.Level == levelFail {
			failed++
		}
	}
	if failed > 0 {
		return problems{fmt.Sprintf("%d of %d checks failed", failed, len(findings))}
	}
	return nil
}

func showFindings(w io.Writer, findings []finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "%-4s  %s: %s\n", f.Level, f.Check, console.Safe(f.What)); err != nil {
			return err
		}
		for line := range strings.Lines(f.Fix) {
			fmt.Fprintf(w, "        %s\n", console.Safe(strings.TrimRight(line, "\n")))
		}
	}
	return nil
}

// examine goes from what everything needs to what only some need.
func (d *doctor) examine(ctx context.Context, c *cli, path, account string) {
	if !d.configuration(path) {
		return
	}
	d.unit = d.readUnit(ctx)
	d.whose(account)
	d.programs()
	for _, t := range d.cfg.Tokens {
		switch {
		case t.PKCS11 != nil:
			d.module(t)
		case t.TPM != nil:
			d.chip(t)
		case t.PIV != nil:
			d.card(t)
		}
		d.worker(t)
		d.secret(t)
		d.mark(t)
	}
	d.files()
	d.sockets()
	d.clock()
	d.disk()
	d.daemon(ctx, c)
}

func (d *doctor) configuration(path string) bool {
	const check = "configuration"
	src, err := trustfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.fail(check, "sealward init "+filepath.Dir(path), "there is no %s", path)
		return false
	}
	if err != nil {
		d.wrong(check, "sealward doctor --config PATH  # of the one that is meant", err.Error())
		return false
	}
	if d.cfg, err = config.Parse(path, src); err != nil {
		d.fail(check, "sealwardd --check-config --config "+path+"  # once these lines are set right", "%v", err)
		return false
	}
	d.ok(check, "%s: tokens: %d, keys: %d", path, len(d.cfg.Tokens), len(d.cfg.Keys))
	if err := trustfile.Check(d.cfg.Policy); err != nil {
		d.wrong("policy", "sealward init DIR  # writes one to begin with", err.Error())
	} else {
		d.ok("policy", "%s", d.cfg.Policy)
	}
	return true
}

// whose finds the account that the daemon runs as, and the groups that it is in there.
func (d *doctor) whose(name string) {
	var err error
	switch {
	case name != "":
	case d.unit.first("User") != "":
		name = d.unit.first("User")
	case !d.cfg.Private:
		name = "sealward"
	}
	if name == "" {
		d.account, err = user.Current()
	} else {
		d.account, err = user.Lookup(name)
	}
	if err != nil {
		d.account = nil
		d.fail("account", "systemd-sysusers", "there is no account %q for the daemon to run as", name)
		return
	}
	ids, err := d.account.GroupIds()
	if err != nil {
		d.warn("account", "id "+d.account.Username, "its groups cannot be listed: %v", err)
	}
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			d.groups = append(d.groups, g.Name)
		}
	}
	d.groups = append(d.groups, d.unit.words("SupplementaryGroups")...)
	d.ok("account", "the daemon runs as %s, with the groups %s", d.account.Username, strings.Join(d.groups, ", "))
}

// acceptTime has the daemon start once with --accept-time.
const acceptTime = `mkdir -p /run/systemd/system/sealwardd.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/bin/sealwardd --config %s --accept-time\n' >/run/systemd/system/sealwardd.service.d/accept.conf
systemctl daemon-reload && systemctl restart sealwardd
rm /run/systemd/system/sealwardd.service.d/accept.conf && systemctl daemon-reload`

// daemon asks the running daemon what only it knows.
func (d *doctor) daemon(ctx context.Context, c *cli) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s, err := d.ask(ctx, c)
	if err != nil {
		d.fail("daemon", d.start(), "%s", message(err))
		return
	}
	d.ok("daemon", "%s, since %s", s.GetVersion(), when(s.GetStarted()))
	if s.GetJournalError() != "" {
		d.fail("journal", "systemctl restart sealwardd  # once its disk is in order", "it has stopped, and nothing is signed: %s", s.GetJournalError())
	}
	if s.GetPolicyError() != "" {
		d.fail("policy", "systemctl reload sealwardd  # once these lines are set right", "the file on disk was refused, and an older one is in force: %s", s.GetPolicyError())
	}
	if held := s.GetJournalTimeHeld(); held != nil {
		d.fail("clock", "date  # if that is right:\n"+fmt.Sprintf(acceptTime, d.cfg.Path), "journal time is %s behind the wall clock, and waits for an operator to accept that", held.AsDuration())
	}
	up := map[string]bool{}
	for _, t := range s.GetTokens() {
		up[t.GetName()] = t.GetState() == "up"
		d.token(t)
	}
	for _, k := range s.GetKeys() {
		if !k.GetAvailable() && up[k.GetDevice()] { // else its token says it
			d.fail("key "+k.GetKey(), "sealward keys show "+k.GetKey(), "not available: %s", k.GetReason())
		}
	}
}

// start is how the daemon is started.
func (d *doctor) start() string {
	if d.cfg.Private {
		return "sealwardd --config " + quote(d.cfg.Path)
	}
	return "systemctl start sealwardd || journalctl -u sealwardd -n 50"
}

func (d *doctor) ask(ctx context.Context, c *cli) (*v1.GetStatusResponse, error) {
	asked := *c
	for _, s := range d.cfg.Sockets {
		if s.Name == config.SocketAdmin && s.Path != "" && c.socket == "" {
			asked.socket = s.Path
		}
	}
	return on(&asked, "admin", func(client *api.Client) (*v1.GetStatusResponse, error) { return client.Status(ctx) })
}

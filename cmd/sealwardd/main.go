// Command sealwardd is the signing daemon. Its configuration is one file; see
// docs/operations.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/cmd/version"
	"github.com/sealward/sealward/signer/trustfile"
)

const usage = `sealwardd is a hardware-backed signing daemon.

    sealwardd --config /etc/sealward/sealward.hcl

`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 after a stop in good order, 1 when it could not
// start or stopped on a failure, 2 for a wrong command line.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sealwardd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "/etc/sealward/sealward.hcl", "the configuration `file`")
	check := flags.Bool("check-config", false, "say whether the daemon would start, and why not, and exit; opens the tokens, so it logs in once, unless as root for another account")
	acceptTime := flags.Bool("accept-time", false, "accept the wall clock after a jump across a reboot; limits count from it again")
	show := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "sealwardd: unexpected argument %q; everything is in the configuration file\n", flags.Arg(0))
		return 2
	case *show:
		fmt.Fprintln(stdout, "sealwardd", version.Full())
		return 0
	}
	if err := harden(); err != nil {
		fmt.Fprintf(stderr, "sealwardd: %v\n", err)
		return 1
	}
	log := newLogger(stderr)
	if *check {
		return checkConfig(context.Background(), *path, log, stdout, stderr)
	}
	if err := serve(context.Background(), *path, *acceptTime, log); err != nil {
		log.Error("sealwardd ends", "error", err)
		return 1
	}
	return 0
}

// checkConfig goes through everything that starting does, short of opening the
// journal and the sockets, which a running daemon holds.
func checkConfig(ctx context.Context, path string, log *slog.Logger, stdout, stderr io.Writer) int {
	d := &daemon{log: log, path: path, checking: true}
	defer d.closeTokens()
	err := d.readConfig()
	if err == nil && d.foreign() {
		return checkAsRoot(d, stdout, stderr)
	}
	var notes []string
	if err == nil {
		err = d.prepare(ctx)
	}
	if err == nil {
		notes, err = d.checkPlaces()
	}
	policy := ""
	if err == nil {
		policy, err = d.checkPolicy()
	}
	if err != nil {
		fmt.Fprintf(stderr, "sealwardd would not start:\n%v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "sealwardd would start: %d keys, policy %s\n", len(d.keys), policy)
	for _, n := range append(notes, d.notices()...) {
		fmt.Fprintln(stdout, "note:", n)
	}
	return 0
}

// checkPolicy says which policy a start would put in force. The journal, which a running
// daemon holds, is not asked.
func (d *daemon) checkPolicy() (string, error) {
	d.trusts = d.cfg.TrustPolicyFile
	switch o, _, err := d.readOverride(); {
	case err != nil:
		return "", err
	case o != nil:
		d.remark("%s is there: a start obeys it unless one did before", config.OverrideFile)
	}
	p, first := d.policy.Load(), d.policy.Load() != nil
	if !first {
		var err error
		switch p, err = d.loadPolicy(); {
		case err != nil && d.trusts:
			return "", err
		case err != nil:
			d.remark("the policy on disk would be refused: %v", told(err))
			return "that was in force last, as the journal has it", nil
		}
	}
	d.policy.Store(p)
	if first || d.trusts {
		return versionText(p), nil
	}
	d.remark("the policy on disk is version %s, which counts only once it was asked for: %s", versionText(p), toApply)
	return "that was in force last, as the journal has it", nil
}

// foreign reports whether we are root and the set-up is another account's. What was
// tried of its PINs is that account's to write down, so none is tried here.
func (d *daemon) foreign() bool {
	info, err := os.Stat(filepath.Dir(d.cfg.Journal.Path))
	if err != nil || os.Geteuid() != 0 || d.cfg.Private {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid != 0
}

// checkAsRoot checks what can be checked without a device.
func checkAsRoot(d *daemon, stdout, stderr io.Writer) int {
	errs := []error{d.findWorker()}
	for _, t := range d.cfg.Tokens {
		if _, err := d.tokenConfig(t); err != nil {
			errs = append(errs, fmt.Errorf("token %q: %w", t.Name, err))
		}
	}
	if _, err := trustfile.Read(d.cfg.Policy); err != nil {
		errs = append(errs, fmt.Errorf("read policy: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintf(stderr, "sealwardd would not start:\n%v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "the configuration is sound: %d tokens, %d keys\n", len(d.cfg.Tokens), len(d.cfg.Keys))
	fmt.Fprintln(stdout, "note: this was checked as root, so no device was opened, no PIN was sent and the policy was not checked against the keys; to check those too, run it as the daemon's account: runuser -u sealward -- sealwardd --check-config")
	return 0
}

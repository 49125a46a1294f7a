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

	"github.com/sealward/sealward/cmd/version"
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
	check := flags.Bool("check-config", false, "say whether the daemon would start, and why not, and exit; opens the token, so it logs in once")
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
	var notes []string
	err := d.prepare(ctx)
	if err == nil {
		notes, err = d.checkPlaces()
	}
	if err != nil {
		fmt.Fprintf(stderr, "sealwardd would not start:\n%v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "sealwardd would start: %d keys, policy %x\n", len(d.keys), d.policyNow().Version())
	if os.Geteuid() == 0 {
		notes = append(notes, "this was checked as root; another account may be unable to read the PIN, the token and the journal")
	}
	for _, n := range append(notes, d.notices()...) {
		fmt.Fprintln(stdout, "note:", n)
	}
	return 0
}

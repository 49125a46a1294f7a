// Command sealward is for callers and operators of sealwardd: it asks for
// signatures, shows what payloads would do, and reads keys, limits, policy and the
// journal. docs/cli.md is its manual.
//
// Text on standard output and error is for people; with -o json both are for
// programs. Whatever came from elsewhere is escaped before it is shown. No
// environment variable changes what it does; NO_COLOR and TERM change what the inbox
// looks like.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns the exit code; exit.go has the table.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return (&cli{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}).run(args)
}

func (c *cli) run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what the first cannot: reading a pipe, say
	cmd := c.root()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !c.began {
		err = usageError{err}
	}
	c.explain(err)
	return exitCode(err)
}

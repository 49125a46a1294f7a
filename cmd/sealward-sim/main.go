// Command sealward-sim tries Sealward on a machine without signing hardware, with
// SoftHSM in a private folder. It is for newcomers, developers and benchmarks, and
// is never packaged.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"

	"github.com/sealward/sealward/backends"
)

const usage = `sealward-sim tries Sealward without signing hardware.

    sealward-sim init [--bin DIR] DIR  make a software token, keys, a configuration, a policy and two approvers
    sealward-sim run [--bin DIR] DIR   run the daemon on what init made, until it is interrupted
    sealward-sim up [--bin DIR] --dir DIR
                                       start a software token, a TPM and a PIV card, and make a set-up
    sealward-sim down --dir DIR        end them; what they keep stays in the folder
    sealward-sim demo [--bin DIR]      show the main job in a folder of its own, and remove it
    sealward-sim bench [--bin DIR] [--out FILE]
                                       measure the whole path against the raw token, requests that wait, and decoding

--bin is where sealwardd, sealward and sealward-worker are; bin by default.
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "sealward-sim: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		fmt.Print(usage)
		return nil
	}
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return errors.New("say what to do")
	}
	if args[0] == "measure" && len(args) == 2 { // a child of bench
		return runJob(args[1])
	}
	if args[0] == echoName { // a worker of bench
		os.Exit(backends.Main(args[1:], map[string]backends.NewDriver{echoName: newEcho}))
	}
	if args[0] == "keep" && len(args) == 3 { // a child of up
		return keep(args[1], args[2])
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	bin := flags.String("bin", "bin", "")
	out := flags.String("out", "bench.json", "")
	named := flags.String("dir", "", "")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if args[0] == "up" || args[0] == "down" {
		return switchDevices(args[0], *bin, *named, flags.NArg())
	}
	dir := flags.Arg(0)
	needsDir := args[0] == "init" || args[0] == "run"
	if needsDir != (flags.NArg() == 1) || flags.NArg() > 1 {
		return fmt.Errorf("%s: wrong number of arguments; see sealward-sim help", args[0])
	}
	switch args[0] {
	case "init":
		return initialise(*bin, dir)
	case "run":
		return runDaemon(*bin, dir)
	case "demo":
		return demo(*bin, os.Stdout)
	case "bench":
		return bench(*bin, *out)
	}
	return fmt.Errorf("%q is not something that it does; see sealward-sim help", args[0])
}

// switchDevices switches them on or off.
func switchDevices(to, bin, dir string, more int) error {
	switch {
	case dir == "" || more > 0:
		return fmt.Errorf("%s: say where, with --dir and nothing else; see sealward-sim help", to)
	case to == "up":
		return up(bin, dir)
	}
	return down(dir)
}

package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

const (
	outputText = "text"
	outputJSON = "json"
)

// cli is one run of the program: its streams, its clock and its global flags.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time

	sockets, socket, output string
	socketsGiven            bool // on the command line

	// began is set once the command line was understood; what fails before is an
	// error of usage.
	began bool
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sealward",
		Short: "ask sealwardd for signatures, and see what it knows",
		Long: `sealward asks the signing daemon sealwardd for signatures, shows what a payload
would do, and reads keys, limits, policy and the journal.

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 denied, 4 wrong request,
5 ask again later, 6 not found, 7 what was checked has problems, 8 waits for people.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if c.output != outputText && c.output != outputJSON {
				bad := c.output
				c.output = outputText
				return usage("-o %q: want %s or %s", bad, outputText, outputJSON)
			}
			if err := flagsMakeSense(cmd); err != nil {
				return err
			}
			c.socketsGiven = cmd.Flag("sockets").Changed
			c.began = true
			return nil
		},
	}
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see %s --help", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&c.sockets, "sockets", "/run/sealward", "the `folder` of the daemon's sockets, sign.sock and admin.sock")
	flags.StringVar(&c.socket, "socket", "", "the one `socket` to use for every call, instead")
	flags.StringVarP(&c.output, "output", "o", outputText, "`format` of the output: text for people, json for programs")
	fixed(root, "output", outputText, outputJSON)
	root.AddCommand(
		c.initCommand(), c.signCommand(), c.inspectCommand(), c.limitsCommand(), c.requestCommand(), c.keysCommand(),
		c.approveCommand(), c.rejectCommand(), c.withdrawCommand(), c.approvalCommand(), c.freezeCommand(), c.thawCommand(),
		c.inboxCommand(), c.watchCommand(),
		c.unlockCommand(), c.policyCommand(), c.descriptorsCommand(), c.journalCommand(), c.statusCommand(), c.doctorCommand(), c.versionCommand(),
	)
	return root
}

// flagsMakeSense refuses flags that exclude each other, and those that are given with
// nothing in them, as a shell does with a variable that is not set: without its --chain
// or its --id a command would do less than was meant.
func flagsMakeSense(cmd *cobra.Command) error {
	if err := cmd.ValidateFlagGroups(); err != nil {
		return usage("%w; see %s --help", err, cmd.CommandPath())
	}
	for _, name := range []string{"id", "key", "from", "public-key", "chain", "book", "tokens", "descriptors", "policy", "config", "expires", "file", "version"} {
		f := cmd.Flag(name)
		if f != nil && f.Changed && (f.Value.String() == "" || f.Value.String() == "[]") {
			return usage("--%s is empty; give it a value, or leave it out", name)
		}
	}
	return nil
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%s what? see %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return usage("%s: unknown command %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	g.AddCommand(commands...)
	return g
}

// arguments wants between least and most of them.
func arguments(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usage("%s: want %s, got %d arguments; see %s --help", cmd.CommandPath(), names, len(args), cmd.CommandPath())
		}
		return nil
	}
}

// required is a flag without which a command makes no sense.
func required(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flag(name); f.Value.String() == "" {
			return usage("%s: --%s is missing; see %s --help", cmd.CommandPath(), name, cmd.CommandPath())
		}
	}
	return nil
}

// path is where a socket of the daemon is.
func (c *cli) path(name string) string {
	if c.socket != "" {
		return c.socket
	}
	return filepath.Join(c.sockets, name+".sock")
}

// on makes a call on a socket, "sign" or "admin".
func on[T any](c *cli, name string, call func(*api.Client) (T, error)) (T, error) {
	client := api.Dial(c.path(name))
	defer client.Close()
	return call(client)
}

// onEither prefers the admin socket, which tells more, and uses the other one when
// there is none or it is not for this user.
func onEither[T any](c *cli, call func(*api.Client) (T, error)) (T, error) {
	res, err := on(c, "admin", call)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ECONNREFUSED) {
		return on(c, "sign", call)
	}
	return res, err
}

// fixed completes a flag out of a list.
func fixed(cmd *cobra.Command, flag string, values ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// completeKeys completes names of keys, which it asks the daemon for.
func (c *cli) completeKeys(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(orBackground(cmd.Context()), time.Second)
	defer cancel()
	keys, err := onEither(c, func(client *api.Client) ([]*v1.Key, error) { return client.Keys(ctx) })
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
	}
	var out []string
	for _, k := range keys {
		if strings.HasPrefix(k.GetName(), begun) {
			out = append(out, k.GetName()+"\t"+k.GetAlgorithm()+" "+k.GetEthereumAddress())
		}
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeTokens completes names of tokens, which it asks the daemon for.
func (c *cli) completeTokens(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(orBackground(cmd.Context()), time.Second)
	defer cancel()
	status, err := on(c, "admin", func(client *api.Client) (*v1.GetStatusResponse, error) { return client.Status(ctx) })
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
	}
	var out []string
	for _, t := range status.GetTokens() {
		if strings.HasPrefix(t.GetName(), begun) {
			out = append(out, t.GetName()+"\t"+t.GetKind()+", "+t.GetState())
		}
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// must is for registrations that only a mistake in this package can fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
)

func (c *cli) policyDiffCommand() *cobra.Command {
	var configPath string
	cmd := &cobra.Command{
		Use:   "diff [OLD] NEW [--config sealward.hcl]",
		Short: "say in words what another policy decides otherwise",
		Long: `Say what becomes different when the policy NEW replaces OLD, or the one in force: first
names that stand for something else, then what is looser, then what cannot be told, then
what is tighter. Each is a file, a version of which the daemon's journal keeps the policy,
cut short to 8 digits or more, or "current" for the one in force.

Of two files, the names of keys and sockets come from --config, or from sealward.hcl beside
each, or else from the cases beside each; no daemon is needed. With a version, the keys are
those of the policy in force.

The exit code is 0 if the two decide alike and 7 if not.`,
		Args: arguments(1, 2, "NEW, or OLD and NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				args = []string{currentPolicy, args[0]}
			}
			return c.diffPolicies(cmd.Context(), args[0], args[1], configPath)
		},
		Example: `  sealward policy diff /etc/sealward/policy.hcl
  sealward policy diff policy.hcl candidate.hcl
  sealward policy diff 3bd42fbb current`,
	}
	cmd.Flags().StringVar(&configPath, "config", "", "of two files: the configuration `file` that has the names of keys and sockets")
	return cmd
}

// compared is one of two policies.
type compared struct {
	Policy string `json:"policy"` // the file, or the version as it was given
	// Version is empty where the keys are made up, since it is of the keys, too.
	Version string `json:"version,omitempty"`
	loaded  *policy.Policy
}

// difference is what becomes of one policy in another.
type difference struct {
	Old     compared      `json:"old"`
	New     compared      `json:"new"`
	Changes []consequence `json:"changes"`
}

func (c *cli) diffPolicies(ctx context.Context, old, new, configPath string) error {
	var d difference
	var err error
	if names := []string{old, new}; isFile(names[0]) && isFile(names[1]) {
		d, err = twoFiles(old, new, configPath)
	} else if configPath != "" {
		err = usage("--config is for two files; with the daemon's policies the keys are those that it has")
	} else {
		d, err = c.kept(ctx, old, new)
	}
	if err != nil {
		return err
	}
	d.Changes = consequences(d.Old.loaded, d.New.loaded)
	if err := c.record(d, d.show); err != nil || len(d.Changes) == 0 {
		return err
	}
	return problems{"the two policies do not decide alike"}
}

func (d difference) show(w io.Writer) error {
	if d.Old.loaded.Version() == d.New.loaded.Version() {
		_, err := fmt.Fprintln(w, "the two are the same, to the byte")
		return err
	}
	return showChanges(w, d.Changes)
}

// showChanges writes what a policy decides otherwise, a line for each, and conditions
// below it, line by line.
func showChanges(w io.Writer, changes []consequence) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "the text differs, its meaning does not: the two decide alike")
		return err
	}
	for _, ch := range changes {
		if _, err := fmt.Fprintf(w, "%-9s  %s: %s\n", ch.Kind, console.Safe(ch.Where), console.Safe(ch.Text)); err != nil {
			return err
		}
		for _, side := range [][2]string{{"-", ch.Old}, {"+", ch.New}} {
			for line := range strings.Lines(side[1]) {
				if _, err := fmt.Fprintf(w, "  %s %s\n", side[0], console.Safe(strings.TrimSuffix(line, "\n"))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isFile reports whether an argument is that of a file. What looks like a version is
// one, unless there is such a file.
func isFile(name string) bool {
	if name != currentPolicy && !versionBegin.MatchString(name) {
		return true
	}
	_, err := os.Stat(name)
	return err == nil
}

// twoFiles loads both without a daemon.
func twoFiles(old, new, configPath string) (d difference, err error) {
	_, env, err := (&namesFlags{new, configPath}).env()
	if err == nil {
		d.New, err = comparedFile(new, env)
	}
	if err != nil {
		return d, asProblem(err)
	}
	// A policy of before may lie anywhere, and is then one of the same daemon's.
	_, own, err := (&namesFlags{old, configPath}).env()
	if _, none := errors.AsType[unconfigured](err); none {
		own, err = env, nil
	}
	if err == nil {
		d.Old, err = comparedFile(old, own)
	}
	return d, asProblem(err)
}

func comparedFile(path string, env policy.Env) (compared, error) {
	p, err := loadPolicy(path, env)
	if err == nil {
		_, err = descriptorsOf(path, p)
	}
	return compared{Policy: path, loaded: p}, err
}

// kept loads what the daemon has, and a file with the keys and sockets of the policy in
// force.
func (c *cli) kept(ctx context.Context, old, new string) (d difference, err error) {
	client := api.Dial(c.path("admin"))
	defer client.Close()
	inForce, current, err := c.keptPolicy(ctx, client, "")
	if err != nil {
		return d, err
	}
	load := func(name string) (compared, error) {
		p := current
		switch {
		case isFile(name):
			var err error
			if p, err = candidateIn(name, inForce); err != nil {
				return compared{}, err
			}
		case name != currentPolicy:
			version, err := policyVersion(ctx, client, name)
			if err != nil {
				return compared{}, err
			}
			if _, p, err = c.keptPolicy(ctx, client, version); err != nil {
				return compared{}, err
			}
		}
		return compared{name, fmt.Sprintf("%x", p.Version()), p}, nil
	}
	if d.Old, err = load(old); err != nil {
		return d, err
	}
	d.New, err = load(new)
	return d, err
}

// keptPolicy loads a version of the policy as the daemon has it, or the one in force if
// version is empty.
func (c *cli) keptPolicy(ctx context.Context, client *api.Client, version string) (policy.Bundle, *policy.Policy, error) {
	res, err := client.Policy(ctx, version)
	if err != nil {
		return policy.Bundle{}, nil, err
	}
	b, p, err := c.bundleOf(res)
	if err == nil && p == nil {
		err = fmt.Errorf("policy %.80q of the daemon cannot be loaded by this program; is it as old as the daemon?", res.GetVersion())
	}
	return b, p, err
}

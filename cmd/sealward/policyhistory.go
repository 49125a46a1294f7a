package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
)

func (c *cli) policyHistoryCommand() *cobra.Command {
	var limit uint32
	cmd := &cobra.Command{
		Use: "history", Short: "which policy came into force when (admin socket)",
		Long: `Show which policy came into force when, the latest first: by the start of the daemon,
or by a change while it ran. The journal keeps all that a version stands for, which
"policy show" prints; records of old versions of Sealward do not have it.`,
		Args: arguments(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := api.Dial(c.path("admin"))
			defer client.Close()
			all, err := policyRecords(cmd.Context(), client, int(limit))
			if err != nil {
				return err
			}
			return c.answer(&v1.ListPoliciesResponse{Policies: all}, func(w io.Writer) error { return showHistory(w, all) })
		},
	}
	cmd.Flags().Uint32Var(&limit, "limit", 100, "how `many` to show; 0: all")
	return cmd
}

// policyRecords reads the latest records, page by page; all of them for 0.
func policyRecords(ctx context.Context, client *api.Client, limit int) (all []*v1.PolicyRecord, err error) {
	for before := uint64(0); ; before = all[len(all)-1].GetLeaf() {
		want := page
		if limit > 0 {
			want = min(page, limit-len(all))
		}
		if want == 0 || before == 0 && len(all) > 0 { // leaf 0 is the first of all
			return all, nil
		}
		res, err := client.Policies(ctx, before, uint32(want))
		if err != nil {
			return nil, err
		}
		all = append(all, res.GetPolicies()...)
		if len(res.GetPolicies()) < want {
			return all, nil
		}
	}
}

func showHistory(w io.Writer, all []*v1.PolicyRecord) error {
	var rows [][]string
	for _, p := range all {
		how, state, kept := p.GetEvent(), "", "yes"
		switch signer.EventType(how) {
		case signer.EventStarted:
			how = "start"
		case signer.EventPolicy:
			how = "change"
		}
		if p.GetInForce() {
			state = "in force"
		}
		if !p.GetKept() {
			kept = "no"
		}
		rows = append(rows, []string{strconv.FormatUint(p.GetLeaf(), 10), when(p.GetTime()), p.GetVersion(), how, kept, state})
	}
	return table(w, []string{"LEAF", "TIME", "VERSION", "HOW", "KEPT", ""}, rows)
}

// currentPolicy is what the policy in force is called on a command line.
const currentPolicy = "current"

func (c *cli) policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [VERSION [DIR]]", Short: "show a policy that is or was in force (admin socket)",
		Long: `Print the policy file of a version, as the daemon has it or its journal keeps it: the
one in force without VERSION, or with "current". VERSION may be cut short to 8 digits or
more where that is enough to tell. What is on disk may be another one.

With DIR, all that the version stands for is written to that new folder: the policy file
and the files that it names, byte for byte. Standard output has the exact bytes, too,
unless it is a terminal: there, what does not print is shown as an escape.`,
		Args: arguments(0, 2, "a VERSION, and a new folder DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := api.Dial(c.path("admin"))
			defer client.Close()
			version := ""
			if len(args) > 0 && args[0] != currentPolicy {
				var err error
				if version, err = policyVersion(cmd.Context(), client, args[0]); err != nil {
					return err
				}
			}
			res, err := client.Policy(cmd.Context(), version)
			if err != nil {
				return err
			}
			b, _, err := c.bundleOf(res)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return c.writeBundle(args[1], res.GetVersion(), b)
			}
			return c.answer(res, func(io.Writer) error { return c.showSource(b.Source) })
		},
	}
}

var (
	versionBegin = regexp.MustCompile(`^[0-9a-f]{8,64}$`)
	versionWhole = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// policyVersion finds the version that begins as a text does.
func policyVersion(ctx context.Context, client *api.Client, text string) (string, error) {
	switch {
	case !versionBegin.MatchString(text):
		return "", usage("version %q: want 8 to 64 hexadecimal digits, as `sealward policy history` has them, or %s", text, currentPolicy)
	case len(text) == 64:
		return text, nil
	}
	all, err := policyRecords(ctx, client, 0)
	if err != nil {
		return "", err
	}
	found := map[string]bool{}
	for _, p := range all {
		if strings.HasPrefix(p.GetVersion(), text) {
			found[p.GetVersion()] = true
		}
	}
	versions := slices.Sorted(maps.Keys(found))
	switch len(versions) {
	case 0:
		return "", &signer.Error{Code: signer.CodeNotFound, Detail: fmt.Sprintf("no policy whose version begins with %s was in force; `sealward policy history` has those that were", text)}
	case 1:
		return versions[0], nil
	}
	return "", usage("version %s is not enough to tell; it may be %s", text, strings.Join(versions, " or "))
}

// bundleOf reads the bundle in an answer, and holds it to the version that it came as.
// What this program cannot load, as an older policy may be, it cannot hold to anything;
// then there is no policy.
func (c *cli) bundleOf(res *v1.GetPolicyResponse) (policy.Bundle, *policy.Policy, error) {
	b, err := policy.ReadBundle(res.GetBundle())
	if err != nil {
		return policy.Bundle{}, nil, err
	}
	p, err := b.Load()
	if err != nil {
		fmt.Fprintf(c.stderr, "note: this program cannot load policy %.8s, so whether this is what its version stands for was not checked: %s\n", console.Safe(res.GetVersion()), console.Safe(err.Error()))
		return b, nil, nil
	}
	if found := fmt.Sprintf("%x", p.Version()); found != res.GetVersion() {
		return policy.Bundle{}, nil, fmt.Errorf("what the daemon returned as policy %.80q is policy %s; do not use it", res.GetVersion(), found)
	}
	return b, p, nil
}

// showSource writes a policy file: for a program as it is, for a terminal so that
// nothing in it hides or moves.
func (c *cli) showSource(src []byte) error {
	if f, ok := c.stdout.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		_, err := c.stdout.Write(src)
		return err
	}
	safe := sourceLines(src)
	if _, err := io.WriteString(c.stdout, safe); err != nil {
		return err
	}
	if safe != string(src) {
		fmt.Fprintln(c.stderr, "note: characters that a terminal would not show as they are stand as \\u{...}; send the output to a file for the exact bytes")
	}
	return nil
}

func sourceLines(src []byte) string {
	var out strings.Builder
	for line := range strings.Lines(string(src)) {
		text, ended := strings.CutSuffix(line, "\n")
		for i, part := range strings.Split(text, "\t") {
			if i > 0 {
				out.WriteByte('\t')
			}
			out.WriteString(console.Safe(part))
		}
		if ended {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// writeBundle writes the files of a bundle to a new folder.
func (c *cli) writeBundle(dir, version string, b policy.Bundle) (err error) {
	files := map[string][]byte{b.Name: b.Source}
	for name, data := range b.Files {
		if _, twice := files[name]; twice {
			return fmt.Errorf("policy %s has two files called %q", version, name)
		}
		files[name] = data
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already; name a folder that is not", dir)
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	root, err := os.OpenRoot(dir) // what the daemon calls a file does not lead out of it
	if err != nil {
		return err
	}
	defer root.Close()
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if err := writeUnder(root, name, files[name]); err != nil {
			return err
		}
	}
	report := struct {
		Version string   `json:"version"`
		Folder  string   `json:"folder"`
		Policy  string   `json:"policy"`
		Files   []string `json:"files"`
	}{version, dir, b.Name, names}
	return c.record(report, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "policy %s is in %s: %s\n", version, console.Safe(dir), console.Safe(strings.Join(names, ", ")))
		return err
	})
}

func writeUnder(root *os.Root, name string, data []byte) error {
	if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(name)), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

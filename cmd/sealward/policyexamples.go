package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/console"
)

// examples are policies to begin with, each a folder with all that it names and with
// cases for `policy test`.
//
//go:embed examples
var examples embed.FS

func (c *cli) policyExamplesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "examples [NAME [DIR]]",
		Short: "policies to begin with, and cases that test them",
		Long: `Without NAME, list the example policies. With NAME, print that policy. With DIR, write
it to the new folder DIR, with its cases and the certificates that it names; nothing is
overwritten. From there

  sealward policy test DIR/policy.hcl

tries it at once.

The certificates of approvers are placeholders: nobody has the private keys to them, so
nothing that asks for approvals is ever approved until you put those of your people in
their place.`,
		Args: arguments(0, 2, "a NAME and a DIR at most"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return exampleNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.listExamples()
			}
			if !slices.Contains(exampleNames(), args[0]) {
				return usage("there is no example %q; there are: %s", args[0], strings.Join(exampleNames(), ", "))
			}
			if len(args) == 1 {
				return c.printExample(args[0])
			}
			return c.writeExample(args[0], args[1])
		},
	}
}

// exampleNames are the folders of the examples.
func exampleNames() []string {
	entries, err := examples.ReadDir("examples")
	must(err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func examplePolicy(name string) ([]byte, error) {
	return examples.ReadFile(path.Join("examples", name, "policy.hcl"))
}

func (c *cli) listExamples() error {
	type example struct {
		Name string `json:"name"`
		What string `json:"what"`
	}
	var all []example
	for _, name := range exampleNames() {
		src, err := examplePolicy(name)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(src), "\n") // says what it is for
		all = append(all, example{name, strings.TrimPrefix(first, "# ")})
	}
	return c.record(all, func(w io.Writer) error {
		var rows [][2]string
		for _, e := range all {
			rows = append(rows, [2]string{e.Name, e.What})
		}
		return sheet(w, rows...)
	})
}

func (c *cli) printExample(name string) error {
	src, err := examplePolicy(name)
	if err != nil {
		return err
	}
	report := struct {
		Name   string `json:"name"`
		Policy string `json:"policy"`
	}{name, string(src)}
	return c.record(report, func(w io.Writer) error {
		_, err := w.Write(src)
		return err
	})
}

// writeExample writes an example to a folder that must not be there yet.
func (c *cli) writeExample(name, dir string) (err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("%w; name a new folder, inside of one that is there", err)
	}
	defer func() {
		if err != nil { // such as a full disk
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	report := struct {
		Folder string   `json:"folder"`
		Files  []string `json:"files"`
	}{Folder: dir}
	root := path.Join("examples", name)
	err = fs.WalkDir(examples, root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || at == root {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(at, root+"/")))
		if entry.IsDir() {
			return os.Mkdir(to, 0o755)
		}
		text, err := examples.ReadFile(at)
		if err != nil {
			return err
		}
		report.Files = append(report.Files, to)
		return create(to, text, 0o644)
	})
	if err != nil {
		return err
	}
	return c.record(report, func(w io.Writer) error {
		for _, file := range report.Files {
			if _, err := fmt.Fprintln(w, "wrote "+console.Safe(file)); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, `
Next: put your keys, callers, accounts and limits in place of the example's, and the
certificates of your approvers in place of the placeholders; change the cases with them.
After every change:
  sealward policy test %s
`, console.Safe(filepath.Join(dir, "policy.hcl")))
		return err
	})
}

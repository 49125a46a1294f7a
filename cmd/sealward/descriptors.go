package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

func (c *cli) descriptorsCommand() *cobra.Command {
	return group("descriptors", "labels for the parts of Ethereum payloads (ERC-7730)", c.descriptorsPinCommand())
}

func (c *cli) descriptorsPinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin DIR",
		Short: "pin the descriptors in a folder",
		Long: `Write ` + erc7730.ManifestName + ` into the folder DIR: the SHA-256 of every file in it and
below it whose name ends in ".json". From then on the folder is read only as it is now;
a file that changed, is missing or was added is refused by name. Look at the
descriptors before you pin them: what they call the parts of a payload is what
approvers read beside what it does.

Descriptors that are wrong are named, with the reason; they are pinned like the others
and not used. The exit code is 7 then.`,
		Args: arguments(1, 1, "one DIR"),
		RunE: func(_ *cobra.Command, args []string) error { return c.pinDescriptors(args[0]) },
	}
}

// pinned is what was pinned.
type pinned struct {
	Manifest     string          `json:"manifest"`
	Digest       string          `json:"digest"` // of the manifest
	Descriptors  []string        `json:"descriptors"`
	Templates    []string        `json:"templates"`
	Attestations []string        `json:"attestations"`
	Refused      []refusedToLoad `json:"refused"`
}

type refusedToLoad struct {
	File   string `json:"file"`
	Place  string `json:"place"`
	Reason string `json:"reason"`
}

func (c *cli) pinDescriptors(dir string) error {
	// Nothing in the folder leads out of it, symbolic links included.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("pin descriptors: %w", err)
	}
	defer root.Close()
	manifest, _, err := erc7730.Pin(root.FS())
	if err != nil {
		return fmt.Errorf("pin %s: %w", dir, err)
	}
	if err := replace(root, erc7730.ManifestName, manifest); err != nil {
		return fmt.Errorf("pin %s: %w", dir, err)
	}
	set, err := erc7730.Load(root.FS()) // as the daemon will
	if err != nil {
		return fmt.Errorf("pin %s: %w", dir, err)
	}
	digest := set.Digest()
	out := pinned{
		Manifest: filepath.Join(dir, erc7730.ManifestName), Digest: hexText(digest[:]),
		Descriptors: nonNil(set.Files()), Templates: nonNil(set.Templates()),
		Attestations: nonNil(set.Attestations()), Refused: []refusedToLoad{},
	}
	for _, r := range set.Refused() {
		out.Refused = append(out.Refused, refusedToLoad(r))
	}
	if err := c.record(out, func(w io.Writer) error { return showPinned(w, out) }); err != nil {
		return err
	}
	if n := len(out.Refused); n > 0 {
		all := n + len(out.Descriptors) + len(out.Templates) + len(out.Attestations)
		return problems{fmt.Sprintf("%d of %d files are refused; they are pinned and not used", n, all)}
	}
	return nil
}

// replace puts a file into its place as a whole or not at all.
func replace(root *os.Root, name string, data []byte) (err error) {
	const fresh = erc7730.ManifestName + ".new"
	f, err := root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return root.Rename(fresh, name)
}

func showPinned(w io.Writer, p pinned) error {
	if len(p.Refused) > 0 {
		var rows [][]string
		for _, r := range p.Refused {
			rows = append(rows, []string{r.File, r.Place, r.Reason})
		}
		if err := table(w, []string{"REFUSED", "WHERE", "WHY"}, rows); err != nil {
			return err
		}
	}
	return sheet(w,
		[2]string{"descriptors", fmt.Sprint(len(p.Descriptors))},
		[2]string{"templates", fmt.Sprint(len(p.Templates))},
		[2]string{"attestations", fmt.Sprint(len(p.Attestations))},
		[2]string{"refused", fmt.Sprint(len(p.Refused))},
		[2]string{"manifest", p.Manifest},
		[2]string{"digest", p.Digest},
	)
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
)

// world is the flags that say where to read what the user knows of the world.
type world struct {
	names                     namesFlags
	book, tokens, descriptors string
}

func (w *world) flags(cmd *cobra.Command) {
	w.names.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&w.book, "book", "", "a `file` of blocks asset, addresses, contract and token_list, as in a policy")
	f.StringVar(&w.tokens, "tokens", "", "a `file` of names and decimals of tokens, in the token-list format")
	f.StringVar(&w.descriptors, "descriptors", "", "a `folder` of ERC-7730 descriptors that was pinned")
	cmd.MarkFlagsMutuallyExclusive("book", "policy")
}

// known is what was read.
type known struct {
	book        signer.Book
	descriptors *erc7730.Set // nil: none
}

func (w *world) read() (known, error) {
	out, err := w.owned()
	if err != nil {
		return known{}, err
	}
	if w.tokens != "" {
		src, err := os.ReadFile(w.tokens)
		if err != nil {
			return known{}, fmt.Errorf("--tokens: %w", err)
		}
		if out.book, err = policy.AddTokens(out.book, w.tokens, src); err != nil {
			return known{}, err
		}
	}
	if w.descriptors != "" {
		if out.descriptors, err = loadDescriptors(w.descriptors); err != nil {
			return known{}, fmt.Errorf("--descriptors %s: %w", w.descriptors, err)
		}
	}
	return out, nil
}

// loadDescriptors reads a folder that is there and was pinned.
func loadDescriptors(dir string) (*erc7730.Set, error) {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such folder")
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, errors.New("it is no folder; name the one that the descriptors are in")
	}
	if _, err := os.Stat(filepath.Join(dir, erc7730.ManifestName)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, so it was not pinned; look at the files in it, then run: sealward descriptors pin %s", erc7730.ManifestName, dir)
	}
	return erc7730.Load(os.DirFS(dir))
}

// owned is what the owner's own files say: a book, or a policy.
func (w *world) owned() (known, error) {
	switch {
	case w.book != "":
		if w.names.config != "" {
			return known{}, usage("--config is for --policy; a --book names no keys")
		}
		src, err := os.ReadFile(w.book)
		if err != nil {
			return known{}, fmt.Errorf("--book: %w", err)
		}
		book, err := policy.LoadBook(w.book, src, policy.Env{Files: filesBeside(w.book)})
		return known{book: book}, err
	case w.names.policy != "":
		path, p, err := w.names.load()
		if err != nil {
			return known{}, err
		}
		set, err := descriptorsOf(path, p)
		return known{p.Book(), set}, err
	case w.names.config != "":
		return known{}, usage("--config is for --policy, which is missing")
	}
	return known{}, nil
}

// labels are what the descriptors call the parts of a payload: nil where none applies,
// and the reason where one does that the payload does not fit.
func (k known) labels(in signer.Intent, payload []byte, from string) (*signer.ClearSigning, error) {
	if k.descriptors == nil {
		return nil, nil
	}
	labels, err := k.descriptors.Describe(in, payload, from, k.book)
	if err == nil && labels == nil {
		err = errors.New("no descriptor in the folder is for this contract and call, or this type of message")
		if n := len(k.descriptors.Refused()); n > 0 {
			err = fmt.Errorf("%w; %d files are invalid and not used", err, n)
		}
	}
	return labels, err
}

// maxDescribed is how long a descriptor's name of a contract may be; those of the public
// registry have at most 35 bytes.
const maxDescribed = 64

// names are for showing an intent: the book's, and those that descriptors give to the
// contracts in it.
func (k known) names(in signer.Intent, now time.Time) console.Names {
	out := console.Names{Assets: k.book.Assets, Accounts: k.book.Accounts, Contracts: k.book.Contracts, Canonical: canonical, Now: now}
	if k.descriptors == nil {
		return out
	}
	out.Described = map[string]string{}
	for _, e := range in.Effects {
		for _, id := range slices.Concat([]string{e.Actor, e.Counterparty}, slices.Collect(maps.Values(e.Attributes))) {
			chain, address, ok := evmAccount(id)
			if !ok {
				continue
			}
			// A name that fills the screen would push away what it stands beside.
			if name, ok := k.descriptors.ContractName(chain, address); ok && len(name) <= maxDescribed {
				out.Described[id] = name
			}
		}
	}
	return out
}

// canonical is the name that everybody knows a contract by.
func canonical(id string) (name string, ok bool) {
	chain, address, ok := evmAccount(id)
	if !ok {
		return "", false
	}
	return evm.CanonicalContract(chain, address)
}

// evmAccount splits a CAIP-10 id of an account of an EVM chain.
func evmAccount(id string) (chain uint64, address [20]byte, ok bool) {
	rest, evm := strings.CutPrefix(id, "eip155:")
	number, digits, _ := strings.Cut(rest, ":0x")
	chain, err := strconv.ParseUint(number, 10, 64)
	raw, herr := hex.DecodeString(digits)
	if !evm || err != nil || herr != nil || len(raw) != len(address) {
		return 0, address, false
	}
	return chain, [20]byte(raw), true
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/trustfile"
)

// approver is an approver's own side of a request: what their files say, and their device.
// Nothing in it comes from a daemon.
type approver struct {
	config.Approver
	path string      // of approver.hcl
	book signer.Book // the approver's own names

	// tell says what only a person can do now, and askPIN asks them for the device's PIN.
	tell   func(text string)
	askPIN func(ctx context.Context, prompt string) ([]byte, error)
	now    func() time.Time
}

// approverFlags say where an approver's configuration is, and how a PIN is asked for.
type approverFlags struct{ config, pinentry string }

func (f *approverFlags) flags(cmd *cobra.Command) {
	f.file(cmd)
	cmd.Flags().StringVar(&f.pinentry, "pinentry", "", "ask for the PIN with this `program`, such as pinentry-curses, instead of the terminal")
}

// file is for commands that sign nothing.
func (f *approverFlags) file(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "the approver's own `file`; ~/.config/sealward/approver.hcl if not given")
}

// approverPath is where approver.hcl is if nobody says. The home folder is that of the
// account database: no variable of the environment leads to another file.
func approverPath() (path, home string, err error) {
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		return "", "", fmt.Errorf("find your home folder: %w; name the file with --config", err)
	}
	return filepath.Join(me.HomeDir, ".config", "sealward", "approver.hcl"), me.HomeDir, nil
}

// loadApprover reads approver.hcl and the approver's own names. Whoever could write them
// could have anything approved, so that nobody but the approver and root may.
func (c *cli) loadApprover(f approverFlags) (*approver, error) {
	a, err := c.bareApprover(f)
	if err != nil || a.Book == "" {
		return a, err
	}
	src, err := trustfile.Read(a.Book)
	if err != nil {
		return nil, fmt.Errorf("book: %w", err)
	}
	beside := func(name string) ([]byte, error) { return trustfile.Read(filepath.Join(filepath.Dir(a.Book), name)) }
	a.book, err = policy.LoadBook(a.Book, src, policy.Env{Files: beside})
	return a, err
}

// bareApprover reads approver.hcl alone, for what needs no names: a freeze must not wait
// for a book to be mended.
func (c *cli) bareApprover(f approverFlags) (*approver, error) {
	path, home, err := approverPath()
	if err != nil && f.config == "" {
		return nil, err
	}
	if f.config != "" {
		if path, err = filepath.Abs(f.config); err != nil {
			return nil, err
		}
	}
	src, err := trustfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; an approver needs one: docs/cli.md has what is in it", err)
	}
	if err != nil {
		return nil, err
	}
	cfg, err := config.ParseApprover(path, home, src)
	if err != nil {
		return nil, err
	}
	a := &approver{Approver: *cfg, path: path, now: c.now, tell: func(text string) { c.notice(text) }}
	a.askPIN = func(ctx context.Context, prompt string) ([]byte, error) { return c.askPIN(ctx, f.pinentry, prompt) }
	return a, nil
}

// anApprover loads approver.hcl where there is one. Without it, a request can be looked
// at, and nothing of it is known to be right.
func (c *cli) anApprover(f approverFlags) (*approver, error) {
	if f.config == "" {
		path, _, err := approverPath()
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return &approver{now: c.now, tell: func(string) {}}, nil
		}
	}
	return c.loadApprover(f)
}

// says is what the approver says about a reviewed request, to be signed. What differs here
// and at the daemon is not approved, whoever asks.
func (a *approver) says(word signer.Word, r reviewed, reason string, validFor time.Duration) (signer.Approval, error) {
	if word == signer.WordApprove {
		if err := r.refusal(); err != nil {
			return signer.Approval{}, err
		}
		return a.statement(word, r.digest, reason, validFor)
	}
	// Who says no says it of what the daemon calls it, whatever that is.
	digest, err := hex.DecodeString(r.told.GetPending().GetProposal())
	if err != nil || len(digest) != len(r.digest) {
		return signer.Approval{}, fmt.Errorf("the daemon calls it %.80q, which is no digest of a proposal", r.told.GetPending().GetProposal())
	}
	return a.statement(word, [32]byte(digest), reason, validFor)
}

// statement is an approval that is not signed yet.
func (a *approver) statement(word signer.Word, proposal [32]byte, reason string, validFor time.Duration) (signer.Approval, error) {
	now := a.now().UTC().Truncate(time.Second)
	s := signer.Approval{Word: word, Instance: a.Instance, Proposal: proposal, Reason: reason, Time: now}
	if validFor > 0 {
		s.Expires = now.Add(validFor)
	}
	_, err := rand.Read(s.Nonce[:])
	return s, err
}

// sign signs an approval with the approver's device, which is opened for it, and whose key
// it is made for: [signer.Approval.Device] is set here. What it returns is for PostApproval
// and for files.
func (a *approver) sign(ctx context.Context, s signer.Approval) (signed []byte, err error) {
	switch {
	case a.Device.None():
		return nil, fmt.Errorf("%s has no block device, so there is nothing to sign with", a.path)
	case a.Device.SSHKey != "":
		return a.signSSH(ctx, s)
	default:
		return a.signToken(ctx, s)
	}
}

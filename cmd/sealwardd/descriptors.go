package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealward/sealward/policy"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
	"github.com/sealward/sealward/signer/intent/evm/erc7730"
	"github.com/sealward/sealward/signer/trustfile"
)

// inForce is a policy with what its version stands for, and the labels that it names.
type inForce struct {
	*policy.Policy
	bundle policy.Bundle
	labels *erc7730.Set // nil: the policy names none
}

// loadLabels reads the descriptors that a policy names: all of them, as its manifest
// has them, or none.
func (d *daemon) loadLabels(p *policy.Policy) (*erc7730.Set, error) {
	folder, manifest, ok := p.Descriptors()
	if !ok {
		return nil, nil
	}
	path := filepath.Join(filepath.Dir(d.cfg.Policy), folder)
	set, err := erc7730.Load(trusted(path))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if set.Digest() != manifest {
		return nil, fmt.Errorf("read %s: its manifest is not the one that the policy pins: put the reviewed one back, or pin this one with sha256 = \"%x\"", path, set.Digest())
	}
	if refused := set.Refused(); len(refused) > 0 {
		d.log.Warn("some descriptors are invalid and not used", "folder", path, "refused", len(refused), "first", refused[0].String())
	}
	return set, nil
}

// describe returns what the descriptors of the policy in force call the parts of a
// payload. Where one does not fit, or foreign code would run as the account, there are no
// labels: the payload is shown as it is without them, and sealward inspect says why.
func (d *daemon) describe(p signer.Proposal) *signer.ClearSigning {
	now := d.policy.Load()
	if now.labels == nil {
		return nil
	}
	from, err := evm.Address(p.Key.Public)
	if err != nil {
		return nil // a key of another curve signs nothing that has descriptors
	}
	labels, err := now.labels.Describe(p.Intent, p.Request.Payload, from, now.Book())
	if err != nil {
		return nil
	}
	return labels
}

// trusted is a folder of which only files are read that nobody but root and the
// daemon's own account can have written. Folders are only listed: what is in a file is
// pinned, and so is which files there are.
type trusted string

// Open implements [fs.FS].
func (folder trusted) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	path := filepath.Join(string(folder), name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return os.Open(path)
	}
	data, err := trustfile.Read(path)
	if err != nil {
		return nil, err
	}
	return &trustedFile{bytes.NewReader(data), info}, nil
}

type trustedFile struct {
	*bytes.Reader
	info fs.FileInfo
}

// Stat implements [fs.File].
func (f *trustedFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close implements [fs.File].
func (f *trustedFile) Close() error { return nil }

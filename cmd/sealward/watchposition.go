package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// position is how far somebody came who watches a daemon, in a file or, without a path,
// as long as the process runs.
type position struct {
	path     string
	Instance string // of the daemon's journal; empty: it has not begun
	Leaf     uint64
}

// positionFile is what is in the file; docs/cli.md has it.
type positionFile struct {
	Version  int    `json:"version"`
	Instance string `json:"instance"`
	Leaf     string `json:"leaf"`
}

// maxPositionFile is more than any has.
const maxPositionFile = 4096

func (p *position) read() error {
	if p.path == "" {
		return nil
	}
	f, err := os.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--position: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxPositionFile))
	if err != nil {
		return fmt.Errorf("--position: %w", err)
	}
	var in positionFile
	leaf := uint64(0)
	if err = json.Unmarshal(src, &in); err == nil {
		leaf, err = strconv.ParseUint(in.Leaf, 10, 64)
	}
	if err != nil || in.Version != 1 || in.Instance == "" {
		return fmt.Errorf("--position: %s is no file of a position; to begin with what happens from now on, remove it", p.path)
	}
	p.Instance, p.Leaf = in.Instance, leaf
	return nil
}

// start begins where a daemon's journal is, or goes on where the file says, if that is of
// this journal.
func (p *position) start(b begun) error {
	switch {
	case p.Instance == "":
		p.Instance, p.Leaf = b.instance, b.leaf
		return p.write()
	case p.Instance != b.instance:
		return fmt.Errorf("watch: the position is of the journal %s, and this daemon's is %s; to begin with what happens from now on, use another --position", p.Instance, b.instance)
	case p.Leaf >= b.size:
		return fmt.Errorf("watch: the position is leaf %d, and this daemon's journal has %d: it is an older copy; to begin with what happens from now on, use another --position", p.Leaf, b.size)
	}
	return nil
}

func (p *position) advance(leaf uint64) error {
	p.Leaf = leaf
	return p.write()
}

// write replaces the file as a whole, so that a crash leaves the old one or the new one.
func (p *position) write() error {
	if p.path == "" {
		return nil
	}
	src, err := json.Marshal(positionFile{1, p.Instance, decimalText(p.Leaf)})
	if err != nil {
		return fmt.Errorf("--position: %w", err)
	}
	dir := filepath.Dir(p.path)
	f, err := os.CreateTemp(dir, ".position-*")
	if err != nil {
		return fmt.Errorf("--position: %w", err)
	}
	_, err = f.Write(append(src, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("--position: %w", err)
	}
	return syncFolder(dir)
}

// syncFolder has a rename survive a crash (rename(2) says nothing of that; fsync(2): the
// folder is synced by itself).
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("--position: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("--position: %w", err)
	}
	return nil
}

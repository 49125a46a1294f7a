package erc7730

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ManifestName is the name of the manifest in a folder of descriptors.
const ManifestName = "descriptors.sha256"

// Bounds of a folder.
const (
	maxFile    = 512 << 10 // bytes of a file
	maxFiles   = 4096      // files whose name ends in .json
	maxEntries = 1 << 16   // files and folders of any sort
	maxTotal   = 32 << 20  // bytes of all of them
	maxPath    = 512
)

// The manifest is text: this line, then for every file in the order of their paths its
// SHA-256, two spaces and its path, as sha256sum(1) writes them.
const manifestHead = "sealward descriptors 1\n"

// Refusal is a file of a folder that is not used, and why.
type Refusal struct {
	File   string // in the folder
	Place  string // what in the file is wrong, such as display.formats["..."].fields[0]; may be empty
	Reason string
}

func (r Refusal) String() string {
	if r.Place == "" {
		return r.File + ": " + r.Reason
	}
	return r.File + ": " + r.Place + ": " + r.Reason
}

// Pin makes the manifest of a folder: what is in it now is what [Load] accepts from
// then on. Files that are refused are in it too, and are not used.
func Pin(dir fs.FS) (manifest []byte, refused []Refusal, err error) {
	files, names, err := readFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	return writeManifest(files, names), newSet(files, names).refused, nil
}

// Load reads a folder of descriptors that is, file for file, what its manifest says.
func Load(dir fs.FS) (*Set, error) {
	if info, err := fs.Lstat(dir, ManifestName); err == nil && !info.Mode().IsRegular() { // to open a pipe that nobody writes to is to wait
		return nil, fmt.Errorf("descriptors: %s is not a regular file; put a copy there", ManifestName)
	}
	manifest, err := readFile(dir, ManifestName, maxFiles*(maxPath+2*sha256.Size+3))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("descriptors: %s is missing; write it with \"sealward descriptors pin\" once you have looked at the files", ManifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("descriptors: %w", err)
	}
	pinned, err := readManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("descriptors: %s: %w", ManifestName, err)
	}
	files, names, err := readFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := compare(files, names, pinned); err != nil {
		return nil, fmt.Errorf("descriptors: %w", err)
	}
	s := newSet(files, names)
	s.digest = sha256.Sum256(manifest)
	return s, nil
}

func writeManifest(files map[string][]byte, names []string) []byte {
	var b bytes.Buffer
	b.WriteString(manifestHead)
	for _, name := range names {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return b.Bytes()
}

type pinnedFile struct {
	name   string
	digest [sha256.Size]byte
}

// readManifest accepts what writeManifest writes and nothing else.
func readManifest(data []byte) ([]pinnedFile, error) {
	rest, ok := strings.CutPrefix(string(data), manifestHead)
	if !ok {
		return nil, fmt.Errorf("want %s in the first line", quote(strings.TrimSuffix(manifestHead, "\n")))
	}
	var out []pinnedFile
	for line := range strings.Lines(rest) {
		at := len(out) + 2
		line, ended := strings.CutSuffix(line, "\n")
		sum, name, ok := strings.Cut(line, "  ")
		digest, err := hex.DecodeString(sum)
		switch {
		case !ended:
			return nil, fmt.Errorf("line %d: it is cut off", at)
		case !ok || err != nil || len(digest) != sha256.Size || strings.ToLower(sum) != sum:
			return nil, fmt.Errorf("line %d: want 64 lower-case hexadecimal digits, two spaces and a path", at)
		case !goodPath(name):
			return nil, fmt.Errorf("line %d: %s is no path of a descriptor", at, quote(name))
		case len(out) > 0 && out[len(out)-1].name >= name:
			return nil, fmt.Errorf("line %d: %s is out of order or there twice", at, quote(name))
		}
		out = append(out, pinnedFile{name, [sha256.Size]byte(digest)})
	}
	return out, nil
}

// compare names the first file that is not as it was pinned.
func compare(files map[string][]byte, names []string, pinned []pinnedFile) error {
	known := make(map[string]bool, len(pinned))
	for _, p := range pinned {
		known[p.name] = true
		data, there := files[p.name]
		if !there {
			return fmt.Errorf("%s is in %s and is missing; put it back, or pin the folder again", quote(p.name), ManifestName)
		}
		if sha256.Sum256(data) != p.digest {
			return fmt.Errorf("%s is not what was pinned; put the file back, or look at it and pin the folder again", quote(p.name))
		}
	}
	for _, name := range names {
		if !known[name] {
			return fmt.Errorf("%s is not in %s; remove it, or look at it and pin the folder again", quote(name), ManifestName)
		}
	}
	return nil
}

// readFolder reads every file whose name ends in .json; nothing else is looked at.
func readFolder(dir fs.FS) (files map[string][]byte, names []string, err error) {
	files = map[string][]byte{}
	entries, total := 0, 0
	err = fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entries++; entries > maxEntries {
			return fmt.Errorf("more than %d files", maxEntries)
		}
		if path.Ext(name) != ".json" || d.IsDir() {
			return nil
		}
		switch {
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file; put a copy there", quote(name))
		case !goodPath(name):
			return fmt.Errorf("%s: a path has at most %d printable ASCII characters", quote(name), maxPath)
		case len(names) == maxFiles:
			return fmt.Errorf("more than %d files end in .json", maxFiles)
		}
		data, err := readFile(dir, name, maxFile)
		if err != nil {
			return err
		}
		if total += len(data); total > maxTotal {
			return fmt.Errorf("the files have more than %d bytes in all", maxTotal)
		}
		files[name] = data
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("descriptors: %w", err)
	}
	slices.Sort(names)
	return files, names, nil
}

func readFile(dir fs.FS, name string, most int64) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", quote(name), err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", quote(name), most)
	}
	return data, nil
}

// goodPath keeps paths to what a line of the manifest and a message can hold.
func goodPath(name string) bool {
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(name) <= maxPath && fs.ValidPath(name) && path.Ext(name) == ".json"
}

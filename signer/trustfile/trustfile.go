// Package trustfile reads files that decide what is signed (configuration,
// policy, lists, PKCS#11 modules) only where nobody but root and the daemon's own
// account could have written them.
//
// # Order of work
//
// A path is walked from the root, one component at a time, symbolic links
// resolved as they are met. Every component, links included, must be owned by
// root or by the effective uid of this process (when that is root, by root alone),
// and must not be writable by group or others. OpenSSH asks the same of an
// authorized_keys file (safe_path in its misc.c), but of the resolved path only.
//
// # Why a walk over names has no race
//
// Each folder on the way was found writable by trusted accounts alone, so the
// name that is looked up in it next cannot be replaced by anyone else after the
// look: by induction the whole path means later what it meant when it was
// checked, also to the dynamic loader that opens it by name. A sticky folder that
// all may write, such as /tmp, keeps that property for a folder in it that a
// trusted account owns, because only its owner can rename it (unlink(2), EPERM).
// A file lying directly in such a folder is refused: anyone could have hard-linked
// a file of root's to that name.
//
// [Read] then opens the file without following links and checks what it opened
// (fstat), not what it had looked at.
//
// # What this does not defend against
//
// Root, and the daemon's own account. POSIX access control lists need no check of
// their own: the group bits of the mode are the list's mask (acl(5), "Correspondence
// between ACL entries and file permission bits").
package trustfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// MaxSize is the most that [Read] reads, in bytes.
const MaxSize = 4 << 20

// maxLinks bounds the symbolic links on one path, as the kernel does
// (path_resolution(7)).
const maxLinks = 40

// Read returns the content of a trusted regular file of at most [MaxSize] bytes.
func Read(path string) ([]byte, error) {
	real, looked, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if !looked.Mode().IsRegular() {
		return nil, notRegular(path, real, looked)
	}
	// Neither a link that was put there since nor a pipe that nobody writes to.
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	switch {
	case !opened.Mode().IsRegular():
		return nil, notRegular(path, real, opened)
	case !os.SameFile(looked, opened):
		return nil, fmt.Errorf("read %s: %s was replaced while it was being opened; try again", path, real)
	}
	if err := trusted(path, real, opened); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("read %s: the file has more than %d bytes, which is the most for a file of this sort", path, MaxSize)
	}
	return data, nil
}

// Check reports why the regular file at path cannot be trusted. It does not read
// it, so it suits a module that something else is going to load.
func Check(path string) error {
	real, info, err := resolve(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return notRegular(path, real, info)
	}
	return nil
}

// CheckDir reports why the folder at path cannot be trusted to hold only what
// root and this process put there.
func CheckDir(path string) error {
	real, info, err := resolve(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("check %s: %s is %s, want a folder", path, real, describe(info.Mode()))
	}
	if exposed(info.Mode()) {
		return fmt.Errorf("check %s: anyone can create files in %s (mode %s); name a folder of its own, made with mkdir -m 0700", path, real, mode(info))
	}
	return nil
}

// resolve walks path and returns it free of links, with what is there, once every
// component is found trusted.
func resolve(path string) (string, fs.FileInfo, error) {
	if path == "" {
		return "", nil, errors.New("check: no path named")
	}
	w := walk{path: path, todo: components(path)}
	if !filepath.IsAbs(path) {
		wd, err := os.Getwd()
		if err != nil {
			return "", nil, fmt.Errorf("check %s: %w", path, err)
		}
		w.todo = append(components(wd), w.todo...)
	}
	err := w.move("/")
	for err == nil && len(w.todo) > 0 {
		err = w.step()
	}
	return w.at, w.info, err
}

// walk is a path under resolution. It does as path_resolution(7) says, so that it
// ends where the kernel would.
type walk struct {
	path  string      // as it was asked for
	at    string      // resolved so far, free of links
	info  fs.FileInfo // of at
	todo  []string    // components to come
	links int         // met so far
}

// move goes to a place that is not a link, and checks it.
func (w *walk) move(to string) error {
	info, err := os.Lstat(to)
	if err != nil {
		return fmt.Errorf("check %s: %w", w.path, err)
	}
	w.at, w.info = to, info
	return trusted(w.path, to, info)
}

// step resolves one component.
func (w *walk) step() error {
	if !w.info.IsDir() {
		return fmt.Errorf("check %s: %s is %s, want a folder", w.path, w.at, describe(w.info.Mode()))
	}
	name := w.todo[0]
	w.todo = w.todo[1:]
	if name == ".." {
		return w.move(filepath.Dir(w.at))
	}
	next, shared := filepath.Join(w.at, name), exposed(w.info.Mode())
	info, err := os.Lstat(next)
	if err != nil {
		return fmt.Errorf("check %s: %w", w.path, err)
	}
	if shared && !info.IsDir() { // links can be hard-linked too
		return fmt.Errorf("check %s: %s lies in %s, where anyone can put a link to another file; move it to a folder of its own, made with mkdir -m 0700", w.path, next, w.at)
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return w.move(next)
	}
	if err := trusted(w.path, next, info); err != nil {
		return err
	}
	if w.links++; w.links > maxLinks {
		return fmt.Errorf("check %s: more than %d symbolic links on the way, last %s", w.path, maxLinks, next)
	}
	target, err := os.Readlink(next)
	if err != nil {
		return fmt.Errorf("check %s: %w", w.path, err)
	}
	w.todo = append(components(target), w.todo...)
	if filepath.IsAbs(target) {
		return w.move("/")
	}
	return nil
}

// components splits a path without cleaning it: "link/.." is not ".".
func components(path string) []string {
	var out []string
	for c := range strings.SplitSeq(path, "/") {
		if c != "" && c != "." {
			out = append(out, c)
		}
	}
	return out
}

// trusted checks owner and mode of one component.
func trusted(path, at string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("check %s: the system does not say who owns %s", path, at)
	}
	if euid := os.Geteuid(); st.Uid != 0 && int64(st.Uid) != int64(euid) {
		who := "root"
		if euid != 0 {
			who = fmt.Sprintf("root or uid %d, which this process runs as", euid)
		}
		return fmt.Errorf("check %s: %s belongs to uid %d (mode %s), want %s; run: chown -h root %s", path, at, st.Uid, mode(info), who, quote(at))
	}
	// The mode of a symbolic link means nothing (symlink(7)).
	if info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o022 != 0 && !exposed(info.Mode()) {
		return fmt.Errorf("check %s: %s can be written by others than its owner (uid %d, mode %s); run: chmod go-w %s", path, at, st.Uid, mode(info), quote(at))
	}
	return nil
}

// exposed reports whether m is that of a sticky folder which others may write.
func exposed(m fs.FileMode) bool {
	return m.IsDir() && m&fs.ModeSticky != 0 && m.Perm()&0o022 != 0
}

func notRegular(path, real string, info fs.FileInfo) error {
	return fmt.Errorf("check %s: %s is %s, want a regular file", path, real, describe(info.Mode()))
}

func describe(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "a regular file"
	case fs.ModeDir:
		return "a folder"
	case fs.ModeNamedPipe:
		return "a pipe"
	case fs.ModeSocket:
		return "a socket"
	default:
		return "a device"
	}
}

// mode is what chmod(1) takes.
func mode(info fs.FileInfo) string {
	m := uint32(info.Mode().Perm())
	if info.Mode()&fs.ModeSticky != 0 {
		m |= syscall.S_ISVTX
	}
	return fmt.Sprintf("%04o", m)
}

// quote makes a path safe to paste after a command.
func quote(path string) string {
	if strings.Trim(path, "/._-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

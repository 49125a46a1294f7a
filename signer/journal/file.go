package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// CheckFolder refuses the folder of a journal that is not private to the user we
// run as: whoever can write to it can replace the journal, whoever can read it sees
// every body.
func CheckFolder(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("folder %s does not exist; create it with 'install -d -m 700 %s'", dir, dir)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	return checkOwner(dir, info, 0o700)
}

// checkFile refuses a database file that others can touch, and makes an empty one
// where there is none, so that SQLite inherits its mode for every file beside it.
func checkFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err == nil {
		return errors.Join(f.Close(), syncFolder(filepath.Dir(path)))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	return checkOwner(path, info, 0o600)
}

// checkOwner asks for the owner first: a folder of somebody else's, such as
// /var/lib, is not to be closed to everyone for our sake.
func checkOwner(name string, info fs.FileInfo, want fs.FileMode) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s must belong to the user that runs this, uid %d; name a folder of its own, made with 'install -d -m 700'", name, os.Geteuid())
	}
	// Less is wrong too: SQLite would give the files beside it the same mode.
	if perm := info.Mode().Perm(); perm != want {
		return fmt.Errorf("%s has mode %#o and must be its owner's alone to read and write: 'chmod %o %s'", name, perm, want, name)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockName is the file whose lock says that a journal is in use. SQLite's own lock
// says so too; this one is held before SQLite looks at anything, and Verify can
// share it without being able to write.
func lockName(path string) string { return path + ".lock" }

// errInUse is what a second opener gets.
var errInUse = errors.New("the journal is in use by another process; only one daemon may have it open, so stop that one first")

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(lockName(path), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errInUse
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

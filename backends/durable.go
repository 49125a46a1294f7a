package backends

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteDurably replaces a file: when it returns nil, neither a crash nor a power cut
// brings the old content back, or half of the new. Only its owner may read it.
func WriteDurably(path string, content []byte) error {
	temporary := path + ".new"
	if err := writeDurably(temporary, content); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

package backends

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// ReadPIN reads a PIN from a file, without one newline at its end. The file must
// not be open to group or others, unless shared allows that: systemd hands out
// credentials with modes 0400 and 0440, depending on its version, in a folder that
// only the service can enter.
func ReadPIN(path string, shared bool) ([]byte, error) {
	const most = 1 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read PIN: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read PIN: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read PIN: %s is not a regular file", path)
	case !shared && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("read PIN: %s has mode %04o; only its owner may have access: chmod 0600 %s", path, info.Mode().Perm(), path)
	case info.Size() > most:
		return nil, fmt.Errorf("read PIN: %s has %d bytes; the most is %d", path, info.Size(), most)
	}
	buf := make([]byte, most+1) // of fixed size, so that no copy is left behind by growing
	n, err := io.ReadFull(f, buf)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		clear(buf)
		return nil, fmt.Errorf("read PIN: %w", err)
	}
	pin := bytes.TrimSuffix(buf[:n], []byte("\n"))
	if len(pin) == 0 {
		return nil, fmt.Errorf("read PIN: %s is empty", path)
	}
	if bytes.ContainsAny(pin, "\n\r\x00") {
		clear(buf)
		return nil, fmt.Errorf("read PIN: %s has more than one line, or a NUL", path)
	}
	return pin, nil
}

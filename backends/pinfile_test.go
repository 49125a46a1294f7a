package backends_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealward/sealward/backends"
)

// writePIN puts a file into a folder of the test's own.
func writePIN(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadPIN(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		shared bool
		want   string // of the PIN
		err    string
	}{
		"a file of its owner":          {writePIN(t, "12 34\n", 0o600), false, "12 34", ""},
		"without a newline":            {writePIN(t, "1234", 0o400), false, "1234", ""},
		"a credential of systemd's":    {writePIN(t, "1234", 0o440), true, "1234", ""},
		"one that the group can read":  {writePIN(t, "1234", 0o640), false, "", "mode 0640"},
		"one that everybody can read":  {writePIN(t, "1234", 0o604), false, "", "chmod 0600"},
		"one that the group can write": {writePIN(t, "1234", 0o620), false, "", "mode 0620"},
		"an empty one":                 {writePIN(t, "", 0o600), false, "", "is empty"},
		"a newline and nothing else":   {writePIN(t, "\n", 0o600), false, "", "is empty"},
		"two lines":                    {writePIN(t, "1234\n\n", 0o600), false, "", "more than one line"},
		"a line of Windows":            {writePIN(t, "1234\r\n", 0o600), false, "", "more than one line"},
		"one that is far too long":     {writePIN(t, strings.Repeat("1", 2000), 0o600), false, "", "2000 bytes"},
		"a folder":                     {t.TempDir(), true, "", "not a regular file"},
		"one that is not there":        {"/nonexistent", false, "", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := backends.ReadPIN(c.path, c.shared)
			if string(got) != c.want {
				t.Errorf("ReadPIN = %q, want %q", got, c.want)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("ReadPIN error = %v, want %q", err, c.err)
			}
		})
	}
}

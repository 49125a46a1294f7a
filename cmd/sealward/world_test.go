package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A folder that does not serve is told what it lacks.
func TestAFolderOfDescriptorsSaysWhatItLacks(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{
		filepath.Join(dir, "none"): "none: there is no such folder",
		file:                       "it is no folder",
		dir:                        "descriptors.sha256 is missing, so it was not pinned; look at the files in it, then run: sealward descriptors pin " + dir,
	} {
		out, err := (&world{descriptors: folder}).read()
		if err == nil || out.descriptors != nil || !strings.HasPrefix(err.Error(), "--descriptors "+folder+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("--descriptors %s: %v; want %q", folder, err, want)
		}
	}
}

// What the daemon's answers are shown with is called as sealward inspect calls it.
func TestAPolicyGivesTheSameNamesToEveryCommand(t *testing.T) {
	dir := t.TempDir()
	if code := run([]string{"init", dir}, strings.NewReader(""), io.Discard, os.Stderr); code != exitOK {
		t.Fatalf("init: exit code %d", code)
	}
	path := filepath.Join(dir, "policy.hcl")
	src := read(t, path) + `
addresses "known" {
  entries = { "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" = "Acme Hosting" }
}
contract "vault" {
  account = "eip155:1:0x4F2083f5fBede34C2714aFfb3105539775f7FE64"
  kind    = "safe"
}
`
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := namesFlags{policy: path}
	shown, err := flags.read(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	inspected, err := (&world{names: flags}).read()
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(shown.Accounts, inspected.book.Accounts) || !maps.Equal(shown.Assets, inspected.book.Assets) || !maps.Equal(shown.Contracts, inspected.book.Contracts) {
		t.Errorf("names of answers = %v, want %v", shown, inspected.book)
	}
}

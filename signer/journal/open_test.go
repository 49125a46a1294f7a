package journal

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

// edit changes the database of a closed journal, as somebody with access to the
// file could.
func edit(t testing.TB, path, script string) {
	t.Helper()
	d, err := openDB(path, url.Values{"mode": {"rw"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.script(script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	script := func(s string) func(*testing.T, string) {
		return func(t *testing.T, path string) { edit(t, path, s) }
	}
	chmod := func(name string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Chmod(filepath.Join(filepath.Dir(path), name), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, string)
		want   string
	}{
		"a folder that others can enter": {chmod(".", 0o750), "chmod 700"},
		"a file that others can read":    {chmod("journal.db", 0o644), "chmod 600"},
		"a folder that is not there": {func(t *testing.T, path string) {
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "install -d -m 700"},
		"a symbolic link": {func(t *testing.T, path string) {
			if err := os.Rename(path, path+"2"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		"a file that is no database": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("text ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a database"},
		"another program's database": {script("PRAGMA application_id = 7"), "not a Sealward journal"},
		"a newer version":            {script("PRAGMA user_version = 5"), "schema version 5; this program knows versions up to 4: use the newer program"},
		"a version set back":         {script("PRAGMA user_version = 3"), "bring it from schema version 3 to 4: table waiting already exists"},
		"a version set back further": {script("PRAGMA user_version = 2"), "bring it from schema version 2 to 4: table flows already exists"},
		"a version set back to 1":    {script("PRAGMA user_version = 1"), "bring it from schema version 1 to 4: table acts already exists"},
		"a version that never was":   {script("PRAGMA user_version = 0"), "which no release ever wrote"},
		"no instance id":             {script("DELETE FROM meta WHERE name = 'instance'"), "no instance id"},
		"a last leaf that was changed": {
			script("UPDATE leaves SET body = CAST(replace(CAST(body AS TEXT), 'daemon', 'demon') AS BLOB) WHERE leaf = 2"), "leaf 2 is not the one in the tree",
		},
		"a last leaf that is gone":            {script("DELETE FROM leaves WHERE leaf = 2"), "2 leaves, but the tree has 4 hashes instead of 3"},
		"an end cut off in every table":       {script("DELETE FROM leaves WHERE leaf = 2; DELETE FROM commits WHERE first = 3"), "a checkpoint was signed at 3 leaves, but only 2 are left"},
		"a tree that was changed":             {script("UPDATE commits SET hashes = zeroblob(64) WHERE first = 1"), "the tree of 3 leaves is not the one that was signed"},
		"a checkpoint by another key":         {script("UPDATE meta SET value = 'x+00000000+AAAA' WHERE name = 'key'"), "verifier key"},
		"checkpoints without the key of them": {script("DELETE FROM meta WHERE name = 'key'"), "checkpoints without a key"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			path := privateFile(t)
			j := open(t, h.config(path))
			for range 3 {
				if _, err := j.Note(t.Context(), signer.Event{Type: signer.EventStarted, Detail: "daemon"}); err != nil {
					t.Fatal(err)
				}
			}
			checkpoint(t, j, "journal")
			shut(t, j)
			tc.change(t, path)
			j, err := Open(h.config(path))
			if err == nil {
				shut(t, j)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open error = %v, want %q and the path in it", err, tc.want)
			}
		})
	}
}

func TestASecondDaemonIsRefused(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	for _, how := range []string{"with the lock file", "without the lock file"} {
		if k, err := Open(h.config(path)); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("%s: Open = %v, %v; want a refusal", how, k, err)
		}
		if err := os.Remove(lockName(path)); err != nil {
			t.Fatal(err)
		}
	}
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	shut(t, j)
	open(t, h.config(path))
}

func TestTheFilesArePrivate(t *testing.T) {
	path := privateFile(t)
	j := open(t, newHost().config(path))
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("files = %v, %v; want the database, its log and its lock", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
	}
}

func TestTheInstanceIsChosenOnce(t *testing.T) {
	h := newHost()
	path := privateFile(t)
	j := open(t, h.config(path))
	id := j.Instance()
	if len(id) != 32 || j.Origin() != "sealward.dev/journal/"+id {
		t.Errorf("instance %q, origin %q", id, j.Origin())
	}
	shut(t, j)
	if again := open(t, h.config(path)).Instance(); again != id {
		t.Errorf("instance %q, then %q", id, again)
	}
	if other := open(t, h.config(privateFile(t))).Instance(); other == id {
		t.Errorf("two journals are both %q", id)
	}
}

func TestAPathWithOddCharactersIsOnePath(t *testing.T) {
	dir := filepath.Join(filepath.Dir(privateFile(t)), "a?mode=memory&b#c%20d e")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "journal.db")
	j := open(t, newHost().config(path))
	record(t, j, proposal(j, "a", "hot", wei(1)), allow)
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Errorf("the log is not at %s: %v", path, err)
	}
}

func TestTheDocumentedSchemaIsTheOneInUse(t *testing.T) {
	doc, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), strings.TrimSpace(schema)) {
		t.Error("docs/formats.md has another schema")
	}
}

package trustfile_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sealward/sealward/signer/trustfile"
)

// private makes a folder that only this process can write.
func private(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etc")
	must(t, os.Chmod(filepath.Dir(dir), 0o700))
	must(t, os.Mkdir(dir, 0o700))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func mkdir(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	must(t, os.Mkdir(path, 0o700))
	must(t, os.Chmod(path, mode))
	return path
}

func TestReadReturnsWhatOnlyTheOwnerCouldHaveWritten(t *testing.T) {
	for name, arrange := range map[string]func(t *testing.T, dir string) string{
		"a plain file": func(t *testing.T, dir string) string {
			return write(t, dir+"/policy.hcl", "yes")
		},
		"a file that others may read": func(t *testing.T, dir string) string {
			p := write(t, dir+"/policy.hcl", "yes")
			must(t, os.Chmod(p, 0o644))
			return p
		},
		"through a relative link": func(t *testing.T, dir string) string {
			write(t, dir+"/v2.hcl", "yes")
			must(t, os.Symlink("v2.hcl", dir+"/policy.hcl"))
			return dir + "/policy.hcl"
		},
		"through a linked folder and back up, as the kernel would": func(t *testing.T, dir string) string {
			mkdir(t, dir+"/a", 0o700)
			mkdir(t, dir+"/a/b", 0o700)
			write(t, dir+"/a/policy.hcl", "yes")
			write(t, dir+"/policy.hcl", "no")
			must(t, os.Symlink(dir+"/a/b", dir+"/link"))
			return dir + "/link/../policy.hcl"
		},
		"a relative path": func(t *testing.T, dir string) string {
			write(t, dir+"/policy.hcl", "yes")
			t.Chdir(dir)
			return "./policy.hcl"
		},
		"a private folder inside one that all may write": func(t *testing.T, dir string) string {
			mkdir(t, dir+"/tmp", 0o777|fs.ModeSticky)
			mkdir(t, dir+"/tmp/mine", 0o700)
			return write(t, dir+"/tmp/mine/policy.hcl", "yes")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := arrange(t, private(t))
			got, err := trustfile.Read(path)
			if err != nil || string(got) != "yes" {
				t.Errorf("Read = %q, %v, want \"yes\"", got, err)
			}
			want, err := os.ReadFile(path)
			if err != nil || string(want) != string(got) {
				t.Errorf("the kernel reads %q (%v) where Read returns %q", want, err, got)
			}
			if err := trustfile.Check(path); err != nil {
				t.Errorf("Check = %v", err)
			}
		})
	}
}

// refusals are arrangements that any account can make.
var refusals = map[string]struct {
	arrange func(t *testing.T, dir string) string
	want    []string // in the error
}{
	"a file that its group may write": {func(t *testing.T, dir string) string {
		p := write(t, dir+"/policy.hcl", "x")
		must(t, os.Chmod(p, 0o660))
		return p
	}, []string{"policy.hcl", "mode 0660", "chmod go-w"}},
	"a file that all may write": {func(t *testing.T, dir string) string {
		p := write(t, dir+"/policy.hcl", "x")
		must(t, os.Chmod(p, 0o602))
		return p
	}, []string{"policy.hcl", "mode 0602", "chmod go-w"}},
	"a folder on the way that its group may write": {func(t *testing.T, dir string) string {
		mkdir(t, dir+"/shared", 0o770)
		mkdir(t, dir+"/shared/mine", 0o700)
		return write(t, dir+"/shared/mine/policy.hcl", "x")
	}, []string{"/shared can be written", "mode 0770", "chmod go-w"}},
	"a link into a folder that all may write": {func(t *testing.T, dir string) string {
		mkdir(t, dir+"/open", 0o777)
		write(t, dir+"/open/policy.hcl", "x")
		must(t, os.Symlink("open/policy.hcl", dir+"/policy.hcl"))
		return dir + "/policy.hcl"
	}, []string{"/open can be written", "chmod go-w"}},
	"a link to a link into such a folder": {func(t *testing.T, dir string) string {
		mkdir(t, dir+"/open", 0o777)
		mkdir(t, dir+"/open/d", 0o700)
		write(t, dir+"/open/d/policy.hcl", "x")
		must(t, os.Symlink(dir+"/open/d", dir+"/d"))
		must(t, os.Symlink("d", dir+"/e"))
		return dir + "/e/policy.hcl"
	}, []string{"/open can be written"}},
	"a file directly in a sticky folder": {func(t *testing.T, dir string) string {
		mkdir(t, dir+"/tmp", 0o777|fs.ModeSticky)
		return write(t, dir+"/tmp/policy.hcl", "x")
	}, []string{"/tmp/policy.hcl lies in", "folder of its own"}},
	"a link directly in a sticky folder": {func(t *testing.T, dir string) string {
		mkdir(t, dir+"/tmp", 0o777|fs.ModeSticky)
		must(t, os.Symlink(write(t, dir+"/policy.hcl", "x"), dir+"/tmp/policy.hcl"))
		return dir + "/tmp/policy.hcl"
	}, []string{"/tmp/policy.hcl lies in"}},
	"a folder": {func(t *testing.T, dir string) string { return dir }, []string{"is a folder, want a regular file"}},
	"a pipe": {func(t *testing.T, dir string) string {
		must(t, syscall.Mkfifo(dir+"/policy.hcl", 0o600))
		return dir + "/policy.hcl"
	}, []string{"is a pipe, want a regular file"}},
	"a device": {func(*testing.T, string) string { return "/dev/null" }, []string{"/dev/null"}},
	"a file used as a folder": {func(t *testing.T, dir string) string {
		return write(t, dir+"/policy.hcl", "x") + "/../policy.hcl"
	}, []string{"is a regular file, want a folder"}},
	"links in a circle": {func(t *testing.T, dir string) string {
		must(t, os.Symlink("b", dir+"/a"))
		must(t, os.Symlink("a", dir+"/b"))
		return dir + "/a"
	}, []string{"more than 40 symbolic links"}},
	"no path": {func(*testing.T, string) string { return "" }, []string{"no path named"}},
}

func TestReadAndCheckRefuseWhatOthersCouldHaveWritten(t *testing.T) {
	for name, tc := range refusals {
		t.Run(name, func(t *testing.T) {
			path := tc.arrange(t, private(t))
			data, err := trustfile.Read(path)
			if err == nil || data != nil {
				t.Fatalf("Read = %q, %v, want an error and nothing else", data, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Read error = %q, want it to contain %q", err, want)
				}
			}
			if err := trustfile.Check(path); err == nil {
				t.Error("Check accepts what Read refuses")
			}
		})
	}
}

func TestAMissingFileIsNotExist(t *testing.T) {
	path := private(t) + "/policy.hcl"
	if _, err := trustfile.Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read error = %v, want fs.ErrNotExist", err)
	}
	if err := trustfile.Check(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check error = %v, want fs.ErrNotExist", err)
	}
}

func TestReadIsBoundedAndCheckIsNot(t *testing.T) {
	path := write(t, private(t)+"/list", strings.Repeat("x", trustfile.MaxSize))
	if got, err := trustfile.Read(path); err != nil || len(got) != trustfile.MaxSize {
		t.Errorf("Read of the largest file = %d bytes, %v", len(got), err)
	}
	write(t, path, strings.Repeat("x", trustfile.MaxSize+1))
	if got, err := trustfile.Read(path); err == nil || got != nil || !strings.Contains(err.Error(), "more than 4194304 bytes") {
		t.Errorf("Read of a larger file = %d bytes, %v", len(got), err)
	}
	if err := trustfile.Check(path); err != nil {
		t.Errorf("Check of a larger file = %v", err)
	}
}

func TestCheckDirWantsAFolderThatOnlyTheOwnerWrites(t *testing.T) {
	dir := private(t)
	must(t, os.Symlink(dir, dir+"/self"))
	for name, tc := range map[string]struct {
		path, want string
	}{
		"a private folder":             {dir, ""},
		"through a link":               {dir + "/self", ""},
		"a folder that all may write":  {mkdir(t, dir+"/open", 0o777), "chmod go-w"},
		"a sticky one":                 {mkdir(t, dir+"/tmp", 0o777|fs.ModeSticky), "anyone can create files"},
		"a file":                       {write(t, dir+"/f", ""), "want a folder"},
		"one that its group may write": {mkdir(t, dir+"/group", 0o770), "chmod go-w"},
	} {
		t.Run(name, func(t *testing.T) {
			err := trustfile.CheckDir(tc.path)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("CheckDir = %v, want %q", err, tc.want)
			}
		})
	}
}

// Who runs the tests decides what can be shown about other accounts: root gives
// files away; anyone else is itself the account that is neither root nor owner.
func TestOwnersOtherThanRootAndThisProcess(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := trustfile.Check("/etc/passwd"); err != nil {
			t.Errorf("a file of root's is refused by uid %d: %v", os.Geteuid(), err)
		}
		return
	}
	for name, tc := range map[string]struct {
		arrange func(t *testing.T, dir string) string
		want    string
	}{
		"a file of another account": {func(t *testing.T, dir string) string {
			p := write(t, dir+"/it's.hcl", "x")
			must(t, os.Chown(p, 1234, 0))
			return p
		}, `belongs to uid 1234 (mode 0600), want root; run: chown -h root '`},
		"a folder of another account": {func(t *testing.T, dir string) string {
			mkdir(t, dir+"/home", 0o755)
			p := write(t, dir+"/home/policy.hcl", "x")
			must(t, os.Chown(dir+"/home", 1234, 0))
			return p
		}, "/home belongs to uid 1234 (mode 0755)"},
		"a link of another account in a sticky folder": {func(t *testing.T, dir string) string {
			mkdir(t, dir+"/tmp", 0o777|fs.ModeSticky)
			must(t, os.Symlink(dir, dir+"/tmp/mine"))
			must(t, os.Lchown(dir+"/tmp/mine", 1234, 0))
			write(t, dir+"/policy.hcl", "x")
			return dir + "/tmp/mine/policy.hcl"
		}, "/tmp/mine lies in"},
		"a link of another account": {func(t *testing.T, dir string) string {
			must(t, os.Symlink(write(t, dir+"/policy.hcl", "x"), dir+"/link"))
			must(t, os.Lchown(dir+"/link", 1234, 0))
			return dir + "/link"
		}, "/link belongs to uid 1234"},
	} {
		t.Run(name, func(t *testing.T) {
			path := tc.arrange(t, private(t))
			if err := trustfile.Check(path); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Check error = %v, want %q", err, tc.want)
			}
			if data, err := trustfile.Read(path); err == nil || data != nil {
				t.Errorf("Read = %q, %v, want an error", data, err)
			}
		})
	}
}

const reexec = "SEALWARD_TEST_TRUSTFILE_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(reexec); path != "" {
		if _, err := trustfile.Read(path); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A daemon that does not run as root may own its files, and root may; a third
// account may not.
func TestAnUnprivilegedProcessTrustsItselfAndRoot(t *testing.T) {
	self := os.Geteuid()
	uid := self
	if self == 0 {
		uid = 1234
	}
	dir := t.TempDir()
	for d := dir; strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	exe := dir + "/trustfile.test"
	image, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(exe, image, 0o755))
	read := func(path string) (string, error) {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), reexec+"="+path)
		if self == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	own := mkdir(t, dir+"/own", 0o755)
	file := write(t, own+"/policy.hcl", "x")
	if self == 0 {
		must(t, os.Chown(own, uid, uid))
		must(t, os.Chown(file, uid, uid))
	}
	if out, err := read(file); err != nil {
		t.Errorf("a private folder of its own: %v, %s", err, out)
	}
	if out, err := read("/etc/passwd"); err != nil {
		t.Errorf("a file of root's: %v, %s", err, out)
	}
	if self == 0 {
		must(t, os.Chown(file, 4321, 4321))
		must(t, os.Chmod(file, 0o644))
		if out, err := read(file); err == nil || !strings.Contains(out, "belongs to uid 4321 (mode 0644), want root or uid 1234") {
			t.Errorf("a file of a third account: %v, %s", err, out)
		}
	}
}

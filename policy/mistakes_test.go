package policy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealward/sealward/signer"
)

var update = flag.Bool("update", false, "write the golden files of testdata/mistakes anew")

// TestMistakes loads policies with one typical mistake each, and compares what their
// author gets to read, word for word: "go test ./policy -run TestMistakes -update"
// writes that down. Whoever changes a message reads the new one as that author would,
// who knows payments and no programming: where is it, and what has to stand there?
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.hcl")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d mistakes, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".hcl")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Load("policy.hcl", src, office())
			if err == nil || p != nil {
				t.Fatalf("Load has a policy: %t; error = %v", p != nil, err)
			}
			got := []byte(err.Error() + "\n")
			for line := range strings.Lines(string(got)) {
				if !strings.HasPrefix(line, "policy.hcl:") {
					t.Errorf("a line without its place: %q", line)
				}
			}
			golden := strings.TrimSuffix(path, ".hcl") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("Load error =\n%swant\n%s", got, want)
			}
		})
	}
	goldens, err := filepath.Glob("testdata/mistakes/*.golden")
	if err != nil || len(goldens) != len(files) {
		t.Errorf("%d golden files for %d mistakes, %v", len(goldens), len(files), err)
	}
}

// office is a configuration as the authors of the mistakes have it: its keys sign
// transactions alone.
func office() Env {
	env := testEnv()
	for name, k := range env.Keys {
		k.Kinds = []signer.Kind{signer.KindEVMTransaction}
		env.Keys[name] = k
	}
	return env
}

// What an editor may do to a file without its author seeing it.
func TestFilesOfOtherEditors(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"a byte order mark":      func(s string) string { return "\ufeff" + s },
		"tabs":                   func(s string) string { return strings.ReplaceAll(s, "  ", "\t") },
		"line ends of two bytes": func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"no line end at the end": func(s string) string { return strings.TrimSuffix(s, "\n") },
	} {
		t.Run(name, func(t *testing.T) {
			load(t, change(sample))
			slip := strings.Replace(sample, "effects.all(e, e.class == 'transfer')", "effects.all(e, e.class == 'trasnfer')", 1)
			_, err := Load("policy.hcl", []byte(change(slip)), office())
			if err == nil || !strings.HasPrefix(err.Error(), "policy.hcl:35,") || !strings.Contains(err.Error(), `did you mean "transfer"?`) {
				t.Errorf("Load error = %v, want it on line 35", err)
			}
		})
	}
}

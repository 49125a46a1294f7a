package signer_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sealward/sealward/"

// mayImport is which package may import what, beyond the standard library: packages
// of this module by their path, others by the beginning of theirs. A package that
// is not in it fails until someone decides where it sits.
var mayImport = map[string][]string{
	"signer":                      {},
	"signer/scheme":               {"signer", "github.com/decred/dcrd/dcrec/secp256k1/v4", "github.com/ethereum/go-ethereum/crypto", "filippo.io/nistec"},
	"signer/strictjson":           {},
	"signer/trustfile":            {},
	"signer/intent/evm":           {"signer", "signer/intent/evm/abi", "signer/intent/evm/typeddata", "signer/strictjson", "github.com/ethereum/go-ethereum", "github.com/holiman/uint256"},
	"signer/intent/evm/abi":       {"github.com/ethereum/go-ethereum/common", "github.com/ethereum/go-ethereum/crypto", "github.com/holiman/uint256"},
	"signer/intent/evm/typeddata": {"signer", "signer/intent/evm/abi", "signer/strictjson", "github.com/ethereum/go-ethereum/common", "github.com/ethereum/go-ethereum/crypto", "github.com/holiman/uint256"},
	// Labels for people: nothing that decides may import it.
	"signer/intent/evm/erc7730": {"signer", "signer/intent/evm", "signer/intent/evm/abi", "signer/intent/evm/typeddata", "signer/strictjson", "github.com/ethereum/go-ethereum/common", "github.com/ethereum/go-ethereum/crypto", "github.com/holiman/uint256"},
	"signer/intent/digest":      {"signer"},
	"signer/intent/admin":       {"signer", "signer/strictjson"},
	"signer/receipt":            {"signer", "golang.org/x/mod/sumdb"},
	"signer/ledger":             {"signer"},
	"signer/journal":            {"signer", "signer/ledger", "signer/receipt", "github.com/mattn/go-sqlite3", "golang.org/x/mod/sumdb", "golang.org/x/sys/unix"},

	"policy":          {"signer", "signer/strictjson", "github.com/hashicorp/hcl/v2", "github.com/zclconf/go-cty", "cel.dev/cel-go", "github.com/agext/levenshtein", "golang.org/x/crypto/sha3", "golang.org/x/crypto/ssh", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/api/expr"},
	"policy/approval": {"signer", "signer/strictjson", "github.com/go-jose/go-jose/v4", "golang.org/x/crypto/ssh"},

	"backends":             {"signer", "signer/trustfile", "golang.org/x/sys/unix"},
	"backends/pkcs11":      {"backends", "signer", "github.com/ThalesGroup/crypto11", "github.com/miekg/pkcs11"},
	"backends/tpm":         {"backends", "backends/tpm/tss2", "backends/tpm/wrapped", "signer", "github.com/google/go-tpm"},
	"backends/tpm/tss2":    {"github.com/google/go-tpm"},
	"backends/tpm/wrapped": {"backends/tpm/tss2", "signer", "github.com/google/go-tpm", "github.com/decred/dcrd/dcrec/secp256k1/v4"},
	"backends/piv":         {"backends", "signer", "github.com/go-piv/piv-go/v2"},
	"backends/worker":      {"backends", "backends/pkcs11", "backends/tpm", "backends/piv"},
	"backends/backendtest": {"signer", "backends", "signer/scheme", "github.com/decred/dcrd/dcrec/secp256k1/v4"},
	"backends/sim":         {"backends", "signer", "backends/pkcs11", "backends/sim/pivcard", "github.com/miekg/pkcs11", "github.com/google/go-tpm", "github.com/go-piv/piv-go/v2", "golang.org/x/sys/unix"},
	"backends/sim/pivcard": {},

	"ipc":         {"signer", "signer/trustfile", "github.com/coreos/go-systemd/v22", "golang.org/x/sys/unix"},
	"ipc/console": {"signer"},
	"ipc/api":     {"signer", "signer/journal", "signer/receipt", "ipc", "ipc/api/sealward/v1", "ipc/api/sealward/v1/sealwardv1connect", "connectrpc.com/connect", "google.golang.org/protobuf"},

	"ipc/api/sealward/v1":                   {"google.golang.org/protobuf"},
	"ipc/api/sealward/v1/sealwardv1connect": {"ipc/api/sealward/v1", "connectrpc.com/connect"},

	"cmd/version":         {},
	"cmd/sealward-worker": {"cmd/version", "backends/worker"},
	"cmd/config":          {"signer", "github.com/hashicorp/hcl/v2", "github.com/zclconf/go-cty", "github.com/agext/levenshtein"},
	"cmd/sealwardd": {
		"cmd/config", "cmd/version", "signer", "signer/intent/digest", "signer/intent/evm", "signer/journal", "signer/receipt", "signer/scheme", "signer/trustfile",
		"signer/intent/admin", "signer/intent/evm/erc7730", "policy", "policy/approval", "backends", "ipc", "ipc/api", "ipc/api/sealward/v1",
		"github.com/coreos/go-systemd/v22", "github.com/prometheus/client_golang", "golang.org/x/sys/unix", "google.golang.org/protobuf",
	},
	"cmd/sealward": {
		"cmd/config", "cmd/version", "signer", "signer/intent/digest", "signer/intent/evm", "signer/intent/evm/erc7730", "signer/journal", "signer/ledger", "signer/receipt", "signer/scheme",
		"signer/intent/admin", "signer/trustfile", "backends", "backends/tpm/wrapped", "policy", "policy/approval", "ipc/api", "ipc/api/sealward/v1", "ipc/console", "github.com/spf13/cobra", "google.golang.org/protobuf",
		"golang.org/x/sys/unix", "golang.org/x/term", "charm.land/bubbletea/v2",
	},
	"cmd/sealward-sim": {
		"cmd/config", "signer", "signer/intent/evm", "signer/intent/evm/abi", "signer/intent/evm/erc7730", "backends", "backends/sim", "backends/pkcs11", "ipc/api", "ipc/api/sealward/v1", "golang.org/x/sys/unix",
		"github.com/ethereum/go-ethereum",
	},
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir            string
	Imports, GoFiles, CgoFiles []string
}

func packages(t *testing.T) (all []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,CgoFiles", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestImports holds the module to the table, tests not included.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if len(p.GoFiles)+len(p.CgoFiles) == 0 {
			continue // tests only
		}
		may, ok := mayImport[name]
		if !ok {
			t.Errorf("%s is not in the table: decide where it sits", name)
		}
		seen[name] = true
		for _, i := range p.Imports {
			ours, own := strings.CutPrefix(i, module)
			switch {
			case own && slices.Contains(may, ours):
			case own:
				t.Errorf("%s imports %s, which it may not", name, ours)
			case !strings.Contains(strings.SplitN(i, "/", 2)[0], "."): // the standard library
			case !slices.ContainsFunc(may, func(m string) bool { return i == m || strings.HasPrefix(i, m+"/") }):
				t.Errorf("%s imports %s, which it may not", name, i)
			}
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("the table has %s, which is not there", name)
		}
	}
}

// TestOnlyIPCMakesCallers finds every literal of a Caller with fields in it, and
// every assignment to what makes a caller one. This package reads recorded callers
// back; they never ask for anything. The contract of keys asks as a caller of its
// own, and no program imports it.
func TestOnlyIPCMakesCallers(t *testing.T) {
	found := 0
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		files := token.NewFileSet()
		err := filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != p.Dir:
				return fs.SkipDir // another package, or no code
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if !makesCaller(n) {
					return true
				}
				found++
				// The command line supposes callers to ask a policy about; it has no engine.
				supposed := name == "cmd/sealward" && filepath.Base(path) == "caserun.go"
				if name != "ipc" && name != "backends/backendtest" && !(name == "signer" && filepath.Base(path) == "wire.go") && !supposed {
					t.Errorf("%s: only package ipc may make a caller", files.Position(n.Pos()))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 2 {
		t.Errorf("found %d places that make a caller; ipc and wire.go are two, so this test looks in the wrong place", found)
	}
}

func makesCaller(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CompositeLit:
		switch typ := n.Type.(type) {
		case *ast.Ident:
			return typ.Name == "Caller" && len(n.Elts) > 0
		case *ast.SelectorExpr:
			return typ.Sel.Name == "Caller" && len(n.Elts) > 0
		}
	case *ast.AssignStmt:
		for _, l := range n.Lhs {
			if s, ok := l.(*ast.SelectorExpr); ok && s.Sel.Name == "Identified" {
				return true
			}
		}
	}
	return false
}

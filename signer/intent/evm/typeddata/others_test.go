package typeddata_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// answer is what other software makes of typed data: a digest, or why not.
type answer struct {
	Digest string `json:"digest"`
	Error  string `json:"error"`
}

func (a answer) String() string {
	if a.Error != "" {
		return "refused: " + a.Error
	}
	return a.Digest
}

// byGeth asks go-ethereum.
func byGeth(payload []byte) (a answer) {
	defer func() {
		if r := recover(); r != nil { // null in an array
			a = answer{Error: fmt.Sprint("panic: ", r)}
		}
	}()
	var data apitypes.TypedData
	if err := json.Unmarshal(payload, &data); err != nil {
		return answer{Error: err.Error()}
	}
	digest, _, err := apitypes.TypedDataAndHash(data)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Digest: hexutil.Encode(digest)}
}

// javaScript is what the two wallet libraries say.
type javaScript struct {
	Ethers answer `json:"ethers"`
	Viem   answer `json:"viem"`
}

// byJavaScript asks ethers and viem about payloads that are one line each, all in
// one process.
func byJavaScript(t *testing.T, payloads [][]byte) []javaScript {
	t.Helper()
	modules, err := filepath.Abs("../../../../tools/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ethers", "viem"} {
		if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
			t.Fatalf("the wallet libraries that this test compares with are not installed; run make deps: %v", err)
		}
	}
	script, err := os.ReadFile("testdata/digests.mjs")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "digests.mjs")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", path)
	cmd.Stdin = bytes.NewReader(append(bytes.Join(payloads, []byte("\n")), '\n'))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, errs.String())
	}
	var answers []javaScript
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var a javaScript
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(payloads) {
		t.Fatalf("%d answers to %d payloads", len(answers), len(payloads))
	}
	return answers
}

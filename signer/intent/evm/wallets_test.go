package evm_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// question is a line for the wallet libraries, and what we say to it.
type question struct {
	Transaction   map[string]any `json:"transaction,omitempty"`
	Signed        string         `json:"signed,omitempty"`
	Authorization map[string]any `json:"authorization,omitempty"`
	Message       string         `json:"message,omitempty"`

	want answer
}

// answer is what is signed, and of a signed transaction also who signed it and its hash.
type answer struct {
	Hash  string `json:"hash"`
	From  string `json:"from"`
	ID    string `json:"id"`
	Error string `json:"error"`
}

// TestAgreesWithWalletLibraries compares what is signed with ethers and viem, over
// what they take as well: nonces and chain ids to 2^53.
func TestAgreesWithWalletLibraries(t *testing.T) {
	r := random{rand.New(rand.NewPCG(5, 6))}
	var asked []question
	for i := range 5000 {
		tx, chainID := r.transaction()
		if !exactInJavaScript(tx, chainID) {
			continue
		}
		asked = append(asked, askTransaction(t, tx, chainID, i < 400))
	}
	for range 1000 {
		asked = append(asked, askAuthorization(t, 1+r.Uint64()>>(r.IntN(63)+1), common.Address(r.bytes(20)), r.Uint64()>>(1+r.IntN(63))))
	}
	for range 500 {
		asked = append(asked, askMessage(t, r.bytes(1+r.IntN(200))))
	}
	kinds := map[byte]int{}
	for i, got := range askWalletLibraries(t, asked) {
		if got.Ethers != asked[i].want || got.Viem != asked[i].want {
			line, _ := json.Marshal(asked[i])
			t.Errorf("%s\nwe say     %+v\nethers says %+v\nviem says   %+v", line, asked[i].want, got.Ethers, got.Viem)
		}
		if o := asked[i].Transaction; o != nil {
			kinds[o["type"].(string)[2]]++
		}
	}
	for kind := byte('0'); kind <= '4'; kind++ {
		if kinds[kind] < 100 {
			t.Errorf("only %d transactions of type %c were compared", kinds[kind], kind)
		}
	}
}

func exactInJavaScript(tx *types.Transaction, chainID *big.Int) bool {
	most := max(tx.Nonce(), chainID.Uint64())
	for _, a := range tx.SetCodeAuthorizations() {
		most = max(most, a.Nonce)
	}
	return most < 1<<53
}

func askTransaction(t *testing.T, tx *types.Transaction, chainID *big.Int, signed bool) question {
	t.Helper()
	o, key := object(tx, chainID), keyFor(t, "eip155:"+chainID.String())
	o["type"] = "0x" + string('0'+rune(tx.Type()))
	in, err := evm.Transaction{}.Decode(toJSON(t, o), key, book())
	if err != nil {
		t.Fatal(err)
	}
	q := question{Transaction: o, want: answer{Hash: hash(in)}}
	if signed {
		out, err := evm.Transaction{}.Assemble(toJSON(t, o), key, [][]byte{sign(t, in.Messages[0])})
		if err != nil {
			t.Fatal(err)
		}
		again, err := evm.Transaction{}.Decode(out, key, book())
		if err != nil {
			t.Fatal(err)
		}
		q.Signed, q.want.From, q.want.ID = string(toHex(out)), sender, common.Hash(again.Digests[1].Value).Hex()
	}
	return q
}

func askAuthorization(t *testing.T, chainID uint64, delegate common.Address, nonce uint64) question {
	t.Helper()
	o := map[string]any{"chainId": "0x" + new(big.Int).SetUint64(chainID).Text(16), "address": delegate, "nonce": "0x" + new(big.Int).SetUint64(nonce).Text(16)}
	in, err := evm.Authorization{}.Decode(toJSON(t, o), keyFor(t, "eip155:"+new(big.Int).SetUint64(chainID).String()), book())
	if err != nil {
		t.Fatal(err)
	}
	return question{Authorization: o, want: answer{Hash: hash(in)}}
}

func askMessage(t *testing.T, text []byte) question {
	t.Helper()
	in, err := evm.Message{}.Decode(text, keyFor(t), signer.Book{})
	if err != nil {
		t.Fatal(err)
	}
	return question{Message: string(toHex(text)), want: answer{Hash: hash(in)}}
}

func hash(in signer.Intent) string { return "0x" + hex.EncodeToString(in.Messages[0].Bytes) }

// askWalletLibraries runs one process for all questions.
func askWalletLibraries(t *testing.T, asked []question) (answers []struct{ Ethers, Viem answer }) {
	t.Helper()
	dir, modules := t.TempDir(), walletLibraries(t)
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/hashes.mjs")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hashes.mjs")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for _, q := range asked {
		if err := json.NewEncoder(&lines).Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	var errs strings.Builder
	cmd := osexec.CommandContext(t.Context(), "node", path)
	cmd.Stdin, cmd.Stderr = &lines, &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, errs.String())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var a struct{ Ethers, Viem answer }
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(asked) {
		t.Fatalf("%d answers to %d questions", len(answers), len(asked))
	}
	return answers
}

func walletLibraries(t *testing.T) string {
	t.Helper()
	modules, err := filepath.Abs("../../../tools/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ethers", "viem"} {
		if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
			t.Fatalf("the wallet libraries that this test compares with are not installed; run make deps: %v", err)
		}
	}
	return modules
}

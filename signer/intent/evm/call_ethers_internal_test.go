package evm

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// asked is a line for ethers: arguments to encode, or bytes to decode.
type asked struct {
	Signature string  `json:"signature"`
	Args      any     `json:"args,omitempty"`
	Data      *string `json:"data,omitempty"`

	method method
}

type answered struct {
	Args  any    `json:"args"`
	Data  string `json:"data"`
	Error string `json:"error"`
}

// TestEveryMethodReadsAsEthersWritesIt has ethers encode arguments for every method that
// this package reads, and decode what we encoded and spoilt. What ethers writes is what
// we write and read back; of what is spoilt we accept just what ethers accepts and would
// write itself.
func TestEveryMethodReadsAsEthersWritesIt(t *testing.T) {
	r := &random{rand.New(rand.NewPCG(7, 8))}
	var lines []asked
	for _, signature := range slices.Sorted(maps.Values(allMethods.names)) {
		m := methodOf(t, signature)
		for range 10 {
			v := r.value(m.Args)
			data := m.Call(v.Elems...)
			lines = append(lines, asked{Signature: signature, Args: plain(v), method: m})
			for range 10 {
				text := "0x" + hex.EncodeToString(r.spoil(data))
				lines = append(lines, asked{Signature: signature, Data: &text, method: m})
			}
		}
	}
	refused, accepted := 0, 0
	for i, got := range askEthers(t, lines) {
		line := lines[i]
		if line.Data == nil {
			compareEncoded(t, line, got)
			continue
		}
		data, _ := hex.DecodeString((*line.Data)[2:])
		v, err := abi.Decode(line.method.Args, data[4:])
		canonical := got.Error == "" && got.Data == *line.Data
		switch {
		case (err == nil) != canonical:
			t.Errorf("%s, %s: we say %v, ethers %q and %s again", line.Signature, *line.Data, err, got.Error, got.Data)
		case err == nil && !reflect.DeepEqual(plain(v), got.Args) && len(v.Elems) > 0:
			t.Errorf("%s, %s: we read %v, ethers %v", line.Signature, *line.Data, plain(v), got.Args)
		case err == nil:
			accepted++
		default:
			refused++
		}
	}
	if refused < 1000 || accepted < 1000 {
		t.Errorf("%d refused and %d accepted: too few to tell", refused, accepted)
	}
}

func compareEncoded(t *testing.T, line asked, got answered) {
	t.Helper()
	data, err := hex.DecodeString(got.Data[min(2, len(got.Data)):])
	if err != nil || len(data) < 4 {
		t.Fatalf("%s of %v: ethers says %+v", line.Signature, line.Args, got)
	}
	if s := line.method.Selector(); !bytes.Equal(data[:4], s[:]) {
		t.Errorf("%s: selector %x, ethers %x", line.Signature, s, data[:4])
	}
	v, err := abi.Decode(line.method.Args, data[4:])
	if err != nil || !reflect.DeepEqual(plain(v), line.Args) {
		t.Errorf("%s: ethers wrote %v, we read %v, %v", line.Signature, line.Args, plain(v), err)
	}
}

func methodOf(t *testing.T, signature string) method {
	t.Helper()
	for _, f := range allMethods.tokens {
		if m, ok := f[abi.MustParseSignature(signature).Selector()]; ok {
			return m
		}
	}
	for _, fs := range allMethods.contracts {
		for _, f := range fs {
			if m, ok := f[abi.MustParseSignature(signature).Selector()]; ok {
				return m
			}
		}
	}
	t.Fatalf("no method %s", signature)
	return method{}
}

// plain is a value as JSON has it.
func plain(v abi.Value) any {
	switch v.Type.Kind {
	case abi.Uint:
		return v.Uint().Dec()
	case abi.Bool:
		return v.Bool()
	case abi.Address:
		return v.Address().Hex()
	case abi.String:
		return v.Text()
	case abi.Slice, abi.Array, abi.Tuple:
		out := []any{}
		for _, e := range v.Elems {
			out = append(out, plain(e))
		}
		return out
	default:
		return "0x" + hex.EncodeToString(v.Bytes)
	}
}

type random struct{ *rand.Rand }

func (r *random) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// value is a random one of a type; numbers are as often small as large.
func (r *random) value(t *abi.Type) abi.Value {
	v := abi.Value{Type: t}
	switch t.Kind {
	case abi.Uint:
		v.Word.SetBytes(r.bytes(1 + r.IntN(t.Size/8)))
	case abi.Bool:
		v.Word.SetUint64(uint64(r.IntN(2)))
	case abi.Address:
		v.Word.SetBytes(r.bytes(20))
	case abi.FixedBytes:
		v.Bytes = r.bytes(t.Size)
	case abi.Bytes:
		v.Bytes = r.bytes(r.IntN(70))
	case abi.String:
		v.Bytes = []byte("Ünïcode"[:r.IntN(2)*9])
	case abi.Slice:
		for range r.IntN(4) {
			v.Elems = append(v.Elems, r.value(t.Elem))
		}
	case abi.Tuple:
		for _, f := range t.Fields {
			v.Elems = append(v.Elems, r.value(f.Type))
		}
	default:
		panic("no such type in a method: " + t.String())
	}
	return v
}

// spoil changes some of calldata, after the selector: a bit, a byte, a word that is like
// an offset or a length, the end.
func (r *random) spoil(data []byte) []byte {
	data = slices.Clone(data)
	args := data[4:]
	if len(args) == 0 {
		return append(data, r.bytes(r.IntN(2))...)
	}
	switch r.IntN(7) {
	case 0:
		args[r.IntN(len(args))] ^= 1 << r.IntN(8)
	case 1:
		args[r.IntN(len(args))] = byte(r.Uint32())
	case 2:
		at := r.IntN(len(args)/32) * 32
		args[at+31] = byte(r.IntN(8) * 32)
	case 3:
		from, to := r.IntN(len(args)/32)*32, r.IntN(len(args)/32)*32
		copy(args[to:to+32], args[from:from+32])
	case 4:
		return data[:4+r.IntN(len(args))]
	case 5:
		return append(data, r.bytes(1+r.IntN(33))...)
	}
	return data
}

// askEthers has one process of node answer all lines.
func askEthers(t *testing.T, lines []asked) []answered {
	t.Helper()
	modules, err := filepath.Abs("../../../tools/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "ethers")); err != nil {
		t.Fatalf("ethers, which this test compares with, is not installed; run make deps: %v", err)
	}
	script, err := os.ReadFile("testdata/calls.mjs")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "calls.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	for _, line := range lines {
		if err := json.NewEncoder(&in).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "calls.mjs"))
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, problems.Bytes())
	}
	answers := make([]answered, 0, len(lines))
	s := bufio.NewScanner(bytes.NewReader(out))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var a answered
		if err := json.Unmarshal(s.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if s.Err() != nil || len(answers) != len(lines) {
		t.Fatalf("%d answers to %d questions, %v", len(answers), len(lines), s.Err())
	}
	return answers
}

// Package viem tests the example in this folder: a payment that is asked for with
// viem, signed, and mined by a real node.
package viem

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/ethereum/go-ethereum/crypto"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

const (
	payee   = "0x52908400098527886E0F7030069857D2E4169EE7"
	private = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
)

// software signs with the first key of every development node, through the real
// decoders. What policy and hardware do is tested elsewhere.
type software struct {
	sealwardv1connect.UnimplementedSignerServiceHandler

	mu    sync.Mutex
	asked []string // ids of the requests, in order; owned by mu

	busy   int                   // how often to be overloaded first; owned by mu
	refuse error                 // what to answer instead
	spoil  func(artifact []byte) // what to do to an answer
}

func (s *software) info() (signer.KeyInfo, error) {
	k, err := crypto.HexToECDSA(private)
	if err != nil {
		return signer.KeyInfo{}, err
	}
	pub := signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: crypto.FromECDSAPub(&k.PublicKey)}
	return signer.KeyInfo{Name: "hot", Public: pub, Fingerprint: pub.Fingerprint(), Chains: []string{"eip155:31337"}}, nil
}

func (s *software) GetKey(context.Context, *connect.Request[v1.GetKeyRequest]) (*connect.Response[v1.GetKeyResponse], error) {
	info, err := s.info()
	if err != nil {
		return nil, err
	}
	address, err := evm.Address(info.Public)
	return connect.NewResponse(&v1.GetKeyResponse{Key: &v1.Key{Name: "hot", Algorithm: "secp256k1", EthereumAddress: address}}), err
}

func (s *software) Sign(_ context.Context, m *connect.Request[v1.SignRequest]) (*connect.Response[v1.SignResponse], error) {
	r := m.Msg.GetRequest()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.GetId())
	switch {
	case s.busy > 0:
		s.busy--
		return nil, connect.NewError(connect.CodeResourceExhausted, errors.New("too many requests at once"))
	case s.refuse != nil:
		return nil, s.refuse
	}
	artifact, err := s.sign(r)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if s.spoil != nil {
		s.spoil(artifact)
	}
	return connect.NewResponse(&v1.SignResponse{Id: r.GetId(), Artifact: artifact}), nil
}

func (s *software) sign(r *v1.Request) ([]byte, error) {
	decoders := map[string]signer.Decoder{"evm.transaction": evm.Transaction{}, "evm.message": evm.Message{}}
	payload := append(r.GetPayload(), r.GetPayloadText()...)
	info, err := s.info()
	if err != nil {
		return nil, err
	}
	in, err := decoders[r.GetKind()].Decode(payload, info, signer.Book{})
	if err != nil {
		return nil, err
	}
	k, err := crypto.HexToECDSA(private)
	if err != nil {
		return nil, err
	}
	sig, err := crypto.Sign(in.Messages[0].Bytes, k)
	if err != nil {
		return nil, err
	}
	return decoders[r.GetKind()].Assemble(payload, info, [][]byte{sig})
}

// protoNames is JSON with the field names of the definition, as the daemon has it.
type protoNames struct{}

func (protoNames) Name() string { return "json" }

func (protoNames) Marshal(m any) ([]byte, error) {
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(m.(proto.Message))
}

func (protoNames) Unmarshal(b []byte, m any) error { return protojson.Unmarshal(b, m.(proto.Message)) }

// serve listens on a Unix socket until the test ends.
func (s *software) serve(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "sign.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(s, connect.WithCodec(protoNames{})))
	srv := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return socket
}

// tools is the folder of the packages for Node.
func tools(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../tools/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "viem")); err != nil {
		t.Fatalf("viem is not installed; run make deps: %v", err)
	}
	return dir
}

// node runs a script beside copies of the example's files, where it finds viem.
func node(t *testing.T, script string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sealward.mjs", "pay.mjs"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(tools(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if script != "pay.mjs" {
		if err := os.WriteFile(filepath.Join(dir, "test.mjs"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		script = "test.mjs"
	}
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), "node", append([]string{filepath.Join(dir, script)}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// anvil starts a node on a free port and returns its address.
func anvil(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(tools(t), "@foundry-rs/anvil-linux-amd64/bin/anvil"), "--port", "0", "--chain-id", "31337")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`Listening on (127\.0\.0\.1:[0-9]+)`).FindStringSubmatch(lines.Text()); m != nil {
			go func() { // what it prints later must not block it
				for lines.Scan() {
				}
			}()
			return "http://" + m[1]
		}
	}
	t.Fatalf("anvil did not start: %v", lines.Err())
	return ""
}

// balance asks a node, in wei as hexadecimal.
func balance(t *testing.T, rpc, account string) string {
	t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[%q,"latest"]}`, account)
	res, err := http.Post(rpc, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct{ Result string }
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Result
}

func TestAPaymentIsMinedAndTheBalanceMoves(t *testing.T) {
	s := &software{busy: 1}
	rpc := anvil(t)
	stdout, stderr, err := node(t, "pay.mjs", "--socket", s.serve(t), "--key", "hot", "--rpc", rpc, "--to", payee, "--eth", "1.5")
	if err != nil {
		t.Fatalf("pay.mjs: %v\n%s%s", err, stdout, stderr)
	}
	if !regexp.MustCompile(`^0x[0-9a-f]{64} success from 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n$`).MatchString(stdout) {
		t.Errorf("pay.mjs prints %q", stdout)
	}
	if got, want := balance(t, rpc, payee), "0x14d1120d7b160000"; got != want {
		t.Errorf("the payee has %s wei, want %s", got, want)
	}
	if len(s.asked) != 2 || s.asked[0] != s.asked[1] {
		t.Errorf("asked with the ids %q, want the same one twice: the daemon was busy once", s.asked)
	}
}

func TestARefusalSaysWhyAndIsNotRepeated(t *testing.T) {
	s := &software{refuse: connect.NewError(connect.CodePermissionDenied, errors.New(`limit "a day" has 0.1 eth left`))}
	_, stderr, err := node(t, "pay.mjs", "--socket", s.serve(t), "--key", "hot", "--rpc", anvil(t), "--to", payee, "--eth", "1.5")
	if err == nil || !strings.Contains(stderr, `denied: limit "a day" has 0.1 eth left`) {
		t.Errorf("pay.mjs = %v, %q", err, stderr)
	}
	if len(s.asked) != 1 {
		t.Errorf("asked %d times, want once", len(s.asked))
	}
}

// script makes an account and prints what an expression of it gives, or the error.
func script(expression string) string {
	return `
import { sealwardAccount } from './sealward.mjs'
const account = await sealwardAccount({ key: 'hot', socket: process.argv[2], attempts: 1 })
const base = { chainId: 31337, nonce: 1, gas: 21000n, to: '` + payee + `', value: 1n }
const modern = { ...base, maxFeePerGas: 2n, maxPriorityFeePerGas: 1n }
try { console.log('ok', await (` + expression + `)) } catch (err) { console.log(err.code, err.message) }
`
}

func TestTheAccount(t *testing.T) {
	flip := func(b []byte) { b[len(b)-40] ^= 1 }
	for name, c := range map[string]struct {
		expression string
		spoil      func([]byte)
		want       string // a regular expression
	}{
		"type 2":                           {`account.signTransaction(modern)`, nil, `^ok 0x02`},
		"type 1":                           {`account.signTransaction({ ...base, gasPrice: 2n, accessList: [{ address: base.to, storageKeys: [] }] })`, nil, `^ok 0x01`},
		"type 0":                           {`account.signTransaction({ ...base, gasPrice: 2n, type: 'legacy' })`, nil, `^ok 0xf8`},
		"calldata":                         {`account.signTransaction({ ...modern, data: '0x12345678' })`, nil, `^ok 0x02`},
		"nothing but what must be there":   {`account.signTransaction({ chainId: 31337, gas: 21000n, to: base.to, maxFeePerGas: 2n, maxPriorityFeePerGas: 1n })`, nil, `^ok 0x02`},
		"a text":                           {`account.signMessage({ message: 'hello' })`, nil, `^ok 0x[0-9a-f]{128}1[bc]\n$`},
		"a text in another alphabet":       {`account.signMessage({ message: 'grüße' })`, nil, `^ok 0x[0-9a-f]{128}1[bc]\n$`},
		"bytes as a message":               {`account.signMessage({ message: { raw: '0x00ff' } })`, nil, `^ok 0x`},
		"typed data is refused":            {`account.signTypedData({})`, nil, `^invalid_request .*EIP-712`},
		"blobs are refused":                {`account.signTransaction({ ...modern, type: 'eip4844', blobVersionedHashes: ['0x01'] })`, nil, `^invalid_request .*eip4844`},
		"a delegation is refused":          {`account.signTransaction({ ...modern, authorizationList: [] })`, nil, `^invalid_request .*authorizationList`},
		"no chain is refused":              {`account.signTransaction({ ...modern, chainId: undefined })`, nil, `^invalid_request .*chainId`},
		"another chain is refused":         {`account.signTransaction({ ...modern, chainId: 1 })`, nil, `^invalid_request .*eip155:1`},
		"a spoilt transaction is caught":   {`account.signTransaction(modern)`, flip, `^internal .*not what was asked for`},
		"a spoilt message is caught":       {`account.signMessage({ message: 'hello' })`, flip, `^internal .*not what was asked for`},
		"a key that is not there":          {`(await import('./sealward.mjs')).sealwardAccount({ key: 'hot', socket: '/nonexistent' })`, nil, `^unavailable .*cannot reach sealwardd at /nonexistent`},
		"a service that is not Sealward's": {`(await import('./sealward.mjs')).call(process.argv[2], 'Frobnicate', {})`, nil, `^internal `},
	} {
		t.Run(name, func(t *testing.T) {
			s := &software{spoil: c.spoil}
			stdout, stderr, err := node(t, script(c.expression), s.serve(t))
			if err != nil || !regexp.MustCompile(c.want).MatchString(stdout) {
				t.Errorf("it prints %q, %v, want %s\n%s", stdout, err, c.want, stderr)
			}
		})
	}
}

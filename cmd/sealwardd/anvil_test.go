package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// devChain is the chain of a development node.
const devChain = 31337

// node is an Ethereum node that mines each transaction as it comes.
type node struct {
	t   *testing.T
	url string
}

// startNode runs anvil on a free port of the loopback interface.
func startNode(t *testing.T, args ...string) *node {
	t.Helper()
	cmd := exec.Command(filepath.Join(nodeTools(t), "@foundry-rs/anvil-linux-amd64/bin/anvil"),
		append([]string{"--host", "127.0.0.1", "--port", "0", "--chain-id", fmt.Sprint(devChain), "--accounts", "1"}, args...)...)
	out, err := cmd.StdoutPipe()
	must(t, err)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the node (run make deps): %v", err)
	}
	lines := bufio.NewScanner(out)
	drained := make(chan struct{})
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-drained; _ = cmd.Wait() })
	listening := regexp.MustCompile(`Listening on (127\.0\.0\.1:[0-9]+)`)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			go func() { // what it prints later must not block it
				defer close(drained)
				_, _ = io.Copy(io.Discard, out)
			}()
			return &node{t, "http://" + m[1]}
		}
	}
	close(drained)
	t.Fatalf("the node ended without listening: %v", lines.Err())
	return nil
}

// call makes a JSON-RPC call that must succeed and decodes its result.
func (n *node) call(result any, method string, params ...any) {
	n.t.Helper()
	if err := n.ask(result, method, params...); err != nil {
		n.t.Fatal(err)
	}
}

// ask makes a JSON-RPC call and decodes its result.
func (n *node) ask(result any, method string, params ...any) error {
	n.t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	must(n.t, err)
	res, err := http.Post(n.url, "application/json", bytes.NewReader(body))
	must(n.t, err)
	defer res.Body.Close()
	var out struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	must(n.t, json.NewDecoder(res.Body).Decode(&out))
	if len(out.Error) > 0 {
		return fmt.Errorf("%s: %s", method, out.Error)
	}
	if result != nil {
		must(n.t, json.Unmarshal(out.Result, result))
	}
	return nil
}

func (n *node) balance(address string) *big.Int {
	n.t.Helper()
	var hex string
	n.call(&hex, "eth_getBalance", address, "latest")
	wei, ok := new(big.Int).SetString(hex, 0)
	if !ok {
		n.t.Fatalf("a balance is %q", hex)
	}
	return wei
}

// fund gives an account ether out of nothing.
func (n *node) fund(address string, wei *big.Int) {
	n.t.Helper()
	n.call(nil, "anvil_setBalance", address, fmt.Sprintf("0x%x", wei))
}

func TestAPaymentThatWasSignedIsMinedAndTheBalanceMoves(t *testing.T) {
	t.Parallel()
	h, n := newHost(t), startNode(t)
	h.start()
	key, err := h.sign().Key(context.Background(), "hot")
	must(t, err)
	if key.GetEthereumAddress() != h.token.address {
		t.Fatalf("the key's address is %s, want %s", key.GetEthereumAddress(), h.token.address)
	}
	n.fund(h.token.address, eth(5000))
	for name, payload := range map[string]string{
		"type 2": transaction(devChain, 0, eth(1250)),
		"type 1": fmt.Sprintf(`{"type":"0x1","chainId":"0x7a69","nonce":"0x1","to":%q,"value":"0x%x","gas":"0x7530","gasPrice":"0x174876e800","accessList":[{"address":%q,"storageKeys":[]}]}`, payee, eth(1250), payee),
		"type 0": fmt.Sprintf(`{"type":"0x0","chainId":"0x7a69","nonce":"0x2","to":%q,"value":"0x%x","gas":"0x5208","gasPrice":"0x174876e800"}`, payee, eth(1250)),
	} {
		res, err := h.sign().Sign(context.Background(), &v1.SignRequest{Request: &v1.Request{
			Id: strings.ReplaceAll(name, " ", "-"), Key: "hot", Kind: "evm.transaction", PayloadText: payload,
		}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// Each has its nonce, so the node mines none before its turn.
		n.call(nil, "eth_sendRawTransaction", fmt.Sprintf("0x%x", res.GetArtifact()))
	}
	var mined string
	eventually(t, "all three are mined", func() bool {
		n.call(&mined, "eth_getTransactionCount", h.token.address, "latest")
		return mined == "0x3"
	})
	if got, want := n.balance(payee), eth(3750); got.Cmp(want) != 0 {
		t.Errorf("the payee has %d wei, want exactly %d", got, want)
	}
	left := new(big.Int).Sub(eth(5000), eth(3750))
	if got := n.balance(h.token.address); got.Cmp(left) >= 0 || got.Cmp(new(big.Int).Sub(left, eth(10))) < 0 {
		t.Errorf("the payer has %d wei, want a little less than %d, for the fees", got, left)
	}
}

// wallet runs a script of viem's beside a copy of the example.
func wallet(t *testing.T, script string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	example, err := os.ReadFile("../../docs/examples/viem/sealward.mjs")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "sealward.mjs"), example, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "wallet.mjs"), []byte(script), 0o600))
	must(t, os.Symlink(nodeTools(t), filepath.Join(dir, "node_modules")))
	cmd := exec.CommandContext(t.Context(), "node", append([]string{filepath.Join(dir, "wallet.mjs")}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s%s", err, out, errs.String())
	}
	return string(out)
}

// walletScript has a wallet pay, pay too much, and sign typed data. It prints a
// line of JSON for each.
const walletScript = `
import { createPublicClient, createWalletClient, defineChain, http, parseEther } from 'viem'
import { sealwardAccount } from './sealward.mjs'

const [socket, url, to] = process.argv.slice(2)
const transport = http(url, { retryCount: 0 })
const chain = defineChain({ id: 31337, name: 'dev', nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 }, rpcUrls: { default: { http: [url] } } })
const account = await sealwardAccount({ key: 'hot', socket, claim: 'rent' })
const wallet = createWalletClient({ account, chain, transport })
const node = createPublicClient({ chain, transport })

const hash = await wallet.sendTransaction({ to, value: parseEther('1.5') })
const receipt = await node.waitForTransactionReceipt({ hash })
console.log(JSON.stringify({ status: receipt.status, from: receipt.from }))

async function refused(what) {
  try {
    console.log(JSON.stringify({ signed: await what() }))
  } catch (err) {
    let cause = err
    while (cause.cause) cause = cause.cause // viem wraps what an account throws
    console.log(JSON.stringify({ code: cause.code, message: cause.message, requestId: cause.requestId ?? '' }))
  }
}
await refused(() => wallet.sendTransaction({ to, value: parseEther('2000') }))
await refused(() => wallet.signTypedData({
  domain: { name: 'Permit', chainId: 31337 }, primaryType: 'Permit',
  types: { Permit: [{ name: 'spender', type: 'address' }] }, message: { spender: to },
}))
`

func TestViemPaysThroughTheDaemonAndShowsItsRefusals(t *testing.T) {
	t.Parallel()
	h, n := newHost(t), startNode(t)
	h.start()
	n.fund(h.token.address, eth(5_000_000)) // so that it is policy that says no
	dec := json.NewDecoder(strings.NewReader(wallet(t, walletScript, h.path("sign.sock"), n.url, payee)))
	var paid struct{ Status, From string }
	must(t, dec.Decode(&paid))
	if paid.Status != "success" || !strings.EqualFold(paid.From, h.token.address) {
		t.Errorf("viem's payment is %+v, want success from %s", paid, h.token.address)
	}
	if got, want := n.balance(payee), eth(1500); got.Cmp(want) != 0 {
		t.Errorf("the payee has %d wei, want exactly %d", got, want)
	}
	var denied, typed struct{ Signed, Code, Message, RequestID string }
	must(t, dec.Decode(&denied))
	must(t, dec.Decode(&typed))
	if denied.Code != "denied" || denied.Signed != "" {
		t.Errorf("a payment of 2000 ends as %+v, want it denied", denied)
	}
	contains(t, "its message", denied.Message, `limit "devcoin a day"`, "1000 devcoin")
	if typed.Code != "invalid_request" || typed.Signed != "" {
		t.Errorf("typed data ends as %+v, want it refused", typed)
	}
	contains(t, "its message", typed.Message, "typed data (EIP-712)")

	// The reason that the wallet was given is the one on record, and so is the claim.
	rec, err := h.sign().Request(context.Background(), denied.RequestID, "")
	must(t, err)
	if rec.GetState() != "denied" || rec.GetClaim() != "rent" || denied.Message != "denied: "+rec.GetDecision().GetReason() {
		t.Errorf("on record it is %s with the claim %q and the reason %q; viem was told %q", rec.GetState(), rec.GetClaim(), rec.GetDecision().GetReason(), denied.Message)
	}
	_, err = h.sign().Request(context.Background(), "no-such-request", "")
	if e, ok := err.(*api.Error); !ok || e.Code != "not_found" {
		t.Errorf("an id that was never used: %v, want not_found", err)
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

const hostConfig = `version = 1
private = true
policy  = "policy.hcl"
trust_policy_file = true
worker_program = %q
journal {
  path                = "journal/journal.db"
  key                 = "journal"
  checkpoint_interval = "200ms"
}
socket "sign" {
  path = "sign.sock"
  mode = "0666"
}
socket "admin" {
  path = "admin.sock"
  mode = "0666"
}
metrics {
  path = "metrics.sock"
  mode = "0600"
}
token "softhsm" {
  environment = { SOFTHSM2_CONF = %q }
  writable    = ["softhsm"]
  pkcs11 {
    module   = %q
    uri      = %q
    pin_file = "pin"
  }
}
key "hot" {
  token  = "softhsm"
  uri    = "pkcs11:object=hot"
  kinds  = ["evm.transaction", "evm.message"]
  chains = ["eip155:1", "eip155:31337"]
}
key "journal" {
  token      = "softhsm"
  uri        = "pkcs11:object=journal"
  statements = true
}
`

// payee is the one who may be paid, usdc the one token that is known.
const (
	payee = "0x52908400098527886E0F7030069857D2E4169EE7"
	usdc  = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
)

const hostAssets = `version = 1
asset "eth" {
  id       = "eip155:1/slip44:60"
  decimals = 18
}
asset "devcoin" {
  id       = "eip155:31337/slip44:60"
  decimals = 18
}
asset "usdc" {
  id       = "eip155:1/erc20:` + usdc + `"
  decimals = 6
}
`

const hostPolicy = hostAssets + `
rule "payments" {
  keys  = ["hot"]
  kinds = ["evm.transaction"]
  allow = true
  limit "eth a day" {
    amount = "1000 eth"
    window = "24h"
  }
  limit "devcoin a day" {
    amount = "1000 devcoin"
    window = "24h"
  }
  limit "usdc a day" {
    amount = "1000 usdc"
    window = "24h"
  }
}
rule "messages" {
  kinds = ["evm.message"]
  allow = true
}
`

// host is a complete set-up in a private folder: a token, its PIN, a configuration
// and a policy. Its sockets can be reached by every account.
type host struct {
	t     *testing.T
	dir   string
	token token

	mu      sync.Mutex
	clients map[string]*api.Client // by socket; owned by mu
}

func newHost(t *testing.T) *host {
	t.Helper()
	tok, err := makeToken()
	must(t, err)
	dir, err := os.MkdirTemp("", "sealwardd-") // t.TempDir is too long for a socket's path
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, layOut(dir, tok))
	return &host{t: t, dir: dir, token: tok, clients: map[string]*api.Client{}}
}

// layOut fills a folder with a set-up.
func layOut(dir string, tok token) error {
	bin, err := buildPrograms()
	if err != nil {
		return err
	}
	files := map[string]string{
		"sealward.hcl": fmt.Sprintf(hostConfig, filepath.Join(bin, workerName), filepath.Join(dir, "softhsm/softhsm2.conf"), tok.module, tok.uri), "policy.hcl": hostPolicy, "pin": pin + "\n",
		"softhsm/softhsm2.conf": fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(dir, "softhsm/tokens")),
	}
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "journal"), 0o700), os.CopyFS(filepath.Join(dir, "softhsm"), os.DirFS(tok.dir)))
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return err
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// write replaces a file. It is safe to do beside a daemon that reads it.
func (h *host) write(name, text string) {
	h.t.Helper()
	must(h.t, os.WriteFile(h.path(name+".new"), []byte(text), 0o600))
	must(h.t, os.Rename(h.path(name+".new"), h.path(name)))
}

func (h *host) read(name string) string {
	h.t.Helper()
	text, err := os.ReadFile(h.path(name))
	must(h.t, err)
	return string(text)
}

// edit replaces a text that must be there.
func (h *host) edit(name, old, new string) {
	h.t.Helper()
	text := h.read(name)
	if !strings.Contains(text, old) {
		h.t.Fatalf("%s has no %q to replace", name, old)
	}
	h.write(name, strings.ReplaceAll(text, old, new))
}

// env is what the daemon is given beside the environment of the test.
func (h *host) env() []string {
	return []string{roleVar + "=daemon"}
}

// output is a log that can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // owned by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process is a daemon that was started, ready or not.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  output
	done chan struct{} // closed when it has ended
	err  error         // how; set before done is closed
}

// launch starts a program as a daemon and does not wait.
func (h *host) launch(env []string, program string, args ...string) *process {
	h.t.Helper()
	p := &process{t: h.t, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), h.env()...), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	hold, err := p.cmd.StdinPipe()
	must(h.t, err)
	must(h.t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	h.t.Cleanup(func() {
		p.kill()
		hold.Close()
		if strings.Contains(p.log.String(), "DATA RACE") {
			h.t.Error("the race detector found something in the daemon")
		}
		if h.t.Failed() {
			h.t.Logf("log of the daemon with pid %d:\n%s", p.cmd.Process.Pid, p.log.String())
		}
	})
	return p
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	return exe
}

// try starts a daemon and does not wait until it is ready.
func (h *host) try(env ...string) *process {
	h.t.Helper()
	return h.launch(env, self(h.t), "--config", h.path("sealward.hcl"))
}

// start starts a daemon and waits until it is ready.
func (h *host) start(env ...string) *process {
	h.t.Helper()
	p := h.try(env...)
	p.waitLog("msg=ready")
	return p
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) waitLog(text string) {
	p.t.Helper()
	eventually(p.t, "the daemon logs "+text, func() bool {
		if strings.Contains(p.log.String(), text) {
			return true
		}
		if p.ended() {
			p.t.Fatalf("the daemon ended (%v) without logging %q:\n%s", p.err, text, p.log.String())
		}
		return false
	})
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(s))
}

// kill ends the daemon with no warning.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	eventually(p.t, "the daemon ends", p.ended)
	return p.cmd.ProcessState.ExitCode()
}

// stop ends the daemon in good order.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.t.Errorf("the daemon stopped with code %d, want 0:\n%s", code, p.log.String())
	}
}

// sign and admin are clients of the sockets.
func (h *host) sign() *api.Client  { return h.dial("sign.sock") }
func (h *host) admin() *api.Client { return h.dial("admin.sock") }

func (h *host) dial(name string) *api.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients[name] == nil {
		h.clients[name] = api.Dial(h.path(name))
		h.t.Cleanup(h.clients[name].Close)
	}
	return h.clients[name]
}

// transaction is a payment to the payee as a wallet would have it.
func transaction(chain, nonce int, wei *big.Int) string {
	return fmt.Sprintf(`{"type":"0x2","chainId":"0x%x","nonce":"0x%x","to":%q,"value":"0x%x","gas":"0x5208","maxFeePerGas":"0x174876e800","maxPriorityFeePerGas":"0x3b9aca00"}`,
		chain, nonce, payee, wei)
}

// fee is what a transaction costs at most: 21000 gas at 100 gwei.
var fee = big.NewInt(21000 * 100_000_000_000)

func eth(milli int64) *big.Int { return new(big.Int).Mul(big.NewInt(milli), big.NewInt(1e15)) }

func payment(id string, nonce int) *v1.Request {
	return &v1.Request{Id: id, Key: "hot", Kind: "evm.transaction", PayloadText: transaction(1, nonce, eth(100))}
}

// pay asks for a good payment, which must be signed.
func (h *host) pay(id string) *v1.SignResponse {
	h.t.Helper()
	res, err := h.sign().Sign(context.Background(), &v1.SignRequest{Request: payment(id, 7)})
	if err != nil {
		h.t.Fatalf("a good request is refused: %v", err)
	}
	return res
}

// events reads the journal from a leaf on.
func (h *host) events(from uint64) (out []signer.Event) {
	h.t.Helper()
	for {
		page, err := h.admin().Entries(context.Background(), from, 1000)
		must(h.t, err)
		for _, e := range page.GetEntries() {
			ev, err := signer.ParseEvent([]byte(e.GetBody()))
			must(h.t, err)
			out = append(out, ev)
		}
		from += uint64(len(page.GetEntries()))
		if from >= page.GetSize() {
			return out
		}
	}
}

func (h *host) size() uint64 {
	h.t.Helper()
	s, err := h.admin().Status(context.Background())
	must(h.t, err)
	return s.GetJournalSize()
}

// sound has the daemon verify its whole journal.
func (h *host) sound() *v1.VerifyResponse {
	h.t.Helper()
	r, err := h.admin().Verify(context.Background())
	must(h.t, err)
	if len(r.GetProblems()) > 0 {
		h.t.Errorf("the journal has problems:\n%s", strings.Join(r.GetProblems(), "\n"))
	}
	return r
}

// httpClient speaks HTTP on a socket of the host's.
func (h *host) httpClient(socket string) *http.Client {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.path(socket))
	}}
	return &http.Client{Transport: tr}
}

// get fetches a path from a socket.
func (h *host) get(socket, method, path string) (status int, body string) {
	h.t.Helper()
	req, err := http.NewRequest(method, "http://localhost"+path, nil)
	must(h.t, err)
	res, err := h.httpClient(socket).Do(req)
	must(h.t, err)
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	must(h.t, err)
	return res.StatusCode, string(all)
}

// sealward runs the command line as the user uid, or as the user of the test if
// that is negative.
func (h *host) sealward(uid int, args ...string) (code int, stdout, stderr string) {
	h.t.Helper()
	bin, err := buildPrograms()
	must(h.t, err)
	cmd := exec.Command(filepath.Join(bin, "sealward"), append([]string{"--sockets", h.dir}, args...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, "/"
	if uid >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if err := cmd.Run(); cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// missing reports whether there is no file of that name.
func (h *host) missing(name string) bool {
	_, err := os.Lstat(h.path(name))
	return errors.Is(err, fs.ErrNotExist)
}

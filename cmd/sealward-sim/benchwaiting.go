package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// crowd is what requests that wait cost those that do not: two daemons on hosts that are
// alike, but that nothing waits at one, are loaded in turn.
type crowd struct {
	Waiting  int          `json:"waiting"`
	Accounts int          `json:"accounts"`         // whose requests they are
	Asking   float64      `json:"asking_ms"`        // until all of them waited
	Rounds   []crowdRound `json:"rounds"`           // of load
	Empty    starts       `json:"starts_empty"`     // where nothing waits
	Full     starts       `json:"starts_full"`      // where they do
	Pages    []listing    `json:"listings"`         // of all of them
	Change   redecision   `json:"policy_change"`    // with nobody else asking
	Busy     redecision   `json:"policy_change_in"` // with a client that asks for signatures all the time
}

// crowdRound is the load on both, by clients.
type crowdRound struct {
	Empty map[int]rate `json:"empty"`
	Full  map[int]rate `json:"full"`
}

// listing is reading all requests that wait, page by page.
type listing struct {
	Size  int     `json:"page_size"`
	All   float64 `json:"all_ms"`
	Pages rate    `json:"pages"`
}

// redecision is another policy, which decides on all that wait once more.
type redecision struct {
	Took   float64 `json:"took_ms"`
	Client rate    `json:"client"` // of the client meanwhile
}

// crowdBench says how much is measured.
type crowdBench struct {
	bin, dir string
	accounts []int // uids
	each     int   // requests that wait, of each
	rounds   int
	load     time.Duration
}

const (
	crowdSize = 10_000
	crowdEach = 1000 // the most that a policy lets wait of one account
	crowdLoad = 1500 * time.Millisecond
	crowdKey  = string(signer.AlgorithmP256)
)

var (
	crowdClients = []int{1, 64}
	crowdPages   = []int{100, 1000}
)

// crowdPolicy goes on where [benchPolicy] ends.
const crowdPolicy = `
pending = 1000

approver "alice" {
  certificate = "alice.pem"
}

approver "bob" {
  certificate = "bob.pem"
}

group "treasury" {
  members = ["alice", "bob"]
}

rule "payouts to Initech" {
  keys  = ["secp256k1"]
  kinds = ["evm.transaction"]
  when  = "effects.all(e, e.class == 'transfer' && e.counterparty == 'eip155:1:0x8617E340B3D01FA5F11F306F4090FD50E238070D')"

  require {
    group     = "treasury"
    approvals = 2
  }
}

rule "policy" {
  keys = ["sealward"]
  when = "effects.all(e, e.class == 'policy_change')"

  require {
    group     = "treasury"
    approvals = 2
  }
}
`

// crowdAccounts are accounts of this machine as which root can ask. Who is not root can
// ask as nobody else, so that fewer requests wait.
func crowdAccounts() (uids []int) {
	if os.Geteuid() != 0 {
		return []int{os.Geteuid()}
	}
	for uid := 1; uid < 1000 && len(uids) < crowdSize/crowdEach; uid++ {
		if _, err := user.LookupId(strconv.Itoa(uid)); err == nil {
			uids = append(uids, uid)
		}
	}
	return uids
}

// prepare makes one of the two hosts, in a folder through which other accounts get to the
// socket.
func (b *crowdBench) prepare(name string) (*host, error) {
	h := &host{bin: b.bin, dir: filepath.Join(b.dir, name)}
	if err := os.Mkdir(h.dir, 0o711); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(b.dir, 0o711), os.Chmod(h.dir, 0o711)); err != nil { // the umask had a say in it
		return nil, err
	}
	config := "trust_policy_file = true\n" + strings.Replace(benchConfig, `"0600"`, `"0666"`, 1)
	if !strings.Contains(config, "path = \"sign.sock\"\n  mode = \"0666\"") {
		return nil, errors.New("the first socket is not that of callers")
	}
	for _, name := range []string{"alice", "bob"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		public, err := key.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		text, err := certificate(key, name, signer.PublicKey{Bytes: public})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(h.dir, name+".pem"), text, 0o600); err != nil {
			return nil, err
		}
	}
	_, _, err := makeHost(b.bin, h.dir, config, benchPolicy+crowdPolicy, benchKeys)
	return h, err
}

// measure measures all of it.
func (b *crowdBench) measure(ctx context.Context) (c crowd, err error) {
	empty, err := b.prepare("empty")
	if err != nil {
		return c, err
	}
	full, err := b.prepare("full")
	if err != nil {
		return c, err
	}
	c.Waiting, c.Accounts = b.each*len(b.accounts), len(b.accounts)
	progress("%d requests of %d accounts that wait", c.Waiting, c.Accounts)
	if _, err = empty.starts(1); err != nil { // makes the journal
		return c, err
	}
	err = full.serve(func(int) (err error) {
		c.Asking, err = b.fill(ctx, full)
		return err
	})
	if err != nil {
		return c, err
	}
	if c.Empty, err = empty.starts(b.rounds); err != nil {
		return c, err
	}
	if c.Full, err = full.starts(b.rounds); err != nil {
		return c, err
	}
	return c, empty.serve(func(int) error {
		return full.serve(func(pid int) error { return b.serving(ctx, &c, empty, full, pid) })
	})
}

// serving measures what takes both daemons.
func (b *crowdBench) serving(ctx context.Context, c *crowd, empty, full *host, pid int) error {
	for i := range b.rounds {
		r := crowdRound{map[int]rate{}, map[int]rate{}}
		for _, n := range crowdClients {
			turns := []func() error{
				func() (err error) { r.Empty[n], err = b.ask(ctx, empty, n); return err },
				func() (err error) { r.Full[n], err = b.ask(ctx, full, n); return err },
			}
			// Each goes first as often as the other.
			if err := errors.Join(turns[i%2](), turns[1-i%2]()); err != nil {
				return err
			}
		}
		c.Rounds = append(c.Rounds, r)
	}
	for range b.rounds {
		for _, size := range crowdPages {
			l, err := list(ctx, full, size, c.Waiting)
			if err != nil {
				return err
			}
			c.Pages = append(c.Pages, l)
		}
	}
	var err error
	if c.Change, err = full.decideAgain(ctx, pid, 1, nil); err != nil {
		return err
	}
	if c.Busy, err = full.decideAgain(ctx, pid, 2, full.askOn); err != nil {
		return err
	}
	_, err = list(ctx, full, crowdEach, c.Waiting) // they still wait
	return err
}

func (b *crowdBench) ask(ctx context.Context, h *host, clients int) (rate, error) {
	return job{Key: crowdKey, Parallel: clients, For: b.load, Socket: h.socket(), Run: h.run("crowd")}.measure(ctx)
}

// fill asks for what has to wait, as every account at once.
func (b *crowdBench) fill(ctx context.Context, h *host) (ms float64, err error) {
	program, err := b.copy()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	errs := make([]error, len(b.accounts))
	var done sync.WaitGroup
	for i, uid := range b.accounts {
		done.Go(func() {
			j := job{Key: string(signer.AlgorithmSecp256k1), Waiting: b.each, Socket: h.socket(), Run: "waits"}
			errs[i] = j.as(ctx, program, uid)
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	ms = milliseconds(time.Since(begun))
	s, err := h.status(ctx)
	if want := uint64(b.each * len(b.accounts)); err == nil && s.GetPending() != want {
		err = fmt.Errorf("%d requests wait; %d were asked for", s.GetPending(), want)
	}
	return ms, err
}

// copy puts this program where other accounts get to it.
func (b *crowdBench) copy() (path string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	path = filepath.Join(b.dir, "asker")
	return path, errors.Join(os.WriteFile(path, text, 0o755), os.Chmod(path, 0o755))
}

// as runs a job whose result nobody needs as another account, which is a process of that:
// the daemon believes nothing else.
func (j job) as(ctx context.Context, program string, uid int) error {
	spec, err := json.Marshal(j)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "measure", string(spec))
	cmd.Dir = "/"
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ask as uid %d: %w: %s", uid, err, out)
	}
	return nil
}

// wait asks for payments that have to wait, one after the other.
func (j job) wait() (perSecond float64, latencies []time.Duration, err error) {
	client := api.Dial(j.Socket)
	defer client.Close()
	begun := time.Now()
	for i := range j.Waiting {
		payload, err := payment(initech, uint64(i))
		if err != nil {
			return 0, nil, err
		}
		r := &v1.Request{Id: fmt.Sprintf("%s-%d", j.Run, i), Key: j.Key, Kind: string(signer.KindEVMTransaction), Payload: payload}
		asked := time.Now()
		_, err = client.Sign(context.Background(), &v1.SignRequest{Request: r})
		if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != signer.CodeWaiting {
			return 0, nil, fmt.Errorf("request %s does not wait: %w", r.GetId(), err)
		}
		latencies = append(latencies, time.Since(asked))
	}
	return float64(j.Waiting) / time.Since(begun).Seconds(), latencies, nil
}

// list reads all that waits.
func list(ctx context.Context, h *host, size, want int) (listing, error) {
	client := api.Dial(filepath.Join(h.dir, "admin.sock"))
	defer client.Close()
	var took []time.Duration
	begun, after, n := time.Now(), uint64(0), 0
	for {
		asked := time.Now()
		res, err := client.ListPending(ctx, after, uint32(size))
		if err != nil {
			return listing{}, err
		}
		some := res.GetPending()
		if len(some) == 0 {
			break
		}
		took = append(took, time.Since(asked))
		n, after = n+len(some), some[len(some)-1].GetLeaf()
	}
	all := time.Since(begun)
	if n != want {
		return listing{}, fmt.Errorf("%d requests are listed; %d wait", n, want)
	}
	return listing{size, milliseconds(all), newRate(float64(len(took))/all.Seconds(), took)}, nil
}

// decideAgain puts another policy in force, the nth, while somebody may ask, and waits
// until that has decided on every request that waits.
func (h *host) decideAgain(ctx context.Context, pid, nth int, meanwhile func(stop <-chan struct{}) (rate, error)) (r redecision, err error) {
	s, err := h.status(ctx)
	if err != nil {
		return r, err
	}
	text := strings.Replace(benchPolicy+crowdPolicy, "100000000 eth", fmt.Sprintf("10000000%d eth", nth), 1)
	if err := os.WriteFile(filepath.Join(h.dir, "policy.hcl"), []byte(text), 0o600); err != nil {
		return r, err
	}
	stop := make(chan struct{})
	var done sync.WaitGroup
	var asked error
	if meanwhile != nil {
		done.Go(func() { r.Client, asked = meanwhile(stop) })
	}
	begun := time.Now()
	if err = syscall.Kill(pid, syscall.SIGHUP); err == nil {
		err = h.decided(ctx, s.GetJournalSize())
	}
	r.Took = milliseconds(time.Since(begun))
	close(stop)
	done.Wait()
	return r, errors.Join(err, asked)
}

// decided waits until nothing waits that came before a leaf.
func (h *host) decided(ctx context.Context, leaf uint64) error {
	client := api.Dial(filepath.Join(h.dir, "admin.sock"))
	defer client.Close()
	for begun := time.Now(); time.Since(begun) < 5*time.Minute; time.Sleep(20 * time.Millisecond) {
		res, err := client.ListPending(ctx, 0, 1) // the oldest
		if err != nil {
			return err
		}
		if some := res.GetPending(); len(some) == 1 && some[0].GetLeaf() >= leaf {
			return nil
		}
	}
	return errors.New("another policy does not decide on all that waits")
}

// askOn asks for one signature after the other.
func (h *host) askOn(stop <-chan struct{}) (rate, error) {
	client := api.Dial(h.socket())
	defer client.Close()
	j := job{Key: crowdKey, Run: h.run("meanwhile")}
	var took []time.Duration
	for begun := time.Now(); ; {
		select {
		case <-stop:
			return newRate(float64(len(took))/time.Since(begun).Seconds(), took), nil
		default:
		}
		asked := time.Now()
		if err := j.ask(client, uint64(len(took))); err != nil {
			return rate{}, err
		}
		took = append(took, time.Since(asked))
	}
}

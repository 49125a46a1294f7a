package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

const (
	callers  = 64
	admitted = 10
)

// tenLimits are limits that admit ten payments of 0.1 eth, fees included.
var tenLimits = map[string]string{
	"by amount": `amount = "1 eth"`,
	"by count":  `count = 10`,
}

func limitPolicy(limit string) string {
	return hostAssets + fmt.Sprintf("rule \"ten\" {\n  keys = [\"hot\"]\n  kinds = [\"evm.transaction\"]\n  allow = true\n  limit \"a day\" {\n    %s\n    window = \"24h\"\n  }\n}\n", limit)
}

// tenth is a payment of 0.1 eth with its fee, to the wei.
func tenth(i int) *v1.Request {
	return &v1.Request{
		Id: fmt.Sprintf("p-%d", i), Key: "hot", Kind: "evm.transaction",
		PayloadText: transaction(1, i, new(big.Int).Sub(eth(100), fee)),
	}
}

// crowd is many callers who each want one payment and do not give up.
type crowd struct {
	t    *testing.T
	host *host

	acknowledged atomic.Int64
	left         atomic.Int64 // callers without an answer
	mu           sync.Mutex
	signed       map[int]string // what each was given; owned by mu
	denied       map[int]string // why; owned by mu
}

func newCrowd(h *host) *crowd {
	c := &crowd{t: h.t, host: h, signed: map[int]string{}, denied: map[int]string{}}
	c.left.Store(callers)
	return c
}

// ask has every caller ask at once until it has an answer that is final.
func (c *crowd) ask() {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			client := api.Dial(c.host.path("sign.sock"))
			defer client.Close()
			<-start
			c.one(client, i)
		})
	}
	close(start)
	wg.Wait()
}

func (c *crowd) one(client *api.Client, i int) {
	defer c.left.Add(-1)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		res, err := client.Sign(context.Background(), &v1.SignRequest{Request: tenth(i)})
		switch {
		case err == nil:
			c.mu.Lock()
			c.signed[i] = answer(res)
			c.mu.Unlock()
			c.acknowledged.Add(1)
			return
		case codeOf(err) == signer.CodeDenied:
			c.mu.Lock()
			c.denied[i] = err.Error()
			c.mu.Unlock()
			return
		case codeOf(err) == signer.CodeUnavailable, codeOf(err) == signer.CodePending, codeOf(err) == signer.CodeOverloaded:
			// The daemon is gone or busy: ask again, with the same id.
		default:
			c.t.Errorf("caller %d: %v", i, err)
			return
		}
	}
	c.t.Errorf("caller %d has no answer", i)
}

func codeOf(err error) signer.Code {
	if e, ok := err.(*api.Error); ok {
		return e.Code
	}
	return ""
}

// answer is all of an answer that must never change.
func answer(res *v1.SignResponse) string {
	return fmt.Sprintf("leaf %d, outcome %d, artifact %s", res.GetLeaf(), res.GetOutcomeLeaf(), hex.EncodeToString(res.GetArtifact()))
}

// check counts the answers, asks for each of them again, and reads the journal.
func (c *crowd) check() {
	c.t.Helper()
	if len(c.signed) != admitted || len(c.denied) != callers-admitted {
		c.t.Errorf("%d were signed and %d denied, want %d and %d", len(c.signed), len(c.denied), admitted, callers-admitted)
	}
	client := c.host.sign()
	for i := range callers {
		res, err := client.Sign(context.Background(), &v1.SignRequest{Request: tenth(i)})
		if want, ok := c.signed[i]; ok && (err != nil || answer(res) != want) {
			c.t.Errorf("caller %d asks again and gets %v, %v; the first time it was %s", i, answer(res), err, want)
		}
		if want, ok := c.denied[i]; ok && (err == nil || err.Error() != want) {
			c.t.Errorf("caller %d asks again and gets %v, %v; the first time it was %s", i, answer(res), err, want)
		}
	}
	limits, err := client.Limits(context.Background(), "hot")
	must(c.t, err)
	if len(limits) != 1 || limits[0].GetLeft() != "0" || limits[0].GetSpent() != limits[0].GetMax() {
		c.t.Errorf("the limit is %v, want it spent to the last unit", limits)
	}
	r := c.host.sound()
	if r.GetAuthorized() != admitted || r.GetSigned() != admitted || r.GetOutcomeUnknown() != 0 {
		c.t.Errorf("the journal has %d authorised, %d signed, %d unknown; want %d, %d, 0", r.GetAuthorized(), r.GetSigned(), r.GetOutcomeUnknown(), admitted, admitted)
	}
}

func TestOfSixtyFourAtOnceExactlyTenAreSigned(t *testing.T) {
	for name, limit := range tenLimits {
		for round := range 2 {
			t.Run(fmt.Sprintf("%s, round %d", name, round+1), func(t *testing.T) {
				t.Parallel()
				h := newHost(t)
				h.write("policy.hcl", limitPolicy(limit))
				p := h.start()
				c := newCrowd(h)
				c.ask()
				c.check()
				p.stop()
			})
		}
	}
}

func TestOfSixtyFourExactlyTenAreSignedThoughTheDaemonIsKilled(t *testing.T) {
	for name, limit := range tenLimits {
		for round := range 2 {
			t.Run(fmt.Sprintf("%s, round %d", name, round+1), func(t *testing.T) {
				t.Parallel()
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				h := newHost(t)
				h.write("policy.hcl", limitPolicy(limit))
				c := newCrowd(h)
				killed := make(chan int)
				go func() { killed <- c.killAtRandom(rand.New(rand.NewPCG(seed, 0))) }()
				c.ask()
				n := <-killed
				t.Logf("killed %d times", n)
				if n == 0 {
					t.Error("the daemon was never killed while somebody waited")
				}
				c.check()
			})
		}
	}
}

// killAtRandom runs the daemon and kills it four times while callers wait: at
// once, and each time that one to three more have their signature and a moment has
// passed. It returns how often it did, with the daemon running.
func (c *crowd) killAtRandom(r *rand.Rand) (kills int) {
	goal := int64(0)
	for range 4 {
		p := c.host.start()
		for c.left.Load() > 0 && c.acknowledged.Load() < goal {
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Duration(r.Int64N(int64(10 * time.Millisecond))))
		if c.left.Load() == 0 {
			return kills
		}
		p.kill()
		kills++
		goal = min(c.acknowledged.Load()+1+r.Int64N(3), admitted)
	}
	c.host.start()
	return kills
}

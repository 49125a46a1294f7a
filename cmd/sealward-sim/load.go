package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// What loads the processor is measured in a process of its own, as a wallet
// program or another user of the token would be: this program runs itself with a
// job and reads the result.

// job is one measurement, of the daemon or of one of the raw devices.
type job struct {
	Key      string
	Parallel int // sessions of the module, or clients of the daemon
	For      time.Duration

	Module string   // of PKCS#11
	Env    []string // what the module wants in its environment
	TPM    string   // the socket of swtpm
	PCSCD  string   // the socket of pcscd, with one card

	Socket  string // of the daemon
	Run     string // distinguishes request ids between jobs
	Waiting int    // ask for so many requests that have to wait, and for nothing else
}

// rate is the result of a job.
type rate struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Count     int     `json:"count"`
}

func newRate(perSecond float64, latencies []time.Duration) rate {
	slices.Sort(latencies)
	return rate{perSecond, milliseconds(quantile(latencies, 0.50)), milliseconds(quantile(latencies, 0.99)), len(latencies)}
}

// quantile returns the nearest-rank quantile of what is sorted.
func quantile[T any](sorted []T, q float64) T {
	var zero T
	if len(sorted) == 0 {
		return zero
	}
	return sorted[min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measure runs a job in a child.
func (j job) measure(ctx context.Context) (r rate, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	spec, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, "measure", string(spec))
	cmd.Env, cmd.Stderr = append(os.Environ(), j.Env...), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("measure %s: %w", spec, err)
	}
	return r, json.Unmarshal(out, &r)
}

// runJob is the child.
func runJob(spec string) error {
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return err
	}
	measure := j.load
	switch {
	case j.Module != "":
		measure = func() (float64, []time.Duration, error) {
			return sim.RawRate(j.Module, tokenLabel, pin, j.Key, j.Parallel, j.For)
		}
	case j.TPM != "":
		measure = func() (float64, []time.Duration, error) { return sim.RawTPMRate(j.TPM, j.For) }
	case j.Waiting > 0:
		measure = j.wait
	case j.PCSCD != "":
		measure = func() (float64, []time.Duration, error) { return sim.RawPIVRate(j.PCSCD, sim.CardPIN, j.For) }
	}
	perSecond, latencies, err := measure()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(newRate(perSecond, latencies))
}

// load asks for signatures, each client in a loop on a connection of its own.
func (j job) load() (perSecond float64, latencies []time.Duration, err error) {
	client := api.Dial(j.Socket)
	defer client.Close()
	var next atomic.Uint64
	all, errs := make([][]time.Duration, j.Parallel), make([]error, j.Parallel)
	var began, warm sync.WaitGroup
	var start time.Time
	warm.Add(j.Parallel)
	began.Add(1)
	var done sync.WaitGroup
	for i := range j.Parallel {
		done.Go(func() {
			// The first request connects, and is not counted.
			errs[i] = j.ask(client, next.Add(1))
			warm.Done()
			began.Wait()
			for now := time.Now(); errs[i] == nil && now.Before(start.Add(j.For)); {
				errs[i] = j.ask(client, next.Add(1))
				end := time.Now()
				all[i] = append(all[i], end.Sub(now))
				now = end
			}
		})
	}
	warm.Wait()
	start = time.Now()
	began.Done()
	done.Wait()
	elapsed := time.Since(start)
	latencies = slices.Concat(all...)
	return float64(len(latencies)) / elapsed.Seconds(), latencies, errors.Join(errs...)
}

// ask has one payload signed that was never asked for before.
func (j job) ask(client *api.Client, n uint64) error {
	r := &v1.Request{Id: fmt.Sprintf("%s-%d", j.Run, n), Key: j.Key, Kind: string(signer.KindDigest), Payload: make([]byte, 32)}
	if j.Key == string(signer.AlgorithmSecp256k1) {
		payload, err := payment(acme, n)
		if err != nil {
			return err
		}
		r.Kind, r.Payload = string(signer.KindEVMTransaction), payload
	} else if _, err := rand.Read(r.Payload); err != nil {
		return err
	}
	res, err := client.Sign(context.Background(), &v1.SignRequest{Request: r})
	if err != nil {
		return err
	}
	if len(res.GetSignatures()) != 1 {
		return fmt.Errorf("%d signatures for request %s; want one", len(res.GetSignatures()), r.GetId())
	}
	return nil
}

// The vendors of the policy.
const (
	acme    = "\x52\x90\x84\x00\x09\x85\x27\x88\x6e\x0f\x70\x30\x06\x98\x57\xd2\xe4\x16\x9e\xe7"
	initech = "\x86\x17\xe3\x40\xb3\xd0\x1f\xa5\xf1\x1f\x30\x6f\x40\x90\xfd\x50\xe2\x38\x07\x0d"
)

// payment is an unsigned EIP-1559 transfer of 1 gwei.
func payment(to string, nonce uint64) ([]byte, error) {
	const gwei = uint64(1e9)
	body, err := rlp.EncodeToBytes([]any{
		uint64(1), nonce, 1 * gwei, 30 * gwei, uint64(21_000),
		[]byte(to), 1 * gwei, []byte{}, []any{},
	})
	return append([]byte{2}, body...), err
}

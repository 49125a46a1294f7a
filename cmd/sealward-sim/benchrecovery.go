package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/ipc/api"
)

// recovery is how long a key is out of reach after a fault, for a client that asks
// all the time.
type recovery struct {
	Fault string `json:"fault"`
	// Times are from the moment from which nothing stands in the way any more (the
	// fault itself, the deadline that cut it, or the moment at which whoever took the
	// device away began to give it back) to the answer with the next signature.
	Times []float64 `json:"ms"`
	// Others is the longest that a client waited, meanwhile, for a signature with a
	// key of another token.
	Others []float64 `json:"others_longest_ms"`
}

const (
	recoveryRounds = 3
	// away is how long a device is away at least: so long that the daemon looks for it
	// as seldom as it ever does.
	away = 1500 * time.Millisecond
	// calm is how long a device was well before something goes wrong with it. After
	// less than five seconds the daemon takes it for more of the same, and waits longer
	// before it tries again, up to a second.
	calm = 5500 * time.Millisecond
)

// fault is something that goes wrong.
type fault struct {
	what, key string
	strike    func(ctx context.Context, h *devicesHost) error
	restore   func(h *devicesHost) error // nil where nothing has to be done
	cut       bool                       // it lasts until a deadline cuts it
}

// faults are in the order in which there is least to wait for between them.
var faults = []fault{
	{what: "PIV: its worker is stopped", key: "card", strike: signalWorker("card", unix.SIGSTOP), cut: true},
	{what: "TPM: its worker is killed", key: "chip", strike: signalWorker("chip", unix.SIGKILL)},
	{what: "PKCS#11: the module crashes", key: "faulty", strike: deed(sim.Crash)},
	{what: "PIV: the card is pulled", key: "card",
		strike:  func(_ context.Context, h *devicesHost) error { return h.devices.Reader.Remove(h.devices.Card) },
		restore: func(h *devicesHost) error { return h.devices.Reader.Insert(h.devices.Card) }},
	{what: "PKCS#11: p11-kit's server is killed", key: "served",
		strike:  func(_ context.Context, h *devicesHost) error { return h.server.Kill() },
		restore: func(h *devicesHost) error { return h.server.Start() }},
	{what: "TPM: swtpm is killed", key: "chip",
		strike:  func(_ context.Context, h *devicesHost) error { return h.devices.TPM.Kill() },
		restore: func(h *devicesHost) error { return h.devices.TPM.Start() }},
	{what: "PIV: pcscd is killed", key: "card",
		strike:  func(_ context.Context, h *devicesHost) error { return h.devices.Reader.Kill() },
		restore: func(h *devicesHost) error { return h.devices.Reader.Restart() }},
	{what: "PKCS#11: the module never returns", key: "faulty", strike: deed(sim.Hang), cut: true},
}

func signalWorker(token string, s unix.Signal) func(context.Context, *devicesHost) error {
	return func(ctx context.Context, h *devicesHost) error {
		pid, err := h.worker(ctx, token)
		if err != nil {
			return err
		}
		return unix.Kill(pid, s)
	}
}

// deed has the next signature of the module do something.
func deed(d sim.Deed) func(context.Context, *devicesHost) error {
	return func(_ context.Context, h *devicesHost) error { return h.faults.Do(sim.Sign, d, 1) }
}

func measureRecovery(ctx context.Context, h *devicesHost) ([]recovery, error) {
	all, well := make([]recovery, len(faults)), map[string]time.Time{}
	for n := range recoveryRounds {
		for i, f := range faults {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			progress("recovery %d of %d, %s", n+1, recoveryRounds, f.what)
			time.Sleep(time.Until(well[f.key].Add(calm)))
			took, others, err := f.measure(ctx, h, away+time.Duration(n)*300*time.Millisecond) // at three moments of the daemon's looks
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.what, err)
			}
			all[i].Fault, well[f.key] = f.what, time.Now()
			all[i].Times, all[i].Others = append(all[i].Times, milliseconds(took)), append(all[i].Others, milliseconds(others))
		}
	}
	return all, nil
}

// measure has the fault happen once.
func (f fault) measure(ctx context.Context, h *devicesHost, pause time.Duration) (took, others time.Duration, err error) {
	client, other := ask(h, f.key), ask(h, "p256")
	defer func() {
		client.stop()
		others, err = other.longest(err)
	}()
	if _, err := client.await(func(a answer) bool { return a.err == nil }); err != nil {
		return 0, 0, err
	}
	since := time.Now()
	if err := f.strike(ctx, h); err != nil {
		return 0, 0, err
	}
	failed, err := client.await(func(a answer) bool { return a.err != nil && a.at.After(since) })
	if err != nil {
		return 0, 0, err
	}
	if f.cut {
		since = failed.at
	}
	if f.restore != nil {
		time.Sleep(pause)
		since = time.Now()
		if err := f.restore(h); err != nil {
			return 0, 0, err
		}
	}
	signed, err := client.await(func(a answer) bool { return a.err == nil && a.at.After(failed.at) })
	return signed.at.Sub(since), 0, err
}

// asker is a client that asks for signatures all the time, one after the other.
type asker struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu  sync.Mutex
	all []answer
}

type answer struct {
	at   time.Time
	took time.Duration
	err  error
}

func ask(h *devicesHost, key string) *asker {
	ctx, cancel := context.WithCancel(context.Background())
	a := &asker{cancel: cancel}
	j := job{Key: key, Run: h.run("recover")}
	a.done.Go(func() {
		client := api.Dial(h.socket())
		defer client.Close()
		for n := uint64(1); ctx.Err() == nil; n++ {
			asked := time.Now()
			err := j.ask(client, n)
			a.mu.Lock()
			a.all = append(a.all, answer{time.Now(), time.Since(asked), err})
			a.mu.Unlock()
			if err != nil {
				time.Sleep(2 * time.Millisecond) // as a client that asks again would
			}
		}
	})
	return a
}

// await waits for the first answer of some kind.
func (a *asker) await(is func(answer) bool) (answer, error) {
	var last error
	for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(time.Millisecond) {
		a.mu.Lock()
		for _, got := range a.all {
			if last = got.err; is(got) {
				a.mu.Unlock()
				return got, nil
			}
		}
		a.mu.Unlock()
	}
	return answer{}, errors.Join(errors.New("the answer that was to come did not come within 30 s"), last)
}

func (a *asker) stop() {
	a.cancel()
	a.done.Wait()
}

// longest ends the client, none of whose requests may have been refused.
func (a *asker) longest(err error) (time.Duration, error) {
	a.stop()
	var most time.Duration
	for _, got := range a.all {
		if got.err != nil {
			return 0, errors.Join(err, fmt.Errorf("a key of another token was out of reach: %w", got.err))
		}
		most = max(most, got.took)
	}
	return most, err
}

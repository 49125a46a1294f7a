package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// host is a set-up, and the daemon on it.
type host struct {
	bin, dir string
	asked    int // makes request ids differ
}

func (h *host) socket() string { return filepath.Join(h.dir, "sign.sock") }

// run names the requests of one client, which nobody has used before.
func (h *host) run(what string) string {
	h.asked++
	return fmt.Sprintf("%s-%d-%d", what, os.Getpid(), h.asked)
}

// starts are fresh starts, each up to the first signature.
type starts struct {
	Took     []float64 `json:"took_ms"`
	Resident []int     `json:"resident_kib"` // of the daemon then
}

func (h *host) starts(n int) (all starts, err error) {
	for range n {
		begun := time.Now()
		err := h.serve(func(pid int) error {
			all.Took = append(all.Took, milliseconds(time.Since(begun)))
			kib, err := residentKiB(pid, "VmRSS")
			all.Resident = append(all.Resident, kib)
			return err
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// serve runs the daemon around f, which is called once the daemon has signed.
func (h *host) serve(f func(pid int) error) (err error) {
	daemon, err := daemonCommand(h.bin, h.dir)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(h.dir, "log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	if err = h.firstSignature(ended); err == nil {
		err = f(daemon.Process.Pid)
	}
	if err == nil {
		err = daemon.Process.Signal(syscall.SIGTERM)
	} else {
		err = errors.Join(err, daemon.Process.Kill())
	}
	if werr := <-ended; err == nil && werr == nil {
		return nil
	} else if err = errors.Join(err, werr); err != nil {
		said, _ := io.ReadAll(io.NewSectionReader(log, 0, 1<<16)) // it is only for the message
		err = fmt.Errorf("%w\n%s", err, said)
	}
	return err
}

// firstSignature asks until there is one.
func (h *host) firstSignature(ended chan error) error {
	client := api.Dial(h.socket())
	defer client.Close()
	j := job{Key: "p256", Run: h.run("first")}
	for begun := time.Now(); ; {
		err := j.ask(client, 1)
		if err == nil {
			return nil
		}
		select {
		case werr := <-ended:
			ended <- nil
			return fmt.Errorf("sealwardd ended instead of signing: %w", werr)
		case <-time.After(time.Millisecond):
		}
		if time.Since(begun) > 20*time.Second {
			return fmt.Errorf("sealwardd does not sign: %w", err)
		}
	}
}

// status is what an operator sees.
func (h *host) status(ctx context.Context) (*v1.GetStatusResponse, error) {
	client := api.Dial(filepath.Join(h.dir, "admin.sock"))
	defer client.Close()
	return client.Status(ctx)
}

// worker returns the process that drives a token.
func (h *host) worker(ctx context.Context, token string) (pid int, err error) {
	s, err := h.status(ctx)
	if err != nil {
		return 0, err
	}
	for _, t := range s.GetTokens() {
		if t.GetName() == token && t.GetWorkerPid() > 1 {
			return int(t.GetWorkerPid()), nil
		}
	}
	return 0, fmt.Errorf("token %q has no worker", token)
}

// loaded is what a load did, and what it took.
type loaded struct {
	rate      rate
	processor float64 // the daemon's time per signature
	daemon    footprint
	worker    footprint
}

// load has clients ask for signatures with a key, and watches the daemon and the
// worker of a token.
func (h *host) load(ctx context.Context, pid int, key, token string, clients int) (l loaded, err error) {
	worker, err := h.worker(ctx, token)
	if err != nil {
		return l, err
	}
	ends := watch(pid, worker)
	before, err1 := processorTime(pid)
	l.rate, err = job{Key: key, Parallel: clients, For: fullTime, Socket: h.socket(), Run: h.run("load")}.measure(ctx)
	after, err2 := processorTime(pid)
	most := ends()
	l.daemon, l.worker = most[0], most[1]
	l.processor = milliseconds(after-before) / float64(l.rate.Count+clients) // a first one of each is not in Count
	return l, errors.Join(err, err1, err2)
}

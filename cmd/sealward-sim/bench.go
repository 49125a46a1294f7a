package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/ipc/api"
	"github.com/sealward/sealward/signer"
)

const (
	benchRounds = 5
	rawTime     = 400 * time.Millisecond // for each number of sessions
	fullTime    = 2500 * time.Millisecond
	readyStarts = 5
)

var (
	rawSessions = []int{1, 2, 4, 8}
	fullClients = []int{1, 8, 64}
)

// report is bench.json. Times are in milliseconds, memory in KiB.
type report struct {
	Machine machine `json:"machine"`
	// Rounds are by key. Each round measures the raw module and then the daemon, so
	// that what else the machine does meets both.
	Rounds map[string][]round `json:"rounds"`
	Ready  ready              `json:"ready"`
	Memory memory             `json:"memory"`
}

type machine struct {
	Time      time.Time `json:"time"`
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"`
	Kernel    string    `json:"kernel"`
	Go        string    `json:"go"`
	SoftHSM   string    `json:"softhsm"`
	// Sync is the median of writing 4 KiB into a file and syncing it.
	Sync float64 `json:"fdatasync_ms"`
}

type round struct {
	Raw  map[int]rate `json:"raw"`  // by sessions
	Full map[int]rate `json:"full"` // by clients
	// Processor is the daemon's time per signature, by clients.
	Processor map[int]float64 `json:"daemon_processor_ms"`
	// Resident is the daemon's peak while 64 clients asked, and Files the part of it
	// that is the code of the program and its libraries.
	Resident int `json:"resident_kib"`
	Files    int `json:"resident_files_kib"`
}

// ready holds times from starting the program to the first signature.
type ready struct {
	Small  []float64 `json:"small_journal_ms"` // some tens of leaves
	Large  []float64 `json:"large_journal_ms"` // after the whole benchmark
	Leaves uint64    `json:"large_journal_leaves"`
}

type memory struct {
	Idle int `json:"idle_kib"` // after the first signature
	Peak int `json:"peak_kib"` // of the whole benchmark
}

// bench measures the daemon against the raw module, writes every number to a file
// and prints the medians.
func bench(bin, out string) (err error) {
	// What commits cost is the point, so the journal must not be in memory as /tmp
	// may be; /var/tmp is on a disk (file-hierarchy(7)).
	dir, err := os.MkdirTemp("/var/tmp", "sealward-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	token, err := setUpBench(dir)
	if err != nil {
		return err
	}
	b := &benchmark{bin: bin, dir: dir, token: token, report: report{Rounds: map[string][]round{}}}
	if b.report.Machine, err = describe(dir); err != nil {
		return err
	}
	if err := b.run(context.Background()); err != nil {
		return err
	}
	data, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, append(data, '\n'), 0o644); err != nil {
		return err
	}
	b.report.print(os.Stdout)
	fmt.Printf("\nEvery number is in %s.\n", out)
	return nil
}

// benchmark is one run.
type benchmark struct {
	bin, dir string
	token    *sim.SoftHSMToken
	report   report
	jobs     int // numbers the request ids
}

func (b *benchmark) socket() string { return filepath.Join(b.dir, "sign.sock") }

func (b *benchmark) run(ctx context.Context) (err error) {
	if _, err := b.starts(1); err != nil { // makes the journal
		return err
	}
	if b.report.Ready.Small, err = b.starts(readyStarts); err != nil {
		return err
	}
	if err := b.serve(func(pid int) error { return b.rounds(ctx, pid) }); err != nil {
		return err
	}
	b.report.Ready.Large, err = b.starts(readyStarts)
	return err
}

// starts times fresh starts up to the first signature.
func (b *benchmark) starts(n int) (took []float64, err error) {
	for range n {
		begun := time.Now()
		err := b.serve(func(int) error {
			took = append(took, milliseconds(time.Since(begun)))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

// serve runs the daemon around f, which is called once the daemon has signed.
func (b *benchmark) serve(f func(pid int) error) (err error) {
	daemon, err := daemonCommand(b.bin, b.dir)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
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
	if err = b.firstSignature(ended); err == nil {
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
func (b *benchmark) firstSignature(ended chan error) error {
	client := api.Dial(b.socket())
	defer client.Close()
	b.jobs++
	j := job{Key: "p256", Run: fmt.Sprintf("first-%d-%d", os.Getpid(), b.jobs)}
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

// rounds measures both keys in turn.
func (b *benchmark) rounds(ctx context.Context, pid int) (err error) {
	if b.report.Memory.Idle, err = residentKiB(pid, "VmRSS"); err != nil {
		return err
	}
	for i := range benchRounds {
		for _, key := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmSecp256k1} {
			fmt.Fprintf(os.Stderr, "round %d of %d, %s\n", i+1, benchRounds, key)
			r, err := b.round(ctx, string(key), pid)
			if err != nil {
				return err
			}
			b.report.Rounds[string(key)] = append(b.report.Rounds[string(key)], r)
		}
	}
	if b.report.Memory.Peak, err = residentKiB(pid, "VmHWM"); err != nil {
		return err
	}
	b.report.Ready.Leaves, err = b.leaves(ctx)
	return err
}

func (b *benchmark) leaves(ctx context.Context) (uint64, error) {
	client := api.Dial(b.socket())
	defer client.Close()
	s, err := client.Status(ctx)
	return s.GetJournalSize(), err
}

// round measures the module and then the daemon with one key.
func (b *benchmark) round(ctx context.Context, key string, pid int) (round, error) {
	r := round{Raw: map[int]rate{}, Full: map[int]rate{}, Processor: map[int]float64{}}
	for _, n := range rawSessions {
		got, err := job{Key: key, Parallel: n, For: rawTime, Module: b.token.Module}.measure(ctx)
		if err != nil {
			return r, err
		}
		r.Raw[n] = got
	}
	for _, n := range fullClients {
		b.jobs++
		j := job{Key: key, Parallel: n, For: fullTime, Socket: b.socket(), Run: fmt.Sprintf("load-%d-%d", os.Getpid(), b.jobs)}
		stop := make(chan struct{})
		peak := make(chan [2]int, 1)
		go func() { peak <- peakResident(pid, stop) }()
		before, err1 := processorTime(pid)
		got, err2 := j.measure(ctx)
		after, err3 := processorTime(pid)
		close(stop)
		most := <-peak
		if err := errors.Join(err1, err2, err3); err != nil {
			return r, err
		}
		r.Full[n] = got
		r.Processor[n] = milliseconds(after-before) / float64(got.Count+n) // a first one of each is not in Count
		r.Resident, r.Files = most[0], most[1]                             // of the last, which has the most clients
	}
	return r, nil
}

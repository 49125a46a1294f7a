package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
)

const (
	benchRounds = 5
	rawTime     = 400 * time.Millisecond // for each number of sessions
	fullTime    = 2 * time.Second
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
	// Devices are by kind, and measured in rounds, too.
	Devices  map[string][]deviceRound `json:"devices"`
	Latency  []latency                `json:"worker_latency"`
	Recovery []recovery               `json:"recovery"`
	// Crowd is what requests that wait for people cost.
	Crowd crowd `json:"waiting"`
	// Decoding is of payloads alone, without daemon or device.
	Decoding []decoding `json:"decoding"`
}

type machine struct {
	Time      time.Time `json:"time"`
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"`
	Kernel    string    `json:"kernel"`
	Go        string    `json:"go"`
	SoftHSM   string    `json:"softhsm"`
	SWTPM     string    `json:"swtpm"`
	// Load is how many processes ran, on average, in the minute before.
	Load float64 `json:"load_average"`
	// Sync is the median of writing 4 KiB into a file and syncing it.
	Sync float64 `json:"fdatasync_ms"`
}

type round struct {
	Raw  map[int]rate `json:"raw"`  // by sessions
	Full map[int]rate `json:"full"` // by clients
	// Processor is the daemon's time per signature, by clients.
	Processor map[int]float64 `json:"daemon_processor_ms"`
	// Daemon and Worker are the peaks while 64 clients asked.
	Daemon footprint `json:"daemon"`
	Worker footprint `json:"worker"`
}

// ready holds times from starting the program to the first signature.
type ready struct {
	Small  []float64 `json:"small_journal_ms"` // some tens of leaves
	Large  []float64 `json:"large_journal_ms"` // after the rounds
	Leaves uint64    `json:"large_journal_leaves"`
}

// memory is the daemon's.
type memory struct {
	Idle int `json:"idle_kib"` // after the first signature
	Peak int `json:"peak_kib"` // of all rounds
}

// bench measures the daemon against the raw devices, writes every number to a file
// and prints the medians.
func bench(bin, out string) (err error) {
	// What commits cost is the point, so the journal must not be in memory as /tmp
	// may be; /var/tmp is on a disk (file-hierarchy(7)).
	dir, err := os.MkdirTemp("/var/tmp", "sealward-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &benchmark{bin: bin, dir: dir, report: report{Rounds: map[string][]round{}, Devices: map[string][]deviceRound{}}}
	if b.report.Machine, err = describe(dir); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
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
	report   report
}

// run measures what needs no daemon, the decoders and the worker alone, then a host that has one token and nothing else,
// then one with every kind of device.
func (b *benchmark) run(ctx context.Context) (err error) {
	progress("reading payloads")
	if b.report.Decoding, err = measureDecoding(b.dir, benchRounds, decodeTime); err != nil {
		return fmt.Errorf("measure the reading of payloads: %w", err)
	}
	progress("what a worker adds")
	if b.report.Latency, err = measureWorker(ctx, b.dir, benchRounds); err != nil {
		return fmt.Errorf("measure what a worker adds: %w", err)
	}
	if err := b.oneToken(ctx); err != nil {
		return err
	}
	crowd := &crowdBench{bin: b.bin, dir: b.dir, accounts: crowdAccounts(), each: crowdEach, rounds: benchRounds, load: crowdLoad}
	if b.report.Crowd, err = crowd.measure(ctx); err != nil {
		return fmt.Errorf("measure requests that wait: %w", err)
	}
	return b.allDevices(ctx)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *benchmark) oneToken(ctx context.Context) (err error) {
	h := &host{bin: b.bin, dir: filepath.Join(b.dir, "token")}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		return err
	}
	token, _, err := makeHost(b.bin, h.dir, benchConfig, benchPolicy, benchKeys)
	if err != nil {
		return err
	}
	if _, err := h.starts(1); err != nil { // makes the journal
		return err
	}
	small, err := h.starts(readyStarts)
	if err != nil {
		return err
	}
	if err := h.serve(func(pid int) error { return b.rounds(ctx, h, token, pid) }); err != nil {
		return err
	}
	large, err := h.starts(readyStarts)
	b.report.Ready.Small, b.report.Ready.Large = small.Took, large.Took
	return err
}

// rounds measures both keys in turn.
func (b *benchmark) rounds(ctx context.Context, h *host, token *sim.SoftHSMToken, pid int) (err error) {
	if b.report.Memory.Idle, err = residentKiB(pid, "VmRSS"); err != nil {
		return err
	}
	for i := range benchRounds {
		for _, key := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmSecp256k1} {
			progress("round %d of %d, %s in SoftHSM", i+1, benchRounds, key)
			r, err := measureRound(ctx, h, token, string(key), pid)
			if err != nil {
				return err
			}
			b.report.Rounds[string(key)] = append(b.report.Rounds[string(key)], r)
		}
	}
	if b.report.Memory.Peak, err = residentKiB(pid, "VmHWM"); err != nil {
		return err
	}
	s, err := h.status(ctx)
	b.report.Ready.Leaves = s.GetJournalSize()
	return err
}

// measureRound measures the module and then the daemon with one key.
func measureRound(ctx context.Context, h *host, token *sim.SoftHSMToken, key string, pid int) (round, error) {
	r := round{Raw: map[int]rate{}, Full: map[int]rate{}, Processor: map[int]float64{}}
	for _, n := range rawSessions {
		got, err := job{Key: key, Parallel: n, For: rawTime, Module: token.Module, Env: []string{token.Env()}}.measure(ctx)
		if err != nil {
			return r, err
		}
		r.Raw[n] = got
	}
	for _, n := range fullClients {
		l, err := h.load(ctx, pid, key, "softhsm", n)
		if err != nil {
			return r, err
		}
		r.Full[n], r.Processor[n] = l.rate, l.processor
		r.Daemon, r.Worker = l.daemon, l.worker // of the last, which has the most clients
	}
	return r, nil
}

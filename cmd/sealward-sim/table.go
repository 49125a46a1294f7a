package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
)

// describe says what the figures were measured on.
func describe(dir string) (machine, error) {
	m := machine{Time: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Go: runtime.Version(), Processor: "unknown", SoftHSM: "unknown", SWTPM: "unknown"}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if version, err := exec.Command("softhsm2-util", "--version").Output(); err == nil {
		m.SoftHSM = strings.TrimSpace(string(version))
	}
	// "TPM emulator version 0.7.1, Copyright ..."
	if version, err := exec.Command("swtpm", "--version").Output(); err == nil {
		if fields := strings.Fields(string(version)); len(fields) > 3 {
			m.SWTPM = strings.TrimSuffix(fields[3], ",")
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil { // proc_loadavg(5): the first is of one minute
		_, _ = fmt.Sscan(string(load), &m.Load) // 0 where the kernel writes something else
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, err
	}
	m.Kernel = unix.ByteSliceToString(name.Release[:])
	var err error
	m.Sync, err = syncTime(filepath.Join(dir, "sync"))
	return m, err
}

// syncTime is the median of a block's way to the disk, into a file that has its
// size already. A commit of the journal cannot take less.
func syncTime(path string) (ms float64, err error) {
	const writes, block = 200, 4096
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, writes*block)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	var took []float64
	for i := range writes {
		begun := time.Now()
		if _, err := f.WriteAt(make([]byte, block), int64(i*block)); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		took = append(took, milliseconds(time.Since(begun)))
	}
	return median(took), nil
}

func median[T cmp.Ordered](all []T) T { return quantile(slices.Sorted(slices.Values(all)), 0.5) }

// best is the number of sessions that suits the raw module best. It is the same
// for all rounds: the best of each round would be that of its luckiest moment.
func best(rounds []round) (sessions int) {
	most := 0.0
	for _, n := range rawSessions {
		if is := over(rounds, func(r round) float64 { return r.Raw[n].PerSecond }); is > most {
			sessions, most = n, is
		}
	}
	return sessions
}

// over is the median over rounds.
func over[R any](rounds []R, value func(R) float64) float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, value(r))
	}
	return median(all)
}

// print writes the medians. Ratios and differences are taken within each round.
func (r *report) print(out io.Writer) {
	m := r.Machine
	fmt.Fprintf(out, "%d cores of %s, shared with the load generator, load before %.2f\nLinux %s, %s, SoftHSM %s, swtpm %s; 4 KiB to disk %.2f ms\n",
		m.Cores, m.Processor, m.Load, m.Kernel, m.Go, m.SoftHSM, m.SWTPM, m.Sync)
	fmt.Fprintf(out, "medians of %d rounds\n\n", benchRounds)
	r.printRounds(out)
	fmt.Fprintln(out)
	r.printCrowd(out)
	fmt.Fprintln(out)
	r.printDevices(out)
	fmt.Fprintln(out)
	r.printRecovery(out)
	fmt.Fprintln(out)
	r.printDecoding(out)
	const mib = 1024
	files := over(r.Rounds[string(signer.AlgorithmP256)], func(r round) float64 { return float64(r.Daemon.Files) / mib })
	fmt.Fprintf(out, "\nresident memory of the daemon: %.1f MiB after the first signature, %.1f at the peak of it all; %.1f of that is code.\n", float64(r.Memory.Idle)/mib, float64(r.Memory.Peak)/mib, files)
	fmt.Fprintf(out, "start to first signature with %d leaves in the journal: %.0f ms\n\n", r.Ready.Leaves, median(r.Ready.Large))
	r.printAims(out)
}

func (r *report) printRounds(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "key\t\tsign/s\tof raw\tp50 ms\tp99 ms\tp50 above raw's\tdaemon's processor ms\t")
	for _, key := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmSecp256k1} {
		rounds := r.Rounds[string(key)]
		best := best(rounds)
		for _, n := range slices.Compact([]int{1, best}) {
			fmt.Fprintf(w, "%s\traw module, sessions: %d\t%.0f\t%.2f\t%.3f\t%.2f\t\t\t\n", key, n,
				over(rounds, func(r round) float64 { return r.Raw[n].PerSecond }),
				over(rounds, func(r round) float64 { return r.Raw[n].PerSecond / r.Raw[best].PerSecond }),
				over(rounds, func(r round) float64 { return r.Raw[n].P50 }), over(rounds, func(r round) float64 { return r.Raw[n].P99 }))
		}
		for _, n := range fullClients {
			above := ""
			if n == 1 {
				above = fmt.Sprintf("%+.2f", r.aboveRaw(key))
			}
			fmt.Fprintf(w, "%s\tdaemon, clients: %d\t%.0f\t%.2f\t%.3f\t%.2f\t%s\t%.2f\t\n", key, n,
				over(rounds, func(r round) float64 { return r.Full[n].PerSecond }), r.ofRaw(key, n),
				over(rounds, func(r round) float64 { return r.Full[n].P50 }), over(rounds, func(r round) float64 { return r.Full[n].P99 }),
				above, over(rounds, func(r round) float64 { return r.Processor[n] }))
		}
	}
	w.Flush()
}

// ofRaw is the daemon's rate at a number of clients as a part of the module's best.
func (r *report) ofRaw(key signer.Algorithm, clients int) float64 {
	rounds := r.Rounds[string(key)]
	best := best(rounds)
	return over(rounds, func(r round) float64 { return r.Full[clients].PerSecond / r.Raw[best].PerSecond })
}

// aboveRaw is what one client waits longer than for the raw module.
func (r *report) aboveRaw(key signer.Algorithm) float64 {
	return over(r.Rounds[string(key)], func(r round) float64 { return r.Full[1].P50 - r.Raw[1].P50 })
}

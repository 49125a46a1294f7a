package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/sealward/sealward/signer"
)

// deviceNames are the kinds of device in the order in which they are shown, with what
// the raw figure is of.
var deviceNames = []struct{ kind, name, raw string }{
	{"tpm", "TPM", "go-tpm, key loaded, one session"},
	{"piv", "PIV", "piv-go, card held, PIN verified"},
	{slowly + "tpm", fmt.Sprintf("TPM that takes %s", hardwareTime), "the same"},
	{slowly + "piv", fmt.Sprintf("PIV that takes %s", hardwareTime), "the same"},
}

func (r *report) printDevices(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "P-256 in\t\tsign/s\tof raw\tp50 ms\tp99 ms\tdaemon's processor ms\t")
	for _, d := range deviceNames {
		rounds := r.Devices[d.kind]
		fmt.Fprintf(w, "%s\t%s\t%.0f\t1\t%.3f\t%.2f\t\t\n", d.name, d.raw,
			over(rounds, func(r deviceRound) float64 { return r.Raw.PerSecond }),
			over(rounds, func(r deviceRound) float64 { return r.Raw.P50 }), over(rounds, func(r deviceRound) float64 { return r.Raw.P99 }))
		fmt.Fprintf(w, "%s\tdaemon, clients: %d\t%.0f\t%.2f\t%.3f\t%.2f\t%.2f\t\n", d.name, deviceClients,
			over(rounds, func(r deviceRound) float64 { return r.Full.PerSecond }), r.ofRawDevice(d.kind),
			over(rounds, func(r deviceRound) float64 { return r.Full.P50 }), over(rounds, func(r deviceRound) float64 { return r.Full.P99 }),
			over(rounds, func(r deviceRound) float64 { return r.Processor }))
	}
	w.Flush()
}

func (r *report) ofRawDevice(kind string) float64 {
	return over(r.Devices[kind], func(r deviceRound) float64 { return r.Full.PerSecond / r.Raw.PerSecond })
}

func (r *report) printRecovery(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "after this\tthe next signature, ms\tat worst\tother keys' longest wait, ms\t")
	for _, f := range r.Recovery {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t\n", f.Fault, median(f.Times), slices.Max(f.Times), slices.Max(f.Others))
	}
	w.Flush()
}

// aim is what a figure is to be.
type aim struct {
	what, unit string
	is, want   float64
	least      bool // want is the least that it may be; else the most
}

func (a aim) met() bool { return a.is == a.want || a.least == (a.is > a.want) }

// aims are all figures that something was aimed at.
func (r *report) aims() []aim {
	const mib = 1024
	worst := 0.0
	for _, f := range r.Recovery {
		worst = max(worst, slices.Max(f.Times))
	}
	all := []aim{
		{"P-256 in SoftHSM, 64 clients, of raw", "", r.ofRaw(signer.AlgorithmP256, 64), 0.33, true},
		{"secp256k1 in SoftHSM, 8 clients, of raw", "", r.ofRaw(signer.AlgorithmSecp256k1, 8), 0.42, true},
		{"p50 of one client above raw, P-256", "ms", r.aboveRaw(signer.AlgorithmP256), 1.3, false},
		{"p50 of one client above raw, secp256k1", "ms", r.aboveRaw(signer.AlgorithmSecp256k1), 1.3, false},
		{"a worker adds, p50 back to back", "µs", 1000 * over(r.Latency, func(l latency) float64 { return l.BackToBack.P50 }), 40, false},
		{"a worker adds, p50 from idle", "µs", 1000 * over(r.Latency, func(l latency) float64 { return l.Idle.P50 }), 160, false},
		{"recovery, the slowest of all", "ms", worst, 2000, false},
		{"start to first signature", "ms", median(r.Ready.Small), 100, false},
	}
	for _, d := range deviceNames {
		all = append(all, aim{fmt.Sprintf("%s, %d clients, of raw", d.name, deviceClients), "", r.ofRawDevice(d.kind), 0.9, true})
	}
	for _, key := range []signer.Algorithm{signer.AlgorithmP256, signer.AlgorithmSecp256k1} {
		resident := over(r.Rounds[string(key)], func(r round) float64 { return float64(r.Daemon.Resident) / mib })
		all = append(all, aim{fmt.Sprintf("daemon, resident at 64 clients, %s", key), "MiB", resident, 48, false})
	}
	return slices.Concat(all, r.crowdAims(), r.workerAims(), r.decodingAims())
}

// workerAims are those for the memory of workers.
func (r *report) workerAims() (all []aim) {
	const mib = 1024
	workers := map[string][]footprint{}
	for _, p := range r.Rounds[string(signer.AlgorithmP256)] {
		workers["PKCS#11"] = append(workers["PKCS#11"], p.Worker)
	}
	for _, d := range deviceNames[:2] {
		for _, p := range r.Devices[d.kind] {
			workers[d.name] = append(workers[d.name], p.Worker)
		}
	}
	for _, name := range []string{"PKCS#11", "TPM", "PIV"} {
		all = append(all,
			aim{name + " worker, resident", "MiB", over(workers[name], func(u footprint) float64 { return float64(u.Resident) / mib }), 32, false},
			aim{name + " worker, its share of it", "MiB", over(workers[name], func(u footprint) float64 { return float64(u.Proportional) / mib }), 32, false})
	}
	return all
}

func (r *report) printAims(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tmeasured\taim\t")
	for _, a := range r.aims() {
		format, bound, verdict := "%.0f %s", "at most", ""
		if a.want < 10 {
			format = "%.2f %s"
		} else if a.unit == "MiB" {
			format = "%.1f %s"
		}
		if a.least {
			bound = "at least"
		}
		if !a.met() {
			verdict = "missed"
		}
		want := bound + " " + fmt.Sprintf(format, a.want, a.unit)
		if a.is == 0 {
			fmt.Fprintf(w, "%s\tunknown\t%s\t\n", a.what, want)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.what, fmt.Sprintf(format, a.is, a.unit), want, verdict)
	}
	w.Flush()
}

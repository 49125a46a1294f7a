package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealward/sealward/backends/sim"
	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm"
)

// TestMain makes this program what the benchmark starts of itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "measure" || os.Args[1] == echoName) {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for name, test := range map[string]struct {
		sorted []int
		q      float64
		want   int
	}{
		"of nothing it is zero":                {nil, 0.5, 0},
		"of one it is that one":                {[]int{7}, 0.99, 7},
		"the median of five is the third":      {[]int{1, 2, 3, 4, 5}, 0.5, 3},
		"p99 of a hundred is the last but one": {hundred, 0.99, 99},
		"p100 of a hundred is the last":        {hundred, 1, 100},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quantile(test.sorted, test.q); got != test.want {
				t.Errorf("quantile = %d, want %d", got, test.want)
			}
		})
	}
}

// TestPaymentsAreUnderstood keeps the load from measuring refusals.
func TestPaymentsAreUnderstood(t *testing.T) {
	key := signer.KeyInfo{
		Name: "secp256k1", Kinds: []signer.Kind{signer.KindEVMTransaction}, Chains: []string{"eip155:1"},
		// The generator of the curve (SEC 2, 2.4.1), the public key of the private key 1.
		Public: signer.PublicKey{Algorithm: signer.AlgorithmSecp256k1, Bytes: []byte("\x04" +
			"\x79\xbe\x66\x7e\xf9\xdc\xbb\xac\x55\xa0\x62\x95\xce\x87\x0b\x07\x02\x9b\xfc\xdb\x2d\xce\x28\xd9\x59\xf2\x81\x5b\x16\xf8\x17\x98" +
			"\x48\x3a\xda\x77\x26\xa3\xc4\x65\x5d\xa4\xfb\xfc\x0e\x11\x08\xa8\xfd\x17\xb4\x48\xa6\x85\x54\x19\x9c\x47\xd0\x8f\xfb\x10\xd4\xb8")},
	}
	seen := map[string]bool{}
	for nonce := range uint64(300) {
		payload, err := payment(acme, nonce)
		if err != nil {
			t.Fatal(err)
		}
		in, err := evm.Transaction{}.Decode(payload, key, signer.Book{})
		if err != nil {
			t.Fatalf("payment %d: %v", nonce, err)
		}
		if len(in.Effects) != 1 || in.Effects[0].Class != signer.ClassTransfer || in.Effects[0].Counterparty != "eip155:1:0x52908400098527886E0F7030069857D2E4169EE7" {
			t.Fatalf("payment %d has the effects %+v; want one transfer to the first vendor", nonce, in.Effects)
		}
		if hash := string(in.Messages[0].Bytes); seen[hash] {
			t.Fatalf("payment %d is the same as an earlier one", nonce)
		} else {
			seen[hash] = true
		}
	}
}

// TestTheBenchmarkReadsWhatItSays keeps it from measuring refusals, and half readings.
func TestTheBenchmarkReadsWhatItSays(t *testing.T) {
	got, err := measureDecoding(t.TempDir(), 2, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	r := report{Decoding: got}
	for i, d := range got {
		if len(d.Times) != 2 || d.Times[0] <= 0 || r.ofPayment(i) <= 0 {
			t.Errorf("%s took %v, %.1f of a payment; want two times", d.Payload, d.Times, r.ofPayment(i))
		}
	}
	if aims := r.decodingAims(); len(got) != 5 || len(aims) != 2 {
		t.Errorf("%d payloads and %d aims; want 5 and 2", len(got), len(aims))
	}
	batch, err := callOf(benchSafe, batchOf(100))
	if err != nil {
		t.Fatal(err)
	}
	in, err := evm.Transaction{}.Preview(batch, "", benchBook())
	if err != nil || len(in.Effects) != 100 || in.Class() != signer.ClassTransfer {
		t.Errorf("the batch has %d effects of class %s, %v; want 100 transfers", len(in.Effects), in.Class(), err)
	}
}

func TestTheKernelTellsOfAProcess(t *testing.T) {
	for begun := time.Now(); time.Since(begun) < 50*time.Millisecond; { // use the processor for some ticks
	}
	used, err := processorTime(os.Getpid())
	if err != nil || used < 10*time.Millisecond || used > time.Hour {
		t.Errorf("processorTime = %s, %v; want some of the 50 ms at least", used, err)
	}
	kib, err := residentKiB(os.Getpid(), "VmRSS")
	if err != nil || kib < 1000 || kib > 10<<20 {
		t.Errorf("resident are %d KiB, %v; a Go program has some MiB", kib, err)
	}
	if _, err := residentKiB(os.Getpid(), "VmNothing"); err == nil {
		t.Error("a value that is not there was read")
	}
	ends := watch(os.Getpid())
	if got := ends(); len(got) != 1 || got[0].Resident < 1000 || got[0].Files < 100 || got[0].Files > got[0].Resident {
		t.Errorf("watch = %+v; a Go program has some MiB, and code among them", got)
	}
}

// The figures are for nobody to rely on; that there are some is.
func TestTheBenchmarkMeasuresEveryDevice(t *testing.T) {
	const least = 20 * time.Millisecond // of a device that takes its time
	h := &devicesHost{host: host{bin: built(t, "sealwardd", "sealward-worker"), dir: filepath.Join(short(t), "d")}}
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
	if err := h.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	measured := func(j job, atLeast time.Duration) {
		t.Helper()
		j.For = 3 * least
		if got, err := j.measure(t.Context()); err != nil || got.Count < 1 || got.PerSecond <= 0 || got.P50 < milliseconds(atLeast) {
			t.Errorf("measure %+v = %+v, %v; want signatures, of at least %s each", j, got, err, atLeast)
		}
	}
	tpm, card := job{TPM: h.raw.Path()}, job{PCSCD: h.devices.Reader.Socket()}
	measured(tpm, 0)
	measured(card, 0)
	slow, err := sim.NewSlowTPM(filepath.Join(h.dir, "slow"), h.raw, least)
	if err != nil {
		t.Fatal(err)
	}
	h.devices.Card.Slow(least)
	measured(job{TPM: slow.Path()}, least)
	measured(card, least)
	h.devices.Card.Slow(0)
	if err := slow.Close(); err != nil {
		t.Error(err)
	}
	err = h.serve(func(pid int) error {
		for _, f := range faults {
			took, others, err := f.measure(t.Context(), h, 10*time.Millisecond)
			if err != nil {
				return fmt.Errorf("%s: %w", f.what, err)
			}
			if took <= 0 || others <= 0 {
				t.Errorf("%s: it took %s, and others waited %s; both take some time", f.what, took, others)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// That everything waits, is listed and is decided again is checked as it is measured.
func TestTheBenchmarkMeasuresRequestsThatWait(t *testing.T) {
	bin := built(t, "sealwardd", "sealward-worker")
	dir, err := os.MkdirTemp("/var/tmp", "sim-") // where other accounts get to
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	b := &crowdBench{bin: bin, dir: dir, accounts: crowdAccounts(), each: 3, rounds: 1, load: 20 * time.Millisecond}
	c, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rounds) != 1 || len(c.Pages) != 2 || c.Waiting != 3*len(b.accounts) || c.Change.Took <= 0 || c.Busy.Client.Count < 1 || len(c.Full.Resident) != 1 {
		t.Errorf("measure = %+v; want one round of all of it", c)
	}
	for _, n := range crowdClients {
		if is := c.ofEmpty(n); is <= 0 {
			t.Errorf("with %d clients, the rate is %.2f of that where nothing waits; want some", n, is)
		}
	}
}

func TestTheBenchmarkMeasuresAWorker(t *testing.T) {
	all, err := measureWorker(t.Context(), t.TempDir(), 1)
	if err != nil || len(all) != 1 || all[0].BackToBack.P50 <= 0 || all[0].Idle.P50 <= 0 {
		t.Errorf("measureWorker = %+v, %v; want one round", all, err)
	}
}

func TestAnAimIsMetOrMissed(t *testing.T) {
	for name, test := range map[string]struct {
		aim
		met bool
	}{
		"more than the least": {aim{is: 0.91, want: 0.9, least: true}, true},
		"the least":           {aim{is: 0.9, want: 0.9, least: true}, true},
		"less than the least": {aim{is: 0.89, want: 0.9, least: true}, false},
		"less than the most":  {aim{is: 39, want: 40}, true},
		"the most":            {aim{is: 40, want: 40}, true},
		"more than the most":  {aim{is: 41, want: 40}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if test.aim.met() != test.met {
				t.Errorf("met = %v, want %v", !test.met, test.met)
			}
		})
	}
}

package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealward/sealward/signer"
)

// childRole, in the environment, makes the test binary play a daemon that is going
// to die; its argument is the journal's path.
const childRole = "SEALWARD_JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	role, path, _ := strings.Cut(os.Getenv(childRole), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "hammer":
		fmt.Fprintln(os.Stderr, hammer(path))
	case "fill":
		if err := fill(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(1)
}

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childRole+"="+role+" "+path)
	c.Stderr = os.Stderr
	return c
}

// crashLimit is how many requests, of one wei each, the limit of the crash test
// admits.
const crashLimit = 400

// hammer records and finishes requests from 32 goroutines until it is killed, and
// writes a line for whatever it was told is on disk.
func hammer(path string) error {
	j, err := Open(Config{Path: path})
	if err != nil {
		return err
	}
	go func() {
		for {
			if _, err := j.Checkpoint(context.Background(), publicKey("journal"), signWith("journal")); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	run := time.Now().UnixNano()
	failed := make(chan error)
	for g := range 32 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", run, g, n)
				rec, err := j.Record(context.Background(), proposal(j, id, "hot", wei(1)), over(day), limit(1, crashLimit))
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("recorded %s %d %s\n", id, rec.Leaf, rec.Decision.Verdict)
				if rec.Decision.Verdict != signer.Allow {
					continue
				}
				leaf, err := j.Finish(context.Background(), outcomeOf(rec))
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("signed %s %d -\n", id, leaf)
			}
		}()
	}
	return <-failed
}

// ack is one line of a daemon that was killed later.
type ack struct {
	what, id string
	leaf     uint64
	verdict  string
}

// killed runs a daemon, kills it after some lines, and returns all that it wrote.
func killed(t *testing.T, path string, after int) (acks []ack) {
	t.Helper()
	c := child(t, "hammer", path)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for s := bufio.NewScanner(out); s.Scan(); lines++ {
		var a ack
		if _, err := fmt.Sscan(s.Text(), &a.what, &a.id, &a.leaf, &a.verdict); err == nil {
			acks = append(acks, a)
		}
		if lines == after {
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(); err == nil || lines < after {
		t.Fatalf("the daemon ended by itself after %d lines: %v", lines, err)
	}
	return acks
}

func TestNothingAcknowledgedIsLostWhenTheDaemonIsKilled(t *testing.T) {
	path := privateFile(t)
	var acks []ack
	var j *Journal
	for round := range 6 {
		acks = append(acks, killed(t, path, 37+round*round*11)...)
		if j == nil { // what it was called is known only once it is open
			j = open(t, Config{Path: path})
			shut(t, j)
			continue
		}
		r := verify(t, trusting(t, path, j.Instance())) // with the log it left behind
		intact(t, r)
		if r.Authorized > crashLimit || r.Checkpoints == 0 {
			t.Errorf("report = %+v", r)
		}
	}
	j = open(t, Config{Path: path})
	for _, a := range acks {
		rec, ok, err := j.Lookup(t.Context(), "uid:1000", a.id)
		switch {
		case err != nil || !ok:
			t.Errorf("%s %s is lost (%v)", a.what, a.id, err)
		case a.what == "recorded" && (rec.Leaf != a.leaf || rec.Decision.Verdict.String() != a.verdict):
			t.Errorf("%s is %s at leaf %d, was %s at leaf %d", a.id, rec.Decision.Verdict, rec.Leaf, a.verdict, a.leaf)
		case a.what == "signed" && (rec.Outcome == nil || rec.Outcome.Leaf != a.leaf):
			t.Errorf("the signature of %s is lost", a.id)
		}
	}
	// What is left of the limit can be used to the last wei and not beyond.
	for n := 0; record(t, j, proposal(j, fmt.Sprint("rest-", n), "hot", wei(1)), limit(1, crashLimit)).Decision.Verdict == signer.Allow; n++ {
	}
	f, err := j.Facts(t.Context(), proposal(j, "x", "hot", wei(1)), over(day))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := f.Find(eth, signer.Measure{Window: day}, ""); s.Amount.Cmp(big.NewInt(crashLimit)) != 0 {
		t.Errorf("spent = %v, want %d", s.Amount, crashLimit)
	}
	shut(t, j)
	r := verify(t, trusting(t, path, j.Instance()))
	intact(t, r)
	if r.Authorized != crashLimit {
		t.Errorf("%d were authorised, want %d", r.Authorized, crashLimit)
	}
}

// fill records until the disk is full, as far as this process can tell, and checks
// that the journal says so from then on.
func fill(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	most := unix.Rlimit{Cur: 600 << 10, Max: 600 << 10}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &most); err != nil {
		return err
	}
	j, err := Open(Config{Path: path})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := j.Note(ctx, signer.Event{Type: signer.EventStarted}); err != nil {
		return fmt.Errorf("first record: %w", err)
	}
	var recorded atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				rec, err := j.Record(ctx, proposal(j, fmt.Sprintf("%d-%d", g, n), "hot", wei(1)), over(day), allow)
				if err != nil {
					return
				}
				recorded.Add(1)
				fmt.Printf("%s %d\n", rec.Proposal.Request.ID, rec.Leaf)
			}
		})
	}
	wg.Wait()
	if recorded.Load() == 0 || j.Stopped() == nil {
		return fmt.Errorf("%d were recorded, stopped = %v", recorded.Load(), j.Stopped())
	}
	// More room does not bring it back; only opening it again does.
	_, errRecord := j.Record(ctx, proposal(j, "later", "hot"), over(), allow)
	_, errFinish := j.Finish(ctx, signer.Outcome{Code: signer.CodeInternal})
	_, errNote := j.Note(ctx, signer.Event{Type: signer.EventStopped})
	_, _, errLookup := j.Lookup(ctx, "uid:1000", "0-0")
	_, errFacts := j.Facts(ctx, proposal(j, "later", "hot"), over())
	_, errEntries := j.Entries(ctx, 0, 1)
	_, errCheckpoint := j.Checkpoint(ctx, publicKey("journal"), signWith("journal"))
	_, errWait := j.WaitCheckpoint(ctx, 0)
	for i, err := range []error{errRecord, errFinish, errNote, errLookup, errFacts, errEntries, errCheckpoint, errWait} {
		e, ok := errors.AsType[*signer.Error](err)
		if !ok || e.Code != signer.CodeUnavailable || !strings.Contains(e.Detail, "the journal stopped after a failed write") {
			return fmt.Errorf("operation %d on a full disk: %w", i, err)
		}
	}
	return j.Close()
}

func TestAFullDiskStopsTheJournalForGood(t *testing.T) {
	path := privateFile(t)
	out, err := child(t, "fill", path).Output()
	if err != nil {
		t.Fatalf("the daemon on a full disk: %v\n%s", err, out)
	}
	j := open(t, Config{Path: path})
	acks := 0
	for line := range strings.Lines(string(out)) {
		var id string
		var leaf uint64
		if _, err := fmt.Sscan(line, &id, &leaf); err != nil {
			t.Fatal(err)
		}
		if rec, ok, err := j.Lookup(t.Context(), "uid:1000", id); err != nil || !ok || rec.Leaf != leaf {
			t.Errorf("%s is at leaf %d, %v, %v; was acknowledged at leaf %d", id, rec.Leaf, ok, err, leaf)
		}
		acks++
	}
	if acks == 0 {
		t.Error("nothing was recorded before the disk was full")
	}
	record(t, j, proposal(j, "with room", "hot", wei(1)), allow)
	checkpoint(t, j, "journal")
	shut(t, j)
	intact(t, verify(t, trusting(t, path, j.Instance())))
}

func TestACommitThatFailsFailsEveryOperationInIt(t *testing.T) {
	j := quiet(t)
	before := record(t, j, proposal(j, "before", "hot", wei(1)), allow)
	j.db.conn.RegisterCommitHook(func() int { return 1 })
	var errs [3]error
	together(t, j,
		func() { _, errs[0] = j.Record(t.Context(), proposal(j, "a", "hot", wei(1)), over(), allow) },
		func() { _, errs[1] = j.Finish(t.Context(), outcomeOf(before)) },
		func() { _, errs[2] = j.Facts(t.Context(), proposal(j, "a", "hot", wei(1)), over()) },
	)
	for i, err := range errs {
		if signer.CodeOf(err) != signer.CodeUnavailable {
			t.Errorf("operation %d: error = %v, want code %q", i, err, signer.CodeUnavailable)
		}
	}
	if j.Stopped() == nil {
		t.Error("the journal goes on")
	}
	c := j.c
	shut(t, j)
	j = open(t, c)
	if got := types(t, j); len(got) != 1 {
		t.Errorf("leaves = %v, want the one before", got)
	}
	if rec := record(t, j, proposal(j, "a", "hot", wei(1)), allow); rec.Prior {
		t.Error("a record that failed is there")
	}
}

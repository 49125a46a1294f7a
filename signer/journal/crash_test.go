package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
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
	case "treasury":
		fmt.Fprintln(os.Stderr, askPeople(path))
	case "upgrade":
		fmt.Println("opening")
		_, err := Open(Config{Path: path})
		fmt.Println("open", err)
		select {} // until it is killed
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
				p := proposal(j, id, "hot", wei(1))
				p.Intent.Effects[0].Counterparty = "eip155:1:" + id
				rec, err := j.Record(context.Background(), p, allNeeds(), limit(1, crashLimit))
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
				leaf, err = j.Adopt(context.Background(), signer.Event{Type: signer.EventPolicy, Policy: sha256.Sum256([]byte(id))}, bundleOf(id))
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("adopted %s %d -\n", id, leaf)
			}
		}()
	}
	return <-failed
}

// bundleOf is a bundle of several pages; some are the same one.
func bundleOf(id string) []byte {
	if strings.HasSuffix(id, "1") {
		id = "shared"
	}
	return bytes.Repeat([]byte(id), 1000)
}

// ack is one line of a daemon that was killed later.
type ack struct {
	what, id string
	leaf     uint64
	verdict  string
}

// killed runs a daemon, kills it after some lines, and returns all that it wrote.
func killed(t *testing.T, role, path string, after int) (acks []ack) {
	t.Helper()
	c := child(t, role, path)
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
		acks = append(acks, killed(t, "hammer", path, 37+round*round*11)...)
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
		paid := proposal(j, a.id, "hot", wei(1))
		paid.Intent.Effects[0].Counterparty = "eip155:1:" + a.id
		facts, errFacts := j.Facts(t.Context(), paid, allNeeds())
		bundle, kept, errBundle := j.PolicyBundle(t.Context(), sha256.Sum256([]byte(a.id)))
		switch {
		case err != nil || !ok:
			t.Errorf("%s %s is lost (%v)", a.what, a.id, err)
		case a.what == "recorded" && (rec.Leaf != a.leaf || rec.Decision.Verdict.String() != a.verdict):
			t.Errorf("%s is %s at leaf %d, was %s at leaf %d", a.id, rec.Decision.Verdict, rec.Leaf, a.verdict, a.leaf)
		case a.what == "recorded" && (errFacts != nil || (len(facts.NewRecipients) == 0) != (a.verdict == "allow")):
			t.Errorf("new recipients of %s are %q, %v; it was %s", a.id, facts.NewRecipients, errFacts, a.verdict)
		case a.what == "adopted" && (errBundle != nil || !kept || !bytes.Equal(bundle, bundleOf(a.id))):
			t.Errorf("the policy adopted as %s is %d bytes, %v, %v", a.id, len(bundle), kept, errBundle)
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

// A daemon that is killed while it brings a journal up to this version leaves the old
// one or the new one, whole. Which, is a matter of when it dies.
func TestAnUpgradeThatIsKilledIsDoneOrNotDone(t *testing.T) {
	c := past(t, 400)
	older(t, c.Path, 2)
	old, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	done := map[bool]int{}
	for round := range 8 {
		path := privateFile(t)
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		daemon := child(t, "upgrade", path)
		out, err := daemon.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() {
			t.Fatal("the daemon said nothing")
		}
		if round == 7 && (!lines.Scan() || lines.Text() != "open <nil>") { // once, let it be done
			t.Errorf("the daemon said %q", lines.Text())
		}
		time.Sleep(time.Duration(round) * 5 * time.Millisecond)
		if err := daemon.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := daemon.Wait(); err == nil {
			t.Fatal("the daemon ended by itself")
		}
		there := c
		there.Path = path
		intact(t, verify(t, there))
		d, release, err := openForReading(path)
		if err != nil {
			t.Fatal(err)
		}
		version, err := d.integer("PRAGMA user_version")
		if err := errors.Join(err, d.close(), release()); err != nil {
			t.Fatal(err)
		}
		done[version == schemaVersion]++
		shut(t, open(t, newHost().config(path)))
		intact(t, verify(t, there))
	}
	if done[true] == 0 {
		t.Errorf("%d were done, %d were not; want one of the first at least", done[true], done[false])
	}
	t.Logf("%d were done, %d were not", done[true], done[false])
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
	_, errAdopt := j.Adopt(ctx, signer.Event{Type: signer.EventPolicy, Policy: [32]byte{1}}, []byte("policy"))
	_, errPolicies := j.Policies(ctx, 0, 1)
	_, _, errBundle := j.PolicyBundle(ctx, [32]byte{1})
	_, _, errHear := j.Hear(ctx, statement(j, proposal(j, "later", "hot"), signer.WordApprove, "alice", "key"), anything)
	_, errSettle := j.Settle(ctx, 1, proposal(j, "later", "hot"), over(), settles(asking()))
	_, _, errWaiting := j.Waiting(ctx, [32]byte{1})
	_, errAll := j.AllWaiting(ctx)
	_, _, _, errLast := j.Last(ctx, signer.EventStarted)
	_, errProceedings := j.Proceedings(ctx, 0, 1)
	_, errActs := j.Acts(ctx, signer.ClassThaw)
	for i, err := range []error{
		errRecord, errFinish, errNote, errLookup, errFacts, errEntries, errCheckpoint, errWait, errAdopt, errPolicies, errBundle,
		errHear, errSettle, errWaiting, errAll, errLast, errProceedings, errActs,
	} {
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

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
)

// lockedBuffer is written by a program that runs and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // owned by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// watching is a watch that runs.
type watching struct {
	t           *testing.T
	out, errors lockedBuffer
	cancel      context.CancelFunc
	ended       chan error
}

func watches(t *testing.T, dir, position string, timeout time.Duration, program ...string) *watching {
	t.Helper()
	g := &watching{t: t, ended: make(chan error, 1)}
	var ctx context.Context
	ctx, g.cancel = context.WithCancel(t.Context())
	w := watcher{cli: &cli{stdout: &g.out, stderr: &g.errors, now: time.Now, sockets: dir, output: outputText}, program: program, timeout: timeout}
	w.position.path = position
	var over sync.WaitGroup
	over.Go(func() { g.ended <- w.watch(ctx) })
	t.Cleanup(func() { g.cancel(); over.Wait() })
	return g
}

// stop ends it as SIGTERM does.
func (g *watching) stop() {
	g.t.Helper()
	g.cancel()
	if err := g.end(); err != nil {
		g.t.Fatalf("watch = %v, want that it ends well when it is told to", err)
	}
}

func (g *watching) end() error {
	g.t.Helper()
	select {
	case err := <-g.ended:
		return err
	case <-time.After(time.Minute):
		g.t.Fatal("watch does not end")
		return nil
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}

// events are what was handed on.
func events(t *testing.T, text string) (out []string) {
	t.Helper()
	for l := range strings.Lines(text) {
		var h happening
		if err := json.Unmarshal([]byte(l), &h); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		name := h.Leaf + " " + h.Event
		if h.Request != nil {
			name += " " + h.Request.ID
		}
		out = append(out, name)
	}
	return out
}

// program is a shell script; it has its folder as its working folder.
func program(t *testing.T, script string) (path, dir string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ncd '"+dir+"' || exit 1\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, dir
}

func fileText(path string) string {
	b, _ := os.ReadFile(path) // one that is not there has no text yet
	return string(b)
}

func TestEventsArePrintedInOrder(t *testing.T) {
	w := newWaitingRoom(waiting(1, "uid:1", "before"))
	g := watches(t, w.serve(t), "", time.Minute)
	p := waiting(0, "uid:1", "r1", exactly(coin, "123456789012345678901234567890"))
	p.User, p.Claim = "payroll", "hosting\u202e\n\x1b"
	var want []string
	for i, event := range []string{"waits", "approved", "authorized", "frozen"} {
		if i == 0 {
			eventually(t, "it listens", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.watched > 0 })
		}
		about := p
		if event == "frozen" {
			about = nil
		}
		w.happen(event, about)
		want = append(want, strings.TrimSpace(fmt.Sprintf("%d %s %s", i+2, event, about.GetId())))
	}
	eventually(t, "four events", func() bool { return strings.Count(g.out.String(), "\n") == 4 })
	g.stop()
	if got := events(t, g.out.String()); !slices.Equal(got, want) {
		t.Errorf("printed were %q, want %q", got, want)
	}
	first, _, _ := strings.Cut(g.out.String(), "\n")
	const document = `{"version":1,"instance":"i1","leaf":"2","time":"2026-11-23T12:00:00Z","event":"waits","approver":"","reason":"","request":` +
		`{"proposal":"0000000000000000000000000000000000000000000000000000000000000000","leaf":"2","caller":"uid:1","user":"payroll","id":"r1","key":"hot","kind":"evm.transaction","class":"transfer","state":"waiting",` +
		`"since":"2026-11-23T12:00:00Z","due":"","deadline":"2026-11-24T12:00:00Z","claim":"hosting\u202e\n\u001b",` +
		`"outflow":[{"kind":"exact","asset":"eip155:1/slip44:60","amount":"123456789012345678901234567890"}],` +
		`"quorums":[{"rule":"large","limit":"","group":"treasury","approvals":"2","exclude_caller":false,"including":"","devices":"1","approved":[],"open":["ann","bob"],"met":false}],"warnings":[]}}`
	if first != document {
		t.Errorf("the document is\n%s\nwant\n%s", first, document)
	}
}

func TestAProgramGetsEveryEventOnceItTookTheOneBefore(t *testing.T) {
	path, dir := program(t, "cat >>got; echo \"$1 $2\" >>arguments\n[ $(wc -l <got) != 2 ]\n") // it fails on the second
	position := filepath.Join(dir, "position")
	w := newWaitingRoom(waiting(1, "uid:1", "before"))
	sockets := w.serve(t)
	g := watches(t, sockets, position, time.Minute, path, "-v", "two words")
	eventually(t, "the position", func() bool { return fileText(position) == `{"version":1,"instance":"i1","leaf":"1"}`+"\n" })
	w.happen("waits", waiting(0, "uid:1", "r1"))
	w.happen("waits", waiting(0, "uid:1", "r2"))
	w.happen("waits", waiting(0, "uid:1", "r3"))
	got := func() []string { return events(t, fileText(filepath.Join(dir, "got"))) }
	eventually(t, "the last", func() bool { return strings.Contains(fileText(position), `"4"`) })
	g.stop()
	if want := []string{"2 waits r1", "3 waits r2", "3 waits r2", "4 waits r3"}; !slices.Equal(got(), want) {
		t.Errorf("the program got %q, want %q", got(), want)
	}
	if a := fileText(filepath.Join(dir, "arguments")); !strings.HasPrefix(a, "-v two words\n") {
		t.Errorf("its arguments were %q", a)
	}
	if !regexp.MustCompile(`^sealward: event waits of leaf 3: .*/program: exit status 1; it is run again in 1s\n$`).MatchString(g.errors.String()) {
		t.Errorf("of the failure it says %q", g.errors.String())
	}

	// What happens while nobody watches is told to whoever goes on.
	w.happen("approved", waiting(2, "uid:1", "r1"))
	g = watches(t, sockets, position, time.Minute, path)
	eventually(t, "what it missed", func() bool { return strings.Contains(fileText(position), `"5"`) })
	g.stop()
	if n := len(got()); n != 5 || got()[4] != "5 approved r1" {
		t.Errorf("the program got %q, want the one that it missed, once", got())
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("the folder has %v, %v; want program, got, arguments and position alone", left, err)
	}
}

func TestAProgramThatTakesTooLongIsKilledWithItsChildren(t *testing.T) {
	path, dir := program(t, "cat >>got\nif [ ! -e child ]; then sleep 1000 & echo $! >child.new; mv child.new child; wait; fi\n")
	w := newWaitingRoom(waiting(1, "uid:1", "before"))
	g := watches(t, w.serve(t), "", 2*time.Second, path)
	eventually(t, "it listens", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.watched > 0 })
	w.happen("waits", waiting(0, "uid:1", "r1"))
	eventually(t, "it is run again", func() bool { return strings.Count(fileText(filepath.Join(dir, "got")), "\n") == 2 })
	g.stop()
	if want := "it ran for too long and was killed, with what it had started (after 2s); it is run again in 1s"; !strings.Contains(g.errors.String(), want) {
		t.Errorf("it says %q, want %q", g.errors.String(), want)
	}
	child, err := strconv.Atoi(strings.TrimSpace(fileText(filepath.Join(dir, "child"))))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "its child is gone", func() bool {
		stat := fileText(fmt.Sprintf("/proc/%d/stat", child))
		return syscall.Kill(child, 0) != nil || strings.Contains(stat, ") Z ") // nobody may have waited for it yet
	})
}

func TestWatchingGoesOnWhenTheDaemonIsBack(t *testing.T) {
	w := newWaitingRoom(waiting(1, "uid:1", "before"))
	g := watches(t, w.serve(t), "", time.Minute)
	eventually(t, "it listens", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.watched > 0 })
	w.set(true)
	eventually(t, "it says so", func() bool { return strings.Contains(g.errors.String(), "the daemon stops; it is tried again") })
	w.happen("waits", waiting(0, "uid:1", "meanwhile"))
	w.set(false)
	eventually(t, "what happened meanwhile", func() bool { return strings.Contains(g.out.String(), "meanwhile") })
	g.stop()
	if n := strings.Count(g.errors.String(), "\n"); n != 1 {
		t.Errorf("it says %d lines, want one: %q", n, g.errors.String())
	}
}

// After leaf 0 means "from now on" to a daemon. The first that ever happens to one is told
// nevertheless, also if nobody watched then.
func TestNothingIsMissedWhereNothingEverWaited(t *testing.T) {
	w := newWaitingRoom()
	w.size = 1
	dir, position := w.serve(t), filepath.Join(t.TempDir(), "position")
	g := watches(t, dir, position, time.Minute)
	eventually(t, "the position", func() bool { return strings.Contains(fileText(position), `"0"`) })
	g.stop()
	w.happen("waits", waiting(0, "uid:1", "first"))
	g = watches(t, dir, position, time.Minute)
	eventually(t, "the first", func() bool { return strings.Contains(g.out.String(), "first") })
	g.stop()
}

// A full disk does not keep people from being told of a freeze.
func TestEventsGoOnWhereThePositionCannotBeKept(t *testing.T) {
	w := newWaitingRoom()
	folder := filepath.Join(t.TempDir(), "kept")
	must1(t, os.Mkdir(folder, 0o700))
	position := filepath.Join(folder, "position")
	g := watches(t, w.serve(t), position, time.Minute)
	eventually(t, "the position", func() bool { return fileText(position) != "" })
	must1(t, os.RemoveAll(folder)) // as good as full
	w.happen("waits", waiting(0, "uid:1", "r1"))
	w.happen("frozen", nil)
	eventually(t, "both events", func() bool { return len(events(t, g.out.String())) == 2 })
	eventually(t, "a word of it", func() bool { return strings.Contains(g.errors.String(), "--position: ") })
	must1(t, os.Mkdir(folder, 0o700))
	w.happen("thawed", nil)
	eventually(t, "the position again", func() bool { return fileText(position) != "" })
	g.stop()
	if got := events(t, g.out.String()); len(got) != 3 {
		t.Errorf("events = %q, want each once", got)
	}
}

func TestAPositionThatIsNotOfThisJournalIsRefused(t *testing.T) {
	w := newWaitingRoom(waiting(1, "uid:1", "before"))
	dir := w.serve(t)
	for name, c := range map[string]struct{ file, want string }{
		"another journal":  {`{"version":1,"instance":"i2","leaf":"1"}`, `the position is of the journal i2, and this daemon's is i1`},
		"an older copy":    {`{"version":1,"instance":"i1","leaf":"9"}`, `the position is leaf 9, and this daemon's journal has 2`},
		"no JSON":          {`1`, `is no file of a position`},
		"no instance":      {`{"version":1,"leaf":"1"}`, `is no file of a position`},
		"a later version":  {`{"version":2,"instance":"i1","leaf":"1"}`, `is no file of a position`},
		"no number":        {`{"version":1,"instance":"i1","leaf":"-1"}`, `is no file of a position`},
		"nothing":          {``, `is no file of a position`},
		"a half":           {`{"version":1,"inst`, `is no file of a position`},
		"something behind": {`{"version":1,"instance":"i1","leaf":"1"}{}`, `is no file of a position`},
	} {
		path := filepath.Join(t.TempDir(), "position")
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		g := watches(t, dir, path, time.Minute)
		if err := g.end(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: watch = %v, want %q", name, err, c.want)
		}
		if got := fileText(path); got != c.file {
			t.Errorf("%s: the file is %q afterwards", name, got)
		}
	}
}

func TestWatchOnTheCommandLine(t *testing.T) {
	f := &fake{}
	dir := f.serve(t)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a program without --exec":       {[]string{"notify"}, exitUsage, `"notify" is left over; to run it for each event, write --exec before it`},
		"--exec without a program":       {[]string{"--exec"}, exitUsage, "--exec takes a PROGRAM"},
		"a timeout of nothing":           {[]string{"--timeout", "0s"}, exitUsage, "want a duration that is longer than nothing"},
		"a position that is empty":       {[]string{"--position", ""}, exitUsage, "--position is empty"},
		"a socket without this call":     {[]string{"--exec", "true", "--position"}, exitInvalid, "does not serve this call"},
		"a position that is no file":     {[]string{"--position", dir}, exitGeneral, "--position: "},
		"a position in no folder at all": {[]string{"--position", filepath.Join(dir, "none", "position")}, exitInvalid, "does not serve this call"},
	} {
		f.status = &v1.GetStatusResponse{Instance: "i1", JournalSize: 9}
		if code, out, errs := sealward("", append([]string{"--sockets", dir, "watch"}, c.args...)...); code != c.code || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%s: exit code %d, %q, %q; want %d, %q", name, code, out, errs, c.code, c.want)
		}
	}
	if code, _, errs := sealward("", "--sockets", dir, "inbox"); code != exitUsage || !strings.Contains(errs, "takes a terminal") {
		t.Errorf("an inbox without a terminal: exit code %d, %q", code, errs)
	}
}

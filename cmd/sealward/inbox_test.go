package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"connectrpc.com/connect"

	"github.com/sealward/sealward/cmd/config"
	"github.com/sealward/sealward/ipc/api"
	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/api/sealward/v1/sealwardv1connect"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// waitingRoom is the part of a daemon that an approver sees. It keeps what happens, so
// that whoever asks late is told.
type waitingRoom struct {
	sealwardv1connect.UnimplementedApprovalServiceHandler
	sealwardv1connect.UnimplementedSignerServiceHandler

	mu      sync.Mutex
	status  *v1.GetStatusResponse // all of these are owned by mu
	pending []*v1.Pending
	events  []*v1.PendingEvent
	size    uint64
	down    bool
	watched int // calls of WatchPending
	changed chan struct{}
}

func newWaitingRoom(pending ...*v1.Pending) *waitingRoom {
	w := &waitingRoom{status: &v1.GetStatusResponse{Instance: "i1"}, pending: pending, changed: make(chan struct{}), size: 2}
	for _, p := range pending {
		w.size = max(w.size, p.GetLeaf()+1)
	}
	return w
}

// serve listens on an admin socket.
func (w *waitingRoom) serve(t *testing.T) (dir string) {
	mux := http.NewServeMux()
	mux.Handle(sealwardv1connect.NewApprovalServiceHandler(w))
	mux.Handle(sealwardv1connect.NewSignerServiceHandler(w))
	return adminSocket(t, mux)
}

// happen has something happen: at the next leaf.
func (w *waitingRoom) happen(event string, p *v1.Pending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if event == "waits" {
		p.Leaf = w.size
		w.pending = append(w.pending, p)
	}
	if event == "frozen" {
		w.status.Frozen = "by ann: a laptop is gone"
	}
	if p.GetState() != "waiting" {
		w.pending = slices.DeleteFunc(w.pending, func(o *v1.Pending) bool { return o.GetId() == p.GetId() })
	}
	w.events = append(w.events, &v1.PendingEvent{Leaf: w.size, Time: noon, Event: event, Pending: p})
	w.size++
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *waitingRoom) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *waitingRoom) up() error {
	if w.down {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("the daemon stops"))
	}
	return nil
}

func (w *waitingRoom) GetStatus(context.Context, *connect.Request[v1.GetStatusRequest]) (*connect.Response[v1.GetStatusResponse], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &v1.GetStatusResponse{Instance: w.status.GetInstance(), Frozen: w.status.GetFrozen(), JournalSize: w.size}
	return connect.NewResponse(s), w.up()
}

func (w *waitingRoom) last() (leaf uint64) {
	for _, p := range w.pending {
		leaf = max(leaf, p.GetLeaf())
	}
	for _, e := range w.events {
		leaf = max(leaf, e.GetLeaf())
	}
	return leaf
}

func (w *waitingRoom) ListPending(_ context.Context, m *connect.Request[v1.ListPendingRequest]) (*connect.Response[v1.ListPendingResponse], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := &v1.ListPendingResponse{Position: w.last()}
	for _, p := range w.pending {
		if p.GetLeaf() > m.Msg.GetAfter() && len(out.Pending) < int(m.Msg.GetLimit()) {
			out.Pending = append(out.Pending, p)
		}
	}
	return connect.NewResponse(out), w.up()
}

func (w *waitingRoom) WatchPending(ctx context.Context, m *connect.Request[v1.WatchPendingRequest]) (*connect.Response[v1.WatchPendingResponse], error) {
	for {
		w.mu.Lock()
		w.watched++
		out := &v1.WatchPendingResponse{Position: m.Msg.GetAfter()}
		if out.Position == 0 && !m.Msg.GetFromStart() {
			out.Position = w.last()
		}
		for _, e := range w.events {
			if e.GetLeaf() > out.Position {
				out.Events, out.Position = append(out.Events, e), e.GetLeaf()
			}
		}
		err, changed := w.up(), w.changed
		w.mu.Unlock()
		if err != nil || len(out.Events) > 0 {
			return connect.NewResponse(out), err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// screen drives an inbox without a terminal: it runs its commands and hands it their
// messages.
type screen struct {
	t    *testing.T
	m    *inbox
	msgs chan tea.Msg
}

// still is an inbox that nobody drives: its calls are not made.
func still(a *approver) *inbox {
	a.now = noon.AsTime
	d := &desk{approver: a, now: noon.AsTime}
	return newInbox(d, func(func(context.Context) tea.Msg) tea.Cmd { return nil })
}

func ann() *approver {
	return &approver{Approver: config.Approver{Name: "ann", Instance: "i1", Device: config.ApproverDevice{SSHKey: "id"}}}
}

func drive(t *testing.T, w *waitingRoom) *screen {
	t.Helper()
	client := api.Dial(w.serve(t) + "/admin.sock")
	t.Cleanup(client.Close)
	s := &screen{t: t, m: still(ann()), msgs: make(chan tea.Msg, 64)}
	s.m.desk.client = client
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	t.Cleanup(func() { cancel(); calls.Wait() })
	s.m.do = func(f func(context.Context) tea.Msg) tea.Cmd {
		return func() tea.Msg {
			calls.Go(func() {
				select {
				case s.msgs <- f(ctx):
				case <-ctx.Done():
				}
			})
			return nil
		}
	}
	s.take(s.m.connect())
	return s
}

// take starts what a command is for. Of the ones that wait, only trying again is.
func (s *screen) take(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil, tickMsg:
	case tea.BatchMsg:
		for _, c := range msg {
			s.take(c)
		}
	default:
		go func() { s.msgs <- msg }()
	}
}

// until hands messages on until the screen is as wanted.
func (s *screen) until(what string, want func(*inbox) bool) {
	s.t.Helper()
	timeout := time.After(time.Minute)
	for !want(s.m) {
		select {
		case msg := <-s.msgs:
			_, cmd := s.m.Update(msg)
			s.take(cmd)
		case <-timeout:
			s.t.Fatalf("after a minute still not: %s\n%s", what, text(s.m))
		}
	}
}

func (s *screen) shows(want string) {
	s.t.Helper()
	s.until("the screen shows "+want, func(m *inbox) bool { return regexp.MustCompile(want).MatchString(text(m)) })
}

func text(m *inbox) string { return m.View().Content }

// press presses keys, of which those of more than one letter stand for themselves.
func press(m *inbox, keys ...string) tea.Cmd {
	var last tea.Cmd
	for _, k := range keys {
		_, last = m.Update(pressed(k))
	}
	return last
}

func pressed(k string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "space": tea.KeySpace, "down": tea.KeyDown, "up": tea.KeyUp, "left": tea.KeyLeft, "backspace": tea.KeyBackspace}
	if code, ok := special[k]; ok {
		msg := tea.KeyPressMsg{Code: code}
		if k == "space" {
			msg.Text = " "
		}
		return msg
	}
	r := []rune(k)[0]
	return tea.KeyPressMsg{Code: r, Text: k}
}

func enters(m *inbox, text string) {
	for _, r := range text {
		press(m, strings.ReplaceAll(string(r), " ", "space"))
	}
}

func TestTheListIsLive(t *testing.T) {
	w := newWaitingRoom(waiting(1, "uid:1", "first", exactly(coin, "1000000000000000000")))
	s := drive(t, w)
	s.shows(`1 waiting, 1 for ann(.|\n)*\+ uid:1: 1 request, 1 for you(.|\n)*\* transfer: 1 ether`)

	w.happen("waits", waiting(0, "uid:2", "second", exactly(coin, "7000000000000000000")))
	s.shows(`2 waiting(.|\n)*uid:2(.|\n)*7 ether(.|\n)*uid:1(.|\n)*last: .*uid:2 second: waits`)

	done := waiting(1, "uid:1", "first")
	done.State = "denied"
	w.happen("expired", done)
	s.until("the first is gone", func(m *inbox) bool { return len(m.all) == 1 && !strings.Contains(text(m), "1 ether") })

	w.happen("frozen", nil)
	s.shows(`\A[^\n]*\nFROZEN: nothing is signed until a thaw\. by ann: a laptop is gone`)
}

func TestAProposalThatReplacesAnotherTakesItsPlace(t *testing.T) {
	m := still(ann())
	older, newer := waiting(5, "uid:1", "r"), waiting(9, "uid:1", "r")
	m.happened(&v1.PendingEvent{Event: "waits", Pending: older})
	m.happened(&v1.PendingEvent{Event: "waits", Pending: newer})
	m.happened(&v1.PendingEvent{Event: "approved", Pending: older}) // told late
	m.happened(&v1.PendingEvent{Event: "approved", Pending: &v1.Pending{Proposal: "ab"}})
	if len(m.all) != 1 || m.all[same(newer)].p.GetLeaf() != 9 {
		t.Errorf("the list is %v, want the newer proposal alone", m.all)
	}
}

func TestALostConnectionIsSaidAndMadeAgain(t *testing.T) {
	w := newWaitingRoom(waiting(1, "uid:1", "first", exactly(coin, "5")))
	s := drive(t, w)
	s.shows(`1 waiting`)
	w.set(true)
	s.shows(`NO CONNECTION: what stands here may be old(.|\n)*first`)
	press(s.m, "down", "enter")
	if why := s.m.cannot(signer.WordApprove); !strings.Contains(why, "no connection") {
		t.Errorf("without a connection, to approve is refused with %q", why)
	}
	w.happen("waits", waiting(0, "uid:1", "meanwhile", exactly(coin, "9")))
	w.set(false)
	s.until("it is back, with what came meanwhile", func(m *inbox) bool { return m.lost == "" && len(m.all) == 2 })
}

func TestTenThousandRequestsStayUsable(t *testing.T) {
	var pending []*v1.Pending
	for i := range 10_000 {
		pending = append(pending, waiting(uint64(i+1), fmt.Sprint("uid:", i%3), fmt.Sprint("r", i), exactly(coin, fmt.Sprint(i))))
	}
	pending = append(pending, waiting(20_000, "uid:9", "huge", exactly(coin, "99000000000000000000")))
	w := newWaitingRoom(pending...)
	s := drive(t, w)
	s.shows(`10001 waiting, 10001 for ann\n-+\n> \+ uid:9: 1 request(.|\n)*99 ether`)
	press(s.m, "down", "down", "enter") // unfolds the second group
	if n := len(s.m.rows); n < 3333 {
		t.Fatalf("%d rows, want those of a group of 3334", n)
	}
	began := time.Now()
	const moves = 200
	for range moves {
		press(s.m, "down")
		_ = text(s.m)
	}
	press(s.m, "end", "G")
	_ = text(s.m)
	each := time.Since(began) / moves
	t.Logf("a move and a frame take %s", each)
	if each > 200*time.Millisecond { // some hundred times what it takes
		t.Errorf("a move takes %s with ten thousand requests", each)
	}
	began = time.Now()
	s.m.arrange()
	t.Logf("to sort them anew takes %s", time.Since(began))
}

// Whatever waits and whatever is shown, the screen keeps to its size and sends no
// control characters but its own.
func TestTheScreenKeepsToItsSize(t *testing.T) {
	evil := "\x1b[2J\u202e\u009b31mAPPROVED\n> + uid:0: nothing " + strings.Repeat("wide 字 ", 40)
	p := waiting(1, evil, evil, exactly(evil, "5"), exactly(coin, strings.Repeat("9", 90)))
	p.User, p.Key, p.Class, p.Claim = evil, evil, evil, evil
	p.Quorums[0].Quorum.Group = evil
	p.Warnings = []*v1.Warning{{Severity: "danger", Text: evil}}
	m := still(ann())
	m.status = &v1.GetStatusResponse{Instance: evil, Frozen: evil, Overridden: 9}
	m.lost, m.last = evil, "x "+clip(evil)
	m.all[same(p)] = newQueued(p, "ann")
	m.arrange()
	r := reviewed{told: &v1.GetPendingResponse{Pending: p, Claim: evil, Heard: []*v1.HeardApproval{{Approver: evil, Reason: evil, Word: evil}}}, refusals: []string{evil}, risks: []string{evil},
		differences: []approval.Difference{{What: evil, Mine: evil, Theirs: evil}}}
	for _, size := range [][2]int{{80, 24}, {200, 60}, {40, 12}, {20, 8}, {1, 1}} {
		m.opened, m.help = nil, false
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		frames := []string{text(m)}
		press(m, "?")
		frames = append(frames, text(m))
		press(m, "?", "G", "enter")
		m.Update(reviewMsg{proposal: p.GetProposal(), r: r})
		frames = append(frames, text(m))
		m.lost = ""
		press(m, "x")
		enters(m, "because "+strings.Repeat("it is so ", 30))
		m.lost = evil
		frames = append(frames, text(m))
		m.ask = prompt{}
		for i, f := range frames {
			lines := strings.Split(f, "\n")
			if len(lines) > max(size[1], 8) {
				t.Errorf("%v, frame %d has %d lines", size, i, len(lines))
			}
			for _, l := range lines {
				if within(l, max(size[0], 20)) < len(l) {
					t.Errorf("%v, frame %d has a line that is too wide: %q", size, i, l)
				}
			}
			if bad := regexp.MustCompile(`[^\P{C}\n]`).FindString(f); bad != "" {
				t.Errorf("%v, frame %d has %q in it", size, i, bad)
			}
		}
	}
}

func TestColourIsLeftOutWhereItIsNotWanted(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"a terminal":              {map[string]string{"TERM": "screen"}, true},
		"NO_COLOR":                {map[string]string{"TERM": "screen", "NO_COLOR": "yes"}, false},
		"NO_COLOR that is empty":  {map[string]string{"TERM": "screen", "NO_COLOR": ""}, true},
		"a dumb terminal":         {map[string]string{"TERM": "dumb"}, false},
		"a terminal without name": {nil, false},
	} {
		if got := colourful(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%s: colour = %v, want %v", name, got, c.want)
		}
	}
	m := still(ann())
	m.colour = true
	if !strings.Contains(text(m), "\x1b[1m") {
		t.Error("with colour nothing stands out")
	}
}

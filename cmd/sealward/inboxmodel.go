package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/signer"
)

// inbox is the screen of an approver: what it shows, and what it does with keys and with
// what the daemon tells. It holds no terminal and waits for nothing, so that it can be
// tried without either.
type inbox struct {
	desk *desk
	// do makes a command of a call that takes time.
	do            func(func(context.Context) tea.Msg) tea.Cmd
	colour        bool
	width, height int
	now           time.Time

	// What is known of the daemon. gen counts connections, so that an answer on one that
	// was given up is not taken for one on the next.
	gen      int
	status   *v1.GetStatusResponse // nil: it was never reached
	lost     string                // why there is no connection; empty: there is one
	pause    time.Duration         // until it is tried again
	position uint64
	loading  map[string]*queued // while the list is read; nil: it was

	// The list, by [same].
	all      map[string]*queued
	senders  []*sender
	rows     []listRow
	unfolded map[string]bool // callers
	onlyMine bool
	cursor   int // in rows
	top      int // the first row on the screen
	last     string

	opened *reading // the request that is open; nil: the list is
	ask    prompt
	flash  line // what came of the last thing that was done; until the next key
	help   bool
}

// listRow is a line of the list: a group's head or, in a group, a request.
type listRow struct {
	sender *sender
	q      *queued // nil: the head of the group
}

func (r listRow) id() string {
	if r.q == nil {
		return "group " + r.sender.caller
	}
	return "request " + same(r.q.p)
}

// reading is a request that is open.
type reading struct {
	q        *queued
	digest   [32]byte // that it was asked for with
	r        reviewed
	read     bool   // r is there
	gone     string // why it waits no more; empty: it does
	lines    []line
	offset   int
	seen     int // how many lines have been on the screen, from the first on
	problem  string
	reviewed time.Time
}

// prompt is what is being typed, and what for.
type prompt struct {
	word signer.Word // empty: nothing is asked
	text string
}

func newInbox(d *desk, do func(func(context.Context) tea.Msg) tea.Cmd) *inbox {
	return &inbox{
		desk: d, do: do, width: 80, height: 24, now: d.now(), pause: soonest,
		all: map[string]*queued{}, unfolded: map[string]bool{},
	}
}

func (m *inbox) Init() tea.Cmd { return tea.Batch(m.connect(), tick()) }

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} })
}

// connect begins anew: status, then the list page by page, then what happens.
func (m *inbox) connect() tea.Cmd {
	m.gen++
	gen := m.gen
	return m.do(func(ctx context.Context) tea.Msg { return m.desk.begin(ctx, gen) })
}

func (m *inbox) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.desk.now()
	cmd := m.update(msg)
	m.scroll()
	return m, cmd
}

func (m *inbox) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(max(msg.Width, 20), max(msg.Height, 8))
	case tea.KeyPressMsg:
		return m.key(msg)
	case tea.PasteMsg:
		m.paste(msg.Content)
	case tickMsg:
		return tick()
	case begunMsg:
		return m.onBegun(msg)
	case pageMsg:
		return m.onPage(msg)
	case watchMsg:
		return m.onWatch(msg)
	case retryMsg:
		if msg.gen == m.gen {
			return m.connect()
		}
	case reviewMsg:
		m.onReview(msg)
	case saidMsg:
		return m.onSaid(msg)
	}
	return nil
}

// resize fits what is shown to another size. A terminal tells its size also when it was
// handed over and came back with the same.
func (m *inbox) resize(width, height int) {
	if width == m.width && height == m.height {
		return
	}
	m.width, m.height = width, height
	if m.opened != nil {
		m.opened.seen, m.opened.offset = 0, 0 // other lines
		m.layout()
	}
}

func (m *inbox) onBegun(msg begunMsg) tea.Cmd {
	if msg.gen != m.gen {
		return nil
	}
	if msg.err != nil {
		return m.lose(msg.err)
	}
	m.status, m.position, m.loading = msg.begun.status, msg.begun.leaf, map[string]*queued{}
	gen := m.gen
	return m.do(func(ctx context.Context) tea.Msg { return m.desk.page(ctx, gen, 0) })
}

func (m *inbox) onPage(msg pageMsg) tea.Cmd {
	if msg.gen != m.gen {
		return nil
	}
	if msg.err != nil {
		return m.lose(msg.err)
	}
	if err := goesOn(msg.after, msg.page, len(m.loading)); err != nil {
		return m.lose(err)
	}
	gen, after := m.gen, uint64(0)
	for _, p := range msg.page {
		m.loading[same(p)] = newQueued(p, m.desk.approver.Name)
		after = max(after, p.GetLeaf())
	}
	if len(msg.page) > 0 {
		return m.do(func(ctx context.Context) tea.Msg { return m.desk.page(ctx, gen, after) })
	}
	m.all, m.loading, m.lost, m.pause = m.loading, nil, "", soonest
	m.arrange()
	return tea.Batch(m.follow(), m.again())
}

func (m *inbox) follow() tea.Cmd {
	gen, after := m.gen, m.position
	return m.do(func(ctx context.Context) tea.Msg { return m.desk.watch(ctx, gen, after) })
}

func (m *inbox) onWatch(msg watchMsg) tea.Cmd {
	if msg.gen != m.gen {
		return nil
	}
	if msg.err != nil {
		return m.lose(msg.err)
	}
	m.status, m.position = msg.status, max(m.position, msg.res.GetPosition())
	again := false
	for _, ev := range msg.res.GetEvents() {
		m.happened(ev)
		again = again || m.opened != nil && ev.GetPending() != nil && same(ev.GetPending()) == same(m.opened.q.p)
	}
	if len(msg.res.GetEvents()) > 0 {
		m.arrange()
	}
	if again {
		return tea.Batch(m.follow(), m.again())
	}
	return m.follow()
}

// lose gives a connection up and tries again after a while. What was read stays on the
// screen, and the screen says that it may be old.
func (m *inbox) lose(err error) tea.Cmd {
	m.lost, m.loading = message(err), nil
	m.gen++
	gen, pause := m.gen, m.pause
	m.pause = min(2*m.pause, latest/4)
	return tea.Tick(pause, func(time.Time) tea.Msg { return retryMsg{gen} })
}

// happened changes the list by what the daemon tells. It may tell what the list had
// already.
func (m *inbox) happened(ev *v1.PendingEvent) {
	m.last = told(ev)
	p := ev.GetPending()
	if p.GetId() == "" {
		return
	}
	id := same(p)
	before := m.all[id]
	if before != nil && p.GetLeaf() < before.p.GetLeaf() {
		return // about a proposal of it that another policy replaced
	}
	if p.GetState() == "waiting" {
		m.all[id] = newQueued(p, m.desk.approver.Name)
	} else {
		delete(m.all, id)
	}
}

// arrange sorts the list anew, with the cursor on what it was on.
func (m *inbox) arrange() {
	m.senders = arrange(slices.Collect(maps.Values(m.all)), m.desk.approver.names())
	m.list()
}

// list makes the rows, with the cursor on what it was on.
func (m *inbox) list() {
	at := ""
	if m.cursor < len(m.rows) {
		at = m.rows[m.cursor].id()
	}
	m.rows = m.rows[:0]
	for _, s := range m.senders {
		shown := s.heads
		if m.unfolded[s.caller] {
			shown = s.entries
		}
		if m.onlyMine {
			shown = s.entries
			if s.mine == 0 {
				continue
			}
		}
		m.rows = append(m.rows, listRow{sender: s})
		for _, q := range shown {
			if q.mine || !m.onlyMine {
				m.rows = append(m.rows, listRow{s, q})
			}
		}
	}
	if i := slices.IndexFunc(m.rows, func(r listRow) bool { return r.id() == at }); i >= 0 {
		m.cursor = i
	}
	m.cursor = max(0, min(m.cursor, len(m.rows)-1))
}

// open shows a request, once it was fetched and decoded here.
func (m *inbox) open(q *queued) tea.Cmd {
	s := &reading{q: q}
	raw, err := hex.DecodeString(q.p.GetProposal())
	if err != nil || len(raw) != len(s.digest) {
		m.flash = line{fmt.Sprintf("the daemon calls its proposal %q, which is no digest", q.p.GetProposal()), toneBad}
		return nil
	}
	copy(s.digest[:], raw)
	m.opened, m.ask = s, prompt{}
	m.layout()
	return m.again()
}

// again reads the request that is open once more.
func (m *inbox) again() tea.Cmd {
	s := m.opened
	if s == nil {
		return nil
	}
	if now := m.all[same(s.q.p)]; now == nil {
		s.gone = "it does not wait any more"
	} else if now.p.GetProposal() != s.q.p.GetProposal() {
		s.gone = "another policy came into force and made another proposal of it: leave this one, and open it again"
	}
	if s.gone != "" {
		m.ask = prompt{}
		m.layout()
		return nil
	}
	proposal := s.q.p.GetProposal()
	return m.do(func(ctx context.Context) tea.Msg { return m.desk.review(ctx, proposal) })
}

func (m *inbox) onReview(msg reviewMsg) {
	s := m.opened
	if s == nil || s.q.p.GetProposal() != msg.proposal {
		return // another one is open by now
	}
	if msg.err != nil {
		s.problem = message(msg.err)
	} else {
		if s.read && !alike(s.r, msg.r) {
			s.seen, s.offset = 0, 0 // what was read is not what stands there now
			m.ask = prompt{}
		}
		s.r, s.read, s.problem, s.reviewed = msg.r, true, "", m.now
	}
	m.layout()
}

// alike reports whether two readings of a request warn of the same.
func alike(a, b reviewed) bool {
	return a.digest == b.digest && slices.Equal(a.refusals, b.refusals) && slices.Equal(a.risks, b.risks) && slices.Equal(a.differences, b.differences)
}

func (m *inbox) onSaid(msg saidMsg) tea.Cmd {
	if msg.err != nil {
		m.flash = line{fmt.Sprintf("not %s: %s", pasts[msg.word], message(msg.err)), toneBad}
		return nil
	}
	m.flash = line{fmt.Sprintf("%s as %s, leaf %d of the journal", pasts[msg.word], msg.res.GetApprover(), msg.res.GetLeaf()), toneGood}
	return m.again()
}

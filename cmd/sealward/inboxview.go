package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/ipc/console"
	"github.com/sealward/sealward/signer"
)

// tone is how a line stands out. What it says is in its words, too: a terminal without
// colours shows all of it.
type tone int

const (
	tonePlain tone = iota
	toneHead
	toneGood
	toneWarn
	toneBad
)

// sequences select how characters look (ECMA-48, 8.3.117).
var sequences = map[tone]string{toneHead: "\x1b[1m", toneGood: "\x1b[32m", toneWarn: "\x1b[33m", toneBad: "\x1b[1;31m"}

// line is one line of the screen, or what may become several; its text is safe.
type line struct {
	text string
	tone tone
}

// flowed makes lines of a text that is not safe.
func flowed(first, rest, text string, t tone) []line {
	return split(console.Wrapped(first, rest, text), t)
}

// split makes lines of a text that is safe.
func split(text string, t tone) (out []line) {
	for l := range strings.Lines(text) {
		out = append(out, line{strings.TrimSuffix(l, "\n"), t})
	}
	return out
}

// fit breaks lines that are wider than the screen. Nothing is cut off.
func fit(lines []line, width int) (out []line) {
	for _, l := range lines {
		for n := within(l.text, width); n < len(l.text); n = within(l.text, width) {
			n = within(l.text, width-1) // the last column is for the backslash
			out = append(out, line{l.text[:n] + `\`, l.tone})
			l.text = "    " + l.text[n:]
		}
		out = append(out, l)
	}
	return out
}

// within is how many bytes of a text fit into columns.
func within(text string, columns int) int {
	for i, r := range text {
		columns--
		if r >= 0x1100 { // wide characters begin here
			columns--
		}
		if columns < 0 {
			return i
		}
	}
	return len(text)
}

func (m *inbox) View() tea.View {
	top, bottom := m.above(), m.bottom()
	var body []line
	switch {
	case m.help:
		body = fit(split(helpText, tonePlain), m.width)
	case m.opened != nil:
		body = m.opened.lines[min(m.opened.offset, len(m.opened.lines)):]
	default:
		body = m.listLines()
	}
	height := m.height - len(top) - len(bottom)
	body = body[:min(len(body), max(0, height))]
	for len(body) < height {
		body = append(body, line{})
	}
	var b strings.Builder
	for i, l := range append(append(top, body...), bottom...) {
		if i >= m.height {
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		if seq := sequences[l.tone]; seq != "" && m.colour {
			b.WriteString(seq + l.text + "\x1b[m")
		} else {
			b.WriteString(l.text)
		}
	}
	v := tea.NewView(b.String())
	v.AltScreen = true
	return v
}

// banner is what must be seen on every screen.
func (m *inbox) banner() (out []line) {
	waiting, mine := len(m.all), 0
	for _, s := range m.senders {
		mine += s.mine
	}
	head := fmt.Sprintf("sealward inbox: %d waiting", waiting)
	if name := m.desk.approver.Name; name != "" {
		head += fmt.Sprintf(", %d for %s", mine, name)
	}
	if m.onlyMine {
		head += "; ONLY THOSE ARE SHOWN"
	}
	if m.loading != nil {
		head += fmt.Sprintf("; reading the list: %d", len(m.loading))
	}
	out = append(out, flowed("", "  ", head, toneHead)...)
	if want, have := m.desk.approver.Instance, m.status.GetInstance(); want != "" && have != "" && want != have {
		out = append(out, brief(fmt.Sprintf("ANOTHER DAEMON: approver.hcl has journal %s, this is %s", want, have))...)
	}
	if why := m.status.GetFrozen(); why != "" {
		out = append(out, brief("FROZEN: nothing is signed until a thaw. "+why)...)
	}
	if leaf := m.status.GetOverridden(); leaf > 0 {
		out = append(out, brief(fmt.Sprintf("OVERRIDDEN: root put a policy in force that nobody approved, leaf %d", leaf))...)
	}
	if m.opened != nil {
		out = append(out, m.opened.title(m.now)...)
	}
	if m.lost != "" {
		out = append(out, brief("NO CONNECTION: what stands here may be old. It is tried again. "+m.lost)...)
	}
	return out
}

// brief is an alarm in few lines: no reason, however long, pushes the next alarm
// from the screen. sealward status has all of it.
func brief(text string) []line {
	out := flowed("", "  ", text, toneBad)
	if len(out) > 2 {
		out = append(out[:2:2], line{"  ...", toneBad})
	}
	return out
}

// title is which request is open, and what became of it: to be seen wherever one reads.
func (s *reading) title(now time.Time) []line {
	text := strings.Join(append([]string{"request " + s.q.p.GetId() + " of " + callerText(s.q.p)}, times(s.q.p, now)...), ", ")
	out := flowed("", "  ", text, toneHead)
	if s.gone != "" {
		out = append(out, brief("GONE: "+s.gone)...)
	}
	if s.problem != "" {
		out = append(out, brief("ERROR: it could not be read: "+s.problem)...)
	}
	return out
}

// above is what stands above the body.
func (m *inbox) above() []line {
	out := fit(m.banner(), m.width)
	// Room for the body stays, whatever the daemon says.
	return append(out[:min(len(out), m.height/2)], line{strings.Repeat("-", min(m.width, 80)), tonePlain})
}

// bottom is what stands below it.
func (m *inbox) bottom() []line {
	var out []line
	switch {
	case m.flash.text != "":
		out = flowed("", "  ", m.flash.text, m.flash.tone)
	case m.opened == nil && m.last != "":
		out = flowed("last: ", "      ", m.last, tonePlain)
	}
	if s := m.opened; s != nil && s.seen < len(s.lines) {
		out = append(out, line{fmt.Sprintf("... not read yet: %s", counted(len(s.lines)-s.seen, "line")), toneWarn})
	}
	if m.ask.word != "" {
		out = append(out, m.prompt()...)
	}
	keys := "enter open  left fold  space page  f for me only  r reload  ? help  q quit"
	switch {
	case m.help:
		keys = "any key: back"
	case m.ask.word != "":
		keys = "enter: sign it  esc: leave it"
	case m.opened != nil:
		keys = "space page  a approve  x reject  w withdraw  r read again  ? help  q back"
	}
	out = fit(append(out, line{keys, toneHead}), m.width)
	return out[max(0, len(out)-max(1, m.height/3)):]
}

func (m *inbox) prompt() []line {
	id := m.opened.q.p.GetId()
	question := map[signer.Word]string{
		signer.WordApprove:  "APPROVE " + id + "? type yes: ",
		signer.WordReject:   "REJECT " + id + ", which ends it. Why? ",
		signer.WordWithdraw: "WITHDRAW your approval of " + id + ", and never approve this proposal again? type yes: ",
	}[m.ask.word]
	return flowed("", "    ", question+m.ask.text+"_", toneWarn)
}

// bodyHeight is how many lines there are between top and bottom.
func (m *inbox) bodyHeight() int { return max(1, m.height-len(m.above())-len(m.bottom())) }

// scroll keeps what was asked for on the screen, and notes what has been on it.
func (m *inbox) scroll() {
	height := m.bodyHeight()
	if s := m.opened; s != nil {
		s.offset = max(0, min(s.offset, len(s.lines)-height))
		if !m.help && s.offset <= s.seen { // what was jumped over was not read
			s.seen = max(s.seen, min(len(s.lines), s.offset+height))
		}
		return
	}
	if m.cursor < m.top {
		m.top = m.cursor
	}
	// The last row that fits decides; rows differ in height.
	need := 0
	for i := m.cursor; i >= m.top && i < len(m.rows); i-- {
		if need += len(m.rowLines(i)); need > height {
			m.top = min(i+1, m.cursor)
			break
		}
	}
}

// listLines are the rows that are on the screen, and no others: there may be many.
func (m *inbox) listLines() (out []line) {
	if len(m.rows) == 0 {
		switch {
		case m.loading != nil || m.status == nil:
			return nil
		case m.onlyMine && len(m.all) > 0:
			return []line{{"nothing waits for you; f shows what waits for others", tonePlain}}
		}
		return []line{{"nothing waits", tonePlain}}
	}
	for i := m.top; i < len(m.rows) && len(out) < m.height; i++ {
		out = append(out, m.rowLines(i)...)
	}
	return out
}

func (m *inbox) rowLines(i int) []line {
	r, mark, t := m.rows[i], "  ", tonePlain
	if i == m.cursor {
		mark, t = "> ", toneHead
	}
	if r.q == nil {
		return fit(flowed(mark, "      ", m.groupWords(r.sender), t), m.width)
	}
	first := mark + "    "
	if r.q.mine {
		first = mark + "  * "
	}
	if r.q.dangers() > 0 && t == tonePlain {
		t = toneWarn
	}
	names := m.desk.approver.names()
	out := flowed(first, "        ", r.q.headline(names), t)
	return fit(append(out, flowed("        ", "          ", r.q.state(m.now), tonePlain)...), m.width)
}

func (m *inbox) groupWords(s *sender) string {
	text := fmt.Sprintf("%s: %s", s.name, counted(len(s.entries), "request"))
	if s.mine > 0 {
		text += fmt.Sprintf(", %d for you", s.mine)
	}
	switch {
	case m.onlyMine || m.unfolded[s.caller]:
		return "- " + text
	case len(s.heads) < len(s.entries):
		text += "; the largest of each asset:"
	}
	if s.more > 0 {
		text += fmt.Sprintf(" (and %d in more assets that your book does not name; enter shows them)", s.more)
	}
	return "+ " + text
}

// told is one event for people; not safe yet.
func told(ev *v1.PendingEvent) string {
	text := ev.GetEvent()
	if p := ev.GetPending(); p.GetId() != "" {
		text = fmt.Sprintf("%s %s: %s", callerText(p), p.GetId(), text)
	}
	if a := ev.GetApprover(); a != "" {
		text += " by " + a
	}
	if r := ev.GetReason(); r != "" {
		text += ": " + r
	}
	return when(ev.GetTime()) + " " + clip(text)
}

// clip keeps the line of the last event short; the journal has all of it.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	n := most
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

const helpText = `Requests stand in a group for each caller, the largest first. An amount is larger than
another of the same asset only; what is unlimited or could not be read is larger than all.
A star marks what waits for you. The list is what the daemon says: what a request does is
decoded here once it is open, and what differs is not approved.

list      up down (k j)    one row               space b   a page
          g G              first, last           enter     open, or fold and unfold
          f                for me only           r         read the list again
request   up down space b  scroll                q esc     back to the list
          a                approve, once it was read to its end
          x                reject with a reason, which ends it
          w                withdraw: this proposal is never approved by you again
          g G              first, last line        r         read it again
ctrl+c    leave

To stop all signing: sealward freeze.
`

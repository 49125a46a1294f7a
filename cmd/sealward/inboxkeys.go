package main

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/sealward/sealward/signer"
)

// key does what a key is for, where the screen is.
func (m *inbox) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	if name == "ctrl+c" {
		return tea.Quit
	}
	m.flash = line{}
	switch {
	case m.help:
		m.help = false
		return nil
	case m.ask.word != "":
		return m.typed(name, k.Text)
	case name == "?":
		m.help = true
		return nil
	case m.opened != nil:
		return m.openedKey(name)
	}
	return m.listKey(name)
}

func (m *inbox) listKey(name string) tea.Cmd {
	page := max(1, m.bodyHeight()/3)
	switch name {
	case "q":
		return tea.Quit
	case "up", "k":
		m.cursor--
	case "down", "j":
		m.cursor++
	case "pgup", "b":
		m.cursor -= page
	case "pgdown", "space":
		m.cursor += page
	case "home", "g":
		m.cursor = 0
	case "end", "G":
		m.cursor = len(m.rows) - 1
	case "r":
		m.pause = soonest
		return m.connect()
	case "f":
		m.onlyMine = !m.onlyMine
		m.list()
	case "left", "right", "enter":
		return m.enter(name)
	}
	m.cursor = max(0, min(m.cursor, len(m.rows)-1))
	return nil
}

// enter opens the request under the cursor, or folds or unfolds its group.
func (m *inbox) enter(name string) tea.Cmd {
	if m.cursor >= len(m.rows) {
		return nil
	}
	r := m.rows[m.cursor]
	if r.q != nil && name != "left" {
		return m.open(r.q)
	}
	m.unfolded[r.sender.caller] = name == "right" || name == "enter" && !m.unfolded[r.sender.caller]
	if r.q != nil { // where its row may be gone, the cursor is on the group
		m.cursor = max(0, slices.IndexFunc(m.rows, func(o listRow) bool { return o.sender == r.sender && o.q == nil }))
	}
	m.list()
	return nil
}

func (m *inbox) openedKey(name string) tea.Cmd {
	s, page := m.opened, max(1, m.bodyHeight()-1)
	switch name {
	case "q", "esc", "left":
		m.opened = nil
	case "up", "k":
		s.offset--
	case "down", "j", "enter":
		s.offset++
	case "pgup", "b":
		s.offset -= page
	case "pgdown", "space":
		s.offset += page
	case "home", "g":
		s.offset = 0
	case "end", "G":
		s.offset = len(s.lines)
	case "r":
		return m.again()
	case "a":
		m.begin(signer.WordApprove)
	case "x":
		m.begin(signer.WordReject)
	case "w":
		m.begin(signer.WordWithdraw)
	}
	return nil
}

// begin asks for what it takes to say a word, or tells why it cannot be said.
func (m *inbox) begin(word signer.Word) {
	if why := m.cannot(word); why != "" {
		m.flash = line{why, toneBad}
		return
	}
	m.ask = prompt{word: word}
}

// cannot tells why a word cannot be said about the request that is open; empty: it can.
func (m *inbox) cannot(word signer.Word) string {
	s := m.opened
	switch {
	case m.lost != "":
		return "there is no connection to the daemon"
	case s.gone != "":
		return s.gone
	case m.desk.approver.Device.None():
		return "there is no approver.hcl with a device to sign with; docs/cli.md has what is in it"
	case word != signer.WordApprove:
		return ""
	case !s.read:
		return "it was not read yet"
	}
	if err := s.r.refusal(); err != nil {
		return message(err)
	}
	if s.seen < len(s.lines) {
		return "read to its end first: space shows more"
	}
	return ""
}

// typed takes a key of what is typed.
func (m *inbox) typed(name, text string) tea.Cmd {
	switch name {
	case "esc":
		m.ask = prompt{}
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(m.ask.text)
		m.ask.text = m.ask.text[:len(m.ask.text)-n]
	case "enter":
		return m.submit()
	default:
		m.add(text)
	}
	return nil
}

// paste takes a reason from elsewhere; a yes is typed.
func (m *inbox) paste(text string) {
	if m.ask.word == signer.WordReject {
		m.add(text)
	}
}

func (m *inbox) add(text string) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(m.ask.text)+len(text) <= signer.MaxReason {
		m.ask.text += text
	}
}

// submit signs, where what was typed is what it takes.
func (m *inbox) submit() tea.Cmd {
	ask := m.ask
	text := strings.TrimSpace(ask.text)
	if why := m.cannot(ask.word); why != "" { // since it was begun
		m.ask, m.flash = prompt{}, line{why, toneBad}
		return nil
	}
	switch ask.word {
	case signer.WordReject:
		if text == "" {
			m.flash = line{"to reject takes a reason", toneBad}
			return nil
		}
	default:
		if text != "yes" {
			m.ask, m.flash = prompt{}, line{"not " + pasts[ask.word] + ": that was not yes", toneBad}
			return nil
		}
		text = ""
	}
	m.ask = prompt{}
	return m.speak(ask.word, text)
}

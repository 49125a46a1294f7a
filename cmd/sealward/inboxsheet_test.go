package main

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	v1 "github.com/sealward/sealward/ipc/api/sealward/v1"
	"github.com/sealward/sealward/policy/approval"
	"github.com/sealward/sealward/signer"
)

// harmless is a review that has nothing against its request; effects make it long.
func harmless(p *v1.Pending, effects int) reviewed {
	in := signer.Intent{Complete: true}
	for i := range effects {
		in.Effects = append(in.Effects, signer.Effect{Class: signer.ClassTransfer, Actor: payer, Counterparty: payee, Quantity: signer.Quantity{Kind: signer.QuantityExact, Asset: coin, N: big.NewInt(int64(i + 1))}})
	}
	r := reviewed{told: &v1.GetPendingResponse{Pending: p, Heard: []*v1.HeardApproval{{Approver: "bob", Word: "approve", Reason: "it is the invoice"}}}, readable: true}
	r.proposal.Intent = in
	return r
}

// reads is an inbox in which a request is open that was reviewed.
func reads(r reviewed) *inbox {
	m := still(ann())
	p := r.told.GetPending()
	m.status, m.all[same(p)] = &v1.GetStatusResponse{Instance: "i1"}, newQueued(p, "ann")
	m.arrange()
	press(m, "down", "enter")
	m.Update(reviewMsg{proposal: p.GetProposal(), r: r})
	return m
}

// toEnd reads on until there is no more.
func toEnd(m *inbox) {
	for range 50 {
		press(m, "space")
	}
}

func TestWhatKeepsARequestFromBeingApproved(t *testing.T) {
	p := waiting(1, "uid:1", "r1", exactly(coin, "5"))
	differs := harmless(p, 1)
	differs.differences = []approval.Difference{{What: "effect 1, amount", Mine: "1", Theirs: "2"}}
	differs.refusals = []string{"it differs in 1 fact"}
	unread := harmless(p, 1)
	unread.readable = false
	for name, c := range map[string]struct {
		r     reviewed
		after func(*inbox)
		why   string // empty: it can be approved
	}{
		"nothing":                       {harmless(p, 1), toEnd, ""},
		"what the daemon shows differs": {differs, toEnd, "it differs in 1 fact"},
		"it could not be decoded":       {unread, toEnd, "not to be approved"},
		"it was not read to its end":    {harmless(p, 3), func(*inbox) {}, "read to its end first"},
		"its end was jumped to":         {harmless(p, 12), func(m *inbox) { press(m, "G") }, "read to its end first"},
		"the screen became smaller since": {harmless(p, 3), func(m *inbox) {
			toEnd(m)
			m.Update(tea.WindowSizeMsg{Width: 60, Height: 12})
		}, "read to its end first"},
		"the connection is lost": {harmless(p, 1), func(m *inbox) { toEnd(m); m.lost = "gone" }, "no connection"},
		"there is no device":     {harmless(p, 1), func(m *inbox) { toEnd(m); m.desk.approver = &approver{now: m.desk.now} }, "no approver.hcl with a device"},
		"it was decided": {harmless(p, 1), func(m *inbox) {
			toEnd(m)
			delete(m.all, same(p))
			m.again()
		}, "does not wait any more"},
		"another policy made another proposal of it": {harmless(p, 1), func(m *inbox) {
			toEnd(m)
			m.happened(&v1.PendingEvent{Pending: waiting(7, "uid:1", "r1")})
			m.again()
		}, "another policy came into force"},
		"a risk was found when it was read again": {harmless(p, 3), func(m *inbox) {
			toEnd(m)
			again := harmless(p, 3)
			again.risks = []string{"a new recipient"}
			m.Update(reviewMsg{proposal: p.GetProposal(), r: again})
		}, "read to its end first"},
		"a review of another request came late": {harmless(p, 1), func(m *inbox) {
			toEnd(m)
			m.Update(reviewMsg{proposal: strings.Repeat("9", 64), r: differs})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := reads(c.r)
			c.after(m)
			press(m, "a")
			asked := m.ask.word == signer.WordApprove
			if asked != (c.why == "") || !strings.Contains(strings.ReplaceAll(m.flash.text, "\n", " "), c.why) {
				t.Errorf("a asks for yes: %v, and says %q; want %q", asked, m.flash.text, c.why)
			}
			if c.why == "" {
				return
			}
			// Nor does it help to have been asked before.
			m.ask = prompt{word: signer.WordApprove, text: "yes"}
			if cmd := press(m, "enter"); cmd != nil || m.ask.word != "" {
				t.Error("what cannot be approved is signed")
			}
		})
	}
}

func TestDifferencesStandFirstAndInRed(t *testing.T) {
	p := waiting(1, "uid:1", "r1")
	r := harmless(p, 1)
	r.refusals, r.risks = []string{"it differs"}, []string{"a new recipient"}
	r.differences = []approval.Difference{{What: "effect 1, amount", Mine: "1", Theirs: "2"}}
	m := reads(r)
	var heads []string
	for _, l := range m.opened.lines {
		if word, _, _ := strings.Cut(l.text, " "); word != "" {
			heads = append(heads, word)
		}
		if red := l.tone == toneBad; red != (slices.Contains([]string{"REFUSED", "DIFFERS"}, heads[len(heads)-1]) && l.text != "") {
			t.Errorf("red = %v: %q", red, l.text)
		}
	}
	if want := []string{"REFUSED", "DIFFERS", "RISK", "CLASS"}; !slices.Equal(heads[:4], want) {
		t.Errorf("the lines begin with %q, want %q first", heads, want)
	}
	m.colour = true
	if got := text(m); !strings.Contains(got, "\x1b[1;31mDIFFERS  effect 1, amount\x1b[m") {
		t.Errorf("no red difference in\n%q", got)
	}
}

func TestWhatIsTyped(t *testing.T) {
	p := waiting(1, "uid:1", "r1")
	for name, c := range map[string]struct {
		keys   []string
		signed bool
		left   string // of what was typed
	}{
		"yes approves":                        {[]string{"a", "y", "e", "s", "enter"}, true, ""},
		"y does not":                          {[]string{"a", "y", "enter"}, false, ""},
		"enter alone does not":                {[]string{"a", "enter"}, false, ""},
		"a mistake is taken back":             {[]string{"a", "y", "e", "x", "backspace", "s", "enter"}, true, ""},
		"escape leaves it":                    {[]string{"a", "y", "e", "s", "esc", "enter"}, false, ""},
		"a rejection takes a reason":          {[]string{"x", "space", "enter"}, false, " "},
		"a rejection with a reason is signed": {[]string{"x", "n", "o", "enter"}, true, ""},
		"letters of a reason are no commands": {[]string{"x", "q", "a"}, false, "qa"},
		"a withdrawal takes a yes":            {[]string{"w", "n", "o", "enter"}, false, ""},
		"and is signed with one":              {[]string{"w", "y", "e", "s", "enter"}, true, ""},
		"a yes without a question is nothing": {[]string{"y", "e", "s", "enter"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := reads(harmless(p, 1))
			toEnd(m)
			if signed := press(m, c.keys...) != nil; signed != c.signed {
				t.Errorf("it is signed: %v, want %v", signed, c.signed)
			}
			if m.ask.text != c.left {
				t.Errorf("left is %q, want %q", m.ask.text, c.left)
			}
		})
	}
	m := reads(harmless(p, 1))
	toEnd(m)
	press(m, "a")
	m.Update(tea.PasteMsg{Content: "yes"})
	if m.ask.text != "" {
		t.Error("a yes can be pasted")
	}
	press(m, "esc", "x")
	m.Update(tea.PasteMsg{Content: "line\nline \xff" + strings.Repeat("字", 20)})
	if want := "line line " + strings.Repeat("字", 20); m.ask.text != want {
		t.Errorf("pasted is %q, want %q", m.ask.text, want)
	}
	for range 50 {
		m.Update(tea.PasteMsg{Content: strings.Repeat("字", 20)})
	}
	if n := len(m.ask.text); n > signer.MaxReason {
		t.Errorf("a reason has %d bytes, want at most %d", n, signer.MaxReason)
	}
}

func TestWhatCameOfItIsTold(t *testing.T) {
	p := waiting(1, "uid:1", "r1")
	for want, msg := range map[string]saidMsg{
		"approved as ann, leaf 12 of the journal": {word: signer.WordApprove, res: &v1.PostApprovalResponse{Approver: "ann", Leaf: 12}},
		"not rejected: wrong PIN":                 {word: signer.WordReject, err: errors.New("wrong PIN")},
	} {
		m := reads(harmless(p, 1))
		m.Update(msg)
		if got := text(m); !strings.Contains(got, "\n"+want) {
			t.Errorf("no %q in\n%s", want, got)
		}
		if press(m, "up"); strings.Contains(text(m), want) {
			t.Error("it stays beyond the next key")
		}
	}
}

package main

import (
	"strings"
)

// layout makes the lines of the request that is open: as sealward approve shows it, with
// what keeps it from being approved first.
func (m *inbox) layout() {
	s := m.opened
	if s == nil {
		return
	}
	out := []line{{"fetching it, to decode it here", tonePlain}}
	if s.read {
		var b strings.Builder
		_ = m.desk.approver.showReview(&b, s.r) // a builder takes all there is
		out = toned(b.String())
	}
	s.lines = fit(out, m.width)
	s.seen = min(s.seen, len(s.lines))
}

// tones are of the words that begin a line of ours.
var tones = map[string]tone{
	"REFUSED": toneBad, "DIFFERS": toneBad, "DANGER": toneBad, "ERROR": toneBad, "RISK": toneWarn, "WARNING": toneWarn, "CLASS": toneHead,
}

// toned has what is dangerous stand out, with the lines on which it goes on. Text of
// theirs never begins a line; see package console.
func toned(text string) []line {
	out := split(text, tonePlain)
	t := tonePlain
	for i, l := range out {
		if word, _, _ := strings.Cut(l.text, " "); word != "" || l.text == "" {
			t = tones[word]
		}
		out[i].tone = t
	}
	return out
}

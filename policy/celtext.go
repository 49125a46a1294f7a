package policy

import "strings"

// script is the text of a condition and where its words begin and end, so that a part of
// the condition can be shown as its author wrote it. CEL's own parser keeps where
// operators stand, and not where their operands begin and end.
type script struct {
	text  []rune
	words []word
	at    map[int]int // index of the word that begins at an offset
}

// word is a literal, a name, an operator or a bracket, by its offsets in characters. Of
// a bracket, other is the index of the one that it belongs to; else it is its own.
type word struct{ start, end, other int }

// stretch is a part of a script: the words from first up to, not including, last.
type stretch struct{ first, last int }

// scan finds the words of a text that is a condition (CEL language definition,
// "Syntax"). Of another text it makes no sense, and no panic.
func scan(text string) script {
	s := script{text: []rune(text), at: map[int]int{}}
	var open []int
	for i := 0; i < len(s.text); {
		end := s.wordEnd(i)
		if end == i { // white space, or a comment
			i = s.gapEnd(i)
			continue
		}
		index := len(s.words)
		s.at[i] = index
		s.words = append(s.words, word{i, end, index})
		switch s.text[i] {
		case '(', '[', '{':
			open = append(open, index)
		case ')', ']', '}':
			if n := len(open); n > 0 {
				s.words[index].other, s.words[open[n-1]].other = open[n-1], index
				open = open[:n-1]
			}
		}
		i = end
	}
	return s
}

// gapEnd is where a gap that begins at i ends: a comment goes to the end of its line.
func (s *script) gapEnd(i int) int {
	if s.text[i] != '/' {
		return i + 1
	}
	for i < len(s.text) && s.text[i] != '\n' {
		i++
	}
	return i
}

// wordEnd is where the word at i ends, or i where none begins.
func (s *script) wordEnd(i int) int {
	next := func(n int) rune {
		if i+n < len(s.text) {
			return s.text[i+n]
		}
		return 0
	}
	switch r := s.text[i]; {
	case strings.ContainsRune(" \t\r\n\f", r), r == '/' && next(1) == '/':
		return i
	case r == '\'' || r == '"':
		return s.quoteEnd(i, false)
	case strings.ContainsRune("&|=!<>", r):
		if n := next(1); n == '=' || n == r && (r == '&' || r == '|') {
			return i + 2
		}
		return i + 1
	case !wordly(r):
		return i + 1
	}
	end := i
	for end < len(s.text) && wordly(s.text[end]) {
		end++
	}
	// r"..." and b'...', in either case and order.
	if end < len(s.text) && (s.text[end] == '\'' || s.text[end] == '"') {
		return s.quoteEnd(end, strings.ContainsAny(string(s.text[i:end]), "rR"))
	}
	return end
}

// quoteEnd is where a literal ends whose quote is at i: one quote or three, and a
// backslash makes a quote part of it, unless it is raw.
func (s *script) quoteEnd(i int, raw bool) int {
	closing := []rune{s.text[i]}
	if i+2 < len(s.text) && s.text[i+1] == s.text[i] && s.text[i+2] == s.text[i] {
		closing = s.text[i : i+3]
	}
	for at := i + len(closing); at < len(s.text); at++ {
		switch {
		case s.text[at] == '\\' && !raw:
			at++
		case at+len(closing) <= len(s.text) && string(s.text[at:at+len(closing)]) == string(closing):
			return at + len(closing)
		}
	}
	return len(s.text)
}

func (s *script) all() stretch { return stretch{0, len(s.words)} }

// is reports whether the word at an index is a text.
func (s *script) is(index int, text string) bool {
	return index >= 0 && index < len(s.words) && string(s.text[s.words[index].start:s.words[index].end]) == text
}

// bare takes the parentheses off that are around a whole stretch.
func (s *script) bare(x stretch) stretch {
	for x.last-x.first > 2 && s.is(x.first, "(") && s.words[x.first].other == x.last-1 {
		x = stretch{x.first + 1, x.last - 1}
	}
	return x
}

// string is a stretch on one line, without comments and without space inside of brackets.
func (s *script) string(x stretch) string {
	var b strings.Builder
	for i := x.first; i < x.last; i++ {
		inside := i > x.first && !strings.ContainsRune("([{", s.text[s.words[i-1].start]) && !strings.ContainsRune(")]}", s.text[s.words[i].start])
		if inside && s.words[i].start > s.words[i-1].end {
			b.WriteByte(' ')
		}
		b.WriteString(string(s.text[s.words[i].start:s.words[i].end]))
	}
	return b.String()
}

// around splits a stretch at the operator that begins at an offset.
func (s *script) around(x stretch, offset int) (left, right stretch, ok bool) {
	i, ok := s.at[offset]
	if !ok || i <= x.first || i >= x.last-1 {
		return stretch{}, stretch{}, false
	}
	return stretch{x.first, i}, stretch{i + 1, x.last}, true
}

// quantified splits LIST.all(NAME, CONDITION), and the like with exists.
func (s *script) quantified(x stretch) (list, condition stretch, ok bool) {
	if x.last-x.first < 7 || !s.is(x.last-1, ")") {
		return stretch{}, stretch{}, false
	}
	open := s.words[x.last-1].other
	if open <= x.first+2 || !s.is(open, "(") || !s.is(open-2, ".") || !s.is(open+2, ",") || open+3 >= x.last-1 {
		return stretch{}, stretch{}, false
	}
	return stretch{x.first, open - 2}, stretch{open + 3, x.last - 1}, true
}

package console

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"
)

// screen is how many columns a line has at most.
const screen = 80

// flow writes a text that is safe after first, and what does not fit on it on lines
// that begin with rest. It breaks at spaces; where a word is longer than a line it
// breaks inside, and the line ends with a backslash, which no safe text does.
func flow(b *strings.Builder, first, rest, text string) {
	b.WriteString(first)
	at := columns(first)
	next := func(end string) {
		b.WriteString(end + "\n" + rest)
		at = columns(rest)
	}
	for i, word := range strings.Split(visibleSpaces(text), " ") {
		left := columns(word)
		switch {
		case i == 0:
		case at+1+left <= screen:
			b.WriteString(" ")
			at++
		default:
			next("")
		}
		for _, u := range units(word) {
			n := columns(u)
			if at+left > screen && at+n >= screen { // the last column is for the backslash
				next(`\`)
			}
			b.WriteString(u)
			at, left = at+n, left-n
		}
	}
	b.WriteString("\n")
}

// visibleSpaces leaves single spaces between words alone and writes all others as
// escapes: they could be lost at the end of a line, or pass for a margin.
func visibleSpaces(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			b.WriteString(`\u{20}`)
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// units are the parts of a safe text that are not to be broken: characters, and escapes.
func units(s string) (out []string) {
	for s != "" {
		_, n := utf8.DecodeRuneInString(s)
		if s[0] == '\\' {
			if end := strings.IndexByte(s, '}'); end > 0 {
				n = end + 1
			}
		}
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

// width is how many columns a block of text takes, its margin not counted.
const width = 72

// block writes text of theirs on lines of its own. Each begins with a bar, so that
// no line break or run of spaces in it can begin one of ours.
func block(b *strings.Builder, indent, s string) {
	lines := broken(s, min(width, screen-columns(indent)-len("| ")))
	for _, line := range lines {
		b.WriteString(strings.TrimRight(indent+"| "+line, " ") + "\n")
	}
	if len(lines) > 10 {
		fmt.Fprintf(b, "%ssha256 of these %d bytes:\n%s%x\n", indent, len(s), indent, sha256.Sum256([]byte(s)))
	}
}

// broken makes text safe and breaks it into lines: where it has line feeds, which are
// shown too, and where a line is full. That is before the last spaces if there are any in
// its second half; then they begin the next line. Otherwise spaces at its end, which
// would not be seen, begin the next line as escapes.
func broken(s string, most int) (lines []string) {
	const space = `\u{20}`
	var line strings.Builder
	column := 0
	var add func(text string)
	next := func() {
		whole := line.String()
		seen := strings.TrimRight(whole, " ")
		cut := len(seen)
		if cut == len(whole) {
			cut = len(strings.TrimRight(whole[:strings.LastIndexByte(whole, ' ')+1], " "))
		}
		line.Reset()
		if column = columns(whole[:cut]); column > most/2 {
			lines = append(lines, whole[:cut])
			line.WriteString(whole[cut:])
			column = columns(whole[cut:])
			return
		}
		lines = append(lines, seen)
		column = 0
		for range len(whole) - len(seen) {
			add(space)
		}
	}
	add = func(text string) {
		w := columns(text)
		for column+w > most {
			next()
		}
		line.WriteString(text)
		column += w
	}
	for rest := s; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		text := escape(r, rest[:size])
		rest = rest[size:]
		if r == ' ' && (rest == "" || rest[0] == '\n') {
			text = space
		}
		add(text)
		if r == '\n' && rest != "" {
			lines = append(lines, line.String())
			line.Reset()
			column = 0
		}
	}
	return append(lines, line.String())
}

// columns is how many columns a text takes at most: from U+1100 on, where the wide
// characters of East Asia begin, two for each.
func columns(s string) (n int) {
	for _, r := range s {
		n++
		if r >= 0x1100 {
			n++
		}
	}
	return n
}

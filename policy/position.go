package policy

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// source is a text of the policy file that is itself written in another language,
// and where each of its characters stands in the file.
type source struct {
	text  string
	whole hcl.Range // of the expression in the file
	// at has an element for each character of text and one for its end. It is nil
	// where the text could not be traced back.
	at []hcl.Pos
}

// trace finds the characters of a quoted string or heredoc in the file. It
// decodes the source on its own; where it arrives at another text than HCL did,
// it gives up, and errors point at the whole expression.
func trace(file []byte, whole hcl.Range, text string) source {
	s := source{text: text, whole: whole}
	if whole.Start.Byte < 0 || whole.End.Byte > len(file) || whole.Start.Byte >= whole.End.Byte {
		return s
	}
	c := cursor{src: string(file[whole.Start.Byte:whole.End.Byte]), pos: whole.Start}
	switch {
	case strings.HasPrefix(c.src, `"`):
		c.skip(1)
		c.quoted()
	case strings.HasPrefix(c.src, "<<"):
		c.heredoc()
	}
	if c.out.String() == text {
		s.at = append(c.at, c.pos)
	}
	return s
}

// span returns the range in the file of the word at a line (from 1) and column
// (from 0, in characters) of the text, which is how CEL counts.
func (s source) span(line, column int) hcl.Range {
	start := s.offset(line, column)
	runes := []rune(s.text)
	if start < 0 || start >= len(s.at) {
		return s.whole
	}
	// A field is reported at the point before it; the field is what matters.
	if start+1 < len(runes) && runes[start] == '.' && wordly(runes[start+1]) {
		start++
	}
	end := start
	for end < len(runes) && wordly(runes[end]) {
		end++
	}
	if start < len(runes) && (runes[start] == '\'' || runes[start] == '"') {
		if n := slices.Index(runes[start+1:], runes[start]); n >= 0 {
			end = start + n + 2 // a literal, with both its quotes
		}
	}
	if end == start && end < len(runes) {
		end++
	}
	return hcl.Range{Filename: s.whole.Filename, Start: s.at[start], End: s.at[end]}
}

func (s source) offset(line, column int) int {
	offset := 0
	for _, l := range strings.SplitAfter(s.text, "\n") {
		if line--; line == 0 {
			if column < 0 || column > utf8.RuneCountInString(l) {
				return -1
			}
			return offset + column
		}
		offset += utf8.RuneCountInString(l)
	}
	return -1
}

func wordly(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// cursor walks over source text and notes the position of what it emits. Columns
// count characters; HCL counts grapheme clusters, which differ only right of
// combining characters on the same line.
type cursor struct {
	src string // what is ahead
	pos hcl.Pos
	out strings.Builder
	at  []hcl.Pos
}

// skip passes n bytes of source.
func (c *cursor) skip(n int) {
	for _, r := range c.src[:n] {
		c.pos.Column++
		if r == '\n' {
			c.pos.Line, c.pos.Column = c.pos.Line+1, 1
		}
	}
	c.pos.Byte += n
	c.src = c.src[n:]
}

// emit passes n bytes of source that stand for text.
func (c *cursor) emit(n int, text string) {
	for range text {
		c.at = append(c.at, c.pos)
	}
	c.out.WriteString(text)
	c.skip(n)
}

// next passes one character, or one doubled template introducer (HCL native
// syntax, "Template Literals").
func (c *cursor) next() {
	for _, doubled := range []string{"$${", "%%{"} {
		if strings.HasPrefix(c.src, doubled) {
			c.emit(len(doubled), doubled[1:])
			return
		}
	}
	_, n := utf8.DecodeRuneInString(c.src)
	c.emit(n, c.src[:n])
}

// quoted passes the inside of a quoted string (HCL native syntax, "Quoted
// Templates"), up to its closing quote.
func (c *cursor) quoted() {
	for len(c.src) > 1 {
		if c.src[0] != '\\' {
			c.next()
			continue
		}
		size := map[byte]int{'u': 6, 'U': 10}[c.src[1]]
		if size == 0 {
			size = 2
		}
		if size > len(c.src)-1 {
			return
		}
		// HCL's escapes are a subset of Go's.
		text, err := strconv.Unquote(`"` + c.src[:size] + `"`)
		if err != nil {
			return
		}
		c.emit(size, text)
	}
}

// heredoc passes a heredoc, whose lines lose their common indentation when it
// begins with <<- (HCL native syntax, "Heredoc Templates"). Blank lines have no
// say in that and lose nothing.
func (c *cursor) heredoc() {
	flush := strings.HasPrefix(c.src, "<<-")
	c.skip(strings.IndexByte(c.src, '\n') + 1)
	// The last line is the closing marker; what stands before it is the text.
	marker := strings.TrimSuffix(c.src, "\n")
	body := marker[:strings.LastIndexByte(marker, '\n')+1]
	indent := 0
	if flush {
		indent = commonIndent(body)
	}
	for line := range strings.Lines(body) {
		rest := len(c.src) - len(line)
		if !blank(line) {
			c.skip(indent)
		}
		for len(c.src) > rest {
			c.next()
		}
	}
}

// commonIndent is in bytes; where the indentation is anything but plain spaces
// and tabs the text comes out different, and the trace is given up.
func commonIndent(body string) int {
	least := len(body)
	for line := range strings.Lines(body) {
		if !blank(line) {
			least = min(least, len(line)-len(strings.TrimLeft(line, " \t")))
		}
	}
	return least
}

func blank(line string) bool { return strings.TrimSpace(line) == "" }

package strictjson

import (
	"bytes"
	"encoding/json"
)

// scanner takes tokens off a text that [json.Valid] has accepted, so none of its
// steps can fail.
type scanner struct {
	data []byte
	at   int
}

// peek returns the first byte of the next token.
func (s *scanner) peek() byte {
	for isSpace(s.data[s.at]) {
		s.at++
	}
	return s.data[s.at]
}

// skip takes a token of one byte.
func (s *scanner) skip(c byte) {
	if s.peek() == c {
		s.at++
	}
}

// more reports whether another element follows in the object or array that ends
// with end, and takes what stands between: the opening or a comma, or the end.
func (s *scanner) more(end byte) bool {
	switch s.peek() {
	case '{', '[', ',':
		s.at++
	}
	if s.peek() != end {
		return true
	}
	s.at++
	return false
}

// quoted takes a string and returns it with its quotes.
func (s *scanner) quoted() []byte {
	s.peek()
	start := s.at
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.data[start:s.at]
}

// word takes a number, a boolean or null.
func (s *scanner) word() string {
	s.peek()
	start := s.at
	for s.at < len(s.data) && !isSpace(s.data[s.at]) && !bytes.ContainsRune([]byte(",]}"), rune(s.data[s.at])) {
		s.at++
	}
	return string(s.data[start:s.at])
}

func unquote(quoted []byte) string {
	if !bytes.ContainsRune(quoted, '\\') {
		return string(quoted[1 : len(quoted)-1])
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return string(quoted) // not reached: it is part of a valid text
	}
	return text
}

// isSpace: RFC 8259, 2.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

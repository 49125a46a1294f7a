package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe writes text such that a reader sees all of it and nothing but it: what
// does not print, has no width or reorders its neighbours becomes \u{...}. So does
// the backslash, so that no text reads like an escape of another. A byte that is
// not UTF-8 becomes \x{...}.
func Safe(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		b.WriteString(escape(r, s[:size]))
		s = s[size:]
	}
	return b.String()
}

func escape(r rune, raw string) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x{%02x}`, raw[0])
	case hostile(r):
		return fmt.Sprintf(`\u{%x}`, r)
	default:
		return raw
	}
}

// hostile reports whether a character must not reach a terminal as it is.
func hostile(r rune) bool {
	switch {
	case r == '\\', r == utf8.RuneError, !unicode.IsPrint(r):
		return true
	case unicode.Is(unicode.Cf, r): // bidirectional overrides, zero-width characters, tags
		return true
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r): // draw over what is before them
		return true
	case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), r == '\u2800': // letters and symbols that look like nothing
		return true
	default:
		return unicode.Is(rightToLeft, r)
	}
}

// rightToLeft is what has bidirectional class R or AL by default (Unicode
// DerivedBidiClass.txt, "@missing"): without any control character, a letter of
// these makes a terminal that follows UAX #9 move the digits and addresses beside it.
var rightToLeft = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x0590, Hi: 0x08FF, Stride: 1},
		{Lo: 0xFB1D, Hi: 0xFDFF, Stride: 1},
		{Lo: 0xFE70, Hi: 0xFEFF, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x10800, Hi: 0x10FFF, Stride: 1},
		{Lo: 0x1E800, Hi: 0x1EFFF, Stride: 1},
	},
}

// scripts whose letters are taken for one another.
var scripts = []struct {
	name  string
	table *unicode.RangeTable
}{{"Latin", unicode.Latin}, {"Cyrillic", unicode.Cyrillic}, {"Greek", unicode.Greek}}

// mixed returns the first word of a text that has letters of two scripts that look
// alike, and which, or empty text.
func mixed(s string) (word, which string) {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		var found []string
		for _, script := range scripts {
			if strings.ContainsFunc(word, func(r rune) bool { return unicode.Is(script.table, r) }) {
				found = append(found, script.name)
			}
		}
		if len(found) > 1 {
			return word, strings.Join(found, " and ")
		}
	}
	return "", ""
}

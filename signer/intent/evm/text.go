package evm

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealward/sealward/signer"
	"github.com/sealward/sealward/signer/intent/evm/abi"
)

// textWarnings warns of a text that may not read as it looks. It is about characters
// alone; what the text says is for people. A word that is wholly of another alphabet
// cannot be told from an honest one.
func (r *reading) textWarnings(name, s string) {
	if !utf8.ValidString(s) {
		return // shown as bytes
	}
	if hides(s) {
		r.warn(WarnHiddenCharacters, signer.SeverityWarn,
			name+": control, bidirectional or zero-width characters: it may not read as it looks elsewhere")
	}
	if word, mixed := mixedWord(s); mixed {
		r.warn(WarnMixedScripts, signer.SeverityWarn,
			name+": the word "+abi.Quote(word)+" has letters of several alphabets that look alike: it may not read as it looks")
	}
}

// hides reports whether a text has characters that do not show or that change how others
// show. The two variation selectors that choose between the forms of an emoji do so
// behind one; behind letters of ASCII, or one another, they carry what nobody sees.
func hides(s string) bool {
	last := ' '
	for _, r := range s {
		switch {
		case r != 0xfe0e && r != 0xfe0f:
			if isHidden(r) {
				return true
			}
		case last < utf8.RuneSelf && !strings.ContainsRune("0123456789#*", last), last == 0xfe0e, last == 0xfe0f:
			return true
		}
		last = r
	}
	return false
}

// isHidden is [hides] for one character. The line feed is an ordinary part of messages
// (ERC-4361). The braille pattern without dots shows as a space.
func isHidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r != '\n' && (r < ' ' || r == 0x7f)
	}
	return !unicode.IsPrint(r) || r == 0x2800 || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.Is(unicode.Variation_Selector, r)
}

// alike are the alphabets whose letters look like those of one another. UTS 39, 5.1
// and 5.2, would have a word keep to one script; the scripts of East Asia, which mix in
// honest text, and those that nobody mistakes for Latin are left out.
var alike = []*unicode.RangeTable{
	unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee, unicode.Coptic,
	unicode.Lisu, unicode.Georgian, unicode.Deseret, unicode.Osage, unicode.Glagolitic,
}

// mixedWord returns the first word with letters of more than one of these alphabets.
func mixedWord(s string) (word string, mixed bool) {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return "", false
	}
	for word := range strings.FieldsFuncSeq(s, betweenWords) {
		script := -1
		for _, r := range word {
			at := scriptOf(r)
			if at >= 0 && script >= 0 && at != script {
				return word, true
			}
			script = max(script, at)
		}
	}
	return "", false
}

// betweenWords: what does not show ends no word, since nobody sees an end there.
func betweenWords(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r) && r != '_' && !isHidden(r)
}

// scriptOf is the place of a letter's alphabet in the list, or -1.
func scriptOf(r rune) int {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return 0
		}
		return -1
	}
	for i, script := range alike {
		if unicode.Is(script, r) {
			return i
		}
	}
	return -1
}

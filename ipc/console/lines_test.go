package console

import (
	"strings"
	"testing"
)

func TestLinesOfAnExplanationShowAllAndNothingElse(t *testing.T) {
	long := strings.Repeat("0123456789", 12)
	for name, tt := range map[string]struct{ got, want string }{
		"a short value stands beside its name":         {Named("  ", "e.class", "transfer"), "  e.class = transfer\n"},
		"a value of nothing is shown as a line of it":  {Named("  ", "e.actor", ""), "  e.actor =\n    |\n"},
		"a value with a line of ours stands below":     {Named("  ", "e.domain", "x\n  e.class = transfer"), "  e.domain =\n    | x\\u{a}\n    |   e.class = transfer\n"},
		"a value that hides something stands below":    {Named("  ", "e.domain", "a\u202eb"), "  e.domain =\n    | a\\u{202e}b\n"},
		"a value that is long is wrapped, not cut":     {Named("  ", "x", long), "  x =\n    | " + long[:72] + "\n    | " + long[72:] + "\n"},
		"a name does not command the terminal":         {Named("", "a\x1b[2J", "b"), "a\\u{1b}[2J = b\n"},
		"scripts that look alike are pointed out":      {Named("", "d", "p\u0430y"), "d = p\u0430y\n  note: the word \"p\u0430y\" mixes Latin and Cyrillic letters, which look alike\n"},
		"a text is wrapped, and its margin is ours":    {Wrapped("reason  ", "          ", strings.Repeat("word ", 16)+"end"), "reason  " + strings.TrimSpace(strings.Repeat("word ", 14)) + "\n          word word end\n"},
		"a text does not begin a line where ours does": {Wrapped("", "    ", "a\nb\tc"), "a\\u{a}b\\u{9}c\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, tt.got, tt.want)
		}
	}
}

package console

import (
	"fmt"
	"strings"
)

// Wrapped writes a text after first, made safe, and what does not fit on that line on
// lines that begin with rest: which is to be longer than what begins a line of ours.
func Wrapped(first, rest, text string) string {
	var b strings.Builder
	flow(&b, first, rest, Safe(text))
	return b.String()
}

// Named writes a name of ours and a value that may be theirs: on one line where the value
// is short and all of it shows as it is, and else below the name, each line after a bar.
func Named(indent, name, value string) string {
	var b strings.Builder
	one := fmt.Sprintf("%s%s = %s\n", indent, Safe(name), value)
	if value != "" && visibleSpaces(Safe(value)) == value && columns(one)-1 <= screen {
		b.WriteString(one)
	} else {
		flow(&b, indent, indent+"    ", Safe(name)+" =")
		block(&b, indent+"  ", value)
	}
	if word, which := mixed(value); word != "" {
		flow(&b, indent+"  ", indent+"    ", fmt.Sprintf("note: the word \"%s\" mixes %s letters, which look alike", Safe(word), which))
	}
	return b.String()
}

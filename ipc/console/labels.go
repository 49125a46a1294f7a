package console

import (
	"fmt"
	"strings"

	"github.com/sealward/sealward/signer"
)

// clearSigning shows what a descriptor calls the parts of a payload. It stands below
// the intent, and every line of it says so by its beginning.
func clearSigning(c signer.ClearSigning) string {
	const bar, deeper = "~ ", "~     "
	var b strings.Builder
	flow(&b, bar, deeper, fmt.Sprintf("as DESCRIPTOR FILE %s of %s describes it; labels only: what counts stands above", quoted(c.Descriptor), quoted(c.Owner)))
	part := func(name, value string) {
		b.WriteString("~\n")
		flow(&b, bar, deeper, name)
		block(&b, bar+"  ", value)
	}
	part("it calls this", c.Intent)
	if c.InterpolatedIntent != "" {
		part("and in words", c.InterpolatedIntent)
	}
	for i, f := range c.Fields {
		part(fmt.Sprintf("%d. %s", i+1, Safe(f.Label)), f.Value)
	}
	return b.String()
}

// quoted is safe text in quotation marks, of which it holds none.
func quoted(s string) string { return `"` + strings.ReplaceAll(Safe(s), `"`, `\u{22}`) + `"` }

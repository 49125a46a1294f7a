package approval

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sealward/sealward/signer"
)

// facts are what [Compare] compares, in the order in which to tell of them: the kind, what
// would happen, what it costs, what is signed.
func facts(in signer.Intent) []fact {
	complete := "no, a part cannot be read"
	if in.Complete {
		complete = "yes"
	}
	fs := []fact{{"kind", strconv.Quote(string(in.Kind))}, {"completely read", complete}}
	for i, e := range in.Effects {
		fs = append(fs, effect(i+1, e)...)
	}
	for i, q := range in.Outflow {
		fs = append(fs, fact{fmt.Sprintf("outflow %d", i+1), quantity(q)})
	}
	fs = append(fs, fact{"fee", quantity(in.Fee)})
	for i, d := range in.Digests {
		fs = append(fs, fact{fmt.Sprintf("digest %d", i+1), fmt.Sprintf("%q %s", d.Name, hex.EncodeToString(d.Value[:]))})
	}
	return append(fs, messages("message %d", in.Messages)...)
}

func effect(n int, e signer.Effect) []fact {
	until := "for ever"
	if !e.Until.IsZero() {
		until = e.Until.UTC().Format(time.RFC3339Nano)
	}
	fs := []fact{
		{"class", strconv.Quote(string(e.Class))}, {"actor", strconv.Quote(e.Actor)}, {"counterparty", strconv.Quote(e.Counterparty)},
		{"quantity", quantity(e.Quantity)}, {"until", until},
	}
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		fs = append(fs, fact{"attribute " + strconv.Quote(name), strconv.Quote(e.Attributes[name])})
	}
	for i := range fs {
		fs[i].what = fmt.Sprintf("effect %d, %s", n, fs[i].what)
	}
	return fs
}

func quantity(q signer.Quantity) string {
	n := "-"
	if q.N != nil {
		n = q.N.String()
	}
	return fmt.Sprintf("%s %s %q", q.Kind, n, q.Asset)
}

func messages(what string, ms []signer.Message) (fs []fact) {
	for i, m := range ms {
		fs = append(fs, fact{fmt.Sprintf(what, i+1), fmt.Sprintf("%q %s", m.Scheme, hex.EncodeToString(m.Bytes))})
	}
	return fs
}

package console

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sealward/sealward/signer"
)

// Names are what the owner's own files call things. Nothing else names anything.
type Names struct {
	Assets   map[string]signer.Asset // by CAIP-19 id
	Accounts map[string]string       // labels, by CAIP-10 id
}

// Intent shows what signing would do. The same intent and names give the same
// text.
func Intent(in signer.Intent, names Names) string {
	p := printer{names: names}
	p.alarms(in)
	for _, e := range in.Effects {
		p.effect(e)
	}
	if len(in.Effects) == 0 {
		p.line("ERROR", "the decoder found no effect at all; do not sign this")
	}
	p.costs(in)
	p.details(in)
	return p.b.String()
}

type printer struct {
	b     strings.Builder
	names Names
}

// line writes one line of ours: a word in capitals and what it is about. rest
// must be safe.
func (p *printer) line(word, rest string) { fmt.Fprintf(&p.b, "%-8s %s\n", word, rest) }

// more continues a line.
func (p *printer) more(rest string) { p.line("", rest) }

// ranks orders severities, the worst first. One that is not ours counts as worst.
var ranks = map[signer.Severity]int{signer.SeverityDanger: 1, signer.SeverityWarn: 2, signer.SeverityInfo: 3}

var severityWords = map[signer.Severity]string{
	signer.SeverityDanger: "DANGER", signer.SeverityWarn: "WARNING", signer.SeverityInfo: "NOTE",
}

// alarms are what must be seen before anything else.
func (p *printer) alarms(in signer.Intent) {
	before := p.b.Len()
	if !in.Complete {
		p.line("DANGER", "a part of this could not be read: what follows is not all that it may do")
	}
	warnings := slices.Clone(in.Warnings)
	slices.SortStableFunc(warnings, func(a, b signer.Warning) int { return cmp.Compare(ranks[a.Severity], ranks[b.Severity]) })
	for _, w := range warnings {
		p.line(cmp.Or(severityWords[w.Severity], "DANGER"), fmt.Sprintf("%s (%s)", Safe(w.Text), Safe(w.Code)))
	}
	for _, e := range in.Effects {
		for _, label := range p.resembles(e.Counterparty) {
			p.line("DANGER", fmt.Sprintf("%s resembles %s but is another address", address(e.Counterparty), label))
		}
	}
	if p.b.Len() > before {
		p.b.WriteString("\n")
	}
}

func (p *printer) effect(e signer.Effect) {
	to := p.account(e.Counterparty)
	zero := e.Quantity.N != nil && e.Quantity.N.Sign() == 0
	switch e.Class {
	case signer.ClassTransfer:
		p.line("SENDS", p.quantity(e.Quantity))
		p.more("to " + to)
	case signer.ClassAllowance:
		switch {
		case zero:
			p.line("REVOKES", "what "+to)
			p.more("may take of " + p.asset(e.Quantity.Asset))
		case e.Until.IsZero():
			p.line("GRANTS", p.quantity(e.Quantity)+", until revoked")
			p.more("to " + to)
		default:
			p.line("GRANTS", p.quantity(e.Quantity)+", until "+e.Until.UTC().Format("2006-01-02 15:04:05 UTC"))
			p.more("to " + to)
		}
	case signer.ClassCreate:
		p.line("CREATES", "a contract; what it does could not be read")
		if e.Counterparty != "" {
			p.more("at " + to)
		}
		p.along(e.Quantity)
	case signer.ClassUnknownCall:
		p.line("CALLS", to)
		p.more("what this does could not be read: it may move anything")
		p.along(e.Quantity)
	case signer.ClassMessage:
		p.line("ATTESTS", "a message, shown below")
	case signer.ClassOpaque:
		p.line("SIGNS", "a hash of something unknown: it may do anything")
	default:
		if act, ok := acts[e.Class]; ok {
			p.line(act.word, act.text)
			break
		}
		p.line("DOES", fmt.Sprintf("something that this program does not know: %s", Safe(string(e.Class))))
		p.more(p.quantity(e.Quantity) + ", " + to)
	}
	_, isAct := acts[e.Class]
	if e.Actor != "" {
		p.more("from " + p.account(e.Actor) + chainOf(e.Actor))
	} else if !isAct && e.Class != signer.ClassMessage && e.Class != signer.ClassOpaque {
		p.more("from: unknown (no key given)" + chainOf(e.Counterparty))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
		p.fact(Safe(strings.ReplaceAll(name, "_", " ")), e.Attributes[name])
	}
}

// acts are what administrative requests do; whose key it is, the attributes say.
var acts = map[signer.Class]struct{ word, text string }{
	signer.ClassKeyCreate:    {"MAKES", "a key in a device"},
	signer.ClassKeyImport:    {"TAKES IN", "a key that was made elsewhere"},
	signer.ClassKeyAttest:    {"PROVES", "where a key is"},
	signer.ClassKeyDisable:   {"DISABLES", "a key: it signs nothing any more until it is enabled again"},
	signer.ClassKeyEnable:    {"ENABLES", "a key that was disabled"},
	signer.ClassKeyRotate:    {"SUCCEEDS", "a key by another one, which the first signs"},
	signer.ClassKeyDuplicate: {"COPIES", "a key to another device"},
}

// along is what a call or a creation carries beside its unknown effect.
func (p *printer) along(q signer.Quantity) {
	if q.Kind != signer.QuantityNone && q.Kind != signer.QuantityUnknown {
		p.more("takes along " + p.quantity(q))
	}
}

// costs are the fee and, per asset, the most that could leave: fee and allowances
// included.
func (p *printer) costs(in signer.Intent) {
	if in.Fee.Kind != signer.QuantityNone {
		p.line("FEE", p.quantity(in.Fee))
	}
	word := "TOTAL"
	for _, q := range in.Outflow {
		p.line(word, p.quantity(q))
		word = ""
	}
	switch {
	case in.Complete:
	case len(in.Outflow) == 0:
		p.line(word, "UNKNOWN: not all of it could be read")
	default:
		p.line(word, "and UNKNOWN amounts more: not all of it could be read")
	}
}

func (p *printer) details(in signer.Intent) {
	if len(in.Fields) > 0 {
		p.b.WriteString("\n")
	}
	for _, f := range in.Fields {
		p.fact(Safe(f.Name), f.Value)
	}
	if len(in.Digests) > 0 {
		p.b.WriteString("\ncompare on a second device:\n")
	}
	for _, d := range in.Digests {
		fmt.Fprintf(&p.b, "  %s\n    0x%s\n", Safe(d.Name), hex.EncodeToString(d.Value[:]))
	}
}

// fact writes a name and a value: on one line when the value is short and all of
// it shows as it is, else as a block.
func (p *printer) fact(name, value string) {
	if columns(value) <= 56 && Safe(value) == value && strings.TrimSpace(value) == value && value != "" {
		fmt.Fprintf(&p.b, "  %-24s %s\n", name, value)
	} else {
		fmt.Fprintf(&p.b, "  %s\n", name)
		block(&p.b, "    ", value)
	}
	if word, which := mixed(value); word != "" {
		fmt.Fprintf(&p.b, "    note: the word %q mixes %s letters, which look alike\n", Safe(word), which)
	}
}

// Claim shows what a caller says of its own request.
func Claim(text string) string {
	var p printer
	p.fact("claim of the caller, unverified", text)
	return p.b.String()
}

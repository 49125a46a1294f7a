package console

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealward/sealward/signer"
)

// Names are what the owner's own files call things. Where those say nothing, contracts
// have the names that everybody knows them by or, of the lowest rank, that descriptors
// give them. Nothing else names anything.
type Names struct {
	Assets    map[string]signer.Asset                     // by CAIP-19 id
	Accounts  map[string]string                           // labels, by CAIP-10 id
	Contracts map[string]signer.Contract                  // by CAIP-10 id
	Canonical func(account string) (name string, ok bool) // of a CAIP-10 id; nil: none are known
	Described map[string]string                           // by CAIP-10 id; shown as the word of a descriptor
	Now       time.Time                                   // for spans until an end; zero: none are shown
}

// Intent shows what signing would do and, unless labels is nil, what a descriptor calls
// the parts. The same intent, labels and names give the same text.
func Intent(in signer.Intent, labels *signer.ClearSigning, names Names) string {
	p := printer{names: names}
	p.class(in)
	p.alarms(in)
	p.effects(in.Effects)
	p.costs(in)
	p.details(in)
	if labels != nil {
		p.b.WriteString("\n" + clearSigning(*labels))
	}
	p.again(in)
	return p.b.String()
}

type printer struct {
	b     strings.Builder
	names Names
}

// margin is where the text of a line of ours begins; what does not fit on it goes on
// further to the right, so that nothing in it can look like a line of ours.
const (
	margin   = "         "
	overhang = margin + "  "
)

// line writes one line of ours: a word in capitals and what it is about. rest
// must be safe.
func (p *printer) line(word, rest string) { flow(&p.b, fmt.Sprintf("%-8s ", word), overhang, rest) }

// more continues a line.
func (p *printer) more(rest string) { flow(&p.b, margin, overhang, rest) }

// class is the worst that the intent does.
func (p *printer) class(in signer.Intent) {
	class := in.Class()
	switch headline := headline(class, in.Effects); {
	case len(in.Effects) == 0:
		p.line("ERROR", "the decoder found no effect at all; do not sign this")
	case headline == "":
		p.line("CLASS", Safe(string(class))+": THIS PROGRAM DOES NOT KNOW WHAT THAT IS; it may do anything")
	default:
		p.line("CLASS", Safe(string(class))+": "+headline)
	}
	p.b.WriteString("\n")
}

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
	if p.b.Len() > before {
		p.b.WriteString("\n")
	}
}

// tall is how many lines of a text nobody scrolls back.
const tall = 60

// again says at the end of a long text what must be seen before anything else: whoever
// wants the signature may have made it long, so that its beginning scrolls away.
func (p *printer) again(in signer.Intent) {
	lines, dangers := strings.Count(p.b.String(), "\n"), 0
	var codes []string
	for _, w := range in.Warnings {
		if ranks[w.Severity] > ranks[signer.SeverityDanger] {
			continue
		}
		dangers++
		if !slices.Contains(codes, w.Code) {
			codes = append(codes, w.Code)
		}
	}
	if lines <= tall || in.Complete && dangers == 0 {
		return
	}
	p.b.WriteString("\n")
	p.line("AGAIN", fmt.Sprintf("what stands at the top of these %d lines", lines))
	p.class(in)
	if !in.Complete {
		p.line("DANGER", "a part of this could not be read: what stands above is not all that it may do")
	}
	if dangers > 0 {
		p.line("DANGER", fmt.Sprintf("of %d warnings: %s", dangers, Safe(strings.Join(codes, ", "))))
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
		if !in.Complete && q.Kind == signer.QuantityUnknown && q.Asset == "" {
			continue // said below
		}
		p.line(word, p.quantity(q))
		word = ""
	}
	switch {
	case in.Complete:
	case word != "":
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
		p.fact(f.Name, f.Value)
	}
	if len(in.Digests) > 0 {
		p.b.WriteString("\ncompare on a second device:\n")
	}
	for _, d := range in.Digests {
		flow(&p.b, "  ", "      ", nameOf(d.Name))
		fmt.Fprintf(&p.b, "    0x%s\n", hex.EncodeToString(d.Value[:]))
	}
}

// fact writes a name and a value: on one line when the value is short and all of
// it shows as it is, else as a block.
func (p *printer) fact(name, value string) {
	const named, valued = 24, screen - 2 - 24 - 1
	name = nameOf(name)
	asItIs := value != "" && visibleSpaces(Safe(value)) == value
	if asItIs && columns(name) <= named && columns(value) <= valued {
		fmt.Fprintf(&p.b, "  %-*s %s\n", named, name, value)
	} else {
		flow(&p.b, "  ", "      ", name)
		block(&p.b, "    ", value)
	}
	if word, which := mixed(value); word != "" {
		flow(&p.b, "    ", "      ", fmt.Sprintf("note: the word \"%s\" mixes %s letters, which look alike", Safe(word), which))
	}
}

// nameOf is a name that begins a line. One that is empty is shown, too.
func nameOf(s string) string { return cmp.Or(visibleSpaces(Safe(s)), `""`) }

// Claim shows what a caller says of its own request.
func Claim(text string) string {
	var p printer
	p.fact("claim of the caller, unverified", text)
	return p.b.String()
}

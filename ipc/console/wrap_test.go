package console

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealward/sealward/signer"
)

// hostileTexts are what somebody may put wherever text can stand.
var hostileTexts = []string{
	"", " ", "  ", "a", "two words", " padded ", "hello\nTOTAL    nothing leaves the account\n",
	"x" + strings.Repeat(" ", 90) + "SENDS    nothing", "\u202e0001\u202c", "pay\u200b100\u2060\ufeff", "\x1b[2J\r\t\x00",
	`\`, `\\`, "\\\n", `\u{202e}`, "\xff\xfe", strings.Repeat("\u4e2d", 70), strings.Repeat("\u4e2d ", 70),
	strings.Repeat("0123456789abcdef", 40), strings.Repeat("word ", 60), strings.Repeat("\u202e", 30), strings.Repeat(" ", 200),
	"| bar", "~ labels", "from 0x52908400098527886E0F7030069857D2E4169EE7 on eip155:1", "\u05d0\u05d1 100", "send to \u0430cme",
	"0x52908400098527886E0F7030069857D2E4169EE7", strings.Repeat("a", 68) + " " + strings.Repeat("b", 69) + " " + strings.Repeat("c", 70), strings.Repeat(`"`, 50),
}

// generator makes intents of which every text may be hostile.
type generator struct {
	*rand.Rand
	texts []string // what was put in and must come out
}

func (g *generator) text() string {
	s := hostileTexts[g.IntN(len(hostileTexts))]
	if g.IntN(3) == 0 {
		s += hostileTexts[g.IntN(len(hostileTexts))]
	}
	g.texts = append(g.texts, s)
	return s
}

func (g *generator) account() string {
	switch g.IntN(4) {
	case 0:
		return ""
	case 1:
		g.texts = append(g.texts, address(acme))
		return acme
	default:
		text := strings.ReplaceAll(g.text(), ":", "") // where the chain ends
		g.texts[len(g.texts)-1] = text
		return "eip155:1:" + text
	}
}

func (g *generator) quantity() signer.Quantity {
	q := signer.Quantity{Kind: signer.QuantityKind(g.IntN(5)), Asset: usdc}
	if q.Kind == signer.QuantityNone {
		return signer.Quantity{}
	}
	if g.IntN(2) == 0 {
		q.Asset = "eip155:1/erc20:" + g.text()
	}
	if q.Kind == signer.QuantityExact || q.Kind == signer.QuantityAtMost {
		q.N = new(big.Int).Lsh(big.NewInt(g.Int64N(1<<40)+1), uint(g.IntN(200)))
		g.texts = append(g.texts, q.N.String())
	}
	return q
}

func (g *generator) effect() signer.Effect {
	class := signer.Class("future")
	if all := signer.Classes(); g.IntN(20) > 0 {
		class = all[g.IntN(len(all))]
	} else {
		class += signer.Class(g.text())
	}
	e := signer.Effect{Class: class, Actor: g.account(), Counterparty: g.account(), Quantity: g.quantity(), Attributes: map[string]string{}}
	if g.IntN(3) == 0 {
		e.Until = time.Unix(g.Int64N(253402300800), 0)
		g.texts = append(g.texts, e.Until.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	for _, name := range []string{"call", "act", "contract", "looks_like", "receives", "odd_" + hostileTexts[g.IntN(len(hostileTexts))]} {
		if g.IntN(2) == 0 {
			e.Attributes[name] = g.text()
		}
	}
	return e
}

func (g *generator) intent() signer.Intent {
	in := signer.Intent{Kind: "test", Complete: g.IntN(2) == 0, Fee: g.quantity()}
	for range 1 + g.IntN(8) {
		in.Effects = append(in.Effects, g.effect())
	}
	for range g.IntN(5) {
		in.Fields = append(in.Fields, signer.Field{Name: g.text(), Value: g.text()})
		in.Warnings = append(in.Warnings, signer.Warning{Code: g.text(), Severity: signer.Severity(hostileTexts[g.IntN(len(hostileTexts))]), Text: g.text()})
		in.Digests = append(in.Digests, signer.Digest{Name: g.text(), Value: [32]byte{byte(g.IntN(256))}})
		in.Outflow = append(in.Outflow, g.quantity())
	}
	return in
}

// ours is how a line that is not theirs may begin: a word of ours, the place under the
// text after it, the place of what did not fit, a fact or its block, or a mark.
var ours = regexp.MustCompile(`^([A-Z]+ [A-Z]+|[A-Z]+) |^ {2,11}\S|^ {27}\S|^~|^$|^compare on a second device:$`)

func TestNoLineIsTooWideAndNothingIsLost(t *testing.T) {
	for seed := range uint64(1000) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 4))}
		in := g.intent()
		texts := g.texts
		text := Intent(in, nil, names)
		labels := signer.ClearSigning{Descriptor: g.text(), Owner: g.text(), Intent: g.text(), InterpolatedIntent: g.text()}
		for range g.IntN(4) {
			labels.Fields = append(labels.Fields, signer.Labelled{Label: g.text(), Value: g.text()})
		}
		check(t, seed, text, texts)
		check(t, seed, clearSigning(labels), g.texts[len(texts):])
		check(t, seed, Claim(texts[0]), texts[:1])
		if t.Failed() {
			return
		}
	}
}

// check that a text is within the screen, that no line of it begins where it should
// not, and that it holds the texts.
func check(t *testing.T, seed uint64, text string, texts []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := columns(line); n > screen {
			t.Errorf("seed %d: %d columns: %q", seed, n, line)
		}
		if !ours.MatchString(line) {
			t.Errorf("seed %d: the line %q begins where none of ours does", seed, line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("seed %d: the line %q ends in a space that nobody sees", seed, line)
		}
	}
	flat := unwrapped(text)
	for _, want := range texts {
		want = Safe(want)
		if !strings.Contains(flat, want) && !strings.Contains(flat, strings.ReplaceAll(want, `"`, `\u{22}`)) {
			t.Errorf("seed %d: %q is lost in\n%s", seed, want, flat)
		}
	}
}

var (
	cut      = regexp.MustCompile(`\\\n(~     | +)`)
	inBlock  = regexp.MustCompile(`(?m)\n(~   |    )\|( |$)`)
	atASpace = regexp.MustCompile(`\n(~     | +)`)
)

// unwrapped undoes the breaking of lines, by the package's documentation.
func unwrapped(text string) string {
	text = cut.ReplaceAllString(text, "")
	text = inBlock.ReplaceAllString(text, "")
	text = atASpace.ReplaceAllString(text, " ")
	return strings.ReplaceAll(text, `\u{20}`, " ")
}

func TestFlowBreaksWhereTheReaderCanTell(t *testing.T) {
	long := strings.Repeat("x", 75)
	for name, c := range map[string]struct{ text, want string }{
		"what fits":                        {"one two", "- one two\n"},
		"a word that does not fit":         {long + " two", "- " + long + "\n  two\n"},
		"a word longer than any line":      {strings.Repeat("y", 100), "- " + strings.Repeat("y", 77) + "\\\n  " + strings.Repeat("y", 23) + "\n"},
		"exactly a line":                   {strings.Repeat("z", 78), "- " + strings.Repeat("z", 78) + "\n"},
		"an escape is not broken":          {strings.Repeat("y", 74) + `\u{202e}y`, "- " + strings.Repeat("y", 74) + "\\\n  \\u{202e}y\n"},
		"spaces that would not be seen":    {" a  b ", "- \\u{20}a \\u{20}b\\u{20}\n"},
		"nothing":                          {"", "- \n"},
		"wide characters take two columns": {strings.Repeat("\u4e2d", 40), "- " + strings.Repeat("\u4e2d", 38) + "\\\n  \u4e2d\u4e2d\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			flow(&b, "- ", "  ", c.text)
			if b.String() != c.want {
				t.Errorf("flow = %q, want %q", b.String(), c.want)
			}
		})
	}
}

// A block of hostile text takes as many lines as it needs, however many that are.
func TestHugeTextsAreShownWhole(t *testing.T) {
	in := message(strings.Repeat("0123456789", 10_000))
	text := Intent(in, nil, names)
	if !strings.Contains(unwrapped(text), in.Fields[0].Value) {
		t.Error("it is cut off")
	}
	if !strings.Contains(text, fmt.Sprintf("sha256 of these %d bytes:", len(in.Fields[0].Value))) {
		t.Error("its hash is missing")
	}
}

// A payload that is long for that very purpose does not make its danger scroll away: it
// is said first, and again last, below what a descriptor says.
func TestTheDangerOfALongTextIsSaidAgainAtItsEnd(t *testing.T) {
	danger := signer.Warning{Code: "evm_unknown_call", Severity: signer.SeverityDanger, Text: "calls a stranger"}
	labels := &signer.ClearSigning{Descriptor: "gift.json", Owner: "Gift", Intent: "Receive a gift"}
	for name, tt := range map[string]struct {
		lines    int
		complete bool
		warnings []signer.Warning
		want     string // at the end
	}{
		"danger":                  {500, true, []signer.Warning{danger, danger}, "DANGER   of 2 warnings: evm_unknown_call\n"},
		"not all of it was read":  {500, false, nil, "DANGER   a part of this could not be read: what stands above is not all that it\n           may do\n"},
		"a severity of tomorrow":  {500, true, []signer.Warning{{Code: "evm_doom", Severity: "doom"}}, "DANGER   of 1 warnings: evm_doom\n"},
		"nothing is of danger":    {500, true, []signer.Warning{{Code: "evm_paymaster", Severity: signer.SeverityWarn}}, "~   | Receive a gift\n"},
		"it all fits on a screen": {10, false, []signer.Warning{danger}, "~   | Receive a gift\n"},
	} {
		t.Run(name, func(t *testing.T) {
			in := message(strings.Repeat("nothing to see\n", tt.lines))
			in.Complete, in.Warnings = tt.complete, tt.warnings
			text := Intent(in, labels, names)
			if !strings.HasSuffix(text, tt.want) {
				t.Errorf("the end is %q, want %q", text[max(0, len(text)-200):], tt.want)
			}
			if again := strings.Count(text, "\nCLASS ") == 1; again != strings.HasPrefix(tt.want, "DANGER") {
				t.Errorf("the class is said again: %v", again)
			}
		})
	}
}

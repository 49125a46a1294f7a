package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Whoever writes a policy knows payments, and need not know how HCL and CEL call their
// parts. What those say of a mistake is put here in words that say what to write.

// examplesOf are what may stand behind an argument that is missing.
var examplesOf = map[string]string{
	"version": "1", "id": `"eip155:1/slip44:60"`, "decimals": "18", "entries": `{ "eip155:1:0x..." = "Acme Hosting" }`,
	"account": `"eip155:1:0x..."`, "kind": `"safe"`, "file": `"tokens.json"`, "folder": `"descriptors"`, "sha256": `"..."`,
	"roots": `["approvers/yubico-piv-root.pem"]`, "group": `"treasury"`, "approvals": "2", "zone": `"Europe/Berlin"`,
}

// remedies stand in place of what HCL says of a mistake, by its name for it.
var remedies = map[string]string{
	"Missing newline after argument":        "there is more on this line than one value: a text stands in double quotes as a whole, a condition has single quotes within them, as in \"e.class == 'transfer'\", and the next argument begins a new line",
	"Argument or block definition required": "this is no argument and no block; write NAME = VALUE, or NAME { ... }",
	"Missing item separator":                "a comma is missing between two elements, as in [\"a\", \"b\"]",
	"Missing attribute separator":           "two entries stand on one line; write each on a line of its own",
	"Unclosed configuration block":          "the block that begins here does not end; write } on a line of its own where it does",
	"Invalid multi-line string":             "the text has no closing quote; write \" where it ends",
	"Invalid character":                     "this character is no part of the language, and may come from a word processor; type it anew: quotes are \" and ', and a space is the one of the keyboard",
	"Invalid character encoding":            "the file is not in UTF-8; save it as UTF-8 in your editor",
	"Invalid expression":                    "there is no value here; write a text in quotes, a number, true, or a list such as [\"a\", \"b\"]",
	"Invalid block definition":              "a block is written without =, as in limit \"each\" {",
}

var missing = regexp.MustCompile(`The argument "([^"]+)" is required`)

// reword says what to do about what HCL found.
func reword(d *hcl.Diagnostic, schema *hcl.BodySchema) *hcl.Diagnostic {
	out := *d
	add := func(format string, args ...any) {
		out.Detail = strings.TrimSuffix(out.Detail, ".") + "; " + fmt.Sprintf(format, args...)
	}
	switch m := missing.FindStringSubmatch(d.Detail); {
	case d.Summary == "Missing required argument" && m != nil:
		out.Detail = fmt.Sprintf("The argument %q is required; write %s = %s", m[1], m[1], examplesOf[m[1]])
	case schema != nil && d.Summary == "Unsupported argument" && strings.Contains(d.Detail, "define a block"):
		out.Summary, out.Detail = "this is a block, and written without =", "there may be: "+strings.Join(namesOf(&hcl.BodySchema{Blocks: schema.Blocks}), ", ")
	case schema != nil && (d.Summary == "Unsupported argument" || d.Summary == "Unsupported block type") && !strings.Contains(d.Detail, "Did you mean"):
		add("here may stand: %s", strings.Join(namesOf(schema), ", "))
	case strings.HasPrefix(d.Summary, "Missing name for "):
		kind := strings.TrimPrefix(d.Summary, "Missing name for ")
		out.Detail = fmt.Sprintf("write its name in quotes behind %s, as in %s \"NAME\" {", kind, kind)
	case strings.HasPrefix(d.Summary, "Extraneous label for "):
		kind := strings.TrimPrefix(d.Summary, "Extraneous label for ")
		out.Detail = fmt.Sprintf("%s has one name less; remove what is too much", kind)
	case d.Summary == "Attribute redefined":
		add("remove one of the two")
	case remedies[d.Summary] != "":
		out.Summary, out.Detail = remedies[d.Summary], ""
	}
	return &out
}

func namesOf(schema *hcl.BodySchema) (names []string) {
	for _, a := range schema.Attributes {
		names = append(names, a.Name+" =")
	}
	for _, b := range schema.Blocks {
		names = append(names, strings.Join(append([]string{b.Type}, slices.Repeat([]string{`"NAME"`}, len(b.LabelNames))...), " ")+" {")
	}
	return names
}

// unquoted suggests what a value that is no text may have been meant to be.
func unquoted(e hcl.Expression) string {
	if name := hcl.ExprAsKeyword(e); name != "" && name != "true" && name != "false" && name != "null" {
		return fmt.Sprintf("; write %q", name)
	}
	if _, ok := e.(*hclsyntax.TupleConsExpr); ok {
		return ", without brackets"
	}
	return ""
}

// mistake is something that CEL found, in our words, and where.
type mistake struct {
	line, column int
	text         string
}

// mistakes are what is wrong with a condition. Of what follows from one mistake, such as
// more that cannot be parsed behind it, nothing is said.
func (c *conditions) mistakes(src source, errs []*cel.Error) (out []mistake) {
	for _, e := range errs {
		m := mistake{e.Location.Line(), e.Location.Column(), ""}
		if s := syntax.FindStringSubmatch(e.Message); s != nil {
			m.text = "the condition is not CEL: " + s[1] + unparsed(s[1])
			return []mistake{m}
		}
		if n := undeclared.FindStringSubmatch(e.Message); n != nil && src.follows(m.line, m.column, "(") && !suggested.MatchString(e.Message) && !slices.Contains(removed, n[1]) {
			m.text = fmt.Sprintf("no function is named %q%s", n[1], didYouMean(n[1], []string{"all", "exists", "exists_one", "filter", "map", "has", "size", "amount"}))
			return []mistake{m}
		}
		m.text = c.plain(e.Message)
		out = append(out, m)
	}
	return out
}

// follows reports whether a text stands at a place of the source.
func (s source) follows(line, column int, text string) bool {
	at, runes := s.offset(line, column), []rune(s.text)
	return at >= 0 && at <= len(runes) && strings.HasPrefix(string(runes[at:]), text)
}

// unparsed says what to write in place of what CEL cannot parse.
func unparsed(message string) string {
	_, token, _ := strings.Cut(message, "'")
	token = strings.TrimSpace(strings.TrimSuffix(token, "'"))
	word, _, _ := strings.Cut(token, "'")
	switch {
	case strings.HasPrefix(token, "=") && !strings.HasPrefix(token, "=="):
		return "; a comparison has two equals signs, as in e.class == 'transfer'"
	case strings.EqualFold(word, "and"), strings.EqualFold(word, "or"), strings.EqualFold(word, "not"):
		return "; write && for and, || for or, ! for not"
	case strings.ContainsAny(token, "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u00b4`"):
		return "; that is a quote of a word processor; type ' in its place"
	case strings.Contains(message, "<EOF>") && strings.HasPrefix(message, "missing"):
		return "; the condition ends where a bracket is still open"
	default:
		return "; a condition reads like effects.all(e, e.class == 'transfer' && e.counterparty in addresses.vendors)"
	}
}

// plain adds to the explanation of a type or a name what to write.
func (c *conditions) plain(message string) string {
	text := c.explain(message)
	if m := overload.FindStringSubmatch(strings.ReplaceAll(message, "sealward.", "")); m != nil && strings.Contains(m[2], "amount") {
		if strings.Contains(m[1], "*") {
			return fmt.Sprintf("* does not apply to %s; an amount is multiplied by a whole number: for a * 0.5 < b write a < b * 2", m[2])
		}
		return text
	}
	if m := undefined.FindStringSubmatch(message); m != nil {
		switch {
		case fields[quantityType.TypeName()][m[1]].typ != nil:
			return text + fmt.Sprintf("; it is one of a quantity, as in e.quantity.%s of an effect e, or fee.%s", m[1], m[1])
		case fields[effectType.TypeName()][m[1]].typ != nil:
			return text + fmt.Sprintf("; it is one of an effect, as in effects.all(e, e.%s ...)", m[1])
		}
		return text
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		for _, name := range c.names {
			if strings.HasSuffix(name, "."+m[1]) {
				return fmt.Sprintf("nothing is named %q; did you mean %q?", m[1], name)
			}
		}
	}
	return text
}

package policy

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// loadError is every defect that was found in a policy file, one per line, in the
// order of the file.
type loadError hcl.Diagnostics

func (e loadError) Error() string {
	lines := make([]string, 0, len(e))
	for _, d := range e {
		line := fmt.Sprintf("%s: %s", d.Subject, d.Summary)
		if d.Detail != "" {
			line += "; " + d.Detail
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// reader collects defects, so that one load shows all of them. Its methods return
// false once they have reported why.
type reader struct{ diags hcl.Diagnostics }

func (r *reader) fail(at hcl.Range, format string, args ...any) {
	r.diags = append(r.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: fmt.Sprintf(format, args...), Subject: &at,
	})
}

func (r *reader) failed() bool { return len(r.diags) > 0 }

// err returns what was collected, sorted by position, or nil.
func (r *reader) err() error {
	if !r.failed() {
		return nil
	}
	slices.SortStableFunc(r.diags, func(a, b *hcl.Diagnostic) int {
		if a.Subject == nil || b.Subject == nil {
			return 0
		}
		return a.Subject.Start.Byte - b.Subject.Start.Byte
	})
	return loadError(r.diags)
}

// plain refuses everything but literal values, so that a policy says what is
// written there and nothing has to be worked out. It looks at tokens, before the
// parser: HCL's recurses without bound into brackets and operators, and a stack
// that overflows cannot be recovered from.
func (r *reader) plain(name string, src []byte) bool {
	const maxDepth = 20
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos) // the parser reports what cannot be read
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack:
			if depth++; depth > maxDepth {
				r.fail(t.Range, "brackets are nested more than %d deep", maxDepth)
				return false
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack:
			depth--
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			r.fail(t.Range, "%q begins a template, and a policy holds literal values only; write %q for the characters themselves", t.Bytes, string(t.Bytes[:1])+string(t.Bytes))
			return false
		case hclsyntax.TokenOParen, hclsyntax.TokenCParen, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus,
			hclsyntax.TokenMinus, hclsyntax.TokenPercent, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual,
			hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq,
			hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenBang, hclsyntax.TokenDot, hclsyntax.TokenEllipsis,
			hclsyntax.TokenFatArrow, hclsyntax.TokenQuestion:
			r.fail(t.Range, "unexpected %q: a policy holds literal values only; put conditions in quotes", t.Bytes)
			return false
		}
	}
	return true
}

// body holds a block to its schema: nothing unknown, nothing missing. HCL itself
// refuses a repeated argument.
func (r *reader) body(b hcl.Body, schema *hcl.BodySchema) *hcl.BodyContent {
	content, diags := b.Content(schema)
	for _, d := range diags {
		r.diags = append(r.diags, reword(d, schema))
	}
	return content
}

// text reads a quoted string or a heredoc.
func (r *reader) text(e hcl.Expression) (string, bool) { return r.textLike(e, "") }

// textLike reads a text of which there is an example, to show where it is none.
func (r *reader) textLike(e hcl.Expression, example string) (string, bool) {
	if s, ok := quoted(e); ok {
		return s, true
	}
	if example != "" {
		example = fmt.Sprintf(", such as %q", example)
	}
	r.fail(e.Range(), "want a text in quotes%s%s", example, unquoted(e))
	return "", false
}

// quoted is the text of an expression that is one.
func quoted(e hcl.Expression) (string, bool) {
	if t, ok := e.(*hclsyntax.TemplateExpr); ok {
		if v, diags := t.Value(nil); !diags.HasErrors() && v.Type() == cty.String && !v.IsNull() {
			return v.AsString(), true
		}
	}
	return "", false
}

// filled reads a text that must say something, on one line.
func (r *reader) filled(e hcl.Expression, what string) (string, bool) {
	s, ok := r.text(e)
	if !ok {
		return "", false
	}
	if strings.TrimSpace(s) != s || s == "" || strings.ContainsFunc(s, unprintable) {
		r.fail(e.Range(), "%s is empty, or has space around it or characters that do not print", what)
		return "", false
	}
	return s, true
}

func (r *reader) literal(e hcl.Expression, want cty.Type, example string) (cty.Value, bool) {
	if lit, ok := e.(*hclsyntax.LiteralValueExpr); ok && lit.Val.Type() == want && !lit.Val.IsNull() {
		return lit.Val, true
	}
	r.fail(e.Range(), "want %s", example)
	return cty.NilVal, false
}

func (r *reader) boolean(e hcl.Expression) (value, ok bool) {
	v, ok := r.literal(e, cty.Bool, "true or false, without quotes")
	return ok && v.True(), ok
}

// number reads a whole number from least to most.
func (r *reader) number(e hcl.Expression, least, most int64) (int64, bool) {
	example := fmt.Sprintf("a whole number from %d to %d, without quotes", least, most)
	v, ok := r.literal(e, cty.Number, example)
	if !ok {
		return 0, false
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < least || n > most {
		r.fail(e.Range(), "want %s", example)
		return 0, false
	}
	return n, true
}

// item is one element of a list and where it stands.
type item struct {
	text string
	at   hcl.Range
}

// list reads a list of texts: not empty, because a rule for nobody is a mistake,
// and nothing twice.
func (r *reader) list(e hcl.Expression) []item {
	tuple, ok := e.(*hclsyntax.TupleConsExpr)
	if !ok {
		example := `"a", "b"`
		if alone, ok := quoted(e); ok {
			example = strconv.Quote(alone)
		}
		r.fail(e.Range(), "want a list of texts in brackets, such as [%s]", example)
		return nil
	}
	if len(tuple.Exprs) == 0 {
		r.fail(e.Range(), "the list is empty; name at least one, or leave the argument out")
		return nil
	}
	items := make([]item, 0, len(tuple.Exprs))
	for _, x := range tuple.Exprs {
		s, ok := r.filled(x, "the element")
		if !ok {
			continue
		}
		if slices.ContainsFunc(items, func(i item) bool { return i.text == s }) {
			r.fail(x.Range(), "%q is in the list twice", s)
			continue
		}
		items = append(items, item{s, x.Range()})
	}
	return items
}

// maxListed is how many names an error lists: there are fewer classes and warnings.
const maxListed = 30

// didYouMean returns a suggestion to end an error with: the nearest of the known
// names, or all of them while they are few.
func didYouMean(given string, known []string) string {
	// The shorter a name, the more others it resembles by chance.
	best, distance := "", min(1+len(given)/4, 3)
	for _, k := range known {
		if d := editDistance(strings.ToLower(given), strings.ToLower(k)); d <= distance && (best == "" || d < distance) {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) == 0:
		return "; there are none"
	case len(known) <= maxListed:
		return "; there are: " + strings.Join(known, ", ")
	default:
		return ""
	}
}

// editDistance is the optimal string alignment distance: insertions, deletions,
// replacements and swaps of neighbours, by which people mistype.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before []int
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, previous = previous, row
	}
	return previous[len(b)]
}
